//! How long what was begun may take before it counts as failed.

use std::time::Duration;

/// etcd hands a member that joins all it has within this: 2 GiB at most.
pub(super) const JOINS: Duration = Duration::from_secs(120);

/// Nothing grows before a copy is begun, nor while PostgreSQL replays what was written during it.
pub(super) const PATIENCE: Duration = Duration::from_secs(240);

/// PostgreSQL of a replica is back sooner, or not at all.
pub(super) const BACK: Duration = Duration::from_secs(30);
