//! The keeper: the one writer of the health map. Event + time -> facts, and the next snapshot.
//!
//! ```text
//!   Report --.
//!   Plan   --+--> Keeper::apply(event, now) --> Step { facts to print, snapshot to publish }
//!   Control--'         |
//!   Tick               `-- state(): what a restart starts from
//! ```
//!
//! What reports say and what operators fixed is kept, and once a second the whole map is worked out anew from
//! all of it: so no update can be missed, and the same reports give the same map in any order. What cannot wait
//! for that is done at once, and costs no more than it must:
//!
//! | a report | costs |
//! |---|---|
//! | that says what the last one said | comparing them |
//! | in which opinions turned | asking whether a verdict turns with them; only if one does, the map; in a large map all of those that turn together ([`Keeper::due`]) |
//! | that lets somebody be isolated, or count again | the whole map |
//! | that does not count ([`Reason`]) | nothing: it is counted |
//!
//! What else is in a report (how a check ended, how long it took, that an opinion is not settled) is in the map
//! within a second (in a large one within a second and a half). A snapshot is due at once when a verdict turns
//! Down, a plan changes or an operator speaks; else at most one a second, and only if something changed.

mod cases;
mod facts;
mod flaps;
mod governor;
mod holds;
mod isolation;
mod latency;
mod line;
mod names;
mod probes;
mod ramps;
mod slots;
mod state;
mod trust;
mod verdicts;
mod words;

use std::collections::BTreeMap;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

pub use cases::{Case, SavedCase};
pub use facts::{Fact, describe};
pub use latency::SavedOrder;
pub use slots::SavedSlot;
pub use state::{SavedFlaps, SavedVerdict, State};
pub use trust::{Dropped, FRESH_INTERVALS, FRESH_MIN, Reason, Refused, SKEW_MAX};

use crate::health::{Control, HealthMap, Report, Verdict};
use crate::model::{Moment, RegionId, TargetId};
use crate::plan::Plan;
use crate::primary::Editions;
use crate::snapshot::Snapshot;
use crate::steering::{judge_pools, order_by_latency, prepare};
use facts::{alarms, flapping, turned};
use flaps::Flaps;
use governor::Withdrawals;
use holds::Holds;
use line::Line;
use names::Names;
use probes::Probes;
use ramps::Ramps;
use state::{restore_verdicts, save_verdicts};
use verdicts::{carry, date, of_checks, of_turned, overlay};

/// Something the keeper hears.
#[derive(Clone, Debug)]
pub enum Event {
    /// Another plan. What is known of endpoints that keep their name and targets is kept.
    Plan(Arc<Plan>),
    /// Other editions of the plan's zones, for those who take them.
    Editions(Arc<Editions>),
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
    /// How it is with the line to the fleet: while nothing comes over it, that others are silent says nothing.
    Line {
        /// `None`: it carries.
        silent_since: Option<Moment>,
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
    /// The number of its newest report that was taken.
    pub number: u64,
    /// The version of the fleet's zones that it checks by, if it goes by one.
    pub zones: Option<u64>,
    /// How long ago that was heard; `None`: all that came was refused.
    pub age: Option<Duration>,
    /// Whether it was heard lately. Only then, and if it is not isolated, do its votes count.
    pub fresh: bool,
    /// It sees another world than the rest.
    pub isolation: Option<Isolation>,
    /// What came under its name in the last minute and was refused, by reason.
    pub refused: Vec<Refused>,
}

/// A probe disagrees with the rest of the fleet about more than half of what it checks: its votes do not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Isolation {
    /// Of so many targets it says the opposite of what most others say,
    pub disagrees: u32,
    /// out of so many of which they have an opinion too.
    pub of: u32,
    /// Since when.
    pub since: Moment,
}

/// A change of verdict or of an operator's mind is fresh, and the TTL short, for this long.
pub const FRESH: Duration = Duration::from_secs(60);

/// Snapshots that are not urgent are this far apart.
pub const PACE: Duration = Duration::from_secs(1);

/// A map is not concluded from opinions that turned more often than once in so much time for each endpoint and region:
/// about forty times what it costs.
const PATIENCE_FOR_STANDING: Duration = Duration::from_micros(4);
/// What is less than this is not worth waiting for,
const PATIENCE_MIN: Duration = Duration::from_millis(10);
/// and nobody waits longer than this.
const PATIENCE_MAX: Duration = Duration::from_millis(250);

