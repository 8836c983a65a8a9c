//! The same zone here and in NSD, Knot and BIND, and the same queries to all: whatever differs in response code, flags,
//! sections or TTL is in [`DIFFERENCES`] with its reason, or the test fails.
//!
//! ```text
//!   seed --> name in or near the zone x type x EDNS x flags --> four servers --> as sets, in lower case --> equal?
//!                                                              else: which of the differences is it? -- none: fail
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::net::UdpSocket;
use std::time::Duration;

use crate::ask::udp;
use crate::cases::ZONES;
use crate::oracles;
use crate::query;
use crate::reply::{Reply, TYPES, rcode_name};
use crate::world::{World, repository};

/// A way in which we differ from others, on purpose or by their choice.
struct Difference {
    /// As docs/CONFORMANCE.md has it.
    name: &'static str,
    /// The servers that it is seen with.
    servers: &'static [&'static str],
    /// Takes it out of both replies.
    even_out: fn(&Asked, ours: &mut Reply, theirs: &mut Reply),
}

/// What was asked.
struct Asked {
    qtype: u16,
    class: u16,
    opcode: u16,
    edns_version: Option<u16>,
}

#[test]
fn ten_thousand_queries_are_answered_as_by_nsd_knot_and_bind() {
    let zone = zone();
    let world = World::new("[probe]\nenabled = false\n[limits]\nerror_rate = 0\n");
    world.write_zone("example.org.zone", &zone);
    let ours = world.serve();
    let oracles = oracles::start(&zone);
    let our_socket = udp("127.0.0.1:0", ours.address);
    let sockets: Vec<_> = oracles.iter().map(|oracle| udp("127.0.0.1:0", oracle.address)).collect();
    let mut dice = Dice(SEED);
    let owners = owners(&zone);
    let mut unexplained: BTreeMap<String, (usize, String)> = BTreeMap::new();
    let mut seen: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for number in 0..QUERIES {
        let (words, asked) = generate(&mut dice, &owners);
        let packet = query::packet(&words, number as u16).unwrap_or_else(|error| panic!("{words}: {error}"));
        let exchange = |socket: &UdpSocket| {
            asked_until_answered(socket, &packet).and_then(|octets| Reply::read(&octets)).map(normal)
        };
        let our_reply = exchange(&our_socket).unwrap_or_else(|error| panic!("{words}: {error}"));
        for (oracle, socket) in oracles.iter().zip(&sockets) {
            let theirs = match exchange(socket) {
                Ok(reply) => reply,
                Err(error) => panic!("{} to {words}: {error}", oracle.name),
            };
            if let Err(what) = compare(&asked, oracle.name, &our_reply, &theirs, &mut seen) {
                let entry =
                    unexplained.entry(format!("{}: {what}", oracle.name)).or_insert((0, String::new()));
                entry.0 += 1;
                if entry.0 == 1 {
                    entry.1 = format!("{words}\n-- ours:\n{our_reply}\n-- {}:\n{theirs}\n", oracle.name);
                }
            }
        }
    }
    let report: String =
        unexplained.iter().map(|(what, (count, example))| format!("{count} x {what}\n{example}\n")).collect();
    assert!(unexplained.is_empty(), "what no difference in the table explains:\n{report}");
    for difference in DIFFERENCES {
        let seen = seen.get(difference.name).cloned().unwrap_or_default();
        for server in difference.servers {
            assert!(seen.contains(server), "{} is not seen with {server} any more", difference.name);
        }
    }
}

#[test]
fn each_difference_is_in_the_documentation_with_its_reason_and_no_other_is() {
    let page = fs::read_to_string(repository().join("docs/CONFORMANCE.md")).expect("the page can be read");
    let (_, table) = page.split_once("| difference |").expect("the table is there");
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let told: Vec<(String, String)> = rows
        .map(|row| {
            let mut cells = row.trim_matches('|').split('|').map(|cell| cell.trim().to_string());
            let (name, servers) = (cells.next().unwrap_or_default(), cells.next().unwrap_or_default());
            assert!(cells.next().is_some_and(|reason| reason.len() > 10), "{name} has no reason");
            (name, servers)
        })
        .collect();
    let known: Vec<(String, String)> = DIFFERENCES
        .iter()
        .map(|difference| (difference.name.to_string(), difference.servers.join(", ")))
        .collect();
    assert_eq!(told, known);
}

