//! The files of a role set's image.

use std::collections::BTreeMap;

use serde::Serialize;

use super::files::Tree;
use super::pools::{Pool, pools};
use super::{RenderError, contract, patroni, template};
use crate::cluster::{Cluster, DIRECT, Haproxy, Network, Node, Pgbouncer, Role, RoleSet, Timing};

/// Which nodes a file is for.
#[derive(Clone, Copy)]
enum For {
    Every,
    Only(Role),
    Guarded,
    /// What serves SQL clients: poolers and HAProxy, or PostgreSQL.
    Serving,
}

macro_rules! template {
    ($audience:expr, $path:literal) => {
        ($audience, $path, include_str!(concat!("../../templates/", $path)))
    };
}

const TEMPLATES: &[(For, &str, &str)] = &[
    template!(For::Every, "etc/pgha/nftables.conf"),
    template!(For::Every, "etc/ssh/sshd_config.d/50-pgha.conf"),
    template!(For::Every, "etc/sysctl.d/50-pgha.conf"),
    template!(For::Every, "etc/tmpfiles.d/pgha.conf"),
    template!(For::Every, "etc/systemd/system/ssh.service.d/50-pgha.conf"),
    template!(For::Every, "etc/systemd/system/pgha-seed.service"),
    template!(For::Every, "etc/systemd/system/pgha-volume.service"),
    template!(For::Every, "etc/systemd/system/pgha-data.service"),
    template!(For::Every, "etc/systemd/system/pgha-firewall.service"),
    template!(For::Only(Role::Etcd), "etc/pgha/etcd.env"),
    template!(For::Only(Role::Etcd), "etc/systemd/system/etcd.service.d/50-pgha.conf"),
    template!(For::Only(Role::Postgres), "etc/systemd/system/patroni.service.d/50-pgha.conf"),
    template!(For::Guarded, "etc/systemd/system/pgha-guard.service"),
    template!(For::Serving, "etc/systemd/system/pgha-liveness.service"),
    template!(For::Only(Role::Haproxy), "etc/pgha/haproxy.cfg"),
    template!(For::Only(Role::Haproxy), "etc/systemd/system/haproxy.service.d/50-pgha.conf"),
    template!(For::Only(Role::Haproxy), "etc/pgha/pgbouncer-hba.conf"),
    template!(For::Only(Role::Haproxy), "etc/pgha/pgbouncer-ident.conf"),
    template!(For::Only(Role::Haproxy), "etc/pgha/pgbouncer-users.txt"),
];

/// The files of one pooler.
const POOLER: [(&str, &str); 2] = [
    ("etc/pgha/pooler-{}.ini", include_str!("../../templates/etc/pgha/pooler.ini")),
    (
        "etc/systemd/system/pgha-pooler-{}.service",
        include_str!("../../templates/etc/systemd/system/pgha-pooler.service"),
    ),
];

/// The programs of a node are no templates: they read `contract.json`.
const PROGRAMS: &[(For, &str, &str)] = &[
    template!(For::Every, "etc/pgha/lib/pgha-refuse"),
    template!(For::Every, "etc/pgha/lib/pgha-seed"),
    template!(For::Every, "etc/pgha/lib/pgha-volume"),
    template!(For::Every, "etc/pgha/lib/pgha-data"),
    template!(For::Every, "etc/pgha/lib/pgha-contract"),
    template!(For::Only(Role::Etcd), "etc/pgha/lib/pgha-etcd"),
    template!(For::Only(Role::Postgres), "etc/pgha/lib/pgha-judge"),
    template!(For::Guarded, "etc/pgha/lib/pgha-guard"),
    template!(For::Serving, "etc/pgha/lib/pgha-liveness"),
];

/// What the files of one pooler are made from.
#[derive(Serialize)]
struct PoolerContext<'c> {
    pool: &'c Pool,
    pgbouncer: &'c Pgbouncer,
    timing: &'c Timing,
    routers: Vec<&'c Node>,
}

