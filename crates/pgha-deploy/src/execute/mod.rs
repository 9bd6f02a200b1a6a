//! Carries a plan out, step by step. Every step may be repeated, so recovery from anything is to
//! plan again.

mod error;
mod request;
mod undo;

use std::collections::BTreeMap;
use std::time::Duration;

use pgha_core::cluster::Node;
use pgha_core::manifest::Manifest;
use pgha_core::plan::{Action, Gate, Plan};
use pgha_core::render::Rendered;
use pgha_core::{Cluster, Digest};
use pgha_platform::files;
use pgha_platform::{Provider, ProviderError, When};
use tokio::time::Instant;

pub use error::ExecuteError;
use undo::Replaced;

use crate::daemons::Daemons;
use crate::gate::{self, GateError};
use crate::journal::Journal;
use crate::label;
use crate::observe;
use crate::secrets::Secrets;

/// How long a node may fail to answer before a step counts it as lost.
const SETTLE: Duration = Duration::from_secs(6);

/// File beside the secrets that says that the cluster has been formed. Without it a lost or
/// unmounted state directory would look like a cluster that never was.
pub const FORMED: &str = "formed";

/// What a plan is carried out with.
pub struct Executor<'e, P, D> {
    /// Where servers run.
    pub provider: &'e P,
    /// The cluster's daemons.
    pub daemons: &'e D,
    /// The cluster.
    pub cluster: &'e Cluster,
    /// Its files.
    pub rendered: &'e Rendered,
    /// Its images.
    pub manifest: &'e Manifest,
    /// Its secrets.
    pub secrets: &'e Secrets,
    /// The plan's number for what it gives out.
    pub generation: u32,
    /// The plan's digest of what it leads to.
    pub wish: &'e Digest,
    /// Where steps are noted.
    pub journal: &'e Journal,
    /// Whether nothing may be given to a node that could not get back what it runs now.
    pub way_back: bool,
}

/// Deletes everything a destroy plan names.
///
/// # Errors
/// When the provider fails. What was deleted stays deleted; another run goes on.
pub async fn destroy<P: Provider>(provider: &P, plan: &Plan) -> Result<(), ProviderError> {
    for step in &plan.steps {
        match &step.action {
            Action::DeleteServer { node } => {
                tracing::info!("deleting {node} and its data");
                provider.delete_server(node).await?;
            }
            Action::DeleteNetwork => provider.delete_network().await?,
            _ => {}
        }
    }
    Ok(())
}

