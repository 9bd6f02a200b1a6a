//! What a step does, and what it costs.

use serde::{Deserialize, Serialize};

use super::Cost;
use crate::digest::Digest;
use crate::dynamic::Dynamic;
use crate::object::Object;

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// What is done.
    #[serde(flatten)]
    pub action: Action,
    /// What it costs.
    pub cost: Cost,
}

impl Step {
    pub(super) fn new(action: Action, cost: Cost) -> Self {
        Self { action, cost }
    }

    pub(super) fn free(action: Action) -> Self {
        Self::new(action, Cost::default())
    }

    pub(super) fn gate(gate: Gate) -> Self {
        Self::free(Action::Gate(gate))
    }
}

/// What a step does. Every action may be repeated without harm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "kebab-case")]
pub enum Action {
    /// Make the network the nodes are on.
    CreateNetwork,
    /// Make a server with an empty data volume and boot it.
    CreateServer {
        /// Name of the node.
        node: String,
        /// Image it boots.
        image: Digest,
        /// Seed it is given.
        seed: Digest,
    },
    /// Stop a server and boot it with the same image and a new seed, because the certificates it has
    /// ended: without a leader, a lease or a gate, none of which there can be.
    Renew {
        /// Name of the node.
        node: String,
        /// Image it runs and will run.
        image: Digest,
        /// Seed it will have.
        seed: Digest,
    },
    /// Boot a server that is off.
    PowerOn {
        /// Name of the node.
        node: String,
    },
    /// Wait until the whole cluster is healthy.
    Gate(Gate),
    /// Stop a server and boot it with what it has.
    Reboot {
        /// Name of the node.
        node: String,
        /// Why nothing less helps, as people read it.
        why: String,
    },
    /// Start units of a node that somebody has stopped, restart those that do not answer, and let a
    /// pooler's clients through.
    Start {
        /// Name of the node.
        node: String,
        /// Their names.
        units: Vec<String>,
    },
    /// Restart Patroni of a node that got stuck, and its PostgreSQL with it.
    RestartPatroni {
        /// Name of the node.
        node: String,
        /// Whether it leads by then.
        leads: bool,
    },
    /// Write the configuration files of a node's PostgreSQL anew, as the dynamic configuration has
    /// them, and empty that of `ALTER SYSTEM`, which beats it. A copy of that stays beside it.
    Restore {
        /// Name of the node.
        node: String,
        /// What differs there, in PostgreSQL's words.
        differs: Vec<String>,
    },
    /// Take the etcd member of a node out of its cluster and let it join again, without the data that
    /// it lost or that it cannot start with.
    RejoinEtcd {
        /// Name of the node.
        node: String,
    },
    /// Delete PostgreSQL's data on a replica and copy it from the leader.
    Reclone {
        /// Name of the node.
        node: String,
        /// Why nothing less helps, as people read it.
        why: String,
    },
    /// Wait until a copy that is being made is whole, for as long as it grows.
    AwaitCopy {
        /// Name of the node.
        node: String,
    },
    /// Drop etcd's old revisions, give their space back, member by member, and end its alarm.
    MakeRoom,
    /// Create the declared roles, databases and extensions that are missing, and give databases to
    /// their declared owners.
    Declare {
        /// Those known to be missing. What pgha itself needs in a database is made as well.
        missing: Vec<Object>,
    },
    /// Mark every server as part of a formed cluster: from now on its data is never started from
    /// nothing again.
    Seal,
    /// Stop a server cleanly and boot it with another image or seed, on the same data volume.
    Rebuild {
        /// Name of the node.
        node: String,
        /// Image it runs now.
        from: Digest,
        /// Image it will run.
        image: Digest,
        /// Seed it has now.
        from_seed: Digest,
        /// Seed it will have.
        seed: Digest,
    },
    /// Like `Rebuild`, with the image and seed the server had before.
    Revert {
        /// Name of the node.
        node: String,
        /// Image it runs now.
        from: Digest,
        /// Image it had before.
        image: Digest,
        /// Seed it had before.
        seed: Digest,
    },
    /// Hand the leadership over.
    Switchover {
        /// Node that leads.
        from: String,
        /// Node that shall lead. Absent: whichever replica is the synchronous one by then; no other
        /// may.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<String>,
    },
    /// Replace the dynamic configuration in etcd.
    SetDynamic {
        /// What changes, as people read it.
        changes: Vec<String>,
        /// What is written.
        values: Dynamic,
    },
    /// Restart PostgreSQL of a node, through Patroni.
    Restart {
        /// Name of the node.
        node: String,
        /// Whether it leads by then. The order of the restarts depends on who does.
        leads: bool,
    },
    /// Delete a server and its data volume.
    DeleteServer {
        /// Name of the node.
        node: String,
    },
    /// Delete the network.
    DeleteNetwork,
}

impl Action {
    pub(super) fn disturbs(&self) -> bool {
        match self {
            Self::Rebuild { .. }
            | Self::Revert { .. }
            | Self::Switchover { .. }
            | Self::SetDynamic { .. }
            | Self::RestartPatroni { .. }
            | Self::Reboot { .. }
            | Self::Restore { .. }
            | Self::RejoinEtcd { .. }
            | Self::Reclone { .. }
            | Self::Restart { .. } => true,
            // What does not prove itself there is stopped and taken back.
            Self::Gate(gate) => !gate.proves.is_empty(),
            _ => false,
        }
    }

    /// The node that this rebuild gives something new, so that there is something to go back to.
    pub fn gives_new(&self) -> Option<&str> {
        match self {
            Self::Rebuild { node, from, image, from_seed, seed }
                if from != image || from_seed != seed =>
            {
                Some(node)
            }
            _ => None,
        }
    }
}

/// Health of the whole cluster as a condition: every unit runs, etcd complete, one leader, replicas
/// streaming, HAProxy routing, new sessions answered and able to write.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gate {
    /// Seconds to wait for it.
    pub within_seconds: u32,
    /// Seconds it must hold without a break.
    pub held_seconds: u32,
    /// Nodes whose image and seed have proven themselves once the gate opens. If it stays shut, the
    /// one that is sick gets back what it ran before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub proves: Vec<String>,
    /// Nodes that are known to be sick and whose turn is yet to come. Of them only etcd and
    /// PostgreSQL count.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub despite: Vec<String>,
}

impl Gate {
    /// A gate that proves nothing and overlooks nobody.
    pub fn new(within_seconds: u32, held_seconds: u32) -> Self {
        Self { within_seconds, held_seconds, ..Self::default() }
    }

    /// The same, where `nodes` have something new.
    #[must_use]
    pub fn proving(self, nodes: Vec<String>) -> Self {
        Self { proves: nodes, ..self }
    }

    /// The same, but `nodes` are known to be sick.
    #[must_use]
    pub fn despite(self, nodes: Vec<String>) -> Self {
        Self { despite: nodes, ..self }
    }
}
