//! What is said of bad zones, and what is kept of good ones.

use crate::model::Name;
use crate::plan::SteeredId;
use crate::plan::zone::name::show;
use crate::plan::zone::{Builder, Found, Slot, Zones};
use crate::spec::{Diagnostic, Severity, Source, master};

const HEAD: &str = "$TTL 1h\n@ SOA ns1 hostmaster 1 2h 30m 2w 5m\n@ NS ns1\nns1 A 192.0.2.53\n";

fn build(files: &[(&str, &str)]) -> (Builder, Vec<Diagnostic>) {
    let mut found = Vec::new();
    let mut builder = Builder::default();
    for (name, text) in files {
        let source = Source::new(&format!("{name}.zone"), text);
        let zone = master::parse(&source, &|_, _| Err("nothing to include".into()), &mut found);
        builder.add(&zone.expect("a test names its zones well"), &mut found);
    }
    (builder, found)
}

/// The codes that are found, warnings in parentheses, with their lines.
fn codes(text: &str) -> Vec<String> {
    let (_, found) = build(&[("example.org", text)]);
    let code = |found: &Diagnostic| {
        let line = found.place.as_ref().map_or(0, |place| place.line);
        match found.severity {
            Severity::Error => format!("{}:{line}", found.code),
            Severity::Warning => format!("({}):{line}", found.code),
        }
    };
    found.iter().map(code).collect()
}

/// The codes that are found when this is added to a good zone, whose last line is 4.
fn codes_with(more: &str) -> Vec<String> {
    codes(&format!("{HEAD}{more}"))
}

fn zones(files: &[(&str, &str)]) -> Zones {
    build(files).0.build()
}

fn name(text: &str) -> Name {
    text.parse().expect("a test writes good names")
}

#[test]
fn a_good_zone_has_nothing_to_be_said_of() {
    let more = "
        sub NS ns.sub
        sub NS ns.example.net.
        sub DS 1 8 2 0000000000000000000000000000000000000000000000000000000000000000
        ns.sub AAAA 2001:db8::1
        www CNAME @
        mail A 192.0.2.1
        @ MX 10 mail
        @ MX 20 mail.example.net.
        _sip._udp SRV 0 0 5060 mail
        old DNAME example.net.
        *.any TXT x
        fly NS *.server
        *.server A 192.0.2.7
    ";
    assert_eq!(codes_with(&more.replace("\n        ", "\n")), [""; 0]);
}

#[test]
fn a_zone_needs_one_soa_and_an_ns() {
    assert_eq!(codes("www 60 A 192.0.2.1\n"), ["no-soa:1", "no-ns:1"]);
    assert_eq!(codes(""), ["no-soa:1", "no-ns:1"]);
    assert_eq!(codes_with("@ SOA ns2 hostmaster 1 2h 30m 2w 5m\n"), ["two-soas:5"]);
    assert_eq!(codes_with("www SOA ns2 hostmaster 1 2h 30m 2w 5m\n"), ["soa-not-at-apex:5"]);
}

#[test]
fn records_of_other_zones_do_not_belong_here() {
    assert_eq!(codes_with("www.example.net. A 192.0.2.1\nxexample.org. A 192.0.2.1\n").len(), 2);
    assert_eq!(codes_with("www.example.net. A 192.0.2.1\n"), ["out-of-zone:5"]);
}

#[test]
fn a_cname_is_alone_rfc_1034_3_6_2() {
    assert_eq!(codes_with("www CNAME a\nwww A 192.0.2.1\n"), ["cname-with-data:5"]);
    assert_eq!(codes_with("www CNAME a\nwww CNAME b\n"), ["two-cnames:6"]);
    assert_eq!(codes_with("www CNAME a\nwww CNAME a\n"), ["(duplicate-record):6"]);
}

#[test]
fn nothing_is_below_a_dname_rfc_6672_2_4() {
    assert_eq!(codes_with("old DNAME a.\na.b.old TXT x\n"), ["dname-with-data-below:6"]);
    assert_eq!(codes_with("old DNAME a.\nold DNAME b.\n"), ["two-dnames:6"]);
}

