//! Forming a cluster from nothing, or from what an interrupted run left.

use super::{Action, Cost, Desired, Gate, Refused, Step};
use crate::inventory::{Inventory, Server};

/// Seconds a new cluster may take: bootstrap, base backups and the first checks.
const FORMATION_SECONDS: u32 = 240;

/// The steps, and whether more follow that need a cluster that is up.
///
/// # Errors
/// When a server was created with another image or seed than the desired one, and the cluster may
/// hold data.
pub(super) fn steps(
    desired: &Desired<'_>,
    world: &Inventory,
) -> Result<(Vec<Step>, bool), Refused> {
    let other = world.servers.iter().find(|server| !desired.is_current(server));
    // If PostgreSQL is already bootstrapped, it gets another dynamic configuration once the cluster
    // is up.
    let configured = world.servers.iter().any(|server| is_configured_otherwise(desired, server));
    match other {
        _ if world.is_blank && (other.is_some() || configured) => Ok((anew(desired, world), false)),
        Some(server) => Err(Refused::BegunOtherwise { node: server.name.clone() }),
        None => Ok((first(desired, world), configured)),
    }
}

/// What brings a cluster to its first healthy moment.
fn first(desired: &Desired<'_>, world: &Inventory) -> Vec<Step> {
    let mut steps = vec![Step::free(Action::CreateNetwork)];
    let off = world.servers.iter().filter(|server| !server.running);
    steps.extend(off.map(|server| Step::free(Action::PowerOn { node: server.name.clone() })));
    let missing = desired.cluster.nodes.iter().filter(|node| world.server(&node.name).is_none());
    steps.extend(missing.map(|node| {
        let (image, seed) =
            (desired.images[&node.name].compared(), desired.seeds[&node.name].compared());
        Step::new(Action::CreateServer { node: node.name.clone(), image, seed }, Cost::BEGIN)
    }));
    steps.push(Step::gate(Gate::new(FORMATION_SECONDS, 0)));
    // Seal first: from its first healthy moment the cluster has data to lose, even if a declaration
    // then fails.
    steps.push(Step::free(Action::Seal));
    steps.push(Step::free(Action::Declare { missing: Vec::new() }));
    steps
}

/// Deletes the servers and creates them again: no client could write anything yet. The remains of
/// an interrupted bootstrap on a volume would look like a whole database without roles.
fn anew(desired: &Desired<'_>, world: &Inventory) -> Vec<Step> {
    let delete = |server: &Server| Action::DeleteServer { node: server.name.clone() };
    let empty = world.servers.iter().map(|server| Step::new(delete(server), Cost::EMPTY));
    empty.chain(first(desired, &Inventory::default())).collect()
}

/// Whether its first start reads another dynamic configuration. That is in its seed, but not part
/// of the seed's digest.
fn is_configured_otherwise(desired: &Desired<'_>, server: &Server) -> bool {
    let dynamic = desired.dynamic.digest();
    server.dynamic.as_ref().is_some_and(|begun_with| *begun_with != dynamic)
}

/// A manifest of another cluster file has images for other roles.
pub(super) fn an_image_for_every_node(desired: &Desired<'_>) -> Result<(), Refused> {
    match desired.cluster.nodes.iter().find(|node| !desired.images.contains_key(&node.name)) {
        None => Ok(()),
        Some(node) => {
            let (node, roles) = (node.name.clone(), node.role_set.to_string());
            Err(Refused::NoImage { node, roles })
        }
    }
}

/// Certificates, access lines and etcd members all hold addresses. An etcd member that is only
/// switched off still counts for the quorum.
pub(super) fn no_changed_servers(desired: &Desired<'_>, world: &Inventory) -> Result<(), Refused> {
    for (server, node) in world
        .servers
        .iter()
        .filter_map(|server| Some((server, desired.cluster.node(&server.name)?)))
    {
        let name = node.name.clone();
        if node.address != server.address {
            let (has, wanted) = (server.address.to_string(), node.address.to_string());
            return Err(Refused::OtherAddress { node: name, has, wanted });
        }
        let wanted = node.role_set.to_string();
        if let Some(has) = server.roles.clone().filter(|roles| *roles != wanted) {
            return Err(Refused::OtherRoles { node: name, has, wanted });
        }
    }
    Ok(())
}

pub(super) fn no_foreign_servers(desired: &Desired<'_>, world: &Inventory) -> Result<(), Refused> {
    match world.servers.iter().find(|server| desired.cluster.node(&server.name).is_none()) {
        None => Ok(()),
        Some(server) => Err(Refused::NotInFile { node: server.name.clone() }),
    }
}
