//! Observes the health of a cluster. Every node is asked at once.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;
use pgha_core::cluster::{Node, Role};

use super::{Fleet, Link};
use crate::health::{Health, LOOP_UNITS, NodeHealth};
use crate::instance::Instance;
use crate::node_error::{NodeError, with_causes};
use crate::patroni::View;
use crate::pooler::{self, Pooler};
use crate::probe::{POSTGRES, Sessions};
use crate::units::Unit;
use crate::{haproxy, units};

impl Health {
    /// Asks every node at once, and then the replicas for their view of the cluster.
    pub async fn observe(fleet: &Fleet) -> Self {
        let answers = join_all(fleet.nodes.iter().map(|node| ask(fleet, node))).await;
        let mut health =
            Self { nodes: fleet.nodes.iter().map(|node| node.name.clone()).zip(answers).collect() };
        health.add_views(fleet, |instance| !instance.is_primary()).await;
        if health.view().is_none() {
            health.add_views(fleet, Instance::is_primary).await;
        }
        health
    }

    /// Adds the view of every node for which `asked` holds, and its current WAL position. That is
    /// read later than the leader's, so that WAL written between two answers does not look like a
    /// lag.
    async fn add_views(&mut self, fleet: &Fleet, asked: impl Fn(&Instance) -> bool) {
        let chosen = |node: &&Node| self.instance(&node.name).is_some_and(&asked);
        let chosen = fleet.nodes.iter().filter(chosen).collect::<Vec<_>>();
        let seen = join_all(chosen.iter().map(|node| view(fleet, node))).await;
        for (node, seen) in chosen.into_iter().zip(seen) {
            let heard = self.nodes.entry(node.name.clone()).or_default();
            if let Some((view, instance)) = seen {
                heard.before = heard.instance.replace(instance);
                heard.view = Some(view);
            }
        }
    }
}

async fn view(fleet: &Fleet, node: &Node) -> Option<(View, Instance)> {
    let link = fleet.link(node).await.ok()?;
    let patroni = link.patroni.as_ref()?;
    Some((answered(Some(patroni.cluster().await))?, answered(Some(patroni.instance().await))?))
}

async fn ask(fleet: &Fleet, node: &Node) -> NodeHealth {
    let link = match fleet.link(node).await {
        Ok(link) => link,
        Err(error) => {
            return NodeHealth { unreachable: Some(with_causes(&error)), ..NodeHealth::default() };
        }
    };
    let etcd = async { Some(link.etcd.as_ref()?.status().await) };
    let instance = async { Some(link.patroni.as_ref()?.instance().await) };
    let proxy = node.role_set.has(Role::Haproxy);
    let pools = async { if proxy { Some(haproxy::pools(&link.session).await) } else { None } };
    let units = units::units(&link.session, &link.units);
    let (etcd, instance, pools, units) = tokio::join!(etcd, instance, pools, units);
    let (etcd, instance, pools, units) =
        (answered(etcd), answered(instance), answered(pools), answered(Some(units)));
    let unit = |name: &str| units.as_ref().and_then(|units| units.get(name));
    let is_down = unit("haproxy.service").is_some_and(|unit| !unit.is_active());
    // A session at a door with no server behind it would only wait.
    let leads_somewhere = |door: &str| match door {
        POSTGRES => instance.as_ref().is_some_and(Instance::runs),
        _ if is_down => false,
        // If HAProxy does not answer here, its doors may not answer either, and that should be
        // seen.
        pool => pools.as_ref().is_none_or(|pools| pools.up(pool).next().is_some()),
    };
    // A pooler that is stopping lets no client in, and that is as it should be.
    let runs = |door: &str| unit(&pooler::unit(door)).is_some_and(Unit::is_active);
    let poolers = link.poolers().filter(|pooler| runs(&pooler.door)).collect::<Vec<_>>();
    let held = join_all(poolers.iter().map(|pooler| pooler.held(&link.session)));
    let (sessions, held, stalled) =
        tokio::join!(link.probe.ask(&link.session, leads_somewhere), held, stalled(&link));
    let (hung_poolers, held) = pooler_states(&poolers, held, &sessions);
    NodeHealth {
        unreachable: None,
        etcd,
        instance,
        before: None,
        view: None,
        pools,
        units,
        hung_poolers,
        held,
        sessions: Some(sessions),
        stalled,
    }
}

/// The doors of poolers that hang, and what the others hold back. `held`: what each of them said.
fn pooler_states(
    poolers: &[Pooler],
    held: Vec<Option<Vec<String>>>,
    sessions: &Sessions,
) -> (BTreeSet<String>, BTreeMap<String, Vec<String>>) {
    let (mut hung, mut holding) = (BTreeSet::new(), BTreeMap::new());
    for (pooler, held) in poolers.iter().zip(held) {
        match held {
            Some(held) if held.is_empty() => {}
            Some(held) => drop(holding.insert(pooler.door.clone(), held)),
            None if sessions.is_silent(&pooler.door) => drop(hung.insert(pooler.door.clone())),
            None => {}
        }
    }
    (hung, holding)
}

/// Our own looping programs that have not touched their file for half a minute. They touch it in
/// each round.
async fn stalled(link: &Link) -> BTreeSet<String> {
    let own = |unit: &&String| LOOP_UNITS.contains(&unit.as_str());
    let units = link.units.iter().filter(own).cloned().collect::<BTreeSet<_>>();
    let files = units.iter().map(|unit| round(unit)).collect::<Vec<_>>();
    if files.is_empty() {
        return units;
    }
    let files = files.iter().map(String::as_str).collect::<Vec<_>>();
    // It fails if one of the files is missing, but still lists the others.
    let find =
        [&["sh", "-c", r#"find "$@" -mmin +0.5 2>/dev/null || true"#, "sh"], &files[..]].concat();
    let found = link.session.answer(&find).await.unwrap_or_default();
    units.into_iter().filter(|unit| found.lines().any(|line| line == round(unit))).collect()
}

fn round(unit: &str) -> String {
    format!("/run/{}/round", unit.trim_end_matches(".service"))
}

/// A daemon that does not answer is a state of the cluster, not an error of the observation.
fn answered<T>(answer: Option<Result<T, NodeError>>) -> Option<T> {
    answer?.inspect_err(|error| tracing::debug!("{error}")).ok()
}