#[derive(Serialize)]
struct Context<'c> {
    cluster: &'c str,
    nodes: &'c [Node],
    etcd_nodes: Vec<&'c Node>,
    postgres_nodes: Vec<&'c Node>,
    routers: Vec<&'c Node>,
    has: BTreeMap<String, bool>,
    timing: &'c Timing,
    haproxy: &'c Haproxy,
    pgbouncer: &'c Pgbouncer,
    network: &'c Network,
    sysctl: &'c BTreeMap<String, i64>,
    ids: BTreeMap<&'static str, u32>,
    limits: Limits,
    pools: Vec<Pool>,
}

/// How many connections one address may hold open, so that it cannot hold them all.
#[derive(Serialize)]
struct Limits {
    /// To the ports of one node that lead to PostgreSQL, as a client. Each of them takes as many as
    /// `max_client_conn`.
    client: u32,
    /// To PostgreSQL itself, as another node with its poolers and direct ports.
    postgres: u32,
    /// To PostgreSQL through one direct port of one HAProxy, all addresses together.
    direct: u32,
    /// The same, from one address.
    direct_client: u32,
}

impl Limits {
    fn of(cluster: &Cluster) -> Self {
        let most = |places: u32| (places - places / 5).max(1);
        let client = most(cluster.pgbouncer.max_client_conn);
        let postgres = cluster.most_to_one_postgresql();
        Self { client, postgres, direct: DIRECT, direct_client: most(DIRECT) }
    }
}

/// The files of one role set.
pub(super) fn render(cluster: &Cluster, role_set: &RoleSet) -> Result<Tree, RenderError> {
    let context = context(cluster, role_set);
    let mut tree = Tree::default();
    for (_, path, source) in
        TEMPLATES.iter().filter(|(audience, ..)| wanted(*audience, cluster, role_set))
    {
        tree.insert(path, template::fill(path, source, &context)?);
    }
    if role_set.has(Role::Haproxy) {
        poolers(cluster, &mut tree)?;
    }
    for (_, path, source) in
        PROGRAMS.iter().filter(|(audience, ..)| wanted(*audience, cluster, role_set))
    {
        tree.insert(path, (*source).to_owned());
    }
    if role_set.has(Role::Postgres) {
        tree.insert("etc/pgha/patroni.yml", pretty(&patroni::local(cluster)));
    }
    let contract = contract::render(cluster, role_set, &tree);
    tree.insert("etc/pgha/contract.json", pretty(&contract));
    Ok(tree)
}

fn poolers(cluster: &Cluster, tree: &mut Tree) -> Result<(), RenderError> {
    for pool in pools(cluster).iter().filter(|pool| pool.route.is_some()) {
        let routers = cluster.nodes_with(Role::Haproxy).collect();
        let (pgbouncer, timing) = (&cluster.pgbouncer, &cluster.timing);
        let context = PoolerContext { pool, pgbouncer, timing, routers };
        for (path, source) in POOLER {
            let path = path.replace("{}", pool.name);
            tree.insert(&path, template::fill(&path, source, &context)?);
        }
    }
    Ok(())
}

fn wanted(audience: For, cluster: &Cluster, role_set: &RoleSet) -> bool {
    match audience {
        For::Every => true,
        For::Only(role) => role_set.has(role),
        For::Guarded => cluster.guard && role_set.has(Role::Postgres),
        For::Serving => contract::serves(role_set),
    }
}

fn context<'c>(cluster: &'c Cluster, role_set: &RoleSet) -> Context<'c> {
    Context {
        cluster: &cluster.name,
        nodes: &cluster.nodes,
        etcd_nodes: cluster.nodes_with(Role::Etcd).collect(),
        postgres_nodes: cluster.nodes_with(Role::Postgres).collect(),
        routers: cluster.nodes_with(Role::Haproxy).collect(),
        has: [Role::Etcd, Role::Haproxy, Role::Postgres]
            .map(|role| (role.to_string(), role_set.has(role)))
            .into(),
        timing: &cluster.timing,
        haproxy: &cluster.haproxy,
        pgbouncer: &cluster.pgbouncer,
        network: &cluster.network,
        sysctl: &cluster.sysctl,
        ids: contract::IDS.iter().copied().collect(),
        limits: Limits::of(cluster),
        pools: pools(cluster),
    }
}

/// JSON as people read it. Patroni reads it too: every JSON document is a YAML document.
pub(super) fn pretty(value: &serde_json::Value) -> String {
    format!("{value:#}\n")
}
