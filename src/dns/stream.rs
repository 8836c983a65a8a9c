//! DNS over TCP (RFC 7766) and TLS (RFC 7858): connections with many queries, each behind its length.
//!
//! ```text
//!   accept --admission--> task: PROXY header, if from a proxy --> TLS, if the listener's --> conversation
//!
//!   conversation: read --> frames --respond--> replies --> write --> read ...
//!                                    `- until enough is waiting to be written
//! ```
//!
//! A connection reads, answers and writes in turn. While a client does not take its answers nothing more
//! is read from it, so what is held for it is bounded, and it is cut off when it takes too long. Answers to
//! pipelined queries leave with one write, in the order of the queries: each takes microseconds, so none
//! waits for another. Time counts from the last whole query: sending one slowly does not keep a connection.
//!
//! When the listener closes, what was sent before is answered: connections that wait to be accepted are, whoever has
//! not asked yet gets [`LAST_QUERY`] to do so, and the others are let go once nothing of theirs is left to read.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;

use super::accept::{Shortage, concerns_one_connection, waiting};
use super::admission::{Admission, Permit};
use super::draw::{Draws, wall_clock};
use super::https::Https;
use super::primary::{self, Errand, Primary};
use super::proxy::{self, Origin, Proxies};
use super::respond::{Arrival, Reply, Responder, Transport};
use super::stats::{Stats, Tally};
use crate::snapshot::SnapshotCell;

/// What all connections of one transport share.
#[derive(Clone, Debug)]
pub struct Service {
    /// Writes the replies.
    pub responder: Arc<Responder>,
    /// What is answered from.
    pub cell: Arc<SnapshotCell>,
    /// How many there may be.
    pub admission: Arc<Admission>,
    /// A connection that does not complete a query for this long is closed; sooner when places get few.
    pub idle: Duration,
    /// A client that does not take its answers this long is cut off.
    pub write: Duration,
    /// Those whose connections start with the address of the client.
    pub proxies: Arc<Proxies>,
    /// Who sees to what is no query.
    pub primary: Option<Arc<Primary>>,
    /// Where they count.
    pub tally: Arc<Tally>,
}

/// What the connections of a listener speak.
#[derive(Clone)]
pub enum Speech {
    /// DNS.
    Plain,
    /// DNS inside of TLS.
    Tls(TlsAcceptor),
    /// DNS inside of HTTP inside of TLS.
    Https(Https),
}

impl Speech {
    /// How its queries come.
    pub fn transport(&self) -> Transport {
        match self {
            Speech::Plain => Transport::Tcp,
            Speech::Tls(_) => Transport::Tls,
            Speech::Https(_) => Transport::Https,
        }
    }
}

/// Accepts the connections of one address.
pub struct Listener {
    /// Bound.
    pub tcp: TcpListener,
    /// To what.
    pub address: SocketAddr,
    /// What is spoken there.
    pub speech: Speech,
    /// What its connections share.
    pub service: Arc<Service>,
    /// Turns true when the listener is to end.
    pub closing: watch::Receiver<bool>,
}

impl Listener {
    /// Serves until it is told to close, then until the connections have written what they owe.
    pub async fn run(self) -> io::Result<()> {
        let Listener { tcp, address, speech, service, mut closing } = self;
        let mut connections = JoinSet::new();
        let mut shortage = Shortage::default();
        let for_connections = closing.clone();
        let ended = loop {
            let pause = shortage.until;
            tokio::select! {
                _ = closing.wait_for(|closing| *closing) => break Ok(()),
                Some(ended) = connections.join_next() => log_panic(ended),
                () = sleep_until(pause.unwrap_or_else(Instant::now)), if pause.is_some() => shortage.until = None,
                accepted = tcp.accept(), if pause.is_none() => match accepted {
                    Ok((stream, client)) => {
                        shortage.last = Duration::ZERO;
                        if let Some(connection) = service.admit(stream, client, &speech, &for_connections) {
                            connections.spawn(connection);
                        }
                    }
                    Err(error) if Shortage::is_one(&error) => shortage.pause(address, &error),
                    Err(error) if concerns_one_connection(&error) => {}
                    Err(error) => break Err(error),
                },
            }
        };
        // Those who are connected already may have asked; no more are taken after them.
        for (stream, client) in waiting(tcp)? {
            if let Some(connection) = service.admit(stream, client, &speech, &for_connections) {
                connections.spawn(connection);
            }
        }
        while let Some(ended) = connections.join_next().await {
            log_panic(ended);
        }
        ended
    }
}

