//! The world as observed: servers as their provider knows them, and the cluster as its own daemons see it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::digest::Digest;

/// What is known of a cluster. A provider's labels are the only state pgha keeps of a server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inventory {
    /// The servers, by name.
    pub servers: Vec<Server>,
    /// What the daemons say. Absent: nobody was asked, or nobody answered.
    pub observed: Option<Observed>,
}

/// One server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// Name of the node.
    pub name: String,
    /// Whether it is running.
    pub running: bool,
    /// Digest of the image it was given.
    pub image: Digest,
    /// Digest of the seed it was given.
    pub seed: Digest,
    /// Digest of the image it had before.
    pub previous_image: Option<Digest>,
    /// Whether the cluster has been healthy with this server once. From then on its data matters.
    pub formed: bool,
}

/// What the daemons say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    /// Name of the node that leads.
    pub leader: Option<String>,
    /// Conditions of a healthy cluster that are not met, as people read them.
    pub unmet: Vec<String>,
    /// Nodes that do not do what their roles say.
    pub sick: Vec<String>,
    /// The dynamic configuration in etcd.
    pub dynamic: Option<Value>,
}

impl Inventory {
    /// The server called `name`.
    pub fn server(&self, name: &str) -> Option<&Server> {
        self.servers.iter().find(|server| server.name == name)
    }
}
