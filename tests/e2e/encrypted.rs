//! DNS over TLS, HTTPS and QUIC, as kdig speaks them, and as those do who have no good intentions; the
//! certificate that changes under way; and a load balancer in front.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::op::Message;
use hickory_proto::rr::{RData, RecordType};
use nix::sys::signal::Signal;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};

use crate::query::query;
use crate::world::{Server, World, ZONE, wait_until};

/// How long one reply may take.
const TIMEOUT: Duration = Duration::from_secs(20);

type Encrypted = StreamOwned<ClientConnection, TcpStream>;

/// A server with every kind of listener.
struct Encrypting {
    world: World,
    server: Server,
}

impl Encrypting {
    fn start() -> Self {
        Self::with("", "")
    }

    /// With more in `[dns]`, and this beside the zone file.
    fn with(dns: &str, steering: &str) -> Self {
        // World writes `[dns]` last.
        let world = World::new(
            "[probe]\nenabled = false\n[control]\nlisten = \"127.0.0.1:0\"\n[tls]\ncertificate = \"cert.pem\"\n\
             key = \"key.pem\"\nlisten_tls = [\"127.0.0.1:0\"]\nlisten_https = [\"127.0.0.1:0\"]\n\
             listen_quic = [\"127.0.0.1:0\"]\n",
        );
        let config = world.path("config/windrose.toml");
        let text =
            fs::read_to_string(&config).expect("readable").replace("[dns]\n", &format!("[dns]\n{dns}"));
        fs::write(&config, text).expect("written");
        let large: String = (0..200).map(|n| format!("large 60 IN A 198.51.100.{n}\n")).collect();
        world.write_zone("example.org.zone", &format!("{ZONE}{large}"));
        if !steering.is_empty() {
            world.write_zone("example.org.toml", steering);
        }
        write_pair(&world, "first.example.net");
        let server = world.serve();
        Self { world, server }
    }

    /// Where it listens for this.
    fn address(&self, transport: &str) -> SocketAddr {
        let line = self.server.log.wait_for("answering on ");
        let (before, _) = line.split_once(&format!(" ({transport})")).expect("it listens");
        before.rsplit(' ').next().expect("an address").parse().expect("an address")
    }

    fn kdig(&self, transport: &str, arguments: &[&str]) -> String {
        let address = self.address(transport);
        let option = format!("+{}", transport.to_lowercase());
        let (host, port) = (format!("@{}", address.ip()), address.port().to_string());
        let mut command = Command::new("kdig");
        command.args([&host, "-p", &port, "+time=20", "+retry=0", &option]).args(arguments);
        let output = command.output().expect("kdig is installed (tools/test installs it)");
        let text = String::from_utf8(output.stdout).expect("text");
        assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
        text
    }

    /// A number of the metrics page, whichever listener counted it.
    fn metric(&self, series: &str) -> f64 {
        let line = self.server.log.wait_for("metrics at http://");
        let address = line.split("http://").nth(1).expect("a URL").split('/').next().expect("an address");
        let mut stream = TcpStream::connect(address).expect("connected");
        stream
            .write_all(b"GET /metrics HTTP/1.1\r\nHost: windrose\r\nConnection: close\r\n\r\n")
            .expect("sent");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("text");
        let line =
            text.lines().find(|line| line.starts_with(series)).unwrap_or_else(|| panic!("no {series}"));
        line.rsplit(' ').next().expect("a number").parse().expect("a number")
    }
}

/// Writes a new certificate for a host and its key, and says what is in the certificate.
pub fn write_pair(world: &World, host: &str) -> Vec<u8> {
    let made = rcgen::generate_simple_self_signed([host.to_string()]).expect("a certificate");
    write_whole(world, "cert.pem", &made.cert.pem());
    write_whole(world, "key.pem", &made.signing_key.serialize_pem());
    made.cert.der().to_vec()
}

