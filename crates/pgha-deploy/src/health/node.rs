//! What one node said.

use std::collections::{BTreeMap, BTreeSet};

use pgha_core::Cluster;
use pgha_core::cluster::{Node, Role};

use crate::etcd::EtcdStatus;
use crate::haproxy::Pools;
use crate::instance::Instance;
use crate::patroni::View;
use crate::pooler;
use crate::probe::{POSTGRES, Sessions};
use crate::units::{Unit, Units};

/// The fence.
pub(super) const GUARD: &str = "pgha-guard.service";

/// Our own programs that loop forever: the guard, and the program that kills daemons that hang.
pub(crate) const LOOP_UNITS: [&str; 2] = [GUARD, "pgha-liveness.service"];

/// What one node said. Absent: it was not asked or did not answer.
#[derive(Debug, Clone, Default)]
pub struct NodeHealth {
    /// Why it could not be reached at all.
    pub unreachable: Option<String>,
    /// Its etcd member.
    pub etcd: Option<EtcdStatus>,
    /// Its PostgreSQL, as its own Patroni reports it.
    pub instance: Option<Instance>,
    /// The same, some moments before.
    pub before: Option<Instance>,
    /// The cluster as its Patroni sees it. Only replicas are asked, if there are any.
    pub view: Option<View>,
    /// Its HAProxy's servers.
    pub pools: Option<Pools>,
    /// Its units.
    pub units: Option<Units>,
    /// Results of new client sessions there.
    pub sessions: Option<Sessions>,
    /// Units of the guard and the like that run, but have not completed a round for half a minute.
    pub stalled: BTreeSet<String>,
    /// Doors whose poolers give no session and whose consoles do not answer either. Then clients do not wait for PostgreSQL.
    pub hung_poolers: BTreeSet<String>,
    /// Databases whose clients a pooler holds back after a command in its console, by its door.
    pub held: BTreeMap<String, Vec<String>>,
}

impl NodeHealth {
    /// Whether it replays nothing of what it has received, for longer than a reader's query may
    /// delay replay.
    pub(super) fn replays_nothing(&self, cluster: &Cluster) -> bool {
        let Some(delay) = cluster.postgresql.replay_delay_seconds() else { return false };
        let stands = |before: &Instance, now: &Instance| {
            now.replayed() == before.replayed() && now.replayed() < before.received()
        };
        let old = |now: &Instance| now.seconds_since_replay() > Some(2 * delay);
        let looks = self.before.as_ref().zip(self.instance.as_ref());
        looks.is_some_and(|(before, now)| !now.is_primary() && stands(before, now) && old(now))
    }

    /// Units that were stopped by hand: a crashed unit is restarted automatically. Empty if a unit
    /// has failed, because a refused seed or volume also keeps the units that need it from running.
    pub(super) fn stopped(&self) -> Vec<String> {
        let units =
            self.units.iter().filter(|units| !units.values().any(Unit::has_failed)).flatten();
        let stopped = units.filter(|(_, unit)| unit.state == "inactive");
        stopped.map(|(name, _)| name.clone()).collect()
    }

    /// Units that run, and do not answer.
    pub(super) fn unresponsive(&self, node: &Node) -> Vec<String> {
        let runs = |unit: &str| {
            let unit = self.units.as_ref().and_then(|units| units.get(unit));
            unit.is_some_and(|unit| unit.is_active() && !unit.is_unsteady())
        };
        let routes = self.pools.is_some() || !node.role_set.has(Role::Haproxy);
        let haproxy = (!routes).then(|| "haproxy.service".to_owned());
        let silent = haproxy.into_iter().chain(self.stalled.iter().cloned());
        let poolers = self.hung_poolers.iter().map(|door| pooler::unit(door));
        silent.chain(poolers).filter(|unit| runs(unit)).collect()
    }

    /// Units that should be brought back to work.
    pub(super) fn idle(&self, node: &Node) -> impl Iterator<Item = String> {
        let held = self.held.keys().map(|door| pooler::unit(door));
        let idle = self.stopped().into_iter().chain(self.unresponsive(node)).chain(held);
        idle.collect::<BTreeSet<_>>().into_iter()
    }

    /// Whether everything on the node except its copy of the data works.
    pub(super) fn serves_clients(&self, node: &Node) -> bool {
        let routes = !node.role_set.has(Role::Haproxy) || self.pools.is_some();
        let steady = |unit: &Unit| unit.is_active() && !unit.is_unsteady();
        let runs = self.units.as_ref().is_some_and(|units| units.values().all(steady));
        // A daemon that hangs is active, but does not answer.
        let hangs = self.sessions.as_ref().is_some_and(|sessions| sessions.fails(POSTGRES))
            || !self.hung_poolers.is_empty();
        routes && runs && !hangs && self.stalled.is_empty() && self.held.is_empty()
    }
}
