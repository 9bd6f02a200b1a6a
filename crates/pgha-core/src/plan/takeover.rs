//! Whether a new image can take over the data that is there.

use super::{Desired, Refused};
use crate::inventory::Server;

/// Refuses if PostgreSQL of the desired image could not read the server's data, or would sort it
/// differently.
pub(super) fn possible(desired: &Desired<'_>, server: &Server) -> Result<(), Refused> {
    let (Some(has), Some(wanted)) = (&server.data, desired.data.get(&server.name)) else {
        return Ok(());
    };
    let node = server.name.clone();
    if has.postgresql != wanted.postgresql {
        let (has, brings) = (has.postgresql, wanted.postgresql);
        return Err(Refused::OtherPostgresql { node, has, brings });
    }
    if has.collations != wanted.collations {
        let (has, brings) = (has.collations.clone(), wanted.collations.clone());
        return Err(Refused::OtherCollations { node, has, brings });
    }
    Ok(())
}
