//! Patroni, and PostgreSQL, which it starts.

use super::{
    Authority, Certificate, From, Limit, On, Open, Service, Subject, Usage, node_file, patroni_yml,
};
use crate::cluster::{Cluster, Role};

/// Port of Patroni's REST interface.
pub const REST_PORT: u16 = 8008;

const POSTGRESQL: u16 = 5432;

pub(super) const SERVICE: Service = Service {
    on: On::Only(Role::Postgres),
    user: Some(("postgres", 471)),
    units: |_, _| vec!["patroni.service".to_owned()],
    ports: |_| vec![POSTGRESQL, REST_PORT],
    doors: |_| vec![("postgres", POSTGRESQL)],
    opens,
    limits,
    private: |_| vec![POSTGRESQL, REST_PORT],
    templates: &[node_file!("etc/systemd/system/patroni.service.d/50-pgha.conf")],
    rendered: |cluster| {
        let local = patroni_yml::local(cluster);
        Ok(vec![("etc/pgha/patroni.yml".to_owned(), format!("{local:#}\n"))])
    },
    programs: &[node_file!("etc/pgha/lib/pgha-judge")],
    seed: &["patroni.d/20-node.yml", "patroni.d/30-secrets.yml"],
    own: &["patroni.d/30-secrets.yml", "patroni.d/40-bootstrap.yml", "bootstrap.sql"],
    certificates: &[
        // Between nodes. PostgreSQL shows its clients another certificate.
        Certificate::of("patroni", Subject::Node, Usage::ServeAndCall),
        Certificate {
            authority: Authority::Etcd,
            ..Certificate::of("patroni-etcd", Subject::Node, Usage::Call)
        },
        Certificate::of("postgres", Subject::NodeAndRouters, Usage::Serve),
    ],
    packages: &[
        "postgresql-17",
        // Gives Patroni's unit and the Python libraries it needs; the program itself comes from requirements.txt.
        "patroni",
        // Listed because Debian's patroni accepts python3-consul instead, but patroni/dcs/etcd3.py
        // imports etcd.
        "python3-etcd",
    ],
    told: &["postgresql-17", "patroni"],
    links: &[("patroni", "/usr/bin/patroni"), ("patronictl", "/usr/bin/patronictl")],
};

fn opens(_: &Cluster) -> Vec<Open> {
    let to = |from, ports: &[u16]| Open { from, ports: ports.into() };
    vec![to(From::Nodes, &[POSTGRESQL, REST_PORT]), to(From::DirectClients, &[POSTGRESQL])]
}

fn limits(cluster: &Cluster) -> Vec<Limit> {
    let each = |port, most| Limit { ports: vec![port], most, together: false };
    // As many as another node needs, with its poolers and direct ports.
    vec![each(REST_PORT, 16), each(POSTGRESQL, cluster.most_to_one_postgresql())]
}
