//! Forming a cluster, after an interruption and after the file has changed.

use pgha_core::inventory::Inventory;
use pgha_core::plan::plan;

use crate::case::{Case, digest, old};
use crate::{THREE, golden};

cases! {
    nothing_there: Case::new(THREE).with(|world| *world = Inventory::default()),
    formation_interrupted: Case::new(THREE).with(|world| {
        world.servers.truncate(2);
        world.servers.iter_mut().for_each(|server| server.formed = false);
        world.servers[1].running = false;
    }),
    formation_interrupted_then_edited: Case::new(THREE).with(|world| {
        world.servers.iter_mut().for_each(|server| server.formed = false);
        world.observed = None;
    }).with(old(&[0])),
    formation_stopped_short_then_edited: Case::new(THREE).with(|world| {
        world.servers.truncate(2);
        (world.observed, world.is_blank) = (None, true);
        for server in &mut world.servers {
            (server.formed, server.dynamic) = (false, Some(digest("bad")));
        }
    }),
    formation_interrupted_then_configured: Case::new(THREE).with(|world| {
        world.observed = None;
        for server in &mut world.servers {
            (server.formed, server.dynamic) = (false, Some(digest("another")));
        }
    }),
    half_sealed: Case::new(THREE).with(|world| world.servers[2].formed = false),
}
