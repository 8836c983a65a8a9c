//! DNS over QUIC (RFC 9250): each query in a stream of its own, so that none waits for another.
//!
//! ```text
//!   accept --admission--> handshake --> connection --> stream: length, query, FIN --Service::reply-->
//!            `- busy? show first that you hear us  `-> stream: ...                    length, reply, FIN
//! ```
//!
//! The library's own idle timer is kept from running out by a client that merely says that it lives; ours
//! counts from the last whole query, as over TCP.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;

use quinn::{
    Connection, Endpoint, EndpointConfig, Incoming, ReadToEndError, RecvStream, SendStream, ServerConfig,
    TokioRuntime, TransportConfig, VarInt,
};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use super::admission::Permit;
use super::respond::Transport;
use super::stats::Stats;
use super::stream::{Service, log_panic};
use super::tls::{self, Identity};

/// Serves the connections of one address.
#[derive(Debug)]
pub struct QuicListener {
    endpoint: Endpoint,
    service: Arc<Service>,
    closing: watch::Receiver<bool>,
}

impl QuicListener {
    /// Takes over a socket. Call inside a tokio runtime.
    pub fn new(
        socket: UdpSocket,
        identity: &Arc<Identity>,
        service: Arc<Service>,
        closing: watch::Receiver<bool>,
    ) -> io::Result<Self> {
        let mut config = ServerConfig::with_crypto(Arc::new(tls::for_quic(identity)?));
        config.transport_config(Arc::new(transport(&service)?)).max_incoming(INCOMING_MAX);
        let runtime = Arc::new(TokioRuntime);
        let endpoint = Endpoint::new(EndpointConfig::default(), Some(config), socket, runtime)?;
        Ok(Self { endpoint, service, closing })
    }

    /// Serves until it is told to close, then until the connections have written what they owe.
    pub async fn run(self) -> io::Result<()> {
        let QuicListener { endpoint, service, mut closing } = self;
        let mut connections = JoinSet::new();
        let for_connections = closing.clone();
        let ended = loop {
            tokio::select! {
                _ = closing.wait_for(|closing| *closing) => break Ok(()),
                Some(ended) = connections.join_next() => log_panic(ended),
                incoming = endpoint.accept() => match incoming {
                    Some(incoming) => {
                        if let Some((incoming, permit)) = admit(&service, incoming) {
                            let (service, closing) = (Arc::clone(&service), for_connections.clone());
                            connections.spawn(meet(service, incoming, permit, closing));
                        }
                    }
                    None => break Err(io::Error::other("its socket failed")),
                },
            }
        };
        // No more are taken while those there are end.
        endpoint.set_server_config(None);
        while let Some(ended) = connections.join_next().await {
            log_panic(ended);
        }
        endpoint.wait_idle().await;
        ended
    }
}

/// Lets a client in, unless it is one too many. Who says to come from elsewhere takes no place from others
/// when there are few: it never gets the token that it would have to bring.
fn admit(service: &Service, incoming: Incoming) -> Option<(Incoming, Permit)> {
    if service.admission.is_busy() && incoming.may_retry() && !incoming.remote_address_validated() {
        // It cannot fail: that it may was asked.
        let _ = incoming.retry();
        return None;
    }
    let permit = service.admission.admit(incoming.remote_address().ip());
    let refused = u64::from(permit.is_none());
    service.tally.add(&mut Stats { connections: 1, connections_refused: refused, ..Stats::default() });
    match permit {
        Some(permit) => Some((incoming, permit)),
        None => {
            incoming.refuse();
            None
        }
    }
}

async fn meet(service: Arc<Service>, incoming: Incoming, permit: Permit, closing: watch::Receiver<bool>) {
    let _permit = permit;
    let handshake = async { incoming.accept()?.await };
    match timeout(service.patience(), handshake).await {
        Ok(Ok(connection)) => converse(service, connection, closing).await,
        Ok(Err(_)) | Err(_) => {
            service.tally.add(&mut Stats { connections_failed: 1, ..Stats::default() });
        }
    }
}

