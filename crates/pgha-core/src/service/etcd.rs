//! etcd: where the leader lock and the dynamic configuration are kept.

use super::{
    Authority, Certificate, From, Limit, NOTHING, On, Open, Service, Subject, Usage, node_file,
};
use crate::cluster::Role;

/// Port of gRPC, for clients.
const CLIENT_PORT: u16 = 2379;

/// Port that members listen on for each other.
pub const PEER_PORT: u16 = 2380;

/// Port of the JSON gateway, which Patroni and pgha use. On the gRPC port (2379) a member that is
/// stopping answers JSON requests with "malformed header: missing HTTP content-type". Patroni takes
/// that for a refusal of the leader lock and would demote the primary at once
/// (patroni/patroni#3118). On a port of its own the member says that it is unavailable, and Patroni
/// asks the next member. etcd recommends separate ports, too (etcd-io/etcd#15402).
pub const JSON_PORT: u16 = 2382;

const PORTS: [u16; 3] = [CLIENT_PORT, PEER_PORT, JSON_PORT];

pub(super) const SERVICE: Service = Service {
    on: On::Only(Role::Etcd),
    user: Some(("etcd", 472)),
    units: |_, _| vec!["etcd.service".to_owned()],
    ports: |_| PORTS.into(),
    opens: |_| vec![Open { from: From::Nodes, ports: PORTS.into() }],
    limits: |_| vec![Limit { ports: PORTS.into(), most: 32, together: false }],
    private: |_| PORTS.into(),
    templates: &[
        node_file!("etc/pgha/etcd.env"),
        node_file!("etc/systemd/system/etcd.service.d/50-pgha.conf"),
    ],
    programs: &[node_file!("etc/pgha/lib/pgha-etcd")],
    seed: &["etcd.env"],
    certificates: &[Certificate {
        authority: Authority::Etcd,
        ..Certificate::of("etcd", Subject::Node, Usage::ServeAndCall)
    }],
    packages: &["etcd-server", "etcd-client"],
    told: &["etcd-server"],
    links: &[("etcd", "/usr/bin/etcd"), ("etcdctl", "/usr/bin/etcdctl")],
    ..NOTHING
};
