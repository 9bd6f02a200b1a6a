//! Copies that do not become whole by waiting: of a replica's PostgreSQL, or of an etcd member.

use super::roll::{REJOIN_SECONDS, SHORT_SECONDS, cost, rebuild, sick};
use super::{Action, Cost, Data, Desired, Gate, Refused, Step};
use crate::inventory::{Ailment, Inventory, Observed, Server};

/// The steps that make them whole, before anything is rolled: a gate opens for nobody while a copy is
/// lost. Not those of `unproven` nodes: the image they were given may be the reason, and goes back.
pub(super) fn cures(
    desired: &Desired<'_>,
    world: &Inventory,
    observed: &Observed,
    unproven: &[String],
) -> Vec<Step> {
    let counts = |name: &&String| !unproven.contains(name);
    let member = observed.etcd_lost.iter().filter(counts).map(|name| rejoin(name));
    let led = |name: &String| observed.leader.as_ref().is_some_and(|leader| leader != name);
    let copies = observed.ailing.iter().filter(|(name, _)| counts(name) && led(name));
    let copies = copies.filter_map(|(name, ailment)| match ailment {
        Ailment::Leftover => boot(desired, observed, world.server(name)?),
        Ailment::Behind => Some(reclone(desired, observed, name, ailment)),
        Ailment::Damaged(_) => {
            is_alone(observed, name).then(|| reclone(desired, observed, name, ailment))
        }
        Ailment::Full | Ailment::Failing(_) => None,
    });
    let mut steps = member.chain(copies).collect::<Vec<_>>();
    if !steps.is_empty() {
        let others = world.servers.iter().filter(|server| !observed.lost.contains(&server.name));
        let waiting = sick(observed, &others.collect::<Vec<_>>());
        let gate = Gate::new(REJOIN_SECONDS, SHORT_SECONDS);
        steps.push(Step::gate(gate.despite(waiting)));
    }
    steps
}

/// While a copy is being made nothing is rolled, changed or given up. No gate where somebody else is
/// sick, too: it would not open, and the next plan has the cure.
pub(super) fn wait(observed: &Observed) -> Option<Vec<Step>> {
    let wait = |node: &String| Step::free(Action::AwaitCopy { node: node.clone() });
    let mut steps = observed.copying.iter().map(wait).collect::<Vec<_>>();
    if observed.sick.iter().all(|sick| observed.copying.contains(sick)) {
        steps.push(Step::gate(Gate::new(REJOIN_SECONDS, SHORT_SECONDS)));
    }
    (!observed.copying.is_empty()).then_some(steps)
}

/// # Errors
/// When a copy ails and no step ends that: it need not be its data, or another copy is lost, too.
pub(super) fn none_beyond_cure(observed: &Observed) -> Result<(), Refused> {
    let named = observed.ailing.iter().map(|(name, ailment)| format!("`{name}`: {ailment}"));
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
        format!("PostgreSQL does not start, and nothing is deleted for that: {named}"),
        "find the reason with `pgha logs NODE patroni`. Data is copied anew where nothing else can be the reason, and every other copy is whole",
    ))
}

fn rejoin(node: &str) -> Step {
    Step::free(Action::RejoinEtcd { node: node.to_owned() })
}

fn reclone(desired: &Desired<'_>, observed: &Observed, node: &str, ailment: &Ailment) -> Step {
    let cost = Cost { data: Data::CopiedAnew, ..cost(desired, observed, node) };
    Step::new(Action::Reclone { node: node.to_owned(), why: ailment.to_string() }, cost)
}

/// A boot ends what a crash left.
fn boot(desired: &Desired<'_>, observed: &Observed, server: &Server) -> Option<Step> {
    let data = Data::PerhapsCopiedAnew;
    let cost = Cost { data, ..cost(desired, observed, &server.name) };
    is_alone(observed, &server.name).then(|| Step::new(rebuild(desired, server), cost))
}

/// Whether every other copy of the database is whole.
fn is_alone(observed: &Observed, node: &String) -> bool {
    let is_copy = |lost: &&String| *lost == node || observed.etcd_lost.as_ref() != Some(lost);
    observed.lost.iter().filter(is_copy).eq([node])
}
