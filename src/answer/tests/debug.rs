//! Debug names: who is told what, and that they are no different from other names for everybody else.

use domain::base::iana::Rtype;

use crate::answer::tests::world::{ask, set, show, snapshot};
use crate::answer::{Client, Data, Proof, Query, answer};
use crate::health::Verdict;
use crate::model::Name;
use crate::snapshot::Snapshot;

const ZONE: &str = "
$TTL 1h
@ SOA ns1 hostmaster 1 2h 30m 2w 5m
@ NS ns1
ns1 A 192.0.2.53
_where A 192.0.2.9
alias CNAME _where
* TXT anything
old DNAME @
";

const STEERING: &str = r#"
zone = "example.org"
[regions.eu]
at = [50.11, 8.68]
clients = ["net:198.51.96.0/20", "net:2001:db8:e::/48"]
[regions.us]
at = [39.04, -77.49]
default = true
[maps.legal.regions.union]
clients = ["net:198.51.100.0/22"]
[maps.legal.regions.other]
default = true
[monitors.web]
type = "tcp"
port = 80
[endpoints.fra]
region = "eu"
ipv4 = "192.0.2.10"
monitors = ["web"]
[endpoints.iad]
region = "us"
ipv4 = "198.51.100.10"
monitors = ["web"]
[endpoints.six]
ipv6 = "2001:db8::6"
[pools.www]
policy = "nearest"
members = ["fra", "iad"]
[pools.sticky]
policy = "weighted"
members = ["fra", "iad"]
sticky = true
[pools.law]
policy = "geo"
map = "legal"
fence = true
client_subnet = false
on_down = "nodata"
members = [{ use = "fra", regions = ["union"] }]
[pools.v6]
policy = "failover"
members = ["six"]
[debug]
_where = { pool = "www", clients = ["192.0.2.0/24", "2001:db8:53::/48"] }
"*._sticky" = { pool = "sticky", clients = "0.0.0.0/0" }
_law = { pool = "law", clients = "0.0.0.0/0" }
_six = { pool = "v6", clients = "0.0.0.0/0" }
"#;

fn world() -> Snapshot {
    let mut world = snapshot(&[("example.org", ZONE)], STEERING);
    for endpoint in ["fra", "iad", "six"] {
        set(&mut world, endpoint, Verdict::Up);
    }
    world
}

/// The strings of the last answer, its scope, and its TTL.
fn told(world: &Snapshot, name: &str, source: &str, subnet: Option<&str>) -> (Vec<String>, u8, u32) {
    with_query(name, "TXT", source, subnet, |query| {
        let answer = answer(query, world, &mut ());
        let Some(last) = answer.answer.last() else { return (Vec::new(), answer.scope, 0) };
        let Data::Made(record) = &last.data else { panic!("not made: {}", show(&answer, query.name)) };
        let mut rest = &record[2..];
        let mut strings = Vec::new();
        while let Some((&length, after)) = rest.split_first() {
            let (string, after) = after.split_at(length.into());
            strings.push(String::from_utf8(string.to_vec()).expect("text"));
            rest = after;
        }
        (strings, answer.scope, last.ttl)
    })
}

