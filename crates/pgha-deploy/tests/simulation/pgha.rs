//! One pgha at work on the model: its requests take time, get lost, are answered late or never, and
//! it may be killed at any of them.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use pgha_deploy::node_error::NodeError;
use pgha_platform::ProviderError;
use rand::RngExt;
use tokio::time::Instant;

use crate::effect::Effect;
use crate::model::World;
use crate::promises::Seen;
use crate::state::State;
use crate::wish::Made;

/// One process.
pub(crate) struct Pgha<'w> {
    pub(crate) world: &'w World,
    pub(crate) process: u32,
    /// What its file says.
    pub(crate) made: Made,
    pub(crate) seen: Mutex<Seen>,
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Answered,
    /// It never arrives.
    Lost,
    /// It is done, and nobody hears of it.
    AnswerLost,
    /// It is done long after whoever asked has given up.
    Late,
}

impl<'w> Pgha<'w> {
    pub(crate) fn begin(world: &'w World, process: u32) -> Self {
        let made = world.state().wish.made(world.subject);
        Self { world, process, made, seen: Mutex::default() }
    }

    pub(crate) fn seen(&self) -> Seen {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The way there, or back.
    pub(crate) async fn travel(&self) {
        let millis = {
            let mut state = self.world.state();
            state.weather();
            let slow = !state.calm && state.rng.random_bool(0.03);
            state.rng.random_range(if slow { 5_000..50_000 } else { 10..400 })
        };
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }

    pub(crate) async fn fate(&self) -> Fate {
        self.travel().await;
        let mut state = self.world.state();
        match state.rng.random_range(0..100) {
            _ if state.calm => Fate::Answered,
            0..=1 => Fate::Lost,
            2..=3 => Fate::AnswerLost,
            4 => Fate::Late,
            _ => Fate::Answered,
        }
    }

    /// Asks Patroni for something.
    pub(crate) async fn ask(&self, node: &str, effect: Effect) -> Result<bool, NodeError> {
        let fate = self.fate().await;
        let answer = {
            let mut state = self.world.state();
            state.tell(format!("pgha {}: {effect} ({fate:?})", self.process));
            match fate {
                Fate::Lost => Err("no answer"),
                Fate::Late => {
                    let after = Duration::from_secs(state.rng.random_range(1..60));
                    state.under_way.push((Instant::now() + after, effect));
                    Err("no answer yet")
                }
                Fate::Answered | Fate::AnswerLost => {
                    if let Effect::Restart(name) = &effect {
                        state.may_restart(name, &self.seen());
                    }
                    effect.happen(&mut state)
                }
            }
        };
        self.travel().await;
        answer
            .and_then(|done| if fate == Fate::AnswerLost { Err("no answer") } else { Ok(done) })
            .map_err(|answer| self.refused(node, answer))
    }

    #[expect(clippy::unused_self, reason = "every pgha is refused in the same words")]
    pub(crate) fn refused(&self, node: &str, answer: &str) -> NodeError {
        NodeError::Refused { daemon: "the model", node: node.to_owned(), answer: answer.to_owned() }
    }

    /// Asks the provider for something that is done at once.
    pub(crate) async fn order(
        &self,
        name: &str,
        act: impl FnOnce(&mut State),
    ) -> Result<(), ProviderError> {
        let fate = self.fate().await;
        if matches!(fate, Fate::Answered | Fate::AnswerLost) {
            act(&mut self.world.state());
        }
        self.travel().await;
        if fate == Fate::Answered { Ok(()) } else { Err(slow(name)) }
    }

    /// Stops a node, changes what it boots from, and boots it.
    pub(crate) async fn replace(
        &self,
        name: &str,
        change: impl FnOnce(&mut State),
    ) -> Result<(), ProviderError> {
        let fate = self.fate().await;
        if matches!(fate, Fate::Lost | Fate::Late) {
            return Err(slow(name));
        }
        let down = {
            let mut state = self.world.state();
            state.tell(format!("pgha {}: {name} is replaced", self.process));
            state.may_stop(name, &self.seen());
            state.busy.insert(self.process, name.to_owned());
            state.machine(name).on = false;
            state.turn();
            state.rng.random_range(2_000..12_000)
        };
        let _busy = Busy(self);
        tokio::time::sleep(Duration::from_millis(down)).await;
        change(&mut self.world.state());
        tokio::time::sleep(Duration::from_millis(100)).await;
        self.world.state().boot(name);
        self.travel().await;
        if fate == Fate::Answered { Ok(()) } else { Err(slow(name)) }
    }
}

fn slow(name: &str) -> ProviderError {
    ProviderError::Slow { name: name.to_owned(), what: "answer", seconds: 60 }
}

/// A pgha that is killed holds no node any more.
struct Busy<'p, 'w>(&'p Pgha<'w>);

impl Drop for Busy<'_, '_> {
    fn drop(&mut self) {
        self.0.world.state().busy.remove(&self.0.process);
    }
}
