//! The world as observed: servers as their provider knows them, and the cluster as its own daemons
//! see it.

mod server;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::dynamic::Dynamic;
use crate::object::Object;

pub use server::{Given, Labels, Server};

/// What is known of a cluster. A provider's labels are the only state pgha keeps of a server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inventory {
    /// The servers, by name.
    pub servers: Vec<Server>,
    /// What belongs to none of them, as people read it.
    pub leftovers: Vec<String>,
    /// What the daemons say. Absent: nobody was asked, or nobody answered.
    pub observed: Option<Observed>,
    /// Whether etcd says that no bootstrap of PostgreSQL has come to its end, and nobody leads.
    #[serde(default)]
    pub is_blank: bool,
}

/// What the daemons say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    /// Name of the node that leads.
    pub leader: Option<String>,
    /// Conditions of a healthy cluster that are not met, as people read them.
    pub unmet: Vec<String>,
    /// Whether a person has paused Patroni.
    pub paused: bool,
    /// Nodes that do not do what their roles say, or whose units crashed a moment ago.
    pub sick: Vec<String>,
    /// Those of them whose etcd member or PostgreSQL is not whole, or whose etcd crashed a moment ago:
    /// a copy the cluster lacks, or may lack in a moment.
    pub lost: Vec<String>,
    /// Nodes whose Patroni answers and whose PostgreSQL does not start.
    pub stuck: Vec<String>,
    /// Nodes whose copy does not become whole by waiting, and why.
    pub ailing: BTreeMap<String, Ailment>,
    /// Replicas whose copy is being made: it becomes whole by waiting.
    pub copying: Vec<String>,
    /// The node whose etcd member has lost its data, while all others are whole.
    pub etcd_lost: Option<String>,
    /// Members whose PostgreSQL runs, and tells its Patroni nothing or replays nothing. It stays so
    /// until it is started anew.
    pub hung: Vec<String>,
    /// Units that somebody has stopped, that run and do not answer, or that hold clients back, by node.
    pub idle: BTreeMap<String, Vec<String>>,
    /// What somebody has changed of images and seeds since their nodes booted, by node.
    pub altered: BTreeMap<String, Vec<String>>,
    /// What declared roles and databases are kept from being used by, as people read it.
    pub barred: Vec<String>,
    /// Replication slots that are on the leader alone.
    pub slots: Vec<String>,
    /// Whether etcd takes no writes, because a member's database has reached its quota.
    pub etcd_is_full: bool,
    /// The dynamic configuration in etcd.
    pub dynamic: Option<Dynamic>,
    /// What a member has not taken of it, or has beside it, in PostgreSQL's words.
    pub untaken: BTreeMap<String, Vec<String>>,
    /// Changed parameters that wait for a restart of PostgreSQL.
    pub pending: Vec<Pending>,
    /// What is inside PostgreSQL. Absent: the leader did not say.
    pub objects: Option<BTreeSet<Object>>,
}

impl Observed {
    /// Whether this node leads.
    pub fn leads(&self, node: &str) -> bool {
        self.leader.as_deref() == Some(node)
    }
}

/// How a line of [`Observed::untaken`] begins where nobody knows what a member has taken.
pub const UNTOLD: &str = "its PostgreSQL does not tell: ";

/// What keeps the copy of a node from becoming whole, or from being known to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "words", rename_all = "kebab-case")]
pub enum Ailment {
    /// The node runs, and does not answer.
    Silent,
    /// A process that a crash left holds what PostgreSQL needs to start. It does not end by itself.
    Leftover,
    /// The leader has dropped WAL that the replica lacks.
    Behind,
    /// Its volume has no room. It goes on by itself once there is some.
    Full,
    /// PostgreSQL cannot start with its data, and says so in these words.
    Damaged(String),
    /// PostgreSQL does not start, in these words, and its data need not be the reason.
    Failing(String),
}

impl fmt::Display for Ailment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Silent => "it runs, and does not answer",
            Self::Leftover => "a process that a crash left",
            Self::Behind => "the leader has dropped WAL that it lacks",
            Self::Full => "no room",
            Self::Damaged(words) | Self::Failing(words) => words,
        })
    }
}

/// A changed parameter that a member takes up only when its PostgreSQL restarts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// Name of the node.
    pub node: String,
    /// Name of the parameter.
    pub parameter: String,
    /// The value it runs with.
    pub old: String,
    /// The value it was given.
    pub new: String,
}

impl Inventory {
    /// Number of the last roll that gave any server something new, undone or not.
    pub fn newest_generation(&self) -> u32 {
        self.servers.iter().map(|server| server.generation.max(server.undone)).max().unwrap_or(0)
    }

    /// Whether the cluster has not been healthy with this dynamic configuration yet, as far as the
    /// servers' labels tell.
    pub fn is_unproven(&self, dynamic: &Dynamic) -> bool {
        let digest = dynamic.digest();
        let mut known = self.servers.iter().filter_map(|server| server.dynamic.as_ref()).peekable();
        known.peek().is_some() && known.all(|known| *known != digest)
    }

    /// The server called `name`.
    pub fn server(&self, name: &str) -> Option<&Server> {
        self.servers.iter().find(|server| server.name == name)
    }
}
