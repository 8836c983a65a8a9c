//! What an attacker sends: packets that no resolver would, over UDP or TCP, by seed; or good ones, far too many.
//!
//! ```text
//!   dns-rubbish 127.0.0.1:5300 udp 1000000 7
//!               server         how packets seed
//!   good query --1..8 times: bit, octet, cut, tail, length, repeated part--> packet --> server
//!                              `--or octets by chance, or a response
//!   --> sent 1000000 answered 98765 to-responses 0
//! ```
//!
//! `flood` sends good queries from addresses of one network (127.9.9.0/24), 100,000 a second, whatever comes back:
//! `sent 500000 answered 1000 seconds 5.0`, where the seconds are those that sending took.
//!
//! Of the replies to rubbish only those to packets that are responses themselves are told apart: there must be none. Every packet has a
//! number of its own by which its reply is known, as long as its first two octets are what it began with.

use std::env;
use std::error::Error;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream, UdpSocket};
use std::thread::sleep;
use std::time::{Duration, Instant};

#[allow(dead_code, reason = "the load generator calls the rest")]
#[path = "packet.rs"]
mod packet;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [server, how, packets, seed] = arguments.as_slice() else {
        return Err("usage: dns-rubbish SERVER udp|tcp|flood PACKETS SEED".into());
    };
    if how == "flood" {
        return flood(server, packets.parse()?);
    }
    let mut rubbish = Rubbish { dice: Dice(seed.parse()?), sent: Vec::new() };
    let packets: u64 = packets.parse()?;
    let told = match how.as_str() {
        "udp" => over_udp(server, packets, &mut rubbish)?,
        "tcp" => over_tcp(server, packets, &mut rubbish)?,
        _ => return Err("udp or tcp".into()),
    };
    println!("sent {packets} answered {} to-responses {}", told.answered, told.to_responses);
    Ok(())
}

#[derive(Default)]
struct Told {
    answered: u64,
    to_responses: u64,
}

fn over_udp(server: &str, packets: u64, rubbish: &mut Rubbish) -> Result<Told, Box<dyn Error>> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.connect(server)?;
    let (mut told, mut reply) = (Told::default(), [0; 65_535]);
    let mut left = packets;
    while left > 0 {
        let batch = left.min(BATCH);
        rubbish.sent.clear();
        for _ in 0..batch {
            let packet = rubbish.packet();
            socket.send(&packet)?;
        }
        left -= batch;
        // Whatever else is lost, this is answered, and behind all the others.
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.send(&marker())?;
        loop {
            let length = socket.recv(&mut reply).map_err(|_| "the server does not answer any more")?;
            if reply[..2] == MARKER.to_be_bytes() {
                break;
            }
            rubbish.count(&reply[..length], &mut told);
        }
    }
    Ok(told)
}

fn over_tcp(server: &str, packets: u64, rubbish: &mut Rubbish) -> Result<Told, Box<dyn Error>> {
    let mut told = Told::default();
    let mut left = packets;
    while left > 0 {
        let batch = left.min(BATCH);
        left -= batch;
        rubbish.sent.clear();
        let mut stream = TcpStream::connect(server)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut octets = Vec::new();
        for _ in 0..batch {
            let mut packet = rubbish.packet();
            // A message of no octets at all ends a connection.
            if packet.is_empty() {
                packet.push(0);
            }
            octets.extend_from_slice(&(packet.len() as u16).to_be_bytes());
            octets.extend_from_slice(&packet);
        }
        // Some streams end in the middle of a message; the others with a query that is answered.
        if rubbish.dice.below(4) == 0 {
            octets.truncate(octets.len() - rubbish.dice.below(octets.len().min(40)));
            drop(stream.write_all(&octets));
            continue;
        }
        let question = marker();
        octets.extend_from_slice(&(question.len() as u16).to_be_bytes());
        octets.extend_from_slice(&question);
        if stream.write_all(&octets).is_err() {
            continue;
        }
        let mut reply = vec![0; 65_535];
        loop {
            let mut length = [0; 2];
            stream.read_exact(&mut length).map_err(|error| format!("a connection ended early: {error}"))?;
            let reply = &mut reply[..usize::from(u16::from_be_bytes(length))];
            stream.read_exact(reply)?;
            if reply.get(..2) == Some(&MARKER.to_be_bytes()) {
                break;
            }
            rubbish.count(reply, &mut told);
        }
    }
    Ok(told)
}

