//! The umask: the caller's must not affect the modes of what pgha makes for nodes.
//!
//! pgha sets the modes of its own files. Programs it starts do not (`mkdir`, `mksquashfs`), and
//! what they make becomes the root of a node: closed to its daemons under 077, open to all of them
//! under 000.

use std::sync::OnceLock;

use nix::sys::stat::{Mode, umask};

static CALLERS: OnceLock<Mode> = OnceLock::new();

/// Sets the umask of this process, and of every program it starts, to 022. Call it once, before
/// there are other threads.
pub fn set_aside() {
    let callers = umask(Mode::S_IWGRP | Mode::S_IWOTH);
    let _ = CALLERS.set(callers);
}

/// Restores the caller's umask, for a program that replaces this process: its files belong to the
/// caller.
pub fn give_back() {
    if let Some(callers) = CALLERS.get() {
        umask(*callers);
    }
}
