//! The ports that lead to PostgreSQL.

use serde::Serialize;

use crate::cluster::{Cluster, Durability, ROUTES};

/// A port of a node that leads to PostgreSQL: to those nodes whose Patroni answers `path` with 200.
#[derive(Serialize)]
pub(crate) struct Pool {
    pub(crate) name: &'static str,
    pub(crate) port: u16,
    path: &'static str,
    /// Whether it leads to replicas.
    reads: bool,
    /// Factor on the preset's check intervals.
    slow: u32,
    /// Port on which HAProxy accepts the sessions of this port's pooler. Absent: there is none.
    pub(crate) route: Option<u16>,
    /// The pool whose checks it uses, if it bypasses the poolers.
    follows: Option<&'static str>,
}

/// The ports that lead to PostgreSQL.
pub(crate) fn pools(cluster: &Cluster) -> Vec<Pool> {
    let haproxy = &cluster.haproxy;
    // Under quorum Patroni's /sync leaves the quorum standbys out.
    let sync_path = if cluster.durability == Durability::Quorum { "/quorum" } else { "/sync" };
    // Each check costs a TLS handshake on both ends, and HAProxy redispatches a connection from a
    // dead replica. So the pools for reads are checked five times less often.
    let pool = |(name, route), port, path| {
        let route = Some(route);
        Pool { name, port, path, reads: false, slow: 1, route, follows: None }
    };
    let readers = |route, port, path| Pool { reads: true, slow: 5, ..pool(route, port, path) };
    let [to_primary, to_replicas, to_synchronous] = ROUTES;
    let primary = pool(to_primary, haproxy.primary_port, "/primary");
    let replicas = readers(to_replicas, haproxy.replica_port, "/replica");
    let direct = |name, port, pool: &Pool| Pool {
        name,
        port,
        route: None,
        follows: Some(pool.name),
        ..*pool
    };
    let past_poolers = [
        direct("direct", haproxy.direct_port, &primary),
        direct("direct-replicas", haproxy.direct_replica_port, &replicas),
    ];
    let synchronous = haproxy.sync_port.map(|port| readers(to_synchronous, port, sync_path));
    [primary, replicas].into_iter().chain(synchronous).chain(past_poolers).collect()
}
