//! The server's side of the local socket.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout;

use crate::control::{Happened, REQUEST_MAX, Reply, Request};

/// A request and where its reply goes.
#[derive(Debug)]
pub struct Call {
    /// What is asked.
    pub request: Request,
    /// To be answered once.
    pub reply: oneshot::Sender<Reply>,
}

/// The socket, open.
#[derive(Debug)]
pub struct Listener {
    listener: UnixListener,
    path: PathBuf,
}

impl Listener {
    /// Opens the socket, for its owner only. One left over by a server that died is replaced; one on which
    /// a server answers is not.
    ///
    /// # Errors
    /// `AddrInUse` when a server listens there; otherwise what the file system says.
    pub fn open(path: &Path) -> io::Result<Self> {
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory)?;
        }
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            let message = format!("another server listens on {}", path.display());
            return Err(io::Error::new(io::ErrorKind::AddrInUse, message));
        }
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        Ok(Self { listener, path: path.to_owned() })
    }

    /// Passes requests on to `calls` until nobody takes them any more, and what happens to those who watch.
    pub async fn serve(self, calls: mpsc::Sender<Call>, happening: broadcast::Sender<Arc<Happened>>) {
        let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            let place = tokio::select! {
                place = Arc::clone(&room).acquire_owned() => place,
                () = calls.closed() => return,
            };
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = calls.closed() => return,
            };
            let Ok((stream, _)) = accepted else {
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            };
            let (calls, happening) = (calls.clone(), happening.clone());
            tokio::spawn(async move {
                let _place = place;
                let talk = timeout(CONVERSATION_MAX, converse(stream, calls)).await;
                if let Ok(Ok(Some(watcher))) = talk {
                    let _ = tell(watcher, happening.subscribe()).await;
                }
            });
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Answers requests until the asker leaves, or wants to watch.
async fn converse(mut stream: UnixStream, calls: mpsc::Sender<Call>) -> io::Result<Option<UnixStream>> {
    let (read, mut write) = stream.split();
    let mut read = BufReader::new(read.take(REQUEST_MAX));
    let mut line = String::new();
    while read.read_line(&mut line).await? > 0 {
        let reply = match serde_json::from_str(&line) {
            Ok(Request::Watch) => return Ok(Some(stream)),
            Ok(request) => call(request, &calls).await,
            Err(error) => Reply::failed(format!("this is no request: {error}")),
        };
        let mut text = serde_json::to_vec(&reply)?;
        text.push(b'\n');
        write.write_all(&text).await?;
        line.clear();
        read.get_mut().set_limit(REQUEST_MAX);
    }
    Ok(None)
}

/// Tells a watcher what happens until it leaves, says something more, or the server stops. One that is too slow is
/// told how much it missed.
async fn tell(mut watcher: UnixStream, mut happening: broadcast::Receiver<Arc<Happened>>) -> io::Result<()> {
    let mut said = [0];
    let mut line = note("watching", "from here on, what happens");
    loop {
        timeout(WRITE_MAX, watcher.write_all(&[line.as_slice(), b"\n"].concat())).await??;
        line = tokio::select! {
            _ = watcher.read(&mut said) => return Ok(()),
            happened = happening.recv() => match happened {
                Ok(happened) => serde_json::to_vec(&*happened)?,
                Err(RecvError::Lagged(missed)) => {
                    note("missed", &format!("{missed} lines were missed: they came too fast to be taken"))
                }
                Err(RecvError::Closed) => return Ok(()),
            },
        };
    }
}

/// A line that is about the watching itself, and of no moment.
fn note(event: &str, text: &str) -> Vec<u8> {
    serde_json::json!({ "at": 0, "text": text, "data": { "event": event } }).to_string().into_bytes()
}

/// Asks whoever serves, and waits.
pub(super) async fn call(request: Request, calls: &mpsc::Sender<Call>) -> Reply {
    let (reply, answer) = oneshot::channel();
    if calls.send(Call { request, reply }).await.is_err() {
        return Reply::failed("the server is stopping");
    }
    answer.await.unwrap_or_else(|_| Reply::failed("the server is stopping"))
}

/// More conversations at once wait for their turn.
const CONNECTIONS_MAX: usize = 16;

/// A conversation that takes longer is cut off.
const CONVERSATION_MAX: Duration = Duration::from_secs(60);

/// A watcher that takes nothing for this long is let go.
const WRITE_MAX: Duration = Duration::from_secs(10);

/// When descriptors run out, accepting pauses this long instead of spinning.
pub(super) const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use super::*;
    use std::ops::ControlFlow;

    use crate::control::{ask, watch};

    async fn echo_server(path: &Path) -> tokio::task::JoinHandle<()> {
        let listener = Listener::open(path).expect("opened");
        let (calls, mut taken) = mpsc::channel(1);
        tokio::spawn(listener.serve(calls, broadcast::channel(1).0));
        tokio::spawn(async move {
            while let Some(Call { request, reply }) = taken.recv().await {
                let _ = reply.send(Reply::said(format!("{request:?}")));
            }
        })
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_request_comes_back_as_its_reply() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("state/windrose.sock");
        let server = echo_server(&path).await;
        let asked = tokio::task::spawn_blocking({
            let path = path.clone();
            move || ask(&path, &Request::Status)
        });
        assert_eq!(asked.await.expect("ran").expect("asked"), Reply::said("Status"));
        let second = Listener::open(&path).expect_err("one is enough");
        assert_eq!(second.kind(), io::ErrorKind::AddrInUse);
        server.abort();
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn rubbish_is_refused_and_the_conversation_goes_on() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("windrose.sock");
        let _server = echo_server(&path).await;
        let stream = UnixStream::connect(&path).await.expect("connected");
        let (read, mut write) = stream.into_split();
        let mut lines = BufReader::new(read).lines();
        write.write_all(b"{\"explode\":1}\n\"status\"\n").await.expect("written");
        let first = lines.next_line().await.expect("read").expect("a line");
        assert!(first.contains("this is no request"), "{first}");
        let second = lines.next_line().await.expect("read").expect("a line");
        assert!(second.contains("Status"), "{second}");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_watcher_hears_what_happens_and_the_end_of_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("windrose.sock");
        let listener = Listener::open(&path).expect("opened");
        let (calls, _taken) = mpsc::channel(1);
        let happening = broadcast::channel(16).0;
        tokio::spawn(listener.serve(calls, happening.clone()));
        let watching = tokio::task::spawn_blocking(move || {
            let mut heard = Vec::new();
            let take = |happened: Happened| {
                heard.push(happened.text);
                if heard.len() == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            };
            watch(&path, take).map(|()| heard)
        });
        while happening.receiver_count() == 0 {
            tokio::task::yield_now().await;
        }
        for text in ["one", "two", "three"] {
            let happened = Happened { at: 1, text: text.into(), data: serde_json::Value::Null };
            let _ = happening.send(Arc::new(happened));
        }
        assert_eq!(
            watching.await.expect("ran").expect("watched"),
            ["from here on, what happens", "one", "two"]
        );
    }

    #[test]
    fn a_socket_left_over_is_replaced() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("windrose.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).expect("bound"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let _guard = runtime.enter();
        let listener = Listener::open(&path).expect("replaced");
        drop(listener);
        assert!(!path.exists(), "tidied up");
    }
}