/// The one writer of the health map.
#[derive(Debug)]
pub struct Keeper {
    plan: Arc<Plan>,
    editions: Arc<Editions>,
    names: Names,
    probes: Probes,
    /// What operators fixed, by endpoint: also of endpoints that the plan lacks just now.
    controls: BTreeMap<String, Control>,
    /// When an operator last spoke of an endpoint, while that is fresh.
    spoken: BTreeMap<String, Moment>,
    holds: Holds,
    line: Line,
    flaps: Flaps,
    ramps: Ramps,
    withdrawals: Withdrawals,
    /// What the checks say, without controls: what stands when nobody votes.
    seen: HealthMap,
    /// The truth: what the checks say, under what operators fixed.
    map: HealthMap,
    /// Starts from the clock, in milliseconds: a state that was not saved in time cannot take it back.
    generation: u64,
    published: Moment,
    /// When the whole map was worked out last.
    worked_out: Moment,
    /// When the map was concluded last.
    concluded: Moment,
    /// Probes changed their opinion of these targets, and what follows from that was not worked out yet.
    waiting: Vec<TargetId>,
    /// The map is not what was published last.
    pending: bool,
    /// How often what a restart starts from changed.
    changes: u64,
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
        let withdrawals = Withdrawals::restore(&state.governed, inventory, &names);
        withdrawals.write(&seen, &mut map);
        judge_pools(inventory, &mut map);
        latency::restore(&mut map, &state.orders, inventory, &names);
        let mut keeper = Self {
            holds: Holds::restore(&state.holds, inventory, &names, now),
            flaps,
            ramps: Ramps::restore(&state.ramps, inventory, &names, now),
            withdrawals,
            probes: Probes::default(),
            line: Line::default(),
            spoken: BTreeMap::new(),
            generation: state.generation.saturating_add(1).max(now.0),
            published: now,
            worked_out: now,
            concluded: now,
            waiting: Vec::new(),
            pending: false,
            changes: 0,
            editions: Arc::default(),
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
        let Heard { mut facts, change, spoke } = self.hear(event, now);
        facts.extend(match change {
            Change::Nothing => Vec::new(),
            Change::Opinions(turned) => self.turn(turned, now),
            Change::Anything => self.work_out(of_endpoint, now),
        });
        self.changes += u64::from(spoke || !facts.is_empty());
        let turned_down = |fact: &Fact| matches!(fact, Fact::Turned { to: Verdict::Down, .. });
        let urgent = spoke || facts.iter().any(turned_down);
        let due = urgent || (self.pending && now.since(self.published) >= PACE);
        Step { facts, snapshot: due.then(|| self.publish(now)) }
    }

    /// When it wants to hear a [`Event::Tick`], if it cannot wait for the one of the next second: opinions turned, and
    /// wait for others to turn with them.
    pub fn due(&self) -> Option<Moment> {
        (!self.waiting.is_empty()).then(|| self.concluded.plus(self.patience()))
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

    /// The reports that did not count.
    pub fn dropped(&self) -> Dropped {
        self.probes.dropped()
    }

    /// A number that is another one as soon as a restart should start from something else. Round-trip times, which
    /// change all the time, do not count.
    pub fn changes(&self) -> u64 {
        self.changes
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
            governed: self.withdrawals.save(&self.plan.inventory),
            orders: latency::save(&self.map, &self.plan.inventory),
        }
    }

    /// Notes an event.
    fn hear(&mut self, event: Event, now: Moment) -> Heard {
        match event {
            Event::Tick if self.is_large() && now.since(self.worked_out) < PACE / 2 => {
                Heard { facts: Vec::new(), change: Change::Opinions(Vec::new()), spoke: false }
            }
            Event::Tick => Heard::anything(Vec::new(), false),
            Event::Report(report) => self.report(report, now),
            Event::Line { silent_since } => {
                self.line.note(silent_since, now);
                Heard { facts: Vec::new(), change: Change::Nothing, spoke: false }
            }
            Event::Plan(plan) => {
                self.follow(plan, now);
                Heard::anything(Vec::new(), true)
            }
            Event::Editions(editions) => {
                self.editions = editions;
                Heard { facts: Vec::new(), change: Change::Nothing, spoke: true }
            }
            Event::Control { endpoint, control } => self.control(endpoint, control, now),
            Event::Failback { pool } => match self.names.pool(&pool) {
                Some(id) => {
                    self.holds.fail_back(id);
                    Heard::anything(vec![Fact::FailedBack { pool: id }], true)
                }
                None => Heard::anything(vec![Fact::NoSuch { name: pool }], false),
            },
        }
    }

    fn report(&mut self, report: Report, now: Moment) -> Heard {
        let (turned, told) = match self.probes.hear(report, &self.names, now) {
            Ok(turned) => (turned, None),
            Err(told) => (Vec::new(), told),
        };
        let change = if now.since(self.worked_out) >= PACE || self.probes.lost(now) {
            Change::Anything
        } else if turned.is_empty() {
            Change::Nothing
        } else if self.probes.reconsider(turned.len(), &self.names, now) {
            Change::Anything
        } else {
            Change::Opinions(turned)
        };
        Heard { facts: told.into_iter().collect(), change, spoke: false }
    }