#[test]
fn servers_within_the_zone_have_addresses() {
    assert_eq!(codes_with("@ NS ns2\n"), ["no-address:5"]);
    assert_eq!(codes_with("sub NS ns.sub\n"), ["missing-glue:5"]);
    assert_eq!(codes_with("sub NS sub\n"), ["missing-glue:5"]);
    assert_eq!(codes_with("sub NS Ns.suB\nns.sub A 192.0.2.1\n"), [""; 0]);
    assert_eq!(codes_with("sub NS ns2\n"), ["no-address:5"]);
    assert_eq!(codes_with("@ NS ns.sub\nsub NS ns1\n"), ["missing-glue:5"]);
}

#[test]
fn the_address_of_a_server_in_a_sister_zone_may_be_elsewhere() {
    assert_eq!(codes_with("sub NS ns.sister\nsister NS ns.example.net.\n"), [""; 0]);
}

#[test]
fn targets_should_not_be_aliases_rfc_2181_10_3() {
    assert_eq!(codes_with("@ NS ns2\nns2 CNAME ns1\n"), ["(target-is-alias):5"]);
    assert_eq!(codes_with("@ MX 10 mail\nmail CNAME ns1\n"), ["(target-is-alias):5"]);
    assert_eq!(codes_with("_a._tcp SRV 0 0 1 mail\nmail CNAME ns1\n"), ["(target-is-alias):5"]);
    assert_eq!(codes_with("@ MX 10 mail.old\nold DNAME example.net.\n"), ["(target-is-alias):5"]);
}

#[test]
fn only_glue_is_kept_below_a_delegation() {
    let more = "sub NS ns.sub\nns.sub A 192.0.2.1\nns.sub TXT x\nwww.sub A 192.0.2.2\nsub MX 10 www\n";
    assert_eq!(codes_with(more), ["(below-delegation):9", "(below-delegation):7", "(below-delegation):8"]);
    let zones = zones(&[("example.org", &format!("{HEAD}{more}"))]);
    let types = |owner: &str| -> Vec<u16> {
        let node = zones.exact(name(owner).as_slice());
        node.map_or_else(Vec::new, |node| node.sets().map(|set| set.rtype).collect())
    };
    assert_eq!(types("sub.example.org"), [2]);
    assert_eq!(types("ns.sub.example.org"), [1]);
    assert_eq!(types("www.sub.example.org"), [0; 0]);
}

#[test]
fn the_lowest_ttl_of_a_set_is_used_rfc_2181_5_2() {
    let more = "www 60 A 192.0.2.1\nwww 30 A 192.0.2.2\nwww 90 A 192.0.2.3\n";
    assert_eq!(codes_with(more), ["(ttl-differs):6"]);
    let zones = zones(&[("example.org", &format!("{HEAD}{more}"))]);
    let www = zones.exact(name("www.example.org").as_slice()).and_then(|node| node.set(1));
    assert_eq!(www.map(|set| (set.ttl, set.records().count())), Some((30, 3)));
}

#[test]
fn a_record_written_twice_is_served_once_rfc_2181_5() {
    let more = "www A 192.0.2.1\nwww A 192.0.2.1\n";
    assert_eq!(codes_with(more), ["(duplicate-record):6"]);
    let zones = zones(&[("example.org", &format!("{HEAD}{more}"))]);
    let www = zones.exact(name("www.example.org").as_slice()).and_then(|node| node.set(1));
    assert_eq!(www.map(|set| set.records().count()), Some(1));
}

#[test]
fn a_wildcard_does_not_delegate_rfc_4592_4_2() {
    assert_eq!(codes_with("*.sub NS ns1\n"), ["(wildcard-ns):5"]);
    assert_eq!(codes_with("*.sub DNAME a.\n"), ["(wildcard-dname):5"]);
}

#[test]
fn a_set_that_fits_no_message_is_cut() {
    let text = "x".repeat(250);
    let more: String = (0..300).map(|number| format!("big TXT {number} {text}\n")).collect();
    let found = codes_with(&more);
    assert_eq!(found.first().map(String::as_str), Some("set-too-large:248"));
    assert_eq!(found.len(), 21);
    let zones = zones(&[("example.org", &format!("{HEAD}{more}"))]);
    let big = zones.exact(name("big.example.org").as_slice()).and_then(|node| node.set(16));
    assert!(big.is_some_and(|set| set.data.len() < 65_000));
}