/// Answers until the client ends it, is too slow or talks something else, or the listener closes.
async fn converse(service: Arc<Service>, connection: Connection, mut closing: watch::Receiver<bool>) {
    let mut exchanges = JoinSet::new();
    let mut deadline = Instant::now() + service.patience();
    let code = loop {
        tokio::select! {
            _ = closing.wait_for(|closing| *closing) => break NO_ERROR,
            () = sleep_until(deadline) => break NO_ERROR,
            Some(ended) = exchanges.join_next() => match ended {
                Ok(Ok(())) => deadline = Instant::now() + service.patience(),
                Ok(Err(Trouble::OfStream)) => {}
                Ok(Err(Trouble::OfConnection(code))) => break code,
                Err(_) => log_panic(ended.map(|_| ())),
            },
            stream = connection.accept_bi() => match stream {
                Ok((send, receive)) => {
                    let client = connection.remote_address();
                    exchanges.spawn(exchange(Arc::clone(&service), client, send, receive));
                }
                // It is over; what is still written, nobody reads.
                Err(_) => return,
            },
        }
    };
    if code == NO_ERROR {
        let owed = async { while exchanges.join_next().await.is_some() {} };
        let _ = timeout(service.write, owed).await;
    }
    connection.close(code, b"");
}

/// Why an exchange came to nothing, and for whom that matters.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Trouble {
    /// The client was too slow, or wants it no more.
    OfStream,
    /// The client does not talk DNS over QUIC (RFC 9250 section 4.3.3).
    OfConnection(VarInt),
}

/// Reads one query, writes its reply, and waits until it has arrived: a connection that is closed before
/// would take it along.
async fn exchange(
    service: Arc<Service>,
    client: SocketAddr,
    mut send: SendStream,
    mut receive: RecvStream,
) -> Result<(), Trouble> {
    let octets = match timeout(service.idle, receive.read_to_end(LENGTH + MESSAGE_MAX)).await {
        Ok(Ok(octets)) => octets,
        Ok(Err(ReadToEndError::TooLong)) => return Err(no_dns_over_quic(&mut send)),
        Ok(Err(ReadToEndError::Read(_))) | Err(_) => {
            // Both may be closed already.
            let _ = (receive.stop(UNSPECIFIED_ERROR), send.reset(UNSPECIFIED_ERROR));
            return Err(Trouble::OfStream);
        }
    };
    let reply = message_in(&octets).and_then(|packet| service.reply(packet, client, Transport::Quic));
    let reply = reply.ok_or_else(|| no_dns_over_quic(&mut send))?;
    let written = timeout(service.write, write_out(&mut send, &reply)).await;
    if !matches!(written, Ok(Ok(()))) {
        let _ = send.reset(UNSPECIFIED_ERROR);
        return Err(Trouble::OfStream);
    }
    Ok(())
}

/// Ends the stream as one that failed: were it only dropped, it would end as one whose reply is empty, and that could
/// arrive before the end of the connection does.
fn no_dns_over_quic(send: &mut SendStream) -> Trouble {
    // It may be closed already.
    let _ = send.reset(PROTOCOL_ERROR);
    Trouble::OfConnection(PROTOCOL_ERROR)
}

async fn write_out(send: &mut SendStream, reply: &[u8]) -> io::Result<()> {
    send.write_all(&(reply.len() as u16).to_be_bytes()).await?;
    send.write_all(reply).await?;
    send.finish()?;
    send.stopped().await?;
    Ok(())
}

/// The message in a stream: behind its length, with nothing after it, and with the id 0, as the stream says
/// which reply is whose (RFC 9250 section 4.2.1).
fn message_in(octets: &[u8]) -> Option<&[u8]> {
    let (length, message) = octets.split_first_chunk::<LENGTH>()?;
    let whole = usize::from(u16::from_be_bytes(*length)) == message.len();
    (whole && message.starts_with(&[0, 0])).then_some(message)
}

fn transport(service: &Service) -> io::Result<TransportConfig> {
    let mut transport = TransportConfig::default();
    let idle = service.idle.try_into().map_err(io::Error::other)?;
    transport
        .max_idle_timeout(Some(idle))
        .max_concurrent_bidi_streams(VarInt::from_u32(STREAMS_MAX))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .datagram_receive_buffer_size(None)
        .stream_receive_window(VarInt::from_u32((LENGTH + MESSAGE_MAX) as u32))
        .receive_window(VarInt::from_u32(WINDOW))
        .send_window(u64::from(WINDOW));
    Ok(transport)
}

