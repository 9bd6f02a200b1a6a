//! What carrying a plan out needs of a cluster's daemons. Behind the real ones is [`Fleet`]; the
//! simulation has a model.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;

use futures_util::future::join_all;
use pgha_core::cluster::{Node, Role};
use pgha_core::inventory::Ailment;
use pgha_core::render::ETCD_PEER_PORT;
use pgha_core::{Cluster, Object};
use serde_json::Value;

use crate::barred;
use crate::candidate;
use crate::copy;
use crate::declare;
use crate::fleet::{Fleet, Link};
use crate::health::Health;
use crate::node_error::NodeError;
use crate::secrets::Secrets;
use crate::units;

type Done = Result<(), NodeError>;

/// Why a member has taken nothing, as far as anybody knows.
const UNTOLD: &str = "its PostgreSQL does not tell";

/// What has not been taken of a configuration, by member.
pub type Untaken = BTreeMap<String, Vec<String>>;

/// The same, one in each line.
pub(crate) fn told(untaken: &Untaken) -> Vec<String> {
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
    fn config(&self) -> impl Future<Output = Option<Value>> + Send;

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

    /// Hands the leadership over; `to` absent leaves the choice to Patroni.
    fn switchover(&self, from: &Node, to: Option<&str>) -> impl Future<Output = Done> + Send;

    /// What PostgreSQL says against a dynamic configuration before it is written: whether it starts
    /// with it, and with what is in use. Empty: nothing.
    fn judge(&self, config: &Value) -> impl Future<Output = Result<String, NodeError>> + Send;

    /// What any of these members has not taken of the dynamic configuration, or has beside it, in
    /// PostgreSQL's words. Empty: all of them have all of it.
    fn not_taken(&self, members: &[&Node], config: &Value) -> impl Future<Output = Untaken> + Send;

    /// Writes the configuration files of a node's PostgreSQL anew, and empties `postgresql.auto.conf`.
    fn restore(&self, node: &Node) -> impl Future<Output = Done> + Send;

    /// What declared roles and databases are kept from being used by, as `leader` has it.
    fn barred(&self, leader: &Node, cluster: &Cluster) -> impl Future<Output = Vec<String>> + Send;

    /// Replaces the dynamic configuration, through the first Patroni that takes it.
    fn set_config(&self, config: &Value) -> impl Future<Output = Done> + Send;

    /// Restarts PostgreSQL if a changed parameter waits for it; `false` when nothing waits.
    fn restart_if_pending(
        &self,
        node: &Node,
    ) -> impl Future<Output = Result<bool, NodeError>> + Send;

    /// Replication slots that are on the leader alone: whoever takes over has none of them.
    fn slots(&self, leader: &Node) -> impl Future<Output = Vec<String>> + Send;

    /// Starts units of a node; those that run are killed before, for they do not answer.
    fn start(&self, node: &Node, units: &[String]) -> impl Future<Output = Done> + Send;

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

impl Daemons for Fleet {
    async fn health(&self) -> Health {
        Health::observe(self).await
    }

    async fn config(&self) -> Option<Value> {
        let ask = |link: Arc<Link>| async move { link.patroni()?.config().await };
        self.first_answer(Role::Postgres, ask).await.ok()
    }

    async fn is_blank(&self, cluster: &Cluster) -> bool {
        let keys = ["config", "leader"].map(|key| format!("/service/{}/{key}", cluster.name));
        let keys = &keys;
        let ask = |link: Arc<Link>| async move { link.etcd()?.has_none(keys).await };
        self.anew(cluster).first_answer(Role::Etcd, ask).await.unwrap_or(false)
    }

    async fn objects(&self, leader: &Node, cluster: &Cluster) -> Option<BTreeSet<Object>> {
        let link = self.link(leader).await.ok()?;
        declare::existing(&link.session, cluster, self.secrets())
            .await
            .inspect_err(|error| tracing::debug!("{error}"))
            .ok()
    }

    async fn failed_units(&self, node: &Node) -> Option<String> {
        let link = self.link(node).await.ok()?;
        Some(units::report(&link.session, &link.units).await)
    }

    /// Any Patroni takes the request. Only one that cannot be reached leaves it to the next: another
    /// might have been carried out.
    async fn switchover(&self, from: &Node, to: Option<&str>) -> Done {
        let mut members = self.nodes.iter().collect::<Vec<_>>();
        members.sort_by_key(|node| node.name != from.name);
        let reached = async |link: Arc<Link>| Ok(link);
        let link = self.first_of(members, Role::Postgres, reached).await?;
        link.patroni()?.switchover(&from.name, to).await.map(drop)
    }

    async fn judge(&self, config: &Value) -> Result<String, NodeError> {
        let health = Health::observe(self).await;
        let leads = |node: &Node| health.leader().is_some_and(|leader| leader.name == node.name);
        match self.in_use(self.nodes.iter().find(|node| leads(node)), config).await {
            Ok(none) if none.is_empty() => {}
            Ok(in_use) => return Ok(in_use),
            // What is to be written may be the cure for just that.
            Err(error) => tracing::warn!("nobody says what clients have in use: {error}"),
        }
        // Replicas first: it takes room and memory for a moment.
        let mut members = self.nodes.iter().collect::<Vec<_>>();
        members.sort_by_key(|node| leads(node));
        let ask = |link: Arc<Link>| async move { candidate::judged(&link.session, config).await };
        self.first_of(members, Role::Postgres, ask).await
    }

    async fn not_taken(&self, members: &[&Node], config: &Value) -> Untaken {
        let asked = join_all(members.iter().map(async |node| {
            let said = match self.link(node).await {
                Ok(link) => {
                    candidate::not_taken(&link.session, config).await.map_err(NodeError::from)
                }
                Err(error) => Err(error),
            };
            let said = said.inspect_err(|error| tracing::debug!("{error}"));
            (node.name.clone(), said.unwrap_or_else(|_| vec![UNTOLD.to_owned()]))
        }));
        asked.await.into_iter().filter(|(_, said)| !said.is_empty()).collect()
    }

    async fn restore(&self, node: &Node) -> Done {
        let link = self.link(node).await?;
        candidate::clear(&link.session).await?;
        // Through Patroni, which writes the other files anew, and finds out what waits for a restart.
        link.patroni()?.reload().await
    }

    async fn barred(&self, leader: &Node, cluster: &Cluster) -> Vec<String> {
        let Ok(link) = self.link(leader).await else { return Vec::new() };
        let asked = barred::barred(&link.session, cluster).await;
        asked.inspect_err(|error| tracing::debug!("{error}")).unwrap_or_default()
    }

    async fn set_config(&self, config: &Value) -> Done {
        let ask = |link: Arc<Link>| async move { link.patroni()?.set_config(config).await };
        self.first_answer(Role::Postgres, ask).await
    }

    async fn restart_if_pending(&self, node: &Node) -> Result<bool, NodeError> {
        self.link(node).await?.patroni()?.restart_if_pending().await
    }

    async fn slots(&self, leader: &Node) -> Vec<String> {
        let members = self.nodes.iter().filter(|node| node.role_set.has(Role::Postgres));
        let members = members.map(|node| node.name.clone()).collect::<Vec<_>>();
        let Ok(link) = self.link(leader).await else { return Vec::new() };
        declare::slots(&link.session, &members).await.unwrap_or_default()
    }

    async fn start(&self, node: &Node, units: &[String]) -> Done {
        let link = self.link(node).await?;
        let units = units.iter().map(String::as_str).collect::<Vec<_>>();
        // What hangs heeds no other signal. systemd complains of a unit that does not run.
        let kill = [&["systemctl", "kill", "--signal=KILL"], &units[..]].concat();
        let _ = link.session.run(&kill, b"").await;
        let start = [&["systemctl", "start"], &units[..]].concat();
        Ok(link.session.run(&start, b"").await.map(drop)?)
    }

    async fn restart_patroni(&self, node: &Node) -> Done {
        let link = self.link(node).await?;
        Ok(link.session.run(&["systemctl", "restart", "patroni.service"], b"").await.map(drop)?)
    }

    async fn ailment(&self, node: &Node, health: &Health) -> Option<Ailment> {
        let link = self.link(node).await.ok()?;
        copy::ailment(&link.session, health.nodes[&node.name].instance.as_ref()?).await
    }

    async fn has_lost_member(&self, node: &Node) -> bool {
        match self.link(node).await {
            Ok(link) => copy::has_lost_member(&link.session).await,
            Err(_) => false,
        }
    }

    async fn copied(&self, node: &Node) -> Option<u64> {
        copy::size(&self.link(node).await.ok()?.session).await
    }

    async fn reclone(&self, node: &Node) -> Done {
        self.link(node).await?.patroni()?.reinitialize().await
    }

    async fn rejoin_etcd(&self, node: &Node) -> Done {
        let link = self.link(node).await?;
        let run = async |command: &str| {
            let command = command.split(' ').collect::<Vec<_>>();
            link.session.run(&command, b"").await.map(drop)
        };
        run("systemctl stop etcd.service").await?;
        let peer = format!("https://{}:{ETCD_PEER_PORT}", node.address);
        let others = self.nodes.iter().filter(|other| other.name != node.name).collect();
        let replace = async |link: Arc<Link>| link.etcd()?.replace_member(&node.name, &peer).await;
        self.first_of(others, Role::Etcd, replace).await?;
        run("runuser -u etcd -- /bin/sh /etc/pgha/lib/pgha-etcd forget").await?;
        Ok(run("systemctl start --no-block etcd.service").await?)
    }

    async fn make_room(&self) -> Done {
        let members = self.nodes.iter().filter(|node| node.role_set.has(Role::Etcd));
        for node in members {
            // One that is away takes its turn when it is back and raises the alarm again.
            let room = async { self.link(node).await?.etcd()?.make_room().await };
            if let Err(error) = room.await {
                tracing::warn!("{}: {error}", node.name);
            }
        }
        let disarm = |link: Arc<Link>| async move { link.etcd()?.disarm().await };
        self.first_answer(Role::Etcd, disarm).await
    }

    async fn declare(&self, leader: &Node, cluster: &Cluster, secrets: &Secrets) -> Done {
        Ok(declare::declare(&self.link(leader).await?.session, cluster, secrets).await?)
    }
}

impl Fleet {
    /// What clients have in use on the leader and could not keep with a dynamic configuration.
    async fn in_use(&self, leader: Option<&Node>, config: &Value) -> Result<String, NodeError> {
        let leader = leader.ok_or(NodeError::Absent("the leader"))?;
        Ok(candidate::in_use(&self.link(leader).await?.session, config).await?)
    }
}
