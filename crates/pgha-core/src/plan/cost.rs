//! What a step costs the users of the cluster and its owner.

use serde::{Deserialize, Serialize};

use crate::cluster::{Cluster, Durability, Fault, PoolMode, Role};

/// What a step costs the users of the cluster and its owner. The default: nothing they notice.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// Writes stop for at most this many seconds. 0: they do not stop.
    pub writes_stop_seconds: u32,
    /// Whose sessions are cut.
    pub sessions_cut: Sessions,
    /// What becomes of a node's data.
    pub data: Data,
}

/// Whose sessions a step cuts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sessions {
    /// No session.
    #[default]
    None,
    /// Those through the node's HAProxy, and those that its PostgreSQL serves.
    OfNode,
    /// All that write.
    OfWriters,
    /// All that write, except those that a transaction pooler holds back meanwhile.
    OfWritersNotHeld,
}

/// What becomes of a node's data.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Data {
    /// It stays.
    #[default]
    Kept,
    /// There is none yet. The step takes disk space and memory.
    Begun,
    /// The node is not whole now. It may have to copy everything from the leader again.
    PerhapsCopiedAnew,
    /// The node's data is deleted and copied from the leader.
    CopiedAnew,
    /// There never was any data, and the volume is deleted.
    Empty,
    /// It is deleted for good.
    Deleted,
}

impl Cost {
    pub(super) const NODE: Self =
        Self { writes_stop_seconds: 0, sessions_cut: Sessions::OfNode, data: Data::Kept };
    pub(super) const BEGIN: Self =
        Self { writes_stop_seconds: 0, sessions_cut: Sessions::None, data: Data::Begun };
    pub(super) const EMPTY: Self =
        Self { writes_stop_seconds: 0, sessions_cut: Sessions::None, data: Data::Empty };
    pub(super) const DELETE: Self =
        Self { writes_stop_seconds: 0, sessions_cut: Sessions::OfNode, data: Data::Deleted };

    /// Writes stop for at most `seconds`, and every session that writes is cut.
    pub(super) fn writes_stop(seconds: f64) -> Self {
        let writes_stop_seconds = seconds.ceil() as u32;
        Self { writes_stop_seconds, sessions_cut: Sessions::OfWriters, data: Data::Kept }
    }

    /// The cost of handing the leadership to another node.
    pub(super) fn of_switchover(cluster: &Cluster) -> Self {
        let stop = Self::writes_stop(cluster.write_stop(Fault::Switchover).worst_seconds);
        match cluster.pgbouncer.pool_mode {
            PoolMode::Session => stop,
            PoolMode::Transaction => Self { sessions_cut: Sessions::OfWritersNotHeld, ..stop },
        }
    }

    /// The cost of stopping a node that does not lead. If commits wait for one particular replica,
    /// they wait until Patroni has chosen another.
    pub(super) fn of_stopped(cluster: &Cluster, durability: Durability, node: &str) -> Self {
        let replicas = cluster.replicas();
        let is_replica = cluster.node(node).is_some_and(|node| node.role_set.has(Role::Postgres));
        match is_replica && !durability.bears_a_stopped_replica(replicas) {
            true => {
                let stop = cluster.write_stop(Fault::ReplicaStopped).worst_seconds;
                Self { writes_stop_seconds: stop.ceil() as u32, ..Self::NODE }
            }
            false => Self::NODE,
        }
    }
}
