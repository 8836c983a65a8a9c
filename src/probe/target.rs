//! One target: the task that checks it, and what is held of it.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tracing::{debug, info, warn};

use super::beats::Beat;
use super::check::{Check, NotRun};
use super::lag::{Begun, Lag, Late};
use super::references::References;
use super::schedule::Schedule;
use super::{Assignment, Stats};
use crate::health::{Agent, Kind, Opinion, Outcome, TargetReport, Tracker, Turn};
use crate::model::{Family, Moment, Monitor};
use crate::telemetry::Clock;

/// What all targets of a probe share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) clock: Clock,
    /// A check under way holds one.
    pub(super) slots: Semaphore,
    /// An opinion turned: a report is due.
    pub(super) turned: Notify,
    pub(super) lag: Lag,
    pub(super) references: Arc<References>,
    pub(super) stats: Arc<Stats>,
    /// When it was last said that checks were late.
    pub(super) told_late: Mutex<Option<Moment>>,
    /// When it was last said that checks could not be run.
    pub(super) told_not_run: Mutex<Option<Moment>>,
}

/// Why a check says nothing of the endpoint.
#[derive(Debug)]
enum Void {
    /// This machine could not run it.
    NotRun(NotRun),
    /// This machine was late.
    Late(Late),
    /// It failed, and no reference answered afterwards.
    Unconfirmed,
}

/// One monitor on one address.
#[derive(Debug)]
pub(super) struct Target {
    monitor: Arc<Monitor>,
    /// The monitor's name, as reports share it.
    name: Arc<str>,
    address: IpAddr,
    held: Mutex<Held>,
}

/// What is held of a target.
#[derive(Clone, Debug)]
struct Held {
    tracker: Tracker,
    /// When the last check started.
    started: Option<Instant>,
    last: Option<Kind>,
    /// Checks in a row that said nothing.
    void: u32,
    /// Of the checks that passed, smoothed.
    rtt: Option<Duration>,
    certificate_end: Option<i64>,
    /// What it said of itself in the last reply.
    agent: Option<Agent>,
    /// When it was last said that the certificate ends soon.
    warned: Option<Moment>,
}

impl Target {
    /// Nothing is known of it yet.
    pub(super) fn new(assignment: &Assignment, now: Moment) -> Self {
        Self::holding(
            assignment,
            Held {
                tracker: Tracker::new((&*assignment.monitor).into(), now),
                started: None,
                last: None,
                void: 0,
                rtt: None,
                certificate_end: None,
                agent: None,
                warned: None,
            },
        )
    }

    /// The same target under a monitor that changed: what is held of it stays.
    pub(super) fn adopt(&self, assignment: &Assignment) -> Self {
        let mut held = self.held().clone();
        held.tracker.adopt((&*assignment.monitor).into());
        if !assignment.monitor.ask.hears_words() {
            held.agent = None;
        }
        Self::holding(assignment, held)
    }

    fn holding(assignment: &Assignment, held: Held) -> Self {
        Self {
            monitor: Arc::clone(&assignment.monitor),
            name: Arc::from(&*assignment.monitor.name),
            address: assignment.address,
            held: Mutex::new(held),
        }
    }

    /// When the last check started, and the pause that follows it; `None`: there was none.
    pub(super) fn last_start(&self) -> Option<(Instant, Duration)> {
        let held = self.held();
        Some((held.started?, held.tracker.pause()))
    }

    /// Checks for ever, first at `due`. A check never begins before the last one has ended.
    pub(super) async fn keep_checking(
        self: Arc<Self>,
        check: Check,
        mut schedule: Schedule,
        mut due: Instant,
        shared: Arc<Shared>,
    ) {
        let check = Arc::new(check);
        loop {
            sleep_until(due).await;
            // The deadline of a check starts with the check: a wait for a slot is nobody's failure.
            let slot = shared.slots.acquire().await;
            let begun = shared.lag.begin();
            let ended = contained(&check).await;
            drop(slot);
            let said = self.weigh(&begun, ended, &shared).await;
            let pause = self.learn(begun.at, said, &shared);
            due = schedule.after(begun.at, pause);
        }
    }

