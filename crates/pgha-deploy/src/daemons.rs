//! What carrying out a plan needs of a cluster's daemons. [`crate::fleet::Fleet`] talks to the real ones; the simulation has a model.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;

use pgha_core::Dynamic;
use pgha_core::cluster::Node;
use pgha_core::inventory::Ailment;
use pgha_core::{Cluster, Object};

use crate::health::{Candidate, Health};
use crate::node_error::NodeError;
use crate::secrets::Secrets;

type Done = Result<(), NodeError>;

/// What has not been taken of a configuration, by member.
pub type Untaken = BTreeMap<String, Vec<String>>;

/// The same, one entry per line.
pub(crate) fn per_member_lines(untaken: &Untaken) -> Vec<String> {
    let said = |(node, said): (&String, &Vec<String>)| {
        said.iter().map(|line| format!("{node}: {line}")).collect::<Vec<_>>()
    };
    untaken.iter().flat_map(said).collect()
}

/// The daemons of a cluster.
pub trait Daemons: Sync {
    /// Asks every node at once.
    fn health(&self) -> impl Future<Output = Health> + Send;

    /// The dynamic configuration, from the first Patroni that answers.
    fn config(&self) -> impl Future<Output = Option<Dynamic>> + Send;

    /// Whether etcd says that no bootstrap of PostgreSQL was completed, and that there is no leader. Patroni writes the dynamic
    /// configuration there first, then the leader.
    fn is_blank(&self, cluster: &Cluster) -> impl Future<Output = bool> + Send;

    /// What is inside PostgreSQL, as `leader` reports it.
    fn objects(
        &self,
        leader: &Node,
        cluster: &Cluster,
    ) -> impl Future<Output = Option<BTreeSet<Object>>> + Send;

    /// Failed units of a node with their last lines. Absent: it cannot be reached.
    fn failed_units(&self, node: &Node) -> impl Future<Output = Option<String>> + Send;

    /// Hands the leadership over. Poolers that pool transactions hold their clients back until the new leader takes their writes.
    fn switchover(&self, from: &Node, to: &Candidate) -> impl Future<Output = Done> + Send;

    /// PostgreSQL's objections to a dynamic configuration before it is written: whether it starts
    /// with it, and with what is in use. Empty: none.
    fn judge(&self, config: &Dynamic) -> impl Future<Output = Result<String, NodeError>> + Send;

    /// What these members have not taken of the dynamic configuration, or have in addition, in
    /// PostgreSQL's words. Empty: every member has taken all of it.
    fn not_taken(
        &self,
        members: &[&Node],
        config: &Dynamic,
    ) -> impl Future<Output = Untaken> + Send;

    /// What was changed on nodes since their boot, of their images and seeds.
    fn altered(&self, nodes: &[Node])
    -> impl Future<Output = BTreeMap<String, Vec<String>>> + Send;

    /// Rewrites the configuration files of a node's PostgreSQL, and empties `postgresql.auto.conf`.
    fn restore(&self, node: &Node) -> impl Future<Output = Done> + Send;

    /// What keeps clients from using declared roles and databases, as `leader` reports it.
    fn barred(&self, leader: &Node, cluster: &Cluster) -> impl Future<Output = Vec<String>> + Send;

    /// Replaces the dynamic configuration, through the first Patroni that takes it.
    fn set_config(&self, config: &Dynamic) -> impl Future<Output = Done> + Send;

    /// Restarts PostgreSQL if a changed parameter waits for it; `false` when nothing waits.
    fn restart_if_pending(
        &self,
        node: &Node,
    ) -> impl Future<Output = Result<bool, NodeError>> + Send;

    /// Replication slots that only the leader has. A new leader would have none of them.
    fn slots(&self, leader: &Node) -> impl Future<Output = Vec<String>> + Send;

    /// Starts units of a node. Units that are `unresponsive` are killed first. A pooler lets the clients through that it holds back.
    /// Returns when the start has begun.
    fn start(
        &self,
        node: &Node,
        units: &[String],
        unresponsive: &[String],
    ) -> impl Future<Output = Done> + Send;

    /// Restarts Patroni of a node, and its PostgreSQL with it.
    fn restart_patroni(&self, node: &Node) -> impl Future<Output = Done> + Send;

    /// What keeps the copy of a replica from becoming whole, if it will not become so by itself.
    fn ailment(&self, node: &Node, health: &Health)
    -> impl Future<Output = Option<Ailment>> + Send;

    /// Whether the etcd member of a node says that its data is lost.
    fn has_lost_member(&self, node: &Node) -> impl Future<Output = bool> + Send;

    /// Bytes that a node has of the database. Absent: it does not say.
    fn copied(&self, node: &Node) -> impl Future<Output = Option<u64>> + Send;

    /// Deletes PostgreSQL's data on a replica and copies it from the leader. Returns when that has
    /// begun.
    fn reclone(&self, node: &Node) -> impl Future<Output = Done> + Send;

    /// Lets the etcd member of a node join its cluster again, without its data. Returns when it has
    /// begun.
    fn rejoin_etcd(&self, node: &Node) -> impl Future<Output = Done> + Send;

    /// Drops etcd's old revisions, one member after the other, and ends its alarm.
    fn make_room(&self) -> impl Future<Output = Done> + Send;

    /// Brings what is inside PostgreSQL to what is declared, without dropping anything.
    fn declare(
        &self,
        leader: &Node,
        cluster: &Cluster,
        secrets: &Secrets,
    ) -> impl Future<Output = Done> + Send;
}
