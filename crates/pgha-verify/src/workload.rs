//! The workload: writers that insert unique ids one by one, each over a connection of its own.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use pgha_platform::sql::{self, AuthorityError};
use tokio::task::JoinHandle;
use tokio_postgres::{AsyncMessage, Client};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::history::{History, Operation, Outcome, Side};

/// How long a connection attempt may take, TLS and login included.
const CONNECT: Duration = Duration::from_millis(1500);
/// How long a statement may take before its writer gives the connection up.
const STATEMENT: Duration = Duration::from_secs(3);
/// Pause before the next attempt after a failed connection.
const PAUSE: Duration = Duration::from_millis(50);

/// Creates what the workload writes to. Run by the owner of the database.
pub const TABLE: &str = "CREATE TABLE IF NOT EXISTS verify_rows (id bigint PRIMARY KEY, written timestamptz NOT NULL DEFAULT clock_timestamp())";

/// The first eight digits of a WAL file's name are the timeline of the server that runs the
/// statement.
const INSERT: &str = "INSERT INTO verify_rows (id) VALUES ($1) RETURNING substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8)";

/// How to reach the cluster.
#[derive(Clone)]
pub struct Endpoint {
    /// Addresses to try in turn.
    pub hosts: Vec<SocketAddr>,
    /// Role and database.
    pub name: String,
    /// Password of the role.
    pub password: String,
    /// The certificate authority to trust, PEM.
    pub ca: String,
}

/// Why the workload could not begin or end.
#[derive(Debug, thiserror::Error)]
pub enum WorkloadError {
    /// The authority's certificate cannot be used.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// No host let the reader in.
    #[error("no host of the endpoint could be read from")]
    Unreadable(#[source] Option<tokio_postgres::Error>),
}

impl Endpoint {
    /// One attempt at one host. `warned` is set by every warning the server sends.
    async fn connect(
        &self,
        turn: usize,
        tls: MakeRustlsConnect,
        warned: Arc<AtomicBool>,
    ) -> Option<Client> {
        let host = self.hosts.get(turn % self.hosts.len().max(1))?;
        let mut config = tokio_postgres::Config::new();
        config
            .host(host.ip().to_string())
            .port(host.port())
            .user(&self.name)
            .password(&self.password)
            .dbname(&self.name);
        config.ssl_mode(tokio_postgres::config::SslMode::Require);
        let (client, mut connection) =
            tokio::time::timeout(CONNECT, config.connect(tls)).await.ok()?.ok()?;
        tokio::spawn(async move {
            while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await
            {
                if matches!(&message, AsyncMessage::Notice(notice) if notice.severity() == "WARNING")
                {
                    warned.store(true, Ordering::SeqCst);
                }
            }
        });
        Some(client)
    }

    /// Every id in the table, from any host that answers within a minute.
    ///
    /// # Errors
    /// When none does.
    pub async fn rows(&self) -> Result<BTreeSet<i64>, WorkloadError> {
        let (tls, started, mut last) = (sql::connector(&self.ca)?, Instant::now(), None);
        for turn in 0.. {
            if started.elapsed() > Duration::from_secs(60) {
                break;
            }
            let Some(client) = self.connect(turn, tls.clone(), Arc::default()).await else {
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            match client.query("SELECT id FROM verify_rows", &[]).await {
                Ok(rows) => return Ok(rows.iter().map(|row| row.get(0)).collect()),
                Err(error) => last = Some(error),
            }
        }
        Err(WorkloadError::Unreadable(last))
    }
}

/// Running writers.
pub struct Workload {
    shared: Arc<Shared>,
    tasks: Vec<JoinHandle<()>>,
}

struct Shared {
    started: Instant,
    next: AtomicI64,
    stop: AtomicBool,
    operations: Mutex<Vec<Operation>>,
}

impl Shared {
    fn now(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }

