//! `plan`, `apply`, `up`, `destroy`.

use std::process::ExitCode;
use std::sync::Arc;

use pgha_core::manifest::Manifest;
use pgha_core::plan::{self, Plan};
use pgha_deploy::execute;
use pgha_deploy::fleet::Fleet;
use pgha_deploy::journal::Journal;
use pgha_deploy::observe;
use pgha_deploy::operate::{Goal, Operator};
use pgha_deploy::secrets::Secrets;
use pgha_platform::local::Local;
use pgha_platform::{Provider, files};

use super::connect::Endpoints;
use super::exclusive::exclusively;
use crate::failure::Failure;
use crate::print;
use crate::workspace::Workspace;

/// Everything an operator needs, made from the cluster file.
struct Prepared<'w> {
    workspace: &'w Workspace,
    manifest: Manifest,
    secrets: Arc<Secrets>,
    fleet: Arc<Fleet>,
    journal: Journal,
}

impl<'w> Prepared<'w> {
    async fn new(workspace: &'w Workspace, install: bool) -> Result<Self, Failure> {
        super::preflight::require(workspace, &[], install).await?;
        not_lost(workspace).await?;
        let manifest =
            workspace.builder.build(&workspace.cluster, &workspace.rendered, false).await?;
        let secrets = workspace.secrets().await?;
        let fleet = Arc::new(Fleet::new(&workspace.cluster, Arc::clone(&secrets)));
        let journal = Journal::new(secrets.path("journal.jsonl"));
        Ok(Self { workspace, manifest, secrets, fleet, journal })
    }

    fn operator(&self) -> Result<Operator<'_, Local, Fleet>, Failure> {
        Ok(Operator {
            provider: &self.workspace.provider,
            daemons: self.fleet.as_ref(),
            desired: self.workspace.desired(&self.manifest, &self.secrets)?,
            rendered: &self.workspace.rendered,
            manifest: &self.manifest,
            secrets: &self.secrets,
            journal: &self.journal,
        })
    }

    /// Plans and carries out, and again while the rest could not be planned before.
    async fn through(&self, goal: Goal, yes: bool) -> Result<(), Failure> {
        let operator = self.operator()?;
        loop {
            let plan = operator.plan(goal).await?;
            print::note(plan.to_string().trim_end());
            if plan.steps.is_empty() {
                return Ok(());
            }
            if !yes && !print::confirm("Carry it out?") {
                return Err(Failure::no("nothing was changed").hint("answer y, or give --yes"));
            }
            let work = async { Ok(operator.carry_out(goal, &plan).await?) };
            let purpose = if goal == Goal::Rollback { "pgha rollback" } else { "pgha apply" };
            exclusively(self.workspace, &self.fleet, purpose, work).await?;
            if !plan.more_follows {
                return Ok(());
            }
        }
    }
}

/// A formed cluster without servers is one whose state directory is not there, not one to be made
/// anew.
async fn not_lost(workspace: &Workspace) -> Result<(), Failure> {
    let mark = workspace.secrets_dir().join(execute::FORMED);
    let lost = mark.exists() && observe::servers(&workspace.provider).await?.servers.is_empty();
    if lost { Err(workspace.no_servers()) } else { Ok(()) }
}

/// With `detailed`, the exit code tells "nothing to do" (0) from "something to do" (2) and from
/// every failure (1).
pub(super) async fn plan(
    workspace: &Workspace,
    json: bool,
    detailed: bool,
) -> Result<ExitCode, Failure> {
    let plan = made(workspace)
        .await
        .map_err(|failure| if detailed { failure.exit_with(1) } else { failure })?;
    if json {
        print::line(&serde_json::to_string_pretty(&plan).unwrap_or_default());
    } else {
        print::data(&plan.to_string());
    }
    Ok(if detailed && !plan.steps.is_empty() { ExitCode::from(2) } else { ExitCode::SUCCESS })
}

async fn made(workspace: &Workspace) -> Result<Plan, Failure> {
    Ok(Prepared::new(workspace, false).await?.operator()?.plan(Goal::Apply).await?)
}

pub(super) async fn apply(workspace: &Workspace, yes: bool) -> Result<(), Failure> {
    Prepared::new(workspace, yes).await?.through(Goal::Apply, yes).await
}

pub(super) async fn rollback(workspace: &Workspace, yes: bool) -> Result<(), Failure> {
    Prepared::new(workspace, false).await?.through(Goal::Rollback, yes).await
}

/// Rolls every node through a rebuild with what it has. The caller holds the lock.
pub(super) async fn again(workspace: &Workspace) -> Result<(), Failure> {
    let prepared = Prepared::new(workspace, false).await?;
    let operator = prepared.operator()?;
    let plan = operator.plan(Goal::Again).await?;
    print::note(plan.to_string().trim_end());
    Ok(operator.carry_out(Goal::Again, &plan).await?)
}

pub(super) async fn up(workspace: &Workspace, yes: bool) -> Result<(), Failure> {
    apply(workspace, yes).await?;
    let secrets = workspace.secrets().await?;
    print::note(&format!(
        "{} cluster `{}` is healthy",
        print::green("ready:"),
        workspace.cluster.name
    ));
    print::data(&Endpoints::of(workspace, &secrets).text());
    Ok(())
}

pub(super) async fn destroy(workspace: &Workspace, yes: bool) -> Result<(), Failure> {
    let lock = workspace.provider.lock("pgha destroy")?;
    let world = observe::servers(&workspace.provider).await?;
    let plan = plan::plan_destroy(&workspace.cluster.name, &world);
    if !world.servers.is_empty() {
        print::note(plan.to_string().trim_end());
        if !yes
            && !print::confirm(&format!(
                "Delete cluster `{}` with all its data?",
                workspace.cluster.name
            ))
        {
            return Err(Failure::no("nothing was deleted").hint("answer y, or give --yes"));
        }
    }
    execute::destroy(&workspace.provider, &plan).await?;
    files::remove(&workspace.secrets_dir().join(execute::FORMED))?;
    drop(lock);
    print::note(&format!(
        "cluster `{}` is gone; its secrets stay in {}",
        workspace.cluster.name,
        workspace.secrets_dir().display()
    ));
    Ok(())
}
