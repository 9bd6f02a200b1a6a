//! The judgement over one history. Pure: the same history and rows give the same findings.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::history::{History, Operation, Outcome, Side};

/// A pause of more seconds than this is a stop of writes. The writers send without a pause, and a
/// commit that waits for a slow disk is no stop.
const STOP_SECONDS: f64 = 1.0;

/// What the history shows.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Findings {
    /// Rows a client was told are committed.
    pub acknowledged: usize,
    /// Operations that certainly failed.
    pub failed: usize,
    /// Operations whose outcome is unknown.
    pub unknown: usize,
    /// Acknowledged rows that are not there.
    pub lost: Vec<i64>,
    /// Rows that are there, but whose write failed or was never tried.
    pub unexpected: Vec<i64>,
    /// Rows acknowledged to a writer beside the faulty leader, after the fault and on the old
    /// timeline.
    pub acknowledged_inside: usize,
    /// Two servers acknowledged at once: the first id acknowledged on an older timeline after a
    /// newer one had begun.
    pub two_primaries: Option<i64>,
    /// The longest time, in seconds, in which no outside writer got a commit acknowledged.
    pub write_stop_seconds: f64,
    /// How often that time was longer than a second.
    pub write_stops: usize,
}

/// Judges a history against the rows found at its end.
pub fn judge(history: &History, rows: &BTreeSet<i64>) -> Findings {
    let of = |outcome: Outcome| {
        history.operations.iter().filter(move |operation| operation.outcome == outcome)
    };
    let acknowledged = history.acknowledged();
    let possible: BTreeSet<i64> = of(Outcome::Unknown).map(|operation| operation.id).collect();
    let gaps = gaps(history);
    Findings {
        acknowledged: acknowledged.len(),
        failed: of(Outcome::Fail).count(),
        unknown: possible.len(),
        lost: acknowledged.difference(rows).copied().collect(),
        unexpected: rows
            .iter()
            .filter(|id| !acknowledged.contains(id) && !possible.contains(id))
            .copied()
            .collect(),
        acknowledged_inside: inside(history),
        two_primaries: two_primaries(history),
        write_stop_seconds: gaps.iter().copied().fold(0.0, f64::max),
        write_stops: gaps.iter().filter(|gap| **gap > STOP_SECONDS).count(),
    }
}

fn acknowledged(history: &History) -> impl Iterator<Item = &Operation> {
    history.operations.iter().filter(|operation| operation.outcome == Outcome::Ok)
}

fn inside(history: &History) -> usize {
    let first = acknowledged(history).filter_map(|operation| operation.timeline).min();
    acknowledged(history)
        .filter(|op| {
            op.side == Side::Inside && op.invoked > history.fault_at && op.timeline == first
        })
        .count()
}

/// Finds a write that was *sent* on an old timeline after a write on a newer one had been
/// *acknowledged*, and that was acknowledged too. Sending is compared with acknowledgement, so this
/// is a proof: the two cannot merely have crossed on their way.
fn two_primaries(history: &History) -> Option<i64> {
    let mut begun: BTreeMap<u32, f64> = BTreeMap::new();
    for operation in acknowledged(history) {
        let Some(timeline) = operation.timeline else {
            continue;
        };
        let first = begun.entry(timeline).or_insert(operation.completed);
        *first = first.min(operation.completed);
    }
    let newer_begun = |operation: &Operation, timeline: u32| {
        begun.range(timeline + 1..).any(|(_, first)| operation.invoked > *first)
    };
    acknowledged(history)
        .find(|operation| {
            operation.timeline.is_some_and(|timeline| newer_begun(operation, timeline))
        })
        .map(|op| op.id)
}

