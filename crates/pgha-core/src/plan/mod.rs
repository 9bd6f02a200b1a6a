//! The plan: a complete list of steps, each with its gate and its cost, or a refusal.
//!
//! A plan holds the fingerprint of what it was made from. The executor first compares the
//! fingerprint with the world, and makes no other decision.

mod action;
mod copies;
mod cost;
mod drift;
mod dynamic;
mod form;
mod order;
mod refused;
mod repair;
mod roll;
mod takeover;
mod text;
mod turn;
mod wake;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use action::{Action, Gate, Step};
pub use cost::{Cost, Data, Sessions};
pub use refused::Refused;

use crate::cluster::Cluster;
use crate::data_format::DataFormat;
use crate::digest::{Digest, Hasher};
use crate::dynamic::Dynamic;
use crate::inventory::{Inventory, Observed, Server};

/// What the cluster should be.
#[derive(Debug, Clone)]
pub struct Desired<'c> {
    /// The checked cluster file.
    pub cluster: &'c Cluster,
    /// Digest of the image each node should run, by node name.
    pub images: BTreeMap<String, Digest>,
    /// Digest of the seed each node should have, by node name.
    pub seeds: BTreeMap<String, Digest>,
    /// Data format of the image of each node that holds data, by node name.
    pub data: BTreeMap<String, DataFormat>,
    /// The dynamic configuration.
    pub dynamic: &'c Dynamic,
}

impl Desired<'_> {
    /// Digest over every desired image and seed.
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
        self.images.get(&server.name) == Some(&server.given.image)
            && self.seeds.get(&server.name) == Some(&server.given.seed)
    }
}

/// Steps that lead from the current state to the desired one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Name of the cluster.
    pub cluster: String,
    /// Fingerprint of the world and the wish this plan was made from.
    pub fingerprint: Digest,
    /// Servers that this plan gives something new are marked with this number.
    pub generation: u32,
    /// Digest of everything this plan leads to. It is part of the same mark.
    pub wish: Digest,
    /// The steps in order.
    pub steps: Vec<Step>,
    /// Whether there is more to do that can only be planned after these steps.
    pub more_follows: bool,
    /// What exists without being declared or known, and stays as it is.
    pub remarks: Vec<String>,
}

impl Plan {
    /// Whether a step stops or changes something that runs. Two operators must never do that at
    /// once. Powering on what is off does no harm.
    pub fn disturbs(&self) -> bool {
        self.steps.iter().any(|step| step.action.disturbs())
    }
}

/// The steps that make the cluster what `desired` says.
///
/// # Errors
/// When a step would be needed that could lose data, or that this version cannot do.
pub fn plan(desired: &Desired<'_>, world: &Inventory) -> Result<Plan, Refused> {
    form::an_image_for_every_node(desired)?;
    form::no_foreign_servers(desired, world)?;
    form::no_changed_servers(desired, world)?;
    let (steps, more_follows) = match world.servers.iter().any(|server| server.formed) {
        false => form::steps(desired, world)?,
        true => roll::steps(desired, world)?,
    };
    let newest = world.newest_generation();
    // An interrupted roll continues as the same roll: a rollback must undo all of it.
    let wish = desired.wish();
    let goes_on = world
        .servers
        .iter()
        .any(|server| server.generation == newest && server.wish.as_ref() == Some(&wish));
    let generation = if goes_on { newest } else { newest + 1 };
    let mut remarks = drift::remarks(desired.cluster, world);
    remarks.extend(drift::slots(world, &steps));
    Ok(Plan { generation, remarks, ..made(desired, world, steps, more_follows) })
}

/// The restarts of PostgreSQL that changed parameters wait for, each with its gate.
pub fn restarts(desired: &Desired<'_>, observed: &Observed) -> Vec<Step> {
    let leader = observed.leader.as_ref();
    leader.map(|leader| dynamic::pending(desired, observed, leader)).unwrap_or_default()
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

/// The steps of a roll that gives every server what it already has: the cost of a change, without a
/// change.
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
        .map(|server| Step::new(Action::DeleteServer { node: server.name.clone() }, Cost::DELETE))
        .collect();
    steps.push(Step::free(Action::DeleteNetwork));
    let mut hasher = Hasher::default();
    hasher.part(cluster.as_bytes()).part(b"destroy");
    hash_world(&mut hasher, world);
    let (cluster, fingerprint) = (cluster.to_owned(), hasher.finish());
    let (generation, wish) = (world.newest_generation(), Digest::of(b""));
    Plan { cluster, fingerprint, generation, wish, steps, more_follows: false, remarks: Vec::new() }
}

fn fingerprint(desired: &Desired<'_>, world: &Inventory) -> Digest {
    let mut hasher = Hasher::default();
    hasher
        .part(desired.cluster.name.as_bytes())
        .part(desired.dynamic.json().to_string().as_bytes());
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
        hasher.part(server.given.image.id().as_bytes()).part(server.given.seed.id().as_bytes());
    }
    if let Some(observed) = &world.observed {
        hasher.part(observed.leader.as_deref().unwrap_or_default().as_bytes());
        let dynamic = observed.dynamic.as_ref().map(|dynamic| dynamic.json().to_string());
        hasher.part(dynamic.unwrap_or_default().as_bytes());
        for object in observed.objects.iter().flatten() {
            hasher.part(object.to_string().as_bytes());
        }
        for text in observed.pending.iter().flat_map(|p| [&p.node, &p.parameter, &p.new]) {
            hasher.part(text.as_bytes());
        }
    }
}
