//! Three nodes as the executor meets them: they take time to boot, crash, forget to answer, and break with a bad image.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use pgha_core::Digest;
use pgha_core::cluster::{Cluster, Node};
use pgha_core::manifest::{Image, Layer, Manifest};
use pgha_core::plan::Desired;
use pgha_core::render::{self, Rendered};
use pgha_deploy::operate::Goal;
use pgha_deploy::secrets::Secrets;
use pgha_platform::ProviderError;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use tokio::time::Instant;

const FILE: &str = include_str!("../../../../tests/clusters/minimal.toml");
/// Seconds until another node leads after the leader vanished.
const FAILOVER: Duration = Duration::from_secs(25);

pub(crate) type Labels = BTreeMap<String, String>;

/// One machine.
pub(crate) struct Machine {
    pub(crate) on: bool,
    pub(crate) booted: Instant,
    pub(crate) joins_after: Duration,
    pub(crate) labels: Labels,
    pub(crate) previous: Option<Labels>,
    /// Parameters that wait for a restart.
    pub(crate) pending: bool,
    /// Whether the other nodes cannot reach it. pgha can.
    pub(crate) cut_off: bool,
}

/// Everything that changes.
pub(crate) struct State {
    pub(crate) rng: StdRng,
    pub(crate) machines: BTreeMap<String, Machine>,
    pub(crate) leader: Option<String>,
    pub(crate) leaderless_since: Instant,
    pub(crate) dynamic: Value,
    /// The node that is being stopped and booted.
    pub(crate) busy: Option<String>,
    /// Nodes that did their work when health was asked for last.
    pub(crate) seen_well: BTreeSet<String>,
    pub(crate) seen_leader: Option<String>,
    /// Version of the image that is wanted, and whether it is bad.
    pub(crate) version: u32,
    /// Digests of images that never become healthy.
    pub(crate) bad: BTreeSet<String>,
    pub(crate) max_connections: u32,
    pub(crate) calm: bool,
}

/// What is wanted at one moment.
pub(crate) struct Wanted {
    pub(crate) rendered: Rendered,
    pub(crate) manifest: Manifest,
}

impl Wanted {
    pub(crate) fn desired<'c>(&'c self, cluster: &'c Cluster) -> Desired<'c> {
        let image = self.manifest.images[0].digest();
        let all = |digest: &Digest| cluster.nodes.iter().map(|node| (node.name.clone(), digest.clone())).collect();
        Desired { cluster, images: all(&image), seeds: all(&Digest::of(b"seed")), data: BTreeMap::new(), dynamic: &self.rendered.dynamic }
    }
}

/// A cluster that was formed, with everything that may happen to it.
pub(crate) struct World {
    pub(crate) cluster: Cluster,
    pub(crate) secrets: &'static Secrets,
    rendered: Rendered,
    state: Mutex<State>,
}

/// Made once: no run looks into them.
fn secrets(cluster: &Cluster) -> &'static Secrets {
    static SECRETS: OnceLock<Secrets> = OnceLock::new();
    SECRETS.get_or_init(|| {
        let dir = tempfile::tempdir().expect("a directory");
        Secrets::ensure(&dir.path().join("s"), cluster, &[]).expect("secrets")
    })
}

fn manifest(cluster: &Cluster, version: u32) -> Manifest {
    let layer = |what: &str| Layer { path: format!("/{what}"), sha256: Digest::of(format!("{what} {version}").as_bytes()), bytes: 1 };
    let image = Image {
        role_set: cluster.nodes[0].role_set.clone(),
        base: cluster.base,
        tree: Digest::of(b"tree"),
        package_root: layer("root"),
        configuration: layer("configuration"),
        versions: BTreeMap::new(),
        disk: None,
    };
    Manifest { cluster: cluster.name.clone(), images: vec![image] }
}

