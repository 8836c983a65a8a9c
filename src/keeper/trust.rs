//! Which reports count.
//!
//! That a report is from the probe that it names is seen to where it comes in. What is left is when it was
//! sent, and by which process. The first row that fits decides; `now` is the server's clock, `sent` the
//! probe's, an *instance* one run of a probe's process:
//!
//! | a report | is | because |
//! |---|---|---|
//! | sent over a minute after now | [`Reason::Ahead`] | its clock is wrong, or somebody keeps it for later |
//! | sent over a minute before now | [`Reason::Behind`] | its clock is wrong, or it is an old one, sent again |
//! | of a new name, where there is no room | [`Reason::Crowded`] | memory is bounded |
//! | of the instance that is held, with its number | [`Reason::Replayed`] | it says nothing new |
//! | of that instance, with a smaller number | [`Reason::Older`] | it was overtaken, or is sent again |
//! | of another instance, while the one held is heard | [`Reason::Second`] | two run under one name: one of them is not asked for |
//! | of another instance, sent no later than what is held | [`Reason::Older`] | it is of an instance that ended |
//! | any other | taken | |
//!
//! ```text
//!   instance 1  --o---o---o---o   (killed)
//!   instance 2                   x---o---o---o     heard when 1 is overdue: after 1.5 of its intervals
//! ```
//!
//! So what is recorded can be played again for a minute, and only to a server that has heard nothing newer of
//! this probe since it started. A probe whose clock is wrong is as good as silent, and silence is never a
//! failure: that a clock jumped turns nothing Down.

use std::fmt;
use std::time::Duration;

use crate::health::Report;
use crate::model::Moment;

/// Why a report does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// This very one is held.
    Replayed,
    /// A newer one is held.
    Older,
    /// It was sent so long after now.
    Ahead(Duration),
    /// It was sent so long ago.
    Behind(Duration),
    /// Another instance of the probe is heard.
    Second,
    /// So many probes are heard already that there is no room for another.
    Crowded,
}

/// How many reports were dropped since the start, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// See [`Reason::Replayed`].
    pub replayed: u64,
    /// See [`Reason::Older`].
    pub older: u64,
    /// See [`Reason::Ahead`].
    pub ahead: u64,
    /// See [`Reason::Behind`].
    pub behind: u64,
    /// See [`Reason::Second`].
    pub second: u64,
    /// See [`Reason::Crowded`].
    pub crowded: u64,
}

/// Reports of one probe that do not count, one after another for the same reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Why the last of them does not.
    pub reason: Reason,
    /// When the first came.
    pub since: Moment,
    /// When the last came.
    pub last: Moment,
    /// How many came.
    pub reports: u64,
}

/// What tells how new a report is, and of which instance.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stamp {
    pub instance: u64,
    pub number: u64,
    pub sent: Moment,
    /// By the server's clock.
    pub heard: Moment,
    pub interval: Duration,
}

impl Stamp {
    /// Of a report that is heard now.
    pub fn of(report: &Report, now: Moment) -> Self {
        let interval = Duration::from_millis(report.interval_ms.clamp(1, INTERVAL_MAX_MS).into());
        let Report { instance, number, sent, .. } = *report;
        Self { instance, number, sent, heard: now, interval }
    }

    /// Whether its votes count still.
    pub fn fresh(&self, now: Moment) -> bool {
        now.since(self.heard) <= (FRESH_INTERVALS * self.interval).max(FRESH_MIN)
    }

    /// Whether the next one should have been here by now: another instance may take over.
    fn overdue(&self, now: Moment) -> bool {
        now.since(self.heard) > (self.interval * 3 / 2).max(OVERDUE_MIN)
    }

    /// Whether this one is taken, where `held` is what is held of the same name.
    pub fn admit(&self, held: Option<&Stamp>) -> Result<(), Reason> {
        let now = self.heard;
        if self.sent.since(now) > SKEW_MAX {
            return Err(Reason::Ahead(self.sent.since(now)));
        }
        if now.since(self.sent) > SKEW_MAX {
            return Err(Reason::Behind(now.since(self.sent)));
        }
        match held {
            None => Ok(()),
            Some(held) if held.instance == self.instance => match self.number.cmp(&held.number) {
                std::cmp::Ordering::Less => Err(Reason::Older),
                std::cmp::Ordering::Equal => Err(Reason::Replayed),
                std::cmp::Ordering::Greater => Ok(()),
            },
            Some(held) if !held.overdue(now) => Err(Reason::Second),
            Some(held) if self.sent <= held.sent => Err(Reason::Older),
            Some(_) => Ok(()),
        }
    }
}

