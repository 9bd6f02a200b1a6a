//! What is inside PostgreSQL: creates what the cluster file declares and is missing, and gives
//! databases to their declared owners. Never drops anything.

use std::collections::BTreeSet;
use std::fmt::Write;

use pgha_core::cluster::{Durability, OWN_ROLES, PATRONI_ROLES};
use pgha_core::{Cluster, Object};
use pgha_platform::ssh::{Session, SshError};

use crate::node_error::NodeError;
use crate::probe::WEAK_SETTINGS;
use crate::secrets::{PROBE, Secret, Secrets};

/// Shows PgBouncer the one verifier it asks for. Superusers and replication roles cannot log in
/// through the pooler, and an expired password stays expired (CVE-2025-2291). A role without a
/// password must have no row: PgBouncer 1.24 makes the word `md5` its password when the secret is
/// NULL.
const LOOKUP: &str = r"
    SELECT a.rolname, a.rolpassword
    FROM pg_catalog.pg_authid a
    WHERE a.rolname = wanted AND a.rolcanlogin AND NOT a.rolsuper AND NOT a.rolreplication
        AND a.rolpassword IS NOT NULL AND (a.rolvaliduntil IS NULL OR a.rolvaliduntil > pg_catalog.now())
";

/// What pgha needs in every cluster from its first moment on. Without it pgha could not observe the cluster. For PgBouncer: a role without
/// a password (it logs in with a certificate), and the lookup function. For pgha itself: the role of the probe.
pub(crate) fn own(secrets: &Secrets) -> String {
    let (role, verifier) = (PROBE, literal(probe_verifier(secrets)));
    let patroni = PATRONI_ROLES.map(literal).join(", ");
    format!(
        r"
-- While nobody confirms commits, this must not wait for it, and it may be repeated.
SET synchronous_commit = local;
SELECT 'CREATE ROLE pgbouncer' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'pgbouncer') \gexec
ALTER ROLE pgbouncer LOGIN;
CREATE SCHEMA IF NOT EXISTS pgbouncer;
CREATE OR REPLACE FUNCTION pgbouncer.lookup(wanted text, OUT rolname name, OUT secret text) RETURNS SETOF record
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $${LOOKUP}$$;
ALTER FUNCTION pgbouncer.lookup(text) OWNER TO postgres;
REVOKE ALL ON SCHEMA pgbouncer FROM PUBLIC;
REVOKE ALL ON FUNCTION pgbouncer.lookup(text) FROM PUBLIC;
GRANT USAGE ON SCHEMA pgbouncer TO pgbouncer;
GRANT EXECUTE ON FUNCTION pgbouncer.lookup(text) TO pgbouncer;
CREATE EXTENSION IF NOT EXISTS pg_stat_statements;
-- An older pgha gave these passwords. They come with a certificate, or as the user of the system.
SELECT format('ALTER ROLE %I PASSWORD NULL', rolname) FROM pg_authid
WHERE rolname IN ({patroni}) AND rolpassword IS NOT NULL \gexec
SELECT 'CREATE ROLE {role}' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') \gexec
ALTER ROLE {role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION CONNECTION LIMIT -1 VALID UNTIL 'infinity' PASSWORD {verifier};
GRANT CONNECT ON DATABASE postgres TO {role};
"
    )
}

fn probe_verifier(secrets: &Secrets) -> &str {
    secrets.file(&format!("verifiers/{}", PROBE)).expose()
}

/// These sessions must see such settings and undo them, so they override what sessions are set to.
const UNHINDERED: &str = "PGOPTIONS=-c default_transaction_read_only=off -c statement_timeout=0 -c lock_timeout=0 \
    -c transaction_timeout=0 -c session_preload_libraries= -c local_preload_libraries= -c idle_session_timeout=0 -c idle_in_transaction_session_timeout=0";

/// Runs SQL as the superuser on the node behind `session`, through its local socket. Returns what
/// psql printed.
///
/// # Errors
/// When a statement fails; the statements before it stay.
pub async fn sql(session: &Session, database: &str, script: &str) -> Result<String, SshError> {
    let psql = [
        "runuser",
        "-u",
        "postgres",
        "--",
        "env",
        UNHINDERED,
        "/etc/pgha/bin/psql",
        "-XqAt",
        "-v",
        "ON_ERROR_STOP=1",
        "-h",
        "/run/postgresql",
        "-d",
        database,
    ];
    session.run(&psql, script.as_bytes()).await
}

