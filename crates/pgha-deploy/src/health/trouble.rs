//! Problems of nodes that do not pass by waiting.

use std::collections::BTreeMap;

use pgha_core::Cluster;
use pgha_core::cluster::{Node, Role};

use super::node::GUARD;
use super::{Health, NodeHealth};
use crate::instance::Instance;
use crate::units::Unit;

impl Health {
    /// Nodes whose Patroni answers and whose PostgreSQL does not start.
    pub fn stuck(&self) -> Vec<String> {
        let stuck =
            |node: &NodeHealth| node.instance.as_ref().is_some_and(Instance::does_not_start);
        self.nodes.iter().filter(|(_, node)| stuck(node)).map(|(name, _)| name.clone()).collect()
    }

    /// The node whose etcd member crashes again and again, while every other is whole.
    pub(crate) fn etcd_crashes<'c>(&self, cluster: &'c Cluster) -> Option<&'c Node> {
        let heard = |node: &Node| self.nodes.get(&node.name);
        let is_whole = |node: &&Node| {
            heard(node).and_then(|heard| heard.etcd.as_ref()).is_some_and(|etcd| etcd.has_leader)
        };
        let unit = |node: &Node| heard(node)?.units.as_ref()?.get("etcd.service");
        let mut lost = cluster.nodes_with(Role::Etcd).filter(|node| !is_whole(node));
        let first = lost.next().filter(|node| unit(node).is_some_and(Unit::crashes_on));
        first.filter(|_| lost.next().is_none())
    }

    /// Members whose PostgreSQL runs, but tells its Patroni nothing, gets no WAL or replays none.
    pub fn hung(&self, cluster: &Cluster) -> Vec<String> {
        let is_mute =
            |node: &NodeHealth| node.instance.as_ref().is_some_and(Instance::is_unreadable);
        let hangs = |(name, node): &(&String, &NodeHealth)| {
            is_mute(node) || node.replays_nothing(cluster) || self.gets_nothing(name)
        };
        self.nodes.iter().filter(hangs).map(|(name, _)| name.clone()).collect()
    }

    /// Units that were stopped, that run but do not answer, or that hold clients back, by node.
    pub(crate) fn idle(&self, cluster: &Cluster) -> BTreeMap<String, Vec<String>> {
        let heard =
            |node: &Node| self.nodes.get(&node.name).filter(|heard| heard.unreachable.is_none());
        // A person who stops every Patroni may have paused it before. Only a Patroni could tell.
        let patronis = self.view().is_some();
        let may_start =
            |unit: &String| patronis || !["patroni.service", GUARD].contains(&unit.as_str());
        let units = |node: &Node| {
            let units = heard(node)?.idle(node).filter(may_start);
            Some((node.name.clone(), units.collect::<Vec<_>>()))
        };
        let idle = cluster.nodes.iter().filter_map(units);
        idle.filter(|(_, units)| !units.is_empty()).collect()
    }

    /// Units of a node that run and do not answer.
    pub(crate) fn unresponsive(&self, node: &Node) -> Vec<String> {
        self.nodes.get(&node.name).map(|heard| heard.unresponsive(node)).unwrap_or_default()
    }

    /// Nodes that do not answer.
    pub(crate) fn silent(&self) -> impl Iterator<Item = &str> {
        let silent = self.nodes.iter().filter(|(_, node)| node.unreachable.is_some());
        silent.map(|(name, _)| name.as_str())
    }

    /// Whether it believes that it streams, but the leader sends it nothing.
    pub(super) fn gets_nothing(&self, name: &str) -> bool {
        let streams = self.view().is_some_and(|view| {
            view.members.iter().any(|member| member.name == name && member.is_streaming())
        });
        let leader = self.leader().and_then(|leader| self.instance(&leader.name));
        let runs = self.instance(name).is_some_and(Instance::runs);
        streams
            && runs
            && leader.is_some_and(|leader| leader.takes_writes() && !leader.sends_to(name))
    }
}
