//! The poolers: whether PostgreSQL accepts all connections that they and the direct ports may open.

use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::Value;
use serde_spanned::Spanned;

use super::super::{DIRECT, Database, Haproxy, Node, Pgbouncer, PoolMode, Role};
use super::{Remarks, parameters, value_or};
use crate::spec::{PgbouncerSection, Spec, nearest};

/// Connections of Patroni, and of pgha to the primary itself.
const OWN: i64 = 5;

/// Connections from each routing node: the poolers' own role (`templates/etc/pgha/pooler.ini`), and
/// pgha's checks through a pooler and past it.
const LOOKS: i64 = 2 + 2;

/// Smallest default size of a pool.
const LEAST: u32 = 10;

/// Every routing node has a pooler that may fill its pool of each database, and all of them lead to
/// one primary. What does not fit is refused. The default is as large as there is room for, up to a
/// maximum. Sizes are part of the image: below that maximum, a change of `max_connections` or
/// databases makes a new one.
pub(super) fn check(
    spec: &Spec,
    set: &BTreeMap<String, Value>,
    nodes: &[Node],
    haproxy: &Haproxy,
    (users, databases): (&[String], &[Database]),
    remarks: &mut Remarks,
) -> Pgbouncer {
    let section = &spec.pgbouncer;
    let names = databases.iter().map(|database| database.name.as_str()).collect::<Vec<_>>();
    declared("database", section.databases.keys(), &names, remarks);
    let roles = users.iter().map(String::as_str).collect::<Vec<_>>();
    declared("role", section.users.keys(), &roles, remarks);
    idle_sessions(section, remarks);
    let routers = nodes.iter().filter(|node| node.role_set.has(Role::Haproxy)).count();
    let with = |size| as_written(section, size);
    let fits = |room: &Room, size| room.is_enough_for(&with(size), &names);
    let room = Room::of(set, routers, haproxy);
    let usual = if section.pool_mode == PoolMode::Session { 200 } else { 20 };
    let default = || largest(usual, |size| fits(&room, size)).unwrap_or(0).max(LEAST);
    let given = section.default_pool_size.as_ref().map(|size| *size.get_ref());
    let size = given.unwrap_or_else(default);
    let pgbouncer = with(size);
    if room.is_known && !fits(&room, size) {
        let (needed, all) = (room.needed(&pgbouncer, &names), room.all);
        let message =
            format!("the primary may get {needed} connections, and `max_connections` is {all}");
        let smaller = largest(size, |size| fits(&room, size));
        let help = room.explanation(&pgbouncer, &names, smaller);
        remarks.error(blamed(spec, &pgbouncer), message, "more than there are", help);
    }
    pgbouncer
}

/// A session pool does not know idle clients: each client holds a server connection.
fn idle_sessions(section: &PgbouncerSection, remarks: &mut Remarks) {
    if let Some(seconds) =
        section.client_idle_timeout.as_ref().filter(|_| section.pool_mode == PoolMode::Session)
    {
        remarks.error(
            seconds.span(),
            "`client_idle_timeout` does nothing in a pool of sessions",
            "without effect",
            "use `pool_mode = \"transaction\"`, or `idle_session_timeout` in `postgresql.parameters`",
        );
    }
}

/// The largest number from 1 to `limit` that `fits`. Every number below one that fits must fit, too.
fn largest(limit: u32, fits: impl Fn(u32) -> bool) -> Option<u32> {
    let (mut least, mut most) = (0, limit);
    while least < most {
        let middle = least + (most - least).div_ceil(2);
        if fits(middle) { least = middle } else { most = middle - 1 }
    }
    (least > 0).then_some(least)
}

/// The poolers as the file wants them, with pools of this size unless it sets another.
fn as_written(section: &PgbouncerSection, default_pool_size: u32) -> Pgbouncer {
    let settings = [
        ("reserve_pool_size", section.reserve_pool_size),
        ("reserve_pool_timeout", section.reserve_pool_timeout),
        // So that new clients get what ALTER ROLE sets. The price: a session's caches are cold more often.
        ("server_lifetime", section.server_lifetime.or(Some(30))),
        ("server_idle_timeout", section.server_idle_timeout),
        ("client_idle_timeout", section.client_idle_timeout.as_ref().map(|s| *s.get_ref())),
        ("idle_transaction_timeout", section.idle_transaction_timeout),
        ("query_timeout", section.query_timeout),
        ("log_connections", Some(section.log_connections.into())),
        ("log_disconnections", Some(section.log_connections.into())),
    ];
    Pgbouncer {
        pool_mode: section.pool_mode,
        default_pool_size,
        max_client_conn: value_or(&section.max_client_conn, 2000).into_inner(),
        settings: settings.into_iter().filter_map(|(name, value)| Some((name, value?))).collect(),
        databases: by_name(&section.databases),
        users: by_name(&section.users),
    }
}

