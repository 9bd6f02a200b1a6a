//! The world at one moment: machines, what is wrong with them, and what follows from it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use pgha_core::Dynamic;
use pgha_core::cluster::{Cluster, Durability, Node, Role, RoleSet};
use pgha_core::inventory::{Given, Labels, Server};
use pgha_core::{DataFormat, Digest};
use rand::rngs::StdRng;
use tokio::time::Instant;

use crate::effect::Effect;
use crate::store::Kept;
use crate::wish::{self, TOO_MANY, Wish};

/// What is wrong with an image or a seed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// A node with it never answers.
    Silent,
    /// Its etcd member and its PostgreSQL fail, so long after the boot.
    Copy(Duration),
    /// Nothing but what routes and pools fails, so long after the boot.
    Service(Duration),
    /// The same, but it is up for some seconds again and again.
    Flaps(Duration),
}

/// What a fault has broken for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Damage {
    /// PostgreSQL's data.
    Copy,
    /// The etcd member's data.
    Member,
    /// What lets pgha in. A boot mends it.
    Login,
}

/// Seconds that a unit which flaps is up, and the same with the second it is down.
const UP: u64 = 7;
pub(crate) const ROUND: u64 = UP + 1;

/// One machine.
pub(crate) struct Machine {
    pub(crate) roles: RoleSet,
    pub(crate) on: bool,
    pub(crate) booted: Instant,
    pub(crate) joins_after: Duration,
    /// What its provider keeps of it.
    pub(crate) server: Server,
    /// What has proven itself on it.
    pub(crate) proven: Vec<Given>,
    /// What is wrong with its image and its seed.
    pub(crate) flaws: Vec<Flaw>,
    /// With how many connections its PostgreSQL runs. Absent: it does not start.
    pub(crate) runs_with: Option<u32>,
    /// What of it does not work any more.
    pub(crate) damaged: Option<Damage>,
    /// Until when it copies the data of the leader.
    pub(crate) copied_until: Instant,
    /// Until when the other nodes cannot reach it. pgha can.
    pub(crate) cut_off_until: Instant,
    /// Until when its PostgreSQL does not follow the leader.
    pub(crate) behind_until: Instant,
}

impl Machine {
    fn formed(node: &Node, wish: &Wish, image: Digest, collations: String) -> Self {
        let roles = &node.role_set;
        let data = DataFormat { postgresql: 17, collations };
        let given = Given { image, seed: wish::seed(&node.name, wish.seed) };
        let server = Server {
            given: given.clone(),
            roles: Some(roles.to_string()),
            data: roles.has(Role::Postgres).then_some(data),
            formed: true,
            ..Server::read(&node.name, node.address, true, &Labels::new(), 0)
        };
        Self {
            roles: roles.clone(),
            on: true,
            booted: Instant::now(),
            joins_after: Duration::ZERO,
            server,
            proven: vec![given],
            flaws: Vec::new(),
            damaged: None,
            copied_until: Instant::now(),
            runs_with: roles.has(Role::Postgres).then_some(wish.max_connections),
            cut_off_until: Instant::now(),
            behind_until: Instant::now(),
        }
    }
}

/// Everything that changes.
pub(crate) struct State {
    pub(crate) rng: StdRng,
    pub(crate) machines: BTreeMap<String, Machine>,
    pub(crate) leader: Option<String>,
    pub(crate) leaderless_since: Instant,
    pub(crate) led_last: Option<String>,
    /// Whether every commit waits for one certain replica.
    pub(crate) strict: bool,
    pub(crate) synchronous: Option<String>,
    pub(crate) dynamic: Dynamic,
    /// Requests that were taken but not answered: when they are carried out.
    pub(crate) under_way: Vec<(Instant, Effect)>,
    /// Who stops and boots which node.
    pub(crate) busy: BTreeMap<u32, String>,
    pub(crate) store: Kept,
    pub(crate) wish: Wish,
    /// By the digest of an image or a seed.
    pub(crate) flaws: BTreeMap<Digest, Flaw>,
    pub(crate) calm: bool,
    /// Seconds from one fault to the next, on average.
    pub(crate) fault_every: u64,
    pub(crate) next_fault: Instant,
    /// When the world began, and what has happened since.
    pub(crate) began: Instant,
    pub(crate) story: Vec<String>,
    members: BTreeSet<String>,
    databases: BTreeSet<String>,
}

impl State {
    /// A formed cluster that runs what its file says.
    pub(crate) fn formed(cluster: &Cluster, wish: Wish, dynamic: Dynamic, rng: StdRng) -> Self {
        let databases = wish::with(cluster, Role::Postgres);
        let given = wish.given(cluster).into_iter();
        let machines = given.map(|(name, (image, collations))| {
            let node = cluster.node(&name).expect("a node");
            (name, Machine::formed(node, &wish, image, collations))
        });
        Self {
            machines: machines.collect(),
            rng,
            leader: databases.first().cloned(),
            leaderless_since: Instant::now(),
            led_last: None,
            strict: cluster.durability == Durability::Strict,
            synchronous: databases.iter().nth(1).cloned(),
            dynamic,
            under_way: Vec::new(),
            busy: BTreeMap::new(),
            store: Kept::default(),
            wish,
            flaws: BTreeMap::new(),
            calm: false,
            fault_every: 100,
            next_fault: Instant::now(),
            began: Instant::now(),
            story: Vec::new(),
            members: wish::with(cluster, Role::Etcd),
            databases,
        }
    }

