//! When a target is checked.
//!
//! ```text
//!   settled:   --|----------|----------|----------|-->   places an interval apart; where the first one
//!                x           x          x         x      stands is a hash of the target
//!   moving:    --|----x-x-x-|----------|----------|-->   `recheck` after the start of the last check
//! ```
//!
//! Hashes spread the targets of a probe over the interval, and the probes of a target too, since the probe's
//! name is part of the hash. The place stays over reloads and rechecks, so a mass failure that makes
//! everything recheck at once does not leave everything in step afterwards.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::time::Duration;

use tokio::time::Instant;

/// When one target is checked.
#[derive(Debug)]
pub(super) struct Schedule {
    /// Places are whole intervals after this.
    origin: Instant,
    interval: Duration,
    /// Where in its interval the target stands, 0.0..1.0.
    share: f64,
    dice: Dice,
}

impl Schedule {
    /// `epoch` is any moment before the first check, the same for all targets of a probe.
    pub(super) fn new(epoch: Instant, interval: Duration, seed: u64) -> Self {
        let mut dice = Dice(seed);
        let share = dice.share();
        let interval = interval.max(INTERVAL_MIN);
        Self { origin: epoch + interval.mul_f64(share), interval, share, dice }
    }

    /// The first check of a target when the probe knows nothing yet: soon, but not all in one burst.
    pub(super) fn at_once(&self, now: Instant) -> Instant {
        now + self.interval.min(FIRST_ROUND).mul_f64(self.share)
    }

    /// The first check of a target that came later: at its next place.
    pub(super) fn next_place(&self, now: Instant) -> Instant {
        self.place_until(now + self.interval)
    }

    /// The next check of a target whose last one started at `started`; `pause` is what the tracker asks for.
    pub(super) fn after(&mut self, started: Instant, pause: Duration) -> Instant {
        if pause < self.interval {
            return started + pause;
        }
        self.place_until(started + self.interval) + self.jitter()
    }

    /// The last place not after `limit`.
    fn place_until(&self, limit: Instant) -> Instant {
        let nanos = limit.saturating_duration_since(self.origin).as_nanos() % self.interval.as_nanos();
        // Less than the interval, so it fits.
        limit - Duration::from_nanos(nanos as u64)
    }

    /// Less than a tenth of the interval: what else happens periodically does not stay in step with us.
    fn jitter(&mut self) -> Duration {
        (self.interval / 10).mul_f64(self.dice.share())
    }
}

/// The seed of a target's schedule: the same after a restart.
pub(super) fn seed(probe: &str, monitor: &str, address: IpAddr) -> u64 {
    let mut hasher = DefaultHasher::new();
    (probe, monitor, address).hash(&mut hasher);
    hasher.finish()
}

/// Chance enough for a schedule (the SplitMix64 generator): eight bytes a target.
#[derive(Debug)]
struct Dice(u64);

impl Dice {
    /// 0.0..1.0.
    fn share(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^= mixed >> 31;
        (mixed >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// The first round of a probe is spread over so much time, or over the interval if that is shorter.
const FIRST_ROUND: Duration = Duration::from_secs(1);
/// A shorter interval counts as this: a target is not checked in a busy loop.
const INTERVAL_MIN: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(10);
    const RECHECK: Duration = Duration::from_secs(1);

    fn schedules(count: u16, epoch: Instant) -> Vec<Schedule> {
        let address = |n: u16| IpAddr::from([10, 0, (n >> 8) as u8, n as u8]);
        (0..count).map(|n| Schedule::new(epoch, INTERVAL, seed("ns1", "web", address(n)))).collect()
    }

    /// How many fall into each tenth of `span`.
    fn tenths(times: impl Iterator<Item = Instant>, from: Instant, span: Duration) -> [u32; 10] {
        let mut tenths = [0; 10];
        for time in times {
            let tenth = (time - from).as_secs_f64() / span.as_secs_f64() * 10.0;
            tenths[tenth as usize] += 1;
        }
        tenths
    }

    #[test]
    fn the_first_round_is_spread_over_a_second() {
        let now = Instant::now();
        let counts = tenths(schedules(1000, now).iter().map(|s| s.at_once(now)), now, FIRST_ROUND);
        assert!(counts.iter().all(|count| (50..150).contains(count)), "{counts:?}");
    }

    #[test]
    fn targets_that_come_later_are_spread_over_the_interval() {
        let now = Instant::now() + Duration::from_secs(1234);
        let schedules = schedules(1000, Instant::now());
        let counts = tenths(schedules.iter().map(|s| s.next_place(now)), now, INTERVAL);
        assert!(counts.iter().all(|count| (50..150).contains(count)), "{counts:?}");
    }

    #[test]
    fn settled_targets_keep_their_place_give_or_take_a_tenth_of_the_interval() {
        let epoch = Instant::now();
        for mut schedule in schedules(100, epoch) {
            let place = schedule.next_place(epoch);
            let mut started = schedule.at_once(epoch);
            for round in 0..20 {
                let next = schedule.after(started, INTERVAL);
                assert!(next > started && next <= started + INTERVAL.mul_f64(1.1), "round {round}");
                let beyond_place = (next - place.min(next)).as_secs_f64() % INTERVAL.as_secs_f64();
                assert!(beyond_place < 1.0 + 1e-6, "round {round}: {beyond_place} s beyond its place");
                started = next;
            }
        }
    }

    #[test]
    fn a_moving_target_is_checked_a_recheck_after_the_last_start() {
        let epoch = Instant::now();
        for mut schedule in schedules(10, epoch) {
            assert_eq!(schedule.after(epoch, RECHECK), epoch + RECHECK);
        }
    }

    #[test]
    fn probes_do_not_check_a_target_in_step() {
        let address = IpAddr::from([192, 0, 2, 1]);
        assert_ne!(seed("ns1", "web", address), seed("ns2", "web", address));
    }
}
