//! The health of a cluster: what every node says, and the named conditions that follow.

mod ask;

use std::collections::{BTreeMap, BTreeSet};

use pgha_core::Cluster;
use pgha_core::cluster::{Durability, Node, Role};

use crate::etcd::EtcdStatus;
use crate::haproxy::Pools;
use crate::patroni::{Instance, Member, View};
use crate::units::{Unit, Units};

/// Bytes of WAL a replica of a healthy cluster may lack.
const HEALTHY_LAG: u64 = 1 << 20;

/// What one node said. Absent: it was not asked or did not answer.
#[derive(Debug, Clone, Default)]
pub struct NodeHealth {
    /// Why it could not be reached at all.
    pub unreachable: Option<String>,
    /// Its etcd member.
    pub etcd: Option<EtcdStatus>,
    /// Its PostgreSQL, as its own Patroni has it.
    pub instance: Option<Instance>,
    /// The cluster in the eyes of its Patroni. Only a replica's is asked, if there is one.
    pub view: Option<View>,
    /// Its HAProxy's servers.
    pub pools: Option<Pools>,
    /// Its units.
    pub units: Option<Units>,
}

/// What all nodes said at one moment.
#[derive(Debug, Clone, Default)]
pub struct Health {
    /// By node name.
    pub nodes: BTreeMap<String, NodeHealth>,
}

/// Something that must be true of a healthy cluster.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Condition {
    /// What must be true, with the numbers seen.
    pub text: String,
    /// Whether it is.
    pub met: bool,
}

impl Health {
    /// The view to go by. One that is cut off goes on telling what it saw last, and may be one of
    /// only two that were asked. So whoever has a quorum knows better, then whoever names a leader
    /// that says the same of itself, then the majority.
    pub fn view(&self) -> Option<&View> {
        let views = || self.nodes.values().filter_map(|node| Some((node, node.view.as_ref()?)));
        let leader = |view: &View| {
            view.members.iter().find(|member| member.is_leader()).map(|member| member.name.clone())
        };
        let has_quorum = |node: &NodeHealth| node.etcd.as_ref().is_none_or(|etcd| etcd.has_leader);
        let leads = |name: &str| {
            self.nodes
                .get(name)
                .and_then(|node| node.instance.as_ref())
                .is_some_and(Instance::is_primary)
        };
        let alike =
            |view: &View| views().filter(|(_, other)| leader(other) == leader(view)).count();
        let rank = |(node, view): &(&NodeHealth, &View)| {
            let leader = leader(view);
            (has_quorum(node), leader.as_deref().is_some_and(leads), leader.is_some(), alike(view))
        };
        views().max_by_key(rank).map(|(_, view)| view)
    }

    /// The member that leads.
    pub fn leader(&self) -> Option<&Member> {
        self.view()?.members.iter().find(|member| member.is_leader())
    }

    /// Bytes of WAL that a replica lacks: by what it and the leader say at this moment, else by
    /// what Patroni keeps in etcd, which is up to `loop_wait` old and under load looks like a lag.
    pub fn lag(&self, member: &Member) -> Option<u64> {
        let position = |name: &str| self.nodes.get(name)?.instance.as_ref()?.position();
        let now = || Some(position(&self.leader()?.name)?.saturating_sub(position(&member.name)?));
        if member.is_leader() { None } else { now().or(member.lag) }
    }

    /// Whether every HAProxy that answers sends writes to the leader and nobody else.
    pub fn takes_writes(&self) -> bool {
        let leader = self.leader().map(|member| member.name.as_str());
        leader.is_some()
            && self
                .nodes
                .values()
                .filter_map(|node| node.pools.as_ref())
                .all(|pools| pools.up("primary").eq(leader))
    }

    /// Every condition of a healthy cluster, met or not.
    pub fn conditions(&self, cluster: &Cluster) -> Vec<Condition> {
        self.conditions_despite(cluster, &[])
    }

    /// Every condition of a healthy cluster, where `known` nodes count for etcd and PostgreSQL
    /// alone.
    pub fn conditions_despite(&self, cluster: &Cluster, known: &[String]) -> Vec<Condition> {
        vec![
            self.answering(cluster),
            self.running(cluster, known),
            self.etcd(cluster),
            self.led(),
            self.replicated(cluster),
            self.synchronous(cluster),
            self.routed(cluster, known),
        ]
    }

    /// Nodes that do not do what their roles say.
    pub fn sick(&self, cluster: &Cluster) -> Vec<String> {
        self.those(cluster, |node, heard| {
            !self.holds_its_copy(node, heard) || !serves_clients(node, heard)
        })
    }

    /// Nodes whose etcd member or PostgreSQL is not whole.
    pub fn lost(&self, cluster: &Cluster) -> Vec<String> {
        self.those(cluster, |node, heard| !self.holds_its_copy(node, heard))
    }

    /// Names of the nodes that are so; silence counts as if they were.
    fn those(&self, cluster: &Cluster, so: impl Fn(&Node, &NodeHealth) -> bool) -> Vec<String> {
        let is_so = |node: &&Node| self.nodes.get(&node.name).is_none_or(|heard| so(node, heard));
        cluster.nodes.iter().filter(is_so).map(|node| node.name.clone()).collect()
    }

    /// Nodes whose Patroni answers and whose PostgreSQL does not start.
    pub fn stuck(&self) -> Vec<String> {
        let stuck =
            |node: &NodeHealth| node.instance.as_ref().is_some_and(Instance::does_not_start);
        self.nodes.iter().filter(|(_, node)| stuck(node)).map(|(name, _)| name.clone()).collect()
    }

