//! The clock of one machine: the wall clock that somebody may set, and the moments of a process, which took the
//! wall clock once when it started and since then only grow (see [`Moment`]).

use windrose::model::Moment;

/// How far a machine is ahead of the world, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    wall: i64,
    process: i64,
}

impl Clock {
    pub fn new(ahead: i64) -> Self {
        Self { wall: ahead, process: ahead }
    }

    /// Somebody sets the wall clock; the running process does not notice.
    pub fn set(&mut self, ahead: i64) {
        self.wall = ahead;
    }

    /// A new process reads the wall clock.
    pub fn start(&mut self) {
        self.process = self.wall;
    }

    /// The machine slept: for its process so much time passed at once.
    pub fn leap(&mut self, by: i64) {
        self.process += by;
    }

    /// What the process takes the time of the world for.
    pub fn moment(&self, now: u64) -> Moment {
        Moment(now.saturating_add_signed(self.process))
    }

    /// What the wall clock shows: so other machines are told of now.
    pub fn wall(&self, now: u64) -> Moment {
        Moment(now.saturating_add_signed(self.wall))
    }

    /// The moment at which the wall clock shows a time.
    pub fn of_wall(&self, time: Moment) -> Moment {
        Moment(time.0.saturating_add_signed(self.process - self.wall))
    }
}

pub const HOUR: i64 = 3_600_000;
