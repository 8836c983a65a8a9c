//! What must be true of a server after every step, whatever happened to the fleet.
//!
//! | invariant | seen by |
//! |---|---|
//! | a generation only grows | the cell refuses what is older ([`crate::server`]) |
//! | every Down rests on votes of Down, or stood before | what was really brought to the server |
//! | the verdicts are those of the book | a slow and obvious reading of the rules, from what was really brought |
//! | silence, clocks and the network never take out what is up | an endpoint that never fails |
//! | what is held is published in time | the cell beside the keeper |
//! | who holds the same reports holds the same verdicts | the servers beside one another |
//! | the same reports in any order give the same map | fresh keepers beside one another |
//! | healed: the verdicts are the truth | the real health, in the end |

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use windrose::health::{Agent, Basis, Control, HealthMap, Opinion, Report, Standing, TargetReport, Verdict};
use windrose::keeper::{Event, Keeper, PACE, ProbeStatus};
use windrose::model::{Endpoint, EndpointId, Family, RegionId};
use windrose::plan::Plan;

use crate::dice::Dice;
use crate::server::{Applied, Before, Server};
use crate::world::{QUORUM, STEADY};

/// Something that must never happen, happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Violation {
    /// What should hold.
    pub invariant: &'static str,
    pub detail: String,
}

impl Violation {
    pub fn new(invariant: &'static str, detail: String) -> Self {
        Self { invariant, detail }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.detail)
    }
}

/// The verdict on one endpoint for one region and family.
#[derive(Clone, Copy)]
pub struct Slot<'p> {
    plan: &'p Plan,
    endpoint: EndpointId,
    region: RegionId,
    family: Family,
}

impl<'p> Slot<'p> {
    /// All that clients can ask for.
    pub fn all(plan: &'p Plan) -> impl Iterator<Item = Slot<'p>> {
        let endpoints = (0..plan.inventory.endpoints.len()).map(EndpointId::at);
        endpoints.flat_map(move |endpoint| {
            let regions = (0..plan.inventory.regions.len()).map(RegionId::at);
            let families = move |region| Family::BOTH.map(|family| Slot { plan, endpoint, region, family });
            regions.flat_map(families).filter(|slot| slot.endpoint().serves(slot.family))
        })
    }

    pub fn endpoint(&self) -> &'p Endpoint {
        &self.plan.inventory.endpoints[self.endpoint.index()]
    }

    pub fn region(&self) -> RegionId {
        self.region
    }

    /// The number of the endpoint in the sketch, which names it so.
    pub fn number(&self) -> usize {
        self.endpoint().name[1..].parse().expect("endpoints are numbered")
    }

    pub fn of<'h>(&self, health: &'h HealthMap) -> &'h Standing {
        health.endpoint(self.endpoint, self.region, self.family)
    }

    pub fn is_checked(&self) -> bool {
        self.targets().next().is_some()
    }

    /// What is checked for it: monitor and address.
    pub fn targets(&self) -> impl Iterator<Item = (&'p str, IpAddr)> {
        let inventory = &self.plan.inventory;
        self.endpoint().targets[self.family.index()].iter().map(|target| {
            let target = &inventory.targets[target.index()];
            (&*inventory.monitors[target.monitor.index()].name, target.address)
        })
    }

    /// What was held of the same before, if it was there.
    fn held_before(&self, before: &Before) -> Option<Verdict> {
        if std::ptr::eq(self.plan, &*before.plan) {
            return Some(self.of(&before.health).verdict);
        }
        let inventory = &before.plan.inventory;
        let id = inventory.endpoint(&self.endpoint().name)?;
        let same =
            inventory.endpoints[id.index()].address(self.family) == self.endpoint().address(self.family);
        same.then(|| before.health.endpoint(id, self.region, self.family).verdict)
    }
}

impl fmt::Display for Slot<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} for r{}", self.endpoint().name, self.family, self.region.0)
    }
}

/// Whatever can be told from one server alone, after it took an event in.
pub fn after_step(server: &Server, applied: &Applied, now: u64) -> Result<(), Violation> {
    nothing_is_down_without_votes(server, &applied.before, now)?;
    verdicts_are_by_the_book(server, now)?;
    what_never_failed_is_not_down(server)?;
    what_is_held_is_published(server, applied.published, now)
}

