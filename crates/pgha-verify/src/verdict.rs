//! Verdicts: one line for people, one file for programs, and a table over several runs. Pure: the same
//! run gives the same verdict.

use std::collections::BTreeSet;

use pgha_core::Cluster;
use pgha_core::cluster::{Durability, WriteStop};
use serde::Serialize;

use crate::checker::{self, Findings};
use crate::history::History;
use crate::scenario::Scenario;

/// The result of a run.
#[derive(Debug)]
pub struct Played {
    /// What every writer did.
    pub history: History,
    /// The rows at its end, or why they could not be read.
    pub rows: Result<BTreeSet<i64>, String>,
    /// Seconds from the end of the fault to full health, or what was wrong when the wait for it
    /// ended.
    pub health: Result<f64, String>,
    /// Whether the fault did what its name says.
    pub took_effect: bool,
}

/// The program that played a run: a measurement without it cannot be repeated.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Program {
    /// Its version.
    pub version: &'static str,
    /// The commit it was built from.
    pub commit: &'static str,
}

/// What one run showed, and whether the cluster kept its promises.
#[derive(Debug, Clone, Serialize)]
pub struct Verdict {
    scenario: String,
    run: u32,
    durability: Durability,
    preset: String,
    #[serde(flatten)]
    program: Program,
    promise: WriteStop,
    #[serde(flatten)]
    findings: Findings,
    /// Seconds from the end of the fault until the whole cluster was healthy again. Absent: it
    /// never was.
    health_seconds: Option<f64>,
    broken_promises: Vec<String>,
    /// Whether it kept them.
    pub kept: bool,
}

impl Verdict {
    /// Judges the `run`-th run of a scenario.
    pub fn new(
        cluster: &Cluster,
        scenario: Scenario,
        run: u32,
        played: &Played,
        program: Program,
    ) -> Self {
        // Unreadable rows do not prove a loss. That they could not be read is a broken promise of
        // its own.
        let findings = checker::judge(
            &played.history,
            played.rows.as_ref().unwrap_or(&played.history.acknowledged()),
        );
        let promise = scenario.promise(cluster);
        let mut broken_promises = unfinished(scenario, played);
        broken_promises.extend(broken(&findings, &promise, cluster.durability));
        broken_promises.extend(too_many_stops(scenario, cluster, &findings));
        Self {
            scenario: scenario.to_string(),
            run,
            durability: cluster.durability,
            preset: cluster.preset.to_string(),
            program,
            promise,
            findings,
            health_seconds: played.health.as_ref().ok().copied(),
            kept: broken_promises.is_empty(),
            broken_promises,
        }
    }

    /// The line people read.
    pub fn line(&self) -> String {
        let findings = &self.findings;
        let mut line = format!(
            "{}: writes stopped {:.1} s; {} of {} acknowledged rows lost (n=1, {}, preset {}; stated worst case {} s); {} failed, {} unknown; {}",
            self.scenario,
            findings.write_stop_seconds,
            findings.lost.len(),
            thousands(findings.acknowledged),
            self.durability,
            self.preset,
            self.promise.worst_seconds,
            findings.failed,
            findings.unknown,
            self.health_seconds.map_or("NOT healthy again".to_owned(), |s| format!(
                "healthy {s:.1} s after the fault ended"
            )),
        );
        if findings.acknowledged_inside > 0 {
            line.push_str(&format!(
                "; the old leader acknowledged {} rows beside it",
                findings.acknowledged_inside
            ));
        }
        for promise in &self.broken_promises {
            line.push_str(&format!("\n  BROKEN: {promise}"));
        }
        line
    }
}

/// Why the run did not show what it was meant to show.
fn unfinished(scenario: Scenario, played: &Played) -> Vec<String> {
    let effect =
        (!played.took_effect).then(|| format!("{scenario} had no effect: this run proves nothing"));
    let health = played.health.as_ref().err().map(|why| format!("never healthy again: {why}"));
    let rows = played
        .rows
        .as_ref()
        .err()
        .map(|why| format!("the rows could not be read back, so losses are not known: {why}"));
    effect.into_iter().chain(health).chain(rows).collect()
}

fn too_many_stops(scenario: Scenario, cluster: &Cluster, findings: &Findings) -> Option<String> {
    let most = scenario.most_stops(cluster)?;
    (findings.write_stops > most)
        .then(|| format!("writes stopped {} times with one switchover", findings.write_stops))
}

