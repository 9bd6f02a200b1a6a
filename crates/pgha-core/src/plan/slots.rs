//! Replication slots: those that a change of leader drops, and those that the file keeps on every node.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Action, Cost, Desired, Gate, Step};
use crate::cluster::{Cluster, Durability, Fault};
use crate::inventory::Inventory;
use crate::render::durability;

/// Seconds until replicas must have copied slots, and be whole again.
const COPY_SECONDS: u32 = 120;

/// Slots that a switchover of the plan drops: of those that the file does not name, Patroni makes those
/// of members alone on the next leader.
pub(super) fn dropped(world: &Inventory, steps: &[Step]) -> Option<String> {
    let hands_over = |step: &Step| matches!(step.action, Action::Switchover { .. });
    let slots = world.observed.as_ref().map(|observed| observed.slots.join(", "))?;
    (!slots.is_empty() && steps.iter().any(hands_over)).then(|| {
        format!("the switchover drops what only the leader has: replication slots {slots}")
    })
}

/// What a plan that makes or drops slots of the file does to those who read from replicas, and from them.
pub(super) fn remarks(desired: &Desired<'_>, world: &Inventory) -> Vec<String> {
    let old = world.observed.as_ref().and_then(|observed| observed.dynamic.as_ref());
    let Some(old) = old else { return Vec::new() };
    let come = named(&differing(old, desired.dynamic), |slots| {
        format!("PostgreSQL of each replica restarts to copy slots, perhaps all at once: {slots}")
    });
    let go = named(&differing(desired.dynamic, old), |slots| {
        format!("dropped, with the place that their readers have come to: slots {slots}")
    });
    come.into_iter().chain(go).collect()
}

fn named(slots: &[String], tell: impl Fn(&str) -> String) -> Option<String> {
    (!slots.is_empty()).then(|| tell(&slots.join(", ")))
}

/// `slot cdc: none -> of app, by pgoutput`
pub(super) fn changes(old: &Value, new: &Value) -> Vec<String> {
    let told = |dynamic: &Value, name: &str| match &dynamic["slots"][name] {
        Value::Null => "none".to_owned(),
        slot => {
            let word = |key: &str| slot[key].as_str().unwrap_or("?");
            format!("of {}, by {}", word("database"), word("plugin"))
        }
    };
    let both = differing(old, new).into_iter().chain(differing(new, old));
    let both = both.collect::<BTreeSet<_>>().into_iter();
    both.map(|name| format!("slot {name}: {} -> {}", told(old, &name), told(new, &name))).collect()
}

/// What it costs to go from one dynamic configuration to another: replicas that copy slots restart, and
/// commits wait for the first of them.
pub(super) fn cost(desired: &Desired<'_>, old: &Value) -> Cost {
    let waits = durability(old) != Durability::Async;
    if !waits || differing(old, desired.dynamic).is_empty() {
        return Cost::default();
    }
    let stop = desired.cluster.write_stop(Fault::ReplicaStopped).worst_seconds;
    Cost { writes_stop_seconds: stop.ceil() as u32, ..Cost::default() }
}

/// The gate behind such a change.
pub(super) fn gate(desired: &Desired<'_>, old: &Value) -> Option<Step> {
    (!differing(old, desired.dynamic).is_empty()).then(|| copied(desired.cluster))
}

/// A gate that outlives the restarts of replicas that copy slots: one is made in one round of Patroni,
/// told in the next, and copied in a third; then PostgreSQL restarts.
pub(super) fn copied(cluster: &Cluster) -> Step {
    let held = 3 * cluster.timing.loop_wait + 5;
    Step::gate(Gate::new(COPY_SECONDS + held, held))
}

/// Slots of one dynamic configuration that are not the same in the other.
fn differing(other: &Value, of: &Value) -> Vec<String> {
    let slots = of["slots"].as_object().into_iter().flatten();
    let differs = |(name, slot): &(&String, &Value)| other["slots"][name.as_str()] != **slot;
    slots.filter(differs).map(|(name, _)| name.clone()).collect()
}
