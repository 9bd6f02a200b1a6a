//! The files of a role set's image.

use std::collections::BTreeMap;

use serde::Serialize;

use super::files::Tree;
use super::{contract, firewall};
use crate::cluster::{Cluster, DIRECT, Haproxy, Node, Role, RoleSet, Timing};
use crate::service::{self, Pool, pools};
use crate::template::{self, RenderError};

#[derive(Serialize)]
struct Context<'c> {
    cluster: &'c str,
    nodes: &'c [Node],
    etcd_nodes: Vec<&'c Node>,
    postgres_nodes: Vec<&'c Node>,
    timing: &'c Timing,
    haproxy: &'c Haproxy,
    sysctl: &'c BTreeMap<String, i64>,
    ids: BTreeMap<&'static str, u32>,
    firewall: firewall::Rules,
    pools: Vec<Pool>,
    /// Limit of sessions through one direct port of one HAProxy, from all addresses together.
    direct: u32,
}

/// The files of one role set.
pub(super) fn render(cluster: &Cluster, role_set: &RoleSet) -> Result<Tree, RenderError> {
    let context = context(cluster, role_set);
    let mut tree = Tree::default();
    for service in service::services(cluster, role_set) {
        for (path, source) in service.templates {
            tree.insert(path, template::fill(path, source, &context)?);
        }
        for (path, content) in (service.rendered)(cluster)? {
            tree.insert(&path, content);
        }
        for (path, source) in service.programs {
            tree.insert(path, (*source).to_owned());
        }
    }
    let contract = contract::render(cluster, role_set, &tree);
    tree.insert("etc/pgha/contract.json", pretty(&contract));
    Ok(tree)
}

fn context<'c>(cluster: &'c Cluster, role_set: &RoleSet) -> Context<'c> {
    Context {
        cluster: &cluster.name,
        nodes: &cluster.nodes,
        etcd_nodes: cluster.nodes_with(Role::Etcd).collect(),
        postgres_nodes: cluster.nodes_with(Role::Postgres).collect(),
        timing: &cluster.timing,
        haproxy: &cluster.haproxy,
        sysctl: &cluster.sysctl,
        ids: service::ids(),
        firewall: firewall::rules(cluster, role_set),
        pools: pools(cluster),
        direct: DIRECT,
    }
}

/// JSON as people read it. Patroni reads it too: every JSON document is a YAML document.
pub(super) fn pretty(value: &serde_json::Value) -> String {
    format!("{value:#}\n")
}