fn digest(cluster: &Cluster, version: u32) -> String {
    manifest(cluster, version).images[0].digest().to_string()
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let (cluster, _) = Cluster::parse(FILE).expect("a cluster");
        let rendered = render::render(&cluster).expect("a rendering");
        let mut rng = StdRng::seed_from_u64(seed);
        let image = digest(&cluster, 0);
        let labels =
            Labels::from([("image".into(), image), ("seed".into(), Digest::of(b"seed").to_string()), ("formed".into(), "yes".into())]);
        let machine = |_: &Node| Machine {
            on: true,
            booted: Instant::now(),
            joins_after: Duration::ZERO,
            labels: labels.clone(),
            previous: None,
            pending: false,
            cut_off: false,
        };
        let machines = cluster.nodes.iter().map(|node| (node.name.clone(), machine(node))).collect();
        let bad = if rng.random_bool(0.3) { BTreeSet::from([digest(&cluster, 1)]) } else { BTreeSet::new() };
        let max_connections = if rng.random_bool(0.3) { 150 } else { 200 };
        let state = State {
            machines,
            leader: Some("node-1".into()),
            leaderless_since: Instant::now(),
            dynamic: rendered.dynamic.clone(),
            busy: None,
            seen_well: BTreeSet::new(),
            seen_leader: None,
            version: 1,
            bad,
            max_connections,
            calm: false,
            rng,
        };
        Self { secrets: secrets(&cluster), cluster, rendered, state: Mutex::new(state) }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(crate) fn wanted(&self) -> Wanted {
        let state = self.state();
        let mut rendered = self.rendered.clone();
        rendered.dynamic["postgresql"]["parameters"]["max_connections"] = json!(state.max_connections);
        Wanted { rendered, manifest: manifest(&self.cluster, state.version) }
    }

    /// How long this pgha lives.
    pub(crate) fn patience(&self) -> Duration {
        let mut state = self.state();
        if state.rng.random_bool(0.5) { Duration::from_secs(state.rng.random_range(1..200)) } else { Duration::from_secs(100_000) }
    }

    /// What this operator wants.
    pub(crate) fn mood(&self) -> Goal {
        if self.state().rng.random_bool(0.15) { Goal::Rollback } else { Goal::Apply }
    }

    /// The image each node runs.
    pub(crate) fn images(&self) -> Vec<String> {
        self.state().machines.values().map(|machine| machine.labels["image"].clone()).collect()
    }

    pub(crate) fn correct_the_image(&self) {
        self.state().version += 1;
    }

    /// Sometimes the file is edited in the middle of everything.
    pub(crate) fn change_of_mind(&self) {
        let mut state = self.state();
        if state.rng.random_bool(0.1) {
            state.version += 1;
            if state.rng.random_bool(0.2) {
                let bad = digest(&self.cluster, state.version);
                state.bad.insert(bad);
            }
        }
    }

    /// No more faults, and an image that is good.
    pub(crate) fn calm_down(&self) {
        let mut state = self.state();
        state.calm = true;
        state.machines.values_mut().for_each(|machine| machine.cut_off = false);
        state.version += 1;
    }

    pub(crate) fn is_as_wanted(&self) -> bool {
        let (wanted, mut state) = (self.wanted(), self.state());
        state.turn();
        let image = wanted.manifest.images[0].digest().to_string();
        let whole =
            state.machines.iter().all(|(name, machine)| state.is_well(name) && machine.labels["image"] == image && !machine.pending);
        whole && state.leader.is_some() && state.dynamic == wanted.rendered.dynamic
    }

    pub(crate) fn describe(&self) -> String {
        let state = self.state();
        let line = |(name, machine): (&String, &Machine)| {
            format!("{name}: on {} well {} labels {:?} previous {:?}\n", machine.on, state.is_well(name), machine.labels, machine.previous)
        };
        format!(
            "leader {:?}, version {} bad {:?}\n{}",
            state.leader,
            state.version,
            state.bad,
            state.machines.iter().map(line).collect::<String>()
        )
    }

    /// What the outside does between two questions.
    pub(crate) fn weather(&self) {
        let mut state = self.state();
        if !state.calm && state.rng.random_bool(0.01) {
            let index = state.rng.random_range(0..3_usize);
            let name = state.machines.keys().nth(index).cloned().expect("a node");
            let (rises, cut_off) = (state.rng.random_bool(0.5), state.rng.random_bool(0.2));
            let machine = state.machine(&name);
            (machine.on, machine.cut_off) = (rises, rises && cut_off);
            machine.booted = Instant::now();
        }
        state.turn();
    }

    /// Stops and boots a node, and checks that the plan may do so.
    pub(crate) async fn replace(&self, name: &str, change: impl FnOnce(&mut Machine)) -> Result<(), ProviderError> {
        let (down, reply_lost) = {
            let mut state = self.state();
            state.may_be_rebuilt(name);
            state.busy = Some(name.to_owned());
            (state.rng.random_range(2..12), !state.calm && state.rng.random_bool(0.05))
        };
        let _busy = Busy(self);
        self.state().machine(name).on = false;
        tokio::time::sleep(Duration::from_secs(down)).await;
        let mut state = self.state();
        let joins_after = Duration::from_secs(state.rng.random_range(2..20));
        let machine = state.machine(name);
        change(machine);
        (machine.on, machine.booted, machine.joins_after, machine.pending) = (true, Instant::now(), joins_after, false);
        if reply_lost {
            return Err(ProviderError::Slow { name: name.to_owned(), what: "answer", seconds: down });
        }
        Ok(())
    }
}

