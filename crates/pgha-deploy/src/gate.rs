//! Gates: waits with a name, a bound and, where stability matters, a time to hold.

use std::time::{Duration, Instant};

use pgha_core::Cluster;
use pgha_core::cluster::{Node, Role};
use pgha_core::plan::Gate;
use pgha_platform::Provider;

use crate::fleet::Fleet;
use crate::health::{Condition, Health, NodeHealth, diagnose};

const POLL: Duration = Duration::from_millis(250);

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
/// When the bound passes, or a node has refused to start. Names the conditions and shows each sick node's last lines.
pub async fn healthy<P: Provider>(provider: &P, fleet: &Fleet, cluster: &Cluster, gate: Gate) -> Result<Health, GateError> {
    let started = Instant::now();
    let mut since = None;
    let mut told: Option<Vec<String>> = None;
    loop {
        let health = Health::observe(fleet).await;
        let conditions = health.conditions(cluster);
        tell(&conditions, &mut told);
        let unmet = conditions.iter().filter(|c| !c.met).map(|c| c.text.as_str()).collect::<Vec<_>>();
        since = if unmet.is_empty() { since.or(Some(Instant::now())) } else { None };
        if since.is_some_and(|since: Instant| since.elapsed().as_secs() >= u64::from(gate.held_seconds)) {
            return Ok(health);
        }
        let refused = refusal(provider, fleet, &health).await;
        if refused.is_some() || started.elapsed().as_secs() >= u64::from(gate.within_seconds) {
            let seconds = started.elapsed().as_secs();
            let diagnosis = match refused {
                Some(line) => line,
                None => diagnoses(provider, fleet, &health).await,
            };
            return Err(GateError { seconds, unmet: unmet.join(", "), diagnosis });
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

/// A node that refused its seed or its volume will not change its mind: no use in waiting for it.
async fn refusal<P: Provider>(provider: &P, fleet: &Fleet, health: &Health) -> Option<String> {
    for node in &fleet.nodes {
        let state = &health.nodes[&node.name];
        if state.unreachable.is_some() {
            let console = provider.console(&node.name).await.unwrap_or_default();
            if let Some(line) = console.lines().rev().find(|line| line.contains(": refused: ")) {
                return Some(format!("{}: {}", node.name, line.trim()));
            }
        } else if is_silent(node, state) && has_refused(fleet, node).await {
            return Some(diagnose(provider, fleet, node).await);
        }
    }
    None
}

/// Whether none of the daemons that need the node's seed and volume answered.
fn is_silent(node: &Node, state: &NodeHealth) -> bool {
    let stores = node.role_set.has(Role::Etcd) || node.role_set.has(Role::Postgres);
    if stores { state.etcd.is_none() && state.view.is_none() } else { state.pools.is_none() }
}

async fn has_refused(fleet: &Fleet, node: &Node) -> bool {
    let Ok(link) = fleet.link(node).await else { return false };
    let failed = ["systemctl", "is-failed", "--quiet", "pgha-seed.service", "pgha-data.service"];
    link.session.output(&failed, b"").await.is_ok_and(|output| output.status == Some(0))
}

async fn diagnoses<P: Provider>(provider: &P, fleet: &Fleet, health: &Health) -> String {
    let leader = health.leader().map(|member| member.name.clone());
    let mut texts = Vec::new();
    for node in fleet.nodes.iter().filter(|node| leader.as_ref() != Some(&node.name)) {
        texts.push(diagnose(provider, fleet, node).await);
    }
    texts.join("\n")
}
