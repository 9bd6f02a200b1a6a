//! The plan: a complete list of steps, each with its gate and its cost, or a refusal.
//!
//! A plan names the fingerprint of what it was made from. Whoever carries it out compares the
//! fingerprint with the world first and decides nothing else.

mod drift;
mod dynamic;
mod form;
mod roll;
mod takeover;
mod text;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use drift::declared;

use crate::cluster::Cluster;
use crate::data_format::DataFormat;
use crate::digest::{Digest, Hasher};
use crate::inventory::{Inventory, Server};

/// What the cluster should be.
#[derive(Debug, Clone)]
pub struct Desired<'c> {
    /// The checked cluster file.
    pub cluster: &'c Cluster,
    /// Digest of the image each node should run, by node name.
    pub images: BTreeMap<String, Digest>,
    /// Digest of the seed each node should have, by node name.
    pub seeds: BTreeMap<String, Digest>,
    /// What the image of each node that holds data writes, by node name.
    pub data: BTreeMap<String, DataFormat>,
    /// The dynamic configuration.
    pub dynamic: &'c Value,
}

impl Desired<'_> {
    /// Digest of every image and seed that is wanted.
    pub fn wish(&self) -> Digest {
        let mut hasher = Hasher::default();
        for (node, image) in &self.images {
            hasher
                .part(node.as_bytes())
                .part(image.as_str().as_bytes())
                .part(self.seeds[node].as_str().as_bytes());
        }
        hasher.finish()
    }

    fn is_current(&self, server: &Server) -> bool {
        self.images.get(&server.name) == Some(&server.image)
            && self.seeds.get(&server.name) == Some(&server.seed)
    }
}

/// Steps that lead from what is to what should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Name of the cluster.
    pub cluster: String,
    /// Fingerprint of the world and the wish this plan was made from.
    pub fingerprint: Digest,
    /// Number that servers which are given something new by this plan are marked with.
    pub generation: u32,
    /// Digest of everything this plan leads to, for the same mark.
    pub wish: Digest,
    /// The steps in order.
    pub steps: Vec<Step>,
    /// Whether more is to be done that can only be planned once these steps are done.
    pub more_follows: bool,
    /// What is there without being declared, and stays as it is.
    pub remarks: Vec<String>,
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
    Declare {
        /// Those known to be missing. Empty: nobody could be asked yet.
        missing: Vec<String>,
    },
    /// Mark every server as part of a formed cluster: from now on its data is never started from
    /// nothing again.
    Seal,
    /// Stop a server cleanly and boot it with another image or seed, on the same data volume.
    Rebuild {
        /// Name of the node.
        node: String,
        /// Image it runs now.
        from: Digest,
        /// Image it will run.
        image: Digest,
        /// Seed it has now.
        from_seed: Digest,
        /// Seed it will have.
        seed: Digest,
    },
    /// Like `Rebuild`, with the image and seed the server had before.
    Revert {
        /// Name of the node.
        node: String,
        /// Image it runs now.
        from: Digest,
        /// Image it had before.
        image: Digest,
    },
    /// Hand the leadership over.
    Switchover {
        /// Node that leads.
        from: String,
        /// Node that shall lead. Absent: whichever replica is the synchronous one by then; no other
        /// may.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<String>,
    },
    /// Replace the dynamic configuration in etcd.
    SetDynamic {
        /// What changes, as people read it.
        changes: Vec<String>,
    },
    /// Restart PostgreSQL of a node, through Patroni.
    Restart {
        /// Name of the node.
        node: String,
    },
    /// Delete a server and its data volume.
    DeleteServer {
        /// Name of the node.
        node: String,
    },
    /// Delete the network.
    DeleteNetwork,
}

/// Health of the whole cluster as a condition: every unit runs, etcd complete, one leader, replicas
/// streaming, HAProxy routing.
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
    /// Sessions through this node's HAProxy, and its replica's readers.
    Sessions,
    /// Writes stop for at most this many seconds.
    WritesStop(u32),
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

impl Action {
    /// The node that this rebuild gives something new, so that there is something to go back to.
    pub fn gives_new(&self) -> Option<&str> {
        match self {
            Self::Rebuild { node, from, image, from_seed, seed }
                if from != image || from_seed != seed =>
            {
                Some(node)
            }
            _ => None,
        }
    }
}

impl Refused {
    fn new(reason: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { reason: reason.into(), cure: cure.into() }
    }
}

