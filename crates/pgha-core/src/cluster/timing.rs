//! Timings: the presets, and the write stop that follows from them.

use serde::Serialize;

use super::Preset;

/// Every timing of a cluster, from etcd's heartbeat to the client's keepalive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Timing {
    /// Seconds the leader lock lives without renewal.
    pub ttl: u32,
    /// Seconds between two rounds of Patroni's main loop.
    pub loop_wait: u32,
    /// Seconds an etcd or PostgreSQL operation is retried.
    pub retry_timeout: u32,
    /// Seconds a crashed PostgreSQL may take to start before another node takes over.
    pub primary_start_timeout: u32,
    /// Seconds PostgreSQL may take to stop when its node must give up the lock.
    pub primary_stop_timeout: u32,
    /// Milliseconds between etcd's heartbeats.
    pub etcd_heartbeat_ms: u32,
    /// Milliseconds without heartbeat until etcd elects a leader.
    pub etcd_election_ms: u32,
    /// Milliseconds between HAProxy's checks of a server that is up.
    pub check_inter_ms: u32,
    /// Milliseconds between checks while a server is changing state.
    pub check_fastinter_ms: u32,
    /// Milliseconds between checks of a server that is down.
    pub check_downinter_ms: u32,
    /// Failed checks until a server is down.
    pub check_fall: u32,
    /// Passed checks until a server is up.
    pub check_rise: u32,
    /// Milliseconds one check may take.
    pub check_timeout_ms: u32,
    /// Seconds unacknowledged data may stay on a connection.
    pub tcp_user_timeout: u32,
    /// Seconds of silence until a replication connection is given up, on both ends.
    pub wal_timeout: u32,
    /// Seconds PgBouncer lets a client wait for a server connection.
    pub query_wait_timeout: u32,
    /// Seconds a changed node must be healthy before the next one is touched: a crash loop shows
    /// itself in that time.
    pub gate_hold: u32,
}

impl Timing {
    /// The timings of a preset.
    pub const fn preset(preset: Preset) -> Self {
        match preset {
            Preset::Fast => FAST,
            Preset::Normal => NORMAL,
            Preset::Wide => WIDE,
        }
    }

    /// The longest time without an acknowledged write that clients should see for one `fault`.
    pub(super) fn write_stop(&self, fault: Fault) -> WriteStop {
        let seconds = |ms: u32| f64::from(ms) / 1000.0;
        let check = ("check", seconds(self.check_downinter_ms) + 0.5);
        let client = ("client", 1.0);
        let mut terms = match fault {
            Fault::LeaderLost => vec![
                ("ttl", f64::from(self.ttl)),
                // etcd's leader was on that node, and a new one renews every lease.
                ("3 etcd elections", 3.0 * seconds(self.etcd_election_ms)),
                ("lease scan", 0.5),
                ("race", 2.0),
                ("promotion", 1.0),
            ],
            Fault::PostgresKilled => vec![
                ("2 loop_wait", 2.0 * f64::from(self.loop_wait)),
                ("primary_start_timeout", f64::from(self.primary_start_timeout)),
                ("race and promotion", 3.0),
            ],
            Fault::Switchover => vec![
                ("loop_wait", f64::from(self.loop_wait)),
                ("checkpoint, stop and promotion", 4.0),
            ],
            Fault::ReplicaStopped => vec![
                ("loop_wait", f64::from(self.loop_wait)),
                ("choice of another", 1.0),
                // A waiting commit returns at the other replica's next status message: within
                // wal_receiver_status_interval, or when the sender asks for it after half of the
                // timeout.
                ("its next word", f64::from(self.wal_timeout / 2).min(10.0)),
            ],
            // No failover.
            Fault::MinorityLost => Vec::new(),
        };
        terms.extend([check, client]);
        WriteStop::sum(&terms)
    }
}

/// What can happen to a cluster, as far as it affects the length of the write stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The leader's node is off, cut off, or its Patroni is frozen.
    LeaderLost,
    /// PostgreSQL of the leader was killed; Patroni lives.
    PostgresKilled,
    /// A planned change of leader.
    Switchover,
    /// The replica that commits wait for is stopped cleanly.
    ReplicaStopped,
    /// One etcd member is lost, or one replica that no commit waits for.
    MinorityLost,
}

