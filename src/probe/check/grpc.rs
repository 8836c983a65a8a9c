//! One call of the health service of gRPC (`grpc.health.v1.Health/Check`), over HTTP/2.
//!
//! ```text
//!   connect --> (handshake) --> POST /grpc.health.v1.Health/Check
//!                                 frame: 0, length, { 1: service }
//!   status 200 <------------------'
//!   frame: 0, length, { 1: SERVING }
//!   trailers: grpc-status: 0
//! ```
//!
//! The messages have one field each, so they are read and written by hand.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use h2::RecvStream;
use h2::client::{Builder, Connection, SendRequest};
use hyper::body::Bytes;
use hyper::{HeaderMap, Request, Response, StatusCode, Uri};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::select;

use super::bounded::Bounded;
use super::connect::{Permitted, connect};
use super::http::OUR_NAME;
use super::tls::Handshake;
use super::{REPLY_MAX, Seen, Stage, Trouble};
use crate::health::Kind;

/// A call, and how to get a connection for it.
#[derive(Debug)]
pub(super) struct HealthCall {
    handshake: Option<Handshake>,
    uri: Result<Uri, Box<str>>,
    service: Box<str>,
}

impl HealthCall {
    /// Without a `handshake` the call is in the clear.
    pub(super) fn new(handshake: Option<Handshake>, authority: &str, service: &str) -> Self {
        let scheme = if handshake.is_some() { "https" } else { "http" };
        let uri = Uri::builder().scheme(scheme).authority(authority).path_and_query(PATH).build();
        let uri = uri.map_err(|_| format!("\"{}\" is not a host", authority.escape_debug()).into());
        Self { handshake, uri, service: service.into() }
    }

    /// Calls over a fresh connection, and judges the reply.
    pub(super) async fn run(&self, to: Permitted, seen: &mut Seen) -> Result<(), Trouble> {
        let stream = connect(to, seen).await?;
        match &self.handshake {
            None => self.call(stream, seen).await,
            Some(handshake) => {
                let stream = handshake.shake(stream, seen).await?;
                self.call(stream, seen).await
            }
        }
    }

    async fn call<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
        seen: &mut Seen,
    ) -> Result<(), Trouble> {
        seen.stage = Stage::Reply;
        let mut building = Builder::new();
        building.enable_push(false).max_header_list_size(HEADERS_MAX);
        let (requests, connection) =
            building.handshake(Bounded::new(stream, REPLY_MAX)).await.map_err(failed)?;
        let mut connection = pin!(connection);
        let judged = select! {
            biased;
            judged = self.ask(requests) => judged,
            never = drive(connection.as_mut()) => match never {},
        };
        if judged.is_ok() {
            // Says goodbye as far as that needs no waiting: the check has passed already.
            let goodbye = |context: &mut Context<'_>| {
                let _ = connection.as_mut().poll(context);
                Poll::Ready(())
            };
            std::future::poll_fn(goodbye).await;
        }
        judged
    }

    async fn ask(&self, requests: SendRequest<Bytes>) -> Result<(), Trouble> {
        let mut requests = requests.ready().await.map_err(failed)?;
        let (reply, mut body) = requests.send_request(self.request()?, false).map_err(failed)?;
        body.send_data(framed(&asking_about(&self.service)).into(), true).map_err(failed)?;
        let reply = reply.await.map_err(failed)?;
        accept(&reply)?;
        // Without a message there is only one header.
        if reply.headers().contains_key(STATUS) {
            succeeded(reply.headers())?;
        }
        let mut body = reply.into_body();
        let message = whole(&mut body).await?;
        let trailers = body.trailers().await.map_err(failed)?;
        succeeded(&trailers.unwrap_or_default())?;
        serving(&message)
    }

    fn request(&self) -> Result<Request<()>, Trouble> {
        let uri = self.uri.as_ref().map_err(|reason| Trouble::endpoint(Kind::Other, reason.to_string()))?;
        let request = Request::post(uri.clone())
            .header("content-type", MEDIA_TYPE)
            .header("te", "trailers")
            .header("user-agent", OUR_NAME);
        request.body(()).map_err(|error| Trouble::endpoint(Kind::Other, error.to_string()))
    }
}

