//! The geo databases of this machine: which there are, what became of them, and all that they know as one.
//!
//! ```text
//!   [geo] databases, or the usual paths --read--> one Facts a database --layered--> Arc<Facts> --> plan::compile
//!                                          `- not readable, or too old: what was loaded before stays
//! ```
//!
//! A database that is of no use is never an error: it is warned of, and serving goes on with what there is.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::geo::Facts;
use crate::load::Site;
use crate::load::geo::{self, Database};
use crate::spec::Diagnostic;

/// All of them. A copy shares what was read.
#[derive(Clone, Debug)]
pub struct Databases {
    /// `None`: whatever is at the usual paths.
    wanted: Option<Vec<PathBuf>>,
    max_age: Duration,
    held: Vec<Held>,
    facts: Arc<Facts>,
}

/// One of them.
#[derive(Clone, Debug)]
pub struct Held {
    /// Where it is, as the configuration names it.
    pub path: PathBuf,
    /// What is used of it; `None`: it was never of use.
    pub current: Option<Arc<Current>>,
    /// Why what is there now is not used.
    pub trouble: Option<String>,
    /// Its files as they were when they were read last.
    seen: Vec<Option<Look>>,
}

/// A database in use.
#[derive(Debug)]
pub struct Current {
    /// What it is.
    pub database: Database,
    /// When it was read.
    pub loaded: SystemTime,
    facts: Arc<Facts>,
}

/// What changes when a file does.
type Look = (u64, u64, i64, i64);

impl Databases {
    /// Reads what the configuration wants.
    pub fn open(site: &Site, now: SystemTime) -> Self {
        let geo = &site.machine.geo;
        let beside = |name: &String| site.beside(name);
        let wanted = geo.databases.as_ref().map(|names| names.iter().map(beside).collect());
        let facts = Arc::new(Facts::none());
        let mut databases = Self { wanted, max_age: geo.max_age, held: Vec::new(), facts };
        databases.refresh(now);
        databases
    }

    /// The directories that are searched for databases, if a site names none.
    pub fn directories(site: &Site) -> Vec<PathBuf> {
        if site.machine.geo.databases.is_some() { Vec::new() } else { geo::directories(Path::new("/")) }
    }

    /// Reads those that changed since they were read last. Says whether what is known is another now.
    pub fn refresh(&mut self, now: SystemTime) -> bool {
        let mut before = std::mem::take(&mut self.held);
        let mut changed = false;
        for path in self.wanted.clone().unwrap_or_else(|| geo::usual(Path::new("/"))) {
            let known = before.iter().position(|held| held.path == path);
            let mut held = known.map_or_else(|| Held::new(path), |known| before.swap_remove(known));
            changed |= held.refresh(self.max_age, now);
            self.held.push(held);
        }
        // What was found once and is gone now is better than nothing, but comes last.
        for mut held in before.into_iter().filter(|held| held.current.is_some()) {
            changed |= held.refresh(self.max_age, now);
            self.held.push(held);
        }
        if changed {
            let layers = self.held.iter().filter_map(|held| Some(Arc::clone(&held.current.as_ref()?.facts)));
            self.facts = Facts::layered(layers);
        }
        changed
    }

    /// All that they know, as one.
    pub fn facts(&self) -> &Arc<Facts> {
        &self.facts
    }

    /// Each of them.
    pub fn held(&self) -> &[Held] {
        &self.held
    }

    /// The files whose change matters, whether they are there or not.
    pub fn files(&self) -> Vec<PathBuf> {
        match &self.wanted {
            Some(wanted) => wanted.iter().flat_map(|path| geo::files(path)).collect(),
            None => geo::candidates(Path::new("/")),
        }
    }

    /// What the operator should know of: those that are of no use, or old.
    pub fn warnings(&self, now: SystemTime) -> Vec<Diagnostic> {
        self.held.iter().flat_map(|held| held.warnings(self.max_age, now)).collect()
    }

    /// One line for each that is used: what it is, how old, and what it cannot tell.
    pub fn summaries(&self, now: SystemTime) -> Vec<String> {
        self.held.iter().filter_map(|held| Some(held.current.as_ref()?.database.summary(now))).collect()
    }
}

impl Held {
    fn new(path: PathBuf) -> Self {
        Self { path, current: None, trouble: None, seen: Vec::new() }
    }

    /// Reads it if its files changed. Says whether another is used now.
    fn refresh(&mut self, max_age: Duration, now: SystemTime) -> bool {
        let seen: Vec<Option<Look>> = geo::files(&self.path).iter().map(|file| look(file)).collect();
        if seen == self.seen {
            return false;
        }
        self.seen = seen;
        match geo::read(&self.path) {
            Err(unusable) => self.trouble = Some(unusable.to_string()),
            Ok((database, _)) if self.is_a_step_back(&database, max_age, now) => {
                self.trouble = Some(format!("{} is older than what was loaded before", self.path.display()));
            }
            Ok((database, facts)) => {
                self.trouble = None;
                self.current = Some(Arc::new(Current { database, loaded: now, facts: Arc::new(facts) }));
                return true;
            }
        }
        false
    }

    /// Whether a database is too old, and older than what is there.
    fn is_a_step_back(&self, database: &Database, max_age: Duration, now: SystemTime) -> bool {
        let age = database.age(now);
        let current = self.current.as_ref().and_then(|current| current.database.age(now));
        age > Some(max_age) && current.is_some() && age > current
    }

    fn warnings(&self, max_age: Duration, now: SystemTime) -> Vec<Diagnostic> {
        let mut warnings = Vec::new();
        if let Some(trouble) = &self.trouble {
            let hint = match self.current {
                Some(_) => "what was loaded before is used until it is replaced",
                None => "clients are placed without it; [geo] of the configuration says what is wanted",
            };
            warnings.push(Diagnostic::general_warning("database", trouble).hint(hint));
        }
        let age = self.current.as_ref().and_then(|current| current.database.age(now));
        if let Some(age) = age.filter(|age| *age > max_age) {
            let message = format!("{} is {} days old: addresses move", self.path.display(), days(age));
            let hint = format!("get a new one; `[geo] max_age` is {} days", days(max_age));
            warnings.push(Diagnostic::general_warning("old-database", message).hint(hint));
        }
        warnings
    }
}

fn look(file: &Path) -> Option<Look> {
    let meta = fs::metadata(file).ok()?;
    Some((meta.ino(), meta.len(), meta.mtime(), meta.mtime_nsec()))
}

fn days(age: Duration) -> u64 {
    age.as_secs() / (24 * 60 * 60)
}
