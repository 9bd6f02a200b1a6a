//! The data volume of a node: how large, how full, and whether the cluster's limits fit on it.

use pgha_core::Cluster;
use pgha_core::cluster::{Node, Role};
use pgha_platform::ssh::Session;

/// What df(1) says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Volume {
    pub(super) percent: u8,
    pub(super) bytes: u64,
}

/// The volume of the node behind `session`. Absent: it does not say.
pub(super) async fn volume(session: &Session) -> Option<Volume> {
    let df = ["df", "--output=pcent,size", "--block-size=1", "/var/lib/pgha"];
    parse(&session.run(&df, b"").await.ok()?)
}

/// The last line has the figures.
fn parse(table: &str) -> Option<Volume> {
    let (percent, bytes) = table.lines().last()?.trim().split_once("% ")?;
    Some(Volume { percent: percent.parse().ok()?, bytes: bytes.trim().parse().ok()? })
}

/// Warns of volumes with little room left, and of limits that do not fit. PostgreSQL stops when there is no room for its WAL.
pub(super) fn warnings(cluster: &Cluster, volumes: &[(&Node, Volume)]) -> Vec<String> {
    let full = volumes.iter().filter(|(_, volume)| volume.percent >= 80).map(|(node, volume)| {
        format!(
            "the data volume of {} is {} % full: delete data or give it more room; see also `max_slot_wal_keep_size`",
            node.name, volume.percent
        )
    });
    full.chain(beyond(cluster, volumes)).collect()
}

fn beyond(cluster: &Cluster, volumes: &[(&Node, Volume)]) -> Option<String> {
    let limit = cluster.postgresql.bytes("max_slot_wal_keep_size")?;
    let is_small = |(node, volume): &&(&Node, Volume)| {
        node.role_set.has(Role::Postgres) && limit > volume.bytes / 2
    };
    let gib = |bytes: u64| format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30));
    let small = volumes.iter().filter(is_small);
    let small = small.map(|(node, volume)| format!("{} ({})", node.name, gib(volume.bytes)));
    let small = small.collect::<Vec<_>>().join(", ");
    (!small.is_empty()).then(|| {
        format!(
            "`max_slot_wal_keep_size` is {}, more than half of the data volume of {small}: WAL kept for a replica that is away can fill it",
            gib(limit)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_held_against_the_volume() {
        let text = include_str!("../../../../tests/clusters/minimal.toml");
        let (cluster, _) = Cluster::parse(text).expect("a cluster");
        let volume = parse("Use%    1B-blocks\n 81%  10737418240\n").expect("a volume");
        assert_eq!(volume, Volume { percent: 81, bytes: 10 << 30 });
        let large = Volume { percent: 79, bytes: 100 << 30 };
        let [first, second, third] = &cluster.nodes[..] else { panic!("three nodes") };
        let said = warnings(&cluster, &[(first, volume), (second, large), (third, volume)]);
        assert_eq!(said.len(), 3, "{said:?}");
        assert!(said[0].contains("node-1 is 81 % full"), "{said:?}");
        assert!(said[2].contains("volume of node-1 (10.0 GiB), node-3 (10.0 GiB)"), "{said:?}");
        assert_eq!(warnings(&cluster, &[(first, large)]), Vec::<String>::new());
    }
}
