//! The tracker: what one probe concludes of one target from the results of its checks.
//!
//! A single lost packet says little, so an opinion only turns when several results in a row speak
//! against it; one result that agrees with it wipes the count. While results speak against it we look
//! closer: the next check comes after `recheck` rather than `interval`, so that a real failure is sure
//! within a few rechecks, and a false alarm is over after one.
//!
//! ```text
//!                     the first success
//!          Unknown --------------------------> Up
//!             |                               ^  |
//!             | `fall` failures     `rise`    |  | `fall` failures
//!             | in a row         successes in |  | in a row
//!             |                         a row |  v
//!             `-----------------------------> Down
//! ```
//!
//! Unknown is generous on purpose: to be wrong about a dead endpoint for a few checks costs less than to
//! keep a good one out after every restart.
//!
//! On a path that loses many checks, runs of failures come by chance, at several probes at once too. So what
//! false alarms there were is remembered (runs of failures that a success ended), and while there was more than one
//! in twenty checks of late, it takes twice as many failures in a row to turn Up into Down. With more than one in
//! three it does not: that is no noise. An endpoint that dies makes no false alarm: on a quiet path `fall` is what is
//! written, whatever happened to the endpoint before. And as long as too few checks were seen to tell a quiet path from
//! a noisy one, it takes three in a row, should `fall` be 2.

use std::time::Duration;

use crate::health::{Agent, Kind, Opinion};
use crate::model::{Moment, Monitor};

/// The part of a monitor that a tracker follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrackerSettings {
    /// Failures in a row to down.
    pub fall: u32,
    /// The same from up as long as it is not known whether the path is noisy, if that is more.
    pub first_fall: u32,
    /// Successes in a row to up.
    pub rise: u32,
    /// Between the starts of checks while settled.
    pub interval: Duration,
    /// Between the starts of checks while not settled.
    pub recheck: Duration,
}

impl From<&Monitor> for TrackerSettings {
    fn from(monitor: &Monitor) -> Self {
        let Monitor { fall, rise, interval, recheck, .. } = *monitor;
        // Who wants to go by one failure goes by one: a beat that did not come is no lost packet.
        let first_fall = if fall > 1 { FIRST_FALL } else { fall };
        Self { fall, first_fall, rise, interval, recheck }
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
    /// What the endpoint said of itself, if its monitor asks for that and it replied.
    pub agent: Option<Agent>,
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
    noise: Noise,
    since: Moment,
}

impl Tracker {
    /// Starts unknown.
    pub fn new(settings: TrackerSettings, now: Moment) -> Self {
        Self { settings, opinion: Opinion::Unknown, against: 0, noise: Noise::default(), since: now }
    }

    /// Takes one result; says whether the opinion turned.
    pub fn observe(&mut self, passed: bool, now: Moment) -> Option<Turn> {
        let (to, enough) = match (self.opinion, passed) {
            (Opinion::Up, true) => {
                self.noise.note(self.against > 0);
                self.against = 0;
                return None;
            }
            (Opinion::Down, false) => {
                self.against = 0;
                return None;
            }
            (Opinion::Unknown, true) => (Opinion::Up, 1),
            (Opinion::Down, true) => (Opinion::Up, self.settings.rise),
            (Opinion::Unknown, false) => (Opinion::Down, self.settings.fall),
            (Opinion::Up, false) => (Opinion::Down, self.enough_to_fall()),
        };
        self.against = self.against.saturating_add(1);
        if self.against < enough {
            return None;
        }
        let turn = Turn { from: self.opinion, to };
        self.opinion = to;
        self.against = 0;
        self.since = now;
        Some(turn)
    }

    fn enough_to_fall(&self) -> u32 {
        let fall = self.settings.fall;
        let enough = if self.noise.is_loud() { fall.saturating_mul(NOISY_FALL) } else { fall };
        if self.noise.is_known() { enough } else { enough.max(self.settings.first_fall) }
    }

    /// How long after the start of the last check the next one starts: `interval` while the opinion is
    /// settled, a settled Down too; `recheck` while it is [`moving`](Self::moving).
    pub fn pause(&self) -> Duration {
        if self.moving() { self.settings.recheck } else { self.settings.interval }
    }

    /// What is held.
    pub fn opinion(&self) -> Opinion {
        self.opinion
    }

