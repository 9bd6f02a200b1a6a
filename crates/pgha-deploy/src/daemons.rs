//! What carrying a plan out needs of a cluster's daemons. Behind the real ones is [`crate::fleet::Fleet`]; the
//! simulation has a model.

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

/// The same, one in each line.
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

    /// Whether etcd says that no bootstrap of PostgreSQL has come to its end, and that nobody leads:
    /// Patroni writes the dynamic configuration there first, then the leader.
    fn is_blank(&self, cluster: &Cluster) -> impl Future<Output = bool> + Send;

    /// What is inside PostgreSQL, as `leader` has it.
    fn objects(
        &self,
        leader: &Node,
        cluster: &Cluster,
    ) -> impl Future<Output = Option<BTreeSet<Object>>> + Send;

    /// Failed units of a node with their last lines. Absent: it cannot be reached.
    fn failed_units(&self, node: &Node) -> impl Future<Output = Option<String>> + Send;

    /// Hands the leadership over. Clients of poolers of transactions are held back until the other one
    /// takes their writes.
    fn switchover(&self, from: &Node, to: &Candidate) -> impl Future<Output = Done> + Send;

    /// What PostgreSQL says against a dynamic configuration before it is written: whether it starts
    /// with it, and with what is in use. Empty: nothing.
    fn judge(&self, config: &Dynamic) -> impl Future<Output = Result<String, NodeError>> + Send;

    /// What any of these members has not taken of the dynamic configuration, or has beside it, in
    /// PostgreSQL's words. Empty: all of them have all of it.
    fn not_taken(
        &self,
        members: &[&Node],
        config: &Dynamic,
    ) -> impl Future<Output = Untaken> + Send;

    /// What somebody has changed on nodes since their boot, of their images and seeds.
    fn altered(&self, nodes: &[Node])
    -> impl Future<Output = BTreeMap<String, Vec<String>>> + Send;

    /// Writes the configuration files of a node's PostgreSQL anew, and empties `postgresql.auto.conf`.
    fn restore(&self, node: &Node) -> impl Future<Output = Done> + Send;

    /// What declared roles and databases are kept from being used by, as `leader` has it.
    fn barred(&self, leader: &Node, cluster: &Cluster) -> impl Future<Output = Vec<String>> + Send;

    /// Replaces the dynamic configuration, through the first Patroni that takes it.
    fn set_config(&self, config: &Dynamic) -> impl Future<Output = Done> + Send;

    /// Restarts PostgreSQL if a changed parameter waits for it; `false` when nothing waits.
    fn restart_if_pending(
        &self,
        node: &Node,
    ) -> impl Future<Output = Result<bool, NodeError>> + Send;

    /// Replication slots that are on the leader alone: whoever takes over has none of them.
    fn slots(&self, leader: &Node) -> impl Future<Output = Vec<String>> + Send;

    /// Starts units of a node; those of them that are `unresponsive` are killed before, and a pooler lets through
    /// whom it holds back. Returns when that has begun.
    fn start(
        &self,
        node: &Node,
        units: &[String],
        unresponsive: &[String],
    ) -> impl Future<Output = Done> + Send;

    /// Restarts Patroni of a node, and its PostgreSQL with it.
    fn restart_patroni(&self, node: &Node) -> impl Future<Output = Done> + Send;

    /// What keeps the copy of a replica from becoming whole, if it does not look like it will.
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

    /// Makes what is inside PostgreSQL what is declared, without dropping anything.
    fn declare(
        &self,
        leader: &Node,
        cluster: &Cluster,
        secrets: &Secrets,
    ) -> impl Future<Output = Done> + Send;
}
