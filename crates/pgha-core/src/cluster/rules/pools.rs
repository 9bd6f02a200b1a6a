//! The poolers, and what they and the direct ports may open against what PostgreSQL takes.

use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::Value;

use super::super::{DIRECT, Node, Pgbouncer, Role};
use super::{Remarks, parameters, value_or};
use crate::spec::Spec;

/// Connections of Patroni and of pgha.
const OWN: i64 = 5;

/// Connections of the poolers' own role, from each node (`templates/etc/pgha/pooler.ini`).
const LOOKUPS: i64 = 2;

/// Every routing node has a pooler that may fill its pool of each database, and they all lead to one
/// primary. What does not fit is refused. A pool for each role and database is part of the image: its
/// default follows neither databases nor `max_connections`, so that these make no new one.
pub(super) fn check(
    spec: &Spec,
    set: &BTreeMap<String, Value>,
    nodes: &[Node],
    databases: usize,
    remarks: &mut Remarks,
) -> Pgbouncer {
    let routers = nodes.iter().filter(|node| node.role_set.has(Role::Haproxy)).count();
    let sum = Sum::of(set, routers, databases);
    let given = spec.pgbouncer.default_pool_size.as_ref();
    let default_pool_size = given.map_or(by_default(routers), |size| *size.get_ref());
    let size = i64::from(default_pool_size);
    if sum.is_known && size > sum.fits() {
        let (needed, all) = (sum.needed(size), sum.all);
        let message =
            format!("the primary may get {needed} connections, and `max_connections` is {all}");
        let (place, label) = match given {
            Some(size) => (size.span(), "more than there are"),
            None => (last_of(spec), "more than there are"),
        };
        remarks.error(place, message, label, sum.told(size));
    }
    Pgbouncer {
        pool_mode: spec.pgbouncer.pool_mode,
        default_pool_size,
        max_client_conn: value_or(&spec.pgbouncer.max_client_conn, 2000).into_inner(),
    }
}

/// 20, or as many as one pool of each of so many nodes has room for where the file sets nothing.
fn by_default(routers: usize) -> u32 {
    let unset = Sum::of(&parameters::defaults(), routers, 1);
    u32::try_from(unset.fits().clamp(1, 20)).unwrap_or(1)
}

/// What makes the sum too large, if it is not the size.
fn last_of(spec: &Spec) -> Range<usize> {
    let last = spec.postgresql.databases.as_ref().and_then(|databases| databases.last());
    let limit = parameters::span_of(spec, "max_connections");
    if limit.is_empty() { last.map_or(limit, |last| last.name.span()) } else { limit }
}

/// What the primary may get.
struct Sum {
    routers: i64,
    databases: i64,
    /// What is not the poolers'.
    other: i64,
    /// What it takes.
    all: i64,
    /// Whether the file's limit is a plain number, and leaves anything at all.
    is_known: bool,
}

impl Sum {
    fn of(set: &BTreeMap<String, Value>, routers: usize, databases: usize) -> Self {
        let whole = |count: usize| i64::try_from(count.max(1)).unwrap_or(i64::MAX);
        let (routers, databases) = (whole(routers), whole(databases));
        let reserved = parameters::reserved(set);
        let past_pools = routers.saturating_mul(i64::from(DIRECT) + LOOKUPS);
        let other = reserved.saturating_add(OWN).saturating_add(past_pools);
        let all = parameters::number(set, "max_connections", -1);
        Self { routers, databases, other, all, is_known: all > reserved }
    }

    fn pools(&self) -> i64 {
        self.routers.saturating_mul(self.databases)
    }

    fn needed(&self, size: i64) -> i64 {
        self.pools().saturating_mul(size).saturating_add(self.other)
    }

    fn fits(&self) -> i64 {
        (self.all - self.other) / self.pools()
    }

    fn told(&self, size: i64) -> String {
        let Self { routers, databases, .. } = self;
        let fits = if self.fits() > 0 {
            format!("`pgbouncer.default_pool_size = {}` fits, or ", self.fits())
        } else {
            String::new()
        };
        format!(
            "{routers} nodes with {databases} pools of {size}, {DIRECT} through the direct port of each, the cluster's own and the reserved ones: {fits}`max_connections = {}`",
            self.needed(size)
        )
    }
}
