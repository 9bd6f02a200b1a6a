//! The connections of a node's PgBouncer.

use std::collections::BTreeMap;

use pgha_platform::ssh::Session;
use serde::Serialize;

/// Connections of one role to one database, through one pooler.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pool {
    /// The database.
    pub database: String,
    /// The role.
    pub role: String,
    /// Clients that a server connection works for.
    pub active: u32,
    /// Clients that wait for one.
    pub waiting: u32,
    /// Seconds that the first of them has waited for.
    pub waits_seconds: u32,
}

/// The pools of the node behind `session`, but for the console's. None when it does not answer.
pub(crate) async fn pools(session: &Session) -> Vec<Pool> {
    parse(&session.answer(&console("SHOW POOLS")).await.unwrap_or_default())
}

/// What is held where everybody is.
const EVERY_DATABASE: &str = "every database";

/// Whose clients the pooler of the node behind `session` holds back, because somebody has told it to in
/// its console: databases, or [`EVERY_DATABASE`]. It says so of a database once somebody has come for
/// it. Absent: it says nothing there either.
pub(crate) async fn held(session: &Session) -> Option<Vec<String>> {
    let ask = [&console("SHOW DATABASES")[..], &["-c", "SHOW STATE"]].concat();
    Some(holds(&session.answer(&ask).await.ok()?))
}

fn holds(tables: &str) -> Vec<String> {
    let all = tables.lines().any(|line| ["paused|yes", "suspended|yes"].contains(&line));
    let is_held = |row: &Row<'_>| {
        let says = |name: &str| row.get(name).is_some_and(|value| *value != "0");
        says("paused") || says("disabled")
    };
    let databases = rows(tables).filter(is_held);
    let databases = databases.filter_map(|row| row.get("name").map(|name| (*name).to_owned()));
    all.then(|| EVERY_DATABASE.to_owned()).into_iter().chain(databases).collect()
}

/// Lets everybody through again whom the pooler holds back. What came of it, the next look tells.
pub(crate) async fn release(session: &Session) {
    // Which databases it holds, it only tells of those that somebody has come for.
    let names = [&AS_POSTGRES[..], &["-h", "/run/postgresql", "postgres", "-c", NAMES]].concat();
    let databases = session.answer(&names).await.unwrap_or_default();
    let held = held(session).await.unwrap_or_default();
    let quoted = |name: &String| format!("\"{}\"", name.replace('"', "\"\""));
    let held = held.iter().filter(|name| *name != EVERY_DATABASE).map(quoted).collect::<Vec<_>>();
    let held = held.iter().map(String::as_str).chain(databases.lines());
    // Whichever does not apply fails.
    let script = [""]
        .into_iter()
        .chain(held)
        .fold(String::new(), |script, name| script + &format!("RESUME {name};\nENABLE {name};\n"));
    let command = [&["timeout", "10"], &AS_POSTGRES[..], &CONSOLE].concat();
    if let Err(error) = session.output(&command, script.as_bytes()).await {
        tracing::debug!("{error}");
    }
}

const NAMES: &str = "SELECT quote_ident(datname) FROM pg_database";

/// PgBouncer lets this system user, and no other, into its console. Not through PAM, which would note
/// each time in the journal.
const AS_POSTGRES: [&str; 6] = [
    "setpriv",
    "--reuid=postgres",
    "--regid=postgres",
    "--clear-groups",
    "/etc/pgha/bin/psql",
    "-XAq",
];

const CONSOLE: [&str; 5] = ["-h", "/run/pgbouncer", "-p", "6432", "pgbouncer"];

fn console(command: &str) -> Vec<&str> {
    [&AS_POSTGRES[..], &CONSOLE, &["-c", command]].concat()
}

/// A row of a table, by column.
type Row<'t> = BTreeMap<&'t str, &'t str>;

/// A table as psql prints it: names of columns, then a row in each line. The columns differ between
/// versions of PgBouncer.
fn rows(table: &str) -> impl Iterator<Item = Row<'_>> {
    let mut lines = table.lines().map(|line| line.split('|').collect::<Vec<_>>());
    let names = lines.next().unwrap_or_default();
    lines.filter_map(move |row| {
        (row.len() == names.len()).then(|| names.iter().copied().zip(row).collect())
    })
}

fn parse(table: &str) -> Vec<Pool> {
    let pools = rows(table).filter_map(|row| {
        let number = |name: &str| row.get(name)?.parse::<u32>().ok();
        Some(Pool {
            database: (*row.get("database")?).to_owned(),
            role: (*row.get("user")?).to_owned(),
            active: number("cl_active")?,
            waiting: number("cl_waiting")?,
            waits_seconds: number("maxwait")?,
        })
    });
    pools.filter(|pool| pool.database != "pgbouncer").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_pgbouncer_writes() {
        let table = "database|user|cl_active|cl_waiting|sv_active|maxwait|maxwait_us\napp|app|20|5|20|3|9\npgbouncer|pgbouncer|1|0|0|0|0\n(2 rows)\n";
        let pool = |pool: &Pool| (pool.role.clone(), pool.active, pool.waiting, pool.waits_seconds);
        let app = ("app".to_owned(), 20, 5, 3);
        assert_eq!(parse(table).iter().map(pool).collect::<Vec<_>>(), [app]);
    }

    #[test]
    fn tells_whom_it_holds_back() {
        let tables = |paused: u8, disabled: u8, all: &str| {
            format!(
                "name|host|paused|disabled\napp|/run|{paused}|{disabled}\npostgres|/run|0|0\n(2 rows)\nkey|value\nactive|no\npaused|{all}\n(2 rows)\n"
            )
        };
        assert!(holds(&tables(0, 0, "no")).is_empty());
        assert_eq!(holds(&tables(1, 0, "no")), ["app"]);
        assert_eq!(holds(&tables(0, 1, "yes")), [EVERY_DATABASE, "app"]);
    }
}
