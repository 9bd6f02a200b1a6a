//! HAProxy: routes to the PostgreSQL that leads, for poolers and for clients that bypass them.

use super::firewall::four_fifths;
use super::{
    Certificate, From, Limit, NOTHING, On, Open, Pool, Service, Subject, Usage, node_file, pools,
};
use crate::cluster::{Cluster, DIRECT, Role};

pub(super) const SERVICE: Service = Service {
    on: On::Only(Role::Haproxy),
    user: Some(("haproxy", 473)),
    units: |_, _| vec!["haproxy.service".to_owned()],
    ports: |cluster| [routes(cluster), open_ports(cluster)].concat(),
    doors: |cluster| direct(cluster).map(|pool| (pool.name, pool.port)).collect(),
    opens: |cluster| vec![Open { from: From::Clients, ports: open_ports(cluster) }],
    limits,
    private: routes,
    templates: &[
        node_file!("etc/pgha/haproxy.cfg"),
        node_file!("etc/systemd/system/haproxy.service.d/50-pgha.conf"),
    ],
    seed: &["haproxy.env"],
    certificates: &[Certificate {
        in_one: true,
        ..Certificate::of("haproxy", Subject::Node, Usage::Serve)
    }],
    packages: &["haproxy"],
    told: &["haproxy"],
    links: &[("haproxy", "/usr/sbin/haproxy")],
    ..NOTHING
};

/// Ports on which it accepts the sessions of poolers.
fn routes(cluster: &Cluster) -> Vec<u16> {
    pools(cluster).into_iter().filter_map(|pool| pool.route).collect()
}

/// Ports that bypass the poolers.
fn direct(cluster: &Cluster) -> impl Iterator<Item = Pool> {
    pools(cluster).into_iter().filter(|pool| pool.route.is_none())
}

fn open_ports(cluster: &Cluster) -> Vec<u16> {
    direct(cluster).map(|pool| pool.port).chain([cluster.haproxy.stats_port]).collect()
}

fn limits(cluster: &Cluster) -> Vec<Limit> {
    let direct = direct(cluster).map(|pool| pool.port).collect();
    vec![
        Limit { ports: direct, most: four_fifths(DIRECT), together: false },
        Limit { ports: vec![cluster.haproxy.stats_port], most: 32, together: false },
    ]
}
