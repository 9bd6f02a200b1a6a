//! Whether a new image can take over the data that is there.

use super::{Desired, Refused};
use crate::inventory::Server;

/// There is no way on the same volumes that could be undone.
const MOVE: &str = "make a second cluster from the new image, move the data with pg_dump or logical replication, send the clients \
    there, then destroy this one; until then leave it as it is";

/// Refused when PostgreSQL of the wanted image could not read the server's data, or would sort it
/// in another way.
pub(super) fn possible(desired: &Desired<'_>, server: &Server) -> Result<(), Refused> {
    let (Some(has), Some(wanted)) = (&server.data, desired.data.get(&server.name)) else {
        return Ok(());
    };
    let name = &server.name;
    if has.postgresql != wanted.postgresql {
        let reason = format!(
            "`{name}` has data of PostgreSQL {}, its new image brings {}",
            has.postgresql, wanted.postgresql
        );
        return Err(Refused::new(reason, MOVE));
    }
    if has.collations != wanted.collations {
        let reason = format!(
            "`{name}` has indexes sorted by {}, its new image sorts by {}: where a collation of theirs is used, rows would be missed",
            has.collations, wanted.collations
        );
        return Err(Refused::new(reason, MOVE));
    }
    Ok(())
}
