//! One HTTP/1.1 exchange: a status, and the start of a body if a text is looked for in it.
//!
//! ```text
//!   connect (--> handshake) --> request --> reply, HEAD_MAX --> status --> at most BODY_MAX of the body --> drop
//! ```
//!
//! The connection is our own and leads to the endpoint's address, whatever the Host header or the reply says:
//! no name is looked up, no proxy asked, no redirect followed, nothing decompressed, nothing tried again. It is
//! dropped as soon as enough is seen, so that an endpoint that floods us or never ends gains nothing.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::{Pin, pin};

use http_body_util::Empty;
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper::header::{ACCEPT, CONNECTION, HOST, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use hyper::http::uri::PathAndQuery;
use hyper::{Response, Uri};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::bounded::Bounded;
use super::connect::{Permitted, connect};
use super::tls::Handshake;
use super::{Seen, Stage, Trouble, agent};
use crate::health::{Agent, Kind};
use crate::model::Expect;

/// Where is asked, what, and what is a good reply.
#[derive(Debug)]
pub(super) struct Exchange {
    to: Permitted,
    /// `None`: without TLS.
    handshake: Option<Handshake>,
    /// Or why it cannot be asked, which fails every check of the target.
    request: Result<Request, Trouble>,
    expect: Expect,
    /// The header with the endpoint's own word.
    agent: Option<Box<str>>,
}

type Request = hyper::Request<Empty<&'static [u8]>>;

/// What the request says, as the operator wrote it. `headers` replace what would be sent of ourselves under
/// the same name.
#[derive(Debug)]
pub(super) struct Wording<'a> {
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    pub(super) authority: &'a str,
    pub(super) headers: &'a [(Box<str>, Box<str>)],
}

impl Exchange {
    pub(super) fn new(
        to: Permitted,
        handshake: Option<Handshake>,
        wording: &Wording<'_>,
        expect: &Expect,
        agent: Option<&str>,
    ) -> Self {
        let request = written(wording).map_err(|reason| Trouble::endpoint(Kind::Other, reason));
        Self { to, handshake, request, expect: expect.clone(), agent: agent.map(Into::into) }
    }

    /// Asks over a fresh connection, and judges what comes.
    pub(super) async fn run(&self, seen: &mut Seen) -> Result<(), Trouble> {
        let request = self.request.as_ref().map_err(Trouble::clone)?;
        let stream = connect(self.to, seen).await?;
        match &self.handshake {
            None => self.converse(stream, request.clone(), seen).await,
            Some(handshake) => {
                let stream = handshake.shake(stream, seen).await?;
                self.converse(stream, request.clone(), seen).await
            }
        }
    }

    async fn converse(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin,
        request: Request,
        seen: &mut Seen,
    ) -> Result<(), Trouble> {
        seen.stage = Stage::Reply;
        let stream = TokioIo::new(Bounded::new(stream, READ_MAX));
        let starting = Builder::new().max_buf_size(HEAD_MAX).handshake(stream).await;
        let (sender, connection) = starting.map_err(|error| Trouble::of_exchange(&error, seen))?;
        let mut judging = pin!(self.judge(sender, request, seen));
        tokio::select! {
            judged = &mut judging => judged,
            // Whatever ended it, the judge hears as well.
            _ = connection => judging.await,
        }
    }

    async fn judge(
        &self,
        mut sender: SendRequest<Empty<&'static [u8]>>,
        request: Request,
        seen: &mut Seen,
    ) -> Result<(), Trouble> {
        let reply = sender.send_request(request).await;
        let reply = reply.map_err(|error| Trouble::of_exchange(&error, seen))?;
        if let Some(header) = &self.agent {
            seen.agent = Some(agent::said(reply.headers().get_all(&**header)));
        }
        let status = reply.status().as_u16();
        if !self.expect.status.iter().any(|range| range.contains(&status)) {
            return Err(Trouble::endpoint(Kind::Status, format!("status {status}")));
        }
        if seen.agent == Some(Agent::Down) {
            return Err(Trouble::endpoint(Kind::Status, "the endpoint says that it is down"));
        }
        let Some(text) = &self.expect.body else { return Ok(()) };
        seen.stage = Stage::Body;
        find(text.as_bytes(), reply, seen).await
    }
}

