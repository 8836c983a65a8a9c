//! Where a client is, and how far that is from anything else.
//!
//! ```text
//!   matchers (net:, ...) --compile--> Tree (one a family): address -> region, and the scope of that fact
//!   coordinates          --distance-> kilometres
//! ```
//!
//! All of geography is compiled away at load: the query path does one lookup in one merged prefix tree,
//! and the depth of the match is the EDNS scope prefix.

mod distance;
pub mod embedded;
pub mod facts;
pub mod hubs;
mod matcher;
mod tree;

use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net};

pub use distance::{biased, kilometres};
pub use facts::{Facts, FactsBuilder};
pub use matcher::{Continent, Country, Matcher, NoCode, Subdivision};
pub use tree::{Address, Leaf, Prefix, Tree};

use crate::model::RegionId;

/// Where a client is, as far as answers go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its region.
    pub region: RegionId,
    /// The shortest prefix around the client in which every client has this place.
    pub scope: u8,
}

/// A map of the world's clients: every address is in exactly one region.
#[derive(Clone, Debug)]
pub struct GeoMap {
    v4: Tree<u32, RegionId>,
    v6: Tree<u128, RegionId>,
    matchers: Vec<(Matcher, RegionId)>,
}

impl GeoMap {
    /// Compiles the rules; clients that none of them holds are in `default`. Of two rules for the same
    /// prefix the later counts.
    pub fn compile(matchers: Vec<(Matcher, RegionId)>, default: RegionId) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for (matcher, region) in &matchers {
            let Matcher::Net(net) = matcher else { continue };
            let net = unmapped(*net);
            let family = if net.addr().is_ipv4() { &mut v4 } else { &mut v6 };
            family.push((net.into(), *region));
        }
        Self { v4: Tree::compile(v4, default), v6: Tree::compile(v6, default), matchers }
    }

    /// The place of a client. One lookup; an IPv4-mapped IPv6 address is looked up as IPv4, with the
    /// scope moved by 96.
    #[inline]
    pub fn locate(&self, client: IpAddr) -> Place {
        let v4 = |address: Ipv4Addr, moved| {
            let leaf = self.v4.find(address.to_bits());
            Place { region: leaf.value, scope: leaf.depth + moved }
        };
        match client {
            IpAddr::V4(address) => v4(address, 0),
            IpAddr::V6(address) => match address.to_ipv4_mapped() {
                Some(mapped) => v4(mapped, MAPPED_BITS),
                None => {
                    let leaf = self.v6.find(address.to_bits());
                    Place { region: leaf.value, scope: leaf.depth }
                }
            },
        }
    }

    /// The rule that placed a client, for people; `None`: the default region took it. Slow.
    pub fn reason(&self, client: IpAddr) -> Option<&Matcher> {
        let client = client.to_canonical();
        let net = |matcher: &Matcher| match matcher {
            Matcher::Net(net) => unmapped(*net),
            _ => IpNet::default(),
        };
        let rules = self.matchers.iter().map(|(matcher, _)| matcher);
        rules.filter(|rule| net(rule).contains(&client)).max_by_key(|rule| net(rule).prefix_len())
    }
}

/// A prefix of IPv4-mapped IPv6 addresses as the IPv4 prefix it means; any other as it is.
fn unmapped(net: IpNet) -> IpNet {
    let mapped = match net {
        IpNet::V6(v6) if v6.prefix_len() >= MAPPED_BITS => v6.addr().to_ipv4_mapped(),
        _ => None,
    };
    match mapped.map(|v4| Ipv4Net::new(v4, net.prefix_len() - MAPPED_BITS)) {
        Some(Ok(v4)) => IpNet::V4(v4),
        _ => net,
    }
}

/// How many bits of an IPv4-mapped IPv6 address come before the IPv4 address (RFC 4291 section 2.5.5.2).
const MAPPED_BITS: u8 = 96;

#[cfg(test)]
mod tests {
    use super::*;

    const ELSEWHERE: RegionId = RegionId(0);
    const EU: RegionId = RegionId(1);
    const US: RegionId = RegionId(2);

    fn map(rules: &[(&str, RegionId)]) -> GeoMap {
        let net = |net: &str| Matcher::Net(net.parse().expect("a test writes good prefixes"));
        GeoMap::compile(rules.iter().map(|(rule, region)| (net(rule), *region)).collect(), ELSEWHERE)
    }

    fn locate(map: &GeoMap, client: &str) -> (RegionId, u8) {
        let place = map.locate(client.parse().expect("a test writes good addresses"));
        (place.region, place.scope)
    }

    fn reason(map: &GeoMap, client: &str) -> Option<String> {
        map.reason(client.parse().expect("a test writes good addresses")).map(Matcher::to_string)
    }

    #[test]
    fn without_rules_everybody_is_in_the_default_region_and_the_scope_is_the_world() {
        let map = map(&[]);
        assert_eq!(locate(&map, "192.0.2.1"), (ELSEWHERE, 0));
        assert_eq!(locate(&map, "2001:db8::1"), (ELSEWHERE, 0));
        assert_eq!(reason(&map, "192.0.2.1"), None);
    }

    #[test]
    fn each_family_has_rules_of_its_own() {
        let map = map(&[("192.0.2.0/24", EU), ("2001:db8::/32", US)]);
        assert_eq!(locate(&map, "192.0.2.1"), (EU, 24));
        assert_eq!(locate(&map, "2001:db8::1"), (US, 32));
        assert_eq!(locate(&map, "2001:db9::1"), (ELSEWHERE, 32));
        assert_eq!(reason(&map, "2001:db8::1").as_deref(), Some("net:2001:db8::/32"));
    }

    #[test]
    fn single_addresses_and_the_ends_of_ipv4_are_in_it() {
        let map = map(&[("0.0.0.0/32", EU), ("255.255.255.255/32", US), ("192.0.2.7/32", EU)]);
        assert_eq!(locate(&map, "0.0.0.0"), (EU, 32));
        assert_eq!(locate(&map, "255.255.255.255"), (US, 32));
        assert_eq!(locate(&map, "192.0.2.7"), (EU, 32));
        assert_eq!(locate(&map, "192.0.2.6"), (ELSEWHERE, 32));
        assert_eq!(locate(&map, "0.0.0.1"), (ELSEWHERE, 32));
        assert_eq!(locate(&map, "64.0.0.0"), (ELSEWHERE, 2));
    }

    #[test]
    fn a_mapped_address_is_the_ipv4_address_it_maps() {
        let map = map(&[("192.0.2.0/24", EU), ("::ffff:198.51.100.0/120", US)]);
        assert_eq!(locate(&map, "::ffff:192.0.2.1"), (EU, 24 + 96));
        assert_eq!(reason(&map, "::ffff:192.0.2.1").as_deref(), Some("net:192.0.2.0/24"));
        assert_eq!(locate(&map, "198.51.100.1"), (US, 24));
        assert_eq!(reason(&map, "198.51.100.1").as_deref(), Some("net:::ffff:198.51.100.0/120"));
    }

    #[test]
    fn the_reason_is_the_rule_that_counts() {
        let map = map(&[("192.0.2.0/25", US), ("192.0.2.0/24", EU), ("192.0.2.0/25", EU)]);
        assert_eq!(locate(&map, "192.0.2.1"), (EU, 24));
        assert_eq!(reason(&map, "192.0.2.1").as_deref(), Some("net:192.0.2.0/25"));
        assert_eq!(reason(&map, "192.0.2.200").as_deref(), Some("net:192.0.2.0/24"));
    }
}
