//! The dynamic configuration: what Patroni keeps in etcd and applies to every node.

use serde_json::{Value, json};

use crate::cluster::{Cluster, Durability, OWN_ROLES, Role, parameter};
use crate::dynamic::Dynamic;

pub(super) fn render(cluster: &Cluster) -> Dynamic {
    let timing = &cluster.timing;
    Dynamic::from(json!({
        "ttl": timing.ttl,
        "loop_wait": timing.loop_wait,
        "retry_timeout": timing.retry_timeout,
        "primary_start_timeout": timing.primary_start_timeout,
        "primary_stop_timeout": timing.primary_stop_timeout,
        "maximum_lag_on_failover": cluster.maximum_lag_on_failover,
        "failsafe_mode": cluster.failsafe,
        "synchronous_mode": synchronous_mode(cluster.durability),
        "synchronous_mode_strict": cluster.durability == Durability::Strict,
        "synchronous_node_count": 1,
        // The default of 30 minutes would drop the slot of a node that is away for a weekend;
        // max_slot_wal_keep_size bounds what a slot can hold.
        "member_slots_ttl": "3d",
        "postgresql": {
            "use_pg_rewind": true,
            "use_slots": true,
            // Under async the old leader may hold the only copy of acknowledged rows: the operator
            // decides.
            "remove_data_directory_on_rewind_failure": cluster.durability != Durability::Async,
            "parameters": parameters(cluster),
            "pg_hba": hba(cluster),
            "pg_ident": ident(cluster),
        },
    }))
}

/// Patroni's roles have no password. On its own node Patroni is identified by its operating system
/// user, on other nodes by the name in its certificate.
fn ident(cluster: &Cluster) -> Vec<String> {
    let nodes = cluster.nodes_with(Role::Postgres).map(|node| &node.name);
    let of = |name: &String| ["replicator", "rewind"].map(|role| format!("node {name} {role}"));
    std::iter::once("daemon postgres replicator".to_owned()).chain(nodes.flat_map(of)).collect()
}

fn synchronous_mode(durability: Durability) -> Value {
    match durability {
        Durability::Quorum => json!("quorum"),
        Durability::Strict => json!(true),
        Durability::Async => json!(false),
    }
}

fn parameters(cluster: &Cluster) -> Value {
    let mut parameters = cluster.postgresql.parameters.clone();
    let own = parameter::own(&cluster.timing);
    parameters.extend(own.map(|(key, value)| (key.to_owned(), value)));
    json!(parameters)
}

/// First match wins: the system's own roles, then the file's lines, then clients that come through
/// a pooler or a HAProxy. All others are rejected.
fn hba(cluster: &Cluster) -> Vec<String> {
    let mut lines: Vec<String> = [
        "local all postgres peer",
        "local replication replicator peer map=daemon",
        "local all replicator peer map=daemon",
        "local all all scram-sha-256",
    ]
    .map(str::to_owned)
    .into();
    for node in cluster.nodes_with(Role::Postgres) {
        for who in ["replication replicator", "all replicator", "all rewind"] {
            lines.push(format!("hostssl {who} {}/32 cert map=node", node.address));
        }
    }
    let by = |method: &str, who: &str| {
        let nodes = cluster.nodes_with(Role::Haproxy);
        let lines = nodes.map(|node| format!("hostssl {who} {}/32 {method}", node.address));
        lines.collect::<Vec<_>>()
    };
    let routed = |who: &str| by("scram-sha-256", who);
    let own = format!("{} all reject", OWN_ROLES.join(","));
    lines.extend(by("cert", "postgres pgbouncer"));
    for who in ["postgres pgha_probe", "pgha_verify pgha_verify"] {
        lines.extend(routed(who));
        // The operator, through the node's SSH.
        lines.push(format!("hostssl {who} 127.0.0.1/32 scram-sha-256"));
    }
    lines.extend([format!("host all {own}"), format!("host replication {own}")]);
    // Under strict, any client that receives WAL could count as the synchronous replica (`*`).
    if cluster.durability != Durability::Strict {
        lines.extend(routed("replication all"));
    }
    lines.push("host replication all all reject".to_owned());
    lines.extend(cluster.postgresql.hba.iter().cloned());
    lines.extend(routed("all all"));
    lines.push("host all all all reject".to_owned());
    lines
}
