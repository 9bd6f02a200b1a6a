//! The poolers, under PgBouncer's own names.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::PoolMode;

/// The poolers.
#[derive(Debug, Clone, Serialize)]
pub struct Pgbouncer {
    /// When a server connection goes back.
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

/// What differs for one database.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PooledDatabase {
    /// Server connections of each pooler for each user of this database.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 262_143))]
    pub pool_size: Option<u32>,
    /// What a pool may have beyond that, once a client has waited for `reserve_pool_timeout`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 262_143))]
    pub reserve_pool_size: Option<u32>,
    /// Server connections of each pooler to this database, of all users together.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 262_143))]
    pub max_db_connections: Option<u32>,
}

/// What differs for one role.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PooledUser {
    /// Server connections of each pooler for this role, to all databases together.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 262_143))]
    pub max_user_connections: Option<u32>,
    /// Seconds that it may ask nothing within a transaction.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 2_592_000))]
    pub idle_transaction_timeout: Option<u32>,
    /// Seconds from a request of it to the end of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 2_592_000))]
    pub query_timeout: Option<u32>,
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

    /// The same to all of these databases, each in use by one role. Without any there is still one
    /// that somebody may make.
    pub(super) fn full_pools<'d>(&self, databases: impl Iterator<Item = &'d str>) -> u32 {
        let sizes = databases.map(|name| self.full_pool(name));
        sizes.reduce(u32::saturating_add).unwrap_or_else(|| self.full_pool(""))
    }
}
