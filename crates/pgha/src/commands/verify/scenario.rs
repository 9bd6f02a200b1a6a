//! What `verify` can break, how, and for how long.

use std::fmt;

use clap::ValueEnum;
use pgha_core::Cluster;
use pgha_core::cluster::{Fault, Node, Role};
use pgha_deploy::daemons::Daemons;
use pgha_deploy::declare;
use pgha_deploy::fleet::Fleet;
use pgha_deploy::health::Health;
use pgha_platform::Provider;

use super::stall;
use crate::commands::apply;
use crate::failure::Failure;
use crate::workspace::Workspace;

/// Something to break.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scenario {
    /// The leader's node loses power; it comes back later.
    LeaderPowerOff,
    /// The leader's PostgreSQL is killed (SIGKILL of the postmaster).
    LeaderKillPostgres,
    /// The network drops every packet between the leader and the other nodes. A second writer stays
    /// beside the leader.
    LeaderCutOff,
    /// The leader's Patroni is frozen (SIGSTOP) while its PostgreSQL lives. A second writer stays
    /// beside the leader.
    PatroniFrozen,
    /// The leader's node is frozen for longer than the lock lives, with the network up and etcd's
    /// leadership on it, as a paused virtual machine; then it goes on. A second writer stays beside
    /// the leader.
    NodePaused,
    /// The same, and Patroni of a replica stalls once it has given its vote to the next leader: its
    /// PostgreSQL goes on following the paused one when that wakes.
    NodePausedStandbyStalled,
    /// A planned change of leader.
    Switchover,
    /// The etcd member on the leader's node is killed and stays down.
    EtcdOneDown,
    /// Every node is rebuilt with the image it has, as a change would: replica by replica, the
    /// leader last.
    Roll,
}

/// Written as on the command line.
impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.to_possible_value().as_ref().map_or("", |value| value.get_name()))
    }
}

impl Scenario {
    /// Those that are played where none is named. What a paused node may still do in the moment when
    /// it wakes is not closed (infrastructure/README.md, "Limits"): that is played on request alone.
    pub(super) fn usual() -> Vec<Self> {
        Self::every().filter(|scenario| !scenario.pauses()).collect()
    }

    fn pauses(self) -> bool {
        matches!(self, Self::NodePaused | Self::NodePausedStandbyStalled)
    }

    pub(super) fn every() -> impl Iterator<Item = Self> {
        Self::value_variants().iter().copied()
    }

    /// What the promised length of the write stop depends on.
    pub(super) fn fault(self) -> Fault {
        match self {
            Self::LeaderPowerOff
            | Self::LeaderCutOff
            | Self::PatroniFrozen
            | Self::NodePaused
            | Self::NodePausedStandbyStalled => Fault::LeaderLost,
            Self::LeaderKillPostgres => Fault::PostgresKilled,
            Self::Switchover | Self::Roll => Fault::Switchover,
            Self::EtcdOneDown => Fault::MinorityLost,
        }
    }

    /// Whether a second writer stays beside the leader.
    pub(super) fn has_inside(self) -> bool {
        self.pauses() || matches!(self, Self::LeaderCutOff | Self::PatroniFrozen)
    }

    /// Seconds the fault lasts: long enough for its whole effect to show.
    pub(super) fn hold_seconds(self, cluster: &Cluster) -> u64 {
        match self.fault() {
            _ if self == Self::Roll => 0,
            Fault::LeaderLost => cluster.write_stop(Fault::LeaderLost).worst_seconds as u64 + 3,
            Fault::PostgresKilled | Fault::MinorityLost => 10,
            Fault::Switchover | Fault::ReplicaStopped => 6,
        }
    }

