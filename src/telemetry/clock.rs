//! The clock of a process: read once from the wall, then only monotonic.

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
    /// Reads the wall clock, for the only time.
    pub fn start() -> Self {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
        // A wall clock before 1970 is a machine without a battery: counting from 0 is as good.
        Self { started: Instant::now(), wall: Moment::default().plus(since_1970.unwrap_or_default()) }
    }

    /// The moment now. Never before one that was told earlier.
    pub fn now(&self) -> Moment {
        self.wall.plus(self.started.elapsed())
    }
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
}
