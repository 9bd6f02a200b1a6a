//! The dynamic configuration: what Patroni keeps in etcd and applies to every node.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::cluster::Durability;
use crate::cluster::parameter::{waits_for_restart, whole};
use crate::digest::Digest;

/// A standby refuses to start with less of these than its primary has (PostgreSQL 17, 26.4.1).
pub(crate) const NOT_LESS_ON_STANDBY: [&str; 5] = [
    "max_connections",
    "max_locks_per_transaction",
    "max_prepared_transactions",
    "max_wal_senders",
    "max_worker_processes",
];

/// Patroni's names for the files that say who may connect.
pub const ACCESS: [&str; 2] = ["pg_hba", "pg_ident"];

/// One dynamic configuration, in Patroni's format. If it was read from etcd, it may be any JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Dynamic(Value);

impl From<Value> for Dynamic {
    fn from(json: Value) -> Self {
        Self(json)
    }
}

impl Dynamic {
    /// The configuration as Patroni reads it.
    pub fn json(&self) -> &Value {
        &self.0
    }

    /// The digest of its JSON, serialized without spaces.
    pub fn digest(&self) -> Digest {
        Digest::of(self.0.to_string().as_bytes())
    }

    /// The durability that it asks for.
    pub fn durability(&self) -> Durability {
        match &self.0["synchronous_mode"] {
            Value::String(_) => Durability::Quorum,
            Value::Bool(true) => Durability::Strict,
            _ => Durability::Async,
        }
    }

    /// PostgreSQL's parameters, by name.
    pub fn parameters(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.0["postgresql"]["parameters"].as_object().into_iter().flatten()
    }

    /// Lines of one of the files of [`ACCESS`].
    pub fn access<'d>(&'d self, file: &str) -> impl Iterator<Item = &'d str> + use<'d> {
        let lines = self.0["postgresql"][file].as_array().into_iter().flatten();
        lines.filter_map(Value::as_str)
    }

    /// The same, with the access lines of `other`.
    #[must_use]
    pub(crate) fn with_access_of(&self, other: &Self) -> Self {
        let mut json = self.0.clone();
        if let Some(part) = json.pointer_mut("/postgresql").and_then(Value::as_object_mut) {
            let lines = |file: &str| other.0["postgresql"][file].clone();
            part.extend(ACCESS.map(|file| (file.to_owned(), lines(file))));
        }
        Self(json)
    }

    /// The same, but each parameter in `NOT_LESS_ON_STANDBY` that is larger in `other` gets that larger value.
    #[must_use]
    pub(crate) fn with_more_of(&self, other: &Self) -> Self {
        let mut json = self.0.clone();
        for name in NOT_LESS_ON_STANDBY {
            let grows =
                self.number(name).zip(other.number(name)).is_some_and(|(old, new)| new > old);
            if grows {
                json["postgresql"]["parameters"][name] = other.parameter(name).clone();
            }
        }
        Self(json)
    }

    pub(crate) fn parameter(&self, name: &str) -> &Value {
        &self.0["postgresql"]["parameters"][name]
    }

    /// A parameter that is a whole number.
    pub(crate) fn number(&self, name: &str) -> Option<i64> {
        whole(self.parameter(name))
    }

    /// Whether PostgreSQL has to be restarted to run with `new` instead.
    pub(crate) fn needs_restart(&self, new: &Self) -> bool {
        self.changed_parameters(new).iter().any(|name| waits_for_restart(name))
    }

    fn changed_parameters(&self, new: &Self) -> Vec<String> {
        let parts = [&self.0, &new.0].map(|json| &json["postgresql"]["parameters"]);
        changed(parts[0], parts[1])
    }

    /// How `new` differs, for people: `work_mem: "16MB" -> "32MB"`, and likewise for every other
    /// key. Access files are only named.
    pub fn diff(&self, new: &Self) -> Vec<String> {
        let line = |name: &str, old: &Value, new: &Value| format!("{name}: {old} -> {new}");
        let parameters = self.changed_parameters(new).into_iter();
        let parameters =
            parameters.map(|name| line(&name, self.parameter(&name), new.parameter(&name)));
        let keys = changed(&self.0, &new.0).into_iter().filter(|key| key != "postgresql");
        let keys = keys.map(|key| line(&key, &self.0[&key], &new.0[&key]));
        let (old, new) = (&self.0["postgresql"], &new.0["postgresql"]);
        let further = changed(old, new).into_iter().filter(|key| key != "parameters");
        let further = further.map(|key| match ACCESS.contains(&key.as_str()) {
            true => key,
            false => line(&format!("postgresql.{key}"), &old[&key], &new[&key]),
        });
        parameters.chain(keys).chain(further).collect()
    }
}

/// Keys whose values differ, in order.
fn changed(old: &Value, new: &Value) -> Vec<String> {
    let keys = [old, new].into_iter().filter_map(Value::as_object).flat_map(|part| part.keys());
    let keys = keys.cloned().collect::<BTreeSet<_>>();
    keys.into_iter().filter(|key| old[key] != new[key]).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_differs_is_told_once() {
        let old = Dynamic(json!({ "ttl": 20, "postgresql": {
            "use_slots": true, "pg_hba": ["a"], "parameters": { "work_mem": "16MB", "port": 1 },
        } }));
        let new = Dynamic(json!({ "ttl": 30, "postgresql": {
            "use_slots": false, "pg_hba": ["b"], "parameters": { "work_mem": "32MB", "port": 1 },
        } }));
        let told = [
            r#"work_mem: "16MB" -> "32MB""#,
            "ttl: 20 -> 30",
            "pg_hba",
            "postgresql.use_slots: true -> false",
        ];
        assert_eq!(old.diff(&new), told);
        assert_eq!(old.diff(&old), Vec::<String>::new());
        assert_eq!(Dynamic(json!(null)).diff(&old).len(), 5, "whatever is in etcd");
    }
}
