//! What a service manager is told, and the units that say how to be one.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::process::Command;

use hickory_proto::rr::RecordType;
use nix::sys::signal::Signal;

use crate::query::ask;
use crate::world::{BINARY, PATIENCE, World, ZONE, repository};

#[test]
fn a_service_manager_hears_when_it_answers_that_it_lives_and_when_it_stops() {
    let world = World::new("[probe]\nenabled = false\n");
    world.write_zone("example.org.zone", ZONE);
    let socket = world.path("notify");
    let manager = UnixDatagram::bind(&socket).expect("bound");
    manager.set_read_timeout(Some(PATIENCE)).expect("a deadline");
    let heard = |expected: &str| {
        let mut buffer = [0; 1024];
        loop {
            let length = manager.recv(&mut buffer).expect("it says something");
            let said = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if said.lines().any(|line| line == expected) {
                return said;
            }
            assert!(!said.contains("STOPPING=1"), "{expected} was not said before it stopped");
        }
    };
    let mut command = Command::new(BINARY);
    command.env("NOTIFY_SOCKET", &socket).env("WATCHDOG_USEC", "10000000");
    let mut server = world.serve_by(command);
    let ready = heard("READY=1");
    assert!(ready.contains("STATUS=answering: 1 zone"), "{ready}");
    assert!(ask(server.address, "static.example.org.", RecordType::A).is_some());
    heard("WATCHDOG=1");
    heard("WATCHDOG=1");
    server.signal(Signal::SIGTERM);
    heard("STOPPING=1");
    assert_eq!(server.exit_code(), Some(0));
}

/// The units, with the binary of this build in the place of the installed one.
fn units() -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    for name in UNITS {
        let unit = fs::read_to_string(repository().join("tools/systemd").join(name)).expect("it is there");
        let unit = unit.replace("/usr/local/bin/windrose", BINARY);
        fs::write(directory.path().join(name), unit).expect("written");
    }
    directory
}

/// `None`: it is not installed.
fn systemd_analyze(arguments: &[&str], units: &tempfile::TempDir) -> Option<(bool, String)> {
    let output = Command::new("systemd-analyze").args(arguments).current_dir(units.path()).output();
    let Ok(output) = output else {
        println!("skipped: systemd-analyze is not installed");
        return None;
    };
    let said = [output.stdout, output.stderr].concat();
    Some((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
}

#[test]
fn the_units_are_right() {
    let units = units();
    let files = UNITS.map(|name| units.path().join(name));
    let files = files.each_ref().map(|path| path.to_str().expect("UTF-8"));
    if let Some((right, said)) = systemd_analyze(&[&["verify"][..], &files].concat(), &units) {
        assert!(right && said.is_empty(), "{said}");
    }
}

/// What is set in a unit, each time that it is.
fn settings(unit: &str, key: &str) -> Vec<String> {
    let unit = fs::read_to_string(repository().join("tools/systemd").join(unit)).expect("it is there");
    let values = unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    values.map(str::to_owned).collect()
}

#[test]
fn the_units_open_the_same_addresses_for_udp_and_tcp_and_the_service_gets_them() {
    let addresses = settings("windrose-udp.socket", "ListenDatagram");
    assert!(!addresses.is_empty());
    assert_eq!(addresses, settings("windrose-tcp.socket", "ListenStream"));
    for unit in ["windrose-udp.socket", "windrose-tcp.socket"] {
        assert_eq!(settings(unit, "Service"), ["windrose.service"]);
        // One socket for both families would hand IPv4 clients over under IPv6 addresses.
        assert_eq!(settings(unit, "BindIPv6Only"), ["ipv6-only"]);
    }
    assert_eq!(settings("windrose.service", "Sockets"), ["windrose-udp.socket windrose-tcp.socket"]);
    assert_eq!(settings("windrose.service", "Type"), ["notify"]);
    assert_eq!(settings("windrose.service", "CapabilityBoundingSet"), [""]);
}

#[test]
fn the_service_is_started_and_reloaded_by_what_the_unit_says() {
    let world = World::new("[probe]\nenabled = false\n");
    world.write_zone("example.org.zone", ZONE);
    let told = |key: &str| {
        let line = settings("windrose.service", key).remove(0);
        let line = line.replace("/etc/windrose/windrose.toml", "config/windrose.toml");
        line.split(' ').skip(1).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(told("ExecStart"), ["serve", "config/windrose.toml"]);
    let server = world.serve();
    let reload = world.run(&told("ExecReload").iter().map(String::as_str).collect::<Vec<_>>());
    assert!(reload.status.success(), "{reload:?}");
    server.log.wait_for("reloaded (an operator asked)");
}

#[test]
fn the_service_is_exposed_to_little() {
    let units = units();
    let file = units.path().join("windrose.service");
    // In tenths, of 10; what it needs, such as the network and sockets, makes up most of it.
    let arguments = ["security", "--offline=true", "--threshold=20", file.to_str().expect("UTF-8")];
    if let Some((right, said)) = systemd_analyze(&arguments, &units) {
        assert!(right, "{said}");
    }
}

const UNITS: [&str; 3] = ["windrose.service", "windrose-udp.socket", "windrose-tcp.socket"];
