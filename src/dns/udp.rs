//! The hot path: one thread for each address and worker, with a socket of its own; the kernel spreads the
//! clients over them (`SO_REUSEPORT`). Nearly all the cost of a query is in the kernel, so what counts is
//! to enter it seldom: up to [`BATCH`] queries come in with one call, and their replies leave with one.
//!
//! ```text
//!   recvmmsg --> inbox --respond--> outbox --> sendmmsg          one snapshot for the whole batch
//!                `- peers, and the address each asked -'         (the latter for wildcard sockets only)
//! ```
//!
//! Whatever happens to one reply is no matter of the listener: it is counted, and the next one is sent.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, MultiHeaders, RecvMsg, SockaddrIn, SockaddrIn6, recvmmsg, sendmmsg};

use super::draw::{Draws, wall_clock};
use super::limits::{Kind, Limiter, Verdict};
use super::peer::Peer;
use super::primary::{Errand, Primary};
use super::proxy::{self, Origin, Proxies};
use super::respond::{Arrival, Reply, Responder, Transport};
use super::stats::{Stats, Tally};
use super::udp_plain;
use crate::snapshot::SnapshotCell;

/// One thread's part of an address.
#[derive(Debug)]
pub struct Worker {
    /// Bound; a receive that waits too long ends with `WouldBlock`, and so does a send.
    pub socket: UdpSocket,
    /// Bound to all addresses of the machine: replies must be told which one was asked.
    pub wildcard: bool,
    /// Writes the replies.
    pub responder: Arc<Responder>,
    /// What is answered from.
    pub cell: Arc<SnapshotCell>,
    /// Those whose datagrams start with the address of the client.
    pub proxies: Arc<Proxies>,
    /// Who sees to what is no query.
    pub primary: Option<Arc<Primary>>,
    /// Set when the worker is to end.
    pub stop: Arc<AtomicBool>,
    /// Where it counts.
    pub tally: Arc<Tally>,
}

impl Worker {
    /// Answers until it is told to stop, or the socket fails.
    pub fn run(self) -> io::Result<()> {
        match self.socket.local_addr()? {
            SocketAddr::V4(_) => self.run_for::<SockaddrIn>(),
            SocketAddr::V6(_) => self.run_for::<SockaddrIn6>(),
        }
    }

    fn run_for<P: Peer>(&self) -> io::Result<()> {
        match Batches::<P>::new(self).run() {
            Err(Errno::ENOSYS) => udp_plain::run::<P>(self),
            ended => ended.map_err(io::Error::from),
        }
    }

    /// A datagram's message and whose it is; `None`: a proxy's that does not say whose.
    #[inline]
    pub(super) fn unwrapped<'p>(&self, packet: &'p [u8], peer: SocketAddr) -> Option<(&'p [u8], SocketAddr)> {
        if !self.proxies.include(peer.ip()) {
            return Some((packet, peer));
        }
        match proxy::split_header(packet).ok()? {
            (Origin::Client(client), message) => Some((message, client)),
            (Origin::Proxy, message) => Some((message, peer)),
        }
    }

    /// Whether the worker is to end.
    pub(super) fn stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// Passes on the error of a receive that means the end of the socket; others mean that nothing came this
/// time.
pub(super) fn fatal(error: Errno) -> Result<(), Errno> {
    match error {
        // Quiet for as long as we wait, or a signal.
        Errno::EAGAIN | Errno::EINTR => Ok(()),
        // The kernel is short of memory for a datagram.
        Errno::ENOMEM | Errno::ENOBUFS => Ok(()),
        // A router's word about an earlier reply.
        Errno::ECONNREFUSED | Errno::EHOSTUNREACH | Errno::ENETUNREACH | Errno::EMSGSIZE => Ok(()),
        error => Err(error),
    }
}

