//! The link to NATS: who this machine is, and whether the link holds.
//!
//! ```text
//!            connect                   two pings unanswered, or the socket ends
//! Disconnected ----> Connected ----> Disconnected ----> ... for ever
//!      ^ |
//!      `-' the next server, after a pause that grows to a second
//! ```

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_nats::{Client, ConnectErrorKind, ConnectOptions, Event, ServerAddr};
use tokio::sync::{mpsc, watch};
use tracing::{info, warn};

use super::denied::Denials;
use super::dropped::{Counts, Reason};
use crate::model::Moment;
use crate::telemetry::Clock;

/// Where the fleet is, and as whom this machine joins it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// NATS servers, as `tls://nats-1.example.net:4222`; one or more.
    pub servers: Vec<String>,
    /// How this machine says who it is; `None`: not at all, or by its certificate.
    pub credentials: Option<Credentials>,
    /// For TLS.
    pub tls: Tls,
    /// This machine's name, as the NATS server shows it.
    pub name: Box<str>,
}

/// How a machine says who it is. Files are read once, at the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// A `.creds` file: a JWT and its seed.
    File(PathBuf),
    /// A file with the seed of an nkey.
    NkeySeed(PathBuf),
    /// A user and a file whose first line is the password.
    UserPassword {
        /// The user's name.
        user: String,
        /// Where the password is.
        password_file: PathBuf,
    },
}

/// PEM files. They are read again at each connect, so a renewed certificate needs no restart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// The roots to trust instead of this machine's.
    pub ca: Option<PathBuf>,
    /// This machine's certificate chain; with `key`.
    pub cert: Option<PathBuf>,
    /// The key of `cert`.
    pub key: Option<PathBuf>,
}

/// Whether there is a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Link {
    /// There is one.
    Connected {
        /// The NATS server's name and port.
        server: Box<str>,
        /// Since when.
        since: Moment,
    },
    /// There is none; the servers are tried in turn.
    Disconnected {
        /// Since when.
        since: Moment,
        /// What the last attempt ended with; `None`: none has ended yet.
        error: Option<Box<str>>,
    },
}

impl Link {
    /// Whether there is a link.
    pub fn is_connected(&self) -> bool {
        matches!(self, Link::Connected { .. })
    }
}

/// Starts to connect, and returns at once. The link ends when the client and all receivers are dropped.
///
/// # Errors
/// What no attempt could mend: an address that is none, a file that cannot be read.
pub(super) async fn connect(
    config: &Config,
    clock: Clock,
    counts: Arc<Counts>,
    denials: Denials,
) -> io::Result<(Client, watch::Receiver<Link>)> {
    let servers = addresses(&config.servers)?;
    let (happened, events) = mpsc::unbounded_channel();
    let attempts = happened.clone();
    let options = ConnectOptions::new()
        .name(&config.name)
        .retry_on_initial_connect()
        .max_reconnects(None)
        .reconnect_delay_callback(pause)
        .connection_timeout(CONNECT_PATIENCE)
        .ping_interval(PING_INTERVAL)
        .request_timeout(Some(REQUEST_PATIENCE))
        .subscription_capacity(SUBSCRIPTION_MESSAGES_MAX)
        .event_callback(move |event| {
            // Nobody listens any more only when the fleet is gone.
            let _ = happened.send(Happened::Event(event));
            std::future::ready(())
        })
        .reconnect_to_server_callback(move |servers, _| {
            let errors = servers.iter().filter_map(|server| Some((server, server.last_error.as_ref()?)));
            let errors: Vec<String> =
                errors.map(|(server, error)| format!("{}: {error}", place(&server.addr))).collect();
            if !errors.is_empty() {
                let _ = attempts.send(Happened::Failed(errors.join("; ")));
            }
            // No choice of ours: the next in turn.
            std::future::ready(None)
        });
    let options = with_tls(with_credentials(options, config.credentials.as_ref())?, &config.tls)?;
    let client = options.connect(servers).await.map_err(io::Error::other)?;
    let (link, state) = watch::channel(Link::Disconnected { since: clock.now(), error: None });
    tokio::spawn(observe(client.clone(), events, link, clock, (counts, denials)));
    Ok((client, state))
}