/// What was refused of one probe of late, and what was told of it.
#[derive(Debug, Default)]
pub(super) struct Refusals([Refusal; REASONS]);

#[derive(Clone, Copy, Debug, Default)]
struct Refusal {
    refused: Option<Refused>,
    told: Option<Moment>,
}

impl Refusals {
    /// Notes one; whether that is worth telling. `heard` is when the probe was last heard in spite of it.
    pub fn note(&mut self, reason: Reason, heard: Option<Moment>, now: Moment) -> bool {
        let Refusal { refused, told } = &mut self.0[reason.place()];
        let begun = refused.filter(|refused| now.since(refused.last) < QUIET);
        let begun = begun.unwrap_or(Refused { reason, since: now, last: now, reports: 0 });
        *refused = Some(Refused { reason, last: now, reports: begun.reports + 1, ..begun });
        // A probe that is restarted has its first reports refused. Two of them run only if the first is heard
        // after the second was.
        let certain = reason != Reason::Second || heard.is_some_and(|heard| heard > begun.since);
        let due = certain && told.is_none_or(|told| now.since(told) >= QUIET);
        if due {
            *told = Some(now);
        }
        due
    }

    /// Another instance took over: none is the second any more.
    pub fn take_over(&mut self) {
        self.0[Reason::Second.place()].refused = None;
    }

    /// Those of the last minute.
    pub fn recent(&self, now: Moment) -> Vec<Refused> {
        let all = self.0.iter().filter_map(|refusal| refusal.refused);
        all.filter(|refused| now.since(refused.last) < QUIET).collect()
    }
}

impl Dropped {
    /// With one word for each reason.
    pub fn by_reason(&self) -> [(&'static str, u64); REASONS] {
        let Self { replayed, older, ahead, behind, second, crowded } = *self;
        [
            ("replayed", replayed),
            ("older", older),
            ("ahead", ahead),
            ("behind", behind),
            ("second", second),
            ("crowded", crowded),
        ]
    }

    pub(super) fn count(&mut self, reason: Reason) {
        let count = match reason {
            Reason::Replayed => &mut self.replayed,
            Reason::Older => &mut self.older,
            Reason::Ahead(_) => &mut self.ahead,
            Reason::Behind(_) => &mut self.behind,
            Reason::Second => &mut self.second,
            Reason::Crowded => &mut self.crowded,
        };
        *count += 1;
    }
}

impl Reason {
    fn place(self) -> usize {
        match self {
            Reason::Replayed => 0,
            Reason::Older => 1,
            Reason::Ahead(_) => 2,
            Reason::Behind(_) => 3,
            Reason::Second => 4,
            Reason::Crowded => 5,
        }
    }
}

impl fmt::Display for Reason {
    /// Completes "not heard: ".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Replayed => f.write_str("what it says was heard before"),
            Reason::Older => f.write_str("what it says is older than what is held"),
            Reason::Ahead(by) => write!(f, "its clock is {} s ahead", by.as_secs()),
            Reason::Behind(by) => write!(f, "its clock is {} s behind", by.as_secs()),
            Reason::Second => f.write_str("it is the second one to run under this name"),
            Reason::Crowded => f.write_str("there are too many probes"),
        }
    }
}

const REASONS: usize = 6;

/// A report is fresh for so many of its probe's intervals.
pub const FRESH_INTERVALS: u32 = 3;

/// And for so long, however often its probe reports: a server whose line to the fleet is cut notices it before the
/// votes that it holds go stale, and they stand.
pub const FRESH_MIN: Duration = Duration::from_secs(5);

/// The clocks of a probe and a server may differ by so much: beyond it no report of this probe is taken.
pub const SKEW_MAX: Duration = Duration::from_secs(60);

/// A probe that reports more often than this is still heard for so long after its last report.
const OVERDUE_MIN: Duration = Duration::from_secs(1);

/// A probe that says it reports less often is taken to report this often: its votes go stale sooner than
/// its next report comes, rather than standing for weeks after its last.
const INTERVAL_MAX_MS: u32 = 60_000;

