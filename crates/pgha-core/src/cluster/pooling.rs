//! The poolers, under PgBouncer's own names.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{PoolMode, PooledDatabase, PooledUser};

/// The poolers.
#[derive(Debug, Clone, Serialize)]
pub struct Pgbouncer {
    /// When a server connection goes back to the pool.
    pub pool_mode: PoolMode,
    /// Server connections of each pooler for each user and database.
    pub default_pool_size: u32,
    /// Client connections each of a node's poolers accepts.
    pub max_client_conn: u32,
    /// Further settings of `[pgbouncer]` in PgBouncer's file. Times are in seconds.
    pub settings: BTreeMap<&'static str, u32>,
    /// What differs for single databases, by name.
    pub databases: BTreeMap<String, PooledDatabase>,
    /// What differs for single roles, by name.
    pub users: BTreeMap<String, PooledUser>,
}

impl Pgbouncer {
    /// Server connections that one pooler may have to `database` for one role, with the reserve.
    pub fn full_pool(&self, database: &str) -> u32 {
        let own = self.databases.get(database);
        let size = own.and_then(|own| own.pool_size).unwrap_or(self.default_pool_size);
        let reserve = own.and_then(|own| own.reserve_pool_size);
        let reserve = reserve.or(self.settings.get("reserve_pool_size").copied()).unwrap_or(0);
        let most = own.and_then(|own| own.max_db_connections).unwrap_or(u32::MAX);
        size.saturating_add(reserve).min(most)
    }

    /// The same for all of these databases, each in use by one role. Without any, it counts one
    /// database that may still be created.
    pub(super) fn full_pools<'d>(&self, databases: impl Iterator<Item = &'d str>) -> u32 {
        let sizes = databases.map(|name| self.full_pool(name));
        sizes.reduce(u32::saturating_add).unwrap_or_else(|| self.full_pool(""))
    }
}
