//! The versions of `zones/`: published once, kept in a store, followed by every server and probe.
//!
//! ```text
//! operator > publish, rollback > WINDROSE_ZONES: 1 2 3 ... (JetStream) > bundles() > servers, probes
//!                                                          `-----------> history, get > operator
//! ```
//!
//! One message is one version: all files, what is said of them in its headers, and its number in the stream. A publisher
//! says which version it started from, and the store takes it only if that is still the newest: two operators cannot
//! undo each other unseen, and a message that was thought lost and arrives late does no harm.

mod archive;
mod follow;
mod message;

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use async_nats::jetstream::context::{
    CreateStreamErrorKind, PublishError as SendError, PublishErrorKind, RequestErrorKind,
};
use async_nats::jetstream::message::{PublishMessage, StreamMessage};
use async_nats::jetstream::stream::{self, DirectGetErrorKind, Stream};
use async_nats::jetstream::{self, Context};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_stream::StreamExt;

use super::Link;
use super::denied::Denials;
use super::subject::ZONES;
use crate::model::Moment;
pub use archive::Files;
pub(super) use follow::follow;
pub(super) use message::Label;

/// A version with its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    /// Its number: a later one is higher, and some are never given.
    pub version: u64,
    /// Who published it.
    pub who: String,
    /// Why.
    pub why: String,
    /// When the store took it, by the store's clock.
    pub when: Moment,
    /// The older version that it is a copy of.
    pub rolled_back_to: Option<u64>,
    /// All files of `zones/`, in the order of their paths.
    pub files: Files,
}

/// A version without its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// Its number.
    pub version: u64,
    /// Who published it.
    pub who: String,
    /// Why.
    pub why: String,
    /// When the store took it, by the store's clock.
    pub when: Moment,
    /// The older version that it is a copy of.
    pub rolled_back_to: Option<u64>,
    /// How large it is in the store.
    pub bytes: u64,
}

/// A version that is in the store and cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damaged {
    /// Its number.
    pub version: u64,
    /// What is wrong with it.
    pub why: String,
}

impl fmt::Display for Damaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "version {} is damaged: {}", self.version, self.why)
    }
}

/// It is in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// As this version.
    pub version: u64,
}

/// A publication whose outcome is not known: [`Store::look_up`] finds out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Names it in the store.
    id: String,
    /// The version that it started from.
    after: u64,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.id)
    }
}

/// Why it is not known to be in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublishError {
    /// It is not: somebody else published after the version that it started from.
    Conflict {
        /// The newest version, if that is known.
        newest: Option<u64>,
    },
    /// It may be, now or in a while: the answer of the store is missing.
    Unknown(Operation),
    /// It is not: nothing was sent, for want of a link or of an answer.
    Unreachable(String),
    /// It is not: the store said no.
    Refused(String),
    /// It is not: it is larger than the NATS server takes.
    TooLarge {
        /// How large it is, packed.
        bytes: usize,
        /// `max_payload` of the NATS server.
        limit: usize,
    },
    /// It is not: the files are no bundle.
    Unfit(String),
    /// It is not: the version to return to cannot be had.
    Lost(ReadError),
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PublishError::Conflict { newest: Some(newest) } => {
                write!(
                    f,
                    "not published: version {newest} was published in the meantime; look at it, and publish again"
                )
            }
            PublishError::Conflict { newest: None } => f.write_str(
                "not published: another version was published in the meantime; look at it, and publish again",
            ),
            PublishError::Unknown(Operation { id, after }) => write!(
                f,
                "it is not known whether this was published (operation {id}): `windrose history` shows it after \
                 version {after} if it was. To publish again is safe: only one of the two can follow version {after}"
            ),
            PublishError::Unreachable(why) => write!(f, "not published: the fleet is not reached: {why}"),
            PublishError::Refused(why) => write!(f, "not published: the store of the fleet says no: {why}"),
            PublishError::TooLarge { bytes, limit } => write!(
                f,
                "not published: the files have {bytes} bytes when they are packed, and the NATS server takes {limit}: \
                 raise its max_payload"
            ),
            PublishError::Unfit(why) => write!(f, "not published: {why}"),
            PublishError::Lost(why) => write!(f, "not published: {why}"),
        }
    }
}

impl std::error::Error for PublishError {}

/// Why a version, or what is known of all, cannot be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadError {
    /// The store does not answer.
    Unreachable(String),
    /// The store has no such version: it never had, or it was long ago.
    Missing(u64),
    /// It is there and cannot be used.
    Damaged(Damaged),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReadError::Unreachable(why) => write!(f, "the store of the fleet does not answer: {why}"),
            ReadError::Missing(version) => {
                write!(f, "there is no version {version}: `windrose history` shows those that there are")
            }
            ReadError::Damaged(damaged) => damaged.fmt(f),
        }
    }
}

