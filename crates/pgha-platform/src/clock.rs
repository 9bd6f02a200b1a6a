//! What time it is.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// The current time in RFC 3339, to the second, as in labels and notes.
pub fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// How long this machine has slept since it booted.
pub fn slept() -> Duration {
    let clock = |id| clock_gettime(id).map(Duration::from).unwrap_or_default();
    clock(ClockId::CLOCK_BOOTTIME).saturating_sub(clock(ClockId::CLOCK_MONOTONIC))
}