    /// Whether results speak against the opinion, or there is none yet.
    pub fn moving(&self) -> bool {
        self.opinion == Opinion::Unknown || self.against > 0
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

/// How often there is a false alarm.
#[derive(Clone, Copy, Debug, Default)]
struct Noise {
    /// As a share of [`ALL`] checks: each check moves it by a [`MEMORY`]th of the difference.
    level: u32,
    /// How many checks it rests on, up to [`ENOUGH_HEARD`].
    heard: u32,
}

impl Noise {
    /// Notes a success that ended a run of failures, a false alarm, or came after another success.
    fn note(&mut self, false_alarm: bool) {
        if false_alarm {
            self.level += (ALL - self.level) / MEMORY;
        } else {
            self.level -= self.level / MEMORY;
        }
        self.heard = (self.heard + 1).min(ENOUGH_HEARD);
    }

    /// A path that loses far more is no path to send clients on: that is no noise.
    fn is_loud(self) -> bool {
        (ALL / LOUD..ALL / SICK).contains(&self.level)
    }

    /// Whether a path that is not loud is quiet, and does not only seem so.
    fn is_known(self) -> bool {
        self.heard == ENOUGH_HEARD
    }
}

/// All checks.
const ALL: u32 = 1 << 20;

/// The last so many checks count most.
const MEMORY: u32 = 32;

/// With more than one false alarm in so many checks a path is loud,
const LOUD: u32 = 20;

/// and with more than one in so many sick.
const SICK: u32 = 3;

/// On a loud path so many times `fall` failures in a row are needed.
const NOISY_FALL: u32 = 2;

/// After so many checks that ended in a success it is known whether a path is loud: one that loses a check in five
/// then seems quiet to one probe in seven.
const ENOUGH_HEARD: u32 = 16;

/// Before that at least so many failures in a row are needed to turn Up into Down, unless one is enough.
const FIRST_FALL: u32 = 3;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const INTERVAL: Duration = Duration::from_secs(5);
    const RECHECK: Duration = Duration::from_secs(1);
    const SETTINGS: TrackerSettings =
        TrackerSettings { fall: 3, first_fall: 3, rise: 2, interval: INTERVAL, recheck: RECHECK };

    /// Runs checks a second apart, `+` for a good one and `-` for a bad one.
    fn told(results: &str) -> Tracker {
        told_by(SETTINGS, results)
    }

    fn told_by(settings: TrackerSettings, results: &str) -> Tracker {
        let mut tracker = Tracker::new(settings, Moment(0));
        for (second, result) in (1..).zip(results.chars()) {
            tracker.observe(result == '+', Moment(second * 1000));
        }
        tracker
    }

    #[test]
    fn nothing_is_known_at_first_and_the_next_check_comes_soon() {
        let tracker = told("");
        assert_eq!(tracker.opinion(), Opinion::Unknown);
        assert!(tracker.moving());
        assert_eq!(tracker.pause(), RECHECK);
    }

    #[test]
    fn the_first_success_makes_an_unknown_target_up() {
        let tracker = told("+");
        assert_eq!((tracker.opinion(), tracker.since()), (Opinion::Up, Moment(1000)));
        assert!(!tracker.moving());
        assert_eq!(tracker.pause(), INTERVAL);
        assert_eq!(told("--+").opinion(), Opinion::Up);
    }

    #[test]
    fn only_enough_failures_in_a_row_make_an_unknown_target_down() {
        assert_eq!(told("--").opinion(), Opinion::Unknown);
        assert_eq!(told("---").opinion(), Opinion::Down);
    }

    #[test]
    fn one_lost_packet_is_looked_into_and_forgotten() {
        let tracker = told("+-");
        assert_eq!((tracker.opinion(), tracker.pause()), (Opinion::Up, RECHECK));
        assert!(tracker.moving());
        let tracker = told("+-+");
        assert_eq!((tracker.opinion(), tracker.pause()), (Opinion::Up, INTERVAL));
        assert_eq!(told("+--+--+--").opinion(), Opinion::Up);
    }

    #[test]
    fn a_dead_target_is_down_after_its_third_failure_and_then_asked_at_leisure() {
        let mut tracker = told("+--");
        let turn = tracker.observe(false, Moment(7000));
        assert_eq!(turn, Some(Turn { from: Opinion::Up, to: Opinion::Down }));
        assert_eq!((tracker.since(), tracker.pause()), (Moment(7000), INTERVAL));
        assert_eq!(tracker.observe(false, Moment(8000)), None);
        assert_eq!(tracker.since(), Moment(7000));
    }

    #[test]
    fn a_target_that_comes_back_must_pass_twice_in_a_row() {
        let tracker = told("---+");
        assert_eq!((tracker.opinion(), tracker.pause()), (Opinion::Down, RECHECK));
        assert_eq!(told("---+-+").opinion(), Opinion::Down);
        assert_eq!(told("---+-++").opinion(), Opinion::Up);
    }

    #[test]
    fn on_a_path_that_loses_many_checks_it_takes_twice_as_many() {
        let lossy = "++++-".repeat(20);
        assert_eq!(told(&format!("{lossy}+-----")).opinion(), Opinion::Up);
        assert_eq!(told(&format!("{lossy}+------")).opinion(), Opinion::Down);
        let quiet_again = "+".repeat(60);
        assert_eq!(told(&format!("{lossy}{quiet_again}---")).opinion(), Opinion::Down);
    }

    #[test]
    fn whoever_has_seen_few_checks_needs_three_failures_to_take_out_what_was_up() {
        let hasty = TrackerSettings { fall: 2, ..SETTINGS };
        let held = |results: &str| told_by(hasty, results).opinion();
        assert_eq!(held("+--"), Opinion::Up);
        assert_eq!(held("+---"), Opinion::Down);
        let good = |checks| "+".repeat(checks);
        assert_eq!(held(&format!("+{}--", good(15))), Opinion::Up);
        assert_eq!(held(&format!("+{}--", good(16))), Opinion::Down, "the path is known to be quiet");
        let loud = format!("{}+---", "+++-".repeat(6));
        assert_eq!(held(&loud), Opinion::Up, "the path is known to be loud");
    }

    #[test]
    fn what_is_dead_from_the_start_is_down_as_soon_as_fall_says() {
        assert_eq!(told_by(TrackerSettings { fall: 2, ..SETTINGS }, "--").opinion(), Opinion::Down);
    }

    #[test]
    fn what_was_learned_of_a_path_outlasts_an_outage() {
        let outage = format!("+{}----++--", "+".repeat(16));
        assert_eq!(told_by(TrackerSettings { fall: 2, ..SETTINGS }, &outage).opinion(), Opinion::Down);
    }

    #[test]
    fn who_fails_every_second_check_is_not_helped_by_that() {
        let half = "+-".repeat(40);
        assert_eq!(told(&format!("{half}+---")).opinion(), Opinion::Down);
    }

    #[test]
    fn one_false_alarm_is_no_noise_but_two_soon_after_one_another_are() {
        assert_eq!(told("+--+---").opinion(), Opinion::Down);
        assert_eq!(told("+--+--+---").opinion(), Opinion::Up);
    }

    #[test]
    fn one_lost_check_in_fifty_and_outages_are_no_noise() {
        let rarely = format!("{}-", "+".repeat(50)).repeat(20);
        assert_eq!(told(&format!("{rarely}+---")).opinion(), Opinion::Down);
        let outages = format!("{}{}", "+".repeat(10), "-".repeat(10)).repeat(20);
        assert_eq!(told(&format!("{outages}++---")).opinion(), Opinion::Down);
    }

    #[test]
    fn another_monitor_setting_counts_from_the_next_result_on() {
        let mut tracker = told(&format!("{}-", "+".repeat(20)));
        tracker.adopt(TrackerSettings { fall: 1, ..SETTINGS });
        assert_eq!(tracker.opinion(), Opinion::Up);
        tracker.observe(false, Moment(30_000));
        assert_eq!(tracker.opinion(), Opinion::Down);
    }

    proptest! {
        #[test]
        fn down_always_rests_on_a_run_of_failures_and_up_on_a_success(results: Vec<bool>) {
            let mut tracker = Tracker::new(SETTINGS, Moment(0));
            let mut last: Vec<bool> = Vec::new();
            for passed in results {
                last.push(passed);
                match tracker.observe(passed, Moment(0)).map(|turn| turn.to) {
                    Some(Opinion::Down) => prop_assert!(last.ends_with(&[false; 3])),
                    Some(Opinion::Up) => prop_assert!(passed),
                    _ => {}
                }
                if last.ends_with(&[false; 6]) {
                    prop_assert_eq!(tracker.opinion(), Opinion::Down);
                }
                if last.ends_with(&[true; 2]) {
                    prop_assert_eq!(tracker.opinion(), Opinion::Up);
                }
            }
        }
    }
}
