//! PostgreSQL's section of the cluster file.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_spanned::Spanned;

type Table = BTreeMap<Spanned<String>, Spanned<toml::Value>>;

/// PostgreSQL itself: parameters, access rules, roles, databases and slots.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PostgresqlSection {
    /// PostgreSQL parameters. They are kept in the consensus store, so changing one never makes a
    /// new image.
    #[schemars(with = "BTreeMap<String, Parameter>")]
    pub(crate) parameters: Table,
    /// Lines added to pg_hba.conf after those of the cluster's own roles, and before those of sessions
    /// that come through a node's ports. Only TLS lines (`hostssl`) are accepted.
    #[schemars(with = "Vec<String>")]
    pub(crate) hba: Vec<Spanned<String>>,
    /// Login roles. Each gets a generated password in the secrets directory. Default: one role,
    /// `app`.
    #[schemars(with = "Option<Vec<UserSection>>")]
    pub(crate) users: Option<Spanned<Vec<UserSection>>>,
    /// Databases. Default: one database, `app`, owned by `app`.
    #[schemars(with = "Option<Vec<DatabaseSection>>")]
    pub(crate) databases: Option<Vec<DatabaseSection>>,
    /// Logical replication slots that outlive a change of leader. They need `wal_level = "logical"`.
    #[schemars(with = "Vec<SlotSection>")]
    pub(crate) slots: Vec<SlotSection>,
}

/// The value of a PostgreSQL parameter.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "exists only for the schema")]
pub(crate) enum Parameter {
    Bool(bool),
    Integer(i64),
    Float(f64),
    String(String),
}

/// A login role.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UserSection {
    /// Name of the role.
    #[schemars(with = "String")]
    pub(crate) name: Spanned<String>,
}

/// A database.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DatabaseSection {
    /// Name of the database.
    #[schemars(with = "String")]
    pub(crate) name: Spanned<String>,
    /// Role that owns it.
    #[schemars(with = "String")]
    pub(crate) owner: Spanned<String>,
    /// Extensions created in it. They must be part of the image: PostgreSQL's contrib modules are.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub(crate) extensions: Vec<Spanned<String>>,
}

/// A logical replication slot.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SlotSection {
    /// Name of the slot: lower-case letters, digits and underscores.
    #[schemars(with = "String")]
    pub(crate) name: Spanned<String>,
    /// Database whose changes it tells.
    #[schemars(with = "String")]
    pub(crate) database: Spanned<String>,
    /// What puts the changes into words. It must be part of the image: `pgoutput` and `test_decoding`
    /// are. Default `pgoutput`.
    #[schemars(with = "Option<String>")]
    pub(crate) plugin: Option<Spanned<String>>,
}
