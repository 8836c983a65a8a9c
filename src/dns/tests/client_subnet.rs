//! The client subnet option by the sections of RFC 7871, on packets, over both transports.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::op::Message;

use super::{A, AAAA, ANY, TXT, config, query, subnet_of, with_edns, with_subnet};
use crate::dns::Config;
use crate::dns::respond::{Arrival, Responder, Transport};
use crate::dnssec::Seconds;
use crate::geo::Facts;
use crate::health::HealthMap;
use crate::plan::compile;
use crate::snapshot::Snapshot;
use crate::spec::{self, Source, Sources};
use crate::steering::judge_pools;

const ZONE: &str = "
$TTL 1h
@ SOA ns1 hostmaster 1 2h 30m 2w 5m
@ NS ns1
ns1 A 192.0.2.53
static A 192.0.2.1
alias CNAME www
deep.shop TXT here
sub NS ns.sub
ns.sub A 192.0.2.54
_where A 192.0.2.2
";

const STEERING: &str = r#"
[regions.eu]
at = [50, 8]
clients = ["net:198.51.96.0/20", "net:203.0.113.0/24", "net:2001:db8:e::/48"]
[regions.us]
at = [39, -77]
default = true
[endpoints.fra]
region = "eu"
ipv4 = "192.0.2.10"
[endpoints.iad]
region = "us"
ipv4 = "192.0.2.20"
[pools.www]
policy = "nearest"
members = ["fra", "iad"]
[pools.fenced]
policy = "geo"
fence = true
on_down = "nodata"
members = [{ use = "fra", regions = ["eu"] }]
[pools.anybody]
policy = "failover"
members = ["fra"]
[names]
www = { pool = "www" }
"*.shop" = { pool = "www" }
fenced = { pool = "fenced" }
anybody = { pool = "anybody" }
[debug]
_where = { pool = "www", clients = "203.0.113.0/24" }
"#;

fn snapshot() -> Snapshot {
    let zones = vec![Source::new("example.org.zone", ZONE)];
    let sources = Sources { zones, steering: vec![Source::new("example.org.toml", STEERING)] };
    let (spec, unread) = spec::parse(&sources, &|_, _| Err("nothing to include".into()));
    assert_eq!(unread, []);
    let (plan, found) = compile(&spec, &Arc::new(Facts::none()), Duration::from_secs(2));
    let plan = Arc::new(plan.unwrap_or_else(|| panic!("{found:#?}")));
    let mut health = HealthMap::new(&plan.inventory);
    judge_pools(&plan.inventory, &mut health);
    Snapshot::new(1, plan, health)
}

/// What came back: the response code, the first address or text, and the option.
#[derive(Debug, PartialEq)]
struct Said {
    rcode: u16,
    first: Option<String>,
    option: Option<Vec<u8>>,
}

/// Sends a packet over both transports, which must make no difference.
fn respond(config: &Config, packet: &[u8], source: &str) -> Said {
    let source: SocketAddr = source.parse().expect("a test writes good addresses");
    let (responder, snapshot) = (Responder::new(config), snapshot());
    let said = [Transport::Udp, Transport::Tcp].map(|transport| {
        let mut out = vec![0; 65535];
        let arrival = Arrival { packet, client: source, transport, draw: 7, now: Seconds(0) };
        let reply = responder.respond(&arrival, None, &snapshot, &mut out).expect("a reply");
        out.truncate(reply.length);
        let message = Message::from_vec(&out).expect("a well-formed reply");
        let first = message.answers.last().map(|record| record.data.to_string());
        Said { rcode: reply.rcode, first, option: subnet_of(&out).map(<[u8]>::to_vec) }
    });
    let [udp, tcp] = said;
    assert_eq!(udp, tcp, "both transports say the same");
    udp
}

/// Asks with this option, as somebody in `eu`.
fn ask(name: &str, qtype: u16, subnet: &[u8]) -> Said {
    respond(&config(), &with_subnet(query(name, qtype), subnet), RESOLVER)
}

/// The scope of an answer to a client of a subnet in `eu`, the rest of whose option must come back as it was.
fn scope(name: &str, qtype: u16) -> u8 {
    let option = ask(name, qtype, EU).option.expect("an option comes back");
    assert_eq!([&option[..3], &option[4..]], [&EU[..3], &EU[4..]]);
    option[3]
}

const RESOLVER: &str = "203.0.113.53:4242";
/// 198.51.100.0/24
const EU: &[u8] = &[0, 1, 24, 0, 198, 51, 100];
const FRA: &str = "192.0.2.10";
const IAD: &str = "192.0.2.20";

// Section 6: the option

