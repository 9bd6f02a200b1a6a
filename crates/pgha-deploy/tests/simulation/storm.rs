//! Operators: what they ask of pgha, when they lose patience, and what they make of its answers.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pgha_core::plan::Plan;
use pgha_deploy::exclusion::{Exclusion, ExclusionError};
use pgha_deploy::execute::ExecuteError;
use pgha_deploy::journal::Journal;
use pgha_deploy::lease::Holder;
use pgha_deploy::operate::{Goal, OperateError};
use pgha_deploy::operator::Operator;
use pgha_deploy::session::Consent;
use rand::RngExt;
use tokio::time::Sleep;

use crate::model::World;
use crate::pgha::Pgha;
use crate::state::State;

/// How one run of pgha ended.
#[derive(Debug)]
pub(crate) enum End {
    Done,
    /// A bad image was taken back.
    Returned,
    /// A bad configuration was set back.
    SetBack,
    Stopped(#[expect(dead_code, reason = "told by Debug")] String),
}

pub(crate) fn operator<'p>(
    pgha: &'p Pgha<'_>,
    journal: &'p Journal,
) -> Operator<'p, Pgha<'p>, Pgha<'p>> {
    let subject = pgha.world.subject;
    Operator {
        provider: pgha,
        daemons: pgha,
        desired: pgha.made.desired(&subject.cluster),
        rendered: &pgha.made.rendered,
        manifest: &pgha.made.manifest,
        secrets: &subject.secrets,
        archive: &subject.archive,
        journal,
        way_back: true,
    }
}

/// A person who reads a plan and says yes, mostly; or a program with `--yes`.
struct Reader<'w> {
    world: &'w World,
    process: u32,
}

impl Consent for Reader<'_> {
    fn is_given(&self) -> bool {
        self.process.is_multiple_of(3)
    }

    fn show(&self, plan: &Plan) {
        self.world.state().tell(format!("pgha {}: {plan}", self.process));
    }

    async fn ask(&self) -> bool {
        tokio::time::sleep(self.world.thought()).await;
        !self.world.declines()
    }
}

/// Each operator has a machine of its own.
fn holder(process: u32) -> Holder {
    let (machine, boot) = (format!("machine {}", process % 2), format!("boot {}", process % 2));
    Holder { machine, boot, process, ..Holder::this("a storm") }
}

/// What `pgha apply` and `pgha rollback` do.
pub(crate) async fn operate(world: &World, process: u32, goal: Goal) -> End {
    let (pgha, journal) = (Pgha::begin(world, process), Journal::new("/dev/null".into()));
    let operator = operator(&pgha, &journal);
    let cluster = &world.subject.cluster.name;
    let exclusion = Exclusion { provider: &pgha, store: &pgha, cluster, holder: holder(process) };
    match operator.plan_and_apply(goal, &exclusion, &Reader { world, process }).await {
        Ok(()) => End::Done,
        Err(OperateError::Execute(ExecuteError::Returned { .. })) => End::Returned,
        Err(OperateError::Execute(ExecuteError::SetBack { .. })) => End::SetBack,
        // Who else is at work says since when, which is no time of this world.
        Err(OperateError::Exclusion(ExclusionError::Held(_))) => {
            End::Stopped("another is at work".to_owned())
        }
        Err(error) => End::Stopped(error.to_string()),
    }
}

/// How often it ended how, in all runs.
#[derive(Debug)]
pub(crate) struct Tally {
    pub(crate) done: AtomicU64,
    pub(crate) returned: AtomicU64,
    pub(crate) set_back: AtomicU64,
    pub(crate) stopped: AtomicU64,
    pub(crate) killed: AtomicU64,
}

pub(crate) static TALLY: Tally = Tally {
    done: AtomicU64::new(0),
    returned: AtomicU64::new(0),
    set_back: AtomicU64::new(0),
    stopped: AtomicU64::new(0),
    killed: AtomicU64::new(0),
};

impl Tally {
    fn count(&self, end: Option<&End>) {
        let which = match end {
            Some(End::Done) => &self.done,
            Some(End::Returned) => &self.returned,
            Some(End::SetBack) => &self.set_back,
            Some(End::Stopped(_)) => &self.stopped,
            None => &self.killed,
        };
        which.fetch_add(1, Ordering::Relaxed);
    }
}

