//! The part of a node's seed that is not secret.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::tree::pretty;
use crate::cluster::{Cluster, Node, Role};
use crate::digest::{Digest, Hasher};
use crate::service::etcd::{JSON_PORT, PEER_PORT};
use crate::service::patroni::REST_PORT;

/// Files below `/run/pgha`, by relative path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seed {
    /// Contents by path. Every one belongs to root and is readable by all: secrets are added at
    /// delivery.
    pub files: BTreeMap<String, String>,
}

impl Seed {
    /// The digest over every path and content.
    pub fn digest(&self) -> Digest {
        let mut hasher = Hasher::default();
        for (path, content) in &self.files {
            hasher.part(path.as_bytes()).part(content.as_bytes());
        }
        hasher.finish()
    }
}

pub(super) fn render(cluster: &Cluster, node: &Node) -> Seed {
    let mut files = BTreeMap::new();
    files.insert("identity.json".to_owned(), pretty(&identity(cluster, node)));
    if node.role_set.has(Role::Etcd) {
        files.insert("etcd.env".to_owned(), etcd(node));
    }
    if node.role_set.has(Role::Postgres) {
        files.insert("patroni.d/20-node.yml".to_owned(), pretty(&patroni(cluster, node)));
    }
    if let Some(peer) = cluster.nodes_with(Role::Haproxy).position(|n| n.name == node.name) {
        // PgBouncer counts peers from 1; 0 means no peer. The image's `[peers]` has them in this
        // order.
        files.insert("pooler.ini".to_owned(), format!("peer_id = {}\n", peer + 1));
    }
    Seed { files }
}

fn identity(cluster: &Cluster, node: &Node) -> Value {
    json!({
        "cluster": cluster.name,
        "node": node.name,
        "role_set": node.role_set,
        "address": node.address,
        "volume": cluster.volume(node),
        "filesystem": filesystem(&cluster.volume(node)),
    })
}

/// UUID of the file system on a data disk: version 8 (RFC 9562), from the volume's identifier.
fn filesystem(volume: &str) -> String {
    let digest = Digest::of(volume.as_bytes());
    let hex = digest.as_str();
    format!("{}-{}-8{}-8{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..32])
}

fn etcd(node: &Node) -> String {
    let (name, address) = (&node.name, node.address);
    [
        format!("ETCD_NAME={name}"),
        format!("ETCD_LISTEN_CLIENT_URLS=https://{address}:2379,https://127.0.0.1:2379"),
        format!("ETCD_LISTEN_CLIENT_HTTP_URLS=https://{address}:{JSON_PORT},https://127.0.0.1:{JSON_PORT}"),
        format!("ETCD_ADVERTISE_CLIENT_URLS=https://{address}:2379"),
        format!("ETCD_LISTEN_PEER_URLS=https://{address}:{PEER_PORT}"),
        format!("ETCD_INITIAL_ADVERTISE_PEER_URLS=https://{address}:{PEER_PORT}\n"),
    ]
    .join("\n")
}

fn patroni(cluster: &Cluster, node: &Node) -> Value {
    let address = node.address;
    let mut members =
        cluster.nodes_with(Role::Etcd).map(|member| member.address).collect::<Vec<_>>();
    // The member on the node itself comes first: then the loss of other nodes does not affect it.
    members.sort_by_key(|member| *member != address);
    json!({
        "name": node.name,
        "etcd3": { "hosts": members.iter().map(|member| format!("{member}:{JSON_PORT}")).collect::<Vec<_>>() },
        "restapi": { "listen": format!("0.0.0.0:{REST_PORT}"), "connect_address": format!("{address}:{REST_PORT}") },
        "postgresql": { "listen": format!("{address},127.0.0.1:5432"), "connect_address": format!("{address}:5432") },
    })
}
