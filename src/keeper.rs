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

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::health::{Control, Evidence, HealthMap, Report, Verdict};
use crate::model::{EndpointId, Family, Moment, PoolId, RegionId};
use crate::plan::Plan;
use crate::snapshot::Snapshot;

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

/// Something worth telling. `Display` in [`crate::keeper::describe`] words it.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    /// A verdict turned.
    Turned {
        /// Of this endpoint,
        endpoint: EndpointId,
        /// for these regions,
        regions: Vec<RegionId>,
        /// and this family; `None`: every family that it serves.
        family: Option<Family>,
        /// What it was.
        from: Verdict,
        /// What it is.
        to: Verdict,
        /// Why.
        evidence: Evidence,
        /// What an operator fixed, if that is why.
        control: Option<Control>,
    },
    /// The votes of a probe are stale.
    ProbeSilent {
        /// Which.
        probe: Arc<str>,
    },
    /// A report was dropped: older than what is held, or the same.
    ReportDropped {
        /// Whose.
        probe: Arc<str>,
        /// Its number.
        number: u64,
        /// What is held.
        held: u64,
    },
    /// A control names an endpoint or pool that the plan lacks.
    NoSuch {
        /// The name.
        name: String,
    },
    /// An operator's control is in force.
    Controlled {
        /// Of this endpoint.
        endpoint: EndpointId,
        /// What, or nothing any more.
        control: Option<Control>,
    },
    /// Recovered members of a pool are used again.
    FailedBack {
        /// Which.
        pool: PoolId,
    },
}

/// What a restart starts from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// The generation that was current.
    pub generation: u64,
    /// When it was saved.
    pub saved: Moment,
    /// Every verdict that is not Unknown and rests on checks.
    pub verdicts: Vec<SavedVerdict>,
    /// What operators fixed, by endpoint.
    pub controls: Vec<(String, Control)>,
    /// What is held back.
    pub holds: Vec<SavedHold>,
}

/// One verdict, by names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SavedVerdict {
    /// The endpoint.
    pub endpoint: String,
    /// The region.
    pub region: String,
    /// True: IPv6.
    pub v6: bool,
    /// The address that was checked: an endpoint that moved starts unknown.
    pub address: IpAddr,
    /// The verdict.
    pub verdict: Verdict,
    /// Since when.
    pub since: Option<Moment>,
}

/// One recovered member that waits, by names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SavedHold {
    /// The pool.
    pub pool: String,
    /// The member, by what it picks.
    pub member: String,
    /// The region.
    pub region: String,
    /// True: IPv6.
    pub v6: bool,
    /// Since when it is up.
    pub since: Moment,
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
pub struct Keeper {}

impl Keeper {
    /// Starts from a plan, and from what was saved before, if anything was.
    pub fn new(plan: Arc<Plan>, state: Option<State>, now: Moment) -> Self {
        let _ = (plan, state, now);
        todo!()
    }

    /// The snapshot to start with.
    pub fn first(&self) -> Snapshot {
        todo!()
    }

    /// Takes an event in.
    pub fn apply(&mut self, event: Event, now: Moment) -> Step {
        let _ = (event, now);
        todo!()
    }

    /// The plan that is run.
    pub fn plan(&self) -> &Arc<Plan> {
        todo!()
    }

    /// The health map as of the last event; a snapshot of it may be due later.
    pub fn health(&self) -> &HealthMap {
        todo!()
    }

    /// What is held of each probe, in the order of their names.
    pub fn probes(&self, now: Moment) -> Vec<ProbeStatus> {
        let _ = now;
        todo!()
    }

    /// What a restart should start from.
    pub fn state(&self, now: Moment) -> State {
        let _ = now;
        todo!()
    }
}

/// A fact in words, as in scenarios and logs: `eu: fra Up -> Down (1 of 1 probes)`.
pub fn describe(fact: &Fact, plan: &Plan) -> String {
    let _ = (fact, plan);
    todo!()
}
