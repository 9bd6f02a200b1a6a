//! `switchover`: a planned change of leader.

use std::time::{Duration, Instant};

use pgha_core::cluster::Role;
use pgha_deploy::fleet::Fleet;
use pgha_deploy::health::Health;

use super::exclusive::{Unguarded, exclusively};
use crate::failure::Failure;
use crate::print;
use crate::workspace::Workspace;

/// More than the slowest HAProxy of any preset takes to see it.
const ROUTED: Duration = Duration::from_secs(20);

pub(super) async fn run(workspace: &Workspace, to: Option<&str>) -> Result<(), Failure> {
    if let Some(name) = to {
        let node = workspace.node(name)?;
        if !node.role_set.has(Role::Postgres) {
            return Err(Failure::no(format!("`{name}` does not run PostgreSQL"))
                .hint("name a node with the role postgres"));
        }
    }
    let (_, fleet) = workspace.fleet().await?;
    let work = to_another(workspace, &fleet, to);
    exclusively(workspace, &fleet, "pgha switchover", Unguarded::Refuse, work).await
}

async fn to_another(workspace: &Workspace, fleet: &Fleet, to: Option<&str>) -> Result<(), Failure> {
    let from = leader(workspace, fleet).await?;
    if to == Some(from.as_str()) {
        print::note(&format!("{from} leads already; nothing was done"));
        return Ok(());
    }
    print::note(&hand_over(workspace, fleet, &from, to).await?);
    if !routed_away(fleet, &from).await {
        print::note("not every HAProxy sends writes to the new leader yet: see `pgha status`");
    }
    Ok(())
}

/// Patroni answers before every HAProxy has seen the change: a client that comes at once would
/// still meet the old leader.
async fn routed_away(fleet: &Fleet, from: &str) -> bool {
    let until = Instant::now() + ROUTED;
    while Instant::now() < until {
        let health = Health::observe(fleet).await;
        if health.leader().is_some_and(|leader| leader.name != from) && health.takes_writes() {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    false
}

/// Name of the leader.
pub(super) async fn leader(workspace: &Workspace, fleet: &Fleet) -> Result<String, Failure> {
    let health = Health::observe(fleet).await;
    let missing = || {
        Failure::no(format!("cluster `{}` has no leader", workspace.cluster.name))
            .hint("see `pgha status`")
    };
    health.leader().map(|member| member.name.clone()).ok_or_else(missing)
}

/// Asks Patroni of the leader to hand over, and gives its answer.
pub(super) async fn hand_over(
    workspace: &Workspace,
    fleet: &Fleet,
    from: &str,
    to: Option<&str>,
) -> Result<String, Failure> {
    let link = fleet.link(workspace.node(from)?).await?;
    let patroni = link
        .patroni
        .as_ref()
        .ok_or_else(|| Failure::no(format!("`{from}` does not run Patroni")))?;
    Ok(patroni.switchover(from, to).await?)
}