/// What the client tells of the link.
enum Happened {
    Event(Event),
    /// What the last attempts ended with.
    Failed(String),
}

/// Keeps [`Link`] true, and logs its changes.
async fn observe(
    client: Client,
    mut events: mpsc::UnboundedReceiver<Happened>,
    link: watch::Sender<Link>,
    clock: Clock,
    (counts, denials): (Arc<Counts>, Denials),
) {
    // One line for each time that the link is gone, however often it is tried.
    let mut told = false;
    loop {
        let happened = tokio::select! {
            happened = events.recv() => happened,
            () = link.closed() => return,
        };
        match happened {
            None => return,
            Some(Happened::Event(Event::Connected)) => {
                let server = server_of(&client).await;
                info!("the fleet is reached by NATS server {server}");
                link.send_replace(Link::Connected { server, since: clock.now() });
            }
            Some(Happened::Event(Event::Disconnected)) => {
                warn!("the link to the fleet is lost: this machine goes by what it knows until it is back");
                link.send_replace(Link::Disconnected { since: clock.now(), error: None });
                told = false;
            }
            Some(Happened::Event(Event::ServerError(error))) => {
                warn!("the NATS server says: {error}");
                denials.note(&error);
            }
            Some(Happened::Event(Event::ClientError(error))) => {
                // Of a name that is not found the client says no more; of all else it says more at the next attempt.
                let error = error.to_string();
                let is_all = error.contains(&ConnectErrorKind::Dns.to_string());
                told |= failed(&link, &error, is_all, told);
            }
            Some(Happened::Failed(error)) => told |= failed(&link, &error, true, told),
            Some(Happened::Event(Event::SlowConsumer(_))) => {
                counts.drop_one(
                    Reason::Overflow,
                    "all subjects",
                    "more came in than this machine could look at",
                );
            }
            Some(Happened::Event(_)) => {}
        }
    }
}

/// An attempt failed: keeps the error, unless a better one is there, and tells of it. Returns whether it was told of.
fn failed(link: &watch::Sender<Link>, failure: &str, is_all: bool, told: bool) -> bool {
    let mut is_new = false;
    link.send_if_modified(|link| {
        let Link::Disconnected { error, .. } = link else { return false };
        if error.as_deref() != Some(failure) && (is_all || error.is_none()) {
            *error = Some(failure.into());
            is_new = true;
        }
        is_new
    });
    let tell = is_new && is_all && !told;
    if tell {
        warn!("the fleet is not reached, and is tried for ever: {failure}");
    }
    tell
}

/// The server at the other end, once the client knows it.
async fn server_of(client: &Client) -> Box<str> {
    // The client learns of the server before it flushes anything.
    let _ = tokio::time::timeout(REQUEST_PATIENCE, client.flush()).await;
    match client.try_server_info() {
        // A server that was given no name calls itself by its long identity.
        Some(server) if server.server_name == server.server_id => {
            format!("{}:{}", server.host, server.port).into()
        }
        Some(server) => format!("{} port {}", server.server_name, server.port).into(),
        None => "unknown".into(),
    }
}

fn addresses(servers: &[String]) -> io::Result<Vec<ServerAddr>> {
    if servers.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the fleet has no NATS server"));
    }
    let address = |server: &String| {
        let parsed = server.parse::<ServerAddr>().ok();
        let known = parsed
            .filter(|address| ["nats", "tls"].contains(&address.scheme()) && !address.host().is_empty());
        known.ok_or_else(|| {
            let words = format!("`{server}` is no NATS server: write it as tls://nats-1.example.net:4222");
            io::Error::new(io::ErrorKind::InvalidInput, words)
        })
    };
    servers.iter().map(address).collect()
}

/// An address for people: without a user or a password.
fn place(address: &ServerAddr) -> String {
    format!("{}:{}", address.host(), address.port())
}

/// The pause before an attempt: none before the first, then longer ones.
fn pause(attempt: usize) -> Duration {
    match attempt {
        0 | 1 => Duration::ZERO,
        _ => PAUSE_MIN.saturating_mul(1 << (attempt - 2).min(16)).min(PAUSE_MAX),
    }
}

