//! `rotate`.

use std::collections::BTreeSet;
use std::sync::Arc;

use pgha_deploy::declare;
use pgha_deploy::fleet::Fleet;
use pgha_deploy::observe;
use pgha_deploy::operate::Goal;
use pgha_deploy::secrets::{Kind, Secrets, Stage, Turn};

use super::exclusive::{Unguarded, exclusively};
use super::prepared::Prepared;
use crate::cli::{RotateArgs, Rotated};
use crate::failure::Failure;
use crate::print;
use crate::workspace::Workspace;

const PURPOSE: &str = "pgha rotate";

pub(super) async fn run(workspace: &Workspace, args: &RotateArgs) -> Result<(), Failure> {
    if workspace.servers().await?.is_empty() {
        return Err(workspace.no_servers());
    }
    match &args.role {
        Some(role) => password(workspace, role).await,
        None => secrets(workspace, args).await,
    }
}

/// Turn by turn. Each is brought to every node before the next begins.
async fn secrets(workspace: &Workspace, args: &RotateArgs) -> Result<(), Failure> {
    let mut turn = first_turn(workspace, args).await?;
    loop {
        let prepared = Prepared::turned(workspace, turn.as_ref()).await?;
        prepared.through(Goal::Apply, PURPOSE, args.yes.yes).await?;
        if !prepared.is_delivered().await? {
            return Err(Failure::no("not every node has the new secrets")
                .hint("see `pgha plan`; `pgha rotate` goes on"));
        }
        turn = match (prepared.secrets.stage(), turn) {
            (None, _) => return end(workspace, &prepared).await,
            (Some(Stage::Trusted), Some(Turn::Begin(_))) => {
                print::note(&clients_first(workspace));
                return Ok(());
            }
            (Some(Stage::Trusted), _) => Some(Turn::Replace),
            (Some(Stage::Replaced), _) => Some(Turn::Finish),
        };
    }
}

/// Absent: one is under way, and what it has made is brought to every node first.
async fn first_turn(workspace: &Workspace, args: &RotateArgs) -> Result<Option<Turn>, Failure> {
    let running = workspace.running().await?;
    let stage = Secrets::stage_in(&workspace.secrets_dir(), &workspace.cluster, &running)?;
    let Some(stage) = stage else { return Ok(Some(Turn::Begin(kinds(&args.what)))) };
    if !args.what.is_empty() {
        return Err(Failure::no("a rotation is under way")
            .hint("`pgha rotate` without names goes on with it"));
    }
    let trust = workspace.secrets_dir().join("ca.crt");
    let question = format!("Does every client trust both authorities of {}?", trust.display());
    if stage == Stage::Trusted && !args.yes.yes && !print::confirm(&question) {
        return Err(Failure::no("nothing was changed").hint(clients_first(workspace)));
    }
    Ok(None)
}

fn kinds(named: &[Rotated]) -> BTreeSet<Kind> {
    let all = [Rotated::Authorities, Rotated::Ssh, Rotated::Passwords];
    let wanted = all.into_iter().filter(|kind| named.is_empty() || named.contains(kind));
    let kind = |named| match named {
        Rotated::Authorities => Kind::Authorities,
        Rotated::Ssh => Kind::Ssh,
        Rotated::Passwords => Kind::Passwords,
    };
    wanted.map(kind).collect()
}

fn clients_first(workspace: &Workspace) -> String {
    format!(
        "every node trusts the new authorities. Now give {} to every client that has a copy of it, then `pgha rotate` goes on",
        workspace.secrets_dir().join("ca.crt").display()
    )
}

/// What was rotated away is nothing to go back to.
async fn end(workspace: &Workspace, prepared: &Prepared<'_>) -> Result<(), Failure> {
    let servers = observe::servers(&workspace.provider).await?.servers;
    prepared.archive.keep_only_given(&servers)?;
    print::note("rotated: no node takes the old secrets any more");
    Ok(())
}

/// Written before PostgreSQL knows it, and taken for the role's own once it does.
async fn password(workspace: &Workspace, role: &str) -> Result<(), Failure> {
    workspace.has_user(role)?;
    let secrets = workspace.turned(&Turn::BeginPassword(role.to_owned())).await?;
    let fleet = Fleet::new(&workspace.cluster, Arc::clone(&secrets));
    let work = async {
        secrets.write()?;
        let leader = super::switchover::leader(workspace, &fleet).await?;
        let link = fleet.link(workspace.node(&leader)?).await?;
        declare::set_password(&link.session, role, secrets.next_verifier(role)).await?;
        Ok(workspace.turned(&Turn::FinishPassword(role.to_owned())).await?.write()?)
    };
    exclusively(workspace, &fleet, PURPOSE, Unguarded::Refuse, work).await?;
    let file = secrets.path(&format!("passwords/{role}"));
    print::note(&format!("new sessions of {role} need the password in {}", file.display()));
    Ok(())
}
