//! What a change of the map means to people.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use crate::health::{Basis, Control, Evidence, HealthMap, Verdict};
use crate::keeper::cases::{Case, told_together};
use crate::keeper::governor::Governed;
use crate::keeper::verdicts::{endpoints, regions};
use crate::keeper::{Isolation, Reason};
use crate::model::{EndpointId, Family, Governor, Inventory, PoolId, RegionId};
use crate::plan::Plan;
use crate::spec::duration;

/// Something worth telling. [`describe`] words it.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    /// A verdict turned.
    Turned {
        /// Of these endpoints, in order: more than one only where so many turned alike that a fact of each would
        /// hide all else that happens.
        endpoints: Vec<EndpointId>,
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
    /// The checks of an endpoint change their mind again and again: it stays down until it is quiet.
    Flaps {
        /// This endpoint,
        endpoint: EndpointId,
        /// for these regions,
        regions: Vec<RegionId>,
        /// and this family; `None`: every family that it serves.
        family: Option<Family>,
    },
    /// The governor keeps automation from taking these out: to be looked at by people.
    HeldBack {
        /// In order.
        endpoints: Vec<EndpointId>,
        /// For these regions,
        regions: Vec<RegionId>,
        /// and this family; `None`: both.
        family: Option<Family>,
    },
    /// The governor holds nobody back any more.
    GovernorRests,
    /// The votes of a probe are stale.
    ProbeSilent {
        /// Which.
        probe: Arc<str>,
    },
    /// Reports of a probe do not count.
    ReportDropped {
        /// Whose.
        probe: Arc<str>,
        /// Why.
        reason: Reason,
    },
    /// A probe sees another world than the rest of the fleet: its votes do not count.
    ProbeIsolated {
        /// Which.
        probe: Arc<str>,
        /// How much so.
        isolation: Isolation,
    },
    /// A probe that was isolated agrees with the rest again.
    ProbeAgrees {
        /// Which.
        probe: Arc<str>,
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

/// What turned between two maps of one plan. Regions that saw the same are told of together, and so are the
/// families of an endpoint, and endpoints where they are many.
pub(super) fn turned(inventory: &Inventory, before: &HealthMap, after: &HealthMap) -> Vec<Fact> {
    let mut turned: Vec<(EndpointId, Option<Family>, Turned)> = Vec::new();
    for (id, endpoint) in endpoints(inventory) {
        let served = Family::BOTH.map(|family| endpoint.serves(family));
        let mut turns: [Vec<Turned>; 2] = Family::BOTH.map(|family| {
            if served[family.index()] { turns(id, family, inventory, before, after) } else { Vec::new() }
        });
        let [v4, v6] = &mut turns;
        let both: Vec<Turned> = v4.extract_if(.., |turn| v6.contains(turn)).collect();
        v6.retain(|turn| !both.contains(turn));
        let told = |family: Option<Family>| move |turn: Turned| (id, family, turn);
        let lone = |family: Family| Some(family).filter(|_| served == [true, true]);
        turned.extend(both.into_iter().map(told(None)));
        turned.extend(v4.drain(..).map(told(lone(Family::V4))));
        turned.extend(v6.drain(..).map(told(lone(Family::V6))));
    }
    gather(turned)
}

/// Makes facts of what turned: one of each, unless many turned alike.
fn gather(turned: Vec<(EndpointId, Option<Family>, Turned)>) -> Vec<Fact> {
    let mut alike: HashMap<(Option<Family>, Turned), Vec<EndpointId>> = HashMap::new();
    let mut order = Vec::new();
    for (id, family, turn) in turned {
        let key = (family, turn);
        if let Some(ids) = alike.get_mut(&key) {
            ids.push(id);
        } else {
            order.push(key.clone());
            alike.insert(key, vec![id]);
        }
    }
    let mut facts = Vec::new();
    for key in order {
        let ids = alike.remove(&key).unwrap_or_default();
        let together = if ids.len() > NAMED_MAX { TOGETHER_MAX } else { 1 };
        facts.extend(ids.chunks(together).map(|ids| (ids[0], key.1.clone().fact(ids.to_vec(), key.0))));
    }
    facts.sort_by_key(|(first, _)| *first);
    facts.into_iter().map(|(_, fact)| fact).collect()
}

/// Who is held down from now on because it flaps.
pub(super) fn flapping(cases: &[Case], inventory: &Inventory) -> Vec<Fact> {
    let fact = |(endpoint, regions, family)| Fact::Flaps { endpoint, regions, family };
    told_together(cases, inventory).into_iter().map(fact).collect()
}

/// What the governor did, the clients for whom it did the same told of together.
pub(super) fn alarms(governed: &Governed, inventory: &Inventory) -> Vec<Fact> {
    let mut held: BTreeMap<(RegionId, Family), Vec<EndpointId>> = BTreeMap::new();
    for case in &governed.newly_held {
        held.entry((case.region, case.family)).or_default().push(case.endpoint);
    }
    let mut alike: BTreeMap<Vec<EndpointId>, [Vec<RegionId>; 2]> = BTreeMap::new();
    for ((region, family), endpoints) in held {
        alike.entry(endpoints).or_default()[family.index()].push(region);
    }
    let mut facts = Vec::new();
    for (endpoints, [v4, v6]) in alike {
        if v4 == v6 {
            facts.push(Fact::HeldBack { endpoints, regions: v4, family: None });
            continue;
        }
        let checked = |family: Family| {
            inventory.endpoints.iter().any(|endpoint| !endpoint.targets[family.index()].is_empty())
        };
        for (regions, family) in [(v4, Family::V4), (v6, Family::V6)] {
            if !regions.is_empty() {
                let family = Some(family).filter(|family| checked(family.other()));
                facts.push(Fact::HeldBack { endpoints: endpoints.clone(), regions, family });
            }
        }
    }
    facts.extend(governed.rests.then_some(Fact::GovernorRests));
    facts
}

/// A fact in words, as in scenarios and logs: `eu: fra Up -> Down (1 of 1 probes)`. The probes counted are
/// those that say what the verdict is now.
pub fn describe(fact: &Fact, plan: &Plan) -> String {
    let inventory = &plan.inventory;
    let endpoint = |id: &EndpointId| &inventory.endpoints[id.index()].name;
    let listed = |regions: &[RegionId]| {
        let names = regions.iter().map(|region| &*inventory.regions[region.index()].name);
        names.collect::<Vec<&str>>().join(", ")
    };
    let named = |ids: &[EndpointId]| {
        let names: Vec<&str> = ids.iter().take(NAMED_MAX).map(|id| &**endpoint(id)).collect();
        let more = ids.len() - names.len();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        names.join(", ") + &more
    };
    let only = |family: &Option<Family>| family.map(|family| format!(" {family}")).unwrap_or_default();
    match fact {
        Fact::Turned { endpoints, regions, family, from, to, evidence, control } => {
            let (why, regions, family) = (why(*to, evidence, *control), listed(regions), only(family));
            match endpoints.as_slice() {
                [id] => format!("{regions}: {}{family} {from} -> {to} ({why})", endpoint(id)),
                ids => {
                    let count = ids.len();
                    format!("{regions}: {count} endpoints{family} {from} -> {to} ({why}): {}", named(ids))
                }
            }
        }
        Fact::Flaps { endpoint: id, regions, family } => {
            let hold = inventory.endpoints[id.index()].flap.map_or(Duration::ZERO, |flap| flap.hold);
            format!(
                "{}{} flaps in {}: held down until it is quiet for {}",
                endpoint(id),
                only(family),
                listed(regions),
                duration::display(hold)
            )
        }
        Fact::HeldBack { endpoints, regions, family } => {
            let most = inventory.governor.map_or(String::new(), |governor| {
                let Governor { withdraw_max, within } = governor;
                format!(" (at most {withdraw_max}% of all within {})", duration::display(within))
            });
            let (names, regions, family) = (named(endpoints), listed(regions), only(family));
            format!("ALARM: {names}{family} would be down in {regions}, too many at once: held back{most}")
        }
        Fact::GovernorRests => "the governor holds nobody back any more".into(),
        Fact::ProbeSilent { probe } => format!("probe {probe} is silent: its votes no longer count"),
        Fact::ReportDropped { probe, reason } => format!("probe {probe}: a report is not heard: {reason}"),
        Fact::ProbeIsolated { probe, isolation: Isolation { disagrees, of, .. } } => {
            format!(
                "probe {probe} is isolated, its votes do not count: it disagrees about {disagrees} of {of} targets"
            )
        }
        Fact::ProbeAgrees { probe } => format!("probe {probe} agrees with the rest again: its votes count"),
        Fact::NoSuch { name } => format!("no endpoint or pool is called {name}"),
        Fact::Controlled { endpoint: id, control } => match control {
            Some(control) => format!("{}: {} by the operator", endpoint(id), done(*control)),
            None => format!("{}: left to its checks again", endpoint(id)),
        },
        Fact::FailedBack { pool } => {
            format!("pool {}: recovered members are used again", inventory.pools[pool.index()].name)
        }
    }
}

/// The verdict of one family of an endpoint turned, for these regions.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Turned {
    regions: Vec<RegionId>,
    from: Verdict,
    to: Verdict,
    evidence: Evidence,
    control: Option<Control>,
}

impl Turned {
    fn fact(self, endpoints: Vec<EndpointId>, family: Option<Family>) -> Fact {
        let Turned { regions, from, to, evidence, control } = self;
        Fact::Turned { endpoints, regions, family, from, to, evidence, control }
    }
}

fn turns(
    id: EndpointId,
    family: Family,
    inventory: &Inventory,
    before: &HealthMap,
    after: &HealthMap,
) -> Vec<Turned> {
    let mut turns: Vec<Turned> = Vec::new();
    for region in regions(inventory) {
        let from = before.endpoint(id, region, family).verdict;
        let now = after.endpoint(id, region, family);
        if from == now.verdict {
            continue;
        }
        // a round-trip time is of one region: it is no part of what regions have in common
        let evidence = Evidence { rtt_us: None, ..now.evidence };
        let turn = Turned { regions: Vec::new(), from, to: now.verdict, evidence, control: now.control };
        let alike = |other: &Turned| {
            (other.from, other.to, other.evidence, other.control)
                == (turn.from, turn.to, turn.evidence, turn.control)
        };
        match turns.iter_mut().find(|other| alike(other)) {
            Some(other) => other.regions.push(region),
            None => turns.push(Turned { regions: vec![region], ..turn }),
        }
    }
    turns
}

fn why(verdict: Verdict, evidence: &Evidence, control: Option<Control>) -> String {
    let Evidence { basis, down, votes, kind, .. } = *evidence;
    let agree = if verdict == Verdict::Down { down } else { votes - down };
    let basis = match basis {
        Basis::Unmonitored => "no monitor".to_string(),
        Basis::Region => format!("{agree} of {votes} probes"),
        Basis::Others => format!("{agree} of {votes} other regions"),
        Basis::Kept => "kept".to_string(),
        Basis::Damped => "it flaps".to_string(),
        Basis::Agent(word) => format!("its own word is {word}"),
        Basis::Operator => {
            format!("{} by the operator", control.map_or("fixed", done))
        }
    };
    match kind {
        Some(kind) if verdict == Verdict::Down => format!("{basis}, {kind}"),
        _ => basis,
    }
}

fn done(control: Control) -> &'static str {
    match control {
        Control::Drain => "drained",
        Control::ForceUp => "forced up",
        Control::ForceDown => "forced down",
    }
}

/// Of many endpoints so many are named in one line; the rest is counted. When more turn alike at once, one fact tells
/// of all of them.
const NAMED_MAX: usize = 10;

/// One fact tells of so many endpoints at most, so that what programs read of it stays short enough to be a line.
const TOGETHER_MAX: usize = 1000;
