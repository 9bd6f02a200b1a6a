//! Gates: waits with a name, a bound and, where stability matters, a time to hold.

use std::time::{Duration, Instant};

use pgha_core::Cluster;
use pgha_core::cluster::Node;
use pgha_core::plan::Gate;
use pgha_platform::Provider;

use crate::fleet::Fleet;
use crate::health::{Condition, Health, diagnose};

const POLL: Duration = Duration::from_millis(250);

/// How often a node that is not well is asked whether it has given up.
const LOOK: Duration = Duration::from_secs(2);

/// Restarts after which a unit counts as crash-looping. At one second between restarts no healthy start needs so many.
const CRASH_LOOP: u32 = 10;

/// A gate that did not open.
#[derive(Debug, thiserror::Error)]
#[error("the cluster is not healthy after {seconds} s: {unmet}\n{diagnosis}")]
pub struct GateError {
    seconds: u64,
    unmet: String,
    diagnosis: String,
}

/// Waits until every condition of a healthy cluster holds, for as long as the gate says.
///
/// # Errors
/// When the bound passes, or a node has given up. Names the conditions and shows each sick node's last lines.
pub async fn healthy<P: Provider>(provider: &P, fleet: &Fleet, cluster: &Cluster, gate: Gate) -> Result<Health, GateError> {
    let (started, mut looked) = (Instant::now(), Instant::now());
    let (mut since, mut told) = (None, None);
    loop {
        let health = Health::observe(fleet).await;
        let conditions = health.conditions(cluster);
        tell(&conditions, &mut told);
        let unmet = conditions.iter().filter(|c| !c.met).map(|c| c.text.as_str()).collect::<Vec<_>>();
        since = if unmet.is_empty() { since.or(Some(Instant::now())) } else { None };
        if since.is_some_and(|since: Instant| since.elapsed().as_secs() >= u64::from(gate.held_seconds)) {
            return Ok(health);
        }
        let late = started.elapsed().as_secs() >= u64::from(gate.within_seconds);
        let mut diagnosis = None;
        if late {
            diagnosis = Some(diagnoses(provider, fleet, &health, cluster).await);
        } else if looked.elapsed() >= LOOK {
            looked = Instant::now();
            diagnosis = surrender(provider, fleet, &health, cluster).await;
        }
        if let Some(diagnosis) = diagnosis {
            return Err(GateError { seconds: started.elapsed().as_secs(), unmet: unmet.join(", "), diagnosis });
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Reports each condition once it comes true. What was true from the start is no news.
fn tell(conditions: &[Condition], told: &mut Option<Vec<String>>) {
    let first = told.is_none();
    let told = told.get_or_insert_default();
    for condition in conditions.iter().filter(|condition| condition.met) {
        if !told.contains(&condition.text) {
            if !first {
                tracing::info!("{}", condition.text);
            }
            told.push(condition.text.clone());
        }
    }
}

/// A node that refused its seed or its volume, or whose units crash again and again, will not change its mind: no use in
/// waiting for it.
async fn surrender<P: Provider>(provider: &P, fleet: &Fleet, health: &Health, cluster: &Cluster) -> Option<String> {
    for node in sick(fleet, health, cluster) {
        if health.nodes[&node.name].unreachable.is_some() {
            let console = provider.console(&node.name).await.unwrap_or_default();
            if let Some(line) = console.lines().rev().find(|line| line.contains(": refused: ")) {
                return Some(format!("{}: {}", node.name, line.trim()));
            }
        } else if has_given_up(fleet, node).await {
            return Some(diagnose(provider, fleet, node).await);
        }
    }
    None
}

async fn has_given_up(fleet: &Fleet, node: &Node) -> bool {
    let Ok(link) = fleet.link(node).await else { return false };
    let failed = ["systemctl", "is-failed", "--quiet", "pgha-seed.service", "pgha-data.service"];
    let daemons = ["etcd.service", "patroni.service", "pgbouncer.service", "haproxy.service"];
    let restarts = [&["systemctl", "show", "--property=NRestarts", "--value"][..], &daemons].concat();
    let refused = link.session.output(&failed, b"").await.is_ok_and(|output| output.status == Some(0));
    let counts = link.session.run(&restarts, b"").await.unwrap_or_default();
    refused || counts.lines().filter_map(|line| line.parse::<u32>().ok()).any(|count| count >= CRASH_LOOP)
}

fn sick<'f>(fleet: &'f Fleet, health: &Health, cluster: &Cluster) -> Vec<&'f Node> {
    let sick = health.sick(cluster);
    fleet.nodes.iter().filter(|node| sick.contains(&node.name)).collect()
}

async fn diagnoses<P: Provider>(provider: &P, fleet: &Fleet, health: &Health, cluster: &Cluster) -> String {
    let mut texts = Vec::new();
    for node in sick(fleet, health, cluster) {
        texts.push(diagnose(provider, fleet, node).await);
    }
    texts.join("\n")
}