/// The buffers of a worker, made once.
struct Batches<'w, P: Peer> {
    worker: &'w Worker,
    fd: RawFd,
    receiving: MultiHeaders<P>,
    sending: Sender<P>,
    inbox: Box<[u8]>,
    /// Octets of it for each datagram.
    stride: usize,
    draws: Draws,
    limiter: Limiter,
    counted: Stats,
    /// Replies that take longer than a batch, if there can be any.
    late: Option<Late<P>>,
}

/// Replies that take longer than a batch: whoever makes them sends them here.
struct Late<P: Peer> {
    tell: mpsc::Sender<LateReply<P>>,
    told: mpsc::Receiver<LateReply<P>>,
}

/// To whom, from which address of ours, and what.
type LateReply<P> = (P, Option<<P as Peer>::Local>, Vec<u8>);

impl<'w, P: Peer> Batches<'w, P> {
    fn new(worker: &'w Worker) -> Self {
        let fd = worker.socket.as_raw_fd();
        let stride = if worker.primary.is_some() { UPDATE_ROOM } else { QUERY_ROOM };
        Self {
            worker,
            fd,
            receiving: MultiHeaders::preallocate(BATCH, worker.wildcard.then(P::control_room)),
            sending: Sender::new(fd, worker.responder.udp_payload()),
            inbox: vec![0; BATCH * stride].into_boxed_slice(),
            stride,
            draws: Draws::seeded(),
            limiter: worker.responder.limiter(),
            counted: Stats::default(),
            late: worker.primary.is_some().then(|| {
                let (tell, told) = mpsc::channel();
                Late { tell, told }
            }),
        }
    }

    fn run(mut self) -> Result<(), Errno> {
        while !self.worker.stopping() {
            self.serve_batch(MsgFlags::MSG_WAITFORONE)?;
            self.send_late();
        }
        // What came before the stop is still answered.
        for _ in 0..LAST_BATCHES {
            if self.serve_batch(MsgFlags::MSG_DONTWAIT)? == 0 {
                break;
            }
        }
        Ok(())
    }

    /// Sends the replies that took longer than their batches.
    fn send_late(&mut self) {
        let Some(late) = &self.late else { return };
        let mut sent = false;
        for (peer, local, octets) in late.told.try_iter().take(BATCH) {
            let room = self.sending.room();
            if octets.len() <= room.len() {
                room[..octets.len()].copy_from_slice(&octets);
                self.sending.push(peer, local, octets.len());
                self.counted.count(Some(&Reply::of(&octets)));
                sent = true;
            }
        }
        if sent {
            self.counted.unsent += self.sending.send_all();
            self.worker.tally.add(&mut self.counted);
        }
    }

    /// Receives, answers and says how many queries that was.
    fn serve_batch(&mut self, flags: MsgFlags) -> Result<usize, Errno> {
        let Worker { responder, cell, tally, .. } = self.worker;
        let mut rooms = self.inbox.chunks_exact_mut(self.stride);
        let mut slices: [_; BATCH] =
            std::array::from_fn(|_| [IoSliceMut::new(rooms.next().unwrap_or_default())]);
        let messages = match recvmmsg(self.fd, &mut self.receiving, &mut slices, flags, None) {
            Ok(messages) => messages,
            Err(error) => return fatal(error).map(|()| 0),
        };
        let (snapshot, now) = (cell.load(), wall_clock());
        self.limiter.tick();
        let mut received = 0;
        for message in messages {
            received += 1;
            let (Some(peer), packet) = (message.address, message.iovs().next().unwrap_or_default()) else {
                continue;
            };
            let local = if self.worker.wildcard { asked_address(&message) } else { None };
            let Some((packet, client)) = self.worker.unwrapped(packet, peer.socket_addr()) else {
                self.counted.count(None);
                continue;
            };
            let (draw, room) = (self.draws.draw(), self.sending.room());
            let arrival = Arrival { packet, client, transport: Transport::Udp, draw, now };
            let reply = match (&self.worker.primary, &self.late) {
                (Some(primary), Some(late)) if primary.is_errand(packet) => {
                    match primary.run(&arrival, &snapshot, responder, || late.to(peer, local)) {
                        // Counted when its reply leaves.
                        Some(Errand::Later) => continue,
                        errand => done(errand, &arrival, &mut self.limiter, room),
                    }
                }
                _ => responder.respond(&arrival, Some(&mut self.limiter), &snapshot, room),
            };
            self.counted.count(reply.as_ref());
            if let Some(reply) = reply {
                self.sending.push(peer, local, reply.length);
            }
        }
        drop(snapshot);
        self.counted.unsent += self.sending.send_all();
        self.counted.batches += 1;
        self.counted.limited = std::mem::take(&mut self.limiter.counted);
        tally.add(&mut self.counted);
        Ok(received)
    }
}

