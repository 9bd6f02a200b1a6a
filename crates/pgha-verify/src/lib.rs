//! The referee: writes through the cluster's own endpoint while something is broken, and judges
//! what SQL clients saw.
//!
//! An endpoint and credentials come in. A [`History`] of every operation and the [`Verdict`] about
//! a run go out. Nothing here breaks anything, and nothing here relies on what Patroni or etcd say:
//! a row counts when a client was told so. What must never happen here: an operation whose outcome
//! is unknown counted as acknowledged or as failed.

pub mod checker;
pub mod history;
pub mod scenario;
pub mod verdict;
pub mod workload;

pub use checker::Findings;
pub use history::{History, Operation, Outcome, Side};
pub use scenario::Scenario;
pub use verdict::{Played, Program, Verdict, summary};
pub use workload::{Endpoint, Workload};
