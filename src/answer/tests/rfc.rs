//! One test for each rule.

use crate::answer::tests::world::{ask, snapshot};
use crate::snapshot::Snapshot;

/// RFC 4592 section 2.2.1.
const WILDCARDS: &str = "
$TTL 3600
@ SOA ns.example.com. hostmaster 1 2h 30m 2w 5m
@ NS ns.example.com.
@ NS ns.example.net.
*                TXT   \"this is a wildcard\"
*                MX    10 host1.example.
sub.*            TXT   \"this is not a wildcard\"
host1            A     192.0.2.1
_ssh._tcp.host1  SRV   0 0 22 host1
_ssh._tcp.host2  SRV   0 0 22 host2
subdel           NS    ns.example.com.
subdel           NS    ns.example.net.
";

/// Everything else.
const ZONE: &str = "
$TTL 1h
@ 2h SOA ns1 hostmaster 1 2h 30m 2w 5m
@ NS ns1
@ NS ns.elsewhere.example.
ns1 A 192.0.2.53
ns1 AAAA 2001:db8::53
www A 192.0.2.1
www A 192.0.2.2
www TXT \"a\"
MiXed A 192.0.2.3
a.deep.name TXT x
alias CNAME WWW
out CNAME www.elsewhere.example.
gone CNAME nowhere
void CNAME deep.name
intodelegation CNAME www.child
longer CNAME alias
loop1 CNAME loop2
loop2 CNAME loop1
self CNAME self
*.wild A 192.0.2.4
*.wildalias CNAME www
wildcut.wildalias NS ns.elsewhere.example.
child NS ns.child
child NS ns1
child NS ns.sister
child DS 1 8 2 0000000000000000000000000000000000000000000000000000000000000000
ns.child A 192.0.2.54
sister NS ns.sister
ns.sister AAAA 2001:db8::55
old DNAME new.example.net.
inner DNAME www
back DNAME a.back2
typed TYPE65280 \\# 3 abcdef
";

fn wildcards() -> Snapshot {
    snapshot(&[("example", WILDCARDS)], "")
}

fn zone() -> Snapshot {
    snapshot(&[("example.org", ZONE)], "")
}

fn no_data() -> String {
    format!("NOERROR aa | | {SOA}")
}

fn no_name() -> String {
    format!("NXDOMAIN aa | | {SOA}")
}

const SOA: &str = "example.org. 300 SOA ns1.example.org. hostmaster.example.org. 1 7200 1800 1209600 300;";
const WILD_SOA: &str = "example. 300 SOA ns.example.com. hostmaster.example. 1 7200 1800 1209600 300;";

#[test]
fn a_name_is_found_in_any_case_and_keeps_the_case_of_the_question_rfc_4343() {
    let both = |name: &str| format!("NOERROR aa | {name}. 3600 A 192.0.2.3;");
    assert_eq!(ask(&zone(), "mixed.example.org A"), both("mixed.example.org"));
    assert_eq!(ask(&zone(), "MIXED.eXample.ORG A"), both("MIXED.eXample.ORG"));
}

#[test]
fn a_name_in_no_zone_of_ours_is_refused() {
    assert_eq!(ask(&zone(), "www.example.net A"), "REFUSED");
    assert_eq!(ask(&zone(), "org A"), "REFUSED");
    assert_eq!(ask(&zone(), ". NS"), "REFUSED");
    assert_eq!(ask(&snapshot(&[], ""), "example.org A"), "REFUSED");
}

#[test]
fn a_type_that_is_not_there_is_no_data_with_the_smaller_of_both_ttls_rfc_2308_3() {
    assert_eq!(ask(&zone(), "www.example.org MX"), no_data());
}

#[test]
fn a_name_that_is_not_there_is_no_name_with_the_soa_rfc_2308_3() {
    assert_eq!(ask(&zone(), "nothing.example.org A"), no_name());
    assert_eq!(ask(&zone(), "below.www.example.org A"), no_name());
    assert_eq!(ask(&zone(), "a.b.c.d.e.f.example.org A"), no_name());
}

#[test]
fn the_soa_of_a_negative_answer_keeps_its_own_ttl_if_that_is_smaller_rfc_2308_5() {
    let zone = snapshot(&[("example.org", "@ 60 SOA ns.x. h.x. 1 2h 30m 2w 5m\n@ NS ns.x.\n")], "");
    let soa = "example.org. 60 SOA ns.x. h.x. 1 7200 1800 1209600 300;";
    assert_eq!(ask(&zone, "www.example.org A"), format!("NXDOMAIN aa | | {soa}"));
}

#[test]
fn a_name_between_others_exists_without_data_rfc_8020() {
    assert_eq!(ask(&zone(), "deep.name.example.org A"), no_data());
    assert_eq!(ask(&zone(), "name.example.org TXT"), no_data());
    assert_eq!(ask(&zone(), "other.name.example.org TXT"), no_name());
}

