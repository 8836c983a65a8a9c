//! One HTTP/1.1 exchange: the request is written once, the reply is read no further than needed.
//!
//! A check wants less than an HTTP client gives (a status and the start of a body, on a connection of its
//! own, following nothing) and more: the time of the bare connect, the certificate's end even when that is
//! what failed, and a hard bound on what a hostile endpoint can make us hold. So it speaks over the stream
//! that the other checks use.

use std::fmt::Write;
use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use super::reply::{Framing, Reply};
use super::{Seen, Stage, Trouble};
use crate::health::Kind;
use crate::model::Expect;

/// What is asked, and what is a good reply.
#[derive(Debug)]
pub(super) struct Exchange {
    request: Box<str>,
    /// A reply to HEAD has no body, whatever its header says.
    bodiless: bool,
    expect: Expect,
}

impl Exchange {
    /// `headers` replace what would be sent of ourselves under the same name.
    pub(super) fn new(
        method: &str,
        path: &str,
        authority: &str,
        headers: &[(Box<str>, Box<str>)],
        expect: &Expect,
    ) -> Self {
        let request = written(method, path, authority, headers);
        Self { request, bodiless: method == "HEAD", expect: expect.clone() }
    }

    /// Asks over a fresh stream, and judges what comes.
    pub(super) async fn run<S>(&self, mut stream: S, seen: &mut Seen) -> Result<(), Trouble>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        seen.stage = Stage::Reply;
        stream.write_all(self.request.as_bytes()).await?;
        stream.flush().await?;
        let mut reply = Reply::new(stream);
        let head = reply.head().await?;
        if !self.expect.status.iter().any(|range| range.contains(&head.status)) {
            return Err(Trouble::endpoint(Kind::Status, format!("status {}", head.status)));
        }
        let Some(text) = &self.expect.body else { return Ok(()) };
        seen.stage = Stage::Body;
        let framing = if self.bodiless { Framing::Length(0) } else { head.framing };
        reply.find(text.as_bytes(), framing).await
    }
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

/// The request as it goes over the wire.
fn written(method: &str, path: &str, authority: &str, headers: &[(Box<str>, Box<str>)]) -> Box<str> {
    let ours = [("Host", authority), ("User-Agent", USER_AGENT), ("Accept", "*/*"), ("Connection", "close")];
    let is_set = |name: &str| headers.iter().any(|(set, _)| set.eq_ignore_ascii_case(name));
    let ours = ours.into_iter().filter(|(name, _)| !is_set(name));
    let theirs = headers.iter().map(|(name, value)| (&**name, &**value));
    let mut request = format!("{method} {path} HTTP/1.1\r\n");
    for (name, value) in ours.chain(theirs) {
        write!(request, "{name}: {value}\r\n").expect("a string takes all that is written to it");
    }
    request.push_str("\r\n");
    request.into()
}

const USER_AGENT: &str = concat!("windrose/", env!("CARGO_PKG_VERSION"), " (health check)");

#[cfg(test)]
mod tests {
    use super::*;

    fn set(name: &str, value: &str) -> (Box<str>, Box<str>) {
        (name.into(), value.into())
    }

    #[test]
    fn a_request_says_who_asks_and_that_it_will_not_ask_again() {
        let request = written("GET", "/healthz?deep=1", "www.example.org", &[set("X-Probe", "windrose")]);
        let version = env!("CARGO_PKG_VERSION");
        let wanted = format!(
            "GET /healthz?deep=1 HTTP/1.1\r\nHost: www.example.org\r\nUser-Agent: windrose/{version} (health check)\r\n\
             Accept: */*\r\nConnection: close\r\nX-Probe: windrose\r\n\r\n"
        );
        assert_eq!(&*request, wanted);
    }

    #[test]
    fn what_the_operator_sets_replaces_what_we_would_send() {
        let request = written("GET", "/", "a.example", &[set("user-agent", "me"), set("HOST", "b.example")]);
        assert_eq!(
            &*request,
            "GET / HTTP/1.1\r\nAccept: */*\r\nConnection: close\r\nuser-agent: me\r\nHOST: b.example\r\n\r\n"
        );
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
}
