//! What an operator asks for: a plan for the world as it is. It is carried out only if the world
//! has not changed.

use std::time::Duration;

use pgha_core::plan::{self, Action, Plan, Refused, Step};
use pgha_platform::{Provider, ProviderError};

use crate::daemons::Daemons;
use crate::exclusion::ExclusionError;
use crate::execute::{ExecuteError, Executor, FORMED};
use crate::observe;
use crate::operator::Operator;
use crate::secrets::SecretsError;
use crate::seed::{self, BlankDisk};

/// What to plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// What the cluster file says.
    Apply,
    /// What every node of the last roll ran before.
    Rollback,
    /// A rebuild of every node with what it runs already.
    Again,
}

/// Why the goal was not reached.
#[derive(Debug, thiserror::Error)]
pub enum OperateError {
    /// The provider failed.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// There is no plan.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The world has changed since the plan was made.
    #[error("the cluster changed since the plan was made; nothing was done")]
    Changed,
    /// The secrets could not be written.
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    /// The answer was no.
    #[error("nothing was changed")]
    Declined,
    /// Others are at work, or could not be kept away.
    #[error(transparent)]
    Exclusion(#[from] ExclusionError),
    /// A step failed.
    #[error(transparent)]
    Execute(#[from] ExecuteError),
}

impl<P: Provider, D: Daemons> Operator<'_, P, D> {
    /// Observes the world and plans.
    ///
    /// # Errors
    /// When the provider cannot be asked, or the plan is refused.
    pub async fn plan(&self, goal: Goal) -> Result<Plan, OperateError> {
        self.plan_within(goal, observe::SETTLE).await
    }

    async fn plan_within(&self, goal: Goal, patience: Duration) -> Result<Plan, OperateError> {
        let cluster = self.desired.cluster;
        let mut world = observe::world(self.provider, self.daemons, cluster, patience).await?;
        // Once sealing has begun there is data to lose, whatever the labels say.
        world.is_blank &= !self.secrets.path(FORMED).exists();
        Ok(match goal {
            Goal::Apply => self.with_secrets(plan::plan(&self.desired, &world)?),
            Goal::Rollback => plan::plan_rollback(&self.desired, &world)?,
            Goal::Again => plan::plan_again(&self.desired, &world)?,
        })
    }

    /// Adds which secrets are new or renewed. That is the reason for a new seed, or all there is to
    /// do.
    fn with_secrets(&self, mut plan: Plan) -> Plan {
        plan.remarks.extend(self.secrets.remarks());
        plan
    }

    /// Carries a plan out, if the world is still the one it was made for. Writes the secrets that
    /// it needs. The caller makes sure that no other operator is at work.
    ///
    /// # Errors
    /// When the world or the secrets have changed, and when a step fails.
    pub async fn carry_out(&self, goal: Goal, plan: &Plan) -> Result<(), OperateError> {
        // A second look without patience is enough if it shows the same.
        let at_once = self.plan_within(goal, Duration::ZERO).await;
        if !at_once.is_ok_and(|now| now == *plan) && self.plan(goal).await? != *plan {
            return Err(OperateError::Changed);
        }
        // Before the first step: no node may be given secrets that are not on disk here.
        self.persist(goal, plan)?;
        Executor { operator: self, plan }.run().await?;
        self.archive.sweep(&observe::servers(self.provider).await?.servers);
        Ok(())
    }

    /// Writes what a plan for this goal may give to nodes: secrets, and images and seeds into the archive. Does so even if there is nothing
    /// to do, so that they are there when needed.
    ///
    /// # Errors
    /// When something cannot be written.
    pub fn persist(&self, goal: Goal, plan: &Plan) -> Result<(), OperateError> {
        let creates = |step: &Step| matches!(step.action, Action::CreateServer { .. });
        if goal == Goal::Apply {
            self.secrets.write()?;
        }
        // A rollback gives nodes only what they had.
        if goal != Goal::Rollback {
            self.persist_wanted(plan.steps.iter().any(creates))?;
        }
        Ok(())
    }

    /// `begins`: a first start reads parts of its seed that the digest leaves out. So the seed is
    /// packed again.
    fn persist_wanted(&self, begins: bool) -> Result<(), ExecuteError> {
        self.manifest.images.iter().try_for_each(|image| self.archive.keep_image(image))?;
        for node in &self.desired.cluster.nodes {
            let digest = &self.desired.seeds[&node.name];
            if begins || !self.archive.has_seed(digest) {
                let packed = seed::pack(self.rendered, node, self.secrets, BlankDisk::Refuse)?;
                self.archive.keep_seed(digest, &packed)?;
            }
        }
        Ok(())
    }
}
