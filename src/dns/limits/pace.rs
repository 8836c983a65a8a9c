//! So many in a second, kept in one number: the time at which all that was let through will have been earned.
//!
//! ```text
//!            now                until            let through while `until` is no further ahead of now
//!   ----------|------------------|---------->    than the burst allows; each one moves it one interval on
//!             `- already spent --'
//! ```
//!
//! This is the generic cell rate algorithm (ITU-T I.371). A number that lies in the past says nothing any more, so
//! that forgetting it forgets nothing.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A rate, and how many may come at once. Times are nanoseconds since any moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    interval: u64,
    ahead_max: u64,
}

impl Pace {
    /// `rate` a second in the long run, `burst` at once; both at least 1.
    pub fn new(rate: u32, burst: u32) -> Self {
        let interval = SECOND / u64::from(rate.max(1));
        Self { interval, ahead_max: interval * u64::from(burst.max(1) - 1) }
    }

    /// Lets one through, with the number that is to be kept then; `None`: it is one too many.
    #[inline]
    pub fn take(self, until: u64, now: u64) -> Option<u64> {
        let from = until.max(now);
        (from - now <= self.ahead_max).then_some(from + self.interval)
    }
}

/// A pace for many threads: not more than `most` in any second.
#[derive(Debug)]
pub struct SharedPace {
    pace: Pace,
    until: AtomicU64,
}

impl SharedPace {
    /// A tenth of them may come at once; the rest is spread over the second.
    pub fn new(most: u32) -> Self {
        let burst = most.div_ceil(10);
        Self { pace: Pace::new((most - burst).max(1), burst), until: AtomicU64::new(0) }
    }

    /// Whether one more may go.
    pub fn take(&self, now: u64) -> bool {
        self.until.fetch_update(Relaxed, Relaxed, |until| self.pace.take(until, now)).is_ok()
    }
}

const SECOND: u64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_second_has_more_than_was_set(most in 1..200u32, steps in vec(0..SECOND / 20, 1..2000)) {
            let shared = SharedPace::new(most);
            let mut now = 0;
            let mut let_through = Vec::new();
            for step in steps {
                now += step;
                if shared.take(now) {
                    let_through.push(now);
                }
            }
            for (index, first) in let_through.iter().enumerate() {
                let within = let_through[index..].iter().take_while(|&&time| time - first < SECOND).count();
                prop_assert!(within <= most as usize, "{within} of {most}");
            }
        }

        #[test]
        fn the_long_run_has_the_rate_and_one_burst(rate in 1..1000u32, steps in vec(0..SECOND / 500, 1..2000)) {
            let pace = Pace::new(rate, rate);
            let (mut now, mut until, mut count) = (0, 0, 0u64);
            for step in steps {
                now += step;
                if let Some(moved) = pace.take(until, now) {
                    until = moved;
                    count += 1;
                }
            }
            // The interval is rounded down by less than a nanosecond.
            let earned = u64::from(rate) * (now + 1) / (SECOND - u64::from(rate)) + u64::from(rate) + 1;
            prop_assert!(count <= earned, "{count} of {earned}");
        }

        #[test]
        fn who_keeps_to_the_rate_is_always_let_through(rate in 1..1000u32, count in 1..500u64) {
            let pace = Pace::new(rate, 1);
            let mut until = 0;
            for number in 0..count {
                let moved = pace.take(until, number * (SECOND / u64::from(rate)));
                prop_assert!(moved.is_some());
                until = moved.unwrap_or(until);
            }
        }
    }
}