/// The steps that make the cluster what `desired` says.
///
/// # Errors
/// When a step would be needed that could lose data, or that this version cannot do.
pub fn plan(desired: &Desired<'_>, world: &Inventory) -> Result<Plan, Refused> {
    form::no_foreign_servers(desired, world)?;
    form::no_changed_servers(desired, world)?;
    let (steps, more_follows) = match world.servers.iter().any(|server| server.formed) {
        false => (form::steps(desired, world)?, false),
        true => roll::steps(desired, world)?,
    };
    let newest = world.newest_generation();
    // A roll that was interrupted goes on as the same roll: a rollback must undo all of it.
    let wish = desired.wish();
    let goes_on = world
        .servers
        .iter()
        .any(|server| server.generation == newest && server.wish.as_ref() == Some(&wish));
    let generation = if goes_on { newest } else { newest + 1 };
    let remarks = world
        .observed
        .as_ref()
        .map(|observed| drift::undeclared(desired.cluster, observed))
        .unwrap_or_default();
    Ok(Plan { generation, remarks, ..made(desired, world, steps, more_follows) })
}

fn made(desired: &Desired<'_>, world: &Inventory, steps: Vec<Step>, more_follows: bool) -> Plan {
    let (cluster, fingerprint) = (desired.cluster.name.clone(), fingerprint(desired, world));
    let (generation, wish) = (world.newest_generation(), desired.wish());
    Plan { cluster, fingerprint, generation, wish, steps, more_follows, remarks: Vec::new() }
}

/// The steps that take every server back to the image and seed it had before.
///
/// # Errors
/// When no server had another image, or the cluster is not healthy enough to be rolled.
pub fn plan_rollback(desired: &Desired<'_>, world: &Inventory) -> Result<Plan, Refused> {
    let (steps, more_follows) = roll::back(desired, world)?;
    Ok(made(desired, world, steps, more_follows))
}

/// The steps of a roll that gives every server what it has already: what a change would cost,
/// without a change.
///
/// # Errors
/// When a server is outdated, or the cluster is not healthy enough to be rolled.
pub fn plan_again(desired: &Desired<'_>, world: &Inventory) -> Result<Plan, Refused> {
    Ok(made(desired, world, roll::again(desired, world)?, false))
}

/// The steps that remove every server of the cluster.
pub fn plan_destroy(cluster: &str, world: &Inventory) -> Plan {
    let mut steps: Vec<Step> = world
        .servers
        .iter()
        .map(|server| step(Action::DeleteServer { node: server.name.clone() }, Cost::Data))
        .collect();
    steps.push(step(Action::DeleteNetwork, Cost::None));
    let mut hasher = Hasher::default();
    hasher.part(cluster.as_bytes()).part(b"destroy");
    hash_world(&mut hasher, world);
    let (cluster, fingerprint) = (cluster.to_owned(), hasher.finish());
    let (generation, wish) = (world.newest_generation(), Digest::of(b""));
    Plan { cluster, fingerprint, generation, wish, steps, more_follows: false, remarks: Vec::new() }
}

fn step(action: Action, cost: Cost) -> Step {
    Step { action, cost }
}

fn gate(within_seconds: u32, held_seconds: u32) -> Step {
    step(Action::Gate(Gate { within_seconds, held_seconds }), Cost::None)
}

fn fingerprint(desired: &Desired<'_>, world: &Inventory) -> Digest {
    let mut hasher = Hasher::default();
    hasher.part(desired.cluster.name.as_bytes()).part(desired.dynamic.to_string().as_bytes());
    hasher.part(desired.wish().as_str().as_bytes());
    hash_world(&mut hasher, world);
    hasher.finish()
}

/// Servers, digests, the leader and the dynamic configuration; not lag, which changes all the time.
fn hash_world(hasher: &mut Hasher, world: &Inventory) {
    for server in &world.servers {
        hasher
            .part(server.name.as_bytes())
            .part(&[u8::from(server.running), u8::from(server.formed)]);
        hasher.part(server.image.as_str().as_bytes()).part(server.seed.as_str().as_bytes());
    }
    if let Some(observed) = &world.observed {
        hasher.part(observed.leader.as_deref().unwrap_or_default().as_bytes());
        hasher.part(observed.dynamic.as_ref().map(Value::to_string).unwrap_or_default().as_bytes());
        for text in observed
            .objects
            .iter()
            .flatten()
            .chain(observed.pending.iter().flat_map(|p| [&p.node, &p.parameter, &p.new]))
        {
            hasher.part(text.as_bytes());
        }
    }
}
