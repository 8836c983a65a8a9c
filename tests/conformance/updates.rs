//! Updates (RFC 2136) beside BIND: both have one zone, get the same updates one after another, and must answer each alike
//! and hold the same afterwards.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::SystemTime;

use ring::hmac;
use windrose::load::seconds;

use crate::ask::{connect, framed, message};
use crate::differential::Dice;
use crate::oracles;
use crate::query::wire_name;
use crate::reply::{hex, rcode_name};
use crate::world::World;

const ZONE: &str = "\
@ 3600 IN SOA ns1 hostmaster 1 7200 1800 1209600 300
@ 3600 IN NS ns1
@ 3600 IN MX 10 mail.example.net.
ns1 3600 IN A 127.0.0.1
a 300 IN A 192.0.2.1
a 300 IN A 192.0.2.2
a 300 IN TXT \"one\"
b 300 IN CNAME a
d.c.b 300 IN A 192.0.2.1
*.w 300 IN TXT \"one\"
cut 300 IN NS ns.example.net.
";

/// A record of an update, and words for it.
struct Entry {
    wire: Vec<u8>,
    words: String,
}

/// What an update says in its two sections.
struct Update {
    prerequisites: Vec<Entry>,
    entries: Vec<Entry>,
}

impl Update {
    /// As a message, without a signature.
    fn packet(&self, id: u16) -> Vec<u8> {
        let count = |entries: &[Entry]| (entries.len() as u16).to_be_bytes();
        let entries = self.prerequisites.iter().chain(&self.entries);
        [
            &id.to_be_bytes()[..],
            &[OPCODE_UPDATE << 3, 0, 0, 1],
            &count(&self.prerequisites),
            &count(&self.entries),
            &[0, 0],
            &wire("example.org"),
            &[0, SOA as u8, 0, IN as u8],
            &entries.flat_map(|entry| entry.wire.clone()).collect::<Vec<u8>>(),
        ]
        .concat()
    }

    fn words(&self) -> String {
        let words = |entries: &[Entry]| {
            entries.iter().map(|entry| format!("  {}\n", entry.words)).collect::<String>()
        };
        format!(" if\n{} then\n{}", words(&self.prerequisites), words(&self.entries))
    }
}

#[test]
fn rfc_2136_updates_do_what_they_do_in_bind() {
    let world = World::new(
        "[probe]\nenabled = false\n[tsig]\nkeys = \"keys\"\n[transfer]\nallow = [{ from = \"127.0.0.1\" }]\n\
         [update]\nallow = [{ key = \"updates\" }]\n",
    );
    std::fs::write(world.path("config/keys"), KEY_FILE).expect("written");
    world.write_zone("example.org.zone", ZONE);
    let server = world.serve();
    let bind = oracles::bind_alone(&format!("$ORIGIN example.org.\n{ZONE}"));
    let (mut ours, mut theirs) = (connect(server.address), connect(bind.address));
    let mut dice = Dice(SEED);
    let mut history = Vec::new();
    let mut changed = 0;
    for number in 0..UPDATES {
        let update = generate(&mut dice);
        let packet = update.packet(number);
        let [our_code, their_code] =
            [told(&mut ours, &signed(&packet)), told(&mut theirs, &packet)].map(rcode_name);
        // BIND looks for what is malformed or of another zone before all else; RFC 2136 section 3 has prerequisites
        // first, then the records in their order.
        let earlier = matches!(&*their_code, "NOTZONE" | "FORMERR") && REFUSALS.contains(&&*our_code);
        assert!(
            our_code == their_code || earlier,
            "{our_code}, {their_code}: update {number}:{}",
            update.words()
        );
        changed += u16::from(our_code == "NOERROR");
        history.push(format!("{number} {our_code}:{}", update.words()));
        if number % 10 == 9 {
            let [held, expected] = [server.address, bind.address].map(whole);
            assert_eq!(held, expected, "after {}", history.split_off(history.len() - 10).concat());
        }
    }
    assert!((UPDATES / 4..UPDATES).contains(&changed), "{changed} were not refused");
}

