//! One node's turn in a formed cluster: how long its gate waits, what its stop costs, which node
//! leads meanwhile.

use super::order::successor;
use super::{Action, Cost, Desired, Gate, Step};
use crate::cluster::Durability;
use crate::dynamic::Dynamic;
use crate::inventory::{Observed, Server};

/// Seconds a healthy cluster may take to show that it is healthy.
pub(super) const QUICK_SECONDS: u32 = 60;
/// Seconds a rebuilt node may take to be a full member again, including a rewind or a new base
/// backup.
pub(super) const REJOIN_SECONDS: u32 = 240;
/// Seconds health must hold at a gate that proves nothing: no node goes back there.
pub(super) const SHORT_SECONDS: u32 = 3;

/// A gate that holds long enough to show a crash loop.
pub(super) fn hold(desired: &Desired<'_>, within_seconds: u32) -> Gate {
    Gate::new(within_seconds, desired.cluster.timing.gate_hold)
}

/// Whether only the synchronous replica may take over.
pub(super) fn is_strict(observed: &Observed) -> bool {
    observed.dynamic.as_ref().map(Dynamic::durability) == Some(Durability::Strict)
}

/// The cost of stopping a node that does not lead, under the durability now in force.
pub(super) fn cost(desired: &Desired<'_>, observed: &Observed, node: &str) -> Cost {
    let running = observed.dynamic.as_ref().map_or(desired.cluster.durability, Dynamic::durability);
    Cost::of_stopped(desired.cluster, running, node)
}

/// Hands the leadership to a node that has had its turn in `order`. Under strict, to the replica
/// that may take over.
pub(super) fn switchover(
    desired: &Desired<'_>,
    observed: &Observed,
    order: &[&Server],
    leader: &str,
) -> Step {
    let to = (!is_strict(observed)).then(|| successor(desired, order, leader));
    let switchover = Action::Switchover { from: leader.to_owned(), to };
    Step::new(switchover, Cost::of_switchover(desired.cluster))
}

pub(super) fn sick(observed: &Observed, servers: &[&Server]) -> Vec<String> {
    let names = servers.iter().map(|server| server.name.clone());
    names.filter(|name| observed.sick.contains(name)).collect()
}
