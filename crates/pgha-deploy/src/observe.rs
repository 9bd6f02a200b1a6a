//! The world as a plan needs it: the provider's servers, and what the daemons of a formed cluster
//! say.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use pgha_core::cluster::Node;
use pgha_core::inventory::{Ailment, Inventory, Observed, Pending, Server};
use pgha_core::{Cluster, Dynamic, Object};
use pgha_platform::{Provider, ProviderError};
use tokio::time::Instant;

use crate::daemons::{Daemons, Untaken, per_member_lines};
use crate::health::{Condition, Health};
use crate::patroni::Member;
use crate::units::STEADIES;

/// How long a passing problem may last: the slowest check interval of preset fast, and one second more.
pub(crate) const SETTLE: Duration = Duration::from_secs(6);
const SETTLE_PAUSE: Duration = Duration::from_millis(500);

/// The provider's servers in the plan's terms.
///
/// # Errors
/// When the provider cannot be asked.
pub async fn servers<P: Provider>(provider: &P) -> Result<Inventory, ProviderError> {
    let now = jiff::Timestamp::now().as_second();
    let read = |server: pgha_platform::Server| {
        Server::read(&server.name, server.address, server.running, &server.labels, now)
    };
    let servers = provider.servers().await?.into_iter().map(read).collect();
    Ok(Inventory { servers, ..Inventory::default() })
}

/// The servers, and what the daemons of a formed cluster say. While something is wrong, looks again
/// for `patience`.
///
/// # Errors
/// When the provider cannot be asked. A node that does not answer is part of what is observed.
pub async fn world<P: Provider, D: Daemons>(
    provider: &P,
    daemons: &D,
    cluster: &Cluster,
    patience: Duration,
) -> Result<Inventory, ProviderError> {
    let mut world = servers(provider).await?;
    world.leftovers = provider.leftovers().await?;
    let runs =
        |formed| world.servers.iter().any(|server| server.running && server.formed == formed);
    if runs(true) {
        let mut observed = observed(daemons, cluster, patience).await;
        // A server that is off does not answer, and nothing is wrong with it.
        let is_off = |server: &Server| !server.running;
        for server in world.servers.iter().filter(|server| is_off(server)) {
            observed.ailing.remove(&server.name);
        }
        world.observed = Some(observed);
    } else if runs(false) {
        world.is_blank = daemons.is_blank(cluster).await;
    }
    Ok(world)
}

/// What the daemons of a formed cluster say.
pub(crate) async fn observed<D: Daemons>(
    daemons: &D,
    cluster: &Cluster,
    patience: Duration,
) -> Observed {
    let dynamic = daemons.config().await;
    // A running cluster is judged by the configuration it runs with. A cluster file that asks for
    // more durability does not make it broken.
    let running = running(cluster, dynamic.as_ref());
    let (health, altered) =
        tokio::join!(settled(daemons, &running, patience), daemons.altered(&cluster.nodes));
    let (objects, slots, barred) = told_by_leader(daemons, &running, &health).await;
    let untaken = match &dynamic {
        Some(dynamic) if health.leader().is_some() => {
            untaken(daemons, &health.with_running_postgres(cluster), dynamic, patience).await
        }
        _ => Untaken::new(),
    };
    let unmet = health.conditions(&running).into_iter().filter(|condition| !condition.met);
    Observed {
        leader: health.leader().map(|member| member.name.clone()),
        unmet: unmet
            .map(|condition| condition.text)
            .chain(per_member_lines(&untaken))
            .chain(per_member_lines(&altered))
            .collect(),
        paused: health.view().is_some_and(|view| view.pause),
        sick: health.sick(&running),
        lost: health.lost(&running),
        stuck: health.stuck(),
        ailing: ailing(daemons, &running, &health).await,
        copying: health.copying(&running).map(|node| node.name.clone()).collect(),
        etcd_lost: etcd_lost(daemons, &running, &health).await.map(str::to_owned),
        hung: health.hung(&running),
        idle: health.idle(&running),
        altered,
        etcd_is_full: health.etcd_is_full(),
        pending: pending(&health, cluster),
        objects,
        barred,
        slots,
        untaken,
        dynamic,
    }
}