#[test]
fn an_unknown_type_is_served_rfc_3597() {
    assert_eq!(
        ask(&zone(), "typed.example.org TYPE65280"),
        "NOERROR aa | typed.example.org. 3600 TYPE65280 \\# 3 abcdef;"
    );
}

#[test]
fn any_gets_one_set_rfc_8482_4_1() {
    assert_eq!(ask(&zone(), "www.example.org ANY"), "NOERROR aa | www.example.org. 3600 TXT \"a\";");
    assert_eq!(ask(&zone(), "deep.name.example.org ANY"), no_data());
    assert_eq!(ask(&zone(), "nothing.example.org ANY"), no_name());
    assert_eq!(
        ask(&zone(), "alias.example.org ANY"),
        "NOERROR aa | alias.example.org. 3600 CNAME WWW.example.org.;"
    );
}

#[test]
fn name_servers_of_the_zone_come_with_their_addresses() {
    assert_eq!(
        ask(&zone(), "example.org NS"),
        "NOERROR aa | example.org. 3600 NS ns1.example.org.; example.org. 3600 NS ns.elsewhere.example.; | | \
         ns1.example.org. 3600 A 192.0.2.53; ns1.example.org. 3600 AAAA 2001:db8::53;"
    );
}

// CNAME, RFC 1034 section 3.6.2

fn chain(links: &str, rest: &str) -> String {
    format!("NOERROR aa | {links}{rest}")
}

#[test]
fn an_alias_is_followed_inside_the_zones_served_rfc_1034_4_3_2_3a() {
    let addresses = " WWW.example.org. 3600 A 192.0.2.1; WWW.example.org. 3600 A 192.0.2.2;";
    let alias = "alias.example.org. 3600 CNAME WWW.example.org.;";
    assert_eq!(ask(&zone(), "alias.example.org A"), chain(alias, addresses));
    let longer = "longer.example.org. 3600 CNAME alias.example.org.; ";
    assert_eq!(ask(&zone(), "longer.example.org A"), chain(&format!("{longer}{alias}"), addresses));
}

#[test]
fn an_alias_that_is_asked_for_itself_is_not_followed_rfc_1034_3_6_2() {
    let alias = "longer.example.org. 3600 CNAME alias.example.org.;";
    assert_eq!(ask(&zone(), "longer.example.org CNAME"), chain(alias, ""));
}

#[test]
fn an_alias_that_leaves_our_zones_ends_there() {
    assert_eq!(
        ask(&zone(), "out.example.org A"),
        chain("out.example.org. 3600 CNAME www.elsewhere.example.;", "")
    );
}

#[test]
fn the_code_and_the_soa_are_those_of_the_last_name_rfc_6604_3() {
    let gone = "gone.example.org. 3600 CNAME nowhere.example.org.;";
    assert_eq!(ask(&zone(), "gone.example.org A"), format!("NXDOMAIN aa | {gone} | {SOA}"));
    let void = "void.example.org. 3600 CNAME deep.name.example.org.;";
    assert_eq!(ask(&zone(), "void.example.org A"), format!("NOERROR aa | {void} | {SOA}"));
}

#[test]
fn an_alias_into_another_zone_of_ours_is_followed_and_that_zone_speaks_last() {
    let other = "@ 60 SOA ns.x. h.x. 1 2h 30m 2w 5m\n@ NS ns.x.\n";
    let zones = snapshot(&[("example.org", ZONE), ("elsewhere.example", other)], "");
    assert_eq!(
        ask(&zones, "out.example.org A"),
        "NXDOMAIN aa | out.example.org. 3600 CNAME www.elsewhere.example.; | \
         elsewhere.example. 60 SOA ns.x. h.x. 1 7200 1800 1209600 300;"
    );
}

#[test]
fn an_alias_into_a_delegation_ends_in_a_referral_and_keeps_aa() {
    let answer = ask(&zone(), "intodelegation.example.org A");
    let expected = "NOERROR aa | intodelegation.example.org. 3600 CNAME www.child.example.org.; | \
                    child.example.org. 3600 NS ns.child.example.org.;";
    assert!(answer.starts_with(expected), "{answer}");
}

#[test]
fn a_loop_of_aliases_is_answered_once_around() {
    assert_eq!(
        ask(&zone(), "loop1.example.org A"),
        chain(
            "loop1.example.org. 3600 CNAME loop2.example.org.; ",
            "loop2.example.org. 3600 CNAME loop1.example.org.;"
        )
    );
    assert_eq!(
        ask(&zone(), "self.example.org A"),
        chain("self.example.org. 3600 CNAME self.example.org.;", "")
    );
}

