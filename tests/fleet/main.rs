//! A real fleet: three regions, each with a server, a probe, an endpoint and a NATS server, on hosts of their own.
//! What is asserted is what `dig` gets in each region.

mod fleet;
mod ground;

use std::time::{Duration, Instant};

use fleet::Fleet;

/// Longer than a report is fresh for.
const A_WHILE: Duration = Duration::from_secs(8);

#[test]
fn a_fleet_goes_on_whatever_fails() {
    let mut fleet = Fleet::start();
    fleet.all_say(["eu", "eu", "eu"]);
    for server in 0..3 {
        fleet.until_it_prints(server, &["status"], "us/us-probe");
    }

    if fleet.ground.has_links() {
        an_endpoint_that_one_region_cannot_reach_is_not_answered_there(&fleet);
        a_server_that_nobody_hears_answers_on(&fleet);
    }
    a_region_whose_probe_is_killed_is_judged_by_those_that_are_left(&mut fleet);
    without_nats_no_answer_changes(&mut fleet);
    a_server_that_restarts_alone_answers_from_what_it_knew(&mut fleet);
}

#[test]
fn what_is_published_is_served_by_all_and_can_be_taken_back() {
    let mut fleet = Fleet::start();
    fleet.all_say(["eu", "eu", "eu"]);
    for server in 0..3 {
        fleet.until_it_prints(server, &["status"], "fleet       linked to");
    }
    let first = fleet.operate(0, &["publish", "--message", "as it is"]);
    assert!(first.contains("version 1 is published") && first.contains("ap-server serves it"), "{first}");

    fleet.edit(0, r#"["eu", "us", "ap"]"#, r#"["us", "eu", "ap"]"#);
    let begin = Instant::now();
    let second = fleet.operate(0, &["publish", "--message", "us first"]);
    fleet.all_say(["us", "us", "us"]);
    eprintln!("published and served by all after {:?}", begin.elapsed());
    assert!(begin.elapsed() < PUBLISHED_WITHIN, "{:?}", begin.elapsed());
    for part in [
        "~ example.org.toml",
        "members: eu, us, ap -> us, eu, ap",
        "www.example.org. A in eu:",
        "version 2 is published",
    ] {
        assert!(second.contains(part), "`{part}` is not in:\n{second}");
    }

    fleet.edit(1, "[pools.www]", "[pools.wwww]");
    let wrong = fleet.operate(1, &["publish"]);
    assert!(wrong.contains("error") && wrong.contains("www"), "{wrong}");
    assert!(fleet.operate(2, &["history"]).starts_with("     2  "), "nothing was published");

    let back = fleet.operate(2, &["rollback", "--message", "us is full"]);
    assert!(back.contains("version 3 is published"), "{back}");
    fleet.all_say(["eu", "eu", "eu"]);
    let history = fleet.operate(1, &["history"]);
    assert!(history.contains("(version 1 again)  us is full") && history.contains("us first"), "{history}");

    // What was published survives a restart without a fleet.
    for region in 0..3 {
        let nats = fleet.nats[region].clone();
        fleet.kill(&nats);
    }
    let server = fleet.servers[0].clone();
    fleet.kill(&server);
    fleet.start_server(0);
    fleet.all_say(["eu", "eu", "eu"]);
    fleet.until_it_prints(0, &["status"], "zones       version 3 of the fleet");
}

/// From the command to the last server that answers by it, the command's own wait included.
const PUBLISHED_WITHIN: Duration = Duration::from_secs(5);

/// The essential one.
fn an_endpoint_that_one_region_cannot_reach_is_not_answered_there(fleet: &Fleet) {
    fleet.endpoints[0].shut_out(&[&fleet.servers[1], &fleet.probes[1]]);
    fleet.all_say(["eu", "us", "eu"]);
    fleet.endpoints[0].open();
    fleet.all_say(["eu", "eu", "eu"]);
}

/// Cut off from NATS, but not from its clients.
fn a_server_that_nobody_hears_answers_on(fleet: &Fleet) {
    let cut: Vec<_> = fleet.nats.iter().collect();
    fleet.servers[2].shut_out(&cut);
    fleet.until_it_prints(2, &["status"], "not linked");
    fleet.all_go_on_saying(["eu", "eu", "eu"], A_WHILE);
    fleet.servers[2].open();
    fleet.until_it_prints(2, &["status"], "fleet       linked to");
    fleet.all_say(["eu", "eu", "eu"]);
}

fn a_region_whose_probe_is_killed_is_judged_by_those_that_are_left(fleet: &mut Fleet) {
    let probe = fleet.probes[0].clone();
    fleet.kill(&probe);
    fleet.until_it_prints(1, &["status"], "stale");
    fleet.all_go_on_saying(["eu", "eu", "eu"], Duration::from_secs(1));
    let endpoint = fleet.endpoints[0].clone();
    fleet.kill(&endpoint);
    fleet.all_say(["us", "us", "us"]);
    fleet.start_endpoint(0);
    fleet.all_say(["eu", "eu", "eu"]);
    fleet.start_probe(0);
}

/// Each server's own probe still feeds it.
fn without_nats_no_answer_changes(fleet: &mut Fleet) {
    for region in 0..3 {
        let nats = fleet.nats[region].clone();
        fleet.kill(&nats);
    }
    for server in 0..3 {
        fleet.until_it_prints(server, &["status"], "not linked");
    }
    fleet.all_go_on_saying(["eu", "eu", "eu"], A_WHILE);
    let endpoint = fleet.endpoints[0].clone();
    fleet.kill(&endpoint);
    fleet.all_say(["us", "us", "us"]);
}

/// No NATS, no probes: and the endpoint that is down stays out.
fn a_server_that_restarts_alone_answers_from_what_it_knew(fleet: &mut Fleet) {
    let server = fleet.servers[0].clone();
    fleet.kill(&server);
    fleet.start_server(0);
    fleet.all_say(["us", "us", "us"]);
    for region in 0..3 {
        fleet.start_nats(region);
    }
    fleet.start_endpoint(0);
    fleet.all_say(["eu", "eu", "eu"]);
    fleet.until_it_prints(0, &["status"], "us/us-probe");
}