fn write_whole(world: &World, name: &str, text: &str) {
    let temporary = world.path("new.pem");
    fs::write(&temporary, text).expect("written");
    fs::rename(temporary, world.path("config").join(name)).expect("renamed");
}

fn tcp(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("connected");
    stream.set_read_timeout(Some(TIMEOUT)).expect("a deadline");
    stream
}

/// A handshake that offers these protocols; the error if there is none.
fn handshake(mut tcp: TcpStream, protocols: &[&[u8]]) -> std::io::Result<Encrypted> {
    let builder = ClientConfig::builder_with_provider(ring::default_provider().into());
    let builder = builder.with_safe_default_protocol_versions().expect("versions");
    let mut config =
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody)).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    let name = ServerName::try_from("ns1.example.net").expect("a name");
    let mut connection = ClientConnection::new(Arc::new(config), name).expect("a client");
    while connection.is_handshaking() {
        connection.complete_io(&mut tcp)?;
    }
    Ok(StreamOwned::new(connection, tcp))
}

/// Clients of an authoritative server do not know its certificate.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
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
        ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

fn send(stream: &mut impl Write, packet: &[u8]) {
    let framed = [&(packet.len() as u16).to_be_bytes(), packet].concat();
    stream.write_all(&framed).expect("sent");
    stream.flush().expect("sent");
}

fn receive(stream: &mut impl Read) -> Vec<u8> {
    let mut length = [0; 2];
    stream.read_exact(&mut length).expect("a length");
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut message).expect("a message");
    message
}

/// What a server says of an address, after which nothing more comes.
fn ends(stream: &mut impl Read) -> bool {
    !matches!(stream.read(&mut [0; 512]), Ok(1..))
}

fn first_address(message: &[u8]) -> String {
    let message = Message::from_vec(message).expect("well formed");
    match &message.answers.first().expect("an answer").data {
        RData::A(address) => address.to_string(),
        other => panic!("{other}"),
    }
}

#[test]
fn kdig_gets_the_same_answers_over_every_transport() {
    let encrypting = Encrypting::start();
    for transport in ["TLS", "HTTPS", "QUIC"] {
        assert_eq!(encrypting.kdig(transport, &["static.example.org", "+short"]), "192.0.2.1\n");
        let missing = encrypting.kdig(transport, &["no-such-name.example.org"]);
        assert!(missing.contains("status: NXDOMAIN") && missing.contains("SOA"), "{missing}");
        let foreign = encrypting.kdig(transport, &["example.net"]);
        assert!(foreign.contains("status: REFUSED"), "{foreign}");
        let large = encrypting.kdig(transport, &["large.example.org"]);
        assert!(large.contains("ANSWER: 200;") && !large.contains(" tc"), "{large}");
        let padded = encrypting.kdig(transport, &["static.example.org", "+padding"]);
        assert!(padded.contains("PADDING:"), "{padded}");
        let transport = transport.to_lowercase();
        // The page is made anew once in a while.
        let series = format!("windrose_dns_queries_total{{transport=\"{transport}\"}}");
        wait_until("its queries are counted", || (encrypting.metric(&series) >= 5.0).then_some(()));
    }
    assert_eq!(encrypting.kdig("HTTPS", &["+https-get", "static.example.org", "+short"]), "192.0.2.1\n");
    let status = encrypting.world.run(&["status"]);
    let status = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(status.contains("(QUIC)") && status.contains("certificate ends"), "{status}");
}

#[test]
fn a_connection_over_tls_carries_many_queries() {
    let encrypting = Encrypting::start();
    let mut stream = handshake(tcp(encrypting.address("TLS")), &[b"dot"]).expect("a handshake");
    assert_eq!(stream.conn.alpn_protocol(), Some(&b"dot"[..]));
    let packet = query("static.example.org.", RecordType::A);
    for _ in 0..100 {
        send(&mut stream, &packet);
    }
    for _ in 0..100 {
        assert_eq!(first_address(&receive(&mut stream)), "192.0.2.1");
    }
    send(&mut stream, &query("large.example.org.", RecordType::A));
    assert_eq!(Message::from_vec(&receive(&mut stream)).expect("well formed").answers.len(), 200);
    assert!(handshake(tcp(encrypting.address("TLS")), &[]).is_ok(), "ALPN is not asked of clients");
}

