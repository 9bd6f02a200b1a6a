//! The world as a plan needs it: the provider's servers, and what the daemons of a formed cluster say.

use std::collections::BTreeSet;

use pgha_core::cluster::Durability;
use pgha_core::inventory::{Inventory, Observed, Pending, Server};
use pgha_core::{Cluster, Digest};
use pgha_platform::{Provider, ProviderError};

use crate::declare;
use crate::fleet::Fleet;
use crate::health::Health;

/// Six seconds in all: the slowest check interval of preset fast, and one second more.
const SETTLE_LOOKS: u32 = 12;
const SETTLE_PAUSE: std::time::Duration = std::time::Duration::from_millis(500);

/// The provider's servers in the plan's terms.
///
/// # Errors
/// When the provider cannot be asked.
pub async fn servers<P: Provider>(provider: &P) -> Result<Inventory, ProviderError> {
    let label = |server: &pgha_platform::Server, name: &str| server.labels.get(name).cloned().unwrap_or_default();
    let found = provider.servers().await?.into_iter().map(|server| Server {
        image: Digest::from(label(&server, "image")),
        seed: Digest::from(label(&server, "seed")),
        previous_image: server.labels.get("previous_image").cloned().map(Digest::from),
        generation: label(&server, "generation").parse().unwrap_or(0),
        since: server.labels.get("since").cloned(),
        formed: label(&server, "formed") == "yes",
        running: server.running,
        address: server.address,
        name: server.name,
    });
    Ok(Inventory { servers: found.collect(), observed: None })
}

/// The servers, and what the daemons of a formed cluster say.
///
/// # Errors
/// When the provider cannot be asked. A node that does not answer is part of what is observed.
pub async fn world<P: Provider>(provider: &P, fleet: &Fleet, cluster: &Cluster) -> Result<Inventory, ProviderError> {
    let mut world = servers(provider).await?;
    if world.servers.iter().any(|server| server.formed) && world.servers.iter().all(|server| server.running) {
        world.observed = Some(observed(fleet, cluster).await);
    }
    Ok(world)
}

async fn observed(fleet: &Fleet, cluster: &Cluster) -> Observed {
    let dynamic = config(fleet).await;
    // The cluster that runs is judged by what it runs with: a file that asks for more durability finds nothing broken.
    let running = Cluster { durability: durability(dynamic.as_ref()).unwrap_or(cluster.durability), ..cluster.clone() };
    let health = settled(fleet, &running).await;
    Observed {
        leader: health.leader().map(|member| member.name.clone()),
        unmet: health.conditions(&running).into_iter().filter(|condition| !condition.met).map(|condition| condition.text).collect(),
        sick: health.sick(&running),
        pending: pending(&health),
        objects: objects(fleet, &running, &health).await,
        dynamic,
    }
}

fn durability(dynamic: Option<&serde_json::Value>) -> Option<Durability> {
    let dynamic = dynamic?;
    Some(match &dynamic["synchronous_mode"] {
        serde_json::Value::String(_) => Durability::Quorum,
        serde_json::Value::Bool(true) => Durability::Strict,
        _ => Durability::Async,
    })
}

fn pending(health: &Health) -> Vec<Pending> {
    let members = health.view().map_or(&[][..], |view| &view.members);
    let waiting = members.iter().flat_map(|member| member.pending_restart_reason.iter().map(move |change| (member, change)));
    let pending = waiting.map(|(member, (parameter, change))| Pending {
        node: member.name.clone(),
        parameter: parameter.clone(),
        old: change.old_value.clone(),
        new: change.new_value.clone(),
    });
    pending.collect()
}

/// What the leader has of roles, databases and extensions.
async fn objects(fleet: &Fleet, cluster: &Cluster, health: &Health) -> Option<BTreeSet<String>> {
    let leader = cluster.node(&health.leader()?.name)?;
    let link = fleet.link(leader).await.ok()?;
    declare::existing(&link.session, cluster).await.inspect_err(|error| tracing::debug!("{error}")).ok()
}

/// The health of the cluster, looked at again for a few seconds while something is wrong: one late answer or one check of
/// HAProxy in between must not refuse a plan.
async fn settled(fleet: &Fleet, cluster: &Cluster) -> Health {
    let mut health = Health::observe(fleet).await;
    for _ in 0..SETTLE_LOOKS {
        if health.conditions(cluster).iter().all(|condition| condition.met) {
            break;
        }
        tokio::time::sleep(SETTLE_PAUSE).await;
        health = Health::observe(fleet).await;
    }
    health
}

/// The dynamic configuration, from the first Patroni that answers.
async fn config(fleet: &Fleet) -> Option<serde_json::Value> {
    for node in &fleet.nodes {
        if let Ok(link) = fleet.link(node).await
            && let Some(patroni) = &link.patroni
            && let Ok(config) = patroni.config().await
        {
            return Some(config);
        }
    }
    None
}
