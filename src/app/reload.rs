//! Reload: on SIGHUP, when files change, or when an operator asks. All or nothing.
//!
//! ```text
//!   SIGHUP, a look a second, `windrose reload` --> Reloader (reads and compiles, off the async threads)
//!                                                      `--> Reloaded { plan or diagnostics } --> Server
//! ```
//!
//! One at a time: what asks while files are being read is answered by the next reading.

use std::path::PathBuf;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};

use crate::control::Reply;
use crate::load::{self, Loaded, Watch};

/// A finished reading of the files.
#[derive(Debug)]
pub(super) struct Reloaded {
    /// What was read.
    pub(super) loaded: Loaded,
    /// Why it was read, for the log.
    pub(super) because: &'static str,
    /// Who asked and waits, if somebody does.
    pub(super) asked: Option<oneshot::Sender<Reply>>,
}

/// Reads a `zones` directory again whenever there is a reason to.
pub(super) struct Reloader {
    pub(super) zones: PathBuf,
    pub(super) report_interval: Duration,
}

impl Reloader {
    /// Works until nobody takes the results any more.
    pub(super) async fn run(
        self,
        mut asked: mpsc::Receiver<oneshot::Sender<Reply>>,
        results: mpsc::Sender<Reloaded>,
    ) -> std::io::Result<()> {
        let mut hangup = signal(SignalKind::hangup())?;
        let mut watch = Watch::new(&self.zones);
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let (because, asked) = tokio::select! {
                _ = hangup.recv() => ("SIGHUP", None),
                Some(reply) = asked.recv() => ("an operator asked", Some(reply)),
                _ = looks.tick() => {
                    let changed;
                    (watch, changed) = spawn_blocking(move || look(watch)).await?;
                    if !changed {
                        continue;
                    }
                    ("files changed", None)
                }
                () = results.closed() => return Ok(()),
            };
            let (zones, report_interval) = (self.zones.clone(), self.report_interval);
            let loaded = spawn_blocking(move || load::zones(&zones, report_interval)).await?;
            if results.send(Reloaded { loaded, because, asked }).await.is_err() {
                return Ok(());
            }
        }
    }
}

fn look(mut watch: Watch) -> (Watch, bool) {
    let changed = watch.changed();
    (watch, changed)
}

/// Between looks at the files.
const LOOK: Duration = Duration::from_secs(1);
