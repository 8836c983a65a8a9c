//! Asking a running server.

use std::io::{self, BufRead, BufReader, Write};
use std::ops::ControlFlow;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use crate::control::{Happened, Reply, Request};

/// Asks the server that listens on `socket`, and waits for what it says.
///
/// # Errors
/// `NotFound` or `ConnectionRefused` when no server runs there; otherwise what broke the conversation.
pub fn ask(socket: &Path, request: &Request) -> io::Result<Reply> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    let mut reply = String::new();
    BufReader::new(stream).read_line(&mut reply)?;
    Ok(serde_json::from_str(&reply)?)
}

/// Hands over what happens at the server that listens on `socket`, until it ends or `take` says it is enough.
///
/// # Errors
/// As [`ask`]. A server that stops is no error.
pub fn watch(socket: &Path, mut take: impl FnMut(Happened) -> ControlFlow<()>) -> io::Result<()> {
    let mut stream = UnixStream::connect(socket)?;
    let mut line = serde_json::to_vec(&Request::Watch)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    for line in BufReader::new(stream).lines() {
        if take(serde_json::from_str(&line?)?).is_break() {
            break;
        }
    }
    Ok(())
}

/// A server that says nothing for this long is taken for stuck. A reload of a large directory takes seconds.
const PATIENCE: Duration = Duration::from_secs(30);
