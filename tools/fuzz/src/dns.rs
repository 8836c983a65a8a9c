//! Asking, and reading what comes back with another library than the one that wrote it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use domain::base::{Message, ParsedName, Rtype};
use domain::rdata::AllRecordData;
use windrose::dns::cookies::Secrets;
use windrose::dns::respond::{Arrival, Responder, Transport};
use windrose::dns::{Chaos, Config};
use windrose::dnssec::Seconds;
use windrose::snapshot::Snapshot;
use windrose::spec::Limits;

use crate::world::AT;

/// Asks one responder.
pub struct Asker {
    responder: Responder,
    out: Vec<u8>,
}

/// What was read in a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Read {
    /// With its upper bits, if it has EDNS.
    pub rcode: u16,
    /// Whether there was more to say.
    pub truncated: bool,
    /// How many records are in the answer and in the authority section.
    pub records: (u16, u16),
    /// Whether it has EDNS.
    pub edns: bool,
}

impl Asker {
    /// One that says all that there is to say, within these limits.
    pub fn new(limits: Limits) -> Self {
        Self { responder: Responder::new(&config(limits)), out: vec![0; usize::from(u16::MAX)] }
    }

    /// What it is that answers.
    pub fn responder(&self) -> &Responder {
        &self.responder
    }

    /// The reply to a packet, read, and its octets. What the question leaves open, as who asks, its number decides: the server
    /// has nothing to do with it but to repeat it.
    pub fn ask(&mut self, packet: &[u8], transport: Transport, snapshot: &Snapshot) -> Option<(Read, &[u8])> {
        let arrival = Arrival { packet, client: client(packet), transport, draw: draw(packet), now: NOW };
        let reply = self.responder.respond(&arrival, None, snapshot, &mut self.out)?;
        let octets = &self.out[..reply.length];
        let read = read(octets);
        assert_eq!(
            (read.rcode, read.truncated),
            (reply.rcode, reply.truncated),
            "it says something else of itself"
        );
        assert_eq!(octets[..2], packet[..2], "another number");
        assert!(packet[2] & QR == 0, "a response was answered");
        Some((read, octets))
    }
}

/// Reads all of a reply: nothing in it may be malformed, and nothing may follow it.
///
/// # Panics
/// If it is malformed.
pub fn read(octets: &[u8]) -> Read {
    let message = Message::from_slice(octets).expect("a header");
    assert!(message.header().qr(), "no response");
    let mut question = message.question();
    assert!(question.by_ref().all(|question| question.is_ok()), "the question is malformed");
    let mut section = question.answer().expect("an answer section");
    let mut opts = 0;
    let end = loop {
        while let Some(record) = section.next() {
            let record = record.expect("a record");
            opts += u8::from(record.rtype() == Rtype::OPT);
            record.to_any_record::<AllRecordData<_, ParsedName<_>>>().expect("data of its type");
        }
        let end = section.pos();
        match section.next_section().expect("a section") {
            Some(next) => section = next,
            None => break end,
        }
    };
    assert_eq!(end, octets.len(), "something follows the last record");
    assert!(opts <= 1, "{opts} OPT records");
    let counts = message.header_counts();
    Read {
        rcode: message.opt_rcode().to_int(),
        truncated: message.header().tc(),
        records: (counts.ancount(), counts.nscount()),
        edns: opts == 1,
    }
}

/// A query for one name, in wire form, and one type, that wants proof and takes large replies.
pub fn query(name: &[u8], rtype: u16) -> Vec<u8> {
    let mut packet = vec![0, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1];
    packet.extend(name);
    packet.extend(rtype.to_be_bytes());
    packet.extend([0, 1]);
    packet.extend([0, 0, 41, 16, 0, 0, 0, 0x80, 0, 0, 0]);
    packet
}

fn client(packet: &[u8]) -> SocketAddr {
    let ip: IpAddr = match packet.first() {
        Some(number) if number & 1 == 0 => Ipv4Addr::new(198, 18, 0, 9).into(),
        _ => Ipv6Addr::new(0x2001, 0xdb8, 0xe, 0, 0, 0, 0, 9).into(),
    };
    SocketAddr::new(ip, 4242)
}

fn draw(packet: &[u8]) -> u64 {
    let number = packet.first_chunk().map_or(0, |number| u16::from_be_bytes(*number));
    u64::from(number).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

fn config(limits: Limits) -> Config {
    Config {
        listen: Vec::new(),
        workers: 1,
        client_subnet: true,
        client_subnet_from: limits.allow.clone(),
        udp_payload: 1232,
        tcp_connections: 1,
        tcp_connections_per_client: 1,
        tcp_connections_per_prefix: 1,
        tcp_idle: Duration::from_secs(10),
        tcp_write: Duration::from_secs(10),
        proxies: Vec::new(),
        encrypted: None,
        primary: None,
        signatures: SIGNATURES,
        name: "fuzz".to_owned(),
        cookies: Secrets::read("e5e973e5a6b2a43f48e7dc849e37bfcf").ok(),
        chaos: Chaos { version: Some("windrose".to_owned()), name: Some("fuzz".to_owned()) },
        limits,
    }
}

/// What time it is.
pub const NOW: Seconds = Seconds(AT.0 / 1000);

/// So few that they are thrown out, too.
const SIGNATURES: usize = 2_000;
const QR: u8 = 0x80;
