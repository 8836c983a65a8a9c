//! What the server gives up once it runs, as the kernel tells it; and that it still does what it is for.
//!
//! Turning into another user needs root: without, those tests say so and pass.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Output;

use hickory_proto::rr::RecordType;
use nix::sys::signal::Signal;
use nix::unistd::{Uid, User};

use crate::endpoint::Endpoint;
use crate::geography::database as country_database;
use crate::query::{addresses_of, ask, dig};
use crate::world::{World, ZONE, addresses, wait_until, write_failover_zone};

const QUIET: &str = "[probe]\nenabled = false\n";

/// Whether this is root; says so if it is not.
fn is_root() -> bool {
    let root = Uid::effective().is_root();
    if !root {
        println!("skipped: only root can turn into another user");
    }
    root
}

/// A world that everybody may read, as `/etc/windrose` is.
fn open_world(config: &str) -> World {
    let world = World::new(config);
    fs::set_permissions(world.path(""), fs::Permissions::from_mode(0o755)).expect("it is ours");
    world
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn the_kernel_holds_it_to_what_the_log_says() {
    let world = World::new(QUIET);
    world.write_zone("example.org.zone", ZONE);
    let server = world.serve();
    let line = server.log.wait_for("sandbox: ");
    assert!(line.contains("no new privileges"), "{line}");
    assert_eq!(server.kernel_says("NoNewPrivs"), "1");
    let refused = if line.contains(" seccomp") && !line.contains("no seccomp") { "2" } else { "0" };
    assert_eq!(server.kernel_says("Seccomp"), refused, "{line}");
    let status = world.run(&["status"]);
    let status = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(status.contains(line.split("sandbox: ").nth(1).expect("just found")), "{status}");
}

#[test]
fn switched_off_it_gives_up_nothing() {
    let world = World::new(&format!("{QUIET}[sandbox]\nenabled = false\n"));
    world.write_zone("example.org.zone", ZONE);
    let server = world.serve();
    server.log.wait_for("sandbox: off");
    assert_eq!((server.kernel_says("NoNewPrivs"), server.kernel_says("Seccomp")), ("0".into(), "0".into()));
}

#[test]
fn started_as_root_it_turns_into_the_user_and_goes_on_doing_all_that_it_does() {
    if !is_root() {
        return;
    }
    let places = addresses(90);
    let first = Endpoint::start(places[0], 0);
    let second = Endpoint::start(places[1], first.port());
    let world = open_world("[sandbox]\nuser = \"nobody\"\n");
    write_failover_zone(&world, places, first.port());
    let mut server = world.serve();
    server.log.wait_for("sandbox: user nobody, no new privileges");
    let nobody = User::from_name("nobody").expect("looked up").expect("every machine has one");
    assert_eq!(server.kernel_says("Uid"), [nobody.uid.to_string().as_str(); 4].join("\t"));
    assert_eq!(server.kernel_says("Gid"), [nobody.gid.to_string().as_str(); 4].join("\t"));
    assert_eq!(server.kernel_says("Groups"), nobody.gid.to_string());
    for capabilities in ["CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(server.kernel_says(capabilities), "0000000000000000", "{capabilities}");
    }
    assert!(!server.log.text().contains("cannot"), "{}", server.log.text());
    for transport in ["+notcp", "+tcp"] {
        assert_eq!(
            dig(server.address, &["www.example.org", transport, "+short"]),
            format!("{}\n", places[0])
        );
    }
    // It checks, keeps state, and is asked and told.
    drop(first);
    wait_until("it fails over", || {
        (addresses_of(server.address, "www.example.org.") == [places[1]]).then_some(())
    });
    wait_until("the state is on disk", || {
        let state = fs::read_to_string(world.path("state/health.state")).ok()?;
        state.contains("\"down\"").then_some(())
    });
    assert_eq!(fs::metadata(world.path("state/health.state")).expect("there").uid(), nobody.uid.as_raw());
    assert!(world.run(&["drain", "second"]).status.success());
    world.write_zone("example.org.zone", &format!("{ZONE}new 60 IN A 192.0.2.9\n"));
    server.signal(Signal::SIGHUP);
    wait_until("the new record is served", || {
        (!addresses_of(server.address, "new.example.org.").is_empty()).then_some(())
    });
    server.signal(Signal::SIGTERM);
    assert_eq!(server.exit_code(), Some(0));
    drop(second);
}

#[test]
fn a_directory_that_the_user_cannot_write_is_told_with_what_to_do_and_serving_goes_on() {
    if !is_root() {
        return;
    }
    let world = open_world(&format!("{QUIET}[sandbox]\nuser = \"nobody\"\n"));
    world.write_zone("example.org.zone", ZONE);
    fs::create_dir(world.path("state")).expect("made");
    let server = world.serve();
    let line = server.log.wait_for("the user nobody cannot write");
    assert!(line.contains("WARN") && line.contains("`chown -R nobody: "), "{line}");
    assert!(ask(server.address, "static.example.org.", RecordType::A).is_some());
}

#[test]
fn a_socket_in_a_directory_of_somebody_else_leaves_that_whose_it_is() {
    if !is_root() {
        return;
    }
    let control = "[control]\nsocket = \"../run/windrose.sock\"\n";
    let world = open_world(&format!("{QUIET}{control}[sandbox]\nuser = \"nobody\"\n"));
    world.write_zone("example.org.zone", ZONE);
    fs::create_dir(world.path("run")).expect("made");
    let server = world.serve();
    let line = server.log.wait_for("the user nobody cannot write");
    assert!(line.contains("a directory of that user's in [control]"), "{line}");
    assert_eq!(fs::metadata(world.path("run")).expect("there").uid(), 0);
}

#[test]
fn a_file_that_the_user_cannot_read_is_told_when_it_starts_and_not_when_it_is_needed() {
    if !is_root() {
        return;
    }
    let notify = "[notify]\nurl = \"http://127.0.0.1:9/\"\ntoken_file = \"token\"\n";
    let world = open_world(&format!("{QUIET}{notify}[sandbox]\nuser = \"nobody\"\n"));
    world.write_zone("example.org.zone", ZONE);
    fs::write(world.path("config/token"), "secret\n").expect("written");
    fs::set_permissions(world.path("config/token"), fs::Permissions::from_mode(0o600)).expect("it is ours");
    let server = world.serve();
    let line = server.log.wait_for("the user nobody cannot read");
    assert!(line.contains("WARN") && line.contains("config/token"), "{line}");
}

#[test]
fn a_user_that_is_not_there_is_an_error_at_the_start() {
    if !is_root() {
        return;
    }
    let world = World::new(&format!("{QUIET}[sandbox]\nuser = \"no-such-user\"\n"));
    world.write_zone("example.org.zone", ZONE);
    let output = world.run(&["serve"]);
    assert_eq!(output.status.code(), Some(1));
    for output in [output, world.run(&["check"])] {
        assert!(stderr(&output).contains("there is no user `no-such-user`"), "{output:?}");
    }
}

/// Whether the kernel keeps files from those who gave them up; says so if it does not.
fn is_confined() -> bool {
    let world = World::new(QUIET);
    world.write_zone("example.org.zone", ZONE);
    let confined = world.serve().log.wait_for("sandbox: ").contains(", Landlock (ABI");
    if !confined {
        println!("skipped: there is no Landlock");
    }
    confined
}

/// A zone that includes a file of a directory that the configuration does not name.
fn including(world: &World, elsewhere: &Path) {
    let included = elsewhere.join("more.zone");
    fs::write(&included, "more 60 IN A 192.0.2.7\n").expect("written");
    let text = format!("{ZONE}$INCLUDE {}\n", included.display());
    world.write_zone("example.org.zone", &text);
}

#[test]
fn a_file_out_of_reach_is_an_error_that_names_the_setting_and_check_tells_it_before() {
    if !is_confined() {
        return;
    }
    let elsewhere = tempfile::tempdir().expect("a directory");
    let world = World::new(QUIET);
    including(&world, elsewhere.path());
    let check = world.run(&["check"]);
    assert!(check.status.success(), "{check:?}");
    let output = world.run(&["serve"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("Permission denied"), "{output:?}");
    for output in [check, output] {
        let said = stderr(&output);
        assert!(said.contains("warning[sandbox]: the sandbox keeps the server from reading"), "{said}");
        assert!(said.contains("more.zone") && said.contains("`read` in [sandbox]"), "{said}");
    }
    let world = World::new(&format!("{QUIET}[sandbox]\nread = [\"{}\"]\n", elsewhere.path().display()));
    including(&world, elsewhere.path());
    assert!(!stderr(&world.run(&["check"])).contains("sandbox"));
    assert_eq!(addresses_of(world.serve().address, "more.example.org.").len(), 1);
}

#[test]
fn a_reload_that_needs_a_file_out_of_reach_is_refused_and_says_why() {
    if !is_confined() {
        return;
    }
    let elsewhere = tempfile::tempdir().expect("a directory");
    let world = World::new(QUIET);
    world.write_zone("example.org.zone", ZONE);
    let server = world.serve();
    including(&world, elsewhere.path());
    let reload = world.run(&["reload"]);
    assert!(stderr(&reload).contains("the sandbox keeps the server from reading"), "{reload:?}");
    assert!(ask(server.address, "static.example.org.", RecordType::A).is_some());
}

#[test]
fn symbolic_links_lead_to_what_they_led_to_even_when_that_is_replaced() {
    let elsewhere = tempfile::tempdir().expect("a directory");
    let world = World::new(QUIET);
    let real = elsewhere.path().join("real.zone");
    fs::write(&real, ZONE).expect("written");
    symlink(&real, world.path("zones/example.org.zone")).expect("linked");
    let server = world.serve();
    assert_eq!(addresses_of(server.address, "static.example.org.").len(), 1);
    fs::write(elsewhere.path().join("new"), format!("{ZONE}new 60 IN A 192.0.2.9\n")).expect("written");
    fs::rename(elsewhere.path().join("new"), &real).expect("renamed");
    wait_until("what replaced it is served", || {
        (!addresses_of(server.address, "new.example.org.").is_empty()).then_some(())
    });
}

#[test]
fn a_geo_database_may_come_later_to_where_the_configuration_says() {
    let elsewhere = tempfile::tempdir().expect("a directory");
    let database = elsewhere.path().join("city.mmdb");
    let world = World::new(&format!("{QUIET}[geo]\ndatabases = [\"{}\"]\n", database.display()));
    world.write_zone("example.org.zone", ZONE);
    let server = world.serve();
    fs::write(&database, country_database("DE", 0)).expect("written");
    server.log.wait_for("geo: GeoLite2-Country");
}