#[test]
fn who_talks_something_else_is_let_go_and_does_no_harm() {
    let encrypting = Encrypting::start();
    for transport in ["TLS", "HTTPS"] {
        let wrong = handshake(tcp(encrypting.address(transport)), &[b"ftp"]);
        assert!(wrong.is_err(), "{transport}: a protocol that is not spoken");
        let mut garbage = tcp(encrypting.address(transport));
        garbage.write_all(&[0xA5; 512]).expect("sent");
        let mut rest = Vec::new();
        let _ = garbage.read_to_end(&mut rest);
        assert!(rest.len() < 64, "an alert at most: {rest:?}");
        // An empty frame, and no HTTP.
        let mut after = handshake(tcp(encrypting.address(transport)), &[]).expect("a handshake");
        after.write_all(&[0; 512]).expect("sent");
        after.flush().expect("sent");
        let mut rest = Vec::new();
        let _ = after.read_to_end(&mut rest);
        assert!(!rest.starts_with(b"HTTP/1.1 200"), "{transport}");
    }
    let quic = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    for length in [1, 21, 1200, 1400] {
        quic.send_to(&vec![0xC5; length], encrypting.address("QUIC")).expect("sent");
    }
    wait_until("failures are counted", || {
        let series = "windrose_dns_connections_failed_total{transport=\"tls\"}";
        (encrypting.metric(series) >= 2.0).then_some(())
    });
    for transport in ["TLS", "HTTPS", "QUIC"] {
        assert_eq!(encrypting.kdig(transport, &["static.example.org", "+short"]), "192.0.2.1\n");
    }
}

/// Sends a request of HTTP/1.1 and reads its reply: the status line with the headers, and the body.
fn request(stream: &mut Encrypted, head: &str, body: &[u8]) -> (String, Vec<u8>) {
    let head = format!("{head} HTTP/1.1\r\nHost: ns1.example.net\r\nContent-Length: {}\r\n", body.len());
    let accepted = "Content-Type: application/dns-message\r\n\r\n";
    stream.write_all(&[head.as_bytes(), accepted.as_bytes(), body].concat()).expect("sent");
    let mut octets = Vec::new();
    while !octets.ends_with(b"\r\n\r\n") {
        let mut octet = [0];
        stream.read_exact(&mut octet).expect("more of the head");
        octets.push(octet[0]);
    }
    let head = String::from_utf8(octets).expect("text").to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
    let mut body = vec![0; length.parse().expect("a number")];
    stream.read_exact(&mut body).expect("the body");
    (head, body)
}

#[test]
fn https_is_spoken_by_the_book() {
    let encrypting = Encrypting::start();
    let address = encrypting.address("HTTPS");
    let mut stream = handshake(tcp(address), &[b"http/1.1"]).expect("a handshake");
    let packet = query("static.example.org.", RecordType::A);
    let in_url = data_encoding::BASE64URL_NOPAD.encode(&packet);
    for (head, body) in
        [(format!("GET /dns-query?dns={in_url}"), &[][..]), ("POST /dns-query".to_string(), &packet)]
    {
        let (head, reply) = request(&mut stream, &head, body);
        assert!(head.starts_with("http/1.1 200"), "{head}");
        assert!(head.contains("content-type: application/dns-message"), "{head}");
        assert!(head.contains("cache-control: private, max-age=3600"), "{head}");
        assert_eq!(first_address(&reply), "192.0.2.1");
    }
    let mut response = packet.clone();
    response[2] |= 0x80;
    for (head, body, status) in [
        ("GET /dns-query", &[][..], 400),
        ("GET /dns-query?dns=*", &[], 400),
        ("GET /elsewhere?dns=AAAA", &[], 404),
        ("PUT /dns-query", &packet, 405),
        ("POST /dns-query", b"runt", 400),
        ("POST /dns-query", &response, 400),
    ] {
        let (head, _) = request(&mut stream, head, body);
        assert!(head.starts_with(&format!("http/1.1 {status}")), "{head}");
    }
    let (head, _) = request(&mut stream, "POST /dns-query", &packet);
    assert!(head.starts_with("http/1.1 200"), "the connection is as good as before: {head}");
    let (head, _) = request(&mut stream, "POST /dns-query", &vec![0; 65536]);
    assert!(head.starts_with("http/1.1 413"), "{head}");
    assert_eq!(
        handshake(tcp(address), &[b"h2", b"http/1.1"]).expect("a handshake").conn.alpn_protocol(),
        Some(&b"h2"[..])
    );
}

