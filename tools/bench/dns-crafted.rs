//! What the dearest packets that anybody can think of cost, in CPU, from packet to packet and in memory.
//!
//! ```text
//!   dns-crafted  -->  | packet | octets | us, median | p99 |
//! ```
//!
//! The zone is as unkind as the packets: wildcards below one another, a chain of aliases that is as long as is followed, and
//! one through a DNAME. Nothing is remembered from one query to the next. The median of many rounds is
//! what it costs; in the p99 is what else the machine did.

use std::env::temp_dir;
use std::error::Error;
use std::fs;
use std::hint::black_box;
use std::net::SocketAddr;
use std::process::id;
use std::sync::Arc;
use std::time::{Duration, Instant};

use windrose::dns::respond::{Arrival, Responder, Transport};
use windrose::dnssec::Seconds;
use windrose::geo::Facts;
use windrose::keeper::Keeper;
use windrose::load;
use windrose::model::Moment;
use windrose::spec::Limits;

#[path = "in_memory.rs"]
mod in_memory;

fn main() -> Result<(), Box<dyn Error>> {
    let directory = temp_dir().join(format!("windrose-crafted-{}", id()));
    fs::create_dir_all(&directory)?;
    fs::write(directory.join("example.org.zone"), zone())?;
    let loaded =
        load::zones(&directory, &Arc::new(Facts::none()), Duration::from_secs(2), &load::Overlays::new());
    fs::remove_dir_all(&directory)?;
    let plan = loaded.plan.ok_or_else(|| format!("{:?}", loaded.diagnostics))?;
    let snapshot = Keeper::new(Arc::new(plan), None, Moment(0)).first();
    let responder = Responder::new(&in_memory::config(Limits::none()));
    let client = SocketAddr::from(([127, 0, 0, 1], 5353));
    println!("| packet | octets | reply | us, median | p99 |\n| --- | --- | --- | --- | --- |");
    let mut dearest: f64 = 0.0;
    for (what, packet) in packets() {
        let mut out = vec![0; usize::from(u16::MAX)];
        let mut spent = Vec::new();
        let mut length = 0;
        for round in 0..WARM_UP + ROUNDS {
            let transport = Transport::Tcp;
            let arrival =
                Arrival { packet: black_box(&packet), client, transport, draw: round, now: Seconds(0) };
            let before = Instant::now();
            let reply = responder.respond(&arrival, None, &snapshot, &mut out);
            let took = before.elapsed();
            length = black_box(reply).map_or(0, |reply| reply.length);
            if round >= WARM_UP {
                spent.push(took.as_secs_f64() * 1e6);
            }
        }
        spent.sort_by(f64::total_cmp);
        let (median, p99) = (spent[spent.len() / 2], spent[spent.len() * 99 / 100]);
        dearest = dearest.max(median);
        println!("| {what} | {} | {length} | {median:.1} | {p99:.1} |", packet.len());
    }
    let verdict = if dearest <= DEAREST_MAX { "pass" } else { "FAIL" };
    println!("\nthe dearest: {dearest:.1} us, wanted: at most {DEAREST_MAX} us, {verdict}");
    if dearest > DEAREST_MAX { Err("a packet costs too much".into()) } else { Ok(()) }
}

fn zone() -> String {
    let mut lines = vec!["@ 300 SOA ns1 host 1 2 3 4 5".to_owned(), "@ 300 NS ns1".to_owned()];
    lines.push("ns1 300 A 127.0.0.1".to_owned());
    for number in 0..CHAIN {
        lines.push(format!("chain{number} 300 CNAME chain{}", number + 1));
        lines.push(format!("d{number} 300 DNAME d{}", number + 1));
    }
    lines.push(format!("chain{CHAIN} 300 A 127.0.0.1"));
    // Wildcards below one another: *.w, *.w.w, ... and an alias from each to the next.
    for depth in 1..=DEPTH {
        lines.push(format!("*{} 300 TXT \"wild\"", ".w".repeat(depth)));
    }
    (0..MANY).for_each(|number| lines.push(format!("many 300 A 10.1.{}.{}", number / 250, number % 250)));
    (0..MANY / 4)
        .for_each(|number| lines.push(format!("mail 300 MX {number} m{number}.a.long.name.for.mail")));
    lines.join("\n") + "\n"
}

fn packets() -> Vec<(&'static str, Vec<u8>)> {
    let a_label_each = |count: usize| vec!["a"; count].join(".");
    let chained: Vec<u8> = (0..300u16)
        .flat_map(|number| {
            // A name that points to the one before it, which does the same.
            let before = 12 + 17 + number.saturating_sub(1) * 12;
            [&(0xC000 | before).to_be_bytes()[..], &[0, 1, 0, 1, 0, 0, 0, 0, 0, 0]].concat()
        })
        .collect();
    let additional: Vec<u8> = (0..1500).flat_map(|_| [0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0]).collect();
    let options: Vec<u8> =
        (0..4000).flat_map(|number: u16| [(number >> 8) as u8 | 0x80, number as u8, 0, 0]).collect();
    let length = (options.len() as u16).to_be_bytes();
    let opt = [&[0, 0, 41, 4, 208, 0, 0, 0, 0][..], &length, &options].concat();
    vec![
        ("a plain query", query("www.example.org", 1, 0, &[])),
        ("a name of 120 labels that is not there", query(&(a_label_each(120) + ".example.org"), 1, 0, &[])),
        ("126 labels, in no zone", query(&a_label_each(126), 1, 0, &[])),
        ("300 records with chained pointers", query("www.example.org", 1, 300, &chained)),
        ("1,500 additional records", query("www.example.org", 1, 1500, &additional)),
        ("4,000 options", query("www.example.org", 1, 1, &opt)),
        ("wildcards 100 deep", query(&(a_label_each(10) + &".w".repeat(100) + ".example.org"), 16, 0, &[])),
        ("a chain of aliases", query("chain0.example.org", 1, 0, &[])),
        ("a chain of DNAMEs below 90 labels", query(&(a_label_each(90) + ".d0.example.org"), 1, 0, &[])),
        ("1,000 addresses", query("many.example.org", 1, 0, &[])),
        ("250 mail exchanges, compressed", query("mail.example.org", 15, 0, &[])),
    ]
}

fn query(name: &str, qtype: u16, additional: u16, records: &[u8]) -> Vec<u8> {
    let mut packet = vec![0, 7, 0, 0, 0, 1, 0, 0, 0, 0];
    packet.extend(additional.to_be_bytes());
    for label in name.split('.') {
        packet.push(label.len() as u8);
        packet.extend(label.as_bytes());
    }
    packet.push(0);
    packet.extend(qtype.to_be_bytes());
    packet.extend([0, 1]);
    packet.extend(records);
    packet
}

const CHAIN: usize = 40;
const DEPTH: usize = 110;
const MANY: usize = 1_000;
const WARM_UP: u64 = 100;
const ROUNDS: u64 = 2_000;
const DEAREST_MAX: f64 = 100.0;
