//! The PROXY protocol, version 2: a load balancer in front says on whose behalf a connection or a datagram
//! comes, before its first octet. Only those who are listed are heard, and they must say it: a sender that
//! might or might not be a proxy could be anybody.
//!
//! ```text
//!    0           12    13       14       16
//!    +-----------+-----+--------+--------+-----------------------------+-------+------------
//!    | signature | 2,  | family,| length | source, destination address | TLVs  | TLS or DNS
//!    |           | cmd | kind   | of the | source, destination port    |       |
//!    +-----------+-----+--------+- rest -+-----------------------------+-------+------------
//! ```
//!
//! Version 1, a line of text, is malformed here: it has no length, and nobody needs it. What follows the
//! addresses (TLVs) is stepped over.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;
use tokio::io::{AsyncRead, AsyncReadExt};

/// Who speaks for others.
#[derive(Clone, Debug, Default)]
pub struct Proxies(Vec<IpNet>);

/// On whose behalf something comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// This client's.
    Client(SocketAddr),
    /// The proxy's own, which looks whether we are alive; or it does not say whose.
    Proxy,
}

/// How the proxy passes it on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// As a connection.
    Stream,
    /// As a datagram.
    Datagram,
}

/// What was sent in place of a header is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl Proxies {
    /// Those in these prefixes.
    pub fn new(prefixes: &[IpNet]) -> Self {
        Self(prefixes.to_vec())
    }

    /// Whether what this address sends starts with a header.
    #[inline]
    pub fn include(&self, address: IpAddr) -> bool {
        self.0.iter().any(|prefix| prefix.contains(&address))
    }
}

/// Takes the header that a stream starts with, and not an octet more.
///
/// # Errors
/// The stream ends or fails, or starts with something else (`InvalidData`).
pub async fn take_header<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<Origin> {
    let mut head = [0; HEAD];
    stream.read_exact(&mut head).await?;
    let rest = rest_length(&head).map_err(|Malformed| malformed())?;
    let mut octets = [0; REST_MAX];
    stream.read_exact(&mut octets[..rest]).await?;
    origin(&head, &octets[..rest], Carrier::Stream).map_err(|Malformed| malformed())
}

/// Splits a datagram into whose it is and the message that was passed on.
pub fn split_header(datagram: &[u8]) -> Result<(Origin, &[u8]), Malformed> {
    let (head, after) = datagram.split_first_chunk::<HEAD>().ok_or(Malformed)?;
    let (rest, message) = after.split_at_checked(rest_length(head)?).ok_or(Malformed)?;
    Ok((origin(head, rest, Carrier::Datagram)?, message))
}

/// Whether somebody who is no proxy says to be one.
pub fn looks_like_header(octets: &[u8]) -> bool {
    octets.starts_with(SIGNATURE)
}

/// How many octets follow the head.
fn rest_length(head: &[u8; HEAD]) -> Result<usize, Malformed> {
    let [signature @ .., _, _, high, low] = head;
    let rest = usize::from(u16::from_be_bytes([*high, *low]));
    if signature == SIGNATURE && rest <= REST_MAX { Ok(rest) } else { Err(Malformed) }
}

fn origin(head: &[u8; HEAD], rest: &[u8], carrier: Carrier) -> Result<Origin, Malformed> {
    let kind = match carrier {
        Carrier::Stream => STREAM,
        Carrier::Datagram => DATAGRAM,
    };
    let [.., version_and_command, family_and_kind, _, _] = *head;
    match (version_and_command, family_and_kind) {
        (LOCAL, _) | (PROXY, UNSPECIFIED) => Ok(Origin::Proxy),
        (PROXY, family_and_kind) if family_and_kind == IPV4 | kind => {
            let &[a, b, c, d, _, _, _, _, high, low, _, _] = rest.first_chunk().ok_or(Malformed)?;
            client(Ipv4Addr::new(a, b, c, d).into(), [high, low])
        }
        (PROXY, family_and_kind) if family_and_kind == IPV6 | kind => {
            let (source, after) = rest.split_first_chunk::<16>().ok_or(Malformed)?;
            let (_, ports) = after.split_first_chunk::<16>().ok_or(Malformed)?;
            let &[high, low, _, _] = ports.first_chunk().ok_or(Malformed)?;
            client(Ipv6Addr::from(*source).to_canonical(), [high, low])
        }
        _ => Err(Malformed),
    }
}

