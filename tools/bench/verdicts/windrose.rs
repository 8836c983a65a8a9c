//! Windrose: the real [`Tracker`] of each probe, at the times at which a probe really checks, and the real vote.
//!
//! The map of a server only changes with an opinion, and an opinion that turns is reported at once: so the vote is
//! taken whenever an opinion turns, without the reports and the keeper between them. A test in `tests/simulation` goes
//! the whole way, and comes to the same.

use std::time::Duration;

use windrose::health::{Poll, Tracker, TrackerSettings, Verdict, Vote};
use windrose::model::{Moment, RegionId};

use super::Judge;
use super::trace::{Dice, Path, Trace, scramble};

pub struct Windrose {
    pub probes: u64,
    pub settings: TrackerSettings,
    pub timeout: Duration,
    /// In percent.
    pub quorum: u8,
}

/// One probe, one target.
pub struct Probe {
    path: Path,
    tracker: Tracker,
    dice: Dice,
    /// Where in each interval its place is.
    place: u64,
    started: u64,
    passed: bool,
    /// When the check that was started ends.
    ends: u64,
}

impl Windrose {
    /// What the comparison is made with.
    pub const COMPARED: Self = Self {
        probes: 5,
        settings: TrackerSettings {
            fall: 2,
            first_fall: 3,
            rise: 2,
            interval: Duration::from_secs(2),
            recheck: Duration::from_secs(1),
        },
        timeout: Duration::from_secs(2),
        quorum: 75,
    };

    /// Runs all checks in the order in which they end; `told` hears after each, and whether it turned an opinion.
    pub fn live(&self, trace: &Trace, mut told: impl FnMut(&[Probe], bool, u64)) {
        let mut probes: Vec<Probe> = (0..self.probes).map(|vantage| self.probe(trace, vantage)).collect();
        loop {
            let next = (0..probes.len()).min_by_key(|probe| probes[*probe].ends).expect("there are probes");
            let now = probes[next].ends;
            if now >= trace.span {
                return;
            }
            let turned = probes[next].learn(self);
            told(&probes, turned, now);
        }
    }

    /// A probe that found the endpoint up before the trace began.
    fn probe(&self, trace: &Trace, vantage: u64) -> Probe {
        let mut tracker = Tracker::new(self.settings, Moment(0));
        tracker.observe(true, Moment(0));
        let mut dice = Dice(scramble(trace.seed ^ scramble(!vantage)));
        let place = dice.below(millis(self.settings.interval));
        let mut probe =
            Probe { path: trace.path(vantage), tracker, dice, place, started: 0, passed: true, ends: 0 };
        probe.start(place, self);
        probe
    }
}

impl Judge for Windrose {
    fn downs(&self, trace: &Trace) -> Vec<u64> {
        let (mut verdict, mut downs) = (Verdict::Up, Vec::new());
        self.live(trace, |probes, turned, now| {
            if !turned {
                return;
            }
            let votes = probes.iter().map(Probe::vote);
            let before = verdict;
            verdict = Poll::of(votes, self.quorum).judge(REGION).map_or(verdict, |judged| judged.0);
            if (before, verdict) == (Verdict::Up, Verdict::Down) {
                downs.push(now);
            }
        });
        downs
    }

    fn timeout(&self) -> u64 {
        millis(self.timeout)
    }
}

impl Probe {
    /// The check ended: what it means, and the next one starts. Returns whether the opinion turned.
    fn learn(&mut self, settings: &Windrose) -> bool {
        let turn = self.tracker.observe(self.passed, Moment(self.ends));
        let (interval, pause) = (millis(settings.settings.interval), millis(self.tracker.pause()));
        // As the schedule of a real probe: rechecks count from the start of the last check, and who is settled goes
        // back to its place in the interval, give or take a jitter.
        let next = if pause < interval {
            self.started + pause
        } else {
            let limit = self.started + interval;
            limit - (limit - self.place) % interval + self.dice.below(interval / 10)
        };
        self.start(next.max(self.ends), settings);
        turn.is_some()
    }

    fn start(&mut self, at: u64, settings: &Windrose) {
        self.started = at;
        self.passed = self.path.passes(at);
        self.ends = at + self.path.takes(self.passed, settings.timeout());
    }

    /// What it has to say.
    pub fn vote(&self) -> Vote {
        let (opinion, moving) = (self.tracker.opinion(), self.tracker.moving());
        Vote { region: REGION, site: None, opinion, moving, last: None, rtt_us: None, agent: None }
    }
}

fn millis(duration: Duration) -> u64 {
    duration.as_millis() as u64
}

const REGION: RegionId = RegionId(0);