fn flood(server: &str, packets: u64) -> Result<(), Box<dyn Error>> {
    let client = |host: u8| -> std::io::Result<UdpSocket> {
        let socket = UdpSocket::bind((Ipv4Addr::new(127, 9, 9, host), 0))?;
        socket.connect(server)?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    };
    let victims = (1..=VICTIMS).map(client).collect::<Result<Vec<_>, _>>()?;
    let query = packet::query("n%.example.org", 0);
    let (mut reply, mut answered) = ([0; 4096], 0u64);
    let mut drain = || {
        for victim in &victims {
            while victim.recv(&mut reply).is_ok() {
                answered += 1;
            }
        }
    };
    let started = Instant::now();
    let mut sent = 0;
    while sent < packets {
        let due = (started.elapsed().as_secs_f64() * FLOOD_RATE) as u64;
        while sent < due.min(packets) {
            drop(victims[sent as usize % victims.len()].send(&query));
            sent += 1;
        }
        drain();
    }
    let seconds = started.elapsed().as_secs_f64();
    sleep(AFTERWARDS);
    drain();
    println!("sent {sent} answered {answered} seconds {seconds:.3}");
    Ok(())
}

/// A query that is answered, with a number that no other packet has.
fn marker() -> Vec<u8> {
    let mut packet = packet::query("n%.example.org", 0);
    packet[..2].copy_from_slice(&MARKER.to_be_bytes());
    packet
}

struct Rubbish {
    dice: Dice,
    /// Of this batch, by number: whether the packet was a response.
    sent: Vec<bool>,
}

impl Rubbish {
    fn packet(&mut self) -> Vec<u8> {
        let mut packet = self.made();
        let number = self.sent.len() as u16;
        if packet.len() >= 2 {
            packet[..2].copy_from_slice(&number.to_be_bytes());
        }
        self.sent.push(packet.get(2).is_some_and(|flags| flags & 0x80 != 0));
        packet
    }

    fn made(&mut self) -> Vec<u8> {
        let dice = &mut self.dice;
        if dice.below(10) == 0 {
            return (0..dice.below(600)).map(|_| dice.below(256) as u8).collect();
        }
        let mut packet = packet::query("n%.example.org", dice.below(1000));
        for _ in 0..=dice.below(8) {
            let at = dice.below(packet.len().max(1));
            match dice.below(7) {
                _ if packet.is_empty() => {}
                0 => packet[at] ^= 1 << dice.below(8),
                1 => packet[at] = dice.below(256) as u8,
                2 => packet.truncate(at),
                3 => packet.extend((0..dice.below(80)).map(|_| dice.below(256) as u8)),
                // A count, a length or a pointer that is far too large.
                4 => packet[at] = 0xFF,
                5 => {
                    let part = packet[at..].to_vec();
                    packet.extend_from_slice(&part);
                }
                _ => packet[at] = 0xC0,
            }
            packet.truncate(PACKET_MAX);
        }
        packet
    }

    fn count(&self, reply: &[u8], told: &mut Told) {
        told.answered += 1;
        let number = reply.first_chunk().map_or(usize::MAX, |id| usize::from(u16::from_be_bytes(*id)));
        told.to_responses += u64::from(self.sent.get(number).copied().unwrap_or(false));
    }
}

/// splitmix64: the same packets for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, count: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % count.max(1) as u64) as usize
    }
}

/// Packets sent before an answer is waited for: fewer than a socket holds.
const BATCH: u64 = 100;
const MARKER: u16 = 0xFFFF;
const PATIENCE: Duration = Duration::from_secs(5);
/// Addresses that are flooded.
const VICTIMS: u8 = 32;
/// Queries a second.
const FLOOD_RATE: f64 = 100_000.0;
/// For replies that are still on their way.
const AFTERWARDS: Duration = Duration::from_millis(500);
/// A datagram on loopback.
const PACKET_MAX: usize = 4_000;
