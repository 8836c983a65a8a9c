//! A load generator that costs little: one socket, a fixed window of queries in flight, moved in batches.
//!
//! ```text
//!   dns-load 127.0.0.1:5300 n%.example.org 1000 100 5 [SUBNETS | --dnssec]
//!            server         names, % = 0000.. of 1000, window, seconds
//!   --> answered 1234567 unanswered 0 seconds 5.000
//! ```
//!
//! With a file of subnets, one of IPv4 a line, each query carries the next of them as its client subnet; without, none does.
//!
//! With `--dnssec` in place of the file each wants a proof, and that there is no data is as good as data.
//!
//! It is a closed loop: as many queries go out as answers came in, so the server decides the pace, and the
//! window how many queries can wait for it at once. Only NOERROR with an answer counts.

use std::env;
use std::error::Error;
use std::fs;
use std::io::{IoSlice, IoSliceMut};
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use ipnet::AddrParseError;
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrIn, recvmmsg, sendmmsg};

#[path = "packet.rs"]
mod packet;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [server, pattern, names, window, seconds, subnets @ ..] = arguments.as_slice() else {
        return Err("usage: dns-load SERVER PATTERN NAMES WINDOW SECONDS [SUBNETS | --dnssec]".into());
    };
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.connect(server)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let proof = subnets.first().is_some_and(|word| word == "--dnssec");
    let mut queries: Vec<_> = match subnets {
        [file, ..] if !proof => queries_from(&fs::read_to_string(file)?, pattern, names.parse()?)?,
        _ => (0..names.parse()?).map(|number| packet::query(pattern, number)).collect(),
    };
    if proof {
        queries.iter_mut().for_each(|packet| want_proof(packet));
    }
    let is_good = if proof { is_told } else { packet::is_good };
    let mut load = Load { socket, queries, is_good, next: 0, answered: 0, unanswered: 0 };
    let started = Instant::now();
    load.run(window.parse()?, started + Duration::from_secs_f64(seconds.parse()?))?;
    let seconds = started.elapsed().as_secs_f64();
    println!("answered {} unanswered {} seconds {seconds:.3}", load.answered, load.unanswered);
    Ok(())
}

/// A query from each of the subnets, for the names in turn.
fn queries_from(subnets: &str, pattern: &str, names: usize) -> Result<Vec<Vec<u8>>, AddrParseError> {
    let query_from = |(number, line): (usize, &str)| {
        let mut packet = packet::query(pattern, number % names);
        packet::add_client_subnet(&mut packet, line.parse()?);
        Ok(packet)
    };
    subnets.lines().enumerate().map(query_from).collect()
}

struct Load {
    socket: UdpSocket,
    queries: Vec<Vec<u8>>,
    /// Whether a reply counts.
    is_good: fn(&[u8]) -> bool,
    /// The place of the next query in `queries`.
    next: usize,
    answered: u64,
    unanswered: u64,
}

impl Load {
    fn run(&mut self, window: usize, until: Instant) -> Result<(), Errno> {
        let mut headers = MultiHeaders::preallocate(window, None);
        let mut inbox = vec![[0; REPLY_ROOM]; window];
        let mut free = window;
        while Instant::now() < until {
            self.send(free, &mut headers)?;
            free = match self.receive(&mut inbox, &mut headers) {
                Ok(received) => received,
                Err(Errno::EAGAIN) => {
                    self.unanswered += window as u64;
                    window
                }
                Err(error) => return Err(error),
            };
        }
        Ok(())
    }

    /// Sends the next `count` queries.
    fn send(&mut self, count: usize, headers: &mut MultiHeaders<SockaddrIn>) -> Result<(), Errno> {
        let mut sent = 0;
        while sent < count {
            let slices: Vec<_> = (sent..count)
                .map(|ahead| [IoSlice::new(&self.queries[(self.next + ahead) % self.queries.len()])])
                .collect();
            let nobody = vec![None::<SockaddrIn>; slices.len()];
            let fd = self.socket.as_raw_fd();
            sent += sendmmsg(fd, headers, &slices, &nobody, [], MsgFlags::empty())?.count();
        }
        self.next = (self.next + count) % self.queries.len();
        Ok(())
    }

    /// Takes what has come, at least one reply, and says how many there were.
    fn receive(
        &mut self,
        inbox: &mut [[u8; REPLY_ROOM]],
        headers: &mut MultiHeaders<SockaddrIn>,
    ) -> Result<usize, Errno> {
        let mut slices: Vec<_> = inbox.iter_mut().map(|room| [IoSliceMut::new(room)]).collect();
        let replies =
            recvmmsg(self.socket.as_raw_fd(), headers, &mut slices, MsgFlags::MSG_WAITFORONE, None)?;
        let mut received = 0;
        for reply in replies {
            received += 1;
            let good = reply.iovs().next().is_some_and(self.is_good);
            *(if good { &mut self.answered } else { &mut self.unanswered }) += 1;
        }
        Ok(received)
    }
}

/// Sets DNSSEC OK in the OPT record that a query without options ends with.
fn want_proof(packet: &mut [u8]) {
    let flags = packet.len() - 4;
    packet[flags] |= DNSSEC_OK;
}

/// NOERROR, with something in the answer section, or in the authority section to say why not.
fn is_told(reply: &[u8]) -> bool {
    reply.len() > 12 && reply[3] & 0x0f == 0 && reply[6..10] != [0, 0, 0, 0]
}

/// Without an answer for so long, the window is taken for lost and sent anew.
const PATIENCE: Duration = Duration::from_millis(200);
const REPLY_ROOM: usize = 1232;
const DNSSEC_OK: u8 = 0x80;
