//! Taking the sockets. All of them are taken before any is served, and an error says which one cannot be
//! had and what to do about it.
//!
//! TCP goes first and without `SO_REUSEPORT`: it is what keeps a second server of the same user from
//! quietly sharing the port. The UDP sockets of the workers share theirs. Sockets that were handed over
//! ([`Inherited`]) come before those of our own; the workers share one of UDP, if there are not enough.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::inherit::Inherited;
use super::respond::Transport;
use super::{Config, Encrypted};

/// Sockets that are bound but not served yet: so that all of them are known good before any is served.
#[derive(Debug)]
pub struct Bound {
    pub(super) config: Config,
    pub(super) places: Vec<Place>,
    pub(super) encrypted: Vec<EncryptedPlace>,
}

/// The sockets of one address.
#[derive(Debug)]
pub(super) struct Place {
    /// With its real port.
    pub address: SocketAddr,
    pub tcp: TcpListener,
    /// One for each worker.
    pub udp: Vec<UdpSocket>,
}

/// The socket of one address where clients encrypt.
#[derive(Debug)]
pub(super) enum EncryptedPlace {
    Tls(TcpListener),
    Https(TcpListener),
    Quic(UdpSocket),
}

/// What is answered where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listening {
    /// With its real port.
    pub address: SocketAddr,
    /// `None`: UDP and TCP.
    pub encrypted: Option<&'static str>,
}

impl fmt::Display for Listening {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Listening { address, encrypted } = self;
        match encrypted {
            Some(transport) => write!(out, "{address} ({transport})"),
            None => write!(out, "{address}"),
        }
    }
}

impl Bound {
    /// Binds every address.
    pub fn bind(config: Config) -> io::Result<Self> {
        Self::take(config, Inherited::default())
    }

    /// Takes what was handed over, and binds every other address.
    ///
    /// # Errors
    /// An address that cannot be had, or what was handed over and is not asked for; with what to do about it.
    pub fn take(config: Config, mut inherited: Inherited) -> io::Result<Self> {
        if config.listen.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "there is no address to listen on"));
        }
        let workers = config.workers.max(1);
        let place = |&address| place(address, workers, &mut inherited);
        let places = config.listen.iter().map(place).collect::<io::Result<_>>()?;
        let encrypted = config.encrypted.as_ref().map(|wanted| encrypted(wanted, &mut inherited));
        let encrypted = encrypted.transpose()?.unwrap_or_default();
        inherited.refuse_rest()?;
        Ok(Self { config, places, encrypted })
    }

    /// Where it will listen, and what for: UDP and TCP first.
    pub fn listening(&self) -> io::Result<Vec<Listening>> {
        let plain = |place: &Place| Ok(Listening { address: place.address, encrypted: None });
        let encrypted = |place: &EncryptedPlace| {
            let (address, transport) = match place {
                EncryptedPlace::Tls(tcp) => (tcp.local_addr()?, Transport::Tls),
                EncryptedPlace::Https(tcp) => (tcp.local_addr()?, Transport::Https),
                EncryptedPlace::Quic(udp) => (udp.local_addr()?, Transport::Quic),
            };
            Ok(Listening { address, encrypted: Some(transport.name()) })
        };
        self.places.iter().map(plain).chain(self.encrypted.iter().map(encrypted)).collect()
    }

    /// The addresses, with real ports.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.places.iter().map(|place| place.address).collect()
    }
}

/// The sockets of one address; with port 0, the same free port for UDP and TCP.
fn place(address: SocketAddr, workers: usize, inherited: &mut Inherited) -> io::Result<Place> {
    let mut tries = if address.port() == 0 { FREE_PORT_TRIES } else { 1 };
    let mut handed = inherited.take_all_udp(address);
    loop {
        let tcp = tcp(address, inherited).map_err(|error| explained(error, "TCP", address))?;
        let real = SocketAddr::new(address.ip(), tcp.local_addr()?.port());
        match udp(real, workers, std::mem::take(&mut handed)) {
            Ok(udp) => return Ok(Place { address: real, tcp, udp }),
            // The port that is free for TCP is not for UDP: another one is.
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && tries > 1 => tries -= 1,
            Err(error) => return Err(explained(error, "UDP", real)),
        }
    }
}