/// A datagram may get lost on a busy machine: it is sent again. What came late is passed over.
fn asked_until_answered(socket: &UdpSocket, packet: &[u8]) -> Result<Vec<u8>, String> {
    socket.set_read_timeout(Some(Duration::from_secs(1))).expect("a deadline");
    let mut octets = vec![0; 1 << 16];
    for _ in 0..TRIES {
        socket.send(packet).map_err(|error| error.to_string())?;
        while let Ok(length) = socket.recv(&mut octets) {
            if octets[..2] == packet[..2] {
                return Ok(octets[..length].to_vec());
            }
        }
    }
    Err("there is no reply".to_string())
}

/// Evens out what is known to differ; the rest, if any, is told in a few words.
fn compare(
    asked: &Asked,
    server: &str,
    ours: &Reply,
    theirs: &Reply,
    seen: &mut BTreeMap<&'static str, Vec<&'static str>>,
) -> Result<(), String> {
    let (mut ours, mut theirs) = (ours.clone(), theirs.clone());
    for difference in DIFFERENCES {
        let Some(known) = difference.servers.iter().find(|known| **known == server) else { continue };
        if ours == theirs {
            break;
        }
        let before = what_differs(&ours, &theirs);
        (difference.even_out)(asked, &mut ours, &mut theirs);
        let with = seen.entry(difference.name).or_default();
        if what_differs(&ours, &theirs) != before && !with.contains(known) {
            with.push(known);
        }
    }
    if ours == theirs { Ok(()) } else { Err(what_differs(&ours, &theirs)) }
}

fn what_differs(ours: &Reply, theirs: &Reply) -> String {
    let mut told = Vec::new();
    if ours.rcode() != theirs.rcode() {
        told.push(format!("{} for {}", rcode_name(ours.rcode()), rcode_name(theirs.rcode())));
    }
    if ours.flags & 0xFFF0 != theirs.flags & 0xFFF0 {
        told.push(format!("flags {:04x} for {:04x}", ours.flags & 0xFFF0, theirs.flags & 0xFFF0));
    }
    if ours.questions != theirs.questions {
        told.push("question".to_string());
    }
    for (section, name) in ["answer", "authority", "additional"].into_iter().enumerate() {
        if ours.sections[section] != theirs.sections[section] {
            told.push(name.to_string());
        }
    }
    if ours.opt != theirs.opt {
        told.push("edns".to_string());
    }
    told.join(", ")
}

/// In lower case, without what every server says for itself in its OPT record: its payload and its options.
fn normal(mut reply: Reply) -> Reply {
    for record in reply.sections.iter_mut().flatten() {
        record.owner.make_ascii_lowercase();
        record.data.make_ascii_lowercase();
    }
    for question in &mut reply.questions {
        question.0.make_ascii_lowercase();
    }
    reply.sections.iter_mut().for_each(|section| section.sort());
    if let Some(opt) = &mut reply.opt {
        opt.payload = 0;
        opt.options.clear();
    }
    reply
}

/// The zone of the cases, without what not all of them read.
fn zone() -> String {
    ZONES[0]
        .1
        .lines()
        .filter(|line| !line.starts_with("class CLASS1"))
        .map(|line| format!("{line}\n"))
        .collect()
}

/// The owners of the zone, relative to it, without escapes.
fn owners(zone: &str) -> Vec<String> {
    let mut owners: Vec<String> = zone
        .lines()
        .filter(|line| !line.starts_with('$') && !line.contains('\\'))
        .filter_map(|line| line.split(' ').next().map(str::to_string))
        .collect();
    owners.sort();
    owners.dedup();
    owners
}

