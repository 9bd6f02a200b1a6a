//! Repairs of copies that waiting does not make whole: a replica's PostgreSQL, or an etcd member.

use super::turn::{REJOIN_SECONDS, SHORT_SECONDS, cost, sick, switchover};
use super::{Action, Cost, Data, Desired, Gate, Refused, Step};
use crate::inventory::{Ailment, Inventory, Observed};

/// The steps that make lost copies whole before anything is rolled: no gate opens while a copy is
/// lost. Copies of `unproven` nodes are left out: the image they were given may be the reason, and
/// it is taken back.
pub(super) fn cures(
    desired: &Desired<'_>,
    world: &Inventory,
    observed: &Observed,
    unproven: &[String],
) -> Vec<Step> {
    let counts = |name: &&String| !unproven.contains(name);
    let member = observed.etcd_lost.iter().filter(counts).map(|name| rejoin(name));
    let copies = observed.ailing.iter().filter(|(name, _)| counts(name));
    let copies = copies.filter_map(|(name, ailment)| match ailment {
        _ if observed.leader.is_none() => None,
        // Another node has to lead before this one is rebooted.
        Ailment::Silent if observed.leads(name) => {
            is_alone(observed, name).then(|| switchover(desired, observed, &[], name))
        }
        _ if observed.leads(name) => None,
        // Its image may be the reason, so its turn in the roll is the cure. Not while other nodes
        // have yet to prove the image it would get.
        Ailment::Silent if unproven.is_empty() && !desired.is_current(world.server(name)?) => None,
        Ailment::Silent | Ailment::Leftover => reboot(desired, observed, name, ailment),
        Ailment::Behind => Some(reclone(desired, observed, name, ailment)),
        Ailment::Damaged(_) => {
            is_alone(observed, name).then(|| reclone(desired, observed, name, ailment))
        }
        Ailment::Full | Ailment::Failing(_) => None,
    });
    let mut steps = member.chain(copies).collect::<Vec<_>>();
    if !steps.is_empty() && all_are_cured(observed, &steps) {
        let others = world.servers.iter().filter(|server| !observed.lost.contains(&server.name));
        let waiting = sick(observed, &others.collect::<Vec<_>>());
        let gate = Gate::new(REJOIN_SECONDS, SHORT_SECONDS);
        steps.push(Step::gate(gate.despite(waiting)));
    }
    steps
}

/// Whether every lost copy has a step. Otherwise no gate would open, and the next plan may cure the
/// rest.
fn all_are_cured(observed: &Observed, steps: &[Step]) -> bool {
    let node = |step: &Step| match &step.action {
        Action::RejoinEtcd { node }
        | Action::Reclone { node, .. }
        | Action::Reboot { node, .. } => Some(node.clone()),
        _ => None,
    };
    let cured = steps.iter().filter_map(node).collect::<Vec<_>>();
    observed.lost.iter().all(|lost| cured.contains(lost))
}

/// While a copy is being made, nothing is rolled, changed or given up. There is no gate if another
/// node is sick, too: it would not open, and the next plan has the cure.
pub(super) fn wait(observed: &Observed) -> Option<Vec<Step>> {
    let wait = |node: &String| Step::free(Action::AwaitCopy { node: node.clone() });
    let mut steps = observed.copying.iter().map(wait).collect::<Vec<_>>();
    if observed.sick.iter().all(|sick| observed.copying.contains(sick)) {
        steps.push(Step::gate(Gate::new(REJOIN_SECONDS, SHORT_SECONDS)));
    }
    (!observed.copying.is_empty()).then_some(steps)
}

/// # Errors
/// When a copy is ailing and no step cures it: its data may not be the reason, or another copy is
/// lost, too.
pub(super) fn none_beyond_cure(observed: &Observed) -> Result<(), Refused> {
    let nodes = |is: fn(&Ailment) -> bool| {
        let such = observed.ailing.iter().filter(|(_, ailment)| is(ailment));
        such.map(|(node, _)| node.clone()).collect::<Vec<_>>()
    };
    let silent = nodes(|ailment| *ailment == Ailment::Silent);
    let full = nodes(|ailment| *ailment == Ailment::Full);
    match (silent, full) {
        _ if observed.ailing.is_empty() => Ok(()),
        (nodes, _) if nodes.len() == observed.ailing.len() => Err(Refused::Silent { nodes }),
        (_, nodes) if !nodes.is_empty() => Err(Refused::Full { nodes }),
        _ => Err(Refused::Ailing { ailing: observed.ailing.clone() }),
    }
}

fn rejoin(node: &str) -> Step {
    Step::free(Action::RejoinEtcd { node: node.to_owned() })
}

fn reclone(desired: &Desired<'_>, observed: &Observed, node: &str, ailment: &Ailment) -> Step {
    let cost = Cost { data: Data::CopiedAnew, ..cost(desired, observed, node) };
    Step::new(Action::Reclone { node: node.to_owned(), why: ailment.to_string() }, cost)
}

/// A reboot ends processes that a crash left, and processes that hang.
fn reboot(
    desired: &Desired<'_>,
    observed: &Observed,
    node: &String,
    ailment: &Ailment,
) -> Option<Step> {
    let cost = Cost { data: Data::PerhapsCopiedAnew, ..cost(desired, observed, node) };
    let reboot = Action::Reboot { node: node.clone(), why: ailment.to_string() };
    is_alone(observed, node).then(|| Step::new(reboot, cost))
}

/// Whether every other copy of the database is whole.
fn is_alone(observed: &Observed, node: &String) -> bool {
    let is_copy = |lost: &&String| *lost == node || observed.etcd_lost.as_ref() != Some(lost);
    observed.lost.iter().filter(is_copy).eq([node])
}
