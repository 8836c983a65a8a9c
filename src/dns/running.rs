//! Listeners at work: started, watched, counted and stopped together.

use std::any::Any;
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::admission::Admission;
use super::bind::{Bound, EncryptedPlace, Place};
use super::https::Https;
use super::proxy::Proxies;
use super::quic::QuicListener;
use super::respond::{Responder, Transport};
use super::stats::{Tally, Traffic};
use super::stream::{Listener, Service, Speech};
use super::udp::Worker;
use super::{Encrypted, tls};
use crate::dnssec::Figures;
use crate::snapshot::SnapshotCell;

/// Listeners at work. Dropped without [`Running::stop`], they end without finishing what they do.
#[derive(Debug)]
pub struct Running {
    failures: mpsc::UnboundedReceiver<io::Error>,
    reports: mpsc::UnboundedSender<io::Error>,
    stop: Arc<AtomicBool>,
    closing: watch::Sender<bool>,
    threads: Vec<JoinHandle<()>>,
    listeners: JoinSet<()>,
    /// All listeners of a transport count in one,
    tallies: Tallies,
    /// and each UDP thread in its own.
    udp_tallies: Vec<Arc<Tally>>,
    /// All sign through one.
    responder: Arc<Responder>,
}

#[derive(Debug, Default)]
struct Tallies {
    tcp: Arc<Tally>,
    tls: Arc<Tally>,
    https: Arc<Tally>,
    quic: Arc<Tally>,
}

impl Bound {
    /// Starts answering from the cell. Call inside a tokio runtime.
    pub fn serve(self, cell: Arc<SnapshotCell>) -> io::Result<Running> {
        let Bound { config, places, encrypted } = self;
        let responder = Arc::new(Responder::new(&config));
        let mut running = Running::new(Arc::clone(&responder));
        let service = Service {
            admission: Arc::new(Admission::new(
                config.tcp_connections,
                config.tcp_connections_per_client,
                config.tcp_connections_per_prefix,
                Arc::clone(responder.rules()),
            )),
            responder,
            cell,
            idle: config.tcp_idle,
            write: config.tcp_write,
            proxies: Arc::new(Proxies::new(&config.proxies)),
            primary: config.primary.clone(),
            tally: Arc::clone(&running.tallies.tcp),
        };
        for Place { address, tcp, udp } in places {
            for socket in udp {
                running.start_worker(address, socket, &service)?;
            }
            running.start_listener(tcp, Speech::Plain, &service)?;
        }
        if let Some(wanted) = config.encrypted {
            running.start_encrypted(encrypted, &wanted, &service)?;
        }
        Ok(running)
    }
}

impl Running {
    fn new(responder: Arc<Responder>) -> Self {
        let (reports, failures) = mpsc::unbounded_channel();
        Self {
            failures,
            reports,
            stop: Arc::default(),
            closing: watch::Sender::new(false),
            threads: Vec::new(),
            listeners: JoinSet::new(),
            tallies: Tallies::default(),
            udp_tallies: Vec::new(),
            responder,
        }
    }

    /// Waits until a listener ends, which none should: the error says which and why.
    pub async fn failed(&mut self) -> io::Error {
        self.failures.recv().await.unwrap_or_else(|| io::Error::other("no listener is left"))
    }

    /// What all listeners have counted so far.
    pub fn traffic(&self) -> Traffic {
        let mut traffic = Traffic::default();
        self.udp_tallies.iter().for_each(|tally| tally.add_to(&mut traffic.udp));
        self.tallies.tcp.add_to(&mut traffic.tcp);
        self.tallies.tls.add_to(&mut traffic.tls);
        self.tallies.https.add_to(&mut traffic.https);
        self.tallies.quic.add_to(&mut traffic.quic);
        traffic
    }

    /// What was signed so far.
    pub fn signatures(&self) -> Figures {
        self.responder.signatures()
    }

    /// Stops taking queries, answers what is in flight, returns when done, after [`STOP_WAIT`] at most.
    pub async fn stop(mut self) {
        self.tell_to_stop();
        let threads = std::mem::take(&mut self.threads);
        let mut listeners = std::mem::take(&mut self.listeners);
        let joined = tokio::task::spawn_blocking(|| {
            for thread in threads {
                // A panic was reported when it happened.
                let _ = thread.join();
            }
        });
        let streams = async { while listeners.join_next().await.is_some() {} };
        let all = async { tokio::join!(joined, streams) };
        if timeout(STOP_WAIT, all).await.is_err() {
            tracing::warn!("some clients did not take their answers in time; leaving without them");
        }
    }

