//! What a client would see: a new session through every door of a node, which writes where it
//! meets the primary.
//!
//! A daemon that hangs is alive for systemd, and still takes connections from a check that does no
//! more than connect. A client waits. So only a full session tells.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use pgha_platform::ssh::Session;
use serde::Serialize;
use tokio::time::Instant;
use tokio_postgres::error::SqlState;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{CancelToken, Client, Config, SimpleQueryMessage};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::node_error::with_causes;
use crate::secrets::{PROBE, Secret};

/// A database that every cluster has.
const DATABASE: &str = "postgres";

/// The door of a node's own PostgreSQL. The doors for clients have the names of HAProxy's pools.
pub const POSTGRES: &str = "postgres";

/// The door to the primary, through a pooler.
pub(crate) const WRITERS: &str = "primary";

/// The door to the primary that bypasses the poolers.
pub(crate) const DIRECT: &str = "direct";

/// The door to synchronous replicas, through a pooler.
pub(crate) const SYNCHRONOUS: &str = "sync";

/// How the error of a door begins where nothing answers.
const SILENT: &str = "no answer within";

/// How long a client waits: the `connect_timeout` of the DSN that `up` prints.
const PATIENCE: Duration = Duration::from_secs(3);

/// On a primary it writes WAL and commits, so the answer waits for other copies as it does for any
/// client. It uses no table that could be dropped or locked.
const WRITE: &str = "SELECT CASE WHEN pg_is_in_recovery() THEN 'replica' \
    ELSE 'primary ' || current_setting('transaction_read_only') END, CASE WHEN NOT pg_is_in_recovery() \
    THEN pg_logical_emit_message(true, 'pgha', 'probe') END";

/// Settings of roles and databases that let their commits be acknowledged before another copy has
/// them.
pub(crate) const WEAK_SETTINGS: &str = "(SELECT setting, rolname AS role, datname AS database
    FROM pg_db_role_setting CROSS JOIN unnest(setconfig) AS s (setting)
        LEFT JOIN pg_roles r ON r.oid = setrole LEFT JOIN pg_database d ON d.oid = setdatabase
    WHERE setting ~* '^synchronous_commit=(off|false|no|0|local)$') AS weak";

/// The same in words, settings of the whole server, and data that is only on the node's root. No
/// boot brings such data back.
fn weak() -> String {
    format!(
        "SELECT name || ' = ' || setting || ' on the server' FROM pg_settings
WHERE (name IN ('fsync', 'full_page_writes') AND setting = 'off'
        OR name = 'synchronous_commit' AND setting IN ('off', 'local'))
    AND source NOT IN ('database', 'user', 'database user', 'global')
UNION ALL
SELECT concat_ws(' ', setting, 'for role ' || role, 'in database ' || database) FROM {WEAK_SETTINGS}
UNION ALL
SELECT 'tablespace ' || quote_ident(spcname) || ' is not on the data volume, but in ' || pg_tablespace_location(oid)
FROM pg_tablespace WHERE pg_tablespace_location(oid) <> '' AND NOT starts_with(pg_tablespace_location(oid), '/var/lib/pgha/')"
    )
}

/// The result of a new session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// A primary, which took a write.
    Wrote,
    /// A replica.
    Read,
    /// A server that does not know the role, or knows it with another password. `pgha apply` makes
    /// the role.
    Unknown,
    /// No answer, or an unexpected one, in words.
    Failed(String),
}

impl Answer {
    /// Whether PostgreSQL answered.
    pub fn is_session(&self) -> bool {
        matches!(self, Self::Wrote | Self::Read)
    }
}

/// The results of sessions through the doors of one node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Sessions {
    /// By door: `postgres` for the node's own, or a pool of its HAProxy.
    pub doors: BTreeMap<String, Answer>,
    /// The durability that the doors to synchronous replicas were made for. While another one is in
    /// force they lead nowhere.
    pub durability: String,
    /// Settings under which an acknowledged row may be lost, as its own PostgreSQL has them.
    pub weak: Vec<String>,
}

impl Sessions {
    /// Whether the door was tried, and nothing answered.
    pub(crate) fn is_silent(&self, door: &str) -> bool {
        matches!(self.doors.get(door), Some(Answer::Failed(why)) if why.starts_with(SILENT))
    }

    /// Whether a door gives no session.
    pub(crate) fn fails(&self, door: &str) -> bool {
        matches!(self.doors.get(door), Some(Answer::Failed(_)))
    }

    /// Whether the node's own PostgreSQL took a write.
    pub(crate) fn wrote_itself(&self) -> bool {
        self.doors.get(POSTGRES) == Some(&Answer::Wrote)
    }
}

/// What a login needs.
pub(crate) struct Login<'l> {
    pub(crate) role: &'l str,
    pub(crate) password: &'l Secret,
    pub(crate) database: &'l str,
}

/// Opens sessions through the doors of one node.
pub(crate) struct Probe {
    pub(crate) tls: MakeRustlsConnect,
    pub(crate) password: Secret,
    pub(crate) node: String,
    pub(crate) doors: BTreeMap<String, u16>,
    pub(crate) durability: String,
}

