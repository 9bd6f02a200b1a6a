//! The poolers: one PgBouncer for each client port.

use serde::Serialize;

use super::firewall::four_fifths;
use super::{
    Certificate, Files, From, Limit, NOTHING, On, Open, Pool, Service, Subject, Usage, node_file,
    pools,
};
use crate::cluster::{Cluster, Node, Pgbouncer, Role, Timing};
use crate::template::{RenderError, fill};

pub(super) const SERVICE: Service = Service {
    on: On::Only(Role::Haproxy),
    user: Some(("pgbouncer", 474)),
    units: |cluster, _| {
        pooled(cluster).map(|pool| format!("pgha-pooler-{}.service", pool.name)).collect()
    },
    ports,
    doors: |cluster| pooled(cluster).map(|pool| (pool.name, pool.port)).collect(),
    opens: |cluster| {
        // Poolers forward cancel requests to each other.
        let to = |from| Open { from, ports: ports(cluster) };
        vec![to(From::Routers), to(From::Clients)]
    },
    limits: |cluster| {
        // A client's connections, whichever way they take to PostgreSQL.
        let ports = pools(cluster).iter().map(|pool| pool.port).collect();
        let most = four_fifths(cluster.pgbouncer.max_client_conn);
        vec![Limit { ports, most, together: true }]
    },
    templates: &[
        node_file!("etc/pgha/pgbouncer-hba.conf"),
        node_file!("etc/pgha/pgbouncer-ident.conf"),
        node_file!("etc/pgha/pgbouncer-users.txt"),
    ],
    rendered: pooler_files,
    seed: &["pooler.ini"],
    certificates: &[
        Certificate::of("pgbouncer", Subject::Node, Usage::Serve),
        Certificate::of("pgbouncer-postgres", Subject::Role("pgbouncer"), Usage::Call),
    ],
    packages: &["pgbouncer"],
    told: &["pgbouncer"],
    links: &[("pgbouncer", "/usr/sbin/pgbouncer")],
    ..NOTHING
};

fn pooled(cluster: &Cluster) -> impl Iterator<Item = Pool> {
    pools(cluster).into_iter().filter(|pool| pool.route.is_some())
}

fn ports(cluster: &Cluster) -> Vec<u16> {
    pooled(cluster).map(|pool| pool.port).collect()
}

/// The context for the files of one pooler.
#[derive(Serialize)]
struct Context<'c> {
    pool: &'c Pool,
    pgbouncer: &'c Pgbouncer,
    timing: &'c Timing,
    routers: Vec<&'c Node>,
}

/// The files of one pooler; `{}` is the name of its port.
const FILES: [(&str, &str); 2] = [
    ("etc/pgha/pooler-{}.ini", include_str!("../../templates/etc/pgha/pooler.ini")),
    (
        "etc/systemd/system/pgha-pooler-{}.service",
        include_str!("../../templates/etc/systemd/system/pgha-pooler.service"),
    ),
];

fn pooler_files(cluster: &Cluster) -> Result<Files, RenderError> {
    let mut files = Vec::new();
    for pool in &pooled(cluster).collect::<Vec<_>>() {
        let routers = cluster.nodes_with(Role::Haproxy).collect();
        let (pgbouncer, timing) = (&cluster.pgbouncer, &cluster.timing);
        let context = Context { pool, pgbouncer, timing, routers };
        for (path, source) in FILES {
            let path = path.replace("{}", pool.name);
            files.push((path.clone(), fill(&path, source, &context)?));
        }
    }
    Ok(files)
}