/// Of each probe and for each reason at most one refused report in this time is told of; and it is shown for as
/// long after the last.
const QUIET: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Moment = Moment(10_000_000);

    /// The report `number` of an instance, sent and heard so many milliseconds after [`NOW`]; every two seconds.
    fn stamp(instance: u64, number: u64, [sent, heard]: [i64; 2]) -> Stamp {
        let at = |after: i64| Moment(NOW.0.saturating_add_signed(after));
        let interval = Duration::from_secs(2);
        Stamp { instance, number, sent: at(sent), heard: at(heard), interval }
    }

    #[test]
    fn clocks_may_differ_by_a_minute() {
        let sent = |sent| stamp(1, 1, [sent, 0]).admit(None);
        let hour = Duration::from_secs(3600);
        assert_eq!([sent(60_000), sent(-60_000)], [Ok(()); 2]);
        assert_eq!(sent(3_600_000), Err(Reason::Ahead(hour)));
        assert_eq!(sent(-3_600_000), Err(Reason::Behind(hour)));
    }

    #[test]
    fn within_an_instance_numbers_grow() {
        let held = stamp(1, 5, [0, 0]);
        let number = |number| stamp(1, number, [9_000, 9_000]).admit(Some(&held));
        assert_eq!(number(4), Err(Reason::Older));
        assert_eq!(number(5), Err(Reason::Replayed));
        assert_eq!(number(6), Ok(()));
    }

    #[test]
    fn another_instance_is_heard_when_the_first_is_overdue() {
        let held = stamp(1, 5, [0, 0]);
        let other = |at| stamp(2, 1, [at, at]).admit(Some(&held));
        assert_eq!(other(3_000), Err(Reason::Second));
        assert_eq!(other(3_001), Ok(()));
        let hasty = Stamp { interval: Duration::from_millis(1), ..held };
        let other = |at| stamp(2, 1, [at, at]).admit(Some(&hasty));
        assert_eq!([other(1_000), other(1_001)], [Err(Reason::Second), Ok(())]);
    }

    #[test]
    fn a_report_is_fresh_for_three_intervals_and_never_for_less_than_five_seconds() {
        let fresh = |interval: u64, after: u64| {
            let held = Stamp { interval: Duration::from_millis(interval), ..stamp(1, 1, [0, 0]) };
            held.fresh(NOW.plus(Duration::from_millis(after)))
        };
        assert_eq!([fresh(2_000, 6_000), fresh(2_000, 6_001)], [true, false]);
        assert_eq!([fresh(100, 5_000), fresh(100, 5_001)], [true, false]);
    }

    #[test]
    fn what_an_instance_that_ended_said_is_not_heard_again() {
        let held = stamp(2, 1, [0, 0]);
        assert_eq!(stamp(1, 99, [-10, 9_000]).admit(Some(&held)), Err(Reason::Older));
        assert_eq!(stamp(1, 99, [0, 9_000]).admit(Some(&held)), Err(Reason::Older));
    }

    #[test]
    fn a_reason_is_told_once_a_minute_and_counted_each_time() {
        let mut refusals = Refusals::default();
        let at = |seconds: u64| NOW.plus(Duration::from_secs(seconds));
        let mut told = |seconds, reason| refusals.note(reason, None, at(seconds));
        let hour = Reason::Ahead(Duration::from_secs(3600));
        assert_eq!([told(0, hour), told(2, hour), told(3, Reason::Older)], [true, false, true]);
        assert_eq!([told(58, hour), told(60, hour), told(62, hour)], [false, true, false]);
        let [ahead] = refusals.recent(at(63))[..] else { panic!("the older one is over a minute ago") };
        assert_eq!((ahead.since, ahead.last, ahead.reports), (at(0), at(62), 5));
        assert!(refusals.recent(at(200)).is_empty());
    }

    #[test]
    fn a_second_one_is_told_of_when_the_first_is_heard_after_it() {
        let mut refusals = Refusals::default();
        let at = |seconds: u64| NOW.plus(Duration::from_secs(seconds));
        assert!(!refusals.note(Reason::Second, Some(at(0)), at(1)), "it may be a restart");
        assert!(!refusals.note(Reason::Second, Some(at(0)), at(2)));
        assert!(refusals.note(Reason::Second, Some(at(2)), at(3)));
        refusals.take_over();
        assert!(refusals.recent(at(3)).is_empty());
    }

    proptest! {
        #[test]
        fn whatever_is_played_again_never_replaces_what_is_held(
            instances in proptest::collection::vec(1..3u64, 1..20), again in 0..20usize, later in 0..100_000u64,
        ) {
            let mut held: Option<Stamp> = None;
            let mut recorded = Vec::new();
            for (round, instance) in (0u32..).zip(instances) {
                let at = i64::from(round) * 1_700;
                let one = stamp(instance, round.into(), [at, at]);
                recorded.push(one);
                if one.admit(held.as_ref()).is_ok() {
                    held = Some(one);
                }
            }
            let held = held.expect("the first is taken");
            let old = recorded[again % recorded.len()];
            let replayed = Stamp { heard: held.heard.plus(Duration::from_millis(later)), ..old };
            // what was refused as the second's is new still, and may be taken when the first is overdue
            let news = old.sent > held.sent;
            prop_assert!(news || replayed.admit(Some(&held)).is_err());
        }
    }
}
