//! Locating: addresses on the command line and on standard input, for people and for programs.

use std::time::SystemTime;

use serde_json::Value;

use crate::mmdb::Value::{List, Map, Number, Text};
use crate::world::{World, ZONE};

/// Europe by networks, America by default, and a map of two contracts.
fn world() -> World {
    let world = World::new("[probe]\nenabled = false\n");
    write_zones(&world);
    world
}

fn write_zones(world: &World) {
    world.write_zone("example.org.zone", ZONE);
    world.write_zone(
        "regions.toml",
        r#"
        [regions.eu]
        at = [50.11, 8.68]
        clients = ["net:192.0.2.0/24", "net:2001:db8::/32"]
        [regions.us]
        at = [39.04, -77.49]
        default = true
        [maps.contracts.regions.gold]
        clients = ["net:192.0.2.0/28"]
        [maps.contracts.regions.standard]
        default = true
        "#,
    );
}

/// A City database that knows of one network: Munich is where 203.0.113.0/24 is.
fn city_database() -> Vec<u8> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs();
    let code = |code: &str| Map(vec![("iso_code", Text(code.into()))]);
    let munich = Map(vec![
        ("country", code("DE")),
        ("subdivisions", List(vec![code("BY")])),
        ("location", Map(vec![("latitude", Number(48.14)), ("longitude", Number(11.58))])),
    ]);
    let mut database = crate::mmdb::Writer::new(28, 6, "GeoLite2-City", now);
    database.insert("203.0.113.0/24".parse().expect("a prefix"), &munich);
    database.bytes()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("text")
}

/// Every line of what was printed, as JSON.
fn objects(bytes: &[u8]) -> Vec<Value> {
    text(bytes).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn people_see_where_an_address_and_a_subnet_are() {
    let output = world().run(&["locate", "192.0.2.7", "192.0.2.0/25"]);
    assert!(output.status.success(), "{output:?}");
    let expected = "\
192.0.2.7

  client      as if at 50.11, 8.68 (eu)
  world       eu (net:192.0.2.0/24), as is all of 192.0.2.0/24
  contracts   gold (net:192.0.2.0/28), as is all of 192.0.2.0/28
  far         eu 0 km, us 6549 km

192.0.2.0/25

  client      as if at 50.11, 8.68 (eu)
  world       eu (net:192.0.2.0/24), as is all of 192.0.2.0/24
  contracts   gold (net:192.0.2.0/28), but only 192.0.2.0/28
  far         eu 0 km, us 6549 km
";
    assert_eq!(text(&output.stdout), expected);
}

#[test]
fn programs_get_an_object_for_each_address() {
    let output = world().run(&["locate", "--format", "json", "192.0.2.7", "2002:c633:6401::1"]);
    assert!(output.status.success(), "{output:?}");
    let [first, second] = objects(&output.stdout).try_into().expect("two objects");
    assert_eq!(first["client"], "192.0.2.7");
    assert_eq!(first["at_from"], "region");
    assert_eq!(first["maps"][0]["map"], "world");
    assert_eq!(first["maps"][0]["rule"], "net:192.0.2.0/24");
    assert_eq!(first["maps"][1]["scope"], "192.0.2.0/28");
    assert_eq!(first["distances"][1]["region"], "us");
    assert_eq!(first["distances"][1]["km"], 6549);
    assert_eq!((&second["within"], &second["maps"][0]["rule"]), (&"198.51.100.1".into(), &Value::Null));
}

#[test]
fn what_a_database_knows_of_a_client_is_told_and_places_it() {
    let world = World::new("[probe]\nenabled = false\n[geo]\ndatabases = [\"../city.mmdb\"]\n");
    write_zones(&world);
    std::fs::write(world.path("city.mmdb"), city_database()).expect("written");
    let output = world.run(&["locate", "--format", "json", "203.0.113.7"]);
    assert!(output.status.success(), "{output:?}");
    let [found] = objects(&output.stdout).try_into().expect("one object");
    assert_eq!((&found["country"], &found["subdivisions"][0]), (&"DE".into(), &"DE-BY".into()));
    assert_eq!((&found["at"][0], &found["at_from"]), (&48.14.into(), &"database".into()));
    let world = &found["maps"][0];
    assert_eq!((&world["region"], &world["because"]), (&"eu".into(), &"the nearest, 304 km".into()));
    assert_eq!(world["scope"], "203.0.113.0/24");
}

#[test]
fn standard_input_names_addresses_and_a_bad_line_is_told_and_passed_over() {
    let input = b"# clients of today\n192.0.2.7\n\n 2001:db8::/48 # an office\r\n192.0.2\n\xff\n198.51.100.1";
    for arguments in [&["locate", "--format", "json"][..], &["locate", "--format", "json", "-"][..]] {
        let output = world().feed(arguments, input);
        assert_eq!(output.status.code(), Some(1));
        let clients: Vec<_> = objects(&output.stdout).iter().map(|found| found["client"].clone()).collect();
        assert_eq!(clients, ["192.0.2.7", "2001:db8::/48", "198.51.100.1"]);
        let told = text(&output.stderr);
        assert!(told.contains("line 5: `192.0.2` is not an address like"), "{told}");
        assert!(told.contains("line 6: "), "{told}");
        assert!(told.ends_with("windrose: 2 lines are no addresses\n"), "{told}");
    }
}

#[test]
fn a_map_is_printed_prefix_by_prefix() {
    let world = world();
    let output = world.run(&["locate", "--map"]);
    assert!(output.status.success(), "{output:?}");
    let lines: Vec<Vec<&str>> =
        text(&output.stdout).lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["0.0.0.0/1", "us"]);
    assert!(lines.contains(&vec!["192.0.2.0/24", "eu"]), "{lines:?}");
    assert!(lines.contains(&vec!["2001:db8::/32", "eu"]), "{lines:?}");
    let output = world.run(&["locate", "--map", "contracts", "--format", "json"]);
    let gold: Vec<Value> =
        objects(&output.stdout).into_iter().filter(|row| row["region"] == "gold").collect();
    assert_eq!(gold, [serde_json::json!({ "prefix": "192.0.2.0/28", "region": "gold" })]);
}

#[test]
fn a_map_that_is_not_there_and_what_is_no_address_are_told() {
    let world = world();
    let output = world.run(&["locate", "--map", "contract"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("there is no map `contract` (did you mean `contracts`?)"));
    let output = world.run(&["locate", "example.org"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("an address like 198.51.100.7"));
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    let output = world().feed_to_nobody(&["locate"], &b"192.0.2.7\n".repeat(100_000));
    assert!(output.status.success(), "{output:?}");
    assert_eq!(text(&output.stderr), "");
}
