//! Declared roles and databases that exist, but that clients cannot use as declared because they were locked. That may be intended, so pgha
//! reports it and never undoes it.

use pgha_core::Cluster;
use pgha_platform::ssh::{Session, SshError};

use crate::declare::{literal, sql};

/// What keeps clients from using them, as text for people. `session` must lead to the leader.
///
/// # Errors
/// When psql fails.
pub(crate) async fn barred(session: &Session, cluster: &Cluster) -> Result<Vec<String>, SshError> {
    let postgresql = &cluster.postgresql;
    let databases = postgresql.databases.iter().map(|database| (&database.name, &database.owner));
    let databases =
        databases.map(|(name, owner)| format!("({}, {})", literal(name), literal(owner)));
    let users = postgresql.users.iter().map(|user| format!("({})", literal(user)));
    let query = BARRED
        .replace("{users}", &rows("(NULL)", users))
        .replace("{databases}", &rows("(NULL, NULL)", databases));
    Ok(sql(session, "postgres", &query).await?.lines().map(str::to_owned).collect())
}

/// Begins with a row that matches nothing, because there may be no other rows.
fn rows(none: &str, rows: impl Iterator<Item = String>) -> String {
    [none.to_owned()].into_iter().chain(rows).collect::<Vec<_>>().join(", ")
}

/// The pooler's lookup returns neither superusers nor replication roles: see `LOOKUP` of
/// `declare.rs`.
const BARRED: &str = "
WITH users (name) AS (VALUES {users}), databases (name, owner) AS (VALUES {databases}),
role AS (SELECT a.* FROM pg_authid a JOIN users ON a.rolname = users.name),
database AS (SELECT d.*, databases.owner FROM pg_database d JOIN databases ON d.datname = databases.name),
setting AS (
    SELECT rolname, datname FROM pg_db_role_setting CROSS JOIN unnest(setconfig) AS s (setting)
        LEFT JOIN pg_roles r ON r.oid = setrole LEFT JOIN pg_database d ON d.oid = setdatabase
    WHERE setting ~* '^(default_transaction_read_only|transaction_read_only)=(on|t|tr|tru|true|y|ye|yes|1)$'
        AND (rolname IS NULL OR rolname IN (SELECT name FROM users)) AND (datname IS NULL OR datname IN (SELECT name FROM databases)))
SELECT format('role %I may not log in (NOLOGIN)', rolname) FROM role WHERE NOT rolcanlogin
UNION ALL SELECT format('role %I has no password', rolname) FROM role WHERE rolpassword IS NULL
UNION ALL SELECT format('the password of role %I was valid until %s', rolname, rolvaliduntil) FROM role WHERE rolvaliduntil < now()
UNION ALL SELECT format('role %I may have no connection (CONNECTION LIMIT 0)', rolname) FROM role WHERE rolconnlimit = 0
UNION ALL SELECT format('role %I is a superuser or for replication: no pooler lets it in', rolname) FROM role WHERE rolsuper OR rolreplication
UNION ALL SELECT format('database %I takes no connections (ALLOW_CONNECTIONS false)', datname) FROM database WHERE NOT datallowconn
UNION ALL SELECT format('database %I may have no connection (CONNECTION LIMIT 0)', datname) FROM database WHERE datconnlimit = 0
UNION ALL SELECT format('database %I is what an interrupted DROP DATABASE has left', datname) FROM database WHERE datconnlimit = -2
UNION ALL SELECT format('role %I may not connect to its database %I', owner, datname) FROM database JOIN pg_roles r ON r.rolname = owner
WHERE NOT has_database_privilege(r.oid, database.oid, 'CONNECT')
UNION ALL SELECT concat_ws(' ', 'sessions', 'of role ' || quote_ident(rolname), 'in database ' || quote_ident(datname), 'may only read') FROM setting";
