//! Accepting connections when that is not just accepting: when it fails, and when the listener ends.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use nix::errno::Errno;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

/// A time without descriptors or memory for a connection. Accepting again at once would fail at once, and
/// keep a core busy with it; so a listener pauses, longer each time.
#[derive(Debug, Default)]
pub struct Shortage {
    /// The end of the pause, during one.
    pub until: Option<Instant>,
    /// How long the last pause was; zero after a success.
    pub last: Duration,
    /// When the log heard of it.
    told: Option<Instant>,
}

impl Shortage {
    const FIRST: Duration = Duration::from_millis(50);
    const LONGEST: Duration = Duration::from_secs(1);
    const TELL_EVERY: Duration = Duration::from_secs(30);

    /// Whether an accept failed for want of something.
    pub fn is_one(error: &io::Error) -> bool {
        let errno = error.raw_os_error().map(Errno::from_raw);
        matches!(errno, Some(Errno::EMFILE | Errno::ENFILE | Errno::ENOBUFS | Errno::ENOMEM))
    }

    /// Has the next accept wait.
    pub fn pause(&mut self, address: SocketAddr, error: &io::Error) {
        let now = Instant::now();
        self.last = (self.last * 2).clamp(Self::FIRST, Self::LONGEST);
        self.until = Some(now + self.last);
        if self.told.is_none_or(|told| now - told >= Self::TELL_EVERY) {
            self.told = Some(now);
            tracing::warn!(%address, %error, "no connection can be accepted for now; raise the limit of open files");
        }
    }
}

/// Whether an accept failed for a reason that ends with the connection (accept(2) lists them).
pub fn concerns_one_connection(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw);
    matches!(
        errno,
        Some(
            Errno::ECONNABORTED
                | Errno::ECONNRESET
                | Errno::EINTR
                | Errno::EPERM
                | Errno::EPROTO
                | Errno::ENETDOWN
                | Errno::ENOPROTOOPT
                | Errno::EHOSTDOWN
                | Errno::ENONET
                | Errno::EHOSTUNREACH
                | Errno::EOPNOTSUPP
                | Errno::ENETUNREACH
                | Errno::ETIMEDOUT
        )
    )
}

/// The connections that wait to be accepted when a listener ends.
pub fn waiting(tcp: TcpListener) -> io::Result<Vec<(TcpStream, SocketAddr)>> {
    let tcp = tcp.into_std()?;
    let accepted = std::iter::from_fn(|| tcp.accept().ok()).take(WAITING_MAX);
    let open = |(stream, client): (std::net::TcpStream, SocketAddr)| {
        stream.set_nonblocking(true)?;
        Ok((TcpStream::from_std(stream)?, client))
    };
    accepted.map(open).collect()
}

/// Connections that are still accepted when a listener ends; more are those that came after it did.
const WAITING_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shortage_is_waited_out_longer_each_time() {
        let address = "192.0.2.1:53".parse().expect("an address");
        let error = io::Error::from_raw_os_error(Errno::EMFILE as i32);
        assert!(Shortage::is_one(&error) && !concerns_one_connection(&error));
        let mut shortage = Shortage::default();
        let mut pauses = Vec::new();
        for _ in 0..7 {
            shortage.pause(address, &error);
            pauses.push(shortage.last.as_millis());
        }
        assert_eq!(pauses, [50, 100, 200, 400, 800, 1000, 1000]);
    }
}
