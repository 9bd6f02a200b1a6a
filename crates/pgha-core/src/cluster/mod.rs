//! A checked cluster: every rule of `rules` holds for a [`Cluster`].

pub(crate) mod contrib;
mod number;
pub(crate) mod parameter;
mod pooling;
mod rules;
mod timing;
pub(crate) mod volume;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

pub use pooling::Pgbouncer;
pub use timing::{Fault, Timing, WriteStop};

use crate::diagnostic::{Diagnostic, Severity};
use crate::spec;
pub use crate::spec::{
    Base, Durability, PoolMode, PooledDatabase, PooledUser, Preset, ProviderKind, Role,
};

/// A cluster whose file passed every check.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// Name; also Patroni's scope.
    pub name: String,
    /// Where the nodes run.
    pub provider: ProviderKind,
    /// PostgreSQL.
    pub postgresql: Postgresql,
    /// What an acknowledged commit is worth.
    pub durability: Durability,
    /// The preset the timings started from.
    pub preset: Preset,
    /// Every timing, preset and overrides merged.
    pub timing: Timing,
    /// Keep the leader while etcd is down and every member answers.
    pub failsafe: bool,
    /// Whether the node stops a PostgreSQL whose leadership is unconfirmed.
    pub guard: bool,
    /// Bytes of WAL a candidate may lack.
    pub maximum_lag_on_failover: u64,
    /// The pooler.
    pub pgbouncer: Pgbouncer,
    /// The load balancer.
    pub haproxy: Haproxy,
    /// Addresses and who may connect.
    pub network: Network,
    /// sysctl settings of the file, without pgha's own.
    pub sysctl: BTreeMap<String, i64>,
    /// Operating system of the image.
    pub base: Base,
    /// Megabytes (1,000,000 bytes) that a disk may have after zstd. Absent: the limit of its base.
    pub size_budget_mb: Option<u32>,
    /// Where the local provider keeps data volumes.
    pub local_state_dir: String,
    /// The nodes, sorted by name. Their order in the file must not matter: every list of nodes on a
    /// node, in a certificate or in etcd would change with it.
    pub nodes: Vec<Node>,
}

/// PostgreSQL: version, parameters, access, roles and databases.
#[derive(Debug, Clone)]
pub struct Postgresql {
    /// Major version.
    pub major: u16,
    /// Parameters of the file, merged over pgha's own.
    pub parameters: BTreeMap<String, serde_json::Value>,
    /// Limits that the file does not set, and that a data volume can be too small for.
    pub(crate) open_limits: Vec<volume::Limit>,
    /// Extra lines of pg_hba.conf.
    pub hba: Vec<String>,
    /// Login roles.
    pub users: Vec<String>,
    /// Databases.
    pub databases: Vec<Database>,
}

impl Postgresql {
    /// A parameter of memory, in bytes. Absent: it is not set, or set to no limit.
    pub fn bytes(&self, parameter: &str) -> Option<u64> {
        parameter::bytes(parameter, self.parameters.get(parameter)?)
    }

    /// Seconds that a replica may delay its replay for a reader's query. Absent: without limit.
    pub fn replay_delay_seconds(&self) -> Option<i64> {
        let name = "max_standby_streaming_delay";
        let milliseconds = parameter::milliseconds(name, self.parameters.get(name)?)?;
        (milliseconds >= 0.0).then_some((milliseconds / 1000.0).ceil() as i64)
    }
}

/// A database.
#[derive(Debug, Clone, Serialize)]
pub struct Database {
    /// Its name.
    pub name: String,
    /// The role that owns it.
    pub owner: String,
    /// Extensions created in it.
    pub extensions: Vec<String>,
}

/// Roles of PostgreSQL that belong to the cluster itself.
pub const OWN_ROLES: [&str; 6] =
    ["postgres", "replicator", "rewind", "pgbouncer", "pgha_probe", "pgha_verify"];

/// The roles among them that Patroni creates. They have no password.
pub const PATRONI_ROLES: [&str; 3] = ["postgres", "replicator", "rewind"];

/// Sessions that one HAProxy accepts on a direct port. Each is a PostgreSQL process even before it
/// logs in, and poolers need most of `max_connections`. Not derived from `max_connections`, which
/// is not part of an image.
pub(crate) const DIRECT: u32 = 20;

/// How long a planned change of leader waits for open transactions, if it holds clients back.
/// Longer transactions are cut.
pub const LONGEST_HELD_TRANSACTION_SECONDS: u32 = 2;

/// Ports of a node's own HAProxy, which only its poolers use, and what they lead to.
pub(crate) const ROUTES: [(&str, u16); 3] = [("primary", 6430), ("replicas", 6431), ("sync", 6432)];