impl Service {
    /// The conversation with a client, unless it is one too many.
    fn admit(
        self: &Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
        speech: &Speech,
        closing: &watch::Receiver<bool>,
    ) -> Option<impl Future<Output = ()> + use<>> {
        let permit = if self.proxies.include(peer.ip()) {
            self.admission.admit_stranger()
        } else {
            self.admission.admit(peer.ip())
        };
        let refused = u64::from(permit.is_none());
        self.tally.add(&mut Stats { connections: 1, connections_refused: refused, ..Stats::default() });
        let permit = permit?;
        let (service, speech, closing) = (Arc::clone(self), speech.clone(), closing.clone());
        Some(async move {
            // Answers are written whole; waiting to fill a segment would only delay them.
            let _ = stream.set_nodelay(true);
            // However it ended, there is nobody to tell.
            let _ = service.meet(stream, peer, permit, speech, closing).await;
        })
    }

    /// Learns who the client is, agrees with it on how to speak, and speaks.
    async fn meet(
        self: Arc<Self>,
        mut stream: TcpStream,
        peer: SocketAddr,
        permit: Permit,
        speech: Speech,
        closing: watch::Receiver<bool>,
    ) -> io::Result<()> {
        let in_time = Instant::now() + self.patience();
        let opening = self.client_behind(&mut stream, peer, permit);
        let (client, _permit) = self.opened(in_time, &closing, opening).await?;
        match speech {
            Speech::Plain => {
                let connection = Connection::new(&self, client, Transport::Tcp);
                connection.converse(stream, closing).await
            }
            Speech::Tls(acceptor) => {
                let stream = self.opened(in_time, &closing, acceptor.accept(stream)).await?;
                let connection = Connection::new(&self, client, Transport::Tls);
                connection.converse(stream, closing).await
            }
            Speech::Https(https) => {
                let stream = self.opened(in_time, &closing, https.acceptor.accept(stream)).await?;
                https.converse(self, stream, client, closing).await;
                Ok(())
            }
        }
    }

    /// Who the client is, and its right to a connection.
    async fn client_behind(
        &self,
        stream: &mut TcpStream,
        peer: SocketAddr,
        permit: Permit,
    ) -> io::Result<(SocketAddr, Permit)> {
        if !self.proxies.include(peer.ip()) {
            return Ok((peer, permit));
        }
        match proxy::take_header(stream).await? {
            // A balancer looks often, and for all its clients.
            Origin::Proxy => Ok((peer, permit)),
            Origin::Client(client) => match permit.of_client(client.ip()) {
                Some(permit) => Ok((client, permit)),
                None => {
                    self.tally.add(&mut Stats { connections_refused: 1, ..Stats::default() });
                    Err(io::ErrorKind::ConnectionRefused.into())
                }
            },
        }
    }

    /// What comes of a step before the first message, unless it takes too long or the listener closes.
    async fn opened<T>(
        &self,
        in_time: Instant,
        closing: &watch::Receiver<bool>,
        step: impl Future<Output = io::Result<T>>,
    ) -> io::Result<T> {
        let mut closing = closing.clone();
        let opened = tokio::select! {
            biased;
            opened = timeout_at(in_time, step) => opened.map_err(io::Error::from).flatten(),
            () = closed(&mut closing, LAST_QUERY) => return Err(io::ErrorKind::Interrupted.into()),
        };
        if opened.as_ref().is_err_and(|error| error.kind() != io::ErrorKind::ConnectionRefused) {
            self.tally.add(&mut Stats { connections_failed: 1, ..Stats::default() });
        }
        opened
    }

    /// How long a connection may go without a whole query, now.
    pub fn patience(&self) -> Duration {
        self.admission.patience(self.idle)
    }

    /// The reply to a message that came whole by itself; `None`: it gets none.
    pub fn reply(&self, packet: &[u8], client: SocketAddr, transport: Transport) -> Option<Vec<u8>> {
        let draw = DRAWS.with_borrow_mut(Draws::draw);
        let snapshot = self.cell.load();
        let mut counted = Stats { batches: 1, ..Stats::default() };
        let reply = REPLY.with_borrow_mut(|out| {
            let arrival = Arrival { packet, client, transport, draw, now: wall_clock() };
            let reply = self.responder.respond(&arrival, None, &snapshot, out);
            counted.count(reply.as_ref());
            reply.map(|reply| out[..reply.length].to_vec())
        });
        self.tally.add(&mut counted);
        reply
    }
}

/// One client's conversation.
struct Connection<'s> {
    service: &'s Service,
    client: SocketAddr,
    transport: Transport,
    incoming: Vec<u8>,
    outgoing: Vec<u8>,
    draws: Draws,
}

