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
    /// Stop a server whose certificates have expired and boot it with the same image and a new
    /// seed. This needs no leader, no lease and no gate: with expired certificates there can be
    /// none of them.
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
    /// Stop a server and boot it again with its current image and seed.
    Reboot {
        /// Name of the node.
        node: String,
        /// Why a smaller step does not help, for people.
        why: String,
    },
    /// Start units of a node that were stopped by hand, restart those that do not answer, and let
    /// the clients of a pooler through.
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
        /// Whether the node leads when this step runs.
        leads: bool,
    },
    /// Write the configuration files of a node's PostgreSQL again, from the dynamic configuration.
    /// Empty the file of `ALTER SYSTEM`, which overrides them; a copy of it stays beside it.
    Restore {
        /// Name of the node.
        node: String,
        /// What differs there, in PostgreSQL's words.
        differs: Vec<String>,
    },
    /// Remove a node's etcd member from its cluster and let it join again without its old data,
    /// which it lost or cannot start with.
    RejoinEtcd {
        /// Name of the node.
        node: String,
    },
    /// Delete PostgreSQL's data on a replica and copy it from the leader.
    Reclone {
        /// Name of the node.
        node: String,
        /// Why a smaller step does not help, for people.
        why: String,
    },
    /// Wait until a copy in progress is whole. The wait lasts as long as the copy grows.
    AwaitCopy {
        /// Name of the node.
        node: String,
    },
    /// Compact etcd's old revisions, defragment its members one by one, and disarm its alarm.
    MakeRoom,
    /// Create the declared roles, databases and extensions that are missing, and give databases to
    /// their declared owners.
    Declare {
        /// Objects known to be missing. What pgha itself needs in a database is created as well.
        missing: Vec<Object>,
    },
    /// Mark every server as part of a formed cluster: from then on none of them may start with an
    /// empty data volume.
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
        /// Node that is to lead. Absent: the replica that is synchronous when the step runs; no
        /// other one may.
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
        /// Whether the node leads when this step runs. The order of the restarts depends on it.
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
            // A node that does not prove itself at this gate is stopped and taken back.
            Self::Gate(gate) => !gate.proves.is_empty(),
            _ => false,
        }
    }

    /// The node, if this rebuild gives it another image or seed. Only then is there something to go
    /// back to.
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
    /// Nodes that are known to be sick and whose turn is still to come. The gate judges only their
    /// etcd and PostgreSQL.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub despite: Vec<String>,
}

impl Gate {
    /// A gate that proves no node and overlooks no sick node.
    pub fn new(within_seconds: u32, held_seconds: u32) -> Self {
        Self { within_seconds, held_seconds, ..Self::default() }
    }

    /// The same, but it also proves `nodes`, which were given something new.
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
