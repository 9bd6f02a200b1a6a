//! Which client a PostgreSQL session belongs to. PostgreSQL sees only a node's HAProxy, HAProxy sees the node's pooler, and the pooler sees
//! the client. Each of them says whose session it forwards where.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::join_all;
use pgha_core::cluster::{Node, OWN_ROLES, Role};
use serde::{Deserialize, Serialize};

use crate::declare;
use crate::fleet::{Fleet, Link};
use crate::haproxy::{self, Hop};
use crate::node_error::with_causes;
use crate::pooler;

/// A session of PostgreSQL.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ClientSession {
    /// The node whose PostgreSQL it is.
    #[serde(default)]
    pub node: String,
    /// Its process there.
    pub pid: u32,
    /// The database. Absent: it is a replication session.
    pub database: Option<String>,
    /// The role.
    pub role: Option<String>,
    /// The client, or the node that it came through if only that is known. Absent: the session
    /// comes from the node itself, or a pooler keeps it for the next client.
    pub client: Option<SocketAddr>,
    /// Node and port that the client connected to. Absent: PostgreSQL itself.
    pub through: Option<String>,
    /// The client's `application_name`.
    pub application: String,
    /// `active`, `idle`, `idle in transaction`, ...
    pub state: Option<String>,
    /// Seconds since the state changed.
    pub seconds: Option<f64>,
    /// The statement that it runs, or ran last.
    pub query: String,
}

impl ClientSession {
    /// Whether it belongs to the cluster itself.
    pub fn is_own(&self) -> bool {
        self.role.as_ref().is_some_and(|role| OWN_ROLES.contains(&role.as_str()))
    }
}

/// The sessions of every PostgreSQL that answers, and what did not answer.
#[derive(Debug, Default, Serialize)]
pub struct ClientSessions {
    /// By node and process.
    pub sessions: Vec<ClientSession>,
    /// The daemons that did not answer, and why.
    pub silent: Vec<String>,
}

const ACTIVITY: &str = "
SELECT json_build_object('pid', pid, 'database', datname, 'role', usename, 'application', application_name,
    'client', CASE WHEN client_port > 0 THEN host(client_addr) || ':' || client_port END, 'state', state,
    'seconds', extract(epoch FROM clock_timestamp() - state_change)::float, 'query', query)
FROM pg_stat_activity WHERE backend_type IN ('client backend', 'walsender') AND pid <> pg_backend_pid() ORDER BY pid";

/// How long a PostgreSQL may take to answer. The reason for asking may be that one hangs.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks every node. In transaction pooling, a session may pass from one client to the next meanwhile. So a client is named only if both
/// tables of its pooler agree.
pub async fn sessions(fleet: &Fleet) -> ClientSessions {
    let mut all = ClientSessions::default();
    let mut origins = BTreeMap::new();
    let asked = fleet.nodes.iter().map(async |node| match fleet.link(node).await {
        Ok(link) => tokio::join!(activity(&link, node), ways(&link, node)),
        Err(error) => (Err(with_causes(&error)), (BTreeMap::new(), Vec::new())),
    });
    for (node, (sessions, (ways, silent))) in fleet.nodes.iter().zip(join_all(asked).await) {
        origins.extend(ways);
        let silent = silent.into_iter().chain(sessions.as_ref().err().cloned());
        all.silent.extend(silent.map(|why| format!("{}: {why}", node.name)));
        all.sessions.extend(sessions.unwrap_or_default());
    }
    for session in &mut all.sessions {
        let server = fleet.nodes.iter().find(|node| node.name == session.node);
        let server = server.map(|node| SocketAddr::new(node.address.into(), 5432));
        if let Some(origin) = session.client.zip(server).and_then(|way| origins.get(&way)) {
            (session.client, session.through) = (origin.client, origin.through.clone());
        }
    }
    all
}

async fn activity(link: &Link, node: &Node) -> Result<Vec<ClientSession>, String> {
    if !node.role_set.has(Role::Postgres) {
        return Ok(Vec::new());
    }
    let asked = declare::sql(&link.session, "postgres", ACTIVITY);
    let silent = |_| format!("PostgreSQL does not answer within {} s", PATIENCE.as_secs());
    let rows = tokio::time::timeout(PATIENCE, asked).await.map_err(silent)?;
    let rows = rows.map_err(|error| with_causes(&error))?;
    let read = |row| serde_json::from_str::<ClientSession>(row).map_err(|error| error.to_string());
    let sessions = rows.lines().map(read).collect::<Result<Vec<_>, _>>()?;
    Ok(sessions
        .into_iter()
        .map(|session| ClientSession { node: node.name.clone(), ..session })
        .collect())
}

/// The source address that PostgreSQL sees, and PostgreSQL's own address. The source alone may occur twice.
type Way = (SocketAddr, SocketAddr);

/// Where a session really comes from.
struct Origin {
    client: Option<SocketAddr>,
    through: Option<String>,
}

/// Origins of the sessions that a node forwards to PostgreSQL, and the daemons that did not answer.
async fn ways(link: &Link, node: &Node) -> (BTreeMap<Way, Origin>, Vec<String>) {
    if !node.role_set.has(Role::Haproxy) {
        return (BTreeMap::new(), Vec::new());
    }
    let ((pooled, mut silent), hops) = tokio::join!(pooled(link), haproxy::hops(&link.session));
    let hops = hops.unwrap_or_else(|error| {
        silent.push(format!("HAProxy: {}", with_causes(&error)));
        Vec::new()
    });
    let origin = |hop: Hop| {
        let through = link.probe.doors.get(&hop.pool).map(|port| format!("{}:{port}", node.name));
        let client = match pooled.get(&hop.pool) {
            Some(clients) => clients.get(&hop.client.port()).copied(),
            None => Some(hop.client),
        };
        ((hop.seen, hop.server), Origin { client, through })
    };
    (hops.into_iter().map(origin).collect(), silent)
}

/// Clients of each pooler of a node, by the port of its connection to HAProxy, and the poolers that did not answer.
async fn pooled(link: &Link) -> (BTreeMap<String, BTreeMap<u16, SocketAddr>>, Vec<String>) {
    let (mut pooled, mut silent) = (BTreeMap::new(), Vec::new());
    let poolers = link.poolers().collect::<Vec<_>>();
    let asked = join_all(poolers.iter().map(|pooler| pooler.clients(&link.session))).await;
    for (pooler, clients) in poolers.into_iter().zip(asked) {
        let clients = clients.unwrap_or_else(|error| {
            silent.push(format!("{}: {}", pooler::unit(&pooler.door), with_causes(&error)));
            BTreeMap::new()
        });
        pooled.insert(pooler.door, clients);
    }
    (pooled, silent)
}
