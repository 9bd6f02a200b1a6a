//! Timings: what Patroni would silently clamp, and what would fence a healthy leader.

use super::super::Timing;
use super::{Remarks, value_or};
use crate::spec::{FailoverSection, Spec};

pub(super) fn check(spec: &Spec, remarks: &mut Remarks) -> Timing {
    let section = &spec.failover;
    let timing = merged(spec);
    if !floors(section, remarks) {
        return timing;
    }
    lock_outlives_retries(section, &timing, remarks);
    etcd_can_elect(spec, &timing, remarks);
    let detection = timing.check_inter_ms * timing.check_fall;
    if detection > timing.ttl * 500 {
        let span = value_or(&section.ttl, 0).span();
        let message =
            format!("HAProxy needs {detection} ms to notice a lost server, more than half of ttl");
        remarks.error(span, message, "ttl is too short for this preset", "use a faster preset");
    }
    timing
}

fn merged(spec: &Spec) -> Timing {
    let (section, base) = (&spec.failover, Timing::preset(spec.failover.preset));
    let pick = |value: &Option<serde_spanned::Spanned<u32>>, preset| {
        value.as_ref().map_or(preset, |v| *v.get_ref())
    };
    Timing {
        ttl: pick(&section.ttl, base.ttl),
        loop_wait: pick(&section.loop_wait, base.loop_wait),
        retry_timeout: pick(&section.retry_timeout, base.retry_timeout),
        primary_start_timeout: pick(&section.primary_start_timeout, base.primary_start_timeout),
        etcd_heartbeat_ms: pick(&spec.etcd.heartbeat_ms, base.etcd_heartbeat_ms),
        etcd_election_ms: pick(&spec.etcd.election_ms, base.etcd_election_ms),
        ..base
    }
}

/// Patroni accepts less, answers 200, and then uses the floor with only a warning in its log.
fn floors(section: &FailoverSection, remarks: &mut Remarks) -> bool {
    let mut fits = true;
    for (key, value, floor) in [
        ("ttl", &section.ttl, 20),
        ("loop_wait", &section.loop_wait, 1),
        ("retry_timeout", &section.retry_timeout, 3),
    ] {
        if let Some(value) = value.as_ref().filter(|value| *value.get_ref() < floor) {
            fits = false;
            let message = format!("`{key}` is below Patroni's floor of {floor}");
            remarks.error(
                value.span(),
                message,
                "too small",
                "Patroni would use the floor and only log a warning",
            );
        }
    }
    fits
}

/// `loop_wait + 2 retry_timeout` must fit into the lock's life, with failsafe's own calls and the
/// guard's margin.
fn lock_outlives_retries(section: &FailoverSection, timing: &Timing, remarks: &mut Remarks) {
    let failsafe = if section.failsafe.unwrap_or(true) { 4 } else { 0 };
    let guard = if section.guard.unwrap_or(true) { 5 } else { 0 };
    let needed = timing.loop_wait + 2 * timing.retry_timeout + failsafe + guard;
    let span = [&section.retry_timeout, &section.loop_wait, &section.ttl]
        .into_iter()
        .flatten()
        .next()
        .map_or(0..0, |v| v.span());
    if needed > timing.ttl {
        let help = format!(
            "loop_wait {} + 2 x retry_timeout {} + failsafe {failsafe} + guard {guard} = {needed}, but ttl is {}: a healthy leader could lose its lock. Raise ttl or lower retry_timeout",
            timing.loop_wait, timing.retry_timeout, timing.ttl
        );
        remarks.error(
            span,
            "the leader lock is shorter than one round of retries",
            "does not fit into ttl",
            help,
        );
    } else if failsafe == 0 || guard == 0 {
        let help = "without the guard a frozen Patroni leaves an old primary acknowledging writes; without failsafe an etcd outage stops all writes";
        remarks.warning(span, "failsafe or the guard is off", "less safe than the default", help);
    }
}

fn etcd_can_elect(spec: &Spec, timing: &Timing, remarks: &mut Remarks) {
    let span = spec
        .etcd
        .election_ms
        .as_ref()
        .or(spec.etcd.heartbeat_ms.as_ref())
        .map_or(0..0, |v| v.span());
    if timing.etcd_election_ms < 5 * timing.etcd_heartbeat_ms {
        let message = "`election_ms` must be at least 5 times `heartbeat_ms`";
        remarks.error(
            span.clone(),
            message,
            "too close",
            "etcd refuses to start otherwise; 10 times is its advice",
        );
    }
    if timing.retry_timeout * 1000 < 2 * timing.etcd_election_ms + timing.retry_timeout * 1000 / 3 {
        let help = "Patroni must be able to retry across an election of etcd: raise retry_timeout or lower election_ms";
        remarks.error(
            span,
            "`retry_timeout` is shorter than two etcd elections",
            "election too slow",
            help,
        );
    }
}
