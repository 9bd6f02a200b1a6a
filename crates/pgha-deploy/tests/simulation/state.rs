//! The world's state, how it goes on by itself, and what pgha must never do to it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;
use serde_json::Value;
use tokio::time::Instant;

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
    pub(crate) led_last: Option<String>,
    /// Whether every commit waits for one certain replica.
    pub(crate) strict: bool,
    pub(crate) synchronous: Option<String>,
    pub(crate) dynamic: Value,
    /// The node that is being stopped and booted.
    pub(crate) busy: Option<String>,
    /// Nodes that did their work when health was asked for last.
    pub(crate) seen_well: BTreeSet<String>,
    pub(crate) seen_leader: Option<String>,
    /// Versions of the image and of the seeds that are wanted.
    pub(crate) version: u32,
    pub(crate) seed_version: u32,
    /// Digests of images and seeds that never become healthy.
    pub(crate) bad: BTreeSet<String>,
    pub(crate) max_connections: u32,
    pub(crate) calm: bool,
}

impl State {
    pub(crate) fn machine(&mut self, name: &str) -> &mut Machine {
        self.machines.get_mut(name).expect("a known node")
    }

    /// Whether a node runs an image or a seed with which it never becomes healthy.
    pub(crate) fn is_bad(&self, labels: &Labels) -> bool {
        self.bad.contains(&labels["image"]) || self.bad.contains(&labels["seed"])
    }

    pub(crate) fn is_well(&self, name: &str) -> bool {
        let machine = &self.machines[name];
        machine.on
            && !machine.cut_off
            && machine.booted.elapsed() >= machine.joins_after
            && !self.is_bad(&machine.labels)
    }

    pub(crate) fn perhaps_bad(&mut self, digest: String) {
        if self.rng.random_bool(0.2) {
            self.bad.insert(digest);
        }
    }

    /// Whether its daemons have tried for long enough.
    pub(crate) fn has_failed(&self, name: &str) -> bool {
        let machine = &self.machines[name];
        machine.on
            && machine.booted.elapsed() > Duration::from_secs(10)
            && self.is_bad(&machine.labels)
    }

    pub(crate) fn well(&self) -> BTreeSet<String> {
        self.machines.keys().filter(|name| self.is_well(name)).cloned().collect()
    }

    pub(crate) fn has_quorum(&self) -> bool {
        self.well().len() > self.machines.len() / 2
    }

    /// Who may lead in place of `leader`: under strict only the synchronous replica, which alone
    /// has every row.
    pub(crate) fn heir(&self, leader: Option<&str>) -> Option<String> {
        let well = self.well();
        let mut candidates = well.into_iter().filter(|name| Some(name.as_str()) != leader);
        if self.strict {
            candidates.find(|name| self.synchronous.as_ref() == Some(name))
        } else {
            candidates.next()
        }
    }

    /// Elects a leader when there is none for long enough; a leader names its synchronous replica.
    pub(crate) fn turn(&mut self) {
        let well = self.well();
        if let Some(leader) = self.leader.take_if(|leader| !well.contains(leader)) {
            self.led_last = Some(leader);
            self.leaderless_since = Instant::now();
        }
        if self.leader.is_none() && self.has_quorum() && self.leaderless_since.elapsed() >= FAILOVER
        {
            let returned = self.led_last.clone().filter(|last| self.strict && well.contains(last));
            self.leader = self.heir(None).or(returned);
        }
        let serves = |name: &String| well.contains(name) && Some(name) != self.leader.as_ref();
        if self.leader.is_some() && !self.synchronous.as_ref().is_some_and(serves) {
            self.synchronous = well.iter().find(|name| serves(name)).cloned();
        }
    }

    /// The invariants, judged by what pgha could know: the answers it got last.
    pub(crate) fn may_be_rebuilt(&self, name: &str) {
        assert_eq!(self.busy, None, "two nodes at once: {name} while another is being replaced");
        let others = self.seen_well.iter().filter(|well| *well != name).count();
        let was_well = self.seen_well.contains(name);
        assert!(
            !was_well || others > self.machines.len() / 2,
            "{name} was rebuilt although only {others} others were well: etcd's quorum is at stake"
        );
        assert!(self.seen_leader.as_deref() != Some(name), "the leader {name} was rebuilt");
    }
}
