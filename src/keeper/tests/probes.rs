//! Stories of probes that are not to be believed, and of what a report costs.

use super::*;
use crate::keeper::names::{Names, STRANGERS_MAX};
use crate::keeper::probes::{PROBES_MAX, Probes};

const HOUR: u64 = 3_600;
const NOON: u64 = 2 * HOUR;

fn status<'s>(told: &Told, at: u64, name: &str, status: &'s mut Vec<ProbeStatus>) -> &'s ProbeStatus {
    *status = told.keeper.probes(second(at));
    status.iter().find(|probe| *probe.name == *name).expect("it is known")
}

#[test]
fn a_report_that_is_not_newer_is_dropped_and_counted_and_told_of_once_a_minute() {
    let mut told = Told::new(world());
    told.report(1, "eu/ams 5 192.0.2.10=up");
    let older = ["probe ams: a report is not heard: what it says is older than what is held"];
    let replayed = ["probe ams: a report is not heard: what it says was heard before"];
    assert_eq!(told.report(2, "eu/ams 4 192.0.2.10=down"), older);
    assert_eq!(told.report(2, "eu/ams 5 192.0.2.10=down"), replayed);
    for at in 3..7 {
        assert_eq!(told.report(at, "eu/ams 3 192.0.2.10=down"), Vec::<String>::new());
    }
    told.hear(20, Event::Tick);
    assert_eq!(told.report(62, "eu/ams 3 192.0.2.10=down"), older);
    assert_eq!(told.verdict(FRA, EU), Verdict::Up);
    assert_eq!(told.keeper.dropped(), Dropped { replayed: 1, older: 6, ..Dropped::default() });
}

#[test]
fn a_clock_that_is_an_hour_off_turns_nothing_down_and_is_shown() {
    for (sent, said) in [(3 * HOUR, "its clock is 3600 s ahead"), (HOUR, "its clock is 3600 s behind")] {
        let mut told = Told::new(world());
        told.keeper = Keeper::new(plan(world()), None, second(NOON));
        told.report(NOON, "us/nyc 1 192.0.2.10=up");
        let wrong = |number: u64| Report {
            sent: second(sent),
            ..report(&format!("eu/ams {number} 192.0.2.10=down"))
        };
        assert_eq!(
            told.hear(NOON, Event::Report(wrong(1))),
            [format!("probe ams: a report is not heard: {said}")]
        );
        assert_eq!(told.hear(NOON, Event::Report(wrong(2))), Vec::<String>::new());
        assert_eq!(told.verdict(FRA, EU), Verdict::Up, "as nyc says");
        let mut all = Vec::new();
        let ams = status(&told, NOON, "ams", &mut all);
        assert_eq!((ams.region, ams.age, ams.fresh), (EU, None, false));
        let [refused] = ams.refused[..] else { panic!("for one reason") };
        assert_eq!((refused.reason.to_string().as_str(), refused.reports), (said, 2));
        told.hear(NOON + 61, Event::Tick);
        assert_eq!(told.keeper.probes(second(NOON + 61)).len(), 1, "it gave up");
    }
}

#[test]
fn of_two_probes_with_one_name_the_second_is_shown_and_not_heard() {
    let mut told = Told::new(world());
    let second_one = |at: u64| {
        let said = report(&format!("eu/ams {at} 192.0.2.10=down"));
        Event::Report(Report { instance: 2, sent: second(at), ..said })
    };
    told.report(2, "eu/ams 1 192.0.2.10=up");
    assert_eq!(told.hear(3, second_one(3)), Vec::<String>::new(), "it may be a restart");
    told.report(4, "eu/ams 2 192.0.2.10=up");
    assert_eq!(
        told.hear(5, second_one(5)),
        ["probe ams: a report is not heard: it is the second one to run under this name"]
    );
    assert_eq!(told.verdict(FRA, EU), Verdict::Up);
    let mut all = Vec::new();
    let ams = status(&told, 5, "ams", &mut all);
    assert_eq!((ams.number, ams.fresh), (2, true));
    let refused = Refused { reason: Reason::Second, since: second(3), last: second(5), reports: 2 };
    assert_eq!(ams.refused, [refused]);

    // the first is killed: after one and a half of its intervals the second is heard
    assert_eq!(told.hear(7, second_one(7)), Vec::<String>::new());
    told.hear(8, second_one(8));
    assert_eq!(told.verdict(FRA, EU), Verdict::Down);
    let ams = status(&told, 8, "ams", &mut all);
    assert_eq!((ams.number, ams.refused.len()), (8, 0));
}

