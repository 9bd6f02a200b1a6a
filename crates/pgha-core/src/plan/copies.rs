//! Copies that do not become whole by waiting: of a replica's PostgreSQL, or of an etcd member.

use super::roll::{REJOIN_SECONDS, SHORT_SECONDS, rebuild, sick};
use super::{Action, Cost, Data, Desired, Gate, Refused, Step};
use crate::inventory::{Ailment, Inventory, Observed, Server};
use crate::render::durability;

/// The steps that make them whole. A node of `turns` is given something, or given back what it
/// had; only WAL that is gone may be gone for more replicas than a roll can bear.
pub(super) fn cures(
    desired: &Desired<'_>,
    world: &Inventory,
    observed: &Observed,
    turns: &[&Server],
) -> Vec<Step> {
    let leads = |name: &String| observed.leader.as_ref() == Some(name);
    let waits = |name: &String| !leads(name) && turns.iter().any(|server| server.name == *name);
    let members = observed.etcd_stuck.iter().filter(|name| !waits(name));
    let mut steps = members.map(|name| rejoin(name)).collect::<Vec<_>>();
    let copies = observed.ailing.iter().filter(|(name, _)| !leads(name));
    let due = copies.filter(|(name, ailment)| **ailment == Ailment::Behind || !waits(name));
    steps.extend(due.filter_map(|(name, ailment)| match ailment {
        Ailment::Leftover => boot(desired, observed, world.server(name)?),
        Ailment::Full => None,
        _ => reclone(desired, observed, name),
    }));
    if !steps.is_empty() {
        let gate = Gate::new(REJOIN_SECONDS, SHORT_SECONDS);
        steps.push(Step::gate(gate.despite(sick(observed, turns))));
    }
    steps
}

/// # Errors
/// When what is left of the ailing copies may not be deleted: there is no other to lose then.
pub(super) fn none_beyond_cure(observed: &Observed) -> Result<(), Refused> {
    let named = observed.ailing.iter().map(|(name, ailment)| match ailment {
        Ailment::Damaged(words) => format!("`{name}`: {words}"),
        Ailment::Leftover => format!("`{name}`: a process that a crash left"),
        Ailment::Behind => format!("`{name}`: WAL that it lacks is gone"),
        Ailment::Full => format!("`{name}`: no room"),
    });
    let named = named.collect::<Vec<_>>().join("; ");
    if named.is_empty() {
        return Ok(());
    }
    let is_full = |(_, ailment): &(&String, &Ailment)| **ailment == Ailment::Full;
    let full = observed.ailing.iter().filter(is_full).map(|(name, _)| name.as_str());
    let full = full.collect::<Vec<_>>().join(", ");
    if !full.is_empty() {
        return Err(Refused::new(
            format!("the data volume of {full} is full: its copy is not whole"),
            "give the volume more room, or delete what is not PostgreSQL's: it goes on by itself then; where replication slots hold WAL, see `max_slot_wal_keep_size`",
        ));
    }
    Err(Refused::new(
        format!("more than one copy is not whole, and none of them is deleted: {named}"),
        "find what they have in common with `pgha logs NODE patroni`; a copy that you can spare is made anew by `pgha ssh NODE -- /etc/pgha/bin/patronictl reinit CLUSTER NODE`",
    ))
}

/// What a node needs before its turn in a roll: no image brings back data. Should the image it runs be
/// the reason, the one it gets finds a member and a copy that begin anew.
pub(super) fn before_turn(desired: &Desired<'_>, observed: &Observed, node: &String) -> Vec<Step> {
    let stuck = observed.etcd_stuck.contains(node);
    let member = stuck.then(|| rejoin(node));
    member.into_iter().chain(reclone(desired, observed, node)).collect()
}

fn rejoin(node: &str) -> Step {
    Step::free(Action::RejoinEtcd { node: node.to_owned() })
}

fn reclone(desired: &Desired<'_>, observed: &Observed, node: &String) -> Option<Step> {
    let why = match observed.ailing.get(node)? {
        Ailment::Behind => "the leader has dropped WAL that it lacks",
        Ailment::Damaged(words) if is_alone(observed, node) => words,
        _ => return None,
    };
    let cost = Cost { data: Data::CopiedAnew, ..cost(desired, observed, node) };
    Some(Step::new(Action::Reclone { node: node.clone(), why: why.to_owned() }, cost))
}

/// A boot ends what a crash left.
fn boot(desired: &Desired<'_>, observed: &Observed, server: &Server) -> Option<Step> {
    let data = Data::PerhapsCopiedAnew;
    let cost = Cost { data, ..cost(desired, observed, &server.name) };
    is_alone(observed, &server.name).then(|| Step::new(rebuild(desired, server), cost))
}

/// What keeps PostgreSQL from starting on two nodes is no damage of their data.
fn is_alone(observed: &Observed, node: &String) -> bool {
    let starts = |ailment: &Ailment| matches!(ailment, Ailment::Behind | Ailment::Full);
    let mut others = observed.ailing.iter().filter(|(name, _)| *name != node);
    others.all(|(_, ailment)| starts(ailment))
}

fn cost(desired: &Desired<'_>, observed: &Observed, node: &str) -> Cost {
    let running = observed.dynamic.as_ref().map_or(desired.cluster.durability, durability);
    Cost::of_stopped(desired.cluster, running, node)
}