fn broken(findings: &Findings, promise: &WriteStop, durability: Durability) -> Vec<String> {
    let mut broken = Vec::new();
    if !findings.lost.is_empty() && durability != Durability::Async {
        broken.push(format!(
            "{} acknowledged rows are lost, the first is {}",
            findings.lost.len(),
            findings.lost[0]
        ));
    }
    if !findings.unexpected.is_empty() {
        broken.push(format!(
            "{} rows are there that no write was acknowledged for, the first is {}",
            findings.unexpected.len(),
            findings.unexpected[0]
        ));
    }
    if let Some(id) = findings.two_primaries {
        broken.push(format!("two primaries acknowledged at once, first seen at row {id}"));
    }
    if findings.write_stop_seconds > promise.worst_seconds {
        broken.push(format!(
            "writes stopped longer than {} s ({})",
            promise.worst_seconds, promise.because
        ));
    }
    broken
}

/// A line for each scenario over all its runs.
pub fn summary(verdicts: &[Verdict]) -> String {
    let mut text = String::from(
        "\nscenario              runs  write stop: median   worst   stated   lost   healthy: median\n",
    );
    let mut seen: Vec<&str> = Vec::new();
    for verdict in verdicts.iter().filter(|verdict| !verdict.scenario.is_empty()) {
        if seen.contains(&verdict.scenario.as_str()) {
            continue;
        }
        seen.push(&verdict.scenario);
        let of =
            verdicts.iter().filter(|other| other.scenario == verdict.scenario).collect::<Vec<_>>();
        let mut stops = of.iter().map(|v| v.findings.write_stop_seconds).collect::<Vec<_>>();
        let mut health = of.iter().filter_map(|v| v.health_seconds).collect::<Vec<_>>();
        let lost: usize = of.iter().map(|v| v.findings.lost.len()).sum();
        let (middle, worst, healthy) =
            (median(&mut stops), stops.iter().copied().fold(0.0, f64::max), median(&mut health));
        let stated = verdict.promise.worst_seconds;
        text.push_str(&format!(
            "{:20} {:5} {middle:19.1} {worst:7.1} {stated:8.1} {lost:6} {healthy:17.1}\n",
            verdict.scenario,
            of.len()
        ));
    }
    text
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let groups =
        digits.as_bytes().rchunks(3).rev().map(|group| String::from_utf8_lossy(group).into_owned());
    groups.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINIMAL: &str = include_str!("../../../tests/clusters/minimal.toml");

    fn promise() -> WriteStop {
        WriteStop { worst_seconds: 28.5, because: "ttl and more".to_owned() }
    }

    fn findings() -> Findings {
        Findings { acknowledged: 9, write_stop_seconds: 20.0, ..Findings::default() }
    }

    #[test]
    fn a_run_that_keeps_every_promise_breaks_none() {
        assert_eq!(broken(&findings(), &promise(), Durability::Quorum), Vec::<String>::new());
    }

    #[test]
    fn every_promise_can_be_broken() {
        let cases = [
            (
                Findings { lost: vec![7, 8], ..findings() },
                "2 acknowledged rows are lost, the first is 7",
            ),
            (
                Findings { unexpected: vec![3], ..findings() },
                "1 rows are there that no write was acknowledged for",
            ),
            (
                Findings { two_primaries: Some(5), ..findings() },
                "two primaries acknowledged at once, first seen at row 5",
            ),
            (
                Findings { write_stop_seconds: 28.6, ..findings() },
                "writes stopped longer than 28.5 s",
            ),
        ];
        for (findings, complaint) in cases {
            let broken = broken(&findings, &promise(), Durability::Quorum);
            assert!(broken.len() == 1 && broken[0].starts_with(complaint), "{broken:?}");
        }
    }

    #[test]
    fn a_planned_change_of_leader_stops_writes_once() {
        let findings = |write_stops| Findings { write_stops, ..findings() };
        let (quorum, _) = Cluster::parse(MINIMAL).expect("a cluster");
        let strict = Cluster { durability: Durability::Strict, ..quorum.clone() };
        assert_eq!(too_many_stops(Scenario::Roll, &quorum, &findings(1)), None);
        assert!(too_many_stops(Scenario::Roll, &quorum, &findings(2)).is_some());
        assert_eq!(too_many_stops(Scenario::Roll, &strict, &findings(4)), None);
        assert!(too_many_stops(Scenario::Roll, &strict, &findings(5)).is_some());
        assert_eq!(too_many_stops(Scenario::LeaderPowerOff, &quorum, &findings(2)), None);
    }

    #[test]
    fn async_promises_no_row() {
        assert!(
            broken(&Findings { lost: vec![7], ..findings() }, &promise(), Durability::Async)
                .is_empty()
        );
    }

    #[test]
    fn a_run_without_effect_or_end_proves_nothing() {
        let played = Played {
            history: History::default(),
            rows: Err("no".into()),
            health: Err("no leader".into()),
            took_effect: false,
        };
        assert_eq!(unfinished(Scenario::LeaderPowerOff, &played).len(), 3);
    }
}
