//! One world: a cluster, and what is done to it from outside.

use std::sync::{Mutex, MutexGuard, PoisonError};

use pgha_core::inventory::Given;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tempfile::TempDir;
use tokio::time::Instant;

use crate::state::{Machine, State};
use crate::wish::{self, CONNECTIONS, Subject, TOO_MANY, Wish};

/// A cluster that was formed, with everything that may happen to it.
pub(crate) struct World {
    pub(crate) subject: &'static Subject,
    /// The provider's lock on each machine that an operator works on.
    pub(crate) locks: TempDir,
    state: Mutex<State>,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let (subject, wish) = (wish::subject(seed), Wish::first());
        let (dynamic, rng) = (wish.dynamic(subject), StdRng::seed_from_u64(seed));
        let mut state = State::formed(&subject.cluster, wish, dynamic, rng);
        state.fault_every = [30, 100, 300, 3000][state.rng.random_range(0..4)];
        let images = state.wish.new_image(&subject.cluster);
        state.perhaps_flawed(images);
        if state.rng.random_bool(0.4) {
            state.wish.max_connections = CONNECTIONS[state.rng.random_range(0..CONNECTIONS.len())];
        }
        let locks = tempfile::tempdir().expect("a directory");
        Self { subject, locks, state: Mutex::new(state) }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sometimes the file is edited in the middle of everything.
    pub(crate) fn change_of_mind(&self) {
        let mut state = self.state();
        let odds = [0.2, 0.1, 0.1, 0.05, 0.02].map(|odds| state.rng.random_bool(odds));
        if odds[0] {
            let images = state.wish.new_image(&self.subject.cluster);
            state.perhaps_flawed(images);
        }
        if odds[1] {
            let seed = state.wish.new_seed(&self.subject.cluster);
            state.perhaps_flawed(seed);
        }
        if odds[2] {
            state.wish.max_connections = CONNECTIONS[state.rng.random_range(0..CONNECTIONS.len())];
        }
        if odds[3] {
            state.wish.work_mem += 1;
        }
        if odds[4] {
            state.wish.libc = 42;
        }
    }

    /// Another image and another seed, both good.
    pub(crate) fn correct_images(&self) {
        let mut state = self.state();
        state.wish.image += 1;
        state.wish.seed += 1;
    }

    /// Another image, or another seed, and bad.
    pub(crate) fn spoil(&self) {
        let mut state = self.state();
        let new = match state.rng.random_bool(0.7) {
            true => state.wish.new_image(&self.subject.cluster),
            false => state.wish.new_seed(&self.subject.cluster),
        };
        state.surely_flawed(new);
    }

    /// Another image, another seed and other parameters, all good.
    pub(crate) fn change_everything(&self) {
        self.correct_images();
        let mut state = self.state();
        state.wish.work_mem += 1;
        state.wish.max_connections = CONNECTIONS[state.rng.random_range(0..CONNECTIONS.len() - 1)];
    }

    /// Nothing in the file any more that cannot be.
    pub(crate) fn correct_file(&self) {
        let mut state = self.state();
        state.wish.libc = Wish::first().libc;
        if state.wish.max_connections == TOO_MANY {
            state.wish.max_connections = CONNECTIONS[0];
        }
    }

    /// No more faults, and a wish that is good: what the storm was about, if that is, so that
    /// nothing it left may be hidden by something new.
    pub(crate) fn calm_down(&self) {
        self.correct_file();
        let wish = self.state().wish.clone();
        let mut given = wish::images(&self.subject.cluster, wish.image);
        given.extend(wish::seeds(&self.subject.cluster, wish.seed));
        let flawed = given.iter().any(|digest| self.state().flaws.contains_key(digest));
        if flawed || self.state().rng.random_bool(0.5) {
            self.correct_images();
        }
        let mut state = self.state();
        state.calm = true;
        for machine in state.machines.values_mut() {
            (machine.cut_off_until, machine.behind_until) = (Instant::now(), Instant::now());
        }
    }

    /// The image and the seed of each node.
    pub(crate) fn what_runs(&self) -> Vec<Given> {
        let given = |machine: &Machine| machine.server.given.clone();
        self.state().machines.values().map(given).collect()
    }

    pub(crate) fn is_well(&self) -> bool {
        let mut state = self.state();
        state.turn();
        state.leader.is_some() && state.machines.keys().all(|name| state.is_well(name))
    }

    pub(crate) fn is_as_wanted(&self) -> bool {
        let mut state = self.state();
        state.turn();
        let made = state.wish.made(self.subject);
        let desired = made.desired(&self.subject.cluster);
        let has = |(name, machine): (&String, &Machine)| {
            let (image, seed) = (&desired.images[name], &desired.seeds[name]);
            let has = &machine.server.given;
            (&has.image, &has.seed) == (image, seed) && machine.server.proven && !state.waits(name)
        };
        let given = state.machines.iter().all(has);
        let dynamic = state.dynamic == made.rendered.dynamic;
        drop(state);
        given && dynamic && self.is_well()
    }

    pub(crate) fn describe(&self) -> String {
        let state = self.state();
        let line = |(name, machine): (&String, &Machine)| {
            format!(
                "{name}: on {} well {} flaw {:?} runs with {:?}\n  {:?}\n",
                machine.on,
                state.is_well(name),
                state.flaw(name),
                machine.runs_with,
                machine.server
            )
        };
        format!(
            "{}\nleader {:?}, synchronous {:?}, max_connections {}, {:?}\nflaws {:?}\n{}",
            state.story.join("\n"),
            state.leader,
            state.synchronous,
            state.max_connections(),
            state.wish,
            state.flaws,
            state.machines.iter().map(line).collect::<String>()
        )
    }
}
