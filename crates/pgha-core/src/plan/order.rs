//! Which node has its turn when, and whether the cluster can bear it at all.

use super::{Desired, Refused};
use crate::cluster::Role;
use crate::inventory::{Inventory, Observed, Server};

/// A formed cluster that lacks a server has lost a copy. A new empty one must not pretend to be the
/// old member.
pub(super) fn nothing_lost(desired: &Desired<'_>, world: &Inventory) -> Result<(), Refused> {
    match desired.cluster.nodes.iter().find(|node| world.server(&node.name).is_none()) {
        None => Ok(()),
        Some(node) => Err(Refused::new(
            format!(
                "node `{}` is in the file, but the cluster was formed without it or has lost it",
                node.name
            ),
            "this version can neither add nor replace nodes of a formed cluster: make the file name the nodes that there are, or destroy and start again",
        )),
    }
}

/// What the daemons say, if anything can be planned on it.
pub(super) fn observed(world: &Inventory) -> Result<&Observed, Refused> {
    match &world.observed {
        // Paused, Patroni starts no PostgreSQL after a boot.
        Some(observed) if observed.paused => Err(Refused::new(
            "Patroni is paused: a person has taken over",
            "give it back with `pgha ssh NODE -- /etc/pgha/bin/patronictl resume`, then plan again",
        )),
        Some(observed) if observed.leader.is_some() && observed.dynamic.is_none() => {
            Err(Refused::new(
                "no Patroni told the dynamic configuration",
                "see `pgha status` and `pgha logs NODE patroni`, then run the command again",
            ))
        }
        Some(observed) if observed.leader.is_some() => Ok(observed),
        Some(observed) if !observed.stuck.is_empty() => Err(Refused::new(
            format!("no node leads: PostgreSQL of {} does not start", observed.stuck.join(", ")),
            "see `pgha logs NODE patroni`; if a parameter is the cause, correct it in the cluster file and run the command again",
        )),
        _ => Err(Refused::new(
            "nobody says that a node leads",
            "see `pgha status` and `pgha doctor`",
        )),
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
        return Err(Refused::new(
            "the leader is the only PostgreSQL node",
            "nobody could take over while it is rebuilt",
        ));
    }
    let turn = |server: &&Server| {
        let name = &server.name;
        let leads = observed.leader.as_ref() == Some(name);
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
    let leads = |name: &String| observed.leader.as_ref() == Some(name);
    let copies = observed.lost.len() <= 1 && !observed.lost.iter().any(leads);
    copies && !observed.sick.is_empty() && observed.sick.iter().all(has_a_turn)
}

pub(super) fn degraded(observed: &Observed) -> Refused {
    let look_at = match observed.sick.is_empty() {
        true => String::new(),
        false => format!(" (look at {})", observed.sick.join(", ")),
    };
    Refused::new(
        format!("the cluster is not healthy: {}{look_at}", observed.unmet.join("; ")),
        "nothing is rolled through a cluster that could not bear the loss of another node: see `pgha status` and `pgha logs NODE`, cure what they show, then plan again",
    )
}

pub(super) fn untaken(observed: &Observed) -> Refused {
    let said = observed.untaken.iter().map(|(node, said)| format!("{node}: {}", said.join("; ")));
    Refused::new(
        format!(
            "the dynamic configuration is not in force everywhere: {}",
            said.collect::<Vec<_>>().join("; ")
        ),
        "see `pgha logs NODE patroni` for what keeps that member from it",
    )
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
