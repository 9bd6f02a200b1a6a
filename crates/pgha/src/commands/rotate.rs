//! `rotate`.

use std::collections::BTreeSet;
use std::sync::Arc;

use pgha_deploy::declare;
use pgha_deploy::fleet::Fleet;
use pgha_deploy::observe;
use pgha_deploy::operate::Goal;
use pgha_deploy::secrets::{Kind, Rotation, Stage, Turn};

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

/// Turn by turn. Each is brought to every node before the next is written. One yes is enough for all of a run: half of them are
/// nothing to stop at.
async fn secrets(workspace: &Workspace, args: &RotateArgs) -> Result<(), Failure> {
    let mut told = false;
    let mut rotation = match workspace.rotation().await? {
        Some(rotation) => {
            told = may_go_on(workspace, args, &rotation).await?;
            rotation
        }
        None => begin(workspace, args).await?,
    };
    loop {
        let prepared = prepared(workspace).await?;
        prepared.through(Goal::Apply, PURPOSE, true).await?;
        if rotation.waits_for_clients() && !told {
            print::note(&clients_first(workspace));
            return Ok(());
        }
        let turn = rotation.next();
        match take(workspace, &prepared, &turn).await? {
            Some(next) => rotation = next,
            None => {
                end(workspace, &rotation);
                return Ok(());
            }
        }
    }
}

async fn prepared(workspace: &Workspace) -> Result<Prepared<'_>, Failure> {
    Prepared::new(workspace, None, Vec::new, false).await
}

async fn begin(workspace: &Workspace, args: &RotateArgs) -> Result<Rotation, Failure> {
    let kinds = kinds(&args.what);
    let names = kinds.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    print::note(&format!(
        "new secrets ({names}) for every node: each is booted anew, one after the other, the leader last"
    ));
    agreed(args, "Begin?")?;
    let turn = Turn::Begin(kinds.clone());
    let secrets = workspace.turned(&turn).await?;
    let fleet = Fleet::new(&workspace.cluster, Arc::clone(&secrets));
    let write = async { Ok(secrets.write()?) };
    exclusively(workspace, &fleet, PURPOSE, Unguarded::Refuse, write).await?;
    Ok(Rotation { kinds, stage: Stage::Begun })
}

/// Whether clients are said to trust the new authorities. That is asked only once every node does.
async fn may_go_on(
    workspace: &Workspace,
    args: &RotateArgs,
    rotation: &Rotation,
) -> Result<bool, Failure> {
    let names = rotation.names();
    if !args.what.is_empty() {
        return Err(Failure::no(format!("a rotation ({names}) is under way"))
            .hint("`pgha rotate` without names goes on with it"));
    }
    let delivered = prepared(workspace).await?.is_delivered().await?;
    print::note(&format!("going on with the rotation that was begun ({names})"));
    if !(delivered && rotation.waits_for_clients()) {
        agreed(args, "Go on?")?;
        return Ok(false);
    }
    let trust = workspace.secrets_dir().join("ca.crt");
    let question = format!("Does every client trust both authorities of {}?", trust.display());
    agreed(args, &question).map_err(|no| no.hint(clients_first(workspace)))?;
    Ok(true)
}

fn agreed(args: &RotateArgs, question: &str) -> Result<(), Failure> {
    match args.yes.yes || print::confirm(question) {
        true => Ok(()),
        false => Err(Failure::no("nothing was changed").hint("answer y, or give --yes")),
    }
}

/// Writes the next turn, while nobody else is at work: every node has the last one, so what it had before that is nothing to go back
/// to. Absent: that was the end.
async fn take(
    workspace: &Workspace,
    prepared: &Prepared<'_>,
    turn: &Turn,
) -> Result<Option<Rotation>, Failure> {
    let work = async {
        if !prepared.is_delivered().await? {
            return Err(Failure::no("not every node has the new secrets")
                .hint("see `pgha plan`; `pgha rotate` goes on"));
        }
        let servers = observe::servers(&workspace.provider).await?.servers;
        prepared.archive.keep_only_given(&servers)?;
        let secrets = workspace.turned(turn).await?;
        secrets.write()?;
        Ok(secrets.rotation()?)
    };
    exclusively(workspace, &prepared.fleet, PURPOSE, Unguarded::Refuse, work).await
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

fn end(workspace: &Workspace, rotation: &Rotation) {
    let (names, users) = (rotation.names(), workspace.cluster.postgresql.users.join(", "));
    print::note(&format!(
        "rotated: {names}. No node takes the old ones any more. As before: passwords of {users} (`pgha rotate --role`)"
    ));
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
