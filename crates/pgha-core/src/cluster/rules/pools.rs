//! The poolers, and what they and the direct ports may open against what PostgreSQL takes.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::{DIRECT, Node, Pgbouncer, Role};
use super::{Remarks, parameters, value_or};
use crate::spec::Spec;

/// Connections of Patroni, of the poolers' own role and of pgha.
const OWN: i64 = 10;

/// The size of a pool where the file does not say.
const SIZE: u32 = 20;

/// Every routing node has a pooler that may fill its pool of each database, and they all lead to one
/// primary. A size of the file that does not fit is refused; where it has none, pools are as large as
/// fits, and not larger than [`SIZE`].
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
    let most = u32::try_from(sum.fits().max(1)).map_or(SIZE, |fits| fits.min(SIZE));
    let default_pool_size = given.map_or(most, |size| *size.get_ref());
    let size = i64::from(default_pool_size);
    if sum.is_known && size > sum.fits() {
        let (needed, all) = (sum.needed(size), sum.all);
        let message =
            format!("the primary may get {needed} connections, and `max_connections` is {all}");
        let (place, label) = match given {
            Some(size) => (size.span(), "too large"),
            None => (parameters::span_of(spec, "max_connections"), "too small"),
        };
        remarks.error(place, message, label, sum.told(size));
    }
    Pgbouncer {
        pool_mode: spec.pgbouncer.pool_mode,
        default_pool_size,
        max_client_conn: value_or(&spec.pgbouncer.max_client_conn, 2000).into_inner(),
    }
}

/// What the primary may get.
struct Sum {
    routers: i64,
    databases: i64,
    /// What is not the poolers'.
    other: i64,
    /// What it takes.
    all: i64,
    /// Whether the file's limit can be read, and leaves anything at all. If not, that is said elsewhere.
    is_known: bool,
}

impl Sum {
    fn of(set: &BTreeMap<String, Value>, routers: usize, databases: usize) -> Self {
        let whole = |count: usize| i64::try_from(count.max(1)).unwrap_or(i64::MAX);
        let (routers, databases) = (whole(routers), whole(databases));
        let reserved = parameters::reserved(set);
        let other = reserved + OWN + routers.saturating_mul(i64::from(DIRECT));
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
        let fits =
            if self.fits() > 0 { format!("{} fits, or ", self.fits()) } else { String::new() };
        format!(
            "{routers} nodes with {databases} pools of {size}, {DIRECT} through the direct port of each, {OWN} of the cluster's own, and the reserved ones: {fits}`max_connections = {}`",
            self.needed(size)
        )
    }
}
