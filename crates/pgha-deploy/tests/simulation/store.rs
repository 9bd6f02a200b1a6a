//! etcd as far as an operator's lease needs it: one key, leases, and what its JSON gateway says of them.

use std::collections::BTreeMap;
use std::time::Duration;

use pgha_deploy::lease::Store;
use pgha_deploy::node_error::NodeError;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::pgha::{Fate, Pgha};

/// What etcd keeps.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    revision: u64,
    /// How long each lease lives, and until when.
    leases: BTreeMap<String, (Duration, Instant)>,
    key: Option<Entry>,
}

#[derive(Debug)]
struct Entry {
    value: String,
    lease: String,
    revision: u64,
}

impl Kept {
    /// A key ends with its lease.
    fn expire(&mut self) {
        self.leases.retain(|_, (_, ends)| *ends > Instant::now());
        self.key.take_if(|entry| !self.leases.contains_key(&entry.lease));
    }

    fn call(&mut self, method: &str, body: &Value) -> Result<Value, &'static str> {
        self.expire();
        Ok(match method {
            "lease/grant" => self.grant(body),
            "lease/keepalive" => self.keep(body),
            "lease/revoke" => {
                self.leases.remove(text(&body["ID"]));
                json!({})
            }
            "kv/txn" => self.put_if(body)?,
            _ => panic!("the model's etcd knows no {method}"),
        })
    }

    fn grant(&mut self, body: &Value) -> Value {
        self.revision += 1;
        let (id, ttl) = (self.revision.to_string(), text(&body["TTL"]).parse());
        let ttl = Duration::from_secs(ttl.expect("seconds"));
        self.leases.insert(id.clone(), (ttl, Instant::now() + ttl));
        json!({ "ID": id })
    }

    /// For a lease that is gone it answers too, without the seconds that it has left.
    fn keep(&mut self, body: &Value) -> Value {
        let Some((ttl, ends)) = self.leases.get_mut(text(&body["ID"])) else {
            return json!({ "result": {} });
        };
        *ends = Instant::now() + *ttl;
        json!({ "result": { "TTL": ttl.as_secs().to_string() } })
    }

    /// Puts the key if nobody has changed it since, or says what it holds.
    fn put_if(&mut self, body: &Value) -> Result<Value, &'static str> {
        let wanted = text(&body["compare"][0]["modRevision"]);
        let has = self.key.as_ref().map_or(0, |entry| entry.revision).to_string();
        if has == wanted {
            let put = &body["success"][0]["requestPut"];
            let (value, lease) = (text(&put["value"]).to_owned(), text(&put["lease"]).to_owned());
            if !self.leases.contains_key(&lease) {
                return Err("requested lease not found");
            }
            self.revision += 1;
            self.key = Some(Entry { value, lease, revision: self.revision });
            return Ok(json!({ "succeeded": true }));
        }
        let entry = self.key.iter().map(|entry| {
            json!({ "value": entry.value, "lease": entry.lease, "mod_revision": entry.revision.to_string() })
        });
        let kvs = entry.collect::<Vec<_>>();
        Ok(json!({ "responses": [{ "response_range": { "kvs": kvs } }] }))
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

impl Store for Pgha<'_> {
    async fn call(&self, method: &str, body: &Value) -> Result<Value, NodeError> {
        let fate = self.fate().await;
        let answer = {
            let mut state = self.world.state();
            let done = match state.has_quorum() && fate != Fate::Lost {
                true => state.store.call(method, body),
                false => Err("no quorum"),
            };
            match fate {
                // A member whose answer was lost has done it; the next one is asked.
                Fate::AnswerLost if done.is_ok() => state.store.call(method, body),
                // No member's answer arrives.
                Fate::Late => Err("no answer"),
                _ => done,
            }
        };
        self.travel().await;
        answer.map_err(|why| self.refused("etcd", why))
    }
}
