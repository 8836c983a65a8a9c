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
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::signal::unix::Signal;
use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{error, info, warn};

use crate::app::editor::Editor;
use crate::app::sandbox;
use crate::control::Reply;
use crate::dns::primary::UpdateCall;
use crate::load::{self, Databases, Held, Loaded, Site, Watch};
use crate::plan::Plan;
use crate::primary::Editions;
use crate::primary::update::{Difference, Refusal};
use crate::snapshot::SnapshotCell;
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
    pub(super) plan: Option<Arc<Plan>>,
    /// Errors and warnings, in words.
    pub(super) said: String,
    /// Why it was read, for the log.
    pub(super) because: String,
    /// The published zones that were read, if they were not read before.
    pub(super) published: Option<Unpacked>,
    /// Who asked and waits, if somebody does.
    pub(super) asked: Option<oneshot::Sender<Reply>>,
    /// The editions of its zones, if others may take them or change them.
    pub(super) editions: Option<Arc<Editions>>,
    /// Who sent the update for which it was read.
    pub(super) update: Option<UpdateCall>,
}

/// What comes of watching files.
#[derive(Debug)]
pub(super) enum Outcome {
    /// They were read.
    Reloaded(Box<Reloaded>),
    /// Verdicts turned, or keys, and with them what others get of the same zones.
    Editions(Arc<Editions>),
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
    /// What was read last and was right: it is served, or will be in a moment.
    plan: Arc<Plan>,
    editor: Editor,
    /// Where verdicts are seen, where they are.
    cell: Option<Arc<SnapshotCell>>,
    /// The snapshot whose verdicts editions have.
    seen: u64,
}

/// What a reloader starts from, besides the site.
pub(super) struct Start {
    pub(super) plan: Arc<Plan>,
    pub(super) databases: Databases,
    pub(super) watch: Watch,
    pub(super) hangup: Signal,
    /// `None`: the zones are checked here, not served.
    pub(super) serving: Option<Serving>,
}

/// What a reloader of a server sees to beside its files.
pub(super) struct Serving {
    pub(super) editor: Editor,
    pub(super) cell: Arc<SnapshotCell>,
    /// What others want changed.
    pub(super) updates: mpsc::Receiver<UpdateCall>,
}

impl Reloader {
    /// Starts one for a site; what it is asked to read, and what it has read.
    pub(super) fn start(site: &Site, start: Start) -> (mpsc::Sender<Wanted>, mpsc::Receiver<Outcome>) {
        let Start { plan, databases, watch, hangup, serving } = start;
        let (editor, cell, updates) = match serving {
            Some(Serving { editor, cell, updates }) => (editor, Some(cell), updates),
            None => (Editor::idle(site), None, mpsc::channel(1).1),
        };
        let (want, wanted) = mpsc::channel(1);
        let (results, reloaded) = mpsc::channel(1);
        let report_interval = site.machine.probe.report_interval;
        let (zones, site) = (site.zones.clone(), site.clone());
        let reloader =
            Self { zones, site, databases, report_interval, watch, hangup, editor, plan, cell, seen: 0 };
        tokio::spawn(reloader.run(wanted, updates, results));
        (want, reloaded)
    }