    /// Follows what it sends by itself, until nobody awaits that any more.
    pub(super) async fn keep_listening(
        self: Arc<Self>,
        within: Duration,
        mut beats: watch::Receiver<Option<Beat>>,
        shared: Arc<Shared>,
    ) {
        loop {
            let last = *beats.borrow_and_update();
            let more = tokio::select! {
                biased;
                more = beats.changed() => more,
                () = self.hear(last, within, &shared) => beats.changed().await,
            };
            if more.is_err() {
                return;
            }
        }
    }

    /// What the last beat says, and the silence that follows it. Ends when there is no more to learn from either.
    async fn hear(&self, last: Option<Beat>, within: Duration, shared: &Shared) {
        let Some(beat) = last else { return };
        let (mut since, mut wall) = (beat.at, beat.wall);
        if beat.word.is_some() && beat.at.elapsed() < within {
            self.learn(since, Ok(heard(Kind::Ok, None, beat.word)), shared);
        }
        loop {
            sleep_until(since + within).await;
            let silence = format!("no beat within {within:?}");
            let silent = heard(Kind::Timeout, Some(silence.into()), None);
            let said = self.weigh(&shared.lag.silence(since, wall), Ok(silent), shared).await;
            let is_void = said.is_err();
            self.learn(since, said, shared);
            if !is_void {
                return;
            }
            // What may have come was perhaps lost on this side: from now on it would not be.
            (since, wall) = (Instant::now(), SystemTime::now());
        }
    }

    /// What a report says of it.
    pub(super) fn report(&self, now: Moment, shared: &Shared) -> TargetReport {
        let held = self.held();
        let can_tell = held.void < VOID_MAX && !shared.references.lost(Family::of(self.address));
        TargetReport {
            monitor: Arc::clone(&self.name),
            address: self.address,
            opinion: if can_tell { held.tracker.opinion() } else { Opinion::Unknown },
            moving: held.tracker.moving(),
            last: held.last,
            rtt_us: held.rtt.map(|rtt| u32::try_from(rtt.as_micros()).unwrap_or(u32::MAX)),
            age_ms: u64::try_from(now.since(held.tracker.since()).as_millis()).unwrap_or(u64::MAX),
            certificate_end: held.certificate_end,
            agent: held.agent,
        }
    }

    /// Whether what a check ended with says anything of the endpoint.
    async fn weigh(
        &self,
        begun: &Begun,
        ended: Result<Outcome, NotRun>,
        shared: &Shared,
    ) -> Result<Outcome, Void> {
        let outcome = ended.map_err(Void::NotRun)?;
        if let Some(late) = shared.lag.voids(begun, self.monitor.timeout, &outcome) {
            return Err(Void::Late(late));
        }
        // Where a failure changes nothing there is nothing to confirm.
        let harmless = outcome.kind.is_ok() || self.held().tracker.opinion() == Opinion::Down;
        if harmless || shared.references.confirm(self.address).await {
            return Ok(outcome);
        }
        Err(Void::Unconfirmed)
    }

    /// Takes in how a check ended; returns the pause until the next one.
    fn learn(&self, started: Instant, said: Result<Outcome, Void>, shared: &Shared) -> Duration {
        let now = shared.clock.now();
        let mut held = self.held();
        held.started = Some(started);
        match said {
            Ok(outcome) => {
                let word = held.agent;
                let turn = held.observe(&outcome, now);
                self.tell(&outcome, turn);
                self.warn_of_certificate(&mut held, now);
                if turn.is_some() || held.agent != word {
                    shared.turned.notify_one();
                }
            }
            Err(void) => {
                held.void = held.void.saturating_add(1);
                shared.complain(&void, now);
            }
        }
        held.tracker.pause()
    }

    fn tell(&self, outcome: &Outcome, turn: Option<Turn>) {
        let Outcome { kind, rtt, detail, .. } = outcome;
        let (monitor, address) = (&*self.name, self.address);
        match turn {
            Some(Turn { from, to }) => {
                info!(monitor, %address, %from, %to, %kind, detail, ?rtt, "an opinion turned");
            }
            None => debug!(monitor, %address, %kind, detail, ?rtt, "a check ended"),
        }
    }

