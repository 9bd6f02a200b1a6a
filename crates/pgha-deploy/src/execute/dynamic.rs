//! A changed dynamic configuration: judged before it is written, taken by every member afterwards.

use std::time::Duration;

use pgha_core::Dynamic;
use pgha_core::cluster::{Node, Role};
use pgha_core::plan::{Action, Gate};
use pgha_platform::Provider;
use tokio::time::Instant;

use super::bounds::BACK;
use super::{ExecuteError, Executor};
use crate::daemons::{Daemons, Untaken, per_member_lines};
use crate::health::Health;
use crate::instance::Instance;
use crate::observe;

const PAUSE: Duration = Duration::from_millis(250);

/// Seconds that a gate may take after a configuration was set back.
const BACK_SECONDS: u32 = 120;

/// How long to watch a PostgreSQL that seems to hang. A replica retries its leader within 5 s
/// (`wal_retrieve_retry_interval`).
const HANGS: Duration = Duration::from_secs(10);

impl<P: Provider, D: Daemons> Executor<'_, P, D> {
    /// Writes a dynamic configuration. `previous`: what to go back to if a member does not take it.
    /// Absent: the old one is not worth going back to.
    pub(super) async fn set_dynamic(
        &self,
        changes: &[String],
        wanted: &Dynamic,
        previous: Option<&Dynamic>,
    ) -> Result<(), ExecuteError> {
        let daemons = self.operator.daemons;
        let against = daemons.judge(wanted).await?;
        if !against.is_empty() {
            return Err(ExecuteError::Unfit(against));
        }
        tracing::info!("dynamic configuration: {}", changes.join(", "));
        daemons.set_config(wanted).await?;
        // A member that hangs is restarted by a later step; it is not judged here.
        let hung = !daemons.health().await.hung(self.cluster()).is_empty();
        let members = self.cluster().nodes_with(Role::Postgres).collect::<Vec<_>>();
        match (self.not_taken(&members, wanted).await, previous) {
            (None, _) => Ok(()),
            (Some(why), Some(previous)) => {
                self.set_back(&Gate::new(BACK_SECONDS, 0), previous, &why).await
            }
            (Some(_), None) if hung => Ok(()),
            (Some(why), None) => Err(ExecuteError::NotInForce(why)),
        }
    }

    /// What some member has not taken by the time every member should have.
    async fn not_taken(&self, members: &[&Node], config: &Dynamic) -> Option<String> {
        let read_by = self.read_by();
        loop {
            let untaken = self.operator.daemons.not_taken(members, config).await;
            if untaken.is_empty() || Instant::now() > read_by {
                return why(&untaken);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Rewrites the configuration files of a node. If the plan also replaces what is in etcd, a failure is only a warning: that may be
    /// exactly what the node cannot take.
    pub(super) async fn restore(&self, node: &Node) -> Result<(), ExecuteError> {
        tracing::info!("{}: writing PostgreSQL's configuration anew", node.name);
        let daemons = self.operator.daemons;
        daemons.restore(node).await?;
        let config = daemons.config().await.ok_or(ExecuteError::NoConfig)?;
        let sets = |action: &Action| matches!(action, Action::SetDynamic { .. });
        let goes_on = self.plan.steps.iter().any(|step| sets(&step.action));
        let untaken = self.not_taken(&[node], &config).await;
        // Patroni reports what waits for a restart now only after its next round.
        tokio::time::sleep(Duration::from_secs(u64::from(self.cluster().timing.loop_wait))).await;
        match untaken {
            Some(why) if !goes_on => Err(ExecuteError::NotRestored(why)),
            Some(why) => {
                tracing::warn!("{why}");
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Whether PostgreSQL of a node hangs in every one of several looks. In a single look, the machine may be busy, or the replica may have
    /// just lost its leader.
    async fn hangs_on(&self, name: &str) -> bool {
        let works = |health: &Health| !health.hung(self.cluster()).iter().any(|hung| hung == name);
        !self.wait_until(HANGS, PAUSE, works).await
    }

    /// Starts units, and waits until they are at work.
    pub(super) async fn start(&self, node: &Node, units: &[String]) -> Result<(), ExecuteError> {
        let (daemons, named) = (self.operator.daemons, units.join(", "));
        let idle = |health: &Health| {
            let idle = health.idle(self.cluster()).remove(&node.name).unwrap_or_default();
            idle.into_iter().filter(|unit| units.contains(unit)).collect::<Vec<_>>()
        };
        // They may have been started meanwhile. A unit that runs and works is left alone.
        let health = daemons.health().await;
        let (idle_now, unresponsive) = (idle(&health), health.unresponsive(node));
        if idle_now.is_empty() {
            return Ok(());
        }
        tracing::info!("{}: starting {}", node.name, idle_now.join(", "));
        let unresponsive =
            unresponsive.into_iter().filter(|unit| idle_now.contains(unit)).collect::<Vec<_>>();
        daemons.start(node, &idle_now, &unresponsive).await?;
        let started = self.wait_until(BACK, PAUSE, |health| idle(health).is_empty()).await;
        started.then_some(()).ok_or_else(|| ExecuteError::NotStarted(node.name.clone(), named))
    }

    /// Restarts Patroni and waits until PostgreSQL is back, because the next one must not be
    /// stopped before.
    pub(super) async fn restart_patroni(
        &self,
        name: &str,
        leads: bool,
    ) -> Result<(), ExecuteError> {
        // A failover may have happened since, and the node before this one may not be back.
        self.leads_as_planned(name, leads).await?;
        let daemons = self.operator.daemons;
        if !self.hangs_on(name).await {
            tracing::info!("{name}: its PostgreSQL is left as it is: it is at work by now");
            return Ok(());
        }
        tracing::info!("{name}: restarting Patroni and PostgreSQL");
        daemons.restart_patroni(self.node(name)?).await?;
        let runs = |health: &Health| {
            let instance = health.instance(name);
            instance.is_some_and(Instance::runs)
        };
        let back = self.wait_until(BACK, PAUSE, runs).await;
        back.then_some(()).ok_or_else(|| ExecuteError::NotBack(name.to_owned()))
    }

    /// Restarts PostgreSQL. `previous`: what to go back to if no restart is pending, because the
    /// member never took the configuration.
    pub(super) async fn restart(
        &self,
        name: &str,
        leads: bool,
        previous: Option<&Dynamic>,
    ) -> Result<(), ExecuteError> {
        match (self.restart_pending(name, leads).await?, previous) {
            (None, _) => Ok(()),
            (Some(why), Some(previous)) => {
                self.set_back(&Gate::new(BACK_SECONDS, 0), previous, &why).await
            }
            (Some(why), None) => Err(ExecuteError::NotInForce(why)),
        }
    }

    /// Restarts PostgreSQL. If no restart is pending, returns what the member has not taken of the
    /// configuration.
    pub(super) async fn restart_pending(
        &self,
        name: &str,
        leads: bool,
    ) -> Result<Option<String>, ExecuteError> {
        self.leads_as_planned(name, leads).await?;
        tracing::info!("{name}: restarting PostgreSQL");
        let (daemons, node) = (self.operator.daemons, self.node(name)?);
        // A restart before the member has read the new configuration would bring back the old
        // values.
        let read_by = self.read_by();
        while !daemons.restart_if_pending(node).await? {
            if Instant::now() > read_by {
                let config = daemons.config().await.ok_or(ExecuteError::NoConfig)?;
                return Ok(why(&daemons.not_taken(&[node], &config).await));
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(None)
    }

    fn read_by(&self) -> Instant {
        Instant::now() + Duration::from_secs(u64::from(self.read_within()))
    }

    /// Seconds within which every member has read a new configuration. A member reads it once per
    /// `loop_wait`.
    pub(super) fn read_within(&self) -> u32 {
        2 * self.cluster().timing.loop_wait + 2
    }

    /// The dynamic configuration, if it is worth going back to. It is not if a PostgreSQL does not run with it, or if it has never held a
    /// gate.
    pub(super) async fn good_config(&self) -> Result<Option<Dynamic>, ExecuteError> {
        let daemons = self.operator.daemons;
        if !daemons.health().await.stuck().is_empty() {
            return Ok(None);
        }
        let config = daemons.config().await.ok_or(ExecuteError::NoConfig)?;
        let servers = observe::servers(self.operator.provider).await?;
        Ok(Some(config).filter(|config| !servers.is_unproven(config)))
    }

    /// Notes that the cluster is healthy with its dynamic configuration. Does nothing while a
    /// member waits for a restart to apply it.
    pub(super) async fn prove_dynamic(&self) -> Result<(), ExecuteError> {
        let daemons = self.operator.daemons;
        let waits = daemons.health().await.view().is_none_or(|view| view.waits_for_restart());
        match daemons.config().await.filter(|_| !waits) {
            Some(config) => {
                let digest = config.digest();
                self.note_all(|server| server.dynamic = Some(digest.clone())).await
            }
            None => Ok(()),
        }
    }

    /// Whether the plan changes the dynamic configuration.
    pub(super) fn changes_dynamic(&self) -> bool {
        let sets =
            |action: &Action| matches!(action, Action::SetDynamic { .. } | Action::Restart { .. });
        self.plan.steps.iter().any(|step| sets(&step.action))
    }
}

/// One entry per line.
pub(super) fn why(untaken: &Untaken) -> Option<String> {
    (!untaken.is_empty()).then(|| per_member_lines(untaken).join("\n"))
}
