//! What a probe may connect to.
//!
//! Whoever may write `zones/` tells every probe what to connect to, and learns how that went. So a probe stays
//! away from what is nobody's endpoint, but answers on its own machine or to the whole link:
//!
//! ```text
//!   address --> no endpoint's (link-local, metadata, multicast, broadcast, unspecified)? --> Denied
//!      |    --> in `[probe] deny`? ---------------------------------------------------------> Denied
//!      '--- the IPv4 address within an IPv6 one (mapped, NAT64, 6to4, Teredo): the same two questions
//! ```
//!
//! Loopback and private addresses are let through: fleets stand there. Who wants them closed lists them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::geo::embedded::Embedding;

/// What one probe may connect to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Guard {
    deny: Vec<IpNet>,
}

/// Why a probe does not connect to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// On every link there is another one of these (169.254.0.0/16, fe80::/10).
    LinkLocal,
    /// The provider tells a machine its secrets there.
    Metadata,
    /// Many hosts at once.
    Multicast,
    /// All hosts of a link.
    Broadcast,
    /// No host, or the probe's own.
    Unspecified,
    /// In this prefix of `[probe] deny`.
    Listed(IpNet),
}

impl Guard {
    /// Also keeps away from what is in `deny`.
    pub fn new(deny: Vec<IpNet>) -> Self {
        Self { deny }
    }

    /// Whether a probe may connect to `address`.
    ///
    /// # Errors
    /// Why not.
    pub fn admit(&self, address: IpAddr) -> Result<(), Denied> {
        let listed = |address: IpAddr| self.deny.iter().find(|net| net.contains(&address)).copied();
        let forms = [Some(address), within(address).map(IpAddr::V4)];
        for form in forms.into_iter().flatten() {
            if let Some(denied) = no_endpoint(form).or_else(|| listed(form).map(Denied::Listed)) {
                return Err(denied);
            }
        }
        Ok(())
    }
}

impl fmt::Display for Denied {
    /// Completes "... is not checked: it is".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Denied::LinkLocal => f.write_str("a link-local address"),
            Denied::Metadata => f.write_str("a cloud's metadata address"),
            Denied::Multicast => f.write_str("a multicast address"),
            Denied::Broadcast => f.write_str("the broadcast address"),
            Denied::Unspecified => f.write_str("an unspecified address"),
            Denied::Listed(net) => write!(f, "in {net} of `[probe] deny`"),
        }
    }
}

fn no_endpoint(address: IpAddr) -> Option<Denied> {
    // Before link-local: the best known of them is in there.
    if METADATA.iter().any(|net| net.contains(&address)) {
        return Some(Denied::Metadata);
    }
    match address {
        IpAddr::V4(v4) if v4.is_link_local() => Some(Denied::LinkLocal),
        IpAddr::V4(v4) if v4.is_broadcast() => Some(Denied::Broadcast),
        IpAddr::V4(v4) if THIS_HOST.contains(&v4) => Some(Denied::Unspecified),
        IpAddr::V6(v6) if v6.is_unicast_link_local() => Some(Denied::LinkLocal),
        address if address.is_multicast() => Some(Denied::Multicast),
        address if address.is_unspecified() => Some(Denied::Unspecified),
        _ => None,
    }
}

/// The IPv4 address that is reached by way of an IPv6 one.
fn within(address: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(v6) = address else { return None };
    let embedded = Embedding::of(v6).map(|embedding| embedding.inner(v6));
    let at_the_end =
        || LAST_BITS.iter().any(|net| net.contains(&v6)).then(|| Ipv4Addr::from_bits(v6.to_bits() as u32));
    // The first of the addresses that only look as if they held one (`::` itself is denied already).
    if v6.is_loopback() { None } else { embedded.or_else(at_the_end) }
}

/// Where the machines of a cloud ask who they are, and get their credentials: AWS, Azure and Google, Oracle, Alibaba.
const METADATA: [IpNet; 7] = [
    v4_net([169, 254, 169, 254], 32),
    v4_net([169, 254, 170, 2], 32),
    v4_net([168, 63, 129, 16], 32),
    v4_net([192, 0, 0, 192], 32),
    v4_net([100, 100, 100, 200], 32),
    // All that AWS serves to its own machines: metadata, credentials, names, time.
    v6_net(Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0), 32),
    v6_net(Ipv6Addr::new(0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x0254), 128),
];

