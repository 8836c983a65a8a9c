//! One echo request and its echo (RFC 792, RFC 4443).
//!
//! ```text
//!   type  code  checksum  |  id  number  |  token (8 octets)  filler ...
//! ```
//!
//! Two kinds of socket can send it. On a datagram socket the kernel sets the id and hands over the echoes of that
//! id alone; Linux permits it to the groups of `net.ipv4.ping_group_range`. A raw socket needs `CAP_NET_RAW` and
//! hands over all ICMP that comes from the address: the token says what is ours.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::SocketAddr;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;

use super::connect::Permitted;
use super::trouble::NotRun;
use super::{Seen, Trouble, datagram};

/// An echo request of so many octets.
#[derive(Debug)]
pub(super) struct Echo {
    payload: usize,
}

/// What a request says, and so what its echo says.
#[derive(Debug)]
struct Words {
    v4: bool,
    id: u16,
    payload: Vec<u8>,
}

/// A way to send echo requests.
#[derive(Debug)]
struct Line {
    socket: UdpSocket,
    raw: bool,
}

impl Echo {
    pub(super) fn new(payload: u16) -> Self {
        Self { payload: usize::from(payload).max(TOKEN) }
    }

    /// Sends a request with a fresh token, and waits for the same octets.
    pub(super) async fn run(&self, to: Permitted, seen: &mut Seen) -> Result<(), Trouble> {
        let line = Line::to(to)?;
        let words = Words::drawn(to.address().is_ipv4(), self.payload);
        let read =
            |packet: &[u8]| words.are_echoed_in(line.message(packet, words.v4)?, line.raw).then_some(());
        datagram::ask(&line.socket, &words.request(), seen, read).await
    }
}

impl Line {
    fn to(to: Permitted) -> Result<Self, Trouble> {
        match Self::open(to.address(), false) {
            Ok(line) => Ok(line),
            Err(error) if forbidden(&error) => match Self::open(to.address(), true) {
                Err(error) if forbidden(&error) => {
                    Err(Trouble::Machine(NotRun { reason: NOT_PERMITTED.into() }))
                }
                opened => Ok(opened?),
            },
            Err(error) => Err(error.into()),
        }
    }

    fn open(to: SocketAddr, raw: bool) -> io::Result<Self> {
        let kind = if raw { Type::RAW } else { Type::DGRAM };
        let (domain, protocol) = match to {
            SocketAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4),
            SocketAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6),
        };
        let socket = Socket::new(domain, kind, Some(protocol))?;
        socket.set_nonblocking(true)?;
        socket.connect(&to.into())?;
        // Nothing of it is UDP; what is used is that it sends and receives datagrams.
        let socket = UdpSocket::from_std(socket.into())?;
        datagram::hear_of_errors(&socket, to.is_ipv4())?;
        Ok(Self { socket, raw })
    }

    /// The ICMP message in what was received: a raw IPv4 socket hands over the IP header too.
    fn message<'p>(&self, packet: &'p [u8], v4: bool) -> Option<&'p [u8]> {
        if !(self.raw && v4) {
            return Some(packet);
        }
        let header = usize::from(packet.first()? & 0x0f) * 4;
        packet.get(header..)
    }
}

impl Words {
    fn drawn(v4: bool, length: usize) -> Self {
        let token = RandomState::new().hash_one("token");
        let filler = (0..).map(|at: usize| at as u8);
        let payload = token.to_be_bytes().into_iter().chain(filler).take(length).collect();
        Self { v4, id: token as u16, payload }
    }

    fn request(&self) -> Vec<u8> {
        let kind = if self.v4 { ECHO_REQUEST_V4 } else { ECHO_REQUEST_V6 };
        let mut message = vec![kind, 0, 0, 0];
        message.extend(self.id.to_be_bytes());
        message.extend(NUMBER.to_be_bytes());
        message.extend(&self.payload);
        // In IPv6 it covers addresses too, and is the kernel's work.
        if self.v4 {
            let checksum = checksum(&message);
            message[2..4].copy_from_slice(&checksum.to_be_bytes());
        }
        message
    }

