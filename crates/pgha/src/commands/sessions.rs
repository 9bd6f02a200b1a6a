//! `sessions`: which clients work in PostgreSQL.

use comfy_table::{Table, presets};
use pgha_deploy::clients::{self, ClientSession};

use crate::cli::SessionsArgs;
use crate::failure::Failure;
use crate::print;
use crate::workspace::Workspace;

/// Characters of a statement that fit into a line.
const SHOWN: usize = 60;

pub(super) async fn run(workspace: &Workspace, args: &SessionsArgs) -> Result<(), Failure> {
    let (_, fleet) = workspace.fleet().await?;
    let mut all = clients::sessions(&fleet).await;
    if let ([], [why, ..]) = (&all.sessions[..], &all.silent[..]) {
        let failure = Failure::no(format!("nobody tells of sessions: {why}"));
        return Err(failure.hint("see `pgha doctor`").exit_with(2));
    }
    all.sessions.retain(|session| args.all || !session.is_own());
    if args.json.json {
        print::json(&all);
        return Ok(());
    }
    for why in &all.silent {
        print::note(&format!("does not tell: {why}"));
    }
    print::data(&table(&all.sessions));
    Ok(())
}

fn table(sessions: &[ClientSession]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header([
        "node",
        "pid",
        "database",
        "role",
        "client",
        "through",
        "application",
        "state",
        "s",
        "query",
    ]);
    table.add_rows(sessions.iter().map(row));
    table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

fn row(session: &ClientSession) -> [String; 10] {
    let or_dash = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
    let query = session.query.split_whitespace().collect::<Vec<_>>().join(" ");
    [
        session.node.clone(),
        session.pid.to_string(),
        or_dash(&session.database),
        or_dash(&session.role),
        session.client.map_or_else(|| "-".to_owned(), |client| client.to_string()),
        or_dash(&session.through),
        session.application.clone(),
        or_dash(&session.state),
        session.seconds.map_or_else(|| "-".to_owned(), |seconds| format!("{seconds:.1}")),
        query.chars().take(SHOWN).collect(),
    ]
}