/// "This host on this network" (RFC 1122 section 3.2.1.3): a connection to 0.0.0.0 ends on the own machine.
const THIS_HOST: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::UNSPECIFIED, 8);

/// IPv6 addresses whose last 32 bits a router may take for an IPv4 address, and that are no place of a client.
const LAST_BITS: [Ipv6Net; 3] = [
    // IPv4-compatible (RFC 4291 section 2.5.5.1).
    Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 96),
    // IPv4-translated (RFC 7915, RFC 2765).
    Ipv6Net::new_assert(Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, 0, 0), 96),
    // NAT64 of one's own (RFC 8215), as it is used most: with a prefix of 96 bits.
    Ipv6Net::new_assert(Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, 0, 0), 48),
];

const fn v4_net([a, b, c, d]: [u8; 4], length: u8) -> IpNet {
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), length))
}

const fn v6_net(first: Ipv6Addr, length: u8) -> IpNet {
    IpNet::V6(Ipv6Net::new_assert(first, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said_of(address: &str, deny: &[&str]) -> Result<(), Denied> {
        let deny = deny.iter().map(|net| net.parse().expect("a test writes good prefixes"));
        Guard::new(deny.collect()).admit(address.parse().expect("a test writes good addresses"))
    }

    #[test]
    fn what_is_no_endpoint_is_denied() {
        for (address, denied) in [
            ("169.254.1.1", Denied::LinkLocal),
            ("fe80::1", Denied::LinkLocal),
            ("febf::1", Denied::LinkLocal),
            ("169.254.169.254", Denied::Metadata),
            ("fd00:ec2::254", Denied::Metadata),
            ("fd20:ce::254", Denied::Metadata),
            ("100.100.100.200", Denied::Metadata),
            ("168.63.129.16", Denied::Metadata),
            ("224.0.0.1", Denied::Multicast),
            ("239.255.255.255", Denied::Multicast),
            ("ff02::1", Denied::Multicast),
            ("255.255.255.255", Denied::Broadcast),
            ("0.0.0.0", Denied::Unspecified),
            ("0.0.0.1", Denied::Unspecified),
            ("::", Denied::Unspecified),
        ] {
            assert_eq!(said_of(address, &[]), Err(denied), "{address}");
        }
    }

    #[test]
    fn no_disguise_helps() {
        for disguised in [
            "::ffff:169.254.169.254",
            "::169.254.169.254",
            "::ffff:0:169.254.169.254",
            "64:ff9b::169.254.169.254",
            "64:ff9b:1::169.254.169.254",
            "64:ff9b:1:ffff::169.254.169.254",
            "2002:a9fe:a9fe::1",
            "2001:0:1:2:3:4:5601:5601",
        ] {
            assert_eq!(said_of(disguised, &[]), Err(Denied::Metadata), "{disguised}");
        }
        assert_eq!(said_of("::ffff:0.0.0.0", &[]), Err(Denied::Unspecified));
        assert_eq!(said_of("64:ff9b::224.0.0.1", &[]), Err(Denied::Multicast));
        let ten = "10.0.0.0/8".parse().expect("a prefix");
        assert_eq!(said_of("::ffff:10.1.2.3", &["10.0.0.0/8"]), Err(Denied::Listed(ten)));
        assert_eq!(said_of("2002:0a01:0203::", &["10.0.0.0/8"]), Err(Denied::Listed(ten)));
    }

    #[test]
    fn fleets_on_loopback_and_private_addresses_are_checked_unless_they_are_listed() {
        for address in [
            "127.0.0.1",
            "::1",
            "10.0.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "fd00::1",
            "192.0.2.1",
            "2001:db8::1",
        ] {
            assert_eq!(said_of(address, &[]), Ok(()), "{address}");
            let all = if address.contains(':') { "::/0" } else { "0.0.0.0/0" };
            assert!(said_of(address, &[all]).is_err(), "{address}");
        }
        assert_eq!(said_of("127.0.0.1", &["::/0", "10.0.0.0/8"]), Ok(()));
    }

    #[test]
    fn a_denied_address_says_which_prefix_it_is_in() {
        let denied = said_of("10.1.2.3", &["192.168.0.0/16", "10.0.0.0/8"]).expect_err("it is listed");
        assert_eq!(denied.to_string(), "in 10.0.0.0/8 of `[probe] deny`");
    }
}
