//! A new password for a role of a running cluster.
//!
//! PostgreSQL is told first, then every pooler. A pooler connects for a role with the SCRAM keys of the last client that logged in as that
//! role (SCRAM pass-through). PostgreSQL no longer accepts the keys of the old password. So each new connection that the pooler opens would
//! cut a session that was open before.

use std::time::Duration;

use futures_util::future::join_all;
use pgha_core::cluster::{Node, Role};
use tokio::time::{Instant, sleep};

use crate::declare::{self, literal};
use crate::fleet::{Fleet, Link};
use crate::node_error::{NodeError, with_causes};
use crate::pooler::{Pool, Pooler};
use crate::probe::Login;

/// Time for replicas to replay it, and again for poolers to learn it.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(200);

/// Gives a role its next password. Returns the servers that may not know it yet, as text for
/// people.
///
/// # Errors
/// When the leader does not answer, or there is no such role.
pub async fn change(fleet: &Fleet, leader: &Node, role: &str) -> Result<Vec<String>, NodeError> {
    let link = fleet.link(leader).await?;
    declare::set_password(&link.session, role, fleet.secrets().next_verifier(role)).await?;
    let mut strange = Vec::new();
    if !replayed(&link).await? {
        strange.push("a replica has not replayed it yet".to_owned());
    }
    let until = Instant::now() + PATIENCE;
    let routers = fleet.nodes_with(Role::Haproxy);
    let told = routers.map(async |node| match fleet.link(node).await {
        Ok(link) => tell(fleet, &link, node, role, until).await,
        Err(error) => vec![format!("poolers of {}: {}", node.name, with_causes(&error))],
    });
    strange.extend(join_all(told).await.concat());
    Ok(strange)
}

/// Whether every replica that follows has replayed in time what the leader behind `link` has written. A pooler may be led to any of them.
async fn replayed(link: &Link) -> Result<bool, NodeError> {
    let place = declare::sql(&link.session, "postgres", "SELECT pg_current_wal_lsn()").await?;
    let query = format!(
        "SELECT coalesce(bool_and(replay_lsn >= {}), true) FROM pg_stat_replication WHERE state = 'streaming'",
        literal(place.trim())
    );
    let until = Instant::now() + PATIENCE;
    loop {
        let all = declare::sql(&link.session, "postgres", &query).await?.trim() == "t";
        if all || Instant::now() > until {
            return Ok(all);
        }
        sleep(PAUSE).await;
    }
}

/// Logs in through each pooler of a node, for every database where the pooler has had sessions of
/// the role.
async fn tell(fleet: &Fleet, link: &Link, node: &Node, role: &str, until: Instant) -> Vec<String> {
    let poolers = link.poolers().map(async |pooler| {
        let name = format!("pooler {} of {}", pooler.door, node.name);
        let pools = match pooler.pools(&link.session).await {
            Ok(pools) => pools,
            Err(error) => return vec![format!("{name}: {}", with_causes(&error))],
        };
        let pools = pools.iter().filter(|pool| pool.role == role);
        let tried = pools.map(async |pool| {
            let why = log_in(fleet, link, &pooler, pool, until).await.err()?;
            Some(format!("{name}, database {}: {why}", pool.database))
        });
        join_all(tried).await.into_iter().flatten().collect()
    });
    join_all(poolers).await.concat()
}

async fn log_in(
    fleet: &Fleet,
    link: &Link,
    pooler: &Pooler,
    pool: &Pool,
    until: Instant,
) -> Result<(), String> {
    let password = fleet.secrets().next_password(&pool.role);
    let login = Login { role: &pool.role, password, database: &pool.database };
    loop {
        let outcome = link.probe.log_in(&link.session, pooler.port, &login).await;
        if outcome.is_ok() || Instant::now() > until {
            return outcome;
        }
        sleep(PAUSE).await;
    }
}
