//! Steered names: choice, TTL, scope, extended errors, and what stands beside them.

use crate::answer::explain::explain;
use crate::answer::tests::world::{ask, ask_from, query, set, snapshot, with_answer};
use crate::health::Verdict;
use crate::snapshot::Snapshot;
use crate::steering::judge_pools;

const ZONE: &str = "
$TTL 1h
@ SOA ns1 hostmaster 1 2h 30m 2w 5m
@ NS ns1
ns1 A 192.0.2.53
www A 192.0.2.99
www TXT static
static A 192.0.2.98
static TXT x
nodata A 192.0.2.96
noted A 192.0.2.96
noted TXT x
alias CNAME www
away A 192.0.2.97
";

const STEERING: &str = r#"
zone = "example.org"
[regions.eu]
at = [50.11, 8.68]
clients = ["net:192.0.2.0/24", "net:2001:db8:e::/48"]
[regions.us]
at = [39.04, -77.49]
default = true
[monitors.web]
type = "tcp"
port = 80
[endpoints.fra]
region = "eu"
ipv4 = "192.0.2.10"
ipv6 = "2001:db8::10"
monitors = ["web"]
[endpoints.iad]
region = "us"
ipv4 = "198.51.100.10"
monitors = ["web"]
[endpoints.cdn]
cname = "Away.example.org."
[endpoints.far]
cname = "x.cdn.example.net."
[pools.www]
policy = "nearest"
members = ["fra", "iad"]
[pools.static]
policy = "failover"
members = ["fra"]
on_down = "static"
[pools.nodata]
policy = "failover"
members = ["fra"]
on_down = "nodata"
[pools.servfail]
policy = "failover"
members = ["fra"]
on_down = "servfail"
[pools.sticky]
policy = "weighted"
members = ["fra", "iad"]
sticky = true
[pools.near_cdn]
policy = "failover"
members = ["cdn"]
[pools.far_cdn]
policy = "failover"
members = ["far"]
[pools.v4]
policy = "failover"
members = ["iad"]
[names]
www = { pool = "www" }
"*.shop" = { pool = "www" }
static = { pool = "static", ttl = 60 }
nodata = { pool = "nodata", ttl = 60 }
noted = { pool = "nodata" }
servfail = { pool = "servfail" }
sticky = { pool = "sticky" }
cdn = { pool = "near_cdn" }
far = { pool = "far_cdn" }
"deep.steered" = { pool = "v4" }
"@" = { pool = "www" }
"#;

fn world() -> Snapshot {
    let mut world = snapshot(&[("example.org", ZONE)], STEERING);
    for endpoint in ["fra", "iad"] {
        set(&mut world, endpoint, Verdict::Up);
    }
    world
}

fn without(endpoints: &[&str]) -> Snapshot {
    let mut world = world();
    for endpoint in endpoints {
        set(&mut world, endpoint, Verdict::Down);
    }
    world
}

/// Scope and extended error.
fn said(snapshot: &Snapshot, question: &str, client: &str) -> (u8, Option<u16>) {
    with_answer(snapshot, question, client, |answer, _| (answer.scope, answer.ede.map(|ede| ede.code)))
}

const SOA: &str = "SOA ns1.example.org. hostmaster.example.org. 1 7200 1800 1209600 300;";

#[test]
fn a_client_gets_the_nearest_member_and_the_scope_of_its_place() {
    assert_eq!(ask(&world(), "www.example.org A"), "NOERROR aa | www.example.org. 30 A 192.0.2.10;");
    assert_eq!(said(&world(), "www.example.org A", "192.0.2.1"), (24, None));
    let other = ask_from(&world(), "WWW.example.org A", "198.51.100.7");
    assert_eq!(other, "NOERROR aa | WWW.example.org. 30 A 198.51.100.10;");
    let v6 = ask_from(&world(), "www.example.org AAAA", "2001:db8:e::/56");
    assert_eq!(v6, "NOERROR aa | www.example.org. 30 AAAA 2001:db8::10;");
    assert_eq!(said(&world(), "www.example.org AAAA", "2001:db8:e::/56").0, 48);
}

#[test]
fn a_choice_that_does_not_depend_on_the_client_has_scope_0() {
    assert_eq!(said(&world(), "far.example.org A", "192.0.2.1").0, 0);
    assert_eq!(said(&world(), "www.example.org TXT", "192.0.2.1").0, 0);
}

