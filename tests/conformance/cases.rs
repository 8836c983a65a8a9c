//! The cases: `cases/*.txt`, each a name, a query, and the whole reply as it must be, the same over UDP and TCP.
//!
//! ```text
//!   rfc6891-6.1.3-a-version-that-is-not-known      the rule: RFC and section
//!   www.example.org A edns=1                       the query, as query.rs reads it
//!   ----
//!   BADVERS qr                                     the reply, as reply.rs prints it; or: silence
//!   question www.example.org. IN A
//!   edns 0 payload=1232 flags=0000
//! ```
//!
//! Blocks are parted by empty lines; lines with `#` are remarks. `UPDATE=1` writes down what is answered now: read
//! the difference before you keep it.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use crate::ask::Client;
use crate::query;
use crate::reply::Reply;
use crate::world::{World, repository};

/// A case, as it is written.
pub struct Case {
    pub name: String,
    query: String,
    expected: String,
    /// What stands above it.
    remarks: String,
}

/// The cases of every file.
pub fn all() -> Vec<(PathBuf, Vec<Case>)> {
    let mut files: Vec<PathBuf> = fs::read_dir(repository().join("tests/conformance/cases"))
        .expect("the directory of the cases")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    files.into_iter().map(|file| (file.clone(), read(&fs::read_to_string(file).expect("a file")))).collect()
}

fn read(text: &str) -> Vec<Case> {
    let blocks = text.split("\n\n").map(str::trim).filter(|block| !block.is_empty());
    blocks.map(case).collect()
}

fn case(block: &str) -> Case {
    let remarks: String =
        block.lines().take_while(|line| line.starts_with('#')).map(|line| format!("{line}\n")).collect();
    let mut lines = block.lines().skip_while(|line| line.starts_with('#'));
    let (name, query) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let expected = lines.skip(1).collect::<Vec<_>>().join("\n");
    Case { name: name.to_string(), query: query.to_string(), expected, remarks }
}

/// What a query is answered with, over the transports that the case is about: one text if they agree.
fn asked(client: &mut Client, case: &Case, id: u16) -> String {
    let packet = query::packet(&case.query, id).unwrap_or_else(|error| panic!("{}: {error}", case.name));
    let only = |transport| case.query.split(' ').any(|word| word == transport);
    let udp = (!only("tcp")).then(|| text(&client.over_udp(&packet), id));
    let tcp = (!only("udp")).then(|| text(&client.over_tcp(&packet), id));
    match (udp, tcp) {
        (Some(udp), Some(tcp)) if udp != tcp => format!("over UDP:\n{udp}\nover TCP:\n{tcp}"),
        (udp, tcp) => udp.or(tcp).unwrap_or_default(),
    }
}

fn text(replies: &[Vec<u8>], id: u16) -> String {
    match replies {
        [] => "silence".to_string(),
        [octets] => match Reply::read(octets) {
            Ok(reply) if reply.id == id => reply.to_string(),
            Ok(_) => "a reply to something else".to_string(),
            Err(error) => format!("malformed: {error}"),
        },
        _ => format!("{} replies", replies.len()),
    }
}

#[test]
fn every_query_is_answered_as_the_rule_says_over_udp_and_tcp() {
    let world = World::new(CONFIG);
    for (name, zone) in ZONES {
        world.write_zone(name, zone);
    }
    let server = world.serve();
    let mut client = Client::of(server.address);
    let mut wrong = Vec::new();
    for (file, cases) in all() {
        let mut written = String::new();
        for (number, case) in cases.iter().enumerate() {
            let got = asked(&mut client, case, number as u16);
            if got != case.expected {
                let Case { name, query, expected, .. } = case;
                wrong.push(format!("{name}\n{query}\n-- expected:\n{expected}\n-- got:\n{got}\n"));
            }
            written += &format!("{}{}\n{}\n----\n{got}\n\n", case.remarks, case.name, case.query);
        }
        if std::env::var_os("UPDATE").is_some() {
            fs::write(file, written).expect("written");
        }
    }
    assert!(wrong.is_empty(), "{} cases fail:\n\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn there_are_150_cases_and_each_has_a_name_of_its_own() {
    let names: Vec<String> = all().into_iter().flat_map(|(_, cases)| cases).map(|case| case.name).collect();
    assert!(names.len() >= 150, "{}", names.len());
    let mut seen = BTreeSet::new();
    for name in &names {
        assert!(name.starts_with("rfc") || name.starts_with("isc-"), "{name} names no rule");
        assert!(seen.insert(name), "{name} is there twice");
    }
}

/// No checks, a name to be told in NSID, and as many errors as there are.
const CONFIG: &str = "[machine]\nname = \"ns1\"\n[probe]\nenabled = false\n[limits]\nerror_rate = 0\n";

/// What the cases ask about.
pub const ZONES: [(&str, &str); 2] =
    [("example.org.zone", include_str!("example.org.zone")), ("example.zone", include_str!("example.zone"))];