/// No client sends from port 0.
fn client(address: IpAddr, port: [u8; 2]) -> Result<Origin, Malformed> {
    match u16::from_be_bytes(port) {
        0 => Err(Malformed),
        port => Ok(Origin::Client(SocketAddr::new(address, port))),
    }
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "it does not start with a PROXY header of version 2")
}

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Octets up to the addresses.
const HEAD: usize = 16;
/// Octets behind the head; more is malformed. Addresses take 36; TLVs are a certificate's name at most.
const REST_MAX: usize = 2048;
/// Version 2 and its commands.
const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;
/// Families and kinds.
const UNSPECIFIED: u8 = 0x00;
const IPV4: u8 = 0x10;
const IPV6: u8 = 0x20;
const STREAM: u8 = 0x01;
const DATAGRAM: u8 = 0x02;

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn header(version_and_command: u8, family_and_kind: u8, rest: &[u8]) -> Vec<u8> {
        let mut octets = SIGNATURE.to_vec();
        octets.extend([version_and_command, family_and_kind]);
        octets.extend((rest.len() as u16).to_be_bytes());
        octets.extend(rest);
        octets
    }

    fn ipv4_rest() -> Vec<u8> {
        vec![192, 0, 2, 7, 198, 51, 100, 1, 0x10, 0x92, 0, 53]
    }

    fn ipv6_rest(source: &str) -> Vec<u8> {
        let source: Ipv6Addr = source.parse().expect("an address");
        [&source.octets()[..], &Ipv6Addr::LOCALHOST.octets(), &[0x10, 0x92, 3, 85]].concat()
    }

    fn of(text: &str) -> Origin {
        Origin::Client(text.parse().expect("an address and port"))
    }

    async fn taken(mut octets: &[u8]) -> (io::Result<Origin>, &[u8]) {
        let origin = take_header(&mut octets).await;
        (origin, octets)
    }

    #[tokio::test]
    async fn a_header_tells_the_client_and_what_follows_it_stays() {
        let with_tlv = [ipv4_rest(), vec![4, 0, 2, 9, 9]].concat();
        for (family, rest, client) in [
            (0x11, ipv4_rest(), "192.0.2.7:4242"),
            (0x11, with_tlv, "192.0.2.7:4242"),
            (0x21, ipv6_rest("2001:db8::7"), "[2001:db8::7]:4242"),
            (0x21, ipv6_rest("::ffff:192.0.2.7"), "192.0.2.7:4242"),
        ] {
            let stream = [header(PROXY, family, &rest), b"after".to_vec()].concat();
            let (origin, after) = taken(&stream).await;
            assert_eq!((origin.expect("a header"), after), (of(client), &b"after"[..]));
            let datagram = [header(PROXY, family + 1, &rest), b"after".to_vec()].concat();
            assert_eq!(split_header(&datagram), Ok((of(client), &b"after"[..])));
            assert_eq!(split_header(&stream), Err(Malformed), "a stream's header on a datagram");
        }
    }

    #[test]
    fn a_proxy_that_looks_whether_we_live_speaks_for_itself() {
        for octets in [header(LOCAL, 0, &[]), header(LOCAL, 0x12, &ipv4_rest()), header(PROXY, 0, b"tlv")] {
            assert_eq!(split_header(&octets), Ok((Origin::Proxy, &[][..])));
        }
    }

    #[tokio::test]
    async fn what_is_no_header_of_version_2_is_malformed() {
        let mut cut = ipv4_rest();
        cut.pop();
        let mut from_port_0 = ipv4_rest();
        from_port_0[8..10].fill(0);
        for octets in [
            b"PROXY TCP4 192.0.2.7 198.51.100.1 4242 53\r\n".to_vec(),
            header(0x11, 0x11, &ipv4_rest()),
            header(0x22, 0x11, &ipv4_rest()),
            header(PROXY, 0x31, &[0; 216]),
            header(PROXY, 0x13, &ipv4_rest()),
            header(PROXY, 0x11, &cut),
            header(PROXY, 0x21, &ipv4_rest()),
            header(PROXY, 0x11, &from_port_0),
            header(PROXY, 0x11, &vec![0; REST_MAX + 1]),
        ] {
            let error = taken(&octets).await.0.expect_err("no header");
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{octets:?}");
        }
        let whole = header(PROXY, 0x11, &ipv4_rest());
        for length in 0..whole.len() {
            let error = taken(&whole[..length]).await.0.expect_err("cut");
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        }
    }

    #[test]
    fn only_those_who_are_listed_are_proxies() {
        let proxies = Proxies::new(&["192.0.2.0/24".parse().expect("a prefix")]);
        assert!(proxies.include("192.0.2.9".parse().expect("an address")));
        assert!(!proxies.include("192.0.3.9".parse().expect("an address")));
        assert!(!proxies.include("2001:db8::1".parse().expect("an address")));
        assert!(!Proxies::default().include("192.0.2.9".parse().expect("an address")));
    }

    proptest! {
        #[test]
        fn any_octets_are_a_header_or_none(octets in vec(any::<u8>(), 0..300)) {
            let _ = split_header(&octets);
        }

        #[test]
        fn a_damaged_header_is_a_header_or_none(
            damage in vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
            length in any::<prop::sample::Index>(),
        ) {
            let mut octets = header(PROXY, 0x22, &ipv6_rest("2001:db8::7"));
            for (place, octet) in damage {
                let place = place.index(octets.len());
                octets[place] = octet;
            }
            octets.truncate(length.index(octets.len() + 1));
            if let Ok((_, after)) = split_header(&octets) {
                prop_assert!(after.len() + HEAD <= octets.len());
            }
        }
    }
}
