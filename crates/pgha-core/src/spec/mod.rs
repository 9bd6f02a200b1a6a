//! The cluster file as written: one struct a section, nothing checked but its shape.
//!
//! The doc comments are what `pgha schema` and editors show, so they speak to the person who writes
//! the file.

mod sections;
mod shape;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_spanned::Spanned;

pub(crate) use sections::*;
pub(crate) use shape::nearest;

use crate::diagnostic::Diagnostic;

/// A pgha cluster: one file describes it all.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "pgha cluster file")]
pub(crate) struct Spec {
    /// Version of this file's format. Always 1.
    #[schemars(with = "i64", extend("const" = 1))]
    #[expect(
        dead_code,
        reason = "checked by the schema; present so that a later format can be told apart"
    )]
    pub(crate) schema: i64,
    /// Name, provider and PostgreSQL version.
    pub(crate) cluster: ClusterSection,
    /// PostgreSQL itself: parameters, access rules, roles and databases.
    #[serde(default)]
    pub(crate) postgresql: PostgresqlSection,
    /// What an acknowledged commit is worth.
    #[serde(default)]
    pub(crate) durability: DurabilitySection,
    /// How fast a failure is noticed and acted on.
    #[serde(default)]
    pub(crate) failover: FailoverSection,
    /// The consensus store that holds the leader lock.
    #[serde(default)]
    pub(crate) etcd: EtcdSection,
    /// The connection pooler in front of each PostgreSQL.
    #[serde(default)]
    pub(crate) pgbouncer: PgbouncerSection,
    /// The load balancer clients connect to.
    #[serde(default)]
    pub(crate) haproxy: HaproxySection,
    /// Addresses and who may connect.
    #[serde(default)]
    pub(crate) network: NetworkSection,
    /// Kernel settings of the nodes.
    #[serde(default)]
    pub(crate) os: OsSection,
    /// What node images are made from.
    #[serde(default)]
    pub(crate) image: ImageSection,
    /// Settings that only one provider reads.
    #[serde(default)]
    pub(crate) provider: ProviderSection,
    /// The nodes, one table each.
    #[schemars(with = "Vec<NodeSection>")]
    pub(crate) node: Spanned<Vec<NodeSection>>,
}

/// The JSON Schema of the cluster file (draft 2020-12).
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(Spec).to_value()
}

/// Reads the text, or says everything that is wrong with its shape.
pub(crate) fn read(text: &str) -> Result<Spec, Vec<Diagnostic>> {
    shape::check(text, &schema())?;
    toml::from_str(text).map_err(|error| {
        vec![Diagnostic::error(error.span().unwrap_or(0..0), error.message().to_owned(), "here")]
    })
}