#[test]
fn a_restarted_probe_counts_from_anew() {
    let mut told = Told::new(world());
    told.report(1, "eu/ams 5000 192.0.2.10=up");
    let restarted = |at: u64, number: u64| {
        let said = report(&format!("eu/ams {number} 192.0.2.10=down"));
        Event::Report(Report { instance: 9, sent: second(at), ..said })
    };
    told.hear(3, restarted(3, 1));
    assert_eq!(told.verdict(FRA, EU), Verdict::Up);
    told.hear(5, restarted(5, 2));
    assert_eq!(told.verdict(FRA, EU), Verdict::Down);
    told.report(20, "eu/ams 5001 192.0.2.10=up");
    assert_eq!(told.verdict(FRA, EU), Verdict::Up, "and so does one that comes back");
}

#[test]
fn no_interval_keeps_votes_fresh_for_long() {
    let mut told = Told::new(world());
    told.hear(0, Event::Report(Report { interval_ms: u32::MAX, ..report("eu/ams 1 192.0.2.10=up") }));
    told.hear(0, Event::Report(Report { interval_ms: 0, ..report("eu/fra 1 192.0.2.10=up") }));
    let fresh = |at| told.keeper.probes(Moment(at)).iter().map(|probe| probe.fresh).collect::<Vec<_>>();
    assert_eq!(fresh(3), [true, true]);
    assert_eq!(fresh(180_000), [true, false]);
    assert_eq!(fresh(180_001), [false, false]);
}

#[test]
fn there_is_room_for_so_many_probes_and_for_some_strangers_in_a_report() {
    let names = Names::of(&world().inventory);
    let mut probes = Probes::default();
    let mut crowd = report("eu/ams 1 192.0.2.10=up");
    crowd.targets = vec![TargetReport { monitor: "other".into(), ..crowd.targets[0].clone() }; 5_000];
    crowd.targets.extend(report("eu/ams 1 198.51.100.10=down").targets);
    let mut cut = crowd.clone();
    names.cut(&mut cut);
    assert_eq!(cut.targets.len(), STRANGERS_MAX + 1);
    let turned = probes.hear(crowd, &names, second(0)).expect("it counts");
    assert_eq!(turned.len(), 1, "what is known is not cut");
    for n in 1..PROBES_MAX {
        let one = Report { probe: format!("p{n}").into(), ..report("eu/p 1") };
        assert_eq!(probes.hear(one, &names, second(0)), Ok(Vec::new()));
    }
    let crowded = Fact::ReportDropped { probe: "late".into(), reason: Reason::Crowded };
    assert_eq!(probes.hear(report("eu/late 1"), &names, second(0)), Err(Some(crowded)));
    assert_eq!(probes.hear(report("eu/later 1"), &names, second(0)), Err(None));
    assert_eq!(probes.dropped().crowded, 2);
    assert_eq!(probes.hear(report("eu/ams 2"), &names, second(0)), Ok(vec![TargetId(2)]));
}
/// Four endpoints, watched from `eu` and `us`.
fn four() -> World {
    let mut world = World::new(&["eu", "us"]);
    for number in 1..=4 {
        world.endpoint(&format!("e{number}"), &[&format!("192.0.2.{number}")]);
    }
    world
}

/// What a probe says of the four: `+` or `-` of each.
fn of_four(probe: &str, number: u64, signs: &str) -> String {
    let word = |sign| if sign == '+' { "up" } else { "down" };
    let targets = (1..).zip(signs.chars()).map(|(place, sign)| format!("192.0.2.{place}={}", word(sign)));
    format!("{probe} {number} {}", targets.collect::<Vec<_>>().join(" "))
}

#[test]
fn a_probe_that_sees_another_world_is_isolated_until_it_agrees_again() {
    let mut told = Told::new(four());
    let mut all = Vec::new();
    for (at, eu) in [(1, "++++"), (3, "----"), (5, "----"), (7, "----"), (9, "----"), (11, "----")] {
        told.report(at, &of_four("us/nyc", at, "++++"));
        told.report(at, &of_four("us/sfo", at, "++++"));
        told.report(at, &of_four("eu/ams", at, eu));
        assert_eq!(told.verdict(EndpointId(0), EU), Verdict::Up, "nobody else sees that");
    }
    let ams = status(&told, 11, "ams", &mut all);
    assert_eq!(ams.isolation, Some(Isolation { disagrees: 4, of: 4, since: second(3) }));
    assert!(ams.fresh);
    assert_eq!(
        told.hear(13, Event::Tick),
        ["probe ams is isolated, its votes do not count: it disagrees about 4 of 4 targets"]
    );
    assert_eq!(
        told.report(14, &of_four("eu/ams", 14, "--++")),
        [
            "probe ams agrees with the rest again: its votes count",
            "eu: e1 Up -> Down (1 of 1 probes, refused)",
            "eu: e2 Up -> Down (1 of 1 probes, refused)",
        ]
    );
    assert_eq!(status(&told, 14, "ams", &mut all).isolation, None);
}