/// The load balancer.
#[derive(Debug, Clone, Serialize)]
pub struct Haproxy {
    /// Port of the primary.
    pub primary_port: u16,
    /// Port of the replicas.
    pub replica_port: u16,
    /// Port of the synchronous replicas; absent under `async`.
    pub sync_port: Option<u16>,
    /// Port of PostgreSQL of the primary, past the poolers.
    pub direct_port: u16,
    /// Port of PostgreSQL of the replicas, past the poolers.
    pub direct_replica_port: u16,
    /// Port of the statistics page.
    pub stats_port: u16,
    /// A replica gets readers if at most this many megabytes of WAL are left to replay.
    pub max_replica_lag_mb: u32,
    /// Whether the primary serves readers when no replica is left.
    pub replica_fallback: bool,
    /// Connections HAProxy accepts.
    pub maxconn: u32,
}

impl Haproxy {
    /// How many poolers of one node may lead to the primary, and how many to the last replica left.
    fn poolers_to_one_postgresql(&self) -> (u32, u32) {
        let readers = 1 + u32::from(self.sync_port.is_some());
        (if self.replica_fallback { 1 + readers } else { 1 }, readers)
    }
}

/// Addresses and who may connect.
#[derive(Debug, Clone, Serialize)]
pub struct Network {
    /// Network of the nodes.
    pub cidr: Ipv4Net,
    /// Who may reach HAProxy.
    pub clients: Vec<Ipv4Net>,
    /// Who may reach PostgreSQL itself.
    pub direct_clients: Vec<Ipv4Net>,
    /// Who may reach SSH.
    pub operators: Vec<Ipv4Net>,
}

/// One node.
#[derive(Debug, Clone, Serialize)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Its address in the cluster's network.
    pub address: Ipv4Addr,
    /// What runs on it.
    pub role_set: RoleSet,
}

/// The roles of a node. Nodes with equal role sets boot the same image.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RoleSet(BTreeSet<Role>);

impl RoleSet {
    /// Whether `role` is part of it.
    pub fn has(&self, role: Role) -> bool {
        self.0.contains(&role)
    }

    /// Its roles in a fixed order.
    pub fn iter(&self) -> impl Iterator<Item = Role> {
        self.0.iter().copied()
    }
}

impl FromIterator<Role> for RoleSet {
    fn from_iter<I: IntoIterator<Item = Role>>(roles: I) -> Self {
        Self(roles.into_iter().collect())
    }
}

/// Written `etcd-haproxy-postgres`: the folder of its files and part of its image's name.
impl fmt::Display for RoleSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.iter().map(ToString::to_string).collect::<Vec<_>>().join("-"))
    }
}

impl Cluster {
    /// Reads and checks a cluster file. Gives the cluster and warnings, or everything that is wrong
    /// with it.
    ///
    /// # Errors
    /// All mistakes at once, each with its place in the text.
    pub fn parse(text: &str) -> Result<(Self, Vec<Diagnostic>), Vec<Diagnostic>> {
        let mut read = spec::read(text);
        let Some(spec) = read.spec.take() else { return Err(read.mistakes) };
        let (cluster, mut remarks) = rules::check(&spec);
        if !read.mistakes.is_empty() {
            remarks.retain(|remark| read.is_trusted(remark));
            remarks.append(&mut read.mistakes);
        }
        remarks.sort_by_key(|remark| (remark.span.start, remark.severity));
        match cluster {
            Some(cluster) if remarks.iter().all(|r| r.severity == Severity::Warning) => {
                Ok((cluster, remarks))
            }
            _ => Err(remarks),
        }
    }

    /// The nodes that have `role`, by name.
    pub fn nodes_with(&self, role: Role) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(move |node| node.role_set.has(role))
    }

    /// How many copies of the database there are beside the leader's.
    pub fn replicas(&self) -> usize {
        self.nodes_with(Role::Postgres).count().saturating_sub(1)
    }

    /// The node called `name`.
    pub fn node(&self, name: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| node.name == name)
    }

    /// Identifier of a node's data volume: written on a new volume, and named by the seed that may
    /// use it.
    pub fn volume(&self, node: &Node) -> String {
        format!("{}-{}", self.name, node.name)
    }

    /// Connections that one node may have to one PostgreSQL: full pools, and sessions that bypass the
    /// poolers. At least 120: it is part of the image, and a small database should not make a new one.
    pub fn most_to_one_postgresql(&self) -> u32 {
        let names = self.postgresql.databases.iter().map(|database| database.name.as_str());
        let (primary, lone_replica) = self.haproxy.poolers_to_one_postgresql();
        let pools = self.pgbouncer.full_pools(names).saturating_mul(primary.max(lone_replica));
        pools.saturating_add(2 * DIRECT).max(120)
    }

    /// The longest time without an acknowledged write that clients should see for one `fault`,
    /// whether they are cut or held back.
    pub fn write_stop(&self, fault: Fault) -> WriteStop {
        let stop = self.timing.write_stop(fault);
        match (fault, self.pgbouncer.pool_mode) {
            (Fault::Switchover, PoolMode::Transaction) => {
                stop.longer_by("open transactions", LONGEST_HELD_TRANSACTION_SECONDS)
            }
            _ => stop,
        }
    }

    /// Every role set of the cluster, each once.
    pub fn role_sets(&self) -> BTreeSet<RoleSet> {
        self.nodes.iter().map(|node| node.role_set.clone()).collect()
    }
}
