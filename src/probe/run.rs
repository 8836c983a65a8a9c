//! The life of a probe: follows its assignments, and reports.

use std::collections::{HashMap, HashSet};
use std::mem;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::error::SendError;
use tokio::sync::{Notify, Semaphore, mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep_until};
use tracing::warn;

use super::beats::Awaited;
use super::check::{Check, NoCheck};
use super::lag::Lag;
use super::references::References;
use super::schedule::{self, Schedule};
use super::target::{Shared, Target};
use super::{Assignment, Config, prepare};
use crate::health::{Denied, Report};
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
            () = probe.shared.turned.notified() => pace.hasten(Instant::now(), probe.watched.len()),
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
    /// What it knows of itself, kept up to date. Ends with the probe.
    _looking_after: JoinSet<()>,
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
    /// `None`: the probe must not connect there.
    task: Option<AbortHandle>,
}

impl Drop for Watched {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl Probe {
    fn new(config: Config) -> Self {
        let clock = Clock::start();
        let shared = Arc::new(Shared {
            clock,
            slots: Semaphore::new(config.concurrency.clamp(1, Semaphore::MAX_PERMITS)),
            turned: Notify::new(),
            lag: Lag::default(),
            references: Arc::new(References::new(config.references.clone(), config.guard.clone(), clock)),
            stats: Arc::clone(&config.stats),
            told_late: Default::default(),
            told_not_run: Default::default(),
        });
        let mut looking_after = JoinSet::new();
        let measuring = Arc::clone(&shared);
        looking_after.spawn(async move { measuring.lag.measure().await });
        let turning = Arc::clone(&shared);
        looking_after.spawn(Arc::clone(&shared.references).watch(move || turning.turned.notify_one()));
        let number = clock.now().0;
        let epoch = Instant::now();
        Self { config, shared, _looking_after: looking_after, epoch, watched: Vec::new(), number }
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
                Some(watched) if awaits_beats(&watched.assignment) == awaits_beats(assignment) => {
                    starting.push((assignment.clone(), watched.target.adopt(assignment)));
                }
                _ => {
                    starting.push((assignment.clone(), Target::new(assignment, self.shared.clock.now())));
                }
            }
        }
        // What is not assigned any more ends before anything new starts.
        drop(before);
        let assignments = starting.iter().map(|(assignment, _)| assignment.clone()).collect();
        let checks = prepare(assignments, &self.config.guard).await;
        tell_denied(starting.iter().zip(&checks).filter_map(|((to, _), check)| match check {
            Err(NoCheck::Denied(denied)) => Some((to, denied)),
            _ => None,
        }));
        for ((assignment, target), check) in starting.into_iter().zip(checks) {
            let target = Arc::new(target);
            let task = match check {
                Ok(check) => Some(self.start(&assignment, &target, check, fresh)),
                Err(NoCheck::Awaited { within }) => Some(self.listen(&assignment, &target, within)),
                Err(NoCheck::Denied(_)) => None,
            };
            self.watched.push(Watched { assignment, target, task });
        }
    }

    fn start(&self, assignment: &Assignment, target: &Arc<Target>, check: Check, fresh: bool) -> AbortHandle {
        let monitor = &assignment.monitor;
        let seed = schedule::seed(&self.config.name, &monitor.name, assignment.address);
        let mut schedule = Schedule::new(self.epoch, monitor.interval, seed);
        let now = Instant::now();
        let due = match target.last_start() {
            Some((started, pause)) => schedule.after(started, pause),
            None if fresh => schedule.at_once(now),
            None => schedule.next_place(now),
        };
        let checking = Arc::clone(target).keep_checking(check, schedule, due, Arc::clone(&self.shared));
        tokio::spawn(checking).abort_handle()
    }

    fn listen(&self, assignment: &Assignment, target: &Arc<Target>, within: Duration) -> AbortHandle {
        let from = Awaited { monitor: assignment.monitor.name.clone(), address: assignment.address };
        let beats = self.config.beats.listen(&from);
        let listening = Arc::clone(target).keep_listening(within, beats, Arc::clone(&self.shared));
        tokio::spawn(listening).abort_handle()
    }

    fn report(&mut self) -> Report {
        let now = self.shared.clock.now();
        let number = self.number;
        self.number += 1;
        Report {
            probe: Arc::clone(&self.config.name),
            region: Arc::clone(&self.config.region),
            number,
            instance: self.config.instance,
            sent: now,
            // Whoever sends it knows.
            zones: None,
            interval_ms: u32::try_from(self.config.report_interval.as_millis()).unwrap_or(u32::MAX),
            targets: self.watched.iter().map(|watched| watched.target.report(now, &self.shared)).collect(),
        }
    }
}

