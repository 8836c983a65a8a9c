//! Zones that are published.

use std::time::{Duration, Instant};

use crate::breaking;
use crate::fleet::{Fleet, READER, Setup, nats_address};

#[test]
fn what_is_published_is_served_by_all_and_can_be_taken_back() {
    let mut fleet = Fleet::start(Setup::Usual);
    fleet.all_say(["eu", "eu", "eu"]);
    for server in 0..3 {
        fleet.until_it_prints(server, &["status"], "fleet       linked to");
    }
    let first = fleet.operate(0, &["publish", "--message", "as it is"]);
    assert!(first.contains("version 1 is published") && first.contains("ap-server serves it"), "{first}");

    for region in ["eu", "us", "ap"] {
        fleet.until_all_see(&format!("{region}/{region}-probe"), "runs it", |line| {
            line.ends_with("version 1")
        });
    }

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

    // A probe that is gone knows what it knew.
    fleet.until_all_see("eu/eu-probe", "runs it", |line| runs(line, 2));
    let probe = fleet.probes[0].clone();
    fleet.kill(&probe);
    let back = fleet.operate(2, &["rollback", "--message", "us is full"]);
    assert!(back.contains("version 3 is published"), "{back}");
    fleet.all_say(["eu", "eu", "eu"]);
    let history = fleet.operate(1, &["history"]);
    assert!(history.contains("(version 1 again)  us is full") && history.contains("us first"), "{history}");

    fleet
        .until_all_see("eu/eu-probe", "differs", |line| line.contains(", version 2 (OTHER ZONES than here)"));
    fleet.until_all_see("us/us-probe", "runs it", |line| runs(line, 3));
    fleet.start_probe(0);
    fleet.until_all_see("eu/eu-probe", "runs it", |line| runs(line, 3));

    a_publication_that_nats_denies_is_refused_at_once(&fleet);
    a_publication_without_an_answer_is_reported_and_looked_up(&fleet);

    // What was published survives a restart without a fleet.
    for region in 0..3 {
        let nats = fleet.nats[region].clone();
        fleet.kill(&nats);
    }
    let server = fleet.servers[0].clone();
    fleet.kill(&server);
    fleet.start_server(0);
    fleet.all_say(["us", "us", "us"]);
    fleet.until_it_prints(0, &["status"], "zones       version 4 of the fleet");
}

/// Whether a probe runs this version, and so does the server that says so.
fn runs(line: &str, version: u64) -> bool {
    line.contains(&format!(", version {version}")) && !line.contains("OTHER ZONES")
}

/// From the files of the first server, which would put `us` first.
fn a_publication_that_nats_denies_is_refused_at_once(fleet: &Fleet) {
    fleet.operate_as(0, READER, &nats_address(&fleet.nats[0]));
    let begin = Instant::now();
    let denied = fleet.operate(0, &["publish"]);
    assert!(denied.contains("not published") && denied.contains("publish on windrose.v1.zones"), "{denied}");
    assert!(begin.elapsed() < PUBLISHED_WITHIN, "{:?}", begin.elapsed());
    fleet.all_say(["eu", "eu", "eu"]);
}

/// It gets through, and its answer does not come back.
fn a_publication_without_an_answer_is_reported_and_looked_up(fleet: &Fleet) {
    let link = breaking::link(&fleet.ground.outside(), &fleet.nats[0], "windrose.v1.zones");
    fleet.operate_as(0, "operator", &link);
    let published = fleet.operate(0, &["publish", "--message", "us again"]);
    for part in ["the store did not answer in time: looking whether operation", "version 4 is published"] {
        assert!(published.contains(part), "`{part}` is not in:\n{published}");
    }
    fleet.all_say(["us", "us", "us"]);
}

/// From the command to the last server that answers by it, the command's own wait included.
const PUBLISHED_WITHIN: Duration = Duration::from_secs(5);
