//! A probe's own lag: time that this machine took from a check is not the endpoint's.
//!
//! ```text
//!   check    |begun ............................. planned deadline|.... ended|
//!                                                                  \_ late _/   its own timer fired late
//!   ticks    |...|...|...|.........|...|...|                                    a timer beside it did
//!                        \_ late _/
//!   clocks   monotonic  |---------|--------------------------|
//!            wall       |---------|     (suspended)     |----|                  they ran apart
//! ```
//!
//! A failure by timeout is void when this machine took more than [`LAG_MAX`], or a quarter of the timeout if
//! that is less, of the time that the check had: processes waited for a processor, or a task held up all others.
//! Any failure is void when the clocks ran apart by more than [`JUMP_MAX`]: the machine was asleep meanwhile, and
//! whom it talked to has given up. A check that passed, passed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use tokio::time::{Instant, sleep_until};

use crate::health::{Kind, Outcome};

/// The time that this machine's own lag took since the probe started.
#[derive(Debug, Default)]
pub(super) struct Lag {
    lost_ms: AtomicU64,
}

/// How things stood when a check began.
#[derive(Clone, Copy, Debug)]
pub(super) struct Begun {
    pub(super) at: Instant,
    wall: SystemTime,
    lost: Duration,
}

/// What voids a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Late {
    /// So much of the check's time was lost.
    Lagged(Duration),
    /// The clocks ran apart by so much.
    Jumped(Duration),
}

impl Lag {
    /// Measures for ever: a short sleep that takes long says that everything takes long.
    pub(super) async fn measure(&self) {
        loop {
            let due = Instant::now() + TICK;
            sleep_until(due).await;
            self.note(due.elapsed());
        }
    }

    /// A check begins.
    pub(super) fn begin(&self) -> Begun {
        Begun { at: Instant::now(), wall: SystemTime::now(), lost: self.lost() }
    }

    /// Somebody was last heard then. Of a long silence only the end is looked at for lag: what this machine lost
    /// before, a beat that it held up has made good since.
    pub(super) fn silence(&self, at: Instant, wall: SystemTime) -> Begun {
        Begun { at, wall, lost: self.lost() }
    }

    /// Why the way in which a check ended now says nothing, if so.
    pub(super) fn voids(&self, begun: &Begun, timeout: Duration, outcome: &Outcome) -> Option<Late> {
        let span = Span {
            monotonic: begun.at.elapsed(),
            // A wall clock that was set back.
            wall: begun.wall.elapsed().unwrap_or_default(),
            lost: self.lost().saturating_sub(begun.lost),
        };
        span.voids(timeout, outcome.kind)
    }

    fn note(&self, late: Duration) {
        if late >= NOISE {
            self.lost_ms.fetch_add(u64::try_from(late.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
    }

    fn lost(&self) -> Duration {
        Duration::from_millis(self.lost_ms.load(Ordering::Relaxed))
    }
}

/// What a check took, by the clocks.
#[derive(Debug)]
struct Span {
    monotonic: Duration,
    wall: Duration,
    lost: Duration,
}

impl Span {
    fn voids(&self, timeout: Duration, kind: Kind) -> Option<Late> {
        let apart = self.wall.abs_diff(self.monotonic);
        let lost = self.lost.max(self.monotonic.saturating_sub(timeout));
        match kind {
            Kind::Ok => None,
            _ if apart > JUMP_MAX => Some(Late::Jumped(apart)),
            Kind::Timeout if lost > LAG_MAX.min(timeout / 4) => Some(Late::Lagged(lost)),
            _ => None,
        }
    }
}

/// How often lateness is measured. What is shorter, a check hardly notices.
const TICK: Duration = Duration::from_millis(50);
/// A timer that is so late is an ordinary timer on a busy machine.
const NOISE: Duration = Duration::from_millis(5);
/// A check that lost more than this, and timed out, says nothing.
const LAG_MAX: Duration = Duration::from_millis(250);
/// Clocks that ran apart by more than this during one check were not adjusted: the machine slept, or the wall clock
/// was set. Either is rare, and costs one check of each target.
const JUMP_MAX: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(2);

    /// A check that took so many milliseconds by each clock, of which so many were lost.
    fn voids(monotonic: u64, wall: u64, lost: u64, kind: Kind) -> Option<Late> {
        let [monotonic, wall, lost] = [monotonic, wall, lost].map(Duration::from_millis);
        Span { monotonic, wall, lost }.voids(TIMEOUT, kind)
    }

    #[test]
    fn a_timeout_on_time_is_a_failure() {
        assert_eq!(voids(2001, 2001, 0, Kind::Timeout), None);
        assert_eq!(voids(2200, 2210, 250, Kind::Timeout), None);
    }

    #[test]
    fn a_timeout_that_was_noticed_late_says_nothing() {
        assert_eq!(voids(2300, 2300, 0, Kind::Timeout), Some(Late::Lagged(Duration::from_millis(300))));
    }

    #[test]
    fn a_timeout_of_a_check_that_lost_its_time_says_nothing() {
        assert_eq!(voids(2001, 2001, 1500, Kind::Timeout), Some(Late::Lagged(Duration::from_millis(1500))));
    }

    #[test]
    fn a_short_timeout_may_lose_a_quarter() {
        let span = |lost| Span { monotonic: Duration::ZERO, wall: Duration::ZERO, lost };
        let voids = |lost| span(Duration::from_millis(lost)).voids(Duration::from_millis(100), Kind::Timeout);
        assert_eq!((voids(25).is_some(), voids(26).is_some()), (false, true));
    }

    #[test]
    fn lag_excuses_nothing_that_the_endpoint_said() {
        for kind in [Kind::Ok, Kind::Refused, Kind::Reset, Kind::Status] {
            assert_eq!(voids(3000, 3000, 3000, kind), None, "{kind}");
        }
    }

    #[test]
    fn whatever_failed_while_the_machine_slept_says_nothing() {
        for kind in [Kind::Timeout, Kind::Reset, Kind::Unreachable, Kind::Tls] {
            assert_eq!(
                voids(1000, 3_601_000, 0, kind),
                Some(Late::Jumped(Duration::from_secs(3600))),
                "{kind}"
            );
            assert!(voids(30_000, 0, 0, kind).is_some(), "{kind}: the wall clock was set back");
        }
        assert_eq!(voids(1000, 3_601_000, 0, Kind::Ok), None);
    }

    #[test]
    fn only_what_is_late_is_lost() {
        let lag = Lag::default();
        for late in [1, 4, 20, 300] {
            lag.note(Duration::from_millis(late));
        }
        assert_eq!(lag.lost(), Duration::from_millis(320));
    }
}
