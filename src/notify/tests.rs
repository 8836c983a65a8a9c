//! Against a web server of our own, over real connections.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::vec;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::HeaderMap;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{RootCertStore, ServerConfig};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

use super::*;

/// Something to tell, at 22:13:20.
pub(super) fn notice(text: &str) -> Notice {
    let event = json!({ "at": 1_700_000_000_000_u64, "text": text, "data": { "event": "turned" } });
    Notice { at: Moment(1_700_000_000_000), text: text.into(), event, alarm: false }
}

/// Patient with replies, and fast with everything else.
pub(super) fn config(url: &str) -> Config {
    let pace = Pace {
        gather: Duration::from_millis(1),
        pause: Duration::from_millis(1),
        pause_max: Duration::from_millis(2),
        give_up: PATIENCE,
        stop: PATIENCE,
        ..Pace::default()
    };
    let (token_file, format, server) = (None, Format::Json, "ns1".into());
    Config { url: url.into(), token_file, format, server, instance: 255, pace }
}

/// A request as it came.
struct Posted {
    headers: HeaderMap,
    body: Value,
}

impl Posted {
    fn texts(&self) -> Vec<&str> {
        let events = self.body["events"].as_array().expect("a list");
        events.iter().map(|event| event["text"].as_str().expect("text")).collect()
    }
}

/// Takes requests, and replies to the n-th with the n-th of what it was given; to all after that with 204.
struct Receiver {
    address: SocketAddr,
    posted: mpsc::UnboundedReceiver<Posted>,
}

impl Receiver {
    async fn start(replies: Vec<Response<Full<Bytes>>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let address = listener.local_addr().expect("bound");
        let (passed_on, posted) = mpsc::unbounded_channel();
        let replies = Arc::new(Mutex::new(replies.into_iter()));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(converse(stream, passed_on.clone(), Arc::clone(&replies)));
            }
        });
        Self { address, posted }
    }

    /// The same behind TLS, and the certificate that it shows, which is for 127.0.0.1.
    async fn start_with_tls() -> (Self, CertificateDer<'static>) {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("it can be made");
        let certificate = made.cert.der().clone();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
        let config = ServerConfig::builder_with_provider(ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .and_then(|builder| {
                builder.with_no_client_auth().with_single_cert(vec![certificate.clone()], key)
            })
            .expect("it fits");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let address = listener.local_addr().expect("bound");
        let (passed_on, posted) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // Whoever does not trust it leaves during the handshake.
                if let Ok(stream) = acceptor.accept(stream).await {
                    tokio::spawn(converse(stream, passed_on.clone(), Arc::default()));
                }
            }
        });
        (Self { address, posted }, certificate)
    }

    fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    async fn next(&mut self) -> Posted {
        timeout(PATIENCE, self.posted.recv()).await.expect("in time").expect("it goes on")
    }
}

/// Replies to all that comes over a connection.
async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    passed_on: mpsc::UnboundedSender<Posted>,
    replies: Arc<Mutex<vec::IntoIter<Response<Full<Bytes>>>>>,
) {
    let service = service_fn(async |request: Request<Incoming>| {
        let (head, body) = request.into_parts();
        let body = body.collect().await.expect("a whole request").to_bytes();
        let body = serde_json::from_slice(&body).expect("it is JSON");
        let _ = passed_on.send(Posted { headers: head.headers, body });
        let next = replies.lock().expect("not poisoned").next();
        Ok::<_, Infallible>(next.unwrap_or_else(|| replied(204, "")))
    });
    // Whoever has heard enough leaves.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

fn replied(status: u16, said: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(said));
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    response
}

fn notifier(config: Config) -> Notifier {
    Notifier::start(config, Clock::start()).expect("it starts")
}

