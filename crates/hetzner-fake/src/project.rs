//! What a project holds, and what is the same for every kind of resource.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::action::{Actions, Subject};
use crate::answer::{Answer, Outcome, Refusal};
use crate::catalog::Catalog;
use crate::firewall::Firewall;
use crate::hardware::Hardware;
use crate::image::Image;
use crate::labels::{self, Labels};
use crate::network::Network;
use crate::placement_group::PlacementGroup;
use crate::server::Server;
use crate::ssh_key::SshKey;
use crate::volume::Volume;

pub(crate) type Table<T> = BTreeMap<u64, T>;

/// A project, as its API token shows it.
pub(crate) struct Project {
    pub(crate) servers: Table<Server>,
    pub(crate) volumes: Table<Volume>,
    pub(crate) images: Table<Image>,
    pub(crate) networks: Table<Network>,
    pub(crate) firewalls: Table<Firewall>,
    pub(crate) placement_groups: Table<PlacementGroup>,
    pub(crate) ssh_keys: Table<SshKey>,
    pub(crate) actions: Actions,
    pub(crate) catalog: Catalog,
    pub(crate) pace: Duration,
    /// Absent: servers are words alone.
    pub(crate) hardware: Option<Hardware>,
    last_id: u64,
}

/// What every resource has.
#[derive(Debug, Clone)]
pub(crate) struct Meta {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) labels: Labels,
    pub(crate) created: String,
}

/// Where a kind of resource is kept; [`stored`] writes it.
pub(crate) trait Stored: Sized {
    /// Its name in answers about one.
    const KIND: &'static str;
    /// Its name in paths and lists.
    const KINDS: &'static str;
    /// Fields that a list can be filtered by.
    const FILTERS: &'static [&'static str];

    fn table(project: &Project) -> &Table<Self>;
    fn table_mut(project: &mut Project) -> &mut Table<Self>;
    fn meta(&self) -> &Meta;
    fn meta_mut(&mut self) -> &mut Meta;
}

/// A type with a field `meta`, its name in answers, the field of [`Project`] that keeps it, and its filters.
macro_rules! stored {
    ($type:ident, $kind:literal, $kinds:ident, [$($filter:literal),*]) => {
        impl crate::project::Stored for $type {
            const KIND: &'static str = $kind;
            const KINDS: &'static str = stringify!($kinds);
            const FILTERS: &'static [&'static str] = &[$($filter),*];

            fn table(project: &crate::project::Project) -> &crate::project::Table<Self> {
                &project.$kinds
            }

            fn table_mut(project: &mut crate::project::Project) -> &mut crate::project::Table<Self> {
                &mut project.$kinds
            }

            fn meta(&self) -> &crate::project::Meta {
                &self.meta
            }

            fn meta_mut(&mut self) -> &mut crate::project::Meta {
                &mut self.meta
            }
        }
    };
}
pub(crate) use stored;

/// A kind of resource.
pub(crate) trait Resource: Stored {
    /// Its own fields, as the API shows them; those of [`Meta`] are added.
    fn fields(&self, project: &Project) -> Value;
}

/// What a request to change a resource may say of every kind.
#[derive(Deserialize)]
struct Update {
    name: Option<String>,
    labels: Option<Labels>,
}

/// The moment, as the API writes it.
pub(crate) fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S+00:00").to_string()
}

/// What a body says.
pub(crate) fn read<T: DeserializeOwned>(body: &Value) -> Result<T, Refusal> {
    serde_json::from_value(body.clone())
        .map_err(|error| Refusal::new(422, "invalid_input", &error.to_string()))
}

impl Project {
    /// An empty one. An action takes `pace`.
    pub(crate) fn new(pace: Duration, hardware: Option<Hardware>) -> Self {
        let (servers, volumes, networks, firewalls) = Default::default();
        let (placement_groups, ssh_keys, actions) = Default::default();
        let catalog = Catalog::read();
        let images = catalog.images();
        let last_id = 1000;
        Self {
            servers,
            volumes,
            images,
            networks,
            firewalls,
            placement_groups,
            ssh_keys,
            actions,
            catalog,
            pace,
            hardware,
            last_id,
        }
    }

