//! HAProxy's statistics, through its socket: they do not depend on what the cluster file says of
//! ports.

use std::collections::BTreeMap;

use pgha_platform::ssh::Session;
use serde::Serialize;

use crate::node_error::NodeError;

/// Where HAProxy of a node answers (`templates/etc/pgha/haproxy.cfg`).
const SOCKET: &str = "/run/haproxy/stats.sock";

/// Servers of a pool for replicas that lead to the primary while it has no other. No node has such a
/// name.
const STAND_IN: &str = "leader:";

/// What one HAProxy thinks of its servers: pool name to server name to state, as HAProxy writes it
/// (`UP`, `DOWN`, `UP 1/3`, ...).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Pools(pub BTreeMap<String, BTreeMap<String, String>>);

impl Pools {
    /// Servers of a pool that it sends somebody to, by name.
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

/// Lets a pool lead to `to` instead of `from` at once. HAProxy's own checks go on, and would have found
/// the same; they undo it where it is not true.
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
}
