//! A new password for a role of a running cluster.
//!
//! PostgreSQL is told first, then every pooler: it makes its connections for a role with the keys of whoever
//! came last as that role (SCRAM pass-through), and PostgreSQL takes those of the old password no more. With
//! each connection that it makes anew it would cut a session that was open before.

use std::time::Duration;

use futures_util::future::join_all;
use pgha_core::cluster::Node;
use tokio::time::Instant;

use crate::declare;
use crate::fleet::{Fleet, Link};
use crate::node_error::NodeError;
use crate::pooler::{Pool, Pooler};
use crate::probe::Login;

/// A replica has to replay it first.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(200);

/// Gives a role the password that is to come. Gives the poolers that do not know it yet, in words.
///
/// # Errors
/// When the leader does not answer, or there is no such role.
pub async fn change(fleet: &Fleet, leader: &Node, role: &str) -> Result<Vec<String>, NodeError> {
    let link = fleet.link(leader).await?;
    declare::set_password(&link.session, role, fleet.secrets().next_verifier(role)).await?;
    let told = fleet.nodes.iter().map(async |node| match fleet.link(node).await {
        Ok(link) => tell(fleet, &link, &node.name, role).await,
        // Its clients are elsewhere.
        Err(_) => Vec::new(),
    });
    Ok(join_all(told).await.concat())
}

/// Logs in at each pooler of a node wherever it has had sessions of the role.
async fn tell(fleet: &Fleet, link: &Link, node: &str, role: &str) -> Vec<String> {
    let mut failed = Vec::new();
    for pooler in link.poolers() {
        let pools = pooler.pools(&link.session).await;
        for pool in pools.iter().filter(|pool| pool.role == role) {
            if let Err(why) = log_in(fleet, link, &pooler, pool).await {
                failed.push(format!(
                    "pooler {} of {node}, database {}: {why}",
                    pool.pooler, pool.database
                ));
            }
        }
    }
    failed
}

async fn log_in(fleet: &Fleet, link: &Link, pooler: &Pooler, pool: &Pool) -> Result<(), String> {
    let password = fleet.secrets().next_password(&pool.role);
    let login = Login { role: &pool.role, password, database: &pool.database };
    let until = Instant::now() + PATIENCE;
    loop {
        let outcome = link.probe.log_in(&link.session, pooler.port, &login).await;
        if outcome.is_ok() || Instant::now() > until {
            return outcome;
        }
        tokio::time::sleep(PAUSE).await;
    }
}