#[test]
fn a_chain_has_the_longest_scope_of_what_was_consulted() {
    assert_eq!(
        ask(&world(), "alias.example.org A"),
        "NOERROR aa | alias.example.org. 3600 CNAME www.example.org.; www.example.org. 30 A 192.0.2.10;"
    );
    assert_eq!(said(&world(), "alias.example.org A", "192.0.2.1").0, 24);
}

#[test]
fn other_types_of_a_steered_name_are_those_of_the_zone_file() {
    assert_eq!(ask(&world(), "www.example.org TXT"), "NOERROR aa | www.example.org. 3600 TXT \"static\";");
    assert_eq!(ask(&world(), "www.example.org MX"), format!("NOERROR aa | | example.org. 300 {SOA}"));
    assert!(ask(&world(), "example.org NS").starts_with("NOERROR aa | example.org. 3600 NS"));
}

#[test]
fn a_steered_apex_keeps_its_soa() {
    assert_eq!(ask(&world(), "example.org A"), "NOERROR aa | example.org. 30 A 192.0.2.10;");
    assert_eq!(ask(&world(), "example.org SOA"), format!("NOERROR aa | example.org. 3600 {SOA}"));
}

#[test]
fn a_steered_wildcard_answers_as_the_name_that_was_asked() {
    assert_eq!(
        ask(&world(), "a.b.shop.example.org A"),
        "NOERROR aa | a.b.shop.example.org. 30 A 192.0.2.10;"
    );
    assert_eq!(ask(&world(), "shop.example.org A"), format!("NOERROR aa | | example.org. 300 {SOA}"));
}

#[test]
fn names_between_a_steered_name_and_the_apex_exist() {
    assert_eq!(ask(&world(), "steered.example.org A"), format!("NOERROR aa | | example.org. 300 {SOA}"));
    assert!(ask(&world(), "other.steered.example.org A").starts_with("NXDOMAIN"));
}

#[test]
fn any_gets_no_static_address_from_a_pool_that_answers_nothing() {
    let world = without(&["fra"]);
    assert_eq!(ask(&world, "nodata.example.org ANY"), format!("NOERROR aa | | example.org. 60 {SOA}"));
    assert_eq!(ask(&world, "noted.example.org ANY"), "NOERROR aa | noted.example.org. 3600 TXT \"x\";");
}

#[test]
fn any_at_a_steered_name_is_its_choice_rfc_8482() {
    assert_eq!(ask(&world(), "www.example.org ANY"), "NOERROR aa | www.example.org. 30 A 192.0.2.10;");
}

#[test]
fn when_nothing_is_up_all_are_answered_and_the_client_is_told() {
    let world = without(&["fra", "iad"]);
    assert_eq!(ask(&world, "www.example.org A"), "NOERROR aa | www.example.org. 30 A 192.0.2.10;");
    assert_eq!(said(&world, "www.example.org A", "192.0.2.1").1, Some(0));
}

#[test]
fn a_static_answer_lasts_no_longer_than_a_chosen_one() {
    let world = without(&["fra"]);
    assert_eq!(ask(&world, "static.example.org A"), "NOERROR aa | static.example.org. 60 A 192.0.2.98;");
    assert_eq!(said(&world, "static.example.org A", "192.0.2.1").1, Some(0));
}

#[test]
fn an_empty_answer_lasts_no_longer_than_a_chosen_one() {
    let world = without(&["fra"]);
    assert_eq!(ask(&world, "nodata.example.org A"), format!("NOERROR aa | | example.org. 60 {SOA}"));
}

#[test]
fn servfail_is_answered_on_demand_only() {
    assert_eq!(ask(&without(&["fra"]), "servfail.example.org A"), "SERVFAIL aa");
    assert_eq!(
        ask(&world(), "servfail.example.org A"),
        "NOERROR aa | servfail.example.org. 30 A 192.0.2.10;"
    );
}

#[test]
fn what_is_moving_has_the_short_ttl_and_what_is_stale_says_so_rfc_8914() {
    let mut world = world();
    let plan = std::sync::Arc::clone(&world.plan);
    let fra = plan.inventory.endpoint("fra").expect("it is written above");
    let eu = plan.inventory.region("eu").expect("it is written above");
    let standing = world.health.endpoint_mut(fra, eu, crate::model::Family::V4);
    standing.moving = true;
    standing.stale = true;
    judge_pools(&plan.inventory, &mut world.health);
    assert_eq!(ask(&world, "www.example.org A"), "NOERROR aa | www.example.org. 15 A 192.0.2.10;");
    assert_eq!(said(&world, "www.example.org A", "192.0.2.1").1, Some(3));
}