#[test]
fn what_one_region_sees_alone_is_believed_there() {
    let mut told = Told::new(four());
    told.report(1, &of_four("us/nyc", 1, "++++"));
    told.report(1, &of_four("us/sfo", 1, "++++"));
    told.report(1, &of_four("eu/ams", 1, "-+++"));
    let verdicts = [EU, US].map(|region| told.verdict(EndpointId(0), region));
    assert_eq!(verdicts, [Verdict::Down, Verdict::Up]);
}

#[test]
fn when_all_die_at_once_who_sees_it_first_waits_for_the_others() {
    let mut told = Told::new(four());
    for probe in ["eu/ams", "us/nyc", "us/sfo"] {
        told.report(1, &of_four(probe, 1, "++++"));
    }
    assert_eq!(told.report(2, &of_four("eu/ams", 2, "----")), Vec::<String>::new());
    let facts = told.report(2, &of_four("us/nyc", 2, "----"));
    assert_eq!(facts.len(), 4, "two of three: now the last one is on its own: {facts:?}");
    assert_eq!([EU, US].map(|region| told.verdict(EndpointId(3), region)), [Verdict::Down; 2]);
}

#[test]
fn while_the_line_is_cut_only_what_turned_after_a_region_was_heard_turns_for_it() {
    let mut told = Told::new(world());
    let line = |silent_since: Option<u64>| Event::Line { silent_since: silent_since.map(second) };
    told.hear(0, line(Some(0)));
    told.report(1, &format!("eu/own 1 {ALL_UP}"));
    told.hear(1, line(None));
    told.report(2, "us/nyc 1 192.0.2.10=down 2001:db8::10=up 198.51.100.10=up");
    // Cut again before it was whole: what eu saw since the first cut is older than what us said.
    told.hear(4, line(Some(2)));
    (3..10).for_each(|at| drop(told.report(at, &format!("eu/own {at} {ALL_UP}"))));
    assert_eq!((told.verdict(FRA, EU), told.verdict(FRA, US)), (Verdict::Up, Verdict::Down));
    told.report(10, "eu/own 10 192.0.2.10=up 2001:db8::10=up 198.51.100.10=down");
    assert_eq!((told.verdict(IAD, EU), told.verdict(IAD, US)), (Verdict::Down, Verdict::Down));
}

#[test]
fn however_often_probes_report_a_line_that_is_cut_is_noticed_before_their_votes_are_stale() {
    let mut told = Told::new(world());
    let often = |text: &str| Event::Report(Report { interval_ms: 100, ..report(text) });
    let down_for_us = "192.0.2.10=down 2001:db8::10=up 198.51.100.10=up";
    told.hear(1, often(&format!("us/nyc 1 {down_for_us}")));
    told.hear(1, often(&format!("eu/own 1 {ALL_UP}")));
    // Cut right then: it is noticed after one and a half seconds, by the tick that follows.
    told.hear(3, often(&format!("eu/own 2 {ALL_UP}")));
    told.hear(3, Event::Tick);
    told.hear(4, Event::Line { silent_since: Some(second(1)) });
    (4..30).for_each(|at| drop(told.hear(at, often(&format!("eu/own {at} {ALL_UP}")))));
    told.hear(30, Event::Tick);
    let standing = told.keeper.health().endpoint(FRA, US, Family::V4);
    assert_eq!((standing.verdict, standing.stale), (Verdict::Down, true));
}

#[test]
fn probes_of_one_site_have_one_vote() {
    let mut world = four();
    world.inventory.sites = vec!["docklands".into()];
    let named = |name: &str| ProbeSettings { name: name.into(), site: Some(SiteId(0)) };
    world.inventory.probes = vec![named("one"), named("two"), named("three")];
    let mut told = Told::new(world);
    for probe in ["eu/one", "eu/two", "eu/three"] {
        told.report(1, &of_four(probe, 1, "-+++"));
    }
    assert_eq!(told.verdict(EndpointId(0), EU), Verdict::Down);
    told.report(1, &of_four("eu/four", 1, "++++"));
    assert_eq!(told.verdict(EndpointId(0), EU), Verdict::Up, "1 of 2, and not 3 of 4");
    told.hear(2, Event::Plan(plan(four())));
    assert_eq!(told.verdict(EndpointId(0), EU), Verdict::Down, "3 of 4");
}

