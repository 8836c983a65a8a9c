//! The way out: whom a check may reach at all, and the TCP connect.
//!
//! ```text
//!   address, port --> Permitted (the guard has let it through) --> connect, a socket, the HTTP client
//! ```
//!
//! Whatever sends a packet to an endpoint takes a [`Permitted`], so no check can go around the guard.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, timeout};

use super::{Seen, Trouble};
use crate::health::{Denied, Guard, Kind};

/// An address and a port that a probe may reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Permitted(SocketAddr);

impl Permitted {
    /// Asks the guard. `to` is what will be connected to, after any name was resolved.
    pub(super) fn by(guard: &Guard, to: SocketAddr) -> Result<Self, Denied> {
        guard.admit(to.ip()).map(|()| Self(to))
    }

    /// Where it is.
    pub(super) fn address(self) -> SocketAddr {
        self.0
    }
}

/// Connects, and notes how long the connection or its refusal took.
///
/// The stream is closed the ordinary way when it is dropped, not with a reset (`SO_LINGER` 0): a reset shows
/// up as an error in the logs and graphs of the endpoint, every few seconds for ever. The price is ours: a
/// closed connection keeps its local port for a minute, per address and port of the endpoint, of which there
/// are 28,000; 1,000 checks a second keep 60,000 such entries of a few hundred bytes in the kernel.
pub(super) async fn connect(to: Permitted, seen: &mut Seen) -> Result<TcpStream, Trouble> {
    let to = to.address();
    let socket = if to.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    let started = Instant::now();
    let connected = socket.connect(to).await;
    let answered =
        connected.as_ref().err().is_none_or(|error| error.kind() == io::ErrorKind::ConnectionRefused);
    if answered {
        seen.rtt = Some(started.elapsed());
    }
    let stream = connected?;
    if stream.local_addr()? == to {
        return Err(Trouble::endpoint(Kind::Refused, "connection refused (it met itself)"));
    }
    Ok(stream)
}

/// Whether anybody is there: who accepts the connection, or refuses it, is.
pub(in crate::probe) async fn answers(address: SocketAddr, guard: &Guard, patience: Duration) -> bool {
    let Ok(to) = Permitted::by(guard, address) else { return false };
    let mut seen = Seen::default();
    // What came of it does not matter; that something did was timed.
    let _ = timeout(patience, connect(to, &mut seen)).await;
    seen.rtt.is_some()
}

/// What an endpoint can push at us before we read: more than that waits on its side.
const RECEIVE_BUFFER: u32 = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::super::servers;
    use super::*;

    #[tokio::test]
    async fn a_connect_that_is_accepted_is_timed() {
        let address = servers::silent().await;
        let mut seen = Seen::default();
        connect(servers::permitted(address), &mut seen).await.unwrap();
        assert!(seen.rtt.is_some());
    }

    #[tokio::test]
    async fn a_refusal_is_timed_too() {
        let mut seen = Seen::default();
        let (address, _held) = servers::closed();
        let refused = connect(servers::permitted(address), &mut seen).await.unwrap_err();
        assert!(matches!(refused, Trouble::Endpoint { kind: Kind::Refused, .. }), "{refused:?}");
        assert!(seen.rtt.is_some());
    }
}