/// The reply that an errand came to, unless too many errors are told already.
#[cold]
fn done(
    errand: Option<Errand>,
    arrival: &Arrival<'_>,
    limiter: &mut Limiter,
    room: &mut [u8],
) -> Option<Reply> {
    let Errand::Reply(octets) = errand? else { return None };
    let reply = Reply::of(&octets);
    let mut pass = || limiter.judge(Kind::Error, arrival.client.ip(), arrival.draw) == Verdict::Pass;
    if reply.length > room.len() || (reply.rcode != 0 && !pass()) {
        return None;
    }
    room[..octets.len()].copy_from_slice(&octets);
    Some(reply)
}

impl<P: Peer> Late<P> {
    /// Whoever has a reply for somebody later tells it so.
    fn to(&self, peer: P, local: Option<P::Local>) -> Box<dyn FnOnce(Vec<u8>) + Send> {
        let tell = self.tell.clone();
        Box::new(move |octets| {
            // The worker has ended: so has everything else.
            let _ = tell.send((peer, local, octets));
        })
    }
}

/// The address of ours that a datagram was sent to.
fn asked_address<P: Peer>(message: &RecvMsg<'_, '_, P>) -> Option<P::Local> {
    message.cmsgs().ok()?.find_map(P::local)
}

/// The replies of a batch, on their way out.
struct Sender<P: Peer> {
    fd: RawFd,
    plain: MultiHeaders<P>,
    /// For replies that say where they come from: their headers have room for it.
    with_local: MultiHeaders<P>,
    outbox: Box<[u8]>,
    /// From one reply to the next in the outbox.
    stride: usize,
    peers: Vec<Option<P>>,
    ways: Vec<(Option<P::Local>, usize)>,
}

impl<P: Peer> Sender<P> {
    fn new(fd: RawFd, reply_max: usize) -> Self {
        let stride = odd_lines(reply_max);
        Self {
            fd,
            plain: MultiHeaders::preallocate(BATCH, None),
            with_local: MultiHeaders::preallocate(BATCH, Some(P::control_room())),
            outbox: vec![0; BATCH * stride].into_boxed_slice(),
            stride,
            peers: Vec::with_capacity(BATCH),
            ways: Vec::with_capacity(BATCH),
        }
    }

    /// Where the next reply is written.
    #[inline]
    fn room(&mut self) -> &mut [u8] {
        let start = self.peers.len() * self.stride;
        &mut self.outbox[start..start + self.stride]
    }

    /// Keeps what was written there.
    #[inline]
    fn push(&mut self, peer: P, local: Option<P::Local>, length: usize) {
        self.peers.push(Some(peer));
        self.ways.push((local, length));
    }

    /// Sends all replies and says how many the system did not take.
    fn send_all(&mut self) -> u64 {
        let (mut from, mut unsent) = (0, 0);
        while from < self.peers.len() {
            let to = self.run_of_one_local(from);
            match self.send(from, to) {
                Ok(sent) => from += sent.max(1),
                Err(Errno::EINTR) => {}
                // The way out has been full for as long as we wait: clients ask again, nobody else waits.
                Err(Errno::EAGAIN) => {
                    unsent += (self.peers.len() - from) as u64;
                    break;
                }
                // This one cannot be sent; those behind it can.
                Err(_) => {
                    unsent += 1;
                    from += 1;
                }
            }
        }
        self.peers.clear();
        self.ways.clear();
        unsent
    }

