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
    /// What belongs to no server, for people.
    pub leftovers: Vec<String>,
    /// What the daemons say. Absent: no daemon was asked, or none answered.
    pub observed: Option<Observed>,
    /// Whether etcd says that no bootstrap of PostgreSQL has finished, and that there is no leader.
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
    /// Sick nodes whose etcd member or PostgreSQL is not whole, or whose etcd crashed a moment ago.
    /// The cluster lacks their copy, or may lack it soon.
    pub lost: Vec<String>,
    /// Nodes whose Patroni answers but whose PostgreSQL does not start.
    pub stuck: Vec<String>,
    /// Nodes whose copy waiting does not make whole, and why.
    pub ailing: BTreeMap<String, Ailment>,
    /// Replicas whose copy is being made: waiting makes it whole.
    pub copying: Vec<String>,
    /// The node whose etcd member has lost its data, while all others are whole.
    pub etcd_lost: Option<String>,
    /// Members whose PostgreSQL runs but does not answer its Patroni, or replays nothing. Only a
    /// restart ends that.
    pub hung: Vec<String>,
    /// Units that were stopped by hand, that run without answering, or that hold clients back, by node.
    pub idle: BTreeMap<String, Vec<String>>,
    /// What was altered in a node since it booted its image and seed, by node.
    pub altered: BTreeMap<String, Vec<String>>,
    /// What keeps declared roles and databases from being used, for people.
    pub barred: Vec<String>,
    /// Replication slots that only the leader has.
    pub slots: Vec<String>,
    /// Whether etcd takes no writes, because a member's database has reached its quota.
    pub etcd_is_full: bool,
    /// The dynamic configuration in etcd.
    pub dynamic: Option<Dynamic>,
    /// What a member has not applied of it, or has in addition, in PostgreSQL's words.
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

/// How a line of [`Observed::untaken`] begins if it is unknown what a member has applied.
pub const UNTOLD: &str = "its PostgreSQL does not tell: ";

/// What keeps the copy of a node from becoming whole, or from being known to be whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "words", rename_all = "kebab-case")]
pub enum Ailment {
    /// The node runs but does not answer.
    Silent,
    /// A process left by a crash holds what PostgreSQL needs to start. It does not end by itself.
    Leftover,
    /// The leader has dropped WAL that the replica lacks.
    Behind,
    /// Its volume is full. It goes on by itself once there is room.
    Full,
    /// PostgreSQL cannot start with its data, and says so in these words.
    Damaged(String),
    /// PostgreSQL does not start and says so in these words. Its data may not be the reason.
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

/// A changed parameter that a member applies only when its PostgreSQL restarts.
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