impl Probe {
    /// Tries every door that leads somewhere, all at once.
    pub(crate) async fn ask(
        &self,
        session: &Session,
        leads_somewhere: impl Fn(&str) -> bool,
    ) -> Sessions {
        let tried = self.doors.iter().map(async |(door, port)| {
            if !leads_somewhere(door) {
                return (door, (Answer::Failed("nobody is up behind it".to_owned()), Vec::new()));
            }
            let weak = if door == POSTGRES { weak() } else { String::new() };
            (door, self.knock(session, *port, &weak, PATIENCE).await)
        });
        let mut sessions = Sessions { durability: self.durability.clone(), ..Sessions::default() };
        for (door, (answer, weak)) in join_all(tried).await {
            sessions.doors.insert(door.clone(), answer);
            sessions.weak.extend(weak);
        }
        sessions
    }

    /// Writes as a client of this node. Absent: it has no port for clients.
    pub(crate) async fn write(&self, session: &Session, patience: Duration) -> Option<Answer> {
        let port = *self.doors.get(WRITERS)?;
        Some(self.knock(session, port, "", patience).await.0)
    }

    /// The result of a session, and the rows of `more`.
    async fn knock(
        &self,
        session: &Session,
        port: u16,
        more: &str,
        patience: Duration,
    ) -> (Answer, Vec<String>) {
        let until = Instant::now() + patience;
        let silent = || {
            let why = format!("{SILENT} {} s", patience.as_secs_f32());
            (Answer::Failed(why), Vec::new())
        };
        let login = Login { role: PROBE, password: &self.password, database: DATABASE };
        let client = match tokio::time::timeout_at(until, self.connect(session, port, &login)).await
        {
            Ok(Ok(client)) => client,
            Ok(Err(error)) => return (failed(error.as_ref()), Vec::new()),
            Err(_) => return silent(),
        };
        let query = format!("{WRITE};{more}");
        match tokio::time::timeout_at(until, client.simple_query(&query)).await {
            Ok(Ok(rows)) => read(&rows),
            Ok(Err(error)) => (failed(&error), Vec::new()),
            Err(_) => {
                self.cancel(session, port, client.cancel_token()).await;
                silent()
            }
        }
    }

    /// Logs in through a door, and leaves.
    pub(crate) async fn log_in(
        &self,
        session: &Session,
        port: u16,
        login: &Login<'_>,
    ) -> Result<(), String> {
        match tokio::time::timeout(PATIENCE, self.connect(session, port, login)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(with_causes(error.as_ref())),
            Err(_) => Err(format!("{SILENT} {} s", PATIENCE.as_secs())),
        }
    }

    async fn connect(
        &self,
        session: &Session,
        port: u16,
        login: &Login<'_>,
    ) -> Result<Client, Error> {
        let mut config = Config::new();
        config.user(login.role).password(login.password.expose()).dbname(login.database);
        config.application_name("pgha").ssl_mode(tokio_postgres::config::SslMode::Require);
        let stream = session.stream(port).await?;
        let tls = self.tls_of(&stream)?;
        let (client, connection) = config.connect_raw(stream, tls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// TLS for a connection. It ends at a pooler of this node, or at a PostgreSQL behind its HAProxy. Both have a certificate with this
    /// node's name.
    fn tls_of<S>(&self, _: &S) -> Result<Tls<S>, Error>
    where
        MakeRustlsConnect: MakeTlsConnect<S, Error: Into<Error>>,
    {
        let mut tls = self.tls.clone();
        MakeTlsConnect::<S>::make_tls_connect(&mut tls, &self.node).map_err(Into::into)
    }

    /// Cancels the query. A commit that waits for a copy goes on waiting after its client has left, and occupies one of the server's
    /// connections.
    async fn cancel(&self, session: &Session, port: u16, token: CancelToken) {
        if let Ok(stream) = session.stream(port).await
            && let Ok(tls) = self.tls_of(&stream)
        {
            let cancel = token.cancel_query_raw(stream, tls);
            let _ = tokio::time::timeout(Duration::from_secs(1), cancel).await;
        }
    }
}

/// The row of [`WRITE`], and those of what came after it.
fn read(rows: &[SimpleQueryMessage]) -> (Answer, Vec<String>) {
    let mut values = rows.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    let answer = match values.next() {
        Some("primary off") => Answer::Wrote,
        Some("primary on") => Answer::Failed("sessions may only read".to_owned()),
        Some("replica") => Answer::Read,
        _ => Answer::Failed("an answer that makes no sense".to_owned()),
    };
    (answer, values.map(str::to_owned).collect())
}

type Tls<S> = <MakeRustlsConnect as MakeTlsConnect<S>>::TlsConnect;
type Error = Box<dyn std::error::Error + Send + Sync>;

fn failed(error: &(dyn std::error::Error + 'static)) -> Answer {
    let said = error.downcast_ref::<tokio_postgres::Error>().and_then(|error| error.as_db_error());
    let Some(said) = said else {
        return Answer::Failed(with_causes(error));
    };
    // PgBouncer's words for a role that its lookup does not return, or for a wrong password.
    let unknown = ["no such user", "SASL authentication failed"].contains(&said.message())
        || *said.code() == SqlState::INVALID_PASSWORD;
    if unknown { Answer::Unknown } else { Answer::Failed(said.message().to_owned()) }
}