    pub(crate) fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// What a new resource has, if its name is free and its labels are good.
    pub(crate) fn meta<T: Resource>(
        &mut self,
        name: String,
        labels: Labels,
    ) -> Result<Meta, Refusal> {
        if name.is_empty() {
            return Err(Refusal::invalid("name", "must not be empty"));
        }
        self.is_free::<T>(&name, 0)?;
        labels::check(&labels)?;
        Ok(Meta { id: self.next_id(), name, labels, created: now() })
    }

    /// Names are unique in a project, for each kind. Those of snapshots do not exist.
    fn is_free<T: Resource>(&self, name: &str, own: u64) -> Result<(), Refusal> {
        let taken = |(id, other): (&u64, &T)| *id != own && other.meta().name == name;
        let is_taken = !name.is_empty() && T::table(self).iter().any(taken);
        if is_taken { Err(Refusal::taken("name")) } else { Ok(()) }
    }

    pub(crate) fn add<T: Resource>(&mut self, resource: T) -> u64 {
        let id = resource.meta().id;
        T::table_mut(self).insert(id, resource);
        id
    }

    pub(crate) fn get<T: Resource>(&self, id: u64) -> Result<&T, Refusal> {
        T::table(self).get(&id).ok_or_else(|| Refusal::not_found(T::KIND))
    }

    pub(crate) fn get_mut<T: Resource>(&mut self, id: u64) -> Result<&mut T, Refusal> {
        T::table_mut(self).get_mut(&id).ok_or_else(|| Refusal::not_found(T::KIND))
    }

    /// One by its id or its name.
    pub(crate) fn find<T: Resource>(&self, wanted: &Value) -> Result<u64, Refusal> {
        let id = wanted.as_u64().or_else(|| wanted.as_str()?.parse().ok());
        let is = |(at, resource): &(&u64, &T)| {
            Some(**at) == id || wanted.as_str() == Some(&resource.meta().name)
        };
        let found = T::table(self).iter().find(is).map(|(id, _)| *id);
        found.ok_or_else(|| Refusal::not_found(T::KIND))
    }

    pub(crate) fn show<T: Resource>(&self, resource: &T) -> Value {
        let meta = resource.meta();
        let mut shown = resource.fields(self);
        shown["id"] = json!(meta.id);
        if shown.get("name").is_none() {
            shown["name"] = json!(meta.name);
        }
        shown["labels"] = json!(meta.labels);
        shown["created"] = json!(meta.created);
        shown
    }

    pub(crate) fn show_id<T: Resource>(&self, id: u64) -> Result<Value, Refusal> {
        Ok(self.show(self.get::<T>(id)?))
    }

    /// An answer that holds one resource, and whatever else belongs to it.
    pub(crate) fn one<T: Resource>(&self, id: u64, more: Value) -> Result<Value, Refusal> {
        let mut body = json!({ T::KIND: self.show_id::<T>(id)? });
        if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
            body.extend(more);
        }
        Ok(body)
    }

    /// `PUT`: another name, other labels.
    pub(crate) fn update<T: Resource>(&mut self, id: u64, body: &Value) -> Outcome {
        let update: Update = read(body)?;
        self.get::<T>(id)?;
        if let Some(name) = &update.name {
            self.is_free::<T>(name, id)?;
        }
        if let Some(labels) = &update.labels {
            labels::check(labels)?;
        }
        let meta = self.get_mut::<T>(id)?.meta_mut();
        meta.name = update.name.unwrap_or_else(|| meta.name.clone());
        meta.labels = update.labels.unwrap_or_else(|| meta.labels.clone());
        Ok(Answer::ok(self.one::<T>(id, Value::Null)?))
    }

    /// Whether an action runs on it.
    pub(crate) fn is_locked(&self, subject: Subject) -> bool {
        self.not_locked(&[subject]).is_err()
    }
}
