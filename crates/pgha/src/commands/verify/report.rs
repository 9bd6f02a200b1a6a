//! Verdicts: one line for people, one file for programs, and a table over several runs.

use std::path::Path;

use pgha_core::Cluster;
use pgha_core::cluster::{Durability, Fault, Role, WriteStop};
use pgha_platform::files::{self, FileError};
use pgha_verify::{Findings, History, checker};
use serde::Serialize;

use super::run::Played;
use super::{Scenario, stall};
use crate::failure::Failure;
use crate::workspace::Workspace;

/// What one run showed, and whether the cluster kept its promises.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Verdict {
    scenario: String,
    run: u32,
    durability: Durability,
    preset: String,
    version: &'static str,
    commit: &'static str,
    promise: WriteStop,
    #[serde(flatten)]
    findings: Findings,
    /// Seconds from the end of the fault until the whole cluster was healthy again. Absent: it
    /// never was.
    health_seconds: Option<f64>,
    broken_promises: Vec<String>,
    pub(super) kept: bool,
}

impl Verdict {
    pub(super) fn new(
        workspace: &Workspace,
        scenario: Scenario,
        run: u32,
        played: &Played,
    ) -> Self {
        let cluster = &workspace.cluster;
        // Rows that could not be read are no proof of a loss; that they could not be read is a
        // broken promise of its own.
        let findings = checker::judge(
            &played.history,
            played.rows.as_ref().unwrap_or(&played.history.acknowledged()),
        );
        let promise = promise(scenario, cluster);
        let mut broken_promises = unfinished(scenario, played);
        broken_promises.extend(broken(&findings, &promise, cluster.durability));
        broken_promises.extend(too_many_stops(scenario, cluster, &findings));
        Self {
            scenario: scenario.to_string(),
            run,
            durability: cluster.durability,
            preset: cluster.preset.to_string(),
            version: env!("CARGO_PKG_VERSION"),
            commit: env!("PGHA_COMMIT"),
            promise,
            findings,
            health_seconds: played.health.as_ref().ok().copied(),
            kept: broken_promises.is_empty(),
            broken_promises,
        }
    }

    /// The line people read.
    pub(super) fn line(&self) -> String {
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

/// What kept the run from showing what it was made to show.
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

/// How long one stop of writes may take, whatever stops them in this scenario.
fn promise(scenario: Scenario, cluster: &Cluster) -> WriteStop {
    let fault = cluster.write_stop(scenario.fault());
    if scenario == Scenario::NodePausedStandbyStalled && cluster.durability == Durability::Strict {
        return fault.longer_by("stalled standby", stall::seconds(cluster, scenario));
    }
    let replica = cluster.write_stop(Fault::ReplicaStopped);
    let waits = scenario == Scenario::Roll && !any_replica_will_do(cluster);
    if waits && replica.worst_seconds > fault.worst_seconds { replica } else { fault }
}

/// Whether no commit waits for one certain replica.
fn any_replica_will_do(cluster: &Cluster) -> bool {
    let replicas = cluster.nodes_with(Role::Postgres).count() - 1;
    cluster.durability.bears_a_stopped_replica(replicas)
}

/// One change of leader is one stop, and a planned one has no second. But where commits wait for a
/// certain replica, each time that is rebuilt they wait until another takes its place.
fn too_many_stops(scenario: Scenario, cluster: &Cluster, findings: &Findings) -> Option<String> {
    let nodes = cluster.nodes_with(Role::Postgres).count();
    let most = if any_replica_will_do(cluster) { 1 } else { 1 + nodes };
    let planned = scenario.fault() == Fault::Switchover;
    (planned && findings.write_stops > most)
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

/// Writes history.jsonl and verdict.json.
pub(super) fn save(dir: &Path, history: &History, verdict: &Verdict) -> Result<(), Failure> {
    files::make_dir(dir, 0o755)?;
    let path = dir.join("history.jsonl");
    let mut lines = Vec::new();
    history.write(&mut lines).map_err(FileError::at("write", &path))?;
    files::write(&path, &lines, 0o644)?;
    let text = serde_json::to_string_pretty(verdict).unwrap_or_default();
    Ok(files::write(&dir.join("verdict.json"), text.as_bytes(), 0o644)?)
}

/// A line for each scenario over all its runs.
pub(super) fn summary(verdicts: &[Verdict]) -> String {
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

    const MINIMAL: &str = include_str!("../../../../../tests/clusters/minimal.toml");

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
