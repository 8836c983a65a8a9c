//! Stories of probes, operators and plans; time is in seconds.

use std::net::IpAddr;

use proptest::prelude::*;

use super::*;
use crate::geo::Geo;
use crate::health::{Basis, Kind, Opinion, Slot, TargetReport};
use crate::model::*;
use crate::plan::zone::Zones;
use crate::steering::tests_support::World;

mod probes;

const EU: RegionId = RegionId(0);
const US: RegionId = RegionId(1);
const FRA: EndpointId = EndpointId(0);
const IAD: EndpointId = EndpointId(1);

/// Regions `eu` (default) and `us`; `fra` with both families, `iad` with IPv4; pool `www` fails over
/// from the one to the other.
fn world() -> World {
    let mut world = World::new(&["eu", "us"]);
    let fra = world.endpoint("fra", &["192.0.2.10", "2001:db8::10"]);
    let iad = world.endpoint("iad", &["198.51.100.10"]);
    world.pool("www", Policy::Failover, &[Use::Endpoint(fra), Use::Endpoint(iad)]);
    world
}

fn plan(world: World) -> Arc<Plan> {
    let geo = Geo::one_region(world.inventory.default_region());
    Arc::new(Plan {
        inventory: world.inventory,
        geo,
        zones: Zones::default(),
        steered: Vec::new(),
        debug: Vec::new(),
        keys: crate::dnssec::Keyring::default(),
        source: crate::model::Fingerprint::new(),
    })
}

fn second(seconds: u64) -> Moment {
    Moment(seconds * 1000)
}

/// `eu/ams 7 192.0.2.10=down ...`: the report number 7 of probe `ams` in `eu`, every two seconds.
fn report(text: &str) -> Report {
    let mut words = text.split_whitespace();
    let (region, probe) = words.next().and_then(|word| word.split_once('/')).expect("region/probe");
    let number = words.next().and_then(|word| word.parse().ok()).expect("number");
    let target = |word: &str| {
        let (address, opinion) = word.split_once('=').expect("address=opinion");
        let (opinion, last) = match opinion {
            "up" => (Opinion::Up, Some(Kind::Ok)),
            "down" => (Opinion::Down, Some(Kind::Refused)),
            _ => (Opinion::Unknown, None),
        };
        TargetReport {
            monitor: "web".into(),
            address: address.parse().expect("an address"),
            opinion,
            moving: opinion == Opinion::Unknown,
            last,
            rtt_us: None,
            age_ms: 0,
            certificate_end: None,
            agent: None,
        }
    };
    let targets = words.map(target).collect();
    let (probe, region) = (probe.into(), region.into());
    Report { probe, region, number, instance: 0, sent: Moment(0), interval_ms: 2000, zones: None, targets }
}

/// A keeper with a pen: what it tells is written down.
struct Told {
    keeper: Keeper,
    published: Vec<u64>,
}

impl Told {
    fn new(world: World) -> Self {
        Self { keeper: Keeper::new(plan(world), None, second(0)), published: Vec::new() }
    }

    /// A report that does not say when it was sent is sent now.
    fn hear(&mut self, at: u64, mut event: Event) -> Vec<String> {
        if let Event::Report(report) = &mut event
            && report.sent == Moment(0)
        {
            report.sent = second(at);
        }
        let step = self.keeper.apply(event, second(at));
        self.published.extend(step.snapshot.map(|snapshot| snapshot.generation));
        step.facts.iter().map(|fact| describe(fact, self.keeper.plan())).collect()
    }

    fn report(&mut self, at: u64, text: &str) -> Vec<String> {
        self.hear(at, Event::Report(report(text)))
    }

    fn control(&mut self, at: u64, endpoint: &str, control: Option<Control>) -> Vec<String> {
        self.hear(at, Event::Control { endpoint: endpoint.to_string(), control })
    }

    fn verdict(&self, endpoint: EndpointId, region: RegionId) -> Verdict {
        self.keeper.health().endpoint(endpoint, region, Family::V4).verdict
    }
}

const ALL_UP: &str = "192.0.2.10=up 2001:db8::10=up 198.51.100.10=up";