fn nothing_is_down_without_votes(server: &Server, before: &Before, now: u64) -> Result<(), Violation> {
    let plan = server.keeper.plan();
    for slot in Slot::all(plan) {
        let standing = slot.of(server.keeper.health());
        if standing.verdict != Verdict::Down || standing.control.is_some() {
            continue;
        }
        let against = |said: &TargetReport| said.opinion == Opinion::Down || said.agent.is_some();
        let speaks = |report: &Report| slot.targets().filter_map(|one| said(report, one)).any(against);
        let stood = slot.held_before(before) == Some(Verdict::Down);
        let kept = !by_votes(standing) && stood;
        if !kept && !server.lately(now).any(speaks) {
            let detail = format!("{}: {slot} is Down and nobody says so: {standing:?}", server.name);
            return Err(Violation::new("every Down rests on votes", detail));
        }
    }
    Ok(())
}

fn verdicts_are_by_the_book(server: &Server, now: u64) -> Result<(), Violation> {
    let counted = counted(server, now)?;
    for slot in Slot::all(server.keeper.plan()) {
        let standing = slot.of(server.keeper.health());
        let wrong = |expected: Verdict| {
            let detail = format!("{}: {slot} should be {expected}: {standing:?}", server.name);
            Err(Violation::new("verdicts are by the book", detail))
        };
        let expected = match standing.control {
            Some(Control::ForceUp) => Some(Verdict::Up),
            Some(Control::Drain | Control::ForceDown) => Some(Verdict::Down),
            // Its votes say that it is up, and it is held down: nobody else is.
            None if damped(standing) && slot.endpoint().flap.is_some() => Some(Verdict::Down),
            None => match (by_the_book(&slot, &counted), word_by_the_book(&slot, &counted)) {
                (Some(_), Some(word)) if word != standing.agent.unwrap_or(Agent::Up) => {
                    let detail = format!("{}: {slot} should say {word}: {standing:?}", server.name);
                    return Err(Violation::new("words are by the book", detail));
                }
                (Some(_), Some(Agent::Drain)) => Some(Verdict::Down),
                (expected, _) => expected,
            },
        };
        match expected {
            Some(expected) if expected != standing.verdict => return wrong(expected),
            _ => {}
        }
    }
    Ok(())
}

/// The fresh reports, with what the keeper says of who sent them: those that it says it holds, of what was really
/// brought.
fn fresh(server: &Server, now: u64) -> Result<Vec<(ProbeStatus, &Report)>, Violation> {
    let fresh = server.keeper.probes(server.moment(now)).into_iter().filter(|probe| probe.fresh);
    let report = |probe: ProbeStatus| match server.brought(&probe.name, probe.number) {
        Some(brought) => Ok((probe, &brought.report)),
        None => {
            let detail =
                format!("{}: report {} of {} came from nobody", server.name, probe.number, probe.name);
            Err(Violation::new("verdicts are by the book", detail))
        }
    };
    fresh.map(report).collect()
}

/// Those whose votes count, with their regions.
fn counted(server: &Server, now: u64) -> Result<Vec<(RegionId, &Report)>, Violation> {
    let fresh = fresh(server, now)?.into_iter().filter(|(probe, _)| probe.isolation.is_none());
    Ok(fresh.map(|(probe, report)| (probe.region, report)).collect())
}

/// DESIGN section 3, read word by word; `None` where what was before decides.
fn by_the_book(slot: &Slot<'_>, counted: &[(RegionId, &Report)]) -> Option<Verdict> {
    let mut all_up = true;
    for target in slot.targets() {
        let votes: Vec<(RegionId, bool)> = counted
            .iter()
            .map(|(region, report)| (*region, opinion(report, target)))
            .filter(|(_, opinion)| *opinion != Opinion::Unknown)
            .map(|(region, opinion)| (region, opinion == Opinion::Down))
            .collect();
        let own: Vec<bool> = votes.iter().filter(|vote| vote.0 == slot.region).map(|vote| vote.1).collect();
        let down = if !own.is_empty() {
            enough(&own)
        } else if !votes.is_empty() {
            let mut regions: Vec<RegionId> = votes.iter().map(|vote| vote.0).collect();
            regions.sort_unstable();
            regions.dedup();
            let of_region = |region: &RegionId| -> Vec<bool> {
                votes.iter().filter(|vote| vote.0 == *region).map(|vote| vote.1).collect()
            };
            enough(&regions.iter().map(|region| enough(&of_region(region))).collect::<Vec<bool>>())
        } else {
            all_up = false;
            continue;
        };
        if down {
            return Some(Verdict::Down);
        }
    }
    all_up.then_some(Verdict::Up)
}