fn encrypted(wanted: &Encrypted, inherited: &mut Inherited) -> io::Result<Vec<EncryptedPlace>> {
    let mut places = Vec::new();
    for &address in &wanted.tls {
        let socket = tcp(address, inherited);
        let socket = socket.map_err(|error| explained(error, Transport::Tls.name(), address))?;
        places.push(EncryptedPlace::Tls(socket));
    }
    for &address in &wanted.https {
        let socket = tcp(address, inherited);
        let socket = socket.map_err(|error| explained(error, Transport::Https.name(), address))?;
        places.push(EncryptedPlace::Https(socket));
    }
    for &address in &wanted.quic {
        let socket = quic(address, inherited);
        let socket = socket.map_err(|error| explained(error, Transport::Quic.name(), address))?;
        places.push(EncryptedPlace::Quic(socket));
    }
    Ok(places)
}

fn quic(address: SocketAddr, inherited: &mut Inherited) -> io::Result<UdpSocket> {
    let Some(socket) = inherited.take_udp(address) else { return bind_quic(address) };
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn tcp(address: SocketAddr, inherited: &mut Inherited) -> io::Result<TcpListener> {
    let Some(socket) = inherited.take_tcp(address) else { return bind_tcp(address) };
    if !SockRef::from(&socket).is_listener()? {
        SockRef::from(&socket).listen(BACKLOG)?;
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// One for each worker, or more if more were handed over: each of these must be read.
fn udp(address: SocketAddr, workers: usize, handed: Vec<UdpSocket>) -> io::Result<Vec<UdpSocket>> {
    if handed.is_empty() {
        return (0..workers).map(|_| bind_udp(address)).collect();
    }
    for socket in &handed {
        socket.set_nonblocking(false)?;
        // Its buffers are as large as whoever made it wanted: we may not be allowed as much.
        prepare_udp(&SockRef::from(socket), address)?;
    }
    let shared = (handed.len()..workers).map(|index| handed[index % handed.len()].try_clone());
    let shared = shared.collect::<io::Result<Vec<_>>>()?;
    Ok(handed.into_iter().chain(shared).collect())
}

/// Without `SO_REUSEPORT`: packets of one connection must not go to two processes.
fn bind_quic(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = new_socket(address, Type::DGRAM, Protocol::UDP)?;
    socket.set_recv_buffer_size(BUFFER)?;
    socket.set_send_buffer_size(BUFFER)?;
    socket.bind(&address.into())?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = new_socket(address, Type::STREAM, Protocol::TCP)?;
    // Connections of a predecessor that still linger do not keep the port.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

fn bind_udp(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = new_socket(address, Type::DGRAM, Protocol::UDP)?;
    socket.set_reuse_port(true)?;
    // The kernel gives as much of it as net.core.rmem_max and wmem_max allow.
    socket.set_recv_buffer_size(BUFFER)?;
    socket.set_send_buffer_size(BUFFER)?;
    prepare_udp(&socket, address)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// Has it say when nothing comes, and, if it is bound to all addresses, which one was asked.
fn prepare_udp(socket: &Socket, address: SocketAddr) -> io::Result<()> {
    socket.set_read_timeout(Some(RECEIVE_WAIT))?;
    socket.set_write_timeout(Some(SEND_WAIT))?;
    if address.ip().is_unspecified() { tell_asked_address(socket, address) } else { Ok(()) }
}

/// Has the kernel tell to which address of the machine each datagram was sent.
fn tell_asked_address(socket: &Socket, address: SocketAddr) -> io::Result<()> {
    if address.is_ipv4() {
        setsockopt(socket, sockopt::Ipv4PacketInfo, &true)?;
    } else {
        setsockopt(socket, sockopt::Ipv6RecvPacketInfo, &true)?;
    }
    Ok(())
}

fn new_socket(address: SocketAddr, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    if address.is_ipv6() {
        // So that 0.0.0.0 and :: can both be listened on.
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}

/// The error with its address and what to do about it.
fn explained(error: io::Error, protocol: &str, address: SocketAddr) -> io::Error {
    let port = address.port();
    let hint = match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "; a port below 1024 needs a privilege: `setcap cap_net_bind_service=+ep` on the program, or \
             `AmbientCapabilities=CAP_NET_BIND_SERVICE` in its systemd unit"
                .to_string()
        }
        io::ErrorKind::AddrInUse => {
            format!("; `ss -lnptu 'sport = :{port}'` shows which program has it (often systemd-resolved)")
        }
        io::ErrorKind::AddrNotAvailable => {
            "; no interface of this machine has the address: `ip address` shows those it has".to_string()
        }
        _ => String::new(),
    };
    io::Error::new(error.kind(), format!("cannot listen on {address} ({protocol}): {error}{hint}"))
}

/// How often another free port is tried before giving up.
const FREE_PORT_TRIES: u32 = 16;
/// Connections that wait to be accepted; more are dropped by the kernel, and their clients try again.
const BACKLOG: i32 = 1024;
/// Room for datagrams that wait, in octets: bursts beyond it are lost.
const BUFFER: usize = 4 << 20;
/// How soon an idle worker sees that it is to stop.
const RECEIVE_WAIT: Duration = Duration::from_millis(200);
/// A reply that cannot leave for this long is dropped.
const SEND_WAIT: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::tests::config;

    #[test]
    fn a_free_port_is_the_same_for_udp_and_tcp_and_all_workers() {
        let bound = Bound::bind(Config { workers: 3, ..config() }).expect("loopback can be bound");
        let address = bound.addresses()[0];
        assert_ne!(address.port(), 0);
        let place = &bound.places[0];
        assert_eq!(place.tcp.local_addr().expect("bound"), address);
        assert_eq!(place.udp.len(), 3);
        assert!(place.udp.iter().all(|socket| socket.local_addr().expect("bound") == address));
    }

    #[test]
    fn a_second_server_does_not_share_the_port_and_is_told_how_to_find_the_first() {
        let first = Bound::bind(config()).expect("loopback can be bound");
        let again = Config { listen: first.addresses(), ..config() };
        let error = Bound::bind(again).expect_err("the address is taken");
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        let address = first.addresses()[0];
        assert!(error.to_string().starts_with(&format!("cannot listen on {address} (TCP): ")), "{error}");
        assert!(error.to_string().contains("ss -lnptu"), "{error}");
    }

    /// Sockets of an address, as a service manager opens them.
    fn opened(udp: usize) -> (SocketAddr, Inherited) {
        let bound = Bound::bind(Config { workers: udp, ..config() }).expect("loopback can be bound");
        let place = bound.places.into_iter().next().expect("one address");
        (place.address, Inherited::of(vec![place.tcp], place.udp))
    }

    #[test]
    fn sockets_that_were_handed_over_are_used_and_shared_by_the_workers() {
        for (handed, workers, sockets) in [(1, 3, 3), (2, 2, 2), (3, 1, 3)] {
            let (address, inherited) = opened(handed);
            // Nobody else could bind the address: these can only be the ones that were handed over.
            let config = Config { listen: vec![address], workers, ..config() };
            let bound = Bound::take(config, inherited).expect("it is open already");
            assert_eq!((bound.addresses(), bound.places[0].udp.len()), (vec![address], sockets));
        }
    }

    #[test]
    fn a_socket_that_was_handed_over_and_is_not_asked_for_is_an_error() {
        let (address, inherited) = opened(1);
        let error = Bound::take(config(), inherited).expect_err("nobody would answer there");
        let text = error.to_string();
        assert!(text.contains(&format!("{address} (TCP), {address} (UDP)")), "{text}");
        assert!(text.contains("`[dns] listen`"), "{text}");
    }

    #[test]
    fn an_address_that_the_machine_lacks_is_named() {
        let elsewhere = Config { listen: vec!["192.0.2.1:0".parse().expect("an address")], ..config() };
        let error = Bound::bind(elsewhere).expect_err("a documentation address");
        assert!(error.to_string().contains("192.0.2.1:0"), "{error}");
        assert!(error.to_string().contains("ip address"), "{error}");
    }

    #[test]
    fn nothing_to_listen_on_is_an_error() {
        assert!(Bound::bind(Config { listen: Vec::new(), ..config() }).is_err());
    }
}
