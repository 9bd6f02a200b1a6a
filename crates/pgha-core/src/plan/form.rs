//! Forming a cluster from nothing, or from what an interrupted run left.

use super::{Action, Cost, Desired, Gate, Refused, Step, dynamic};
use crate::digest::Digest;
use crate::inventory::{Inventory, Server};

/// Seconds a new cluster may take: bootstrap, base backups and the first checks.
const FORMATION_SECONDS: u32 = 240;

/// The steps, and whether more follow that need a cluster that is up. A server that was begun with
/// something else keeps its volume: whether somebody has written to it no label says.
pub(super) fn steps(desired: &Desired<'_>, world: &Inventory) -> (Vec<Step>, bool) {
    let mut steps = vec![Step::free(Action::CreateNetwork)];
    let (begun, other) =
        world.servers.iter().partition::<Vec<_>, _>(|server| is_begun_so(desired, server));
    let off = begun.iter().filter(|server| !server.running);
    steps.extend(off.map(|server| Step::free(Action::PowerOn { node: server.name.clone() })));
    steps.extend(other.iter().map(|server| correct(desired, server)));
    let missing = desired.cluster.nodes.iter().filter(|node| world.server(&node.name).is_none());
    steps.extend(missing.map(|node| {
        let (image, seed) = (desired.images[&node.name].clone(), desired.seeds[&node.name].clone());
        Step::new(Action::CreateServer { node: node.name.clone(), image, seed }, Cost::BEGIN)
    }));
    // PostgreSQL may have begun with it, and it may be why the cluster was never healthy.
    let observed = world.observed.as_ref();
    let replaced = observed.and_then(|observed| dynamic::replaced(desired, observed));
    let more_follows = !other.is_empty() || replaced.is_some();
    steps.extend(replaced);
    steps.push(Step::gate(Gate::new(FORMATION_SECONDS, 0)));
    // The seal first: from its first healthy moment the cluster has data to lose, whatever a
    // declaration then meets.
    steps.push(Step::free(Action::Seal));
    steps.push(Step::free(Action::Declare { missing: Vec::new() }));
    (steps, more_follows)
}

/// Its first start reads the dynamic configuration from its seed, whose digest does not tell.
fn is_begun_so(desired: &Desired<'_>, server: &Server) -> bool {
    let dynamic = Digest::of(desired.dynamic.to_string().as_bytes());
    let begun_with = server.dynamic.as_ref();
    desired.is_current(server) && begun_with.is_none_or(|begun_with| *begun_with == dynamic)
}

fn correct(desired: &Desired<'_>, server: &Server) -> Step {
    let (node, from) = (server.name.clone(), server.image.clone());
    let (image, seed) = (desired.images[&node].clone(), desired.seeds[&node].clone());
    Step::new(Action::Correct { node, from, image, seed }, Cost::NODE)
}

/// A manifest of another cluster file has images for other roles.
pub(super) fn an_image_for_every_node(desired: &Desired<'_>) -> Result<(), Refused> {
    match desired.cluster.nodes.iter().find(|node| !desired.images.contains_key(&node.name)) {
        None => Ok(()),
        Some(node) => Err(Refused::new(
            format!("no image has the roles of `{}`, which are {}", node.name, node.role_set),
            "build the images from this cluster file: `pgha build`",
        )),
    }
}

/// Every certificate, access line and etcd member holds addresses; and an etcd member that is only
/// switched off still counts for the quorum.
pub(super) fn no_changed_servers(desired: &Desired<'_>, world: &Inventory) -> Result<(), Refused> {
    for (server, node) in world
        .servers
        .iter()
        .filter_map(|server| Some((server, desired.cluster.node(&server.name)?)))
    {
        if node.address != server.address {
            let reason = format!(
                "`{}` has the address {}, but the cluster file says {}",
                node.name, server.address, node.address
            );
            return Err(Refused::new(
                reason,
                "put the address back, or run `pgha destroy` and start again",
            ));
        }
        let wanted = node.role_set.to_string();
        if let Some(roles) = server.roles.as_ref().filter(|roles| **roles != wanted) {
            let reason = format!(
                "`{}` was made for the roles {roles}, but the cluster file says {wanted}",
                node.name
            );
            return Err(Refused::new(
                reason,
                "this version cannot change the roles of a node: put them back, or destroy and start again",
            ));
        }
    }
    Ok(())
}

pub(super) fn no_foreign_servers(desired: &Desired<'_>, world: &Inventory) -> Result<(), Refused> {
    match world.servers.iter().find(|server| desired.cluster.node(&server.name).is_none()) {
        None => Ok(()),
        Some(server) => Err(Refused::new(
            format!("`{}` is running but no longer in the cluster file", server.name),
            format!(
                "put node `{}` back into the file, or run `pgha destroy` and start again",
                server.name
            ),
        )),
    }
}
