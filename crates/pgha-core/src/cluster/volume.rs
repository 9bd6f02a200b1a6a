//! Limits that follow the size of the data volume.

use serde_json::json;

use super::Cluster;
use crate::spec::Spec;

/// Bytes of a mebibyte.
const MIB: u64 = 1 << 20;

/// A limit for the WAL that PostgreSQL keeps, and the part of the volume that is enough for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limit {
    parameter: &'static str,
    /// The part: one byte in this many.
    part: u64,
}

/// Together they leave five eighths of a volume for data. A slot holds WAL for a replica that is away;
/// checkpoints are spread over `max_wal_size`.
pub(super) const LIMITS: [Limit; 2] = [
    Limit { parameter: "max_slot_wal_keep_size", part: 4 },
    Limit { parameter: "max_wal_size", part: 8 },
];

/// The limits that the file does not set.
pub(crate) fn open(spec: &Spec) -> Vec<Limit> {
    let is_set = |name: &str| spec.postgresql.parameters.keys().any(|key| key.get_ref() == name);
    LIMITS.into_iter().filter(|limit| !is_set(limit.parameter)).collect()
}

impl Cluster {
    /// Lowers the limits that the file does not set to what data volumes of `bytes` each can hold.
    pub fn fit(&mut self, bytes: u64) {
        for Limit { parameter, part } in self.postgresql.open_limits.clone() {
            let most = bytes / part;
            if self.postgresql.bytes(parameter).is_some_and(|bytes| bytes > most) {
                let value = json!(format!("{}MB", (most / MIB).max(64)));
                self.postgresql.parameters.insert(parameter.to_owned(), value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn fitted(more: &str, bytes: u64) -> [Value; 2] {
        let text = include_str!("../../../../tests/clusters/minimal.toml").to_owned() + more;
        let (mut cluster, _) = Cluster::parse(&text).expect("a cluster");
        cluster.fit(bytes);
        LIMITS.map(|limit| cluster.postgresql.parameters[limit.parameter].clone())
    }

    #[test]
    fn limits_follow_a_small_volume_and_never_what_the_file_says() {
        assert_eq!(fitted("", 100 << 30), ["8GB", "2GB"]);
        assert_eq!(fitted("", 12 << 30), ["3072MB", "1536MB"]);
        let own = "\n[postgresql.parameters]\nmax_slot_wal_keep_size = \"9GB\"\n";
        assert_eq!(fitted(own, 12 << 30), ["9GB", "1536MB"]);
    }
}
