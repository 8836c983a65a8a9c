//! The tracker: what one probe concludes of one target from the results of its checks.

use std::time::Duration;

use crate::health::{Kind, Opinion};
use crate::model::{Moment, Monitor};

/// The part of a monitor that a tracker follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrackerSettings {
    /// Failures in a row to down.
    pub fall: u32,
    /// Successes in a row to up.
    pub rise: u32,
    /// Between the starts of checks while settled.
    pub interval: Duration,
    /// Between the starts of checks while not settled.
    pub recheck: Duration,
}

impl From<&Monitor> for TrackerSettings {
    fn from(monitor: &Monitor) -> Self {
        Self { fall: monitor.fall, rise: monitor.rise, interval: monitor.interval, recheck: monitor.recheck }
    }
}

/// How one check ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Ok, or why not.
    pub kind: Kind,
    /// Time to connect (or to the refusal), if it was measured.
    pub rtt: Option<Duration>,
    /// For people: "status 503", "connection refused".
    pub detail: Option<Box<str>>,
    /// When the certificate ends, in seconds since 1970.
    pub certificate_end: Option<i64>,
}

/// An opinion changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// What was held.
    pub from: Opinion,
    /// What is held now.
    pub to: Opinion,
}

/// What one probe holds of one target.
#[derive(Clone, Debug)]
pub struct Tracker {
    settings: TrackerSettings,
    opinion: Opinion,
    /// Results in a row that speak against the opinion.
    against: u32,
    since: Moment,
}

impl Tracker {
    /// Starts unknown.
    pub fn new(settings: TrackerSettings, now: Moment) -> Self {
        Self { settings, opinion: Opinion::Unknown, against: 0, since: now }
    }

    /// Takes one result; says whether the opinion turned.
    pub fn observe(&mut self, passed: bool, now: Moment) -> Option<Turn> {
        let _ = (passed, now, self.against, self.since, self.settings);
        todo!()
    }

    /// How long after the start of the last check the next one starts.
    pub fn pause(&self) -> Duration {
        todo!()
    }

    /// What is held.
    pub fn opinion(&self) -> Opinion {
        self.opinion
    }

    /// Whether results speak against the opinion, or there is none yet.
    pub fn moving(&self) -> bool {
        todo!()
    }

    /// Since when the opinion is held.
    pub fn since(&self) -> Moment {
        self.since
    }

    /// Follows a monitor whose settings changed; what is held stays.
    pub fn adopt(&mut self, settings: TrackerSettings) {
        self.settings = settings;
    }
}
