//! What a gate has seen of each node since it began. It tells a slow start from one that will never
//! succeed.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::health::{Health, NodeHealth};
use crate::units::Unit;

/// More crashes than any healthy start has, at one second between restarts.
const LOOP: u32 = 10;

/// Crashes after every unit of the node had run for [`STEADY`].
const RELAPSES: u32 = 3;

/// Longer than a daemon takes to find that it cannot start.
const STEADY: Duration = Duration::from_secs(5);

/// A system without SSH for this long never comes up: containers take 2 s, virtual machines without
/// KVM 50 s.
const SILENCE: Duration = Duration::from_secs(90);

/// How long every attempt to start PostgreSQL must have failed. Patroni tries again in every round.
const START: Duration = Duration::from_secs(20);

/// What was seen of every node.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    nodes: BTreeMap<String, Node>,
}

#[derive(Debug)]
struct Node {
    /// systemd's counter of each unit when the node was last asked. A boot, or a person, sets it
    /// back.
    restarts: BTreeMap<String, u32>,
    crashes: u32,
    relapses: u32,
    /// Since when all its units run.
    runs: Option<Instant>,
    /// Whether they have run for [`STEADY`] since the last crash. systemd counts a restart only a
    /// while after the crash.
    was_steady: bool,
    heard: Instant,
    has_failed: bool,
    /// Since when PostgreSQL fails to start.
    fails_to_start: Option<Instant>,
}

impl Watch {
    /// Takes in what the nodes say now, except `known` ones, from which nothing else is expected.
    /// `true`: a unit crashed since they were last asked.
    pub(crate) fn look(&mut self, health: &Health, known: &[String]) -> bool {
        let watched = health.nodes.iter().filter(|(name, _)| !known.contains(name));
        // Every node must be looked at, so this must not stop at the first.
        watched.fold(false, |crashed, (name, heard)| self.node(name).look(heard) || crashed)
    }

    fn node(&mut self, name: &str) -> &mut Node {
        self.nodes.entry(name.to_owned()).or_insert_with(|| Node {
            restarts: BTreeMap::new(),
            crashes: 0,
            relapses: 0,
            runs: None,
            was_steady: false,
            heard: Instant::now(),
            has_failed: false,
            fails_to_start: None,
        })
    }

    /// Why `name` will not recover.
    pub(crate) fn lost(&self, name: &str) -> Option<&'static str> {
        let node = self.nodes.get(name)?;
        let fails = node.fails_to_start.is_some_and(|since| since.elapsed() >= START);
        if node.has_failed {
            Some("a unit of it has failed")
        } else if node.crashes >= LOOP || node.relapses >= RELAPSES {
            Some("its units crash again and again")
        } else if fails {
            Some("its PostgreSQL does not start, or tells nothing")
        } else {
            None
        }
    }

    /// Whether `name` has not answered for so long that it never will. That ends a wait only if
    /// there is an image to go back to.
    pub(crate) fn is_silent(&self, name: &str) -> bool {
        self.nodes.get(name).is_some_and(|node| node.heard.elapsed() >= SILENCE)
    }
}

impl Node {
    fn look(&mut self, heard: &NodeHealth) -> bool {
        self.fails_to_start = match &heard.instance {
            Some(instance) if instance.has_failed_to_start() || instance.is_unreadable() => {
                self.fails_to_start.or(Some(Instant::now()))
            }
            // Between two attempts it is `starting`, as it is in a recovery that may take long and
            // end well.
            Some(instance) if instance.does_not_start() => self.fails_to_start,
            _ => None,
        };
        let Some(units) = &heard.units else {
            return false;
        };
        let new = units.iter().map(|(name, unit)| self.restarted(name, unit)).sum::<u32>();
        self.crashes += new;
        if new > 0 {
            self.relapses += u32::from(std::mem::take(&mut self.was_steady));
        }
        let run = new == 0 && units.values().all(Unit::is_active);
        self.runs = if run { self.runs.or(Some(Instant::now())) } else { None };
        self.was_steady |= self.runs.is_some_and(|since| since.elapsed() >= STEADY);
        // Looks may be too far apart to tell, because a look waits for a daemon that hangs. systemd itself has timed what crashed.
        let crashed = || units.values().filter(|unit| unit.restarts > 0);
        let steady = |unit: &Unit| unit.up_seconds >= STEADY.as_secs();
        self.was_steady |= run && crashed().next().is_some() && crashed().all(steady);
        self.has_failed = units.values().any(Unit::has_failed);
        self.heard = Instant::now();
        new > 0
    }

