//! What a client would see, and which settings could lose rows that were acknowledged.

use std::collections::BTreeMap;

use pgha_core::Cluster;
use pgha_core::cluster::{Durability, Role};

use super::conditions::{Condition, condition, listed};
use super::{Health, NodeHealth};
use crate::probe::{Answer, DIRECT, POSTGRES, SYNCHRONOUS, WRITERS};

impl Health {
    /// A new session can be opened at every door, and can write at the doors for writers. If nodes
    /// are `known` to be sick, doors to replicas do not count, because they may lead there.
    pub(super) fn open(&self, cluster: &Cluster, known: &[String]) -> Condition {
        let is_known = |name: &str| known.iter().any(|known| known == name);
        let leader = self.leader().map(|member| member.name.as_str());
        let counts = |node: &str, door: &str| match door {
            POSTGRES => !is_known(node),
            WRITERS | DIRECT => !is_known(node) && !leader.is_some_and(is_known),
            _ => known.is_empty(),
        };
        let in_force = cluster.durability.to_string();
        // While some nodes have an image of an older pgha, their PostgreSQL has no certificate for
        // the direct doors.
        let is_direct = |door: &str| door.starts_with(DIRECT);
        let routing = cluster.nodes_with(Role::Haproxy);
        let mut routing = routing.filter_map(|node| self.nodes.get(&node.name)?.sessions.as_ref());
        let all_direct = routing.all(|sessions| sessions.doors.keys().any(|door| is_direct(door)));
        let doors =
            self.nodes.iter().filter_map(|(name, node)| Some((name, node.sessions.as_ref()?)));
        let doors = doors.flat_map(|(name, sessions)| {
            let stale = sessions.durability != in_force;
            let doors =
                sessions.doors.iter().filter(move |(door, _)| !(stale && *door == SYNCHRONOUS));
            doors.map(move |(door, answer)| (name.as_str(), door.as_str(), answer))
        });
        let counts = |node: &str, door: &str, answer: &Answer| {
            counts(node, door) && !(is_direct(door) && (!all_direct || is_refused(answer)))
        };
        let doors = doors.filter(|(node, door, answer)| counts(node, door, answer));
        let doors = doors.collect::<Vec<_>>();
        let mut wanting = BTreeMap::<&str, Vec<String>>::new();
        for (node, door, answer) in &doors {
            if let Some(why) = lacks(answer, door, leader == Some(*node)) {
                wanting.entry(why).or_default().push(format!("{node} {door}"));
            }
        }
        let (all, bad) = (doors.len(), wanting.values().map(Vec::len).sum::<usize>());
        let good = all - bad;
        let named = wanting.iter().map(|(why, doors)| format!("{}: {why}", doors.join(", ")));
        let asked = cluster.nodes.iter().filter(|node| !is_known(&node.name)).all(|node| {
            let serves = node.role_set.has(Role::Postgres) || node.role_set.has(Role::Haproxy);
            !serves || self.nodes.get(&node.name).is_some_and(|heard| heard.sessions.is_some())
        });
        let text = format!("sessions at {good} of {all} doors{}", listed(named));
        condition(asked && bad == 0, text)
    }

    /// etcd takes no writes while it has an alarm, so no replica can take over from the leader.
    pub(super) fn alarmed(&self) -> Option<Condition> {
        let alarms = self.nodes.values().filter_map(|node| node.etcd.as_ref());
        let alarm = alarms.flat_map(|etcd| &etcd.alarms).next()?;
        Some(condition(false, format!("etcd takes no writes: alarm {alarm}")))
    }

    /// Settings that break the promise of the cluster's durability.
    pub(super) fn weak(&self, cluster: &Cluster) -> Option<Condition> {
        let promised = |weak: &&String| {
            cluster.durability != Durability::Async || !weak.starts_with("synchronous_commit")
        };
        let sessions = |node: &'_ NodeHealth| node.sessions.clone().map(|sessions| sessions.weak);
        let mut weak = self.nodes.values().filter_map(sessions).flatten().collect::<Vec<_>>();
        weak.retain(|weak| promised(&weak));
        weak.sort();
        weak.dedup();
        let text = format!("acknowledged rows may be lost: {}", weak.join(", "));
        (!weak.is_empty()).then(|| condition(false, text))
    }
}

/// Whether PostgreSQL's access lines refuse it. They are part of the dynamic configuration, which comes after a roll. Whether that is in
/// force is a condition of its own.
fn is_refused(answer: &Answer) -> bool {
    let words = ["pg_hba.conf rejects", "no pg_hba.conf entry"];
    matches!(answer, Answer::Failed(why) if words.iter().any(|word| why.starts_with(word)))
}

/// What is wrong with an answer. `leads`: it was given by the leader's node.
fn lacks<'a>(answer: &'a Answer, door: &str, leads: bool) -> Option<&'a str> {
    let writes = [WRITERS, DIRECT].contains(&door) || door == POSTGRES && leads;
    match answer {
        Answer::Wrote => None,
        Answer::Read if writes => Some("a replica answered"),
        Answer::Read => None,
        Answer::Unknown => Some("the role pgha_probe is missing or has another password"),
        Answer::Failed(why) => Some(why),
    }
}
