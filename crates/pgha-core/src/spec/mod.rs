//! The cluster file as written: one struct a section, nothing checked but its shape.
//!
//! The doc comments are what `pgha schema` and editors show, so they speak to the person who writes
//! the file.

mod choices;
mod pooled;
mod remainder;
mod sections;
mod shape;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_spanned::Spanned;

pub use choices::{Base, Durability, PoolMode, Preset, ProviderKind, Role};
pub use pooled::{PooledDatabase, PooledUser};
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
    /// The connection poolers behind the ports for clients.
    #[serde(default)]
    pub(crate) pgbouncer: PgbouncerSection,
    /// The load balancer, and the ports of clients.
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

/// Sections whose values decide what is right elsewhere: parameters by the durability, addresses by
/// the network.
const JUDGED_BY: [&str; 2] = ["durability", "network"];

/// What could be read of a text, and every mistake of its form.
pub(crate) struct Read<'t> {
    text: &'t str,
    /// Without the entries that have a mistake. Absent: too little is left.
    pub(crate) spec: Option<Spec>,
    pub(crate) mistakes: Vec<Diagnostic>,
}

/// Reads the text as far as it can be read.
pub(crate) fn read(text: &str) -> Read<'_> {
    let mut table = match shape::parse(text) {
        Ok(table) => table,
        Err(mistakes) => return Read { text, spec: None, mistakes },
    };
    let mut mistakes = shape::check(table.get_ref(), &schema());
    remainder::reduce(table.get_mut(), &mistakes);
    let spec = match Spec::deserialize(toml::de::Deserializer::from(table)) {
        Ok(spec) => Some(spec),
        // What is missing was reported already. Without a report the schema and the types differ.
        Err(_) if !mistakes.is_empty() => None,
        Err(error) => {
            let span = error.span().unwrap_or(0..0);
            mistakes.push(Diagnostic::error(span, error.message(), "here"));
            None
        }
    };
    Read { text, spec, mistakes }
}

impl Read<'_> {
    /// Whether what a rule says at `remark` is about a section without mistakes of form, and none is
    /// in a section that others are judged by.
    pub(crate) fn is_trusted(&self, remark: &Diagnostic) -> bool {
        let section = |of: &Diagnostic| remainder::section(self.text, of.span.start);
        let here = section(remark);
        let misleads = |section: &str| section == here || JUDGED_BY.contains(&section);
        !remark.span.is_empty() && !self.mistakes.iter().any(|mistake| misleads(section(mistake)))
    }
}
