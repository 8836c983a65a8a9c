//! Asking by datagrams: what is lost is sent again, what answers something else is passed over.
//!
//! ```text
//!   send --> reply? --no, for a second--> send again ...    until the deadline of the check
//!              |`--answers something else--> wait on
//!              '--> what `read` makes of it
//! ```

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout};

use super::connect::Permitted;
use super::{REPLY_MAX, Seen, Stage, Trouble};
use crate::health::Kind;

/// A socket that hears nobody but `to`.
pub(super) async fn open(to: Permitted) -> Result<UdpSocket, Trouble> {
    let to = to.address();
    let any: IpAddr = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).await?;
    hear_of_errors(&socket, to.is_ipv4())?;
    socket.connect(to).await?;
    Ok(socket)
}

/// Has the kernel tell at once when the network says that nobody is there, instead of a wait in vain.
pub(super) fn hear_of_errors(socket: &UdpSocket, v4: bool) -> io::Result<()> {
    match v4 {
        true => setsockopt(socket, sockopt::Ipv4RecvErr, &true)?,
        false => setsockopt(socket, sockopt::Ipv6RecvErr, &true)?,
    }
    Ok(())
}

/// Sends `request` until `read` takes a datagram for its reply, and notes how long that or a refusal took:
/// from the first sending, as of a connect.
pub(super) async fn ask<T>(
    socket: &UdpSocket,
    request: &[u8],
    seen: &mut Seen,
    read: impl FnMut(&[u8]) -> Option<T>,
) -> Result<T, Trouble> {
    ask_every(SEND_AGAIN, socket, request, seen, read).await
}

async fn ask_every<T>(
    pace: Duration,
    socket: &UdpSocket,
    request: &[u8],
    seen: &mut Seen,
    mut read: impl FnMut(&[u8]) -> Option<T>,
) -> Result<T, Trouble> {
    seen.stage = Stage::Reply;
    let started = Instant::now();
    let mut heard = 0;
    let ended = loop {
        if let Err(error) = socket.send(request).await {
            break Err(error);
        }
        if let Ok(ended) = timeout(pace, hear(socket, &mut heard, &mut read)).await {
            break ended;
        }
    };
    if ended.as_ref().err().is_none_or(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
        seen.rtt = Some(started.elapsed());
    }
    ended?.ok_or_else(|| Trouble::endpoint(Kind::Other, format!("no reply in the first {REPLY_MAX} octets")))
}

/// Waits for the reply; `None`: too much else came.
async fn hear<T>(
    socket: &UdpSocket,
    heard: &mut usize,
    read: &mut impl FnMut(&[u8]) -> Option<T>,
) -> io::Result<Option<T>> {
    while *heard < REPLY_MAX {
        socket.readable().await?;
        // Only what has come needs room: a thousand checks that wait need none.
        let mut datagram = Vec::with_capacity(REPLY_MAX);
        match socket.try_recv_buf(&mut datagram) {
            Ok(length) => *heard += length + HEADERS,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error),
        }
        if let Some(reply) = read(&datagram) {
            return Ok(Some(reply));
        }
    }
    Ok(None)
}

/// What is not answered by then is sent again: as TCP does with its first packet (RFC 6298).
const SEND_AGAIN: Duration = Duration::from_secs(1);

/// Counted for each datagram beside what it carries: empty ones would cost nothing.
const HEADERS: usize = 28;

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::super::servers;
    use super::*;

    /// What is asked of a server that treats each datagram with `behave`.
    async fn asked(
        behave: impl Fn(&[u8]) -> Vec<Vec<u8>> + Send + 'static,
        read: impl FnMut(&[u8]) -> Option<()>,
    ) -> Result<Seen, Trouble> {
        let to = servers::answering(behave).await;
        let mut seen = Seen::default();
        let socket = open(servers::permitted(to)).await.unwrap();
        ask(&socket, b"ping", &mut seen, read).await.map(|()| seen)
    }

    #[tokio::test]
    async fn a_reply_is_timed() {
        let seen = asked(|heard| vec![heard.to_vec()], |reply| (reply == b"ping").then_some(()));
        assert!(seen.await.unwrap().rtt.is_some());
    }

    #[tokio::test]
    async fn what_was_lost_is_sent_again() {
        let heard = AtomicUsize::new(0);
        let lossy = move |request: &[u8]| match heard.fetch_add(1, Ordering::Relaxed) {
            0..3 => vec![],
            _ => vec![request.to_vec()],
        };
        let to = servers::permitted(servers::answering(lossy).await);
        let (socket, mut seen) = (open(to).await.unwrap(), Seen::default());
        let pace = Duration::from_millis(1);
        ask_every(pace, &socket, b"ping", &mut seen, |_| Some(())).await.unwrap();
        assert!(seen.rtt.unwrap() >= 3 * pace, "from the first sending");
    }

    #[tokio::test]
    async fn what_answers_something_else_is_passed_over() {
        let seen = asked(
            |heard| vec![b"late".to_vec(), vec![], heard.to_vec()],
            |reply| (reply == b"ping").then_some(()),
        );
        assert!(seen.await.is_ok());
    }

    #[tokio::test]
    async fn a_flood_of_other_things_ends() {
        let piece = vec![0; 8 * 1024];
        let flood = asked(move |_| vec![piece.clone(); 9], |_| None).await;
        assert!(matches!(flood, Err(Trouble::Endpoint { kind: Kind::Other, .. })), "{flood:?}");
    }

    #[tokio::test]
    async fn a_port_that_nobody_listens_on_refuses_at_once() {
        let (to, _held) = servers::unheard().await;
        let mut seen = Seen::default();
        let refused =
            ask(&open(servers::permitted(to)).await.unwrap(), b"ping", &mut seen, |_| Some(())).await;
        assert!(matches!(refused, Err(Trouble::Endpoint { kind: Kind::Refused, .. })), "{refused:?}");
        assert!(seen.rtt.is_some());
    }
}
