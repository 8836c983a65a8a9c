//! Reload: all or nothing, under load too.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{RData, RecordType};
use nix::sys::signal::Signal;

use crate::query::{addresses_of, ask, query};
use crate::world::{World, ZONE, wait_until};

#[test]
fn a_wrong_file_changes_nothing_that_is_served_and_is_shown() {
    let world = World::new("[probe]\nenabled = false\n");
    world.write_zone("example.org.zone", ZONE);
    let mut server = world.serve();
    world.write_zone("example.org.zone", "@ IN SOA broken");
    let refused = world.run(&["reload"]);
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("what was served before goes on") && said.contains("example.org.zone:1"), "{said}");
    assert_eq!(addresses_of(server.address, "static.example.org.").len(), 1);
    let status = world.run(&["status"]);
    assert!(String::from_utf8_lossy(&status.stdout).contains("the last reload was refused"), "{status:?}");
    world.write_zone("example.org.zone", &ZONE.replace("192.0.2.1", "192.0.2.9"));
    assert_eq!(world.run(&["reload"]).status.code(), Some(0));
    assert_eq!(addresses_of(server.address, "static.example.org.")[0].to_string(), "192.0.2.9");
    assert!(server.is_running());
}

#[test]
fn a_changed_file_is_noticed_and_so_is_sighup() {
    let world = World::new("[probe]\nenabled = false\n");
    world.write_zone("example.org.zone", ZONE);
    let server = world.serve();
    world.write_zone("example.org.zone", &ZONE.replace("192.0.2.1", "192.0.2.2"));
    server.log.wait_for("reloaded (files changed)");
    wait_until("the new record is answered", || {
        (addresses_of(server.address, "static.example.org.")[0].to_string() == "192.0.2.2").then_some(())
    });
    server.signal(Signal::SIGHUP);
    server.log.wait_for("reloaded (SIGHUP)");
}

#[test]
fn check_says_what_is_wrong_with_status_2() {
    let world = World::new("");
    world.write_zone("example.org.zone", ZONE);
    world.write_zone("example.org.toml", "[pools.www]\npolicy = \"failover\"\nmembers = [\"nobody\"]\n");
    let checked = world.run(&["check"]);
    assert_eq!(checked.status.code(), Some(2));
    let said = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert!(said.contains("example.org.toml:3:") && said.contains("nobody"), "{said}");
    let served = world.run(&["serve", "config/windrose.toml"]);
    assert_eq!(served.status.code(), Some(2), "nor does it start");
}

#[test]
fn an_endpoint_that_this_machine_denies_its_probe_is_a_warning_and_never_down() {
    let world = World::new("[probe]\ndeny = [\"127.0.0.0/8\"]\nsettle = \"0s\"\n");
    world.write_zone("example.org.zone", ZONE);
    world.write_zone(
        "example.org.toml",
        "[regions.all]\ndefault = true\n[monitors.web]\ntype = \"tcp\"\nport = 1\ninterval = \"100ms\"\nfall = 1\n\
         [endpoints.a]\nipv4 = \"127.0.0.1\"\nmonitors = [\"web\"]\n\
         [pools.www]\npolicy = \"failover\"\nmembers = [\"a\"]\n[names.www]\npool = \"www\"\n",
    );
    let checked = world.run(&["check"]);
    let said = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert_eq!(checked.status.code(), Some(0), "{said}");
    assert!(said.contains("endpoint `a`: 127.0.0.1 is in 127.0.0.0/8 of `[probe] deny`"), "{said}");
    let server = world.serve();
    let line = server.log.wait_for("not checked");
    assert!(line.contains("127.0.0.1"), "{line}");
    assert!(!server.log.text().contains("Down"), "{}", server.log.text());
}

/// Each configuration says in two zones which one it is: `x.a.test` is an alias to a name of `b.test` that
/// only the same configuration has.
fn write_configuration(world: &World, number: usize) {
    let soa = "@ 60 IN SOA ns.x. h.x. 1 60 60 60 60\n@ 60 IN NS ns.x.\n";
    world.write_zone("a.test.zone", &format!("{soa}x 60 IN CNAME is-{number}.b.test.\n"));
    world.write_zone("b.test.zone", &format!("{soa}is-{number} 60 IN TXT \"{number}\"\n"));
}

#[test]
fn a_hundred_reloads_under_load_leave_no_query_unanswered_and_none_half_answered() {
    let world = World::new("[probe]\nenabled = false\n");
    write_configuration(&world, 0);
    let server = world.serve();
    let done = AtomicBool::new(false);
    let load = std::thread::scope(|scope| {
        let load = scope.spawn(|| load(server.address, &done));
        for number in 1..=RELOADS {
            // Both files are swapped between two looks of the server or not: whole is what `reload` reads,
            // because nobody writes while it does.
            write_configuration(&world, number);
            assert_eq!(world.run(&["reload"]).status.code(), Some(0), "reload {number}");
        }
        done.store(true, Ordering::SeqCst);
        load.join().expect("the load ends well")
    });
    let last = ask(server.address, "x.a.test.", RecordType::TXT).expect("an answer");
    assert_eq!(number_of(&last), Some(RELOADS.to_string()));
    println!("{} queries at {:.0} a second, {} lost, {} half", load.asked, load.rate, load.lost, load.half);
    assert_eq!((load.lost, load.half), (0, 0));
    assert!(server.log.count("reloaded (an operator asked)") >= RELOADS);
}

const RELOADS: usize = 100;
const RATE: u32 = 20_000;
const WINDOW: usize = 64;

struct Load {
    asked: u64,
    rate: f64,
    lost: u64,
    half: u64,
}

/// Asks 20,000 times a second until it is done, a window at a time; each answer is looked at.
fn load(server: SocketAddr, done: &AtomicBool) -> Load {
    let socket = UdpSocket::bind(("127.0.0.1", 0)).expect("a socket");
    socket.connect(server).expect("connected");
    socket.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout");
    let mut packet = query("x.a.test.", RecordType::TXT);
    let mut buffer = [0; 4096];
    let start = Instant::now();
    let mut load = Load { asked: 0, rate: 0.0, lost: 0, half: 0 };
    while !done.load(Ordering::SeqCst) {
        let due = Duration::from_secs(1) * u32::try_from(load.asked).expect("a bounded run") / RATE;
        while start.elapsed() < due {
            std::thread::yield_now();
        }
        for id in 0..WINDOW {
            packet[..2].copy_from_slice(&(id as u16).to_be_bytes());
            socket.send(&packet).expect("sent");
        }
        load.asked += WINDOW as u64;
        for answered in 0..WINDOW {
            let Ok(length) = socket.recv(&mut buffer) else {
                load.lost += (WINDOW - answered) as u64;
                break;
            };
            load.half += u64::from(!is_whole(&buffer[..length]));
        }
    }
    load.rate = load.asked as f64 / start.elapsed().as_secs_f64();
    load
}

/// Both records, and of one configuration. By its bytes: a message parsed in full 20,000 times a second by
/// a debug build would slow the load down.
fn is_whole(answer: &[u8]) -> bool {
    let no_error = answer[3] & 0x0f == 0;
    let two_answers = answer[6..8] == [0, 2];
    no_error && two_answers
}

fn number_of(message: &Message) -> Option<String> {
    assert_eq!(message.metadata.response_code, ResponseCode::NoError);
    message.answers.iter().find_map(|record| match &record.data {
        RData::TXT(text) => Some(text.to_string()),
        _ => None,
    })
}