#[test]
fn everything_is_unknown_and_usable_until_somebody_votes() {
    let told = Told::new(world());
    let standing = told.keeper.health().endpoint(FRA, EU, Family::V4);
    assert_eq!((standing.verdict, standing.moving, standing.stale), (Verdict::Unknown, true, false));
    assert!(told.keeper.health().pool(PoolId(0), SituationId(0), Family::V4).up);
    // iad has no IPv6, and so nothing that could be down
    assert_eq!(told.keeper.health().endpoint(IAD, EU, Family::V6).verdict, Verdict::Up);
}

#[test]
fn a_probe_is_believed_in_its_region_and_where_there_is_no_other() {
    let mut told = Told::new(world());
    assert_eq!(
        told.report(1, &format!("eu/ams 1 {ALL_UP}")),
        [
            "eu: fra Unknown -> Up (1 of 1 probes)",
            "us: fra Unknown -> Up (1 of 1 other regions)",
            "eu: iad Unknown -> Up (1 of 1 probes)",
            "us: iad Unknown -> Up (1 of 1 other regions)",
        ]
    );
    told.report(1, &format!("us/nyc 1 {ALL_UP}"));
    assert_eq!(
        told.report(2, "eu/ams 2 192.0.2.10=down 2001:db8::10=up 198.51.100.10=up"),
        ["eu: fra ipv4 Up -> Down (1 of 1 probes, refused)"]
    );
    assert_eq!((told.verdict(FRA, EU), told.verdict(FRA, US)), (Verdict::Down, Verdict::Up));
    assert_eq!(
        told.report(3, "us/nyc 2 192.0.2.10=down 2001:db8::10=down 198.51.100.10=up"),
        ["us: fra Up -> Down (1 of 1 probes, refused)"]
    );
}

#[test]
fn regions_that_saw_the_same_are_told_of_together() {
    let mut told = Told::new(world());
    told.report(1, &format!("mars/rover 1 {ALL_UP}"));
    // a region that the plan lacks counts as the default one
    assert_eq!(told.keeper.probes(second(1))[0].region, EU);
    assert_eq!(
        told.control(2, "fra", Some(Control::Drain)),
        ["fra: drained by the operator", "eu, us: fra Up -> Down (drained by the operator)"]
    );
    assert_eq!(
        told.control(3, "fra", None),
        [
            "fra: left to its checks again",
            "eu: fra Down -> Up (1 of 1 probes)",
            "us: fra Down -> Up (1 of 1 other regions)",
        ]
    );
}

#[test]
fn silence_is_told_once_and_keeps_the_verdict() {
    let mut told = Told::new(world());
    told.report(0, "eu/ams 1 192.0.2.10=down 198.51.100.10=up");
    assert_eq!(told.hear(6, Event::Tick), Vec::<String>::new(), "three intervals of two seconds");
    assert_eq!(told.hear(7, Event::Tick), ["probe ams is silent: its votes no longer count"]);
    assert_eq!(told.hear(8, Event::Tick), Vec::<String>::new());
    for (endpoint, verdict) in [(FRA, Verdict::Down), (IAD, Verdict::Up)] {
        let standing = told.keeper.health().endpoint(endpoint, EU, Family::V4);
        assert_eq!((standing.verdict, standing.stale), (verdict, true));
        assert_eq!(standing.evidence.basis, Basis::Kept);
    }
    let status = &told.keeper.probes(second(8))[0];
    assert_eq!((status.number, status.age, status.fresh), (1, Some(Duration::from_secs(8)), false));
}

#[test]
fn a_verdict_moves_for_a_minute_after_it_turned() {
    let mut told = Told::new(world());
    let moving = |told: &Told| told.keeper.health().endpoint(FRA, EU, Family::V4).moving;
    told.report(0, "eu/ams 1 192.0.2.10=up");
    assert!(moving(&told));
    told.report(59, "eu/ams 2 192.0.2.10=up");
    assert!(moving(&told));
    told.report(60, "eu/ams 3 192.0.2.10=up");
    assert!(!moving(&told));
    told.control(61, "fra", Some(Control::ForceUp));
    assert!(moving(&told), "an operator's change is fresh");
    told.report(121, "eu/ams 4 192.0.2.10=up");
    assert!(!moving(&told));
}

/// The world, where `iad` is watched by the monitor `api` too.
fn twice_watched() -> World {
    let mut world = world();
    let api = Monitor { name: "api".into(), ..world.inventory.monitors[0].clone() };
    world.inventory.monitors.push(api);
    let address: IpAddr = "198.51.100.10".parse().expect("an address");
    world.inventory.targets.push(Target { monitor: MonitorId(1), address });
    let target = TargetId::at(world.inventory.targets.len() - 1);
    world.inventory.endpoints[IAD.index()].targets[0].push(target);
    world
}

