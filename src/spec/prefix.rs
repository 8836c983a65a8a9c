//! Address prefixes as people write them.
//!
//! ```text
//!   "198.51.100.0/24" --.
//!   "192.0.2.1"         --> IpNet, without bits behind its length, IPv4-mapped as IPv4
//!   "::ffff:0:0/96"   --'
//! ```

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};

use crate::geo::embedded::EMBEDDINGS;
use crate::spec::reader::{Problem, Written};

/// A prefix; a bare address is one of full length.
pub const PREFIX: Written<IpNet> = Written {
    expects: "a prefix, as \"198.51.100.0/24\", or an address",
    pattern: r"^[0-9A-Fa-f:.]+(/\d{1,3})?$",
    parse: |text| match text.parse::<IpAddr>() {
        Ok(address) => Ok(unmapped(address.into())),
        Err(_) => with_length(text, ""),
    },
};

/// A prefix with a length. `kind`: what stands before it where it was written, for hints.
pub fn with_length(text: &str, kind: &str) -> Result<IpNet, Problem> {
    let Ok(net) = text.parse::<IpNet>() else {
        let problem = Problem::new("bad-prefix", format!("`{text}` is no address prefix"));
        let bare = text.strip_prefix("net:").and_then(|rule| rule.parse::<IpNet>().ok());
        return Err(problem.hint(match (text.parse::<IpAddr>(), bare) {
            (Ok(address), _) => format!("for this one address write \"{kind}{}\"", IpNet::from(address)),
            (_, Some(net)) => format!("write \"{kind}{}\"", net.trunc()),
            _ => "a prefix is an address and a length, as 198.51.100.0/24 or 2001:db8::/32".to_owned(),
        }));
    };
    if net != net.trunc() {
        let problem = Problem::new("host-bits", format!("`{text}` has bits set behind its length"));
        return Err(problem.hint(format!("write \"{kind}{}\"", net.trunc())));
    }
    Ok(unmapped(net))
}

/// Refuses a prefix of IPv6 addresses that hold IPv4 addresses: clients with such an address are looked up by the
/// IPv4 address, so that the prefix would place nobody.
pub fn looked_up(net: IpNet, kind: &str) -> Result<IpNet, Problem> {
    let IpNet::V6(v6) = net else { return Ok(net) };
    let Some(embedding) = EMBEDDINGS.into_iter().find(|embedding| embedding.prefix.contains(&v6)) else {
        return Ok(net);
    };
    let message =
        format!("`{net}` places nobody: a client in {} counts as its IPv4 address", embedding.prefix);
    let hint = match v6.prefix_len().checked_sub(embedding.moved) {
        Some(length) => {
            let v4 = Ipv4Net::new_assert(embedding.inner(v6.addr()), length.min(32)).trunc();
            format!("write \"{kind}{v4}\"")
        }
        None => "write the IPv4 prefixes of these clients".to_owned(),
    };
    Err(Problem::new("embedded-ipv4", message).hint(hint))
}

/// A prefix of IPv4-mapped IPv6 addresses as the IPv4 prefix it means; any other as it is.
fn unmapped(net: IpNet) -> IpNet {
    let IpNet::V6(v6) = net else { return net };
    match (v6.addr().to_ipv4_mapped(), v6.prefix_len().checked_sub(MAPPED_BITS)) {
        (Some(v4), Some(length)) => IpNet::V4(Ipv4Net::new_assert(v4, length)),
        _ => net,
    }
}

/// How many bits of an IPv4-mapped IPv6 address come before the IPv4 address (RFC 4291 section 2.5.5.2).
const MAPPED_BITS: u8 = 96;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Result<String, String> {
        let net = (PREFIX.parse)(text).and_then(|net| looked_up(net, ""));
        net.map(|net| net.to_string()).map_err(|problem| problem.hint.unwrap_or_default())
    }

    #[test]
    fn a_prefix_is_read_as_it_is_and_an_address_as_one_of_full_length() {
        for (text, net) in [
            ("198.51.100.0/24", "198.51.100.0/24"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("192.0.2.1", "192.0.2.1/32"),
            ("2001:DB8::/32", "2001:db8::/32"),
            ("2001:db8::1", "2001:db8::1/128"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(net));
        }
    }

    #[test]
    fn a_mapped_prefix_is_the_ipv4_prefix_it_means() {
        assert_eq!(read("::ffff:198.51.100.0/120").as_deref(), Ok("198.51.100.0/24"));
        assert_eq!(read("::ffff:0:0/96").as_deref(), Ok("0.0.0.0/0"));
        assert_eq!(read("::ffff:192.0.2.1").as_deref(), Ok("192.0.2.1/32"));
        assert_eq!(read("::/80").as_deref(), Ok("::/80"), "it holds more than mapped addresses");
    }

    #[test]
    fn a_prefix_that_no_lookup_reaches_is_refused_with_the_ipv4_prefix_it_means() {
        assert_eq!(read("64:ff9b::192.0.2.0/120"), Err("write \"192.0.2.0/24\"".into()));
        assert_eq!(read("2002:c000:200::/40"), Err("write \"192.0.2.0/24\"".into()));
        assert_eq!(read("2002:c000:22d:1::/64"), Err("write \"192.0.2.45/32\"".into()));
        assert_eq!(read("2001:0:4136:e378:8000:63bf:3fff:fdd2"), Err("write \"192.0.2.45/32\"".into()));
        assert_eq!(read("2001:0:4136::/48"), Err("write the IPv4 prefixes of these clients".into()));
        assert_eq!(read("2001::/16").as_deref(), Ok("2001::/16"), "it holds more than Teredo addresses");
    }

    #[test]
    fn what_is_no_prefix_is_refused_with_what_to_write() {
        assert_eq!(read("198.51.100.7/24"), Err("write \"198.51.100.0/24\"".into()));
        assert_eq!(read("net:198.51.100.0/24"), Err("write \"198.51.100.0/24\"".into()));
        for text in ["", "/", "1.2.3.0/33", "::/129", "1.2.3/24", "everyone", "1.2.3.4-1.2.3.9"] {
            assert!(read(text).is_err_and(|hint| hint.starts_with("a prefix is an address and a length")));
        }
    }

    proptest! {
        #[test]
        fn every_prefix_is_read_or_refused_and_what_is_read_is_read_again(bits: u128, length in 0..=128u8) {
            let net = IpNet::V6(ipnet::Ipv6Net::new_assert(bits.into(), length)).trunc();
            if let Ok(text) = read(&net.to_string()) {
                prop_assert_eq!(read(&text), Ok(text));
            }
        }

        #[test]
        fn no_text_makes_it_panic(text in "[0-9a-f:./]{0,20}|.*") {
            let _ = read(&text);
        }
    }
}