    /// One call for the replies from `from` to before `to`; says how many of them went out.
    fn send(&mut self, from: usize, to: usize) -> Result<usize, Errno> {
        let mut slices = [[IoSlice::new(&[])]; BATCH];
        let rooms = self.outbox.chunks_exact(self.stride).skip(from);
        for ((slice, room), (_, length)) in slices.iter_mut().zip(rooms).zip(&self.ways[from..to]) {
            *slice = [IoSlice::new(&room[..*length])];
        }
        let (slices, peers) = (&slices[..to - from], &self.peers[from..to]);
        let sent = match &self.ways[from].0 {
            None => sendmmsg(self.fd, &mut self.plain, slices, peers, [], MsgFlags::empty())?.count(),
            Some(local) => {
                let control = [P::control(local)];
                sendmmsg(self.fd, &mut self.with_local, slices, peers, control, MsgFlags::empty())?.count()
            }
        };
        Ok(sent)
    }

    /// The end of the replies from `from` on that leave from one address: one call shares its control
    /// messages.
    fn run_of_one_local(&self, from: usize) -> usize {
        let first = &self.ways[from].0;
        let same = |(local, _): &&(Option<P::Local>, usize)| match (first, local) {
            (None, None) => true,
            (Some(one), Some(other)) => P::same(one, other),
            _ => false,
        };
        from + self.ways[from..].iter().take_while(same).count()
    }
}

/// Rounds up to an odd number of cache lines: were it a power of two, the starts of all packets would
/// share a few sets of the cache and push each other out.
const fn odd_lines(octets: usize) -> usize {
    (octets.div_ceil(LINE) | 1) * LINE
}

/// Datagrams moved by one system call at most.
pub const BATCH: usize = 64;
/// Room for one query; a longer one is cut and is malformed then.
pub const QUERY_ROOM: usize = odd_lines(4096);
/// Room for whatever a datagram can hold, where there may be updates: some programs send many records in one. What is
/// not written to takes no memory.
const UPDATE_ROOM: usize = odd_lines(u16::MAX as usize);
/// Batches that are still answered after a stop: enough for all that waits in the socket at that moment.
const LAST_BATCHES: usize = 64;
const LINE: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(address: SocketAddr) -> SockaddrIn {
        match address {
            SocketAddr::V4(address) => address.into(),
            SocketAddr::V6(_) => panic!("an IPv4 address"),
        }
    }

    #[test]
    fn a_reply_that_cannot_be_sent_does_not_keep_back_the_others() {
        let own = UdpSocket::bind("127.0.0.1:0").expect("loopback");
        let client = UdpSocket::bind("127.0.0.1:0").expect("loopback");
        client.set_read_timeout(Some(std::time::Duration::from_secs(20))).expect("a deadline");
        let good = peer(client.local_addr().expect("bound"));
        // A socket that did not ask for it may not broadcast.
        let bad = peer("127.255.255.255:9".parse().expect("an address"));
        let mut sender = Sender::<SockaddrIn>::new(own.as_raw_fd(), 512);
        for (number, to) in [bad, good, bad, bad, good, bad].into_iter().enumerate() {
            sender.room()[0] = number as u8;
            sender.push(to, None, 1);
        }
        assert_eq!(sender.send_all(), 4);
        let mut octets = [0; 16];
        for expected in [1, 4] {
            assert_eq!((client.recv(&mut octets).expect("a reply"), octets[0]), (1, expected));
        }
    }

    #[test]
    fn the_packets_of_a_batch_start_in_different_sets_of_the_cache() {
        for octets in [512, 1232, 4096] {
            let stride = odd_lines(octets);
            assert!(stride >= octets && stride.is_multiple_of(LINE) && !(stride / LINE).is_multiple_of(2));
        }
    }
}
