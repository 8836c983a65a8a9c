//! Zones that are published.

use std::time::{Duration, Instant};

use crate::fleet::{Fleet, Setup};

#[test]
fn what_is_published_is_served_by_all_and_can_be_taken_back() {
    let mut fleet = Fleet::start(Setup::Usual);
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
