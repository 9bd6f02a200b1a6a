//! The state of a cluster as `pgha status` shows it. `--json` has these fields under these names, and
//! none is ever taken away.

mod inside;
mod volume;
mod warnings;

use std::collections::BTreeMap;

use futures_util::future::join_all;
use pgha_core::Dynamic;
use pgha_core::cluster::{Node, Role};
use pgha_core::inventory::Inventory;
use pgha_core::render::Rendered;
use pgha_core::{Cluster, Digest};
use serde::Serialize;

use crate::daemons::{Daemons, per_member_lines};
use crate::etcd::EtcdStatus;
use crate::fleet::Fleet;
use crate::haproxy::Pools;
use crate::health::{Condition, Health};
use crate::pooler::Pool;
use crate::probe::Answer;
use crate::{observe, seed};
use inside::{Inside, inside};

/// A cluster at one moment.
#[derive(Debug, Clone, Serialize)]
pub struct Status {
    /// Its name.
    pub cluster: String,
    /// Whether every condition of health is met.
    pub healthy: bool,
    /// The conditions, met or not.
    pub conditions: Vec<Condition>,
    /// What an operator should know beyond that.
    pub warnings: Vec<String>,
    /// Digest of the dynamic configuration in etcd. Absent: no Patroni answered.
    pub dynamic: Option<String>,
    /// Whether that is the cluster file's.
    pub dynamic_current: Option<bool>,
    /// The nodes, by name.
    pub nodes: Vec<NodeStatus>,
}

/// One node.
#[derive(Debug, Clone, Serialize)]
pub struct NodeStatus {
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: std::net::Ipv4Addr,
    /// Whether its provider says that it runs.
    pub running: bool,
    /// Why it could not be reached.
    pub unreachable: Option<String>,
    /// `leader`, `replica`, `sync_standby` or `quorum_standby`.
    pub role: Option<String>,
    /// What PostgreSQL does, in Patroni's words.
    pub state: Option<String>,
    /// PostgreSQL's timeline.
    pub timeline: Option<u64>,
    /// Bytes of WAL it has not received.
    pub lag_bytes: Option<u64>,
    /// Bytes of WAL it has not replayed: changes that its readers do not see yet.
    pub replay_lag_bytes: Option<u64>,
    /// Whether a changed parameter waits for a restart.
    pub pending_restart: bool,
    /// Its etcd member.
    pub etcd: Option<EtcdStatus>,
    /// The result of a new session at each of its doors for SQL clients.
    pub sessions: BTreeMap<String, Answer>,
    /// The connections of its poolers.
    pub pooler: Vec<Pool>,
    /// The state of every server as its HAProxy sees it, by pool.
    pub haproxy: Option<Pools>,
    /// Digest of its image, as its provider knows it.
    pub image: String,
    /// Digest of its seed.
    pub seed: String,
    /// Whether that is the seed it should have.
    pub seed_current: bool,
    /// When it was given this image and seed, in RFC 3339.
    pub since: Option<String>,
    /// Whether its image has the cluster file's files, and the newest package root that this
    /// machine has built.
    pub image_current: Option<bool>,
    /// What its guard last found: `idle`, `confirmed`, `watching`, `unconfirmed` or `fenced`.
    pub guard: Option<String>,
    /// Why it refused to start.
    pub refused: Option<String>,
    /// Units that failed.
    pub failed_units: Vec<String>,
    /// Days until its first certificate expires. Negative: it has expired.
    pub certificate_days: Option<i64>,
    /// How full its data volume is, in percent.
    pub volume_percent: Option<u8>,
}

/// What a node should have.
struct Wanted<'w> {
    tree: Digest,
    /// Absent: this machine has built none.
    package_root: Option<&'w Digest>,
    seed: Digest,
}

impl Status {
    /// Asks every node at once. `package_root` is the newest one, if it is known.
    pub async fn observe(
        cluster: &Cluster,
        rendered: &Rendered,
        package_root: Option<&Digest>,
        fleet: &Fleet,
        world: &Inventory,
    ) -> Self {
        let health = Health::observe(fleet).await;
        let look = |node| inside(fleet, node, health.nodes.get(&node.name));
        let insides = join_all(fleet.nodes.iter().map(look)).await;
        let config = insides.iter().find_map(|inside| inside.config.as_ref());
        let dynamic = config.map(|config| config.digest().short().to_owned());
        let dynamic_current = config.map(|config| *config == rendered.dynamic);
        let conditions = conditions(cluster, fleet, &health, config).await;
        let mut warnings = seen_from_outside(cluster, fleet, &health, world).await;
        warnings.extend(seen_inside(cluster, fleet, &insides));
        let pairs = fleet.nodes.iter().zip(insides);
        let wanted = |node: &Node| Wanted {
            tree: rendered.trees[&node.role_set].digest(),
            package_root,
            seed: seed::digest(rendered, node, fleet.secrets()),
        };
        let nodes = pairs
            .map(|(node, inside)| node_status(node, inside, &health, world, wanted(node)))
            .collect();
        let healthy = conditions.iter().all(|condition| condition.met);
        Self {
            cluster: cluster.name.clone(),
            healthy,
            conditions,
            warnings,
            dynamic,
            dynamic_current,
            nodes,
        }
    }
}