/// Moves the connection's frames for ever: whoever waits for one of its streams hears of its end there.
async fn drive<S: AsyncRead + AsyncWrite + Unpin>(
    connection: Pin<&mut Connection<Bounded<S>, Bytes>>,
) -> Infallible {
    let _ = connection.await;
    std::future::pending().await
}

/// Whether what replies is gRPC at all.
fn accept(reply: &Response<RecvStream>) -> Result<(), Trouble> {
    if reply.status() != StatusCode::OK {
        return Err(Trouble::endpoint(Kind::Status, format!("status {}", reply.status().as_u16())));
    }
    let kind = reply.headers().get("content-type").map(|value| value.as_bytes()).unwrap_or_default();
    match kind.starts_with(MEDIA_TYPE.as_bytes()) {
        true => Ok(()),
        false => Err(Trouble::endpoint(Kind::Other, format!("no gRPC reply: {}", kind.escape_ascii()))),
    }
}

/// The message of a reply's only frame.
async fn whole(body: &mut RecvStream) -> Result<Vec<u8>, Trouble> {
    let mut octets = Vec::new();
    while let Some(piece) = body.data().await {
        let piece = piece.map_err(failed)?;
        octets.extend_from_slice(&piece);
        body.flow_control().release_capacity(piece.len()).map_err(failed)?;
    }
    Ok(octets)
}

/// Whether the trailers, or the header of a reply without a message, say that the call succeeded.
fn succeeded(headers: &HeaderMap) -> Result<(), Trouble> {
    let text = |name: &str| headers.get(name).map(|value| value.as_bytes().escape_ascii().to_string());
    match (text(STATUS), text("grpc-message")) {
        (Some(status), _) if status == "0" => Ok(()),
        (Some(status), None) => Err(Trouble::endpoint(Kind::Status, format!("{STATUS} {status}"))),
        (Some(status), Some(message)) => {
            Err(Trouble::endpoint(Kind::Status, format!("{STATUS} {status}: {message}")))
        }
        (None, _) => Err(Trouble::endpoint(Kind::Other, format!("a reply without {STATUS}"))),
    }
}

/// Whether a framed `HealthCheckResponse` says that the service is serving.
fn serving(frame: &[u8]) -> Result<(), Trouble> {
    let malformed = || Trouble::endpoint(Kind::Other, "malformed reply: no HealthCheckResponse");
    let (head, message) = frame.split_first_chunk::<5>().ok_or_else(malformed)?;
    let [compressed, length @ ..] = head;
    if *compressed != 0 || u32::from_be_bytes(*length) as usize != message.len() {
        return Err(malformed());
    }
    match status(message).ok_or_else(malformed)? {
        1 => Ok(()),
        0 => Err(Trouble::endpoint(Kind::Status, "UNKNOWN")),
        2 => Err(Trouble::endpoint(Kind::Status, "NOT_SERVING")),
        3 => Err(Trouble::endpoint(Kind::Status, "SERVICE_UNKNOWN")),
        other => Err(Trouble::endpoint(Kind::Status, format!("serving status {other}"))),
    }
}

/// The field `status` (1) of a message in the wire form of protocol buffers; what is absent is 0, and the last
/// one counts. `None`: no such message.
fn status(mut message: &[u8]) -> Option<u64> {
    let mut status = 0;
    while !message.is_empty() {
        let key = varint(&mut message)?;
        match (key >> 3, key & 7) {
            (1, 0) => status = varint(&mut message)?,
            (0, _) => return None,
            (_, 0) => drop(varint(&mut message)?),
            (_, 1) => message = message.get(8..)?,
            (_, 2) => {
                let length = usize::try_from(varint(&mut message)?).ok()?;
                message = message.get(length..)?;
            }
            (_, 5) => message = message.get(4..)?,
            _ => return None,
        }
    }
    Some(status)
}

