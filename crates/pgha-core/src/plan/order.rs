//! In which order nodes have their turn, and whether the cluster can bear a roll at all.

use super::{Desired, Refused};
use crate::cluster::Role;
use crate::inventory::{Inventory, Observed, Server};

/// A formed cluster that lacks a server has lost a copy. A new, empty server must not take the
/// place of the old member.
pub(super) fn every_node_has_a_server(
    desired: &Desired<'_>,
    world: &Inventory,
) -> Result<(), Refused> {
    match desired.cluster.nodes.iter().find(|node| world.server(&node.name).is_none()) {
        None => Ok(()),
        Some(node) => Err(Refused::Lost { node: node.name.clone() }),
    }
}

/// What the daemons say, if a plan can be based on it.
pub(super) fn observed(world: &Inventory) -> Result<&Observed, Refused> {
    match &world.observed {
        // A paused Patroni does not start PostgreSQL after a boot.
        Some(observed) if observed.paused => Err(Refused::Paused),
        Some(observed) if observed.leader.is_some() && observed.dynamic.is_none() => {
            Err(Refused::DynamicUntold)
        }
        Some(observed) if observed.leader.is_some() => Ok(observed),
        Some(observed) if !observed.stuck.is_empty() => {
            Err(Refused::LeaderStuck { nodes: observed.stuck.clone() })
        }
        _ => Err(Refused::NoLeader),
    }
}

/// Nodes that have lost their copy come first, then nodes that are sick otherwise. The leader is
/// last.
///
/// # Errors
/// When the cluster is not healthy and these turns would not cure it, or when no node could take
/// over from the leader.
pub(super) fn order<'w>(
    desired: &Desired<'_>,
    observed: &Observed,
    servers: &[&'w Server],
) -> Result<Vec<&'w Server>, Refused> {
    if !observed.unmet.is_empty() && !curable(observed, servers) {
        return Err(degraded(observed));
    }
    if desired.cluster.nodes_with(Role::Postgres).count() < 2 {
        return Err(Refused::LoneLeader);
    }
    let turn = |server: &&Server| {
        let name = &server.name;
        let leads = observed.leads(name);
        (leads, !observed.lost.contains(name), !observed.sick.contains(name), name.clone())
    };
    let mut order = servers.to_vec();
    order.sort_by_key(turn);
    Ok(order)
}

/// Whether every sick node has a turn, and at most one copy is lost meanwhile. That copy must not
/// be the leader's: all others are made from it.
fn curable(observed: &Observed, servers: &[&Server]) -> bool {
    let has_a_turn = |name: &String| servers.iter().any(|server| server.name == *name);
    let leads = |name: &String| observed.leads(name);
    let copies = observed.lost.len() <= 1 && !observed.lost.iter().any(leads);
    copies && !observed.sick.is_empty() && observed.sick.iter().all(has_a_turn)
}

pub(super) fn degraded(observed: &Observed) -> Refused {
    let (unmet, sick) = (observed.unmet.clone(), observed.sick.clone());
    Refused::NotHealthy { unmet, sick, begun: false }
}

/// The node that takes over from `leader`: the replica that was changed last, because it has held
/// its gate. If there is none, the first other node.
pub(super) fn successor(desired: &Desired<'_>, order: &[&Server], leader: &str) -> String {
    let holds_data = |name: &str| {
        name != leader
            && desired.cluster.node(name).is_some_and(|node| node.role_set.has(Role::Postgres))
    };
    let changed = order.iter().rev().map(|server| server.name.as_str());
    let others = desired.cluster.nodes.iter().map(|node| node.name.as_str());
    changed.chain(others).find(|name| holds_data(name)).unwrap_or(leader).to_owned()
}
