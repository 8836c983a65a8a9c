//! One server after the other on the same sockets, as a service manager hands them over: nobody who asks meanwhile goes
//! without an answer, and nobody has to ask twice.
//!
//! ```text
//!   Manager --sockets--> old server, SIGTERM, new server, ...
//!   clients: UDP, a window of queries under way, none sent again; TCP, a connection for each query
//! ```

use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use command_fds::{CommandFdExt, FdMapping};
use hickory_proto::rr::RecordType;
use nix::sys::signal::Signal;

use crate::query::query;
use crate::world::{BINARY, PATIENCE, Server, World, ZONE, wait_until};

/// Holds the sockets and starts servers, as systemd does.
struct Manager {
    tcp: TcpListener,
    udp: UdpSocket,
}

impl Manager {
    /// Of one free port for both.
    fn new() -> Self {
        wait_until("a port is free for TCP and UDP", || {
            let tcp = TcpListener::bind("127.0.0.1:0").expect("a free port");
            let udp = UdpSocket::bind(tcp.local_addr().expect("bound")).ok()?;
            Some(Self { tcp, udp })
        })
    }

    fn address(&self) -> SocketAddr {
        self.tcp.local_addr().expect("bound")
    }

    fn command(&self) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", "export LISTEN_PID=$$; exec \"$0\" \"$@\"", BINARY]).env("LISTEN_FDS", "2");
        let tcp = FdMapping { parent_fd: self.tcp.try_clone().expect("a copy").into(), child_fd: 3 };
        let udp = FdMapping { parent_fd: self.udp.try_clone().expect("a copy").into(), child_fd: 4 };
        command.fd_mappings(vec![tcp, udp]).expect("two descriptors");
        command
    }

    fn start(&self, world: &World) -> Server {
        world.serve_by(self.command())
    }
}

fn world(listen: &str) -> World {
    let world = World::new("");
    world.write_zone("example.org.zone", ZONE);
    let config = format!(
        "[dns]\nlisten = [\"{listen}\"]\nworkers = 2\n[probe]\nenabled = false\n[geo]\ndatabases = []\n"
    );
    fs::write(world.path("config/windrose.toml"), config).expect("written");
    world
}

/// What clients saw.
#[derive(Default)]
struct Seen {
    enough: AtomicBool,
    udp: AtomicUsize,
    tcp: AtomicUsize,
}

impl Seen {
    fn goes_on(&self) -> bool {
        !self.enough.load(Ordering::Relaxed)
    }

    /// Asks over UDP until it is enough, and fails for each query that has no answer or a wrong one.
    fn ask_over_udp(&self, server: SocketAddr) {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        socket.connect(server).expect("loopback");
        socket.set_read_timeout(Some(PATIENCE)).expect("a deadline");
        let mut under_way = Vec::new();
        let mut buffer = [0; 512];
        let mut ids = (0..=u16::MAX).cycle();
        while self.goes_on() || !under_way.is_empty() {
            while self.goes_on() && under_way.len() < WINDOW {
                let id = ids.next().expect("it goes round");
                socket.send(&question(id)).expect("somebody holds the port");
                under_way.push(id);
            }
            let length = socket.recv(&mut buffer).expect("an answer to each query");
            let id = answered(&buffer[..length]).expect("the record that was asked for");
            let place = under_way.iter().position(|asked| *asked == id).expect("once");
            under_way.swap_remove(place);
            self.udp.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Asks over TCP, each time on a connection of its own.
    fn ask_over_tcp(&self, server: SocketAddr) {
        for id in (0..=u16::MAX).cycle().take_while(|_| self.goes_on()) {
            let reply = ask_once(server, id).expect("an answer to each query");
            assert_eq!(answered(&reply), Some(id));
            self.tcp.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until this many more of each are answered.
    fn wait_for_more(&self) {
        let counts = || [self.udp.load(Ordering::Relaxed), self.tcp.load(Ordering::Relaxed)];
        let before = counts();
        wait_until("more is answered", || {
            let now = counts();
            (now[0] >= before[0] + 1000 && now[1] >= before[1] + 50).then_some(())
        });
    }
}

/// A query for the address of static.example.org.
fn question(id: u16) -> Vec<u8> {
    let mut question = query("static.example.org.", RecordType::A);
    question[..2].copy_from_slice(&id.to_be_bytes());
    question
}

/// The id of a good answer to that.
fn answered(reply: &[u8]) -> Option<u16> {
    let (id, rest) = reply.split_first_chunk::<2>()?;
    let is_no_error = rest[1] & 0x0F == 0;
    let has_address = rest.windows(4).any(|octets| octets == [192, 0, 2, 1]);
    (is_no_error && has_address).then_some(u16::from_be_bytes(*id))
}

fn ask_once(server: SocketAddr, id: u16) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let question = question(id);
    stream.write_all(&[&(question.len() as u16).to_be_bytes(), &question[..]].concat())?;
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut reply = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut reply)?;
    Ok(reply)
}

#[test]
fn a_server_is_replaced_by_another_and_no_query_is_lost_over_udp_and_tcp() {
    let manager = Manager::new();
    let world = world(&manager.address().to_string());
    let seen = Seen::default();
    let mut server = manager.start(&world);
    assert_eq!(server.address, manager.address());
    thread::scope(|scope| {
        let clients = [
            scope.spawn(|| seen.ask_over_udp(manager.address())),
            scope.spawn(|| seen.ask_over_udp(manager.address())),
            scope.spawn(|| seen.ask_over_tcp(manager.address())),
            scope.spawn(|| seen.ask_over_tcp(manager.address())),
        ];
        let replaced = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for _ in 0..UPGRADES {
                seen.wait_for_more();
                server.signal(Signal::SIGTERM);
                assert_eq!(server.exit_code(), Some(0));
                server = manager.start(&world);
            }
            seen.wait_for_more();
        }));
        seen.enough.store(true, Ordering::Relaxed);
        for client in clients {
            client.join().expect("no query is lost");
        }
        replaced.expect("each server starts and stops");
    });
    let [udp, tcp] = [&seen.udp, &seen.tcp].map(|count| count.load(Ordering::Relaxed));
    println!("{udp} queries over UDP and {tcp} over TCP answered, none lost, in {UPGRADES} upgrades");
}

#[test]
fn what_was_handed_over_and_is_not_in_the_configuration_is_an_error_that_names_it() {
    let manager = Manager::new();
    let world = world("127.0.0.1:0");
    let output = manager
        .command()
        .args(["serve", "config/windrose.toml"])
        .current_dir(world.path(""))
        .output()
        .expect("the binary runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let address = manager.address();
    assert!(said.contains(&format!("{address} (TCP), {address} (UDP)")), "{said}");
}

/// Queries under way at once from one client: what fits a socket's buffer while nobody reads it.
const WINDOW: usize = 50;

const UPGRADES: usize = 5;