/// What came of the frames that were read.
#[derive(Debug, PartialEq)]
enum Frames {
    /// None is whole.
    Partial,
    /// So many were answered; there may be more.
    Answered,
    /// One is empty, or the header of a proxy: the client talks something else.
    Nonsense,
    /// One is no query, and may take a while.
    Errand(Vec<u8>),
}

impl<'s> Connection<'s> {
    fn new(service: &'s Service, client: SocketAddr, transport: Transport) -> Self {
        let (incoming, outgoing) = (Vec::new(), Vec::new());
        Self { service, client, transport, incoming, outgoing, draws: Draws::seeded() }
    }

    /// Answers until the client ends it, is too slow, or the listener closes.
    async fn converse<S>(mut self, mut stream: S, mut closing: watch::Receiver<bool>) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut deadline = Instant::now() + self.service.patience();
        let mut grace = LAST_QUERY;
        loop {
            let frames = self.answer_frames();
            if !self.outgoing.is_empty() {
                timeout(self.service.write, write_out(&mut stream, &self.outgoing)).await??;
                self.outgoing.clear();
            }
            match frames {
                Frames::Nonsense => break,
                Frames::Answered => {
                    deadline = Instant::now() + self.service.patience();
                    grace = Duration::ZERO;
                    continue;
                }
                Frames::Errand(packet) => {
                    self.run_errand(&packet, &mut stream).await?;
                    deadline = Instant::now() + self.service.patience();
                    grace = Duration::ZERO;
                    continue;
                }
                Frames::Partial => {}
            }
            self.incoming.reserve(READ);
            let read = tokio::select! {
                biased;
                read = timeout_at(deadline, stream.read_buf(&mut self.incoming)) => read,
                () = closed(&mut closing, grace) => break,
            };
            if matches!(read, Err(_) | Ok(Ok(0))) {
                break;
            }
            read??;
        }
        timeout(self.service.write, stream.shutdown()).await?
    }

    /// Answers the whole frames in `incoming`, until enough waits in `outgoing`.
    fn answer_frames(&mut self) -> Frames {
        // From somebody who is not listed as a proxy, or says it twice.
        if proxy::looks_like_header(&self.incoming) {
            return Frames::Nonsense;
        }
        let mut rest = &self.incoming[..];
        let mut counted = Stats::default();
        let mut frames = Frames::Partial;
        let (snapshot, now) = (self.service.cell.load(), wall_clock());
        while self.outgoing.len() < OUTGOING_ENOUGH
            && let Some((packet, after)) = split_frame(rest)
        {
            if packet.is_empty() {
                frames = Frames::Nonsense;
                break;
            }
            rest = after;
            if self.service.primary.as_ref().is_some_and(|primary| primary.is_errand(packet)) {
                frames = Frames::Errand(packet.to_vec());
                break;
            }
            frames = Frames::Answered;
            let draw = self.draws.draw();
            REPLY.with_borrow_mut(|out| {
                let Self { service, client, transport, .. } = *self;
                let arrival = Arrival { packet, client, transport, draw, now };
                let reply = service.responder.respond(&arrival, None, &snapshot, out);
                counted.count(reply.as_ref());
                if let Some(reply) = reply {
                    self.outgoing.extend_from_slice(&(reply.length as u16).to_be_bytes());
                    self.outgoing.extend_from_slice(&out[..reply.length]);
                }
            });
        }
        counted.batches = u64::from(counted.queries != 0);
        self.service.tally.add(&mut counted);
        let consumed = self.incoming.len() - rest.len();
        self.incoming.drain(..consumed);
        if self.incoming.is_empty() {
            self.incoming.shrink_to(READ);
        }
        frames
    }
}

impl Connection<'_> {
    /// Does what a packet asks for; its messages leave one by one, as fast as the client takes them.
    async fn run_errand<S>(&mut self, packet: &[u8], stream: &mut S) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let Self { service, client, transport, .. } = *self;
        let Some(primary) = &service.primary else { return Ok(()) };
        let (told, later) = oneshot::channel();
        let errand = {
            let arrival = Arrival { packet, client, transport, draw: self.draws.draw(), now: wall_clock() };
            let snapshot = service.cell.load_full();
            let tell = move || -> primary::Tell {
                Box::new(move |octets| {
                    // The client did not wait for it.
                    let _ = told.send(octets);
                })
            };
            primary.run(&arrival, &snapshot, &service.responder, tell)
        };
        let mut counted = Stats { batches: 1, ..Stats::default() };
        let mut transfer = None;
        let first = match errand {
            None => None,
            Some(Errand::Reply(octets)) => Some(octets),
            Some(Errand::Later) => later.await.ok(),
            Some(Errand::Transfer(under_way)) => transfer.insert(under_way).next(),
        };
        counted.count(first.as_deref().map(Reply::of).as_ref());
        service.tally.add(&mut counted);
        let mut next = first;
        while let Some(octets) = next {
            let frame = [&(octets.len() as u16).to_be_bytes(), &*octets].concat();
            timeout(service.write, write_out(stream, &frame)).await??;
            next = transfer.as_mut().and_then(|transfer| transfer.next());
        }
        Ok(())
    }
}

