//! `contract.json`: what a node promises, whatever base its image is made from.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::files::Tree;
use super::pools::pools;
use crate::cluster::{Cluster, Role, RoleSet};
use crate::digest::Digest;

/// Numeric user and group of each daemon, the same on every base: a data volume outlives images.
pub const IDS: [(&str, u32); 4] =
    [("postgres", 471), ("etcd", 472), ("haproxy", 473), ("pgbouncer", 474)];

/// Port of Patroni's REST interface.
pub const PATRONI_REST_PORT: u16 = 8008;

/// Port of etcd's JSON gateway, which Patroni and pgha speak to. On the port of gRPC (2379) a
/// member that is being stopped answers through it with "malformed header: missing HTTP
/// content-type", which Patroni takes for a refusal of the leader lock: it would demote the primary
/// at once (patroni/patroni#3118). On a port of its own it says that it is unavailable, and Patroni
/// asks the next member. etcd recommends to part them, too (etcd-io/etcd#15402).
pub const ETCD_JSON_PORT: u16 = 2382;

/// Port that etcd members listen on for each other.
pub const ETCD_PEER_PORT: u16 = 2380;

/// Where the seed is unpacked on a node.
pub const SEED_FILES_DIR: &str = "/run/pgha";

pub(super) fn render(cluster: &Cluster, role_set: &RoleSet, tree: &Tree) -> Value {
    let files = tree
        .0
        .iter()
        .map(|(path, file)| (format!("/{path}"), json!(Digest::of(file.content.as_bytes()))));
    json!({
        "cluster": cluster.name,
        "role_set": role_set,
        "postgresql_major": cluster.postgresql.major,
        "ids": IDS.iter().map(|(name, id)| ((*name).to_owned(), json!(id))).collect::<serde_json::Map<_, _>>(),
        "units": units(cluster, role_set),
        "ports": ports(cluster, role_set),
        "doors": doors(cluster, role_set),
        "durability": cluster.durability.to_string(),
        "seed_files": seed_files(role_set),
        "files": files.collect::<serde_json::Map<_, _>>(),
    })
}

/// Whether SQL clients are served by such a node.
pub(super) fn serves(role_set: &RoleSet) -> bool {
    role_set.has(Role::Haproxy) || role_set.has(Role::Postgres)
}

/// The units that run on a node of this role set.
fn units(cluster: &Cluster, role_set: &RoleSet) -> Vec<String> {
    let mut units = vec!["pgha-firewall.service", "pgha-seed.service", "ssh.service"];
    if role_set.has(Role::Etcd) || role_set.has(Role::Postgres) {
        units.extend(["pgha-volume.service", "pgha-data.service"]);
    }
    if role_set.has(Role::Etcd) {
        units.push("etcd.service");
    }
    if role_set.has(Role::Postgres) {
        units.push("patroni.service");
    }
    if role_set.has(Role::Postgres) && cluster.guard {
        units.push("pgha-guard.service");
    }
    if serves(role_set) {
        units.push("pgha-liveness.service");
    }
    let mut units = units.into_iter().map(str::to_owned).collect::<Vec<_>>();
    if role_set.has(Role::Haproxy) {
        units.push("haproxy.service".to_owned());
        let pools = pools(cluster).into_iter().filter(|pool| pool.route.is_some());
        units.extend(pools.map(|pool| format!("pgha-pooler-{}.service", pool.name)));
    }
    units
}

fn ports(cluster: &Cluster, role_set: &RoleSet) -> Vec<u16> {
    let mut ports = vec![22];
    if role_set.has(Role::Etcd) {
        ports.extend([2379, ETCD_PEER_PORT, ETCD_JSON_PORT]);
    }
    if role_set.has(Role::Postgres) {
        ports.extend([5432, PATRONI_REST_PORT]);
    }
    if role_set.has(Role::Haproxy) {
        ports
            .extend(pools(cluster).iter().flat_map(|pool| [Some(pool.port), pool.route]).flatten());
        ports.push(cluster.haproxy.stats_port);
    }
    ports
}

/// Where sessions of SQL clients begin on such a node: the ports for clients, by pool, and its own
/// PostgreSQL.
fn doors(cluster: &Cluster, role_set: &RoleSet) -> BTreeMap<&'static str, u16> {
    let mut doors = BTreeMap::new();
    if role_set.has(Role::Postgres) {
        doors.insert("postgres", 5432);
    }
    if role_set.has(Role::Haproxy) {
        doors.extend(pools(cluster).into_iter().map(|pool| (pool.name, pool.port)));
    }
    doors
}

/// Files without which a node must not start, below [`SEED_FILES_DIR`].
pub(super) fn seed_files(role_set: &RoleSet) -> Vec<&'static str> {
    let mut files =
        vec!["identity.json", "tls/ca.crt", "ssh/ssh_host_ed25519_key", "ssh/authorized_keys"];
    if role_set.has(Role::Etcd) {
        files.extend(["etcd.env", "tls/etcd-ca.crt", "tls/etcd.crt", "tls/etcd.key"]);
    }
    if role_set.has(Role::Postgres) {
        files.extend([
            "patroni.d/20-node.yml",
            "patroni.d/30-secrets.yml",
            "tls/etcd-ca.crt",
            "tls/patroni.crt",
            "tls/patroni.key",
            "tls/postgres.crt",
            "tls/postgres.key",
        ]);
        files.extend(["tls/patroni-etcd.crt", "tls/patroni-etcd.key"]);
    }
    if role_set.has(Role::Haproxy) {
        files.extend(["haproxy.env", "tls/haproxy.pem", "tls/pgbouncer.crt", "tls/pgbouncer.key"]);
        files.extend(["pooler.ini", "tls/pgbouncer-postgres.crt", "tls/pgbouncer-postgres.key"]);
    }
    files.sort_unstable();
    files.dedup();
    files
}
