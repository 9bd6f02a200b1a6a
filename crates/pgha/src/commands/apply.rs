//! `plan`, `apply`, `up`, `destroy`.

use std::process::ExitCode;
use std::sync::Arc;

use pgha_core::manifest::Manifest;
use pgha_core::plan::{self, Plan};
use pgha_deploy::execute::{self, Executor};
use pgha_deploy::fleet::Fleet;
use pgha_deploy::journal::Journal;
use pgha_deploy::observe;
use pgha_deploy::secrets::Secrets;
use pgha_platform::{Provider, files};

use super::connect::Endpoints;
use super::exclusive::exclusively;
use crate::failure::Failure;
use crate::print;
use crate::workspace::Workspace;

/// Everything a plan is made from and carried out with.
struct Prepared<'w> {
    workspace: &'w Workspace,
    manifest: Manifest,
    secrets: Arc<Secrets>,
    fleet: Arc<Fleet>,
    /// What is to be planned.
    goal: Goal,
}

#[derive(Clone, Copy)]
enum Goal {
    /// What the cluster file says.
    Apply,
    /// What every node ran before.
    Rollback,
    /// What every node runs already.
    Again,
}

impl<'w> Prepared<'w> {
    async fn new(workspace: &'w Workspace, install: bool, goal: Goal) -> Result<Self, Failure> {
        super::preflight::require(workspace, &[], install).await?;
        not_lost(workspace).await?;
        let manifest = workspace.builder.build(&workspace.cluster, &workspace.rendered, false).await?;
        let secrets = workspace.secrets().await?;
        let fleet = Arc::new(Fleet::new(&workspace.cluster, Arc::clone(&secrets)));
        Ok(Self { workspace, manifest, secrets, fleet, goal })
    }

    async fn plan(&self) -> Result<Plan, Failure> {
        let world = observe::world(&self.workspace.provider, self.fleet.as_ref(), &self.workspace.cluster).await?;
        let desired = self.workspace.desired(&self.manifest, &self.secrets)?;
        Ok(match self.goal {
            Goal::Apply => plan::plan(&desired, &world)?,
            Goal::Rollback => plan::plan_rollback(&desired, &world)?,
            Goal::Again => plan::plan_again(&desired, &world)?,
        })
    }

    /// Plans and carries out, and again while the rest could not be planned before.
    async fn through(&self, yes: bool) -> Result<(), Failure> {
        loop {
            let plan = self.plan().await?;
            self.carry_out(&plan, yes).await?;
            if !plan.more_follows {
                return Ok(());
            }
        }
    }

    /// Shows the plan, asks, and carries it out, if the world is still what the plan was made from.
    async fn carry_out(&self, plan: &Plan, yes: bool) -> Result<(), Failure> {
        print::note(plan.to_string().trim_end());
        if plan.steps.is_empty() {
            return Ok(());
        }
        if !yes && !print::confirm("Carry it out?") {
            return Err(Failure::no("nothing was changed").hint("answer y, or give --yes"));
        }
        exclusively(self.workspace, &self.fleet, "pgha apply", self.execute(plan)).await
    }

    /// Carries a plan out under a lock that the caller holds.
    async fn execute(&self, plan: &Plan) -> Result<(), Failure> {
        if self.plan().await? != *plan {
            let failure = Failure::no("the cluster changed since the plan was made; nothing was done");
            return Err(failure.hint("run the command again to plan anew"));
        }
        let journal = Journal::new(self.secrets.path("journal.jsonl"));
        let executor = Executor {
            provider: &self.workspace.provider,
            daemons: self.fleet.as_ref(),
            cluster: &self.workspace.cluster,
            rendered: &self.workspace.rendered,
            manifest: &self.manifest,
            secrets: &self.secrets,
            generation: plan.generation,
            wish: &plan.wish,
            journal: &journal,
        };
        Ok(executor.run(plan).await?)
    }
}

/// A formed cluster without servers is one whose state directory is not there, not one to be made anew.
async fn not_lost(workspace: &Workspace) -> Result<(), Failure> {
    let mark = workspace.secrets_dir().join(execute::FORMED);
    if !mark.exists() || !observe::servers(&workspace.provider).await?.servers.is_empty() {
        return Ok(());
    }
    let dir = &workspace.cluster.local_state_dir;
    let failure = Failure::no(format!("cluster `{}` was formed, but {dir} has none of its servers", workspace.cluster.name));
    Err(failure.hint("mount the disk or set provider.local.state_dir back; if the data is gone for good, `pgha destroy` and begin anew"))
}

/// With `detailed`, the exit code tells "nothing to do" (0) from "something to do" (2) and from every failure (1).
pub(super) async fn plan(workspace: &Workspace, json: bool, detailed: bool) -> Result<ExitCode, Failure> {
    let plan = made(workspace).await.map_err(|failure| if detailed { failure.exit_with(1) } else { failure })?;
    if json {
        print::line(&serde_json::to_string_pretty(&plan).unwrap_or_default());
    } else {
        print::data(&plan.to_string());
    }
    Ok(if detailed && !plan.steps.is_empty() { ExitCode::from(2) } else { ExitCode::SUCCESS })
}

async fn made(workspace: &Workspace) -> Result<Plan, Failure> {
    Prepared::new(workspace, false, Goal::Apply).await?.plan().await
}

pub(super) async fn apply(workspace: &Workspace, yes: bool) -> Result<(), Failure> {
    Prepared::new(workspace, yes, Goal::Apply).await?.through(yes).await
}

pub(super) async fn rollback(workspace: &Workspace, yes: bool) -> Result<(), Failure> {
    Prepared::new(workspace, false, Goal::Rollback).await?.through(yes).await
}

/// Rolls every node through a rebuild with what it has. The caller holds the lock.
pub(super) async fn again(workspace: &Workspace) -> Result<(), Failure> {
    let prepared = Prepared::new(workspace, false, Goal::Again).await?;
    let plan = prepared.plan().await?;
    print::note(plan.to_string().trim_end());
    prepared.execute(&plan).await
}

pub(super) async fn up(workspace: &Workspace, yes: bool) -> Result<(), Failure> {
    apply(workspace, yes).await?;
    let secrets = workspace.secrets().await?;
    print::note(&format!("{} cluster `{}` is healthy", print::green("ready:"), workspace.cluster.name));
    print::data(&Endpoints::of(workspace, &secrets).text());
    Ok(())
}

pub(super) async fn destroy(workspace: &Workspace, yes: bool) -> Result<(), Failure> {
    let lock = workspace.provider.lock("pgha destroy")?;
    let world = observe::servers(&workspace.provider).await?;
    let names = world.servers.iter().map(|server| server.name.as_str()).collect::<Vec<_>>();
    if !names.is_empty()
        && !yes
        && !print::confirm(&format!("Delete {} with all data of cluster `{}`?", names.join(", "), workspace.cluster.name))
    {
        return Err(Failure::no("nothing was deleted").hint("answer y, or give --yes"));
    }
    execute::destroy(&workspace.provider, &plan::plan_destroy(&workspace.cluster.name, &world)).await?;
    files::remove(&workspace.secrets_dir().join(execute::FORMED))?;
    drop(lock);
    print::note(&format!("cluster `{}` is gone; its secrets stay in {}", workspace.cluster.name, workspace.secrets_dir().display()));
    Ok(())
}
