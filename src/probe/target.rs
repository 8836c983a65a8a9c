//! One target: the task that checks it, and what is held of it.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tracing::{debug, info, warn};

use super::Assignment;
use super::check::{Check, NotRun};
use super::schedule::Schedule;
use crate::health::{Kind, Outcome, TargetReport, Tracker, Turn};
use crate::model::{Ask, Moment, Monitor};
use crate::telemetry::Clock;

/// What all targets of a probe share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) clock: Clock,
    /// A check under way holds one.
    pub(super) slots: Semaphore,
    /// An opinion turned: a report is due.
    pub(super) turned: Notify,
    /// When it was last said that checks could not be run.
    pub(super) complained: Mutex<Option<Moment>>,
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
    /// Of the last check that passed.
    rtt: Option<Duration>,
    certificate_end: Option<i64>,
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
                rtt: None,
                certificate_end: None,
                warned: None,
            },
        )
    }

    /// The same target under a monitor that changed: what is held of it stays.
    pub(super) fn adopt(&self, assignment: &Assignment) -> Self {
        let mut held = self.held().clone();
        held.tracker.adopt((&*assignment.monitor).into());
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
            let started = Instant::now();
            let ended = contained(&check).await;
            drop(slot);
            let pause = self.learn(started, ended, &shared);
            due = schedule.after(started, pause);
        }
    }

    /// What a report says of it.
    pub(super) fn report(&self, now: Moment) -> TargetReport {
        let held = self.held();
        TargetReport {
            monitor: Arc::clone(&self.name),
            address: self.address,
            opinion: held.tracker.opinion(),
            moving: held.tracker.moving(),
            last: held.last,
            rtt_us: held.rtt.map(|rtt| u32::try_from(rtt.as_micros()).unwrap_or(u32::MAX)),
            age_ms: u64::try_from(now.since(held.tracker.since()).as_millis()).unwrap_or(u64::MAX),
            certificate_end: held.certificate_end,
            agent: None,
        }
    }

    /// Takes in how a check ended; returns the pause until the next one.
    fn learn(&self, started: Instant, ended: Result<Outcome, NotRun>, shared: &Shared) -> Duration {
        let now = shared.clock.now();
        let mut held = self.held();
        held.started = Some(started);
        match ended {
            Ok(outcome) => {
                let turn = held.observe(&outcome, now);
                self.tell(&outcome, turn);
                self.warn_of_certificate(&mut held, now);
                if turn.is_some() {
                    shared.turned.notify_one();
                }
            }
            Err(not_run) => shared.complain(&not_run, now),
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
        match &self.monitor.ask {
            Ask::Tls { tls, .. } | Ask::Http { tls: Some(tls), .. } => tls.warn_before,
            Ask::Tcp { .. } | Ask::Http { tls: None, .. } => Duration::ZERO,
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn observe(&mut self, outcome: &Outcome, now: Moment) -> Option<Turn> {
        self.last = Some(outcome.kind);
        if outcome.kind.is_ok() {
            self.rtt = outcome.rtt;
        }
        self.certificate_end = outcome.certificate_end.or(self.certificate_end);
        self.tracker.observe(outcome.kind.is_ok(), now)
    }
}

impl Shared {
    fn complain(&self, not_run: &NotRun, now: Moment) {
        let mut complained = self.complained.lock().unwrap_or_else(PoisonError::into_inner);
        if complained.is_none_or(|complained| now.since(complained) >= COMPLAINT_PACE) {
            *complained = Some(now);
            let reason = &*not_run.reason;
            warn!(reason, "checks cannot be run on this machine; opinions stay as they are");
        }
    }
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

/// A certificate's end is warned of so often.
const WARNING_PACE: Duration = Duration::from_secs(86_400);
/// Checks that could not be run are told of so often, whatever their number.
const COMPLAINT_PACE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::Opinion;
    use crate::model::TlsAsk;

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
            complained: Mutex::new(None),
        }
    }

    fn passed(certificate_end: Option<i64>) -> Outcome {
        Outcome { kind: Kind::Ok, rtt: Some(Duration::from_micros(1500)), detail: None, certificate_end }
    }

    fn failed() -> Outcome {
        Outcome { kind: Kind::Refused, rtt: None, detail: None, certificate_end: None }
    }

    #[tokio::test]
    async fn a_failure_keeps_the_time_and_the_certificate_of_the_last_success() {
        let (target, shared) = (target(0), shared());
        target.learn(Instant::now(), Ok(passed(Some(4_000_000_000))), &shared);
        target.learn(Instant::now(), Ok(failed()), &shared);
        let report = target.report(shared.clock.now());
        assert_eq!((report.opinion, report.last), (Opinion::Down, Some(Kind::Refused)));
        assert_eq!((report.rtt_us, report.certificate_end), (Some(1500), Some(4_000_000_000)));
    }

    #[tokio::test]
    async fn a_check_that_could_not_be_run_changes_nothing() {
        let (target, shared) = (target(0), shared());
        target.learn(Instant::now(), Ok(passed(None)), &shared);
        let not_run = NotRun { reason: "too many open files".into() };
        target.learn(Instant::now(), Err(not_run), &shared);
        let report = target.report(shared.clock.now());
        assert_eq!((report.opinion, report.moving, report.last), (Opinion::Up, false, Some(Kind::Ok)));
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
