//! `verify`: breaks things under load, and reports what clients saw.

mod fault;
mod run;
mod stall;

use std::path::Path;
use std::process::ExitCode;
use std::task::Poll;

use pgha_deploy::declare;
use pgha_deploy::fleet::Fleet;
use pgha_platform::files::{self, FileError};
use pgha_verify::{History, Program, Scenario, Verdict, summary};
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::VerifyArgs;
use crate::commands::exclusive::{Unguarded, exclusively};
use crate::failure::Failure;
use crate::print;
use crate::workspace::Workspace;
use run::Arena;

pub(super) async fn run(workspace: &Workspace, args: &VerifyArgs) -> Result<ExitCode, Failure> {
    let (secrets, fleet) = workspace.fleet().await?;
    // Before anything is broken: there must be a place for the results.
    files::make_dir(&args.out, 0o755)?;
    let arena = Arena::new(workspace, &fleet, secrets.file("ca.crt").expose());
    let work = to_its_end(&arena, &fleet, args);
    let result = exclusively(workspace, &fleet, "pgha verify", Unguarded::Refuse, work).await;
    // An expired lease ends the work at any point. If nothing is broken, this does nothing.
    arena.end_fault().await?;
    result
}

/// Ends the fault and cleans up, however the scenarios end. After a SIGKILL the next run does.
async fn to_its_end(
    arena: &Arena<'_>,
    fleet: &Fleet,
    args: &VerifyArgs,
) -> Result<ExitCode, Failure> {
    let result = tokio::select! {
        result = every(arena, args) => result,
        () = interrupted() => {
            Err(Failure::no("interrupted; the fault was ended").exit_with(2))
        }
    };
    arena.end_fault().await?;
    let cleaned = clean_up(arena.workspace, fleet).await;
    let code = result?;
    cleaned.map(|()| code)
}

/// Every scenario as often as asked for.
async fn every(arena: &Arena<'_>, args: &VerifyArgs) -> Result<ExitCode, Failure> {
    let scenarios =
        if args.scenarios.is_empty() { Scenario::usual() } else { args.scenarios.clone() };
    let mut verdicts = Vec::new();
    for scenario in scenarios {
        for run in 1..=args.runs {
            let verdict = one(arena, scenario, run, args).await?;
            if !args.json.json {
                print::line(&verdict.line());
            }
            verdicts.push(verdict);
        }
    }
    if args.json.json {
        print::json(&verdicts);
    } else if args.runs > 1 {
        print::data(&summary(&verdicts));
    }
    Ok(if verdicts.iter().all(|verdict| verdict.kept) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn one(
    arena: &Arena<'_>,
    scenario: Scenario,
    run: u32,
    args: &VerifyArgs,
) -> Result<Verdict, Failure> {
    let prepared = arena.prepare(scenario).await?;
    let played = arena.play(&prepared).await?;
    let program = Program { version: env!("CARGO_PKG_VERSION"), commit: env!("PGHA_COMMIT") };
    let verdict = Verdict::new(&arena.workspace.cluster, scenario, run, &played, program);
    let dir = args.out.join(format!("{scenario}-{run}"));
    save(&dir, &played.history, &verdict)?;
    Ok(verdict)
}

/// Writes history.jsonl and verdict.json.
fn save(dir: &Path, history: &History, verdict: &Verdict) -> Result<(), Failure> {
    files::make_dir(dir, 0o755)?;
    let path = dir.join("history.jsonl");
    let mut lines = Vec::new();
    history.write(&mut lines).map_err(FileError::at("write", &path))?;
    files::write(&path, &lines, 0o644)?;
    let text = serde_json::to_string_pretty(verdict).unwrap_or_default();
    Ok(files::write(&dir.join("verdict.json"), text.as_bytes(), 0o644)?)
}

/// Returns at the first signal that asks this program to end: Ctrl-C, `kill`, a closed terminal.
async fn interrupted() {
    let signals = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    let mut waits = signals
        .into_iter()
        .filter_map(|kind| signal(kind).ok())
        .map(|mut signal| Box::pin(async move { signal.recv().await }))
        .collect::<Vec<_>>();
    std::future::poll_fn(|context| {
        let any = waits.iter_mut().any(|wait| wait.as_mut().poll(context).is_ready());
        if any { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// Drops the database and the role of the workload.
async fn clean_up(workspace: &Workspace, fleet: &Fleet) -> Result<(), Failure> {
    let leader = super::switchover::leader(workspace, fleet).await?;
    let link = fleet.link(workspace.node(&leader)?).await?;
    declare::sql(
        &link.session,
        "postgres",
        "DROP DATABASE IF EXISTS pgha_verify WITH (FORCE);\nDROP ROLE IF EXISTS pgha_verify;\n",
    )
    .await?;
    Ok(())
}
