//! The daemons of the model: what they answer, and what they do when asked.

use std::collections::{BTreeMap, BTreeSet};

use pgha_core::Dynamic;
use pgha_core::cluster::{Cluster, Node, Role};
use pgha_core::inventory::Ailment;
use pgha_core::object::{Object, declared};
use pgha_deploy::daemons::{Daemons, Untaken};
use pgha_deploy::etcd::EtcdStatus;
use pgha_deploy::haproxy::Pools;
use pgha_deploy::health::{Candidate, Health, NodeHealth};
use pgha_deploy::instance::{Instance, Stream};
use pgha_deploy::node_error::NodeError;
use pgha_deploy::patroni::{Change, Member, View};
use pgha_deploy::probe::{Answer, Sessions};
use pgha_deploy::secrets::Secrets;
use pgha_deploy::units::{Unit, Units};
use rand::RngExt;
use tokio::time::Instant;

use crate::effect::Effect;
use crate::pgha::Pgha;
use crate::promises::Seen;
use crate::state::{Damage, Flaw, ROUND, State};

/// What a node says.
fn answer(state: &State, name: &str, view: &View, pools: &Pools) -> NodeHealth {
    let (roles, flaw) = (&state.machines[name].roles, state.flaw(name));
    let cut_off = state.is_cut_off(name);
    let copies = !matches!(flaw, Some(Flaw::Copy(_)));
    let reads = state.machines[name].damaged != Some(Damage::Member);
    let etcd = (roles.has(Role::Etcd) && copies && reads).then(|| EtcdStatus {
        version: "3".into(),
        leader: !cut_off
            && state.has_quorum()
            && state.members().next().is_some_and(|first| first == name),
        has_leader: !cut_off && state.has_quorum(),
        ..EtcdStatus::default()
    });
    let database = roles.has(Role::Postgres) && copies;
    // Its HAProxy runs on where only the copies fail.
    let stores = roles.has(Role::Etcd) || roles.has(Role::Postgres);
    let routes = state.serves(name) || !copies && stores;
    NodeHealth {
        unreachable: None,
        etcd,
        instance: database.then(|| instance(state, name)),
        before: None,
        view: database.then(|| if cut_off { alone(name) } else { view.clone() }),
        pools: (roles.has(Role::Haproxy) && routes).then(|| pools.clone()),
        units: Some(units(state, name)),
        sessions: Some(sessions(state, name)),
        stalled: BTreeSet::new(),
        hung_poolers: BTreeSet::new(),
        held: BTreeMap::new(),
    }
}

/// The pooler is one of the services that serve clients.
fn sessions(state: &State, name: &str) -> Sessions {
    let met = |serves: bool, writes: bool| match (serves, writes) {
        (false, _) => Answer::Failed("refused".to_owned()),
        (true, true) => Answer::Wrote,
        (true, false) => Answer::Read,
    };
    let some = |leads: bool| {
        state.databases().any(|name| state.leads(name) == leads && state.serves(name))
    };
    let (roles, serves) = (&state.machines[name].roles, state.serves(name));
    let own = roles.has(Role::Postgres).then(|| ("postgres", met(serves, state.leads(name))));
    let proxy = roles.has(Role::Haproxy).then(|| {
        [
            ("primary", met(serves && some(true), true)),
            ("replicas", met(serves && some(false), false)),
        ]
    });
    let doors = own.into_iter().chain(proxy.into_iter().flatten());
    Sessions {
        doors: doors.map(|(door, answer)| (door.to_owned(), answer)).collect(),
        ..Sessions::default()
    }
}

fn instance(state: &State, name: &str) -> Instance {
    let machine = &state.machines[name];
    let told = match machine.runs_with {
        Some(_) => "running",
        None if machine.copied_until > Instant::now() => "creating replica",
        None => "start failed",
    };
    let replicas = state.databases().filter(|name| !state.leads(name) && state.has_all(name));
    let stream =
        |name: &String| Stream { application_name: name.clone(), state: "streaming".to_owned() };
    let replication = if state.leads(name) { replicas.map(stream).collect() } else { Vec::new() };
    Instance {
        replication,
        role: if state.leads(name) { "primary" } else { "replica" }.to_owned(),
        state: told.to_owned(),
        ..Instance::default()
    }
}