/// Reads the body until `text` is found or cannot be found any more within [`BODY_MAX`] bytes.
async fn find(text: &[u8], reply: Response<Incoming>, seen: &mut Seen) -> Result<(), Trouble> {
    let mut reading = reply.into_body();
    let mut body = Vec::new();
    while body.len() < BODY_MAX {
        let frame = poll_fn(|context| Pin::new(&mut reading).poll_frame(context)).await;
        let Some(frame) = frame.transpose().map_err(|error| Trouble::of_exchange(&error, seen))? else {
            return Err(lacks_text(format!("the {} bytes of the body", body.len())));
        };
        // What is no data are trailers: the last frame.
        let Ok(piece) = frame.into_data() else { continue };
        // The text may have begun in what was searched already.
        let from = body.len().saturating_sub(text.len());
        body.extend_from_slice(&piece[..piece.len().min(BODY_MAX - body.len())]);
        if contains(&body[from..], text) {
            return Ok(());
        }
    }
    Err(lacks_text(format!("the first {BODY_MAX} bytes of the body")))
}

pub(super) fn contains(bytes: &[u8], text: &[u8]) -> bool {
    text.is_empty() || bytes.windows(text.len()).any(|window| window == text)
}

fn lacks_text(place: String) -> Trouble {
    Trouble::endpoint(Kind::Body, format!("the text is not in {place}"))
}

/// What the Host header says: what the operator wrote, else the address, with its port if it is not the
/// usual one of the scheme (RFC 9110, 7.2).
pub(super) fn authority(host: Option<&str>, to: SocketAddr, encrypted: bool) -> String {
    let usual_port = if encrypted { 443 } else { 80 };
    match (host, to) {
        (Some(host), _) => host.to_string(),
        (None, to) if to.port() != usual_port => to.to_string(),
        (None, SocketAddr::V4(to)) => to.ip().to_string(),
        (None, SocketAddr::V6(to)) => format!("[{}]", to.ip()),
    }
}

fn written(wording: &Wording<'_>) -> Result<Request, String> {
    let Wording { method, path, .. } = wording;
    let method = method.parse().map_err(|_| format!("\"{}\" is not a method", method.escape_debug()))?;
    let mut request = hyper::Request::new(Empty::new());
    *request.method_mut() = method;
    *request.uri_mut() = origin_form(path)?;
    *request.headers_mut() = headers(wording)?;
    Ok(request)
}

/// The path and query alone, in the characters of a URI (RFC 3986); what it may not have is written as %XX.
fn origin_form(path: &str) -> Result<Uri, String> {
    let encoded = path.chars().map(|c| match c {
        '"' | '<' | '>' | '\\' | '^' | '`' | '{' | '|' | '}' => format!("%{:02X}", u32::from(c)),
        c => c.to_string(),
    });
    let path_and_query = encoded.collect::<String>().parse::<PathAndQuery>();
    let path_and_query = path_and_query.map_err(|error| format!("path {path}: {error}"))?;
    Ok(Uri::from(path_and_query))
}

fn headers(wording: &Wording<'_>) -> Result<HeaderMap, String> {
    let mut theirs = HeaderMap::new();
    for (name, value) in wording.headers {
        let parsed_name = HeaderName::from_bytes(name.as_bytes());
        let parsed_name = parsed_name.map_err(|_| format!("\"{}\" names no header", name.escape_debug()))?;
        theirs.append(parsed_name, header_value(value)?);
    }
    let ours = [
        (HOST, header_value(wording.authority)?),
        (USER_AGENT, HeaderValue::from_static(OUR_NAME)),
        (ACCEPT, HeaderValue::from_static("*/*")),
        (CONNECTION, HeaderValue::from_static("close")),
    ];
    for (name, value) in ours {
        theirs.entry(name).or_insert(value);
    }
    Ok(theirs)
}

fn header_value(value: &str) -> Result<HeaderValue, String> {
    value.parse().map_err(|_| format!("\"{}\" cannot be sent in a header", value.escape_debug()))
}