/// Waits until it has come so far.
async fn progress(notifier: &Notifier, enough: impl Fn(&Progress) -> bool) -> Progress {
    let reached = async {
        loop {
            let progress = notifier.progress();
            if enough(&progress) {
                return progress;
            }
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, reached).await.expect("in time")
}

#[tokio::test]
async fn what_happens_together_goes_together() {
    let mut receiver = Receiver::start(vec![]).await;
    let notifier = notifier(config(&receiver.url()));
    // No await between them: the task sees them all at once.
    notifier.tell(notice("one"));
    notifier.tell(notice("two"));
    let posted = receiver.next().await;
    assert_eq!(posted.texts(), ["one", "two"]);
    assert_eq!((&posted.body["server"], &posted.body["missed"]), (&json!("ns1"), &json!(0)));
    assert_eq!(posted.headers["content-type"], "application/json");
    assert!(!posted.headers.contains_key("authorization"));
    let progress = progress(&notifier, |progress| progress.sent == 2).await;
    assert!(progress.last_taken.is_some() && progress.waiting == 0 && progress.failed == 0, "{progress:?}");
}

#[tokio::test]
async fn what_is_not_taken_for_now_is_posted_again_the_same() {
    let mut receiver = Receiver::start(vec![replied(503, "later"), replied(429, "slow down")]).await;
    let notifier = notifier(config(&receiver.url()));
    notifier.tell(notice("one"));
    let [first, second, third] = [receiver.next().await, receiver.next().await, receiver.next().await];
    assert_eq!(first.body, second.body);
    assert_eq!(second.body, third.body);
    let progress = progress(&notifier, |progress| progress.sent == 1).await;
    let (_, why) = progress.last_failure.expect("two were not taken");
    assert_eq!(why, "429 Too Many Requests: slow down");
}

#[tokio::test]
async fn what_is_refused_is_dropped_and_the_next_request_says_so() {
    let mut receiver = Receiver::start(vec![replied(400, "no\nthanks")]).await;
    let notifier = notifier(config(&receiver.url()));
    notifier.tell(notice("one"));
    receiver.next().await;
    let failed = progress(&notifier, |progress| progress.failed == 1).await;
    assert_eq!(failed.last_failure.expect("why").1, "400 Bad Request: no thanks; 1 events are dropped");
    notifier.tell(notice("two"));
    let posted = receiver.next().await;
    assert_eq!((posted.texts(), &posted.body["missed"]), (vec!["two"], &json!(1)));
    assert_ne!(posted.body["id"], "00000000000000ff-1");
}

#[tokio::test]
async fn nothing_is_posted_to_a_receiver_whose_certificate_nobody_vouches_for() {
    let (mut receiver, certificate) = Receiver::start_with_tls().await;
    let config = config(&format!("https://{}/", receiver.address));
    let trusting = |roots: RootCertStore| Post::trusting(&config, || Ok(roots)).expect("right");
    let stranger = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("it can be made");
    let mut roots = RootCertStore::empty();
    roots.add(stranger.cert.der().clone()).expect("a certificate");
    match trusting(roots.clone()).send(b"{}".to_vec()).await {
        Outcome::Again { why, .. } => assert!(why.contains("certificate"), "{why}"),
        other => panic!("{other:?}"),
    }
    assert!(receiver.posted.try_recv().is_err());
    roots.add(certificate).expect("a certificate");
    let taken = trusting(roots).send(b"{}".to_vec()).await;
    assert_eq!(taken, Outcome::Taken { reply: "204 No Content".into() });
    receiver.next().await;
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let mut elsewhere = Receiver::start(vec![]).await;
    let mut moved = replied(307, "");
    moved.headers_mut().insert("location", elsewhere.url().parse().expect("a header"));
    let receiver = Receiver::start(vec![moved]).await;
    let why = try_once(&config(&receiver.url()), notice("one")).await.expect_err("it is elsewhere");
    assert!(why.contains("redirects are not followed"), "{why}");
    assert!(elsewhere.posted.try_recv().is_err());
}

#[tokio::test]
async fn a_request_that_is_never_taken_is_given_up_and_the_next_has_its_turn() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let nobody = listener.local_addr().expect("bound");
    drop(listener);
    let mut config = config(&format!("http://{nobody}/secret"));
    config.pace.give_up = Duration::ZERO;
    let notifier = notifier(config);
    notifier.tell(notice("one"));
    let failed = progress(&notifier, |progress| progress.failed == 1).await;
    let (_, why) = failed.last_failure.expect("why");
    assert!(why.contains("refused") && !why.contains("secret"), "{why}");
    notifier.tell(notice("two"));
    progress(&notifier, |progress| progress.failed == 2).await;
}

#[tokio::test]
async fn a_receiver_that_never_replies_costs_a_bounded_time() {
    // The kernel accepts for it.
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let mut config = config(&format!("http://{}/", listener.local_addr().expect("bound")));
    config.pace.request = Duration::from_millis(50);
    assert_eq!(try_once(&config, notice("one")).await, Err("no reply in time".into()));
}

#[tokio::test]
async fn of_a_long_reply_only_the_beginning_is_read() {
    let long: &'static str = String::leak("x".repeat(1 << 20));
    let receiver = Receiver::start(vec![replied(200, long)]).await;
    let reply = try_once(&config(&receiver.url()), notice("one")).await.expect("taken");
    assert!(reply.starts_with("200 OK: xxx") && reply.len() < 300, "{reply}");
}

#[tokio::test]
async fn a_token_is_sent_as_its_file_has_it_now() {
    let mut receiver = Receiver::start(vec![]).await;
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("token");
    let config = Config { token_file: Some(file.clone()), ..config(&receiver.url()) };
    let missing = try_once(&config, notice("one")).await.expect_err("there is no file");
    assert!(missing.contains("token_file"), "{missing}");
    for token in ["first", "second"] {
        std::fs::write(&file, format!("{token}\n")).expect("written");
        try_once(&config, notice("one")).await.expect("taken");
        assert_eq!(receiver.next().await.headers["authorization"], format!("Bearer {token}"));
    }
    std::fs::write(&file, "\n").expect("written");
    let empty = try_once(&config, notice("one")).await.expect_err("it is empty");
    assert!(empty.contains("first line is empty"), "{empty}");
}

#[tokio::test]
async fn a_stop_sends_what_waits_and_does_not_wait_for_a_pause() {
    let mut receiver = Receiver::start(vec![replied(503, "")]).await;
    let mut config = config(&receiver.url());
    (config.pace.pause, config.pace.pause_max, config.pace.give_up) = (HOUR, HOUR, 2 * HOUR);
    let notifier = notifier(config);
    notifier.tell(notice("one"));
    receiver.next().await;
    progress(&notifier, |progress| progress.last_failure.is_some()).await;
    notifier.tell(notice("two"));
    notifier.finish().await;
    assert_eq!(receiver.next().await.texts(), ["one"]);
    assert_eq!(receiver.next().await.texts(), ["two"]);
}

#[tokio::test]
async fn a_stop_waits_for_no_receiver_that_is_stuck() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let mut config = config(&format!("http://{}/", listener.local_addr().expect("bound")));
    config.pace.stop = Duration::from_millis(20);
    let notifier = notifier(config);
    notifier.tell(notice("one"));
    timeout(PATIENCE, notifier.finish()).await.expect("long before a request times out");
}

/// Only a failing test waits this long.
const PATIENCE: Duration = Duration::from_secs(9);

const HOUR: Duration = Duration::from_secs(3600);
