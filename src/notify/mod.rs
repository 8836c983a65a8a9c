//! Telling somebody over HTTP what happens here.
//!
//! ```text
//!   tell() --> what waits, bounded --a second's worth--> one request at a time --> somebody's web server
//!   never         full? the oldest go,                     | 2xx: taken
//!   waits         and are counted                          | 429, 5xx, no reply: again, ever later, for ten minutes
//!                                                          ` others: dropped, and counted
//! ```
//!
//! Whoever tells something goes on at once: the server owes its answers to resolvers, not to this. What is lost is said
//! in the next request that is taken, so that the receiver knows that it does not know all.

mod body;
mod delivery;
mod post;
mod waiting;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{Notify as Wake, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::model::Moment;
use crate::notify::body::Sender;
use crate::notify::delivery::Delivery;
use crate::notify::post::{Outcome, Post};
use crate::notify::waiting::{Batch, Waiting};
use crate::telemetry::Clock;

/// Whom to tell, and how.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to post; `http` or `https`.
    pub url: String,
    /// A file whose first line is a bearer token. Read for each request.
    pub token_file: Option<PathBuf>,
    /// What is posted.
    pub format: Format,
    /// Who tells.
    pub server: String,
    /// Tells the requests of this process from those of another under the same name.
    pub instance: u64,
    /// How fast, and how long.
    pub pace: Pace,
}

/// What is posted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// An object with the events, as data.
    Json,
    /// An object with one `text`, as incoming webhooks of chats take it.
    Text,
}

/// How fast, and how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// What happens within this time after something goes into the same request.
    pub gather: Duration,
    /// A request, with its reply, takes no longer.
    pub request: Duration,
    /// Before a request is posted for the second time; twice that before the third, and so on.
    pub pause: Duration,
    /// Pauses grow no longer than this; if the receiver names one, it is waited for no longer than this.
    pub pause_max: Duration,
    /// A request that is not taken for so long is dropped.
    pub give_up: Duration,
    /// When the server stops, what waits has this long.
    pub stop: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            gather: Duration::from_secs(1),
            request: Duration::from_secs(10),
            pause: Duration::from_secs(1),
            pause_max: Duration::from_secs(120),
            give_up: Duration::from_secs(600),
            stop: Duration::from_secs(1),
        }
    }
}

/// Something to tell.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    /// When.
    pub at: Moment,
    /// For people.
    pub text: String,
    /// For programs, whole.
    pub event: Value,
    /// It needs a person: of more than can wait, these stay longest.
    pub alarm: bool,
}

/// How telling goes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    /// Events that were taken.
    pub sent: u64,
    /// Events that were not and never will be.
    pub failed: u64,
    /// Events that wait, those on their way included.
    pub waiting: usize,
    /// When a request was taken last.
    pub last_taken: Option<Moment>,
    /// When one was not, and why.
    pub last_failure: Option<(Moment, String)>,
}

/// Tells one receiver, from a task of its own.
#[derive(Debug)]
pub struct Notifier {
    shared: Arc<Shared>,
    stopping: watch::Sender<bool>,
    delivery: JoinHandle<()>,
    stop: Duration,
}

impl Notifier {
    /// Starts the task.
    ///
    /// # Errors
    /// What is wrong with the address, or with the certificates that this machine trusts.
    pub fn start(config: Config, clock: Clock) -> Result<Self, String> {
        let shared = Arc::new(Shared::default());
        let (stopping, stopped) = watch::channel(false);
        let stop = config.pace.stop;
        let delivery = Delivery::new(config, clock, Arc::clone(&shared), stopped)?;
        Ok(Self { shared, stopping, delivery: tokio::spawn(delivery.run()), stop })
    }

    /// Tells something, soon. Never waits.
    pub fn tell(&self, notice: Notice) {
        self.shared.hold().waiting.push(notice);
        self.shared.news.notify_one();
    }

    /// How it goes.
    pub fn progress(&self) -> Progress {
        self.shared.hold().progress()
    }

    /// Tries to tell what waits, but not for long.
    pub async fn finish(mut self) {
        self.stopping.send_replace(true);
        if timeout(self.stop, &mut self.delivery).await.is_err() {
            self.delivery.abort();
        }
    }
}

/// Posts one event and says what the receiver replied, in words.
///
/// # Errors
/// Why it was not taken, or cannot be.
pub async fn try_once(config: &Config, notice: Notice) -> Result<String, String> {
    let post = Post::new(config)?;
    let body = Sender::new(config).body(&Batch { notices: vec![notice], missed: 0 });
    match post.send(body).await {
        Outcome::Taken { reply } => Ok(reply),
        Outcome::Again { why, .. } | Outcome::Refused { why } => Err(why),
    }
}

/// What the task and those who tell have in common.
#[derive(Debug, Default)]
struct Shared {
    held: Mutex<Held>,
    news: Wake,
}

impl Shared {
    /// Held for moments only, and never while waiting.
    fn hold(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Default)]
struct Held {
    waiting: Waiting,
    /// Events on their way.
    posting: usize,
    sent: u64,
    /// Events of requests that were dropped.
    dropped: u64,
    last_taken: Option<Moment>,
    last_failure: Option<(Moment, String)>,
}

impl Held {
    fn progress(&self) -> Progress {
        Progress {
            sent: self.sent,
            failed: self.dropped + self.waiting.overflowed(),
            waiting: self.waiting.len() + self.posting,
            last_taken: self.last_taken,
            last_failure: self.last_failure.clone(),
        }
    }
}

#[cfg(test)]
mod tests;
