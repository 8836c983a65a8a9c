//! An HTTP client that reaches one address and nothing else.
//!
//! ```text
//!   https://NAME:PORT/path     NAME: for SNI and the certificate; pinned to the address, never looked up
//!   http://ADDRESS:PORT/path   the name is in the Host header alone
//! ```
//!
//! Its connector is wrapped in a [`Stopwatch`]. With `https` what that tells is the connect *and* the
//! handshake: the client gives no sign between the two.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use reqwest::{Client, Request, Response, Url};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::time::Instant;
use tower_layer::Layer;
use tower_service::Service;

use super::connect::Permitted;
use super::tls::Trust;
use super::trouble;
use crate::model::TlsAsk;

/// A client of one target. Each of its requests has a connection of its own; it follows no redirect, asks
/// no proxy and never tries again.
#[derive(Debug)]
pub(super) struct Pinned {
    client: Client,
    origin: Url,
    stopwatch: Stopwatch,
}

impl Pinned {
    /// For `http`.
    pub(super) fn plain(to: Permitted, trust: &mut Trust) -> Result<Self, Box<str>> {
        let config = trust.of_plain()?;
        Self::new(&format!("http://{}", to.address()), to.address(), &config)
    }

    /// For `https`. `host` may carry a port; what the certificate must say is `ask.name`, else that host,
    /// else the address.
    pub(super) fn encrypted(
        to: Permitted,
        ask: &TlsAsk,
        host: Option<&str>,
        trust: &mut Trust,
    ) -> Result<Self, Box<str>> {
        let to = to.address();
        let (config, name) = trust.of_https(ask, host, to.ip())?;
        let port = to.port();
        let (name, origin) = match &name {
            ServerName::DnsName(name) => (name.as_ref(), format!("https://{}:{port}", name.as_ref())),
            _ if name == ServerName::from(to.ip()) => ("", format!("https://{to}")),
            // Such a URL would lead there, and not to the endpoint.
            _ => return Err("a certificate for an address other than the endpoint's: set a name".into()),
        };
        let pinned = Self::new(&origin, to, &config)?;
        // An address in disguise ("10.1") would lead elsewhere, too.
        match pinned.origin.domain() {
            Some(domain) if !domain.eq_ignore_ascii_case(name) => Err(no_host_name(name)),
            None if !name.is_empty() => Err(no_host_name(name)),
            _ => Ok(pinned),
        }
    }

    fn new(origin: &str, to: SocketAddr, tls: &ClientConfig) -> Result<Self, Box<str>> {
        let origin = Url::parse(origin).map_err(|error| format!("{origin}: {error}"))?;
        let stopwatch = Stopwatch::default();
        let mut building = Client::builder()
            .tls_backend_preconfigured(tls.clone())
            .tls_info(true)
            .http1_only()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .pool_max_idle_per_host(0)
            .connector_layer(stopwatch.clone());
        if let Some(name) = origin.domain() {
            building = building.resolve(name, to);
        }
        let client = building.build().map_err(|error| trouble::innermost(&error).to_string())?;
        Ok(Self { client, origin, stopwatch })
    }

    pub(super) fn is_encrypted(&self) -> bool {
        self.origin.scheme() == "https"
    }

    /// Where `path` (and query) is at this client's target.
    pub(super) fn url(&self, path: &str) -> Result<Url, String> {
        let origin = self.origin.as_str().trim_end_matches('/');
        Url::parse(&format!("{origin}{path}")).map_err(|error| format!("path {path}: {error}"))
    }

    /// Sends a request and waits for the header of its reply. One at a time: the stopwatch is the client's.
    pub(super) async fn execute(&self, request: Request) -> reqwest::Result<Response> {
        self.stopwatch.set(None);
        self.client.execute(request).await
    }

    /// How long the last request's connection took to come about or be refused; `None`: neither happened yet.
    pub(super) fn last_connect(&self) -> Option<Duration> {
        self.stopwatch.read()
    }
}

/// Times the connects of a client, as a layer around its connector.
#[derive(Clone, Debug, Default)]
struct Stopwatch(Arc<Mutex<Option<Duration>>>);

impl Stopwatch {
    fn set(&self, took: Option<Duration>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = took;
    }

    fn read(&self) -> Option<Duration> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> Layer<S> for Stopwatch {
    type Service = Timed<S>;

    fn layer(&self, connector: S) -> Timed<S> {
        Timed { connector, stopwatch: self.clone() }
    }
}

/// A connector whose connects are timed.
#[derive(Clone, Debug)]
struct Timed<S> {
    connector: S,
    stopwatch: Stopwatch,
}

impl<S, Destination> Service<Destination> for Timed<S>
where
    S: Service<Destination, Error = BoxError>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.connector.poll_ready(context)
    }

    fn call(&mut self, destination: Destination) -> Self::Future {
        let started = Instant::now();
        let stopwatch = self.stopwatch.clone();
        let connecting = self.connector.call(destination);
        Box::pin(async move {
            let connected = connecting.await;
            if connected.as_ref().err().is_none_or(|error| is_refusal(&**error)) {
                stopwatch.set(Some(started.elapsed()));
            }
            connected
        })
    }
}

type BoxError = Box<dyn Error + Send + Sync>;

fn is_refusal(error: &(dyn Error + 'static)) -> bool {
    trouble::io_cause(error).is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

fn no_host_name(name: &str) -> Box<str> {
    format!("\"{}\" is not a host name", name.escape_debug()).into()
}

#[cfg(test)]
mod tests {
    use super::super::servers::permitted;
    use super::*;

    fn encrypted(to: &str, host: Option<&str>) -> Result<Pinned, Box<str>> {
        let ask = TlsAsk { name: None, verify: false, roots: None, warn_before: Duration::ZERO };
        Pinned::encrypted(permitted(to.parse().unwrap()), &ask, host, &mut Trust::new())
    }

    #[test]
    fn a_name_is_in_the_url_only_where_a_certificate_is_judged_by_it() {
        let origin = |client: Result<Pinned, Box<str>>| client.unwrap().origin.to_string();
        let to = permitted("192.0.2.1:8080".parse().unwrap());
        assert_eq!(origin(Pinned::plain(to, &mut Trust::new())), "http://192.0.2.1:8080/");
        assert_eq!(origin(encrypted("192.0.2.1:443", Some("www.Example.org:1"))), "https://www.example.org/");
        assert_eq!(origin(encrypted("[2001:db8::1]:8443", None)), "https://[2001:db8::1]:8443/");
        assert_eq!(origin(encrypted("192.0.2.1:443", Some("192.0.2.1"))), "https://192.0.2.1/");
    }

    #[test]
    fn no_host_leads_to_another_address() {
        for host in ["192.0.2.2", "2001:db8::2", "10.1", "0x7f.1"] {
            let refused = encrypted("192.0.2.1:443", Some(host)).map(|client| client.origin.to_string());
            assert!(refused.is_err(), "{host}: {refused:?}");
        }
    }

    #[test]
    fn a_path_stays_at_the_target() {
        let client = Pinned::plain(permitted("192.0.2.1:80".parse().unwrap()), &mut Trust::new()).unwrap();
        for path in ["/", "//b.example/", "/@b.example/", "/a?b=http://b.example/#c"] {
            let url = client.url(path).unwrap();
            assert_eq!(url.host_str(), Some("192.0.2.1"), "{url}");
        }
    }
}