#[test]
fn an_endpoint_by_name_is_a_cname_that_is_followed_inside_our_zones() {
    assert_eq!(
        ask(&world(), "cdn.example.org A"),
        "NOERROR aa | cdn.example.org. 30 CNAME Away.example.org.; Away.example.org. 3600 A 192.0.2.97;"
    );
    assert_eq!(
        ask(&world(), "far.example.org A"),
        "NOERROR aa | far.example.org. 30 CNAME x.cdn.example.net.;"
    );
}

#[test]
fn a_sticky_client_keeps_its_member_and_the_scope_is_what_was_hashed() {
    let world = world();
    assert_eq!(said(&world, "sticky.example.org A", "203.0.113.1").0, 24);
    assert_eq!(said(&world, "sticky.example.org A", "203.0.0.0/16").0, 24);
    assert_eq!(said(&world, "sticky.example.org AAAA", "2001:db8:1::/64").0, 56);
    assert_eq!(said(&world, "sticky.example.org A", "::ffff:203.0.113.1").0, 24 + 96);
    let answer = |client: &str| ask_from(&world, "sticky.example.org A", client);
    for subnet in 0..64 {
        let first = answer(&format!("203.0.{subnet}.0/24"));
        assert_eq!(first, answer(&format!("203.0.{subnet}.200")));
        assert_eq!(first, answer(&format!("::ffff:203.0.{subnet}.9")));
    }
}

// Explain

fn short(world: &Snapshot, question: &str) -> String {
    query(question, "192.0.2.0/24", |query| explain(query, world).short())
}

#[test]
fn two_lines_say_the_answer_and_why() {
    assert_eq!(
        short(&without(&["fra"]), "www.example.org A"),
        "NOERROR 198.51.100.10 ttl 30 scope /24\n\
         because: client in eu (net:192.0.2.0/24); pool www nearest: fra is Down in eu, iad is Up\n"
    );
    assert_eq!(
        short(&without(&["fra", "iad"]), "www.example.org A"),
        "NOERROR 192.0.2.10 ttl 30 scope /24 EDE 0 (every member is down; answered as if all were up)\n\
         because: client in eu (net:192.0.2.0/24); \
         pool www nearest: fra is Down in eu, iad is Down in eu, nothing is up; \
         pool www as if all were up: fra\n"
    );
    assert_eq!(
        short(&world(), "nothing.example.org A"),
        "NXDOMAIN ttl 300\n\
         because: nothing.example.org does not exist in zone example.org, the closest is example.org\n"
    );
    assert_eq!(
        short(&world(), "www.example.org MX"),
        "NODATA ttl 300\nbecause: www.example.org is in zone example.org\n"
    );
    assert_eq!(
        short(&without(&["fra"]), "static.example.org A"),
        "NOERROR 192.0.2.98 ttl 60 scope /24 EDE 0 (every member is down; answered from the zone file)\n\
         because: client in eu (net:192.0.2.0/24); \
         pool static failover: fra is Down in eu, nothing is up; so the records of the zone file\n"
    );
    assert_eq!(
        short(&world(), "x.shop.example.org A"),
        "NOERROR 192.0.2.10 ttl 30 scope /24\n\
         because: client in eu (net:192.0.2.0/24); \
         x.shop.example.org is matched by *.shop.example.org of zone example.org; \
         pool www nearest: fra is Up\n"
    );
    assert_eq!(
        short(&without(&["fra"]), "deep.steered.example.org AAAA"),
        "NODATA ttl 30 scope /0\n\
         because: client in eu (net:192.0.2.0/24); pool v4 failover: iad has no ipv6, nobody has ipv6; so no data\n"
    );
    assert_eq!(short(&world(), "example.net A"), "REFUSED\nbecause: example.net is in no zone served here\n");
}

#[test]
fn an_explanation_fits_a_screen() {
    let world = without(&["fra"]);
    let text = query("alias.example.org A", "192.0.2.0/24", |query| explain(query, &world).to_string());
    assert_eq!(
        text,
        "\
alias.example.org A from 192.0.2.0/24

  NOERROR, scope /24
  alias.example.org. 3600 CNAME www.example.org.
  www.example.org. 30 A 198.51.100.10

  client  in eu (net:192.0.2.0/24), as is all of its /24
  name    alias.example.org is in zone example.org
  name    www.example.org is in zone example.org
  pool    www, nearest
          - fra  Down        0 km  assumed
          > iad  Up       6549 km  assumed
  ttl     30, everything is settled
"
    );
}