    /// Whether `message` is the echo of the request. The id is ours only on a raw socket.
    fn are_echoed_in(&self, message: &[u8], raw: bool) -> bool {
        let kind = if self.v4 { ECHO_V4 } else { ECHO_V6 };
        let Some((&[found, code, _, _, id_high, id_low, number_high, number_low], payload)) =
            message.split_first_chunk()
        else {
            return false;
        };
        (found, code) == (kind, 0)
            && (!raw || u16::from_be_bytes([id_high, id_low]) == self.id)
            && u16::from_be_bytes([number_high, number_low]) == NUMBER
            && payload == self.payload
    }
}

fn forbidden(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied
}

/// The one's complement of the one's complement sum of all pairs of octets (RFC 1071).
fn checksum(message: &[u8]) -> u16 {
    let pairs = message.chunks(2).map(|pair| u16::from_be_bytes([pair[0], *pair.get(1).unwrap_or(&0)]));
    let mut sum: u32 = pairs.map(u32::from).sum();
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    !(sum as u16)
}

const NOT_PERMITTED: &str = "this machine permits no ICMP to this process: let its group into the sysctl \
                             net.ipv4.ping_group_range, or give it CAP_NET_RAW";

const ECHO_REQUEST_V4: u8 = 8;
const ECHO_V4: u8 = 0;
const ECHO_REQUEST_V6: u8 = 128;
const ECHO_V6: u8 = 129;

/// Each check has a socket and a token of its own: its requests need not be told apart.
const NUMBER: u16 = 1;

/// Octets of the payload that nobody can guess.
const TOKEN: usize = 8;

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::super::servers;
    use super::*;

    fn echo_of(request: &[u8], kind: u8) -> Vec<u8> {
        [&[kind], &request[1..]].concat()
    }

    #[tokio::test]
    async fn loopback_echoes_over_each_kind_of_socket_that_is_permitted() {
        for address in ["127.0.0.1", "::1"] {
            let to = SocketAddr::new(address.parse::<IpAddr>().unwrap(), 0);
            for raw in [false, true] {
                match Line::open(to, raw) {
                    Ok(line) => {
                        let words = Words::drawn(to.is_ipv4(), 32);
                        let read = |packet: &[u8]| {
                            let message = line.message(packet, words.v4)?;
                            words.are_echoed_in(message, line.raw).then_some(())
                        };
                        let mut seen = Seen::default();
                        datagram::ask(&line.socket, &words.request(), &mut seen, read).await.unwrap();
                        assert!(seen.rtt.is_some());
                    }
                    Err(error) => println!("not tested: {address}, raw {raw}: {error}"),
                }
            }
        }
    }

    #[tokio::test]
    async fn what_this_machine_forbids_is_not_held_against_the_endpoint() {
        for address in ["127.0.0.1", "::1"] {
            let to = servers::permitted(SocketAddr::new(address.parse::<IpAddr>().unwrap(), 0));
            match Echo::new(1200).run(to, &mut Seen::default()).await {
                Ok(()) => {}
                Err(Trouble::Machine(not_run)) => println!("not tested: {address}: {}", not_run.reason),
                Err(other) => panic!("{address}: {other:?}"),
            }
        }
    }

    #[test]
    fn only_the_echo_of_the_request_counts() {
        for (v4, kind) in [(true, ECHO_V4), (false, ECHO_V6)] {
            let words = Words::drawn(v4, 32);
            let request = words.request();
            assert!(!words.are_echoed_in(&request, true), "a raw socket of loopback hears the request too");
            let good = echo_of(&request, kind);
            assert!(words.are_echoed_in(&good, true));
            for at in [0, 1, 4, 6, 8, 39] {
                let mut wrong = good.clone();
                wrong[at] ^= 1;
                assert!(!words.are_echoed_in(&wrong, true), "octet {at}");
            }
            for length in 0..good.len() {
                assert!(!words.are_echoed_in(&good[..length], true), "{length} octets");
            }
            let mut renumbered = good;
            renumbered[4] ^= 1;
            assert!(words.are_echoed_in(&renumbered, false), "the kernel sets the id of a datagram socket");
        }
    }

    #[test]
    fn a_checksum_makes_the_sum_of_all_octets_zero() {
        for length in [32, 33] {
            let request = Words::drawn(true, length).request();
            assert_eq!(checksum(&request), 0);
        }
    }
}