#[test]
fn section_6_a_malformed_option_is_a_malformed_query() {
    for (option, why) in [
        (&[][..], "nothing"),
        (&[0, 1, 24], "cut in its head"),
        (&[0, 3, 8, 0, 1], "an unknown family"),
        (&[0x40, 4, 8, 0, 1], "a family of some other protocol"),
        (&[0, 0, 8, 0, 1], "a prefix of no family"),
        (&[0, 1, 33, 0, 198, 51, 100, 7, 0], "a prefix longer than an IPv4 address"),
        (
            &[0, 2, 129, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 0],
            "longer than an IPv6 one",
        ),
        (&[0, 1, 24, 0, 198, 51], "too few octets"),
        (&[0, 1, 24, 0, 198, 51, 100, 0], "too many octets"),
        (&[0, 1, 0, 0, 0], "octets of a prefix of length 0"),
        (&[0, 1, 23, 0, 198, 51, 101], "a bit beyond the prefix"),
        (&[0, 2, 41, 0, 0x20, 1, 0xD, 0xB8, 0, 0x40], "a bit beyond an IPv6 prefix"),
        (&[0, 1, 24, 24, 198, 51, 100], "a scope in a query"),
        (&[0, 1, 0, 1], "a scope alone"),
    ] {
        let said = ask("www.example.org", A, option);
        assert_eq!(said, Said { rcode: 1, first: None, option: None }, "{why}");
    }
}

#[test]
fn section_6_bits_up_to_the_prefix_are_all_that_counts() {
    for (option, first) in [
        (&[0, 1, 20, 0, 198, 51, 96][..], FRA),
        (&[0, 1, 32, 0, 198, 51, 111, 255], FRA),
        (&[0, 1, 32, 0, 198, 51, 112, 0], IAD),
        (&[0, 1, 1, 0, 0x80], IAD),
        (&[0, 2, 48, 0, 0x20, 1, 0xD, 0xB8, 0, 0xE], FRA),
        (&[0, 2, 48, 0, 0x20, 1, 0xD, 0xB8, 0, 0xF], IAD),
    ] {
        assert_eq!(ask("www.example.org", A, option).first.as_deref(), Some(first), "{option:?}");
    }
}

// Section 7.1.2: whoever tells no bit of its client wants none used

#[test]
fn section_7_1_2_a_prefix_of_length_0_is_answered_for_the_source_with_scope_0() {
    for option in [&[0, 1, 0, 0][..], &[0, 2, 0, 0]] {
        let from = |source| respond(&config(), &with_subnet(query("www.example.org", A), option), source);
        for (source, first) in [(RESOLVER, FRA), ("192.0.2.9:53", IAD), ("[2001:db8:e::1]:53", FRA)] {
            let expected = Said { rcode: 0, first: Some(first.into()), option: Some(option.into()) };
            assert_eq!(from(source), expected, "{option:?} from {source}");
        }
    }
}

// Section 7.2.1: authoritative servers

#[test]
fn section_7_2_1_the_option_comes_back_whether_it_mattered_or_not() {
    assert_eq!(scope("www.example.org", A), 20);
    assert_eq!(scope("anybody.example.org", A), 0);
    assert_eq!(scope("static.example.org", A), 0);
    assert_eq!(scope("www.example.org", ANY), 20);
}

#[test]
fn section_7_2_1_family_prefix_and_address_come_back_as_they_were_with_a_scope_longer_or_shorter() {
    let address = [&[0x20, 1, 0xD, 0xB8, 0, 0xE][..], &[0; 9], &[1]].concat();
    for (sent, scope) in [
        (&[0, 1, 16, 0, 198, 51][..], 18),
        (&[0, 1, 20, 0, 198, 51, 96], 20),
        (&[0, 1, 32, 0, 198, 51, 100, 7], 20),
        (&[0, 2, 33, 0, 0x20, 1, 0xD, 0xB8, 0x80], 33),
        (&[&[0, 2, 128, 0], &*address].concat(), 48),
    ] {
        let option = ask("www.example.org", A, sent).option.expect("it comes back");
        let expected = [&sent[..3], &[scope], &sent[4..]].concat();
        assert_eq!(option, expected);
    }
}

#[test]
fn section_7_2_1_who_sends_no_option_gets_none() {
    for packet in [query("www.example.org", A), with_edns(query("www.example.org", A), 1232, &[])] {
        let said = respond(&config(), &packet, RESOLVER);
        assert_eq!(said, Said { rcode: 0, first: Some(FRA.into()), option: None });
    }
}

#[test]
fn section_7_2_1_a_chain_has_the_longest_scope_of_its_records() {
    assert_eq!(scope("alias.example.org", A), 20);
    assert_eq!(scope("alias.example.org", TXT), 0);
}

