//! What an operator says, and what the server says to operators.

use std::io::{BufRead, BufReader};
use std::net::IpAddr;

use crate::endpoint::Endpoint;
use crate::query::addresses_of;
use crate::world::{World, addresses, repository, wait_until, write_failover_zone};

#[test]
fn whoever_prints_ends_quietly_when_its_reader_goes_away() {
    let world = World::new("[probe]\nenabled = false\n");
    write_failover_zone(&world, addresses(12), 1);
    std::fs::write(world.path("none.txt"), "").expect("written");
    let _server = world.serve();
    let explain = ["explain", "www.example.org", "--from", "192.0.2.1"];
    let commands: [&[&str]; 7] = [
        &["status"],
        &["status", "--format", "json"],
        &explain,
        &[&explain[..], &["--offline"]].concat(),
        &["check"],
        &["check", "--schema", "zones"],
        &["test", "none.txt"],
    ];
    for command in commands {
        let (read, unread) = (world.run(command), world.feed_to_nobody(command, b""));
        assert!(!read.stdout.is_empty() && read.status.success(), "{command:?}: {read:?}");
        assert_eq!((unread.stderr, unread.status), (read.stderr, read.status), "{command:?}");
    }
}

#[test]
fn whoever_watches_ends_with_the_first_thing_that_nobody_reads() {
    let world = World::new("[probe]\nenabled = false\n");
    write_failover_zone(&world, addresses(13), 1);
    let _server = world.serve();
    let mut watch = world.start(&["watch"]);
    drop(watch.stdout.take());
    let ended = wait_until("it ends", || {
        assert!(world.run(&["drain", "first"]).status.success());
        assert!(world.run(&["release", "first"]).status.success());
        watch.try_wait().expect("waited for")
    });
    let output = watch.wait_with_output().expect("it ended");
    assert_eq!((ended.code(), output.stderr), (Some(0), Vec::new()));
}

#[test]
fn a_drained_endpoint_is_not_answered_until_it_is_released() {
    let places = addresses(8);
    let first = Endpoint::start(places[0], 0);
    let _second = Endpoint::start(places[1], first.port());
    let world = World::new("");
    write_failover_zone(&world, places, first.port());
    let server = world.serve();
    assert!(world.run(&["drain", "first"]).status.success());
    assert_eq!(addresses_of(server.address, "www.example.org."), [IpAddr::V4(places[1])]);
    let explained = world.run(&["explain", "www.example.org", "A", "--from", "192.0.2.1"]);
    let explained = String::from_utf8_lossy(&explained.stdout).into_owned();
    assert!(explained.contains("operator") && explained.contains(&places[1].to_string()), "{explained}");
    assert!(world.run(&["release", "first"]).status.success());
    wait_until("it is used again", || {
        (addresses_of(server.address, "www.example.org.") == [IpAddr::V4(places[0])]).then_some(())
    });
    let unknown = world.run(&["drain", "nobody"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("no endpoint `nobody`"), "{unknown:?}");
}

#[test]
fn a_watcher_sees_a_verdict_turn_and_why() {
    let world = World::new("");
    let places = addresses(41);
    let first = Endpoint::start(places[0], 0);
    let _second = Endpoint::start(places[1], first.port());
    write_failover_zone(&world, places, first.port());
    let _server = world.serve();
    let mut watching = world.start(&["watch", "--format", "json"]);
    let mut lines = BufReader::new(watching.stdout.take().expect("piped")).lines();
    let mut next = || -> serde_json::Value {
        let line = lines.next().expect("a line").expect("read");
        serde_json::from_str(&line).expect("each line is JSON")
    };
    assert_eq!(next()["data"]["event"], "watching");
    drop(first);
    let turned = loop {
        let happened = next();
        if happened["data"]["event"] == "turned" && happened["data"]["to"] == "down" {
            break happened;
        }
    };
    assert_eq!(turned["data"]["endpoint"], "first");
    assert_eq!(turned["data"]["down"], 1);
    assert!(turned["text"].as_str().expect("text").contains("first Up -> Down (1 of 1 probes"), "{turned}");
    watching.kill().expect("it runs");
    watching.wait().expect("it ended");
}

#[test]
fn explain_works_from_files_with_endpoints_said_to_be_down() {
    let world = World::new("");
    let places = addresses(9);
    write_failover_zone(&world, places, 80);
    let arguments = ["explain", "www.example.org", "--from", "192.0.2.1", "--down", "first"];
    let explained = world.run(&arguments);
    assert!(explained.status.success(), "{explained:?}");
    let text = String::from_utf8_lossy(&explained.stdout).into_owned();
    assert!(text.contains(&places[1].to_string()) && text.contains("first"), "{text}");
    let json = world.run(&[&arguments[..], &["--format", "json"]].concat());
    serde_json::from_slice::<serde_json::Value>(&json.stdout).expect("it is JSON");
}

#[test]
fn the_examples_of_the_repository_are_right() {
    let checked = std::process::Command::new(env!("CARGO_BIN_EXE_windrose"))
        .arg("check")
        .current_dir(repository())
        .output()
        .expect("the binary runs");
    assert!(checked.status.success(), "{checked:?}");
    assert!(checked.stderr.is_empty(), "no warnings either: {}", String::from_utf8_lossy(&checked.stderr));
}

#[test]
fn the_schemas_are_json() {
    let world = World::new("");
    for kind in ["zones", "config"] {
        let schema = world.run(&["check", "--schema", kind]);
        let schema: serde_json::Value = serde_json::from_slice(&schema.stdout).expect("it is JSON");
        assert_eq!(schema["type"], "object", "{kind}");
    }
}
