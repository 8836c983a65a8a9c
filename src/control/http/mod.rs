//! The ports that talk HTTP: one for monitoring systems, which only read ([`pages`]), and one for applications, which
//! say that they live ([`beats`]).
//!
//! ```text
//!   accept --a place, of so many--> one request --> one reply, closed
//! ```
//!
//! A connection carries one exchange, and is cut off when that takes too long.

mod beats;
mod pages;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;

use super::server::{ACCEPT_PAUSE, Call};
pub use beats::{BeatKey, Refused};
use beats::{Door, Feed};
use pages::Pages;

/// A port, open.
#[derive(Debug)]
pub struct HttpListener {
    listener: TcpListener,
    address: SocketAddr,
}

impl HttpListener {
    /// Opens the port.
    ///
    /// # Errors
    /// What the system says: the address is taken, or not this machine's.
    pub async fn open(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        Ok(Self { address: listener.local_addr()?, listener })
    }

    /// Where it listens: with the port that the system chose, if it was to choose.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Passes on to `calls` what monitoring systems ask for, until nobody takes them any more.
    pub async fn show_pages(self, calls: mpsc::Sender<Call>) {
        let pages = Arc::new(Pages::new(calls.clone()));
        let reply = move |request| {
            let pages = Arc::clone(&pages);
            async move { pages.reply(&request).await }
        };
        self.answer(PAGES_AT_ONCE, reply, calls.closed()).await;
    }

    /// Passes on to `feed` the beats of applications, those who say the key if there is one, for ever.
    pub async fn take_beats(self, key: Option<BeatKey>, feed: impl Feed) {
        let door = Arc::new(Door::new(key, feed));
        let reply = move |request| {
            let door = Arc::clone(&door);
            async move { door.reply(request).await }
        };
        self.answer(BEATS_AT_ONCE, reply, std::future::pending()).await;
    }

    /// Answers, so many at once, until it is over.
    async fn answer<F, R>(self, at_once: usize, reply: F, over: impl Future<Output = ()>)
    where
        F: Fn(hyper::Request<Incoming>) -> R + Clone + Send + Sync + 'static,
        R: Future<Output = Response<Full<Bytes>>> + Send + 'static,
    {
        let room = Arc::new(Semaphore::new(at_once));
        let mut over = pin!(over);
        loop {
            let place = tokio::select! {
                place = Arc::clone(&room).acquire_owned() => place,
                () = &mut over => return,
            };
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = &mut over => return,
            };
            let Ok((stream, _)) = accepted else {
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            };
            let reply = reply.clone();
            tokio::spawn(async move {
                let _place = place;
                // Whoever is too slow, or talks something else, is let go.
                let _ = timeout(EXCHANGE_MAX, exchange(stream, reply)).await;
            });
        }
    }
}

/// One request, one reply. That the asker has said its last does not end it: what is asked is asked to the end,
/// and kept for the next.
async fn exchange<F, R>(stream: TcpStream, reply: F) -> hyper::Result<()>
where
    F: Fn(hyper::Request<Incoming>) -> R,
    R: Future<Output = Response<Full<Bytes>>>,
{
    let service = service_fn(move |request| {
        let reply = reply(request);
        async move { Ok::<_, Infallible>(reply.await) }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_WAIT)
        .max_buf_size(HEADER_MAX)
        .max_headers(HEADERS_MAX)
        .keep_alive(false)
        .half_close(true)
        .serve_connection(TokioIo::new(stream), service)
        .await
}

fn plain(status: StatusCode, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    response(status, TEXT, text.into())
}

/// For another method than those that there are.
fn not_allowed(methods: &'static str, text: &'static str) -> Response<Full<Bytes>> {
    let mut refused = plain(StatusCode::METHOD_NOT_ALLOWED, text);
    refused.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
    refused
}

fn response(status: StatusCode, kind: HeaderValue, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// More monitoring systems at once wait for their turn, outside.
const PAGES_AT_ONCE: usize = 32;

/// More applications at once wait for their turn, outside: a beat that waits for long is a silence, so there is room
/// for some who say nothing.
const BEATS_AT_ONCE: usize = 256;

/// A longer head is refused (431), as is one of more lines than [`HEADERS_MAX`].
const HEADER_MAX: usize = 8 * 1024;
const HEADERS_MAX: usize = 64;

/// Who has not sent a whole head by then is let go.
const HEADER_WAIT: Duration = Duration::from_secs(3);

/// An exchange that takes longer is cut off, whoever is to blame.
const EXCHANGE_MAX: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// What comes back for these bytes.
    pub(super) async fn say(address: SocketAddr, said: &[u8]) -> String {
        let mut stream = TcpStream::connect(address).await.expect("connected");
        // A server that has heard enough closes, and a reset may take its words along.
        let _ = stream.write_all(said).await;
        let mut heard = Vec::new();
        let _ = stream.read_to_end(&mut heard).await;
        String::from_utf8(heard).expect("text")
    }
}
