//! Data that is deleted, because a better copy is elsewhere. Never one that has become whole since the
//! plan was made.

use pgha_core::cluster::Node;
use pgha_platform::Provider;

use super::{ExecuteError, Executor};
use crate::daemons::Daemons;

impl<P: Provider, D: Daemons> Executor<'_, P, D> {
    pub(super) async fn rejoin_etcd(&self, node: &Node) -> Result<(), ExecuteError> {
        let daemons = self.operator.daemons;
        if !daemons.health().await.etcd_stuck(self.cluster()).contains(&node.name) {
            tracing::info!("{}: its etcd member is back", node.name);
            return Ok(());
        }
        tracing::info!("{}: its etcd member joins again, without its data", node.name);
        Ok(daemons.rejoin_etcd(node).await?)
    }

    pub(super) async fn reclone(&self, node: &Node) -> Result<(), ExecuteError> {
        self.leads_as_planned(&node.name, false).await?;
        let daemons = self.operator.daemons;
        let health = daemons.health().await;
        if !health.lacks_its_copy(node) {
            tracing::info!("{}: its copy is whole by now", node.name);
            return Ok(());
        }
        tracing::info!("{}: deleting its data, copying it from the leader", node.name);
        Ok(daemons.reclone(node).await?)
    }
}
