//! Servers that break the rules, to see that the simulation notices.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use windrose::health::{Opinion, Report, TargetReport};
use windrose::keeper::{Event, Keeper, Step};
use windrose::model::Moment;
use windrose::snapshot::Snapshot;

/// What stands between the simulation and the core: nothing, but in tests of the simulation itself.
pub trait Rules: Sync {
    fn apply(&self, keeper: &mut Keeper, event: Event, now: Moment) -> Step {
        keeper.apply(event, now)
    }

    fn publish(&self, snapshot: Snapshot) -> Snapshot {
        snapshot
    }

    /// What the servers are made to run instead of what the operator wrote.
    fn edit(&self, steering: String) -> String {
        steering
    }
}

/// The core as it is.
pub struct Honest;

impl Rules for Honest {}

/// A probe that is silent says that everything is down.
pub struct SilenceIsFailure;

impl Rules for SilenceIsFailure {
    fn apply(&self, keeper: &mut Keeper, event: Event, now: Moment) -> Step {
        let silent = keeper.probes(now).into_iter().find(|probe| !probe.fresh);
        match (event, silent) {
            (Event::Tick, Some(silent)) => {
                let inventory = &keeper.plan().inventory;
                let targets = inventory.targets.iter().map(|target| TargetReport {
                    monitor: inventory.monitors[target.monitor.index()].name.as_ref().into(),
                    address: target.address,
                    opinion: Opinion::Down,
                    moving: false,
                    last: None,
                    rtt_us: None,
                    age_ms: 0,
                    certificate_end: None,
                    agent: None,
                });
                let report = Report {
                    probe: silent.name,
                    region: inventory.regions[silent.region.index()].name.as_ref().into(),
                    number: silent.number + 1,
                    instance: 0,
                    sent: now,
                    interval_ms: 2_000,
                    zones: None,
                    targets: targets.collect(),
                };
                keeper.apply(Event::Report(report), now)
            }
            (event, _) => keeper.apply(event, now),
        }
    }
}

/// That a server hears nothing is the fault of others.
pub struct LineAlwaysCarries;

impl Rules for LineAlwaysCarries {
    fn apply(&self, keeper: &mut Keeper, event: Event, now: Moment) -> Step {
        match event {
            Event::Line { .. } => keeper.apply(Event::Line { silent_since: None }, now),
            event => keeper.apply(event, now),
        }
    }
}

/// Whatever comes last counts, however old it is.
#[derive(Default)]
pub struct LastComeCounts(AtomicU64);

impl Rules for LastComeCounts {
    fn apply(&self, keeper: &mut Keeper, event: Event, now: Moment) -> Step {
        match event {
            Event::Report(report) => {
                let number = FAR_AHEAD + self.0.fetch_add(1, Ordering::Relaxed);
                keeper.apply(Event::Report(Report { number, ..report }), now)
            }
            event => keeper.apply(event, now),
        }
    }
}

/// Every second snapshot has the number of the one before it.
#[derive(Default)]
pub struct RepeatsGenerations(AtomicU64);

impl Rules for RepeatsGenerations {
    fn publish(&self, mut snapshot: Snapshot) -> Snapshot {
        snapshot.generation -= self.0.fetch_add(1, Ordering::Relaxed) % 2;
        snapshot
    }
}

/// What is published is the health of the first snapshot of a plan, for ever.
#[derive(Default)]
pub struct NeverNews(std::sync::Mutex<Vec<Arc<Snapshot>>>);

impl Rules for NeverNews {
    fn publish(&self, snapshot: Snapshot) -> Snapshot {
        let mut firsts = self.0.lock().expect("nobody panics with it");
        match firsts.iter().find(|first| Arc::ptr_eq(&first.plan, &snapshot.plan)) {
            Some(first) => Snapshot { health: first.health.clone(), ..snapshot },
            None => {
                firsts.push(Arc::new(snapshot.clone()));
                snapshot
            }
        }
    }
}

/// A few words of the steering file are other than the operator believes.
pub struct Misread {
    pub written: &'static str,
    pub read: &'static str,
}

impl Rules for Misread {
    fn edit(&self, steering: String) -> String {
        steering.replace(self.written, self.read)
    }
}

const FAR_AHEAD: u64 = 1 << 50;
