//! How long an operation may take before it counts as failed.

use std::time::Duration;

/// etcd sends a joining member all its data within this time: 2 GiB at most.
pub(super) const JOINS: Duration = Duration::from_secs(120);

/// How long a copy may stand still. It does not grow before it begins, nor while PostgreSQL replays
/// the WAL written during it.
pub(super) const PATIENCE: Duration = Duration::from_secs(240);

/// PostgreSQL of a replica is back within this time, or not at all.
pub(super) const BACK: Duration = Duration::from_secs(30);