/// What the two monitors of `iad` see.
fn both(number: u64, web: &str, api: &str) -> Event {
    let mut said = report(&format!("eu/ams {number} 198.51.100.10={web} 198.51.100.10={api}"));
    said.targets[1].monitor = "api".into();
    Event::Report(said)
}

#[test]
fn two_monitors_must_both_pass() {
    let mut told = Told::new(twice_watched());
    let mut says = |number: u64, web: &str, api: &str| {
        told.hear(number, both(number, web, api));
        told.verdict(IAD, EU)
    };
    assert_eq!(says(1, "up", "unknown"), Verdict::Unknown);
    assert_eq!(says(2, "up", "up"), Verdict::Up);
    assert_eq!(says(3, "up", "down"), Verdict::Down);
    assert_eq!(says(4, "up", "unknown"), Verdict::Down, "nobody says that it passes now");
    assert_eq!(says(5, "unknown", "unknown"), Verdict::Down);
    assert_eq!(says(6, "up", "up"), Verdict::Up);
    assert_eq!(says(7, "up", "unknown"), Verdict::Unknown);
}

#[test]
fn of_a_group_so_many_must_pass() {
    let mut world = twice_watched();
    let any = Need { name: "any".into(), parts: Box::new([0, 1]), at_least: 1 };
    world.inventory.endpoints[IAD.index()].needs = vec![any];
    let mut told = Told::new(world);
    let mut says = |number: u64, web: &str, api: &str| {
        told.hear(number, both(number, web, api));
        told.verdict(IAD, EU)
    };
    assert_eq!(says(1, "down", "unknown"), Verdict::Unknown);
    assert_eq!(says(2, "up", "unknown"), Verdict::Up, "whatever the other will be");
    assert_eq!(says(3, "down", "up"), Verdict::Up);
    assert_eq!(says(4, "down", "down"), Verdict::Down);
    assert_eq!(says(5, "down", "unknown"), Verdict::Down, "nobody says that it passes now");
    assert_eq!(says(6, "unknown", "unknown"), Verdict::Down);
    assert_eq!(says(7, "down", "up"), Verdict::Up);
    assert_eq!(says(8, "down", "unknown"), Verdict::Unknown);
}

#[test]
fn a_dead_endpoint_stays_down_over_a_restart_until_all_its_monitors_pass() {
    let mut told = Told::new(twice_watched());
    told.hear(1, both(1, "up", "down"));
    let state = told.keeper.state(second(2));
    told.keeper = Keeper::new(plan(twice_watched()), Some(state), second(100));
    told.hear(101, both(2, "up", "unknown"));
    let standing = *told.keeper.health().endpoint(IAD, EU, Family::V4);
    assert_eq!((standing.verdict, standing.stale, standing.moving), (Verdict::Down, true, true));
    assert_eq!((standing.evidence.basis, standing.since), (Basis::Kept, Some(second(1))));
    told.hear(102, both(3, "up", "up"));
    assert_eq!(told.verdict(IAD, EU), Verdict::Up);
}

#[test]
fn what_is_kept_over_a_restart_moves_while_probes_make_up_their_minds() {
    let mut told = Told::new(world());
    told.report(1, "eu/ams 1 192.0.2.10=up");
    let state = told.keeper.state(second(2));
    told.keeper = Keeper::new(plan(world()), Some(state), second(100));
    let standing = |told: &Told| *told.keeper.health().endpoint(FRA, EU, Family::V4);
    assert!(standing(&told).stale && !standing(&told).moving, "nobody is looking");
    told.report(100, "eu/ams 2 192.0.2.10=unknown");
    told.hear(101, Event::Tick);
    assert!(standing(&told).stale && standing(&told).moving);
}

