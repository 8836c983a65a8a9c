//! One request, and what came of it.
//!
//! The HTTP client is a library's (reqwest): TLS, proxies from the environment, HTTP/2, DNS, kept connections. What it may
//! not do is here: follow redirects, wait for long, read much, or put the address, which may be a secret, into words.

use std::error::Error;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode, Url};
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::AsyncReadExt;

use super::Config;

/// Posts to one address.
#[derive(Debug)]
pub(super) struct Post {
    client: Client,
    url: Url,
    token_file: Option<PathBuf>,
}

/// What came of a request.
#[derive(Debug, PartialEq)]
pub(super) enum Outcome {
    /// The receiver has it.
    Taken {
        /// What it said: the status, and the beginning of its reply.
        reply: String,
    },
    /// Not now.
    Again {
        /// Why.
        why: String,
        /// The receiver asks for this pause.
        after: Option<Duration>,
    },
    /// Not ever.
    Refused {
        /// Why.
        why: String,
    },
}

impl Post {
    /// Trusts whom this machine trusts.
    ///
    /// # Errors
    /// What is wrong with the address, or with the certificates that this machine trusts.
    pub fn new(config: &Config) -> Result<Self, String> {
        Self::trusting(config, machine_roots)
    }

    /// Trusts these, which are read only if there is something to verify.
    pub(super) fn trusting(
        config: &Config,
        roots: impl FnOnce() -> Result<RootCertStore, String>,
    ) -> Result<Self, String> {
        let url = Url::parse(&config.url).map_err(|error| format!("[notify] url: {error}"))?;
        let roots = if url.scheme() == "https" { roots()? } else { RootCertStore::empty() };
        let mut client = Client::builder()
            .user_agent(concat!("windrose/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            .timeout(config.pace.request)
            .tls_backend_preconfigured(tls(roots)?);
        if is_loopback(&url) {
            // No proxy gets there: it would ask itself.
            client = client.no_proxy();
        }
        let client = client.build().map_err(|error| in_words(error.without_url()))?;
        Ok(Self { client, url, token_file: config.token_file.clone() })
    }

    pub async fn send(&self, body: Vec<u8>) -> Outcome {
        let token = match self.token().await {
            Ok(token) => token,
            Err(why) => return Outcome::Again { why, after: None },
        };
        let mut request =
            self.client.post(self.url.clone()).header(CONTENT_TYPE, "application/json").body(body);
        if let Some(token) = token {
            request = request.header(AUTHORIZATION, token);
        }
        match request.send().await {
            Ok(response) => judged(response).await,
            Err(error) => Outcome::Again { why: in_words(error.without_url()), after: None },
        }
    }

    /// Read anew, so that whoever renews it need not restart the server.
    async fn token(&self) -> Result<Option<HeaderValue>, String> {
        let Some(path) = &self.token_file else { return Ok(None) };
        let wrong = |why: &dyn std::fmt::Display| format!("token_file {}: {why}", path.display());
        let file = tokio::fs::File::open(path).await.map_err(|error| wrong(&error))?;
        let mut text = String::new();
        file.take(TOKEN_MAX).read_to_string(&mut text).await.map_err(|error| wrong(&error))?;
        let token = text.lines().next().unwrap_or_default().trim();
        if token.is_empty() {
            return Err(wrong(&"its first line is empty"));
        }
        let mut value = HeaderValue::try_from(format!("Bearer {token}"))
            .map_err(|_| wrong(&"its first line is no token"))?;
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

async fn judged(response: Response) -> Outcome {
    let status = response.status();
    let header = |name| response.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let after = header(RETRY_AFTER).and_then(|after| pause_asked_for(after, SystemTime::now()));
    let elsewhere = header(LOCATION).is_some();
    let reply = reply(response).await;
    match status {
        status if status.is_success() => Outcome::Taken { reply },
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => {
            Outcome::Again { why: reply, after }
        }
        status if status.is_server_error() => Outcome::Again { why: reply, after },
        status if status.is_redirection() && elsewhere => {
            Outcome::Refused { why: format!("{reply}: redirects are not followed; name the address itself") }
        }
        _ => Outcome::Refused { why: reply },
    }
}

/// The status, and the beginning of what was said on one line.
async fn reply(mut response: Response) -> String {
    let status = response.status();
    let mut said = Vec::new();
    // A reply that breaks off has a status all the same.
    while let Ok(Some(chunk)) = response.chunk().await {
        let room = REPLY_MAX - said.len();
        said.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if said.len() == REPLY_MAX {
            break;
        }
    }
    let said = String::from_utf8_lossy(&said);
    let words: String = said.chars().map(|c| if c.is_control() { ' ' } else { c }).take(SAID_MAX).collect();
    match words.trim() {
        "" => status.to_string(),
        words => format!("{status}: {words}"),
    }
}

/// Seconds, or a date (RFC 9110, section 10.2.3).
fn pause_asked_for(after: &str, now: SystemTime) -> Option<Duration> {
    let after = after.trim();
    after.parse().map(Duration::from_secs).ok().or_else(|| {
        let date = httpdate::parse_http_date(after).ok()?;
        Some(date.duration_since(now).unwrap_or_default())
    })
}

/// The innermost cause says most; what is around it says where.
fn in_words(error: reqwest::Error) -> String {
    if error.is_timeout() {
        return "no reply in time".into();
    }
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let said = inner.to_string();
        if !words.contains(&said) {
            words = format!("{words}: {said}");
        }
        cause = inner.source();
    }
    words
}

/// The provider (ring) is handed over; the process-wide default is neither set nor read.
fn tls(roots: RootCertStore) -> Result<ClientConfig, String> {
    let mut config = ClientConfig::builder_with_provider(ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn machine_roots() -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    // One odd certificate among a machine's hundred must not keep people from being told.
    let (added, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    match added {
        0 => Err("[notify]: this machine has no root certificates to verify the receiver with".into()),
        _ => Ok(roots),
    }
}

/// Bytes of a reply that are read; the connection of a longer one is given up.
const REPLY_MAX: usize = 4 * 1024;

/// Characters of a reply that are shown.
const SAID_MAX: usize = 200;

/// Bytes of a token file that are read.
const TOKEN_MAX: u64 = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_asked_for_in_seconds_or_by_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        let asked = |after: &str| pause_asked_for(after, now);
        assert_eq!(asked("17"), Some(Duration::from_secs(17)));
        assert_eq!(
            asked(&httpdate::fmt_http_date(now + Duration::from_secs(9))),
            Some(Duration::from_secs(9))
        );
        assert_eq!(asked("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO));
        assert_eq!((asked("soon"), asked("-1"), asked("")), (None, None, None));
    }
}
