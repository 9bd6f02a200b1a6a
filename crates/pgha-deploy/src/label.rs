//! Labels of a server: all the state that pgha keeps of it.

pub(crate) use pgha_platform::label::{IMAGE, PREVIOUS_IMAGE, PROVEN, SEED};

/// `yes` once the cluster has been healthy with it: from then on its data matters.
pub(crate) const FORMED: &str = "formed";
/// What tells its cluster from others of the same name.
pub(crate) const IDENTITY: &str = "identity";
/// Where the secrets of its cluster were.
pub(crate) const SECRETS: &str = "secrets";
/// The roles its image was made for.
pub(crate) const ROLES: &str = "roles";
/// Major version of PostgreSQL that wrote its data.
pub(crate) const POSTGRESQL: &str = "postgresql";
/// Versions of what sorts text in its indexes.
pub(crate) const COLLATIONS: &str = "collations";
/// Number of the roll that gave it what it has.
pub(crate) const GENERATION: &str = "generation";
/// Number of the last roll that was undone on it.
pub(crate) const UNDONE: &str = "undone";
/// Digest of all that was wanted when it got what it has.
pub(crate) const WISH: &str = "wish";
/// Digest of the dynamic configuration with which the cluster was healthy last.
pub(crate) const DYNAMIC: &str = "dynamic";
/// When the first certificate of its seed ends, in seconds since 1970.
pub(crate) const CERTIFICATES_END: &str = "certificates_end";
/// When it got what it has, in RFC 3339.
pub(crate) const SINCE: &str = "since";
