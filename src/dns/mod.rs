//! DNS over UDP and TCP: packets in, [`crate::answer::answer`], packets out.
//!
//! ```text
//!   socket --> wire::parse --> Query --> answer() --> Answer --> wire::compose --> socket
//!     udp: one thread per core, each with its own SO_REUSEPORT socket, batches
//!     stream: TCP connections on tokio
//! ```
//!
//! [`Bound::bind`] takes the sockets, [`Bound::serve`] starts the threads and tasks, [`Running`] stops
//! them and tells when one ends by itself. [`respond::Responder`] is what they all do with a packet.

mod admission;
mod believed;
mod bind;
mod draw;
mod peer;
pub mod respond;
mod running;
mod sign;
mod stats;
mod stream;
#[cfg(test)]
mod tests;
mod udp;
mod udp_plain;
mod wire;

use std::net::SocketAddr;
use std::time::Duration;

use ipnet::IpNet;

pub use bind::Bound;
pub use draw::Draws;
pub use running::Running;
pub use stats::{Stats, Traffic};

/// What the listeners need to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// UDP and TCP addresses; port 0: any free one, the same for both.
    pub listen: Vec<SocketAddr>,
    /// UDP threads for each address; 0 is taken as 1.
    pub workers: usize,
    /// Believe the client subnet option (RFC 7871).
    pub client_subnet: bool,
    /// From whom: for others it is as if the server did not know the option.
    pub client_subnet_from: Vec<IpNet>,
    /// Largest UDP response; at least 512.
    pub udp_payload: u16,
    /// Connections at most; more are closed as they come.
    pub tcp_connections: usize,
    /// Connections from one address (IPv6: one /64) at most; more are closed as they come.
    pub tcp_connections_per_client: usize,
    /// A connection that does not complete a query for this long is closed.
    pub tcp_idle: Duration,
    /// A client that does not take its answer this long is cut off.
    pub tcp_write: Duration,
    /// Signatures that are remembered at most (RFC 4034), of about 105 octets each.
    pub signatures: usize,
    /// Name for NSID (RFC 5001).
    pub name: String,
}
