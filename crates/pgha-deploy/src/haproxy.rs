//! HAProxy's statistics, read through its socket. So they do not depend on the ports in the cluster
//! file.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use pgha_platform::ssh::Session;
use serde::Serialize;

use crate::node_error::NodeError;

/// HAProxy's stats socket on a node (`templates/etc/pgha/haproxy.cfg`).
const SOCKET: &str = "/run/haproxy/stats.sock";

/// Prefix of the backup servers in a pool for replicas. They lead to the primary while the pool has no other server. No node has such a
/// name.
const STAND_IN: &str = "leader:";

/// What one HAProxy thinks of its servers: pool name to server name to state, as HAProxy writes it
/// (`UP`, `DOWN`, `UP 1/3`, ...).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Pools(pub BTreeMap<String, BTreeMap<String, String>>);

impl Pools {
    /// Names of the servers of a pool that HAProxy sends sessions to.
    pub fn up<'p>(&'p self, pool: &str) -> impl Iterator<Item = &'p str> {
        let servers = self.0.get(pool).into_iter().flatten();
        servers.filter(|(_, state)| state.starts_with("UP")).map(|(name, _)| name.as_str())
    }
}

/// What HAProxy of the node behind `session` thinks of every server.
///
/// # Errors
/// When it does not answer.
pub async fn pools(session: &Session) -> Result<Pools, NodeError> {
    Ok(parse(&session.ask_socket(SOCKET, "show stat").await?))
}

/// Switches a pool from `from` to `to` at once, before HAProxy's own checks would do the same. The checks go on, and undo the switch where
/// it is wrong.
///
/// # Errors
/// When it does not answer.
pub(crate) async fn follow(
    session: &Session,
    pool: &str,
    from: &str,
    to: &str,
) -> Result<(), NodeError> {
    let health = |node: &str, state: &str| format!("set server {pool}/{node} health {state}");
    let line = format!("{}; {}", health(from, "down"), health(to, "up"));
    let said = session.ask_socket(SOCKET, &line).await?;
    tracing::debug!("HAProxy of {} follows {to}: {}", session.address(), said.trim());
    Ok(())
}

/// A session that a HAProxy forwards to PostgreSQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hop {
    /// Its source address, as HAProxy sees it.
    pub(crate) client: SocketAddr,
    /// The pool whose port it came to.
    pub(crate) pool: String,
    /// Its source address, as PostgreSQL sees it.
    pub(crate) seen: SocketAddr,
    /// The address of that PostgreSQL.
    pub(crate) server: SocketAddr,
}

/// The sessions that HAProxy of the node behind `session` forwards to PostgreSQL.
///
/// # Errors
/// When it does not answer.
pub(crate) async fn hops(session: &Session) -> Result<Vec<Hop>, NodeError> {
    Ok(parse_hops(&session.ask_socket(SOCKET, "show sess all").await?))
}

/// Each session is an unindented line and the indented lines after it. Its endpoints are words in them. HAProxy management guide 9.3,
/// `show sess`.
fn parse_hops(text: &str) -> Vec<Hop> {
    let mut blocks = Vec::<String>::new();
    for line in text.lines() {
        match blocks.last_mut().filter(|_| line.starts_with(' ')) {
            Some(block) => *block += line,
            None => blocks.push(line.to_owned()),
        }
    }
    blocks.iter().filter_map(|block| hop(block)).collect()
}

fn hop(block: &str) -> Option<Hop> {
    let after = |key: &str| Some(block.split_once(key)?.1.trim_start());
    let address = |text: &str| text.split([' ', ',']).next()?.parse().ok();
    let backend = after(" backend=")?;
    let (pool, _) = backend.split_once(' ')?;
    let (backend, server) = backend.split_once(" server=")?;
    Some(Hop {
        client: address(after(" source=")?)?,
        pool: pool.to_owned(),
        seen: address(backend.split_once(" addr=")?.1)?,
        server: address(server.split_once(" addr=")?.1)?,
    })
}

/// Columns 1, 2 and 18 of HAProxy's CSV: pool, server, status. HAProxy management guide 9.1.
fn parse(csv: &str) -> Pools {
    let mut pools = Pools::default();
    for line in csv.lines().filter(|line| !line.starts_with('#')) {
        let fields = line.split(',').collect::<Vec<_>>();
        if let [pool, server, ..] = fields[..]
            && !matches!(server, "FRONTEND" | "BACKEND")
            && !server.starts_with(STAND_IN)
            && let Some(status) = fields.get(17)
        {
            pools
                .0
                .entry(pool.to_owned())
                .or_default()
                .insert(server.to_owned(), (*status).to_owned());
        }
    }
    pools
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_haproxy_writes() {
        let csv = "# pxname,svname,...\nprimary,FRONTEND,,,0,0,4000,0,0,0,0,0,0,,,,,OPEN,\nprimary,node-1,0,0,0,0,,0,0,0,,0,,0,0,0,0,UP,1\nprimary,leader:node-2,0,0,0,0,,0,0,0,,0,,0,0,0,0,UP,1\n";
        assert_eq!(parse(csv).0["primary"]["node-1"], "UP");
        assert_eq!(parse(csv).up("primary").collect::<Vec<_>>(), ["node-1"]);
    }

    #[test]
    fn tells_where_a_session_comes_from() {
        let session = "0x7f: [30/Nov/2026:08:08:30.467807] id=121 proto=tcpv4 source=10.84.0.1:40640\n  flags=0x4a, conn_retries=0, waiting=0 epoch=0x4\n  frontend=direct (id=5 mode=tcp), listener=? (id=1) addr=10.84.0.11:5010\n  backend=direct (id=5 mode=tcp) addr=10.84.0.11:44816\n  server=node-2 (id=2) addr=10.84.0.12:5432\n  task=0x7f (state=0x00)\n";
        let own = "0x7e: [30/Nov/2026:08:07:31.069362] id=102 proto=unix_stream source=unix:1\n  frontend=GLOBAL (id=0 mode=tcp), listener=? (id=1) addr=unix:1\n  backend=<NONE> (id=-1 mode=-)\n  server=<NONE> (id=-1)\n";
        let addresses = ["10.84.0.1:40640", "10.84.0.11:44816", "10.84.0.12:5432"];
        let [client, seen, server] = addresses.map(|text| text.parse().unwrap());
        let hop = Hop { client, pool: "direct".to_owned(), seen, server };
        assert_eq!(parse_hops(&format!("{own}{session}\n")), [hop]);
    }
}