/// What is inside PostgreSQL, its slots, and what its clients cannot use. Empty if there is no leader.
async fn told_by_leader<D: Daemons>(
    daemons: &D,
    running: &Cluster,
    health: &Health,
) -> (Option<BTreeSet<Object>>, Vec<String>, Vec<String>) {
    let leader = health.leader().and_then(|leader| running.node(&leader.name));
    let Some(leader) = leader else { return Default::default() };
    tokio::join!(
        daemons.objects(leader, running),
        daemons.slots(leader),
        daemons.barred(leader, running)
    )
}

/// The node whose etcd member has lost its data, while all others are whole.
pub(crate) async fn etcd_lost<'c, D: Daemons>(
    daemons: &D,
    cluster: &'c Cluster,
    health: &Health,
) -> Option<&'c str> {
    let node = health.etcd_crashes(cluster)?;
    daemons.has_lost_member(node).await.then_some(node.name.as_str())
}

/// Nodes whose copy does not become whole by waiting, and why.
pub(crate) async fn ailing<D: Daemons>(
    daemons: &D,
    cluster: &Cluster,
    health: &Health,
) -> BTreeMap<String, Ailment> {
    let silent = health.silent().map(|node| (node.to_owned(), Ailment::Silent));
    let mut ailing = silent.collect::<BTreeMap<_, _>>();
    for node in cluster.nodes.iter().filter(|node| health.lacks_its_copy(node)) {
        if let Some(ailment) = daemons.ailment(node, health).await {
            ailing.insert(node.name.clone(), ailment);
        }
    }
    ailing
}

/// What some member has not taken of the dynamic configuration after it has had time to.
async fn untaken<D: Daemons>(
    daemons: &D,
    members: &[&Node],
    dynamic: &Dynamic,
    patience: Duration,
) -> Untaken {
    let until = Instant::now() + patience;
    loop {
        let untaken = daemons.not_taken(members, dynamic).await;
        if untaken.is_empty() || Instant::now() > until {
            return untaken;
        }
        tokio::time::sleep(SETTLE_PAUSE).await;
    }
}

/// The cluster as it runs now: with the durability that is in etcd.
pub(crate) fn running(cluster: &Cluster, dynamic: Option<&Dynamic>) -> Cluster {
    Cluster {
        durability: dynamic.map_or(cluster.durability, Dynamic::durability),
        ..cluster.clone()
    }
}

/// Parameters that wait for a restart. A member that does not run needs more than that, and its answer may come from damaged data.
fn pending(health: &Health, cluster: &Cluster) -> Vec<Pending> {
    let runs = health.with_running_postgres(cluster);
    let runs = |member: &&Member| runs.iter().any(|node| node.name == member.name);
    let members = health.view().map_or(&[][..], |view| &view.members);
    let waiting = members.iter().filter(runs).flat_map(|member| {
        member.pending_restart_reason.iter().map(move |change| (member, change))
    });
    let pending = waiting.map(|(member, (parameter, change))| Pending {
        node: member.name.clone(),
        parameter: parameter.clone(),
        old: change.old_value.clone(),
        new: change.new_value.clone(),
    });
    pending.collect()
}

/// The health of the cluster. While something is wrong, looks again for a few seconds: one late
/// answer or one HAProxy check in between must not refuse a plan.
async fn settled<D: Daemons>(daemons: &D, cluster: &Cluster, patience: Duration) -> Health {
    // Bounded by time, because a Patroni without PostgreSQL takes seconds to answer.
    let began = Instant::now();
    let mut amiss = began;
    loop {
        let health = daemons.health().await;
        let met = |conditions: Vec<Condition>| conditions.iter().all(|condition| condition.met);
        // If only a recent crash is wrong, the unit gets the time it needs.
        if met(health.conditions_despite(cluster, &[])) {
            amiss = Instant::now();
        }
        let late = amiss.elapsed() >= patience || began.elapsed() >= STEADIES;
        if met(health.conditions(cluster)) || late {
            return health;
        }
        tokio::time::sleep(SETTLE_PAUSE).await;
    }
}
