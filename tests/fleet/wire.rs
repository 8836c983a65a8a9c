//! The wire between two hosts where no packet can be dropped: on loopback what may have to be cut goes through here.
//!
//! ```text
//!   eu-server --connects--> 127.88.1.1:port --copied, while it is whole--> 127.88.2.4:4222 us-nats
//! ```
//!
//! While it is cut nothing passes, not even the end of a connection: what was sent waits, as it would be sent again.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;

/// From one host to a port of another. Its threads end with the process.
pub struct Wire {
    address: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    cut: Mutex<bool>,
    mended: Condvar,
}

impl Wire {
    /// For the host of this address, to that one.
    pub fn new(from: Ipv4Addr, to: SocketAddr) -> Self {
        let listener = TcpListener::bind((from, 0)).expect("there is a free port");
        let address = listener.local_addr().expect("it is bound");
        let state = Arc::<State>::default();
        let carrying = Arc::clone(&state);
        thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let state = Arc::clone(&carrying);
                thread::spawn(move || state.join(near, to));
            }
        });
        Self { address, state }
    }

    /// Where the host finds what is at its other end.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Cuts or mends it.
    pub fn set_cut(&self, cut: bool) {
        *self.state.cut.lock().unwrap_or_else(PoisonError::into_inner) = cut;
        self.state.mended.notify_all();
    }
}

impl State {
    /// Joins a connection to another; where nobody listens it ends.
    fn join(self: Arc<Self>, near: TcpStream, to: SocketAddr) {
        self.wait();
        let Ok(far) = TcpStream::connect(to) else { return };
        let (Ok(from_far), Ok(to_near)) = (far.try_clone(), near.try_clone()) else { return };
        let back = Arc::clone(&self);
        thread::spawn(move || back.carry(from_far, to_near));
        self.carry(near, far);
    }

    fn carry(&self, mut from: TcpStream, mut to: TcpStream) {
        let mut octets = [0; 16 * 1024];
        loop {
            let read = from.read(&mut octets).unwrap_or(0);
            self.wait();
            if read == 0 || to.write_all(&octets[..read]).is_err() {
                let _ = to.shutdown(Shutdown::Write);
                let _ = from.shutdown(Shutdown::Read);
                return;
            }
        }
    }

    /// Until it is whole.
    fn wait(&self) {
        let cut = self.cut.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.mended.wait_while(cut, |cut| *cut));
    }
}
