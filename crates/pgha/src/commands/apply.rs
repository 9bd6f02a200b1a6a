//! `plan`, `apply`, `up`, `rollback`, `destroy`.

use std::process::ExitCode;

use pgha_core::plan;
use pgha_deploy::execute;
use pgha_deploy::observe;
use pgha_deploy::operate::{Goal, OperateError};
use pgha_deploy::secrets::ARCHIVE;
use pgha_platform::{Provider, files};
use serde_json::json;

use super::connect::Endpoints;
use super::exclusive::{Unguarded, exclusion};
use super::preflight;
use super::prepared::Prepared;
use crate::cli::{ApplyArgs, ImagesArgs};
use crate::cure;
use crate::failure::Failure;
use crate::print;
use crate::workspace::Workspace;

/// With `detailed`, the exit code tells "nothing to do" (0) from "something to do" (2) and from
/// every failure (1).
pub(super) async fn plan(
    workspace: &Workspace,
    images: &ImagesArgs,
    json: bool,
    detailed: bool,
) -> Result<ExitCode, Failure> {
    let failed = |failure: Failure| if detailed { failure.exit_with(1) } else { failure };
    let prepared = Prepared::new(workspace, images.manifest.as_deref(), Vec::new, false).await;
    let plan = prepared.map_err(failed)?.operator().plan(Goal::Apply).await;
    if let (true, Err(OperateError::Refused(refused))) = (json, &plan) {
        let (reason, hint) = (refused.to_string(), cure::of(refused));
        print::json(&json!({ "refused": refused, "reason": reason, "hint": hint }));
    }
    let plan = plan.map_err(|error| failed(error.into()))?;
    if json {
        print::json(&plan);
    } else {
        print::data(&plan.to_string());
    }
    tell_updates(workspace);
    Ok(if detailed && !plan.steps.is_empty() { ExitCode::from(2) } else { ExitCode::SUCCESS })
}

/// Shown beside the plan: updates do not change it.
fn tell_updates(workspace: &Workspace) {
    if let Some(updates) = workspace.builder.updates() {
        print::note(&updates);
    }
}

pub(super) async fn apply(workspace: &Workspace, args: &ApplyArgs) -> Result<(), Failure> {
    let yes = args.yes.yes;
    let images = args.images.manifest.as_deref();
    let mut prepared = Prepared::new(workspace, images, Vec::new, yes).await?;
    prepared.way_back = !args.no_way_back;
    prepared.plan_and_apply(Goal::Apply, "pgha apply", yes).await
}

pub(super) async fn rollback(workspace: &Workspace, yes: bool) -> Result<(), Failure> {
    Prepared::new(workspace, None, Vec::new, false)
        .await?
        .plan_and_apply(Goal::Rollback, "pgha rollback", yes)
        .await
}

/// Rolls every node through a rebuild with its current image and seed. The caller holds the lock.
pub(super) async fn again(workspace: &Workspace) -> Result<(), Failure> {
    let prepared = Prepared::new(workspace, None, Vec::new, false).await?;
    let operator = prepared.operator();
    let plan = operator.plan(Goal::Again).await?;
    print::note(plan.to_string().trim_end());
    Ok(operator.carry_out(Goal::Again, &plan).await?)
}

pub(super) async fn up(workspace: &Workspace, yes: bool) -> Result<(), Failure> {
    let prepared = Prepared::new(workspace, None, preflight::clients, yes).await?;
    prepared.plan_and_apply(Goal::Apply, "pgha up", yes).await?;
    let healthy = format!("cluster `{}` is healthy", workspace.cluster.name);
    print::marked(&print::green("ready:"), &healthy);
    print::data(&Endpoints::of(workspace, &prepared.secrets).text());
    Ok(())
}

pub(super) async fn destroy(workspace: &Workspace, yes: bool) -> Result<(), Failure> {
    // Before anything else: pgha must not even ask about another cluster's servers.
    workspace.servers().await?;
    let _lock = workspace.provider.lock("pgha destroy")?;
    let world = observe::servers(&workspace.provider).await?;
    let plan = plan::plan_destroy(&workspace.cluster.name, &world);
    if !world.servers.is_empty() {
        print::note(plan.to_string().trim_end());
        let question = format!("Delete cluster `{}` with all its data?", workspace.cluster.name);
        if !yes && !print::confirm(&question) {
            return Err(Failure::no("nothing was deleted").hint("answer y, or give --yes"));
        }
        nobody_else_at_work(workspace).await?;
    }
    execute::destroy(&workspace.provider, &plan).await?;
    files::remove(&workspace.secrets_dir().join(execute::FORMED))?;
    if !world.servers.is_empty() {
        files::remove(&workspace.secrets_dir().join(ARCHIVE))?;
    }
    let (name, secrets) = (&workspace.cluster.name, workspace.secrets_dir());
    print::note(&match (world.servers.is_empty(), secrets.exists()) {
        (true, _) => format!("cluster `{name}` has no servers: there is nothing to delete"),
        (false, true) => {
            format!("cluster `{name}` is gone; its secrets stay in {}", secrets.display())
        }
        (false, false) => format!("cluster `{name}` is gone"),
    });
    Ok(())
}

/// Takes the lease, which ends with the cluster. A cluster that cannot be asked, because it is down
/// or its secrets are gone, can still be destroyed.
async fn nobody_else_at_work(workspace: &Workspace) -> Result<(), Failure> {
    if let Ok((_, fleet)) = workspace.fleet().await {
        exclusion(workspace, &fleet, "pgha destroy").lease(Unguarded::GoOn).await?;
    }
    Ok(())
}
