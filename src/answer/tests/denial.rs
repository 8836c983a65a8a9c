//! What a signed zone says of what is not there.

use std::sync::Arc;

use domain::base::Name;
use domain::base::name::ToName;
use proptest::prelude::*;
use ring::rand::SystemRandom;

use crate::answer::tests::world::{self, set, show, with_proof};
use crate::answer::{Answer, Data, Owner, Proof, Rcode};
use crate::dnssec::{Algorithm, Key, Keyring, Policy, Role, Seconds, Timing, ZoneKeys};
use crate::health::Verdict;
use crate::snapshot::Snapshot;

const ZONE: &str = "
$TTL 1h
@ SOA ns1 hostmaster 1 2h 30m 2w 5m
@ NS ns1
@ RRSIG A 13 2 3600 20261128152020 20261121142020 1 example.org. AAAA
ns1 A 192.0.2.53
www TXT beside
alias CNAME www
a.deep TXT x
*.wild A 192.0.2.4
tree DNAME wild
insecure NS ns.insecure
ns.insecure A 192.0.2.54
secure NS ns.elsewhere.example.
secure DS 1 13 2 0000000000000000000000000000000000000000000000000000000000000000
static A 192.0.2.9
";

const STEERING: &str = r#"
zone = "example.org"
[endpoints]
four = { ipv4 = "192.0.2.11" }
both = { ipv4 = "192.0.2.12", ipv6 = "2001:db8::12" }
elsewhere = { cname = "cdn.example.net." }
[pools.www]
policy = "failover"
members = ["four", "both"]
[pools.nodata]
policy = "failover"
members = ["four"]
on_down = "nodata"
[pools.cdn]
policy = "failover"
members = ["four"]
fallback = "elsewhere"
[names]
www = { pool = "www" }
four = { pool = "nodata" }
cdn = { pool = "cdn" }
static = { pool = "nodata" }
[debug]
_where = { pool = "www", clients = "203.0.113.0/24" }
"#;

/// A zone that is signed by one key, whose CDS is there from second 100 on.
fn signed() -> Snapshot {
    let mut snapshot = world::snapshot(&[("example.org", ZONE)], STEERING);
    let rng = SystemRandom::new();
    let (record, private) = Key::generate(Algorithm::Ed25519, Role::KeySigning, &rng).expect("chance");
    let timing = Timing { activate: Some(Seconds(1)), sync_publish: Some(Seconds(100)), ..Timing::default() };
    let key = Key::new(record, &private, timing, &rng).expect("a pair");
    let keys = ZoneKeys::new("example.org".parse().expect("a name"), vec![Arc::new(key)]);
    let plan = Arc::get_mut(&mut snapshot.plan).expect("nobody else has it");
    plan.sign(Keyring::new(Policy::default(), vec![keys]));
    snapshot
}

const WANTED: Proof = Proof { wanted: true, compact_ok: false, now: Seconds(50) };

fn ask(snapshot: &Snapshot, question: &str) -> String {
    with_proof(snapshot, question, WANTED, show)
}

/// The types that the proof for a question lists.
fn listed(snapshot: &Snapshot, question: &str) -> String {
    let text = ask(snapshot, question);
    let proof = text.split_once(" NSEC ").unwrap_or_else(|| panic!("no proof: {text}")).1;
    proof.split(';').next().unwrap_or_default().split_whitespace().skip(1).collect::<Vec<_>>().join(" ")
}

#[test]
fn rfc_9824_section_3_1_a_name_that_does_not_exist_has_no_type_but_that() {
    let world = signed();
    assert_eq!(
        ask(&world, "nowhere.example.org A"),
        "NOERROR aa | | example.org. 300 SOA ns1.example.org. hostmaster.example.org. 1 7200 1800 1209600 300; \
         nowhere.example.org. 300 NSEC \\000.nowhere.example.org. RRSIG NSEC NXNAME;"
    );
    let compact = Proof { compact_ok: true, ..WANTED };
    with_proof(&world, "nowhere.example.org A", compact, |answer, _| {
        assert_eq!(answer.rcode, Rcode::NxDomain)
    });
    let unwanted = with_proof(&world, "nowhere.example.org A", Proof::default(), show);
    assert!(unwanted.starts_with("NXDOMAIN") && !unwanted.contains("NSEC"), "{unwanted}");
}

#[test]
fn rfc_9824_section_3_2_a_name_has_all_types_but_the_one_that_is_denied() {
    let world = signed();
    assert_eq!(listed(&world, "ns1.example.org MX"), "A RRSIG NSEC");
    assert_eq!(listed(&world, "deep.example.org A"), "RRSIG NSEC");
    assert_eq!(listed(&world, "example.org MX"), "NS SOA RRSIG NSEC DNSKEY");
    assert_eq!(listed(&world, "example.org CDS"), "NS SOA RRSIG NSEC DNSKEY");
    let later = Proof { now: Seconds(100), ..WANTED };
    let text = with_proof(&world, "example.org MX", later, show);
    assert!(text.ends_with("NS SOA RRSIG NSEC DNSKEY CDS CDNSKEY;"), "{text}");
}

#[test]
fn rfc_9824_section_3_3_what_a_wildcard_lacks_is_denied_at_the_name_that_was_asked() {
    let text = ask(&signed(), "any.wild.example.org MX");
    assert!(
        text.contains("any.wild.example.org. 300 NSEC \\000.any.wild.example.org. A RRSIG NSEC;"),
        "{text}"
    );
}