/// Says once for each change of assignments whom the guard keeps this probe from.
fn tell_denied<'a>(mut denied: impl Iterator<Item = (&'a Assignment, &'a Denied)>) {
    let Some((first, why)) = denied.next() else { return };
    let (monitor, address, more) = (&*first.monitor.name, first.address, denied.count());
    warn!(monitor, %address, more, "not checked, so without an opinion: this is {why}");
}

/// What makes a target the same under another set of assignments.
fn key(assignment: &Assignment) -> (Box<str>, IpAddr) {
    (assignment.monitor.name.clone(), assignment.address)
}

/// Whether nobody is asked there. What is held of one that is asked says nothing of one that sends beats.
fn awaits_beats(assignment: &Assignment) -> bool {
    assignment.monitor.ask.within().is_some()
}

/// Whether the task of a target can go on as it is.
fn stays(before: &Assignment, now: &Assignment) -> bool {
    // A file of roots may say something else than when it was read.
    let reads_a_file = now.monitor.ask.tls().is_some_and(|tls| tls.roots.is_some());
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

    /// An opinion turned, of one of so many targets.
    fn hasten(&mut self, now: Instant, targets: usize) {
        let urgent = now + COALESCE;
        let apart = URGENT_PACE + PACE_OF_TARGET * u32::try_from(targets).unwrap_or(u32::MAX);
        let earliest = self.last.map_or(urgent, |last| last + apart.min(self.interval));
        self.due = self.due.min(urgent.max(earliest));
    }

    fn reported(&mut self, now: Instant) {
        self.last = Some(now);
        self.due = now + self.interval;
    }
}