    /// Notes what happens, for whoever replays a run that failed.
    pub(crate) fn tell(&mut self, what: impl std::fmt::Display) {
        self.story.push(format!("{:8.1} {what}", self.began.elapsed().as_secs_f64()));
    }

    pub(crate) fn machine(&mut self, name: &str) -> &mut Machine {
        self.machines.get_mut(name).expect("a known node")
    }

    /// What has shown itself of what is wrong with a node.
    pub(crate) fn flaw(&self, name: &str) -> Option<&Flaw> {
        let machine = &self.machines[name];
        let shows = |flaw: &&Flaw| match flaw {
            Flaw::Silent => true,
            Flaw::Copy(after) | Flaw::Service(after) | Flaw::Flaps(after) => {
                machine.booted.elapsed() >= machine.joins_after + *after
            }
        };
        machine.flaws.iter().find(shows)
    }

    /// Whether what routes and pools on it is up at this moment.
    pub(crate) fn serves(&self, name: &str) -> bool {
        match self.flaw(name) {
            None => true,
            Some(Flaw::Flaps(_)) => self.seconds_up(name) % ROUND < UP,
            Some(_) => false,
        }
    }

    /// Seconds since it booted.
    pub(crate) fn seconds_up(&self, name: &str) -> u64 {
        self.machines[name].booted.elapsed().as_secs()
    }

    /// Whether pgha can reach it.
    pub(crate) fn answers(&self, name: &str) -> bool {
        self.is_up(name) && self.machines[name].damaged != Some(Damage::Login)
    }

    pub(crate) fn is_up(&self, name: &str) -> bool {
        let machine = &self.machines[name];
        machine.on
            && machine.booted.elapsed() >= machine.joins_after
            && self.flaw(name) != Some(&Flaw::Silent)
    }

    pub(crate) fn is_cut_off(&self, name: &str) -> bool {
        self.machines[name].cut_off_until > Instant::now()
    }

    /// Whether its daemons work and the other nodes can reach them.
    fn works(&self, name: &str) -> bool {
        self.is_up(name)
            && !self.is_cut_off(name)
            && !matches!(self.flaw(name), Some(Flaw::Copy(_)))
    }

    /// Whether its etcd member is there for the others.
    pub(crate) fn stores(&self, name: &str) -> bool {
        let reads = self.machines[name].damaged != Some(Damage::Member);
        self.members.contains(name) && self.works(name) && reads
    }

    /// Whether its PostgreSQL runs, and the others can reach it.
    pub(crate) fn runs(&self, name: &str) -> bool {
        self.databases.contains(name) && self.works(name) && self.machines[name].runs_with.is_some()
    }

    /// Whether it has every row, or will have in a moment.
    pub(crate) fn has_all(&self, name: &str) -> bool {
        let follows = self.leader.is_some() && self.machines[name].behind_until <= Instant::now();
        self.runs(name) && (self.leads(name) || follows)
    }

    pub(crate) fn leads(&self, name: &str) -> bool {
        self.leader.as_deref() == Some(name)
    }

    /// Whether nothing is wrong with it.
    pub(crate) fn is_well(&self, name: &str) -> bool {
        let (member, database) = (self.members.contains(name), self.databases.contains(name));
        self.works(name)
            && self.answers(name)
            && self.flaw(name).is_none()
            && (!member || self.stores(name))
            && (!database || self.has_all(name))
    }

    pub(crate) fn members(&self) -> impl Iterator<Item = &String> {
        self.members.iter().filter(|name| self.stores(name))
    }

    pub(crate) fn databases(&self) -> impl Iterator<Item = &String> {
        self.databases.iter().filter(|name| self.runs(name))
    }

    pub(crate) fn has_quorum(&self) -> bool {
        self.is_quorum(self.members().count())
    }

    pub(crate) fn is_quorum(&self, members: usize) -> bool {
        members > self.members.len() / 2
    }

    /// The value in etcd.
    pub(crate) fn max_connections(&self) -> u32 {
        max_connections(&self.dynamic)
    }

    /// Whether a changed parameter waits for a restart.
    pub(crate) fn waits(&self, name: &str) -> bool {
        self.machines[name].runs_with.is_some_and(|value| value != self.max_connections())
    }

    /// What PostgreSQL of a node runs with once it has been started now. A replica starts with no
    /// less than its leader has: Patroni sees to that.
    pub(crate) fn start(&mut self, name: &str) {
        let wanted = self.max_connections();
        let leader = self.leader.as_ref().filter(|leader| *leader != name);
        let least = leader.and_then(|leader| self.machines[leader].runs_with).unwrap_or(0);
        let machine = &self.machines[name];
        let reads = machine.damaged != Some(Damage::Copy) && machine.copied_until <= Instant::now();
        let database = self.databases.contains(name) && reads;
        self.machine(name).runs_with = (database && wanted != TOO_MANY).then(|| wanted.max(least));
    }
}

pub(crate) fn max_connections(dynamic: &Dynamic) -> u32 {
    let value = dynamic.parameters().find(|(name, _)| *name == "max_connections");
    value.and_then(|(_, value)| value.as_u64()).unwrap_or(0) as u32
}