impl<P: Provider, D: Daemons> Executor<'_, P, D> {
    /// Carries out every step in order and stops at the first that fails. What a failed gate is put
    /// down to is taken back: a node that was rebuilt gets what it ran before, a changed dynamic
    /// configuration its old values.
    ///
    /// # Errors
    /// The failed step's.
    pub async fn run(&self, plan: &Plan) -> Result<(), ExecuteError> {
        self.look_at_ways_back(plan).await?;
        let mut replaced = None;
        for step in &plan.steps {
            self.journal.note(plan, step, "begun");
            let previous = match step.action {
                Action::SetDynamic { .. } => self.good_config().await,
                _ => None,
            };
            let result = match &step.action {
                Action::Gate(gate) => self.pass_or_undo(gate, replaced.as_ref()).await,
                action => self.step(action).await,
            };
            let outcome = result.as_ref().map_or_else(ToString::to_string, |()| "done".to_owned());
            self.journal.note(plan, step, &outcome);
            result?;
            replaced = Replaced::after(replaced, &step.action, previous);
        }
        Ok(())
    }

    /// Before anything is touched: a roll must not find out half way that nothing can be undone.
    async fn look_at_ways_back(&self, plan: &Plan) -> Result<(), ExecuteError> {
        for action in plan.steps.iter().map(|step| &step.action) {
            let (node, looked) = match action {
                Action::Revert { node, .. } => {
                    (node, self.provider.can_revert(node, When::Now).await)
                }
                Action::Rebuild { node, .. } if self.way_back && action.gives_new().is_some() => {
                    (node, self.provider.can_revert(node, When::AfterRebuild).await)
                }
                _ => continue,
            };
            looked.map_err(|source| ExecuteError::NoWayBack { node: node.clone(), source })?;
        }
        Ok(())
    }

    async fn step(&self, action: &Action) -> Result<(), ExecuteError> {
        match action {
            Action::CreateNetwork => Ok(self.provider.create_network().await?),
            Action::CreateServer { node, .. } => {
                Ok(self.provider.create_server(&self.request(node)?).await?)
            }
            Action::Rebuild { node, image, .. } => {
                self.can_be_spared(node).await?;
                tracing::info!("{node}: stopping, then booting image {}", image.short());
                let mut request = self.request(node)?;
                if action.gives_new().is_none() {
                    // The same again is no roll that a rollback could undo.
                    let kept = [
                        label::IMAGE,
                        label::SEED,
                        label::ROLES,
                        label::POSTGRESQL,
                        label::COLLATIONS,
                    ];
                    request.labels.retain(|label, _| kept.contains(&label.as_str()));
                }
                Ok(self.provider.rebuild_server(&request).await?)
            }
            Action::Revert { node, image, .. } => {
                self.can_be_spared(node).await?;
                tracing::info!("{node}: stopping, then booting image {} again", image.short());
                self.revert(node).await
            }
            Action::PowerOn { node } => {
                tracing::info!("{node}: powering on");
                Ok(self.provider.power_on(node).await?)
            }
            Action::Declare { .. } => self.declare().await,
            Action::Seal => self.seal().await,
            Action::Switchover { from, to } => self.switchover(from, to.as_deref()).await,
            Action::SetDynamic { changes } => self.set_dynamic(changes).await,
            Action::Restart { node } => self.restart(node).await,
            Action::DeleteServer { node } => Ok(self.provider.delete_server(node).await?),
            Action::DeleteNetwork => Ok(self.provider.delete_network().await?),
            // `run` waits there, because a gate may have something to undo.
            Action::Gate(gate) => Ok(self.gate(gate).await?),
        }
    }

    /// Judged by what runs, not by what the file asks for: its durability may only come with a
    /// later step.
    async fn gate(&self, gate: &Gate) -> Result<(), GateError> {
        let running = observe::running(self.cluster, self.daemons.config().await.as_ref());
        gate::healthy(self.provider, self.daemons, &running, gate).await.map(drop)
    }

    /// Between the last gate and this moment a failover may have made `node` the leader, or another
    /// node may have gone. One late answer is no reason to stop, so it looks for a few seconds.
    async fn can_be_spared(&self, node: &str) -> Result<(), ExecuteError> {
        let until = Instant::now() + SETTLE;
        loop {
            let health = self.daemons.health().await;
            if health.leader().is_some_and(|leader| leader.name == node) {
                return Err(ExecuteError::LeaderMoved(node.to_owned()));
            }
            let mut others = health.lost(self.cluster);
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
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// The leader may have changed since the plan was made; then there is nothing to hand over.
    async fn switchover(&self, from: &str, to: Option<&str>) -> Result<(), ExecuteError> {
        let leader = self.leader().await?;
        if leader.name != from {
            tracing::info!("{} leads already", leader.name);
            return Ok(());
        }
        tracing::info!(
            "handing the leadership from {from} to {}",
            to.unwrap_or("its synchronous replica")
        );
        Ok(self.daemons.switchover(leader, to).await?)
    }

    async fn set_dynamic(&self, changes: &[String]) -> Result<(), ExecuteError> {
        tracing::info!("dynamic configuration: {}", changes.join(", "));
        Ok(self.daemons.set_config(&self.rendered.dynamic).await?)
    }

    async fn restart(&self, name: &str) -> Result<(), ExecuteError> {
        tracing::info!("{name}: restarting PostgreSQL");
        let node = self.node(name)?;
        // A member reads a new configuration once in loop_wait. A restart before that would bring
        // back the old values.
        let read_by =
            Instant::now() + Duration::from_secs(2 * u64::from(self.cluster.timing.loop_wait) + 2);
        while !self.daemons.restart_if_pending(node).await? {
            if Instant::now() > read_by {
                tracing::info!("{name}: nothing waits for a restart");
                break;
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        Ok(())
    }

    async fn leader(&self) -> Result<&Node, ExecuteError> {
        let health = self.daemons.health().await;
        health
            .leader()
            .and_then(|member| self.cluster.node(&member.name))
            .ok_or(ExecuteError::NoLeader)
    }

    fn node(&self, name: &str) -> Result<&Node, ExecuteError> {
        self.cluster.node(name).ok_or_else(|| ExecuteError::Unknown(name.to_owned()))
    }

    async fn declare(&self) -> Result<(), ExecuteError> {
        self.daemons.declare(self.leader().await?, self.cluster, self.secrets).await?;
        tracing::info!("roles and databases are there");
        Ok(())
    }

    async fn seal(&self) -> Result<(), ExecuteError> {
        // Before the labels: once the last server has its own, no later plan seals again.
        files::write(
            &self.secrets.path(FORMED),
            b"the cluster has data; `pgha destroy` removes this file\n",
            0o600,
        )?;
        let formed = labels(&[(label::FORMED, "yes"), (label::PROVEN, "yes")]);
        for node in &self.cluster.nodes {
            self.provider.label(&node.name, &formed).await?;
        }
        Ok(())
    }
}

fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}
