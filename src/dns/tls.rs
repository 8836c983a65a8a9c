//! Who we are to clients that encrypt, and what may be spoken once they do (ALPN).
//!
//! ```text
//!   load reads PEM --> Identity (one cell, replaced whole) <-- each handshake takes what is there
//!                          |
//!                          +-- dot            DNS over TLS (RFC 7858)
//!                          +-- h2, http/1.1   DNS over HTTPS (RFC 8484)
//!                          `-- doq            DNS over QUIC (RFC 9250)
//! ```
//!
//! A certificate that is replaced changes nothing for connections that are open.

use std::io;
use std::sync::Arc;

use arc_swap::ArcSwap;
use quinn::crypto::rustls::QuicServerConfig;
use rustls::crypto::ring;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, SupportedProtocolVersion};

/// The certificate that is shown now, and its key.
#[derive(Debug)]
pub struct Identity(ArcSwap<CertifiedKey>);

impl Identity {
    /// This one until another comes.
    pub fn new(certified: Arc<CertifiedKey>) -> Self {
        Self(ArcSwap::new(certified))
    }

    /// Shows another one from now on.
    pub fn replace(&self, certified: Arc<CertifiedKey>) {
        self.0.store(certified);
    }
}

impl ResolvesServerCert for Identity {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

/// DNS over TLS: for clients that name no protocol too, which RFC 7858 leaves to them.
pub fn for_dns(identity: &Arc<Identity>) -> io::Result<Arc<ServerConfig>> {
    Ok(Arc::new(config(identity, &[&TLS13, &TLS12], &[b"dot"])?))
}

/// DNS over HTTPS.
pub fn for_https(identity: &Arc<Identity>) -> io::Result<Arc<ServerConfig>> {
    Ok(Arc::new(config(identity, &[&TLS13, &TLS12], &[HTTP_2, b"http/1.1"])?))
}

/// DNS over QUIC, without early data: whoever records it could send it again.
pub fn for_quic(identity: &Arc<Identity>) -> io::Result<QuicServerConfig> {
    QuicServerConfig::try_from(config(identity, &[&TLS13], &[b"doq"])?).map_err(io::Error::other)
}

fn config(
    identity: &Arc<Identity>,
    versions: &[&'static SupportedProtocolVersion],
    protocols: &[&[u8]],
) -> io::Result<ServerConfig> {
    let builder = ServerConfig::builder_with_provider(ring::default_provider().into());
    let builder = builder.with_protocol_versions(versions).map_err(io::Error::other)?;
    let resolver: Arc<dyn ResolvesServerCert> = identity.clone();
    let mut config = builder.with_no_client_auth().with_cert_resolver(resolver);
    // Clients that come back skip the handshake's costly half, and nothing is remembered for them here.
    config.ticketer = ring::Ticketer::new().map_err(io::Error::other)?;
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(config)
}

/// The name of HTTP/2 (RFC 9113).
pub const HTTP_2: &[u8] = b"h2";
