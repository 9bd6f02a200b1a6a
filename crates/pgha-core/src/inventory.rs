//! The world as observed: servers as their provider knows them.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// What a provider knows of a cluster. Its labels are the only state pgha keeps of a server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inventory {
    /// The servers, by name.
    pub servers: Vec<Server>,
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
    /// Whether the cluster has been healthy with this server once. From then on its data matters.
    pub formed: bool,
}

impl Inventory {
    /// The server called `name`.
    pub fn server(&self, name: &str) -> Option<&Server> {
        self.servers.iter().find(|server| server.name == name)
    }
}
