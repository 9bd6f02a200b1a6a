//! How long clients cannot write while the leadership moves.

use std::pin::pin;
use std::time::{Duration, Instant};

use pgha_deploy::fleet::Fleet;

use crate::failure::Failure;

/// More than the slowest HAProxy of any preset takes to see a new leader.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the first write may take, before anything moves.
const FIRST: Duration = Duration::from_secs(3);
/// How long each later write may take at least. A write that hangs must not hide that the next one
/// would get through.
const ATTEMPT: Duration = Duration::from_millis(500);
const PAUSE: Duration = Duration::from_millis(50);

/// The longest time between two writes that every HAProxy accepted.
pub(super) struct Stop(Duration);

impl Stop {
    /// Writes through every HAProxy again and again while `work` runs, until a write gets through
    /// after it.
    ///
    /// # Errors
    /// When not every HAProxy accepts a write before `work`, when `work` fails, and when no write
    /// gets through in time afterwards.
    pub(super) async fn watch<T>(
        fleet: &Fleet,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<Self, Failure> {
        let begun = Instant::now();
        fleet.write(FIRST).await.map_err(|why| not_before(&why))?;
        // A session takes many round trips, which are slow from far away.
        let attempt = ATTEMPT.max(3 * begun.elapsed());
        let (mut work, mut done) = (pin!(work), None);
        let (mut last, mut longest) = (Instant::now(), Duration::ZERO);
        loop {
            let asked = Instant::now();
            let written = tokio::select! {
                biased;
                result = &mut work, if done.is_none() => {
                    result?;
                    done = Some(Instant::now());
                    continue;
                }
                written = fleet.write(attempt) => written,
            };
            match (written, done) {
                (Ok(()), _) => (last, longest) = (asked, longest.max(last.elapsed())),
                (Err(why), Some(done)) if done.elapsed() > PATIENCE => return Err(silent(&why)),
                _ => {}
            }
            if done.is_some() && last == asked {
                return Ok(Self(longest));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// The stop compared with what was promised, in seconds.
    pub(super) fn report(&self, promised: f64) -> String {
        let seconds = self.0.as_secs_f64();
        let kept = if seconds > promised { "longer than promised: " } else { "promised: " };
        format!("writes stopped for {seconds:.1} s ({kept}at most {promised} s)")
    }
}

fn not_before(why: &str) -> Failure {
    Failure::no(format!("nothing was done: not every HAProxy takes writes as it is: {why}"))
        .hint("see `pgha status` and `pgha doctor`")
}

fn silent(why: &str) -> Failure {
    let seconds = PATIENCE.as_secs();
    Failure::no(format!("the leadership was handed over, but {seconds} s later not every HAProxy takes writes: {why}"))
        .hint("see `pgha status` and `pgha doctor`")
}