/// The seconds between two acknowledgements, and from the last one to the end of the run.
fn gaps(history: &History) -> Vec<f64> {
    let end = history
        .operations
        .iter()
        .map(|operation| operation.completed)
        .fold(history.healed_at, f64::max);
    let mut times = acknowledged(history)
        .filter(|op| op.side == Side::Outside)
        .map(|op| op.completed)
        .collect::<Vec<_>>();
    times.push(end);
    times.sort_by(f64::total_cmp);
    times.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(id: i64, invoked: f64, outcome: Outcome, timeline: u32, side: Side) -> Operation {
        Operation {
            id,
            side,
            invoked,
            completed: invoked + 0.1,
            outcome,
            timeline: Some(timeline),
            error: None,
        }
    }

    fn history(operations: Vec<Operation>) -> History {
        History { operations, fault_at: 1.0, healed_at: 9.0 }
    }

    #[test]
    fn a_good_history_is_good() {
        let operations = (0..90)
            .map(|id| operation(id, id as f64 / 10.0, Outcome::Ok, 1, Side::Outside))
            .collect();
        let findings = judge(&history(operations), &(0..90).collect());
        assert!(
            findings.lost.is_empty()
                && findings.unexpected.is_empty()
                && findings.two_primaries.is_none()
        );
        assert!(findings.write_stop_seconds < 0.2 && findings.write_stops == 0);
    }

    #[test]
    fn every_stop_is_counted_and_the_longest_is_told() {
        let times = [0.0, 0.5, 2.5, 3.0, 6.0, 6.2, 9.0];
        let operation =
            |(id, time): (i64, &f64)| operation(id, *time, Outcome::Ok, 1, Side::Outside);
        let findings =
            judge(&history((0..).zip(&times).map(operation).collect()), &(0..7).collect());
        assert_eq!(findings.write_stops, 3);
        assert!((findings.write_stop_seconds - 3.0).abs() < 0.01);
    }

    #[test]
    fn an_acknowledged_row_that_is_gone_is_lost() {
        let operations = vec![
            operation(1, 0.0, Outcome::Ok, 1, Side::Outside),
            operation(2, 0.5, Outcome::Ok, 1, Side::Outside),
        ];
        assert_eq!(judge(&history(operations), &[1].into()).lost, [2]);
    }

    #[test]
    fn a_failed_or_never_written_row_that_is_there_is_unexpected() {
        let operations = vec![operation(1, 0.0, Outcome::Fail, 1, Side::Outside)];
        assert_eq!(judge(&history(operations), &[1, 7].into()).unexpected, [1, 7]);
    }

    #[test]
    fn an_unknown_row_may_be_there_or_not() {
        let operations = vec![
            operation(1, 0.0, Outcome::Unknown, 1, Side::Outside),
            operation(2, 0.2, Outcome::Unknown, 1, Side::Outside),
        ];
        let findings = judge(&history(operations), &[1].into());
        assert!(findings.lost.is_empty() && findings.unexpected.is_empty());
        assert_eq!(findings.unknown, 2);
    }

    #[test]
    fn an_old_primary_that_goes_on_is_found() {
        let operations = vec![
            operation(1, 0.0, Outcome::Ok, 1, Side::Outside),
            operation(2, 5.0, Outcome::Ok, 2, Side::Outside),
            operation(3, 6.0, Outcome::Ok, 1, Side::Inside),
        ];
        let findings = judge(&history(operations), &[1, 2].into());
        assert_eq!(
            (findings.two_primaries, findings.acknowledged_inside, findings.lost),
            (Some(3), 1, vec![3])
        );
    }

    #[test]
    fn answers_that_crossed_are_no_second_primary() {
        let operations = vec![
            operation(2, 5.0, Outcome::Ok, 2, Side::Outside),
            operation(1, 5.05, Outcome::Ok, 1, Side::Outside),
        ];
        assert_eq!(judge(&history(operations), &[1, 2].into()).two_primaries, None);
    }

    #[test]
    fn writes_that_never_return_are_a_stop_to_the_end() {
        let findings =
            judge(&history(vec![operation(1, 0.0, Outcome::Ok, 1, Side::Outside)]), &[1].into());
        assert!((findings.write_stop_seconds - 8.9).abs() < 0.01);
    }

    #[test]
    fn an_inside_writer_does_not_hide_a_stop() {
        let mut operations = vec![
            operation(1, 0.0, Outcome::Ok, 1, Side::Outside),
            operation(2, 8.0, Outcome::Ok, 2, Side::Outside),
        ];
        operations.extend(
            (3..80).map(|id| operation(id, id as f64 / 10.0, Outcome::Ok, 1, Side::Inside)),
        );
        assert!(judge(&history(operations), &(1..80).collect()).write_stop_seconds > 7.0);
    }
}
