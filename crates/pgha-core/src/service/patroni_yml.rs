//! Patroni's local configuration: what is the same on every node and not secret.

use serde_json::{Value, json};

use crate::cluster::Cluster;

/// The file baked into the image. The node's addresses, secrets and first dynamic configuration
/// come with the seed, as further files of the directory Patroni reads.
pub(super) fn local(cluster: &Cluster) -> Value {
    json!({
        "scope": cluster.name,
        "namespace": "/service",
        // Half of Patroni's default. That would be 50 MB that a node without overcommit cannot
        // promise to other processes.
        "thread_stack_size": 262_144,
        "log": { "format": "%(levelname)s: %(message)s", "deduplicate_heartbeat_logs": true },
        "restapi": rest_api(),
        "ctl": {
            "cacert": "/run/pgha/tls/ca.crt",
            "certfile": "/run/pgha/tls/patroni.crt",
            "keyfile": "/run/pgha/tls/patroni.key",
        },
        "etcd3": {
            // The seed has the members in the node's own order, and Patroni must keep that list:
            // from etcd it would learn only the gRPC ports.
            "use_proxies": true,
            "protocol": "https",
            "cacert": "/run/pgha/tls/etcd-ca.crt",
            "cert": "/run/pgha/tls/patroni-etcd.crt",
            "key": "/run/pgha/tls/patroni-etcd.key",
        },
        "bootstrap": { "initdb": initdb() },
        "postgresql": postgresql(),
        // Containers have no watchdog; pgha-guard is the fence on every kind of node.
        "watchdog": { "mode": "off" },
    })
}

fn rest_api() -> Value {
    json!({
        "certfile": "/run/pgha/tls/patroni.crt",
        "keyfile": "/run/pgha/tls/patroni.key",
        "cafile": "/run/pgha/tls/ca.crt",
        // Health checks carry no certificate; writes need one and a password.
        "verify_client": "optional",
        // Patroni waits forever for the first byte of a connection, with one thread for each
        // (patroni/patroni#3705). nftables.conf limits what one address can occupy.
        "thread_pool_size": 100,
        "request_queue_size": 1024,
    })
}

fn postgresql() -> Value {
    let role = |name: &str| {
        json!({
            "sslmode": "verify-full",
            "sslrootcert": "/run/pgha/tls/ca.crt",
            "sslcert": "/run/pgha/tls/patroni.crt",
            "sslkey": "/run/pgha/tls/patroni.key",
            "username": name,
        })
    };
    json!({
        "data_dir": "/var/lib/pgha/postgresql/data",
        "bin_dir": "/etc/pgha/bin",
        "pgpass": "/var/lib/pgha/patroni/pgpass",
        "use_unix_socket": true,
        "use_unix_socket_repl": true,
        // Otherwise a copy would wait for the leader's next checkpoint, which spreads over minutes.
        "basebackup": [{ "checkpoint": "fast" }, { "max-rate": "100M" }],
        "parameters": { "unix_socket_directories": "/run/postgresql" },
        "authentication": {
            "superuser": { "username": "postgres" },
            "replication": role("replicator"),
            "rewind": role("rewind"),
        },
    })
}

/// How a new cluster's first data directory is made.
fn initdb() -> Value {
    json!([
        { "encoding": "UTF8" },
        // Not the C library's collation: it changes between releases and silently breaks text
        // indexes.
        { "locale-provider": "builtin" },
        { "builtin-locale": "C.UTF-8" },
        { "lc-collate": "C" },
        { "lc-ctype": "C.UTF-8" },
        // Otherwise initdb would write the image's locale into the data directory's configuration,
        // and another base lacks it.
        { "lc-messages": "C" },
        { "lc-monetary": "C" },
        { "lc-numeric": "C" },
        { "lc-time": "C" },
        "data-checksums",
    ])
}
