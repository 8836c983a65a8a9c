//! Signatures in replies: which there are, how often they are made, and what happens when they do not fit.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::op::Message;
use hickory_proto::rr::RecordType;
use ring::rand::SystemRandom;

use super::{A, config, query, with_edns};
use crate::dns::respond::{Arrival, Responder, Transport};
use crate::dnssec::{Algorithm, Key, Keyring, Policy, Role, Seconds, Timing, ZoneKeys};
use crate::geo::Facts;
use crate::health::HealthMap;
use crate::plan::compile;
use crate::snapshot::Snapshot;
use crate::spec::{self, Source, Sources};
use crate::steering::judge_pools;

const APEX: &str = "@ 300 IN SOA ns1 host 1 2 3 4 5\n@ 300 IN NS ns1\nns1 300 IN A 192.0.2.53\n";

const STEERING: &str = r#"
[endpoints]
fra = { ipv4 = "192.0.2.10" }
iad = { ipv4 = "192.0.2.20" }
nrt = { ipv4 = "192.0.2.30" }
[pools.all]
policy = "all"
members = ["fra", "iad", "nrt"]
[names]
all = { pool = "all" }
"#;

/// `example.org` is signed, `example.net` is not.
fn snapshot() -> Snapshot {
    let many: String = (0..30).map(|number| format!("many 300 IN A 198.51.100.{number}\n")).collect();
    let zones = vec![
        Source::new("example.org.zone", &format!("{APEX}{many}away 300 IN CNAME ns1.example.net.\n")),
        Source::new("example.net.zone", APEX),
    ];
    let sources = Sources { zones, steering: vec![Source::new("example.org.toml", STEERING)] };
    let (spec, unread) = spec::parse(&sources, &|_, _| Err("nothing to include".into()));
    assert_eq!(unread, []);
    let (plan, found) = compile(&spec, &Arc::new(Facts::none()), Duration::from_secs(2));
    let mut plan = plan.unwrap_or_else(|| panic!("{found:#?}"));
    plan.sign(keyring());
    let mut health = HealthMap::new(&plan.inventory);
    judge_pools(&plan.inventory, &mut health);
    Snapshot::new(1, Arc::new(plan), health)
}

fn keyring() -> Keyring {
    let rng = SystemRandom::new();
    let (record, private) = Key::generate(Algorithm::EcdsaP256, Role::KeySigning, &rng).expect("chance");
    let timing = Timing { activate: Some(Seconds(1)), ..Timing::default() };
    let key = Key::new(record, &private, timing, &rng).expect("a pair");
    let zone = ZoneKeys::new("example.org".parse().expect("a name"), vec![Arc::new(key)]);
    Keyring::new(Policy::default(), vec![zone])
}

/// A query that wants proofs, and takes replies of so many octets.
fn wanting_proof(name: &str, payload: u16) -> Vec<u8> {
    let mut packet = with_edns(query(name, A), payload, &[]);
    let flags = packet.len() - 4;
    packet[flags] = 0x80;
    packet
}

/// Answers a query; the draw decides what a pool does.
fn reply(responder: &Responder, snapshot: &Snapshot, packet: &[u8], draw: u64) -> Message {
    let client = SocketAddr::from(([203, 0, 113, 9], 4242));
    let arrival = Arrival { packet, client, transport: Transport::Udp, draw, now: Seconds(1_800_000_000) };
    let mut out = [0; 1232];
    let length = responder.respond(&arrival, None, snapshot, &mut out).expect("a reply").length;
    Message::from_vec(&out[..length]).expect("a well-formed reply")
}

fn types(message: &Message) -> Vec<RecordType> {
    message.answers.iter().map(|record| record.record_type()).collect()
}

#[test]
fn addresses_that_rotate_are_signed_once() {
    let (responder, snapshot) = (Responder::new(&config()), snapshot());
    let mut firsts = Vec::new();
    for draw in 0..30 {
        let message = reply(&responder, &snapshot, &wanting_proof("all.example.org", 1232), draw << 57);
        assert_eq!(types(&message), [RecordType::A, RecordType::A, RecordType::A, RecordType::RRSIG]);
        firsts.push(message.answers[0].data.to_string());
    }
    firsts.sort();
    firsts.dedup();
    assert!(firsts.len() > 1, "they rotate");
    assert_eq!(responder.signatures().made, 1);
}

#[test]
fn each_set_is_signed_by_its_own_zone_if_that_is_signed() {
    let (responder, snapshot) = (Responder::new(&config()), snapshot());
    let message = reply(&responder, &snapshot, &wanting_proof("away.example.org", 1232), 0);
    assert_eq!(types(&message), [RecordType::CNAME, RecordType::RRSIG, RecordType::A]);
    let message = reply(&responder, &snapshot, &wanting_proof("ns1.example.net", 1232), 0);
    assert_eq!(types(&message), [RecordType::A]);
    let message = reply(&responder, &snapshot, &query("all.example.org", A), 0);
    assert_eq!(types(&message), [RecordType::A; 3]);
}

#[test]
fn rfc_4035_section_3_1_1_without_room_for_its_signature_an_answer_is_truncated() {
    let (responder, snapshot) = (Responder::new(&config()), snapshot());
    let whole = reply(&responder, &snapshot, &wanting_proof("many.example.org", 1232), 0);
    assert!(!whole.metadata.truncation && whole.answers.len() == 31);
    let needed = whole.to_vec().expect("it fits").len() as u16;
    for payload in (512..=needed).step_by(3) {
        let message = reply(&responder, &snapshot, &wanting_proof("many.example.org", payload), 0);
        let is_whole = types(&message).contains(&RecordType::RRSIG);
        assert_eq!(message.metadata.truncation, !is_whole, "at {payload}");
    }
}
