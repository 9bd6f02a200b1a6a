//! `contract.json`: what a node promises, whatever base its image is made from.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::files::Tree;
use crate::cluster::{Cluster, RoleSet};
use crate::digest::Digest;
use crate::service::{self, Service};

/// Where the seed is unpacked on a node.
pub const SEED_FILES_DIR: &str = "/run/pgha";

pub(super) fn render(cluster: &Cluster, role_set: &RoleSet, tree: &Tree) -> Value {
    let files = tree
        .0
        .iter()
        .map(|(path, file)| (format!("/{path}"), json!(Digest::of(file.content.as_bytes()))));
    let services = service::services(cluster, role_set).collect::<Vec<&Service>>();
    let mut ports = services.iter().flat_map(|on| (on.ports)(cluster)).collect::<Vec<_>>();
    ports.sort_unstable();
    let units = services.iter().flat_map(|on| (on.units)(cluster, role_set));
    let doors = services.iter().flat_map(|on| (on.doors)(cluster));
    json!({
        "cluster": cluster.name,
        "role_set": role_set,
        "postgresql_major": cluster.postgresql.major,
        "ids": service::ids(),
        "units": units.collect::<Vec<_>>(),
        "ports": ports,
        "doors": doors.collect::<BTreeMap<_, _>>(),
        "durability": cluster.durability.to_string(),
        "seed_files": service::seed_files(cluster, role_set),
        "files": files.collect::<serde_json::Map<_, _>>(),
    })
}
