//! Replication slots as a PostgreSQL has them.

use pgha_platform::ssh::{Session, SshError};

use crate::declare::{literal, sql};

/// A slot through which no member of the cluster replicates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Slot {
    /// Its name.
    pub(crate) name: String,
    /// Whether PostgreSQL has removed WAL or rows that its reader lacks: it is of no use any more.
    pub(crate) is_lost: bool,
}

/// Those of the PostgreSQL behind `session`. Patroni names the slots of members after them, with `_` for
/// whatever a slot's name cannot hold (`slot_name_from_member_name`).
///
/// # Errors
/// When psql fails.
pub(crate) async fn slots(session: &Session, members: &[String]) -> Result<Vec<Slot>, SshError> {
    let own = members.iter().map(|name| literal(&name.to_lowercase().replace(['-', '.'], "_")));
    let query = format!(
        "SELECT coalesce(wal_status, 'lost') = 'lost', slot_name FROM pg_replication_slots WHERE NOT temporary AND slot_name <> ALL (ARRAY[{}]::text[]) ORDER BY 2",
        own.collect::<Vec<_>>().join(", ")
    );
    Ok(sql(session, "postgres", &query).await?.lines().filter_map(read).collect())
}

fn read(line: &str) -> Option<Slot> {
    let (is_lost, name) = line.split_once('|')?;
    Some(Slot { name: name.to_owned(), is_lost: is_lost == "t" })
}
