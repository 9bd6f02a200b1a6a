//! The plan: a complete list of steps, each with its gate and its cost, or a refusal.
//!
//! A plan names the fingerprint of what it was made from. Whoever carries it out compares the fingerprint with the world
//! first and decides nothing else.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::cluster::Cluster;
use crate::digest::{Digest, Hasher};
use crate::inventory::Inventory;

/// What the cluster should be.
#[derive(Debug, Clone)]
pub struct Desired<'c> {
    /// The checked cluster file.
    pub cluster: &'c Cluster,
    /// Digest of the image each node should run, by node name.
    pub images: BTreeMap<String, Digest>,
    /// Digest of the seed each node should have, by node name.
    pub seeds: BTreeMap<String, Digest>,
    /// Digest of the dynamic configuration.
    pub dynamic: Digest,
}

/// Steps that lead from what is to what should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Name of the cluster.
    pub cluster: String,
    /// Fingerprint of the world and the wish this plan was made from.
    pub fingerprint: Digest,
    /// The steps in order.
    pub steps: Vec<Step>,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// What is done.
    #[serde(flatten)]
    pub action: Action,
    /// What it costs.
    pub cost: Cost,
}

/// What a step does. Every action may be repeated without harm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "kebab-case")]
pub enum Action {
    /// Make the network the nodes are on.
    CreateNetwork,
    /// Make a server with an empty data volume and boot it.
    CreateServer {
        /// Name of the node.
        node: String,
        /// Image it boots.
        image: Digest,
        /// Seed it is given.
        seed: Digest,
    },
    /// Boot a server that is off.
    PowerOn {
        /// Name of the node.
        node: String,
    },
    /// Wait until the whole cluster is healthy.
    Gate(Gate),
    /// Create the declared roles, databases and extensions that are missing.
    Declare,
    /// Mark every server as part of a formed cluster: from now on its data is never started from nothing again.
    Seal,
    /// Delete a server and its data volume.
    DeleteServer {
        /// Name of the node.
        node: String,
    },
    /// Delete the network.
    DeleteNetwork,
}

/// Health of the whole cluster as a condition: etcd complete, one leader, replicas streaming, HAProxy routing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gate {
    /// Seconds to wait for it.
    pub within_seconds: u32,
    /// Seconds it must hold without a break.
    pub held_seconds: u32,
}

/// What a step costs the users of the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cost {
    /// Nothing they notice.
    None,
    /// Disk space and memory of this machine.
    Resources,
    /// All data of a node.
    Data,
}

/// Why there is no plan, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Refused {
    /// Why.
    pub reason: String,
    /// The cure.
    pub cure: String,
}

/// The steps that make the cluster what `desired` says.
///
/// # Errors
/// When a step would be needed that could lose data, or that this version cannot do.
pub fn plan(desired: &Desired<'_>, world: &Inventory) -> Result<Plan, Refused> {
    no_foreign_servers(desired, world)?;
    nothing_lost(desired, world)?;
    nothing_outdated(desired, world)?;
    let mut steps = Vec::new();
    let off = world.servers.iter().filter(|server| !server.running);
    let missing = desired.cluster.nodes.iter().filter(|node| world.server(&node.name).is_none());
    steps.extend(off.map(|server| step(Action::PowerOn { node: server.name.clone() }, Cost::None)));
    steps.extend(missing.map(|node| {
        let (image, seed) = (desired.images[&node.name].clone(), desired.seeds[&node.name].clone());
        step(Action::CreateServer { node: node.name.clone(), image, seed }, Cost::Resources)
    }));
    let formed = world.servers.iter().all(|server| server.formed);
    if !steps.is_empty() || !formed || world.servers.is_empty() {
        steps.insert(0, step(Action::CreateNetwork, Cost::None));
        let held_seconds = if formed && !world.servers.is_empty() { 3 } else { 0 };
        steps.push(step(Action::Gate(Gate { within_seconds: 240, held_seconds }), Cost::None));
        steps.push(step(Action::Declare, Cost::None));
        steps.push(step(Action::Seal, Cost::None));
    }
    Ok(Plan { cluster: desired.cluster.name.clone(), fingerprint: fingerprint(desired, world), steps })
}

/// The steps that remove every server of the cluster.
pub fn plan_destroy(cluster: &str, world: &Inventory) -> Plan {
    let mut steps: Vec<Step> =
        world.servers.iter().map(|server| step(Action::DeleteServer { node: server.name.clone() }, Cost::Data)).collect();
    steps.push(step(Action::DeleteNetwork, Cost::None));
    let mut hasher = Hasher::default();
    hasher.part(cluster.as_bytes()).part(b"destroy");
    hash_world(&mut hasher, world);
    Plan { cluster: cluster.to_owned(), fingerprint: hasher.finish(), steps }
}

fn step(action: Action, cost: Cost) -> Step {
    Step { action, cost }
}

fn no_foreign_servers(desired: &Desired<'_>, world: &Inventory) -> Result<(), Refused> {
    match world.servers.iter().find(|server| desired.cluster.node(&server.name).is_none()) {
        None => Ok(()),
        Some(server) => Err(Refused {
            reason: format!("`{}` is running but no longer in the cluster file", server.name),
            cure: format!("put node `{}` back into the file, or run `pgha destroy` and start again", server.name),
        }),
    }
}

/// A formed cluster that lacks a server has lost a copy. A new empty one must not pretend to be the old member.
fn nothing_lost(desired: &Desired<'_>, world: &Inventory) -> Result<(), Refused> {
    let formed = world.servers.iter().any(|server| server.formed);
    match desired.cluster.nodes.iter().find(|node| formed && world.server(&node.name).is_none()) {
        None => Ok(()),
        Some(node) => Err(Refused {
            reason: format!("node `{}` is in the file, but the cluster was formed without it or has lost it", node.name),
            cure: "this version can neither add nor replace nodes of a formed cluster: take the node out of the file, or destroy and start again".to_owned(),
        }),
    }
}

fn nothing_outdated(desired: &Desired<'_>, world: &Inventory) -> Result<(), Refused> {
    let outdated = |server: &&crate::inventory::Server| {
        desired.images.get(&server.name) != Some(&server.image) || desired.seeds.get(&server.name) != Some(&server.seed)
    };
    match world.servers.iter().find(outdated) {
        None => Ok(()),
        Some(server) => Err(Refused {
            reason: format!("`{}` runs another image or seed than the cluster file makes", server.name),
            cure: "this version cannot roll a running cluster: undo the change, or destroy and start again".to_owned(),
        }),
    }
}

fn fingerprint(desired: &Desired<'_>, world: &Inventory) -> Digest {
    let mut hasher = Hasher::default();
    hasher.part(desired.cluster.name.as_bytes()).part(desired.dynamic.as_str().as_bytes());
    for (node, image) in &desired.images {
        hasher.part(node.as_bytes()).part(image.as_str().as_bytes()).part(desired.seeds[node].as_str().as_bytes());
    }
    hash_world(&mut hasher, world);
    hasher.finish()
}

fn hash_world(hasher: &mut Hasher, world: &Inventory) {
    for server in &world.servers {
        hasher.part(server.name.as_bytes()).part(&[u8::from(server.running), u8::from(server.formed)]);
        hasher.part(server.image.as_str().as_bytes()).part(server.seed.as_str().as_bytes());
    }
}