#[test]
fn a_verdict_turns_at_once_and_what_else_is_in_a_report_within_a_second() {
    let mut told = Told::new(world());
    let standing = |told: &Told| *told.keeper.health().endpoint(FRA, EU, Family::V4);
    let at = |ms: u64, number: u64, said: &str, rtt: u32| {
        let mut said = report(&format!("eu/ams {number} 192.0.2.10={said}"));
        said.targets[0].rtt_us = Some(rtt);
        (Event::Report(Report { sent: Moment(ms), ..said }), Moment(ms))
    };
    let mut hear = |(event, now)| told.keeper.apply(event, now).snapshot.is_some();
    assert!(hear(at(1_000, 1, "up", 700)));
    assert!(!hear(at(1_200, 2, "up", 500)));
    assert!(hear(at(1_300, 3, "down", 400)), "it turned");
    assert!(!hear(at(1_400, 4, "down", 300)));
    let turned = standing(&told);
    assert_eq!((turned.verdict, turned.evidence.rtt_us), (Verdict::Down, Some(400)));
    told.keeper.apply(Event::Tick, Moment(2_000));
    assert_eq!(standing(&told).evidence.rtt_us, Some(300));
}

/// Fleets of up to six probes, some of one site, that watch four targets.
fn fleets() -> impl Strategy<Value = Vec<Report>> {
    let probes = ["eu/a", "eu/b", "eu/c", "us/d", "us/e", "us/f"];
    let signs = proptest::collection::vec(proptest::sample::select(vec!['+', '-']), 4);
    let one = (proptest::sample::select(probes.to_vec()), 1..4u64, signs);
    let one =
        one.prop_map(|(probe, number, signs)| report(&of_four(probe, number, &String::from_iter(signs))));
    proptest::collection::vec(one, 0..20).prop_map(|mut reports| {
        reports.sort_by_key(|report| (report.probe.clone(), report.number));
        reports.dedup_by_key(|report| (report.probe.clone(), report.number));
        reports
    })
}

fn heard(reports: &[Report]) -> Keeper {
    let mut world = four();
    world.inventory.sites = vec!["docklands".into()];
    let named = |name: &str| ProbeSettings { name: name.into(), site: Some(SiteId(0)) };
    world.inventory.probes = vec![named("a"), named("d"), named("e")];
    let mut keeper = Keeper::new(plan(world), None, second(0));
    for report in reports {
        keeper.apply(Event::Report(report.clone()), Moment(500));
    }
    keeper
}

proptest! {
    #[test]
    fn what_is_done_at_once_is_what_working_out_everything_comes_to(reports in fleets()) {
        let mut keeper = heard(&reports);
        let verdicts = |keeper: &Keeper| keeper.health().fingerprint(&keeper.plan().inventory);
        let at_once = verdicts(&keeper);
        keeper.apply(Event::Tick, Moment(500));
        prop_assert_eq!(at_once, verdicts(&keeper));
    }

    #[test]
    fn maps_have_the_same_fingerprint_if_they_have_the_same_verdicts_and_only_then(
        one in fleets(), other in fleets(),
    ) {
        let [one, other] = [heard(&one), heard(&other)];
        let verdicts = |keeper: &Keeper| {
            let of = |endpoint| [EU, US].map(|region| keeper.health().endpoint(endpoint, region, Family::V4).verdict);
            (0..4).map(|endpoint| of(EndpointId(endpoint))).collect::<Vec<_>>()
        };
        let fingerprint = |keeper: &Keeper| keeper.health().fingerprint(&keeper.plan().inventory);
        prop_assert_eq!(verdicts(&one) == verdicts(&other), fingerprint(&one) == fingerprint(&other));
    }

    #[test]
    fn the_same_reports_in_any_order_isolate_the_same_and_have_the_same_fingerprint(
        (reports, mixed) in fleets().prop_flat_map(|reports| (Just(reports.clone()), Just(reports).prop_shuffle())),
    ) {
        let [one, two] = [heard(&reports), heard(&mixed)];
        let told = |keeper: &Keeper| {
            let isolated = |probe: ProbeStatus| (probe.name, probe.isolation);
            let isolated: Vec<_> = keeper.probes(Moment(500)).into_iter().map(isolated).collect();
            (isolated, keeper.health().fingerprint(&keeper.plan().inventory))
        };
        prop_assert_eq!(told(&one), told(&two));
    }
}