    /// Works until nobody takes the results any more.
    async fn run(
        mut self,
        mut wanted: mpsc::Receiver<Wanted>,
        mut updates: mpsc::Receiver<UpdateCall>,
        results: mpsc::Sender<Outcome>,
    ) {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let (because, wanted) = tokio::select! {
                _ = self.hangup.recv() => ("SIGHUP".into(), None),
                Some(wanted) = wanted.recv() => (wanted.reason(), Some(wanted)),
                Some(call) = updates.recv() => {
                    if let Some(reloaded) = self.update(call).await
                        && results.send(Outcome::Reloaded(Box::new(reloaded))).await.is_err()
                    {
                        return;
                    }
                    continue;
                }
                _ = looks.tick() => {
                    if let Some(editions) = self.follow_verdicts().await
                        && results.send(Outcome::Editions(editions)).await.is_err()
                    {
                        return;
                    }
                    if !self.look().await {
                        continue;
                    }
                    ("files changed".into(), None)
                }
                () = results.closed() => return,
            };
            let (published, asked, reading) = match wanted {
                None => (None, None, self.read().await),
                Some(Wanted::Again(reply)) => (None, Some(reply), self.read().await),
                Some(Wanted::Nothing(why)) => (None, None, Reading::nothing(format!("{why}\n"))),
                Some(Wanted::Published(new)) => {
                    let reading = self.turn_to(new.directory.clone()).await;
                    (Some(new), None, reading)
                }
            };
            let reloaded = Reloaded { published, asked, ..self.reloaded(reading, because) };
            if results.send(Outcome::Reloaded(Box::new(reloaded))).await.is_err() {
                return;
            }
        }
    }

    fn reloaded(&self, reading: Reading, because: String) -> Reloaded {
        let Reading { plan, said, geography, editions, .. } = reading;
        let databases = self.databases.held().to_vec();
        let (published, asked, update) = (None, None, None);
        Reloaded { databases, geography, plan, said, because, published, asked, editions, update }
    }

    /// Does what an update asks for; `None`: nothing changed, and whoever sent it was told.
    async fn update(&mut self, call: UpdateCall) -> Option<Reloaded> {
        let difference = match self.editor.work_out(&self.plan, &call) {
            None => {
                call.done.not_ours();
                return None;
            }
            Some(Err(refusal)) => {
                info!("an update by key {} was refused: {refusal:?}", call.key);
                call.done.refuse(refusal);
                return None;
            }
            Some(Ok(difference)) if difference == Difference::default() => {
                call.done.accept();
                return None;
            }
            Some(Ok(difference)) => difference,
        };
        let mut editor = self.editor.clone();
        editor.change(&call.apex, &difference);
        let (reading, editor) = self.read_with(editor).await;
        if reading.plan.is_none() {
            warn!("an update by key {} would leave zones that cannot be served\n{}", call.key, reading.said);
            // What is on the disk may be wrong without it: then it failed, which it says when it is dropped.
            if self.read_with(self.editor.clone()).await.0.plan.is_some() {
                call.done.refuse(Refusal::NotAllowed("the zone would be wrong"));
            }
            return None;
        }
        if !reading.kept {
            error!("an update by key {} failed: it could not be kept", call.key);
            return None;
        }
        self.stand_on(&reading, editor);
        let because = format!("update by key {}", call.key);
        Some(Reloaded { update: Some(call), ..self.reloaded(reading, because) })
    }

    /// The editions by the verdicts and the signatures of now, if they are wanted and differ.
    async fn follow_verdicts(&mut self) -> Option<Arc<Editions>> {
        let snapshot = self.cell.as_ref()?.load_full();
        let now = load::seconds(SystemTime::now());
        let turned = self.editor.is_live() && snapshot.generation != self.seen;
        if !(turned || self.editor.is_overdue(&snapshot.plan, now))
            || !Arc::ptr_eq(&snapshot.plan, &self.plan)
        {
            return None;
        }
        self.seen = snapshot.generation;
        let mut editor = self.editor.clone();
        let before = Arc::clone(&snapshot.editions);
        let edited = spawn_blocking(move || {
            let (editions, _) = editor.edit(&snapshot.plan, Some(&snapshot.health), None, now);
            (editor, editions)
        });
        let (editor, editions) = edited.await.ok()?;
        self.editor = editor;
        (!editions.are(&before)).then_some(editions)
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
        let (reading, editor) = self.read_with(self.editor.clone()).await;
        self.stand_on(&reading, editor);
        reading
    }

    /// What was read is served from now on, if it is right.
    fn stand_on(&mut self, reading: &Reading, editor: Editor) {
        if let Some(plan) = &reading.plan {
            (self.plan, self.editor) = (Arc::clone(plan), editor);
        }
    }

    /// Reads with what updates made of the zones as this editor has it.
    async fn read_with(&mut self, mut editor: Editor) -> (Reading, Editor) {
        let fallback = self.editor.clone();
        let (zones, report_interval) = (self.zones.clone(), self.report_interval);
        let (mut databases, site) = (self.databases.clone(), self.site.clone());
        let read = spawn_blocking(move || {
            let now = SystemTime::now();
            let changed = databases.refresh(now);
            let mut loaded = load::zones(&zones, databases.facts(), report_interval, &editor.overlays());
            load::sign(&site, &mut loaded, now);
            loaded.diagnostics.extend(sandbox::out_of_reach(&site, &loaded));
            loaded.diagnostics.splice(0..0, databases.warnings(now));
            let geography = if changed { databases.summaries(now) } else { Vec::new() };
            let said = said(&loaded.diagnostics);
            let plan = loaded.plan.take().map(Arc::new);
            let mut reading = Reading { plan, said, geography, ..Reading::nothing(String::new()) };
            if let Some(plan) = &reading.plan {
                let (editions, written) =
                    editor.edit(plan, None, Some(std::mem::take(&mut loaded.overlays)), load::seconds(now));
                reading.kept = written.is_ok();
                reading.editions = Some(editions);
            }
            (databases, loaded, editor, reading)
        });
        match read.await {
            Ok((databases, loaded, editor, reading)) => {
                self.databases = databases;
                self.watch.include([loaded.included, self.databases.files()].concat());
                (reading, editor)
            }
            Err(error) => (Reading::nothing(said(&Loaded::fault(&error.to_string()).diagnostics)), fallback),
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
    plan: Option<Arc<Plan>>,
    said: String,
    geography: Vec<String>,
    editions: Option<Arc<Editions>>,
    /// All journals are on the disk.
    kept: bool,
}

impl Reading {
    /// What there is to say is that nothing was read.
    fn nothing(said: String) -> Self {
        Self { plan: None, said, geography: Vec::new(), editions: None, kept: true }
    }
}

fn said(diagnostics: &[Diagnostic]) -> String {
    if diagnostics.is_empty() { String::new() } else { render(diagnostics, false) }
}

/// Between looks at the files.
const LOOK: Duration = Duration::from_secs(1);
