//! `plan`, `apply`, `up`, `destroy`.

use std::sync::Arc;

use pgha_core::manifest::Manifest;
use pgha_core::plan::{self, Action, Cost, Plan, Step};
use pgha_deploy::execute::{self, Executor};
use pgha_deploy::fleet::Fleet;
use pgha_deploy::journal::Journal;
use pgha_deploy::secrets::Secrets;
use pgha_platform::Provider;

use super::connect::Endpoints;
use crate::failure::Failure;
use crate::print;
use crate::workspace::Workspace;

struct Prepared {
    manifest: Manifest,
    secrets: Arc<Secrets>,
    plan: Plan,
}

async fn prepare(workspace: &Workspace, install: bool) -> Result<Prepared, Failure> {
    super::preflight::require(workspace, install).await?;
    let manifest = workspace.builder.build(&workspace.cluster, &workspace.rendered, false).await?;
    let secrets = workspace.secrets().await?;
    let world = execute::observe(&workspace.provider).await?;
    let plan = plan::plan(&workspace.desired(&manifest, &secrets)?, &world)?;
    Ok(Prepared { manifest, secrets, plan })
}

pub(super) async fn plan(workspace: &Workspace, json: bool) -> Result<(), Failure> {
    let prepared = prepare(workspace, false).await?;
    if json {
        print::line(&serde_json::to_string_pretty(&prepared.plan).unwrap_or_default());
    } else {
        print::data(&text(&prepared.plan));
    }
    Ok(())
}

pub(super) async fn apply(workspace: &Workspace, yes: bool) -> Result<(), Failure> {
    let prepared = prepare(workspace, yes).await?;
    print::note(text(&prepared.plan).trim_end());
    if prepared.plan.steps.is_empty() {
        return Ok(());
    }
    if !yes && !print::confirm("Carry it out?") {
        return Err(Failure::no("nothing was changed").hint("answer y, or give --yes"));
    }
    let lock = workspace.provider.lock("pgha apply")?;
    still_true(workspace, &prepared).await?;
    let fleet = Fleet::new(&workspace.cluster, Arc::clone(&prepared.secrets));
    let journal = Journal::new(prepared.secrets.path("journal.jsonl"));
    let executor = Executor {
        provider: &workspace.provider,
        fleet: &fleet,
        cluster: &workspace.cluster,
        rendered: &workspace.rendered,
        manifest: &prepared.manifest,
        secrets: &prepared.secrets,
        journal: &journal,
    };
    executor.run(&prepared.plan).await?;
    drop(lock);
    Ok(())
}

/// Between the plan and the lock another pgha may have changed the world.
async fn still_true(workspace: &Workspace, prepared: &Prepared) -> Result<(), Failure> {
    let world = execute::observe(&workspace.provider).await?;
    let now = plan::plan(&workspace.desired(&prepared.manifest, &prepared.secrets)?, &world)?;
    if now.fingerprint == prepared.plan.fingerprint {
        return Ok(());
    }
    Err(Failure::no("the cluster changed since the plan was made; nothing was done").hint("run the command again to plan anew"))
}

pub(super) async fn up(workspace: &Workspace, yes: bool) -> Result<(), Failure> {
    apply(workspace, yes).await?;
    let secrets = workspace.secrets().await?;
    print::note(&format!("{} cluster `{}` is healthy", print::green("ready:"), workspace.cluster.name));
    print::data(&Endpoints::of(workspace, &secrets).text());
    Ok(())
}

pub(super) async fn destroy(workspace: &Workspace, yes: bool) -> Result<(), Failure> {
    let world = execute::observe(&workspace.provider).await?;
    let names = world.servers.iter().map(|server| server.name.as_str()).collect::<Vec<_>>();
    if !names.is_empty()
        && !yes
        && !print::confirm(&format!("Delete {} with all data of cluster `{}`?", names.join(", "), workspace.cluster.name))
    {
        return Err(Failure::no("nothing was deleted").hint("answer y, or give --yes"));
    }
    let _lock = workspace.provider.lock("pgha destroy")?;
    execute::destroy(&workspace.provider, &plan::plan_destroy(&workspace.cluster.name, &world)).await?;
    print::note(&format!("cluster `{}` is gone; its secrets stay in {}", workspace.cluster.name, workspace.secrets_dir().display()));
    Ok(())
}

/// The plan as people read it.
fn text(plan: &Plan) -> String {
    let head = format!("plan {}   cluster {}\n", plan.fingerprint.short(), plan.cluster);
    if plan.steps.is_empty() {
        return head + " nothing to do\n";
    }
    let lines = plan.steps.iter().enumerate().map(|(index, step)| format!("{:2} {}\n", index + 1, line(step)));
    head + &lines.collect::<String>()
}

fn line(step: &Step) -> String {
    let what = match &step.action {
        Action::CreateNetwork => "network     the cluster's switch".to_owned(),
        Action::CreateServer { node, image, .. } => format!("create      {node}, image {}, empty data volume", image.short()),
        Action::PowerOn { node } => format!("power on    {node}"),
        Action::Gate(gate) => format!("gate        healthy within {} s, held {} s", gate.within_seconds, gate.held_seconds),
        Action::Declare => "declare     missing roles, databases and extensions".to_owned(),
        Action::Seal => "seal        from now on no data volume may come up empty".to_owned(),
        Action::DeleteServer { node } => format!("delete      {node}"),
        Action::DeleteNetwork => "delete      the cluster's switch".to_owned(),
    };
    let cost = match step.cost {
        Cost::None => return what,
        Cost::Resources => "memory and disk of this machine",
        Cost::Data => "all its data",
    };
    format!("{what:60} {cost}")
}