/// A pgha that is killed holds no node any more.
struct Busy<'w>(&'w World);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.state().busy = None;
    }
}

impl State {
    pub(crate) fn machine(&mut self, name: &str) -> &mut Machine {
        self.machines.get_mut(name).expect("a known node")
    }

    /// Whether the image a node runs is one that never becomes healthy.
    pub(crate) fn is_bad(&self, labels: &Labels) -> bool {
        self.bad.contains(&labels["image"])
    }

    pub(crate) fn is_well(&self, name: &str) -> bool {
        let machine = &self.machines[name];
        machine.on && !machine.cut_off && machine.booted.elapsed() >= machine.joins_after && !self.is_bad(&machine.labels)
    }

    /// Whether its daemons have tried for long enough.
    pub(crate) fn has_failed(&self, name: &str) -> bool {
        let machine = &self.machines[name];
        machine.on && machine.booted.elapsed() > Duration::from_secs(10) && self.is_bad(&machine.labels)
    }

    pub(crate) fn well(&self) -> BTreeSet<String> {
        self.machines.keys().filter(|name| self.is_well(name)).cloned().collect()
    }

    pub(crate) fn has_quorum(&self) -> bool {
        self.well().len() >= 2
    }

    /// Elects a leader when there is none for long enough.
    fn turn(&mut self) {
        let well = self.well();
        if self.leader.as_ref().is_some_and(|leader| !well.contains(leader)) {
            self.leader = None;
            self.leaderless_since = Instant::now();
        }
        if self.leader.is_none() && self.has_quorum() && self.leaderless_since.elapsed() >= FAILOVER {
            self.leader = well.into_iter().next();
        }
    }

    /// The invariants, judged by what pgha could know: the answers it got last.
    fn may_be_rebuilt(&self, name: &str) {
        assert_eq!(self.busy, None, "two nodes at once: {name} while another is being replaced");
        let others = self.seen_well.iter().filter(|well| *well != name).count();
        let was_well = self.seen_well.contains(name);
        assert!(!was_well || others >= 2, "{name} was rebuilt although only {others} others were well: etcd's quorum is at stake");
        assert!(self.seen_leader.as_deref() != Some(name), "the leader {name} was rebuilt");
    }
}