impl std::error::Error for ReadError {}

/// The versions, for one who asks. Every question ends within some seconds, link or no link.
#[derive(Clone, Debug)]
pub struct Store {
    pub(super) jetstream: Context,
    pub(super) link: watch::Receiver<Link>,
    pub(super) denials: Denials,
    /// How many servers NATS has, as far as this machine was told.
    pub(super) servers: usize,
}

impl Store {
    /// Publishes a new version, after `expected` (`None`: after whichever is the newest now).
    ///
    /// # Errors
    /// See [`PublishError`]; of all but [`PublishError::Unknown`] it is certain that nothing was published.
    pub async fn publish(
        &self,
        files: Files,
        who: &str,
        why: &str,
        expected: Option<u64>,
    ) -> Result<Published, PublishError> {
        let label = Label { who: who.to_owned(), why: why.to_owned(), rolled_back_to: None };
        self.put(files, label, expected).await
    }

    /// Publishes the files of an older version as the newest one.
    ///
    /// # Errors
    /// As [`Store::publish`]; [`PublishError::Lost`]: the older version cannot be had.
    pub async fn rollback(
        &self,
        version: u64,
        who: &str,
        why: &str,
        expected: Option<u64>,
    ) -> Result<Published, PublishError> {
        let older = self.get(version).await.map_err(PublishError::Lost)?;
        let label = Label { who: who.to_owned(), why: why.to_owned(), rolled_back_to: Some(version) };
        self.put(older.files, label, expected).await
    }

    /// Finds out what became of an operation, for as long as `patience`.
    ///
    /// # Errors
    /// [`PublishError::Conflict`]: it was not published and never will be. [`PublishError::Unknown`]: nothing followed
    /// the version that it started from, so far.
    pub async fn look_up(
        &self,
        operation: &Operation,
        patience: Duration,
    ) -> Result<Published, PublishError> {
        let deadline = Instant::now() + patience;
        let stream = self.stream().await;
        loop {
            // Only one can have followed the version that it started from: if that is another, ours never will be.
            let next = stream.direct_get_next_for_subject(ZONES, Some(operation.after + 1));
            let asked_until = deadline.min(Instant::now() + STATE_PATIENCE);
            if let Ok(Ok(next)) = tokio::time::timeout_at(asked_until, next).await {
                return match message::operation(&next.headers) == Some(&operation.id) {
                    true => Ok(Published { version: next.sequence }),
                    false => Err(PublishError::Conflict { newest: self.newest().await.ok().flatten() }),
                };
            }
            if Instant::now() + LOOK_UP_PAUSE >= deadline {
                return Err(PublishError::Unknown(operation.clone()));
            }
            tokio::time::sleep(LOOK_UP_PAUSE).await;
        }
    }

    /// The newest version's number; `None`: nothing was published yet.
    ///
    /// # Errors
    /// [`ReadError::Unreachable`].
    pub async fn newest(&self) -> Result<Option<u64>, ReadError> {
        self.linked().await.map_err(ReadError::Unreachable)?;
        Ok(self.state().await?.map(|state| state.newest))
    }