fn with_query<R>(
    name: &str,
    qtype: &str,
    source: &str,
    subnet: Option<&str>,
    ask: impl FnOnce(&Query<'_>) -> R,
) -> R {
    let name: Name = name.parse().expect("a test writes good names");
    let client = Client {
        source: source.parse().expect("a test writes good addresses"),
        subnet: subnet.map(|subnet| subnet.parse().expect("a test writes good prefixes")),
    };
    let qtype = qtype.parse::<Rtype>().expect("a test writes good types").to_int();
    ask(&Query { name: name.as_slice(), qtype, client, draw: 7, proof: Proof::default() })
}

/// The answer to a listed resolver that tells a subnet.
fn ask_as_listed(world: &Snapshot, name: &str, qtype: &str) -> String {
    with_query(name, qtype, "192.0.2.53", Some("198.51.100.0/24"), |query| {
        show(&answer(query, world, &mut ()), query.name)
    })
}

const SOA: &str = "SOA ns1.example.org. hostmaster.example.org. 1 7200 1800 1209600 300;";

#[test]
fn a_listed_resolver_is_told_where_its_client_is_and_what_it_would_get() {
    let (strings, scope, ttl) = told(&world(), "_where.example.org", "192.0.2.53", Some("198.51.100.0/24"));
    let expected = [
        "resolver 192.0.2.53",
        "subnet 198.51.100.0/24",
        "region eu (net:198.51.96.0/20)",
        "map legal: union (net:198.51.100.0/22)",
        "scope /20",
        "pool www: fra",
        "because pool www nearest: fra is Up",
    ];
    assert_eq!(strings, expected);
    assert_eq!((scope, ttl), (24, 0), "for this client only, and not to be remembered");
}

#[test]
fn a_resolver_that_tells_no_subnet_is_told_of_itself() {
    let (strings, scope, _) = told(&world(), "_where.example.org", "2001:db8:53::1", None);
    assert_eq!(strings[..3], ["resolver 2001:db8:53::1", "subnet none", "region us (the default)"]);
    assert_eq!(scope, 0);
}

#[test]
fn the_choice_is_the_one_that_is_answered_and_so_are_its_reasons() {
    let mut world = world();
    let last = |world: &Snapshot| {
        let (strings, ..) = told(world, "_where.example.org", "192.0.2.53", Some("198.51.100.0/24"));
        strings[5..].to_vec()
    };
    set(&mut world, "fra", Verdict::Down);
    let because = "because pool www nearest: fra is Down in eu, iad is Up";
    assert_eq!(last(&world), ["pool www: iad", because]);
    set(&mut world, "iad", Verdict::Down);
    assert_eq!(
        last(&world),
        [
            "pool www: fra",
            "because pool www nearest: fra is Down in eu, iad is Down in eu, nothing is up",
            "because pool www as if all were up: fra",
        ]
    );
}

#[test]
fn a_pool_without_ipv4_is_told_for_ipv6() {
    let (strings, ..) = told(&world(), "_six.example.org", "192.0.2.53", None);
    assert_eq!(strings[5..], ["pool v6 AAAA: six", "because pool v6 failover: six is Up"]);
}

#[test]
fn a_pool_that_goes_by_the_resolver_says_so_and_one_that_answers_nothing_too() {
    let (strings, ..) = told(&world(), "_law.example.org", "203.0.113.1", Some("198.51.100.0/24"));
    assert_eq!(strings[2], "region eu (net:198.51.96.0/20)");
    let because = "because pool law geo (by its source 203.0.113.1, on map legal in other (the default)): no member is for this client";
    assert_eq!(strings[4..], ["scope /0", "pool law: no data", because, "because so no data"]);
}

#[test]
fn a_wildcard_tells_of_a_sticky_pool_what_it_hashes() {
    let (strings, scope, _) = told(&world(), "Any._sticky.example.org", "203.0.113.1", Some("198.51.0.0/16"));
    assert_eq!((strings[4].as_str(), scope), ("scope /24", 16));
}

#[test]
fn the_source_alone_says_who_may_ask() {
    let world = world();
    let stranger = told(&world, "_where.example.org", "203.0.113.1", Some("192.0.2.0/24"));
    assert_eq!(stranger, (Vec::new(), 0, 0));
    let (strings, ..) = told(&world, "_where.example.org", "::ffff:192.0.2.53", None);
    assert_eq!(strings[0], "resolver ::ffff:192.0.2.53");
}

#[test]
fn for_others_the_name_has_no_data() {
    let world = world();
    let nodata = format!("NOERROR aa | | example.org. 300 {SOA}");
    let stranger = with_query("_where.example.org", "TXT", "203.0.113.1", None, |query| {
        show(&answer(query, &world, &mut ()), query.name)
    });
    assert_eq!(stranger, nodata);
    assert!(ask(&world, "below._where.example.org TXT").starts_with("NXDOMAIN"));
}

#[test]
fn other_types_are_those_of_the_zone_file() {
    let world = world();
    assert_eq!(
        ask_as_listed(&world, "_where.example.org", "A"),
        "NOERROR aa | _where.example.org. 3600 A 192.0.2.9;"
    );
    for (name, qtype) in
        [("_where.example.org", "MX"), ("_six.example.org", "AAAA"), ("_six.example.org", "ANY")]
    {
        let nodata = format!("NOERROR aa | | example.org. 300 {SOA}");
        assert_eq!(ask_as_listed(&world, name, qtype), nodata, "{name} {qtype}");
    }
    assert!(ask_as_listed(&world, "other.example.org", "TXT").ends_with("TXT \"anything\";"));
}

#[test]
fn a_debug_name_is_told_at_the_end_of_a_chain() {
    let world = world();
    for alias in ["alias.example.org", "_where.old.example.org"] {
        let answer = ask_as_listed(&world, alias, "TXT");
        assert!(answer.contains("_where.example.org. 0 TXT \"resolver 192.0.2.53\" \"subnet"), "{answer}");
    }
}
