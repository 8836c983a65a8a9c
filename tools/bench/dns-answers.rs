//! Answers queries from memory, without a socket: what `tools/bench/instructions` counts.
//!
//! `dns-answers ZONES PATTERN NAMES QUERIES [--subnets]` loads a directory of zones and answers that many queries for the
//! A records of the names (`%` in the pattern = 0000..), as the UDP listener does; with `--subnets` each carries a client
//! subnet of its own. All that could vary from run to run is fixed: the time, the order of the names and the draws.

use std::env;
use std::error::Error;
use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ipnet::Ipv4Net;
use windrose::dns::respond::{Arrival, Responder, Transport};
use windrose::dnssec::Seconds;
use windrose::geo::Facts;
use windrose::keeper::Keeper;
use windrose::load;
use windrose::model::Moment;
use windrose::spec::Limits;

#[path = "in_memory.rs"]
mod in_memory;
#[path = "packet.rs"]
mod packet;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [zones, pattern, names, queries, subnets @ ..] = arguments.as_slice() else {
        return Err("usage: dns-answers ZONES PATTERN NAMES QUERIES [--subnets]".into());
    };
    let loaded = load::zones(
        Path::new(zones),
        &Arc::new(Facts::none()),
        Duration::from_secs(2),
        &load::Overlays::new(),
    );
    let plan = loaded.plan.ok_or_else(|| format!("{:?}", loaded.diagnostics))?;
    let snapshot = Keeper::new(Arc::new(plan), None, Moment(0)).first();
    let responder = Responder::new(&in_memory::config(Limits::default()));
    let mut packets: Vec<_> = (0..names.parse()?).map(|number| packet::query(pattern, number)).collect();
    if !subnets.is_empty() {
        for (number, packet) in (0u32..).zip(&mut packets) {
            let address = Ipv4Addr::from_bits(number.wrapping_mul(SPREAD) & !0xff);
            packet::add_client_subnet(packet, Ipv4Net::new_assert(address, 24));
        }
    }
    let client = SocketAddr::from(([127, 0, 0, 1], 5353));
    let (mut limiter, mut reply) = (responder.limiter(), vec![0; responder.udp_payload()]);
    for number in 0..queries.parse()? {
        let packet = &packets[number % packets.len()];
        let draw = (number as u64).wrapping_mul(GOLDEN);
        let transport = Transport::Udp;
        let arrival = Arrival { packet: black_box(packet), client, transport, draw, now: Seconds(0) };
        let written = responder.respond(&arrival, Some(&mut limiter), &snapshot, &mut reply);
        let written = written.ok_or("a query was not answered")?;
        if !packet::is_good(black_box(&reply[..written.length])) {
            return Err(format!("query {number} has no good answer").into());
        }
    }
    Ok(())
}

/// Spreads counted draws over all 64 bits.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Spreads counted subnets over all addresses.
const SPREAD: u32 = 0x9e37_79b9;
