//! Which node has its turn when, and whether the cluster can bear it at all.

use super::{Desired, Refused};
use crate::cluster::Role;
use crate::inventory::{Inventory, Observed, Server};

/// A formed cluster that lacks a server has lost a copy. A new empty one must not pretend to be the
/// old member.
pub(super) fn every_node_has_a_server(
    desired: &Desired<'_>,
    world: &Inventory,
) -> Result<(), Refused> {
    match desired.cluster.nodes.iter().find(|node| world.server(&node.name).is_none()) {
        None => Ok(()),
        Some(node) => Err(Refused::Lost { node: node.name.clone() }),
    }
}

/// What the daemons say, if anything can be planned on it.
pub(super) fn observed(world: &Inventory) -> Result<&Observed, Refused> {
    match &world.observed {
        // Paused, Patroni starts no PostgreSQL after a boot.
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

/// A node that has lost its copy first, then those that are sick otherwise, the leader last.
///
/// # Errors
/// When the cluster is not healthy and these turns would not cure it, or when nobody could take
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

/// Whether everyone who is sick is given something else, and no more than one copy is amiss while
/// that goes on. That of the leader is the one all others are made from.
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

/// Who takes over from `leader`: the replica that was changed last, for it has held its gate;
/// without one, the first other node.
pub(super) fn successor(desired: &Desired<'_>, order: &[&Server], leader: &str) -> String {
    let holds_data = |name: &str| {
        name != leader
            && desired.cluster.node(name).is_some_and(|node| node.role_set.has(Role::Postgres))
    };
    let changed = order.iter().rev().map(|server| server.name.as_str());
    let others = desired.cluster.nodes.iter().map(|node| node.name.as_str());
    changed.chain(others).find(|name| holds_data(name)).unwrap_or(leader).to_owned()
}
