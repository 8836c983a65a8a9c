//! Reports that somebody makes up, changes, or sends again: nothing of that is heard, and all of it is counted.

use windrose::fleet::wire;
use windrose::health::{Opinion, Report};
use windrose::model::Moment;

use crate::fleet::{AP, EU, Fleet, STRANGER, Setup, US};
use crate::stranger::{Said, Stranger};
use crate::{A_MOMENT, A_WHILE};

#[test]
fn whatever_is_forged_is_dropped_and_counted() {
    let mut fleet = Fleet::start(Setup::Usual);
    fleet.all_say(["eu", "eu", "eu"]);
    for server in [EU, US, AP] {
        fleet.until_it_prints(server, &["status"], "us/us-probe");
    }
    nats_refuses_a_report_under_another_name(&fleet);
    garbage_100_mb_another_version_and_a_false_name_are_dropped_and_counted(&fleet);
    a_report_that_is_played_again_is_dropped_and_counted(&mut fleet);
}

/// A probe may say what it likes of itself only.
fn nats_refuses_a_report_under_another_name(fleet: &Fleet) {
    let mut probe = Stranger::connect(&fleet.probes[US], &fleet.nats[US], "us-probe");
    let said = probe.publish(REPORT, b"anything");
    let Said::No(why) = said else { panic!("{said:?}") };
    assert!(why.contains("Permissions Violation for Publish"), "{why}");
}

/// From one who may publish on all subjects.
fn garbage_100_mb_another_version_and_a_false_name_are_dropped_and_counted(fleet: &Fleet) {
    let watch = fleet.watch(["eu", "eu", "eu"]);
    let mut stranger = stranger(fleet);
    let good = stranger.hear(REPORT);
    let mut other_version = good.clone();
    other_version[VERSION_AT] = 99;
    let false_name = wire::encode(&Report { probe: "us-probe".into(), ..all_down(&good) });
    for (payload, reason) in [
        (&b"garbage"[..], "garbage"),
        (&good[..good.len() / 2], "garbage"),
        (&other_version, "version"),
        (&false_name, "false_name"),
        (&vec![b'W'; LARGE], "too_large"),
    ] {
        let name = format!("windrose_fleet_dropped_total{{reason=\"{reason}\"}}");
        counted(fleet, &name, &[EU, US, AP], || stranger.publish(REPORT, payload));
    }
    fleet.until_it_prints(
        EU,
        &["status"],
        "dropped     2 unreadable, 1 of another version, 1 under a false name, 1 too large, 0 too fast",
    );
    // More than a NATS server takes: it ends the connection.
    stranger.announce(REPORT, 100_000_000);
    let too_large = |said| matches!(said, Said::No(why) if why.contains("Maximum Payload"));
    assert!(std::iter::from_fn(|| stranger.next().ok()).any(too_large), "it is refused");
    fleet.said_the_same(watch, A_WHILE);
}

/// What a probe said when an endpoint was down, sent again when it is up: to those who heard it, to one who was restarted
/// since, and to one who has heard nothing of the probe yet and goes by the clock.
fn a_report_that_is_played_again_is_dropped_and_counted(fleet: &mut Fleet) {
    let endpoint = fleet.endpoints[EU].clone();
    fleet.kill(&endpoint);
    fleet.all_say(["us", "us", "us"]);
    let mut stranger = stranger(fleet);
    let recorded = stranger.hear(REPORT);
    let told = wire::decode(&recorded).expect("it is one");
    assert!(told.targets.iter().any(|target| target.opinion == Opinion::Down), "{told:?}");
    fleet.start_endpoint(EU);
    fleet.all_say(["eu", "eu", "eu"]);

    let watch = fleet.audience().watch(&[EU, US], ["eu", "eu", "eu"]);
    play(fleet, &mut stranger, &recorded, ("older", &[EU, US, AP]));

    restart(fleet, AP);
    fleet.until_it_prints(AP, &["status"], "eu/eu-probe: heard");
    play(fleet, &mut stranger, &recorded, ("older", &[AP]));

    let probe = fleet.probes[EU].clone();
    fleet.kill(&probe);
    fleet.until_all_see("eu/eu-probe", "is stale", |line| line.contains("stale"));
    let newest = stranger.last_heard(REPORT).expect("it said something");
    play(fleet, &mut stranger, &newest, ("replayed", &[EU, US, AP]));

    restart(fleet, AP);
    let a_minute_ago = Moment(told.sent.0 - 61_000);
    let old = wire::encode(&Report { sent: a_minute_ago, ..told });
    play(fleet, &mut stranger, &old, ("behind", &[AP]));
    fleet.all_say(["eu", "eu", "eu"]);
    fleet.said_the_same(watch, A_MOMENT);
}

fn restart(fleet: &mut Fleet, server: usize) {
    let host = fleet.servers[server].clone();
    fleet.kill(&host);
    fleet.start_server(server);
    fleet.until_it_prints(server, &["status"], "answering");
}

/// Sends what was recorded again, until these servers have counted it for this reason.
fn play(fleet: &Fleet, stranger: &mut Stranger, recorded: &[u8], (reason, servers): (&str, &[usize])) {
    let name = format!("windrose_reports_refused_total{{reason=\"{reason}\"}}");
    counted(fleet, &name, servers, || stranger.publish(REPORT, recorded));
}

/// Does something that each of these servers counts once.
fn counted(fleet: &Fleet, name: &str, servers: &[usize], send: impl FnOnce() -> Said) {
    let before: Vec<f64> = servers.iter().map(|server| fleet.metric(*server, name)).collect();
    let said = send();
    assert!(matches!(said, Said::Pong), "{said:?}");
    for (server, before) in servers.iter().zip(before) {
        fleet.until(&format!("{name} grows"), || {
            let now = fleet.metric(*server, name);
            if now == before + 1.0 { Ok(()) } else { Err(now.to_string()) }
        });
    }
}

/// One who may publish on all subjects, and hears all reports.
fn stranger(fleet: &Fleet) -> Stranger {
    let mut stranger = Stranger::connect(&fleet.ground.outside(), &fleet.nats[EU], STRANGER);
    stranger.subscribe("windrose.v1.report.>");
    stranger
}

/// The same report, if everything were down.
fn all_down(report: &[u8]) -> Report {
    let mut report = wire::decode(report).expect("it is one");
    report.targets.iter_mut().for_each(|target| target.opinion = Opinion::Down);
    report
}

const REPORT: &str = "windrose.v1.report.eu.eu-probe";

/// Where a report says of which version it is.
const VERSION_AT: usize = 2;

/// As much as these NATS servers take, nearly.
const LARGE: usize = 60 << 20;
