//! Listeners at work: started, watched, counted and stopped together.

use std::any::Any;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::admission::Admission;
use super::bind::{Bound, Place};
use super::respond::Responder;
use super::stats::{Stats, Tally};
use super::stream::{Listener, Service};
use super::udp::Worker;
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
    tallies: Vec<Arc<Tally>>,
}

impl Bound {
    /// Starts answering from the cell. Call inside a tokio runtime.
    pub fn serve(self, cell: Arc<SnapshotCell>) -> io::Result<Running> {
        let Bound { config, places } = self;
        let responder = Arc::new(Responder::new(&config));
        let service = Arc::new(Service {
            responder: Arc::clone(&responder),
            cell: Arc::clone(&cell),
            admission: Arc::new(Admission::new(config.tcp_connections, config.tcp_connections_per_client)),
            idle: config.tcp_idle,
            write: config.tcp_write,
            tally: Arc::default(),
        });
        let mut running = Running::new(Arc::clone(&service.tally));
        for Place { address, tcp, udp } in places {
            for socket in udp {
                running.start_worker(address, socket, &responder, &cell)?;
            }
            running.start_listener(address, tokio::net::TcpListener::from_std(tcp)?, &service);
        }
        Ok(running)
    }
}

impl Running {
    fn new(tally: Arc<Tally>) -> Self {
        let (reports, failures) = mpsc::unbounded_channel();
        Self {
            failures,
            reports,
            stop: Arc::default(),
            closing: watch::Sender::new(false),
            threads: Vec::new(),
            listeners: JoinSet::new(),
            tallies: vec![tally],
        }
    }

    /// Waits until a listener ends, which none should: the error says which and why.
    pub async fn failed(&mut self) -> io::Error {
        self.failures.recv().await.unwrap_or_else(|| io::Error::other("no listener is left"))
    }

    /// What all listeners have counted so far.
    pub fn stats(&self) -> Stats {
        let mut sum = Stats::default();
        self.tallies.iter().for_each(|tally| tally.add_to(&mut sum));
        sum
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

    fn start_worker(
        &mut self,
        address: SocketAddr,
        socket: UdpSocket,
        responder: &Arc<Responder>,
        cell: &Arc<SnapshotCell>,
    ) -> io::Result<()> {
        let tally = Arc::<Tally>::default();
        let worker = Worker {
            socket,
            wildcard: address.ip().is_unspecified(),
            responder: Arc::clone(responder),
            cell: Arc::clone(cell),
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
        self.tallies.push(tally);
        Ok(())
    }

    fn start_listener(&mut self, address: SocketAddr, tcp: tokio::net::TcpListener, service: &Arc<Service>) {
        let listener =
            Listener { tcp, address, service: Arc::clone(service), closing: self.closing.subscribe() };
        let reports = self.reports.clone();
        self.listeners.spawn(async move {
            // A task of its own, so that its panic is heard of here.
            let mut listening = JoinSet::new();
            listening.spawn(listener.run());
            match listening.join_next().await {
                Some(Ok(Ok(()))) | None => {}
                Some(Ok(Err(error))) => report(&reports, "TCP", address, &error),
                Some(Err(error)) => report(&reports, "TCP", address, &io::Error::other(error)),
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
