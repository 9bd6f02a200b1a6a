//! The poolers of a node: one PgBouncer behind each port for clients. They are asked through their consoles.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use pgha_platform::ssh::{Session, SshError};
use serde::Serialize;
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage, SimpleQueryRow};

/// Connections of one role to one database, through one pooler.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pool {
    /// The door whose clients it serves.
    pub pooler: String,
    /// The database.
    pub database: String,
    /// The role.
    pub role: String,
    /// Clients that have a server connection.
    pub active: u32,
    /// Clients that wait for one.
    pub waiting: u32,
    /// Seconds that the first of them has waited for.
    pub waits_seconds: u32,
}

/// One pooler of a node.
#[derive(Debug, Clone)]
pub(crate) struct Pooler {
    /// The door that it serves.
    pub(crate) door: String,
    /// The port of that door.
    pub(crate) port: u16,
}

/// Why a console did not answer, or why it refused a command.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConsoleError {
    #[error("no answer within {} s", PATIENCE.as_secs())]
    Silent,
    #[error(transparent)]
    Ssh(#[from] SshError),
    #[error(transparent)]
    Postgres(#[from] tokio_postgres::Error),
}

const PATIENCE: Duration = Duration::from_secs(3);

/// The name to use when a pooler holds back the clients of all databases.
const EVERY_DATABASE: &str = "every database";

/// The unit of the pooler behind a door.
pub(crate) fn unit(door: &str) -> String {
    format!("pgha-pooler-{door}.service")
}

/// The door of a pooler's unit. Absent: the unit is not a pooler's.
pub(crate) fn door(unit: &str) -> Option<&str> {
    unit.strip_prefix("pgha-pooler-")?.strip_suffix(".service")
}

impl Pooler {
    /// Its pools, except that of the console.
    ///
    /// # Errors
    /// When it does not answer.
    pub(crate) async fn pools(&self, session: &Session) -> Result<Vec<Pool>, ConsoleError> {
        let rows = self.ask(session, &["SHOW POOLS"]).await?;
        let pools = rows.iter().filter_map(|row| self.pool(row));
        Ok(pools.filter(|pool| pool.database != "pgbouncer").collect())
    }

    fn pool(&self, row: &SimpleQueryRow) -> Option<Pool> {
        Some(Pool {
            pooler: self.door.clone(),
            database: column(row, "database")?,
            role: column(row, "user")?,
            active: column(row, "cl_active")?,
            waiting: column(row, "cl_waiting")?,
            waits_seconds: column(row, "maxwait")?,
        })
    }

    /// Its clients that hold a connection to PostgreSQL, by the local port of that connection.
    ///
    /// # Errors
    /// When it does not answer.
    pub(crate) async fn clients(
        &self,
        session: &Session,
    ) -> Result<BTreeMap<u16, SocketAddr>, ConsoleError> {
        let clients = self.ask(session, &["SHOW CLIENTS"]).await?;
        let clients = clients.iter().filter_map(|row| {
            let address = SocketAddr::new(column(row, "addr")?, column(row, "port")?);
            Some((column::<String>(row, "ptr")?, (column::<String>(row, "link")?, address)))
        });
        let clients = clients.collect::<BTreeMap<_, _>>();
        let servers = self.ask(session, &["SHOW SERVERS"]).await?;
        let servers = servers.iter().filter_map(|row| {
            let (server, client) = clients.get(&column::<String>(row, "link")?)?;
            let agree = *server == column::<String>(row, "ptr")?;
            Some((column(row, "local_port")?, *client)).filter(|_| agree)
        });
        Ok(servers.collect())
    }

    /// The databases whose clients it holds back after a command in its console, or
    /// [`EVERY_DATABASE`]. PgBouncer shows a database only once a client has asked for it. Absent:
    /// the console does not answer.
    pub(crate) async fn held(&self, session: &Session) -> Option<Vec<String>> {
        let rows = self.ask(session, &["SHOW DATABASES", "SHOW STATE"]).await.ok()?;
        let says = |row: &SimpleQueryRow, name: &str, value: &str| {
            row.try_get(name).is_ok_and(|said| said == Some(value))
        };
        let all = rows.iter().any(|row| {
            says(row, "value", "yes")
                && ["paused", "suspended"].iter().any(|key| says(row, "key", key))
        });
        let held = rows.iter().filter(|row| says(row, "paused", "1") || says(row, "disabled", "1"));
        let held = held.filter_map(|row| row.try_get("name").ok()?.map(str::to_owned));
        Some(all.then(|| EVERY_DATABASE.to_owned()).into_iter().chain(held).collect())
    }

    /// Lets all clients through that it holds back. This covers `databases`, too, because PgBouncer
    /// does not show those that no client has asked for. The next look shows the result.
    pub(crate) async fn release(&self, session: &Session, databases: &[String]) {
        let held = self.held(session).await.unwrap_or_default();
        let held = held.iter().filter(|name| *name != EVERY_DATABASE).chain(databases);
        let quoted = held.map(|name| format!("\"{}\"", name.replace('"', "\"\"")));
        let Ok(client) = self.console(session).await else { return };
        for name in [String::new()].into_iter().chain(quoted) {
            for command in ["RESUME", "ENABLE"] {
                // A command that does not apply fails.
                let command = format!("{command} {name}");
                let _ = tokio::time::timeout(PATIENCE, client.simple_query(&command)).await;
            }
        }
    }

    /// Whether it pools sessions: each client has a server connection until it leaves. Then the pooler cannot hold clients back.
    ///
    /// # Errors
    /// When it does not say.
    pub(crate) async fn pools_sessions(&self, session: &Session) -> Result<bool, ConsoleError> {
        let rows = self.ask(session, &["SHOW CONFIG"]).await?;
        let says = |row: &SimpleQueryRow, key, value| {
            row.try_get(key).is_ok_and(|said| said == Some(value))
        };
        Ok(rows.iter().any(|row| says(row, "key", "pool_mode") && says(row, "value", "session")))
    }

    /// Holds back all clients. Returns when no transaction is open any more.
    ///
    /// # Errors
    /// When it refuses, and when transactions stay open.
    pub(crate) async fn pause(&self, session: &Session) -> Result<(), ConsoleError> {
        self.ask(session, &["PAUSE"]).await.map(drop)
    }

    /// Lets the clients through that [`Pooler::pause`] holds back.
    ///
    /// # Errors
    /// When it does not answer. A pooler that is not paused refuses the command, which is no error.
    pub(crate) async fn resume(&self, session: &Session) -> Result<(), ConsoleError> {
        match self.ask(session, &["RESUME"]).await {
            Err(ConsoleError::Postgres(said)) if said.as_db_error().is_some() => Ok(()),
            answer => answer.map(drop),
        }
    }

    async fn ask(
        &self,
        session: &Session,
        commands: &[&str],
    ) -> Result<Vec<SimpleQueryRow>, ConsoleError> {
        let asked = async {
            let client = self.console(session).await?;
            let mut rows = Vec::new();
            for command in commands {
                rows.extend(client.simple_query(command).await?.into_iter().filter_map(row));
            }
            Ok(rows)
        };
        let asked = tokio::time::timeout(PATIENCE, asked).await;
        asked.unwrap_or(Err(ConsoleError::Silent)).inspect_err(|error| {
            tracing::debug!("{} of {}: {error}", unit(&self.door), session.address());
        })
    }

    /// The Unix socket tells PgBouncer which system user connects. On the node, pgha is root.
    async fn console(&self, session: &Session) -> Result<Client, ConsoleError> {
        let socket = session.socket(&format!("/run/pgbouncer/.s.PGSQL.{}", self.port)).await?;
        let mut config = Config::new();
        config.user("postgres").dbname("pgbouncer").application_name("pgha");
        let (client, connection) = config.connect_raw(socket, NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }
}

fn column<T: FromStr>(row: &SimpleQueryRow, name: &str) -> Option<T> {
    row.try_get(name).ok()??.parse().ok()
}

fn row(message: SimpleQueryMessage) -> Option<SimpleQueryRow> {
    match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_door_and_its_unit_tell_each_other() {
        assert_eq!(door(&unit("primary")), Some("primary"));
        assert_eq!(door("haproxy.service"), None);
    }
}
