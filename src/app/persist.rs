//! Keeping state on disk without ever waiting for the disk.
//!
//! The newest state is handed to a thread of its own; whatever it has not written yet is replaced. A disk
//! that is full, slow or gone costs a warning, never an answer.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tracing::{error, info, warn};

use crate::app::desk::Desk;
use crate::keeper::State;
use crate::load::StateFile;
use crate::model::Moment;

/// The writing thread, and what was handed to it last.
pub(super) struct Persist {
    newest: watch::Sender<Option<State>>,
    /// Which of the keeper's changes was handed over last, and when.
    kept: (u64, Moment),
    writing: Arc<Mutex<Writing>>,
    thread: tokio::task::JoinHandle<()>,
}

/// How the writing goes.
#[derive(Clone, Debug, Default)]
pub(super) struct Writing {
    /// Why the last write failed, if it did.
    pub(super) error: Option<String>,
    /// How many failed since the start.
    pub(super) failures: u64,
}

impl Persist {
    pub(super) fn start(file: StateFile<State>) -> Self {
        let (newest, handed) = watch::channel(None);
        let writing = Arc::<Mutex<Writing>>::default();
        let thread = tokio::spawn(write_all(file, handed, Arc::clone(&writing)));
        Self { newest, kept: (0, Moment::default()), writing, thread }
    }

    /// Hands the state over if it changed since, though not at once after the last time, or if it was not written
    /// for a while. Called at least once a second.
    pub(super) fn keep(&mut self, desk: &Desk) {
        let (kept, at) = self.kept;
        let passed = desk.clock.now().since(at);
        if (desk.keeper.changes() != kept && passed >= PACE) || passed >= REFRESH {
            self.keep_now(desk);
        }
    }

    /// Hands the state over: somebody wants to rely on it.
    pub(super) fn keep_now(&mut self, desk: &Desk) {
        let now = desk.clock.now();
        self.kept = (desk.keeper.changes(), now);
        self.newest.send_replace(Some(desk.keeper.state(now)));
    }

    /// How the writing goes.
    pub(super) fn writing(&self) -> Writing {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Writes a last time, and waits for it (not for ever).
    pub(super) async fn finish(self, desk: &Desk) {
        let Self { newest, thread, .. } = self;
        newest.send_replace(Some(desk.keeper.state(desk.clock.now())));
        drop(newest);
        let _ = tokio::time::timeout(FINISH, thread).await;
    }
}

/// What was kept, if that is of any use.
pub(super) fn read<T: Serialize + DeserializeOwned>(file: &StateFile<T>) -> Option<T> {
    file.read().unwrap_or_else(|unreadable| {
        let kept = unreadable.set_aside.map(|path| format!(", kept as {}", path.display()));
        let (path, kept) = (file.path(), kept.unwrap_or_default());
        warn!("the state file is of no use: {}: {}{kept}", path.display(), unreadable.reason);
        None
    })
}

async fn write_all(
    file: StateFile<State>,
    mut handed: watch::Receiver<Option<State>>,
    writing: Arc<Mutex<Writing>>,
) {
    while handed.changed().await.is_ok() {
        let Some(state) = handed.borrow_and_update().clone() else { continue };
        let to = file.clone();
        let written = tokio::task::spawn_blocking(move || to.write(&state)).await;
        let now = match written {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(format!("cannot write {}: {error}", file.path().display())),
            Err(error) => Some(error.to_string()),
        };
        writing.lock().unwrap_or_else(PoisonError::into_inner).note(now);
    }
}

impl Writing {
    /// Says when trouble begins, changes and ends; not each time.
    fn note(&mut self, now: Option<String>) {
        match (&self.error, &now) {
            (before, Some(now)) if before.as_ref() != Some(now) => {
                error!("{now}: serving goes on, but a restart would start from older verdicts");
            }
            (Some(_), None) => info!("state is written again"),
            _ => {}
        }
        self.failures += u64::from(now.is_some());
        self.error = now;
    }
}

/// States are written no closer than this, however much happens: each is written whole, and waits for the disk twice.
/// Whoever starts from one that is so much older knows better after one report of each probe.
const PACE: Duration = Duration::from_secs(5);

/// A state that says nothing new is written this often all the same.
const REFRESH: Duration = Duration::from_secs(60);

/// The last write gets this long.
const FINISH: Duration = Duration::from_secs(2);
