//! Endpoints for tests, on loopback: each behaves in one way to all who connect.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UdpSocket};
use tokio_rustls::TlsAcceptor;

use super::connect::Permitted;
use crate::health::Guard;

/// Where a test serves, a probe may go.
pub(super) fn permitted(to: SocketAddr) -> Permitted {
    Permitted::by(&Guard::default(), to).unwrap()
}

/// Treats each connection with `behave`.
pub(in crate::probe) async fn serve<F, Served>(behave: F) -> SocketAddr
where
    F: Fn(TcpStream) -> Served + Send + 'static,
    Served: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(behave(stream));
        }
    });
    address
}

/// Takes a request, replies so, and closes.
pub(in crate::probe) async fn replying(reply: &'static str) -> SocketAddr {
    serve(move |mut stream| async move {
        read_request(&mut stream).await;
        // The check may have seen enough.
        let _ = stream.write_all(reply.as_bytes()).await;
    })
    .await
}

/// Accepts, and never says anything.
pub(in crate::probe) async fn silent() -> SocketAddr {
    serve(|stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await
}

/// Nobody listens there, and nobody will while the socket is held.
pub(in crate::probe) fn closed() -> (SocketAddr, TcpSocket) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    (socket.local_addr().unwrap(), socket)
}

/// Answers each datagram with those that `behave` makes of it.
pub(super) async fn answering(behave: impl Fn(&[u8]) -> Vec<Vec<u8>> + Send + 'static) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut datagram = [0; 2048];
        while let Ok((length, from)) = socket.recv_from(&mut datagram).await {
            for reply in behave(&datagram[..length]) {
                socket.send_to(&reply, from).await.unwrap();
            }
        }
    });
    address
}

/// No datagram is heard there, and none will be while the socket is held: it hears another's only.
pub(super) async fn unheard() -> (SocketAddr, UdpSocket) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect("127.0.0.1:9").await.unwrap();
    (socket.local_addr().unwrap(), socket)
}

/// Takes a request, then cuts the connection with a reset.
pub(in crate::probe) async fn resetting() -> SocketAddr {
    serve(|mut stream| async move {
        read_request(&mut stream).await;
        stream.set_zero_linger().unwrap();
    })
    .await
}

/// Makes a TLS handshake, takes a request if one comes, replies so, and closes.
pub(in crate::probe) async fn encrypted(config: Arc<ServerConfig>, reply: &'static str) -> SocketAddr {
    serve(move |stream| {
        let acceptor = TlsAcceptor::from(Arc::clone(&config));
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            read_request(&mut stream).await;
            let _ = stream.write_all(reply.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    })
    .await
}

/// Reads up to the blank line, or the end.
pub(in crate::probe) async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read_buf(&mut request).await {
            Ok(count) if count > 0 => {}
            _ => break,
        }
    }
    request
}

/// A certificate authority made for a test.
pub(in crate::probe) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    pub(in crate::probe) fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        // Two of the same name would be taken for one that signs wrongly.
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// Writes its certificate where a monitor's `roots` can point to.
    pub(in crate::probe) fn write_roots(&self, path: &Path) -> Box<str> {
        std::fs::write(path, &self.pem).unwrap();
        path.to_str().unwrap().into()
    }

    /// A server with a certificate for `name` that ends with that year.
    pub(in crate::probe) fn server(&self, name: &str, last_year: i32) -> Arc<ServerConfig> {
        let key = KeyPair::generate().unwrap();
        let certificate = leaf(name, last_year).signed_by(&key, &self.issuer).unwrap();
        server(certificate.der().clone(), key)
    }
}

/// A server with a certificate for `name` that it signed itself.
pub(in crate::probe) fn self_signed(name: &str, last_year: i32) -> Arc<ServerConfig> {
    let key = KeyPair::generate().unwrap();
    let certificate = leaf(name, last_year).self_signed(&key).unwrap();
    server(certificate.der().clone(), key)
}

fn leaf(name: &str, last_year: i32) -> CertificateParams {
    let mut params = CertificateParams::new(vec![name.to_string()]).unwrap();
    params.not_before = rcgen::date_time_ymd(2000, 1, 1);
    params.not_after = rcgen::date_time_ymd(last_year + 1, 1, 1);
    params
}

fn server(certificate: CertificateDer<'static>, key: KeyPair) -> Arc<ServerConfig> {
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    Arc::new(config)
}
