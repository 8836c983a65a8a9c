//! DNS over UDP, TCP, TLS, HTTPS and QUIC: packets in, [`crate::answer::answer`], packets out.
//!
//! ```text
//!   socket --> wire::parse --> Query --> answer() --> Answer --> wire::compose --> socket
//!     udp: one thread per core, each with its own SO_REUSEPORT socket, batches
//!     stream: TCP connections on tokio, bare or with tls on them; https: HTTP on those
//!     quic: connections on tokio, one stream for each query
//! ```
//!
//! [`Bound::take`] takes the sockets, [`Bound::serve`] starts the threads and tasks, [`Running`] stops
//! them and tells when one ends by itself. [`respond::Responder`] is what they all do with a packet.

mod accept;
mod admission;
mod believed;
mod bind;
pub mod cookies;
mod draw;
mod https;
mod inherit;
mod limits;
mod peer;
pub mod primary;
pub mod proxy;
mod quic;
pub mod respond;
mod running;
mod sign;
mod stats;
mod stream;
#[cfg(test)]
mod tests;
mod tls;
mod udp;
mod udp_plain;
mod wire;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use crate::spec::Limits;

pub use bind::{Bound, Listening};
pub use draw::Draws;
pub use inherit::Inherited;
pub use limits::Counted;
pub use running::Running;
pub use stats::{Stats, Traffic};
pub use tls::Identity;

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
    /// Connections from one network, as [`Limits`] has it, at most; more are closed as they come.
    pub tcp_connections_per_prefix: usize,
    /// A connection that does not complete a query for this long is closed.
    pub tcp_idle: Duration,
    /// A client that does not take its answer this long is cut off.
    pub tcp_write: Duration,
    /// Signatures that are remembered at most (RFC 4034), of about 105 octets each.
    pub signatures: usize,
    /// Who speaks for others: what they send starts with the address of the client (PROXY protocol).
    pub proxies: Vec<IpNet>,
    /// Where clients may encrypt; `None`: nowhere.
    pub encrypted: Option<Encrypted>,
    /// Name for NSID (RFC 5001).
    pub name: String,
    /// What cookies are made with (RFC 7873); `None`: the option is passed over.
    pub cookies: Option<cookies::Secrets>,
    /// What is told of the server itself, in class CHAOS (RFC 4892).
    pub chaos: Chaos,
    /// What keeps floods from doing harm.
    pub limits: Limits,
    /// Who may take zones, or change them; `None`: nobody.
    pub primary: Option<Arc<primary::Primary>>,
}

/// What is told to those who ask for it in class CHAOS; `None`: the question is refused.
#[derive(Clone, Debug, Default)]
pub struct Chaos {
    /// `version.bind` and `version.server`.
    pub version: Option<String>,
    /// `id.server` and `hostname.bind`.
    pub name: Option<String>,
}

/// What the listeners need to know whose clients encrypt. Caps and deadlines are those of TCP.
#[derive(Clone, Debug)]
pub struct Encrypted {
    /// The certificate; replaced while they run.
    pub identity: Arc<Identity>,
    /// Addresses for DNS over TLS.
    pub tls: Vec<SocketAddr>,
    /// Addresses for DNS over HTTPS.
    pub https: Vec<SocketAddr>,
    /// Addresses for DNS over QUIC.
    pub quic: Vec<SocketAddr>,
    /// The path of DNS over HTTPS, as "/dns-query".
    pub https_path: String,
}
