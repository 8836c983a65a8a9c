//! The clock of a process: read once from the wall, then only monotonic. Beside it the wall clock as it is, for
//! what other machines are to understand.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::model::Moment;

/// Tells the [`Moment`]. Starts from the wall clock and then grows with the monotonic one, so that a
/// jump of the wall clock, back or forth, changes no age, pause or order.
///
/// Copies tell the same time; a process needs only one.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: Instant,
    wall: Moment,
}

impl Clock {
    /// Reads the wall clock, for the only time that counts here.
    pub fn start() -> Self {
        Self { started: Instant::now(), wall: wall() }
    }

    /// The moment now. Never before one that was told earlier.
    pub fn now(&self) -> Moment {
        self.wall.plus(self.started.elapsed())
    }

    /// What the wall clock shows at a moment: so other machines are told of it. Who sets the wall clock right sets
    /// this right too.
    pub fn to_wall(&self, moment: Moment) -> Moment {
        shift(moment, self.now(), wall())
    }

    /// The moment at which the wall clock shows a time: so what another machine tells of is understood.
    pub fn of_wall(&self, time: Moment) -> Moment {
        shift(time, wall(), self.now())
    }
}

/// The wall clock now.
fn wall() -> Moment {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
    // A wall clock before 1970 is a machine without a battery: counting from 0 is as good.
    Moment::default().plus(since_1970.unwrap_or_default())
}

/// As far from `to` as `moment` is from `from`.
fn shift(moment: Moment, from: Moment, to: Moment) -> Moment {
    if moment >= from { to.plus(moment.since(from)) } else { Moment(to.0.saturating_sub(from.0 - moment.0)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_starts_from_the_wall_and_never_goes_back() {
        let clock = Clock::start();
        let first = clock.now();
        let year_2020 = Moment(1_577_836_800_000);
        assert!(first > year_2020);
        assert!(clock.now() >= first);
    }

    #[test]
    fn what_is_told_in_the_time_of_the_wall_is_understood_in_that_of_the_process() {
        let (noon, start) = (Moment(43_200_000), Moment(1_000));
        assert_eq!(shift(Moment(43_200_700), noon, start), Moment(1_700));
        assert_eq!(shift(Moment(43_199_900), noon, start), Moment(900));
        assert_eq!(shift(Moment(0), noon, start), Moment(0), "there is nothing before the first moment");
        assert_eq!(shift(Moment(u64::MAX), start, noon), Moment(u64::MAX));
        let clock = Clock::start();
        let now = clock.now();
        assert!(clock.of_wall(clock.to_wall(now)).since(now).as_secs() < 60);
    }
}