#[test]
fn what_is_wrong_a_thousand_times_is_shown_twenty_times() {
    let more: String = (0..1000).map(|number| format!("www{number}.example.net. A 192.0.2.1\n")).collect();
    let (_, found) = build(&[("example.org", &format!("{HEAD}{more}"))]);
    assert_eq!(found.len(), 21);
    assert_eq!(found[20].message, "example.org.zone: 980 more like this");
}

#[test]
fn a_name_belongs_to_the_deepest_zone() {
    let (builder, _) = build(&[("example.org", HEAD), ("sub.example.org", HEAD), ("example.net", HEAD)]);
    let zone_of = |owner: &str| builder.zone_of(&name(owner)).map(|apex| apex.to_string());
    assert_eq!(zone_of("example.org").as_deref(), Some("example.org"));
    assert_eq!(zone_of("a.b.EXAMPLE.org").as_deref(), Some("example.org"));
    assert_eq!(zone_of("a.b.sub.example.org").as_deref(), Some("sub.example.org"));
    assert_eq!(zone_of("org"), None);
    assert_eq!(zone_of("."), None);
}

#[test]
fn names_at_and_below_a_cut_and_below_a_dname_are_delegated() {
    let more = "sub NS ns1\nold DNAME example.net.\n";
    let (builder, _) = build(&[("example.org", &format!("{HEAD}{more}"))]);
    let delegated = |owner: &str| builder.delegated(&name(owner));
    assert!(
        delegated("sub.example.org") && delegated("a.b.sub.example.org") && delegated("a.old.example.org")
    );
    assert!(!delegated("old.example.org") && !delegated("example.org") && !delegated("www.example.org"));
    assert!(!delegated("example.net"));
}

#[test]
fn the_types_at_a_name_are_those_of_its_zone() {
    let (builder, _) = build(&[("example.org", &format!("{HEAD}www A 192.0.2.1\nwww TXT x\n"))]);
    assert_eq!(builder.types_at(&name("WWW.example.org")), [1, 16]);
    assert_eq!(builder.types_at(&name("example.org")), [2, 6]);
    assert_eq!(builder.types_at(&name("nothing.example.org")), [0; 0]);
}

#[test]
fn a_steered_name_and_those_above_it_exist() {
    let (mut builder, _) = build(&[("example.org", HEAD)]);
    builder.steer(&name("*.Deep.example.org"), SteeredId(7));
    let zones = builder.build();
    let Found::Below(node) = zones.find(name("x.deep.example.org").as_slice()) else { panic!("not below") };
    assert_eq!(show(node.owner()), "deep.example.org");
    assert_eq!(node.wildcard().and_then(|wildcard| wildcard.steered()), Some(SteeredId(7)));
}

#[test]
fn a_name_with_one_record_takes_less_than_150_octets() {
    let more: String = (0..10_000).map(|number| format!("host{number:07} A 192.0.2.1\n")).collect();
    let zones = zones(&[("example.org", &format!("{HEAD}{more}"))]);
    let slots = zones.slots.capacity() * size_of::<Slot>();
    let octets = zones.table.allocation_size() + slots + zones.arena.capacity();
    assert!(octets / zones.names() < 150, "{octets} octets for {} names", zones.names());
}

#[test]
fn the_root_can_be_served() {
    let (builder, found) = build(&[(".", "@ 60 SOA a. b. 1 2 3 4 5\n@ 60 NS a.\na. 60 A 192.0.2.1\n")]);
    assert!(found.is_empty(), "{found:?}");
    let zones = builder.build();
    assert!(matches!(zones.find(b"\x00"), Found::Exact(_)));
    assert!(matches!(zones.find(b"\x01A\x00"), Found::Exact(_)));
    assert!(matches!(zones.find(b"\x01b\x00"), Found::Below(node) if node.is_apex()));
}

#[test]
fn octets_that_are_no_name_are_in_no_zone() {
    let zones = zones(&[("example.org", HEAD)]);
    for octets in [&b""[..], b"\x03", b"\xff\xff", &[1; 400], b"\x07example\x03org"] {
        assert!(matches!(zones.find(octets), Found::Outside), "{octets:?}");
    }
}
