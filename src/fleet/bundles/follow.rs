//! Follows the newest version: at once when it is published, and within a second whatever was missed.
//!
//! ```text
//! something was published --.
//! the link is back ---------+-> what is the newest? -> fetch it -> hand it over
//! a second went by ---------'
//! ```
//!
//! What wakes is not what is believed: the publication that wakes may have been refused by the store, and watching the
//! store itself stalls for some ten seconds after a NATS server was restarted.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tracing::{info, warn};

use super::{Bundle, Damaged, ReadError, State, Store, ZONES};

/// Hands over the newest version, and then each newer one, until nobody takes them.
pub(in crate::fleet) async fn follow(store: Store, taken_by: mpsc::Sender<Result<Bundle, Damaged>>) {
    let mut published = match store.jetstream.client().subscribe(ZONES).await {
        Ok(published) => published,
        Err(error) => return warn!("versions of zones are not followed: {error}"),
    };
    let mut link = store.link.clone();
    let mut held: Option<State> = None;
    let mut pause = SOON;
    let mut complaint = Complaint::default();
    loop {
        tokio::select! {
            () = tokio::time::sleep(pause) => pause = (pause * 2).min(POLL),
            woken = published.next() => match woken {
                Some(_) => pause = SOON,
                None => return,
            },
            changed = link.changed() => match changed {
                Ok(()) => pause = SOON,
                Err(_) => return,
            },
            () = taken_by.closed() => return,
        }
        if !link.borrow().is_connected() {
            continue;
        }
        let found = tokio::select! {
            found = newer(&store, held) => found,
            // What was asked over a link that is gone is never answered.
            _ = link.wait_for(|link| !link.is_connected()) => continue,
        };
        match found {
            Ok(None) => complaint.over(),
            Ok(Some((state, bundle))) => {
                complaint.over();
                held = Some(state);
                if taken_by.send(bundle).await.is_err() {
                    return;
                }
            }
            Err(error) => complaint.about(&error),
        }
    }
}

/// The newest version, unless it is held.
async fn newer(
    store: &Store,
    held: Option<State>,
) -> Result<Option<(State, Result<Bundle, Damaged>)>, ReadError> {
    let Some(state) = store.state().await? else { return Ok(None) };
    if held.is_some_and(|held| held.made == state.made && held.newest >= state.newest) {
        return Ok(None);
    }
    match store.get(state.newest).await {
        Ok(bundle) => Ok(Some((state, Ok(bundle)))),
        Err(ReadError::Damaged(damaged)) => Ok(Some((state, Err(damaged)))),
        // The server that answered does not have it yet.
        Err(ReadError::Missing(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Says once that the store does not answer, and once that it does again.
#[derive(Default)]
struct Complaint {
    made: bool,
}

impl Complaint {
    fn about(&mut self, error: &ReadError) {
        if !std::mem::replace(&mut self.made, true) {
            warn!("new versions of zones are not heard of: {error}");
        }
    }

    fn over(&mut self) {
        if std::mem::take(&mut self.made) {
            info!("new versions of zones are heard of again");
        }
    }
}

/// After something happened: the store may need a moment more than the news of it.
const SOON: Duration = Duration::from_millis(20);
/// However quiet it is.
const POLL: Duration = Duration::from_secs(1);