    fn tell_to_stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
        self.closing.send_replace(true);
    }

    fn start_worker(&mut self, address: SocketAddr, socket: UdpSocket, service: &Service) -> io::Result<()> {
        let tally = Arc::<Tally>::default();
        let worker = Worker {
            socket,
            wildcard: address.ip().is_unspecified(),
            responder: Arc::clone(&service.responder),
            cell: Arc::clone(&service.cell),
            proxies: Arc::clone(&service.proxies),
            primary: service.primary.clone(),
            stop: Arc::clone(&self.stop),
            tally: Arc::clone(&tally),
        };
        let reports = self.reports.clone();
        let work = move || {
            let ended = catch_unwind(AssertUnwindSafe(|| worker.run()));
            if let Err(error) = ended.unwrap_or_else(|panic| Err(io::Error::other(words_of(&*panic)))) {
                report(&reports, "UDP", address, &error);
            }
        };
        let name = format!("udp-{}", self.threads.len());
        self.threads.push(thread::Builder::new().name(name).spawn(work)?);
        self.udp_tallies.push(tally);
        Ok(())
    }

    fn start_encrypted(
        &mut self,
        places: Vec<EncryptedPlace>,
        wanted: &Encrypted,
        service: &Service,
    ) -> io::Result<()> {
        let Encrypted { identity, https_path, .. } = wanted;
        let tls = Speech::Tls(tls::for_dns(identity)?.into());
        let https = Https { acceptor: tls::for_https(identity)?.into(), path: https_path.as_str().into() };
        let counting = |tally: &Arc<Tally>| Service { tally: Arc::clone(tally), ..service.clone() };
        for place in places {
            match place {
                EncryptedPlace::Tls(tcp) => {
                    self.start_listener(tcp, tls.clone(), &counting(&self.tallies.tls))?;
                }
                EncryptedPlace::Https(tcp) => {
                    let speech = Speech::Https(https.clone());
                    self.start_listener(tcp, speech, &counting(&self.tallies.https))?;
                }
                EncryptedPlace::Quic(udp) => {
                    let (address, closing) = (udp.local_addr()?, self.closing.subscribe());
                    let service = Arc::new(counting(&self.tallies.quic));
                    let listener = QuicListener::new(udp, identity, service, closing)?;
                    self.keep_listening(Transport::Quic, address, listener.run());
                }
            }
        }
        Ok(())
    }

    fn start_listener(&mut self, tcp: TcpListener, speech: Speech, service: &Service) -> io::Result<()> {
        let (address, transport) = (tcp.local_addr()?, speech.transport());
        let (tcp, closing) = (tokio::net::TcpListener::from_std(tcp)?, self.closing.subscribe());
        let listener = Listener { tcp, address, speech, service: Arc::new(service.clone()), closing };
        self.keep_listening(transport, address, listener.run());
        Ok(())
    }

    /// Runs a listener, and tells how it ended if that is not because it was told to.
    fn keep_listening(
        &mut self,
        transport: Transport,
        address: SocketAddr,
        listener: impl Future<Output = io::Result<()>> + Send + 'static,
    ) {
        let reports = self.reports.clone();
        self.listeners.spawn(async move {
            // A task of its own, so that its panic is heard of here.
            let mut listening = JoinSet::new();
            listening.spawn(listener);
            match listening.join_next().await {
                Some(Ok(Ok(()))) | None => {}
                Some(Ok(Err(error))) => report(&reports, transport.name(), address, &error),
                Some(Err(error)) => report(&reports, transport.name(), address, &io::Error::other(error)),
            }
        });
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.tell_to_stop();
    }
}

fn report(
    reports: &mpsc::UnboundedSender<io::Error>,
    protocol: &str,
    address: SocketAddr,
    error: &io::Error,
) {
    let text = format!("the {protocol} listener on {address} ended: {error}");
    // Nobody listens any more: the process is on its way out.
    let _ = reports.send(io::Error::new(error.kind(), text));
}

/// What a panic said.
fn words_of(panic: &(dyn Any + Send)) -> String {
    let words = panic.downcast_ref::<&str>().copied();
    let words = words.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("it panicked: {}", words.unwrap_or("without a word"))
}