/// What one says that does not know yet that the others do without it.
fn alone(name: &str) -> View {
    let (name, role, state) = (name.to_owned(), "leader".to_owned(), "running".to_owned());
    View { members: vec![Member { name, role, state, ..Member::default() }], pause: false }
}

/// One unit of each kind tells as much as all.
fn units(state: &State, name: &str) -> Units {
    let machine = &state.machines[name];
    let seconds = state.seconds_up(name);
    let unit = |state: &str, restarts: u64, up_seconds| Unit {
        state: state.to_owned(),
        restarts: restarts as u32,
        up_seconds,
    };
    let copies = machine.roles.has(Role::Etcd) || machine.roles.has(Role::Postgres);
    let (copy, service) = match state.flaw(name) {
        _ if machine.damaged == Some(Damage::Member) => {
            (unit("activating", seconds / 2, 0), unit("active", 0, 0))
        }
        Some(Flaw::Copy(_)) if copies => (unit("failed", 0, 0), unit("active", 0, 0)),
        Some(Flaw::Flaps(_)) if !state.serves(name) => {
            (unit("active", 0, 0), unit("activating", seconds / ROUND, 0))
        }
        Some(Flaw::Flaps(_)) => {
            (unit("active", 0, 0), unit("active", seconds / ROUND, seconds % ROUND))
        }
        Some(_) => (unit("active", 0, 0), unit("failed", 0, 0)),
        None => (unit("active", 0, 0), unit("active", 0, 0)),
    };
    [("etcd.service".to_owned(), copy), ("haproxy.service".to_owned(), service)].into()
}

fn member(state: &State, name: &str) -> Member {
    let (leads, has_all) = (state.leads(name), state.has_all(name));
    let (pending, old) = (state.waits(name), state.machines[name].runs_with.unwrap_or(0));
    let change =
        Change { old_value: old.to_string(), new_value: state.max_connections().to_string() };
    let reason = pending.then(|| ("max_connections".to_owned(), change));
    Member {
        name: name.to_owned(),
        role: role(state, name).to_owned(),
        state: if leads || !has_all { "running" } else { "streaming" }.to_owned(),
        timeline: Some(1),
        receive_lag: (!leads).then_some(if has_all { 0 } else { 1 << 30 }),
        replay_lag: (!leads).then_some(if has_all { 0 } else { 1 << 30 }),
        pending_restart: pending,
        pending_restart_reason: reason.into_iter().collect(),
    }
}

fn role(state: &State, name: &str) -> &'static str {
    match (state.strict, state.synchronous.as_deref() == Some(name)) {
        _ if state.leads(name) => "leader",
        (true, true) => "sync_standby",
        (true, false) => "replica",
        (false, _) => "quorum_standby",
    }
}

/// What every HAProxy thinks of the servers.
fn pools(state: &State) -> Pools {
    let serves = |name: &&String| state.serves(name);
    let pool = |leads: bool| {
        let names = state.databases().filter(|name| state.leads(name) == leads).filter(serves);
        names.map(|name| (name.clone(), "UP".to_owned())).collect()
    };
    Pools(BTreeMap::from([
        ("primary".to_owned(), pool(true)),
        ("replicas".to_owned(), pool(false)),
    ]))
}

