//! Probes that fail, in a fleet whose servers have none of their own: each region has one.

use crate::fleet::{AP, EU, Fleet, Setup, US};
use crate::{A_MOMENT, A_WHILE};

#[test]
fn whatever_befalls_probes_nothing_turns_down_for_want_of_them() {
    let mut fleet = Fleet::start(Setup::OneProbeARegion);
    fleet.all_say(["eu", "eu", "eu"]);
    fleet.until_all_see("us/us-probe", "is heard", is_fresh);

    of_two_probes_under_one_name_the_second_is_refused(&mut fleet);
    a_clock_that_jumps_an_hour_turns_nothing(&fleet);
    a_region_whose_probes_are_all_killed_is_judged_by_the_others(&mut fleet);
    without_any_probe_the_last_map_stands(&mut fleet);
}

/// The second one sees another world, so that it would be noticed if it counted.
fn of_two_probes_under_one_name_the_second_is_refused(fleet: &mut Fleet) {
    let watch = fleet.watch(["eu", "eu", "eu"]);
    let twin = fleet.start_twin(US);
    fleet.hide(EU, &[&twin]);
    fleet.until_all_see("us/us-probe", "has a second one", |line| is_fresh(line) && line.contains(SECOND));
    assert!(fleet.metric(AP, "windrose_reports_refused_total{reason=\"second\"}") > 0.0);
    fleet.said_the_same(watch, A_WHILE);

    let probe = fleet.probes[US].clone();
    fleet.kill(&probe);
    fleet.all_say(["eu", "us", "eu"]);
    fleet.until_all_see("us/us-probe", "is heard", |line| is_fresh(line) && !line.contains(SECOND));

    fleet.kill(&twin);
    fleet.show(EU, &[]);
    fleet.start_probe(US);
    fleet.all_say(["eu", "eu", "eu"]);
}

/// A probe's one way, a server's the other way, then both back; and the same with the ways swapped.
fn a_clock_that_jumps_an_hour_turns_nothing(fleet: &Fleet) {
    for hour in [3600, -3600] {
        let watch = fleet.watch(["eu", "eu", "eu"]);
        fleet.set_clock(&fleet.probes[US], hour);
        fleet.until_all_see("us/us-probe", "is stale", |line| {
            line.contains("stale") && line.contains("its clock is")
        });
        fleet.set_clock(&fleet.servers[AP], -hour);
        fleet.until_it_prints(AP, &["status"], "(stale");
        let all_refused = |line: &str| line.contains("stale") && line.contains("its clock is");
        fleet.until("all probes are refused", || {
            let status = fleet.run(AP, &["status"]);
            let probes = status.lines().filter(|line| line.contains("-probe: "));
            if probes.filter(|line| all_refused(line)).count() == 3 { Ok(()) } else { Err(status) }
        });
        fleet.set_clock(&fleet.probes[US], 0);
        fleet.set_clock(&fleet.servers[AP], 0);
        fleet.until_all_see("us/us-probe", "is heard again", is_fresh);
        fleet.said_the_same(watch, A_MOMENT);
    }
}

fn a_region_whose_probes_are_all_killed_is_judged_by_the_others(fleet: &mut Fleet) {
    let probe = fleet.probes[US].clone();
    fleet.hide(EU, &[&probe]);
    fleet.all_say(["eu", "us", "eu"]);
    fleet.kill(&probe);
    fleet.until_all_see("us/us-probe", "is stale", |line| line.contains("stale"));
    fleet.all_say(["eu", "eu", "eu"]);
    fleet.show(EU, &[&probe]);
    let endpoint = fleet.endpoints[EU].clone();
    fleet.kill(&endpoint);
    fleet.all_say(["us", "us", "us"]);
}

/// Goes on from there: an endpoint is down, and that stays so, though it recovers; also for one who restarts.
fn without_any_probe_the_last_map_stands(fleet: &mut Fleet) {
    let watch = fleet.watch(["us", "us", "us"]);
    for region in [EU, AP] {
        let probe = fleet.probes[region].clone();
        fleet.kill(&probe);
    }
    for server in [EU, US, AP] {
        fleet.until_it_prints(server, &["status"], "(stale");
    }
    fleet.start_endpoint(EU);
    fleet.said_the_same(watch, A_WHILE);

    let server = fleet.servers[EU].clone();
    fleet.kill(&server);
    fleet.start_server(EU);
    fleet.all_say(["us", "us", "us"]);

    let watch = fleet.watch(["us", "us", "us"]);
    fleet.said_the_same(watch, A_MOMENT);
    [EU, US, AP].into_iter().for_each(|region| fleet.start_probe(region));
    fleet.all_say(["eu", "eu", "eu"]);
}

fn is_fresh(line: &str) -> bool {
    !line.contains("stale") && !line.contains("not heard")
}

const SECOND: &str = "it is the second one to run under this name";
