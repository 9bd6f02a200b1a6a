//! Logical replication slots.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use serde_spanned::Spanned;

use super::super::{Database, Node, Role, Slot, parameter};
use super::{Remarks, parameters, value_or};
use crate::spec::{SlotSection, Spec, nearest};

/// Output plugins of the Debian base.
const PLUGINS: &[&str] = &["pgoutput", "test_decoding"];

/// Patroni keeps these on every member: replicas copy them from the leader and move them along.
pub(super) fn check(
    spec: &Spec,
    parameters: &BTreeMap<String, Value>,
    nodes: &[Node],
    databases: &[Database],
    remarks: &mut Remarks,
) -> Vec<Slot> {
    let section = &spec.postgresql.slots;
    let Some(first) = section.first() else { return Vec::new() };
    if !parameters.get("wal_level").is_some_and(|level| parameter::is_same(level, "logical")) {
        let help = "add `wal_level = \"logical\"` to `postgresql.parameters`";
        let message = "logical slots need `wal_level = \"logical\"`";
        remarks.error(first.name.span(), message, "WAL would not hold what it tells", help);
    }
    if parameters.get("hot_standby_feedback").is_some_and(parameters::is_off) {
        let span = parameters::span_of(spec, "hot_standby_feedback");
        let help = "leave it out: Patroni turns it on for slots, so that the leader keeps the rows that they need";
        remarks.error(span, "slots need `hot_standby_feedback`", "off", help);
    }
    let mut seen = BTreeSet::new();
    section
        .iter()
        .map(|slot| {
            name(&slot.name, nodes, remarks);
            if !seen.insert(slot.name.get_ref()) {
                let message = format!("two slots are called `{}`", slot.name.get_ref());
                remarks.error(slot.name.span(), message, "the second", "remove one of them");
            }
            one(slot, databases, remarks)
        })
        .collect()
}

/// PostgreSQL's rule for names of slots; and Patroni names those of members after them.
fn name(name: &Spanned<String>, nodes: &[Node], remarks: &mut Remarks) {
    let text = name.get_ref();
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if text.is_empty() || text.len() > 63 || !text.chars().all(allowed) {
        let help = "lower-case letters, digits and underscores, at most 63 characters";
        let message = format!("`{text}` is no name for a slot");
        remarks.error(name.span(), message, "not allowed", help);
    }
    let mut members = nodes.iter().filter(|node| node.role_set.has(Role::Postgres));
    if let Some(node) = members.find(|node| node.name.replace('-', "_") == *text) {
        let message = format!("`{text}` is the slot through which {} replicates", node.name);
        remarks.error(name.span(), message, "taken", "choose another name");
    }
}

fn one(slot: &SlotSection, databases: &[Database], remarks: &mut Remarks) -> Slot {
    let names = databases.iter().map(|database| database.name.as_str()).collect::<Vec<_>>();
    let database = &slot.database;
    if !names.contains(&database.get_ref().as_str()) {
        let help = match nearest(database.get_ref(), &names) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("add it to `postgresql.databases`; there are: {}", names.join(", ")),
        };
        let message = format!("no database is called `{}`", database.get_ref());
        remarks.error(database.span(), message, "unknown database", help);
    }
    let plugin = value_or(&slot.plugin, "pgoutput".to_owned());
    if !PLUGINS.contains(&plugin.get_ref().as_str()) {
        let message = format!("`{}` is no output plugin of the image", plugin.get_ref());
        let help = format!("one of: {}", PLUGINS.join(", "));
        remarks.error(plugin.span(), message, "unknown", help);
    }
    Slot {
        name: slot.name.get_ref().clone(),
        database: database.get_ref().clone(),
        plugin: plugin.into_inner(),
    }
}