/// A stop waits this long for clients to take their answers.
const STOP_WAIT: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{Ipv4Addr, TcpStream};

    use nix::sys::socket::SockaddrIn;
    use tokio::runtime::Runtime;

    use super::*;
    use crate::dns::tests::{cell, chaos, config, refusal};
    use crate::dns::udp_plain;
    use crate::dns::{Config, Stats};

    /// What a test waits for something that must happen.
    const PATIENCE: Duration = Duration::from_secs(20);

    /// A server on loopback, and the runtime that its streams live in.
    struct Server {
        runtime: Runtime,
        running: Running,
        addresses: Vec<SocketAddr>,
    }

    impl Server {
        fn start(config: Config) -> Self {
            let runtime = Runtime::new().expect("a runtime");
            let bound = Bound::bind(config).expect("loopback can be bound");
            let addresses = bound.addresses();
            let running = {
                let _inside = runtime.enter();
                bound.serve(cell()).expect("threads can be started")
            };
            Self { runtime, running, addresses }
        }

        fn on(listen: &str) -> Self {
            Self::start(Config { listen: vec![listen.parse().expect("an address")], ..config() })
        }

        fn port(&self) -> u16 {
            self.addresses[0].port()
        }

        fn stop(self) {
            self.runtime.block_on(self.running.stop());
        }
    }

    /// A socket that only hears from `server`.
    fn client(own: &str, server: SocketAddr) -> UdpSocket {
        let socket = UdpSocket::bind(own).expect("a socket");
        socket.connect(server).expect("loopback");
        socket.set_read_timeout(Some(PATIENCE)).expect("a deadline");
        socket
    }

    fn receive(socket: &UdpSocket) -> Vec<u8> {
        let mut octets = vec![0; 4096];
        let length = socket.recv(&mut octets).expect("a reply");
        octets.truncate(length);
        octets
    }

    fn connect(server: SocketAddr) -> TcpStream {
        let stream = TcpStream::connect(server).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a deadline");
        stream
    }

    fn ask(stream: &mut TcpStream, id: u16) -> io::Result<Vec<u8>> {
        let packet = chaos(id);
        stream.write_all(&[&(packet.len() as u16).to_be_bytes(), &packet[..]].concat())?;
        let mut length = [0; 2];
        stream.read_exact(&mut length)?;
        let mut octets = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut octets)?;
        Ok(octets)
    }

    #[test]
    fn many_queries_over_udp_are_answered_each_to_its_client() {
        let server = Server::start(Config { workers: 2, ..config() });
        let clients: Vec<_> = (0..4).map(|_| client("127.0.0.1:0", server.addresses[0])).collect();
        for id in 0..50 {
            for (index, client) in clients.iter().enumerate() {
                client.send(&chaos(100 * index as u16 + id)).expect("loopback");
            }
        }
        for (index, client) in clients.iter().enumerate() {
            let mut ids: Vec<_> = (0..50).map(|_| receive(client)).collect();
            ids.sort();
            assert_eq!(ids, (0..50).map(|id| refusal(100 * index as u16 + id)).collect::<Vec<_>>());
        }
        server.stop();
    }

    #[test]
    fn ipv6_is_served_like_ipv4_over_udp_and_tcp() {
        let server = Server::on("[::1]:0");
        let client = client("[::1]:0", server.addresses[0]);
        client.send(&chaos(1)).expect("loopback");
        assert_eq!(receive(&client), refusal(1));
        assert_eq!(ask(&mut connect(server.addresses[0]), 2).expect("a reply"), refusal(2));
        server.stop();
    }

    #[test]
    fn a_reply_comes_from_the_address_that_was_asked() {
        let server = Server::on("0.0.0.0:0");
        let clients: Vec<_> = (1..=3)
            .map(|host| client("127.0.0.1:0", (Ipv4Addr::new(127, 0, 0, host), server.port()).into()))
            .collect();
        for id in 0..20 {
            clients.iter().for_each(|client| assert!(client.send(&chaos(id)).is_ok()));
        }
        for client in &clients {
            let mut replies: Vec<_> = (0..20).map(|_| receive(client)).collect();
            replies.sort();
            assert_eq!(replies, (0..20).map(refusal).collect::<Vec<_>>());
        }
        server.stop();
    }

    #[test]
    fn both_wildcards_can_share_a_port() {
        let first = Server::on("0.0.0.0:0");
        let second = Server::on(&format!("[::]:{}", first.port()));
        for (own, server) in [("127.0.0.1:0", "127.0.0.1"), ("[::1]:0", "::1")] {
            let client = client(own, SocketAddr::new(server.parse().expect("an address"), first.port()));
            client.send(&chaos(1)).expect("loopback");
            assert_eq!(receive(&client), refusal(1));
        }
        first.stop();
        second.stop();
    }

    #[test]
    fn one_at_a_time_serves_where_batches_cannot() {
        for listen in ["127.0.0.1:0", "0.0.0.0:0"] {
            let bound = Bound::bind(Config { listen: vec![listen.parse().expect("an address")], ..config() });
            let Bound { config, mut places, .. } = bound.expect("loopback can be bound");
            let place = places.pop().expect("one address");
            let worker = Worker {
                socket: place.udp.into_iter().next().expect("one worker"),
                wildcard: place.address.ip().is_unspecified(),
                responder: Arc::new(Responder::new(&config)),
                cell: cell(),
                proxies: Arc::default(),
                primary: None,
                stop: Arc::default(),
                tally: Arc::default(),
            };
            let (stop, tally) = (Arc::clone(&worker.stop), Arc::clone(&worker.tally));
            let thread = thread::spawn(move || udp_plain::run::<SockaddrIn>(&worker));
            let client = client("127.0.0.1:0", (Ipv4Addr::new(127, 0, 0, 1), place.address.port()).into());
            client.send(b"runt").expect("loopback");
            client.send(&chaos(3)).expect("loopback");
            assert_eq!(receive(&client), refusal(3));
            stop.store(true, Ordering::Relaxed);
            thread.join().expect("no panic").expect("no error");
            let mut stats = Stats::default();
            tally.add_to(&mut stats);
            assert_eq!((stats.queries, stats.answered(), stats.silenced), (2, 1, 1));
        }
    }

    #[test]
    fn responses_and_runts_get_no_reply_and_are_counted() {
        let server = Server::on("127.0.0.1:0");
        let client = client("127.0.0.1:0", server.addresses[0]);
        for packet in [&b""[..], b"runt", &refusal(1), &chaos(2)] {
            client.send(packet).expect("loopback");
        }
        assert_eq!(receive(&client), refusal(2));
        let Server { runtime, mut running, .. } = server;
        // A worker adds up after it has sent: only once it has ended is all of it there.
        running.tell_to_stop();
        running.threads.drain(..).for_each(|thread| thread.join().expect("no panic"));
        let stats = running.traffic().udp;
        assert_eq!((stats.queries, stats.silenced, stats.answered(), stats.replies[5]), (4, 3, 1, 1));
        runtime.block_on(running.stop());
    }

    #[test]
    fn a_client_over_its_cap_is_turned_away_until_a_connection_ends() {
        let server = Server::start(Config { tcp_connections_per_client: 2, ..config() });
        let address = server.addresses[0];
        let (mut first, mut second) = (connect(address), connect(address));
        assert!(ask(&mut first, 1).is_ok() && ask(&mut second, 2).is_ok());
        assert!(ask(&mut connect(address), 3).is_err());
        drop(first);
        let again = (0..).find_map(|id| ask(&mut connect(address), id).ok());
        assert!(again.is_some());
        assert!(server.running.traffic().tcp.connections_refused >= 1);
        server.stop();
    }

    #[test]
    fn a_stop_ends_idle_connections() {
        let server = Server::on("127.0.0.1:0");
        let address = server.addresses[0];
        let mut idle = connect(address);
        assert!(ask(&mut idle, 1).is_ok());
        server.stop();
        assert_eq!(idle.read(&mut [0; 1]).expect("an end"), 0);
    }

    #[test]
    fn what_was_asked_before_a_stop_is_answered_over_udp_and_tcp() {
        let server = Server::start(Config { workers: 2, ..config() });
        let address = server.addresses[0];
        let client = client("127.0.0.1:0", address);
        // Connected, and perhaps not even accepted yet.
        let mut streams: Vec<_> = (0..20).map(|_| connect(address)).collect();
        for id in 0..100 {
            client.send(&chaos(id)).expect("loopback");
        }
        for (id, stream) in streams.iter_mut().enumerate() {
            let packet = chaos(id as u16);
            stream.write_all(&[&[0, packet.len() as u8], &packet[..]].concat()).expect("loopback");
        }
        server.stop();
        let mut replies: Vec<_> = (0..100).map(|_| receive(&client)).collect();
        replies.sort();
        assert_eq!(replies, (0..100).map(refusal).collect::<Vec<_>>());
        for (id, stream) in streams.iter_mut().enumerate() {
            let mut reply = Vec::new();
            stream.read_to_end(&mut reply).expect("an end after the reply");
            assert_eq!(reply[2..], refusal(id as u16));
        }
    }

    #[test]
    fn a_listener_that_ends_is_heard_of() {
        let mut server = Server::on("127.0.0.1:0");
        let why = io::Error::other("it panicked: so there");
        report(&server.running.reports, "UDP", server.addresses[0], &why);
        let heard = server.runtime.block_on(async { timeout(PATIENCE, server.running.failed()).await });
        let expected = format!("the UDP listener on {} ended: it panicked: so there", server.addresses[0]);
        assert_eq!(heard.expect("in time").to_string(), expected);
        server.stop();
    }

    #[test]
    fn the_words_of_a_panic_are_kept() {
        let panic = catch_unwind(|| panic!("so {}", "there")).expect_err("a panic");
        assert_eq!(words_of(&*panic), "it panicked: so there");
    }
}