/// Sends a message and returns the code of the reply.
fn told(stream: &mut TcpStream, packet: &[u8]) -> u16 {
    stream.write_all(&framed(packet)).expect("it is sent");
    let reply = message(stream).expect("a reply");
    assert_eq!(reply[..2], packet[..2]);
    u16::from(reply[3] & 0xF)
}

/// All records of the zone in order, but for the SOA record, whose serial is everybody's own. In lower case: BIND keeps
/// the case of what was there, where a record that is the same replaces it (RFC 2136 section 3.4.2.2).
fn whole(server: SocketAddr) -> Vec<String> {
    let port = server.port().to_string();
    let output = Command::new("dig")
        .args(["@127.0.0.1", "-p", &port, "example.org", "AXFR", "+noall", "+answer"])
        .output();
    let text = String::from_utf8(output.expect("dig is installed").stdout).expect("text");
    let lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    let lines = lines.map(|line| line.to_ascii_lowercase());
    let mut lines: Vec<String> = lines.filter(|line| !line.contains(" soa ")).collect();
    assert!(!lines.is_empty());
    lines.sort();
    lines
}

fn generate(dice: &mut Dice) -> Update {
    let mut prerequisites: Vec<Entry> = (0..dice.below(3)).map(|_| prerequisite(dice)).collect();
    // A record that is said twice is one more than there is for BIND.
    prerequisites.dedup_by(|one, other| one.wire == other.wire);
    let entries = (0..=dice.below(4)).map(|_| entry(dice)).collect();
    Update { prerequisites, entries }
}

/// What must hold, which mostly does.
fn prerequisite(dice: &mut Dice) -> Entry {
    let (name, rtype) = subject(dice);
    let ttl = u32::from(dice.below(50) == 0);
    match dice.below(12) {
        0..=3 => record("a", A, ANY, ttl, &[]),
        4 => record(name, ANY, ANY, ttl, &[]),
        5 | 6 => record("nobody", ANY, NONE, ttl, &[]),
        7 => record(name, rtype, NONE, ttl, &[]),
        8 => record(name, rtype, ANY, ttl, &[]),
        9 => record("ns1", A, IN, ttl, &[127, 0, 0, 1]),
        _ => record(name, rtype, IN, ttl, &data(dice, rtype)),
    }
}

/// What is to be done.
fn entry(dice: &mut Dice) -> Entry {
    let (name, rtype) = subject(dice);
    let ttl = [60, 300][dice.below(2)];
    match dice.below(100) {
        0..60 => record(name, rtype, IN, ttl, &data(dice, rtype)),
        60..72 => record(name, rtype, ANY, 0, &[]),
        72..76 => record(name, ANY, ANY, 0, &[]),
        76..92 => record(name, rtype, NONE, 0, &data(dice, rtype)),
        92 => record("@", SOA, ANY, 0, &[]),
        93 => record("@", NS, ANY, 0, &[]),
        94 => record(name, rtype, ANY, ttl, &[]),
        95 => record(name, ANY, NONE, 0, &[]),
        96 => record(name, AXFR, IN, ttl, &[]),
        97 => record("www.example.net.", A, IN, ttl, &[192, 0, 2, 1]),
        98 => record(name, rtype, CHAOS, ttl, &data(dice, rtype)),
        _ => record(name, rtype, ANY, 0, &data(dice, rtype)),
    }
}

/// A name and a type that it may have: servers are named where they are found.
fn subject(dice: &mut Dice) -> (&'static str, u16) {
    match dice.below(8) {
        0 => ("@", [NS, MX, TXT, A][dice.below(4)]),
        1 => ("cut", NS),
        _ => (NAMES[dice.below(NAMES.len())], TYPES[dice.below(TYPES.len())]),
    }
}

