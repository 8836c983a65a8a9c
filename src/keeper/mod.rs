//! The keeper: the one writer of the health map. Event + time -> facts, and the next snapshot.
//!
//! ```text
//!   Report --.
//!   Plan   --+--> Keeper::apply(event, now) --> Step { facts to print, snapshot to publish }
//!   Control--'         |
//!   Tick               `-- state(): what a restart starts from
//! ```
//!
//! Reports and controls are kept as they came, by name; the map is worked out anew from all of them each
//! time, so work is constant, no update can be missed, and the same reports give the same map in any order.
//! A snapshot is due at once when a verdict turns Down, a plan changes or an operator speaks; else at most
//! one a second, and only if something changed.

mod cases;
mod facts;
mod flaps;
mod holds;
mod latency;
mod probes;
mod ramps;
mod slots;
mod state;
mod verdicts;
mod words;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub use cases::{Case, SavedCase};
pub use facts::{Fact, describe};
pub use latency::SavedOrder;
pub use slots::SavedSlot;
pub use state::{SavedFlaps, SavedVerdict, State};

use crate::health::{Control, HealthMap, Report, Verdict};
use crate::model::{Moment, RegionId};
use crate::plan::Plan;
use crate::snapshot::Snapshot;
use crate::steering::{judge_pools, order_by_latency, prepare};
use facts::{flapping, turned};
use flaps::Flaps;
use holds::Holds;
use probes::{Names, Probes};
use ramps::Ramps;
use state::{restore_verdicts, save_verdicts};
use verdicts::{carry, date, of_checks, overlay};

/// Something the keeper hears.
#[derive(Clone, Debug)]
pub enum Event {
    /// Another plan. What is known of endpoints that keep their name and targets is kept.
    Plan(Arc<Plan>),
    /// A probe says what it holds.
    Report(Report),
    /// An operator speaks of an endpoint; `None`: leaves it to its checks again.
    Control {
        /// By name.
        endpoint: String,
        /// What.
        control: Option<Control>,
    },
    /// An operator lets the recovered members of a pool be used again.
    Failback {
        /// By name.
        pool: String,
    },
    /// Time passes: at least once a second.
    Tick,
}

/// What came of an event.
#[derive(Debug, Default)]
pub struct Step {
    /// For the log and for people.
    pub facts: Vec<Fact>,
    /// To be published, if one is due.
    pub snapshot: Option<Snapshot>,
}

/// What is held of one probe, for status pages.
#[derive(Clone, Debug, PartialEq)]
pub struct ProbeStatus {
    /// Its name.
    pub name: Arc<str>,
    /// Where its votes count.
    pub region: RegionId,
    /// The number of its newest report.
    pub number: u64,
    /// How long ago that was heard.
    pub age: Duration,
    /// Whether its votes count.
    pub fresh: bool,
}

/// A change of verdict or of an operator's mind is fresh, and the TTL short, for this long.
pub const FRESH: Duration = Duration::from_secs(60);

/// Snapshots that are not urgent are this far apart.
pub const PACE: Duration = Duration::from_secs(1);

/// A report is fresh for so many of its probe's intervals.
pub const FRESH_INTERVALS: u32 = 3;

/// The one writer of the health map.
#[derive(Debug)]
pub struct Keeper {
    plan: Arc<Plan>,
    names: Names,
    probes: Probes,
    /// What operators fixed, by endpoint: also of endpoints that the plan lacks just now.
    controls: BTreeMap<String, Control>,
    /// When an operator last spoke of an endpoint, while that is fresh.
    spoken: BTreeMap<String, Moment>,
    holds: Holds,
    flaps: Flaps,
    ramps: Ramps,
    /// What the checks say, without controls: what stands when nobody votes.
    seen: HealthMap,
    /// The truth: what the checks say, under what operators fixed.
    map: HealthMap,
    /// Starts from the clock, in milliseconds: a state that was not saved in time cannot take it back.
    generation: u64,
    published: Moment,
    /// The map is not what was published last.
    pending: bool,
}

impl Keeper {
    /// Starts from a plan, and from what was saved before, if anything was.
    pub fn new(plan: Arc<Plan>, state: Option<State>, now: Moment) -> Self {
        let state = state.unwrap_or_default();
        let inventory = &plan.inventory;
        let names = Names::of(inventory);
        let seen = restore_verdicts(&state.verdicts, inventory, &names, now);
        let controls = state.controls.into_iter().collect();
        let flaps = Flaps::restore(&state.flaps, inventory, &names, now);
        let mut map = seen.clone();
        flaps.write(&mut map);
        words::obey(&mut map, inventory);
        overlay(&mut map, &controls, &names, inventory);
        judge_pools(inventory, &mut map);
        latency::restore(&mut map, &state.orders, inventory, &names);
        let mut keeper = Self {
            holds: Holds::restore(&state.holds, inventory, &names, now),
            flaps,
            ramps: Ramps::restore(&state.ramps, inventory, &names, now),
            probes: Probes::default(),
            spoken: BTreeMap::new(),
            generation: state.generation.saturating_add(1).max(now.0),
            published: now,
            pending: false,
            plan,
            names,
            controls,
            seen,
            map,
        };
        keeper.work_out(false, now);
        keeper.pending = false;
        keeper
    }

    /// The snapshot to start with.
    pub fn first(&self) -> Snapshot {
        self.snapshot()
    }