/// The words of one query, and what it asks.
fn generate(dice: &mut Dice, owners: &[String]) -> (String, Asked) {
    let owner = &owners[dice.below(owners.len())];
    let mut name = match owner.as_str() {
        "@" => "example.org".to_string(),
        owner => format!("{owner}.example.org"),
    };
    match dice.below(10) {
        0 | 1 => name = format!("{}.{name}", LABELS[dice.below(LABELS.len())]),
        2 => name = format!("x.y.{name}"),
        3 => name = name.split_once('.').map_or(name.clone(), |(_, parent)| parent.to_string()),
        4 => name = name.to_ascii_uppercase(),
        5 => name = format!("{}.example.org", LABELS[dice.below(LABELS.len())]),
        _ => {}
    }
    if dice.below(200) == 0 {
        name = "www.example.net".to_string();
    }
    let (mut qtype, mut type_name) = TYPES[dice.below(TYPES.len())];
    if dice.below(2) == 0 {
        (qtype, type_name) = USUAL[dice.below(USUAL.len())];
    }
    let mut words = format!("{name} {type_name}");
    let mut asked = Asked { qtype, class: 1, opcode: 0, edns_version: None };
    if dice.below(3) > 0 {
        let version = if dice.below(20) == 0 { 1 } else { 0 };
        asked.edns_version = Some(version);
        let payload = [512, 1232, 4096][dice.below(3)];
        words += &format!(" edns={version} payload={payload}");
        words += [" eflags=8000", " eflags=0001", "", ""][dice.below(4)];
        words += [" option=65001:0102", " option=100", "", ""][dice.below(4)];
    }
    words += [" flags=0100", " flags=0010", " flags=0020", " flags=0040", "", ""][dice.below(6)];
    if dice.below(100) == 0 {
        asked.class = [3, 4, 255][dice.below(3)];
        words += &format!(" class={}", asked.class);
    }
    if dice.below(100) == 0 {
        asked.opcode = [1, 2, 15][dice.below(3)];
        words += &format!(" opcode={}", asked.opcode);
    }
    (words, asked)
}

/// splitmix64: the same queries at each run.
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, count: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % count as u64) as usize
    }
}

const SEED: u64 = 8906;
/// How often a query is sent before it counts as one without a reply.
const TRIES: usize = 5;
const QUERIES: usize = 12_000;

/// Labels that are put before names.
const LABELS: [&str; 8] = ["www", "nothing", "*", "a", "_tcp", "ns", "xn--wgv71a", "deep"];

/// Half of the queries are for these.
const USUAL: [(u16, &str); 6] = [(1, "A"), (28, "AAAA"), (16, "TXT"), (2, "NS"), (15, "MX"), (6, "SOA")];

