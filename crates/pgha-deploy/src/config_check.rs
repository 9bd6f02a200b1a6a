//! Checks a new dynamic configuration: whether PostgreSQL would run with it, and whether every
//! member has taken it.
//!
//! Patroni stores whatever it is given. PostgreSQL keeps its old values where it cannot read the new ones, until its next start. So
//! PostgreSQL itself is asked, before and after.

use std::fmt::Write;

use pgha_core::Dynamic;
use pgha_core::dynamic::ACCESS;
use pgha_platform::ssh::{Session, SshError};
use serde_json::json;

use crate::declare::{literal, sql};
use crate::node_error::NodeError;

/// The objections of PostgreSQL on the node behind `session` to a configuration. For this,
/// PostgreSQL starts on an empty data directory of its own. Empty: none.
///
/// # Errors
/// When nothing was judged there: the node does not answer, or has no room for it.
pub(crate) async fn judged(session: &Session, dynamic: &Dynamic) -> Result<String, NodeError> {
    let judge = "runuser -u postgres -- /bin/sh /etc/pgha/lib/pgha-judge";
    let candidate = json!({ "parameters": parameters(dynamic), "access": access(dynamic) });
    let judge = judge.split(' ').collect::<Vec<_>>();
    let output = session.output(&judge, candidate.to_string().as_bytes()).await?;
    match (output.status, output.stdout.trim()) {
        (Some(0), _) => Ok(String::new()),
        (Some(1), said) if !said.is_empty() => Ok(said.to_owned()),
        _ => Err(NodeError::Unjudged(session.address(), output.stderr.trim().to_owned())),
    }
}

/// What clients use now and could not keep with a configuration, one per line. `session` must lead to the leader.
///
/// # Errors
/// When psql fails.
pub(crate) async fn in_use(session: &Session, dynamic: &Dynamic) -> Result<String, SshError> {
    let query = IN_USE.replace("{wanted}", &wanted(dynamic));
    Ok(sql(session, "postgres", &query).await?.trim().to_owned())
}

/// What PostgreSQL of the node behind `session` has not taken of a configuration, and what its files set in addition.
///
/// # Errors
/// When psql fails.
pub(crate) async fn not_taken(
    session: &Session,
    dynamic: &Dynamic,
) -> Result<Vec<String>, SshError> {
    let query = NOT_TAKEN
        .replace("{wanted}", &wanted(dynamic))
        .replace("{lines}", &access_lines(dynamic))
        .replace("{added}", ADDED)
        .replace("{patroni}", PATRONI_SETS);
    Ok(sql(session, "postgres", &query).await?.lines().map(str::to_owned).collect())
}

/// The file that `ALTER SYSTEM` writes. It outlives every change of the dynamic configuration, and
/// overrides it.
const AUTO_CONF: &str = "/var/lib/pgha/postgresql/data/postgresql.auto.conf";

/// The file that initdb wrote. The file that Patroni writes includes it, and Patroni leaves it as it is.
const BASE_CONF: &str = "/var/lib/pgha/postgresql/data/postgresql.base.conf";

/// Lines of it that initdb of PostgreSQL 17 does not write (`initdb.c`, `setup_config`, and
/// `postgresql.conf.sample`), or that PostgreSQL cannot read.
const ADDED: &str = "SELECT coalesce(name, 'something in line ' || sourceline) AS name, sourceline FROM pg_file_settings
    WHERE sourcefile LIKE '%/postgresql.base.conf' AND (name IS NULL
        OR error IS NOT NULL AND error NOT LIKE '%cannot be changed without restarting the server'
        OR lower(name) !~ '^(datestyle|default_text_search_config|dynamic_shared_memory_type|lc_(messages|monetary|numeric|time)|log_timezone\
|max_connections|max_wal_size|min_wal_size|shared_buffers|timezone)$')";

/// The most lines that are removed because PostgreSQL cannot read them. A file with more is
/// something else.
const MANY: u32 = 20;

/// Lines that make it include other files.
const INCLUDES: &str = "^[[:space:]]*include";

/// Removes from a node's files what Patroni does not rewrite. Copies stay beside them.
///
/// # Errors
/// When they cannot be written.
pub(crate) async fn clear(session: &Session) -> Result<(), SshError> {
    let grep = ["grep", "-q", "^[[:space:]]*[^#[:space:]]", AUTO_CONF];
    if session.output(&grep, b"").await?.status == Some(0) {
        edit(session, AUTO_CONF, "d").await?;
    }
    // PostgreSQL reports only one unreadable line at a time.
    for _ in 0..MANY {
        let script = unwanted(session).await?;
        if script.is_empty() {
            break;
        }
        edit(session, BASE_CONF, &script).await?;
    }
    Ok(())
}

