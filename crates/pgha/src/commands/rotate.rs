//! `rotate`.

use std::collections::BTreeSet;
use std::sync::Arc;

use pgha_deploy::fleet::Fleet;
use pgha_deploy::observe;
use pgha_deploy::operate::Goal;
use pgha_deploy::role_password;
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

/// Goes turn by turn. Each turn reaches every node before the next is written. One yes is enough
/// for all turns of a run: there is no reason to stop half way.
async fn secrets(workspace: &Workspace, args: &RotateArgs) -> Result<(), Failure> {
    let found = workspace.rotation().await?;
    let kinds = kinds(&args.what);
    let mut rotation = match found {
        None => begin(workspace, args, kinds, None).await?,
        // Lost secrets may join a rotation that is under way.
        Some(found) if !args.what.is_empty() && !kinds.is_subset(&found.kinds) => {
            begin(workspace, args, kinds, Some(found)).await?
        }
        Some(found) => {
            may_go_on(workspace, args, &found)?;
            found
        }
    };
    loop {
        let prepared = prepared(workspace).await?;
        prepared.plan_and_apply(Goal::Apply, PURPOSE, true).await?;
        let turn = rotation.next();
        rotation = match advance(workspace, &prepared, &rotation, &turn).await? {
            None => {
                end(workspace, &rotation);
                return Ok(());
            }
            Some(next) => next,
        };
        if turn == Turn::Trust {
            print::note(&clients_first(workspace));
            return Ok(());
        }
    }
}

async fn prepared(workspace: &Workspace) -> Result<Prepared<'_>, Failure> {
    Prepared::new(workspace, None, Vec::new, false).await
}

async fn begin(
    workspace: &Workspace,
    args: &RotateArgs,
    kinds: BTreeSet<Kind>,
    found: Option<Rotation>,
) -> Result<Rotation, Failure> {
    // The one yes is for new secrets, not for other changes of the file. Lost secrets are no reason against it.
    if found.is_none()
        && let Ok(prepared) = prepared(workspace).await
        && !prepared.operator().plan(Goal::Apply).await?.steps.is_empty()
    {
        return Err(Failure::no("the cluster is not what the cluster file says")
            .hint("`pgha plan` shows why; `pgha apply` first, then `pgha rotate`"));
    }
    let names = kinds.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    print::note(&format!(
        "new secrets ({names}) for every node: each is booted anew, one after the other, the leader last"
    ));
    confirmed(args, "Begin?")?;
    let secrets = workspace.after_turn(&Turn::Begin(kinds)).await?;
    let fleet = Fleet::new(&workspace.cluster, Arc::clone(&secrets));
    let write = async {
        unchanged(workspace, found.as_ref()).await?;
        Ok(secrets.write()?)
    };
    exclusively(workspace, &fleet, PURPOSE, Unguarded::Refuse, write).await?;
    secrets.rotation()?.ok_or_else(changed)
}

/// Fails if another operator has continued the rotation since `seen` was read.
async fn unchanged(workspace: &Workspace, seen: Option<&Rotation>) -> Result<(), Failure> {
    match workspace.rotation().await?.as_ref() == seen {
        true => Ok(()),
        false => Err(changed()),
    }
}

fn changed() -> Failure {
    Failure::no("somebody else has gone on with the rotation; nothing was changed")
        .hint("`pgha rotate` begins with what there is now")
}

fn may_go_on(workspace: &Workspace, args: &RotateArgs, rotation: &Rotation) -> Result<(), Failure> {
    let names = rotation.names();
    if !args.what.is_empty() {
        return Err(Failure::no(format!("a rotation ({names}) is under way"))
            .hint("`pgha rotate` without names goes on with it"));
    }
    print::note(&format!("going on with the rotation that was begun ({names})"));
    if rotation.stage != Stage::Trusted {
        return confirmed(args, "Go on?");
    }
    let trust = workspace.secrets_dir().join("ca.crt");
    let question = format!("Does every client trust both authorities of {}?", trust.display());
    confirmed(args, &question).map_err(|no| no.hint(clients_first(workspace)))
}

fn confirmed(args: &RotateArgs, question: &str) -> Result<(), Failure> {
    match args.yes.yes || print::confirm(question) {
        true => Ok(()),
        false => Err(Failure::no("nothing was changed").hint("answer y, or give --yes")),
    }
}

/// Writes the next turn while no other operator is at work. Every node has the last turn, so the
/// seeds from before it are no way back and are dropped. Absent: the rotation is finished.
async fn advance(
    workspace: &Workspace,
    prepared: &Prepared<'_>,
    rotation: &Rotation,
    turn: &Turn,
) -> Result<Option<Rotation>, Failure> {
    let work = async {
        unchanged(workspace, Some(rotation)).await?;
        let servers = observe::servers(&workspace.provider).await?.servers;
        if !prepared.is_delivered(&servers) {
            return Err(Failure::no("not every node has the new secrets")
                .hint("see `pgha plan`; `pgha rotate` goes on"));
        }
        prepared.archive.keep_only_given(&servers)?;
        let secrets = workspace.after_turn(turn).await?;
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

/// The new password is written to a file before PostgreSQL knows it, and becomes the role's own
/// once it does. Lost passwords are replaced in the same way.
async fn password(workspace: &Workspace, role: &str) -> Result<(), Failure> {
    workspace.has_user(role)?;
    let secrets = workspace.after_turn(&Turn::BeginPasswords(role.to_owned())).await?;
    let fleet = Fleet::new(&workspace.cluster, Arc::clone(&secrets));
    let work = async {
        secrets.write()?;
        let leader = super::switchover::leader(workspace, &fleet).await?;
        let leader = workspace.node(&leader)?;
        let mut strange = Vec::new();
        for role in secrets.next_roles() {
            strange.extend(role_password::change(&fleet, leader, &role).await?);
        }
        workspace.after_turn(&Turn::FinishPasswords).await?.write()?;
        Ok(strange)
    };
    let strange = exclusively(workspace, &fleet, PURPOSE, Unguarded::Refuse, work).await?;
    for role in secrets.next_roles() {
        let file = secrets.path(&format!("passwords/{role}"));
        print::note(&format!("new sessions of {role} need the password in {}", file.display()));
    }
    for why in &strange {
        print::marked(&print::yellow("warning:"), why);
    }
    if !strange.is_empty() {
        print::note(
            "a pooler that does not know it cuts the role's open sessions until a client has come with the new one",
        );
    }
    Ok(())
}
