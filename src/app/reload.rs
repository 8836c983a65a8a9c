//! Reload: on SIGHUP, when files change, or when an operator asks. All or nothing.
//!
//! ```text
//!   SIGHUP, a look a second, `windrose reload`, --> Reloader (reads and compiles, off the async threads;
//!   another version published to the fleet             |       geo databases only if they changed)
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
use crate::load::{self, Databases, Held, Loaded, Site, Watch};
use crate::plan::Plan;
use crate::spec::Diagnostic;
use crate::spec::diagnostic::render;

/// A reason to read.
#[derive(Debug)]
pub(super) enum Wanted {
    /// The same files again, for an operator who waits.
    Again(oneshot::Sender<Reply>),
    /// The zones that were published to the fleet.
    Published(Unpacked),
    /// None: what was published cannot be read, for this reason.
    Nothing(String),
}

/// Published zones, on this machine's disk.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Unpacked {
    /// Their version.
    pub(super) version: u64,
    /// Where they are.
    pub(super) directory: PathBuf,
}

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
    pub(super) because: String,
    /// The published zones that were read, if they were not read before.
    pub(super) published: Option<Unpacked>,
    /// Who asked and waits, if somebody does.
    pub(super) asked: Option<oneshot::Sender<Reply>>,
}

/// Reads a `zones` directory again whenever there is a reason to.
pub(super) struct Reloader {
    zones: PathBuf,
    /// For all but the zones, which may be published ones.
    site: Site,
    databases: Databases,
    report_interval: Duration,
    /// Since before the files were read for the first time: no change goes unnoticed.
    watch: Watch,
    /// Since the process started: its default action would end it.
    hangup: Signal,
}

impl Reloader {
    /// Starts one for a site; what it is asked to read, and what it has read.
    pub(super) fn start(
        site: &Site,
        databases: Databases,
        watch: Watch,
        hangup: Signal,
    ) -> (mpsc::Sender<Wanted>, mpsc::Receiver<Reloaded>) {
        let (want, wanted) = mpsc::channel(1);
        let (results, reloaded) = mpsc::channel(1);
        let report_interval = site.machine.probe.report_interval;
        let reloader =
            Self { zones: site.zones.clone(), site: site.clone(), databases, report_interval, watch, hangup };
        tokio::spawn(reloader.run(wanted, results));
        (want, reloaded)
    }

    /// Works until nobody takes the results any more.
    async fn run(mut self, mut wanted: mpsc::Receiver<Wanted>, results: mpsc::Sender<Reloaded>) {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let (because, wanted) = tokio::select! {
                _ = self.hangup.recv() => ("SIGHUP".into(), None),
                Some(wanted) = wanted.recv() => (wanted.reason(), Some(wanted)),
                _ = looks.tick() => {
                    if !self.look().await {
                        continue;
                    }
                    ("files changed".into(), None)
                }
                () = results.closed() => return,
            };
            let (published, asked, Reading { plan, said, geography }) = match wanted {
                None => (None, None, self.read().await),
                Some(Wanted::Again(reply)) => (None, Some(reply), self.read().await),
                Some(Wanted::Nothing(why)) => {
                    (None, None, Reading { plan: None, said: format!("{why}\n"), geography: Vec::new() })
                }
                Some(Wanted::Published(new)) => {
                    let reading = self.turn_to(new.directory.clone()).await;
                    (Some(new), None, reading)
                }
            };
            let databases = self.databases.held().to_vec();
            let reloaded = Reloaded { databases, geography, plan, said, because, published, asked };
            if results.send(reloaded).await.is_err() {
                return;
            }
        }
    }

    /// Reads another directory, from now on if it is right.
    async fn turn_to(&mut self, directory: PathBuf) -> Reading {
        let watch = std::mem::replace(&mut self.watch, Watch::new(&directory));
        let zones = std::mem::replace(&mut self.zones, directory);
        let reading = self.read().await;
        if reading.plan.is_none() {
            (self.watch, self.zones) = (watch, zones);
        }
        reading
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
        let (mut databases, site) = (self.databases.clone(), self.site.clone());
        let read = spawn_blocking(move || {
            let now = SystemTime::now();
            let changed = databases.refresh(now);
            let mut loaded = load::zones(&zones, databases.facts(), report_interval);
            load::sign(&site, &mut loaded, now);
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

impl Wanted {
    fn reason(&self) -> String {
        match self {
            Wanted::Again(_) => "an operator asked".into(),
            Wanted::Nothing(_) => "a version was published".into(),
            Wanted::Published(Unpacked { version, .. }) => format!("version {version} was published"),
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
