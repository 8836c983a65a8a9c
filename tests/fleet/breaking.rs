//! A link to a NATS server that breaks at the worst moment: what is published gets through, and no answer comes back.
//!
//! ```text
//!   client --HPUB subject--> link --> NATS server
//!   client <------ (nothing) link <-- the answer
//! ```

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::fleet::NATS_PORT;
use crate::ground::Host;

/// Opens one on a host, as an address for `[fleet] nats`. It breaks once; who connects again gets through.
pub fn link(from: &Host, nats: &Host, subject: &str) -> String {
    let listener = from.listen();
    let address = listener.local_addr().expect("it is bound");
    let (from, to) = (from.clone(), SocketAddr::from((nats.address, NATS_PORT)));
    let (published, breaks) = (format!("HPUB {subject} "), Arc::new(AtomicBool::new(true)));
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let Ok(server) = from.connect(to) else { return };
            let broken = Arc::new(AtomicBool::new(false));
            let (answers, asked) = (both(&server, &client), both(&client, &server));
            let (published, breaks, breaking) = (published.clone(), Arc::clone(&breaks), Arc::clone(&broken));
            thread::spawn(move || pass_on(answers, |_| !broken.load(Ordering::SeqCst)));
            thread::spawn(move || {
                let mut before = Vec::new();
                pass_on(asked, |bytes| {
                    before.extend_from_slice(bytes);
                    let found = before.windows(published.len()).any(|part| part == published.as_bytes());
                    if found && breaks.swap(false, Ordering::SeqCst) {
                        breaking.store(true, Ordering::SeqCst);
                    }
                    before.drain(..before.len().saturating_sub(published.len()));
                    true
                });
            });
        }
    });
    format!("nats://{address}")
}

fn both(from: &TcpStream, to: &TcpStream) -> (TcpStream, TcpStream) {
    let clone = |stream: &TcpStream| stream.try_clone().expect("it can be cloned");
    (clone(from), clone(to))
}

/// Passes on what should be, until one end is gone.
fn pass_on((mut from, mut to): (TcpStream, TcpStream), mut should: impl FnMut(&[u8]) -> bool) {
    let mut buffer = [0; 64 << 10];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        if should(&buffer[..read]) && to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