    fn control(&mut self, name: String, control: Option<Control>, now: Moment) -> Heard {
        let endpoint = self.names.endpoint(&name);
        if control.is_none() {
            self.controls.remove(&name);
        }
        let Some(endpoint) = endpoint else { return Heard::anything(vec![Fact::NoSuch { name }], false) };
        if let Some(control) = control {
            self.controls.insert(name.clone(), control);
        }
        self.spoken.insert(name, now);
        Heard::anything(vec![Fact::Controlled { endpoint, control }], true)
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
        self.withdrawals = Withdrawals::restore(&self.withdrawals.save(old), inventory, &names);
        self.probes.follow(&names);
        self.names = names;
        self.plan = plan;
    }

    /// Works the map out anew from everything that is known, which may be that an operator `spoke` of an
    /// endpoint just now; says what turned.
    fn work_out(&mut self, spoke: bool, now: Moment) -> Vec<Fact> {
        self.worked_out = now;
        self.waiting.clear();
        self.spoken.retain(|_, at| now.since(*at) < FRESH);
        self.probes.isolate(&self.names, now);
        let mut facts = self.probes.news(now);
        let (inventory, voters) = (&self.plan.inventory, self.probes.voters(now));
        let mut seen = of_checks(inventory, &voters, (&self.seen, self.line), now);
        latency::write(&mut seen, inventory, &voters, &self.seen);
        facts.extend(self.conclude(seen, spoke, now));
        facts
    }

    /// Works out what follows from probes that changed their opinion of these targets, and of those that wait.
    fn turn(&mut self, turned: Vec<TargetId>, now: Moment) -> Vec<Fact> {
        self.waiting.extend(turned);
        if self.due().is_none_or(|due| now < due) {
            return Vec::new();
        }
        if self.is_large() && now.since(self.worked_out) >= PACE / 2 {
            // All of it would have to be worked out soon anyway: both at once.
            return self.work_out(false, now);
        }
        let turned = mem::take(&mut self.waiting);
        let names = (&self.plan.inventory, &self.names);
        let seen = of_turned(&turned, names, &self.probes.voters(now), (&self.seen, self.line), now);
        seen.map_or_else(Vec::new, |seen| self.conclude(seen, false, now))
    }

    /// The map is so large that its endpoints turning one after the other could keep this machine busy with nothing else.
    fn is_large(&self) -> bool {
        !self.patience().is_zero()
    }

    /// What turns waits so long after the last that did: no time, unless the map is large.
    fn patience(&self) -> Duration {
        let standings = self.plan.inventory.endpoints.len() * self.plan.inventory.regions.len();
        let patience = PATIENCE_FOR_STANDING * u32::try_from(standings).unwrap_or(u32::MAX);
        if patience < PATIENCE_MIN { Duration::ZERO } else { patience.min(PATIENCE_MAX) }
    }

    /// Goes on from what the checks say to the map.
    fn conclude(&mut self, seen: HealthMap, spoke: bool, now: Moment) -> Vec<Fact> {
        let inventory = &self.plan.inventory;
        let flaps = self.flaps.follow((&self.seen, &seen), inventory, now);
        self.concluded = now;
        self.changes += u64::from(!self.seen.says_the_same(&seen));
        self.seen = seen;
        let mut map = self.seen.clone();
        self.flaps.write(&mut map);
        words::obey(&mut map, inventory);
        overlay(&mut map, &self.controls, &self.names, inventory);
        let governed = self.withdrawals.govern(&self.map, &mut map, inventory, now);
        date(&mut map, &self.map, &self.spoken, inventory, now);
        judge_pools(inventory, &mut map);
        order_by_latency(inventory, &self.map, &mut map);
        let released = self.holds.follow((&self.map, &map), spoke, inventory, now);
        self.holds.write(&mut map);
        self.ramps.follow(&self.map, &mut map, inventory, now);
        let mut facts = flapping(&flaps, inventory);
        facts.extend(alarms(&governed, inventory));
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
        let editions = Arc::clone(&self.editions);
        Snapshot { generation: self.generation, plan: Arc::clone(&self.plan), health, editions }
    }
}

/// What was made of an event.
struct Heard {
    facts: Vec<Fact>,
    change: Change,
    /// By somebody who wants to see it done.
    spoke: bool,
}

/// What an event can change.
enum Change {
    Nothing,
    /// What follows from a probe's opinion of these targets.
    Opinions(Vec<TargetId>),
    Anything,
}

impl Heard {
    fn anything(facts: Vec<Fact>, spoke: bool) -> Self {
        Self { facts, change: Change::Anything, spoke }
    }
}

#[cfg(test)]
mod tests;
