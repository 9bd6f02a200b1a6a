//! Why a copy does not become whole, in the words of its daemon. A copy is deleted only for words
//! that can mean nothing but lost data. All other words are for people.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use pgha_core::Cluster;
use pgha_core::inventory::Ailment;
use pgha_platform::command::shortened;
use pgha_platform::ssh::Session;

use tokio::time::Instant;

use crate::daemons::Daemons;
use crate::health::Health;
use crate::instance::Instance;

/// Newest line of the last half minute. The daemons try again every second or two.
const NEWEST: &str = "journalctl --no-pager --output=cat --since=-30s --lines=1";

/// What ended PostgreSQL or its WAL receiver. Two spaces follow the word, sessions have a user before it, and a deliberate stop says
/// `terminating`. Also what Patroni says of a directory in which a base backup was interrupted (`ha.py`). And what PostgreSQL says, on its
/// third line and without either word, if there is no `pg_control` (`postmaster.c`).
const ENDED: &str = "^[^@]*(FATAL|PANIC):\\s\\s(?!terminating|the\\sdatabase\\ssystem\\sis)|system\\sID\\sis\\sinvalid|^but\\scould\\snot\\sopen\\sfile";

/// The words of PostgreSQL 14 to 17 for a leftover process (`sysv_shmem.c`, `miscinit.c`).
const LEFTOVER: [&str; 2] =
    ["pre-existing shared memory block", "lock file \"postmaster.pid\" already exists"];

/// Their words for removed WAL, in `walsender.c`.
const BEHIND: [&str; 2] = ["requested WAL segment", "has already been removed"];

/// ENOSPC below the data directory. For shared memory the message has no path.
const FULL: [&str; 2] = ["No space left on device", "file \""];

/// Messages that only damaged data can cause: `xlogrecovery.c`, `pg_control`, the files of system catalogs and transactions, `bufpage.c`;
/// values that Patroni takes from a damaged `pg_control`.
const DAMAGED: [&str; 12] = [
    "could not locate a valid checkpoint record",
    "could not locate required checkpoint record",
    "invalid checkpoint",
    "incorrect checksum in control file",
    "database files are incompatible with server",
    "is outside the valid range for parameter",
    "global/pg_control",
    "could not open file \"global/",
    "could not read file \"global/",
    "could not access status of transaction",
    "invalid page in block",
    "system ID is invalid",
];

/// The last words of etcd 3.5 when its data is gone or cannot be read: it panics for no other
/// reason. The first of them is from `pgha-etcd`.
const MEMBER: &str = "data\\sof\\sthis\\setcd\\smember\\sis\\sgone|^panic:\\s|crc\\smismatch|already\\sbeen\\sbootstrapped|\
                      permanently\\sremoved|[Nn]o\\sspace\\sleft";

/// Characters of a daemon's words in a plan.
const WORDS: usize = 120;

async fn newest(session: &Session, unit: &str, words: &str) -> String {
    let (unit, words) = (format!("--unit={unit}"), format!("--grep={words}"));
    let query = NEWEST.split(' ').chain([unit.as_str(), words.as_str()]).collect::<Vec<_>>();
    session.run(&query, b"").await.unwrap_or_default().trim().to_owned()
}

/// What keeps the replica behind `session` from becoming whole. Absent: no known problem, or it is being copied.
pub(crate) async fn ailment(session: &Session, instance: &Instance) -> Option<Ailment> {
    ailment_of(&newest(session, "patroni.service", ENDED).await, instance)
}

fn ailment_of(said: &str, instance: &Instance) -> Option<Ailment> {
    let words = said.split_once(":  ").map_or(said, |(_, words)| words);
    let says = |parts: &[&str]| parts.iter().all(|part| words.contains(part));
    let any = |parts: &[&str]| parts.iter().any(|part| words.contains(part));
    match (instance.runs(), instance.does_not_start()) {
        (true, _) if says(&BEHIND) => Some(Ailment::Behind),
        (true, _) | (_, true) if says(&FULL) => Some(Ailment::Full),
        (_, true) if any(&LEFTOVER) => Some(Ailment::Leftover),
        (_, true) if any(&DAMAGED) => Some(Ailment::Damaged(shortened(words, WORDS))),
        (_, true) if instance.has_failed_to_start() => {
            Some(Ailment::Failing(shortened(words, WORDS)))
        }
        _ => None,
    }
}

/// Whether the etcd member behind `session` says that it has lost its data. `false` for an older image, which could not let it join again.
pub(crate) async fn has_lost_member(session: &Session) -> bool {
    let can_rejoin = session.run(&["ls", "/etc/pgha/lib/pgha-etcd"], b"").await.is_ok();
    let said = newest(session, "etcd.service", MEMBER).await;
    can_rejoin && !said.is_empty() && !said.to_lowercase().contains("no space left")
}

