//! Geo databases of a running server: read anew when they change, and never worse off for a bad one.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::SystemTime;

use crate::mmdb::{Value, Writer};
use crate::query::addresses_of;
use crate::world::{Server, World, ZONE, wait_until};

/// Clients in Germany get .1, everybody else .2; whoever asks is at 127.0.0.1.
const STEERING: &str = r#"
[regions.de]
clients = ["country:DE"]
[regions.us]
default = true
[endpoints.fra]
ipv4 = "192.0.2.1"
[endpoints.iad]
ipv4 = "192.0.2.2"
[pools.www]
policy = "geo"
members = [{ use = "fra", regions = ["de"] }, { use = "iad", default = true }]
[names.www]
pool = "www"
"#;

const IN_GERMANY: &str = "192.0.2.1";
const ELSEWHERE: &str = "192.0.2.2";

fn world() -> World {
    let world = World::new("[probe]\nenabled = false\n[geo]\ndatabases = [\"../country.mmdb\"]\n");
    world.write_zone("example.org.zone", ZONE);
    world.write_zone("example.org.toml", STEERING);
    world
}

/// A Country database that puts this machine into a country.
pub fn database(country: &str, days_old: u64) -> Vec<u8> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs();
    let mut writer = Writer::new(24, 6, "GeoLite2-Country", now - days_old * 24 * 60 * 60);
    let code = Value::Map(vec![("iso_code", Value::Text(country.into()))]);
    writer.insert("127.0.0.0/8".parse().expect("a prefix"), &Value::Map(vec![("country", code)]));
    writer.bytes()
}

fn answer(server: &Server) -> String {
    addresses_of(server.address, "www.example.org.")[0].to_string()
}

fn wait_for_answer(server: &Server, wanted: &str) {
    wait_until("the answer follows the database", || (answer(server) == wanted).then_some(()));
}

fn status(world: &World) -> String {
    String::from_utf8_lossy(&world.run(&["status"]).stdout).into_owned()
}

#[test]
fn a_database_that_is_written_anew_or_renamed_over_is_read_in_the_background() {
    let world = world();
    let path = world.path("country.mmdb");
    fs::write(&path, database("DE", 0)).expect("written");
    let server = world.serve();
    assert_eq!(answer(&server), IN_GERMANY);
    server.log.wait_for("geo: GeoLite2-Country at country.mmdb, 0 days old, 1 networks");
    fs::write(&path, database("FR", 1)).expect("written");
    wait_for_answer(&server, ELSEWHERE);
    fs::write(world.path("new.mmdb"), database("DE", 2)).expect("written");
    fs::rename(world.path("new.mmdb"), &path).expect("renamed");
    wait_for_answer(&server, IN_GERMANY);
    server.log.wait_for("geo: GeoLite2-Country at country.mmdb, 2 days old");
    assert!(status(&world).contains("country.mmdb, 2 days old"), "{}", status(&world));
}

#[test]
fn a_symbolic_link_to_another_database_is_followed() {
    let world = world();
    fs::write(world.path("one"), database("DE", 0)).expect("written");
    fs::write(world.path("two"), database("FR", 0)).expect("written");
    symlink("one", world.path("country.mmdb")).expect("a link");
    let server = world.serve();
    assert_eq!(answer(&server), IN_GERMANY);
    symlink("two", world.path("other")).expect("a link");
    fs::rename(world.path("other"), world.path("country.mmdb")).expect("renamed");
    wait_for_answer(&server, ELSEWHERE);
}

#[test]
fn a_bad_database_is_warned_of_and_the_one_before_it_serves() {
    let world = world();
    let path = world.path("country.mmdb");
    let good = database("DE", 0);
    fs::write(&path, &good).expect("written");
    let mut server = world.serve();
    let mut damaged = database("FR", 0);
    damaged[..6].fill(0); // the first node of the search tree is its own child
    let bad = [
        (&good[..good.len() / 2], "neither an .mmdb file"),
        (&damaged[..], "cannot be used"),
        (b"", "neither"),
    ];
    for (content, says) in bad {
        fs::write(&path, content).expect("written");
        let said = String::from_utf8_lossy(&world.run(&["reload"]).stdout).into_owned();
        assert!(said.contains("country.mmdb") && said.contains(says), "{said}");
        assert_eq!(answer(&server), IN_GERMANY);
    }
    fs::write(&path, database("FR", 300)).expect("written");
    assert!(String::from_utf8_lossy(&world.run(&["reload"]).stdout).contains("older than what was loaded"));
    fs::remove_file(&path).expect("removed");
    world.run(&["reload"]);
    assert!(status(&world).contains("not used: the geo database"), "{}", status(&world));
    assert_eq!(answer(&server), IN_GERMANY);
    assert!(server.is_running());
    fs::write(&path, database("FR", 0)).expect("written");
    wait_for_answer(&server, ELSEWHERE);
    assert!(!status(&world).contains("not used"), "{}", status(&world));
}

#[test]
fn a_start_without_the_database_serves_and_takes_it_when_it_comes() {
    let world = world();
    let server = world.serve();
    assert_eq!(answer(&server), ELSEWHERE);
    let checked = String::from_utf8_lossy(&world.run(&["check"]).stderr).into_owned();
    assert!(checked.contains("country.mmdb") && checked.contains("undecided"), "{checked}");
    fs::write(world.path("country.mmdb"), database("DE", 300)).expect("written");
    wait_for_answer(&server, IN_GERMANY);
    let checked = String::from_utf8_lossy(&world.run(&["check"]).stderr).into_owned();
    assert!(checked.contains("300 days old"), "{checked}");
}