#[test]
fn section_7_2_1_an_option_that_is_not_believed_is_as_unknown_as_any_other() {
    let from = |prefixes: &[&str]| Config {
        client_subnet_from: prefixes.iter().map(|prefix| prefix.parse().expect("a prefix")).collect(),
        ..config()
    };
    let off = Config { client_subnet: false, ..config() };
    let packet = with_subnet(query("www.example.org", A), &[0, 1, 3, 0, 0x20]);
    let believed = Said { rcode: 0, first: Some(IAD.into()), option: Some(vec![0, 1, 3, 1, 0x20]) };
    let ignored = Said { rcode: 0, first: Some(FRA.into()), option: None };
    let malformed = with_subnet(query("www.example.org", A), &[9, 9, 9]);
    for (config, source, is_believed) in [
        (from(&["203.0.113.0/24"]), RESOLVER, true),
        (from(&["203.0.113.53/32", "::1/128"]), "[::ffff:203.0.113.53]:53", true),
        (from(&["2001:db8:e::/48"]), "[2001:db8:e::1]:53", true),
        (from(&["203.0.113.54/32", "::/0"]), RESOLVER, false),
        (from(&["::/0"]), "[::ffff:203.0.113.53]:53", false),
        (from(&["0.0.0.0/0"]), "[2001:db8:e::1]:53", false),
        (off, RESOLVER, false),
    ] {
        let expected = if is_believed { &believed } else { &ignored };
        assert_eq!(respond(&config, &packet, source), *expected, "{source}");
        assert_eq!(respond(&config, &malformed, source).rcode, u16::from(is_believed), "{source}");
    }
}

#[test]
fn section_7_2_1_a_reply_without_an_answer_brings_the_option_back_too() {
    let mut chaos = with_subnet(query("www.example.org", A), EU);
    chaos[12 + 17 + 3] = 3;
    let refused = respond(&config(), &chaos, RESOLVER);
    assert_eq!(refused, Said { rcode: 5, first: None, option: Some(EU.into()) });
    assert_eq!(scope("www.example.net", A), 0);
}

// Section 7.4: delegations and negative answers

#[test]
fn section_7_4_a_referral_is_for_everybody() {
    assert_eq!(scope("www.sub.example.org", A), 0);
    assert_eq!(scope("sub.example.org", AAAA), 0);
}

#[test]
fn section_7_4_a_negative_answer_that_is_the_same_for_all_is_for_everybody() {
    for (name, qtype, rcode) in [
        ("none.example.org", A, 3),
        ("none.deep.shop.example.org", A, 3),
        ("shop.example.org", A, 0),
        ("any.shop.example.org", TXT, 0),
        ("www.example.org", TXT, 0),
        ("static.example.org", AAAA, 0),
    ] {
        assert_eq!((scope(name, qtype), ask(name, qtype, EU).rcode), (0, rcode), "{name} {qtype}");
    }
}

/// The section advises scope 0 for every negative answer, because some resolvers keep them so in any case. For
/// the others that would spread what a fence says to one place over the whole world.
#[test]
fn section_7_4_a_negative_answer_that_depends_on_place_says_for_which() {
    assert_eq!(ask("fenced.example.org", A, EU).first.as_deref(), Some(FRA));
    assert_eq!(scope("fenced.example.org", A), 20);
    let outside = ask("fenced.example.org", A, &[0, 1, 24, 0, 198, 51, 112]);
    assert_eq!(outside.first, None);
    assert_eq!(outside.option.expect("it comes back")[3], 20);
}

#[test]
fn section_7_4_below_a_steered_wildcard_the_scope_is_that_of_the_choice() {
    assert_eq!(scope("any.shop.example.org", A), 20);
    assert_eq!(scope("a.b.shop.example.org", A), 20);
}

// Debug names

#[test]
fn a_debug_answer_is_for_this_client_only() {
    let packet = |subnet| with_subnet(query("_where.example.org", TXT), subnet);
    for (sent, length) in [
        (&[0, 1, 1, 0, 0x80][..], 1),
        (&[0, 1, 20, 0, 198, 51, 96], 20),
        (&[0, 1, 32, 0, 198, 51, 100, 7], 32),
        (&[0, 2, 48, 0, 0x20, 1, 0xD, 0xB8, 0, 0xE], 48),
        (&[0, 1, 0, 0], 0),
    ] {
        let said = respond(&config(), &packet(sent), RESOLVER);
        assert!(said.first.expect("an answer").contains("resolver 203.0.113.53"));
        assert_eq!(said.option.expect("it comes back")[3], length);
    }
    let stranger = respond(&config(), &packet(EU), "192.0.2.1:53");
    assert_eq!(stranger, Said { rcode: 0, first: None, option: Some(EU.into()) });
}
