//! What a Patroni says of its own PostgreSQL.

use jiff::Timestamp;
use serde::Deserialize;

/// The state of a PostgreSQL at this very moment, as its own Patroni reports it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Instance {
    /// `primary` or `replica`.
    pub role: String,
    /// `running`, `starting`, `start failed`, `crashed`, `stopped`, ...
    pub state: String,
    /// Where it is in the WAL. Absent while PostgreSQL does not run.
    #[serde(default)]
    pub xlog: Position,
    /// The replicas it sends WAL to. Absent: there are none, or it does not say.
    #[serde(default)]
    pub replication: Vec<Stream>,
    /// Whether a changed parameter waits for its restart.
    #[serde(default)]
    pub pending_restart: bool,
}

/// WAL on its way to a replica.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Stream {
    /// Name of the replica.
    pub application_name: String,
    /// PostgreSQL's word for its state.
    pub state: String,
}

/// Positions in the WAL, in bytes since its beginning.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Position {
    /// Written, on a primary.
    pub location: Option<u64>,
    /// Received from the primary.
    pub received_location: Option<u64>,
    /// Replayed. After a restart this may be more than was received since.
    pub replayed_location: Option<u64>,
    /// When the last transaction that was replayed was committed on the primary, as Python writes it.
    pub replayed_timestamp: Option<String>,
}

impl Instance {
    /// Whether it has left recovery, and runs.
    pub fn takes_writes(&self) -> bool {
        self.is_primary() && self.runs()
    }

    /// Whether PostgreSQL answers its Patroni.
    pub fn runs(&self) -> bool {
        self.state == "running"
    }

    /// Whether its data is being copied from the leader.
    pub(crate) fn is_copied(&self) -> bool {
        self.state == "creating replica"
    }

    /// Whether it is not a replica. An instance that is starting may not know yet.
    pub fn is_primary(&self) -> bool {
        self.role == "primary"
    }

    /// Whether it does not run, and no operation explains that.
    pub fn does_not_start(&self) -> bool {
        self.has_failed_to_start()
            || ["crashed", "starting", "stopped"].contains(&self.state.as_str())
            || self.is_unreadable()
    }

    /// Whether it runs, but does not answer its Patroni because of a setting.
    pub(crate) fn is_unreadable(&self) -> bool {
        self.state == "unknown"
    }

    /// Whether the last attempt to start it failed. Between two attempts it is `starting`.
    pub(crate) fn has_failed_to_start(&self) -> bool {
        ["start failed", "restart failed"].contains(&self.state.as_str())
    }

    /// Whether it sends WAL to `replica`, which may be catching up.
    pub(crate) fn sends_to(&self, replica: &str) -> bool {
        let sends = |stream: &Stream| ["streaming", "catchup"].contains(&stream.state.as_str());
        let is_its = |stream: &Stream| stream.application_name == replica && sends(stream);
        self.replication.iter().any(is_its)
    }

    /// The WAL it has, in bytes.
    pub fn received(&self) -> Option<u64> {
        self.xlog.location.or_else(|| self.xlog.received_location.max(self.xlog.replayed_location))
    }

    /// The WAL that its readers see, in bytes.
    pub fn replayed(&self) -> Option<u64> {
        self.xlog.location.or(self.xlog.replayed_location)
    }

    /// Seconds since the last transaction that was replayed was committed.
    pub(crate) fn seconds_since_replay(&self) -> Option<i64> {
        let then = self.xlog.replayed_timestamp.as_ref()?.parse::<Timestamp>().ok()?;
        Some(Timestamp::now().as_second() - then.as_second())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_how_long_ago_it_replayed() {
        let text = r#"{ "role": "replica", "state": "running", "xlog": { "received_location": 9, "paused": false,
            "replayed_location": 8, "replayed_timestamp": "2026-11-29 13:37:19.199884+00:00" } }"#;
        let instance = serde_json::from_str::<Instance>(text).expect("what Patroni 4.1 writes");
        assert!(instance.seconds_since_replay().is_some_and(|seconds| seconds > 0));
        assert_eq!(Instance::default().seconds_since_replay(), None);
    }
}