/// A number in groups of seven bits, the lowest first.
fn varint(octets: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (&octet, rest) = octets.split_first()?;
        *octets = rest;
        number |= u64::from(octet & 0x7f) << shift;
        if octet < 0x80 {
            return Some(number);
        }
    }
    None
}

/// A `HealthCheckRequest`: the field `service` (1), absent if empty.
fn asking_about(service: &str) -> Vec<u8> {
    let mut message = Vec::new();
    if !service.is_empty() {
        message.push(1 << 3 | 2);
        let mut length = service.len();
        while length >= 0x80 {
            message.push(length as u8 | 0x80);
            length >>= 7;
        }
        message.push(length as u8);
        message.extend(service.as_bytes());
    }
    message
}

/// A message as gRPC sends it: not compressed, with its length.
fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).expect("a line of a file is shorter");
    [&[0], &length.to_be_bytes()[..], message].concat()
}

/// What ended an HTTP/2 exchange.
fn failed(error: h2::Error) -> Trouble {
    if let Some(error) = error.get_io() {
        return error.into();
    }
    let kind = if error.is_remote() { Kind::Reset } else { Kind::Other };
    Trouble::endpoint(kind, format!("no HTTP/2 reply: {error}"))
}

const PATH: &str = "/grpc.health.v1.Health/Check";

const MEDIA_TYPE: &str = "application/grpc";

const STATUS: &str = "grpc-status";