/// What the endpoint says of itself, by the probes that have an opinion: of all words the one in the middle, of the
/// region if anybody there heard one, else of all regions; of several monitors the least.
fn word_by_the_book(slot: &Slot<'_>, counted: &[(RegionId, &Report)]) -> Option<Agent> {
    let on_target = |target: (&str, IpAddr)| {
        let heard: Vec<(RegionId, Agent)> = counted
            .iter()
            .filter_map(|(region, report)| Some((*region, said(report, target)?)))
            .filter(|(_, said)| said.opinion != Opinion::Unknown)
            .map(|(region, said)| (region, said.agent.unwrap_or(Agent::Up)))
            .collect();
        let mut regions: Vec<RegionId> = heard.iter().map(|one| one.0).collect();
        regions.sort_unstable();
        regions.dedup();
        let of = |region: RegionId| -> Option<Agent> {
            middle(heard.iter().filter(|one| one.0 == region).map(|one| one.1).collect())
        };
        of(slot.region).or_else(|| middle(regions.into_iter().filter_map(of).collect()))
    };
    slot.targets().filter_map(on_target).min_by_key(generosity)
}

fn middle(mut words: Vec<Agent>) -> Option<Agent> {
    words.sort_by_key(generosity);
    words.get(words.len() / 2).copied()
}

fn generosity(word: &Agent) -> u32 {
    match word {
        Agent::Down => 0,
        Agent::Drain => 1,
        Agent::Share(percent) => 1 + u32::from(*percent),
        Agent::Up => 1_000,
    }
}

/// Whether enough of those who have a say say down.
fn enough(down: &[bool]) -> bool {
    let said = down.iter().filter(|down| **down).count();
    said * 100 >= down.len() * QUORUM as usize
}

/// Whether nothing but fresh votes decided: not what was known before, where nobody votes, and not what was seen
/// before, of one who flaps.
fn by_votes(standing: &Standing) -> bool {
    let decided = matches!(standing.evidence.basis, Basis::Unmonitored | Basis::Region | Basis::Others);
    decided && standing.verdict != Verdict::Unknown
}

fn damped(standing: &Standing) -> bool {
    standing.evidence.basis == Basis::Damped
}

fn opinion(report: &Report, target: (&str, IpAddr)) -> Opinion {
    said(report, target).map_or(Opinion::Unknown, |said| said.opinion)
}

fn said<'r>(report: &'r Report, (monitor, address): (&str, IpAddr)) -> Option<&'r TargetReport> {
    report.targets.iter().find(|said| said.address == address && *said.monitor == *monitor)
}

fn what_never_failed_is_not_down(server: &Server) -> Result<(), Violation> {
    for slot in Slot::all(server.keeper.plan()).filter(|slot| slot.number() == STEADY) {
        let standing = slot.of(server.keeper.health());
        if standing.verdict == Verdict::Down && standing.control.is_none() {
            let detail = format!("{}: {slot}: {standing:?}", server.name);
            return Err(Violation::new("what never failed is not Down", detail));
        }
    }
    Ok(())
}

/// At once when something turns Down, and else at most a second late.
fn what_is_held_is_published(server: &Server, published: bool, now: u64) -> Result<(), Violation> {
    let snapshot = server.cell.load_full();
    let due = published || server.unpublished_for(now) >= PACE;
    for slot in Slot::all(server.keeper.plan()) {
        let (held, shown) = (slot.of(server.keeper.health()), slot.of(&snapshot.health));
        if held.verdict != shown.verdict && (due || held.verdict == Verdict::Down) {
            let detail =
                format!("{}: {slot} is {} and {} is served", server.name, held.verdict, shown.verdict);
            return Err(Violation::new("what is held is published in time", detail));
        }
    }
    Ok(())
}

