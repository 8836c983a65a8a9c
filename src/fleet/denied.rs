//! What the NATS server does not let this machine publish.
//!
//! ```text
//!   publish on a subject --> NATS server --"Permissions Violation for Publish to ..."--> the connection, and nobody's request
//! ```
//!
//! The server tells the connection, with the subject, and whoever waits for an answer would wait until time is up. Nothing
//! was done then: that is certain, and said at once.

use std::fmt;

use async_nats::ServerError;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

/// Tells those who wait. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Denials(broadcast::Sender<Box<str>>);

/// The server does not let this machine publish on this subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Denied(Box<str>);

impl Denials {
    pub(super) fn new() -> Self {
        Self(broadcast::channel(WAITING_MAX).0)
    }

    /// Notes what the server says, if it is a denial.
    pub(super) fn note(&self, error: &ServerError) {
        let ServerError::Other(said) = error else { return };
        if let Some(subject) = subject_of(said) {
            // Mostly nobody waits.
            let _ = self.0.send(subject.into());
        }
    }

    /// Does something that publishes on subjects that start as `subject` does, until that is denied.
    pub(super) async fn or<T>(&self, subject: &str, work: impl Future<Output = T>) -> Result<T, Denied> {
        let mut denials = self.0.subscribe();
        let denied = async {
            loop {
                match denials.recv().await {
                    Ok(denied) if denied.starts_with(subject) => return Denied(denied),
                    Ok(_) | Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => std::future::pending().await,
                }
            }
        };
        tokio::select! {
            done = work => Ok(done),
            denied = denied => Err(denied),
        }
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the NATS server does not let this machine publish on {}", self.0)
    }
}

/// The subject that a denial names.
fn subject_of(said: &str) -> Option<&str> {
    said.split_once(DENIAL)?.1.split_once('"').map(|(subject, _)| subject)
}

const DENIAL: &str = "Permissions Violation for Publish to \"";

/// Denials that somebody who waits did not look at yet: beyond this the oldest is missed, and waited for in vain.
const WAITING_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denial_names_its_subject() {
        let said = "Permissions Violation for Publish to \"windrose.v1.zones\"";
        assert_eq!(subject_of(said), Some("windrose.v1.zones"));
        assert_eq!(subject_of("Permissions Violation for Subscription to \"windrose.v1.zones\""), None);
        assert_eq!(subject_of("Permissions Violation for Publish to \"windrose"), None);
    }

    #[tokio::test]
    async fn one_who_waits_learns_of_a_denial_of_its_own_subject_only() {
        let denials = Denials::new();
        let say = |subject: &str| ServerError::Other(format!("{DENIAL}{subject}\""));
        let work = async {
            denials.note(&say("windrose.v1.report.eu.ams-1"));
            denials.note(&say("windrose.v1.zones"));
            std::future::pending::<()>().await
        };
        assert_eq!(denials.or("windrose.v1.zones", work).await, Err(Denied("windrose.v1.zones".into())));
        assert_eq!(
            denials.or("windrose.v1.zones", async { 7 }).await,
            Ok(7),
            "what was denied before is over"
        );
    }
}
