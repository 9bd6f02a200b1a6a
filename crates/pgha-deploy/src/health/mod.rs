//! The health of a cluster: what every node says, and the named conditions that follow.

mod candidate;
mod conditions;
mod node;
mod sessions;
mod trouble;

use std::collections::BTreeMap;

use pgha_core::Cluster;
use pgha_core::cluster::{Node, Role};

use crate::etcd::NOSPACE;
use crate::instance::Instance;
use crate::patroni::{Member, View};
use crate::probe::{Sessions, WRITERS};
use crate::units::Unit;

pub use candidate::Candidate;
pub use conditions::Condition;
pub(crate) use node::LOOP_UNITS;
pub use node::NodeHealth;

/// Bytes of WAL a replica of a healthy cluster may lack.
const HEALTHY_LAG: u64 = 1 << 20;

/// Bytes of WAL between a replica and the leader.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lag {
    /// Not received yet. Lost if the leader is lost.
    pub received: u64,
    /// Not replayed yet. Readers do not see it, and a promotion has to wait for it.
    pub replayed: u64,
}

/// Bytes in the unit that people read.
pub fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

/// What all nodes said at one moment.
#[derive(Debug, Clone, Default)]
pub struct Health {
    /// By node name.
    pub nodes: BTreeMap<String, NodeHealth>,
}

impl Health {
    /// The view to rely on. A Patroni that is cut off keeps reporting what it saw last, and may be
    /// one of only two that were asked. So a node whose etcd has a quorum comes first. Then a view
    /// whose leader says the same of itself, then one that names a leader, then the majority.
    pub fn view(&self) -> Option<&View> {
        let views = || self.nodes.values().filter_map(|node| Some((node, node.view.as_ref()?)));
        let leader = |view: &View| {
            view.members.iter().find(|member| member.is_leader()).map(|member| member.name.clone())
        };
        let has_quorum = |node: &NodeHealth| node.etcd.as_ref().is_none_or(|etcd| etcd.has_leader);
        let leads = |name: &str| self.instance(name).is_some_and(Instance::is_primary);
        let alike =
            |view: &View| views().filter(|(_, other)| leader(other) == leader(view)).count();
        let rank = |(node, view): &(&NodeHealth, &View)| {
            let leader = leader(view);
            (has_quorum(node), leader.as_deref().is_some_and(leads), leader.is_some(), alike(view))
        };
        views().max_by_key(rank).map(|(_, view)| view)
    }

    /// What PostgreSQL of a node says through its Patroni. Absent: nothing, or there is no such node.
    pub(crate) fn instance(&self, name: &str) -> Option<&Instance> {
        self.nodes.get(name)?.instance.as_ref()
    }

    /// The member that leads.
    pub fn leader(&self) -> Option<&Member> {
        self.view()?.members.iter().find(|member| member.is_leader())
    }

    /// What a replica lacks, from what it and the leader say at this moment. Otherwise from what
    /// Patroni keeps in etcd, which is up to `loop_wait` old and looks like a lag under load.
    pub fn lag(&self, member: &Member) -> Option<Lag> {
        let now = || {
            let (leader, own) =
                (self.instance(&self.leader()?.name)?, self.instance(&member.name)?);
            let end = leader.received()?;
            let behind = |position: u64| end.saturating_sub(position);
            Some(Lag { received: behind(own.received()?), replayed: behind(own.replayed()?) })
        };
        let kept = || Some(Lag { received: member.receive_lag?, replayed: member.replay_lag? });
        if member.is_leader() { None } else { now().or_else(kept) }
    }

    /// Nodes that do not do what their roles say, or whose units crashed a moment ago.
    pub fn sick(&self, cluster: &Cluster) -> Vec<String> {
        self.names_where(cluster, |node, heard| {
            let serves = heard.serves_clients(node) && !self.cannot_reach_leader(heard);
            !self.holds_its_copy(node, heard) || !serves
        })
    }

    /// Whether clients of this node cannot reach the leader, although it takes writes from others.
    fn cannot_reach_leader(&self, heard: &NodeHealth) -> bool {
        let leads = self.leader().and_then(|leader| self.nodes.get(&leader.name));
        let wrote =
            leads.and_then(|node| node.sessions.as_ref()).is_some_and(Sessions::wrote_itself);
        let routes = heard.pools.as_ref().is_some_and(|pools| pools.up(WRITERS).next().is_some());
        wrote && routes && heard.sessions.as_ref().is_some_and(|sessions| sessions.fails(WRITERS))
    }

    /// Nodes whose etcd member or PostgreSQL is not whole, or whose etcd crashed a moment ago.
    pub fn lost(&self, cluster: &Cluster) -> Vec<String> {
        self.names_where(cluster, |node, heard| !self.holds_its_copy(node, heard))
    }

    /// Names of the nodes for which `so` holds. Silent nodes are included.
    fn names_where(
        &self,
        cluster: &Cluster,
        so: impl Fn(&Node, &NodeHealth) -> bool,
    ) -> Vec<String> {
        let is_so = |node: &&Node| self.nodes.get(&node.name).is_none_or(|heard| so(node, heard));
        cluster.nodes.iter().filter(is_so).map(|node| node.name.clone()).collect()
    }

    /// Whether an etcd member has used up its quota.
    pub fn etcd_is_full(&self) -> bool {
        let members = self.nodes.values().filter_map(|node| node.etcd.as_ref());
        members.flat_map(|etcd| &etcd.alarms).any(|alarm| alarm == NOSPACE)
    }

