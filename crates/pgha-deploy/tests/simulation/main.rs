//! The planner and the executor against a model of a cluster and its provider, with a clock that is
//! turned, not waited for.
//!
//! Each run has a seed. Nodes crash, requests and answers get lost or take long, images, seeds and
//! parameters are bad, and at some of them only after a while; two operators on two machines do not
//! know of each other; pgha itself is suspended, killed at random moments, and run again.
//! `RUNS=1000` sets the number of runs, `SEED=n` replays one. What pgha must never do is in
//! `promises.rs`.

mod daemons;
mod effect;
mod model;
mod nature;
mod pgha;
mod promises;
mod provider;
mod state;
mod store;
mod storm;
mod wish;

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};

use model::World;
use pgha::Pgha;
use pgha_deploy::journal::Journal;
use pgha_deploy::operate::{Goal, OperateError};
use storm::{TALLY, give_back, operator, recover, storm, succeed};
use tokio::runtime::Runtime;

/// Two operators in a storm. Once it is over, from any state it left, a few more runs must lead to
/// what is wanted.
async fn one_run(world: &World) {
    tokio::join!(storm(world, 0), storm(world, 1));
    world.calm_down();
    recover(world).await;
    let before = world.what_runs();
    give_back(world).await;
    assert!(world.what_runs() == before && world.is_well(), "what was bad has left something");
    world.change_everything();
    succeed(world, Goal::Apply).await;
    assert!(world.is_as_wanted(), "done, but not what is wanted");
    succeed(world, Goal::Rollback).await;
    assert_eq!(world.what_runs(), before, "a rollback led elsewhere");
}

/// Between a plan and the yes of a person anything may have happened.
#[tokio::test(start_paused = true)]
async fn a_plan_of_a_world_that_moved_is_not_carried_out() {
    let world = World::new(0);
    world.calm_down();
    let (pgha, journal) = (Pgha::begin(&world, 0), Journal::new("/dev/null".into()));
    let operator = operator(&pgha, &journal);
    let plan = operator.plan(Goal::Apply).await.expect("a plan");
    let (images, dynamic) = (world.what_runs(), world.state().dynamic.clone());
    world.state().leader = Some("node-2".to_owned());
    assert!(matches!(operator.carry_out(Goal::Apply, &plan).await, Err(OperateError::Changed)));
    let now = (world.what_runs(), world.state().dynamic.clone());
    assert_eq!(now, (images, dynamic), "something was done");
}

#[test]
#[expect(clippy::print_stdout, reason = "how fast it runs")]
fn whatever_happens_the_cluster_survives_the_roll() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = match number("SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("RUNS").unwrap_or(250),
    };
    let started = std::time::Instant::now();
    let (count, next) = (seeds.end - seeds.start, AtomicU64::new(seeds.start));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let failed = std::thread::scope(|scope| {
        let work =
            || std::iter::from_fn(|| take(&next, seeds.end)).filter(|seed| !survives(*seed)).last();
        let workers = (0..threads).map(|_| scope.spawn(work)).collect::<Vec<_>>();
        workers.into_iter().filter_map(|worker| worker.join().expect("a worker")).next()
    });
    if let Some(seed) = failed {
        let command = "cargo test -p pgha-deploy --test simulation -- --nocapture";
        panic!("replay with: SEED={seed} {command}");
    }
    let seconds = started.elapsed().as_secs_f64();
    let minute = count as f64 / seconds * 60.0;
    println!(
        "{count} runs in {seconds:.1} s on {threads} processors: {minute:.0} a minute; {TALLY:?}"
    );
}

/// The next seed that nobody has run yet.
fn take(next: &AtomicU64, end: u64) -> Option<u64> {
    Some(next.fetch_add(1, Ordering::Relaxed)).filter(|seed| *seed < end)
}

fn runtime() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().start_paused(true).build().expect("a runtime")
}

/// Whether the run of this seed kept every promise. What broke was printed by the panic.
#[expect(clippy::print_stdout, reason = "the story of a run that is replayed")]
fn survives(seed: u64) -> bool {
    let runtime = runtime();
    let world = runtime.block_on(async { World::new(seed) });
    let run = AssertUnwindSafe(|| runtime.block_on(one_run(&world)));
    let survives = std::panic::catch_unwind(run).is_ok();
    if !survives {
        println!("seed {seed} failed");
    }
    if std::env::var_os("SEED").is_some() {
        runtime.block_on(async { println!("{}", world.describe()) });
    }
    survives
}

/// Else no failure could be replayed.
#[test]
fn a_seed_tells_the_same_story_twice() {
    let story = |seed| {
        let runtime = runtime();
        let world = runtime.block_on(async { World::new(seed) });
        runtime.block_on(one_run(&world));
        world.state().story.join("\n")
    };
    for seed in 0..4 {
        assert_eq!(story(seed), story(seed));
    }
}
