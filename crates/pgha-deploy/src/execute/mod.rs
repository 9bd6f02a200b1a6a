//! Carries a plan out, step by step. Every step may be repeated, so recovery from anything is to
//! plan again.

mod before;
mod bounds;
mod copies;
mod dynamic;
mod error;
mod request;
mod undo;

use pgha_core::Dynamic;
use pgha_core::cluster::Node;
use pgha_core::inventory::Given;
use pgha_core::plan::{Action, Gate, Plan, Step};
use pgha_core::{Cluster, Digest};
use pgha_platform::files;
use pgha_platform::{Provider, ProviderError};

pub use error::ExecuteError;

use crate::daemons::Daemons;
use crate::gate::{self, GateError};
use crate::observe;
use crate::operator::Operator;

/// File beside the secrets that says that the cluster has been formed. Without it, a lost or
/// unmounted state directory would look like a cluster that never existed.
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
    /// Carries out every step in order and stops at the first that fails. A change that is the
    /// likely cause of a failed gate is undone: a rebuilt node gets what it ran before, a changed
    /// dynamic configuration its old values.
    ///
    /// # Errors
    /// The failed step's.
    pub(crate) async fn run(&self) -> Result<(), ExecuteError> {
        self.check_ways_back().await?;
        let (plan, journal) = (self.plan, self.operator.journal);
        let mut replaced = None;
        for (at, step) in plan.steps.iter().enumerate() {
            journal.note(plan, step, "begun");
            let result = self.step_and_way_back(&step.action, replaced).await;
            let outcome = result.as_ref().map_or_else(ToString::to_string, |_| "done".to_owned());
            journal.note(plan, step, &outcome);
            replaced = result?.filter(|_| is_under_way(&plan.steps[at..]));
        }
        Ok(())
    }

    /// Checks before anything is touched. A roll must not find out half way that nothing can be
    /// undone.
    async fn check_ways_back(&self) -> Result<(), ExecuteError> {
        for action in self.plan.steps.iter().map(|step| &step.action) {
            let is_new = self.operator.way_back && action.gives_new().is_some();
            let (node, looked) = match action {
                Action::Revert { node, .. } => (node, self.revert_request(node).await.map(drop)),
                Action::Rebuild { node, .. } if is_new => (node, self.check_way_back(node).await),
                _ => continue,
            };
            looked.map_err(|error| match error {
                ExecuteError::Archive(source) => {
                    ExecuteError::NoWayBack { node: node.clone(), source }
                }
                error => error,
            })?;
        }
        Ok(())
    }

    /// Carries out a step. Returns the previous dynamic configuration if its change may be why the
    /// next gate fails.
    async fn step_and_way_back(
        &self,
        action: &Action,
        replaced: Option<Dynamic>,
    ) -> Result<Option<Dynamic>, ExecuteError> {
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

    async fn step(&self, action: &Action, replaced: Option<&Dynamic>) -> Result<(), ExecuteError> {
        let provider = self.operator.provider;
        match action {
            Action::CreateNetwork => Ok(provider.create_network().await?),
            Action::CreateServer { node, image, seed } => {
                let request = self.request(self.new_server(node)?, &given(image, seed))?;
                Ok(provider.create_server(&request).await?)
            }
            Action::Rebuild { node, image, seed, .. } => {
                // Giving a node what it already has is no roll that a rollback could undo.
                let is_new = action.gives_new().is_some();
                self.rebuild(node, &given(image, seed), is_new).await
            }
            Action::Revert { node, image, .. } => {
                self.can_be_spared(node).await?;
                tracing::info!("{node}: stopping, then booting image {} again", image.short());
                self.revert(node).await
            }
            Action::Renew { node, image, seed } => {
                tracing::info!("{node}: stopping, then booting with new certificates");
                let server = self.renewed(self.server(node).await?);
                Ok(provider.rebuild_server(&self.request(server, &given(image, seed))?).await?)
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
            Action::SetDynamic { changes, values } => {
                self.set_dynamic(changes, values, replaced).await
            }
            Action::Restart { node, leads } => self.restart(node, *leads, replaced).await,
            Action::DeleteServer { node } => Ok(provider.delete_server(node).await?),
            Action::DeleteNetwork => Ok(provider.delete_network().await?),
            Action::Gate(gate) => self.pass_or_undo(gate, replaced).await,
        }
    }

    async fn rebuild(&self, node: &str, given: &Given, is_new: bool) -> Result<(), ExecuteError> {
        self.can_be_spared(node).await?;
        tracing::info!("{node}: stopping, then booting image {}", given.image.short());
        let server = self.server(node).await?;
        let server = if is_new { self.replaced(server, given) } else { server };
        Ok(self.operator.provider.rebuild_server(&self.request(server, given)?).await?)
    }

    /// Judged by the configuration that runs, not by the cluster file: its durability may only come
    /// with a later step.
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
        self.note_all(|server| (server.formed, server.proven) = (true, true)).await?;
        self.prove_dynamic().await
    }
}

fn given(image: &Digest, seed: &Digest) -> Given {
    Given { image: image.clone(), seed: seed.clone() }
}

/// Whether a change of the dynamic configuration is still under way after the first of these steps. It is while restarts follow. The gate
/// after the last restart has proven it.
fn is_under_way(steps: &[Step]) -> bool {
    match steps {
        [gate, next, ..] if matches!(gate.action, Action::Gate(_)) => {
            matches!(next.action, Action::Restart { .. })
        }
        _ => true,
    }
}
