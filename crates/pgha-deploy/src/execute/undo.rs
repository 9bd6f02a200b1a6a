//! What is undone when a gate does not open after a change.

use std::fmt::Display;
use std::time::Duration;

use pgha_core::Dynamic;
use pgha_core::plan::{self, Action, Gate};
use pgha_platform::Provider;

use super::{ExecuteError, Executor};
use crate::daemons::Daemons;
use crate::gate::GateError;
use crate::observe;

impl<P: Provider, D: Daemons> Executor<'_, P, D> {
    /// Waits at a gate. If it does not open, the change is undone and the plan ends.
    pub(super) async fn pass_or_undo(
        &self,
        gate: &Gate,
        replaced: Option<&Dynamic>,
    ) -> Result<(), ExecuteError> {
        match (self.gate(gate).await, gate.proves.as_slice(), replaced) {
            (Ok(()), proven, _) => {
                self.prove(proven).await?;
                if self.changes_dynamic() { self.prove_dynamic().await } else { Ok(()) }
            }
            (Err(failed), [], None) => Err(failed.into()),
            (Err(failed), [], Some(previous)) => {
                self.set_back(gate, previous, &failed.to_string()).await
            }
            (Err(failed), [first, ..], _) => {
                let sick = gate.proves.iter().find(|name| failed.sick.contains(name));
                self.return_node(gate, sick.unwrap_or(first), &failed).await
            }
        }
    }

    /// Notes that what these nodes run is worth going back to.
    async fn prove(&self, nodes: &[String]) -> Result<(), ExecuteError> {
        for node in nodes {
            self.note(node, |server| server.proven = true).await?;
        }
        Ok(())
    }

    /// Gives a node back what it ran before.
    async fn return_node(
        &self,
        gate: &Gate,
        node: &str,
        failed: &GateError,
    ) -> Result<(), ExecuteError> {
        let others = failed.sick.iter().filter(|name| *name != node).cloned().collect::<Vec<_>>();
        let spared = match others.is_empty() {
            true => self.can_be_spared(node).await,
            false => Err(ExecuteError::Needed { node: node.to_owned(), others: others.join(", ") }),
        };
        if let Err(because) = spared {
            // Another node is the cause. Stopping this one, too, could be one loss too many.
            return Err(ExecuteError::Kept {
                node: node.to_owned(),
                because: because.to_string(),
                why: failed.to_string(),
            });
        }
        tracing::warn!(
            "{node} did not become healthy with its new image: going back to the previous one"
        );
        match self.revert(node).await {
            // This error comes before anything was stopped.
            Err(ExecuteError::Archive(missing)) => {
                let (node, why) = (node.to_owned(), failed.to_string());
                return Err(ExecuteError::NoReturn { node, because: missing, why });
            }
            done => done?,
        }
        let back = self.gate(&short(gate)).await;
        Err(ExecuteError::Returned {
            node: node.to_owned(),
            outcome: outcome(back, "previous image"),
            why: failed.to_string(),
        })
    }

    /// Writes the old dynamic configuration again, and restarts the members that run with the new
    /// one.
    pub(super) async fn set_back(
        &self,
        gate: &Gate,
        previous: &Dynamic,
        why: &str,
    ) -> Result<(), ExecuteError> {
        tracing::warn!("the changed configuration does not hold: setting it back");
        self.operator.daemons.set_config(previous).await?;
        let outcome = outcome(self.take_up(gate).await, "old one");
        Err(ExecuteError::SetBack { outcome, why: why.to_owned() })
    }

    /// Waits until every member has read the configuration, and restarts those that need it. The
    /// order is right for the current leader.
    async fn take_up(&self, gate: &Gate) -> Result<(), ExecuteError> {
        self.wake_hung().await?;
        let held_seconds = self.read_within();
        self.gate(&Gate { held_seconds, ..short(gate) }).await?;
        let observed =
            observe::observed(self.operator.daemons, self.cluster(), observe::SETTLE).await;
        if observed.leader.is_none() {
            return Err(ExecuteError::NoLeader);
        }
        for step in plan::restarts(&self.operator.desired, &observed) {
            match &step.action {
                Action::Restart { node, leads } => {
                    let why = self.restart_pending(node, *leads).await?;
                    why.map_or(Ok(()), |why| Err(ExecuteError::NotInForce(why)))?;
                }
                Action::Gate(gate) => self.gate(&short(gate)).await?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Restarts members that the change has left unresponsive. They would not even take the old
    /// configuration.
    async fn wake_hung(&self) -> Result<(), ExecuteError> {
        tokio::time::sleep(Duration::from_secs(u64::from(self.read_within()))).await;
        let health = self.operator.daemons.health().await;
        let leads = |name: &String| health.leader().is_some_and(|leader| leader.name == *name);
        let mut hung = health.hung(self.cluster());
        hung.sort_by_key(leads);
        for name in &hung {
            self.restart_patroni(name, leads(name)).await?;
        }
        Ok(())
    }

    pub(super) async fn revert(&self, node: &str) -> Result<(), ExecuteError> {
        let request = self.revert_request(node).await?;
        Ok(self.operator.provider.rebuild_server(&request).await?)
    }
}

/// The way back is known to be good: it need not prove itself for long.
fn short(gate: &Gate) -> Gate {
    Gate { held_seconds: 3, proves: Vec::new(), ..gate.clone() }
}

/// How the cluster is after something was taken back.
fn outcome(back: Result<(), impl Display>, with: &str) -> String {
    match back {
        Ok(()) => format!("it is healthy again with the {with}"),
        Err(error) => format!("it is not healthy with the {with} either: {error}"),
    }
}
