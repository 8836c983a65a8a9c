//! gdnsd 3.8, as its manual page `gdnsd.config(5)` says of `service_types`: one daemon polls; each failure counts,
//! and only `ok_thresh` successes in a row wipe the count; at `down_thresh` the resource is DOWN, until
//! `up_thresh` polls in a row succeed.

use super::Judge;
use super::trace::{Dice, Trace, scramble};

pub struct Gdnsd {
    pub up_thresh: u32,
    pub ok_thresh: u32,
    pub down_thresh: u32,
    pub interval: u64,
}

impl Gdnsd {
    /// As it comes.
    pub const DEFAULT: Self = Self { up_thresh: 20, ok_thresh: 10, down_thresh: 10, interval: 10_000 };
}

impl Judge for Gdnsd {
    fn downs(&self, trace: &Trace) -> Vec<u64> {
        let mut path = trace.path(0);
        let mut at = Dice(scramble(trace.seed ^ PHASE)).below(self.interval);
        let (mut up, mut failures, mut successes) = (true, 0, 0);
        let mut downs = Vec::new();
        while at < trace.span {
            let passed = path.passes(at);
            if passed {
                successes += 1
            } else {
                successes = 0
            }
            if up {
                failures += u32::from(!passed);
                if successes >= self.ok_thresh {
                    failures = 0;
                }
                if failures >= self.down_thresh {
                    up = false;
                    downs.push(at + path.takes(passed, self.timeout()));
                }
            } else if successes >= self.up_thresh {
                (up, failures) = (true, 0);
            }
            at += self.interval;
        }
        downs
    }

    /// By default half of the interval.
    fn timeout(&self) -> u64 {
        self.interval / 2
    }
}

const PHASE: u64 = 0x6d73;
