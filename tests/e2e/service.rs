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
    for name in ["windrose.service", "windrose.socket"] {
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
    let files = ["windrose.service", "windrose.socket"].map(|name| units.path().join(name));
    let files = files.each_ref().map(|path| path.to_str().expect("UTF-8"));
    if let Some((right, said)) = systemd_analyze(&["verify", files[0], files[1]], &units) {
        assert!(right && said.is_empty(), "{said}");
    }
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