#[test]
fn a_snapshot_is_due_at_once_when_something_turns_down_and_else_once_a_second() {
    let mut told = Told::new(world());
    told.hear(1, Event::Tick);
    assert!(told.published.is_empty(), "nothing changed");
    told.report(2, "eu/ams 1 192.0.2.10=up");
    assert_eq!(told.published, [2]);
    told.keeper.apply(Event::Report(report("eu/ams 2 192.0.2.10=unknown")), Moment(2_100));
    told.report(2, "eu/ams 3 192.0.2.10=up 198.51.100.10=up");
    assert_eq!(told.published, [2], "within a second of the last");
    told.hear(3, Event::Tick);
    assert_eq!(told.published, [2, 3]);
    told.report(3, "eu/ams 4 192.0.2.10=down 198.51.100.10=up");
    assert_eq!(told.published, [2, 3, 4], "down is urgent");
    told.control(3, "fra", Some(Control::ForceUp));
    told.hear(3, Event::Plan(plan(world())));
    assert_eq!(told.published, [2, 3, 4, 5, 6], "so are operators and plans");
    told.control(3, "nobody", None);
    assert_eq!(told.published.len(), 5);
}

#[test]
fn what_nobody_has_ever_heard_of_is_said_to_be_so() {
    let mut told = Told::new(world());
    assert_eq!(told.control(1, "fr", Some(Control::Drain)), ["no endpoint or pool is called fr"]);
    assert_eq!(told.hear(1, Event::Failback { pool: "ww".into() }), ["no endpoint or pool is called ww"]);
}

#[test]
fn another_plan_keeps_what_is_known_of_what_survives() {
    let mut told = Told::new(world());
    told.report(1, "eu/ams 1 192.0.2.10=down 2001:db8::10=down 198.51.100.10=down");
    told.control(2, "iad", Some(Control::ForceUp));
    let mut next = World::new(&["as", "eu"]);
    next.endpoint("new", &["203.0.113.1"]);
    next.endpoint("iad", &["198.51.100.10"]);
    next.endpoint("fra", &["192.0.2.10", "2001:db8::99"]);
    assert_eq!(
        told.hear(9, Event::Plan(plan(next))),
        [
            "probe ams is silent: its votes no longer count",
            "as: iad Unknown -> Up (forced up by the operator)",
        ]
    );
    let map = told.keeper.health();
    let of = |endpoint, region, family| *map.endpoint(EndpointId(endpoint), RegionId(region), family);
    assert_eq!(of(2, 1, Family::V4).verdict, Verdict::Down);
    assert_eq!(of(2, 1, Family::V4).since, Some(second(1)));
    assert_eq!(of(2, 1, Family::V6).verdict, Verdict::Unknown, "it moved");
    assert_eq!(of(2, 0, Family::V4).verdict, Verdict::Unknown, "a new region");
    assert_eq!(of(1, 1, Family::V4).control, Some(Control::ForceUp));
    assert_eq!(of(0, 1, Family::V4).verdict, Verdict::Unknown);
}

#[test]
fn votes_heard_under_one_plan_count_under_the_next() {
    let mut told = Told::new(World::new(&["eu"]));
    told.report(1, "eu/ams 1 192.0.2.10=down");
    assert_eq!(
        told.hear(2, Event::Plan(plan(world()))),
        [
            "eu: fra ipv4 Unknown -> Down (1 of 1 probes, refused)",
            "us: fra ipv4 Unknown -> Down (1 of 1 other regions, refused)",
        ]
    );
}

#[test]
fn a_restart_knows_what_was_known() {
    let mut told = Told::new(held(Failback::Manual));
    told.report(1, "eu/ams 1 192.0.2.10=down 198.51.100.10=down");
    told.control(2, "iad", Some(Control::ForceUp));
    told.report(3, "eu/ams 2 192.0.2.10=up 198.51.100.10=down");
    let state = told.keeper.state(second(4));
    let json = serde_json::to_string(&state).expect("a state is plain data");
    let state: State = serde_json::from_str(&json).expect("and reads back");

    let keeper = Keeper::new(plan(held(Failback::Manual)), Some(state.clone()), second(100));
    let standing = keeper.health().endpoint(FRA, EU, Family::V4);
    assert_eq!((standing.verdict, standing.stale, standing.since), (Verdict::Up, true, Some(second(3))));
    assert_eq!(keeper.health().endpoint(IAD, EU, Family::V4).control, Some(Control::ForceUp));
    assert!(keeper.health().holds(&hold(EU)));
    assert!(keeper.first().generation > told.keeper.first().generation);
    let again = keeper.state(second(100));
    assert_eq!(again.verdicts, state.verdicts);
    assert_eq!((again.controls, again.holds), (state.controls, state.holds));
}

