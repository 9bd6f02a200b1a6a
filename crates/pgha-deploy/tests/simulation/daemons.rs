//! The daemons of the model: what they answer, and what they do when asked.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use pgha_core::Object;
use pgha_core::cluster::{Cluster, Node};
use pgha_core::object::declared;
use pgha_deploy::daemons::Daemons;
use pgha_deploy::etcd::EtcdStatus;
use pgha_deploy::fleet::NodeError;
use pgha_deploy::haproxy::Pools;
use pgha_deploy::health::{Health, NodeHealth};
use pgha_deploy::patroni::{Change, Instance, Member, View};
use pgha_deploy::secrets::Secrets;
use pgha_deploy::units::{Unit, Units};
use rand::RngExt;
use serde_json::Value;

use crate::model::World;
use crate::state::State;

/// What every node that is well says.
fn answer(state: &State) -> NodeHealth {
    let (well, leader) = (state.well(), state.leader.as_ref());
    let view =
        View { members: well.iter().map(|name| member(state, name)).collect(), pause: false };
    let pool = |names: Vec<&String>| {
        names.into_iter().map(|name| (name.clone(), "UP".to_owned())).collect()
    };
    let replicas = well.iter().filter(|name| Some(*name) != leader).collect();
    let pools = Pools(BTreeMap::from([
        ("primary".to_owned(), pool(leader.into_iter().collect())),
        ("replicas".to_owned(), pool(replicas)),
    ]));
    let etcd = EtcdStatus {
        version: "3".into(),
        leader: false,
        has_leader: state.has_quorum(),
        db_bytes: 1,
    };
    NodeHealth {
        unreachable: None,
        etcd: Some(etcd),
        instance: Some(Instance::default()),
        view: Some(view),
        pools: Some(pools),
        units: Some(Units::new()),
    }
}

/// What a leader says that does not know yet that the others have done without it.
fn cut_off(name: &str) -> NodeHealth {
    let alone = Member {
        name: name.to_owned(),
        role: "leader".to_owned(),
        state: "running".to_owned(),
        ..Member::default()
    };
    let view = View { members: vec![alone], pause: false };
    NodeHealth {
        instance: Some(Instance::default()),
        view: Some(view),
        units: Some(Units::new()),
        ..NodeHealth::default()
    }
}

/// What a node with a bad image says once its daemons have failed.
fn failed() -> NodeHealth {
    let unit = Unit { state: "failed".to_owned(), restarts: 0, up_seconds: 0 };
    NodeHealth {
        units: Some(Units::from([("haproxy.service".to_owned(), unit)])),
        ..NodeHealth::default()
    }
}

fn member(state: &State, name: &str) -> Member {
    let (leads, pending) = (state.leader.as_deref() == Some(name), state.machines[name].pending);
    let change = Change { old_value: "200".into(), new_value: "150".into() };
    Member {
        name: name.to_owned(),
        role: role(state, name).to_owned(),
        state: if leads { "running" } else { "streaming" }.to_owned(),
        timeline: Some(1),
        lag: Some(0),
        pending_restart: pending,
        pending_restart_reason: pending
            .then(|| ("max_connections".to_owned(), change))
            .into_iter()
            .collect(),
    }
}

fn role(state: &State, name: &str) -> &'static str {
    match (state.strict, state.synchronous.as_deref() == Some(name)) {
        _ if state.leader.as_deref() == Some(name) => "leader",
        (true, true) => "sync_standby",
        (true, false) => "replica",
        (false, _) => "quorum_standby",
    }
}

fn refused(node: &str, answer: &str) -> NodeError {
    NodeError::Refused { daemon: "the model", node: node.to_owned(), answer: answer.to_owned() }
}

impl Daemons for World {
    async fn health(&self) -> Health {
        self.weather();
        let mut state = self.state();
        let answer = answer(&state);
        let (well, calm) = (state.well(), state.calm);
        let mut nodes = BTreeMap::new();
        for name in self.cluster.nodes.iter().map(|node| node.name.clone()) {
            let silent = !calm && state.rng.random_bool(0.01);
            let mut heard =
                NodeHealth { unreachable: Some("silent".into()), ..NodeHealth::default() };
            if well.contains(&name) && !silent {
                heard = answer.clone();
                // One of those that are well leads etcd.
                heard.etcd = heard.etcd.map(|etcd| EtcdStatus {
                    leader: etcd.has_leader && well.first() == Some(&name),
                    ..etcd
                });
            } else if !silent && state.has_failed(&name) {
                heard = failed();
            } else if !silent && state.machines[&name].on && state.machines[&name].cut_off {
                heard = cut_off(&name);
            }
            nodes.insert(name, heard);
        }
        state.seen_well = nodes
            .iter()
            .filter(|(_, node)| node.etcd.is_some())
            .map(|(name, _)| name.clone())
            .collect();
        let leader = state.leader.clone();
        state.seen_leader = leader;
        Health { nodes }
    }

    async fn config(&self) -> Option<Value> {
        let state = self.state();
        state.has_quorum().then(|| state.dynamic.clone())
    }

    async fn objects(&self, _: &Node, cluster: &Cluster) -> Option<BTreeSet<Object>> {
        Some(declared(cluster).into_iter().collect())
    }

    async fn failed_units(&self, node: &Node) -> Option<String> {
        self.state().machines[&node.name].on.then(|| "haproxy.service".to_owned())
    }

    async fn switchover(&self, from: &Node, to: Option<&str>) -> Result<(), NodeError> {
        self.weather();
        tokio::time::sleep(Duration::from_secs(3)).await;
        let mut state = self.state();
        let well = state.well();
        let named = to.map(str::to_owned).filter(|to| {
            well.contains(to) && (!state.strict || state.synchronous.as_ref() == Some(to))
        });
        let heir = if to.is_some() { named } else { state.heir(Some(&from.name)) };
        match heir.filter(|_| state.leader.as_deref() == Some(&from.name)) {
            Some(heir) => {
                state.leader = Some(heir);
                state.turn();
                Ok(())
            }
            None => Err(refused(&from.name, "no candidate")),
        }
    }

    async fn set_config(&self, config: &Value) -> Result<(), NodeError> {
        self.weather();
        let mut state = self.state();
        if !state.has_quorum() {
            return Err(refused("etcd", "no quorum"));
        }
        let restart = state.dynamic["postgresql"]["parameters"]["max_connections"]
            != config["postgresql"]["parameters"]["max_connections"];
        state.dynamic = config.clone();
        state.machines.values_mut().for_each(|machine| machine.pending |= restart);
        Ok(())
    }

    async fn restart_if_pending(&self, node: &Node) -> Result<bool, NodeError> {
        self.weather();
        tokio::time::sleep(Duration::from_secs(2)).await;
        let mut state = self.state();
        if !state.is_well(&node.name) {
            return Err(refused(&node.name, "not running"));
        }
        Ok(std::mem::take(&mut state.machine(&node.name).pending))
    }

    async fn declare(&self, _: &Node, _: &Cluster, _: &Secrets) -> Result<(), NodeError> {
        Ok(())
    }
}
