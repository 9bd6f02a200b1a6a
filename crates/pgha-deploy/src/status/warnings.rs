//! What an operator should know beyond the conditions of health, each with its cure.

use pgha_core::Cluster;
use pgha_core::cluster::{Durability, Pgbouncer};
use pgha_core::inventory::Ailment;

use crate::etcd::QUOTA;
use crate::health::Health;
use crate::patroni::{Member, View};
use crate::pooler::Pool;
use crate::secrets::RENEW_DAYS;

/// Everything about the cluster worth a warning.
pub(super) fn of_cluster(cluster: &Cluster, health: &Health) -> Vec<String> {
    let Some(view) = health.view() else {
        return vec!["no Patroni answers: writes cannot be routed; see `pgha doctor`".to_owned()];
    };
    let paused = view.pause.then(|| {
        "Patroni is paused: there is no automatic failover; `patronictl resume` on a node ends that"
            .to_owned()
    });
    let one_copy = runs_on_one_copy(cluster, health, view).then(|| {
        "the leader runs on one copy: no replica confirms commits; bring one back".to_owned()
    });
    [paused, one_copy, etcd(health), etcd_quota(health)].into_iter().flatten().collect()
}

/// An etcd member without its data.
pub(super) fn etcd_lost(node: &str) -> String {
    format!("etcd of {node} has lost its data: `pgha apply` lets it join anew")
}

/// A replica whose copy does not become whole by waiting.
pub(super) fn copy_problem(node: &str, ailment: &Ailment) -> String {
    match ailment {
        Ailment::Silent => format!("{node} runs, and does not answer: `pgha apply` boots it anew"),
        Ailment::Leftover => format!(
            "a process that a crash left keeps PostgreSQL of {node} from starting: `pgha apply` boots it anew"
        ),
        Ailment::Behind => format!(
            "the leader has dropped WAL that {node} lacks: `pgha apply` copies it anew; see also `max_slot_wal_keep_size`"
        ),
        Ailment::Full => format!(
            "PostgreSQL of {node} has no room for its copy: it goes on by itself once its volume has some"
        ),
        Ailment::Damaged(words) => format!(
            "PostgreSQL of {node} cannot start with its data ({words}): `pgha apply` copies it anew, if every other copy is whole"
        ),
        Ailment::Failing(words) => format!("PostgreSQL of {node} does not start: {words}"),
    }
}

/// What keeps clients from something that is declared.
pub(super) fn barred(what: String) -> String {
    format!("{what}: if nobody meant that, undo it; pgha leaves it")
}

/// Certificates of a node that have expired, or soon will. `days`: until the first one expires.
pub(super) fn certificate_expiry(node: &str, days: Option<i64>) -> Option<String> {
    match days? {
        ..0 => Some(format!(
            "a certificate of {node} has ended: nobody believes it any more; `pgha apply` hands it new ones"
        )),
        days if days < RENEW_DAYS => {
            Some(format!("a certificate of {node} ends in {days} days: `pgha apply` signs it anew"))
        }
        _ => None,
    }
}

/// Pools of a node that have no connection left, and the clients that wait for one.
pub(super) fn full_pools(node: &str, pools: &[Pool], pgbouncer: &Pgbouncer) -> Vec<String> {
    // While PostgreSQL is down every client waits. That is reported elsewhere.
    let waits = |pool: &Pool| pool.waiting > 0 && pool.active > 0;
    let most = |pool: &Pool| pgbouncer.full_pool(&pool.database);
    let full = pools.iter().filter(|pool| waits(pool) || pool.active >= most(pool));
    let told = full.map(|pool| {
        let Pool { pooler, database, role, active, waiting, waits_seconds } = pool;
        format!(
            "{active} of {} connections of {role} to {database} are in use by the pooler `{pooler}` of {node}, {waiting} clients wait, the first for {waits_seconds} s: see the sizes in `[pgbouncer]`",
            most(pool)
        )
    });
    told.collect()
}

/// A member whose database nears its quota, beyond which etcd takes no writes.
fn etcd_quota(health: &Health) -> Option<String> {
    let members = health.nodes.iter().filter_map(|(name, node)| Some((name, node.etcd.as_ref()?)));
    let (name, etcd) = members.max_by_key(|(_, etcd)| etcd.db_bytes)?;
    let percent = etcd.db_bytes * 100 / QUOTA;
    (percent >= 80).then(|| {
        format!("etcd of {name} has used {percent} % of its quota: what else writes there? `pgha apply` makes room once it is full")
    })
}

fn runs_on_one_copy(cluster: &Cluster, health: &Health, view: &View) -> bool {
    cluster.durability == Durability::Quorum
        && health.leader().is_some()
        && !view.members.iter().any(Member::is_synchronous)
}

/// Members that see no leader. If all of them do not, the quorum is lost. If some do not, they are
/// cut off from the others.
fn etcd(health: &Health) -> Option<String> {
    let members = health.nodes.iter().filter_map(|(name, node)| Some((name, node.etcd.as_ref()?)));
    let (with, without): (Vec<_>, Vec<_>) = members.partition(|(_, status)| status.has_leader);
    let names = without.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
    match (with.is_empty(), without.is_empty()) {
        (false, true) => None,
        (true, _) => Some(
            "etcd has no quorum: no failover is possible, and without failsafe mode writes stop; bring members back".to_owned(),
        ),
        (false, false) => Some(format!("{names} is cut off: its etcd member does not see the others; look at the network")),
    }
}