    fn holds_its_copy(&self, node: &Node, heard: &NodeHealth) -> bool {
        let member = || self.view()?.members.iter().find(|member| member.name == node.name);
        let stores = !node.role_set.has(Role::Etcd)
            || heard.etcd.as_ref().is_some_and(|etcd| etcd.has_leader);
        let replicates = !node.role_set.has(Role::Postgres)
            || heard.instance.is_some()
                && member().is_some_and(|member| member.is_leader() || member.is_streaming());
        heard.unreachable.is_none() && stores && replicates
    }

    fn answering(&self, cluster: &Cluster) -> Condition {
        let count = self.nodes.values().filter(|node| node.unreachable.is_none()).count();
        condition(
            count == cluster.nodes.len(),
            format!("{count} of {} nodes answer", cluster.nodes.len()),
        )
    }

    /// Those that do not run are named: which it is tells more than how many.
    fn running(&self, cluster: &Cluster, known: &[String]) -> Condition {
        let asked = self.nodes.iter().filter(|(node, _)| !known.contains(node));
        let asked = asked.filter_map(|(node, heard)| Some((node, heard.units.as_ref()?)));
        let (mut count, mut down) = (known.len(), Vec::new());
        for (node, units) in asked {
            let before = down.len();
            let stopped = units.iter().filter(|(_, unit)| !unit.is_active());
            down.extend(stopped.map(|(name, unit)| format!("{name} of {node} is {}", unit.state)));
            count += usize::from(down.len() == before);
        }
        let why = if down.is_empty() { String::new() } else { format!(" ({})", down.join(", ")) };
        let text = format!("units run on {count} of {} nodes{why}", cluster.nodes.len());
        condition(count == cluster.nodes.len(), text)
    }

    fn etcd(&self, cluster: &Cluster) -> Condition {
        let members = cluster.nodes_with(Role::Etcd).count();
        let statuses = self
            .nodes
            .values()
            .filter_map(|node| node.etcd.as_ref())
            .filter(|status| status.has_leader);
        let (count, leaders) = statuses.fold((0, 0), |(count, leaders), status| {
            (count + 1, leaders + usize::from(status.leader))
        });
        condition(
            count == members && leaders == 1,
            format!("etcd {count} of {members} with {leaders} leader"),
        )
    }

    fn led(&self) -> Condition {
        match self.leader() {
            Some(leader) => condition(true, format!("{} leads", leader.name)),
            None => condition(false, "no leader".to_owned()),
        }
    }

    fn replicated(&self, cluster: &Cluster) -> Condition {
        let wanted = cluster.nodes_with(Role::Postgres).count() - 1;
        let members = self.view().map_or(&[][..], |view| &view.members);
        let good = |member: &&Member| {
            member.is_streaming() && self.lag(member).is_some_and(|lag| lag <= HEALTHY_LAG)
        };
        let count = members.iter().filter(good).count();
        condition(count == wanted, format!("{count} of {wanted} replicas streaming"))
    }

    fn synchronous(&self, cluster: &Cluster) -> Condition {
        let count = self
            .view()
            .map_or(0, |view| view.members.iter().filter(|member| member.is_synchronous()).count());
        let text = format!("{count} synchronous ({})", cluster.durability);
        condition(cluster.durability == Durability::Async || count > 0, text)
    }

    /// Every HAProxy sends writes to the leader alone, and reads to every replica. Reads may reach a
    /// new leader for some seconds: readers are checked less often.
    fn routed(&self, cluster: &Cluster, known: &[String]) -> Condition {
        let counts = |name: &str| !known.iter().any(|known| known == name);
        let leader = self.leader().map(|member| member.name.as_str());
        let members = cluster.nodes_with(Role::Postgres).map(|node| node.name.as_str());
        let replicas =
            members.filter(|name| Some(*name) != leader && counts(name)).collect::<BTreeSet<_>>();
        let routes = |pools: &Pools| {
            // The pooler of a sick leader may be what makes it sick.
            let writes = pools.up("primary").eq(leader)
                || leader.is_some_and(|name| !counts(name)) && pools.up("primary").next().is_none();
            writes && replicas.is_subset(&pools.up("replicas").collect())
        };
        let proxies = cluster.nodes_with(Role::Haproxy);
        let proxies = proxies.filter(|node| counts(&node.name)).collect::<Vec<_>>();
        let pools = |node: &&&Node| self.nodes.get(&node.name)?.pools.as_ref();
        let count = proxies.iter().filter(|node| pools(node).is_some_and(routes)).count();
        condition(count == proxies.len(), format!("{count} of {} HAProxy route", proxies.len()))
    }
}

/// Whether everything of the node beside its copy of the data is there.
fn serves_clients(node: &Node, heard: &NodeHealth) -> bool {
    let routes = !node.role_set.has(Role::Haproxy) || heard.pools.is_some();
    let runs = heard.units.as_ref().is_some_and(|units| units.values().all(Unit::is_active));
    routes && runs
}

fn condition(met: bool, text: String) -> Condition {
    Condition { text, met }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            db_bytes: 1,
        };
        let sees = |leader, quorum| NodeHealth { etcd: Some(etcd(quorum)), ..led_by(leader) };
        // With etcd on the same node, and on others: then only the leader's own word tells.
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
}
