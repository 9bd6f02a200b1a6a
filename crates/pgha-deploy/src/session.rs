//! What an operator does: plan, ask, keep others away, carry out. It repeats until nothing is left.

use pgha_core::plan::Plan;
use pgha_platform::Provider;

use crate::daemons::Daemons;
use crate::exclusion::{Exclusion, Unguarded};
use crate::lease::Store;
use crate::operate::{Goal, OperateError};
use crate::operator::Operator;

/// How often to plan again because the cluster changed meanwhile, if the user does not want to see plans first.
const ANEW: u32 = 3;

/// How the user consents.
pub trait Consent {
    /// Whether a plan needs no yes. Then another plan needs none, either.
    fn is_given(&self) -> bool;

    /// Shows a plan.
    fn show(&self, plan: &Plan);

    /// Whether the plan that was shown may be carried out.
    fn ask(&self) -> impl Future<Output = bool>;
}

impl<P: Provider, D: Daemons> Operator<'_, P, D> {
    /// Plans and carries out. Repeats while there is more to do that could not be planned before.
    ///
    /// # Errors
    /// [`OperateError::Declined`] if the answer is no; also when a plan is refused, a step fails, or others are at work.
    pub async fn plan_and_apply<S: Store>(
        &self,
        goal: Goal,
        exclusion: &Exclusion<'_, P, S>,
        consent: &impl Consent,
    ) -> Result<(), OperateError> {
        let mut left = if consent.is_given() { ANEW } else { 0 };
        loop {
            let plan = self.plan(goal).await?;
            consent.show(&plan);
            if plan.steps.is_empty() {
                // There may still be secrets to write that no node needs, such as a new certificate of the operator. That needs no yes.
                return self.persist(goal, &plan);
            }
            if !consent.is_given() && !consent.ask().await {
                return Err(OperateError::Declined);
            }
            let unguarded = if plan.disturbs() { Unguarded::Refuse } else { Unguarded::GoOn };
            match exclusion.hold(unguarded, self.carry_out(goal, &plan)).await? {
                Err(changed @ OperateError::Changed) if left > 0 => {
                    left -= 1;
                    tracing::info!("{changed}: planning anew");
                }
                outcome => {
                    outcome?;
                    if !plan.more_follows {
                        return Ok(());
                    }
                }
            }
        }
    }
}
