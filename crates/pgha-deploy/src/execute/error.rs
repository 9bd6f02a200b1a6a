//! Why a plan was not carried out to its end.

use pgha_core::Digest;
use pgha_platform::ProviderError;
use pgha_platform::files::FileError;

use super::bounds::{BACK, JOINS, PATIENCE};
use crate::archive::ArchiveError;
use crate::gate::GateError;
use crate::node_error::NodeError;

/// Why a plan was not carried out to its end.
#[derive(Debug, thiserror::Error)]
pub enum ExecuteError {
    /// The provider failed.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// A node could not go back to what it runs, or ran.
    #[error("nothing was changed: `{node}` would have no way back")]
    NoWayBack {
        /// The node.
        node: String,
        /// Why.
        #[source]
        source: ArchiveError,
    },
    /// What a node should boot cannot be taken from the archive.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// A file could not be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The cluster did not become healthy.
    #[error(transparent)]
    Gate(#[from] GateError),
    /// A node could not be asked.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// A local node boots layers.
    #[error("image {} is a disk: local nodes boot layers", .0.short())]
    NoLayers(Digest),
    /// A seed could not be packed or read.
    #[error("cannot pack or unpack a seed")]
    Seed(#[from] std::io::Error),
    /// The plan names something the cluster file does not have.
    #[error("the plan names `{0}`, which the cluster file does not have")]
    Unknown(String),
    /// A node was given its previous image back.
    #[error(
        "`{node}` did not become healthy with its new image; {outcome}; no later node was touched\n{why}"
    )]
    Returned {
        /// The node.
        node: String,
        /// How it is now.
        outcome: String,
        /// What was wrong.
        why: String,
    },
    /// A node with something new did not become healthy. It could not be stopped to give it its
    /// previous image.
    #[error("`{node}` did not become healthy with its new image, and keeps it: {because}\n{why}")]
    Kept {
        /// The node.
        node: String,
        /// Why it was not stopped.
        because: String,
        /// What was wrong.
        why: String,
    },
    /// A node with something new did not become healthy, and what it ran before cannot be booted.
    #[error(
        "`{node}` did not become healthy with its new image, and has no way back: {because}\n{why}"
    )]
    NoReturn {
        /// The node.
        node: String,
        /// Why there is none.
        because: ArchiveError,
        /// What was wrong.
        why: String,
    },
    /// A changed dynamic configuration was set back.
    #[error("the changed configuration was taken back: {outcome}\n{why}")]
    SetBack {
        /// How it is now.
        outcome: String,
        /// What was wrong.
        why: String,
    },
    /// PostgreSQL would not run with the new configuration.
    #[error("nothing was changed: PostgreSQL would not take this configuration\n{0}")]
    Unfit(String),
    /// A member does not take the dynamic configuration, and there is none to go back to.
    #[error("the dynamic configuration is not in force everywhere\n{0}")]
    NotInForce(String),
    /// The configuration files of a node still differ after they were restored.
    #[error("its files were written anew, and still differ\n{0}")]
    NotRestored(String),
    /// A replica did not come back, and no other was stopped after it.
    #[error("PostgreSQL of `{0}` is not back after its restart; no other node was touched")]
    NotBack(String),
    /// A node that was booted does not answer.
    #[error("`{0}` was booted, and does not answer after {s} s; no other node was touched", s = JOINS.as_secs())]
    NotBooted(String),
    /// A node was changed again after it was booted.
    #[error("a node was changed again after it was booted; find out what changes it\n{0}")]
    StillAltered(String),
    /// Units that were started have stopped again, or still do not answer.
    #[error("{1} of `{0}` was started, and is not at work after {s} s; see `pgha logs {0}`", s = BACK.as_secs())]
    NotStarted(String, String),
    /// An etcd member started again without its data, and did not join the others.
    #[error("etcd of `{0}` has not joined the others within {s} s; no other node was touched", s = JOINS.as_secs())]
    NotJoined(String),
    /// A copy has stopped growing before it was whole.
    #[error(
        "the copy of `{0}` has not grown for {s} s, and is not whole; no other node was touched",
        s = PATIENCE.as_secs()
    )]
    NotCopied(String),
    /// A failover made the node the leader.
    #[error("`{0}` leads by now; it was not touched")]
    Leads(String),
    /// A failover happened while the plan was carried out.
    #[error("the leadership has moved since the plan was made; `{0}` was not touched")]
    LeaderMoved(String),
    /// The candidate is no longer fit to take over.
    #[error("the leadership was not handed over: {0}")]
    NoCandidate(String),
    /// Another node was lost while the plan was carried out.
    #[error(
        "`{node}` was not touched: {others} is not healthy or has no whole copy of the data, and the cluster could not bear the loss of another node"
    )]
    Needed {
        /// The node whose turn it was.
        node: String,
        /// The nodes because of which it cannot be spared.
        others: String,
    },
    /// The dynamic configuration could not be read. It is not changed, because it could not be set
    /// back.
    #[error("no Patroni returned the dynamic configuration; it was not changed")]
    NoConfig,
    /// The leader vanished between the gate and the step after it.
    #[error("the cluster has no leader")]
    NoLeader,
}
