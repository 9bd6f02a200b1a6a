//! How `verify` injects a fault and ends it.

use std::time::Duration;

use pgha_core::cluster::{Node, Role};
use pgha_deploy::daemons::Daemons;
use pgha_deploy::declare;
use pgha_deploy::fleet::Fleet;
use pgha_deploy::health::{Candidate, Health};
use pgha_platform::{Faults, Provider};
use pgha_verify::Scenario;
use tokio::time::Instant;

use super::stall;
use crate::commands::{apply, switchover};
use crate::failure::Failure;
use crate::workspace::Workspace;

/// How long there may be no node that can take over: under verify's load replicas lag for moments.
const PATIENCE: Duration = Duration::from_secs(10);

/// The node that is to take over, as soon as there is one that can.
async fn candidate(workspace: &Workspace, fleet: &Fleet) -> Result<Candidate, Failure> {
    let until = Instant::now() + PATIENCE;
    loop {
        let candidate = switchover::candidate(workspace, &Health::observe(fleet).await, None);
        if candidate.is_ok() || Instant::now() > until {
            return candidate;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Injects the fault.
pub(super) async fn break_it(
    scenario: Scenario,
    workspace: &Workspace,
    fleet: &Fleet,
    leader: &Node,
) -> Result<(), Failure> {
    match scenario {
        Scenario::LeaderPowerOff => Ok(workspace.provider.power_cut(&leader.name).await?),
        Scenario::LeaderCutOff => Ok(fleet.isolate(leader).await?),
        Scenario::Switchover => {
            let candidate = candidate(workspace, fleet).await?;
            Ok(fleet.switchover(leader, &candidate).await?)
        }
        // Boxed: it is by far the largest of these futures.
        Scenario::Roll => Box::pin(apply::again(workspace)).await,
        Scenario::LeaderKillPostgres => {
            let kill = ["pkill", "-KILL", "--oldest", "--exact", "postgres"];
            Ok(fleet.run(leader, &kill).await?)
        }
        Scenario::PatroniFrozen => {
            Ok(fleet.run(leader, &signal_patroni("--signal=SIGSTOP")).await?)
        }
        Scenario::NodePaused | Scenario::NodePausedStandbyStalled => {
            lead_etcd(fleet, leader).await?;
            if scenario == Scenario::NodePausedStandbyStalled {
                stall::after_the_vote(workspace, fleet, leader, scenario).await?;
            }
            Ok(workspace.provider.freeze(&leader.name).await?)
        }
        Scenario::EtcdOneDown => {
            // The stop keeps systemd from starting it again; the kill makes it a failure instead of
            // a clean shutdown.
            fleet.run(leader, &["systemctl", "stop", "--no-block", "etcd.service"]).await?;
            let kill = ["systemctl", "kill", "--signal=SIGKILL", "etcd.service"];
            Ok(fleet.run(leader, &kill).await?)
        }
    }
}

/// Ends the fault. Does no harm if there is none.
pub(super) async fn heal(
    scenario: Scenario,
    workspace: &Workspace,
    fleet: &Fleet,
    leader: &Node,
) -> Result<(), Failure> {
    match scenario {
        Scenario::LeaderPowerOff => Ok(workspace.provider.power_on(&leader.name).await?),
        Scenario::LeaderCutOff => Ok(fleet.heal(leader).await?),
        Scenario::PatroniFrozen => {
            Ok(fleet.run(leader, &signal_patroni("--signal=SIGCONT")).await?)
        }
        Scenario::NodePaused | Scenario::NodePausedStandbyStalled => {
            Ok(workspace.provider.thaw(&leader.name).await?)
        }
        Scenario::EtcdOneDown => {
            Ok(fleet.run(leader, &["systemctl", "start", "etcd.service"]).await?)
        }
        Scenario::Roll => {
            for node in &workspace.cluster.nodes {
                workspace.provider.power_on(&node.name).await?;
            }
            Ok(())
        }
        Scenario::Switchover | Scenario::LeaderKillPostgres => Ok(()),
    }
}

/// Identifies the PostgreSQL process of the victim: the moment it started.
pub(super) async fn mark(fleet: &Fleet, leader: &Node) -> Option<String> {
    let link = fleet.link(leader).await.ok()?;
    declare::sql(&link.session, "postgres", "SELECT pg_postmaster_start_time();\n").await.ok()
}

/// Whether the fault did what its name says: a run in which nothing broke proves nothing. `during`
/// was observed just before the fault ended. `restarted`: the victim's PostgreSQL is another
/// process than before.
pub(super) fn took_effect(
    scenario: Scenario,
    victim: &Node,
    during: &Health,
    restarted: bool,
) -> bool {
    let led_by_another = during.leader().is_some_and(|leader| leader.name != victim.name);
    match scenario {
        Scenario::LeaderPowerOff
        | Scenario::LeaderCutOff
        | Scenario::PatroniFrozen
        | Scenario::NodePaused
        | Scenario::Switchover
        | Scenario::Roll => led_by_another,
        Scenario::NodePausedStandbyStalled => led_by_another && stall::is_seen(victim, during),
        Scenario::LeaderKillPostgres => restarted,
        Scenario::EtcdOneDown => {
            let heard = during.nodes.get(&victim.name);
            !victim.role_set.has(Role::Etcd) || heard.is_some_and(|heard| heard.etcd.is_none())
        }
    }
}

/// Moves etcd's leadership to a node, so that the clock that expires leases is paused with it.
async fn lead_etcd(fleet: &Fleet, node: &Node) -> Result<(), Failure> {
    let link = fleet.link(node).await?;
    let Some(etcd) = &link.etcd else { return Ok(()) };
    let own = etcd.status().await?;
    for other in fleet.nodes.iter().filter(|_| !own.leader) {
        let link = fleet.link(other).await?;
        if let Some(etcd) = &link.etcd
            && etcd.status().await?.leader
        {
            etcd.hand_leadership(&own.member).await?;
        }
    }
    Ok(())
}

/// Signals Patroni alone, not PostgreSQL, which is its child.
fn signal_patroni(signal: &str) -> [&str; 5] {
    ["systemctl", "kill", "--kill-whom=main", signal, "patroni.service"]
}
