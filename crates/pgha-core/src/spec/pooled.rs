//! What a cluster file says of the pools of single databases and roles, under PgBouncer's own names.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
