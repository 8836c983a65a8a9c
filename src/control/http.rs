//! What monitoring systems ask, over HTTP: metrics, status, health. Nothing can be changed here.
//!
//! ```text
//!   GET /metrics  /status  /healthz
//!     accept --a place of CONNECTIONS_MAX--> one request --page, at most KEPT_FOR old--> one reply, closed
//!                                                           `--Call--> whoever serves, one at a time a page
//! ```
//!
//! A storm of requests costs the one who serves one call a second and page: the rest is answered with what was
//! said just now, the same bytes for all. A connection carries one exchange, and is cut off when that takes too long.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, Semaphore, mpsc};
use tokio::time::{Instant, timeout};

use super::server::{ACCEPT_PAUSE, Call, call};
use crate::control::{Reply, Request};

/// The port, open.
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

    /// Passes on to `calls` what is asked for, until nobody takes them any more.
    pub async fn serve(self, calls: mpsc::Sender<Call>) {
        let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let pages = Arc::new(Pages { calls, kept: Default::default() });
        loop {
            let place = tokio::select! {
                place = Arc::clone(&room).acquire_owned() => place,
                () = pages.calls.closed() => return,
            };
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = pages.calls.closed() => return,
            };
            let Ok((stream, _)) = accepted else {
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            };
            let pages = Arc::clone(&pages);
            tokio::spawn(async move {
                let _place = place;
                // Whoever is too slow, or talks something else, is let go.
                let _ = timeout(EXCHANGE_MAX, exchange(stream, pages)).await;
            });
        }
    }
}