/// The certificate that is shown to a new client.
fn shown(address: SocketAddr) -> Vec<u8> {
    let stream = handshake(tcp(address), &[]).expect("a handshake");
    stream.conn.peer_certificates().expect("a certificate")[0].to_vec()
}

#[test]
fn a_certificate_is_replaced_whole_while_connections_are_open() {
    let encrypting = Encrypting::start();
    let address = encrypting.address("TLS");
    let mut open = handshake(tcp(address), &[b"dot"]).expect("a handshake");
    let first = shown(address);
    // A certificate without its key.
    let made = rcgen::generate_simple_self_signed(["other.example.net".to_string()]).expect("a certificate");
    write_whole(&encrypting.world, "cert.pem", &made.cert.pem());
    encrypting.server.log.wait_for("the certificate is not replaced");
    assert_eq!(encrypting.metric("windrose_certificate_trouble"), 1.0);
    assert_eq!(shown(address), first);
    write_whole(&encrypting.world, "key.pem", &made.signing_key.serialize_pem());
    wait_until("the new one is shown", || (shown(address) == made.cert.der().to_vec()).then_some(()));
    assert_eq!(encrypting.metric("windrose_certificate_trouble"), 0.0);
    send(&mut open, &query("static.example.org.", RecordType::A));
    assert_eq!(first_address(&receive(&mut open)), "192.0.2.1");
    assert_eq!(encrypting.kdig("QUIC", &["static.example.org", "+short"]), "192.0.2.1\n");
}

#[test]
fn without_a_certificate_that_can_be_used_it_does_not_start() {
    let world =
        World::new("[tls]\ncertificate = \"cert.pem\"\nkey = \"key.pem\"\nlisten_tls = \"127.0.0.1:0\"\n");
    world.write_zone("example.org.zone", ZONE);
    for command in ["check", "serve"] {
        let output = world.run(&[command, "config/windrose.toml"]);
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(!output.status.success() && said.contains("config/cert.pem"), "{said}");
    }
    write_pair(&world, "ns1.example.net");
    assert!(world.run(&["check", "config/windrose.toml"]).status.success());
}

const BY_PLACE: &str = r#"
    [regions.eu]
    at = [50, 8]
    clients = ["net:192.0.2.0/24"]
    [regions.us]
    at = [39, -77]
    default = true
    [endpoints.fra]
    region = "eu"
    ipv4 = "203.0.113.1"
    [endpoints.iad]
    region = "us"
    ipv4 = "203.0.113.2"
    [pools.www]
    policy = "nearest"
    members = ["fra", "iad"]
    [names."www"]
    pool = "www"
"#;

/// A PROXY header of version 2, of a connection (1) or datagram (2) from an IPv4 address.
fn header(kind: u8, client: [u8; 4]) -> Vec<u8> {
    let mut octets = b"\r\n\r\n\0\r\nQUIT\n\x21".to_vec();
    octets.extend([0x10 | kind, 0, 12]);
    octets.extend(client);
    octets.extend([127, 0, 0, 1, 0x10, 0x92, 0, 53]);
    octets
}

