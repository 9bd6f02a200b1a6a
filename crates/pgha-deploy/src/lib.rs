//! Carries a plan out: builds images, makes secrets and seeds, observes nodes, executes steps,
//! waits at gates.
//!
//! Rendered trees and a plan come in. Running nodes and observed health go out. Nothing here decides what should happen: the plan says it,
//! and a plan that no longer fits the world is refused. Three things must never happen here. A secret in a log, an image or an error. A
//! step that the plan does not name, except to undo a failed one. A file of the secrets that is written before the user has said yes.

pub mod archive;
mod barred;
pub mod clients;
mod config_check;
mod contract;
mod copy;
pub mod daemons;
pub mod declare;
pub mod etcd;
pub mod exclusion;
pub mod execute;
pub mod fleet;
pub mod gate;
pub mod haproxy;
pub mod health;
pub mod image;
pub mod instance;
pub mod journal;
pub mod lease;
pub mod node_error;
pub mod observe;
pub mod operate;
pub mod operator;
pub mod patroni;
pub mod pooler;
pub mod probe;
pub mod role_password;
pub mod secrets;
pub mod seed;
pub mod session;
pub mod status;
pub mod units;
mod watch;
