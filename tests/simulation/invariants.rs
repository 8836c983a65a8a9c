//! What must be true of a server after every step, whatever happened to the fleet.
//!
//! | invariant | seen by |
//! |---|---|
//! | a generation only grows | the cell refuses what is older ([`crate::server`]) |
//! | every Down rests on votes of Down, or stood before | what was really brought to the server |
//! | the verdicts are those of the book | a slow and obvious reading of the rules, from what was really brought |
//! | silence, clocks and the network never take out what is up | an endpoint that never fails |
//! | no answer changes because a line was cut | what was really heard while it was, and until it was whole |
//! | the governor lets no more out than it says, and holds back no more than it must | the operator's word |
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

use crate::dice::Dice;
use crate::server::{Applied, Before, Server};
use crate::world::{GOVERNED_WITHIN, QUORUM, STEADY, Version};

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
    version: &'p Version,
    endpoint: EndpointId,
    region: RegionId,
    family: Family,
}

impl<'p> Slot<'p> {
    /// All that clients can ask for.
    pub fn all(version: &'p Version) -> impl Iterator<Item = Slot<'p>> {
        let inventory = &version.plan.inventory;
        let endpoints = (0..inventory.endpoints.len()).map(EndpointId::at);
        endpoints.flat_map(move |endpoint| {
            let regions = (0..inventory.regions.len()).map(RegionId::at);
            let families =
                move |region| Family::BOTH.map(|family| Slot { version, endpoint, region, family });
            regions.flat_map(families).filter(|slot| slot.endpoint().serves(slot.family))
        })
    }

    /// The same for the clients of each region.
    fn of_each_region(self) -> impl Iterator<Item = Slot<'p>> {
        (0..self.version.plan.inventory.regions.len())
            .map(move |region| Slot { region: RegionId::at(region), ..self })
    }

    /// Those that are checked and that the clients of one region and family can be given, for all such clients.
    fn groups(version: &'p Version) -> impl Iterator<Item = Vec<Slot<'p>>> {
        let regions = (0..version.plan.inventory.regions.len()).map(RegionId::at);
        let clients = regions.flat_map(|region| Family::BOTH.map(|family| (region, family)));
        clients.map(move |of| {
            let theirs = |slot: &Slot<'_>| (slot.region, slot.family) == of && slot.is_checked();
            Slot::all(version).filter(theirs).collect()
        })
    }

    pub fn endpoint(&self) -> &'p Endpoint {
        &self.version.plan.inventory.endpoints[self.endpoint.index()]
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
        let inventory = &self.version.plan.inventory;
        self.endpoint().targets[self.family.index()].iter().map(|target| {
            let target = &inventory.targets[target.index()];
            (&*inventory.monitors[target.monitor.index()].name, target.address)
        })
    }

    /// What follows from whether each of its targets fails; `None`: what is not known decides.
    pub fn conclude(&self, failing: impl Iterator<Item = Option<bool>>) -> Option<Verdict> {
        let failing: Vec<Option<bool>> = failing.collect();
        let all = |known| failing.iter().all(|one| *one == Some(known));
        let one = |known| failing.contains(&Some(known));
        let any = self.version.sketch.endpoints[self.number()].any;
        let (down, up) = if any { (all(true), one(false)) } else { (one(true), all(false)) };
        if down { Some(Verdict::Down) } else { up.then_some(Verdict::Up) }
    }

