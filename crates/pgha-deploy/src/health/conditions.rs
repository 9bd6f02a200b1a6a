//! What must be true of a healthy cluster, by name.

use std::collections::BTreeSet;

use pgha_core::Cluster;
use pgha_core::cluster::{Durability, Node, Role};

use super::{Health, mebibytes};
use crate::haproxy::Pools;
use crate::pooler;

/// Something that must be true of a healthy cluster.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Condition {
    /// What must be true, with the numbers seen.
    pub text: String,
    /// Whether it is.
    pub met: bool,
}

impl Health {
    /// Every condition of a healthy cluster, met or not. Adds one for each unit that crashed so
    /// recently that a single look tells little.
    pub fn conditions(&self, cluster: &Cluster) -> Vec<Condition> {
        let mut conditions = self.conditions_despite(cluster, &[]);
        conditions.extend(self.unsteady());
        conditions
    }

    /// Every condition of a healthy cluster. `known` nodes count only for etcd and PostgreSQL. For
    /// callers that look repeatedly and so see crashes themselves.
    pub fn conditions_despite(&self, cluster: &Cluster, known: &[String]) -> Vec<Condition> {
        let mut conditions = vec![
            self.answering(cluster),
            self.running(cluster, known),
            self.etcd(cluster),
            self.led(),
            self.replicated(cluster),
            self.synchronous(cluster),
            self.routed(cluster, known),
            self.open(cluster, known),
        ];
        conditions.extend(self.alarmed());
        conditions.extend(self.weak(cluster));
        conditions
    }

    fn answering(&self, cluster: &Cluster) -> Condition {
        let silent = self.silent().map(str::to_owned).collect::<Vec<_>>();
        let (count, all) = (self.nodes.len() - silent.len(), cluster.nodes.len());
        let silent = silent.into_iter().map(|name| format!("not {name}"));
        condition(count == all, format!("{count} of {all} nodes answer{}", listed(silent)))
    }

    /// Names the units that do not run, which tells more than their number.
    fn running(&self, cluster: &Cluster, known: &[String]) -> Condition {
        let asked = self.nodes.iter().filter(|(node, _)| !known.contains(node));
        let asked = asked.filter_map(|(node, heard)| Some((node, heard, heard.units.as_ref()?)));
        let (mut count, mut down) = (known.len(), Vec::new());
        for (node, heard, units) in asked {
            let before = down.len();
            let stopped = units.iter().filter(|(_, unit)| !unit.is_active());
            down.extend(stopped.map(|(name, unit)| format!("{name} of {node} is {}", unit.state)));
            let unresponsive = cluster.node(node).map(|own| heard.unresponsive(own));
            let unresponsive = unresponsive.into_iter().flatten();
            down.extend(unresponsive.map(|name| format!("{name} of {node} does not answer")));
            down.extend(heard.held.iter().map(|(door, held)| {
                format!("{} of {node} holds back {}", pooler::unit(door), held.join(" and "))
            }));
            count += usize::from(down.len() == before);
        }
        let text = format!("units run on {count} of {} nodes{}", cluster.nodes.len(), listed(down));
        condition(count == cluster.nodes.len(), text)
    }

    fn unsteady(&self) -> impl Iterator<Item = Condition> {
        let units =
            self.nodes.iter().filter_map(|(node, heard)| Some((node, heard.units.as_ref()?)));
        let units = units.flat_map(|(node, units)| units.iter().map(move |unit| (node, unit)));
        units.filter(|(_, (_, unit))| unit.is_unsteady()).map(|(node, (name, unit))| {
            let (times, ago) = (unit.restarts, unit.up_seconds);
            condition(
                false,
                format!("{name} of {node} crashed {times} times, the last {ago} s ago"),
            )
        })
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
        // The leader is a member that was not asked.
        let leads = if leaders == 0 && count > 0 { "a" } else { &leaders.to_string() };
        condition(
            count == members && leaders == 1,
            format!("etcd {count} of {members} with {leads} leader"),
        )
    }

