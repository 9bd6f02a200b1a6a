//! The umask: a caller's must not reach the modes of what pgha makes for nodes.
//!
//! Files of pgha name their modes. Programs it starts do not (`mkdir`, `mksquashfs`), and what they
//! make becomes the root of a node: closed to its daemons under 077, open to all of them under 000.

use std::sync::OnceLock;

use nix::sys::stat::{Mode, umask};

static CALLERS: OnceLock<Mode> = OnceLock::new();

/// From here on this process, and every program it starts, has 022. To be called once, before there
/// are other threads.
pub fn set_aside() {
    let callers = umask(Mode::S_IWGRP | Mode::S_IWOTH);
    let _ = CALLERS.set(callers);
}

/// The caller's own again: for a program that this process becomes, whose files are the caller's.
pub fn give_back() {
    if let Some(callers) = CALLERS.get() {
        umask(*callers);
    }
}
