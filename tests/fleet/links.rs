//! Links that break, and NATS servers and servers that end.

use std::time::Duration;

use crate::fleet::{AP, EU, Fleet, Setup, US};
use crate::ground::Host;
use crate::{A_MOMENT, A_WHILE};

#[test]
fn whatever_befalls_nats_no_answer_changes_for_it() {
    let mut fleet = Fleet::start(Setup::Usual);
    fleet.all_say(["eu", "eu", "eu"]);
    for server in [EU, US, AP] {
        fleet.until_it_prints(server, &["status"], "us/us-probe");
    }
    an_endpoint_that_one_region_cannot_reach_is_not_answered_there(&fleet);
    nats_that_is_cut_off_from_half_the_servers_changes_no_answer(&fleet);
    nats_that_is_restarted_changes_no_answer(&mut fleet);
    an_endpoint_that_can_be_reached_again_is_answered_again(&fleet);
    nats_servers_that_are_parted_change_no_answer_where_all_see_the_same(&fleet);
}

#[test]
fn a_fleet_that_loses_one_part_after_another_goes_on() {
    let mut fleet = Fleet::start(Setup::Usual);
    fleet.all_say(["eu", "eu", "eu"]);
    for server in [EU, US, AP] {
        fleet.until_it_prints(server, &["status"], "us/us-probe");
    }
    a_probe_that_is_cut_off_from_half_the_world_is_isolated(&fleet);
    a_region_whose_probe_is_killed_is_judged_by_those_that_are_left(&mut fleet);
    without_nats_no_answer_changes(&mut fleet);
    a_server_that_restarts_alone_answers_from_what_it_knew(&mut fleet);
}

/// The essential one. It stays so for what comes next.
fn an_endpoint_that_one_region_cannot_reach_is_not_answered_there(fleet: &Fleet) {
    fleet.hide(EU, &of_us(fleet));
    fleet.all_say(["eu", "us", "eu"]);
}

fn an_endpoint_that_can_be_reached_again_is_answered_again(fleet: &Fleet) {
    fleet.show(EU, &of_us(fleet));
    fleet.all_say(["eu", "eu", "eu"]);
}

/// Two of three, of which one sees another world than the other.
fn nats_that_is_cut_off_from_half_the_servers_changes_no_answer(fleet: &Fleet) {
    let watch = fleet.watch(["eu", "us", "eu"]);
    let nats: Vec<&Host> = fleet.nats.iter().collect();
    let cut_off = [EU, US];
    cut_off.iter().for_each(|server| fleet.cut(&fleet.servers[*server], &nats));
    for server in cut_off {
        fleet.until_it_prints(server, &["status"], "not linked");
    }
    for server in cut_off {
        fleet.until_it_sees(server, "ap/ap-probe", "is stale", |line| line.contains("stale"));
    }
    cut_off.iter().for_each(|server| fleet.mend(&fleet.servers[*server]));
    for server in cut_off {
        fleet.until_it_prints(server, &["status"], "fleet       linked to");
    }
    fleet.said_the_same(watch, AFTERWARDS);
}

fn nats_that_is_restarted_changes_no_answer(fleet: &mut Fleet) {
    let watch = fleet.watch(["eu", "us", "eu"]);
    for region in [EU, US, AP] {
        let nats = fleet.nats[region].clone();
        fleet.kill(&nats);
    }
    for server in [EU, US, AP] {
        fleet.until_it_prints(server, &["status"], "not linked");
    }
    for region in [EU, US, AP] {
        fleet.start_nats(region);
    }
    for server in [EU, US, AP] {
        fleet.until_it_prints(server, &["status"], "fleet       linked to");
    }
    fleet.said_the_same(watch, AFTERWARDS);
}

