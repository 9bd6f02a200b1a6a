//! Forming a cluster from nothing, or from what an interrupted run left.

use super::{Action, Cost, Desired, Refused, Step, gate, step};
use crate::inventory::Inventory;

/// Seconds a new cluster may take: bootstrap, base backups and the first checks.
const FORMATION_SECONDS: u32 = 240;

pub(super) fn steps(desired: &Desired<'_>, world: &Inventory) -> Result<Vec<Step>, Refused> {
    if let Some(server) = world.servers.iter().find(|server| !desired.is_current(server)) {
        let reason = format!(
            "`{}` was started with another image or seed, and the cluster has never been healthy",
            server.name
        );
        return Err(Refused::new(
            reason,
            "there is no data to keep yet: run `pgha destroy` and start again",
        ));
    }
    let mut steps = vec![step(Action::CreateNetwork, Cost::None)];
    let off = world.servers.iter().filter(|server| !server.running);
    steps.extend(off.map(|server| step(Action::PowerOn { node: server.name.clone() }, Cost::None)));
    let missing = desired.cluster.nodes.iter().filter(|node| world.server(&node.name).is_none());
    steps.extend(missing.map(|node| {
        let (image, seed) = (desired.images[&node.name].clone(), desired.seeds[&node.name].clone());
        step(Action::CreateServer { node: node.name.clone(), image, seed }, Cost::Resources)
    }));
    steps.push(gate(FORMATION_SECONDS, 0));
    // The seal first: from its first healthy moment the cluster has data to lose, whatever a
    // declaration then meets.
    steps.push(step(Action::Seal, Cost::None));
    steps.push(step(Action::Declare { missing: Vec::new() }, Cost::None));
    Ok(steps)
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