#[test]
fn a_client_behind_a_load_balancer_is_answered_for_where_it_is() {
    let encrypting = Encrypting::with("proxy_from = [\"127.0.0.1\"]\n", BY_PLACE);
    let plain = encrypting.server.address;
    let packet = query("www.example.org.", RecordType::A);
    for (client, expected) in [([192, 0, 2, 7], "203.0.113.1"), ([198, 51, 100, 7], "203.0.113.2")] {
        let mut stream = tcp(plain);
        stream.write_all(&header(1, client)).expect("sent");
        send(&mut stream, &packet);
        assert_eq!(first_address(&receive(&mut stream)), expected);

        let mut stream = tcp(encrypting.address("TLS"));
        stream.write_all(&header(1, client)).expect("sent");
        let mut stream = handshake(stream, &[b"dot"]).expect("a handshake");
        send(&mut stream, &packet);
        assert_eq!(first_address(&receive(&mut stream)), expected);

        let mut stream = tcp(encrypting.address("HTTPS"));
        stream.write_all(&header(1, client)).expect("sent");
        let mut stream = handshake(stream, &[b"http/1.1"]).expect("a handshake");
        assert_eq!(first_address(&request(&mut stream, "POST /dns-query", &packet).1), expected);

        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        socket.set_read_timeout(Some(TIMEOUT)).expect("a deadline");
        socket.send_to(&[header(2, client), packet.clone()].concat(), plain).expect("sent");
        let mut reply = [0; 512];
        let length = socket.recv(&mut reply).expect("a reply");
        assert_eq!(first_address(&reply[..length]), expected);
    }
    for start in [&b"PROXY TCP4 192.0.2.7 127.0.0.1 4242 53\r\n"[..], &[0; 64]] {
        let mut stream = tcp(plain);
        stream.write_all(start).expect("sent");
        assert!(ends(&mut stream), "it must start with a header of version 2");
    }
    let failed = encrypting.metric("windrose_dns_connections_failed_total{transport=\"tcp\"}");
    assert_eq!(failed, 2.0);
}

#[test]
fn nobody_else_speaks_for_others() {
    let encrypting = Encrypting::with("", BY_PLACE);
    let packet = query("www.example.org.", RecordType::A);
    let mut stream = tcp(encrypting.server.address);
    stream.write_all(&header(1, [192, 0, 2, 7])).expect("sent");
    assert!(ends(&mut stream));
    for transport in ["TLS", "HTTPS"] {
        let mut stream = tcp(encrypting.address(transport));
        stream.write_all(&header(1, [192, 0, 2, 7])).expect("sent");
        assert!(handshake(stream, &[]).is_err(), "{transport}");
    }
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.set_read_timeout(Some(TIMEOUT)).expect("a deadline");
    let datagram = [header(2, [192, 0, 2, 7]), packet.clone()].concat();
    socket.send_to(&datagram, encrypting.server.address).expect("sent");
    socket.send_to(&packet, encrypting.server.address).expect("sent");
    let mut reply = [0; 512];
    let answered = wait_until("the query without a header is answered", || {
        let length = socket.recv(&mut reply).ok()?;
        reply.starts_with(&packet[..2]).then(|| reply[..length].to_vec())
    });
    assert_eq!(first_address(&answered), "203.0.113.2", "as a client where the sender is");
}

#[test]
fn a_stop_ends_idle_connections_of_every_transport() {
    let mut encrypting = Encrypting::start();
    let mut over_tls = handshake(tcp(encrypting.address("TLS")), &[b"dot"]).expect("a handshake");
    let mut over_https = handshake(tcp(encrypting.address("HTTPS")), &[b"http/1.1"]).expect("a handshake");
    send(&mut over_tls, &query("static.example.org.", RecordType::A));
    receive(&mut over_tls);
    request(&mut over_https, "POST /dns-query", &query("static.example.org.", RecordType::A));
    encrypting.server.signal(Signal::SIGTERM);
    assert!(ends(&mut over_tls) && ends(&mut over_https));
    assert_eq!(encrypting.server.exit_code(), Some(0));
}
