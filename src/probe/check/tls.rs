//! The TLS handshake of a check, and whom it trusts.
//!
//! ```text
//!   TlsAsk { verify, roots } --> Trust --> one ClientConfig per way of judging, shared by all targets
//!                                              |
//!   TlsAsk { name }, host, address --> ServerName --> Handshake --> TlsStream, the certificate's end
//! ```
//!
//! The provider (ring) is handed to each configuration; the process-wide default is neither set nor read.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{Seen, Stage, Trouble, certificate};
use crate::health::Kind;
use crate::model::TlsAsk;

/// How certificates are judged, each way worked out once: 10,000 targets share one set of roots.
///
/// Lives as long as one change of assignments, so that the next one reads changed files anew.
#[derive(Debug)]
pub(in crate::probe) struct Trust {
    provider: Arc<CryptoProvider>,
    ready: HashMap<Way, Result<Arc<ClientConfig>, Box<str>>>,
    machine: fn() -> Result<RootCertStore, Box<str>>,
}

/// One way of judging a certificate, and the protocol that is spoken after it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Way {
    judge: Judge,
    alpn: Option<&'static [u8]>,
}

/// Who says that a certificate is good.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Judge {
    Machine,
    File(Box<str>),
    Nobody,
}

impl Trust {
    /// Nothing is read before it is asked for.
    pub(in crate::probe) fn new() -> Self {
        Self { provider: Arc::new(ring::default_provider()), ready: HashMap::new(), machine: machine_roots }
    }

    fn judged(
        &mut self,
        ask: &TlsAsk,
        name: Option<&str>,
        alpn: Option<&'static [u8]>,
        address: IpAddr,
    ) -> Result<Judged, Box<str>> {
        let name = match name {
            Some(name) => ServerName::try_from(name.to_string())
                .map_err(|_| format!("\"{}\" is not a host name", name.escape_debug()))?,
            None => ServerName::from(address),
        };
        let judge = match (ask.verify, &ask.roots) {
            (false, _) => Judge::Nobody,
            (true, Some(path)) => Judge::File(path.clone()),
            (true, None) => Judge::Machine,
        };
        Ok((self.config(Way { judge, alpn })?, name))
    }

    fn config(&mut self, way: Way) -> Result<Arc<ClientConfig>, Box<str>> {
        if !self.ready.contains_key(&way) {
            let config = self.make(&way);
            self.ready.insert(way.clone(), config);
        }
        self.ready[&way].clone()
    }

    fn make(&self, way: &Way) -> Result<Arc<ClientConfig>, Box<str>> {
        let builder = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        let builder = match &way.judge {
            Judge::Machine => builder.with_root_certificates((self.machine)()?),
            Judge::File(path) => builder.with_root_certificates(roots_of(path)?),
            Judge::Nobody => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(AnyCertificate(Arc::clone(&self.provider)))),
        };
        let mut config = builder.with_no_client_auth();
        // A resumed session shows no certificate: a check would not see that it ended.
        config.resumption = Resumption::disabled();
        config.alpn_protocols = way.alpn.iter().map(|protocol| protocol.to_vec()).collect();
        Ok(Arc::new(config))
    }
}