fn by_name<T: Clone>(table: &BTreeMap<Spanned<String>, T>) -> BTreeMap<String, T> {
    table.iter().map(|(name, settings)| (name.get_ref().clone(), settings.clone())).collect()
}

/// Settings of a name that is not declared would have no effect.
fn declared<'n>(
    what: &str,
    names: impl Iterator<Item = &'n Spanned<String>>,
    known: &[&str],
    remarks: &mut Remarks,
) {
    for name in names.filter(|name| !known.contains(&name.get_ref().as_str())) {
        let text = name.get_ref();
        let help = match nearest(text, known) {
            Some(near) => format!("did you mean `{near}`?"),
            None if known.is_empty() => format!("no {what} is declared"),
            None => format!("declared are: {}", known.join(", ")),
        };
        remarks.error(name.span(), format!("no {what} is called `{text}`"), "not declared", help);
    }
}

/// What makes the sum too large: the largest pool that the file sets, else the limit, else the last
/// database.
fn blamed(spec: &Spec, pgbouncer: &Pgbouncer) -> Range<usize> {
    let section = &spec.pgbouncer;
    let sets = |name: &&Spanned<String>| section.databases[*name].pool_size.is_some();
    let own = section.databases.keys().filter(sets);
    let own = own.max_by_key(|name| pgbouncer.full_pool(name.get_ref()));
    let default = section.default_pool_size.as_ref();
    let own = own.filter(|name| {
        pgbouncer.full_pool(name.get_ref()) >= default.map_or(0, |size| *size.get_ref())
    });
    let limit = parameters::span_of(spec, "max_connections");
    let last = spec.postgresql.databases.as_ref().and_then(|databases| databases.last());
    let sizes = own.map(Spanned::span).or(default.map(Spanned::span));
    let limit = (!limit.is_empty()).then_some(limit);
    sizes.or(limit).or(last.map(|last| last.name.span())).unwrap_or(0..0)
}

/// The connections that the primary accepts.
struct Room {
    routers: i64,
    /// Poolers of each routing node that may lead to the primary.
    poolers: i64,
    /// Connections that do not belong to poolers.
    other: i64,
    all: i64,
    /// Whether the file's limit is a plain number that leaves any connection at all.
    is_known: bool,
}

impl Room {
    fn of(set: &BTreeMap<String, Value>, routers: usize, haproxy: &Haproxy) -> Self {
        let routers = i64::try_from(routers.max(1)).unwrap_or(i64::MAX);
        let reserved = parameters::reserved(set);
        let direct = if haproxy.replica_fallback { 2 * DIRECT } else { DIRECT };
        let past_pools = routers.saturating_mul(i64::from(direct) + LOOKS);
        let other = reserved.saturating_add(OWN).saturating_add(past_pools);
        let all = parameters::number(set, "max_connections", -1);
        let poolers = i64::from(haproxy.poolers_to_one_postgresql().0);
        Self { routers, poolers, other, all, is_known: all > reserved }
    }

    /// Pooled connections of one node.
    fn pooled(&self, pgbouncer: &Pgbouncer, databases: &[&str]) -> i64 {
        self.poolers * i64::from(pgbouncer.full_pools(databases.iter().copied()))
    }

    fn needed(&self, pgbouncer: &Pgbouncer, databases: &[&str]) -> i64 {
        let pooled = self.pooled(pgbouncer, databases);
        self.routers.saturating_mul(pooled).saturating_add(self.other)
    }

    fn is_enough_for(&self, pgbouncer: &Pgbouncer, databases: &[&str]) -> bool {
        self.needed(pgbouncer, databases) <= self.all
    }

    /// The sum, and what to do. `smaller`: the largest default size that there is room for.
    fn explanation(
        &self,
        pgbouncer: &Pgbouncer,
        databases: &[&str],
        smaller: Option<u32>,
    ) -> String {
        let Self { routers, other, .. } = self;
        let needed = self.needed(pgbouncer, databases);
        let pooled = self.pooled(pgbouncer, databases);
        let smaller = smaller
            .map(|size| format!("`pgbouncer.default_pool_size = {size}` fits, or "))
            .unwrap_or_default();
        format!(
            "each of {routers} nodes may open {pooled} for its pools, and {other} more are for direct ports, the cluster itself and the reserve: {smaller}`max_connections = {needed}`"
        )
    }
}