pub(super) const OUR_NAME: &str = concat!("windrose/", env!("CARGO_PKG_VERSION"), " (health check)");
/// What of a head is held before another piece is read, which is at most as long: a head of 32 KiB is always read,
/// and never more than 64 KiB of one.
const HEAD_MAX: usize = 32 * 1024;
/// The text must be in so many bytes at the start of the body; no more is looked at.
const BODY_MAX: usize = 64 * 1024;
/// Head, body, and all that is around and between them. A check that is sent more has failed.
const READ_MAX: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpStream;
    use tokio::sync::mpsc;

    use super::super::servers;
    use super::*;

    fn set(name: &str, value: &str) -> (Box<str>, Box<str>) {
        (name.into(), value.into())
    }

    fn asking(to: SocketAddr, wording: &Wording<'_>, text: &str) -> Exchange {
        let expect = Expect { status: vec![200..=299], body: Some(text.into()) };
        Exchange::new(servers::permitted(to), None, wording, &expect, None)
    }

    fn get(path: &str) -> Wording<'_> {
        Wording { method: "GET", path, authority: "www.example.org", headers: &[] }
    }

    /// How a reply in the given pieces, followed by the end, is judged.
    async fn judge(pieces: &[&'static [u8]], text: &str) -> Result<(), (Kind, String)> {
        let pieces = pieces.to_vec();
        let reply = move |mut stream: TcpStream| {
            let pieces = pieces.clone();
            async move {
                servers::read_request(&mut stream).await;
                for piece in pieces {
                    let _ = stream.write_all(piece).await;
                }
            }
        };
        let to = servers::serve(reply).await;
        let judged = asking(to, &get("/"), text).run(&mut Seen::default()).await;
        judged.map_err(|trouble| match trouble {
            Trouble::Endpoint { kind, detail } => (kind, detail.to_string()),
            Trouble::Machine(not_run) => panic!("{not_run:?}"),
        })
    }

    /// The lines of the request that an endpoint gets to see, sorted.
    async fn received(wording: &Wording<'_>) -> Vec<String> {
        let (requests, mut request) = mpsc::channel(1);
        let to = servers::serve(move |mut stream| {
            let requests = requests.clone();
            async move { requests.send(servers::read_request(&mut stream).await).await.unwrap() }
        });
        let _ = asking(to.await, wording, "").run(&mut Seen::default()).await;
        let request = String::from_utf8(request.recv().await.unwrap()).unwrap();
        let mut lines: Vec<_> = request.trim_end().lines().map(str::to_string).collect();
        lines[1..].sort();
        lines
    }

    #[tokio::test]
    async fn a_request_says_who_asks_and_that_it_will_not_ask_again() {
        let headers = [set("X-Probe", "windrose")];
        let lines = received(&Wording { headers: &headers, ..get("/healthz?deep=1") }).await;
        let agent = format!("user-agent: {OUR_NAME}");
        assert_eq!(
            lines,
            [
                "GET /healthz?deep=1 HTTP/1.1",
                "accept: */*",
                "connection: close",
                "host: www.example.org",
                &agent,
                "x-probe: windrose"
            ]
        );
    }

    #[tokio::test]
    async fn what_the_operator_sets_replaces_what_we_would_send() {
        let headers = [set("user-agent", "me"), set("HOST", "B.example:81"), set("X", "1"), set("X", "2")];
        let lines = received(&Wording { headers: &headers, ..get("/") }).await;
        let wanted =
            ["accept: */*", "connection: close", "host: B.example:81", "user-agent: me", "x: 1", "x: 2"];
        assert_eq!(lines[1..], wanted);
    }

    #[tokio::test]
    async fn what_cannot_be_asked_fails_the_check_and_says_so() {
        let to = "192.0.2.1:80".parse().unwrap();
        let line_end = [set("X", "a\r\nb")];
        let cases = [
            (Wording { method: "G T", ..get("/") }, "\"G T\" is not a method"),
            (Wording { authority: "a\nb", ..get("/") }, "\"a\\nb\" cannot be sent in a header"),
            (Wording { headers: &line_end, ..get("/") }, "\"a\\r\\nb\" cannot be sent in a header"),
        ];
        for (wording, reason) in cases {
            match asking(to, &wording, "").run(&mut Seen::default()).await {
                Err(Trouble::Endpoint { kind: Kind::Other, detail }) => assert_eq!(&*detail, reason),
                other => panic!("{other:?}"),
            }
        }
    }

    #[tokio::test]
    async fn a_path_is_asked_of_the_endpoint_whatever_it_looks_like() {
        for (path, asked) in [
            ("/", "/"),
            ("//b.example/", "//b.example/"),
            ("/@b.example/", "/@b.example/"),
            ("/a?b=http://b.example/#c", "/a?b=http://b.example/"),
            ("/a\\b?<{c}>", "/a%5Cb?%3C%7Bc%7D%3E"),
        ] {
            assert_eq!(received(&get(path)).await[0], format!("GET {asked} HTTP/1.1"));
        }
    }

    #[tokio::test]
    async fn a_head_is_read_up_to_its_limit() {
        let filler: &'static [u8] = vec![b'x'; HEAD_MAX - 100].leak();
        let head: &[u8] = b"HTTP/1.1 200 OK\r\nX-Filler: ";
        assert_eq!(judge(&[head, filler, b"\r\n\r\nok"], "ok").await, Ok(()));
        let (kind, detail) = judge(&[head, filler, filler, b"\r\n\r\nok"], "ok").await.unwrap_err();
        assert_eq!((kind, &*detail), (Kind::Other, "no HTTP/1.1 reply: message head is too large"));
    }

    #[tokio::test]
    async fn a_body_is_searched_as_it_is_sent() {
        // What a decompressor would make of it is "ok".
        let packed = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n\x1f\x8b\x08\0\0\0\0\0\0\x03\xcb\xcf\x06\0\x47\xdd\xdc\x79\x02\0\0\0";
        assert!(judge(&[packed], "ok").await.is_err());
    }

    #[test]
    fn without_a_host_the_address_is_asked_for() {
        let say = |to: &str, encrypted| authority(None, to.parse().unwrap(), encrypted);
        assert_eq!(say("192.0.2.1:80", false), "192.0.2.1");
        assert_eq!(say("192.0.2.1:80", true), "192.0.2.1:80");
        assert_eq!(say("[2001:db8::1]:443", true), "[2001:db8::1]");
        assert_eq!(say("[2001:db8::1]:8443", true), "[2001:db8::1]:8443");
        assert_eq!(
            authority(Some("www.example.org"), "192.0.2.1:81".parse().unwrap(), false),
            "www.example.org"
        );
    }

    #[tokio::test]
    async fn a_body_is_searched_however_it_is_framed() {
        let replies: [&[u8]; 5] = [
            b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nall is ok",
            b"HTTP/1.1 200 OK\r\n\r\nall is ok",
            b"HTTP/1.0 200\n\nall is ok",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8;x=y\r\nall is o\r\n1\r\nk\r\n0\r\n\r\n",
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\nall is ok",
        ];
        for reply in replies {
            assert_eq!(judge(&[reply], "is ok").await, Ok(()), "{}", reply.escape_ascii());
            let (kind, _) = judge(&[reply], "wrong").await.unwrap_err();
            assert_eq!(kind, Kind::Body, "{}", reply.escape_ascii());
        }
    }

    #[tokio::test]
    async fn a_text_counts_only_within_the_first_bytes_of_the_body() {
        static FILLER: [u8; BODY_MAX] = [b'x'; BODY_MAX];
        let header: &[u8] = b"HTTP/1.1 200 OK\r\n\r\n";
        assert_eq!(judge(&[header, &FILLER[2..], b"ok"], "ok").await, Ok(()));
        let beyond = judge(&[header, &FILLER[1..], b"ok"], "ok").await;
        assert_eq!(beyond, Err((Kind::Body, "the text is not in the first 65536 bytes of the body".into())));
    }

    #[tokio::test]
    async fn what_follows_a_body_is_not_part_of_it() {
        let reply = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nall is ok";
        let reason = "the text is not in the 3 bytes of the body";
        assert_eq!(judge(&[reply], "ok").await, Err((Kind::Body, reason.into())));
        assert!(judge(&[b"HTTP/1.1 204 No Content\r\n\r\nok"], "ok").await.is_err());
    }

    #[tokio::test]
    async fn a_reply_that_is_cut_is_a_reset() {
        let replies: [(&[u8], &str); 4] = [
            (b"", "connection closed before a reply"),
            (b"HTTP/1.1 200", "connection closed before a reply"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nall", "connection closed inside the body"),
            (
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\nall",
                "connection closed inside the body",
            ),
        ];
        for (reply, detail) in replies {
            assert_eq!(judge(&[reply], "ok").await, Err((Kind::Reset, detail.into())));
        }
    }

    #[tokio::test]
    async fn garbage_is_no_reply() {
        let garbage: [&[u8]; 6] = [
            b"\x15\x03\x01\0\x02\x02F",
            b"SSH-2.0-OpenSSH_9.2\r\n",
            b"HTTP/1.1 2000 OK\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
        ];
        for reply in garbage {
            let (kind, detail) = judge(&[reply], "ok").await.unwrap_err();
            assert_eq!(kind, Kind::Other, "{}: {detail}", reply.escape_ascii());
        }
    }
}