#[test]
fn generations_grow_over_a_crash_and_have_no_end() {
    let saved = |generation| Some(State { generation, ..State::default() });
    let first = |state, now| Keeper::new(plan(world()), state, now).first().generation;
    assert_eq!(first(None, second(5)), 5_000);
    assert_eq!(first(saved(7), second(5)), 5_000, "published many more before it was killed");
    assert_eq!(first(saved(9_000), second(5)), 9_001);
    let mut keeper = Keeper::new(plan(world()), saved(u64::MAX), second(5));
    let step = keeper.apply(Event::Plan(plan(world())), second(6));
    assert_eq!(step.snapshot.map(|snapshot| snapshot.generation), Some(u64::MAX));
}

#[test]
fn a_restart_with_another_address_starts_unknown() {
    let mut told = Told::new(world());
    told.report(1, "eu/ams 1 192.0.2.10=down 198.51.100.10=down");
    let mut moved = World::new(&["eu", "us"]);
    moved.endpoint("fra", &["192.0.2.99"]);
    let keeper = Keeper::new(plan(moved), Some(told.keeper.state(second(2))), second(3));
    assert_eq!(keeper.health().endpoint(FRA, EU, Family::V4).verdict, Verdict::Unknown);
}

/// So many endpoints with an address each, and a report of a probe that says the same of all.
fn many(count: u16) -> (World, impl Fn(u64, &str) -> String) {
    let mut world = World::new(&["eu"]);
    let address = |number: u16| format!("10.0.{}.{}", number >> 8, number & 255);
    for number in 0..count {
        world.endpoint(&format!("e{number}"), &[&address(number)]);
    }
    let report = move |number: u64, opinion: &str| {
        let said = (0..count).map(|endpoint| format!(" {}={opinion}", address(endpoint)));
        format!("eu/ams {number}{}", said.collect::<String>())
    };
    (world, report)
}

#[test]
fn of_many_that_turn_alike_one_fact_tells_and_of_few_one_each() {
    let (world, says) = many(10);
    let mut told = Told::new(world);
    assert_eq!(told.report(1, &says(1, "up")).len(), 10);
    let (world, says) = many(2001);
    let mut told = Told::new(world);
    let named = "e0, e1, e2, e3, e4, e5, e6, e7, e8, e9 and 990 more";
    let facts = told.report(1, &says(1, "up"));
    assert_eq!(facts.len(), 3, "a line is not too long for programs: {facts:?}");
    assert_eq!(facts[0], format!("eu: 1000 endpoints Unknown -> Up (1 of 1 probes): {named}"));
    assert_eq!(facts[2], "eu: e2000 Unknown -> Up (1 of 1 probes)");
}

#[test]
fn where_the_map_is_large_what_turns_soon_after_something_else_waits_a_little() {
    let (world, says) = many(5_000);
    let mut told = Told::new(world);
    let mut apply = |at: u64, event: Event| {
        let step = told.keeper.apply(event, Moment(at));
        (step.facts.len(), told.keeper.due())
    };
    let report = |number: u64, opinion: &str| {
        Event::Report(Report { sent: Moment(10_000), ..report(&says(number, opinion)) })
    };
    assert_eq!(apply(10_000, report(1, "up")), (5, None), "the first that turn wait for nothing");
    // 5,000 standings, 4 us each
    assert_eq!(apply(10_010, report(2, "down")), (0, Some(Moment(10_020))));
    assert_eq!(apply(10_015, Event::Tick), (0, Some(Moment(10_020))));
    assert_eq!(apply(10_020, Event::Tick), (5, None));
}

fn held(failback: Failback) -> World {
    let mut world = world();
    world.change(PoolId(0)).failback = failback;
    world
}

fn hold(region: RegionId) -> Slot {
    Slot { pool: PoolId(0), member: 0, situation: SituationId::at(region.index()), family: Family::V4 }
}

