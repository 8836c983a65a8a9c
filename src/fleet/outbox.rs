//! What is to be sent while it is news: the newest replaces one that still waits, and what waits while the link is
//! gone is dropped.
//!
//! ```text
//! publish > the newest > (one at a time, each until it is on the wire) > NATS
//! ```
//!
//! A client of NATS keeps what it is given while it is cut off, and sends it hours later. For full state that is
//! worse than nothing: hence the outbox gives it one message at a time, and only while there is a link.

use async_nats::Client;
use async_nats::connection::State;
use tokio::sync::watch;
use tracing::{debug, warn};

/// A message that was not sent, and never will be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotSent {
    /// There is no link. The next one will do as well.
    Disconnected,
    /// It has more bytes than the server takes.
    TooLarge {
        /// What it has.
        bytes: usize,
        /// What the server takes: `max_payload` of nats-server.
        limit: usize,
    },
}

impl std::fmt::Display for NotSent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            NotSent::Disconnected => f.write_str("there is no link to the fleet"),
            NotSent::TooLarge { bytes, limit } => {
                write!(f, "it has {bytes} bytes, and the NATS server takes {limit}: raise its max_payload")
            }
        }
    }
}

impl std::error::Error for NotSent {}

/// Sends the newest of one kind of message.
#[derive(Debug)]
pub(super) struct Outbox {
    client: Client,
    newest: watch::Sender<Option<Outgoing>>,
}

#[derive(Clone, Debug)]
struct Outgoing {
    subject: String,
    payload: Vec<u8>,
}

impl Outbox {
    /// Sends until it is dropped.
    pub(super) fn start(client: Client) -> Self {
        let (newest, waiting) = watch::channel(None);
        tokio::spawn(send(client.clone(), waiting));
        Self { client, newest }
    }

    /// Hands a message over to be sent, instead of one that still waits. Never waits itself.
    pub(super) fn put(&self, subject: String, payload: Vec<u8>) -> Result<(), NotSent> {
        if !is_connected(&self.client) {
            return Err(NotSent::Disconnected);
        }
        let (bytes, limit) = (payload.len(), self.client.max_payload());
        if bytes > limit {
            return Err(NotSent::TooLarge { bytes, limit });
        }
        self.newest.send_replace(Some(Outgoing { subject, payload }));
        Ok(())
    }
}

async fn send(client: Client, mut waiting: watch::Receiver<Option<Outgoing>>) {
    while waiting.changed().await.is_ok() {
        let Some(Outgoing { subject, payload }) = waiting.borrow_and_update().clone() else { continue };
        if !is_connected(&client) {
            debug!("a message for {subject} is dropped: the link is gone");
            continue;
        }
        if let Err(error) = client.publish(subject, payload.into()).await {
            warn!("a message for the fleet cannot be sent: {error}");
        }
        // Until it is on the wire: a link that hangs then holds one message, and not all since.
        if let Err(error) = client.flush().await {
            debug!("the link ended while a message was sent: {error}");
        }
    }
}

pub(super) fn is_connected(client: &Client) -> bool {
    client.connection_state() == State::Connected
}
