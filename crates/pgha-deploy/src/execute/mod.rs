//! Carries a plan out, step by step. Every step may be repeated, so recovery from anything is to
//! plan again.

mod before;
mod copies;
mod dynamic;
mod error;
mod request;
mod undo;

use std::collections::BTreeMap;

use pgha_core::Cluster;
use pgha_core::cluster::Node;
use pgha_core::plan::{Action, Gate, Plan};
use pgha_platform::files;
use pgha_platform::{Provider, ProviderError, When};
use serde_json::Value;

pub use error::ExecuteError;
use request::{renewed, the_same_again};

use crate::daemons::Daemons;
use crate::gate::{self, GateError};
use crate::label;
use crate::observe;
use crate::operate::Operator;

/// File beside the secrets that says that the cluster has been formed. Without it a lost or
/// unmounted state directory would look like a cluster that never was.
pub const FORMED: &str = "formed";

/// One plan, and what it is carried out with.
pub(crate) struct Executor<'e, P, D> {
    pub(crate) operator: &'e Operator<'e, P, D>,
    pub(crate) plan: &'e Plan,
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
    pub(crate) async fn run(&self) -> Result<(), ExecuteError> {
        self.look_at_ways_back().await?;
        let (plan, journal) = (self.plan, self.operator.journal);
        let mut replaced = None;
        for step in &plan.steps {
            journal.note(plan, step, "begun");
            let result = self.step_and_way_back(&step.action, replaced).await;
            let outcome = result.as_ref().map_or_else(ToString::to_string, |_| "done".to_owned());
            journal.note(plan, step, &outcome);
            replaced = result?;
        }
        Ok(())
    }

    /// Before anything is touched: a roll must not find out half way that nothing can be undone.
    async fn look_at_ways_back(&self) -> Result<(), ExecuteError> {
        let (provider, way_back) = (self.operator.provider, self.operator.way_back);
        for action in self.plan.steps.iter().map(|step| &step.action) {
            let (node, looked) = match action {
                Action::Revert { node, .. } => (node, provider.can_revert(node, When::Now).await),
                Action::Rebuild { node, .. } if way_back && action.gives_new().is_some() => {
                    (node, provider.can_revert(node, When::AfterRebuild).await)
                }
                _ => continue,
            };
            looked.map_err(|source| ExecuteError::NoWayBack { node: node.clone(), source })?;
        }
        Ok(())
    }

    /// Gives the dynamic configuration that a later gate may be put down to, as it was before.
    async fn step_and_way_back(
        &self,
        action: &Action,
        replaced: Option<Value>,
    ) -> Result<Option<Value>, ExecuteError> {
        let previous = match action {
            Action::SetDynamic { .. } => self.good_config().await?,
            _ => None,
        };
        self.step(action, previous.as_ref().or(replaced.as_ref())).await?;
        Ok(match action {
            Action::SetDynamic { .. } => previous,
            Action::Restart { .. } | Action::Gate(_) => replaced,
            _ => None,
        })
    }

    async fn step(&self, action: &Action, replaced: Option<&Value>) -> Result<(), ExecuteError> {
        let provider = self.operator.provider;
        match action {
            Action::CreateNetwork => Ok(provider.create_network().await?),
            Action::CreateServer { node, .. } => {
                Ok(provider.create_server(&self.begun(self.request(node)?)).await?)
            }
            Action::Rebuild { node, image, .. } => {
                self.can_be_spared(node).await?;
                tracing::info!("{node}: stopping, then booting image {}", image.short());
                let request = self.request(node)?;
                let is_new = action.gives_new().is_some();
                let request = if is_new { request } else { the_same_again(request) };
                Ok(provider.rebuild_server(&request).await?)
            }
            Action::Revert { node, image, .. } => {
                self.can_be_spared(node).await?;
                tracing::info!("{node}: stopping, then booting image {} again", image.short());
                self.revert(node).await
            }
            Action::Renew { node, .. } => {
                tracing::info!("{node}: stopping, then booting with new certificates");
                Ok(provider.rebuild_server(&renewed(self.request(node)?)).await?)
            }
            Action::PowerOn { node } => {
                tracing::info!("{node}: powering on");
                Ok(provider.power_on(node).await?)
            }
            Action::Reboot { node, .. } => self.reboot(self.node(node)?).await,
            Action::Start { node, units } => self.start(self.node(node)?, units).await,
            Action::RestartPatroni { node, leads } => self.restart_patroni(node, *leads).await,
            Action::Restore { node, .. } => self.restore(self.node(node)?).await,
            Action::RejoinEtcd { node } => self.rejoin_etcd(self.node(node)?).await,
            Action::Reclone { node, .. } => self.reclone(self.node(node)?).await,
            Action::AwaitCopy { node } => self.copied(self.node(node)?).await,
            Action::MakeRoom => {
                tracing::info!("etcd: dropping old revisions, giving their space back");
                Ok(self.operator.daemons.make_room().await?)
            }
            Action::Declare { .. } => self.declare().await,
            Action::Seal => self.seal().await,
            Action::Switchover { from, to } => self.switchover(from, to.as_deref()).await,
            Action::SetDynamic { changes } => self.set_dynamic(changes, replaced).await,
            Action::Restart { node, leads } => self.restart(node, *leads, replaced).await,
            Action::DeleteServer { node } => Ok(provider.delete_server(node).await?),
            Action::DeleteNetwork => Ok(provider.delete_network().await?),
            Action::Gate(gate) => self.pass_or_undo(gate, replaced).await,
        }
    }

    /// Judged by what runs, not by what the file asks for: its durability may only come with a
    /// later step.
    async fn gate(&self, gate: &Gate) -> Result<(), GateError> {
        let Operator { provider, daemons, .. } = self.operator;
        gate::healthy(*provider, *daemons, &self.running().await, gate).await.map(drop)
    }

    async fn running(&self) -> Cluster {
        let dynamic = self.operator.daemons.config().await;
        observe::running(self.cluster(), dynamic.as_ref())
    }

    fn cluster(&self) -> &Cluster {
        self.operator.desired.cluster
    }

    async fn leader(&self) -> Result<&Node, ExecuteError> {
        let health = self.operator.daemons.health().await;
        health
            .leader()
            .and_then(|member| self.cluster().node(&member.name))
            .ok_or(ExecuteError::NoLeader)
    }

    fn node(&self, name: &str) -> Result<&Node, ExecuteError> {
        self.cluster().node(name).ok_or_else(|| ExecuteError::Unknown(name.to_owned()))
    }

    async fn declare(&self) -> Result<(), ExecuteError> {
        let Operator { daemons, secrets, .. } = self.operator;
        daemons.declare(self.leader().await?, self.cluster(), secrets).await?;
        tracing::info!("roles and databases are there");
        Ok(())
    }

    async fn seal(&self) -> Result<(), ExecuteError> {
        // Before the labels: once the last server has its own, no later plan seals again.
        files::write(
            &self.operator.secrets.path(FORMED),
            b"the cluster has data; `pgha destroy` removes this file\n",
            0o600,
        )?;
        self.label_all(&[(label::FORMED, "yes"), (label::PROVEN, "yes")]).await?;
        self.prove_dynamic().await
    }
}

impl<P: Provider, D: Daemons> Executor<'_, P, D> {
    async fn label_all(&self, pairs: &[(&str, &str)]) -> Result<(), ExecuteError> {
        for node in &self.cluster().nodes {
            self.operator.provider.label(&node.name, &labels(pairs)).await?;
        }
        Ok(())
    }
}

fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}
