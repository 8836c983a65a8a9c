//! DNS over UDP and TCP: packets in, [`crate::answer::answer`], packets out.
//!
//! ```text
//!   socket --> wire::parse --> Query --> answer() --> Answer --> wire::compose --> socket
//!     udp: one thread per core, each with its own SO_REUSEPORT socket, batches
//!     stream: TCP connections on tokio
//! ```

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::snapshot::SnapshotCell;

/// What the listeners need to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// UDP and TCP addresses; port 0: any free one, the same for both.
    pub listen: Vec<SocketAddr>,
    /// UDP threads for each address.
    pub workers: usize,
    /// Believe the client subnet option.
    pub client_subnet: bool,
    /// Largest UDP response.
    pub udp_payload: u16,
    /// Connections at most.
    pub tcp_connections: usize,
    /// Connections from one address (IPv6: one /64) at most.
    pub tcp_connections_per_client: usize,
    /// A connection that asks nothing this long is closed.
    pub tcp_idle: Duration,
    /// A client that does not take its answer this long is cut off.
    pub tcp_write: Duration,
    /// Name for NSID (RFC 5001).
    pub name: String,
}

/// Sockets that are bound but not served yet: so that all of them are known good before any is served.
#[derive(Debug)]
pub struct Bound {}

/// Listeners at work.
#[derive(Debug)]
pub struct Running {}

impl Bound {
    /// Binds every address.
    pub fn bind(config: Config) -> std::io::Result<Self> {
        let _ = config;
        todo!()
    }

    /// The addresses, with real ports.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        todo!()
    }

    /// Starts answering from the cell. Call inside a tokio runtime.
    pub fn serve(self, cell: Arc<SnapshotCell>) -> std::io::Result<Running> {
        let _ = cell;
        todo!()
    }
}

impl Running {
    /// Waits until a listener ends, which none should: the error says which and why.
    pub async fn failed(&mut self) -> std::io::Error {
        todo!()
    }

    /// Stops taking queries, answers what is in flight, returns when done (bounded).
    pub async fn stop(self) {
        todo!()
    }
}
