//! Amazon Route 53, as its developer guide says ("How Amazon Route 53 determines whether a health check is
//! healthy"): checkers all over the world each ask every 10 or 30 seconds, independent of one another, so that
//! their requests are not evenly spread; each goes by three in a row in either direction; the endpoint is healthy
//! while more than 18 % of the checkers say so. Sixteen checkers are what it uses by default.

use super::Judge;
use super::trace::{Dice, Path, Trace, scramble};

pub struct Route53 {
    pub interval: u64,
}

struct Checker {
    path: Path,
    at: u64,
    healthy: bool,
    /// Results in a row that speak against that.
    against: u32,
}

impl Judge for Route53 {
    fn downs(&self, trace: &Trace) -> Vec<u64> {
        let mut dice = Dice(scramble(trace.seed ^ PHASES));
        let mut checkers: Vec<Checker> = (0..CHECKERS)
            .map(|vantage| {
                let at = dice.below(self.interval);
                Checker { path: trace.path(vantage), at, healthy: true, against: 0 }
            })
            .collect();
        let (mut healthy, mut up, mut downs) = (CHECKERS, true, Vec::new());
        loop {
            // All have the same interval, so that the order of the ends is the order of the starts but for who fails.
            let next = checkers.iter_mut().min_by_key(|checker| checker.at).expect("there are checkers");
            if next.at >= trace.span {
                return downs;
            }
            let passed = next.path.passes(next.at);
            let ended = next.at + next.path.takes(passed, self.timeout());
            next.at += self.interval;
            if !next.learn(passed) {
                continue;
            }
            healthy = if next.healthy { healthy + 1 } else { healthy - 1 };
            let now_up = healthy * 100 > CHECKERS * SHARE_UP;
            if up && !now_up {
                downs.push(ended);
            }
            up = now_up;
        }
    }

    /// Four seconds to connect.
    fn timeout(&self) -> u64 {
        4_000
    }
}

impl Checker {
    /// Whether it changed its mind.
    fn learn(&mut self, passed: bool) -> bool {
        self.against = if passed == self.healthy { 0 } else { self.against + 1 };
        let turned = self.against >= FAILURE_THRESHOLD;
        if turned {
            (self.healthy, self.against) = (passed, 0);
        }
        turned
    }
}

const CHECKERS: u64 = 16;
const SHARE_UP: u64 = 18;
const FAILURE_THRESHOLD: u32 = 3;
const PHASES: u64 = 0x5235_3353;