#[test]
fn a_chain_that_is_too_long_is_answered_as_far_as_it_was_followed() {
    let links: String = (0..30).map(|link| format!("l{link} CNAME l{}\n", link + 1)).collect();
    let zone = snapshot(&[("example.org", &format!("{ZONE}{links}"))], "");
    let answer = ask(&zone, "l0.example.org A");
    assert!(answer.starts_with("NOERROR aa"), "{answer}");
    assert_eq!(answer.matches("CNAME").count(), 17);
}

// Wildcards, RFC 4592

#[test]
fn a_wildcard_speaks_for_names_that_do_not_exist_rfc_4592_2_2_1() {
    let zone = wildcards();
    assert_eq!(ask(&zone, "host3.example MX"), "NOERROR aa | host3.example. 3600 MX 10 host1.example.;");
    assert_eq!(ask(&zone, "host3.example A"), format!("NOERROR aa | | {WILD_SOA}"));
    let text = "NOERROR aa | foo.bar.example. 3600 TXT \"this is a wildcard\";";
    assert_eq!(ask(&zone, "foo.bar.example TXT"), text);
}

#[test]
fn a_wildcard_does_not_speak_where_a_name_exists_rfc_4592_2_2_1() {
    let zone = wildcards();
    assert_eq!(ask(&zone, "host1.example MX"), format!("NOERROR aa | | {WILD_SOA}"));
    assert_eq!(ask(&zone, "_telnet._tcp.host1.example SRV"), format!("NXDOMAIN aa | | {WILD_SOA}"));
    assert_eq!(ask(&zone, "ghost.*.example MX"), format!("NXDOMAIN aa | | {WILD_SOA}"));
}

#[test]
fn a_name_between_others_blocks_a_wildcard_rfc_4592_2_2_2() {
    let zone = wildcards();
    assert_eq!(ask(&zone, "host2.example TXT"), format!("NOERROR aa | | {WILD_SOA}"));
    assert_eq!(ask(&zone, "_tcp.host2.example TXT"), format!("NOERROR aa | | {WILD_SOA}"));
    assert_eq!(ask(&zone, "x.host2.example TXT"), format!("NXDOMAIN aa | | {WILD_SOA}"));
}

#[test]
fn a_wildcard_does_not_speak_below_a_delegation_rfc_4592_2_2_1() {
    assert_eq!(
        ask(&wildcards(), "host.subdel.example A"),
        "NOERROR | | subdel.example. 3600 NS ns.example.com.; subdel.example. 3600 NS ns.example.net.;"
    );
}

#[test]
fn an_asterisk_can_be_asked_for_rfc_4592_2_3() {
    assert_eq!(ask(&wildcards(), "*.example MX"), "NOERROR aa | *.example. 3600 MX 10 host1.example.;");
    let below = "NOERROR aa | sub.*.example. 3600 TXT \"this is not a wildcard\";";
    assert_eq!(ask(&wildcards(), "sub.*.example TXT"), below);
}

#[test]
fn a_wildcard_that_is_only_between_others_speaks_too_rfc_4592_4_9() {
    let zone = snapshot(&[("example.org", &format!("{ZONE}sub.*.between TXT x\n"))], "");
    assert_eq!(ask(&zone, "x.between.example.org TXT"), no_data());
}

#[test]
fn a_wildcard_alias_is_followed_rfc_4592_3_3_3() {
    assert_eq!(
        ask(&zone(), "x.wildalias.example.org A"),
        chain(
            "x.wildalias.example.org. 3600 CNAME www.example.org.; ",
            "www.example.org. 3600 A 192.0.2.1; www.example.org. 3600 A 192.0.2.2;"
        )
    );
    assert!(ask(&zone(), "y.wildcut.wildalias.example.org A").starts_with("NOERROR | | wildcut."));
}

// Delegations

const REFERRAL: &str = "NOERROR | | child.example.org. 3600 NS ns.child.example.org.; \
    child.example.org. 3600 NS ns1.example.org.; child.example.org. 3600 NS ns.sister.example.org.; | \
    ns.child.example.org. 3600 A 192.0.2.54; ns1.example.org. 3600 A 192.0.2.53; \
    ns1.example.org. 3600 AAAA 2001:db8::53; ns.sister.example.org. 3600 AAAA 2001:db8::55;";

#[test]
fn a_delegated_name_gets_a_referral_with_glue_and_without_aa_rfc_1034_4_3_2_3b() {
    assert_eq!(ask(&zone(), "www.child.example.org A"), REFERRAL);
    assert_eq!(ask(&zone(), "child.example.org A"), REFERRAL);
    assert_eq!(ask(&zone(), "child.example.org NS"), REFERRAL);
    assert_eq!(ask(&zone(), "ns.child.example.org A"), REFERRAL);
    assert_eq!(ask(&zone(), "child.example.org ANY"), REFERRAL);
}