/// Octets before a message that say how long it is.
const LENGTH: usize = 2;
/// More in a stream is no message.
const MESSAGE_MAX: usize = u16::MAX as usize;
/// Queries that a connection has under way at once; further streams wait at the client.
const STREAMS_MAX: u32 = 64;
/// Octets that are held for a connection each way at most.
const WINDOW: u32 = 256 << 10;
/// Handshakes that wait to be looked at; more are refused.
const INCOMING_MAX: usize = 1024;
/// Codes of RFC 9250 section 8.4.
const NO_ERROR: VarInt = VarInt::from_u32(0);
const PROTOCOL_ERROR: VarInt = VarInt::from_u32(2);
const UNSPECIFIED_ERROR: VarInt = VarInt::from_u32(5);

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use quinn::crypto::rustls::QuicClientConfig;
    use quinn::{ApplicationClose, ClientConfig, ConnectionError};
    use rustls::RootCertStore;
    use rustls::crypto::ring;
    use rustls::sign::CertifiedKey;

    use super::super::admission::Admission;
    use super::super::limits::Rules;
    use super::super::respond::Responder;
    use super::super::stats::Tally;
    use super::*;
    use crate::dns::tests::{cell, chaos, config, refusal};
    use crate::spec::Limits;

    fn caps(most: usize, most_per_client: usize) -> Admission {
        Admission::new(most, most_per_client, most, Arc::new(Rules::new(&Limits::none(), 1)))
    }

    const NEVER: Duration = Duration::from_secs(3600);
    const PATIENCE: Duration = Duration::from_secs(20);

    /// A listener on loopback, its client, and what closes it.
    struct Talk {
        client: Endpoint,
        server: SocketAddr,
        tally: Arc<Tally>,
        closing: watch::Sender<bool>,
        listening: tokio::task::JoinHandle<io::Result<()>>,
    }

    impl Talk {
        fn start(idle: Duration, admission: Admission) -> Self {
            let made = rcgen::generate_simple_self_signed(["ns1.example.net".to_string()]).expect("made");
            let key = made.signing_key.serialize_der().try_into().expect("a key");
            let chain = vec![made.cert.der().clone()];
            let certified = CertifiedKey::from_der(chain, key, &ring::default_provider()).expect("a pair");
            let identity = Arc::new(Identity::new(Arc::new(certified)));
            let tally = Arc::<Tally>::default();
            let service = Service {
                responder: Arc::new(Responder::new(&config())),
                cell: cell(),
                admission: Arc::new(admission),
                idle,
                write: PATIENCE,
                proxies: Arc::default(),
                primary: None,
                tally: Arc::clone(&tally),
            };
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback");
            let server = socket.local_addr().expect("bound");
            let closing = watch::Sender::new(false);
            let listener = QuicListener::new(socket, &identity, Arc::new(service), closing.subscribe());
            let listening = tokio::spawn(listener.expect("an endpoint").run());
            let client = Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).expect("loopback");
            let mut trusted = RootCertStore::empty();
            trusted.add(made.cert.der().clone()).expect("a certificate");
            let talk = Self { client, server, tally, closing, listening };
            talk.trusting(trusted)
        }

        fn trusting(mut self, trusted: RootCertStore) -> Self {
            let builder = rustls::ClientConfig::builder_with_provider(ring::default_provider().into());
            let builder = builder.with_safe_default_protocol_versions().expect("versions");
            let mut tls = builder.with_root_certificates(trusted).with_no_client_auth();
            tls.alpn_protocols = vec![b"doq".to_vec()];
            let tls = QuicClientConfig::try_from(tls).expect("TLS 1.3");
            self.client.set_default_client_config(ClientConfig::new(Arc::new(tls)));
            self
        }

        async fn connect(&self) -> Result<Connection, ConnectionError> {
            let connecting = self.client.connect(self.server, "ns1.example.net").expect("a configuration");
            timeout(PATIENCE, connecting).await.expect("in time")
        }
    }

    fn framed(packet: &[u8]) -> Vec<u8> {
        [&(packet.len() as u16).to_be_bytes(), packet].concat()
    }

    async fn ask(connection: &Connection, octets: &[u8]) -> Option<Vec<u8>> {
        let (mut send, mut receive) = connection.open_bi().await.ok()?;
        send.write_all(octets).await.ok()?;
        send.finish().ok()?;
        timeout(PATIENCE, receive.read_to_end(65537)).await.expect("in time").ok()
    }

    async fn why_closed(connection: &Connection) -> VarInt {
        match timeout(PATIENCE, connection.closed()).await.expect("in time") {
            ConnectionError::ApplicationClosed(ApplicationClose { error_code, .. }) => error_code,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn a_stream_has_one_message_and_its_id_is_0() {
        assert_eq!(message_in(&[0, 3, 0, 0, 7]), Some(&[0, 0, 7][..]));
        for wrong in
            [&[][..], &[0], &[0, 0], &[0, 3, 0, 0], &[0, 3, 0, 0, 7, 7], &[0, 3, 0, 1, 7], &[0, 1, 0]]
        {
            assert_eq!(message_in(wrong), None, "{wrong:?}");
        }
    }

    #[tokio::test]
    async fn a_query_that_never_ends_holds_up_no_other() {
        let talk = Talk::start(NEVER, caps(10, 10));
        let connection = talk.connect().await.expect("a connection");
        let (mut slow, mut slow_reply) = connection.open_bi().await.expect("a stream");
        let octets = framed(&chaos(0));
        slow.write_all(&octets[..5]).await.expect("sent");
        for _ in 0..100 {
            assert_eq!(ask(&connection, &octets).await, Some(framed(&refusal(0))));
        }
        slow.write_all(&octets[5..]).await.expect("sent");
        slow.finish().expect("open");
        assert_eq!(slow_reply.read_to_end(65537).await.expect("a reply"), framed(&refusal(0)));
    }

    #[tokio::test]
    async fn what_is_no_dns_over_quic_ends_the_connection() {
        let talk = Talk::start(NEVER, caps(10, 10));
        let twice = framed(&chaos(0)).repeat(2);
        for wrong in [framed(&chaos(7)), twice, vec![0, 9, 0], framed(&refusal(0)), vec![0; 65538]] {
            let connection = talk.connect().await.expect("a connection");
            assert_eq!(ask(&connection, &wrong).await, None);
            assert_eq!(why_closed(&connection).await, PROTOCOL_ERROR);
        }
    }

    #[tokio::test]
    async fn a_client_over_its_cap_is_refused_and_a_busy_server_asks_for_its_address_first() {
        let talk = Talk::start(NEVER, caps(4, 2));
        let first = talk.connect().await.expect("a connection");
        let second = talk.connect().await.expect("one more, after a retry");
        assert!(matches!(talk.connect().await, Err(ConnectionError::ConnectionClosed(_))));
        assert_eq!(ask(&first, &framed(&chaos(0))).await, Some(framed(&refusal(0))));
        assert_eq!(ask(&second, &framed(&chaos(0))).await, Some(framed(&refusal(0))));
        let mut counted = Stats::default();
        talk.tally.add_to(&mut counted);
        assert_eq!((counted.connections, counted.connections_refused), (3, 1));
    }

    #[tokio::test]
    async fn a_client_that_asks_nothing_is_let_go() {
        let talk = Talk::start(Duration::from_millis(50), caps(10, 10));
        if let Ok(connection) = talk.connect().await {
            timeout(PATIENCE, connection.closed()).await.expect("in time");
        }
    }

    #[tokio::test]
    async fn a_stop_answers_what_was_asked_and_ends() {
        let talk = Talk::start(NEVER, caps(10, 10));
        let connection = talk.connect().await.expect("a connection");
        assert!(ask(&connection, &framed(&chaos(0))).await.is_some());
        talk.closing.send_replace(true);
        assert_eq!(why_closed(&connection).await, NO_ERROR);
        let ended = timeout(PATIENCE, talk.listening).await.expect("in time");
        assert!(ended.expect("no panic").is_ok());
    }
}
