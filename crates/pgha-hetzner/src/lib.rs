//! Speaks to Hetzner Cloud. The only crate that can spend money.
//!
//! Requests are those of the `hcloud` crate. Answers are read by types of our own ([`model`]): generated models
//! fail on a field that is gone or a word that is new, after the thing was made.

mod action;
mod api;
mod error;
mod ground;
mod list;
pub mod model;
mod server;
mod site;

pub use api::{Api, Token};
pub use error::{ApiError, Code};
pub use ground::{Ground, Piece, Request};
pub use server::Power;
pub use site::{Disk, DiskError, Node, Rebuild, Site, SiteError, Upload, Wanted};
