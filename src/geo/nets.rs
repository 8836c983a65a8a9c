//! A set of addresses, as prefixes: whose word is believed, who is told.
//!
//! ```text
//!   192.0.2.0/25, 192.0.2.128/25, 192.0.2.7/32  --merged-->  192.0.2.0/24  --sorted, none within another
//! ```
//!
//! The last prefix that begins at or before an address is the only one that can hold it: a list of thousands of
//! resolvers costs a dozen comparisons.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Addresses of both families.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Nets {
    v4: Box<[Ipv4Net]>,
    v6: Box<[Ipv6Net]>,
}

impl Nets {
    /// Whether an address is one of them; IPv4-mapped IPv6, as sockets for both families have it, counts as IPv4.
    pub fn hold(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(address) => {
                let after = self.v4.partition_point(|net| net.network() <= address);
                self.v4[..after].last().is_some_and(|net| net.contains(&address))
            }
            IpAddr::V6(address) => {
                let after = self.v6.partition_point(|net| net.network() <= address);
                self.v6[..after].last().is_some_and(|net| net.contains(&address))
            }
        }
    }

    /// Whether every address is one of them.
    pub fn hold_all(&self) -> bool {
        let all = |length: Option<u8>| length == Some(0);
        all(self.v4.first().map(Ipv4Net::prefix_len)) && all(self.v6.first().map(Ipv6Net::prefix_len))
    }
}

impl FromIterator<IpNet> for Nets {
    fn from_iter<I: IntoIterator<Item = IpNet>>(prefixes: I) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for prefix in prefixes {
            match prefix {
                IpNet::V4(net) => v4.push(net),
                IpNet::V6(net) => v6.push(net),
            }
        }
        Self { v4: Ipv4Net::aggregate(&v4).into(), v6: Ipv6Net::aggregate(&v6).into() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn nets(prefixes: &[&str]) -> Nets {
        prefixes.iter().map(|prefix| prefix.parse::<IpNet>().expect("a prefix")).collect()
    }

    fn hold(prefixes: &[&str], address: &str) -> bool {
        nets(prefixes).hold(address.parse().expect("an address"))
    }

    #[test]
    fn an_address_is_held_by_a_prefix_around_it() {
        let prefixes = ["192.0.2.0/24", "198.51.100.7/32", "2001:db8::/32"];
        for held in ["192.0.2.0", "192.0.2.255", "198.51.100.7", "2001:db8:ffff::1"] {
            assert!(hold(&prefixes, held), "{held}");
        }
        for other in ["192.0.1.255", "192.0.3.0", "198.51.100.6", "2001:db7::", "2001:db9::", "0.0.0.0", "::"]
        {
            assert!(!hold(&prefixes, other), "{other}");
        }
    }

    #[test]
    fn an_ipv4_address_on_a_socket_for_both_families_is_an_ipv4_address() {
        assert!(hold(&["192.0.2.0/24"], "::ffff:192.0.2.9"));
        assert!(!hold(&["::/0"], "::ffff:192.0.2.9"));
        assert!(!hold(&["192.0.2.0/24"], "64:ff9b::192.0.2.9"), "a translated client is no neighbour");
    }

    #[test]
    fn all_is_all_of_both_families() {
        assert!(nets(&["0.0.0.0/0", "::/0", "192.0.2.0/24"]).hold_all());
        assert!(nets(&["0.0.0.0/1", "128.0.0.0/1", "::/0"]).hold_all());
        assert!(!nets(&["0.0.0.0/0"]).hold_all());
        assert!(!nets(&["0.0.0.0/0", "::/1"]).hold_all());
        assert!(!nets(&[]).hold_all());
    }

    proptest! {
        #[test]
        fn prefixes_in_any_order_hold_what_any_of_them_holds(
            prefixes in prop::collection::vec((any::<u32>(), 0..=32u8), 0..20),
            near in any::<prop::sample::Index>(),
            bits in any::<u32>(),
        ) {
            let prefixes: Vec<Ipv4Net> =
                prefixes.iter().map(|(bits, length)| Ipv4Net::new_assert((*bits).into(), *length).trunc()).collect();
            let beside = match prefixes.is_empty() {
                true => bits,
                false => prefixes[near.index(prefixes.len())].network().to_bits() ^ (bits >> 20),
            };
            let nets: Nets = prefixes.iter().copied().map(IpNet::V4).collect();
            for address in [bits.into(), beside.into()] {
                prop_assert_eq!(nets.hold(IpAddr::V4(address)), prefixes.iter().any(|net| net.contains(&address)));
            }
        }
    }
}
