//! Replication slots of the file, which replicas copy from the leader.

use pgha_core::Object;
use pgha_core::inventory::Inventory;
use pgha_core::plan::plan;
use serde_json::{Value, json};

use crate::case::Case;
use crate::{THREE, golden};

/// A cluster with a slot in its file, and in etcd what `before` makes of its dynamic configuration.
fn slot(durability: &str, before: impl FnOnce(&mut Value)) -> Case {
    let section = "[postgresql]\nparameters.wal_level = \"logical\"\nslots = [{ name = \"cdc\", database = \"app\" }]";
    let case = Case::new(&format!("{THREE}{section}\n[durability]\nmode = \"{durability}\"\n"));
    case.observed(|observed| before(observed.dynamic.as_mut().expect("a configuration")))
}

fn without_slots(dynamic: &mut Value) {
    dynamic.as_object_mut().expect("an object").remove("slots");
}

cases! {
    slots_come: slot("quorum", without_slots),
    slots_come_where_no_commit_waits: slot("async", without_slots),
    slots_come_with_their_wal_level: slot("quorum", |dynamic| {
        without_slots(dynamic);
        dynamic["postgresql"]["parameters"]["wal_level"] = json!("replica");
    }),
    slots_come_with_their_database: slot("quorum", without_slots).observed(|observed| {
        observed.objects.as_mut().expect("objects").retain(|object| !matches!(object, Object::Database(_)));
    }),
    slots_from_the_beginning: slot("quorum", |_| {}).with(|world| *world = Inventory { is_blank: true, ..Inventory::default() }),
    slots_are_there: slot("quorum", |_| {}),
    slots_go: Case::new(THREE).observed(|observed| {
        let slot = json!({ "type": "logical", "database": "app", "plugin": "pgoutput" });
        observed.dynamic.as_mut().expect("a configuration")["slots"] = json!({ "cdc": slot });
    }),
}