/// An operator who goes on after whatever happened, corrects what was taken back, and at times
/// wants it all back.
pub(crate) async fn storm(world: &World, operator: u32) {
    for round in 0..6 {
        tokio::time::sleep(world.pause()).await;
        // Each time another process.
        let process = operator + 2 * round;
        let work = Box::pin(operate(world, process, world.mood()));
        let work = Suspended { work, world, process, asleep: None };
        let end = tokio::time::timeout(world.patience(), work).await.ok();
        TALLY.count(end.as_ref());
        world.state().tell(format!("operator {operator}: {end:?}"));
        match end {
            Some(End::Returned) => world.correct_images(),
            Some(End::SetBack) => world.correct_file(),
            Some(End::Stopped(_)) if world.often() => world.correct_file(),
            _ => {}
        }
        world.change_of_mind();
    }
}

/// Runs pgha until the world is as it should be, after a storm. A few runs must do.
pub(crate) async fn recover(world: &World) {
    let mut last = None;
    for process in 100..108 {
        tokio::time::sleep(Duration::from_secs(60)).await;
        let end = operate(world, process, Goal::Apply).await;
        world.state().tell(format!("in the calm: {end:?}"));
        if matches!(end, End::Done) && world.is_as_wanted() {
            return;
        }
        last = Some(end);
    }
    panic!("what is wanted was never reached; the last run: {last:?}");
}

/// What is wanted is bad: it is taken back, however often pgha was killed before.
pub(crate) async fn give_back(world: &World) {
    world.spoil();
    for process in 110..112 {
        let limit = world.seconds(1..90);
        let killed = tokio::time::timeout(limit, operate(world, process, Goal::Apply)).await;
        world.state().tell(format!("bad: {killed:?}"));
        if matches!(killed, Ok(End::Returned)) {
            return;
        }
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    let end = operate(world, 112, Goal::Apply).await;
    world.state().tell(format!("bad: {end:?}"));
    assert!(matches!(end, End::Returned), "it was bad, but {end:?}");
}

/// Nothing is amiss, so one run must do.
pub(crate) async fn succeed(world: &World, goal: Goal) {
    let end = operate(world, 200, goal).await;
    world.state().tell(format!("{goal:?}: {end:?}"));
    assert!(matches!(end, End::Done), "nothing was amiss, but {goal:?}: {end:?}");
}

impl World {
    fn seconds(&self, range: std::ops::Range<u64>) -> Duration {
        Duration::from_secs(self.state().rng.random_range(range))
    }

    /// Whether a person says no.
    fn declines(&self) -> bool {
        let mut state = self.state();
        !state.calm && state.rng.random_bool(0.05)
    }

    /// How long a person reads a plan.
    fn thought(&self) -> Duration {
        let slow = self.state().rng.random_bool(0.1);
        self.seconds(if slow { 10..300 } else { 0..2 })
    }

    fn pause(&self) -> Duration {
        self.seconds(1..400)
    }

    /// How long this pgha lives.
    fn patience(&self) -> Duration {
        self.seconds(if self.often() { 1..200 } else { 99_999..100_000 })
    }

    fn mood(&self) -> Goal {
        match self.state().rng.random_range(0..20) {
            0 | 1 => Goal::Rollback,
            2 => Goal::Again,
            _ => Goal::Apply,
        }
    }

    fn often(&self) -> bool {
        self.state().rng.random_bool(0.5)
    }
}

/// A process that is suspended now and then, its clocks and all. Not while its provider replaces a
/// node, which goes on without it.
struct Suspended<'w, F> {
    work: Pin<Box<F>>,
    world: &'w World,
    process: u32,
    asleep: Option<Pin<Box<Sleep>>>,
}

impl<F: Future> Future for Suspended<'_, F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let falls = |state: &mut State| {
            state.rng.random_bool(0.0003) && !state.busy.contains_key(&self.process)
        };
        if self.asleep.is_none() && falls(&mut self.world.state()) {
            self.asleep = Some(Box::pin(tokio::time::sleep(self.world.seconds(1..120))));
        }
        if let Some(sleep) = &mut self.asleep {
            ready!(sleep.as_mut().poll(context));
            self.asleep = None;
        }
        self.work.as_mut().poll(context)
    }
}
