//! States that waiting does not end, each with the step that ends it.

use std::collections::BTreeMap;

use super::turn::{QUICK_SECONDS, REJOIN_SECONDS, SHORT_SECONDS, cost, switchover};
use super::{Action, Cost, Desired, Gate, Refused, Step, drift, dynamic};
use crate::inventory::{Inventory, Observed, Server};
use crate::object::Object;

/// States that must end before a node can even be powered on. Without etcd there is no lease for
/// anything else, without valid certificates no etcd, and without Patroni no leader.
///
/// # Errors
/// When certificates have expired on a node that would also get another image.
pub(super) fn before_anything(
    desired: &Desired<'_>,
    world: &Inventory,
) -> Result<Option<Vec<Step>>, Refused> {
    if world.observed.as_ref().is_some_and(|observed| observed.etcd_is_full) {
        return Ok(Some(vec![Step::free(Action::MakeRoom)]));
    }
    // An operator who paused Patroni may have stopped it, too.
    let idle = world.observed.as_ref().filter(|observed| !observed.paused);
    if let Some(idle) = idle.map(|observed| &observed.idle).filter(|idle| !idle.is_empty()) {
        return Ok(Some(start(idle)));
    }
    renewal(desired, world)
}

/// Starting a daemon again cures it if it does not run or does not answer.
fn start(idle: &BTreeMap<String, Vec<String>>) -> Vec<Step> {
    let start = |(node, units): (&String, &Vec<String>)| {
        let (node, units) = (node.clone(), units.clone());
        Step::new(Action::Start { node, units }, Cost::NODE)
    };
    idle.iter().map(start).collect()
}

/// Repairs that come first in a cluster with a leader: a PostgreSQL that hangs, changed
/// configuration files, altered nodes, and objects that pgha's own checks need.
pub(super) fn of_what_runs(desired: &Desired<'_>, observed: &Observed) -> Option<Vec<Step>> {
    if !observed.hung.is_empty() {
        let restarts = dynamic::restart_hung(desired, observed);
        return Some(restarts.into_iter().chain([dynamic::gate()]).collect());
    }
    // Not if the configuration changes: a member may be unable to take exactly the one that is
    // replaced.
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

/// Reboots altered nodes: a boot undoes what was changed on them. One node at a time, first one
/// whose copy is lost; the leader only after another node leads. Absent: no node is altered, a
/// reboot would not be enough, or it would cost another copy.
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

/// New certificates for nodes whose own have expired, if that keeps the cluster from working.
/// Daemons do not trust each other then: there is no leader, no lease, nothing to roll through.
/// Absent: there is no such node, or the cluster works.
///
/// # Errors
/// When such a server would also get another image: that could not be rolled back.
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
