//! A server: the real keeper and the real cell, a clock of its own, and a note of everything that was brought to it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use windrose::health::{HealthMap, Report};
use windrose::keeper::{Event, Fact, Keeper, ProbeStatus, State, Step};
use windrose::model::Moment;
use windrose::plan::Plan;
use windrose::snapshot::{Snapshot, SnapshotCell};

use crate::broken::Rules;
use crate::clock::Clock;
use crate::invariants::Violation;
use crate::world::Version;

pub struct Server {
    pub name: String,
    pub clock: Clock,
    pub alive: bool,
    /// What was meant for a life before this one is too late.
    pub life: u32,
    pub version: Version,
    pub keeper: Keeper,
    pub cell: SnapshotCell,
    /// What was brought to this process, by probe and number, with when by its clock.
    brought: BTreeMap<Arc<str>, BTreeMap<u64, Brought>>,
    /// The probes that counted when the map was worked out last, with the numbers of their reports.
    pub held: Vec<(Arc<str>, u64)>,
    /// Of those, the ones whose votes do not count.
    pub isolated: Vec<Arc<str>>,
    pub line: Line,
    /// When the last snapshot was published, by its clock.
    published: Moment,
    /// The newest generation that any process of it has published.
    generation: u64,
    /// The latest moment that any process of it, but this one, has seen.
    latest: Moment,
    /// The state file.
    disk: Option<String>,
}

/// What a process knows of its line to the fleet, by its clock.
#[derive(Debug)]
pub struct Line {
    /// The probe on the same machine.
    pub own_probe: Option<usize>,
    /// When something came over it last.
    carried: Moment,
    deaf: Option<Deaf>,
}

/// Nothing came, or who was heard may not have been all.
#[derive(Clone, Copy, Debug)]
struct Deaf {
    since: Moment,
    /// `None`: nothing comes yet.
    until: Option<Moment>,
}

impl Deaf {
    fn at(&self, now: Moment) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

pub struct Brought {
    pub report: Report,
    pub at: Moment,
}

/// What came of an event.
pub struct Applied {
    pub before: Before,
    pub facts: Vec<Fact>,
    pub published: bool,
}

/// What a server held before an event.
pub struct Before {
    pub plan: Arc<Plan>,
    pub health: HealthMap,
}

/// What a new process finds of the state of the one before it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Disk {
    /// It was saved when the process ended.
    Current,
    /// The process ended without saving: what was saved last.
    Old,
    Lost,
}

impl Server {
    pub fn new(name: String, version: Version, clock: Clock, own_probe: Option<usize>, now: u64) -> Self {
        let moment = clock.moment(now);
        let keeper = Keeper::new(Arc::clone(&version.plan), None, moment);
        let first = keeper.first();
        Self {
            name,
            clock,
            alive: true,
            life: 0,
            version,
            generation: first.generation,
            cell: SnapshotCell::new(first),
            keeper,
            brought: BTreeMap::new(),
            held: Vec::new(),
            isolated: Vec::new(),
            line: Line { own_probe, carried: moment, deaf: None },
            published: moment,
            latest: moment,
            disk: None,
        }
    }

    pub fn moment(&self, now: u64) -> Moment {
        self.clock.moment(now)
    }

    /// Takes an event in and publishes what is due.
    pub fn apply(&mut self, event: Event, now: u64, rules: &dyn Rules) -> Result<Applied, Violation> {
        let moment = self.moment(now);
        let before = Before { plan: Arc::clone(self.keeper.plan()), health: self.keeper.health().clone() };
        let Step { facts, snapshot } = rules.apply(&mut self.keeper, event, moment);
        let fresh: Vec<ProbeStatus> =
            self.keeper.probes(moment).into_iter().filter(|probe| probe.fresh).collect();
        self.held = fresh.iter().map(|probe| (Arc::clone(&probe.name), probe.number)).collect();
        let isolated = fresh.into_iter().filter(|probe| probe.isolation.is_some());
        self.isolated = isolated.map(|probe| probe.name).collect();
        let published = snapshot.is_some();
        if let Some(snapshot) = snapshot {
            self.publish(rules.publish(snapshot), moment)?;
        }
        Ok(Applied { before, facts, published })
    }

    /// Something came over the line.
    pub fn carried(&mut self, now: u64) {
        self.line.carried = self.moment(now);
    }

