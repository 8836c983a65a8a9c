//! One check: a monitor run once against one address.
//!
//! ```text
//!            .------------------- one deadline -------------------.
//!   tcp      | connect                                            |
//!   tls      | connect --> handshake                              |--> Outcome
//!   http     | connect ---------------> request --> status (body) |
//!   https    | connect --> handshake -> request --> status (body) |
//!   grpc     | connect -> (handshake) -> call ----> health        |
//!   dns      | (connect) --------------> query ---> rcode (data)  |
//!   udp      |                           datagram > octets        |
//!   icmp     |                           echo ----> the same      |
//!            '----------------------------------------------------'
//! ```
//!
//! All of them work on a socket of ours. The time that is told of a check is that of its connect; where there is
//! nothing to connect, that of the reply.
//!
//! Each check makes a connection of its own and leaves nothing behind. What was learned on the way (how
//! long the connect took, when the certificate ends) is kept even if a later step fails or time runs out.

mod agent;
mod bounded;
mod certificate;
mod connect;
mod datagram;
mod dns;
mod grpc;
mod http;
mod icmp;
#[cfg(test)]
pub(super) mod servers;
mod tls;
mod trouble;
mod udp;

pub use agent::said_in;
pub(super) use connect::answers;
pub(super) use tls::Trust;
pub(super) use trouble::NotRun;

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::timeout;

use super::Assignment;
use crate::health::{Agent, Denied, Guard, Kind, Outcome};
use crate::model::Ask;
use connect::{Permitted, connect};
use dns::Query;
use grpc::HealthCall;
use http::{Exchange, Wording};
use icmp::Echo;
use tls::Handshake;
use trouble::Trouble;
use udp::Datagram;

/// Everything that one kind of check against one address needs, worked out once.
#[derive(Debug)]
pub(super) struct Check {
    to: Permitted,
    timeout: Duration,
    steps: Steps,
}

/// What is done.
#[derive(Debug)]
enum Steps {
    Tcp,
    Tls(Handshake),
    /// With TLS or without.
    Http(Box<Exchange>),
    Dns(Box<Query>),
    Icmp(Echo),
    /// With TLS or without.
    Grpc(Box<HealthCall>),
    Udp(Box<Datagram>),
}

/// Why an assignment comes to no check.
#[derive(Clone, Copy, Debug)]
pub(super) enum NoCheck {
    /// The probe must not connect there.
    Denied(Denied),
    /// The application sends beats by itself.
    Awaited {
        /// For how long each is good.
        within: Duration,
    },
}

/// What a check learns on the way, whatever comes of it.
#[derive(Debug, Default)]
struct Seen {
    stage: Stage,
    rtt: Option<Duration>,
    certificate_end: Option<i64>,
    agent: Option<Agent>,
}

/// Where a check is, to say what it waited for in vain.
#[derive(Clone, Copy, Debug, Default)]
enum Stage {
    #[default]
    Connect,
    Handshake,
    Reply,
    Body,
}