/// Opinions that turn within so much of the first one go into the same report.
const COALESCE: Duration = Duration::from_millis(10);
/// When opinions turn all the time, reports are no closer than this,
const URGENT_PACE: Duration = Duration::from_millis(100);
/// and so much for each target, all of which are in each report: when ten thousand die, whoever hears of it has other
/// things to do than to read all of them ten times a second. The first that turns waits for nothing.
const PACE_OF_TARGET: Duration = Duration::from_micros(30);

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read, Write};
    use std::net::{SocketAddr, TcpListener};

    use tokio::task::JoinHandle;
    use tokio::time::timeout;

    use super::super::check::servers;
    use super::*;
    use crate::health::{Guard, Kind, Opinion, TargetReport};
    use crate::model::{Ask, Expect, Monitor};

    /// What should happen happens by then, on however busy a machine.
    const PATIENCE: Duration = Duration::from_secs(20);
    const NEVER: Duration = Duration::from_secs(3600);
    const SOON: Duration = Duration::from_millis(10);

    fn tcp(name: &str, to: SocketAddr) -> Assignment {
        let monitor = Monitor {
            name: name.into(),
            ask: Ask::Tcp { port: to.port() },
            interval: SOON,
            timeout: PATIENCE,
            recheck: SOON,
            fall: 3,
            rise: 2,
            quorum: 75,
        };
        Assignment { monitor: Arc::new(monitor), address: to.ip() }
    }

    fn http(name: &str, to: SocketAddr) -> Assignment {
        let ask = Ask::Http {
            port: to.port(),
            tls: None,
            method: "GET".into(),
            path: "/".into(),
            host: None,
            headers: Vec::new(),
            agent: None,
            expect: Expect { status: vec![200..=200], body: None },
        };
        with(tcp(name, to), |monitor| monitor.ask = ask)
    }

    fn with(mut assignment: Assignment, change: impl FnOnce(&mut Monitor)) -> Assignment {
        change(Arc::make_mut(&mut assignment.monitor));
        assignment
    }

    fn config(report_interval: Duration, concurrency: usize) -> Config {
        Config {
            name: "ns1".into(),
            region: "eu".into(),
            instance: 7,
            report_interval,
            concurrency,
            guard: Guard::new(vec!["127.0.0.128/25".parse().unwrap()]),
            references: Vec::new(),
            beats: Arc::default(),
            stats: Arc::default(),
        }
    }

    struct Running {
        assignments: watch::Sender<Arc<[Assignment]>>,
        reports: mpsc::Receiver<Report>,
        task: JoinHandle<()>,
    }

    impl Running {
        fn start(assignments: &[Assignment], report_interval: Duration, concurrency: usize) -> Self {
            Self::with(config(report_interval, concurrency), assignments)
        }

        fn with(config: Config, assignments: &[Assignment]) -> Self {
            let (assignments, assigned) = watch::channel(Arc::from(assignments));
            let (reported, reports) = mpsc::channel(1);
            let task = tokio::spawn(run(config, assigned, reported));
            Self { assignments, reports, task }
        }

        fn assign(&self, assignments: &[Assignment]) {
            self.assignments.send(Arc::from(assignments)).unwrap();
        }

        async fn report(&mut self) -> Report {
            timeout(PATIENCE, self.reports.recv()).await.expect("a report comes").expect("the probe runs")
        }

        async fn report_where(&mut self, wanted: impl Fn(&Report) -> bool) -> Report {
            loop {
                let report = self.report().await;
                if wanted(&report) {
                    return report;
                }
            }
        }

        async fn ends(self) {
            timeout(PATIENCE, self.task).await.expect("the probe ends").unwrap();
        }
    }

    fn of<'a>(report: &'a Report, monitor: &str) -> Option<&'a TargetReport> {
        report.targets.iter().find(|target| &*target.monitor == monitor)
    }

    fn opinion(report: &Report, monitor: &str) -> Option<Opinion> {
        of(report, monitor).map(|target| target.opinion)
    }

    /// Counts who connects, and accepts no more than that.
    async fn counting() -> (SocketAddr, watch::Receiver<u32>) {
        let (count, counted) = watch::channel(0);
        let to = servers::serve(move |_| {
            count.send_modify(|count| *count += 1);
            async {}
        });
        (to.await, counted)
    }

    async fn reaches(counted: &mut watch::Receiver<u32>, more: u32) {
        let start = *counted.borrow();
        let reached = counted.wait_for(|count| *count >= start + more);
        timeout(PATIENCE, reached).await.expect("checks go on").unwrap();
    }

    #[tokio::test]
    async fn a_fresh_probe_soon_has_an_opinion_of_everything() {
        let to = servers::silent().await;
        let slow = |n| with(tcp(&format!("m{n}"), to), |monitor| monitor.interval = NEVER);
        let assignments: Vec<_> = (0..50).map(slow).collect();
        let mut probe = Running::start(&assignments, NEVER, 10);
        let all_up = |report: &Report| report.targets.iter().all(|target| target.opinion == Opinion::Up);
        let report = probe.report_where(all_up).await;
        assert_eq!(report.targets.len(), 50);
        for target in report.targets {
            assert_eq!((target.last, target.moving), (Some(Kind::Ok), false));
            assert!(target.rtt_us.is_some());
        }
    }

    #[tokio::test]
    async fn what_the_guard_denies_is_never_connected_to_and_has_no_opinion() {
        let listener = TcpListener::bind("127.0.0.200:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let (denied, allowed) = (listener.local_addr().unwrap(), servers::silent().await);
        let mut probe = Running::start(&[tcp("denied", denied), tcp("allowed", allowed)], SOON, 10);
        probe.report_where(|report| opinion(report, "allowed") == Some(Opinion::Up)).await;
        let report = probe.report().await;
        let denied = of(&report, "denied").unwrap();
        assert_eq!((denied.opinion, denied.last), (Opinion::Unknown, None));
        let accepted = listener.accept().map_err(|error| error.kind());
        assert_eq!(accepted.unwrap_err(), ErrorKind::WouldBlock);
    }

    #[tokio::test]
    async fn without_an_answer_of_a_reference_no_failure_counts_and_there_is_no_opinion() {
        let (to, _held) = servers::closed();
        let targets = [tcp("closed", to), tcp("open", servers::silent().await)];
        // The guard denies it: it never answers.
        let references = vec!["127.0.0.200:53".parse().unwrap()];
        let config = Config { references, ..config(SOON, 10) };
        let stats = Arc::clone(&config.stats);
        let mut probe = Running::with(config, &targets);
        let all_unknown =
            |report: &Report| report.targets.iter().all(|target| target.opinion == Opinion::Unknown);
        loop {
            let report = probe.report().await;
            assert_ne!(opinion(&report, "closed"), Some(Opinion::Down));
            let open_passed = of(&report, "open").unwrap().last == Some(Kind::Ok);
            if open_passed && all_unknown(&report) && stats.counts().unconfirmed > 10 {
                break;
            }
        }
    }

    #[tokio::test]
    async fn a_failure_counts_when_a_reference_answers_after_it() {
        let (to, _held) = servers::closed();
        let references = vec![to];
        let mut probe = Running::with(Config { references, ..config(SOON, 10) }, &[tcp("closed", to)]);
        probe.report_where(|report| opinion(report, "closed") == Some(Opinion::Down)).await;
    }

    #[tokio::test]
    async fn a_probe_that_is_held_up_does_not_blame_endpoints() {
        // On a thread of its own, it is never held up.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let _ = stream.read(&mut [0; 1024]);
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
            }
        });
        let hasty = with(http("web", to), |monitor| (monitor.timeout, monitor.fall) = (SOON, 1));
        let config = config(SOON, 10);
        let stats = Arc::clone(&config.stats);
        let mut probe = Running::with(config, &[hasty]);
        while stats.counts().late < 5 {
            // All that this runtime does comes between two of these.
            std::thread::sleep(5 * SOON);
            tokio::task::yield_now().await;
            while let Ok(report) = probe.reports.try_recv() {
                assert_ne!(opinion(&report, "web"), Some(Opinion::Down));
            }
        }
    }

    #[tokio::test]
    async fn reports_come_at_their_pace_full_and_numbered() {
        let to = servers::silent().await;
        let hanging = |monitor: &mut Monitor| monitor.interval = NEVER;
        let assignments = [with(http("a", to), hanging), with(http("b", to), hanging)];
        let mut probe = Running::start(&assignments, SOON, 10);
        let first = probe.report().await;
        assert_eq!((&*first.probe, &*first.region, first.interval_ms), ("ns1", "eu", 10));
        for number in first.number + 1..first.number + 5 {
            let report = probe.report().await;
            assert_eq!(report.number, number);
            assert_eq!(opinion(&report, "a"), Some(Opinion::Unknown));
            assert_eq!(opinion(&report, "b"), Some(Opinion::Unknown));
        }
    }

    #[tokio::test]
    async fn a_turn_is_reported_at_once() {
        let (status, current) = watch::channel("200");
        let to = servers::serve(move |mut stream| {
            let reply = format!("HTTP/1.1 {}\r\n\r\n", *current.borrow());
            async move {
                servers::read_request(&mut stream).await;
                let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, reply.as_bytes()).await;
            }
        });
        let mut probe = Running::start(&[http("web", to.await)], NEVER, 10);
        assert_eq!(opinion(&probe.report().await, "web"), Some(Opinion::Up));
        status.send("503").unwrap();
        let report = probe.report().await;
        assert_eq!(opinion(&report, "web"), Some(Opinion::Down));
        assert_eq!(of(&report, "web").unwrap().last, Some(Kind::Status));
        status.send("200").unwrap();
        assert_eq!(opinion(&probe.report().await, "web"), Some(Opinion::Up));
    }

    #[tokio::test]
    async fn a_hanging_target_delays_no_other() {
        let (to, mut counted) = counting().await;
        let hanging = http("hanging", servers::silent().await);
        let _probe = Running::start(&[hanging, tcp("good", to)], NEVER, 2);
        reaches(&mut counted, 20).await;
    }

    #[tokio::test]
    async fn a_wait_for_a_slot_is_no_failure() {
        let brief = |monitor: &mut Monitor| monitor.timeout = Duration::from_millis(200);
        let good = with(tcp("good", servers::silent().await), |monitor| monitor.fall = 1);
        let hanging = with(http("hanging", servers::silent().await), brief);
        let mut probe = Running::start(&[hanging, good], SOON, 1);
        let report = probe.report_where(|report| opinion(report, "hanging") == Some(Opinion::Down)).await;
        assert_eq!(of(&report, "hanging").unwrap().last, Some(Kind::Timeout));
        assert_eq!(opinion(&report, "good"), Some(Opinion::Up));
    }

    #[tokio::test]
    async fn nobody_hearing_reports_stops_no_check_and_the_next_heard_is_the_latest() {
        let (to, mut counted) = counting().await;
        let mut probe = Running::start(&[tcp("good", to)], SOON, 10);
        reaches(&mut counted, 50).await;
        let stored = probe.report().await;
        let latest = probe.report().await;
        assert_eq!(latest.number, stored.number + 1);
        assert_eq!(opinion(&latest, "good"), Some(Opinion::Up));
    }

    #[tokio::test]
    async fn a_change_of_assignments_keeps_what_is_held_of_those_that_stay() {
        let (good, silent) = (servers::silent().await, servers::silent().await);
        let mut probe = Running::start(&[tcp("stays", good), tcp("goes", good)], SOON, 10);
        let both_up = |report: &Report| report.targets.iter().all(|target| target.opinion == Opinion::Up);
        let before = probe.report_where(both_up).await;
        // The same target asks something else now, which nothing answers: only its past speaks for it.
        probe.assign(&[http("stays", silent), http("comes", silent)]);
        let after = probe.report_where(|report| of(report, "comes").is_some()).await;
        let (was, is) = (of(&before, "stays").unwrap(), of(&after, "stays").unwrap());
        assert_eq!((is.opinion, is.last), (Opinion::Up, Some(Kind::Ok)));
        assert!(is.age_ms >= was.age_ms);
        assert_eq!(opinion(&after, "comes"), Some(Opinion::Unknown));
        assert_eq!(opinion(&after, "goes"), None);
    }

    #[tokio::test]
    async fn a_target_assigned_twice_is_checked_once() {
        let to = servers::silent().await;
        let mut probe = Running::start(&[tcp("web", to), tcp("web", to)], SOON, 10);
        assert_eq!(probe.report().await.targets.len(), 1);
    }

    #[tokio::test]
    async fn a_target_that_is_not_assigned_any_more_is_left_alone() {
        let ((goes, mut going), (stays, mut staying)) = (counting().await, counting().await);
        let mut probe = Running::start(&[tcp("goes", goes), tcp("stays", stays)], SOON, 10);
        reaches(&mut going, 1).await;
        probe.assign(&[tcp("stays", stays)]);
        probe.report_where(|report| of(report, "goes").is_none()).await;
        // One check may have been on its way.
        reaches(&mut staying, 5).await;
        let count = *going.borrow_and_update();
        reaches(&mut staying, 20).await;
        assert_eq!(*going.borrow(), count);
    }

    #[tokio::test]
    async fn a_probe_without_targets_reports_that() {
        let mut probe = Running::start(&[], SOON, 10);
        assert_eq!(probe.report().await.targets, []);
    }

    #[tokio::test]
    async fn a_probe_ends_when_its_assignments_close() {
        let probe = Running::start(&[tcp("web", servers::silent().await)], NEVER, 10);
        let Running { assignments, reports, task } = probe;
        drop(assignments);
        timeout(PATIENCE, task).await.expect("the probe ends").unwrap();
        drop(reports);
    }

    #[tokio::test]
    async fn a_probe_ends_when_nobody_can_hear_it() {
        let mut probe = Running::start(&[tcp("web", servers::silent().await)], SOON, 10);
        probe.reports.close();
        probe.ends().await;
    }

    #[test]
    fn turns_are_gathered_and_never_flood() {
        let start = Instant::now();
        let mut pace = Pace { interval: NEVER, last: None, due: start + NEVER };
        pace.hasten(start, 0);
        pace.hasten(start + COALESCE / 2, 0);
        assert_eq!(pace.due, start + COALESCE);
        pace.reported(start + COALESCE);
        pace.hasten(start + COALESCE * 2, 0);
        assert_eq!(pace.due, start + COALESCE + URGENT_PACE);
        pace.reported(start + COALESCE + URGENT_PACE);
        assert_eq!(pace.due, start + COALESCE + URGENT_PACE + NEVER);
    }

    #[test]
    fn the_first_of_many_that_turn_is_told_of_at_once_and_the_others_wait_longer_the_more_there_are() {
        let start = Instant::now();
        let mut pace = Pace { interval: Duration::from_secs(2), last: None, due: start + NEVER };
        pace.hasten(start, 10_000);
        assert_eq!(pace.due, start + COALESCE);
        pace.reported(start + COALESCE);
        pace.hasten(start + COALESCE * 2, 10_000);
        assert_eq!(pace.due, start + COALESCE + Duration::from_millis(400));
        pace.reported(start);
        pace.hasten(start, usize::MAX);
        assert_eq!(pace.due, start + Duration::from_secs(2), "the next one comes anyway");
    }
}
