//! The sections of the cluster file.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_spanned::Spanned;

use super::{Base, Durability, PoolMode, PooledDatabase, PooledUser, Preset, ProviderKind, Role};

type Table = BTreeMap<Spanned<String>, Spanned<toml::Value>>;

/// Name, provider and PostgreSQL version.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClusterSection {
    /// Name of the cluster: lower-case letters, digits and hyphens, at most 20 characters. It is
    /// Patroni's scope and part of every resource's name.
    #[schemars(with = "String")]
    pub(crate) name: Spanned<String>,
    /// Where the nodes run.
    #[serde(default)]
    pub(crate) provider: ProviderKind,
    /// PostgreSQL major version.
    #[serde(default = "default_major")]
    #[schemars(with = "u16")]
    pub(crate) postgresql: Spanned<u16>,
}

fn default_major() -> Spanned<u16> {
    Spanned::new(0..0, 17)
}

/// PostgreSQL itself: parameters, access rules, roles and databases.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PostgresqlSection {
    /// PostgreSQL parameters. They are kept in the consensus store, so changing one never makes a
    /// new image.
    #[schemars(with = "BTreeMap<String, Parameter>")]
    pub(crate) parameters: Table,
    /// Lines added to pg_hba.conf after those of the cluster's own roles, and before those of sessions
    /// that come through a node's ports. Only TLS lines (`hostssl`) are accepted.
    #[schemars(with = "Vec<String>")]
    pub(crate) hba: Vec<Spanned<String>>,
    /// Login roles. Each gets a generated password in the secrets directory. Default: one role,
    /// `app`.
    #[schemars(with = "Option<Vec<UserSection>>")]
    pub(crate) users: Option<Spanned<Vec<UserSection>>>,
    /// Databases. Default: one database, `app`, owned by `app`.
    #[schemars(with = "Option<Vec<DatabaseSection>>")]
    pub(crate) databases: Option<Vec<DatabaseSection>>,
}

/// The value of a PostgreSQL parameter.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "exists only for the schema")]
pub(crate) enum Parameter {
    Bool(bool),
    Integer(i64),
    Float(f64),
    String(String),
}

/// A login role.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UserSection {
    /// Name of the role.
    #[schemars(with = "String")]
    pub(crate) name: Spanned<String>,
}

/// A database.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DatabaseSection {
    /// Name of the database.
    #[schemars(with = "String")]
    pub(crate) name: Spanned<String>,
    /// Role that owns it.
    #[schemars(with = "String")]
    pub(crate) owner: Spanned<String>,
    /// Extensions created in it. They must be part of the image: PostgreSQL's contrib modules are.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub(crate) extensions: Vec<Spanned<String>>,
}

/// What an acknowledged commit is worth.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct DurabilitySection {
    /// Who must have a commit before it is acknowledged.
    #[schemars(with = "Option<Durability>")]
    pub(crate) mode: Option<Spanned<Durability>>,
}

/// How fast a failure is noticed and acted on. Times are in seconds.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct FailoverSection {
    /// A consistent set of timings for everything between etcd and the client.
    pub(crate) preset: Preset,
    /// Life of the leader lock in seconds: the longest a lost leader goes unnoticed. Patroni's
    /// floor is 20.
    #[schemars(with = "Option<u32>", range(min = 1, max = 86_400))]
    pub(crate) ttl: Option<Spanned<u32>>,
    /// Seconds between two looks at the consensus store. Patroni's floor is 1.
    #[schemars(with = "Option<u32>", range(min = 1, max = 86_400))]
    pub(crate) loop_wait: Option<Spanned<u32>>,
    /// Seconds that an etcd or PostgreSQL operation is retried before the leader gives up.
    /// Patroni's floor is 3.
    #[schemars(with = "Option<u32>", range(min = 1, max = 86_400))]
    pub(crate) retry_timeout: Option<Spanned<u32>>,
    /// Seconds a crashed PostgreSQL may take to start again before another node takes over.
    #[schemars(with = "Option<u32>", range(min = 1, max = 86_400))]
    pub(crate) primary_start_timeout: Option<Spanned<u32>>,
    /// Bytes of WAL a replica may lack and still be promoted. Matters under `async` only.
    pub(crate) maximum_lag_on_failover: Option<u64>,
    /// Keep the leader while etcd is down, as long as it reaches every member. Default true.
    pub(crate) failsafe: Option<bool>,
    /// Stop PostgreSQL on a leader whose lock has not been renewed for ttl - 5 s. Default true.
    pub(crate) guard: Option<bool>,
}