/// Bytes of the copy behind `session` so far.
pub(crate) async fn size(session: &Session) -> Option<u64> {
    let du = ["du", "--summarize", "--bytes", "/var/lib/pgha/postgresql/data"];
    session.output(&du, b"").await.ok()?.stdout.split_whitespace().next()?.parse().ok()
}

/// A base backup that has not grown for this long is only starting, or is not being made any more.
const STALLED: Duration = Duration::from_secs(60);

/// How often its size is read. Every file is counted each time.
const LOOK: Duration = Duration::from_secs(5);

/// Copies that are being made, and how far they have come.
#[derive(Default)]
pub(crate) struct Copies {
    are_made: bool,
    /// The largest size each copy has had. One that begins again and again does not grow.
    most: BTreeMap<String, u64>,
    looked: Option<Instant>,
    grown: Option<Instant>,
}

impl Copies {
    /// Whether a copy is being made and has grown within a minute, as far as it was asked.
    pub(crate) async fn grow<D: Daemons>(
        &mut self,
        daemons: &D,
        health: &Health,
        cluster: &Cluster,
    ) -> bool {
        if self.looked.is_none_or(|looked| looked.elapsed() >= LOOK) {
            self.look(daemons, health, cluster).await;
        }
        self.are_made && self.grown.is_some_and(|grown| grown.elapsed() < STALLED)
    }

    async fn look<D: Daemons>(&mut self, daemons: &D, health: &Health, cluster: &Cluster) {
        let sizes = join_all(
            health
                .copying(cluster)
                .map(async |node| Some((node.name.clone(), daemons.copied(node).await?))),
        );
        let sizes = sizes.await.into_iter().flatten().collect::<BTreeMap<_, _>>();
        self.looked = Some(Instant::now());
        self.are_made = !sizes.is_empty();
        for (name, size) in sizes {
            let most = self.most.entry(name).or_default();
            if *most < size {
                (*most, self.grown) = (size, self.looked);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ailment(state: &str, said: &str) -> Option<Ailment> {
        let instance = Instance { state: state.to_owned(), ..Instance::default() };
        ailment_of(said, &instance)
    }

    #[test]
    fn postgresql_says_why_its_copy_is_not_whole() {
        let behind = "606  FATAL:  could not receive data from WAL stream: ERROR:  requested WAL segment 000000020000000000000007 has already been removed";
        assert_eq!(ailment("running", behind), Some(Ailment::Behind));
        let leftover = "2026-11-29 00:29:14.559 GMT [457] FATAL:  pre-existing shared memory block (key 1, ID 2) is still in use";
        assert_eq!(ailment("start failed", leftover), Some(Ailment::Leftover));
        let full = "2244  FATAL:  could not write to file \"pg_wal/xlogtemp.2244\": No space left on device";
        assert_eq!(ailment("running", full), Some(Ailment::Full));
        let damaged = "[457] FATAL:  could not open file \"global/pg_filenode.map\": No such file";
        let words = "could not open file \"global/pg_filenode.map\": No such file".to_owned();
        assert_eq!(ailment("starting", damaged), Some(Ailment::Damaged(words)));
        let gone = "but could not open file \"/var/lib/pgha/postgresql/data/global/pg_control\": No such file or directory";
        assert!(matches!(ailment("start failed", gone), Some(Ailment::Damaged(_))));
        let wedged = "INFO: data dir for the cluster is not empty, but system ID is invalid; consider doing reinitialize";
        assert!(matches!(ailment("stopped", wedged), Some(Ailment::Damaged(_))));
    }

    #[test]
    fn what_may_have_another_reason_is_not_taken_for_damage() {
        let memory = "9 FATAL:  could not map anonymous shared memory: Cannot allocate memory";
        assert!(matches!(ailment("start failed", memory), Some(Ailment::Failing(_))));
        let shared = "9 FATAL:  could not resize shared memory segment: No space left on device";
        assert!(matches!(ailment("start failed", shared), Some(Ailment::Failing(_))));
        assert!(matches!(ailment("start failed", ""), Some(Ailment::Failing(_))));
    }

    #[test]
    fn one_that_recovers_or_copies_is_waited_for() {
        let connect = "[457] FATAL:  could not connect to the primary server";
        let behind = "6  FATAL:  requested WAL segment 07 has already been removed";
        for (state, said) in [("starting", ""), ("starting", connect), ("running", connect)] {
            assert_eq!(ailment(state, said), None, "{state} {said}");
        }
        assert_eq!(ailment("creating replica", behind), None);
        assert_eq!(ailment("starting", behind), None);
    }
}
