//! What Hetzner sells. The numbers are of 2026; none of them is a promise.

use serde_json::{Value, json};

use crate::answer::{Answer, Outcome, Refusal};
use crate::image::{self, Image};
use crate::listing::{Query, is_asked_for, page};
use crate::project::{Meta, Table, now};

/// Locations, server types, stock images and prices.
pub(crate) struct Catalog {
    shown: Value,
}

impl Catalog {
    pub(crate) fn read() -> Self {
        let shown = serde_json::from_str(include_str!("catalog.json"));
        Self { shown: shown.expect("the file beside this one is JSON") }
    }

    fn all(&self, kinds: &str) -> &[Value] {
        self.shown[kinds].as_array().map_or(&[], Vec::as_slice)
    }

    /// One of these kinds, by its id or its name.
    fn find(&self, kinds: &str, wanted: &Value) -> Option<&Value> {
        let number = wanted.as_u64().or_else(|| wanted.as_str()?.parse().ok());
        let is = |value: &&Value| {
            value["name"] == *wanted || number.is_some() && value["id"].as_u64() == number
        };
        self.all(kinds).iter().find(is)
    }

    pub(crate) fn server_type(&self, wanted: &Value) -> Result<&Value, Refusal> {
        let unknown = || Refusal::new(422, "invalid_server_type", "server type not found");
        self.find("server_types", wanted).ok_or_else(unknown)
    }

    pub(crate) fn location(&self, wanted: &Value) -> Result<&Value, Refusal> {
        self.find("locations", wanted).ok_or_else(|| Refusal::not_found("location"))
    }

    /// Makes a server type run out in a location, or be there again.
    pub(crate) fn set_available(&mut self, server_type: &str, location: &str, available: bool) {
        let types = self.shown["server_types"].as_array_mut();
        let named = types.into_iter().flatten().filter(|value| value["name"] == server_type);
        let places = named.filter_map(|value| value["locations"].as_array_mut()).flatten();
        places
            .filter(|place| place["name"] == location)
            .for_each(|place| place["available"] = json!(available));
    }

    /// `GET` of what is sold.
    pub(crate) fn call(&self, kinds: &str, rest: &[&str], query: &Query) -> Outcome {
        match rest {
            [] if kinds == "pricing" => {
                let types = self.all("server_types").iter();
                let types = types
                    .map(|t| json!({ "id": t["id"], "name": t["name"], "prices": t["prices"] }));
                let mut pricing = self.shown["pricing"].clone();
                pricing["server_types"] = types.collect();
                Ok(Answer::ok(json!({ "pricing": pricing })))
            }
            [] => {
                let asked = |value: &&Value| is_asked_for(query, "name", value);
                page(kinds, self.all(kinds).iter().filter(asked).cloned().collect(), query)
            }
            [id] => {
                let kind = kinds.trim_end_matches('s');
                let found = self.find(kinds, &json!(id)).ok_or_else(|| Refusal::not_found(kind))?;
                Ok(Answer::ok(json!({ kind: found })))
            }
            _ => Err(Refusal::not_found("path")),
        }
    }

    /// The stock images.
    pub(crate) fn images(&self) -> Table<Image> {
        let image = |value: &Value| {
            let text = |field: &str| value[field].as_str().unwrap_or_default().to_owned();
            let id = value["id"].as_u64().unwrap_or_default();
            let meta = Meta { id, name: text("name"), labels: Default::default(), created: now() };
            let kind =
                image::Kind::System { flavor: text("os_flavor"), version: text("os_version") };
            let disk_gb = value["disk_size"].as_u64().unwrap_or_default();
            (
                id,
                Image {
                    meta,
                    kind,
                    architecture: text("architecture"),
                    disk_gb,
                    available: true,
                    description: text("name"),
                },
            )
        };
        self.all("images").iter().map(image).collect()
    }
}
