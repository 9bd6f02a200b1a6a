//! The pure core: the text of one `cluster.toml` comes in, a [`Cluster`], the files it becomes and
//! a [`plan::Plan`] go out.
//!
//! Nothing here touches a file, a process, a clock or a socket, so every decision the tool makes
//! can be tested on text. What must never happen here: a partly checked [`Cluster`], a rendered
//! file that holds a secret, a plan that leaves a decision to its executor.
//!
//! ```text
//! text -> parse -> Cluster -> render -> Rendered (trees, seeds, dynamic)    Cluster + Inventory -> plan -> Plan
//! ```

pub mod cluster;
pub mod data_format;
pub mod diagnostic;
pub mod digest;
pub mod dynamic;
pub mod inventory;
pub mod manifest;
pub mod object;
pub mod plan;
pub mod render;
pub mod service;
mod spec;
mod template;

pub use cluster::Cluster;
pub use data_format::DataFormat;
pub use diagnostic::{Diagnostic, Severity};
pub use digest::Digest;
pub use dynamic::Dynamic;
pub use object::Object;
pub use spec::schema;
