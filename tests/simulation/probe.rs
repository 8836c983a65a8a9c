//! A probe: the real trackers, checks that end as the world says, and reports.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use windrose::health::{Agent, Kind, Report, TargetReport, Tracker, TrackerSettings};
use windrose::plan::Plan;

use crate::clock::Clock;

/// A target by what reports call it.
pub type Key = (Arc<str>, IpAddr);

pub struct Probe {
    pub name: Arc<str>,
    pub region: usize,
    pub clock: Clock,
    pub alive: bool,
    /// What was meant for a life before this one is too late.
    pub life: u32,
    /// The version of the plan that it follows.
    pub version: usize,
    /// When it reports next.
    pub due: u64,
    reported: u64,
    number: u64,
    instance: u64,
    watched: BTreeMap<Key, Watched>,
}

/// What an endpoint says when it is well.
pub struct Reply {
    pub word: Option<Agent>,
}

struct Watched {
    tracker: Tracker,
    last: Option<Kind>,
    /// What the endpoint said of itself.
    word: Option<Agent>,
}

impl Probe {
    pub fn new(name: &str, region: usize, clock: Clock) -> Self {
        Self {
            name: name.into(),
            region,
            clock,
            alive: false,
            life: 0,
            version: 0,
            due: 0,
            reported: 0,
            number: 0,
            instance: 0,
            watched: BTreeMap::new(),
        }
    }

    /// A process starts, and knows nothing.
    pub fn start(&mut self, now: u64, instance: u64) {
        self.stop();
        self.clock.start();
        self.alive = true;
        self.number = self.clock.moment(now).0;
        self.instance = instance;
        self.due = now + REPORT_INTERVAL;
    }

    pub fn stop(&mut self) {
        self.alive = false;
        self.life += 1;
        self.watched.clear();
    }

    /// Follows what it should check from now on; returns what is new.
    pub fn assign(&mut self, plan: &Plan, now: u64) -> Vec<Key> {
        let now = self.clock.moment(now);
        let mut before = std::mem::take(&mut self.watched);
        let mut new = Vec::new();
        for target in &plan.inventory.targets {
            let monitor = &plan.inventory.monitors[target.monitor.index()];
            let key: Key = (monitor.name.as_ref().into(), target.address);
            let watched = before.remove(&key).unwrap_or_else(|| {
                new.push(key.clone());
                Watched { tracker: Tracker::new(TrackerSettings::from(monitor), now), last: None, word: None }
            });
            self.watched.insert(key, watched);
        }
        new
    }

    /// One check ended, well if there was a reply: when the next one is due, and whether there is news. `None`: it is no
    /// longer asked for.
    pub fn checked(&mut self, key: &Key, reply: Option<Reply>, now: u64) -> Option<(Duration, bool)> {
        let now = self.clock.moment(now);
        let Watched { tracker, last, word } = self.watched.get_mut(key)?;
        let turn = tracker.observe(reply.is_some(), now);
        *last = Some(if reply.is_some() { Kind::Ok } else { Kind::Timeout });
        let before = std::mem::replace(word, reply.and_then(|reply| reply.word));
        Some((tracker.pause(), turn.is_some() || before != *word))
    }

    /// An opinion turned: the next report is soon.
    pub fn hasten(&mut self, now: u64) {
        self.due = self.due.min((now + COALESCE).max(self.reported + URGENT_PACE));
    }

    pub fn reported(&mut self, now: u64) {
        (self.reported, self.due) = (now, now + REPORT_INTERVAL);
    }

    /// The next report.
    pub fn report(&mut self, region: &str, now: u64) -> Report {
        let moment = self.clock.moment(now);
        self.number += 1;
        let said = |((monitor, address), watched): (&Key, &Watched)| TargetReport {
            monitor: Arc::clone(monitor),
            address: *address,
            opinion: watched.tracker.opinion(),
            moving: watched.tracker.moving(),
            last: watched.last,
            rtt_us: Some(20_000),
            age_ms: moment.since(watched.tracker.since()).as_millis() as u64,
            certificate_end: None,
            agent: watched.word,
        };
        Report {
            probe: Arc::clone(&self.name),
            region: region.into(),
            number: self.number,
            instance: self.instance,
            sent: self.clock.wall(now),
            interval_ms: REPORT_INTERVAL as u32,
            zones: None,
            targets: self.watched.iter().map(said).collect(),
        }
    }
}

/// In milliseconds, as those of the real probe.
const REPORT_INTERVAL: u64 = 2_000;
const COALESCE: u64 = 10;
const URGENT_PACE: u64 = 100;
