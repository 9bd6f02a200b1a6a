//! The machine: processes, files, SSH, HTTP, and the providers that run on them.
//!
//! Arguments and bytes come in, effects and typed errors go out. Nothing here knows what a cluster,
//! a replica or a plan is; labels of a server are text to it. What must
//! never happen here: an argument that passes through a shell, a file left half written, a secret in
//! an error, a process or a mount left behind by `delete`.

pub mod clock;
pub mod command;
pub mod files;
pub mod http;
pub mod local;
pub mod place;
pub mod provider;
pub mod sql;
pub mod ssh;
pub mod umask;

pub use command::{Command, CommandError};
pub use provider::{
    Boot, Check, Faults, ImageFile, Problem, Provider, ProviderError, Server, ServerRequest,
};
