//! Sockets that a service manager opened and hands over (`LISTEN_FDS`, as systemd does): it keeps them open while the
//! server is replaced by another, so that what comes meanwhile waits and is not lost.
//!
//! ```text
//!   LISTEN_FDS --> by kind and address --bind--> places, in the stead of sockets of our own
//!                                        `-- whatever no setting names: an error
//! ```
//!
//! The sockets are shared: with the manager, with the server before and the one after. Nothing is done to them that
//! another one could not live with.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};

use listenfd::ListenFd;
use socket2::SockRef;

/// Sockets that were handed over and not taken yet.
#[derive(Debug, Default)]
pub struct Inherited {
    tcp: Vec<(SocketAddr, TcpListener)>,
    udp: Vec<(SocketAddr, UdpSocket)>,
}

impl Inherited {
    /// Those that were handed to this process. Call once, before there are other threads.
    ///
    /// # Errors
    /// One of them is no socket to answer DNS on; which, and what to do.
    pub fn from_environment() -> io::Result<Self> {
        let mut handed = ListenFd::from_env();
        let mut inherited = Self::default();
        for index in 0..handed.len() {
            if let Ok(Some(udp)) = handed.take_udp_socket(index) {
                inherited.udp.push((address(&udp, udp.local_addr()?)?, udp));
            } else if let Ok(Some(tcp)) = handed.take_tcp_listener(index) {
                inherited.tcp.push((address(&tcp, tcp.local_addr()?)?, tcp));
            } else {
                let message = format!(
                    "socket {} of those handed over (LISTEN_FDS) is neither for TCP nor for UDP: take it out of the \
                     systemd socket unit",
                    index + 1
                );
                return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
            }
        }
        Ok(inherited)
    }

    /// The one for TCP at an address.
    pub(super) fn take_tcp(&mut self, address: SocketAddr) -> Option<TcpListener> {
        let index = self.tcp.iter().position(|(own, _)| *own == address)?;
        Some(self.tcp.swap_remove(index).1)
    }

    /// One for UDP at an address.
    pub(super) fn take_udp(&mut self, address: SocketAddr) -> Option<UdpSocket> {
        let index = self.udp.iter().position(|(own, _)| *own == address)?;
        Some(self.udp.swap_remove(index).1)
    }

    /// All for UDP at an address: there are several where each is to be another core's.
    pub(super) fn take_all_udp(&mut self, address: SocketAddr) -> Vec<UdpSocket> {
        std::iter::from_fn(|| self.take_udp(address)).collect()
    }

    /// Whoever asks at a socket that nobody answers waits in vain, so it must not be left.
    pub(super) fn refuse_rest(&self) -> io::Result<()> {
        let tcp = self.tcp.iter().map(|(address, _)| format!("{address} (TCP)"));
        let udp = self.udp.iter().map(|(address, _)| format!("{address} (UDP)"));
        let rest: Vec<String> = tcp.chain(udp).collect();
        if rest.is_empty() {
            return Ok(());
        }
        let message = format!(
            "handed over (LISTEN_FDS), and there is nothing to answer there: {}; name each address as it is in the systemd \
             socket unit in `[dns] listen`, or in `listen_tls`, `listen_https` or `listen_quic` of `[tls]`, or take it \
             out of the unit",
            rest.join(", ")
        );
        Err(io::Error::new(io::ErrorKind::InvalidInput, message))
    }
}

/// Its address, if what comes there from IPv4 clients has an IPv4 address.
fn address<S: std::os::fd::AsFd>(socket: &S, address: SocketAddr) -> io::Result<SocketAddr> {
    if address.is_ipv6() && address.ip().is_unspecified() && !SockRef::from(socket).only_v6()? {
        let message = format!(
            "{address} was handed over for IPv4 as well: write `BindIPv6Only=ipv6-only` into the systemd socket unit, and \
             `0.0.0.0:{}` beside it",
            address.port()
        );
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    Ok(address)
}

#[cfg(test)]
impl Inherited {
    /// As if they had been handed over.
    pub(super) fn of(tcp: Vec<TcpListener>, udp: Vec<UdpSocket>) -> Self {
        let tcp = tcp.into_iter().map(|socket| (socket.local_addr().expect("bound"), socket));
        let udp = udp.into_iter().map(|socket| (socket.local_addr().expect("bound"), socket));
        Self { tcp: tcp.collect(), udp: udp.collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_for_both_families_is_refused_with_what_to_do() {
        let both = UdpSocket::bind("[::]:0").expect("a free port");
        let own = both.local_addr().expect("bound");
        let error = address(&both, own).expect_err("IPv4 clients would have IPv6 addresses");
        assert!(error.to_string().contains("BindIPv6Only=ipv6-only"), "{error}");
        let one = UdpSocket::bind("[::1]:0").expect("a free port");
        assert!(address(&one, one.local_addr().expect("bound")).is_ok());
    }
}