fn with_credentials(
    options: ConnectOptions,
    credentials: Option<&Credentials>,
) -> io::Result<ConnectOptions> {
    match credentials {
        None => Ok(options),
        Some(Credentials::File(file)) => {
            options.credentials(&read(file)?).map_err(|error| about(file, error))
        }
        Some(Credentials::NkeySeed(file)) => {
            let text = read(file)?;
            let seed = text.lines().map(str::trim).find(|line| line.starts_with(USER_SEED));
            let seed =
                seed.ok_or_else(|| about(file, invalid("it holds no seed of a user's nkey (SU...)")))?;
            Ok(options.nkey(seed.to_owned()))
        }
        Some(Credentials::UserPassword { user, password_file }) => {
            let text = read(password_file)?;
            let password = text.lines().next().unwrap_or_default();
            Ok(options.user_and_password(user.clone(), password.to_owned()))
        }
    }
}

/// The files are looked at now, so that what is wrong with them is said now.
fn with_tls(mut options: ConnectOptions, tls: &Tls) -> io::Result<ConnectOptions> {
    for file in [&tls.ca, &tls.cert, &tls.key].into_iter().flatten() {
        if !read(file)?.contains(PEM_BEGIN) {
            return Err(about(file, invalid("it is no PEM file")));
        }
    }
    if let Some(ca) = &tls.ca {
        options = options.add_root_certificates(ca.clone());
    }
    match (&tls.cert, &tls.key) {
        (Some(cert), Some(key)) => Ok(options.add_client_certificate(cert.clone(), key.clone())),
        (None, None) => Ok(options),
        _ => Err(invalid("a certificate and its key go together")),
    }
}

fn read(file: &Path) -> io::Result<String> {
    fs::read_to_string(file).map_err(|error| about(file, error))
}

fn about(file: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", file.display()))
}

fn invalid(words: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, words)
}

/// A server is asked this often whether it is there. Two questions without an answer, and the link is given up: after
/// 3 to 4.5 s, within the time in which a report is fresh.
const PING_INTERVAL: Duration = Duration::from_millis(1500);
/// A server that has not let this machine in by then is left for the next one.
const CONNECT_PATIENCE: Duration = Duration::from_secs(2);
/// A request without an answer for this long has failed.
const REQUEST_PATIENCE: Duration = Duration::from_secs(2);
/// Messages that came in and were not looked at yet, a subject; more are dropped and counted.
const SUBSCRIPTION_MESSAGES_MAX: usize = 4096;

const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// How the seed of a user's nkey starts.
const USER_SEED: &str = "SU";
const PEM_BEGIN: &str = "-----BEGIN ";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_second() {
        let pauses: Vec<u128> = [0, 1, 2, 3, 7, 8, usize::MAX].map(|n| pause(n).as_millis()).into();
        assert_eq!(pauses, [0, 0, 20, 40, 640, 1000, 1000]);
    }

    #[test]
    fn what_is_no_server_is_said_before_anything_starts() {
        let words = |servers: &[&str]| {
            let servers: Vec<String> = servers.iter().map(|server| (*server).to_owned()).collect();
            addresses(&servers).map(|good| good.len()).map_err(|error| error.to_string())
        };
        assert_eq!(words(&["nats://[::1]:4222", "tls://nats-1.example.net"]), Ok(2));
        for bad in [&[][..], &["http://a"], &["ws://a"], &["nats://"], &["tls://a b"]] {
            assert!(words(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_file_that_is_not_what_it_should_be_is_named() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("file");
        fs::write(&file, "something else").expect("it can be written");
        let missing = directory.path().join("missing");
        for file in [&file, &missing] {
            for credentials in [Credentials::File(file.clone()), Credentials::NkeySeed(file.clone())] {
                let refused = with_credentials(ConnectOptions::new(), Some(&credentials));
                let words = refused.expect_err("it is no such file").to_string();
                assert!(words.starts_with(&file.display().to_string()), "{words}");
            }
            let tls = Tls { ca: Some(file.clone()), ..Tls::default() };
            let words = with_tls(ConnectOptions::new(), &tls).expect_err("it is no such file").to_string();
            assert!(words.starts_with(&file.display().to_string()), "{words}");
        }
    }
}