/// The names are those of docs/CONFORMANCE.md, which has the reasons.
const DIFFERENCES: &[Difference] = &[
    Difference {
        name: "other opcodes",
        servers: &["NSD", "Knot", "BIND"],
        even_out: |asked, ours, theirs| {
            if asked.opcode != 0 {
                bare(ours, NOTIMP);
                // Which of its oddities comes first is anybody's choice.
                let other = theirs.rcode() == BADVERS || (asked.class != 1 && theirs.rcode() == REFUSED);
                bare(theirs, if other { NOTIMP } else { theirs.rcode() });
            }
        },
    },
    Difference {
        name: "other classes",
        servers: &["NSD", "Knot", "BIND"],
        even_out: |asked, ours, theirs| {
            if asked.class != 1 && ours.rcode() == REFUSED {
                bare(ours, REFUSED);
                bare(theirs, REFUSED);
            }
        },
    },
    Difference {
        name: "types that are no data",
        servers: &["NSD", "Knot", "BIND"],
        even_out: |asked, ours, theirs| {
            let refused = matches!(ours.rcode(), FORMERR | NOTIMP | REFUSED);
            if matches!(asked.qtype, 41 | 249..=252) && refused {
                bare(ours, REFUSED);
                bare(theirs, REFUSED);
            }
        },
    },
    Difference {
        name: "flags of BADVERS",
        servers: &["NSD"],
        even_out: |_, ours, theirs| {
            if ours.rcode() == BADVERS && theirs.rcode() == BADVERS {
                bare(ours, BADVERS);
                bare(theirs, BADVERS);
            }
        },
    },
    Difference {
        name: "CD in replies",
        servers: &["NSD", "Knot"],
        even_out: |_, ours, theirs| {
            ours.flags &= !CD;
            theirs.flags &= !CD;
        },
    },
    Difference {
        name: "authority in positive answers",
        servers: &["NSD", "BIND"],
        even_out: |_, ours, theirs| {
            for reply in [ours, theirs] {
                if !reply.sections[0].is_empty() {
                    reply.sections[1].retain(|record| record.rtype != NS);
                }
            }
        },
    },
    Difference {
        name: "additional section of answers",
        servers: &["NSD", "Knot", "BIND"],
        even_out: |_, ours, theirs| {
            for reply in [ours, theirs] {
                if !reply.sections[0].is_empty() {
                    reply.sections[2].clear();
                }
            }
        },
    },
    Difference {
        name: "glue beside the cut",
        servers: &["BIND"],
        even_out: |_, ours, theirs| {
            let Some(cut) = ours.sections[1].iter().find(|record| record.rtype == NS) else { return };
            let below = format!(".{}", cut.owner);
            ours.sections[2].retain(|record| record.owner.ends_with(&below));
            theirs.sections[2].retain(|record| record.owner.ends_with(&below));
        },
    },
    Difference {
        name: "where truncation begins",
        servers: &["Knot", "BIND"],
        even_out: |_, ours, theirs| {
            if (ours.flags | theirs.flags) & TC != 0 {
                for reply in [ours, theirs] {
                    reply.flags &= !(TC | AD);
                    reply.sections = Default::default();
                }
            }
        },
    },
    Difference {
        name: "one set for ANY",
        servers: &["NSD", "Knot", "BIND"],
        even_out: |asked, ours, theirs| {
            let owners = |reply: &Reply| {
                let mut owners: Vec<_> =
                    reply.sections[0].iter().map(|record| record.owner.clone()).collect();
                owners.dedup();
                owners
            };
            let of_one_name = owners(ours).len() == 1 && owners(ours) == owners(theirs);
            if asked.qtype == ANY && of_one_name {
                theirs.sections = ours.sections.clone();
            }
        },
    },
    Difference {
        name: "ANY below a DNAME",
        servers: &["NSD", "Knot"],
        even_out: |asked, ours, theirs| {
            let redirected = ours.sections[0].iter().any(|record| record.rtype == DNAME);
            if asked.qtype == ANY && redirected && theirs.sections[0].starts_with(&ours.sections[0]) {
                *theirs = ours.clone();
            }
        },
    },
    Difference {
        name: "aliases in a circle",
        servers: &["BIND"],
        even_out: |_, ours, theirs| {
            if theirs.rcode() == SERVFAIL && in_a_circle(ours) {
                *theirs = ours.clone();
            }
        },
    },
    Difference {
        name: "types of DNSSEC at an alias",
        servers: &["NSD", "Knot", "BIND"],
        even_out: |asked, ours, theirs| {
            let alias = ours.sections[0].iter().any(|record| record.rtype == CNAME);
            if matches!(asked.qtype, KEY | RRSIG | NSEC | NSEC3) && alias && theirs.rcode() == NOERROR {
                *theirs = ours.clone();
            }
        },
    },
];

/// Leaves nothing of a reply but this response code.
fn bare(reply: &mut Reply, rcode: u16) {
    reply.flags = 0x8000 | rcode & 0xF;
    reply.questions.clear();
    reply.sections = Default::default();
    reply.opt = None;
}

/// Whether the last alias of an answer leads to the owner of one of them.
fn in_a_circle(reply: &Reply) -> bool {
    let aliases: Vec<_> = reply.sections[0].iter().filter(|record| record.rtype == CNAME).collect();
    !aliases.is_empty() && aliases.iter().all(|alias| aliases.iter().any(|other| other.owner == alias.data))
}

const NS: u16 = 2;
const CNAME: u16 = 5;
const KEY: u16 = 25;
const DNAME: u16 = 39;
const RRSIG: u16 = 46;
const NSEC: u16 = 47;
const NSEC3: u16 = 50;
const ANY: u16 = 255;

const TC: u16 = 0x0200;
const AD: u16 = 0x0020;
const CD: u16 = 0x0010;

const NOERROR: u16 = 0;
const FORMERR: u16 = 1;
const SERVFAIL: u16 = 2;
const NOTIMP: u16 = 4;
const REFUSED: u16 = 5;
const BADVERS: u16 = 16;