    /// Nodes whose PostgreSQL runs, even if its Patroni cannot read its state. One that does not run takes no configuration, and that is
    /// reported elsewhere.
    pub(crate) fn with_running_postgres<'c>(&self, cluster: &'c Cluster) -> Vec<&'c Node> {
        let runs = |own: &Instance| own.runs() || own.is_unreadable();
        let runs = |node: &&Node| self.instance(&node.name).is_some_and(runs);
        cluster.nodes.iter().filter(runs).collect()
    }

    /// Replicas whose copy is being made.
    pub(crate) fn copying<'c>(&self, cluster: &'c Cluster) -> impl Iterator<Item = &'c Node> {
        let copies = |node: &&Node| self.instance(&node.name).is_some_and(Instance::is_copied);
        cluster.nodes.iter().filter(copies)
    }

    /// Whether the node answers, should hold a copy of the database, and neither leads nor streams.
    pub(crate) fn lacks_its_copy(&self, node: &Node) -> bool {
        self.instance(&node.name).is_some() && !self.leads_or_streams(node)
    }

    /// Whether its copy of the database is whole, as far as Patroni says.
    pub(crate) fn leads_or_streams(&self, node: &Node) -> bool {
        let member = || self.view()?.members.iter().find(|member| member.name == node.name);
        member().is_some_and(|member| member.is_leader() || member.is_streaming())
    }

    /// Whether a member is a replica that lacks little, and shows its readers no old rows.
    pub(super) fn follows(&self, cluster: &Cluster, member: &Member) -> bool {
        let replay = u64::from(cluster.haproxy.max_replica_lag_mb) << 20;
        let close = |lag: Lag| lag.received <= HEALTHY_LAG && lag.replayed <= replay;
        let stands = self.nodes.get(&member.name).is_some_and(|node| node.replays_nothing(cluster));
        member.is_streaming()
            && !stands
            && !self.gets_nothing(&member.name)
            && self.lag(member).is_some_and(close)
    }

    fn holds_its_copy(&self, node: &Node, heard: &NodeHealth) -> bool {
        let stores = !node.role_set.has(Role::Etcd)
            || heard.etcd.as_ref().is_some_and(|etcd| etcd.has_leader);
        let replicates = !node.role_set.has(Role::Postgres)
            || heard.instance.is_some() && self.leads_or_streams(node);
        // A crash of Patroni does not count: PostgreSQL survives it.
        let etcd = heard.units.as_ref().and_then(|units| units.get("etcd.service"));
        let steady = !etcd.is_some_and(Unit::is_unsteady);
        heard.unreachable.is_none() && stores && replicates && steady
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::etcd::EtcdStatus;
    use crate::haproxy::Pools;

    fn led_by(name: &str) -> NodeHealth {
        let member = serde_json::json!({ "name": name, "role": "leader", "state": "running" });
        NodeHealth {
            view: serde_json::from_value(serde_json::json!({ "members": [member] })).ok(),
            ..NodeHealth::default()
        }
    }

    #[test]
    fn a_leader_that_is_cut_off_is_outvoted() {
        let views = [("a", led_by("a")), ("b", led_by("b")), ("c", led_by("b"))];
        let health = Health { nodes: views.map(|(name, node)| (name.to_owned(), node)).into() };
        assert_eq!(health.leader().map(|member| member.name.as_str()), Some("b"));
    }

    #[test]
    fn whoever_has_a_quorum_knows_better_than_who_lost_it() {
        let etcd = |has_leader| EtcdStatus {
            version: "3".to_owned(),
            leader: false,
            has_leader,
            ..EtcdStatus::default()
        };
        let sees = |leader, quorum| NodeHealth { etcd: Some(etcd(quorum)), ..led_by(leader) };
        // With etcd on the same node, and on others. In the second case only the leader's own word
        // tells.
        for (cut_off, etcd_here) in [("a", true), ("c", true), ("a", false), ("c", false)] {
            let mut nodes = BTreeMap::from(["a", "c"].map(|name| {
                (
                    name.to_owned(),
                    if name == cut_off { sees(cut_off, false) } else { sees("b", true) },
                )
            }));
            nodes.values_mut().for_each(|node| node.etcd = node.etcd.take().filter(|_| etcd_here));
            let primary = Instance { role: "primary".to_owned(), ..Instance::default() };
            nodes.insert(
                "b".to_owned(),
                NodeHealth { instance: Some(primary), ..NodeHealth::default() },
            );
            let health = Health { nodes };
            assert_eq!(
                health.leader().map(|member| member.name.as_str()),
                Some("b"),
                "{cut_off} is cut off"
            );
        }
    }

    #[test]
    fn a_crash_of_etcd_costs_a_copy_and_any_crash_makes_sick() {
        let text = include_str!("../../../../tests/clusters/minimal.toml");
        let (cluster, _) = Cluster::parse(text).expect("a cluster");
        let crashed = |name: &str| {
            let unit = Unit { state: "active".to_owned(), restarts: 3, up_seconds: 9 };
            let etcd = EtcdStatus { leader: true, has_leader: true, ..EtcdStatus::default() };
            let node = NodeHealth {
                etcd: Some(etcd),
                instance: Some(Instance::default()),
                pools: Some(Pools::default()),
                units: Some([(name.to_owned(), unit)].into()),
                ..led_by("node-1")
            };
            let health = Health { nodes: [("node-1".to_owned(), node)].into() };
            let [sick, lost] = [health.sick(&cluster), health.lost(&cluster)];
            [sick, lost].map(|nodes| nodes.contains(&"node-1".to_owned()))
        };
        assert_eq!(crashed("etcd.service"), [true, true]);
        assert_eq!(crashed("patroni.service"), [true, false]);
        assert_eq!(crashed("haproxy.service"), [true, false]);
    }
}