#[test]
fn rfc_9824_section_3_4_a_referral_says_that_what_is_cut_off_has_no_ds() {
    let world = signed();
    let text = ask(&world, "www.insecure.example.org A");
    assert!(
        text.contains("insecure.example.org. 300 NSEC \\000.insecure.example.org. NS RRSIG NSEC;"),
        "{text}"
    );
    assert_eq!(listed(&world, "insecure.example.org DS"), "NS RRSIG NSEC");
    let text = ask(&world, "www.secure.example.org A");
    assert!(text.contains("secure.example.org. 3600 DS 1 13 2") && !text.contains("NSEC"), "{text}");
}

#[test]
fn rfc_8198_a_steered_name_has_the_types_that_it_could_answer_in_any_state() {
    let mut world = signed();
    for verdict in [Verdict::Up, Verdict::Down] {
        set(&mut world, "four", verdict);
        assert_eq!(listed(&world, "www.example.org MX"), "A TXT AAAA RRSIG NSEC");
        assert_eq!(listed(&world, "four.example.org MX"), "A RRSIG NSEC");
        assert_eq!(listed(&world, "four.example.org AAAA"), "A RRSIG NSEC");
        assert_eq!(listed(&world, "cdn.example.org MX"), "A AAAA RRSIG NSEC", "an alias answers for both");
        assert_eq!(listed(&world, "static.example.org AAAA"), "A RRSIG NSEC");
    }
    assert_eq!(listed(&world, "four.example.org A"), "RRSIG NSEC", "what is denied just now is not listed");
    assert_eq!(listed(&world, "_where.example.org TXT"), "RRSIG NSEC", "not for this client");
    assert_eq!(listed(&world, "_where.example.org A"), "TXT RRSIG NSEC");
}

#[test]
fn a_proof_that_steering_needs_lasts_no_longer_than_the_answer_would() {
    let mut world = signed();
    set(&mut world, "four", Verdict::Down);
    let text = ask(&world, "four.example.org A");
    assert!(
        text.contains("four.example.org. 30 NSEC") || text.contains("four.example.org. 15 NSEC"),
        "{text}"
    );
}

#[test]
fn what_is_not_for_the_zone_to_vouch_for_is_not_signed() {
    let world = signed();
    let signed_of = |question: &str| {
        with_proof(&world, question, WANTED, |answer: &Answer<'_>, _| {
            let sets = answer.answer.iter().chain(&answer.authority).chain(&answer.additional);
            sets.map(|set| (set.rtype, set.signed.is_some())).collect::<Vec<_>>()
        })
    };
    const DNAME: u16 = 39;
    assert_eq!(signed_of("x.tree.example.org A"), [(DNAME, true), (5, false), (1, true)]);
    assert_eq!(signed_of("x.insecure.example.org A"), [(2, false), (47, true), (1, false)]);
    assert_eq!(signed_of("example.org NS"), [(2, true), (1, false)]);
    assert_eq!(signed_of("www.example.org A"), [(1, true)]);
}

#[test]
fn rfc_8482_any_and_signatures_are_answered_with_one_set_that_signing_made() {
    let world = signed();
    assert!(!ask(&world, "example.org ANY").contains("RRSIG A"), "never a signature of the file");
    for question in ["www.example.org RRSIG", "www.example.org NSEC", "nowhere.example.org NSEC"] {
        let text = ask(&world, question);
        assert!(text.starts_with("NOERROR aa | ") && text.matches(" NSEC \\000").count() == 1, "{text}");
    }
}

proptest! {
    #[test]
    fn every_denial_is_of_the_last_name_and_covers_nothing_else(
        labels in prop::collection::vec("[a-cA-C*]{1,2}|www|wild|deep|tree|alias|four|insecure|secure", 0..4),
        qtype in prop::sample::select(vec!["A", "AAAA", "MX", "TXT", "DS", "CNAME", "CDS", "DNSKEY", "NSEC"]),
        down in any::<bool>(),
    ) {
        let mut world = signed();
        if down {
            set(&mut world, "four", Verdict::Down);
        }
        let name: String = labels.iter().map(|label| format!("{label}.")).collect();
        with_proof(&world, &format!("{name}example.org {qtype}"), WANTED, |answer, question| {
            let mut proofs = answer.authority.iter().filter(|set| set.rtype == 47);
            let proof = proofs.next();
            assert!(proofs.next().is_none(), "one proof is enough");
            let is_denied = answer.authority.iter().any(|set| set.rtype == 6);
            assert_eq!(is_denied, is_denied && proof.is_some(), "what is denied is proven");
            let Some(proof) = proof else { return };
            let Data::Made(record) = &proof.data else { panic!("made for the question") };
            let next = Name::<[u8]>::from_slice(&record[2..2 + name_length(&record[2..])]).expect("a name");
            let owner = proof.owner.wire(question).to_ascii_lowercase();
            let owner = Name::<[u8]>::from_slice(&owner).expect("a name");
            assert_eq!(owner.name_cmp(next), std::cmp::Ordering::Less);
            assert!(next.ends_with(owner) && next.label_count() == owner.label_count() + 1);
            if is_denied {
                assert!(proof.signed.is_some());
            } else {
                assert!(matches!(proof.owner, Owner::Name(_)), "of a cut");
            }
        });
    }
}

fn name_length(octets: &[u8]) -> usize {
    let mut at = 0;
    while octets[at] != 0 {
        at += 1 + usize::from(octets[at]);
    }
    at + 1
}