    /// Whether there is a leader that takes writes. The holder of the lock may still recover, or
    /// not run at all.
    fn led(&self) -> Condition {
        let Some(leader) = self.leader() else {
            return condition(false, "no leader".to_owned());
        };
        match self.instance(&leader.name) {
            Some(own) if !own.takes_writes() => {
                let text = format!("{} holds the leader lock and takes no writes", leader.name);
                condition(false, text)
            }
            _ => condition(true, format!("{} leads", leader.name)),
        }
    }

    fn replicated(&self, cluster: &Cluster) -> Condition {
        let wanted = cluster.replicas();
        let members = self.view().map_or(&[][..], |view| &view.members);
        let count = members.iter().filter(|member| self.follows(cluster, member)).count();
        let behind = members.iter().filter_map(|member| Some((member, self.lag(member)?)));
        let behind = behind.filter(|(member, _)| !self.follows(cluster, member));
        let named = behind.map(|(member, lag)| {
            let (received, replayed) = (mebibytes(lag.received), mebibytes(lag.replayed));
            let stands =
                self.nodes.get(&member.name).is_some_and(|node| node.replays_nothing(cluster));
            let hangs = match (stands, self.gets_nothing(&member.name)) {
                (_, true) => ", and the leader sends it nothing",
                (true, _) => ", and replays nothing",
                _ => "",
            };
            format!("{} lacks {received}, has {replayed} to replay{hangs}", member.name)
        });
        let text = format!("{count} of {wanted} replicas streaming{}", listed(named));
        condition(count == wanted, text)
    }

    fn synchronous(&self, cluster: &Cluster) -> Condition {
        let count = self
            .view()
            .map_or(0, |view| view.members.iter().filter(|member| member.is_synchronous()).count());
        let text = format!("{count} synchronous ({})", cluster.durability);
        condition(cluster.durability == Durability::Async || count > 0, text)
    }

    /// Every HAProxy sends writes only to the leader, and reads to every replica. Reads may reach a new leader for some seconds, because
    /// replicas are checked less often.
    fn routed(&self, cluster: &Cluster, known: &[String]) -> Condition {
        let counts = |name: &str| !known.iter().any(|known| known == name);
        let leader = self.leader().map(|member| member.name.as_str());
        let members = cluster.nodes_with(Role::Postgres).map(|node| node.name.as_str());
        let replicas =
            members.filter(|name| Some(*name) != leader && counts(name)).collect::<BTreeSet<_>>();
        let routes = |pools: &Pools| {
            // What makes a leader sick may also make HAProxy's check fail.
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

/// ` (a, b)`, or nothing.
pub(super) fn listed(named: impl IntoIterator<Item = String>) -> String {
    let named = named.into_iter().collect::<Vec<_>>().join(", ");
    if named.is_empty() { named } else { format!(" ({named})") }
}

pub(super) fn condition(met: bool, text: String) -> Condition {
    Condition { text, met }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::NodeHealth;
    use crate::instance::Instance;

    #[test]
    fn whoever_holds_the_lock_and_still_recovers_does_not_lead() {
        let led = |role: &str, state: &str| {
            let members =
                serde_json::json!([{ "name": "a", "role": "leader", "state": "running" }]);
            let view = serde_json::from_value(serde_json::json!({ "members": members })).ok();
            let (role, state) = (role.to_owned(), state.to_owned());
            let instance = Some(Instance { role, state, ..Instance::default() });
            let node = NodeHealth { view, instance, ..NodeHealth::default() };
            Health { nodes: [("a".to_owned(), node)].into() }.led()
        };
        assert!(led("primary", "running").met);
        for (role, state) in
            [("replica", "running"), ("primary", "starting"), ("primary", "start failed")]
        {
            let text = "a holds the leader lock and takes no writes".to_owned();
            assert_eq!(led(role, state), Condition { met: false, text }, "{role} {state}");
        }
    }
}
