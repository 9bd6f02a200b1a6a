//! Compares what exists with what the cluster file declares.

use super::{Action, Step};
use crate::cluster::Cluster;
use crate::inventory::{Inventory, Observed};
use crate::object::{Object, declared};

/// Declared objects that are missing. Empty if it is not known which objects exist.
pub(super) fn missing(cluster: &Cluster, observed: &Observed) -> Vec<Object> {
    let Some(objects) = &observed.objects else {
        return Vec::new();
    };
    declared(cluster).into_iter().filter(|object| !objects.contains(object)).collect()
}

/// Remarks about what a plan does not touch: what belongs to no server, and what the file does not
/// declare.
pub(super) fn remarks(cluster: &Cluster, world: &Inventory) -> Vec<String> {
    let leftovers = world.leftovers.iter();
    let mut remarks =
        leftovers.map(|leftover| format!("{leftover} belongs to no server")).collect::<Vec<_>>();
    match &world.observed {
        Some(observed) if observed.objects.is_some() => {
            let barred = observed.barred.iter();
            remarks.extend(barred.map(|what| format!("{what}; it is left as it is")));
            remarks.extend(undeclared(cluster, observed));
        }
        Some(observed) if observed.leader.is_some() => {
            remarks.push("the leader did not say which roles and databases there are".to_owned());
        }
        _ => {}
    }
    remarks
}

/// Replication slots that a switchover of the plan drops: Patroni creates only the slots of members
/// on the new leader.
pub(super) fn slots(world: &Inventory, steps: &[Step]) -> Option<String> {
    let hands_over = |step: &Step| matches!(step.action, Action::Switchover { .. });
    let slots = world.observed.as_ref().map(|observed| observed.slots.join(", "))?;
    (!slots.is_empty() && steps.iter().any(hands_over)).then(|| {
        format!("the switchover drops what only the leader has: replication slots {slots}")
    })
}

/// Objects that are not declared; pgha drops none of them. Extensions are only known in databases
/// that declare some, and every database has PL/pgSQL.
fn undeclared(cluster: &Cluster, observed: &Observed) -> Vec<String> {
    let declared = declared(cluster);
    let is_news = |object: &&Object| match object {
        Object::Owner { .. } => false,
        own if own.is_vital() => false,
        Object::Extension { name, .. } if name == "plpgsql" => false,
        _ => !declared.contains(object),
    };
    let extra = observed.objects.iter().flatten().filter(is_news);
    extra.map(|object| format!("{object} is not in the cluster file; it is left alone")).collect()
}
