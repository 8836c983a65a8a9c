//! Beats: signs of life that applications and cron jobs send to a probe by themselves.
//!
//! ```text
//!   beat (endpoint, word) --> Beats --a line for each target--> its task: Up at once,
//!                               |                               Down when nothing came within its time
//!                               `-- whose first came --> kept on disk for a restart
//! ```
//!
//! Only a probe that a beat has reached has an opinion: where nobody sends beats to a probe, its silence is none of
//! the application's. So that one that dies while the probe restarts is still noticed, who was ever heard is kept
//! on disk. When that was is not: no clock that may have jumped meanwhile is believed, and the silence of those who were
//! heard before counts from the start. Until it has lasted, or a beat comes, there is no opinion of them, which
//! leaves each as it was.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::health::Agent;

/// The beats that reach a probe.
#[derive(Debug, Default)]
pub struct Beats {
    lines: Mutex<HashMap<Awaited, watch::Sender<Option<Beat>>>>,
    news: Notify,
}

/// A target that awaits beats.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Awaited {
    /// The monitor's name.
    pub monitor: Box<str>,
    /// The endpoint's address.
    pub address: IpAddr,
}

/// The last beat of a target.
#[derive(Clone, Copy, Debug)]
pub(super) struct Beat {
    /// From then on there was silence.
    pub(super) at: Instant,
    /// The same by the wall clock: a machine that slept meanwhile shows in it.
    pub(super) wall: SystemTime,
    /// What it said; `None`: it came before the process started, and when, nobody can tell.
    pub(super) word: Option<Agent>,
}

impl Beats {
    /// None has come since the process started; these were heard before.
    pub fn remembering(heard: Vec<Awaited>) -> Self {
        let lines = heard.into_iter().map(|from| (from, watch::Sender::new(Some(Beat::now(None)))));
        Self { lines: Mutex::new(lines.collect()), news: Notify::new() }
    }

    /// A beat came for a target; one that says nothing says [`Agent::Up`].
    pub fn hear(&self, from: &Awaited, word: Agent) {
        let before = self.line(from, |line| line.send_replace(Some(Beat::now(Some(word)))));
        if before.is_none() {
            self.news.notify_one();
        }
    }

    /// Forgets all others: nobody awaits their beats any more.
    pub fn keep(&self, awaited: &HashSet<Awaited>) {
        let mut lines = self.lines();
        let before = lines.len();
        lines.retain(|from, _| awaited.contains(from));
        if lines.len() < before {
            self.news.notify_one();
        }
    }

    /// Who was ever heard, in order: what a restart needs to know.
    pub fn heard(&self) -> Vec<Awaited> {
        let lines = self.lines();
        let heard = lines.iter().filter(|(_, line)| line.borrow().is_some()).map(|(from, _)| from.clone());
        let mut heard: Vec<Awaited> = heard.collect();
        heard.sort_unstable();
        heard
    }

    /// Has [`news`](Self::news) once more, for whoever could not do what they are for.
    pub fn again(&self) {
        self.news.notify_one();
    }

    /// Waits until [`heard`](Self::heard) says something else than it did.
    pub async fn news(&self) {
        self.news.notified().await;
    }

    /// The beats of a target from now on, and the last one before. Ends when nobody awaits them any more.
    pub(super) fn listen(&self, to: &Awaited) -> watch::Receiver<Option<Beat>> {
        self.line(to, watch::Sender::subscribe)
    }

    fn line<T>(&self, of: &Awaited, with: impl FnOnce(&watch::Sender<Option<Beat>>) -> T) -> T {
        with(self.lines().entry(of.clone()).or_insert_with(|| watch::Sender::new(None)))
    }

