//! The fleet: what probes, servers and operators tell one another, over NATS.
//!
//! ```text
//! probe   > publish_report >  windrose.v1.report.<region>.<probe>  > reports() > server
//! server  > publish_digest >  windrose.v1.server.<name>            > digests() > server, status
//! operator > store()       >  WINDROSE_ZONES: versions of zones/   > bundles() > server, probe
//! ```
//!
//! Reports and digests are full state: nothing is kept, asked for again, or sent late. A machine that is cut off
//! goes by what it knows, and after one report of each probe it is right again. Nothing here waits for the network
//! on behalf of one who asks: [`Fleet::start`] and the publishing return at once.
//!
//! | to see | look in |
//! |---|---|
//! | a report as bytes | [`wire`] |
//! | names in subjects | [`subject`] |
//! | versions of `zones/` | `bundles` |
//! | the link, and who this machine is | `connection` |
//! | what the NATS server does not let this machine do | `denied` |
//! | what is sent only while it is news | `outbox` |
//! | what waits to be taken | `inbox` |

mod bundles;
mod bytes;
mod connection;
mod denied;
mod digest;
mod dropped;
mod inbox;
mod outbox;
pub mod subject;
#[cfg(test)]
mod tests;
pub mod wire;

use std::io;
use std::sync::Arc;

use async_nats::{Client, Message, jetstream};
use tokio::sync::{mpsc, watch};
use tokio_stream::StreamExt;
use tracing::warn;

pub use bundles::{Bundle, Damaged, Files, Operation, PublishError, Published, ReadError, Store, Version};
pub use connection::{Config, Credentials, Link, Tls};
pub use digest::Digest;
pub use dropped::Dropped;
pub use inbox::Inbox;
pub use outbox::NotSent;

use crate::health::Report;
use crate::telemetry::Clock;
use denied::Denials;
use digest::DIGEST_MAX;
use dropped::{Counts, Reason};
use inbox::Feed;
use outbox::Outbox;
use wire::Unreadable;

/// This machine's place in the fleet. Clones share it; when the last one and all that they gave are dropped,
/// the link ends.
#[derive(Clone, Debug)]
pub struct Fleet {
    clock: Clock,
    client: Client,
    link: watch::Receiver<Link>,
    counts: Arc<Counts>,
    reports: Arc<Outbox>,
    digests: Arc<Outbox>,
    store: Store,
}

impl Fleet {
    /// Starts to connect, and returns at once: the link comes when a server is reached, and comes back whenever it
    /// is lost. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// What no attempt could mend: an address that is none, a file that cannot be read.
    pub async fn start(config: &Config, clock: Clock) -> io::Result<Self> {
        let counts = Arc::new(Counts::default());
        let denials = Denials::new();
        let (client, link) = connection::connect(config, clock, counts.clone(), denials.clone()).await?;
        let outbox = || Arc::new(Outbox::start(client.clone()));
        let store = Store {
            jetstream: jetstream::new(client.clone()),
            link: link.clone(),
            denials,
            servers: config.servers.len(),
        };
        Ok(Self { clock, reports: outbox(), digests: outbox(), counts, client, link, store })
    }

    /// Whether there is a link, now and whenever that changes.
    pub fn link(&self) -> watch::Receiver<Link> {
        self.link.clone()
    }

    /// Sends a report on its probe's subject, with when it was sent in the time of the wall clock. Never waits: one
    /// that cannot be sent now is dropped.
    ///
    /// # Errors
    /// Why it is not sent. It never will be: send the next one.
    pub fn publish_report(&self, report: &Report) -> Result<(), NotSent> {
        let told = Report { sent: self.clock.to_wall(report.sent), ..report.clone() };
        self.reports.put(subject::report(&report.region, &report.probe), wire::encode(&told))
    }

    /// Sends a digest on its server's subject, as [`Fleet::publish_report`] does.
    ///
    /// # Errors
    /// Why it is not sent.
    pub fn publish_digest(&self, digest: &Digest) -> Result<(), NotSent> {
        self.digests.put(subject::server(&digest.server), digest.encode())
    }

