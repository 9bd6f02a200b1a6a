//! `verify`: breaks things under load, and reports what clients saw.

mod report;
mod run;
mod scenario;

use std::process::ExitCode;

use pgha_deploy::declare;
use pgha_deploy::fleet::Fleet;
use tokio::signal::unix::{SignalKind, signal};

pub(crate) use scenario::Scenario;

use crate::cli::VerifyArgs;
use crate::commands::exclusive::exclusively;
use crate::failure::Failure;
use crate::print;
use crate::workspace::Workspace;
use report::Verdict;
use run::Arena;

pub(super) async fn run(workspace: &Workspace, args: &VerifyArgs) -> Result<ExitCode, Failure> {
    let (secrets, fleet) = workspace.fleet().await?;
    let arena = Arena::new(workspace, &fleet, secrets.file("ca.crt").expose());
    let result = exclusively(workspace, &fleet, "pgha verify", every(&arena, &fleet, args)).await;
    // A lease that ran out ends the work at any point.
    arena.end_fault().await?;
    result
}

/// Every scenario as often as asked for.
async fn every(arena: &Arena<'_>, fleet: &Fleet, args: &VerifyArgs) -> Result<ExitCode, Failure> {
    let scenarios =
        if args.scenarios.is_empty() { Scenario::all() } else { args.scenarios.clone() };
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
    clean_up(arena.workspace, fleet).await?;
    if args.json.json {
        print::line(&serde_json::to_string_pretty(&verdicts).unwrap_or_default());
    } else if args.runs > 1 {
        print::data(&report::summary(&verdicts));
    }
    Ok(if verdicts.iter().all(|verdict| verdict.kept) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// One run. A signal ends the fault before it ends the program; after a SIGKILL the next run does.
async fn one(
    arena: &Arena<'_>,
    scenario: Scenario,
    run: u32,
    args: &VerifyArgs,
) -> Result<Verdict, Failure> {
    let prepared = arena.prepare(scenario).await?;
    let result = tokio::select! {
        result = arena.play(&prepared) => result,
        () = interrupted() => Err(Failure::no("interrupted; the fault was ended")),
    };
    if result.is_err() {
        arena.end_fault().await?;
    }
    let played = result?;
    let verdict = Verdict::new(arena.workspace, scenario, run, &played);
    let dir = args.out.join(format!("{scenario}-{run}"));
    report::save(&dir, &played.history, &verdict)?;
    Ok(verdict)
}

async fn interrupted() {
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

/// Drops what the workload wrote to.
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
