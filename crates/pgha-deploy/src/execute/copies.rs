//! Data that is deleted, because a better copy is elsewhere. Never one that has become whole since the
//! plan was made, or whose trouble is another one by now.

use std::time::Duration;

use pgha_core::cluster::Node;
use pgha_core::inventory::Ailment;
use pgha_platform::Provider;
use tokio::time::Instant;

use super::{ExecuteError, Executor};
use crate::copy::Copies;
use crate::daemons::Daemons;
use crate::observe;

const PAUSE: Duration = Duration::from_secs(2);

/// Nothing grows before a copy is begun, nor while PostgreSQL replays what was written during it.
const PATIENCE: Duration = Duration::from_secs(240);

impl<P: Provider, D: Daemons> Executor<'_, P, D> {
    pub(super) async fn rejoin_etcd(&self, node: &Node) -> Result<(), ExecuteError> {
        let daemons = self.operator.daemons;
        let health = daemons.health().await;
        if observe::etcd_lost(daemons, self.cluster(), &health).await != Some(&node.name) {
            tracing::info!(
                "{}: its etcd member is left as it is: it runs by now, or another one is lost",
                node.name
            );
            return Ok(());
        }
        tracing::info!("{}: its etcd member joins again, without its data", node.name);
        Ok(daemons.rejoin_etcd(node).await?)
    }

    pub(super) async fn reclone(&self, node: &Node) -> Result<(), ExecuteError> {
        self.leads_as_planned(&node.name, false).await?;
        let daemons = self.operator.daemons;
        let health = daemons.health().await;
        let ailing = observe::ailing(daemons, self.cluster(), &health).await;
        if !matches!(ailing.get(&node.name), Some(Ailment::Behind | Ailment::Damaged(_))) {
            tracing::info!(
                "{}: its data is left as it is: it runs by now, or fails for another reason",
                node.name
            );
            return Ok(());
        }
        tracing::info!("{}: deleting its data, copying it from the leader", node.name);
        daemons.reclone(node).await?;
        self.copied(node).await
    }

    /// Waits as long as the copy grows: the next one is not to be begun before.
    pub(super) async fn copied(&self, node: &Node) -> Result<(), ExecuteError> {
        let (daemons, mut copies) = (self.operator.daemons, Copies::default());
        let mut grown = Instant::now();
        loop {
            tokio::time::sleep(PAUSE).await;
            let health = daemons.health().await;
            if health.leads_or_streams(node) {
                return Ok(());
            }
            if copies.grow(daemons, &health, self.cluster()).await {
                grown = Instant::now();
            } else if grown.elapsed() > PATIENCE {
                return Err(ExecuteError::NotCopied(node.name.clone()));
            }
        }
    }
}