/// Two servers that hold the same reports and plan isolate the same probes, and under the same controls, where
/// there are votes hold the same verdicts. They may differ where what was before decides: nobody votes, or one of
/// them saw an endpoint flap.
pub fn same_reports_same_verdicts(one: &Server, two: &Server, now: u64) -> Result<(), Violation> {
    if !Arc::ptr_eq(one.keeper.plan(), two.keeper.plan()) || one.held != two.held {
        return Ok(());
    }
    let violation = |detail| Err(Violation::new("the same reports give the same verdicts", detail));
    if one.isolated != two.isolated {
        let detail = format!("{} isolates {:?}, {} {:?}", one.name, one.isolated, two.name, two.isolated);
        return violation(detail);
    }
    for slot in Slot::all(one.keeper.plan()) {
        let [a, b] = [one, two].map(|server| slot.of(server.keeper.health()));
        let comparable = a.control == b.control && by_votes(a) && by_votes(b);
        // That the last vote went is in the evidence a second later.
        if comparable && a.verdict != b.verdict && by_the_book(&slot, &counted(one, now)?).is_some() {
            return violation(format!(
                "{slot} is {} at {}, {} at {}",
                a.verdict, one.name, b.verdict, two.name
            ));
        }
    }
    Ok(())
}

/// Servers that know nothing yet hear the reports that one holds, each in another order, some twice, as of one
/// moment: their maps are the same to the last bit, and their verdicts those of the one.
pub fn any_order_same_map(server: &Server, now: u64, dice: &mut Dice) -> Result<(), Violation> {
    let moment = server.moment(now);
    let held: Vec<Report> = fresh(server, now)?
        .into_iter()
        .map(|(_, report)| Report { sent: moment, ..report.clone() })
        .collect();
    let mut hear = || {
        let mut order: Vec<&Report> = held.iter().chain(held.iter().filter(|_| dice.chance(0.5))).collect();
        dice.shuffle(&mut order);
        let mut keeper = Keeper::new(Arc::clone(server.keeper.plan()), None, moment);
        for report in order {
            keeper.apply(Event::Report(report.clone()), moment);
        }
        keeper.apply(Event::Tick, moment);
        keeper
    };
    let (one, two) = (hear(), hear());
    for slot in Slot::all(server.keeper.plan()) {
        let [a, b, held] = [&one, &two, &server.keeper].map(|keeper| slot.of(keeper.health()));
        // To whoever hears of a region probe by probe it may seem to flap.
        if ![a, b].into_iter().all(by_votes) || damped(held) {
            continue;
        }
        if a != b {
            let detail = format!("{slot}: {a:?} or {b:?}");
            return Err(Violation::new("any order gives the same map", detail));
        }
        if held.control.is_none() && held.verdict != a.verdict {
            let detail = format!("{}: {slot}: {held:?}; who knows only what it holds: {a:?}", server.name);
            return Err(Violation::new("one report of each probe is enough", detail));
        }
    }
    Ok(())
}

/// When nothing disturbs any more: what is served is what is really so. Where a region sees so much that others do
/// not see that its probes are isolated, it is what the others see.
pub fn verdicts_are_true(
    server: &Server,
    now: u64,
    out: impl Fn(&Slot<'_>) -> bool,
    orders: &[(String, Control)],
) -> Result<(), Violation> {
    let snapshot = server.cell.load_full();
    if server.keeper.probes(server.moment(now)).iter().any(|probe| probe.isolation.is_some()) {
        return Ok(());
    }
    for slot in Slot::all(&snapshot.plan) {
        let order =
            orders.iter().find(|(name, _)| **name == *slot.endpoint().name).map(|(_, control)| *control);
        let expected = match order {
            Some(Control::ForceUp) => Verdict::Up,
            Some(Control::Drain | Control::ForceDown) => Verdict::Down,
            None if out(&slot) => Verdict::Down,
            None => Verdict::Up,
        };
        let served = slot.of(&snapshot.health);
        if served.verdict != expected || served.stale {
            let detail = format!("{}: {slot} should be {expected}: {served:?}", server.name);
            return Err(Violation::new("healed, the verdicts are the truth", detail));
        }
    }
    Ok(())
}

/// So long after a healing everything is settled: what a probe said in another life is stale after three intervals,
/// and checks have come to the end of every `rise` and `fall`.
pub const SETTLED_AFTER: Duration = Duration::from_secs(13);
