//! Reload: on SIGHUP, when files change, or when an operator asks. All or nothing.
//!
//! ```text
//!   SIGHUP, a look a second, `windrose reload` --> Reloader (reads and compiles, off the async threads;
//!                                                      |       geo databases only if they changed)
//!                                                      `--> Reloaded { plan or diagnostics } --> Server
//! ```
//!
//! One at a time: what asks while files are being read is answered by the next reading.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use tokio::signal::unix::Signal;
use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};

use crate::control::Reply;
use crate::load::{self, Databases, Held, Loaded, Watch};
use crate::plan::Plan;
use crate::spec::Diagnostic;
use crate::spec::diagnostic::render;

/// A finished reading of the files.
#[derive(Debug)]
pub(super) struct Reloaded {
    /// What became of the geo databases.
    pub(super) databases: Vec<Held>,
    /// One line for each geo database in use, if another is used now.
    pub(super) geography: Vec<String>,
    /// What to run, if nothing is wrong.
    pub(super) plan: Option<Plan>,
    /// Errors and warnings, in words.
    pub(super) said: String,
    /// Why it was read, for the log.
    pub(super) because: &'static str,
    /// Who asked and waits, if somebody does.
    pub(super) asked: Option<oneshot::Sender<Reply>>,
}

/// Reads a `zones` directory again whenever there is a reason to.
pub(super) struct Reloader {
    pub(super) zones: PathBuf,
    pub(super) databases: Databases,
    pub(super) report_interval: Duration,
    /// Since before the files were read for the first time: no change goes unnoticed.
    pub(super) watch: Watch,
    /// Since the process started: its default action would end it.
    pub(super) hangup: Signal,
}

impl Reloader {
    /// Works until nobody takes the results any more.
    pub(super) async fn run(
        mut self,
        mut asked: mpsc::Receiver<oneshot::Sender<Reply>>,
        results: mpsc::Sender<Reloaded>,
    ) {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let (because, asked) = tokio::select! {
                _ = self.hangup.recv() => ("SIGHUP", None),
                Some(reply) = asked.recv() => ("an operator asked", Some(reply)),
                _ = looks.tick() => {
                    if !self.look().await {
                        continue;
                    }
                    ("files changed", None)
                }
                () = results.closed() => return,
            };
            let Reading { plan, said, geography } = self.read().await;
            let databases = self.databases.held().to_vec();
            if results.send(Reloaded { databases, geography, plan, said, because, asked }).await.is_err() {
                return;
            }
        }
    }

    async fn look(&mut self) -> bool {
        let mut watch = std::mem::replace(&mut self.watch, Watch::new(&self.zones));
        let looked = spawn_blocking(move || {
            let changed = watch.changed();
            (watch, changed)
        });
        // After a fault the new one goes on from here.
        let Ok((watch, changed)) = looked.await else { return false };
        self.watch = watch;
        changed
    }

    /// Reads, compiles and words what is wrong, all off the async threads.
    async fn read(&mut self) -> Reading {
        let (zones, report_interval) = (self.zones.clone(), self.report_interval);
        let mut databases = self.databases.clone();
        let read = spawn_blocking(move || {
            let now = SystemTime::now();
            let changed = databases.refresh(now);
            let mut loaded = load::zones(&zones, databases.facts(), report_interval);
            loaded.diagnostics.splice(0..0, databases.warnings(now));
            let geography = if changed { databases.summaries(now) } else { Vec::new() };
            let said = said(&loaded.diagnostics);
            (databases, loaded, Reading { plan: None, said, geography })
        });
        match read.await {
            Ok((databases, loaded, reading)) => {
                self.databases = databases;
                self.watch.include([loaded.included, self.databases.files()].concat());
                Reading { plan: loaded.plan, ..reading }
            }
            Err(error) => {
                let said = said(&Loaded::fault(&error.to_string()).diagnostics);
                Reading { plan: None, said, geography: Vec::new() }
            }
        }
    }
}

/// What came of reading everything once.
struct Reading {
    plan: Option<Plan>,
    said: String,
    geography: Vec<String>,
}

fn said(diagnostics: &[Diagnostic]) -> String {
    if diagnostics.is_empty() { String::new() } else { render(diagnostics, false) }
}

/// Between looks at the files.
const LOOK: Duration = Duration::from_secs(1);