    /// A version with its files.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn get(&self, version: u64) -> Result<Bundle, ReadError> {
        self.linked().await.map_err(ReadError::Unreachable)?;
        let stored = match self.stream().await.direct_get(version).await {
            Ok(stored) => stored,
            Err(error) => {
                return Err(match error.kind() {
                    DirectGetErrorKind::NotFound => ReadError::Missing(version),
                    // Nobody answers for a stream that is not there.
                    _ if self.state().await?.is_none() => ReadError::Missing(version),
                    _ => ReadError::Unreachable(error.to_string()),
                });
            }
        };
        // Inflating takes longer than one may keep a task that others wait for.
        let read = tokio::task::spawn_blocking(move || bundle(&stored));
        read.await.expect("reading a bundle does not panic").map_err(ReadError::Damaged)
    }

    /// The newest versions, at most `limit` of them, newest first.
    ///
    /// # Errors
    /// [`ReadError::Unreachable`].
    pub async fn history(&self, limit: usize) -> Result<Vec<Version>, ReadError> {
        self.linked().await.map_err(ReadError::Unreachable)?;
        let Some(state) = self.state().await? else { return Ok(Vec::new()) };
        let limit = limit.clamp(1, VERSIONS_MAX as usize);
        let first = state.oldest.max((state.newest + 1).saturating_sub(limit as u64));
        let read = tokio::time::timeout(HISTORY_PATIENCE, self.versions_from(first, limit));
        let read = self
            .denials
            .or(JETSTREAM, read)
            .await
            .map_err(|denied| ReadError::Unreachable(denied.to_string()))?;
        let mut versions = match read {
            Ok(Ok(versions)) => versions,
            Ok(Err(error)) => return Err(ReadError::Unreachable(error.to_string())),
            Err(_) => return Err(ReadError::Unreachable(NO_ANSWER.to_owned())),
        };
        versions.reverse();
        Ok(versions)
    }

    /// Reads the headers of some versions, oldest first.
    async fn versions_from(&self, first: u64, limit: usize) -> Result<Vec<Version>, async_nats::Error> {
        let headers = pull::Config {
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: first },
            ack_policy: AckPolicy::None,
            headers_only: true,
            inactive_threshold: HISTORY_PATIENCE,
            ..Default::default()
        };
        let consumer = self.stream().await.create_consumer(headers).await?;
        let mut messages = consumer.fetch().max_messages(limit).messages().await?;
        let mut versions = Vec::new();
        while let Some(message) = messages.next().await {
            let message = message?;
            let stored = message.info()?;
            let headers = message.headers.clone().unwrap_or_default();
            let bytes = headers.get(BODY_BYTES).and_then(|bytes| bytes.as_str().parse().ok());
            let when = moment(stored.published);
            versions.push(message::version(stored.stream_sequence, when, &headers, bytes.unwrap_or(0)));
        }
        Ok(versions)
    }

    async fn put(
        &self,
        files: Files,
        label: Label,
        expected: Option<u64>,
    ) -> Result<Published, PublishError> {
        self.send(self.prepare(files, label, expected).await?).await
    }

    /// All that can fail without doubt: nothing is sent yet.
    pub(super) async fn prepare(
        &self,
        files: Files,
        label: Label,
        expected: Option<u64>,
    ) -> Result<Prepared, PublishError> {
        self.linked().await.map_err(PublishError::Unreachable)?;
        let newest = self.make_stream().await?;
        let after = expected.unwrap_or(newest);
        if after != newest {
            return Err(PublishError::Conflict { newest: Some(newest) });
        }
        let operation = Operation { id: draw_operation(), after };
        let id = operation.id.clone();
        // Packing takes longer than one may keep a task that others wait for.
        let packed = tokio::task::spawn_blocking(move || message::write(files, &label, &id));
        let packed = packed.await.expect("packing files does not panic");
        let (headers, body) = packed.map_err(PublishError::Unfit)?;
        Ok(Prepared { operation, headers, body })
    }

    /// Sends what was prepared, and waits for the store's answer.
    pub(super) async fn send(&self, prepared: Prepared) -> Result<Published, PublishError> {
        let Prepared { operation, headers, body } = prepared;
        let (bytes, limit) = (body.len(), self.jetstream.client().max_payload());
        let message = PublishMessage::build().payload(body.into()).headers(headers);
        let message = match operation.after {
            // A store that was just made takes 0 only as the last one of the subject.
            0 => message.expected_last_subject_sequence(0),
            after => message.expected_last_sequence(after),
        };
        let answered = async {
            let acknowledged = self.jetstream.send_publish(ZONES, message).await?;
            acknowledged.await
        };
        let answered = tokio::time::timeout(PUBLISH_PATIENCE, answered);
        let answer = self.denials.or(ZONES, answered).await;
        let Ok(answer) = answer.map_err(|denied| PublishError::Refused(denied.to_string()))? else {
            return Err(PublishError::Unknown(operation));
        };
        let error = match answer {
            Ok(stored) => return Ok(Published { version: stored.sequence }),
            Err(error) => error,
        };
        Err(match error.kind() {
            PublishErrorKind::WrongLastSequence => {
                PublishError::Conflict { newest: self.newest().await.ok().flatten() }
            }
            PublishErrorKind::MaxPayloadExceeded => PublishError::TooLarge { bytes, limit },
            PublishErrorKind::StreamNotFound => PublishError::Refused(NO_STORE.to_owned()),
            _ => refused(&error).unwrap_or(PublishError::Unknown(operation)),
        })
    }

    /// Makes the stream if it is missing. Returns its newest version; 0: none.
    async fn make_stream(&self) -> Result<u64, PublishError> {
        let wanted = stream::Config {
            name: STREAM.to_owned(),
            subjects: vec![ZONES.to_owned()],
            description: Some("versions of zones/, one a message: see windrose history".to_owned()),
            max_messages: VERSIONS_MAX,
            num_replicas: if self.servers >= REPLICAS { REPLICAS } else { 1 },
            storage: stream::StorageType::File,
            allow_direct: true,
            ..Default::default()
        };
        let made = self.denials.or(JETSTREAM, self.jetstream.get_or_create_stream(wanted)).await;
        let made = made.map_err(|denied| PublishError::Refused(denied.to_string()))?;
        let stream = made.map_err(|error| match error.kind() {
            CreateStreamErrorKind::TimedOut => PublishError::Unreachable(NO_ANSWER.to_owned()),
            CreateStreamErrorKind::JetStreamUnavailable => PublishError::Refused(NO_STORE.to_owned()),
            _ => PublishError::Refused(format!("the stream {STREAM}: {error}")),
        })?;
        let info = stream.cached_info();
        match info.config.allow_direct {
            true => Ok(info.state.last_sequence),
            false => Err(PublishError::Refused(format!("the stream {STREAM} was made without allow_direct"))),
        }
    }

    /// Waits for a link, for some seconds. If there is none: why.
    async fn linked(&self) -> Result<(), String> {
        let mut link = self.link.clone();
        let waited = tokio::time::timeout(LINK_PATIENCE, link.wait_for(Link::is_connected)).await.is_ok();
        match &*self.link.borrow() {
            _ if waited => Ok(()),
            Link::Disconnected { error: Some(error), .. } => Err(error.to_string()),
            _ => Err("no NATS server answers".to_owned()),
        }
    }

    /// What the stream holds; `None`: there is none, or it is empty.
    async fn state(&self) -> Result<Option<State>, ReadError> {
        let stream = self.stream().await;
        let asked = self.denials.or(JETSTREAM, tokio::time::timeout(STATE_PATIENCE, stream.get_info())).await;
        let Ok(info) = asked.map_err(|denied| ReadError::Unreachable(denied.to_string()))? else {
            return Err(ReadError::Unreachable(NO_ANSWER.to_owned()));
        };
        let info = match info {
            Ok(info) => info,
            Err(error) if error.kind() == RequestErrorKind::NoResponders => {
                return Err(ReadError::Unreachable(NO_STORE.to_owned()));
            }
            Err(error) => {
                let said =
                    std::error::Error::source(&error).and_then(|s| s.downcast_ref::<jetstream::Error>());
                return match said {
                    Some(said) if said.code() == NOT_FOUND => Ok(None),
                    _ => Err(ReadError::Unreachable(error.to_string())),
                };
            }
        };
        let (oldest, newest) = (info.state.first_sequence, info.state.last_sequence);
        let state = State { made: info.created.unix_timestamp_nanos(), oldest, newest };
        Ok((info.state.messages > 0).then_some(state))
    }

    /// A handle, for which nothing is asked.
    async fn stream(&self) -> Stream<()> {
        self.jetstream.get_stream_no_info(STREAM).await.expect("the name is a good one")
    }
}