/// One request, one reply. That the asker has said its last does not end it: what is asked is asked to the end,
/// and kept for the next.
async fn exchange(stream: TcpStream, pages: Arc<Pages>) -> hyper::Result<()> {
    let service = service_fn(move |request| {
        let pages = Arc::clone(&pages);
        async move { Ok::<_, Infallible>(pages.reply(&request).await) }
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

/// Who asks, and what was said last.
#[derive(Debug)]
struct Pages {
    calls: mpsc::Sender<Call>,
    /// By page.
    kept: [Mutex<Option<Kept>>; Page::ALL.len()],
}

/// What was said, and when.
#[derive(Clone, Debug)]
struct Kept {
    at: Instant,
    status: StatusCode,
    body: Bytes,
}

impl Pages {
    async fn reply(&self, request: &hyper::Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().path();
        let Some(page) = Page::ALL.into_iter().find(|page| page.path() == path) else {
            let known = Page::ALL.map(Page::path).join(", ");
            return plain(StatusCode::NOT_FOUND, format!("there is nothing here; ask for one of {known}\n"));
        };
        if ![Method::GET, Method::HEAD].contains(request.method()) {
            let text = "this can only be read; to change something, ask the local socket\n".to_owned();
            let mut refused = plain(StatusCode::METHOD_NOT_ALLOWED, text);
            refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return refused;
        }
        let Kept { status, body, .. } = self.page(page).await;
        let kind = if status.is_success() { page.content_type() } else { TEXT };
        response(status, kind, body)
    }

    /// A page, at most [`KEPT_FOR`] old. Whoever comes while it is asked for waits for the same.
    async fn page(&self, page: Page) -> Kept {
        let mut kept = self.kept[page as usize].lock().await;
        if let Some(kept) = kept.as_ref().filter(|kept| kept.at.elapsed() < KEPT_FOR) {
            return kept.clone();
        }
        let said = timeout(ANSWER_WAIT, call(page.request(), &self.calls)).await;
        let (status, body) = match said {
            Ok(Reply::Done { text, data }) => (StatusCode::OK, page.body(text, &data)),
            Ok(Reply::Failed { error }) => (StatusCode::SERVICE_UNAVAILABLE, error + "\n"),
            Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the server does not answer\n".into()),
        };
        kept.insert(Kept { at: Instant::now(), status, body: body.into() }).clone()
    }
}

/// What can be read.
#[derive(Clone, Copy, Debug)]
enum Page {
    Metrics,
    Status,
    Healthz,
}

impl Page {
    const ALL: [Page; 3] = [Page::Metrics, Page::Status, Page::Healthz];

    fn path(self) -> &'static str {
        match self {
            Page::Metrics => "/metrics",
            Page::Status => "/status",
            Page::Healthz => "/healthz",
        }
    }

    fn request(self) -> Request {
        match self {
            Page::Metrics => Request::Metrics,
            Page::Status => Request::Status,
            Page::Healthz => Request::Ready,
        }
    }

    fn body(self, text: String, data: &serde_json::Value) -> String {
        match self {
            Page::Metrics | Page::Healthz => text,
            Page::Status => format!("{data:#}\n"),
        }
    }

    fn content_type(self) -> HeaderValue {
        match self {
            Page::Metrics => OPEN_METRICS,
            Page::Status => JSON,
            Page::Healthz => TEXT,
        }
    }
}

fn plain(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    response(status, TEXT, text.into())
}

fn response(status: StatusCode, kind: HeaderValue, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

const OPEN_METRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// What was said is said again for this long, to whoever asks.
const KEPT_FOR: Duration = Duration::from_secs(1);

/// More exchanges at once wait for their turn, outside.
const CONNECTIONS_MAX: usize = 32;

/// A longer head is refused (431), as is one of more lines than [`HEADERS_MAX`].
const HEADER_MAX: usize = 8 * 1024;
const HEADERS_MAX: usize = 64;

/// Who has not sent a whole head by then is let go.
const HEADER_WAIT: Duration = Duration::from_secs(3);

/// A server that says nothing for this long is taken for stuck (503).
const ANSWER_WAIT: Duration = Duration::from_secs(5);

/// An exchange that takes longer is cut off, whoever is to blame.
const EXCHANGE_MAX: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// A port, and how often it passed on what was asked.
    async fn listening(answer: fn(Request) -> Reply) -> (SocketAddr, Arc<AtomicUsize>) {
        let listener = HttpListener::open(([127, 0, 0, 1], 0).into()).await.expect("a port");
        let address = listener.address();
        let (calls, mut taken) = mpsc::channel(1);
        tokio::spawn(listener.serve(calls));
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Some(Call { request, reply }) = taken.recv().await {
                counted.fetch_add(1, Ordering::Relaxed);
                let _ = reply.send(answer(request));
            }
        });
        (address, asked)
    }

    fn echo(request: Request) -> Reply {
        Reply::Done { text: format!("{request:?}\n"), data: serde_json::json!({ "answering": true }) }
    }

    /// What comes back for these bytes.
    async fn say(address: SocketAddr, said: &[u8]) -> String {
        let mut stream = TcpStream::connect(address).await.expect("connected");
        // A server that has heard enough closes, and a reset may take its words along.
        let _ = stream.write_all(said).await;
        let mut heard = Vec::new();
        let _ = stream.read_to_end(&mut heard).await;
        String::from_utf8(heard).expect("text")
    }

    async fn get(address: SocketAddr, path: &str) -> String {
        say(address, format!("GET {path} HTTP/1.1\r\nHost: w\r\n\r\n").as_bytes()).await
    }

    #[tokio::test]
    async fn each_page_is_told_in_its_own_form() {
        let (address, _) = listening(echo).await;
        let metrics = get(address, "/metrics?from=prometheus").await;
        assert!(metrics.starts_with("HTTP/1.1 200 OK\r\n"), "{metrics}");
        assert!(metrics.contains("content-type: application/openmetrics-text; version=1.0.0"), "{metrics}");
        assert!(metrics.ends_with("\r\n\r\nMetrics\n"), "{metrics}");
        let status = get(address, "/status").await;
        assert!(status.contains("content-type: application/json\r\n"), "{status}");
        assert!(status.ends_with("{\n  \"answering\": true\n}\n"), "{status}");
        let health = get(address, "/healthz").await;
        assert!(health.contains(" 200 OK") && health.ends_with("Ready\n"), "{health}");
    }

    #[tokio::test]
    async fn what_cannot_be_said_is_unavailable() {
        let (address, _) = listening(|_| Reply::failed("first checks")).await;
        let health = get(address, "/healthz").await;
        assert!(health.starts_with("HTTP/1.1 503 ") && health.ends_with("first checks\n"), "{health}");
    }

    #[tokio::test]
    async fn other_paths_and_methods_are_refused() {
        let (address, asked) = listening(echo).await;
        for path in ["/", "/metrics/", "/..", "/healthz%00", "*"] {
            let refused = get(address, path).await;
            assert!(refused.starts_with("HTTP/1.1 404 "), "{path}: {refused}");
        }
        for method in ["POST", "DELETE", "OPTIONS", "WHATEVER"] {
            let refused =
                say(address, format!("{method} /status HTTP/1.1\r\nHost: w\r\n\r\n").as_bytes()).await;
            assert!(
                refused.starts_with("HTTP/1.1 405 ") && refused.contains("allow: GET, HEAD"),
                "{refused}"
            );
        }
        let head = say(address, b"HEAD /status HTTP/1.1\r\nHost: w\r\n\r\n").await;
        assert!(head.starts_with("HTTP/1.1 200 ") && head.ends_with("\r\n\r\n"), "{head}");
        assert_eq!(asked.load(Ordering::Relaxed), 1, "only HEAD /status is anything to ask for");
    }

    #[tokio::test]
    async fn garbage_is_refused_and_does_no_harm() {
        let (address, _) = listening(echo).await;
        let long = format!("GET /metrics HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(HEADER_MAX));
        let many = format!("GET /metrics HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(HEADERS_MAX + 1));
        let tls = "\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n";
        for garbage in
            ["\r\n\r\n\0\0\r\n\r\n", "GET\r\n\r\n", "GET /metrics HTTP/9\r\n\r\n", tls, &long, &many]
        {
            let refused = say(address, garbage.as_bytes()).await;
            assert!(refused.is_empty() || refused.starts_with("HTTP/1.1 4"), "{garbage:.40}: {refused}");
        }
        assert!(get(address, "/metrics").await.contains(" 200 OK"));
    }

    #[tokio::test]
    async fn a_storm_is_answered_with_what_was_said_just_now() {
        let (address, asked) = listening(echo).await;
        let start = Instant::now();
        let storm: Vec<_> = (0..200).map(|_| tokio::spawn(get_metrics(address))).collect();
        for request in storm {
            assert!(request.await.expect("no panic").contains(" 200 OK"));
        }
        let seconds = start.elapsed().as_secs() as usize;
        assert!(asked.load(Ordering::Relaxed) <= seconds + 1, "{asked:?} in {seconds} s");
    }

    async fn get_metrics(address: SocketAddr) -> String {
        get(address, "/metrics").await
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_is_stuck_is_not_waited_for() {
        let (calls, _nobody_takes) = mpsc::channel(1);
        let pages = Pages { calls, kept: Default::default() };
        let (first, second) = tokio::join!(pages.page(Page::Healthz), pages.page(Page::Healthz));
        assert_eq!((first.status, second.status), (StatusCode::SERVICE_UNAVAILABLE, first.status));
        assert_eq!(first.at, second.at, "the second does not wait once more");
    }
}
