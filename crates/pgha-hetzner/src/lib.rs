//! Speaks to Hetzner Cloud. The only crate that can spend money.
//!
//! Requests are those of the `hcloud` crate. So are answers, but for whatever embeds an image, a server, a
//! server type or a primary IP: those change too often for generated models, which fail on a field that is
//! gone or a word that is new, after the thing was made ([`model`]).

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
pub use ground::{Ground, Piece};
pub use server::Power;
pub use site::{Disk, DiskError, Node, Rebuild, Site, SiteError, Upload, Wanted};