/// The consensus store that holds the leader lock.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct EtcdSection {
    /// Milliseconds between heartbeats of etcd's leader. Default: from the preset.
    #[schemars(with = "Option<u32>", range(min = 1, max = 600_000))]
    pub(crate) heartbeat_ms: Option<Spanned<u32>>,
    /// Milliseconds without a heartbeat until an election. Default: from the preset.
    #[schemars(with = "Option<u32>", range(min = 1, max = 600_000))]
    pub(crate) election_ms: Option<Spanned<u32>>,
}

/// The connection poolers behind the ports for clients.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PgbouncerSection {
    /// When a server connection goes back to the pool. Default `session`.
    pub(crate) pool_mode: PoolMode,
    /// Server connections of each pooler for each pair of user and database. There is one pooler for
    /// each port on each node that has the role `haproxy`. Refused where the primary has no room
    /// for a full pool of each database from every node. Default: as many as there is room for, from
    /// 10 to 200 for sessions, to 20 for transactions.
    #[schemars(with = "Option<u32>", range(min = 1, max = 262_143))]
    pub(crate) default_pool_size: Option<Spanned<u32>>,
    /// Client connections that each pooler accepts; one address holds at most 4/5. Default 2000.
    #[schemars(with = "Option<u32>", range(min = 1))]
    pub(crate) max_client_conn: Option<Spanned<u32>>,
    /// Server connections that a pool may have beyond its size, once a client has waited for
    /// `reserve_pool_timeout`. Default 0.
    #[schemars(range(max = 262_143))]
    pub(crate) reserve_pool_size: Option<u32>,
    /// Seconds that a client waits until the reserve is used. Default 5.
    #[schemars(range(min = 1, max = 2_592_000))]
    pub(crate) reserve_pool_timeout: Option<u32>,
    /// Seconds after which a server connection that no client holds is closed, up to three in a second.
    /// Until then it has what ALTER ROLE said before. Default 30.
    #[schemars(range(min = 1, max = 2_592_000))]
    pub(crate) server_lifetime: Option<u32>,
    /// Seconds that a server connection may be unused. Default 600; `server_lifetime` ends it, too.
    #[schemars(range(min = 1, max = 2_592_000))]
    pub(crate) server_idle_timeout: Option<u32>,
    /// Seconds that a client may ask nothing outside a transaction. For pools of transactions. Default:
    /// for ever.
    #[schemars(with = "Option<u32>", range(min = 1, max = 2_592_000))]
    pub(crate) client_idle_timeout: Option<Spanned<u32>>,
    /// Seconds that a client may ask nothing within a transaction. Default: for ever, but PostgreSQL's
    /// `idle_in_transaction_session_timeout` is 10 minutes.
    #[schemars(range(min = 1, max = 2_592_000))]
    pub(crate) idle_transaction_timeout: Option<u32>,
    /// Seconds from a request of a client to the end of the answer, what it waits for included.
    /// Default: for ever.
    #[schemars(range(min = 1, max = 2_592_000))]
    pub(crate) query_timeout: Option<u32>,
    /// Whether the journal of the poolers says who came and went. Default false: many short ones fill it.
    pub(crate) log_connections: bool,
    /// What differs for single databases, by name.
    #[schemars(with = "BTreeMap<String, PooledDatabase>")]
    pub(crate) databases: BTreeMap<Spanned<String>, PooledDatabase>,
    /// What differs for single roles, by name.
    #[schemars(with = "BTreeMap<String, PooledUser>")]
    pub(crate) users: BTreeMap<Spanned<String>, PooledUser>,
}