    fn note(&self, operation: Operation) {
        if let Ok(mut operations) = self.operations.lock() {
            operations.push(operation);
        }
    }
}

impl Workload {
    /// Starts `writers` writers outside, and one inside if there is such an endpoint.
    ///
    /// # Errors
    /// When the authority's certificate cannot be used.
    pub fn start(
        outside: &Endpoint,
        writers: usize,
        inside: Option<&Endpoint>,
    ) -> Result<Self, WorkloadError> {
        let shared = Arc::new(Shared {
            started: Instant::now(),
            next: AtomicI64::new(1),
            stop: AtomicBool::new(false),
            operations: Mutex::default(),
        });
        let mut tasks = Vec::new();
        let places = std::iter::repeat_n((outside, Side::Outside), writers)
            .chain(inside.map(|endpoint| (endpoint, Side::Inside)));
        for (index, (endpoint, side)) in places.enumerate() {
            let writer = Writer {
                endpoint: endpoint.clone(),
                side,
                tls: sql::connector(&endpoint.ca)?,
                turn: index,
                shared: Arc::clone(&shared),
            };
            tasks.push(tokio::spawn(writer.run()));
        }
        Ok(Self { shared, tasks })
    }

    /// Seconds since the start.
    pub fn now(&self) -> f64 {
        self.shared.now()
    }

    /// Rows acknowledged so far to writers on one side.
    pub fn acknowledged(&self, side: Side) -> usize {
        let count = |operations: &Vec<Operation>| {
            operations.iter().filter(|op| op.outcome == Outcome::Ok && op.side == side).count()
        };
        self.shared.operations.lock().map_or(0, |operations| count(&operations))
    }

    /// Ends the writers and gives what they did. `fault_at` and `healed_at` are [`Workload::now`]
    /// of those moments.
    pub async fn stop(self, fault_at: f64, healed_at: f64) -> History {
        self.shared.stop.store(true, Ordering::SeqCst);
        for task in self.tasks {
            let _ = task.await;
        }
        let operations = self
            .shared
            .operations
            .lock()
            .map(|mut operations| std::mem::take(&mut *operations))
            .unwrap_or_default();
        History { operations, fault_at, healed_at }
    }
}

struct Writer {
    endpoint: Endpoint,
    side: Side,
    tls: MakeRustlsConnect,
    turn: usize,
    shared: Arc<Shared>,
}

impl Writer {
    async fn run(mut self) {
        while !self.shared.stop.load(Ordering::SeqCst) {
            let warned = Arc::new(AtomicBool::new(false));
            match self.endpoint.connect(self.turn, self.tls.clone(), Arc::clone(&warned)).await {
                Some(client) => self.write(&client, &warned).await,
                None => tokio::time::sleep(PAUSE).await,
            }
            self.turn += 1;
        }
    }

    /// Inserts until something goes wrong with the connection.
    async fn write(&self, client: &Client, warned: &AtomicBool) {
        let Ok(Ok(insert)) = tokio::time::timeout(STATEMENT, client.prepare(INSERT)).await else {
            return;
        };
        while !self.shared.stop.load(Ordering::SeqCst) {
            let (id, invoked) =
                (self.shared.next.fetch_add(1, Ordering::SeqCst), self.shared.now());
            let answer = tokio::time::timeout(STATEMENT, client.query_one(&insert, &[&id])).await;
            let (outcome, timeline, error) = match answer {
                // "The transaction has already committed locally, but might not have been
                // replicated": the outcome is unknown.
                Ok(Ok(_)) if warned.swap(false, Ordering::SeqCst) => {
                    (Outcome::Unknown, None, Some("warning: may not be replicated".to_owned()))
                }
                Ok(Ok(row)) => (Outcome::Ok, u32::from_str_radix(row.get(0), 16).ok(), None),
                Ok(Err(error)) => (outcome_of(&error), None, Some(describe(&error))),
                Err(_) => (
                    Outcome::Unknown,
                    None,
                    Some(format!("no answer within {} s", STATEMENT.as_secs())),
                ),
            };
            let broken = error.is_some();
            self.shared.note(Operation {
                id,
                side: self.side,
                invoked,
                completed: self.shared.now(),
                outcome,
                timeline,
                error,
            });
            if broken {
                return;
            }
        }
    }
}

/// If the server raised an error for the statement, nothing was written. But a server that is being
/// shut down (class 57) or a broken connection (class 08, or no code at all) may already have
/// committed.
fn outcome_of(error: &tokio_postgres::Error) -> Outcome {
    match error.code() {
        Some(code) if !code.code().starts_with("57") && !code.code().starts_with("08") => {
            Outcome::Fail
        }
        _ => Outcome::Unknown,
    }
}

fn describe(error: &tokio_postgres::Error) -> String {
    error
        .as_db_error()
        .map_or_else(|| error.to_string(), |db| format!("{} {}", db.code().code(), db.message()))
}