#[test]
fn the_parent_answers_for_ds_at_the_cut_rfc_4035_3_1_4_1() {
    let ds = ask(&zone(), "child.example.org DS");
    assert!(ds.starts_with("NOERROR aa | child.example.org. 3600 DS 1 8 2 0000"), "{ds}");
    assert_eq!(ask(&zone(), "sister.example.org DS"), no_data());
    assert_eq!(ask(&zone(), "www.child.example.org DS"), REFERRAL);
    assert_eq!(ask(&zone(), "example.org DS"), no_data());
}

#[test]
fn of_zones_within_zones_the_deepest_answers_and_ds_is_answered_by_the_outer_one() {
    let child = "$TTL 1h\n@ SOA ns h 1 2h 30m 2w 1m\n@ NS ns\nns A 192.0.2.54\nwww A 192.0.2.77\n";
    for reverse in [false, true] {
        let mut files = [("example.org", ZONE), ("child.example.org", child)];
        if reverse {
            files.reverse();
        }
        let zones = snapshot(&files, "");
        let inner =
            "child.example.org. 60 SOA ns.child.example.org. h.child.example.org. 1 7200 1800 1209600 60;";
        let www = "NOERROR aa | www.child.example.org. 3600 A 192.0.2.77;";
        assert_eq!(ask(&zones, "www.child.example.org A"), www);
        assert_eq!(ask(&zones, "x.child.example.org A"), format!("NXDOMAIN aa | | {inner}"));
        assert!(ask(&zones, "child.example.org DS").starts_with("NOERROR aa | child.example.org. 3600 DS 1"));
        assert!(
            ask(&zones, "intodelegation.example.org A")
                .ends_with(" www.child.example.org. 3600 A 192.0.2.77;")
        );
        assert_eq!(ask(&zones, "nothing.example.org A"), no_name());
    }
}

#[test]
fn a_zone_within_a_zone_that_does_not_delegate_it_is_served_all_the_same() {
    let inner = "@ 60 SOA ns.x. h.x. 1 2h 30m 2w 5m\n@ NS ns.x.\n";
    let zones = snapshot(&[("example.org", ZONE), ("b.c.example.org", inner)], "");
    assert_eq!(ask(&zones, "b.c.example.org NS"), "NOERROR aa | b.c.example.org. 60 NS ns.x.;");
    assert_eq!(ask(&zones, "b.c.example.org DS"), no_data());
    assert_eq!(ask(&zones, "c.example.org A"), no_data());
}

// DNAME, RFC 6672

#[test]
fn a_name_below_a_dname_gets_it_and_a_cname_made_from_it_rfc_6672_3_1() {
    assert_eq!(
        ask(&zone(), "a.B.old.example.org A"),
        "NOERROR aa | old.example.org. 3600 DNAME new.example.net.; \
         a.B.old.example.org. 3600 CNAME a.B.new.example.net.;"
    );
}

#[test]
fn the_owner_of_a_dname_is_not_redirected_rfc_6672_2_3() {
    assert_eq!(ask(&zone(), "old.example.org A"), no_data());
    assert_eq!(
        ask(&zone(), "old.example.org DNAME"),
        "NOERROR aa | old.example.org. 3600 DNAME new.example.net.;"
    );
}

#[test]
fn a_dname_into_our_zones_is_followed_rfc_6672_3_2() {
    assert_eq!(
        ask(&zone(), "x.inner.example.org A"),
        format!(
            "NXDOMAIN aa | inner.example.org. 3600 DNAME www.example.org.; \
             x.inner.example.org. 3600 CNAME x.www.example.org.; | {SOA}"
        )
    );
}

#[test]
fn a_dname_that_makes_a_name_too_long_is_yxdomain_rfc_6672_2_2() {
    let target = ["x".repeat(63), "y".repeat(63), "z".repeat(63)].join(".");
    let zone = snapshot(&[("example.org", &format!("{ZONE}far DNAME {target}.example.\n"))], "");
    let long = ["a".repeat(40), "b".repeat(40)].join(".");
    let answer = ask(&zone, &format!("{long}.far.example.org A"));
    assert!(answer.starts_with("YXDOMAIN aa | far.example.org. 3600 DNAME xxx"), "{answer}");
    assert_eq!(answer.matches(';').count(), 1, "{answer}");
}

#[test]
fn dnames_that_lead_back_end() {
    let zone = snapshot(&[("example.org", &format!("{ZONE}there DNAME here\nhere DNAME there\n"))], "");
    assert_eq!(
        ask(&zone, "x.here.example.org A"),
        "NOERROR aa | here.example.org. 3600 DNAME there.example.org.; \
         x.here.example.org. 3600 CNAME x.there.example.org.; \
         there.example.org. 3600 DNAME here.example.org.; \
         x.there.example.org. 3600 CNAME x.here.example.org.;"
    );
}
