//! One datagram at a time, where the kernel has no `recvmmsg`.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recvmsg, sendmsg};

use super::draw::{Draws, wall_clock};
use super::limits::Limiter;
use super::peer::Peer;
use super::respond::{Arrival, Transport};
use super::stats::Stats;
use super::udp::{QUERY_ROOM, Worker, fatal};

/// Answers until the worker is told to stop, or its socket fails.
pub fn run<P: Peer>(worker: &Worker) -> io::Result<()> {
    let mut query = vec![0; QUERY_ROOM];
    let mut reply = vec![0; worker.responder.udp_payload()];
    let mut control = P::control_room();
    let mut draws = Draws::seeded();
    let mut limiter = worker.responder.limiter();
    while !worker.stopping() {
        let mut counted = Stats { batches: 1, ..Stats::default() };
        let rooms = (&mut query[..], &mut reply[..], &mut control[..]);
        match serve_one::<P>(worker, &mut limiter, rooms, draws.draw(), &mut counted) {
            Ok(()) => {
                counted.limited = std::mem::take(&mut limiter.counted);
                worker.tally.add(&mut counted);
            }
            Err(error) => fatal(error)?,
        }
    }
    Ok(())
}

/// Receives one query and answers it.
fn serve_one<P: Peer>(
    worker: &Worker,
    limiter: &mut Limiter,
    (query, reply, control): (&mut [u8], &mut [u8], &mut [u8]),
    draw: u64,
    counted: &mut Stats,
) -> Result<(), Errno> {
    let fd = worker.socket.as_raw_fd();
    let mut room = [IoSliceMut::new(query)];
    let message = recvmsg::<P>(fd, &mut room, Some(control), MsgFlags::empty())?;
    let local = if worker.wildcard { message.cmsgs()?.find_map(P::local) } else { None };
    let (peer, length) = (message.address, message.bytes);
    let Some(peer) = peer else { return Ok(()) };
    let Some((packet, client)) = worker.unwrapped(&query[..length], peer.socket_addr()) else {
        counted.count(None);
        return Ok(());
    };
    let snapshot = worker.cell.load();
    limiter.tick();
    let arrival = Arrival { packet, client, transport: Transport::Udp, draw, now: wall_clock() };
    let written = worker.responder.respond(&arrival, Some(limiter), &snapshot, reply);
    drop(snapshot);
    counted.count(written.as_ref());
    if let Some(written) = written {
        let slices = [IoSlice::new(&reply[..written.length])];
        let from = local.as_ref().map(P::control);
        let sent = sendmsg(fd, &slices, from.as_slice(), MsgFlags::empty(), Some(&peer));
        counted.unsent += u64::from(sent.is_err());
    }
    Ok(())
}
