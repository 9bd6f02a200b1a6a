//! Gates: waits with a name, a bound and, where stability matters, a time to hold.

use std::time::Duration;

use pgha_core::Cluster;
use pgha_core::cluster::Node;
use pgha_core::plan::Gate;
use pgha_platform::Provider;
// tokio's clock, which the simulation turns.
use tokio::time::Instant;

use crate::daemons::Daemons;
use crate::health::{Condition, Health};

const POLL: Duration = Duration::from_millis(250);

/// How often a node that is not well is asked whether it has given up.
const LOOK: Duration = Duration::from_secs(2);

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
pub async fn healthy<P: Provider, D: Daemons>(provider: &P, daemons: &D, cluster: &Cluster, gate: Gate) -> Result<Health, GateError> {
    let (started, mut looked) = (Instant::now(), Instant::now());
    let (mut since, mut told) = (None, None);
    loop {
        let health = daemons.health().await;
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
            diagnosis = Some(diagnoses(provider, daemons, &health, cluster).await);
        } else if looked.elapsed() >= LOOK {
            looked = Instant::now();
            diagnosis = surrender(provider, daemons, &health, cluster).await;
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
async fn surrender<P: Provider, D: Daemons>(provider: &P, daemons: &D, health: &Health, cluster: &Cluster) -> Option<String> {
    for node in sick(health, cluster) {
        if health.nodes[&node.name].unreachable.is_some() {
            let console = provider.console(&node.name).await.unwrap_or_default();
            if let Some(line) = console.lines().rev().find(|line| line.contains(": refused: ")) {
                return Some(format!("{}: {}", node.name, line.trim()));
            }
        } else if daemons.has_given_up(node).await {
            return Some(diagnose(provider, daemons, node).await);
        }
    }
    None
}

fn sick<'c>(health: &Health, cluster: &'c Cluster) -> Vec<&'c Node> {
    let sick = health.sick(cluster);
    cluster.nodes.iter().filter(|node| sick.contains(&node.name)).collect()
}

async fn diagnoses<P: Provider, D: Daemons>(provider: &P, daemons: &D, health: &Health, cluster: &Cluster) -> String {
    let mut texts = Vec::new();
    for node in sick(health, cluster) {
        texts.push(diagnose(provider, daemons, node).await);
    }
    texts.join("\n")
}

/// Why a node is not what it should be: its failed units and their last lines, or its console if it is out of reach.
async fn diagnose<P: Provider, D: Daemons>(provider: &P, daemons: &D, node: &Node) -> String {
    match daemons.failed_units(node).await {
        Some(units) => format!("{}: {units}", node.name),
        None => {
            let console = provider.console(&node.name).await.unwrap_or_default();
            format!("{} cannot be reached; its console ends with:\n{console}", node.name)
        }
    }
}
