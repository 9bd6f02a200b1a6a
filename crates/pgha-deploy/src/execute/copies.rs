//! Deletes data that has a better copy elsewhere. Never deletes a copy that has become whole since the plan was made, or whose problem has
//! changed.

use std::time::Duration;

use pgha_core::cluster::Node;
use pgha_core::inventory::Ailment;
use pgha_platform::Provider;
use tokio::time::Instant;

use super::bounds::{JOINS, PATIENCE};
use super::dynamic::why;
use super::{ExecuteError, Executor};
use crate::copy::Copies;
use crate::daemons::Daemons;
use crate::health::Health;
use crate::observe;

const PAUSE: Duration = Duration::from_secs(2);

/// A booting node answers within this time, or not at all.
const BOOTS: Duration = Duration::from_secs(60);

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
        daemons.rejoin_etcd(node).await?;
        self.joined(node).await
    }

    /// Waits until its etcd member has joined the others. Whether it still crashes is for the next look to find out.
    async fn joined(&self, node: &Node) -> Result<(), ExecuteError> {
        let joined = |health: &Health| {
            let member = health.nodes.get(&node.name).and_then(|node| node.etcd.as_ref());
            member.is_some_and(|member| member.has_leader)
        };
        let joined = self.wait_until(JOINS, PAUSE, joined).await;
        joined.then_some(()).ok_or_else(|| ExecuteError::NotJoined(node.name.clone()))
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

    /// Reboots a node that crashed, hangs or was changed. Waits first, because it may only be
    /// booting.
    pub(super) async fn reboot(&self, node: &Node) -> Result<(), ExecuteError> {
        let daemons = self.operator.daemons;
        let until = Instant::now() + BOOTS;
        tracing::info!("{}: looking again, for at most {} s", node.name, BOOTS.as_secs());
        loop {
            let health = daemons.health().await;
            let ailing = observe::ailing(daemons, self.cluster(), &health).await;
            match ailing.get(&node.name) {
                Some(Ailment::Silent) if Instant::now() < until => tokio::time::sleep(PAUSE).await,
                Some(Ailment::Silent | Ailment::Leftover) => break,
                _ if !daemons.altered(std::slice::from_ref(node)).await.is_empty() => break,
                _ => {
                    tracing::info!("{}: it is left as it is: it answers by now", node.name);
                    return Ok(());
                }
            }
        }
        self.can_be_spared(&node.name).await?;
        tracing::info!("{}: stopping, then booting it as it is", node.name);
        self.operator.provider.reboot(&node.name).await?;
        self.is_as_booted(node).await
    }

    /// Checks that the node is as it booted. Otherwise it would be rebooted forever if something
    /// changed it after every boot.
    async fn is_as_booted(&self, node: &Node) -> Result<(), ExecuteError> {
        let answers = |health: &Health| {
            health.nodes.get(&node.name).is_some_and(|heard| heard.unreachable.is_none())
        };
        if !self.wait_until(JOINS, PAUSE, answers).await {
            return Err(ExecuteError::NotBooted(node.name.clone()));
        }
        let altered = self.operator.daemons.altered(std::slice::from_ref(node)).await;
        why(&altered).map_or(Ok(()), |altered| Err(ExecuteError::StillAltered(altered)))
    }

    /// Waits as long as the copy grows, because the next one must not begin before.
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
