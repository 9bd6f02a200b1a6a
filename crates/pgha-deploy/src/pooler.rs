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

/// Whether the pooler of the node behind `session` answers in its console.
pub(crate) async fn answers(session: &Session) -> bool {
    session.answer(&console("SHOW VERSION")).await.is_ok()
}

/// PgBouncer lets this system user, and no other, into its console.
fn console(command: &str) -> Vec<&str> {
    let psql =
        "runuser -u postgres -- /etc/pgha/bin/psql -XAq -h /run/pgbouncer -p 6432 pgbouncer -c";
    psql.split(' ').chain([command]).collect()
}

/// A table as psql prints it: names of columns, then a row in each line. The columns differ between
/// versions of PgBouncer.
fn parse(table: &str) -> Vec<Pool> {
    let mut lines = table.lines().map(|line| line.split('|').collect::<Vec<_>>());
    let names = lines.next().unwrap_or_default();
    let rows = lines.filter(|row| row.len() == names.len());
    let rows = rows.map(|row| names.iter().copied().zip(row).collect::<BTreeMap<_, _>>());
    let pools = rows.filter_map(|row| {
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
}