/// Each side goes by the probes that it hears.
fn nats_servers_that_are_parted_change_no_answer_where_all_see_the_same(fleet: &Fleet) {
    let watch = fleet.watch(["eu", "eu", "eu"]);
    let [eu, us, ap] = [EU, US, AP].map(|region| &fleet.nats[region]);
    fleet.cut(eu, &[us, ap]);
    fleet.cut(us, &[eu, ap]);
    fleet.cut(ap, &[eu, us]);
    fleet.until("somebody is not heard", || {
        let stale = [EU, US, AP].map(|server| fleet.run(server, &["status"]));
        if stale.iter().any(|status| status.contains("stale")) { Ok(()) } else { Err(stale.concat()) }
    });
    [eu, us, ap].into_iter().for_each(|nats| fleet.mend(nats));
    for region in ["eu", "us", "ap"] {
        fleet.until_all_see(&format!("{region}/{region}-probe"), "is heard", |line| !line.contains("stale"));
    }
    fleet.said_the_same(watch, A_WHILE);
}

/// It hears and reaches its own region only; NATS is there too.
fn a_probe_that_is_cut_off_from_half_the_world_is_isolated(fleet: &Fleet) {
    let watch = fleet.watch(["eu", "eu", "eu"]);
    let probe = &fleet.probes[US];
    fleet.hide(EU, &[probe]);
    fleet.hide(AP, &[probe]);
    fleet.until_all_see("us/us-probe", "is isolated", |line| {
        line.contains("isolated (disagrees about 2 of 3 targets)")
    });
    for server in [EU, US, AP] {
        let isolated = "windrose_probe_isolated{probe=\"us-probe\",region=\"us\"}";
        assert_eq!(fleet.metric(server, isolated), 1.0);
    }
    fleet.show(EU, &[probe]);
    fleet.show(AP, &[probe]);
    fleet.until_all_see("us/us-probe", "counts again", |line| !line.contains("isolated"));
    fleet.said_the_same(watch, A_WHILE);
}

fn a_region_whose_probe_is_killed_is_judged_by_those_that_are_left(fleet: &mut Fleet) {
    let watch = fleet.watch(["eu", "eu", "eu"]);
    let probe = fleet.probes[EU].clone();
    fleet.kill(&probe);
    fleet.until_all_see("eu/eu-probe", "is stale", |line| line.contains("stale"));
    fleet.said_the_same(watch, A_MOMENT);
    let endpoint = fleet.endpoints[EU].clone();
    fleet.kill(&endpoint);
    fleet.all_say(["us", "us", "us"]);
    fleet.start_endpoint(EU);
    fleet.all_say(["eu", "eu", "eu"]);
    fleet.start_probe(EU);
}

/// Each server's own probe still feeds it.
fn without_nats_no_answer_changes(fleet: &mut Fleet) {
    let watch = fleet.watch(["eu", "eu", "eu"]);
    for region in [EU, US, AP] {
        let nats = fleet.nats[region].clone();
        fleet.kill(&nats);
    }
    for server in [EU, US, AP] {
        fleet.until_it_prints(server, &["status"], "not linked");
    }
    fleet.said_the_same(watch, A_WHILE);
    let endpoint = fleet.endpoints[EU].clone();
    fleet.kill(&endpoint);
    fleet.all_say(["us", "us", "us"]);
}

/// No NATS, no probes: and the endpoint that is down stays out.
fn a_server_that_restarts_alone_answers_from_what_it_knew(fleet: &mut Fleet) {
    let server = fleet.servers[EU].clone();
    fleet.kill(&server);
    fleet.start_server(EU);
    fleet.all_say(["us", "us", "us"]);
    for region in [EU, US, AP] {
        fleet.start_nats(region);
    }
    fleet.start_endpoint(EU);
    fleet.all_say(["eu", "eu", "eu"]);
    fleet.until_it_prints(EU, &["status"], "us/us-probe");
}

/// The machines of a region that check.
fn of_us(fleet: &Fleet) -> [&Host; 2] {
    [&fleet.servers[US], &fleet.probes[US]]
}

/// For so long after a link is back nobody may say anything else: until all had the time to be heard, and longer.
const AFTERWARDS: Duration = Duration::from_secs(10);
