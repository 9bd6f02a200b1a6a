//! What must be true at the very moment of a step: the world may have moved since the last gate.

use std::time::Duration;

use pgha_platform::Provider;
use tokio::time::Instant;

use super::{ExecuteError, Executor};
use crate::daemons::Daemons;
use crate::units::STEADIES;

/// One late answer is no reason to stop, nor is a unit that crashed just now: it is looked at again
/// for so long.
const SETTLE: Duration = STEADIES;
const PAUSE: Duration = Duration::from_millis(500);

impl<P: Provider, D: Daemons> Executor<'_, P, D> {
    /// A failover may have made `node` the leader, or another node may have gone.
    pub(super) async fn can_be_spared(&self, node: &str) -> Result<(), ExecuteError> {
        let until = Instant::now() + SETTLE;
        loop {
            let health = self.operator.daemons.health().await;
            if health.leader().is_some_and(|leader| leader.name == node) {
                return Err(ExecuteError::Leads(node.to_owned()));
            }
            let mut others = health.lost(self.cluster());
            others.retain(|name| name != node);
            if others.is_empty() {
                return Ok(());
            }
            if Instant::now() > until {
                return Err(ExecuteError::Needed {
                    node: node.to_owned(),
                    sick: others.join(", "),
                });
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Whose PostgreSQL is restarted first depends on who leads, and so does what it costs.
    pub(super) async fn leads_as_planned(
        &self,
        node: &str,
        leads: bool,
    ) -> Result<(), ExecuteError> {
        let until = Instant::now() + SETTLE;
        loop {
            match self.leader().await {
                Ok(leader) if (leader.name == node) == leads => return Ok(()),
                Ok(_) => return Err(ExecuteError::LeaderMoved(node.to_owned())),
                Err(error) if Instant::now() > until => return Err(error),
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    /// The leader may have changed since the plan was made; then there is nothing to hand over. The
    /// one that is to lead may have fallen behind; then it stays as it is.
    pub(super) async fn switchover(
        &self,
        from: &str,
        to: Option<&str>,
    ) -> Result<(), ExecuteError> {
        let leader = self.leader().await?;
        if leader.name != from {
            tracing::info!("{} leads already", leader.name);
            return Ok(());
        }
        if let Some(to) = to {
            self.can_lead(to).await?;
        }
        let heir = to.unwrap_or("its synchronous replica");
        tracing::info!("handing the leadership from {from} to {heir}");
        Ok(self.operator.daemons.switchover(leader, to).await?)
    }

    async fn can_lead(&self, node: &str) -> Result<(), ExecuteError> {
        let (until, running) = (Instant::now() + SETTLE, self.running().await);
        while !self.operator.daemons.health().await.can_lead(&running, node) {
            if Instant::now() > until {
                return Err(ExecuteError::FellBehind(node.to_owned()));
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }
}