    /// Takes an event in.
    pub fn apply(&mut self, event: Event, now: Moment) -> Step {
        let of_endpoint = matches!(event, Event::Control { .. });
        let (mut facts, spoke) = self.hear(event, now);
        facts.extend(self.work_out(of_endpoint, now));
        let turned_down = |fact: &Fact| matches!(fact, Fact::Turned { to: Verdict::Down, .. });
        let urgent = spoke || facts.iter().any(turned_down);
        let due = urgent || (self.pending && now.since(self.published) >= PACE);
        Step { facts, snapshot: due.then(|| self.publish(now)) }
    }

    /// The plan that is run.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// The health map as of the last event; a snapshot of it may be due later.
    pub fn health(&self) -> &HealthMap {
        &self.map
    }

    /// What is held of each probe, in the order of their names.
    pub fn probes(&self, now: Moment) -> Vec<ProbeStatus> {
        self.probes.status(now)
    }

    /// What a restart should start from.
    pub fn state(&self, now: Moment) -> State {
        State {
            generation: self.generation,
            saved: now,
            verdicts: save_verdicts(&self.seen, &self.plan.inventory),
            controls: self.controls.iter().map(|(name, control)| (name.clone(), *control)).collect(),
            holds: self.holds.save(&self.plan.inventory),
            flaps: self.flaps.save(&self.plan.inventory),
            ramps: self.ramps.save(&self.plan.inventory),
            orders: latency::save(&self.map, &self.plan.inventory),
        }
    }

    /// Notes an event; says what is worth telling, and whether somebody spoke who wants to see it done.
    fn hear(&mut self, event: Event, now: Moment) -> (Vec<Fact>, bool) {
        match event {
            Event::Tick => (Vec::new(), false),
            Event::Report(report) => match self.probes.hear(report, &self.names, now) {
                Ok(()) => (Vec::new(), false),
                Err(dropped) => (vec![dropped], false),
            },
            Event::Plan(plan) => {
                self.follow(plan, now);
                (Vec::new(), true)
            }
            Event::Control { endpoint, control } => self.control(endpoint, control, now),
            Event::Failback { pool } => match self.names.pool(&pool) {
                Some(id) => {
                    self.holds.fail_back(id);
                    (vec![Fact::FailedBack { pool: id }], true)
                }
                None => (vec![Fact::NoSuch { name: pool }], false),
            },
        }
    }

    fn control(&mut self, name: String, control: Option<Control>, now: Moment) -> (Vec<Fact>, bool) {
        let endpoint = self.names.endpoint(&name);
        if control.is_none() {
            self.controls.remove(&name);
        }
        let Some(endpoint) = endpoint else { return (vec![Fact::NoSuch { name }], false) };
        if let Some(control) = control {
            self.controls.insert(name.clone(), control);
        }
        self.spoken.insert(name, now);
        (vec![Fact::Controlled { endpoint, control }], true)
    }

    /// Goes on with another plan, with what is known of what survives.
    fn follow(&mut self, plan: Arc<Plan>, now: Moment) {
        let old = &self.plan.inventory;
        let inventory = &plan.inventory;
        let names = Names::of(inventory);
        self.seen = carry(&self.seen, (old, &self.names), inventory);
        let orders = latency::save(&self.map, old);
        self.map = carry(&self.map, (old, &self.names), inventory);
        judge_pools(inventory, &mut self.map);
        latency::restore(&mut self.map, &orders, inventory, &names);
        self.holds = Holds::restore(&self.holds.save(old), inventory, &names, now);
        self.flaps = Flaps::restore(&self.flaps.save(old), inventory, &names, now);
        self.ramps = Ramps::restore(&self.ramps.save(old), inventory, &names, now);
        self.probes.follow(&names);
        self.names = names;
        self.plan = plan;
    }

    /// Works the map out anew from everything that is known, which may be that an operator `spoke` of an
    /// endpoint just now; says what turned.
    fn work_out(&mut self, spoke: bool, now: Moment) -> Vec<Fact> {
        self.spoken.retain(|_, at| now.since(*at) < FRESH);
        let mut facts = self.probes.find_silent(now);
        let inventory = &self.plan.inventory;
        let votes = self.probes.votes(now);
        let mut seen = of_checks(inventory, &votes, &self.seen, now);
        words::write(&mut seen, inventory, &votes, &self.seen);
        latency::write(&mut seen, inventory, &votes, &self.seen);
        let flaps = self.flaps.follow((&self.seen, &seen), inventory, now);
        facts.extend(flapping(&flaps, inventory));
        self.seen = seen;
        let mut map = self.seen.clone();
        self.flaps.write(&mut map);
        words::obey(&mut map, inventory);
        overlay(&mut map, &self.controls, &self.names, inventory);
        date(&mut map, &self.map, &self.spoken, inventory, now);
        judge_pools(inventory, &mut map);
        order_by_latency(inventory, &self.map, &mut map);
        let released = self.holds.follow((&self.map, &map), spoke, inventory, now);
        self.holds.write(&mut map);
        self.ramps.follow(&self.map, &mut map, inventory, now);
        facts.extend(turned(inventory, &self.map, &map));
        facts.extend(released.into_iter().map(|pool| Fact::FailedBack { pool }));
        self.pending |= map != self.map;
        self.map = map;
        facts
    }

    fn publish(&mut self, now: Moment) -> Snapshot {
        self.generation = self.generation.saturating_add(1);
        self.published = now;
        self.pending = false;
        self.snapshot()
    }

    fn snapshot(&self) -> Snapshot {
        let mut health = self.map.clone();
        prepare(&self.plan.inventory, &mut health);
        Snapshot { generation: self.generation, plan: Arc::clone(&self.plan), health }
    }
}

#[cfg(test)]
mod tests;
