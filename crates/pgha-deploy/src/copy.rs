//! Why the copy of a replica does not become whole, in PostgreSQL's own words.

use pgha_core::inventory::Ailment;
use pgha_platform::command::shortened;
use pgha_platform::ssh::Session;

use crate::patroni::Instance;

/// What ended PostgreSQL or its WAL receiver, newest first. Sessions have a user before the word, and
/// those who stop it on purpose say `terminating`.
const ENDED: &str = "journalctl --no-pager --output=cat --unit=patroni.service --since=-30s --lines=1 \
                     --grep=^[^@]*(FATAL|PANIC):\\s+(?!terminating|the\\sdatabase\\ssystem\\sis)";

/// As PostgreSQL 14 to 18 say it (`sysv_shmem.c`, `miscinit.c`).
const LEFTOVER: [&str; 2] =
    ["pre-existing shared memory block", "lock file \"postmaster.pid\" already exists"];

/// As they say it in `walsender.c`.
const BEHIND: [&str; 2] = ["requested WAL segment", "has already been removed"];

/// ENOSPC, as the C library says it.
const FULL: &str = "No space left on device";

/// Characters of PostgreSQL's words in a plan.
const WORDS: usize = 120;

/// What keeps the replica behind `session` from becoming whole, where PostgreSQL says so.
pub(crate) async fn ailment(session: &Session, instance: &Instance) -> Option<Ailment> {
    let ended = ENDED.split_whitespace().collect::<Vec<_>>();
    let said = session.run(&ended, b"").await.unwrap_or_default();
    ailment_of(&said, instance)
}

fn ailment_of(said: &str, instance: &Instance) -> Option<Ailment> {
    let (_, words) = said.trim().split_once(":  ").unwrap_or_default();
    if BEHIND.iter().all(|part| words.contains(part)) {
        return Some(Ailment::Behind);
    }
    if words.contains(FULL) {
        return Some(Ailment::Full);
    }
    let fails = instance.has_failed_to_start() || instance.does_not_start() && !words.is_empty();
    let why =
        if words.is_empty() { "PostgreSQL does not start, and does not say why" } else { words };
    match LEFTOVER.iter().any(|part| words.contains(part)) {
        true => fails.then_some(Ailment::Leftover),
        false => fails.then(|| Ailment::Damaged(shortened(why, WORDS))),
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
        let behind = "606  FATAL:  could not receive data from WAL stream: ERROR:  requested WAL segment 000000020000000000000007 has already been removed\n";
        assert_eq!(ailment("running", behind), Some(Ailment::Behind));
        let leftover = "2026-11-29 00:29:14.559 GMT [457] FATAL:  pre-existing shared memory block (key 1, ID 2) is still in use\n";
        assert_eq!(ailment("start failed", leftover), Some(Ailment::Leftover));
        let full = "2244  FATAL:  could not write to file \"pg_wal/xlogtemp.2244\": No space left on device\n";
        assert_eq!(ailment("running", full), Some(Ailment::Full));
        let damaged = "[457] FATAL:  could not open file \"global/pg_filenode.map\"\n";
        let words = "could not open file \"global/pg_filenode.map\"".to_owned();
        assert_eq!(ailment("starting", damaged), Some(Ailment::Damaged(words)));
        assert!(matches!(ailment("start failed", ""), Some(Ailment::Damaged(_))));
    }

    #[test]
    fn one_that_recovers_is_waited_for() {
        assert_eq!(ailment("starting", ""), None);
        assert_eq!(ailment("creating replica", ""), None);
        assert_eq!(
            ailment("running", "[457] FATAL:  could not connect to the primary server\n"),
            None
        );
    }
}
