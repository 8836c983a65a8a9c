//! DNS over HTTPS (RFC 8484): HTTP/2 and HTTP/1.1, as the handshake agreed, each request one message.
//!
//! ```text
//!   GET /dns-query?dns=BASE64URL --+--> message --Service::reply--> 200, application/dns-message
//!   POST /dns-query, the message --'                `-------------> 400: it is none
//! ```
//!
//! Time counts from the last whole message, as over TCP: a connection that opens streams, sends a body slowly
//! or does not read its replies ends all the same. What it may keep us holding is bounded by the number of its
//! streams and the length of a message.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

use data_encoding::BASE64URL_NOPAD;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::respond::Transport;
use super::stream::Service;
use super::tls::HTTP_2;
use super::wire::lifetime;

/// What the listeners of HTTPS share.
#[derive(Clone)]
pub struct Https {
    /// Agrees on keys and on the version of HTTP.
    pub acceptor: TlsAcceptor,
    /// Where messages are taken.
    pub path: Arc<str>,
}

impl Https {
    /// Answers until the client ends it, is too slow, or the listener closes.
    pub async fn converse(
        self,
        service: Arc<Service>,
        stream: TlsStream<TcpStream>,
        client: SocketAddr,
        closing: watch::Receiver<bool>,
    ) {
        let speaks_http_2 = stream.get_ref().1.alpn_protocol() == Some(HTTP_2);
        let door = Arc::new(Door { service, client, path: self.path, last: Mutex::new(Instant::now()) });
        let at_door = Arc::clone(&door);
        let reply = service_fn(move |request| {
            let door = Arc::clone(&at_door);
            async move { Ok::<_, Infallible>(door.reply(request).await) }
        });
        let io = TokioIo::new(stream);
        if speaks_http_2 {
            let mut http = http2::Builder::new(TokioExecutor::new());
            http.timer(TokioTimer::new())
                .max_concurrent_streams(STREAMS_MAX)
                .max_header_list_size(HEADERS_MAX as u32)
                .max_send_buf_size(SEND_BUFFER);
            door.attend(http.serve_connection(io, reply), closing).await;
        } else {
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(HEADERS_MAX);
            door.attend(http.serve_connection(io, reply), closing).await;
        }
    }
}

/// Where one client's requests are taken.
struct Door {
    service: Arc<Service>,
    client: SocketAddr,
    path: Arc<str>,
    /// When a whole message came last.
    last: Mutex<Instant>,
}

impl Door {
    /// Drives a connection to its end, which comes soon when it is idle or the listener closes.
    async fn attend<C: GracefulConnection>(&self, connection: C, mut closing: watch::Receiver<bool>) {
        let mut connection = pin!(connection);
        loop {
            let deadline = self.last_message() + self.service.patience();
            tokio::select! {
                // However it ended, there is nobody to tell.
                _ = connection.as_mut() => return,
                _ = closing.wait_for(|closing| *closing) => break,
                () = sleep_until(deadline) => {
                    if self.last_message() + self.service.patience() <= Instant::now() {
                        break;
                    }
                }
            }
        }
        connection.as_mut().graceful_shutdown();
        // Whoever does not take what it is owed goes without.
        let _ = timeout(self.service.write, connection).await;
    }

    async fn reply(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let replied = match self.message_of(request).await {
            Ok(message) => {
                *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
                self.service.reply(&message, self.client, Transport::Https).ok_or(Refusal::NO_QUERY)
            }
            Err(refusal) => Err(refusal),
        };
        replied.map_or_else(Refusal::response, answered)
    }