/// A sed script that removes from [`BASE_CONF`] what does not belong there. Empty: nothing to
/// remove.
async fn unwanted(session: &Session) -> Result<String, SshError> {
    let added = format!("SELECT sourceline FROM ({ADDED}) AS added");
    let added = sql(session, "postgres", &added).await?;
    let mut script = added.lines().map(|line| format!("{line}d;")).collect::<String>();
    let includes = ["grep", "-q", INCLUDES, BASE_CONF];
    if session.output(&includes, b"").await?.status == Some(0) {
        script.push_str(&format!("/{INCLUDES}/d"));
    }
    Ok(script)
}

/// Runs a script of sed over a file.
async fn edit(session: &Session, file: &str, script: &str) -> Result<(), SshError> {
    let copy = format!("cp --preserve --backup=numbered {file} {file}.cleared");
    let edit = format!("sed -i {script} {file}");
    for command in [copy, edit] {
        let command = ["runuser", "-u", "postgres", "--"].into_iter().chain(command.split(' '));
        session.run(&command.collect::<Vec<_>>(), b"").await?;
    }
    Ok(())
}

/// Parameter, what uses it, and how many. PostgreSQL does not start with fewer than are in use.
const IN_USE: &str = "
WITH wanted (name, value) AS ({wanted}), used (name, what, count) AS (VALUES
    ('max_prepared_transactions', 'prepared transactions (pg_prepared_xacts)', (SELECT count(*) FROM pg_prepared_xacts)),
    ('max_replication_slots', 'replication slots (pg_replication_slots)', (SELECT count(*) FROM pg_replication_slots)),
    ('max_wal_senders', 'WAL senders (pg_stat_replication)', (SELECT count(*) FROM pg_stat_replication)),
    ('max_connections', 'connections of clients (pg_stat_activity)', (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')))
SELECT name || ' = ' || value || ' is less than the ' || count || ' ' || what || ' that there are'
FROM wanted JOIN used USING (name) WHERE value ~ '^[0-9]+$' AND value::numeric < count
UNION ALL
SELECT 'wal_level = ' || value || ' is too little for the logical slots that there are: ' || string_agg(slot_name, ', ')
FROM wanted, pg_replication_slots WHERE name = 'wal_level' AND lower(value) <> 'logical' AND slot_type = 'logical' GROUP BY value";

/// Parameters that Patroni 4.1 writes into postgresql.conf in addition to the dynamic configuration: those it also puts on the command
/// line, and those that say where it replicates from (`postgresql/config.py`: `CMDLINE_OPTIONS`, `_RECOVERY_PARAMETERS`).
const PATRONI_SETS: &str = "^(cluster_name|hba_file|hot_standby|ident_file|listen_addresses|max_connections\
|max_locks_per_transaction|max_prepared_transactions|max_replication_slots|max_wal_senders|max_worker_processes|port\
|primary_conninfo|primary_slot_name|recovery_.*|synchronous_standby_names|track_commit_timestamp|wal_keep_size|wal_level|wal_log_hints)$";

/// A value that waits for a restart counts as taken. Patroni itself compares what it puts on the command line instead of into the file. The
/// wanted values override what initdb has written into postgresql.base.conf.
const NOT_TAKEN: &str = "
WITH wanted (name, value) AS ({wanted}), access (name, number, line) AS (VALUES {lines}), file (name, number, line) AS (
    SELECT name, number, line FROM (VALUES ('pg_hba.conf', 'hba_file'), ('pg_ident.conf', 'ident_file')) AS files (name, setting),
        regexp_split_to_table(pg_read_file(current_setting(setting)), '\n') WITH ORDINALITY AS f (line, number)
    -- Patroni leaves a file alone of which it knows no line.
    WHERE line !~ '^[[:space:]]*(#|$)' AND name IN (SELECT name FROM access))
SELECT concat_ws(': ', coalesce(name, 'line ' || sourceline || ' of ' || sourcefile), error) FROM pg_file_settings
WHERE error IS NOT NULL AND error NOT LIKE '%cannot be changed without restarting the server' AND (name IS NULL
    OR lower(name) NOT IN (SELECT lower(name) FROM pg_settings WHERE source = 'command line' OR pending_restart))
UNION ALL
SELECT DISTINCT 'postgresql.auto.conf sets ' || coalesce(name, 'something in line ' || sourceline)
FROM pg_file_settings WHERE sourcefile LIKE '%/postgresql.auto.conf'
UNION ALL
SELECT DISTINCT regexp_replace(sourcefile, '.*/', '') || ' sets ' || name FROM pg_file_settings
WHERE sourcefile !~ '/postgresql[.](base|auto)[.]conf$' AND lower(name) NOT IN (SELECT name FROM wanted) AND lower(name) !~ '{patroni}'
UNION ALL
SELECT DISTINCT 'postgresql.base.conf sets ' || name FROM ({added}) AS added
UNION ALL
SELECT concat('line ', line_number, ' of pg_hba.conf: ', error) FROM pg_hba_file_rules WHERE error IS NOT NULL
UNION ALL
SELECT concat('line ', line_number, ' of pg_ident.conf: ', error) FROM pg_ident_file_mappings WHERE error IS NOT NULL
UNION ALL
SELECT name || ' lacks: ' || line FROM access WHERE (name, line) NOT IN (SELECT name, line FROM file)
UNION ALL
SELECT concat('line ', number, ' of ', name, ' is not wanted: ', line) FROM file WHERE (name, line) NOT IN (SELECT name, line FROM access)
UNION ALL
SELECT name || ' has its lines in another order, or some twice' FROM (VALUES ('pg_hba.conf'), ('pg_ident.conf')) AS files (name)
WHERE (SELECT array_agg(line ORDER BY number) FROM file WHERE file.name = files.name)
        <> (SELECT array_agg(line ORDER BY number) FROM access WHERE access.name = files.name)
    AND NOT EXISTS (SELECT name, line FROM file EXCEPT SELECT name, line FROM access) AND NOT EXISTS (SELECT name, line FROM access EXCEPT SELECT name, line FROM file)
UNION ALL
SELECT name || ' is not ' || value FROM wanted
WHERE NOT EXISTS (SELECT FROM pg_file_settings f JOIN pg_settings s ON lower(s.name) = lower(f.name)
        WHERE lower(f.name) = wanted.name AND (f.applied OR s.pending_restart) AND (lower(f.setting) = lower(value)
            OR CASE WHEN f.setting ~ '^-?[0-9]+[.]?[0-9]*(e-?[0-9]+)?$' AND value ~ '^-?[0-9]+[.]?[0-9]*(e-?[0-9]+)?$' THEN f.setting::numeric = value::numeric END))
    AND NOT EXISTS (SELECT FROM pg_file_settings f WHERE name LIKE '%.%' AND lower(f.name) = wanted.name AND f.applied AND f.setting = value)
    AND NOT EXISTS (SELECT FROM pg_settings s WHERE lower(s.name) = wanted.name AND source = 'command line')";

/// Name and value of each parameter.
fn pairs(dynamic: &Dynamic) -> impl Iterator<Item = (&String, String)> {
    let text =
        |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    dynamic.parameters().map(move |(name, value)| (name, text(value)))
}

fn wanted(dynamic: &Dynamic) -> String {
    let rows = pairs(dynamic)
        .map(|(name, value)| format!("({}, {})", literal(&name.to_lowercase()), literal(&value)));
    format!("VALUES {}", rows.collect::<Vec<_>>().join(", "))
}

/// As Patroni 4.1 writes them (`postgresql/config.py`).
fn parameters(dynamic: &Dynamic) -> String {
    let mut lines = String::new();
    for (name, value) in pairs(dynamic) {
        let value = value.replace('\\', "\\\\").replace('\'', "''");
        let _ = writeln!(lines, "{name} = '{value}'");
    }
    lines
}

fn access(dynamic: &Dynamic) -> String {
    dynamic.access("pg_hba").fold(String::new(), |all, line| all + line + "\n")
}

/// File, number and text of each access line, for SQL.
fn access_lines(dynamic: &Dynamic) -> String {
    let rows = ACCESS.map(|key| {
        let rows = dynamic.access(key).enumerate();
        rows.map(move |(n, line)| format!("('{key}.conf', {n}, {})", literal(line)))
    });
    rows.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_quoted_for_the_file_and_for_sql() {
        let dynamic = Dynamic::from(json!({ "postgresql": {
            "parameters": { "A": r"it's \d", "b": 0.9, "c": true }, "pg_hba": ["x", "y"],
        } }));
        assert_eq!(parameters(&dynamic), "A = 'it''s \\\\d'\nb = '0.9'\nc = 'true'\n");
        assert_eq!(wanted(&dynamic), r"VALUES ('a', 'it''s \d'), ('b', '0.9'), ('c', 'true')");
        assert_eq!(access(&dynamic), "x\ny\n");
    }
}
