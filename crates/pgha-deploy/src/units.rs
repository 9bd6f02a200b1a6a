//! The systemd units of a node. They reveal a daemon that crashes again and again and answers well
//! in between.

use std::collections::BTreeMap;
use std::time::Duration;

use pgha_platform::command::last_lines;
use pgha_platform::ssh::Session;

use crate::node_error::NodeError;

/// One unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// systemd's `ActiveState`: `active`, `activating`, `failed`, ...
    pub state: String,
    /// How often systemd has restarted it automatically since the node booted.
    pub restarts: u32,
    /// Seconds since it was last started. While no unit of the node has crashed it is not asked
    /// for, and is very large.
    pub up_seconds: u64,
}

/// Seconds that a unit must run per crash before it counts as steady. One crash may be chance, many
/// are a loop with a pause.
const STEADY_SECONDS: u64 = 5;

/// After this time it counts as steady, however often it crashed.
const STEADY_AT_LAST_SECONDS: u64 = 30;

/// How long to watch a unit that crashed. After this time it is steady, or it never will be.
pub(crate) const STEADIES: Duration = Duration::from_secs(STEADY_AT_LAST_SECONDS + 1);

/// From this number of crashes on, pgha does not wait for a daemon any more. The first two may have
/// other causes: an etcd member that boots alone, a port that is not free yet.
const CRASHES_ON: u32 = 3;

impl Unit {
    /// Whether it runs, or is a one-shot unit that has succeeded.
    pub fn is_active(&self) -> bool {
        self.state == "active"
    }

    /// Whether it runs, but crashed so recently that it may soon crash again.
    pub fn is_unsteady(&self) -> bool {
        let steady = STEADY_SECONDS * u64::from(self.restarts);
        self.is_active() && self.up_seconds < steady.min(STEADY_AT_LAST_SECONDS)
    }

    /// Whether it crashed so often that it will not recover by itself.
    pub fn crashes_on(&self) -> bool {
        self.restarts >= CRASHES_ON && (!self.is_active() || self.is_unsteady())
    }

    /// Whether systemd gave up on it. Daemons are restarted forever, so this unit has refused a
    /// seed or a volume.
    pub fn has_failed(&self) -> bool {
        self.state == "failed"
    }
}

/// By unit name.
pub type Units = BTreeMap<String, Unit>;

/// The state of the units `names` on the node behind `session`.
///
/// # Errors
/// When it does not answer.
pub(crate) async fn units(session: &Session, names: &[String]) -> Result<Units, NodeError> {
    let names = names.iter().map(String::as_str).collect::<Vec<_>>();
    let properties = "--property=ActiveState,NRestarts,ActiveEnterTimestamp";
    let show = [&["systemctl", "show", "--timestamp=unix", properties][..], &names].concat();
    let text = session.answer(&show).await?;
    let units = parse(&text, &names, "");
    if units.values().all(|unit| unit.restarts == 0) {
        return Ok(units);
    }
    let now = session.answer(&["date", "+%s"]).await?;
    Ok(parse(&text, &names, &now))
}

/// Lines of the journal in a report, shared by the units it is about.
const LINES: usize = 24;

/// What keeps the node behind `session` from its work: the units in trouble, and the last lines of
/// each. A unit that logs a lot must not push out the lines of another.
pub(crate) async fn report(session: &Session, promised: &[String]) -> String {
    let troubled = troubled(session, promised).await;
    if troubled.is_empty() {
        return format!("no unit failed; patroni.service\n{}", complaints(session).await);
    }
    let lines = format!("--lines={}", (LINES / troubled.len()).max(4));
    let mut report = troubled.join(", ");
    for unit in &troubled {
        let journal = [&JOURNAL[..], &[lines.as_str(), "--unit", unit]].concat();
        let said = session.run(&journal, b"").await.unwrap_or_default();
        report.push_str(&format!("\n{}", last_lines(said.as_bytes(), LINES)));
        if unit == PATRONI {
            // PostgreSQL's own errors are many lines further up.
            report.push_str(&format!("\n{}", complaints(session).await));
        }
    }
    report
}

const PATRONI: &str = "patroni.service";

const JOURNAL: [&str; 3] = ["journalctl", "--no-pager", "--output=short-monotonic"];

/// Units that failed or are being started. If there are none: units that crashed, which may be up
/// at this moment.
async fn troubled(session: &Session, promised: &[String]) -> Vec<String> {
    let states = "--state=failed,activating,auto-restart";
    let list = ["systemctl", "list-units", "--plain", "--no-legend", states];
    let listed = session.run(&list, b"").await.unwrap_or_default();
    let failed = listed.lines().filter_map(|line| line.split_whitespace().next());
    let failed = failed.map(str::to_owned).collect::<Vec<_>>();
    if !failed.is_empty() {
        return failed;
    }
    let all = units(session, promised).await.unwrap_or_default();
    all.into_iter().filter(|(_, unit)| unit.restarts > 0).map(|(name, _)| name).collect()
}

/// PostgreSQL's errors. Patroni itself logs in every round, so the last lines would not show them.
async fn complaints(session: &Session) -> String {
    let grep = ["--unit", PATRONI, "--grep=FATAL|PANIC|ERROR", "--lines=12"];
    let found = session.run(&[&JOURNAL[..], &grep].concat(), b"").await.unwrap_or_default();
    // journalctl(1): with --grep and --lines the newest comes first.
    let found = found.lines().rev().collect::<Vec<_>>().join("\n");
    last_lines(found.as_bytes(), LINES)
}

/// systemctl prints one paragraph per unit, in the order of `names`. A unit that does not exist is
/// `inactive`. `now`: the node's own clock, in seconds since 1970.
fn parse(text: &str, names: &[&str], now: &str) -> Units {
    let value = |paragraph: &str, key: &str| {
        paragraph.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default().to_owned()
    };
    let now = now.trim().parse::<u64>().ok();
    let unit = |paragraph| {
        let began = value(paragraph, "ActiveEnterTimestamp=@").parse::<u64>().ok();
        // A clock that was set back gives no result.
        let up = now.zip(began).and_then(|(now, began)| now.checked_sub(began));
        Unit {
            state: value(paragraph, "ActiveState="),
            restarts: value(paragraph, "NRestarts=").parse().unwrap_or(0),
            up_seconds: up.unwrap_or(u64::MAX),
        }
    };
    names.iter().map(|name| (*name).to_owned()).zip(text.split("\n\n").map(unit)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_systemctl_writes() {
        let text = "NRestarts=3\nActiveState=activating\n\nActiveState=inactive\n\nNRestarts=0\nActiveState=active\n";
        let units = parse(text, &["etcd.service", "pgha-guard.service", "haproxy.service"], "");
        let etcd = Unit { state: "activating".into(), restarts: 3, up_seconds: u64::MAX };
        assert_eq!(units["etcd.service"], etcd);
        assert!(!units["pgha-guard.service"].is_active() && units["haproxy.service"].is_active());
    }

    #[test]
    fn the_more_often_it_crashed_the_longer_it_must_run() {
        let unsteady = |restarts: u32, began: u64| {
            let text = format!(
                "NRestarts={restarts}\nActiveState=active\nActiveEnterTimestamp=@{began}\n"
            );
            parse(&text, &["a"], "100\n")["a"].is_unsteady()
        };
        assert!(!unsteady(0, 100) && unsteady(1, 96) && !unsteady(1, 95));
        assert!(unsteady(4, 81) && !unsteady(4, 80));
        assert!(unsteady(900, 71) && !unsteady(900, 70) && !unsteady(900, 101));
    }
}