    /// Breaks it.
    pub(super) async fn break_it(
        self,
        workspace: &Workspace,
        fleet: &Fleet,
        leader: &Node,
    ) -> Result<(), Failure> {
        match self {
            Self::LeaderPowerOff => Ok(workspace.provider.power_cut(&leader.name).await?),
            Self::LeaderCutOff => Ok(workspace.provider.isolate(&leader.name).await?),
            Self::Switchover => Ok(fleet.switchover(leader, None).await?),
            // Boxed: it is by far the largest of these futures.
            Self::Roll => Box::pin(apply::again(workspace)).await,
            Self::LeaderKillPostgres => {
                on(fleet, leader, &["pkill", "-KILL", "--oldest", "--exact", "postgres"]).await
            }
            Self::PatroniFrozen => on(fleet, leader, &signal_patroni("--signal=SIGSTOP")).await,
            Self::NodePaused | Self::NodePausedStandbyStalled => {
                lead_etcd(fleet, leader).await?;
                if self == Self::NodePausedStandbyStalled {
                    stall::after_the_vote(workspace, fleet, leader, self).await?;
                }
                Ok(workspace.provider.freeze(&leader.name).await?)
            }
            Self::EtcdOneDown => {
                // The stop keeps systemd from starting it again; the kill makes it a failure
                // instead of a goodbye.
                on(fleet, leader, &["systemctl", "stop", "--no-block", "etcd.service"]).await?;
                on(fleet, leader, &["systemctl", "kill", "--signal=SIGKILL", "etcd.service"]).await
            }
        }
    }

    /// Ends the fault. Does no harm where there is none.
    pub(super) async fn heal(
        self,
        workspace: &Workspace,
        fleet: &Fleet,
        leader: &Node,
    ) -> Result<(), Failure> {
        match self {
            Self::LeaderPowerOff => Ok(workspace.provider.power_on(&leader.name).await?),
            Self::LeaderCutOff => Ok(workspace.provider.heal().await?),
            Self::PatroniFrozen => on(fleet, leader, &signal_patroni("--signal=SIGCONT")).await,
            Self::NodePaused | Self::NodePausedStandbyStalled => {
                Ok(workspace.provider.thaw(&leader.name).await?)
            }
            Self::EtcdOneDown => on(fleet, leader, &["systemctl", "start", "etcd.service"]).await,
            Self::Roll => {
                for node in &workspace.cluster.nodes {
                    workspace.provider.power_on(&node.name).await?;
                }
                Ok(())
            }
            Self::Switchover | Self::LeaderKillPostgres => Ok(()),
        }
    }

    /// What tells one PostgreSQL process of the victim from the next: the moment it started.
    pub(super) async fn mark(self, fleet: &Fleet, leader: &Node) -> Option<String> {
        let link = fleet.link(leader).await.ok()?;
        declare::sql(&link.session, "postgres", "SELECT pg_postmaster_start_time();\n").await.ok()
    }

    /// Whether the fault did what its name says: a run in which nothing broke proves nothing.
    /// `during` was seen just before the fault ended; `restarted` says that the victim's PostgreSQL
    /// is another process than before.
    pub(super) fn took_effect(self, victim: &Node, during: &Health, restarted: bool) -> bool {
        let led_by_another = during.leader().is_some_and(|leader| leader.name != victim.name);
        match self {
            Self::LeaderPowerOff
            | Self::LeaderCutOff
            | Self::PatroniFrozen
            | Self::NodePaused
            | Self::Switchover
            | Self::Roll => led_by_another,
            Self::NodePausedStandbyStalled => led_by_another && stall::is_seen(victim, during),
            Self::LeaderKillPostgres => restarted,
            Self::EtcdOneDown => {
                during.nodes[&victim.name].etcd.is_none() || !victim.role_set.has(Role::Etcd)
            }
        }
    }
}

/// Moves etcd's leadership to a node: the clock by which leases end is then a paused one.
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

/// Patroni alone: PostgreSQL is its child.
fn signal_patroni(signal: &str) -> [&str; 5] {
    ["systemctl", "kill", "--kill-whom=main", signal, "patroni.service"]
}

pub(super) async fn on(fleet: &Fleet, node: &Node, arguments: &[&str]) -> Result<(), Failure> {
    fleet.link(node).await?.session.run(arguments, b"").await?;
    Ok(())
}
