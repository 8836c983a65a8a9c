//! Applications that say themselves that they live.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use nix::sys::signal::Signal;

use crate::query::dig;
use crate::world::{PATIENCE, Server, World, ZONE, wait_until};

const FED: &str = "192.0.2.10";
const SPARE: &str = "192.0.2.20";

/// The endpoint `fed` awaits beats, each good for a second; nothing is asked of `spare`.
fn world(beats: &str) -> World {
    let world = World::new(&format!("[beats]\nlisten = \"127.0.0.1:0\"\n{beats}\n"));
    world.write_zone("example.org.zone", ZONE);
    world.write_zone(
        "example.org.toml",
        &format!(
            r#"
            [monitors.job]
            type = "push"
            within = "1s"
            [endpoints.fed]
            ipv4 = "{FED}"
            monitors = ["job"]
            [endpoints.spare]
            ipv4 = "{SPARE}"
            [pools.www]
            policy = "failover"
            members = ["fed", "spare"]
            [names."www"]
            pool = "www"
            "#
        ),
    );
    world
}

/// Where it takes beats, as it logged.
fn port_of(server: &Server) -> SocketAddr {
    let line = server.log.wait_for("beats at http://");
    let after = line.split("http://").nth(1).expect("just found");
    after.split('/').next().expect("a place").parse().expect("an address")
}

/// What comes back for a request.
fn post(port: SocketAddr, path: &str, headers: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(port).expect("connected");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let length = body.len();
    let request =
        format!("POST {path} HTTP/1.1\r\nHost: w\r\n{headers}Content-Length: {length}\r\n\r\n{body}");
    stream.write_all(request.as_bytes()).expect("sent");
    let mut reply = String::new();
    stream.read_to_string(&mut reply).expect("a reply");
    reply
}

fn answer(server: &Server) -> String {
    dig(server.address, &["+short", "www.example.org", "A"]).trim().to_owned()
}

fn wait_for_answer(server: &Server, address: &str) {
    wait_until(&format!("the answer is {address}"), || (answer(server) == address).then_some(()));
}

/// The application lives, and says so until its endpoint is answered.
fn beat_until_answered(server: &Server) {
    let port = port_of(server);
    wait_until("the application's endpoint is answered", || {
        let fed = post(port, "/beat/fed", "", "");
        assert!(fed.starts_with("HTTP/1.1 200 "), "{fed}");
        assert!(fed.ends_with("\r\n\r\nfed is up: heard by job of 192.0.2.10\n"), "{fed}");
        (answer(server) == FED).then_some(())
    });
}

#[test]
fn an_endpoint_leaves_when_its_beats_stop_and_is_back_at_the_next_one() {
    let world = world("");
    let server = world.serve();
    assert_eq!(answer(&server), FED, "of whom no beat ever came nothing is known");
    for _ in 0..2 {
        beat_until_answered(&server);
        wait_for_answer(&server, SPARE);
    }
}

#[test]
fn a_job_on_the_same_machine_needs_no_port_and_may_drain_its_endpoint() {
    let world = world("");
    let server = world.serve();
    wait_until("its endpoint is drained at its word", || {
        let drained = world.run(&["beat", "fed", "--monitor", "job", "--say", "drain"]);
        assert!(drained.status.success(), "{drained:?}");
        assert_eq!(drained.stdout, b"fed is drain: heard by job of 192.0.2.10\n");
        (server.log.count("its own word is drain") > 0).then_some(())
    });
    wait_for_answer(&server, SPARE);
    wait_until("its endpoint is answered again", || {
        assert!(world.run(&["beat", "fed"]).status.success());
        (answer(&server) == FED).then_some(())
    });
    for wrong in
        [&["beat", "spare"][..], &["beat", "fed", "--monitor", "web"], &["beat", "fed", "--say", "busy"]]
    {
        let refused = world.run(wrong);
        assert_eq!(refused.status.code(), Some(1), "{wrong:?}: {refused:?}");
    }
}

#[test]
fn an_application_that_dies_while_the_server_restarts_is_noticed() {
    let world = world("");
    let mut server = world.serve();
    beat_until_answered(&server);
    wait_until("who was heard is on disk", || {
        fs::read_to_string(world.path("state/beats.state")).ok()?.contains(FED).then_some(())
    });
    server.signal(Signal::SIGKILL);
    server.exit_code();
    let server = world.serve();
    server.log.wait_for("from=unknown to=down");
    wait_for_answer(&server, SPARE);
}

#[test]
fn without_the_key_nobody_is_heard_and_without_its_file_nobody_is_let_in() {
    let world = world("key_file = \"beats.key\"");
    fs::write(world.path("config/beats.key"), "open sesame\n").expect("written");
    let server = world.serve();
    let port = port_of(&server);
    assert!(post(port, "/beat/fed", "", "").starts_with("HTTP/1.1 401 "));
    assert!(post(port, "/beat/fed", "Authorization: Bearer nonsense\r\n", "").starts_with("HTTP/1.1 401 "));
    assert!(
        post(port, "/beat/fed", "Authorization: Bearer open sesame\r\n", "").starts_with("HTTP/1.1 200 ")
    );
    assert!(!server.log.text().contains("sesame"));
    drop(server);
    fs::remove_file(world.path("config/beats.key")).expect("removed");
    let server = world.serve();
    assert!(server.log.wait_for("no beats over HTTP").contains("beats.key"));
}