#[test]
fn a_recovered_member_waits_for_the_operator() {
    let mut told = Told::new(held(Failback::Manual));
    told.report(0, "eu/ams 1 192.0.2.10=up");
    assert!(!told.keeper.health().holds(&hold(EU)), "it was never down");
    told.report(1, "eu/ams 2 192.0.2.10=down");
    told.report(2, "eu/ams 3 192.0.2.10=up");
    assert!(told.keeper.health().holds(&hold(EU)));
    told.report(3, "eu/ams 4 192.0.2.10=down");
    assert!(!told.keeper.health().holds(&hold(EU)), "down is down");
    told.report(4, "eu/ams 5 192.0.2.10=up");
    told.hear(100_000, Event::Tick);
    assert!(told.keeper.health().holds(&hold(EU)));
    let facts = told.hear(100_001, Event::Failback { pool: "www".into() });
    assert_eq!(facts, ["pool www: recovered members are used again"]);
    assert!(!told.keeper.health().holds(&hold(EU)));
}

#[test]
fn a_recovered_member_waits_for_its_time() {
    let mut told = Told::new(held(Failback::After(Duration::from_secs(30))));
    told.report(1, "eu/ams 1 192.0.2.10=down");
    told.report(2, "eu/ams 2 192.0.2.10=up");
    told.report(31, "eu/ams 3 192.0.2.10=up");
    assert!(told.keeper.health().holds(&hold(EU)) && told.keeper.health().holds(&hold(US)));
    let facts = told.report(32, "eu/ams 4 192.0.2.10=up");
    assert_eq!(facts, ["pool www: recovered members are used again"]);
    assert!(!told.keeper.health().holds(&hold(EU)) && !told.keeper.health().holds(&hold(US)));
}

#[test]
fn a_nested_pool_that_recovers_waits_too() {
    let mut world = world();
    let spare = Use::Endpoint(world.endpoint("spare", &["203.0.113.1"]));
    let top = world.pool("top", Policy::Failover, &[Use::Pool(PoolId(0)), spare]);
    world.change(top).failback = Failback::Manual;
    let mut told = Told::new(world);
    told.report(1, "eu/ams 1 192.0.2.10=down 198.51.100.10=down");
    told.report(2, "eu/ams 2 192.0.2.10=down 198.51.100.10=up");
    assert!(told.keeper.health().holds(&Slot { pool: top, ..hold(EU) }));
}

#[test]
fn who_is_used_for_want_of_another_keeps_its_clients_when_a_better_one_recovers() {
    let mut told = Told::new(held(Failback::Manual));
    let says = |told: &mut Told, at: u64, fra: &str, iad: &str| {
        told.report(at, &format!("eu/ams {at} 192.0.2.10={fra} 198.51.100.10={iad}"));
        [0, 1].map(|member| told.keeper.health().holds(&Slot { member, ..hold(EU) }))
    };
    assert_eq!(says(&mut told, 1, "down", "up"), [false, false]);
    assert_eq!(says(&mut told, 2, "up", "up"), [true, false], "iad serves");
    assert_eq!(says(&mut told, 3, "up", "down"), [false, false], "fra serves");
    assert_eq!(says(&mut told, 4, "up", "up"), [false, true]);
    assert_eq!(says(&mut told, 5, "down", "up"), [false, false], "iad serves");
    assert_eq!(says(&mut told, 6, "up", "up"), [true, false], "and goes on");
}

#[test]
fn a_member_without_the_family_is_nobody_else_to_use() {
    let mut told = Told::new(held(Failback::Manual));
    told.report(1, "eu/ams 1 2001:db8::10=down");
    told.report(2, "eu/ams 2 2001:db8::10=up");
    assert!(!told.keeper.health().holds(&Slot { family: Family::V6, ..hold(EU) }), "iad has no IPv6");
}

#[test]
fn who_comes_back_because_an_operator_spoke_does_not_wait() {
    let mut told = Told::new(held(Failback::Manual));
    told.report(1, "eu/ams 1 192.0.2.10=up 198.51.100.10=up");
    told.control(2, "fra", Some(Control::Drain));
    told.control(3, "fra", None);
    assert!(!told.keeper.health().holds(&hold(EU)), "released");
    told.report(4, "eu/ams 4 192.0.2.10=down 198.51.100.10=up");
    told.control(5, "fra", Some(Control::ForceUp));
    assert!(!told.keeper.health().holds(&hold(EU)), "forced up");
    told.control(6, "fra", None);
    told.report(7, "eu/ams 7 192.0.2.10=up 198.51.100.10=up");
    assert!(told.keeper.health().holds(&hold(EU)), "recovered by itself");
}