    /// How often systemd has restarted a unit since it was last asked.
    fn restarted(&mut self, name: &str, unit: &Unit) -> u32 {
        let last = self.restarts.insert(name.to_owned(), unit.restarts);
        last.map_or(0, |last| unit.restarts.checked_sub(last).unwrap_or(unit.restarts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Units;

    fn health(units: Option<Units>) -> Health {
        Health { nodes: [("a".to_owned(), NodeHealth { units, ..NodeHealth::default() })].into() }
    }

    fn restarted(restarts: u32) -> Health {
        health(Some(Units::from([(
            "etcd.service".to_owned(),
            Unit { state: "active".into(), restarts, up_seconds: 0 },
        )])))
    }

    #[tokio::test(start_paused = true)]
    async fn what_happened_before_the_gate_does_not_count_and_a_boot_begins_anew() {
        let mut watch = Watch::default();
        assert!(!watch.look(&restarted(40), &[]));
        assert!(watch.look(&restarted(2), &[]));
        assert!(!watch.look(&restarted(2), &[]) && watch.lost("a").is_none());
        assert!(watch.look(&restarted(10), &[]) && watch.lost("a").is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn three_crashes_of_what_had_run_for_a_while_are_a_loop() {
        let mut watch = Watch::default();
        for restarts in 0..=3 {
            assert!(watch.lost("a").is_none());
            for pause in [0, STEADY.as_secs(), 0] {
                watch.look(&restarted(restarts), &[]);
                tokio::time::advance(Duration::from_secs(pause)).await;
            }
            watch.look(
                &health(Some(Units::from([(
                    "etcd.service".to_owned(),
                    Unit { state: "activating".into(), restarts, up_seconds: 0 },
                )]))),
                &[],
            );
        }
        assert!(watch.lost("a").is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_loop_shows_also_to_looks_that_are_far_apart() {
        let mut watch = Watch::default();
        let up = |restarts, up_seconds| {
            let unit = Unit { state: "active".into(), restarts, up_seconds };
            health(Some(Units::from([("haproxy.service".to_owned(), unit)])))
        };
        for restarts in 0..=3 {
            assert!(watch.lost("a").is_none());
            for up_seconds in [1, STEADY.as_secs()] {
                watch.look(&up(restarts, up_seconds), &[]);
            }
            // The first was seen to run for long enough.
            tokio::time::advance(STEADY * u32::from(restarts == 0)).await;
            watch.look(&up(restarts, STEADY.as_secs()), &[]);
        }
        assert!(watch.lost("a").is_some());
    }

    #[test]
    fn what_a_known_node_does_is_no_news() {
        let mut watch = Watch::default();
        watch.look(&restarted(1), &["a".to_owned()]);
        assert!(!watch.look(&restarted(90), &["a".to_owned()]));
        assert!(watch.lost("a").is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_that_never_answers_is_silent_after_a_while() {
        let mut watch = Watch::default();
        watch.look(&health(None), &[]);
        tokio::time::advance(SILENCE / 2).await;
        watch.look(&health(None), &[]);
        assert!(!watch.is_silent("a"));
        tokio::time::advance(SILENCE / 2).await;
        assert!(watch.is_silent("a"));
    }
}
