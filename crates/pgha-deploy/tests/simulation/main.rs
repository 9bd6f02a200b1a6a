//! The planner and the executor against a model of a cluster and its provider, with a clock that is turned, not waited for.
//!
//! Each run has a seed. Nodes crash, replies get lost, images are bad, pgha itself is killed at random moments and run
//! again. `RUNS=1000` sets the number of runs, `SEED=n` replays one. What must hold is in `model.rs` where it is broken.

mod daemons;
mod model;
mod provider;

use std::time::Duration;

use model::World;
use pgha_core::plan;
use pgha_deploy::execute::{ExecuteError, Executor};
use pgha_deploy::journal::Journal;
use pgha_deploy::observe;

/// How one `apply` ended.
enum End {
    Done,
    /// A bad image was taken back.
    Returned,
    Stopped(String),
}

/// What `pgha apply` does, without its terminal.
async fn apply(world: &World) -> End {
    loop {
        let (wanted, now) = (world.wanted(), observe::world(world, world, &world.cluster).await);
        let now = match now {
            Ok(now) => now,
            Err(error) => return End::Stopped(error.to_string()),
        };
        let plan = match plan::plan(&wanted.desired(&world.cluster), &now) {
            Ok(plan) => plan,
            Err(refused) => return End::Stopped(refused.to_string()),
        };
        let journal = Journal::new("/dev/null".into());
        let executor = Executor {
            provider: world,
            daemons: world,
            cluster: &world.cluster,
            rendered: &wanted.rendered,
            manifest: &wanted.manifest,
            secrets: world.secrets,
            generation: plan.generation,
            wish: &plan.wish,
            journal: &journal,
        };
        match executor.run(&plan).await {
            Err(ExecuteError::Returned { .. }) => return End::Returned,
            Err(error) => return End::Stopped(error.to_string()),
            Ok(()) if plan.more_follows => {}
            Ok(()) => return End::Done,
        }
    }
}

/// An operator who runs `apply` again after whatever happened, and corrects a bad image once it was returned.
async fn one_run(world: &World) {
    for _ in 0..12 {
        let limit = world.patience();
        if let Ok(End::Returned) = tokio::time::timeout(limit, apply(world)).await {
            world.correct_the_image();
        }
        world.change_of_mind();
        tokio::time::sleep(Duration::from_secs(20)).await;
    }
    // The storm is over: from any state it left, a few more runs must lead to what is wanted.
    world.calm_down();
    let mut last = String::new();
    for _ in 0..8 {
        tokio::time::sleep(Duration::from_secs(60)).await;
        match apply(world).await {
            End::Done if world.is_as_wanted() => return,
            End::Done => last = "done, but not what is wanted".to_owned(),
            End::Returned => last = "a good image was returned".to_owned(),
            End::Stopped(why) => last = why,
        }
    }
    panic!("never as wanted again; the last apply ended with: {last}\n{}", world.describe());
}

#[test]
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "how fast it runs, and how to replay a run that failed")]
fn whatever_happens_the_cluster_survives_the_roll() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = match number("SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("RUNS").unwrap_or(200),
    };
    let started = std::time::Instant::now();
    let count = seeds.end - seeds.start;
    for seed in seeds {
        let run = std::panic::catch_unwind(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
            runtime.block_on(async { one_run(&World::new(seed)).await });
        });
        if let Err(panic) = run {
            eprintln!("replay with: SEED={seed} cargo test -p pgha-deploy --test simulation -- --nocapture");
            std::panic::resume_unwind(panic);
        }
    }
    println!(
        "{count} runs in {:.1} s: {:.0} a minute",
        started.elapsed().as_secs_f64(),
        count as f64 / started.elapsed().as_secs_f64() * 60.0
    );
}
