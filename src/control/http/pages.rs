//! What monitoring systems ask, over HTTP: metrics, status, health. Nothing can be changed here.
//!
//! ```text
//!   GET /metrics  /status  /healthz
//!     a request --page, at most KEPT_FOR old--> a reply
//!                `--Call--> whoever serves, one at a time a page
//! ```
//!
//! A storm of requests costs the one who serves one call a second and page: the rest is answered with what was
//! said just now, the same bytes for all.

use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::HeaderValue;
use hyper::{Method, Response, StatusCode};
use tokio::sync::{Mutex, mpsc};
use tokio::time::{Instant, timeout};

use super::super::server::{Call, call};
use super::{TEXT, not_allowed, plain, response};
use crate::control::{Reply, Request};

/// Who asks, and what was said last.
#[derive(Debug)]
pub(super) struct Pages {
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
    /// Nothing was said yet.
    pub(super) fn new(calls: mpsc::Sender<Call>) -> Self {
        Self { calls, kept: Default::default() }
    }

    /// What is said to a request.
    pub(super) async fn reply(&self, request: &hyper::Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().path();
        let Some(page) = Page::ALL.into_iter().find(|page| page.path() == path) else {
            let known = Page::ALL.map(Page::path).join(", ");
            return plain(StatusCode::NOT_FOUND, format!("there is nothing here; ask for one of {known}\n"));
        };
        if ![Method::GET, Method::HEAD].contains(request.method()) {
            let text = "this can only be read; to change something, ask the local socket\n";
            return not_allowed("GET, HEAD", text);
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

const OPEN_METRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// What was said is said again for this long, to whoever asks.
const KEPT_FOR: Duration = Duration::from_secs(1);

/// A server that says nothing for this long is taken for stuck (503).
const ANSWER_WAIT: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use std::net::SocketAddr;
    use std::sync::Arc;

    use super::super::tests::say;
    use super::super::{HEADER_MAX, HEADERS_MAX, HttpListener};
    use super::*;

    /// A port, and how often it passed on what was asked.
    async fn listening(answer: fn(Request) -> Reply) -> (SocketAddr, Arc<AtomicUsize>) {
        let listener = HttpListener::open(([127, 0, 0, 1], 0).into()).await.expect("a port");
        let address = listener.address();
        let (calls, mut taken) = mpsc::channel(1);
        tokio::spawn(listener.show_pages(calls));
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
        let pages = Pages::new(calls);
        let (first, second) = tokio::join!(pages.page(Page::Healthz), pages.page(Page::Healthz));
        assert_eq!((first.status, second.status), (StatusCode::SERVICE_UNAVAILABLE, first.status));
        assert_eq!(first.at, second.at, "the second does not wait once more");
    }
}
