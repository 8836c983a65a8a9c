//! Beats over HTTP: an application says that it lives.
//!
//! ```text
//!   POST /beat/fra?monitor=job        Authorization: Bearer KEY, where there is a key
//!     drain                           the body, or ?say=: a word, as agents say it; none: up
//!
//!   200 which targets heard it   400 no word   401 no key   404 nobody of that name   405   413 more than a word
//! ```
//!
//! `GET` does the same, for a cron job with nothing but `curl`.

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE};
use hyper::{Method, Response, StatusCode, Uri};
use subtle::ConstantTimeEq;

use super::{not_allowed, plain};
use crate::control::Beat;

/// Whoever takes beats: says who was fed by one, or why nobody was.
pub trait Feed: Fn(&Beat) -> Result<String, Refused> + Send + Sync + 'static {}

impl<F: Fn(&Beat) -> Result<String, Refused> + Send + Sync + 'static> Feed for F {}

/// Why a beat feeds nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Nobody of that name awaits beats.
    Nobody(String),
    /// What it says is no word.
    NoWord(String),
}

/// What whoever sends beats must know. Never shown.
pub struct BeatKey(Box<[u8]>);

impl BeatKey {
    /// A key, without the white space around it; `None`: there is none.
    pub fn new(text: &str) -> Option<Self> {
        let key = text.trim();
        (!key.is_empty()).then(|| Self(key.as_bytes().into()))
    }

    /// Takes the same time however much of it is right.
    fn is_in(&self, header: Option<&HeaderValue>) -> bool {
        let said = header.map(HeaderValue::as_bytes).and_then(|said| {
            let (scheme, key) = said.split_at_checked(SCHEME.len())?;
            scheme.eq_ignore_ascii_case(SCHEME).then(|| key.trim_ascii())
        });
        said.is_some_and(|said| bool::from(said.ct_eq(&self.0)))
    }
}

impl std::fmt::Debug for BeatKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BeatKey")
    }
}

/// Lets in who may come in.
pub(super) struct Door<F> {
    key: Option<BeatKey>,
    feed: F,
}

impl<F: Feed> Door<F> {
    pub(super) fn new(key: Option<BeatKey>, feed: F) -> Self {
        Self { key, feed }
    }

    /// What is said to a request.
    pub(super) async fn reply(&self, request: hyper::Request<Incoming>) -> Response<Full<Bytes>> {
        let Some(endpoint) = endpoint(request.uri()) else {
            return plain(StatusCode::NOT_FOUND, "there is nothing here; a beat goes to /beat/ENDPOINT\n");
        };
        if ![Method::GET, Method::POST].contains(request.method()) {
            return not_allowed("GET, POST", "a beat is a GET or a POST\n");
        }
        if self.key.as_ref().is_some_and(|key| !key.is_in(request.headers().get(AUTHORIZATION))) {
            let mut refused = plain(StatusCode::UNAUTHORIZED, "say `Authorization: Bearer KEY`\n");
            refused.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            return refused;
        }
        match self.beat(endpoint, request).await {
            Err((status, why)) => plain(status, why + "\n"),
            Ok(beat) => match (self.feed)(&beat) {
                Ok(fed) => plain(StatusCode::OK, fed + "\n"),
                Err(Refused::Nobody(why)) => plain(StatusCode::NOT_FOUND, why + "\n"),
                Err(Refused::NoWord(why)) => plain(StatusCode::BAD_REQUEST, why + "\n"),
            },
        }
    }

    async fn beat(
        &self,
        endpoint: String,
        request: hyper::Request<Incoming>,
    ) -> Result<Beat, (StatusCode, String)> {
        let mut beat = Beat { endpoint, monitor: None, say: None };
        let query = request.uri().query().unwrap_or_default().to_owned();
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*key {
                "monitor" => beat.monitor = Some(value.into_owned()),
                "say" => beat.say = Some(value.into_owned()),
                _ => {
                    let why = "what can be said here is ?monitor=NAME and ?say=WORD";
                    return Err((StatusCode::BAD_REQUEST, why.into()));
                }
            }
        }
        let body = Limited::new(request.into_body(), BODY_MAX).collect().await;
        let body = body.map_err(|_| (StatusCode::PAYLOAD_TOO_LARGE, "a beat says one word".to_owned()))?;
        let said = String::from_utf8_lossy(&body.to_bytes()).trim().to_owned();
        if !said.is_empty() {
            beat.say = Some(said);
        }
        Ok(beat)
    }
}