/// Waits until the listener has been closing for so long.
async fn closed(closing: &mut watch::Receiver<bool>, grace: Duration) {
    // Whoever could say that it closes is gone: then it does.
    let _ = closing.wait_for(|closing| *closing).await;
    if !grace.is_zero() {
        sleep(grace).await;
    }
}

/// Writes all of it, and what TLS holds back until it is told that no more comes.
async fn write_out<S: AsyncWrite + Unpin>(stream: &mut S, octets: &[u8]) -> io::Result<()> {
    stream.write_all(octets).await?;
    stream.flush().await
}

thread_local! {
    /// The draws of messages that come by themselves.
    static DRAWS: RefCell<Draws> = RefCell::new(Draws::seeded());
    /// Where a reply is written before its length is known: one for each thread, not each connection.
    static REPLY: RefCell<Box<[u8]>> = RefCell::new(vec![0; usize::from(u16::MAX)].into_boxed_slice());
}

/// The first frame's message and what follows it, if it is whole.
fn split_frame(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = octets.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}

pub fn log_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a connection ended by a fault of ours");
    }
}

/// Octets of answers that are written before more queries are looked at: with one more answer, what is
/// held for a client at most.
const OUTGOING_ENOUGH: usize = 16 << 10;
/// Octets that are read at once. What is held of a client's queries is this and one frame at most.
const READ: usize = 4 << 10;
/// How long a client that has connected and not asked yet is waited for when the listener closes.
const LAST_QUERY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use tokio::io::{DuplexStream, duplex};
    use tokio::task::JoinHandle;

    use super::*;
    use crate::dns::tests::{cell, chaos, config, refusal};

    const SOON: Duration = Duration::from_millis(50);
    const NEVER: Duration = Duration::from_secs(3600);
    /// What a test waits for something that must happen.
    const PATIENCE: Duration = Duration::from_secs(20);

    /// A client, its connection at work, and what closes its listener.
    struct Talk {
        client: DuplexStream,
        served: JoinHandle<io::Result<()>>,
        closing: watch::Sender<bool>,
        tally: Arc<Tally>,
    }

    /// A conversation over a pipe that holds `room` octets each way.
    fn talk(room: usize, idle: Duration, write: Duration) -> Talk {
        let (client, server) = duplex(room);
        let tally = Arc::<Tally>::default();
        let responder = Arc::new(Responder::new(&config()));
        let service = Service {
            cell: cell(),
            admission: Arc::new(Admission::new(1, 1, 1, Arc::clone(responder.rules()))),
            responder,
            idle,
            write,
            proxies: Arc::default(),
            primary: None,
            tally: Arc::clone(&tally),
        };
        let closing = watch::Sender::new(false);
        let heard = closing.subscribe();
        let served = tokio::spawn(async move {
            let client = "192.0.2.1:4242".parse().expect("an address");
            Connection::new(&service, client, Transport::Tcp).converse(server, heard).await
        });
        Talk { client, served, closing, tally }
    }

    impl Talk {
        async fn send(&mut self, octets: &[u8]) {
            self.client.write_all(octets).await.expect("the server reads");
        }

        async fn receive(&mut self, count: usize) -> Vec<u8> {
            let mut octets = vec![0; count];
            timeout(PATIENCE, self.client.read_exact(&mut octets)).await.expect("in time").expect("a reply");
            octets
        }

        /// What comes before the server hangs up.
        async fn rest(&mut self) -> Vec<u8> {
            let mut octets = Vec::new();
            timeout(PATIENCE, self.client.read_to_end(&mut octets)).await.expect("in time").expect("an end");
            octets
        }

        fn stats(&self) -> Stats {
            let mut sum = Stats::default();
            self.tally.add_to(&mut sum);
            sum
        }
    }

    fn framed(message: &[u8]) -> Vec<u8> {
        [&(message.len() as u16).to_be_bytes(), message].concat()
    }

    #[tokio::test]
    async fn queries_that_come_together_are_answered_together_and_in_order() {
        let mut talk = talk(1 << 16, NEVER, NEVER);
        talk.send(&(0..100).flat_map(|id| framed(&chaos(id))).collect::<Vec<u8>>()).await;
        let expected: Vec<u8> = (0..100).flat_map(|id| framed(&refusal(id))).collect();
        assert_eq!(talk.receive(expected.len()).await, expected);
        assert_eq!((talk.stats().queries, talk.stats().replies[5], talk.stats().batches), (100, 100, 1));
    }

    #[tokio::test]
    async fn a_query_may_come_in_pieces() {
        let mut talk = talk(1 << 16, NEVER, NEVER);
        for octet in framed(&chaos(7)) {
            talk.send(&[octet]).await;
        }
        assert_eq!(talk.receive(32).await, framed(&refusal(7)));
    }

    #[tokio::test]
    async fn a_client_that_sends_no_more_still_gets_its_answers() {
        let mut talk = talk(1 << 16, NEVER, NEVER);
        talk.send(&framed(&chaos(1))).await;
        talk.client.shutdown().await.expect("a pipe");
        assert_eq!(talk.rest().await, framed(&refusal(1)));
        assert!(talk.served.await.expect("no panic").is_ok());
    }

    #[tokio::test]
    async fn an_empty_message_ends_the_conversation_after_what_came_before_it() {
        let mut talk = talk(1 << 16, NEVER, NEVER);
        talk.send(&[framed(&chaos(1)), vec![0, 0], framed(&chaos(2))].concat()).await;
        assert_eq!(talk.rest().await, framed(&refusal(1)));
    }

    #[tokio::test]
    async fn a_response_gets_no_reply_and_the_next_query_does() {
        let mut talk = talk(1 << 16, NEVER, NEVER);
        talk.send(&[framed(&refusal(1)), framed(&chaos(2))].concat()).await;
        assert_eq!(talk.receive(32).await, framed(&refusal(2)));
        assert_eq!(talk.stats().silenced, 1);
    }

    #[tokio::test]
    async fn a_client_that_asks_nothing_is_left() {
        let mut talk = talk(1 << 16, SOON, NEVER);
        assert!(talk.rest().await.is_empty());
    }

    #[tokio::test]
    async fn a_query_that_comes_octet_by_octet_does_not_keep_a_connection() {
        let mut talk = talk(1, SOON, NEVER);
        // The pipe takes an octet whenever the last one was read; the length promises many more.
        let drip = async {
            while talk.client.write_all(&[0xFF]).await.is_ok() && !talk.served.is_finished() {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, drip).await.expect("the server hangs up");
    }

    #[tokio::test]
    async fn a_client_that_does_not_take_its_answers_is_cut_off() {
        let mut talk = talk(64, NEVER, SOON);
        let flood = async { while talk.client.write_all(&framed(&chaos(1))).await.is_ok() {} };
        timeout(PATIENCE, flood).await.expect("the server stops reading and hangs up");
        assert!(
            talk.served.await.expect("no panic").is_err_and(|error| error.kind() == io::ErrorKind::TimedOut)
        );
    }

    #[tokio::test]
    async fn what_is_held_for_a_client_is_bounded() {
        let responder = Arc::new(Responder::new(&config()));
        let service = Service {
            cell: cell(),
            admission: Arc::new(Admission::new(1, 1, 1, Arc::clone(responder.rules()))),
            responder,
            idle: NEVER,
            write: NEVER,
            proxies: Arc::default(),
            primary: None,
            tally: Arc::default(),
        };
        let client = "192.0.2.1:1".parse().expect("an address");
        let mut connection = Connection::new(&service, client, Transport::Tcp);
        connection.incoming = framed(&chaos(1)).repeat(10_000);
        assert_eq!(connection.answer_frames(), Frames::Answered);
        assert!(connection.outgoing.len() <= OUTGOING_ENOUGH + 32);
        assert_eq!(connection.outgoing.len() + connection.incoming.len(), 320_000);
    }

    #[tokio::test]
    async fn a_close_waits_for_answers_but_not_for_queries() {
        let mut talk = talk(1 << 16, NEVER, NEVER);
        talk.send(&framed(&chaos(1))).await;
        assert_eq!(talk.receive(32).await, framed(&refusal(1)));
        talk.send(&[0]).await;
        talk.closing.send_replace(true);
        assert!(talk.rest().await.is_empty());
    }

    #[tokio::test]
    async fn whoever_has_just_connected_may_still_ask_when_the_listener_closes() {
        let mut talk = talk(1 << 16, NEVER, NEVER);
        talk.closing.send_replace(true);
        // The connection hears of it, and waits.
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        talk.send(&framed(&chaos(1))).await;
        assert_eq!(talk.rest().await, framed(&refusal(1)));
    }
}
