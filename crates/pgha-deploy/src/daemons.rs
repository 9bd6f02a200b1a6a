//! What carrying a plan out needs of a cluster's daemons. Behind the real ones is [`Fleet`]; the
//! simulation has a model.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;

use pgha_core::cluster::{Node, Role};
use pgha_core::{Cluster, Object};
use serde_json::Value;

use crate::declare;
use crate::fleet::{Fleet, Link, NodeError};
use crate::health::Health;
use crate::secrets::Secrets;
use crate::units;

type Done = Result<(), NodeError>;

/// The daemons of a cluster.
pub trait Daemons: Sync {
    /// Asks every node at once.
    fn health(&self) -> impl Future<Output = Health> + Send;

    /// The dynamic configuration, from the first Patroni that answers.
    fn config(&self) -> impl Future<Output = Option<Value>> + Send;

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

    /// Replaces the dynamic configuration, through the first Patroni that takes it.
    fn set_config(&self, config: &Value) -> impl Future<Output = Done> + Send;

    /// Restarts PostgreSQL if a changed parameter waits for it; `false` when nothing waits.
    fn restart_if_pending(
        &self,
        node: &Node,
    ) -> impl Future<Output = Result<bool, NodeError>> + Send;

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

    async fn switchover(&self, from: &Node, to: Option<&str>) -> Done {
        let link = self.link(from).await?;
        link.patroni()?.switchover(&from.name, to).await.map(drop)
    }

    async fn set_config(&self, config: &Value) -> Done {
        let ask = |link: Arc<Link>| async move { link.patroni()?.set_config(config).await };
        self.first_answer(Role::Postgres, ask).await
    }

    async fn restart_if_pending(&self, node: &Node) -> Result<bool, NodeError> {
        self.link(node).await?.patroni()?.restart_if_pending().await
    }

    async fn make_room(&self) -> Done {
        for node in self.nodes.iter().filter(|node| node.role_set.has(Role::Etcd)) {
            self.link(node).await?.etcd()?.make_room().await?;
        }
        let disarm = |link: Arc<Link>| async move { link.etcd()?.disarm().await };
        self.first_answer(Role::Etcd, disarm).await
    }

    async fn declare(&self, leader: &Node, cluster: &Cluster, secrets: &Secrets) -> Done {
        Ok(declare::declare(&self.link(leader).await?.session, cluster, secrets).await?)
    }
}