/// The load balancer, and the ports of clients.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct HaproxySection {
    /// Port that reaches the primary. Default 5000.
    #[schemars(with = "Option<u16>", range(min = 1))]
    pub(crate) primary_port: Option<Spanned<u16>>,
    /// Port that reaches the replicas in turn. Default 5001.
    #[schemars(with = "Option<u16>", range(min = 1))]
    pub(crate) replica_port: Option<Spanned<u16>>,
    /// Port that reaches the synchronous replicas in turn. Default 5002; unused under `async`.
    #[schemars(with = "Option<u16>", range(min = 1))]
    pub(crate) sync_port: Option<Spanned<u16>>,
    /// Port that reaches PostgreSQL of the primary past the poolers: for migrations, LISTEN, advisory
    /// locks, dumps, and clients that replicate. Default 5010.
    #[schemars(with = "Option<u16>", range(min = 1))]
    pub(crate) direct_port: Option<Spanned<u16>>,
    /// Port that reaches PostgreSQL of the replicas in turn, past the poolers. Default 5011.
    #[schemars(with = "Option<u16>", range(min = 1))]
    pub(crate) direct_replica_port: Option<Spanned<u16>>,
    /// Port of the statistics page (https). Default 7000.
    #[schemars(with = "Option<u16>", range(min = 1))]
    pub(crate) stats_port: Option<Spanned<u16>>,
    /// Megabytes of WAL a replica may still have to replay to be sent readers, and to count as
    /// healthy. Default 16.
    #[schemars(range(min = 1))]
    pub(crate) max_replica_lag_mb: Option<u32>,
    /// Whether the ports of the replicas lead to the primary while no replica is fit for them. Default
    /// false.
    pub(crate) replica_fallback: bool,
    /// Connections that HAProxy accepts on a node, from its poolers and on the direct ports.
    /// Default 4000.
    #[schemars(range(min = 1))]
    pub(crate) maxconn: Option<u32>,
}

/// Addresses and who may connect.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct NetworkSection {
    /// Network of the nodes. Default: the /24 around the first node's address.
    #[schemars(with = "Option<String>")]
    pub(crate) cidr: Option<Spanned<String>>,
    /// Networks whose hosts may reach the ports of clients. Default: the cluster's own network.
    #[schemars(with = "Option<Vec<String>>")]
    pub(crate) clients: Option<Vec<Spanned<String>>>,
    /// Networks whose hosts may reach PostgreSQL itself on port 5432, past the pooler, where
    /// `postgresql.hba` lets them in. Default: none.
    #[schemars(with = "Vec<String>")]
    pub(crate) direct_clients: Vec<Spanned<String>>,
    /// Networks whose hosts may reach SSH. Default: the cluster's own network.
    #[schemars(with = "Option<Vec<String>>")]
    pub(crate) operators: Option<Vec<Spanned<String>>>,
}

/// Kernel settings of the nodes.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct OsSection {
    /// sysctl settings, added to pgha's own. Local nodes share the host's kernel, so there only
    /// `net.*` takes effect.
    #[schemars(with = "BTreeMap<String, i64>")]
    pub(crate) sysctl: BTreeMap<Spanned<String>, i64>,
}

/// What node images are made from.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ImageSection {
    /// Operating system of the image.
    #[schemars(with = "Option<Base>")]
    pub(crate) base: Option<Spanned<Base>>,
    /// Megabytes (1,000,000 bytes) that a disk may have after zstd; `build` refuses a larger one.
    /// Default 250 for debian, 450 for nixos.
    pub(crate) size_budget_mb: Option<u32>,
}

/// Settings that only one provider reads.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ProviderSection {
    /// Nodes as systemd-nspawn containers on this machine.
    pub(crate) local: LocalSection,
}

/// Nodes as systemd-nspawn containers on this machine.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LocalSection {
    /// Directory that holds the nodes' data volumes and records. Default /var/lib/pgha-local.
    #[schemars(with = "Option<String>")]
    pub(crate) state_dir: Option<Spanned<String>>,
}

/// One node.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NodeSection {
    /// Name of the node: lower-case letters, digits and hyphens, at most 20 characters.
    #[schemars(with = "String")]
    pub(crate) name: Spanned<String>,
    /// IPv4 address of the node in the cluster's network.
    #[schemars(with = "String")]
    pub(crate) address: Spanned<String>,
    /// What runs on it. Default: all three.
    #[schemars(with = "Option<Vec<Role>>")]
    pub(crate) roles: Option<Spanned<Vec<Role>>>,
}