    fn last_message(&self) -> Instant {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The message that a request carries.
    async fn message_of(&self, request: Request<Incoming>) -> Result<Bytes, Refusal> {
        if request.uri().path() != &*self.path {
            return Err(Refusal::ELSEWHERE);
        }
        match *request.method() {
            Method::GET => message_in(request.uri().query().unwrap_or_default()),
            Method::POST => {
                let content_type = request.headers().get(CONTENT_TYPE);
                if content_type.is_none_or(|value| !is_dns_message(value)) {
                    return Err(Refusal::NO_DNS);
                }
                let body = Limited::new(request.into_body(), MESSAGE_MAX).collect().await;
                body.map(|body| body.to_bytes()).map_err(|error| match error.downcast_ref() {
                    Some(LengthLimitError { .. }) => Refusal::TOO_LONG,
                    None => Refusal::NO_QUERY,
                })
            }
            _ => Err(Refusal::OTHER_METHOD),
        }
    }
}

/// The message in the query of a URL: `dns=` and base64url without padding (RFC 8484 section 4.1).
fn message_in(query: &str) -> Result<Bytes, Refusal> {
    let mut values = form_urlencoded::parse(query.as_bytes());
    let (_, value) = values.find(|(name, _)| name == "dns").ok_or(Refusal::NO_QUERY)?;
    BASE64URL_NOPAD.decode(value.as_bytes()).map(Bytes::from).map_err(|_| Refusal::NO_QUERY)
}

fn is_dns_message(value: &HeaderValue) -> bool {
    let essence = value.to_str().ok().and_then(|value| value.split(';').next());
    essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case(DNS_MESSAGE))
}

/// A reply, and how long it may be kept (RFC 8484 section 5.1). Only for the one who asked: it was made for
/// where that one is.
fn answered(message: Vec<u8>) -> Response<Full<Bytes>> {
    let kept = format!("private, max-age={}", lifetime::of(&message));
    let mut response = Response::new(Full::from(message));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(DNS_MESSAGE));
    if let Ok(kept) = HeaderValue::try_from(kept) {
        response.headers_mut().insert(CACHE_CONTROL, kept);
    }
    response
}

/// Why a request gets no DNS.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Refusal(StatusCode, &'static str);

impl Refusal {
    const ELSEWHERE: Refusal = Refusal(StatusCode::NOT_FOUND, "DNS is answered at another path\n");
    const OTHER_METHOD: Refusal = Refusal(StatusCode::METHOD_NOT_ALLOWED, "GET or POST\n");
    const NO_DNS: Refusal =
        Refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the body is application/dns-message\n");
    const TOO_LONG: Refusal = Refusal(StatusCode::PAYLOAD_TOO_LARGE, "a message has 65535 octets at most\n");
    const NO_QUERY: Refusal = Refusal(StatusCode::BAD_REQUEST, "there is no DNS query in it\n");

    fn response(self) -> Response<Full<Bytes>> {
        let Refusal(status, words) = self;
        let mut response = Response::new(Full::from(words));
        *response.status_mut() = status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        if status == StatusCode::METHOD_NOT_ALLOWED {
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, POST"));
        }
        response
    }
}

const DNS_MESSAGE: &str = "application/dns-message";
/// A longer body is none.
const MESSAGE_MAX: usize = u16::MAX as usize;
/// Requests that a connection has under way at once; further ones wait.
const STREAMS_MAX: u32 = 32;
/// Octets of a request's URL and headers; with more it is refused. Queries fit ten times over.
const HEADERS_MAX: usize = 16 << 10;
/// Octets of a reply that are held for a stream whose client does not read; more are not taken in.
const SEND_BUFFER: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_comes_in_the_url_without_padding() {
        assert_eq!(message_in("dns=AAEC"), Ok(Bytes::from_static(&[0, 1, 2])));
        assert_eq!(message_in("ct&dns=-_8"), Ok(Bytes::from_static(&[0xFB, 0xFF])));
        for wrong in ["", "dns", "DNS=AAEC", "dns=AA==", "dns=A", "dns=A*", "dns=+/8"] {
            assert!(
                message_in(wrong).is_err_and(|refusal| refusal == Refusal::NO_QUERY)
                    || message_in(wrong) == Ok(Bytes::new()),
                "{wrong}"
            );
        }
    }

    #[test]
    fn only_dns_messages_are_taken() {
        for (value, taken) in [
            ("application/dns-message", true),
            ("Application/DNS-Message; x=y", true),
            ("application/dns-json", false),
            ("application/dns-messages", false),
        ] {
            assert_eq!(is_dns_message(&HeaderValue::from_static(value)), taken, "{value}");
        }
    }
}