    fn warn_of_certificate(&self, held: &mut Held, now: Moment) {
        let Some(end) = held.certificate_end else { return };
        let left = Moment(u64::try_from(end).unwrap_or(0).saturating_mul(1000)).since(now);
        let lately = held.warned.is_some_and(|warned| now.since(warned) < WARNING_PACE);
        if left < self.warn_before() && !lately {
            held.warned = Some(now);
            let (monitor, address, days) = (&*self.name, self.address, left.as_secs() / 86_400);
            warn!(monitor, %address, days, "a certificate ends in so many days");
        }
    }

    fn warn_before(&self) -> Duration {
        self.monitor.ask.tls().map_or(Duration::ZERO, |tls| tls.warn_before)
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is learned from somebody who was not asked.
fn heard(kind: Kind, detail: Option<Box<str>>, agent: Option<Agent>) -> Outcome {
    Outcome { kind, rtt: None, detail, certificate_end: None, agent }
}

impl Held {
    fn observe(&mut self, outcome: &Outcome, now: Moment) -> Option<Turn> {
        self.last = Some(outcome.kind);
        self.void = 0;
        if outcome.kind.is_ok() {
            self.rtt = outcome.rtt.map(|rtt| smoothed(self.rtt, rtt)).or(self.rtt);
        }
        self.certificate_end = outcome.certificate_end.or(self.certificate_end);
        self.agent = outcome.agent.or(self.agent);
        self.tracker.observe(outcome.kind.is_ok(), now)
    }
}

impl Shared {
    /// Counts a check that said nothing; says so now and then.
    fn complain(&self, void: &Void, now: Moment) {
        let one_more = |count: &AtomicU64| count.fetch_add(1, Ordering::Relaxed) + 1;
        match void {
            Void::NotRun(NotRun { reason }) => {
                let count = one_more(&self.stats.not_run);
                if is_due(&self.told_not_run, now) {
                    let reason = &**reason;
                    warn!(reason, count, "checks cannot be run on this machine; they say nothing");
                }
            }
            Void::Late(late) => {
                let count = one_more(&self.stats.late);
                if is_due(&self.told_late, now) {
                    warn!(?late, count, "this machine was late, not the endpoints; such checks say nothing");
                }
            }
            // That the references are lost is said where it is known.
            Void::Unconfirmed => {
                one_more(&self.stats.unconfirmed);
            }
        }
    }
}

/// Whether something may be said again.
fn is_due(told: &Mutex<Option<Moment>>, now: Moment) -> bool {
    let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
    let due = told.is_none_or(|told| now.since(told) >= COMPLAINT_PACE);
    if due {
        *told = Some(now);
    }
    due
}

/// Runs a check in a task of its own: the pausing task stays small, and a panic stays inside. Dropping this
/// ends the check.
async fn contained(check: &Arc<Check>) -> Result<Outcome, NotRun> {
    let mut running = JoinSet::new();
    let check = Arc::clone(check);
    running.spawn(async move { check.run().await });
    match running.join_next().await {
        Some(Ok(ended)) => ended,
        _ => Err(NotRun { reason: "the check itself failed: please report this".into() }),
    }
}

/// The round-trip time to hold once another is measured: the first as it is, then moved by an eighth of the
/// difference.
fn smoothed(held: Option<Duration>, measured: Duration) -> Duration {
    held.map_or(measured, |held| (held * (SMOOTHING - 1) + measured) / SMOOTHING)
}

/// TCP's factor for SRTT (RFC 6298 section 2): one late reply changes little, a lasting change is seen within a
/// dozen checks.
const SMOOTHING: u32 = 8;
/// A certificate's end is warned of so often.
const WARNING_PACE: Duration = Duration::from_secs(86_400);
/// After so many checks in a row that said nothing there is no opinion: what is held is too old.
const VOID_MAX: u32 = 3;
/// Checks that said nothing are told of so often, whatever their number.
const COMPLAINT_PACE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::Guard;
    use crate::model::{Ask, TlsAsk};

    const DAY: u64 = 86_400;

    fn target(warn_days: u64) -> Target {
        let tls = TlsAsk {
            name: None,
            verify: true,
            roots: None,
            warn_before: Duration::from_secs(warn_days * DAY),
        };
        let monitor = Monitor {
            name: "web".into(),
            ask: Ask::Tls { port: 443, tls },
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(2),
            recheck: Duration::from_secs(1),
            fall: 1,
            rise: 1,
            quorum: 75,
        };
        let assignment = Assignment { monitor: Arc::new(monitor), address: [192, 0, 2, 1].into() };
        Target::new(&assignment, Moment(0))
    }

    fn shared() -> Shared {
        Shared {
            clock: Clock::start(),
            slots: Semaphore::new(1),
            turned: Notify::new(),
            lag: Lag::default(),
            references: Arc::new(References::new(Vec::new(), Guard::default(), Clock::start())),
            stats: Arc::default(),
            told_late: Mutex::default(),
            told_not_run: Mutex::default(),
        }
    }

    fn not_run() -> Void {
        Void::NotRun(NotRun { reason: "too many open files".into() })
    }

    fn passed(certificate_end: Option<i64>) -> Outcome {
        Outcome {
            kind: Kind::Ok,
            rtt: Some(Duration::from_micros(1500)),
            detail: None,
            certificate_end,
            agent: None,
        }
    }

    fn failed() -> Outcome {
        Outcome { kind: Kind::Refused, rtt: None, detail: None, certificate_end: None, agent: None }
    }

    #[tokio::test]
    async fn a_failure_keeps_the_time_and_the_certificate_of_the_last_success() {
        let (target, shared) = (target(0), shared());
        target.learn(Instant::now(), Ok(passed(Some(4_000_000_000))), &shared);
        target.learn(Instant::now(), Ok(failed()), &shared);
        let report = target.report(shared.clock.now(), &shared);
        assert_eq!((report.opinion, report.last), (Opinion::Down, Some(Kind::Refused)));
        assert_eq!((report.rtt_us, report.certificate_end), (Some(1500), Some(4_000_000_000)));
    }

    #[test]
    fn a_round_trip_time_follows_what_is_measured_slowly() {
        let ms = Duration::from_millis;
        assert_eq!(smoothed(None, ms(16)), ms(16), "the first as it is");
        assert_eq!(smoothed(Some(ms(16)), ms(96)), ms(26));
        let lasting = (0..24).fold(ms(16), |held, _| smoothed(Some(held), ms(96)));
        assert!(lasting > ms(92) && lasting < ms(96));
    }

    #[tokio::test]
    async fn a_check_that_could_not_be_run_changes_nothing() {
        let (target, shared) = (target(0), shared());
        target.learn(Instant::now(), Ok(passed(None)), &shared);
        target.learn(Instant::now(), Err(not_run()), &shared);
        let report = target.report(shared.clock.now(), &shared);
        assert_eq!((report.opinion, report.moving, report.last), (Opinion::Up, false, Some(Kind::Ok)));
    }

    #[tokio::test]
    async fn a_target_whose_checks_say_nothing_has_no_opinion_until_one_does() {
        let (target, shared) = (target(0), shared());
        let opinion = || target.report(shared.clock.now(), &shared).opinion;
        target.learn(Instant::now(), Ok(passed(None)), &shared);
        for opinion_after in [Opinion::Up, Opinion::Up, Opinion::Unknown, Opinion::Unknown] {
            target.learn(Instant::now(), Err(Void::Late(Late::Lagged(Duration::from_secs(1)))), &shared);
            assert_eq!(opinion(), opinion_after);
        }
        assert_eq!(shared.stats.counts().late, 4);
        target.learn(Instant::now(), Ok(passed(None)), &shared);
        assert_eq!(opinion(), Opinion::Up);
    }

    #[test]
    fn a_certificate_that_ends_soon_is_warned_of_once_a_day() {
        let target = target(14);
        let mut held = target.held();
        held.certificate_end = Some(i64::try_from(100 * DAY).unwrap());
        let mut warned_after = |hours: u64| {
            let now = Moment(hours * 3_600_000);
            target.warn_of_certificate(&mut held, now);
            held.warned == Some(now)
        };
        assert!(!warned_after(80 * 24));
        assert!(warned_after(87 * 24));
        assert!(!warned_after(87 * 24 + 23));
        assert!(warned_after(88 * 24));
    }
}
