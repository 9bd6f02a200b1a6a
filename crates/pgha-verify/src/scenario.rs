//! What can be broken under load, and what a cluster promises meanwhile. This module does not know
//! how it is broken.

use std::fmt;
use std::str::FromStr;

use pgha_core::Cluster;
use pgha_core::cluster::{Durability, Fault, Role, WriteStop};

/// Something to break.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scenario {
    /// The leader's node loses power.
    LeaderPowerOff,
    /// The leader's PostgreSQL is killed.
    LeaderKillPostgres,
    /// The leader's node is cut off from the others.
    LeaderCutOff,
    /// The leader's Patroni is frozen.
    PatroniFrozen,
    /// The leader's node is frozen, and resumes later.
    NodePaused,
    /// The same, and a replica learns late of the next leader.
    NodePausedStandbyStalled,
    /// A planned change of leader.
    Switchover,
    /// The etcd member on the leader's node is down.
    EtcdOneDown,
    /// Every node is rebuilt.
    Roll,
}

/// No scenario has that name.
#[derive(Debug, thiserror::Error)]
#[error("no scenario is called `{0}`")]
pub struct UnknownScenario(String);

impl FromStr for Scenario {
    type Err = UnknownScenario;

    fn from_str(name: &str) -> Result<Self, UnknownScenario> {
        let mut every = Self::EVERY.into_iter();
        every.find(|s| s.name() == name).ok_or_else(|| UnknownScenario(name.to_owned()))
    }
}

/// Written as on the command line.
impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Scenario {
    /// All of them, in the order in which they are played.
    pub const EVERY: [Self; 9] = [
        Self::LeaderPowerOff,
        Self::LeaderKillPostgres,
        Self::LeaderCutOff,
        Self::PatroniFrozen,
        Self::NodePaused,
        Self::NodePausedStandbyStalled,
        Self::Switchover,
        Self::EtcdOneDown,
        Self::Roll,
    ];

    /// Seconds for which a stalled replica knows of no new leader after the paused node has
    /// resumed.
    const LATE_SECONDS: u32 = 5;

    /// The scenarios that are played if none is named. Pauses are only played on request: what a
    /// paused node may still do in the moment when it resumes is not prevented
    /// (infrastructure/README.md, "Limits").
    pub fn usual() -> Vec<Self> {
        Self::EVERY.into_iter().filter(|scenario| !scenario.pauses()).collect()
    }

    /// Its name on the command line, in verdicts and of directories.
    pub fn name(self) -> &'static str {
        match self {
            Self::LeaderPowerOff => "leader-power-off",
            Self::LeaderKillPostgres => "leader-kill-postgres",
            Self::LeaderCutOff => "leader-cut-off",
            Self::PatroniFrozen => "patroni-frozen",
            Self::NodePaused => "node-paused",
            Self::NodePausedStandbyStalled => "node-paused-standby-stalled",
            Self::Switchover => "switchover",
            Self::EtcdOneDown => "etcd-one-down",
            Self::Roll => "roll",
        }
    }

    /// What is done, in a sentence or two.
    pub fn describe(self) -> &'static str {
        match self {
            Self::LeaderPowerOff => "The leader's node loses power; it comes back later",
            Self::LeaderKillPostgres => {
                "The leader's PostgreSQL is killed (SIGKILL of the postmaster)"
            }
            Self::LeaderCutOff => {
                "The network drops every packet between the leader and the other nodes. A second writer stays beside the leader"
            }
            Self::PatroniFrozen => {
                "The leader's Patroni is frozen (SIGSTOP) while its PostgreSQL lives. A second writer stays beside the leader"
            }
            Self::NodePaused => {
                "The leader's node is frozen for longer than the lock lives, with the network up and etcd's leadership on it, as a paused virtual machine; then it goes on. A second writer stays beside the leader"
            }
            Self::NodePausedStandbyStalled => {
                "The same, and Patroni of a replica stalls once it has given its vote to the next leader: its PostgreSQL goes on following the paused one when that wakes"
            }
            Self::Switchover => "A planned change of leader",
            Self::EtcdOneDown => "The etcd member on the leader's node is killed and stays down",
            Self::Roll => {
                "Every node is rebuilt with the image it has, as a change would: replica by replica, the leader last"
            }
        }
    }

    fn pauses(self) -> bool {
        matches!(self, Self::NodePaused | Self::NodePausedStandbyStalled)
    }

    /// What the promised length of the write stop depends on.
    pub fn fault(self) -> Fault {
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
    pub fn has_inside(self) -> bool {
        self.pauses() || matches!(self, Self::LeaderCutOff | Self::PatroniFrozen)
    }

    /// Seconds the fault lasts: long enough for its whole effect to show.
    pub fn hold_seconds(self, cluster: &Cluster) -> u32 {
        match self.fault() {
            _ if self == Self::Roll => 0,
            Fault::LeaderLost => cluster.write_stop(Fault::LeaderLost).worst_seconds as u32 + 3,
            Fault::PostgresKilled | Fault::MinorityLost => 10,
            Fault::Switchover | Fault::ReplicaStopped => 6,
        }
    }

    /// Seconds for which Patroni of a replica stalls: from the vote until some time after the
    /// paused node has resumed.
    pub fn stalled_seconds(self, cluster: &Cluster) -> u32 {
        self.hold_seconds(cluster) + Self::LATE_SECONDS - cluster.timing.ttl
    }

    /// How long one stop of writes may take, whatever causes it in this scenario.
    pub(crate) fn promise(self, cluster: &Cluster) -> WriteStop {
        let fault = cluster.write_stop(self.fault());
        if self == Self::NodePausedStandbyStalled && cluster.durability == Durability::Strict {
            return fault.longer_by("stalled standby", self.stalled_seconds(cluster));
        }
        let replica = cluster.write_stop(Fault::ReplicaStopped);
        let waits = self == Self::Roll && !any_replica_will_do(cluster);
        if waits && replica.worst_seconds > fault.worst_seconds { replica } else { fault }
    }

    /// How often writes may stop. A planned change of leader is one stop. But if commits wait for
    /// one particular replica, each rebuild of it is another: they wait until another replica takes
    /// its place. Absent: no number is promised.
    pub(crate) fn most_stops(self, cluster: &Cluster) -> Option<usize> {
        let rebuilt = match any_replica_will_do(cluster) {
            true => 0,
            false => cluster.nodes_with(Role::Postgres).count(),
        };
        (self.fault() == Fault::Switchover).then_some(1 + rebuilt)
    }
}

/// Whether no commit waits for one particular replica.
fn any_replica_will_do(cluster: &Cluster) -> bool {
    let replicas = cluster.replicas();
    cluster.durability.bears_a_stopped_replica(replicas)
}
