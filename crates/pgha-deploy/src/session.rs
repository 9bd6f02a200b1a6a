//! What an operator does: plan, ask, keep others away, carry out, and again until nothing is left.

use pgha_core::plan::Plan;
use pgha_platform::Provider;

use crate::daemons::Daemons;
use crate::exclusion::{Exclusion, Unguarded};
use crate::lease::Store;
use crate::operate::{Goal, OperateError};
use crate::operator::Operator;

/// How often a plan is made anew because the cluster changed under it, where nobody wants to see one before.
const ANEW: u32 = 3;

/// Who says yes.
pub trait Consent {
    /// Whether a plan needs no yes: another one does not, either.
    fn is_given(&self) -> bool;

    /// Shows a plan.
    fn show(&self, plan: &Plan);

    /// Whether the plan that was shown may be carried out.
    fn ask(&self) -> impl Future<Output = bool>;
}

impl<P: Provider, D: Daemons> Operator<'_, P, D> {
    /// Plans and carries out, and again while the rest could not be planned before.
    ///
    /// # Errors
    /// [`OperateError::Declined`] where the answer is no; when a plan is refused or a step fails; when others are at work.
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
                // What no node needs to know, such as a new certificate of the operator: nothing is to be asked.
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
