//! What is inside PostgreSQL, as far as pgha puts it there.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::cluster::{Cluster, Durability};

/// Something inside PostgreSQL that the cluster file declares, or that pgha needs there itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Object {
    /// The role and the function through which PgBouncer looks up passwords, and that PUBLIC may
    /// not call the function.
    Pooler,
    /// The role with which pgha opens a client's session to see whether it works.
    Probe,
    /// Commits wait for another copy, for every role in every database: no setting of a role or
    /// database turns that off.
    Commits,
    /// A role, by name.
    Role(String),
    /// A database, by name.
    Database(String),
    /// The ownership of a database by a role.
    Owner {
        /// The database.
        database: String,
        /// The role.
        role: String,
    },
    /// An extension in a database.
    Extension {
        /// The database.
        database: String,
        /// The extension.
        name: String,
    },
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pooler => write!(f, "the pooler's lookup of passwords"),
            Self::Probe => write!(f, "the role that pgha looks with"),
            Self::Commits => write!(f, "commits that wait, whatever a role or database is set to"),
            Self::Role(name) => write!(f, "role {name}"),
            Self::Database(name) => write!(f, "database {name}"),
            Self::Owner { database, role } => write!(f, "owner {role} of {database}"),
            Self::Extension { database, name } => write!(f, "extension {name} in {database}"),
        }
    }
}

impl Object {
    /// Whether pgha itself uses it, or one of its promises depends on it. Without it the cluster
    /// looks sick, and creating it again is the cure.
    pub fn is_vital(&self) -> bool {
        matches!(self, Self::Pooler | Self::Probe | Self::Commits)
    }
}

/// Everything that must exist for the cluster to match its file.
pub fn declared(cluster: &Cluster) -> Vec<Object> {
    let (database, name) = ("postgres".to_owned(), "pg_stat_statements".to_owned());
    let mut objects = vec![Object::Pooler, Object::Probe, Object::Extension { database, name }];
    objects.extend((cluster.durability != Durability::Async).then_some(Object::Commits));
    objects.extend(cluster.postgresql.users.iter().cloned().map(Object::Role));
    for declared in &cluster.postgresql.databases {
        let (database, role) = (declared.name.clone(), declared.owner.clone());
        objects.push(Object::Database(database.clone()));
        objects.push(Object::Owner { database: database.clone(), role });
        objects.extend(
            declared
                .extensions
                .iter()
                .map(|name| Object::Extension { database: database.clone(), name: name.clone() }),
        );
    }
    objects
}
