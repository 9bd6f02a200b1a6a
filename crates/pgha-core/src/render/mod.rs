//! Turns a [`Cluster`] into files: one tree for each role set, one seed for each node, one dynamic
//! configuration.
//!
//! The three are kept apart because they change in different ways (crates/README.md, "Three digests"): a tree
//! changes only by a new image, a seed by delivering a new one, the dynamic configuration through
//! Patroni.

mod contract;
mod dynamic;
mod files;
mod firewall;
mod nix;
mod seed;
mod tree;

use std::collections::BTreeMap;

pub use contract::SEED_FILES_DIR;
pub use files::{File, Tree};
pub use nix::FLAKE;
pub use seed::Seed;

use crate::cluster::{Cluster, RoleSet};
use crate::dynamic::Dynamic;
pub use crate::template::RenderError;

/// Everything a cluster file becomes.
#[derive(Debug, Clone)]
pub struct Rendered {
    /// The files of each role set's image, by path below `/`.
    pub trees: BTreeMap<RoleSet, Tree>,
    /// The `configuration.nix` of each role set.
    pub configurations: BTreeMap<RoleSet, String>,
    /// The part of each node's seed that is not secret, by node name.
    pub seeds: BTreeMap<String, Seed>,
    /// What Patroni keeps in etcd: timings, synchronous mode, parameters, access lines.
    pub dynamic: Dynamic,
}

/// Renders a cluster. Equal clusters give equal bytes.
///
/// # Errors
/// When a value cannot be written into a file's format.
pub fn render(cluster: &Cluster) -> Result<Rendered, RenderError> {
    let (mut trees, mut configurations) = (BTreeMap::new(), BTreeMap::new());
    for role_set in cluster.role_sets() {
        let tree = tree::render(cluster, &role_set)?;
        configurations.insert(role_set.clone(), nix::configuration(cluster, &role_set, &tree)?);
        trees.insert(role_set, tree);
    }
    let seeds =
        cluster.nodes.iter().map(|node| (node.name.clone(), seed::render(cluster, node))).collect();
    Ok(Rendered { trees, configurations, seeds, dynamic: dynamic::render(cluster) })
}
