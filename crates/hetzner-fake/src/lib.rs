//! A stateful fake of the Hetzner Cloud API, for tests: the part of it that pgha uses, with the limits
//! that can hurt. It is judged by clients of the real one (`tests/hetzner/`), and is not the real one.

mod action;
mod answer;
mod catalog;
mod fault;
mod firewall;
mod hardware;
mod image;
mod labels;
mod listing;
mod network;
mod placement_group;
mod project;
mod route;
mod serve;
mod server;
mod ssh_key;
mod volume;

pub use answer::Refusal;
pub use fault::{Fault, Trouble};
pub use serve::{Fake, Options, Request};