/// Warnings that follow from what the daemons say.
async fn seen_from_outside(
    cluster: &Cluster,
    fleet: &Fleet,
    health: &Health,
    world: &Inventory,
) -> Vec<String> {
    let mut warnings = warnings::of_cluster(cluster, health);
    let ailing = observe::ailing(fleet, cluster, health).await;
    let lost = observe::etcd_lost(fleet, cluster, health).await;
    warnings.extend(lost.map(warnings::etcd_lost));
    let is_off = |node: &str| world.server(node).is_none_or(|server| !server.running);
    let ailing = ailing.iter().filter(|(node, _)| !is_off(node));
    warnings.extend(ailing.map(|(node, ailment)| warnings::copy_problem(node, ailment)));
    let leader = health.leader().and_then(|leader| cluster.node(&leader.name));
    if let Some(leader) = leader {
        let barred = fleet.barred(leader, cluster).await;
        warnings.extend(barred.into_iter().map(warnings::barred));
    }
    warnings
}

/// Warnings that follow from what was read on the nodes.
fn seen_inside(cluster: &Cluster, fleet: &Fleet, insides: &[Inside]) -> Vec<String> {
    let nodes = || fleet.nodes.iter().zip(insides);
    let of_node = |(node, inside): (&Node, &Inside)| {
        let pools = warnings::full_pools(&node.name, &inside.pooler, &cluster.pgbouncer);
        let ends = warnings::certificate_expiry(&node.name, inside.certificate_days);
        pools.into_iter().chain(ends).collect::<Vec<_>>()
    };
    let volumes = nodes().filter_map(|(node, inside)| Some((node, inside.volume?)));
    let volumes = volume::warnings(cluster, &volumes.collect::<Vec<_>>());
    nodes().flat_map(of_node).chain(volumes).collect()
}

/// The conditions of health, that `config` is in force, and that no node was changed since its
/// boot.
async fn conditions(
    cluster: &Cluster,
    fleet: &Fleet,
    health: &Health,
    config: Option<&Dynamic>,
) -> Vec<Condition> {
    let mut conditions = health.conditions(cluster);
    if let Some(config) = config.filter(|_| health.leader().is_some()) {
        let asked = health.with_running_postgres(cluster);
        let untaken = fleet.not_taken(&asked, config).await;
        let members = cluster.nodes_with(Role::Postgres).count();
        conditions.push(in_force(&per_member_lines(&untaken), asked.len(), members));
    }
    let altered = per_member_lines(&fleet.altered(&cluster.nodes).await);
    if !altered.is_empty() {
        let text = format!("nodes are not what they booted: {}", altered.join("; "));
        conditions.push(Condition { text, met: false });
    }
    conditions
}

/// In force means that every member has taken it. A member that does not run was not asked, which
/// is another condition. If no member was asked, nothing is known.
fn in_force(untaken: &[String], asked: usize, members: usize) -> Condition {
    let named = untaken.join("; ");
    let text = if named.is_empty() {
        format!("the dynamic configuration is in force on {asked} of {members} members")
    } else {
        format!("the dynamic configuration is not in force everywhere: {named}")
    };
    Condition { met: named.is_empty() && asked > 0, text }
}

fn node_status(
    node: &Node,
    inside: Inside,
    health: &Health,
    world: &Inventory,
    wanted: Wanted<'_>,
) -> NodeStatus {
    let heard = health.nodes.get(&node.name).cloned().unwrap_or_default();
    let member =
        health.view().and_then(|view| view.members.iter().find(|member| member.name == node.name));
    let server = world.server(&node.name);
    let lag = member.and_then(|member| health.lag(member));
    NodeStatus {
        name: node.name.clone(),
        address: node.address,
        running: server.is_some_and(|server| server.running),
        unreachable: heard.unreachable,
        role: member.map(|member| member.role.clone()),
        state: member.map(|member| member.state.clone()),
        timeline: member.and_then(|member| member.timeline),
        lag_bytes: lag.map(|lag| lag.received),
        replay_lag_bytes: lag.map(|lag| lag.replayed),
        pending_restart: member.is_some_and(|member| member.pending_restart),
        etcd: heard.etcd,
        sessions: heard.sessions.unwrap_or_default().doors,
        haproxy: heard.pools,
        image: server.map(|server| server.given.image.short().to_owned()).unwrap_or_default(),
        seed: server.map(|server| server.given.seed.short().to_owned()).unwrap_or_default(),
        since: server.and_then(|server| server.since.clone()),
        seed_current: server.is_some_and(|server| server.given.seed == wanted.seed),
        image_current: inside.runs(&wanted),
        pooler: inside.pooler,
        guard: inside.guard,
        refused: inside.refused,
        failed_units: inside.failed_units,
        certificate_days: inside.certificate_days,
        volume_percent: inside.volume.map(|volume| volume.percent),
    }
}