    /// The reports of all probes, this machine's own included, from now on, sent at a moment of this process. Each is from the probe and the region
    /// that its subject names; whatever is not is dropped and counted.
    pub fn reports(&self) -> Inbox<Report> {
        let clock = self.clock;
        self.receive(subject::REPORTS, move |message| {
            let report = read_report(message)?;
            Ok(Report { sent: clock.of_wall(report.sent), ..report })
        })
    }

    /// The digests of all servers, this one included, from now on. Each is from the server that its subject names.
    pub fn digests(&self) -> Inbox<Digest> {
        self.receive(subject::SERVERS, read_digest)
    }

    /// The versions of `zones/`, for one who publishes or asks.
    pub fn store(&self) -> Store {
        self.store.clone()
    }

    /// The newest version of `zones/` as soon as it is heard of, and then whenever there is another: whatever comes
    /// last is what to run, even with a lower number, as after the store was lost and made anew.
    pub fn bundles(&self) -> mpsc::Receiver<Result<Bundle, Damaged>> {
        let (found, bundles) = mpsc::channel(1);
        tokio::spawn(bundles::follow(self.store(), found));
        bundles
    }

    /// What came in and was dropped.
    pub fn dropped(&self) -> Dropped {
        self.counts.dropped()
    }

    /// Receives until the inbox is dropped.
    fn receive<T: Send + 'static>(
        &self,
        subjects: &'static str,
        read: impl Fn(&Message) -> Read<T> + Send + 'static,
    ) -> Inbox<T> {
        let (feed, inbox) = inbox::inbox();
        tokio::spawn(receive(self.client.clone(), subjects, read, feed, self.counts.clone()));
        inbox
    }
}

/// What a message says, or why it is dropped, in words too.
type Read<T> = Result<T, (Reason, String)>;

async fn receive<T>(
    client: Client,
    subjects: &'static str,
    read: impl Fn(&Message) -> Read<T>,
    feed: Feed<T>,
    counts: Arc<Counts>,
) {
    let mut messages = match client.subscribe(subjects).await {
        Ok(messages) => messages,
        Err(error) => return warn!("{subjects} is not received: {error}"),
    };
    loop {
        let message = tokio::select! {
            message = messages.next() => message,
            () = feed.gone() => return,
        };
        let Some(message) = message else { return };
        match read(&message) {
            Err((reason, why)) => counts.drop_one(reason, &message.subject, &why),
            Ok(said) => {
                for _ in 0..feed.put(said, message.payload.len()) {
                    counts.drop_one(Reason::Overflow, subjects, "more came in than was taken");
                }
            }
        }
    }
}

fn read_report(message: &Message) -> Read<Report> {
    let report = wire::decode(&message.payload).map_err(|unreadable| {
        let reason = match unreadable {
            Unreadable::Version(_) => Reason::Version,
            Unreadable::TooLarge(_) => Reason::TooLarge,
            Unreadable::Garbage(_) => Reason::Garbage,
        };
        (reason, unreadable.to_string())
    })?;
    match subject::region_and_probe(&message.subject) {
        Some((region, probe)) if *region == *report.region && *probe == *report.probe => Ok(report),
        _ => {
            let name = format!("{}/{}", report.region, report.probe);
            Err((Reason::FalseName, format!("it says it is from {}", name.escape_debug())))
        }
    }
}

fn read_digest(message: &Message) -> Read<Digest> {
    let bytes = message.payload.len();
    if bytes > DIGEST_MAX {
        return Err((Reason::TooLarge, format!("it has {bytes} bytes, over the {DIGEST_MAX} that are read")));
    }
    let digest = Digest::decode(&message.payload)
        .map_err(|error| (Reason::Garbage, format!("it is no digest: {error}")))?;
    match subject::server_named(&message.subject) {
        Some(name) if *name == *digest.server => Ok(digest),
        _ => Err((Reason::FalseName, format!("it says it is from {}", digest.server.escape_debug()))),
    }
}
