//! IPv4 addresses within IPv6 ones: who has such an address is where its IPv4 address is.
//!
//! ```text
//!   ::ffff:0:0/96   IPv4-mapped   RFC 4291 2.5.5.2     |  the last 32 bits
//!   64:ff9b::/96    NAT64         RFC 6052 2.1         |  the last 32 bits
//!   2002::/16       6to4          RFC 3056 2           |  bits 16 to 48
//!   2001::/32       Teredo        RFC 4380 4           |  the last 32 bits, inverted
//! ```
//!
//! What is a prefix of the IPv4 address is, after so many bits, a prefix of the IPv6 address: the scope moves.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::Ipv6Net;

/// A range of IPv6 addresses that hold IPv4 addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Embedding {
    /// All addresses of this kind.
    pub prefix: Ipv6Net,
    /// Bits before the IPv4 address: what its scope moves by.
    pub moved: u8,
    inverted: bool,
}

/// Every kind, none within another.
pub const EMBEDDINGS: [Embedding; 4] = [
    Embedding::new(Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96, 96, false),
    Embedding::new(Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96, 96, false),
    Embedding::new(Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16, 16, false),
    Embedding::new(Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 32, 96, true),
];

impl Embedding {
    const fn new(first: Ipv6Addr, length: u8, moved: u8, inverted: bool) -> Self {
        Self { prefix: Ipv6Net::new_assert(first, length), moved, inverted }
    }

    /// The kind that an address is of.
    pub fn of(address: Ipv6Addr) -> Option<Self> {
        EMBEDDINGS.into_iter().find(|embedding| embedding.prefix.contains(&address))
    }

    /// The IPv4 address within.
    pub fn inner(&self, address: Ipv6Addr) -> Ipv4Addr {
        let bits = (address.to_bits() >> (96 - u32::from(self.moved))) as u32;
        Ipv4Addr::from_bits(if self.inverted { !bits } else { bits })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inner(address: &str) -> Option<(Ipv4Addr, u8)> {
        let address = address.parse().expect("a test writes good addresses");
        Embedding::of(address).map(|embedding| (embedding.inner(address), embedding.moved))
    }

    #[test]
    fn each_kind_holds_its_address() {
        let client = Ipv4Addr::new(192, 0, 2, 45);
        assert_eq!(inner("::ffff:192.0.2.45"), Some((client, 96)));
        assert_eq!(inner("64:ff9b::192.0.2.45"), Some((client, 96)));
        assert_eq!(inner("2002:c000:022d::1"), Some((client, 16)));
        assert_eq!(
            inner("2001:0:4136:e378:8000:63bf:3fff:fdd2"),
            Some((client, 96)),
            "RFC 4380's own example"
        );
    }

    #[test]
    fn other_addresses_hold_none() {
        for address in ["::1", "2001:db8::1", "2001:1::1", "2003::1", "64:ff9b:1::1", "::fffe:c000:22d"] {
            assert_eq!(inner(address), None, "{address}");
        }
    }
}
