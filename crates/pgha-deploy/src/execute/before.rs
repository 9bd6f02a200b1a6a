//! What must be true at the very moment of a step, because the cluster may have changed since the
//! last gate.

use std::time::Duration;

use pgha_platform::Provider;
use tokio::time::Instant;

use super::{ExecuteError, Executor};
use crate::daemons::Daemons;
use crate::health::{Candidate, Health};
use crate::units::STEADIES;

/// How long to look again. One late answer is no reason to stop, nor is a unit that crashed just
/// now.
const SETTLE: Duration = STEADIES;
const PAUSE: Duration = Duration::from_millis(500);

/// What one look at the cluster means for a step.
enum Look<T = ()> {
    GoOn(T),
    /// The problem may pass.
    NotYet(ExecuteError),
    Stop(ExecuteError),
}

impl<P: Provider, D: Daemons> Executor<'_, P, D> {
    /// Looks until `judge` decides. A problem that may pass gets `SETTLE` to do so.
    async fn look<T>(&self, judge: impl Fn(&Health) -> Look<T>) -> Result<T, ExecuteError> {
        let until = Instant::now() + SETTLE;
        loop {
            match judge(&self.operator.daemons.health().await) {
                Look::GoOn(found) => return Ok(found),
                Look::Stop(error) => return Err(error),
                Look::NotYet(error) if Instant::now() > until => return Err(error),
                Look::NotYet(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    /// Looks until `so` holds for the cluster. Returns whether it did within `limit`.
    pub(super) async fn wait_until(
        &self,
        limit: Duration,
        pause: Duration,
        so: impl Fn(&Health) -> bool,
    ) -> bool {
        let until = Instant::now() + limit;
        while !so(&self.operator.daemons.health().await) {
            if Instant::now() > until {
                return false;
            }
            tokio::time::sleep(pause).await;
        }
        true
    }

    /// Checks that the cluster can spare `node`. A failover may have made it the leader, or another
    /// node may be lost.
    pub(super) async fn can_be_spared(&self, node: &str) -> Result<(), ExecuteError> {
        let judge = |health: &Health| {
            if health.leader().is_some_and(|leader| leader.name == node) {
                return Look::Stop(ExecuteError::Leads(node.to_owned()));
            }
            let mut others = health.lost(self.cluster());
            others.retain(|name| name != node);
            let (node, names) = (node.to_owned(), others.join(", "));
            if others.is_empty() {
                Look::GoOn(())
            } else {
                Look::NotYet(ExecuteError::Needed { node, others: names })
            }
        };
        self.look(judge).await
    }

    /// Checks that the leader is as planned. The order of restarts depends on it, and so does their
    /// cost.
    pub(super) async fn leads_as_planned(
        &self,
        node: &str,
        leads: bool,
    ) -> Result<(), ExecuteError> {
        let judge = |health: &Health| match health.leader() {
            Some(leader) if (leader.name == node) == leads => Look::GoOn(()),
            Some(_) => Look::Stop(ExecuteError::LeaderMoved(node.to_owned())),
            None => Look::NotYet(ExecuteError::NoLeader),
        };
        self.look(judge).await
    }

    /// Hands the leadership over. If the leader has changed since the plan was made, there is
    /// nothing to do. If the candidate has fallen behind, the leader stays as it is.
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
        let candidate = self.candidate(to).await?;
        tracing::info!("handing the leadership from {from} to {}", candidate.name());
        Ok(self.operator.daemons.switchover(leader, &candidate).await?)
    }

    async fn candidate(&self, wanted: Option<&str>) -> Result<Candidate, ExecuteError> {
        let running = self.running().await;
        let judge = |health: &Health| match health.candidate(&running, wanted) {
            Ok(candidate) => Look::GoOn(candidate),
            Err(why) => Look::NotYet(ExecuteError::NoCandidate(why)),
        };
        self.look(judge).await
    }
}