impl Daemons for Pgha<'_> {
    async fn health(&self) -> Health {
        let mut state = self.world.state();
        state.weather();
        let members = state.databases().map(|name| member(&state, name)).collect();
        let (view, pools) = (View { members, pause: false }, pools(&state));
        let (mut nodes, mut seen) = (BTreeMap::new(), Seen::default());
        for name in state.machines.keys().cloned().collect::<Vec<_>>() {
            let silent = !state.calm && state.rng.random_bool(0.002);
            let health = if !silent && state.answers(&name) {
                seen.take(&state, &name);
                answer(&state, &name, &view, &pools)
            } else {
                NodeHealth { unreachable: Some("silent".into()), ..NodeHealth::default() }
            };
            nodes.insert(name, health);
        }
        *self.seen.lock().expect("nobody panicked") = seen;
        Health { nodes }
    }

    async fn config(&self) -> Option<Dynamic> {
        let mut state = self.world.state();
        let silent = !state.calm && state.rng.random_bool(0.02);
        (state.has_quorum() && !silent).then(|| state.dynamic.clone())
    }

    async fn is_blank(&self, _: &Cluster) -> bool {
        panic!("the cluster is formed")
    }

    async fn objects(&self, _: &Node, cluster: &Cluster) -> Option<BTreeSet<Object>> {
        Some(declared(cluster).into_iter().collect())
    }

    async fn failed_units(&self, node: &Node) -> Option<String> {
        self.world.state().answers(&node.name).then(|| "haproxy.service".to_owned())
    }

    async fn switchover(&self, from: &Node, to: &Candidate) -> Result<(), NodeError> {
        let (from, to) = (from.name.clone(), to.name().to_owned());
        self.ask(&from.clone(), Effect::Switchover { from, to }).await.map(drop)
    }

    /// The storm's parameter is one that PostgreSQL finds out about only when it starts.
    async fn judge(&self, _: &Dynamic) -> Result<String, NodeError> {
        Ok(String::new())
    }

    async fn not_taken(&self, _: &[&Node], _: &Dynamic) -> Untaken {
        Untaken::new()
    }

    async fn altered(&self, _: &[Node]) -> BTreeMap<String, Vec<String>> {
        BTreeMap::new()
    }

    async fn restore(&self, node: &Node) -> Result<(), NodeError> {
        panic!("{} takes all that it is given here", node.name)
    }

    async fn barred(&self, _: &Node, _: &Cluster) -> Vec<String> {
        Vec::new()
    }

    async fn set_config(&self, config: &Dynamic) -> Result<(), NodeError> {
        self.ask("etcd", Effect::SetConfig(config.clone())).await.map(drop)
    }

    async fn restart_if_pending(&self, node: &Node) -> Result<bool, NodeError> {
        self.ask(&node.name, Effect::Restart(node.name.clone())).await
    }

    async fn slots(&self, _: &Node) -> Vec<String> {
        Vec::new()
    }

    async fn start(&self, node: &Node, units: &[String], _: &[String]) -> Result<(), NodeError> {
        panic!("nobody has stopped {units:?} of {}", node.name)
    }

    async fn restart_patroni(&self, node: &Node) -> Result<(), NodeError> {
        panic!("Patroni of {} is never stuck here", node.name)
    }

    async fn ailment(&self, node: &Node, _: &Health) -> Option<Ailment> {
        let state = self.world.state();
        let is_damaged = state.machines[&node.name].damaged == Some(Damage::Copy);
        is_damaged.then(|| Ailment::Damaged("invalid checkpoint record".to_owned()))
    }

    async fn has_lost_member(&self, node: &Node) -> bool {
        self.world.state().machines[&node.name].damaged == Some(Damage::Member)
    }

    async fn copied(&self, node: &Node) -> Option<u64> {
        let left = self.world.state().machines[&node.name].copied_until - Instant::now();
        Some(900 - left.as_secs())
    }

    async fn reclone(&self, node: &Node) -> Result<(), NodeError> {
        self.world.state().may_delete(&node.name, &self.seen());
        self.ask(&node.name, Effect::Reclone(node.name.clone())).await.map(drop)
    }

    async fn rejoin_etcd(&self, node: &Node) -> Result<(), NodeError> {
        self.world.state().may_forget(&node.name, &self.seen());
        self.ask(&node.name, Effect::RejoinEtcd(node.name.clone())).await.map(drop)
    }

    async fn make_room(&self) -> Result<(), NodeError> {
        Ok(())
    }

    async fn declare(&self, _: &Node, _: &Cluster, _: &Secrets) -> Result<(), NodeError> {
        Ok(())
    }
}

impl Seen {
    fn take(&mut self, state: &State, name: &str) {
        if state.stores(name) && state.has_quorum() {
            self.members.insert(name.to_owned());
        }
        if state.has_all(name) {
            self.copies.insert(name.to_owned());
        }
        self.leader.clone_from(&state.leader);
    }
}
