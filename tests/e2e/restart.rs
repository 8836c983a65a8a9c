//! What survives the end of the process, however it came.

use std::fs;
use std::net::IpAddr;

use nix::sys::signal::Signal;

use crate::endpoint::Endpoint;
use crate::query::addresses_of;
use crate::world::{World, addresses, wait_until, write_failover_zone};

/// A server that knows that the first endpoint is down, and its state on disk.
fn with_first_down(test: u8) -> (World, crate::world::Server, Endpoint, IpAddr) {
    let places = addresses(test);
    let second = Endpoint::start(places[1], 0);
    let world = World::new("");
    write_failover_zone(&world, places, second.port());
    let server = world.serve();
    let place = IpAddr::V4(places[1]);
    wait_until("the first is down", || {
        (addresses_of(server.address, "www.example.org.") == [place]).then_some(())
    });
    wait_until("the state is on disk", || {
        let state = fs::read_to_string(world.path("state/health.state")).ok()?;
        state.contains("\"down\"").then_some(())
    });
    (world, server, second, place)
}

#[test]
fn after_kill_9_a_restart_answers_at_once_with_the_verdicts_it_had() {
    let (world, mut server, _second, place) = with_first_down(5);
    server.signal(Signal::SIGKILL);
    server.exit_code();
    let server = world.serve();
    // No check can have failed three times yet: this can only be what it knew.
    assert_eq!(addresses_of(server.address, "www.example.org."), [place]);
}

#[test]
fn with_nothing_to_check_the_first_start_answers_at_once() {
    let world = World::new("[probe]\nsettle = \"60s\"\n");
    world.write_zone("example.org.zone", crate::world::ZONE);
    let server = world.serve();
    assert_eq!(addresses_of(server.address, "static.example.org.").len(), 1);
}

#[test]
fn a_damaged_state_file_is_set_aside_and_never_stops_the_start() {
    let (world, mut server, _second, place) = with_first_down(6);
    server.signal(Signal::SIGKILL);
    server.exit_code();
    let path = world.path("state/health.state");
    let mut bytes = fs::read(&path).expect("readable");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, bytes).expect("damaged");
    let server = world.serve();
    server.log.wait_for("the state file is of no use");
    assert!(world.path("state/health.state.damaged").exists());
    // It starts as if for the first time: a first round of checks, then the same conclusion.
    assert!(!addresses_of(server.address, "www.example.org.").is_empty());
    wait_until("the first is down again", || {
        (addresses_of(server.address, "www.example.org.") == [place]).then_some(())
    });
}

#[test]
fn a_full_disk_is_a_loud_warning_and_serving_goes_on() {
    let places = addresses(7);
    let second = Endpoint::start(places[1], 0);
    let world = World::new("");
    write_failover_zone(&world, places, second.port());
    fs::create_dir(world.path("state")).expect("state/");
    // Every write to this device fails as on a full disk.
    std::os::unix::fs::symlink("/dev/full", world.path("state/health.state.new")).expect("linked");
    let server = world.serve();
    let line = server.log.wait_for("serving goes on");
    assert!(line.contains("ERROR") && line.contains("health.state"), "{line}");
    wait_until("it still fails over", || {
        (addresses_of(server.address, "www.example.org.") == [IpAddr::V4(places[1])]).then_some(())
    });
    let status = world.run(&["status"]);
    assert!(String::from_utf8_lossy(&status.stdout).contains("cannot write"), "{status:?}");
}

#[test]
fn sigterm_ends_it_with_status_0() {
    let world = World::new("[probe]\nenabled = false\n");
    world.write_zone("example.org.zone", crate::world::ZONE);
    let mut server = world.serve();
    server.signal(Signal::SIGTERM);
    assert_eq!(server.exit_code(), Some(0));
    server.log.wait_for("stopped");
}
