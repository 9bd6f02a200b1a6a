//! A cluster as the executor meets it: nodes take time to boot, crash, forget to answer, and break
//! with a bad image or seed.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use pgha_core::cluster::{Cluster, Durability, Node};
use pgha_core::render::{self, Rendered};
use pgha_deploy::operate::Goal;
use pgha_deploy::secrets::Secrets;
use pgha_platform::{ProviderError, label};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;
use tokio::time::Instant;

use crate::state::{Labels, Machine, State};
use crate::wish::{self, Wanted};

/// A cluster that was formed, with everything that may happen to it.
pub(crate) struct World {
    pub(crate) cluster: Cluster,
    pub(crate) secrets: &'static Secrets,
    rendered: Rendered,
    state: Mutex<State>,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let (cluster, secrets) = wish::cluster(seed);
        let rendered = render::render(&cluster).expect("a rendering");
        let mut rng = StdRng::seed_from_u64(seed);
        let labels = [
            ("image", wish::image(&cluster, 0)),
            ("seed", wish::seed(0).to_string()),
            ("formed", "yes".to_owned()),
        ];
        let labels = Labels::from(labels.map(|(key, value)| (key.to_owned(), value)));
        let machine = |_: &Node| Machine {
            on: true,
            booted: Instant::now(),
            joins_after: Duration::ZERO,
            labels: labels.clone(),
            previous: None,
            pending: false,
            cut_off: false,
        };
        let state = State {
            machines: cluster.nodes.iter().map(|node| (node.name.clone(), machine(node))).collect(),
            leader: cluster.nodes.first().map(|node| node.name.clone()),
            leaderless_since: Instant::now(),
            led_last: None,
            strict: cluster.durability == Durability::Strict,
            synchronous: cluster.nodes.get(1).map(|node| node.name.clone()),
            dynamic: rendered.dynamic.clone(),
            busy: None,
            seen_well: BTreeSet::new(),
            seen_leader: None,
            version: 1,
            seed_version: 0,
            bad: if rng.random_bool(0.3) {
                BTreeSet::from([wish::image(&cluster, 1)])
            } else {
                BTreeSet::new()
            },
            max_connections: if rng.random_bool(0.3) { 150 } else { 200 },
            calm: false,
            rng,
        };
        Self { secrets, cluster, rendered, state: Mutex::new(state) }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(crate) fn wanted(&self) -> Wanted {
        let state = self.state();
        let mut rendered = self.rendered.clone();
        rendered.dynamic["postgresql"]["parameters"]["max_connections"] =
            json!(state.max_connections);
        Wanted {
            rendered,
            manifest: wish::manifest(&self.cluster, state.version),
            seed: wish::seed(state.seed_version),
        }
    }

    /// How long this pgha lives.
    pub(crate) fn patience(&self) -> Duration {
        let mut state = self.state();
        if state.rng.random_bool(0.5) {
            Duration::from_secs(state.rng.random_range(1..200))
        } else {
            Duration::from_secs(100_000)
        }
    }

    /// What this operator wants.
    pub(crate) fn mood(&self) -> Goal {
        if self.state().rng.random_bool(0.15) { Goal::Rollback } else { Goal::Apply }
    }

    /// The image and the seed of each node.
    pub(crate) fn what_runs(&self) -> Vec<(String, String)> {
        self.state()
            .machines
            .values()
            .map(|machine| (machine.labels["image"].clone(), machine.labels["seed"].clone()))
            .collect()
    }

    /// Another image and another seed, both good.
    pub(crate) fn correct(&self) {
        let mut state = self.state();
        state.version += 1;
        state.seed_version += 1;
    }

    /// Sometimes the file is edited in the middle of everything.
    pub(crate) fn change_of_mind(&self) {
        let mut state = self.state();
        if state.rng.random_bool(0.1) {
            state.version += 1;
            let image = wish::image(&self.cluster, state.version);
            state.perhaps_bad(image);
        }
        if state.rng.random_bool(0.1) {
            state.seed_version += 1;
            let seed = wish::seed(state.seed_version).to_string();
            state.perhaps_bad(seed);
        }
    }

    /// No more faults, and an image and a seed that are good: what the storm was about, if that is,
    /// so that nothing it left may be hidden by something new.
    pub(crate) fn calm_down(&self) {
        let wanted = self.wanted();
        let image = wanted.manifest.images[0].digest().to_string();
        let bad =
            [image, wanted.seed.to_string()].iter().any(|what| self.state().bad.contains(what));
        if bad || self.state().rng.random_bool(0.5) {
            self.correct();
        }
        let mut state = self.state();
        state.calm = true;
        state.machines.values_mut().for_each(|machine| machine.cut_off = false);
    }

    pub(crate) fn is_as_wanted(&self) -> bool {
        let (wanted, mut state) = (self.wanted(), self.state());
        state.turn();
        let (image, seed) =
            (wanted.manifest.images[0].digest().to_string(), wanted.seed.to_string());
        let has = |machine: &Machine| {
            let proven = machine.labels.get(label::PROVEN).is_none_or(|proven| proven == "yes");
            let given = machine.labels["image"] == image && machine.labels["seed"] == seed;
            given && proven && !machine.pending
        };
        let whole =
            state.machines.iter().all(|(name, machine)| state.is_well(name) && has(machine));
        whole && state.leader.is_some() && state.dynamic == wanted.rendered.dynamic
    }

    pub(crate) fn describe(&self) -> String {
        let state = self.state();
        let line = |(name, machine): (&String, &Machine)| {
            format!(
                "{name}: on {} well {} labels {:?} previous {:?}\n",
                machine.on,
                state.is_well(name),
                machine.labels,
                machine.previous
            )
        };
        format!(
            "leader {:?}, synchronous {:?}, version {} bad {:?}\n{}",
            state.leader,
            state.synchronous,
            state.version,
            state.bad,
            state.machines.iter().map(line).collect::<String>()
        )
    }

    /// What the outside does between two questions.
    pub(crate) fn weather(&self) {
        let mut state = self.state();
        if !state.calm && state.rng.random_bool(0.01) {
            let index = state.rng.random_range(0..self.cluster.nodes.len());
            let name = state.machines.keys().nth(index).cloned().expect("a node");
            let (rises, cut_off) = (state.rng.random_bool(0.5), state.rng.random_bool(0.2));
            let machine = state.machine(&name);
            (machine.on, machine.cut_off) = (rises, rises && cut_off);
            machine.booted = Instant::now();
        }
        state.turn();
    }

    /// Stops and boots a node, and checks that the plan may do so.
    pub(crate) async fn replace(
        &self,
        name: &str,
        change: impl FnOnce(&mut Machine),
    ) -> Result<(), ProviderError> {
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
        (machine.on, machine.booted, machine.joins_after, machine.pending) =
            (true, Instant::now(), joins_after, false);
        if reply_lost {
            return Err(ProviderError::Slow {
                name: name.to_owned(),
                what: "answer",
                seconds: down,
            });
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
