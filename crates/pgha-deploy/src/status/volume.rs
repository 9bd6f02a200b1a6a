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

/// Little room left, and limits beyond what there is. PostgreSQL stops when there is none for its WAL.
pub(super) fn warnings(cluster: &Cluster, node: &Node, volume: Option<Volume>) -> Vec<String> {
    let Some(Volume { percent, bytes }) = volume else { return Vec::new() };
    let (name, writes) = (&node.name, node.role_set.has(Role::Postgres));
    let full = (percent >= 80).then(|| {
        format!("the data volume of {name} is {percent} % full: delete data or give it more room; see also `max_slot_wal_keep_size`")
    });
    let limit = cluster.postgresql.bytes("max_slot_wal_keep_size").filter(|_| writes);
    let beyond = limit.filter(|limit| *limit > bytes / 2).map(|limit| {
        let gib = |bytes: u64| bytes as f64 / f64::from(1 << 30);
        format!(
            "`max_slot_wal_keep_size` is {:.1} GiB, more than half of the data volume of {name} ({:.1} GiB): WAL kept for a replica that is away can fill it",
            gib(limit), gib(bytes)
        )
    });
    full.into_iter().chain(beyond).collect()
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
        let said = warnings(&cluster, &cluster.nodes[0], Some(volume));
        assert!(said[0].contains("81 % full") && said[1].contains("is 8.0 GiB"), "{said:?}");
        let large = Volume { percent: 79, bytes: 100 << 30 };
        assert_eq!(warnings(&cluster, &cluster.nodes[0], Some(large)), Vec::<String>::new());
    }
}