/// Whom a request is for; `None`: it is no beat.
fn endpoint(uri: &Uri) -> Option<String> {
    let name = uri.path().strip_prefix("/beat/")?;
    // A name needs no escapes.
    (!name.is_empty() && !name.contains(['/', '%'])).then(|| name.to_owned())
}

const SCHEME: &[u8] = b"Bearer ";

/// Room for a word and a reason.
const BODY_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::super::HttpListener;
    use super::super::tests::say;
    use super::*;

    /// A port that knows the endpoint `fra`, and says what it heard.
    async fn listening(key: Option<&str>) -> SocketAddr {
        let listener = HttpListener::open(([127, 0, 0, 1], 0).into()).await.expect("a port");
        let address = listener.address();
        let feed = |beat: &Beat| match (&*beat.endpoint, beat.say.as_deref()) {
            ("fra", Some("busy")) => Err(Refused::NoWord("`busy` is no word".into())),
            ("fra", say) => Ok(format!("fed {:?} {say:?}", beat.monitor)),
            (other, _) => Err(Refused::Nobody(format!("no {other}"))),
        };
        tokio::spawn(listener.take_beats(key.and_then(BeatKey::new), feed));
        address
    }

    async fn reply(address: SocketAddr, request: &str, header: &str, body: &str) -> String {
        let length = body.len();
        let head = format!("{request} HTTP/1.1\r\nHost: w\r\n{header}Content-Length: {length}\r\n\r\n");
        say(address, (head + body).as_bytes()).await
    }

    #[tokio::test]
    async fn a_beat_is_a_request_with_a_word_or_without() {
        let address = listening(None).await;
        for (request, body, heard) in [
            ("GET /beat/fra", "", "fed None None"),
            ("POST /beat/fra", "", "fed None None"),
            ("POST /beat/fra", "drain\n", "fed None Some(\"drain\")"),
            ("GET /beat/fra?say=75%25&monitor=job", "", "fed Some(\"job\") Some(\"75%\")"),
            ("GET /beat/fra?say=75%", "", "fed None Some(\"75%\")"),
        ] {
            let said = reply(address, request, "", body).await;
            assert!(said.starts_with("HTTP/1.1 200 ") && said.ends_with(&format!("{heard}\n")), "{said}");
        }
    }

    #[tokio::test]
    async fn what_is_wrong_with_a_request_is_told_by_its_status() {
        let address = listening(None).await;
        let long = "x".repeat(BODY_MAX + 1);
        for (request, body, status) in [
            ("GET /", "", 404),
            ("GET /beat/", "", 404),
            ("GET /beat/fra/job", "", 404),
            ("GET /beat/f%72a", "", 404),
            ("GET /beat/iad", "", 404),
            ("GET /beat/fra?say=busy", "", 400),
            ("GET /beat/fra?word=up", "", 400),
            ("DELETE /beat/fra", "", 405),
            ("POST /beat/fra", &long, 413),
        ] {
            let said = reply(address, request, "", body).await;
            assert!(said.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {said}");
        }
    }

    #[tokio::test]
    async fn where_there_is_a_key_only_who_knows_it_is_heard() {
        let address = listening(Some(" open sesame\n")).await;
        for (header, status) in [
            ("Authorization: Bearer open sesame\r\n", 200),
            ("authorization: bearer  open sesame\r\n", 200),
            ("", 401),
            ("Authorization: Bearer open sesam\r\n", 401),
            ("Authorization: Bearer open sesames\r\n", 401),
            ("Authorization: Basic open sesame\r\n", 401),
            ("Authorization: B\r\n", 401),
        ] {
            let said = reply(address, "GET /beat/fra", header, "").await;
            assert!(said.starts_with(&format!("HTTP/1.1 {status} ")), "{header}: {said}");
        }
        let unknown = reply(address, "GET /beat/iad", "", "").await;
        assert!(unknown.starts_with("HTTP/1.1 401 "), "who exists is told only to those who may know");
    }

    #[test]
    fn a_key_is_never_shown() {
        assert_eq!(format!("{:?}", BeatKey::new("open sesame").expect("a key")), "BeatKey");
        assert!(BeatKey::new(" \n").is_none());
    }
}
