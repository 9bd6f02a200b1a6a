//! The Nix side of a rendering: a readable `configuration.nix` for each role set, and the files
//! that make the rendering a flake of its own, which needs nothing but the pinned nixpkgs.

use std::collections::BTreeSet;

use serde::Serialize;

use super::files::Tree;
use crate::cluster::contrib::CONTRIB;
use crate::cluster::{Cluster, Role, RoleSet};
use crate::template::{self, RenderError};

macro_rules! project_file {
    ($to:literal) => {
        project_file!($to, $to)
    };
    ($to:literal, $from:literal) => {
        ($to, include_str!(concat!("../../../../", $from)))
    };
}

/// Files of this project that go into every rendering unchanged, by path in the rendering.
pub const FLAKE: &[(&str, &str)] = &[
    project_file!("flake.nix", "images/nixos/tree-flake.nix"),
    project_file!("flake.lock"),
    project_file!("images/debian/machine/etc/systemd/network/50-pgha.network"),
    project_file!("images/disk/assemble.sh"),
    project_file!("images/nixos/disk.nix"),
    project_file!("images/nixos/machine.nix"),
    project_file!("images/nixos/system.nix"),
    project_file!("images/debian/patroni-prompt-switchover.patch"),
    project_file!("images/debian/patroni-stale-leader.patch"),
    project_file!("nixos-modules/default.nix"),
    project_file!("nixos-modules/etcd.nix"),
    project_file!("nixos-modules/files.nix"),
    project_file!("nixos-modules/haproxy.nix"),
    project_file!("nixos-modules/node.nix"),
    project_file!("nixos-modules/options.nix"),
    project_file!("nixos-modules/patroni.nix"),
    project_file!("nixos-modules/pgbouncer.nix"),
    project_file!("nixos-modules/ssh.nix"),
];

const PATH: &str = "nixos/configuration.nix";

#[derive(Serialize)]
struct Context {
    cluster: String,
    role_set: String,
    roles: Vec<String>,
    digest: String,
    major: u16,
    extensions: BTreeSet<String>,
}

/// The `configuration.nix` of one role set. Everything else a node reads is in its tree.
pub(super) fn configuration(
    cluster: &Cluster,
    role_set: &RoleSet,
    tree: &Tree,
) -> Result<String, RenderError> {
    let databases = cluster.postgresql.databases.iter().filter(|_| role_set.has(Role::Postgres));
    let context = Context {
        cluster: cluster.name.clone(),
        role_set: role_set.to_string(),
        roles: role_set.iter().map(|role| role.to_string()).collect(),
        digest: tree.digest().to_string(),
        major: cluster.postgresql.major,
        extensions: databases
            .flat_map(|database| database.extensions.clone())
            .filter(|name| !CONTRIB.contains(&name.as_str()))
            .collect(),
    };
    template::fill(PATH, include_str!("../../templates/nixos/configuration.nix"), &context)
}