/// A bound on the time without acknowledged writes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WriteStop {
    /// The bound in seconds.
    pub worst_seconds: f64,
    /// What it is the sum of: `ttl 20 + race 2 + ...`, in seconds.
    pub because: String,
}

impl WriteStop {
    /// The same, with another term added.
    #[must_use]
    pub fn longer_by(self, what: &str, seconds: u32) -> Self {
        Self {
            worst_seconds: self.worst_seconds + f64::from(seconds),
            because: format!("{} + {what} {seconds}", self.because),
        }
    }

    /// The sum of the terms, rounded up to the next half second.
    fn sum(terms: &[(&str, f64)]) -> Self {
        let sum = terms.iter().map(|(_, seconds)| seconds).sum::<f64>();
        let terms = terms.iter().map(|(name, seconds)| format!("{name} {seconds}"));
        Self {
            worst_seconds: (sum * 2.0).ceil() / 2.0,
            because: terms.collect::<Vec<_>>().join(" + "),
        }
    }
}

// Derivation of the presets: infrastructure/README.md, "Timings".
const FAST: Timing = Timing {
    ttl: 20,
    loop_wait: 1,
    retry_timeout: 4,
    primary_start_timeout: 10,
    primary_stop_timeout: 3,
    etcd_heartbeat_ms: 100,
    etcd_election_ms: 1000,
    check_inter_ms: 1000,
    check_fastinter_ms: 500,
    check_downinter_ms: 500,
    check_fall: 3,
    check_rise: 1,
    check_timeout_ms: 1500,
    tcp_user_timeout: 5,
    wal_timeout: 10,
    query_wait_timeout: 15,
    gate_hold: 10,
};

const NORMAL: Timing = Timing {
    ttl: 30,
    loop_wait: 5,
    retry_timeout: 8,
    primary_start_timeout: 20,
    primary_stop_timeout: 4,
    etcd_heartbeat_ms: 200,
    etcd_election_ms: 2000,
    check_inter_ms: 2000,
    check_fastinter_ms: 1000,
    check_downinter_ms: 1000,
    check_timeout_ms: 2000,
    tcp_user_timeout: 10,
    wal_timeout: 20,
    query_wait_timeout: 30,
    gate_hold: 30,
    ..FAST
};

const WIDE: Timing = Timing {
    ttl: 60,
    loop_wait: 10,
    retry_timeout: 20,
    primary_start_timeout: 60,
    primary_stop_timeout: 5,
    etcd_heartbeat_ms: 500,
    etcd_election_ms: 5000,
    check_inter_ms: 3000,
    check_fastinter_ms: 1000,
    check_downinter_ms: 2000,
    check_timeout_ms: 3000,
    tcp_user_timeout: 20,
    wal_timeout: 40,
    query_wait_timeout: 60,
    gate_hold: 90,
    ..FAST
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_promise_what_the_guide_says() {
        let guide = include_str!("../../../../infrastructure/README.md");
        for (row, fault) in [
            ("| writes stop at most: leader lost (s) |", Fault::LeaderLost),
            ("| PostgreSQL killed and cannot restart (s) |", Fault::PostgresKilled),
            ("| switchover (s) |", Fault::Switchover),
        ] {
            let told = guide.lines().find_map(|line| line.strip_prefix(row)).expect(row);
            let worst = |preset| Timing::preset(preset).write_stop(fault).worst_seconds;
            let [fast, normal, wide] = [Preset::Fast, Preset::Normal, Preset::Wide].map(worst);
            assert_eq!(told.trim(), format!("{fast} | {normal} | {wide} |"), "{row}");
        }
    }

    #[test]
    fn a_sum_is_told_with_its_terms() {
        let stop = Timing::preset(Preset::Fast).write_stop(Fault::Switchover);
        let terms = "loop_wait 1 + checkpoint, stop and promotion 4 + check 1 + client 1";
        assert_eq!((stop.worst_seconds, stop.because.as_str()), (7.0, terms));
    }
}
