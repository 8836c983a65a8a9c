//! Packets of anybody: whatever comes gets a well-formed reply or none, the same over every transport, and never is a
//! response answered.

#![no_main]

use std::cell::RefCell;

use libfuzzer_sys::fuzz_target;
use windrose::dns::respond::{Arrival, Limiter, Transport};
use windrose::spec::Limits;
use windrose_fuzz::{Asker, NOW, Read, World, query, read};

struct Target {
    world: World,
    asker: Asker,
    /// Answers little: its limits are used up, or small.
    strict: [(Asker, Limiter); 2],
}

impl Target {
    fn new() -> Self {
        let flooded = Limits { rate: 1, error_rate: 1, ..Limits::none() };
        let frugal = Limits { amplification: 10, ..Limits::none() };
        let strict = [flooded, frugal].map(|limits| {
            let asker = Asker::new(limits);
            let limiter = asker.responder().limiter();
            (asker, limiter)
        });
        let mut target = Self { world: World::new(), asker: Asker::new(Limits::none()), strict };
        // What is left of a rate must not depend on what came before: time stands still, so nothing is, ever.
        for name in FLOOD.iter().cycle().take(10 * FLOOD.len()) {
            target.under_attack(&query(name, A), 0);
        }
        target
    }

    fn take(&mut self, packet: &[u8]) {
        let Self { world, asker, .. } = self;
        let number = usize::from(packet.get(1).copied().unwrap_or_default());
        let snapshot = &world.snapshots[number % world.snapshots.len()];
        let udp = asker.ask(packet, Transport::Udp, snapshot).map(|(read, octets)| {
            let limit = if read.edns { UDP_MAX } else { PLAIN_MAX };
            assert!(octets.len() <= limit, "{} octets", octets.len());
            read
        });
        let is_silent = packet.len() < HEADER || packet[2] & QR != 0;
        assert_eq!(udp.is_none(), is_silent, "silence is for runts and responses");
        for transport in [Transport::Tcp, Transport::Tls] {
            let read = asker.ask(packet, transport, snapshot).map(|(read, _)| read);
            assert_alike(udp, read);
        }
        self.under_attack(packet, number);
    }

    /// Whatever is left out then, what goes out is well-formed.
    fn under_attack(&mut self, packet: &[u8], number: usize) {
        let mut out = [0; UDP_MAX];
        let client = if number % 16 == 15 { "198.18.0.9:0" } else { "198.18.0.9:53" };
        let client = client.parse().expect("an address");
        // The upper half decides what slips.
        let draw = (number as u64) << 32;
        for (asker, limiter) in &mut self.strict {
            let arrival = Arrival { packet, client, transport: Transport::Udp, draw, now: NOW };
            let snapshot = &self.world.snapshots[0];
            let reply = asker.responder().respond(&arrival, Some(limiter), snapshot, &mut out);
            if let Some(reply) = reply {
                assert!(client.port() != 0, "nobody sends from port 0");
                read(&out[..reply.length]);
            }
        }
    }
}

/// What fits over UDP is what there is over any transport.
fn assert_alike(udp: Option<Read>, other: Option<Read>) {
    match (udp, other) {
        (Some(udp), Some(other)) if udp.truncated => {
            assert_eq!((udp.rcode, udp.edns), (other.rcode, other.edns), "truncated, and something else");
            assert!(!other.truncated, "no room in a stream");
        }
        _ => assert_eq!(udp, other, "another answer over another transport"),
    }
}

thread_local! {
    static TARGET: RefCell<Target> = RefCell::new(Target::new());
}

fuzz_target!(|packet: &[u8]| TARGET.with_borrow_mut(|target| target.take(packet)));

const HEADER: usize = 12;
const QR: u8 = 0x80;
/// Without EDNS a reply has no more octets than this (RFC 1035 section 4.2.1).
const PLAIN_MAX: usize = 512;
/// What the server is configured to.
const UDP_MAX: usize = 1232;
const A: u16 = 1;
/// A question for each kind of reply.
const FLOOD: [&[u8]; 5] = [
    b"\x06static\x07example\x03net\0",
    b"\x03srv\x07example\x03net\0",
    b"\x07nowhere\x07example\x03net\0",
    b"\x01a\x08insecure\x07example\x03net\0",
    b"\x07nowhere\0",
];