impl Check {
    /// Reads root certificates if the monitor needs them (once per `trust`), so it may block.
    ///
    /// # Errors
    /// There is nothing to ask, or the probe does not connect to such an address.
    pub(super) fn new(assignment: &Assignment, guard: &Guard, trust: &mut Trust) -> Result<Self, NoCheck> {
        let monitor = &assignment.monitor;
        // ICMP has no ports.
        let address = SocketAddr::new(assignment.address, monitor.ask.port().unwrap_or(0));
        // Where nobody is asked, nothing needs to be permitted.
        let to = Permitted::by(guard, address).map_err(NoCheck::Denied);
        let steps = match &monitor.ask {
            Ask::Tcp { .. } => Steps::Tcp,
            Ask::Tls { tls, .. } => Steps::Tls(Handshake::new(tls, address.ip(), trust)),
            Ask::Http { tls, method, path, host, headers, expect, agent, .. } => {
                let handshake =
                    tls.as_ref().map(|tls| Handshake::for_https(tls, host.as_deref(), address.ip(), trust));
                let authority = &http::authority(host.as_deref(), address, tls.is_some());
                let wording = Wording { method, path, authority, headers };
                let agent = agent.as_deref();
                Steps::Http(Box::new(Exchange::new(to?, handshake, &wording, expect, agent)))
            }
            Ask::Dns { name, record, transport, recursion_desired, expect, .. } => {
                Steps::Dns(Box::new(Query::new(name, *record, *transport, *recursion_desired, expect)))
            }
            Ask::Icmp { payload } => Steps::Icmp(Echo::new(*payload)),
            Ask::Grpc { tls, host, service, .. } => {
                let handshake =
                    tls.as_ref().map(|tls| Handshake::for_grpc(tls, host.as_deref(), address.ip(), trust));
                let authority = http::authority(host.as_deref(), address, tls.is_some());
                Steps::Grpc(Box::new(HealthCall::new(handshake, &authority, service)))
            }
            Ask::Udp { send, expect, .. } => Steps::Udp(Box::new(Datagram::new(send, expect))),
            Ask::Push { within } => return Err(NoCheck::Awaited { within: *within }),
        };
        Ok(Self { to: to?, timeout: monitor.timeout, steps })
    }

    /// Runs once, within the monitor's `timeout` from connect to the last byte that is needed.
    pub(super) async fn run(&self) -> Result<Outcome, NotRun> {
        let mut seen = Seen::default();
        let ended = timeout(self.timeout, self.take_steps(&mut seen)).await;
        let (kind, detail) = match ended {
            Ok(Ok(())) => (Kind::Ok, None),
            Ok(Err(Trouble::Endpoint { kind, detail })) => (kind, Some(detail)),
            Ok(Err(Trouble::Machine(not_run))) => return Err(not_run),
            Err(_) => {
                let detail = format!("no {} within {:?}", seen.stage, self.timeout);
                (Kind::Timeout, Some(detail.into()))
            }
        };
        let Seen { rtt, certificate_end, agent, .. } = seen;
        Ok(Outcome { kind, rtt, detail, certificate_end, agent })
    }

    async fn take_steps(&self, seen: &mut Seen) -> Result<(), Trouble> {
        match &self.steps {
            Steps::Tcp => connect(self.to, seen).await.map(drop),
            Steps::Tls(handshake) => {
                let stream = connect(self.to, seen).await?;
                let stream = handshake.shake(stream, seen).await?;
                tls::close(stream).await;
                Ok(())
            }
            Steps::Http(exchange) => exchange.run(seen).await,
            Steps::Dns(query) => query.run(self.to, seen).await,
            Steps::Icmp(echo) => echo.run(self.to, seen).await,
            Steps::Grpc(call) => call.run(self.to, seen).await,
            Steps::Udp(datagram) => datagram.run(self.to, seen).await,
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stage::Connect => "connection",
            Stage::Handshake => "TLS handshake",
            Stage::Reply => "reply",
            Stage::Body => "text in the body",
        })
    }
}