fn data(dice: &mut Dice, rtype: u16) -> Vec<u8> {
    let one_of = |dice: &mut Dice, names: &[&str]| wire(names[dice.below(names.len())]);
    match rtype {
        A => vec![192, 0, 2, dice.below(3) as u8],
        AAAA => [&[0x20, 1, 0xd, 0xb8][..], &[0; 11], &[dice.below(3) as u8]].concat(),
        TXT => [&b"\x03one"[..], b"\x03two", b"\x05three\x03One"][dice.below(3)].to_vec(),
        MX => [&[0, 10][..], &one_of(dice, &["mail.example.net", "Mail.example.net", "mx.example.net"])]
            .concat(),
        CNAME => one_of(dice, &["a.example.org", "A.example.org", "www.example.net"]),
        NS => one_of(dice, &["ns.example.net", "NS2.example.net", "ns.example.com"]),
        _ => vec![7; dice.below(3)],
    }
}

fn record(name: &str, rtype: u16, class: u16, ttl: u32, rdata: &[u8]) -> Entry {
    let owner = match name {
        "@" => "example.org".to_owned(),
        full if full.ends_with('.') => full.trim_end_matches('.').to_owned(),
        relative => format!("{relative}.example.org"),
    };
    let numbers = [rtype.to_be_bytes(), class.to_be_bytes()].concat();
    let length = (rdata.len() as u16).to_be_bytes();
    Entry {
        wire: [&wire(&owner)[..], &numbers, &ttl.to_be_bytes(), &length, rdata].concat(),
        words: format!("{name} TTL {ttl} class {class} type {rtype} {}", hex(rdata)),
    }
}

fn wire(name: &str) -> Vec<u8> {
    wire_name(name).expect("a name")
}

/// The message with a TSIG record (RFC 8945 section 4.2) by the key of both.
fn signed(packet: &[u8]) -> Vec<u8> {
    let (name, algorithm) = (wire("updates"), wire("hmac-sha256"));
    let time = &seconds(SystemTime::now()).0.to_be_bytes()[2..];
    let variables = [packet, &name, &[0, 255, 0, 0, 0, 0], &algorithm, time, FUDGE, &[0, 0, 0, 0]].concat();
    let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &[0; 32]), &variables);
    let data = [&algorithm, time, FUDGE, &[0, 32], mac.as_ref(), &packet[..2], &[0, 0, 0, 0]].concat();
    let length = (data.len() as u16).to_be_bytes();
    let mut packet = [packet, &name, &[0, 250, 0, 255, 0, 0, 0, 0], &length, &data].concat();
    packet[11] += 1;
    packet
}

const KEY_FILE: &str =
    "key \"updates\" { algorithm hmac-sha256; secret \"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\"; };\n";
/// What an update with several faults may be refused for.
const REFUSALS: [&str; 6] = ["YXDOMAIN", "YXRRSET", "NXRRSET", "NXDOMAIN", "FORMERR", "NOTZONE"];
const SEED: u64 = 2136;
const UPDATES: u16 = 600;
const FUDGE: &[u8] = &[1, 44];
const OPCODE_UPDATE: u8 = 5;

const NAMES: [&str; 8] = ["a", "b", "c.b", "d.c.b", "*.w", "x.w", "new", "nobody"];
const TYPES: [u16; 7] = [A, A, AAAA, TXT, MX, CNAME, OTHER];
const A: u16 = 1;
const NS: u16 = 2;
const CNAME: u16 = 5;
const SOA: u16 = 6;
const MX: u16 = 15;
const TXT: u16 = 16;
const AAAA: u16 = 28;
const AXFR: u16 = 252;
const OTHER: u16 = 65400;
const IN: u16 = 1;
const CHAOS: u16 = 3;
const NONE: u16 = 254;
const ANY: u16 = 255;