/// A version that is not sent yet.
#[derive(Debug)]
pub(super) struct Prepared {
    operation: Operation,
    headers: HeaderMap,
    body: Vec<u8>,
}

/// What the stream holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    /// When it was made, in nanoseconds since 1970: one that was lost and made anew counts from 1 again.
    made: i128,
    oldest: u64,
    newest: u64,
}

/// The store said no, if it did.
fn refused(error: &SendError) -> Option<PublishError> {
    let said = std::error::Error::source(error)?.downcast_ref::<jetstream::Error>()?;
    Some(PublishError::Refused(said.to_string()))
}

/// The bundle that a stored message is.
fn bundle(stored: &StreamMessage) -> Result<Bundle, Damaged> {
    let bytes = stored.payload.len() as u64;
    let version = message::version(stored.sequence, moment(stored.time), &stored.headers, bytes);
    message::read(version, &stored.headers, &stored.payload)
}

fn moment(time: async_nats::datetime::DateTime) -> Moment {
    Moment(u64::try_from(time.unix_timestamp_nanos() / 1_000_000).unwrap_or_default())
}

/// A name that no other operation has.
fn draw_operation() -> String {
    let draw = || RandomState::new().hash_one(());
    format!("{:016x}{:016x}", draw(), draw())
}

const STREAM: &str = "WINDROSE_ZONES";
/// How the subjects start on which the store is asked.
const JETSTREAM: &str = "$JS.API.";
/// More versions are not kept: the oldest go.
const VERSIONS_MAX: i64 = 200;
/// Copies of the store, when there are as many servers: one of them may be lost.
const REPLICAS: usize = 3;

/// One who asks waits this long for a link.
const LINK_PATIENCE: Duration = Duration::from_secs(5);
/// Without an answer for this long, the outcome is unknown.
const PUBLISH_PATIENCE: Duration = Duration::from_secs(5);
/// The state of the store is little, and there at once or not at all.
const STATE_PATIENCE: Duration = Duration::from_secs(2);
/// A history that takes longer is given up.
const HISTORY_PATIENCE: Duration = Duration::from_secs(10);
const LOOK_UP_PAUSE: Duration = Duration::from_millis(200);

const NO_ANSWER: &str = "no answer came in time";
const NO_STORE: &str = "the NATS servers have no JetStream, or this machine may not use it";
/// JetStream's code for a stream that is not there.
const NOT_FOUND: usize = 404;
/// How large the body is of a message that comes without it.
const BODY_BYTES: &str = "Nats-Msg-Size";