    fn lines(&self) -> MutexGuard<'_, HashMap<Awaited, watch::Sender<Option<Beat>>>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Beat {
    fn now(word: Option<Agent>) -> Self {
        Self { at: Instant::now(), wall: SystemTime::now(), word }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::sync::mpsc;

    use super::super::{Assignment, Config, run};
    use super::*;
    use crate::health::{Guard, Kind, Opinion, Report};
    use crate::model::{Ask, Monitor};

    const WITHIN: Duration = Duration::from_secs(3);
    const SOON: Duration = Duration::from_millis(200);

    fn awaited(last: u8) -> Awaited {
        Awaited { monitor: "job".into(), address: [192, 0, 2, last].into() }
    }

    fn assignment(last: u8, within: Duration) -> Assignment {
        let Awaited { monitor: name, address } = awaited(last);
        let monitor = Monitor {
            name,
            ask: Ask::Push { within },
            interval: within,
            timeout: within,
            recheck: within,
            fall: 1,
            rise: 1,
            quorum: 75,
        };
        Assignment { monitor: Arc::new(monitor), address }
    }

    /// A probe that awaits beats for .1 and .2.
    struct Probe {
        beats: Arc<Beats>,
        assignments: watch::Sender<Arc<[Assignment]>>,
        reports: mpsc::Receiver<Report>,
    }

    impl Probe {
        fn start(beats: Beats, deny: &str) -> Self {
            let beats = Arc::new(beats);
            let config = Config {
                name: "ns1".into(),
                region: "eu".into(),
                instance: 7,
                report_interval: Duration::from_millis(100),
                concurrency: 1,
                guard: Guard::new(vec![deny.parse().expect("a prefix")]),
                references: Vec::new(),
                beats: Arc::clone(&beats),
                stats: Arc::default(),
            };
            let both = [1, 2].map(|last| assignment(last, WITHIN));
            let (assignments, assigned) = watch::channel(Arc::from(both));
            let (reported, reports) = mpsc::channel(1);
            tokio::spawn(run(config, assigned, reported));
            Self { beats, assignments, reports }
        }

        /// What it holds of .1 and .2 after so long.
        async fn holds_after(&mut self, time: Duration) -> [Opinion; 2] {
            self.report_after(time).await.targets.iter().map(|target| target.opinion).collect::<Vec<_>>()[..]
                .try_into()
                .expect("two targets")
        }

        async fn report_after(&mut self, time: Duration) -> Report {
            let due = Instant::now() + time;
            loop {
                let report = self.reports.recv().await.expect("the probe runs");
                if Instant::now() >= due {
                    return report;
                }
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_beat_is_good_for_its_time_and_only_for_its_target() {
        let mut probe = Probe::start(Beats::default(), "198.51.100.0/24");
        assert_eq!(probe.holds_after(2 * WITHIN).await, [Opinion::Unknown; 2], "none has ever come");
        probe.beats.hear(&awaited(1), Agent::Share(50));
        assert_eq!(probe.holds_after(WITHIN - SOON * 2).await, [Opinion::Up, Opinion::Unknown]);
        let report = probe.report_after(SOON * 3).await;
        let silent = &report.targets[0];
        assert_eq!((silent.opinion, silent.last, silent.rtt_us), (Opinion::Down, Some(Kind::Timeout), None));
        assert_eq!(silent.agent, Some(Agent::Share(50)));
        probe.beats.hear(&awaited(1), Agent::Up);
        assert_eq!(probe.holds_after(SOON).await, [Opinion::Up, Opinion::Unknown], "one is enough");
    }

    #[tokio::test(start_paused = true)]
    async fn beats_that_go_on_keep_it_up() {
        let mut probe = Probe::start(Beats::default(), "198.51.100.0/24");
        for _ in 0..10 {
            probe.beats.hear(&awaited(2), Agent::Up);
            assert_eq!(probe.holds_after(WITHIN - SOON * 2).await, [Opinion::Unknown, Opinion::Up]);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_restart_silence_counts_from_the_start_and_nothing_is_said_until_then() {
        let mut probe = Probe::start(Beats::remembering(vec![awaited(1)]), "198.51.100.0/24");
        assert_eq!(probe.holds_after(WITHIN - SOON * 2).await, [Opinion::Unknown; 2]);
        assert_eq!(probe.holds_after(SOON * 3).await, [Opinion::Down, Opinion::Unknown]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_monitor_that_changes_neither_revives_nor_buries_anybody() {
        let mut probe = Probe::start(Beats::default(), "198.51.100.0/24");
        probe.beats.hear(&awaited(1), Agent::Up);
        assert_eq!(probe.holds_after(WITHIN + SOON).await, [Opinion::Down, Opinion::Unknown]);
        probe.beats.hear(&awaited(2), Agent::Up);
        assert_eq!(probe.holds_after(SOON).await, [Opinion::Down, Opinion::Up]);
        let shorter = [1, 2].map(|last| assignment(last, WITHIN - SOON));
        probe.assignments.send_replace(Arc::from(shorter));
        assert_eq!(probe.holds_after(SOON).await, [Opinion::Down, Opinion::Up]);
        assert_eq!(probe.holds_after(WITHIN).await, [Opinion::Down; 2]);
    }

    #[tokio::test(start_paused = true)]
    async fn whom_the_probe_must_not_connect_to_may_send_it_beats() {
        let mut probe = Probe::start(Beats::default(), "192.0.2.0/24");
        probe.beats.hear(&awaited(1), Agent::Up);
        assert_eq!(probe.holds_after(SOON).await, [Opinion::Up, Opinion::Unknown]);
    }

    #[tokio::test]
    async fn only_the_first_beat_is_news() {
        let beats = Beats::remembering(vec![awaited(1)]);
        let is_news = async || tokio::time::timeout(Duration::ZERO, beats.news()).await.is_ok();
        beats.hear(&awaited(1), Agent::Up);
        assert!(!is_news().await, "that one was known");
        beats.hear(&awaited(2), Agent::Up);
        assert!(is_news().await);
        beats.hear(&awaited(2), Agent::Drain);
        assert!(!is_news().await);
        assert_eq!(beats.heard(), [awaited(1), awaited(2)]);
    }

    #[tokio::test]
    async fn whoever_is_not_awaited_any_more_is_forgotten() {
        let beats = Beats::remembering(vec![awaited(1), awaited(2)]);
        let mut gone = beats.listen(&awaited(1));
        beats.keep(&HashSet::from([awaited(2)]));
        assert_eq!(beats.heard(), [awaited(2)]);
        assert!(gone.changed().await.is_err());
        beats.news().await;
        assert!(beats.listen(&awaited(1)).borrow().is_none(), "it begins anew");
    }
}
