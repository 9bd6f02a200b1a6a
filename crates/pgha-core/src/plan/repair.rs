//! States that do not pass by waiting, each with the step that ends it.

use std::collections::BTreeMap;

use super::turn::{QUICK_SECONDS, REJOIN_SECONDS, SHORT_SECONDS, cost, switchover};
use super::{Action, Cost, Desired, Gate, Refused, Step, drift, dynamic};
use crate::inventory::{Inventory, Observed, Server};
use crate::object::Object;

/// What must end before even a node can be woken: without etcd there is no lease for anything else,
/// without certificates that anybody believes there is no etcd, and without Patroni no leader.
///
/// # Errors
/// When certificates have ended on a node that is to have another image as well.
pub(super) fn before_anything(
    desired: &Desired<'_>,
    world: &Inventory,
) -> Result<Option<Vec<Step>>, Refused> {
    if world.observed.as_ref().is_some_and(|observed| observed.etcd_is_full) {
        return Ok(Some(vec![Step::free(Action::MakeRoom)]));
    }
    // Whoever has paused Patroni may have stopped it, too.
    let idle = world.observed.as_ref().filter(|observed| !observed.paused);
    if let Some(idle) = idle.map(|observed| &observed.idle).filter(|idle| !idle.is_empty()) {
        return Ok(Some(start(idle)));
    }
    renewal(desired, world)
}

/// A daemon that does not run, or does not answer, does so again once it is started anew.
fn start(idle: &BTreeMap<String, Vec<String>>) -> Vec<Step> {
    let start = |(node, units): (&String, &Vec<String>)| {
        let (node, units) = (node.clone(), units.clone());
        Step::new(Action::Start { node, units }, Cost::NODE)
    };
    idle.iter().map(start).collect()
}

/// Repairs that come first where the cluster has a leader: a PostgreSQL that hangs, configuration files that
/// somebody changed, and objects that pgha's own checks need.
pub(super) fn of_what_runs(desired: &Desired<'_>, observed: &Observed) -> Option<Vec<Step>> {
    if !observed.hung.is_empty() {
        let restarts = dynamic::restart_hung(desired, observed);
        return Some(restarts.into_iter().chain([dynamic::gate()]).collect());
    }
    // What is to be replaced may be just what a member cannot take.
    let restore = dynamic::restore(observed).collect::<Vec<_>>();
    if !restore.is_empty() && observed.dynamic.as_ref() == Some(desired.dynamic) {
        return Some(restore);
    }
    if let Some(steps) = boot_anew(desired, observed) {
        return Some(steps);
    }
    let missing = drift::missing(desired.cluster, observed);
    missing.iter().any(Object::is_vital).then(|| {
        let declare = Step::free(Action::Declare { missing });
        vec![declare, Step::gate(Gate::new(QUICK_SECONDS, 0))]
    })
}

/// What somebody has changed on a node is gone with the next boot: one node after the other, first one
/// whose copy is lost, the leader once another leads. Absent: nobody has, or a boot of those would not
/// do, or cost another copy.
fn boot_anew(desired: &Desired<'_>, observed: &Observed) -> Option<Vec<Step>> {
    let altered = &observed.altered;
    let leads = |node: &String| observed.leads(node);
    let node = altered.keys().min_by_key(|node| (!observed.lost.contains(node), leads(node)))?;
    let others = observed.sick.iter().any(|sick| !altered.contains_key(sick));
    if others || observed.lost.iter().any(|lost| lost != node) {
        return None;
    }
    if leads(node) {
        return Some(vec![switchover(desired, observed, &[], node)]);
    }
    let waiting = altered.keys().filter(|other| *other != node && observed.sick.contains(other));
    let gate = Gate::new(REJOIN_SECONDS, SHORT_SECONDS).despite(waiting.cloned().collect());
    let gate = Step::gate(gate);
    let why = super::text::some(&observed.altered[node]);
    let reboot = Action::Reboot { node: node.clone(), why };
    Some(vec![Step::new(reboot, cost(desired, observed, node)), gate])
}

/// New certificates for those whose own have ended, where that keeps the cluster from its work.
/// Daemons do not believe each other then: there is no leader, no lease, nothing to roll through.
/// Absent: nothing of the kind.
///
/// # Errors
/// When such a server is to have another image as well, which nothing could be rolled back from.
fn renewal(desired: &Desired<'_>, world: &Inventory) -> Result<Option<Vec<Step>>, Refused> {
    let works = |world: &Inventory| {
        let observed = world.observed.as_ref();
        observed.is_some_and(|observed| observed.leader.is_some() && observed.unmet.is_empty())
    };
    let ended = world.servers.iter().filter(|server| server.expired && !desired.is_current(server));
    let ended = ended.collect::<Vec<_>>();
    if ended.is_empty() || works(world) {
        return Ok(None);
    }
    let mut steps = vec![Step::free(Action::CreateNetwork)];
    for server in &ended {
        steps.push(renew(desired, server)?);
    }
    let off = world.servers.iter().filter(|server| !server.running && !ended.contains(server));
    steps.extend(off.map(|server| Step::free(Action::PowerOn { node: server.name.clone() })));
    steps.push(Step::gate(Gate::new(REJOIN_SECONDS, SHORT_SECONDS)));
    Ok(Some(steps))
}

fn renew(desired: &Desired<'_>, server: &Server) -> Result<Step, Refused> {
    let (name, image) = (&server.name, &server.given.image);
    if desired.images.get(name) != Some(image) {
        return Err(Refused::EndedAndOutdated { node: name.clone(), image: image.clone() });
    }
    let seed = desired.seeds[name].compared();
    Ok(Step::new(Action::Renew { node: name.clone(), image: image.clone(), seed }, Cost::NODE))
}
