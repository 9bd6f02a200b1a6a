//! What is taken back when a gate stays shut after a change.

use pgha_core::plan::{Action, Gate};
use pgha_platform::Provider;
use serde_json::Value;

use super::{ExecuteError, Executor, labels, now};
use crate::daemons::Daemons;
use crate::gate::GateError;

/// What a gate that stays shut is put down to.
pub(super) enum Tried {
    Nothing,
    /// This node was given something new.
    Rebuilt(String),
    /// The dynamic configuration was replaced, and these nodes restarted.
    Dynamic {
        previous: Value,
        restarted: Vec<String>,
    },
}

impl Tried {
    /// `previous`: the dynamic configuration before `action`, if that replaced it.
    pub(super) fn after(self, action: &Action, previous: Option<Value>) -> Self {
        match (self, action) {
            (_, Action::SetDynamic { .. }) => previous.map_or(Self::Nothing, |previous| {
                Self::Dynamic { previous, restarted: Vec::new() }
            }),
            (Self::Dynamic { previous, mut restarted }, Action::Restart { node }) => {
                restarted.push(node.clone());
                Self::Dynamic { previous, restarted }
            }
            (dynamic @ Self::Dynamic { .. }, Action::Gate(_)) => dynamic,
            (_, action) => {
                action.gives_new().map_or(Self::Nothing, |node| Self::Rebuilt(node.to_owned()))
            }
        }
    }
}

impl<P: Provider, D: Daemons> Executor<'_, P, D> {
    /// Waits at a gate. If it stays shut, what was tried is taken back, and the plan ends.
    pub(super) async fn pass_or_undo(&self, gate: Gate, tried: &Tried) -> Result<(), ExecuteError> {
        let passed = self.gate(gate).await;
        match (passed, tried) {
            // What the node runs is worth going back to.
            (Ok(()), Tried::Rebuilt(node)) => {
                Ok(self.provider.label(node, &labels(&[("proven", "yes")])).await?)
            }
            (Ok(()), _) => Ok(()),
            (Err(failed), Tried::Rebuilt(node)) => self.return_node(gate, node, &failed).await,
            (Err(failed), Tried::Dynamic { previous, restarted }) => {
                self.set_back(gate, previous, restarted, &failed).await
            }
            (Err(failed), Tried::Nothing) => Err(failed.into()),
        }
    }

    /// Gives a node back what it ran before.
    async fn return_node(
        &self,
        gate: Gate,
        node: &str,
        failed: &GateError,
    ) -> Result<(), ExecuteError> {
        let others = failed.sick.iter().filter(|name| *name != node).cloned().collect::<Vec<_>>();
        let spared = match others.is_empty() {
            true => self.can_be_spared(node).await,
            false => Err(ExecuteError::Needed { node: node.to_owned(), sick: others.join(", ") }),
        };
        if let Err(because) = spared {
            // Somebody else is the cause: stopping this one too could be one loss too many.
            return Err(ExecuteError::Kept {
                node: node.to_owned(),
                because: because.to_string(),
                why: failed.to_string(),
            });
        }
        tracing::warn!(
            "{node} did not become healthy with its new image: going back to the previous one"
        );
        self.revert(node).await?;
        let back = self.gate(Gate { held_seconds: 3, ..gate }).await;
        Err(ExecuteError::Returned {
            node: node.to_owned(),
            outcome: outcome(back, "previous image"),
            why: failed.to_string(),
        })
    }

    /// The dynamic configuration, unless it is one that PostgreSQL does not start with: to that
    /// nobody wants to go back.
    pub(super) async fn good_config(&self) -> Option<Value> {
        if self.daemons.health().await.stuck().is_empty() {
            self.daemons.config().await
        } else {
            None
        }
    }

    /// Writes the old dynamic configuration again, and restarts those that run with the new one.
    async fn set_back(
        &self,
        gate: Gate,
        previous: &Value,
        restarted: &[String],
        failed: &GateError,
    ) -> Result<(), ExecuteError> {
        tracing::warn!(
            "the cluster did not become healthy with the changed configuration: setting it back"
        );
        self.daemons.set_config(previous).await?;
        let gate = Gate { held_seconds: 3, ..gate };
        let mut back = self.gate(gate).await;
        for node in restarted {
            if back.is_ok() {
                self.restart(node).await?;
                back = self.gate(gate).await;
            }
        }
        Err(ExecuteError::SetBack { outcome: outcome(back, "old one"), why: failed.to_string() })
    }

    pub(super) async fn revert(&self, node: &str) -> Result<(), ExecuteError> {
        self.provider.revert_server(node).await?;
        Ok(self
            .provider
            .label(node, &labels(&[("since", &now()), ("undone", &self.generation.to_string())]))
            .await?)
    }
}

/// How the cluster is after something was taken back.
fn outcome(back: Result<(), GateError>, with: &str) -> String {
    match back {
        Ok(()) => format!("it is healthy again with the {with}"),
        Err(error) => format!("it is not healthy with the {with} either: {error}"),
    }
}