/// A longer header fails the check; gRPC servers send a few hundred octets.
const HEADERS_MAX: u32 = 16 * 1024;

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::Arc;

    use h2::server::{self, SendResponse};
    use rustls::ServerConfig;
    use tokio::io::AsyncWriteExt;
    use tokio_rustls::TlsAcceptor;

    use super::super::servers::{self, Authority};
    use super::super::tls::Trust;
    use super::*;
    use crate::model::TlsAsk;

    /// What a server does with a call.
    #[derive(Clone)]
    struct Behaviour {
        status: u16,
        header: Vec<(&'static str, &'static str)>,
        /// Sent in frames; `None`: a reply without a message.
        body: Option<Vec<u8>>,
        trailers: Option<Vec<(&'static str, &'static str)>>,
        /// The body has no end.
        endless: bool,
    }

    impl Behaviour {
        fn saying(status: u8) -> Self {
            Self {
                status: 200,
                header: vec![("content-type", "application/grpc+proto")],
                body: Some(framed(&[0x08, status])),
                trailers: Some(vec![("grpc-status", "0")]),
                endless: false,
            }
        }

        fn failing(header: &[(&'static str, &'static str)]) -> Self {
            let header = [&Self::saying(0).header, header].concat();
            Self { header, body: None, trailers: None, ..Self::saying(0) }
        }
    }

    fn mapped(headers: &[(&'static str, &'static str)]) -> HeaderMap {
        headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    /// Serves each call on a stream so, and checks that it is one.
    async fn serve_calls<S: AsyncRead + AsyncWrite + Unpin>(stream: S, behaviour: Behaviour, service: &str) {
        let mut connection = server::handshake(stream).await.unwrap();
        while let Some(Ok((call, reply))) = connection.accept().await {
            assert_eq!((call.method().as_str(), call.uri().path()), ("POST", PATH));
            assert_eq!(call.headers()["content-type"], MEDIA_TYPE);
            assert_eq!(call.headers()["te"], "trailers");
            let mut body = call.into_body();
            let behaviour = behaviour.clone();
            let expected = framed(&asking_about(service));
            tokio::spawn(async move {
                assert_eq!(whole(&mut body).await.unwrap(), expected);
                reply_so(reply, behaviour).await;
            });
        }
    }

    async fn reply_so(mut reply: SendResponse<Bytes>, behaviour: Behaviour) {
        let mut response = Response::builder().status(behaviour.status).body(()).unwrap();
        *response.headers_mut() = mapped(&behaviour.header);
        let no_more = behaviour.body.is_none() && behaviour.trailers.is_none();
        let mut stream = reply.send_response(response, no_more).unwrap();
        if behaviour.endless {
            loop {
                stream.reserve_capacity(1024);
                match std::future::poll_fn(|context| stream.poll_capacity(context)).await {
                    Some(Ok(capacity)) => stream.send_data(vec![0; capacity].into(), false).unwrap(),
                    _ => return,
                }
            }
        }
        if let Some(body) = behaviour.body {
            stream.send_data(body.into(), behaviour.trailers.is_none()).unwrap();
        }
        if let Some(trailers) = behaviour.trailers {
            stream.send_trailers(mapped(&trailers)).unwrap();
        }
    }

    async fn serving_so(behaviour: Behaviour, service: &'static str) -> SocketAddr {
        servers::serve(move |stream| serve_calls(stream, behaviour.clone(), service)).await
    }

    async fn call(to: SocketAddr, service: &str) -> Result<(), (Kind, String)> {
        told(
            HealthCall::new(None, &to.to_string(), service)
                .run(servers::permitted(to), &mut Seen::default())
                .await,
        )
    }

    fn told(ended: Result<(), Trouble>) -> Result<(), (Kind, String)> {
        ended.map_err(|trouble| match trouble {
            Trouble::Endpoint { kind, detail } => (kind, detail.to_string()),
            Trouble::Machine(not_run) => panic!("{not_run:?}"),
        })
    }

    async fn called(behaviour: Behaviour) -> Result<(), (Kind, String)> {
        call(serving_so(behaviour, "").await, "").await
    }

    #[tokio::test]
    async fn a_service_that_serves_passes_and_any_other_does_not() {
        assert_eq!(called(Behaviour::saying(1)).await, Ok(()));
        for (status, word) in
            [(0, "UNKNOWN"), (2, "NOT_SERVING"), (3, "SERVICE_UNKNOWN"), (4, "serving status 4")]
        {
            assert_eq!(called(Behaviour::saying(status)).await, Err((Kind::Status, word.into())));
        }
    }

    #[tokio::test]
    async fn the_service_is_asked_about_by_name() {
        // Its length needs more than one octet.
        const NAME: &str = "a.service.whose.name.is.so.long.that.few.have.ever.seen.one.like.it.and.nobody.would.\
                            like.to.write.it.by.hand.into.any.file.that.is.read.often";
        assert!(NAME.len() > 127);
        let to = serving_so(Behaviour::saying(1), NAME).await;
        assert_eq!(call(to, NAME).await, Ok(()));
    }

    #[tokio::test]
    async fn a_call_that_fails_says_how() {
        let unimplemented = Behaviour::failing(&[("grpc-status", "12"), ("grpc-message", "no such service")]);
        let ended = called(unimplemented).await;
        assert_eq!(ended, Err((Kind::Status, "grpc-status 12: no such service".into())));
        let mut late = Behaviour::saying(1);
        late.trailers = Some(vec![("grpc-status", "14")]);
        assert_eq!(called(late).await, Err((Kind::Status, "grpc-status 14".into())));
        let busy = Behaviour { status: 503, ..Behaviour::failing(&[]) };
        assert_eq!(called(busy).await, Err((Kind::Status, "status 503".into())));
    }

    #[tokio::test]
    async fn what_is_no_health_service_fails() {
        let page = Behaviour { header: vec![("content-type", "text/html")], ..Behaviour::saying(1) };
        let (kind, detail) = called(page).await.unwrap_err();
        assert_eq!((kind, &*detail), (Kind::Other, "no gRPC reply: text/html"));
        let unended = Behaviour { trailers: None, ..Behaviour::saying(1) };
        let (kind, detail) = called(unended).await.unwrap_err();
        assert_eq!((kind, &*detail), (Kind::Other, "a reply without grpc-status"));
        for body in [vec![], vec![0], framed(&[0x08]), vec![1, 0, 0, 0, 2, 8, 1], vec![0, 0, 0, 0, 3, 8, 1]] {
            let malformed = Behaviour { body: Some(body.clone()), ..Behaviour::saying(1) };
            let (kind, detail) = called(malformed).await.unwrap_err();
            assert_eq!(kind, Kind::Other, "{body:?}: {detail}");
        }
    }

    #[tokio::test]
    async fn an_endless_reply_fails() {
        let endless = Behaviour { endless: true, ..Behaviour::saying(1) };
        let (kind, detail) = called(endless).await.unwrap_err();
        assert_eq!((kind, &*detail), (Kind::Other, "more than 65536 bytes were sent"));
    }

    #[tokio::test]
    async fn what_speaks_no_http_2_fails() {
        let to = servers::serve(|mut stream| async move {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
            std::future::pending::<()>().await;
        });
        let (kind, detail) = call(to.await, "").await.unwrap_err();
        assert_eq!(kind, Kind::Other, "{detail}");
        let cut = servers::serve(|mut stream| async move {
            let _ = stream.shutdown().await;
        });
        let (kind, detail) = call(cut.await, "").await.unwrap_err();
        assert_eq!(kind, Kind::Reset, "{detail}");
        let (closed, _held) = servers::closed();
        assert_eq!(call(closed, "").await.unwrap_err().0, Kind::Refused);
    }

    async fn encrypted(config: Arc<ServerConfig>) -> SocketAddr {
        servers::serve(move |stream| {
            let acceptor = TlsAcceptor::from(Arc::clone(&config));
            async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                serve_calls(stream, Behaviour::saying(1), "").await;
            }
        })
        .await
    }

    #[tokio::test]
    async fn over_tls_the_certificate_and_the_protocol_are_judged() {
        let (directory, authority) = (tempfile::tempdir().unwrap(), Authority::new("trusted"));
        let roots = authority.write_roots(&directory.path().join("roots.pem"));
        let ask = TlsAsk { name: None, verify: true, roots: Some(roots), warn_before: Default::default() };
        let host = "rpc.example.org";
        let cases = [
            (host, &b"h2"[..], None),
            ("b.example", b"h2", Some("certificate for another name")),
            (host, b"http/1.1", Some("NoApplicationProtocol")),
        ];
        for (name, protocol, wrong) in cases {
            let mut config = authority.server(name, 2039);
            Arc::get_mut(&mut config).unwrap().alpn_protocols = vec![protocol.to_vec()];
            let to = encrypted(config).await;
            let handshake = Handshake::for_grpc(&ask, Some(host), to.ip(), &mut Trust::new());
            let mut seen = Seen::default();
            let call = HealthCall::new(Some(handshake), host, "");
            let ended = told(call.run(servers::permitted(to), &mut seen).await);
            match (ended, wrong) {
                (Ok(()), None) => assert!(seen.certificate_end.is_some() && seen.rtt.is_some()),
                (Err((Kind::Tls, detail)), Some(wrong)) => assert!(detail.contains(wrong), "{detail}"),
                (ended, _) => panic!("{name}: {ended:?}"),
            }
        }
    }

    #[test]
    fn unknown_fields_are_passed_over() {
        let others = [0x10, 0xff, 0x01, 0x1a, 2, 9, 9, 0x25, 1, 2, 3, 4, 0x29, 1, 2, 3, 4, 5, 6, 7, 8];
        assert_eq!(status(&[&others[..], &[8, 2, 8, 1], &others].concat()), Some(1));
        assert_eq!(status(&[]), Some(0));
    }

    #[test]
    fn no_octets_make_it_panic() {
        for length in 0..4 {
            for octet in 0..=255 {
                let octets = [octet, 0xff, octet, 0x80];
                let _ = (status(&octets[..length]), serving(&octets[..length]));
            }
        }
        assert_eq!(status(&[8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]), None);
        assert_eq!(status(&[0x1a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]), None);
    }
}