/// Checks that are neither http nor https read no more of what an endpoint sends.
const REPLY_MAX: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use domain::base::Rtype;
    use domain::base::iana::Rcode;
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpStream;

    use super::super::check_once;
    use super::servers::{self, Authority};
    use super::*;
    use crate::model::{Expect, ExpectAnswer, ExpectDatagram, Monitor, Name, TlsAsk, Transport};

    /// Long enough for anything that answers, even on a busy machine; hanging endpoints get [`SHORT`].
    const LONG: Duration = Duration::from_secs(20);
    const SHORT: Duration = Duration::from_millis(200);

    async fn check(to: SocketAddr, timeout: Duration, ask: Ask) -> Outcome {
        let second = Duration::from_secs(1);
        let monitor = Monitor {
            name: "test".into(),
            ask,
            interval: second,
            timeout,
            recheck: second,
            fall: 3,
            rise: 2,
            quorum: 75,
        };
        check_once(&Assignment { monitor: Arc::new(monitor), address: to.ip() }, &Guard::default()).await
    }

    fn http(to: SocketAddr, body: Option<&str>) -> Ask {
        Ask::Http {
            port: to.port(),
            tls: None,
            method: "GET".into(),
            path: "/".into(),
            host: None,
            headers: Vec::new(),
            expect: Expect { status: vec![200..=299], body: body.map(Into::into) },
            agent: None,
        }
    }

    fn https(to: SocketAddr, host: &str, tls: TlsAsk) -> Ask {
        match http(to, Some("ok")) {
            Ask::Http { port, method, path, headers, expect, agent, .. } => Ask::Http {
                port,
                tls: Some(tls),
                method,
                path,
                host: Some(host.into()),
                headers,
                expect,
                agent,
            },
            other => other,
        }
    }

    fn dns(to: SocketAddr, transport: Transport) -> Ask {
        Ask::Dns {
            port: to.port(),
            name: Name::root_vec(),
            record: Rtype::NS,
            transport,
            recursion_desired: false,
            expect: ExpectAnswer { rcodes: vec![Rcode::NOERROR], answers: Vec::new() },
        }
    }

    fn grpc(to: SocketAddr) -> Ask {
        Ask::Grpc { port: to.port(), tls: None, host: None, service: "".into() }
    }

    fn udp(to: SocketAddr) -> Ask {
        Ask::Udp { port: to.port(), send: b"ping"[..].into(), expect: ExpectDatagram::default() }
    }

    fn trusting(roots: &str) -> TlsAsk {
        TlsAsk { name: None, verify: true, roots: Some(roots.into()), warn_before: Duration::ZERO }
    }

    fn unjudged() -> TlsAsk {
        TlsAsk { name: None, verify: false, roots: None, warn_before: Duration::ZERO }
    }

    fn detail(outcome: &Outcome) -> &str {
        outcome.detail.as_deref().unwrap_or("")
    }

    /// A handler that writes what `next` gives until the check has gone, and counts the bytes.
    async fn push_for_ever(mut stream: TcpStream, head: &[u8], piece: &[u8], pushed: Arc<AtomicUsize>) {
        servers::read_request(&mut stream).await;
        let _ = stream.write_all(head).await;
        while stream.write_all(piece).await.is_ok() {
            pushed.fetch_add(piece.len(), Ordering::Relaxed);
        }
    }

    #[tokio::test]
    async fn a_port_that_accepts_passes_a_tcp_check() {
        let to = servers::silent().await;
        let outcome = check(to, LONG, Ask::Tcp { port: to.port() }).await;
        assert_eq!(outcome.kind, Kind::Ok, "{outcome:?}");
        assert!(outcome.rtt.is_some());
    }

    #[tokio::test]
    async fn a_closed_port_refuses_whatever_is_asked() {
        let (to, _held) = servers::closed();
        let tls = unjudged();
        let port = to.port();
        for ask in
            [Ask::Tcp { port }, Ask::Tls { port, tls }, http(to, None), dns(to, Transport::Tcp), grpc(to)]
        {
            let outcome = check(to, LONG, ask).await;
            assert_eq!((outcome.kind, detail(&outcome)), (Kind::Refused, "connection refused"));
            assert!(outcome.rtt.is_some());
        }
        let (to, _held) = servers::unheard().await;
        for ask in [udp(to), dns(to, Transport::Udp)] {
            let outcome = check(to, LONG, ask).await;
            assert_eq!((outcome.kind, detail(&outcome)), (Kind::Refused, "connection refused"));
            assert!(outcome.rtt.is_some());
        }
    }

    #[tokio::test]
    async fn an_endpoint_that_says_nothing_times_out_whatever_is_asked() {
        let silent = servers::silent().await;
        for ask in [dns(silent, Transport::Tcp), grpc(silent)] {
            let outcome = check(silent, SHORT, ask).await;
            assert_eq!((outcome.kind, detail(&outcome)), (Kind::Timeout, "no reply within 200ms"));
            assert!(outcome.rtt.is_some(), "the connect was timed before the reply was late");
        }
        let silent = servers::answering(|_| vec![]).await;
        for ask in [dns(silent, Transport::Udp), udp(silent)] {
            let outcome = check(silent, SHORT, ask).await;
            assert_eq!((outcome.kind, detail(&outcome)), (Kind::Timeout, "no reply within 200ms"));
        }
    }

    #[tokio::test]
    async fn a_datagram_that_is_answered_passes() {
        let to = servers::answering(|asked| vec![asked.to_vec()]).await;
        let outcome = check(to, LONG, udp(to)).await;
        assert_eq!(outcome.kind, Kind::Ok, "{outcome:?}");
        assert!(outcome.rtt.is_some());
    }

    #[tokio::test]
    async fn the_status_decides_and_no_redirect_is_followed() {
        let ok = servers::replying("HTTP/1.1 204 No Content\r\n\r\n").await;
        assert_eq!(check(ok, LONG, http(ok, None)).await.kind, Kind::Ok);
        let failing = servers::replying("HTTP/1.1 503 Service Unavailable\r\n\r\n").await;
        let outcome = check(failing, LONG, http(failing, None)).await;
        assert_eq!((outcome.kind, detail(&outcome)), (Kind::Status, "status 503"));
        for elsewhere in [
            "HTTP/1.1 301 Moved Permanently\r\nLocation: /\r\n\r\n",
            "HTTP/1.1 301 Moved Permanently\r\nLocation: https://192.0.2.1/\r\n\r\n",
            "HTTP/1.1 301 Moved Permanently\r\nLocation: http://[\r\n\r\n",
        ] {
            let redirecting = servers::replying(elsewhere).await;
            let outcome = check(redirecting, LONG, http(redirecting, None)).await;
            assert_eq!((outcome.kind, detail(&outcome)), (Kind::Status, "status 301"));
        }
    }

    #[tokio::test]
    async fn an_endpoint_may_say_in_a_header_how_much_it_wants() {
        let asking = |to: SocketAddr| match http(to, None) {
            Ask::Http { port, tls, method, path, host, headers, expect, .. } => {
                let agent = Some("X-Windrose".into());
                Ask::Http { port, tls, method, path, host, headers, expect, agent }
            }
            other => other,
        };
        for (reply, kind, word) in [
            ("HTTP/1.1 200 OK\r\nx-windrose: 75%\r\n\r\n", Kind::Ok, Agent::Share(75)),
            ("HTTP/1.1 200 OK\r\nX-Windrose: drain\r\n\r\n", Kind::Ok, Agent::Drain),
            ("HTTP/1.1 200 OK\r\n\r\n", Kind::Ok, Agent::Up),
            ("HTTP/1.1 200 OK\r\nX-Windrose: maint\r\n\r\n", Kind::Status, Agent::Down),
            ("HTTP/1.1 503 Busy\r\nX-Windrose: drain\r\n\r\n", Kind::Status, Agent::Drain),
        ] {
            let to = servers::replying(reply).await;
            let outcome = check(to, LONG, asking(to)).await;
            assert_eq!((outcome.kind, outcome.agent), (kind, Some(word)), "{reply}");
            let unasked = check(to, LONG, http(to, None)).await;
            assert_eq!(unasked.agent, None, "nobody asked for it");
        }
        let silent = servers::silent().await;
        assert_eq!(check(silent, SHORT, asking(silent)).await.agent, None);
    }

    #[tokio::test]
    async fn the_body_decides_if_a_text_is_expected() {
        let to = servers::replying("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nall ok").await;
        assert_eq!(check(to, LONG, http(to, Some("ok"))).await.kind, Kind::Ok);
        assert_eq!(check(to, LONG, http(to, Some("fine"))).await.kind, Kind::Body);
    }

    #[tokio::test]
    async fn an_endpoint_that_hangs_times_out_at_each_stage() {
        let silent = servers::silent().await;
        let outcome = check(silent, SHORT, http(silent, None)).await;
        assert_eq!((outcome.kind, detail(&outcome)), (Kind::Timeout, "no reply within 200ms"));
        assert!(outcome.rtt.is_some(), "the connect was timed before the reply was late");

        let tls = unjudged();
        let outcome = check(silent, SHORT, Ask::Tls { port: silent.port(), tls }).await;
        assert_eq!((outcome.kind, detail(&outcome)), (Kind::Timeout, "no TLS handshake within 200ms"));

        let outcome = check(silent, SHORT, https(silent, "a.example", unjudged())).await;
        assert_eq!((outcome.kind, detail(&outcome)), (Kind::Timeout, "no TLS handshake within 200ms"));

        let in_body = servers::serve(|mut stream| async move {
            servers::read_request(&mut stream).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nnot yet").await;
            std::future::pending::<()>().await;
        });
        let in_body = in_body.await;
        let outcome = check(in_body, SHORT, http(in_body, Some("ok"))).await;
        assert_eq!((outcome.kind, detail(&outcome)), (Kind::Timeout, "no text in the body within 200ms"));
    }

    #[tokio::test]
    async fn an_endpoint_that_trickles_gains_no_time() {
        // A byte each time the deadline's clock moves at all: never a pause that a read timeout would see.
        for head in ["HTTP/1.1 200 OK\r\nX-Filler: ", "HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 100 "] {
            let to = servers::serve(move |mut stream| async move {
                servers::read_request(&mut stream).await;
                let _ = stream.write_all(head.as_bytes()).await;
                let mut ticks = tokio::time::interval(Duration::from_millis(1));
                while stream.write_all(b"x").await.is_ok() {
                    ticks.tick().await;
                }
            });
            let to = to.await;
            assert_eq!(check(to, SHORT, http(to, Some("ok"))).await.kind, Kind::Timeout, "{head}");
        }
    }

    #[tokio::test]
    async fn a_connection_cut_before_the_reply_is_a_reset() {
        let resetting = servers::resetting().await;
        let outcome = check(resetting, LONG, http(resetting, None)).await;
        assert_eq!((outcome.kind, detail(&outcome)), (Kind::Reset, "connection reset"));
        let closing = servers::replying("").await;
        let outcome = check(closing, LONG, http(closing, None)).await;
        assert_eq!((outcome.kind, detail(&outcome)), (Kind::Reset, "connection closed before a reply"));
    }

    #[tokio::test]
    async fn what_is_not_http_fails_at_once() {
        for speaks_first in [true, false] {
            let to = servers::serve(move |mut stream| async move {
                if !speaks_first {
                    servers::read_request(&mut stream).await;
                }
                let _ = stream.write_all(b"220 mail.example.org ESMTP\r\n").await;
                std::future::pending::<()>().await;
            });
            let to = to.await;
            let outcome = check(to, LONG, http(to, None)).await;
            assert_eq!(outcome.kind, Kind::Other, "{outcome:?}");
        }
    }

    #[tokio::test]
    async fn a_flood_fails_the_check_and_stays_outside() {
        let lines = b"X-Filler: and on and on\r\n";
        let floods: [(&'static [u8], &'static [u8], Kind); 8] = [
            (b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n", lines, Kind::Body),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40000000\r\n", lines, Kind::Body),
            (b"HTTP/1.1 200 OK\r\n", lines, Kind::Other),
            (b"HTTP/1.1 200 OK\r\nX-Filler: ", b"and on and on", Kind::Other),
            (b"HTTP/1.1 200 ", b"and on and on", Kind::Other),
            (b"", b"HTTP/1.1 100 Continue\r\n\r\n", Kind::Other),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n", Kind::Other),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"and on and on", Kind::Other),
        ];
        for (head, piece, kind) in floods {
            let pushed = Arc::new(AtomicUsize::new(0));
            let counted = Arc::clone(&pushed);
            let to = servers::serve(move |stream| push_for_ever(stream, head, piece, Arc::clone(&counted)));
            let to = to.await;
            let outcome = check(to, LONG, http(to, Some("never there"))).await;
            assert_eq!(outcome.kind, kind, "{}: {outcome:?}", head.escape_ascii());
            // What is read, and what the buffers of both kernels took: ours is bounded, theirs a few MiB.
            let pushed = pushed.load(Ordering::Relaxed);
            assert!(pushed < 8 << 20, "{pushed} bytes were pushed at us");
        }
    }

    #[tokio::test]
    async fn a_good_certificate_passes_and_its_end_is_known() {
        let (directory, authority) = (tempfile::tempdir().unwrap(), Authority::new("trusted"));
        let roots = authority.write_roots(&directory.path().join("roots.pem"));
        let config = authority.server("www.example.org", 2039);
        let to = servers::encrypted(config, "HTTP/1.1 200 OK\r\n\r\nok").await;

        let outcome = check(to, LONG, https(to, "www.example.org", trusting(&roots))).await;
        assert_eq!(outcome.kind, Kind::Ok, "{outcome:?}");
        assert_eq!(outcome.certificate_end, Some(YEAR_2040));
        assert!(outcome.rtt.is_some());

        let tls = TlsAsk { name: Some("www.example.org".into()), ..trusting(&roots) };
        let outcome = check(to, LONG, Ask::Tls { port: to.port(), tls }).await;
        assert_eq!((outcome.kind, outcome.certificate_end), (Kind::Ok, Some(YEAR_2040)));
    }

    #[tokio::test]
    async fn a_bad_certificate_fails_and_says_why() {
        let (directory, authority) = (tempfile::tempdir().unwrap(), Authority::new("trusted"));
        let roots = authority.write_roots(&directory.path().join("roots.pem"));
        let host = "www.example.org";
        let cases = [
            (authority.server(host, 2009), "certificate expired", Some(YEAR_2010)),
            (
                authority.server("b.example", 2039),
                "certificate for another name than www.example.org: DnsName(\"b.example\")",
                None,
            ),
            (Authority::new("stranger").server(host, 2039), "certificate of an unknown issuer", None),
            (servers::self_signed(host, 2039), "certificate of an unknown issuer", None),
        ];
        for (config, reason, end) in cases {
            let to = servers::encrypted(config, "").await;
            let outcome = check(to, LONG, https(to, host, trusting(&roots))).await;
            assert_eq!((outcome.kind, detail(&outcome)), (Kind::Tls, reason));
            assert_eq!(outcome.certificate_end, end);
        }
    }

    #[tokio::test]
    async fn without_verification_any_certificate_passes_and_its_end_is_known() {
        let to = servers::encrypted(servers::self_signed("b.example", 2009), "").await;
        let tls = unjudged();
        let outcome = check(to, LONG, Ask::Tls { port: to.port(), tls }).await;
        assert_eq!((outcome.kind, outcome.certificate_end), (Kind::Ok, Some(YEAR_2010)), "{outcome:?}");
    }

    #[tokio::test]
    async fn an_endpoint_that_speaks_no_tls_fails_the_handshake() {
        let to = servers::serve(|mut stream| async move {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
            std::future::pending::<()>().await;
        });
        let to = to.await;
        let tls = unjudged();
        for ask in [Ask::Tls { port: to.port(), tls: tls.clone() }, https(to, "a.example", tls)] {
            let outcome = check(to, LONG, ask).await;
            assert_eq!(outcome.kind, Kind::Tls, "{outcome:?}");
        }
    }

    #[tokio::test]
    async fn roots_that_cannot_be_read_fail_the_check_and_say_so() {
        let to = servers::silent().await;
        let directory = tempfile::tempdir().unwrap();
        let missing = directory.path().join("missing.pem");
        let outcome = check(to, LONG, https(to, "a.example", trusting(missing.to_str().unwrap()))).await;
        assert_eq!(outcome.kind, Kind::Tls);
        assert!(detail(&outcome).contains("missing.pem"), "{outcome:?}");
        let empty = directory.path().join("empty.pem");
        std::fs::write(&empty, "no certificate").unwrap();
        let outcome = check(to, LONG, https(to, "a.example", trusting(empty.to_str().unwrap()))).await;
        assert_eq!(outcome.kind, Kind::Tls);
        assert!(detail(&outcome).contains("no certificate in it"), "{outcome:?}");
    }

    const YEAR_2010: i64 = 1_262_304_000;
    const YEAR_2040: i64 = 2_208_988_800;
}
