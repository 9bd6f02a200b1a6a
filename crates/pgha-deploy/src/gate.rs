//! Gates: waits with a name, a bound and, where stability matters, a time to hold.

use std::time::Duration;

use pgha_core::Cluster;
use pgha_core::cluster::Node;
use pgha_core::plan::Gate;
use pgha_platform::Provider;
// tokio's clock, which the simulation controls.
use tokio::time::Instant;

use crate::copy::Copies;
use crate::daemons::Daemons;
use crate::health::{Condition, Health};
use crate::watch::Watch;

const POLL: Duration = Duration::from_millis(250);

/// How often the console of a node that does not answer is read.
const LOOK: Duration = Duration::from_secs(2);

/// A gate that did not open.
#[derive(Debug, thiserror::Error)]
#[error("the cluster is not healthy after {seconds} s: {unmet}\n{diagnosis}")]
pub struct GateError {
    seconds: u64,
    unmet: String,
    /// The nodes that are the cause. Empty if every node does its work and something is still
    /// wrong.
    pub(crate) sick: Vec<String>,
    diagnosis: String,
}

/// Waits until every condition of a healthy cluster has held for as long as the gate says. A unit
/// that systemd restarts in that time breaks the hold, however quickly it is back.
///
/// # Errors
/// When the bound passes, or a node has given up. The error names the unmet conditions and shows
/// the last lines of each sick node.
pub async fn healthy<P: Provider, D: Daemons>(
    provider: &P,
    daemons: &D,
    cluster: &Cluster,
    gate: &Gate,
) -> Result<Health, GateError> {
    let mut wait = Wait::begin(gate);
    loop {
        let health = daemons.health().await;
        let mut unmet = wait.look(&health, cluster);
        if wait.has_held() {
            return Ok(health);
        }
        if let Some(sick) = wait.gives_up(provider, daemons, &health, cluster).await {
            let diagnosis = diagnoses(provider, daemons, cluster, &sick).await;
            unmet.extend(
                sick.iter().filter_map(|name| Some(format!("{name}: {}", wait.lost(name)?))),
            );
            return Err(GateError {
                seconds: wait.began.elapsed().as_secs(),
                unmet: unmet.join(", "),
                sick,
                diagnosis,
            });
        }
        tokio::time::sleep(POLL).await;
    }
}

/// One wait at a gate.
struct Wait<'g> {
    gate: &'g Gate,
    began: Instant,
    /// Since when every condition holds.
    since: Option<Instant>,
    /// When it was last asked whether a node has given up.
    asked: Instant,
    told: Option<Vec<String>>,
    watch: Watch,
    copies: Copies,
}

impl<'g> Wait<'g> {
    fn begin(gate: &'g Gate) -> Self {
        let now = Instant::now();
        let (watch, copies) = (Watch::default(), Copies::default());
        Self { gate, began: now, since: None, asked: now, told: None, watch, copies }
    }

    /// Takes in what the nodes say, and returns what is wrong.
    fn look(&mut self, health: &Health, cluster: &Cluster) -> Vec<String> {
        let conditions = health.conditions_despite(cluster, &self.gate.despite);
        tell(&conditions, &mut self.told);
        let crashed =
            self.watch.look(health, &self.gate.despite).then(|| "a unit was restarted".to_owned());
        let unmet = conditions
            .into_iter()
            .filter(|c| !c.met)
            .map(|c| c.text)
            .chain(crashed)
            .collect::<Vec<_>>();
        self.since = if unmet.is_empty() { self.since.or(Some(Instant::now())) } else { None };
        unmet
    }

    /// Why it is useless to wait for `name`.
    fn lost(&self, name: &str) -> Option<&'static str> {
        let silent = !self.gate.proves.is_empty() && self.watch.is_silent(name);
        self.watch.lost(name).or(silent.then_some("it does not answer"))
    }

    fn has_held(&self) -> bool {
        self.since
            .is_some_and(|since| since.elapsed().as_secs() >= u64::from(self.gate.held_seconds))
    }

    /// The nodes that are the cause, once waiting is useless.
    async fn gives_up<P: Provider, D: Daemons>(
        &mut self,
        provider: &P,
        daemons: &D,
        health: &Health,
        cluster: &Cluster,
    ) -> Option<Vec<String>> {
        let late = self.began.elapsed().as_secs() >= u64::from(self.gate.within_seconds);
        // A hold that has begun may finish, and so may a copy that still grows: it may be large.
        if self.since.is_none() && late && !self.copies.grow(daemons, health, cluster).await {
            let mut sick = health.sick(cluster);
            sick.retain(|name| !self.gate.despite.contains(name));
            return Some(sick);
        }
        if self.asked.elapsed() < LOOK {
            return None;
        }
        self.asked = Instant::now();
        let mut lost = Vec::new();
        let counts = |node: &&Node| !self.gate.despite.contains(&node.name);
        for Node { name, .. } in cluster.nodes.iter().filter(counts) {
            if self.lost(name).is_some()
                || health.silent().any(|silent| silent == name) && refused(provider, name).await
            {
                lost.push(name.clone());
            }
        }
        Some(lost).filter(|lost| !lost.is_empty())
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

/// Whether a node's console shows a refusal. Without its seed a node has no key to answer SSH with.
async fn refused<P: Provider>(provider: &P, node: &str) -> bool {
    provider
        .console(node)
        .await
        .unwrap_or_default()
        .lines()
        .any(|line| line.contains(": refused: "))
}

async fn diagnoses<P: Provider, D: Daemons>(
    provider: &P,
    daemons: &D,
    cluster: &Cluster,
    sick: &[String],
) -> String {
    let mut texts = Vec::new();
    for node in cluster.nodes.iter().filter(|node| sick.contains(&node.name)) {
        texts.push(diagnose(provider, daemons, node).await);
    }
    texts.join("\n")
}

/// Why a node is not what it should be: its failed units and their last lines, or its console if it
/// is out of reach.
async fn diagnose<P: Provider, D: Daemons>(provider: &P, daemons: &D, node: &Node) -> String {
    match daemons.failed_units(node).await {
        Some(units) => format!("{}: {units}", node.name),
        None => {
            let console = provider.console(&node.name).await.unwrap_or_default();
            format!("{} cannot be reached; its console ends with:\n{console}", node.name)
        }
    }
}