/// One [`Object`] per line: databases and roles. Roles are those that can log in, and declared ones
/// that were barred since. Leaves out what every cluster has.
fn existing_objects(cluster: &Cluster, secrets: &Secrets) -> String {
    let users = cluster.postgresql.users.iter().map(|user| literal(user)).collect::<Vec<_>>();
    format!(
        r#"
SELECT json_build_object('role', rolname) FROM pg_roles
WHERE (rolcanlogin OR rolname = ANY (ARRAY[{}]::name[]))
    AND rolname <> ALL (ARRAY[{}]::name[]);
SELECT object FROM pg_database, LATERAL (VALUES (json_build_object('database', datname)),
    (json_build_object('owner', json_build_object('database', datname, 'role', pg_get_userbyid(datdba))))) AS v (object)
WHERE NOT ({HALF_MADE}) AND datname NOT IN ('postgres', 'template0', 'template1', 'pgha_verify');
SELECT json_build_object('extension', json_build_object('database', 'postgres', 'name', extname))
FROM pg_extension WHERE extname = 'pg_stat_statements';
SELECT '"pooler"' FROM pg_roles r, pg_proc p
WHERE r.rolname = 'pgbouncer' AND r.rolcanlogin AND p.oid = to_regprocedure('pgbouncer.lookup(text)')
    AND p.prosecdef AND p.proconfig = ARRAY['search_path=pg_catalog'] AND p.prosrc = {}
    AND pg_get_userbyid(p.proowner) = 'postgres' AND has_schema_privilege(r.oid, p.pronamespace, 'USAGE')
    AND has_function_privilege(r.oid, p.oid, 'EXECUTE') AND NOT has_function_privilege('public', p.oid, 'EXECUTE');
SELECT '"probe"' FROM pg_authid WHERE rolname = 'pgha_probe' AND rolcanlogin AND NOT rolsuper AND rolpassword = {}
    AND coalesce(rolvaliduntil, 'infinity') = 'infinity' AND rolconnlimit = -1 AND has_database_privilege(oid, 'postgres', 'CONNECT');
SELECT '"commits"' WHERE NOT EXISTS (SELECT FROM {WEAK_SETTINGS});
"#,
        users.join(", "),
        OWN_ROLES.map(literal).join(", "),
        literal(LOOKUP),
        literal(probe_verifier(secrets)),
    )
}

/// The query runs in the database itself.
fn existing_extensions(database: &str) -> String {
    let database = literal(database);
    format!(
        "SELECT json_build_object('extension', json_build_object('database', {database}, 'name', extname)) FROM pg_extension;\n"
    )
}

/// The objects that exist. `session` must lead to the leader.
///
/// # Errors
/// When psql fails.
pub async fn existing(
    session: &Session,
    cluster: &Cluster,
    secrets: &Secrets,
) -> Result<BTreeSet<Object>, NodeError> {
    let mut objects = asked(session, "postgres", &existing_objects(cluster, secrets)).await?;
    for database in
        cluster.postgresql.databases.iter().filter(|database| !database.extensions.is_empty())
    {
        if objects.contains(&Object::Database(database.name.clone())) {
            let query = existing_extensions(&database.name);
            objects.extend(asked(session, &database.name, &query).await?);
        }
    }
    Ok(objects)
}

async fn asked(
    session: &Session,
    database: &str,
    query: &str,
) -> Result<BTreeSet<Object>, NodeError> {
    let text = sql(session, database, query).await?;
    let unreadable = |source| NodeError::Unreadable {
        daemon: "PostgreSQL",
        node: session.address().to_string(),
        source,
    };
    text.lines().map(serde_json::from_str).collect::<Result<_, _>>().map_err(unreadable)
}

/// Replication slots that Patroni did not make. Patroni names the slot of a member after it, with `_` for characters that a slot's name
/// cannot hold (`slot_name_from_member_name`).
///
/// # Errors
/// When psql fails.
pub(crate) async fn slots(session: &Session, members: &[String]) -> Result<Vec<String>, SshError> {
    let own = members.iter().map(|name| literal(&name.to_lowercase().replace(['-', '.'], "_")));
    let query = format!(
        "SELECT slot_name FROM pg_replication_slots WHERE NOT temporary AND slot_name <> ALL (ARRAY[{}]::text[]) ORDER BY 1",
        own.collect::<Vec<_>>().join(", ")
    );
    Ok(sql(session, "postgres", &query).await?.lines().map(str::to_owned).collect())
}

