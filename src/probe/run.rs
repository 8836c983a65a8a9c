//! The life of a probe: follows its assignments, and reports.

use std::collections::{HashMap, HashSet};
use std::mem;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::mpsc::error::SendError;
use tokio::sync::{Notify, Semaphore, mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until};

use super::check::Check;
use super::schedule::{self, Schedule};
use super::target::{Shared, Target};
use super::{Assignment, Config, prepare};
use crate::health::Report;
use crate::model::Ask;
use crate::telemetry::Clock;

/// Runs until `assignments` closes or nobody hears its reports.
///
/// A probe that checks nothing yet runs its first round at once, spread over a second; targets that come
/// later are first checked at their place within the interval. A change of assignments keeps what is held
/// of targets that stay (same monitor name and address).
pub async fn run(
    config: Config,
    mut assignments: watch::Receiver<Arc<[Assignment]>>,
    reports: mpsc::Sender<Report>,
) {
    let mut probe = Probe::new(config);
    let mut pace = Pace::new(probe.config.report_interval);
    let first = Arc::clone(&assignments.borrow_and_update());
    probe.assign(&first).await;
    loop {
        tokio::select! {
            changed = assignments.changed() => {
                if changed.is_err() {
                    return;
                }
                let changed = Arc::clone(&assignments.borrow_and_update());
                probe.assign(&changed).await;
            }
            () = probe.shared.turned.notified() => pace.hasten(Instant::now()),
            slot = slot_at(pace.due, &reports) => {
                let Ok(slot) = slot else { return };
                slot.send(probe.report());
                pace.reported(Instant::now());
            }
        }
    }
}

/// Waits until a report is due and somebody takes it.
async fn slot_at(
    due: Instant,
    reports: &mpsc::Sender<Report>,
) -> Result<mpsc::Permit<'_, Report>, SendError<()>> {
    sleep_until(due).await;
    reports.reserve().await
}

/// A probe at work. Dropping it ends its checks.
#[derive(Debug)]
struct Probe {
    config: Config,
    shared: Arc<Shared>,
    /// From which the places of targets are counted.
    epoch: Instant,
    watched: Vec<Watched>,
    /// The number of the next report.
    number: u64,
}

/// A target that is being checked. Dropping it ends that.
#[derive(Debug)]
struct Watched {
    assignment: Assignment,
    target: Arc<Target>,
    task: AbortHandle,
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Probe {
    fn new(config: Config) -> Self {
        let clock = Clock::start();
        let shared = Shared {
            clock,
            slots: Semaphore::new(config.concurrency.clamp(1, Semaphore::MAX_PERMITS)),
            turned: Notify::new(),
            complained: Mutex::new(None),
        };
        let number = clock.now().0;
        Self { config, shared: Arc::new(shared), epoch: Instant::now(), watched: Vec::new(), number }
    }

    /// Follows what it should check from now on.
    async fn assign(&mut self, assignments: &[Assignment]) {
        let fresh = self.watched.is_empty();
        let mut before: HashMap<_, _> = mem::take(&mut self.watched)
            .into_iter()
            .map(|watched| (key(&watched.assignment), watched))
            .collect();
        let mut seen = HashSet::new();
        let mut starting = Vec::new();
        for assignment in assignments.iter().filter(|assignment| seen.insert(key(assignment))) {
            match before.remove(&key(assignment)) {
                Some(watched) if stays(&watched.assignment, assignment) => self.watched.push(watched),
                Some(watched) => starting.push((assignment.clone(), watched.target.adopt(assignment))),
                None => {
                    starting.push((assignment.clone(), Target::new(assignment, self.shared.clock.now())));
                }
            }
        }
        // What is not assigned any more ends before anything new starts.
        drop(before);
        let checks = prepare(starting.iter().map(|(assignment, _)| assignment.clone()).collect()).await;
        for ((assignment, target), check) in starting.into_iter().zip(checks) {
            self.start(assignment, target, check, fresh);
        }
    }

    fn start(&mut self, assignment: Assignment, target: Target, check: Check, fresh: bool) {
        let monitor = &assignment.monitor;
        let seed = schedule::seed(&self.config.name, &monitor.name, assignment.address);
        let mut schedule = Schedule::new(self.epoch, monitor.interval, seed);
        let now = Instant::now();
        let due = match target.last_start() {
            Some((started, pause)) => schedule.after(started, pause),
            None if fresh => schedule.at_once(now),
            None => schedule.next_place(now),
        };
        let target = Arc::new(target);
        let checking = Arc::clone(&target).keep_checking(check, schedule, due, Arc::clone(&self.shared));
        let task = tokio::spawn(checking).abort_handle();
        self.watched.push(Watched { assignment, target, task });
    }

    fn report(&mut self) -> Report {
        let now = self.shared.clock.now();
        let number = self.number;
        self.number += 1;
        Report {
            probe: Arc::clone(&self.config.name),
            region: Arc::clone(&self.config.region),
            number,
            interval_ms: u32::try_from(self.config.report_interval.as_millis()).unwrap_or(u32::MAX),
            targets: self.watched.iter().map(|watched| watched.target.report(now)).collect(),
        }
    }
}

/// What makes a target the same under another set of assignments.
fn key(assignment: &Assignment) -> (Box<str>, IpAddr) {
    (assignment.monitor.name.clone(), assignment.address)
}

/// Whether the task of a target can go on as it is.
fn stays(before: &Assignment, now: &Assignment) -> bool {
    // A file of roots may say something else than when it was read.
    let reads_a_file = match &now.monitor.ask {
        Ask::Tls { tls, .. } | Ask::Http { tls: Some(tls), .. } => tls.roots.is_some(),
        Ask::Tcp { .. } | Ask::Http { tls: None, .. } => false,
    };
    before == now && !reads_a_file
}

/// When the next report is due.
#[derive(Debug)]
struct Pace {
    interval: Duration,
    last: Option<Instant>,
    due: Instant,
}

impl Pace {
    fn new(interval: Duration) -> Self {
        Self { interval, last: None, due: Instant::now() + interval }
    }

    /// An opinion turned.
    fn hasten(&mut self, now: Instant) {
        let urgent = now + COALESCE;
        let earliest = self.last.map_or(urgent, |last| last + URGENT_PACE);
        self.due = self.due.min(urgent.max(earliest));
    }

    fn reported(&mut self, now: Instant) {
        self.last = Some(now);
        self.due = now + self.interval;
    }
}

/// Opinions that turn within so much of the first one go into the same report.
const COALESCE: Duration = Duration::from_millis(10);
/// When opinions turn all the time, reports are no closer than this.
const URGENT_PACE: Duration = Duration::from_millis(100);