    /// What was held of the same before, if it was there.
    fn held_before(&self, before: &Before) -> Option<Verdict> {
        if Arc::ptr_eq(&self.version.plan, &before.plan) {
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
    the_line_changes_nothing(server, &applied.before, now)?;
    the_governor_does_as_it_says(server, &applied.before, now)?;
    what_never_failed_is_not_down(server)?;
    what_is_held_is_published(server, applied.published, now)
}

fn nothing_is_down_without_votes(server: &Server, before: &Before, now: u64) -> Result<(), Violation> {
    let (counted, deaf) = (counted(server, now)?, server.deaf_since(now).is_some());
    for slot in Slot::all(&server.version) {
        let standing = slot.of(server.keeper.health());
        if standing.verdict != Verdict::Down || standing.control.is_some() {
            continue;
        }
        let against = |said: &TargetReport| said.opinion == Opinion::Down || said.agent.is_some();
        let speaks = |report: &Report| slot.targets().filter_map(|one| said(report, one)).any(against);
        let stood = slot.held_before(before) == Some(Verdict::Down);
        // That the last vote went is in the evidence a second later.
        let kept = stood && (!by_votes(standing) || by_the_book(&slot, &counted, deaf).is_none());
        if !kept && !server.lately(now).any(speaks) {
            let detail = format!("{}: {slot} is Down and nobody says so: {standing:?}", server.name);
            return Err(Violation::new("every Down rests on votes", detail));
        }
    }
    Ok(())
}

fn verdicts_are_by_the_book(server: &Server, now: u64) -> Result<(), Violation> {
    let counted = counted(server, now)?;
    let deaf = server.deaf_since(now).is_some();
    for slot in Slot::all(&server.version) {
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
            None => match (by_the_book(&slot, &counted, deaf), word_by_the_book(&slot, &counted)) {
                (Some(_), Some(word)) if word != standing.agent.unwrap_or(Agent::Up) => {
                    let detail = format!("{}: {slot} should say {word}: {standing:?}", server.name);
                    return Err(Violation::new("words are by the book", detail));
                }
                (Some(_), Some(Agent::Drain)) => Some(Verdict::Down),
                (expected, _) => expected,
            },
        };
        match expected {
            // It is usable, and would not be: see the governor.
            Some(Verdict::Down) if standing.governed && standing.usable() => {}
            Some(expected) if standing.governed || expected != standing.verdict => return wrong(expected),
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

/// DESIGN section 3, read word by word; `None` where what was before decides. To a server that is `deaf` it says
/// nothing that somebody is silent.
fn by_the_book(slot: &Slot<'_>, counted: &[(RegionId, &Report)], deaf: bool) -> Option<Verdict> {
    let fails = |target| {
        let votes: Vec<(RegionId, bool)> = counted
            .iter()
            .map(|(region, report)| (*region, opinion(report, target)))
            .filter(|(_, opinion)| *opinion != Opinion::Unknown)
            .map(|(region, opinion)| (region, opinion == Opinion::Down))
            .collect();
        let own: Vec<bool> = votes.iter().filter(|vote| vote.0 == slot.region).map(|vote| vote.1).collect();
        if !own.is_empty() {
            Some(enough(&own))
        } else if !votes.is_empty() && !deaf {
            let mut regions: Vec<RegionId> = votes.iter().map(|vote| vote.0).collect();
            regions.sort_unstable();
            regions.dedup();
            let of_region = |region: &RegionId| -> Vec<bool> {
                votes.iter().filter(|vote| vote.0 == *region).map(|vote| vote.1).collect()
            };
            Some(enough(&regions.iter().map(|region| enough(&of_region(region))).collect::<Vec<bool>>()))
        } else {
            None
        }
    };
    slot.conclude(slot.targets().map(fails))
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
    decided && standing.verdict != Verdict::Unknown && !standing.governed
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

/// While a server hears nothing, and until it had the time to hear all, a verdict for a region of which it hears
/// nobody turns only where one on the same endpoint turned since then that somebody whom it hears has a say in.
fn the_line_changes_nothing(server: &Server, before: &Before, now: u64) -> Result<(), Violation> {
    let Some(cut) = server.deaf_since(now) else { return Ok(()) };
    if !Arc::ptr_eq(&server.version.plan, &before.plan) {
        return Ok(());
    }
    let counted = counted(server, now)?;
    let heard = |slot: &Slot<'_>, region: RegionId| {
        let there = counted.iter().filter(|(of, _)| *of == region);
        let votes = |report: &Report| slot.targets().any(|one| opinion(report, one) != Opinion::Unknown);
        there.map(|(_, report)| report).any(|report| votes(report))
    };
    for slot in Slot::all(&server.version) {
        let [was, is] = [&before.health, server.keeper.health()].map(|health| slot.of(health));
        let left_to_checks = was.control.is_none() && is.control.is_none() && !damped(was);
        let stood = left_to_checks && was.verdict != Verdict::Unknown;
        if !stood || was.verdict == is.verdict || heard(&slot, slot.region) {
            continue;
        }
        let turned = slot.of_each_region().any(|other| {
            let standing = other.of(server.keeper.health());
            // What its checks say may have turned under what it says itself, or while it was held down.
            let masked = !by_votes(standing) || standing.agent.is_some() || other.endpoint().flap.is_some();
            heard(&other, other.region) && (masked || standing.since.is_some_and(|at| at > cut))
        });
        if !turned {
            let detail = format!("{}: {slot}: {was:?}, then {is:?}", server.name);
            return Err(Violation::new("no answer changes because a line was cut", detail));
        }
    }
    Ok(())
}

/// For the clients of each region and family: when somebody is taken out, no more are out of late than the operator
/// allows, and nobody of whom somebody says so is held back while fewer are.
fn the_governor_does_as_it_says(server: &Server, before: &Before, now: u64) -> Result<(), Violation> {
    let governor = server.version.sketch.governor;
    let moment = server.moment(now);
    for group in Slot::groups(&server.version) {
        let standing = |slot: &Slot<'_>| *slot.of(server.keeper.health());
        let out_for = |slot: &Slot<'_>, most: Duration| {
            let Standing { verdict, control, since, .. } = standing(slot);
            let lately = since.is_some_and(|since| moment.since(since) < most);
            verdict == Verdict::Down && control.is_none() && lately
        };
        let was_down = |slot: &Slot<'_>| slot.held_before(before) == Some(Verdict::Down);
        let count = |most| group.iter().filter(|slot| out_for(slot, most)).count();
        let may = governor.map_or(group.len(), |percent| group.len() * percent as usize / 100);
        let turned = group.iter().find(|slot| out_for(slot, GOVERNED_WITHIN) && !was_down(slot));
        let held = group.iter().find(|slot| standing(slot).governed && !standing(slot).stale);
        let wrong = |slot: &Slot<'_>, what: &str| {
            let detail = format!("{}: {slot} {what}, {may} may: {:?}", server.name, standing(slot));
            Err(Violation::new("the governor does as it says", detail))
        };
        match (turned, held) {
            (Some(turned), _) if count(GOVERNED_WITHIN) > may => return wrong(turned, "is one too many out"),
            (_, Some(held)) if was_down(held) => return wrong(held, "was out and is held back"),
            (_, Some(held)) if count(GOVERNED_WITHIN + PACE) < may => {
                return wrong(held, "is held back though fewer are out");
            }
            _ => {}
        }
    }
    Ok(())
}

fn what_never_failed_is_not_down(server: &Server) -> Result<(), Violation> {
    for slot in Slot::all(&server.version).filter(|slot| slot.number() == STEADY) {
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
    for slot in Slot::all(&server.version) {
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
    let deaf = one.deaf_since(now).or(two.deaf_since(now)).is_some();
    for slot in Slot::all(&one.version) {
        let [a, b] = [one, two].map(|server| slot.of(server.keeper.health()));
        let comparable = a.control == b.control && by_votes(a) && by_votes(b);
        // That the last vote went is in the evidence a second later.
        if comparable && a.verdict != b.verdict && by_the_book(&slot, &counted(one, now)?, deaf).is_some() {
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
    let deaf = server.deaf_since(now).is_some();
    for slot in Slot::all(&server.version) {
        let [a, b, held] = [&one, &two, &server.keeper].map(|keeper| slot.of(keeper.health()));
        // To whoever hears of a region probe by probe it may seem to flap.
        if ![a, b].into_iter().all(by_votes) || damped(held) {
            continue;
        }
        if a != b {
            let detail = format!("{slot}: {a:?} or {b:?}");
            return Err(Violation::new("any order gives the same map", detail));
        }
        let votes_decide = by_the_book(&slot, &counted(server, now)?, deaf).is_some();
        let comparable = held.control.is_none() && !held.governed && votes_decide;
        if comparable && held.verdict != a.verdict {
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
    for slot in Slot::all(&server.version) {
        let order =
            orders.iter().find(|(name, _)| **name == *slot.endpoint().name).map(|(_, control)| *control);
        let expected = match order {
            Some(Control::ForceUp) => Verdict::Up,
            Some(Control::Drain | Control::ForceDown) => Verdict::Down,
            None if out(&slot) => Verdict::Down,
            None => Verdict::Up,
        };
        let served = slot.of(&snapshot.health);
        let held_back = served.governed && expected == Verdict::Down;
        if (served.verdict != expected && !held_back) || served.stale {
            let detail = format!("{}: {slot} should be {expected}: {served:?}", server.name);
            return Err(Violation::new("healed, the verdicts are the truth", detail));
        }
    }
    Ok(())
}

/// So long after a healing everything is settled: what a probe said in another life is stale after three intervals,
/// and checks have come to the end of every `rise` and `fall`.
pub const SETTLED_AFTER: Duration = Duration::from_secs(13);
