//! The planner and the executor against a model of a cluster and its provider, with a clock that is
//! turned, not waited for.
//!
//! Each run has a seed. Nodes crash, replies get lost, images are bad, pgha itself is killed at
//! random moments and run again. `RUNS=1000` sets the number of runs, `SEED=n` replays one. What
//! must hold is in `state.rs`, where it is broken.

mod daemons;
mod model;
mod provider;
mod state;
mod wish;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use model::World;
use pgha_deploy::execute::ExecuteError;
use pgha_deploy::journal::Journal;
use pgha_deploy::operate::{Goal, OperateError, Operator};
use wish::Wanted;

/// How one `apply` ended.
enum End {
    Done,
    /// A bad image was taken back.
    Returned,
    Stopped(String),
}

fn operator<'w>(
    world: &'w World,
    wanted: &'w Wanted,
    journal: &'w Journal,
) -> Operator<'w, World, World> {
    Operator {
        provider: world,
        daemons: world,
        desired: wanted.desired(&world.cluster),
        rendered: &wanted.rendered,
        manifest: &wanted.manifest,
        secrets: world.secrets,
        journal,
        way_back: true,
    }
}

/// What `pgha apply` and `pgha rollback` do, without a terminal.
async fn operate(world: &World, goal: Goal) -> End {
    let (wanted, journal) = (world.wanted(), Journal::new("/dev/null".into()));
    let operator = operator(world, &wanted, &journal);
    loop {
        let plan = match operator.plan(goal).await {
            Ok(plan) => plan,
            Err(error) => return End::Stopped(error.to_string()),
        };
        match operator.carry_out(goal, &plan).await {
            Err(OperateError::Execute(ExecuteError::Returned { .. })) => return End::Returned,
            Err(error) => return End::Stopped(error.to_string()),
            Ok(()) if plan.more_follows => {}
            Ok(()) => return End::Done,
        }
    }
}

/// An operator who goes on after whatever happened, corrects a bad image once it was returned, and
/// at times wants it all back.
async fn one_run(world: &World) {
    for _ in 0..12 {
        let (limit, goal) = (world.patience(), world.mood());
        if let Ok(End::Returned) = tokio::time::timeout(limit, operate(world, goal)).await {
            world.correct();
        }
        world.change_of_mind();
        tokio::time::sleep(Duration::from_secs(20)).await;
    }
    // The storm is over: from any state it left, a few more runs must lead to what is wanted.
    world.calm_down();
    until(world, Goal::Apply, false, World::is_as_wanted).await;
    let before = world.what_runs();
    world.correct();
    until(world, Goal::Apply, true, World::is_as_wanted).await;
    until(world, Goal::Rollback, true, |world| world.what_runs() == before).await;
}

/// Runs pgha until the world is as it should be. A few runs must do. `settled`: all was well
/// before, so nothing may come back.
async fn until(world: &World, goal: Goal, settled: bool, reached: impl Fn(&World) -> bool) {
    let mut last = String::new();
    for _ in 0..8 {
        tokio::time::sleep(Duration::from_secs(60)).await;
        match operate(world, goal).await {
            End::Done if reached(world) => return,
            End::Done => last = "done, but not what is wanted".to_owned(),
            End::Returned if settled => panic!("a good image was returned\n{}", world.describe()),
            End::Returned => last = "returned what the storm had left".to_owned(),
            End::Stopped(why) => last = why,
        }
    }
    panic!("{goal:?} never came to its end; the last run ended with: {last}\n{}", world.describe());
}

/// Between a plan and the yes of a person anything may have happened.
#[tokio::test(start_paused = true)]
async fn a_plan_of_a_world_that_moved_is_not_carried_out() {
    let world = World::new(0);
    world.calm_down();
    let (wanted, journal) = (world.wanted(), Journal::new("/dev/null".into()));
    let operator = operator(&world, &wanted, &journal);
    let plan = operator.plan(Goal::Apply).await.expect("a plan");
    let (images, dynamic) = (world.what_runs(), world.state().dynamic.clone());
    world.state().leader = Some("node-2".to_owned());
    assert!(matches!(operator.carry_out(Goal::Apply, &plan).await, Err(OperateError::Changed)));
    assert_eq!(
        (world.what_runs(), &world.state().dynamic),
        (images, &dynamic),
        "something was done"
    );
}

#[test]
#[expect(clippy::print_stdout, reason = "how fast it runs")]
fn whatever_happens_the_cluster_survives_the_roll() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = match number("SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("RUNS").unwrap_or(200),
    };
    let started = std::time::Instant::now();
    let (count, next) = (seeds.end - seeds.start, AtomicU64::new(seeds.start));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let failed = std::thread::scope(|scope| {
        let work = || std::iter::from_fn(|| take(&next, seeds.end)).find(|seed| !survives(*seed));
        let workers = (0..threads).map(|_| scope.spawn(work)).collect::<Vec<_>>();
        workers.into_iter().filter_map(|worker| worker.join().expect("a worker")).next()
    });
    if let Some(seed) = failed {
        let command = "cargo test -p pgha-deploy --test simulation -- --nocapture";
        panic!("replay with: SEED={seed} {command}");
    }
    let seconds = started.elapsed().as_secs_f64();
    let minute = count as f64 / seconds * 60.0;
    println!("{count} runs in {seconds:.1} s on {threads} processors: {minute:.0} a minute");
}

/// The next seed that nobody has run yet.
fn take(next: &AtomicU64, end: u64) -> Option<u64> {
    Some(next.fetch_add(1, Ordering::Relaxed)).filter(|seed| *seed < end)
}

/// Whether the run of this seed kept every promise. What broke was printed by the panic.
fn survives(seed: u64) -> bool {
    let run = std::panic::catch_unwind(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime");
        runtime.block_on(async { one_run(&World::new(seed)).await });
    });
    run.is_ok()
}