    /// Looks how it is with the line, as once a second.
    pub fn look_at_line(&mut self, now: u64) -> Event {
        let now = self.moment(now);
        let Line { carried, deaf, .. } = &mut self.line;
        let silent_since = (now.since(*carried) > SILENT_AFTER).then_some(*carried);
        let before = deaf.filter(|deaf| deaf.at(now));
        let since = before.map(|deaf| deaf.since).or(silent_since);
        let until = match silent_since {
            Some(_) => None,
            None => before.and_then(|deaf| deaf.until).or(Some(now.plus(HEARD_WITHIN))),
        };
        *deaf = since.map(|since| Deaf { since, until });
        Event::Line { silent_since }
    }

    /// Since when whoever is silent may well be talking.
    pub fn deaf_since(&self, now: u64) -> Option<Moment> {
        self.line.deaf.filter(|deaf| deaf.at(self.moment(now))).map(|deaf| deaf.since)
    }

    /// Takes what the network brings, sent at a moment of this process.
    pub fn note(&mut self, report: &Report, now: u64) -> Report {
        let at = self.moment(now);
        let report = Report { sent: self.clock.of_wall(report.sent), ..report.clone() };
        let of_probe = self.brought.entry(Arc::clone(&report.probe)).or_default();
        let brought = of_probe.entry(report.number).or_insert_with(|| Brought { report: report.clone(), at });
        brought.at = at;
        report
    }

    /// A report that was brought to this process.
    pub fn brought(&self, probe: &str, number: u64) -> Option<&Brought> {
        self.brought.get(probe)?.get(&number)
    }

    /// All that was brought so lately that it may count.
    pub fn lately(&self, now: u64) -> impl Iterator<Item = &Report> {
        let now = self.moment(now);
        let fresh = move |brought: &&Brought| {
            now.since(brought.at)
                <= FRESH_INTERVALS * Duration::from_millis(brought.report.interval_ms.into())
        };
        self.brought.values().flat_map(BTreeMap::values).filter(fresh).map(|brought| &brought.report)
    }

    pub fn save(&mut self, now: u64) {
        let state = self.keeper.state(self.moment(now));
        self.disk = Some(serde_json::to_string(&state).expect("a state is text"));
    }

    pub fn stop(&mut self, disk: Disk, now: u64) {
        match disk {
            Disk::Current => self.save(now),
            Disk::Old => {}
            Disk::Lost => self.disk = None,
        }
        self.alive = false;
        self.life += 1;
    }

    /// A new process starts from what it finds. `version` is the plan it loads.
    pub fn start(&mut self, version: Version, now: u64) -> Result<(), Violation> {
        self.latest = self.latest.max(self.moment(now));
        self.clock.start();
        let moment = self.moment(now);
        let state: Option<State> =
            self.disk.as_ref().map(|text| serde_json::from_str(text).expect("it reads what it wrote"));
        let saved = state.as_ref().map(|state| state.generation);
        self.keeper = Keeper::new(Arc::clone(&version.plan), state, moment);
        let first = self.keeper.first();
        // Where the clock was never ahead, a generation goes on without a state too.
        let before = if moment < self.latest { saved.unwrap_or(0) } else { self.generation };
        if first.generation <= before {
            return Err(Violation::new(
                "a generation only grows",
                format!("{}: a restart made {} after {before}", self.name, first.generation),
            ));
        }
        self.generation = first.generation;
        self.cell = SnapshotCell::new(first);
        (self.version, self.alive, self.published) = (version, true, moment);
        self.life += 1;
        self.brought.clear();
        self.line = Line { carried: moment, deaf: None, ..self.line };
        self.held.clear();
        self.isolated.clear();
        Ok(())
    }

    /// How long ago the last snapshot was published.
    pub fn unpublished_for(&self, now: u64) -> Duration {
        self.moment(now).since(self.published)
    }

    fn publish(&mut self, snapshot: Snapshot, moment: Moment) -> Result<(), Violation> {
        self.published = moment;
        self.generation = self.generation.max(snapshot.generation);
        let published = self.cell.publish(snapshot);
        published
            .map(|_| ())
            .map_err(|older| Violation::new("a generation only grows", format!("{}: {older:?}", self.name)))
    }
}

/// A report counts for so many of its probe's intervals.
const FRESH_INTERVALS: u32 = 3;

/// A line over which nothing came for so long is cut; whoever talks is heard so long after it carries again.
const SILENT_AFTER: Duration = Duration::from_millis(1_500);
const HEARD_WITHIN: Duration = Duration::from_secs(6);