/// Creates what is declared and missing. `session` must lead to the leader.
///
/// # Errors
/// When a statement fails.
pub async fn declare(
    session: &Session,
    cluster: &Cluster,
    secrets: &Secrets,
) -> Result<(), SshError> {
    sql(session, "postgres", &script(cluster, secrets)).await?;
    for database in
        cluster.postgresql.databases.iter().filter(|database| !database.extensions.is_empty())
    {
        let create = database
            .extensions
            .iter()
            .map(|name| format!("CREATE EXTENSION IF NOT EXISTS {};\n", identifier(name)));
        sql(session, &database.name, &create.collect::<String>()).await?;
    }
    Ok(())
}

/// Gives a role another password. `session` must lead to the leader.
///
/// # Errors
/// When there is no such role.
pub(crate) async fn set_password(
    session: &Session,
    role: &str,
    verifier: &Secret,
) -> Result<(), SshError> {
    let alter = format!("ALTER ROLE {} PASSWORD {};", identifier(role), literal(verifier.expose()));
    sql(session, "postgres", &alter).await.map(drop)
}

fn script(cluster: &Cluster, secrets: &Secrets) -> String {
    let mut script = own(secrets);
    if cluster.durability != Durability::Async {
        script.push_str(&wait_for_copies());
    }
    for user in &cluster.postgresql.users {
        // The verifier, not the password: the server's log may show statements.
        let verifier = literal(secrets.file(&format!("verifiers/{user}")).expose());
        let (role, name) = (identifier(user), literal(user));
        // Only when the role is created: a password that was changed since is not ours to change
        // back.
        let create = literal(&format!("CREATE ROLE {role} LOGIN PASSWORD {verifier}"));
        let _ = writeln!(
            script,
            "SELECT {create} WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = {name}) \\gexec"
        );
    }
    for database in &cluster.postgresql.databases {
        let _ = writeln!(script, "{}", created(&database.name, &database.owner));
        let _ = writeln!(script, "{}", owned(&database.name, &database.owner));
    }
    script
}

/// Creates a database that admits only its owner, and roles to which the owner grants it. PostgreSQL's default would admit every role of
/// the server. Until that is done it takes no connections at all, so that an interruption leaves nothing open. An existing database keeps
/// its grants, because they may be in use.
fn created(name: &str, owner: &str) -> String {
    let (database, owner) = (identifier(name), identifier(owner));
    let create =
        literal(&format!("CREATE DATABASE {database} OWNER {owner} ALLOW_CONNECTIONS false"));
    // One query, so one transaction.
    let open = literal(&format!(
        "REVOKE CONNECT, TEMPORARY ON DATABASE {database} FROM PUBLIC; ALTER DATABASE {database} ALLOW_CONNECTIONS true"
    ));
    let name = literal(name);
    format!(
        "SELECT {create} WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = {name}) \\gexec
SELECT {open} FROM pg_database WHERE datname = {name} AND {HALF_MADE} \\gexec"
    )
}

/// A condition on `pg_database`. A database that a person has closed has grants.
const HALF_MADE: &str = "NOT datallowconn AND datacl IS NULL";

/// Resets settings of roles and databases that let commits be acknowledged before another copy has
/// them.
fn wait_for_copies() -> String {
    format!(
        r"
SELECT CASE
    WHEN role IS NULL AND database IS NULL THEN 'ALTER ROLE ALL RESET synchronous_commit'
    WHEN role IS NULL THEN format('ALTER DATABASE %I RESET synchronous_commit', database)
    WHEN database IS NULL THEN format('ALTER ROLE %I RESET synchronous_commit', role)
    ELSE format('ALTER ROLE %I IN DATABASE %I RESET synchronous_commit', role, database) END
FROM {WEAK_SETTINGS} \gexec
"
    )
}

/// Gives an existing database to its declared owner.
fn owned(database: &str, role: &str) -> String {
    let alter = format!("ALTER DATABASE {} OWNER TO {}", identifier(database), identifier(role));
    format!(
        "SELECT {} FROM pg_database WHERE datname = {} AND pg_get_userbyid(datdba) <> {} \\gexec",
        literal(&alter),
        literal(database),
        literal(role)
    )
}

fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

pub(crate) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