#[test]
fn nobody_waits_longer_because_the_clock_was_set_back() {
    let wait = Failback::After(Duration::from_secs(30));
    let mut told = Told::new(held(wait));
    told.report(1000, "eu/ams 1 192.0.2.10=down");
    told.report(1001, "eu/ams 2 192.0.2.10=up");
    let state = told.keeper.state(second(1002));
    told.keeper = Keeper::new(plan(held(wait)), Some(state), second(100));
    told.hear(129, Event::Tick);
    assert!(told.keeper.health().holds(&hold(EU)));
    told.hear(130, Event::Tick);
    assert!(!told.keeper.health().holds(&hold(EU)));
}

/// Reports of four probes, in the order of their numbers; what is said under one number never changes.
/// What a probe may say of a target is given.
fn reports(said: &'static [&'static str]) -> impl Strategy<Value = Vec<Report>> {
    let said = || proptest::sample::select(said);
    let probe = proptest::sample::select(vec!["eu/ams", "eu/fra", "us/nyc", "mars/rover"]);
    let one = (probe, 1..5u64, said(), said(), said()).prop_map(|(probe, number, a, b, c)| {
        report(&format!("{probe} {number} 192.0.2.10={a} 2001:db8::10={b} 198.51.100.10={c}"))
    });
    proptest::collection::vec(one, 0..12).prop_map(|mut reports| {
        reports.sort_by_key(|report| (report.probe.clone(), report.number));
        reports.dedup_by_key(|report| (report.probe.clone(), report.number));
        reports
    })
}

/// Of probes that have made up their minds: where nobody votes, the last verdict stands, and that is the
/// one thing that depends on what was heard before.
const DECIDED: &[&str] = &["up", "down"];
const ANY: &[&str] = &["up", "down", "unknown"];

fn after(reports: &[Report], at: Moment) -> Keeper {
    let mut keeper = Keeper::new(plan(world()), None, second(0));
    for report in reports {
        keeper.apply(Event::Report(report.clone()), at);
    }
    keeper.apply(Event::Tick, at);
    keeper
}

proptest! {
    #[test]
    fn the_same_reports_in_any_order_and_number_give_bit_identical_maps(
        (reports, mixed) in reports(DECIDED).prop_flat_map(|reports| {
            let twice = [reports.clone(), reports.clone()].concat();
            (Just(reports), Just(twice).prop_shuffle())
        }),
    ) {
        let (straight, mixed) = (after(&reports, second(1)), after(&mixed, second(1)));
        prop_assert_eq!(straight.health(), mixed.health());
    }

    #[test]
    fn whoever_missed_reports_is_right_after_the_next(
        reports in reports(DECIDED), missed in 0..12usize) {
        let newest = |report: &Report| Report { number: 9, ..report.clone() };
        let last: Vec<Report> = ["ams", "fra", "nyc", "rover"].iter().filter_map(|probe| {
            reports.iter().rev().find(|report| &*report.probe == *probe).map(newest)
        }).collect();
        let whole = after(&[reports.clone(), last.clone()].concat(), second(1));
        let gappy = after(&[reports[missed.min(reports.len())..].to_vec(), last].concat(), second(1));
        prop_assert_eq!(whole.health(), gappy.health());
    }

    #[test]
    fn silence_and_jumps_of_the_clock_never_turn_anything_down(
        reports in reports(ANY), jumps in proptest::collection::vec(0..u64::MAX / 4000, 1..4),
    ) {
        let mut keeper = after(&reports, second(1));
        let before = keeper.health().clone();
        let generation = keeper.first().generation;
        let mut now = second(1);
        for jump in jumps {
            now = now.plus(Duration::from_secs(jump));
            let step = keeper.apply(Event::Tick, now);
            let turned_down = |fact: &Fact| matches!(fact, Fact::Turned { to: Verdict::Down, .. });
            // a probe that falls silent leaves its region to the others, who may have said down all along
            let all_silent = keeper.probes(now).iter().all(|probe| !probe.fresh);
            prop_assert!(!all_silent || !step.facts.iter().any(turned_down));
            prop_assert!(step.snapshot.is_none_or(|snapshot| snapshot.generation > generation));
            for family in Family::BOTH {
                for (endpoint, region) in [(FRA, EU), (FRA, US), (IAD, EU), (IAD, US)] {
                    let (was, is) = (before.endpoint(endpoint, region, family), keeper.health().endpoint(endpoint, region, family));
                    prop_assert_eq!(was.verdict, is.verdict);
                }
            }
        }
    }
}