/// How a certificate is judged, and the name it must be for.
type Judged = (Arc<ClientConfig>, ServerName<'static>);

/// A handshake that is ready to be made; or why it cannot be, which fails every check of the target.
#[derive(Debug)]
pub(super) struct Handshake {
    ready: Result<Judged, Box<str>>,
}

impl Handshake {
    /// The certificate must be for the name of `ask`, else for the address.
    pub(super) fn new(ask: &TlsAsk, address: IpAddr, trust: &mut Trust) -> Self {
        Self { ready: trust.judged(ask, ask.name.as_deref(), None, address) }
    }

    /// Asks for HTTP/1.1. The certificate must be for the name of `ask`, else of `host`, else for the address.
    pub(super) fn for_https(ask: &TlsAsk, host: Option<&str>, address: IpAddr, trust: &mut Trust) -> Self {
        Self { ready: trust.judged(ask, name_of(ask, host), Some(b"http/1.1"), address) }
    }

    /// As for https, but asks for HTTP/2.
    pub(super) fn for_grpc(ask: &TlsAsk, host: Option<&str>, address: IpAddr, trust: &mut Trust) -> Self {
        Self { ready: trust.judged(ask, name_of(ask, host), Some(b"h2"), address) }
    }

    /// Makes the handshake, and notes when the endpoint's certificate ends, also if that was why it failed.
    pub(super) async fn shake(
        &self,
        stream: TcpStream,
        seen: &mut Seen,
    ) -> Result<TlsStream<TcpStream>, Trouble> {
        seen.stage = Stage::Handshake;
        let (config, name) =
            self.ready.as_ref().map_err(|reason| Trouble::endpoint(Kind::Tls, reason.to_string()))?;
        match TlsConnector::from(Arc::clone(config)).connect(name.clone(), stream).await {
            Ok(stream) => {
                let chain = stream.get_ref().1.peer_certificates();
                seen.certificate_end = chain.and_then(|chain| certificate::end_of(chain.first()?));
                Ok(stream)
            }
            Err(error) => Err(failed(error, seen)),
        }
    }
}

/// Ends a connection with the alert that says so. Never waits: a fresh connection has room for the alert.
pub(super) async fn close(mut stream: TlsStream<TcpStream>) {
    // The check has passed already; how the endpoint takes the end does not matter.
    let _ = stream.shutdown().await;
}

fn failed(error: io::Error, seen: &mut Seen) -> Trouble {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(tls) => refused(tls, seen),
        None => error.into(),
    }
}

/// Why a handshake failed. An expired certificate's end is noted.
pub(super) fn refused(error: &rustls::Error, seen: &mut Seen) -> Trouble {
    let detail = match error {
        rustls::Error::InvalidCertificate(reason) => {
            if let CertificateError::ExpiredContext { not_after, .. } = reason {
                seen.certificate_end = i64::try_from(not_after.as_secs()).ok();
            }
            refused_certificate(reason)
        }
        other => other.to_string(),
    };
    Trouble::endpoint(Kind::Tls, detail)
}

fn refused_certificate(reason: &CertificateError) -> String {
    use CertificateError::*;
    match reason {
        Expired | ExpiredContext { .. } => "certificate expired".into(),
        NotValidYet | NotValidYetContext { .. } => "certificate not valid yet".into(),
        NotValidForName => "certificate for another name".into(),
        NotValidForNameContext { expected, presented } => {
            format!("certificate for another name than {}: {}", expected.to_str(), presented.join(", "))
        }
        UnknownIssuer => "certificate of an unknown issuer".into(),
        other => format!("certificate refused: {other}"),
    }
}

fn name_of<'a>(ask: &'a TlsAsk, host: Option<&'a str>) -> Option<&'a str> {
    ask.name.as_deref().or(host.map(without_port))
}

/// `host` may carry a port, for the Host header; a certificate never does.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if !name.contains(':') && port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

fn machine_roots() -> Result<RootCertStore, Box<str>> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // One odd certificate among a machine's hundred must not turn all checks off.
    let (added, _) = roots.add_parsable_certificates(found.certs);
    match (added, found.errors.first()) {
        (0, Some(error)) => Err(format!("no root certificates on this machine: {error}").into()),
        (0, None) => Err("no root certificates on this machine".into()),
        _ => Ok(roots),
    }
}

fn roots_of(path: &str) -> Result<RootCertStore, Box<str>> {
    let unreadable = |error: &dyn std::fmt::Display| format!("roots {path}: {error}");
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| unreadable(&error))? {
        let certificate = certificate.map_err(|error| unreadable(&error))?;
        roots.add(certificate).map_err(|error| unreadable(&error))?;
    }
    if roots.is_empty() {
        return Err(unreadable(&"no certificate in it").into());
    }
    Ok(roots)
}

/// `verify = false`: whatever is shown will do. The handshake is still made, and the end still read.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
