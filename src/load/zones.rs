//! The `zones` directory: read, parsed and compiled.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::geo::Facts;
use crate::model::Fingerprint;
use crate::plan::{self, Plan};
use crate::primary::Overlay;
use crate::spec::{self, Diagnostic, Severity, Source, Sources};

/// What came of loading a `zones` directory.
#[derive(Debug)]
pub struct Loaded {
    /// What to run; `None` if anything is wrong.
    pub plan: Option<Plan>,
    /// Every error and warning.
    pub diagnostics: Vec<Diagnostic>,
    /// The zone files, and whatever these and the steering files name, even if it is not there: a change of any
    /// of them matters.
    pub included: Vec<PathBuf>,
    /// What updates made of the zones, as far as that still means something.
    pub overlays: Overlays,
}

/// What updates made of zones, by their apexes in lower case, wire form.
pub type Overlays = BTreeMap<Box<[u8]>, Overlay>;

impl Loaded {
    /// Nothing could be loaded, because of a fault of ours.
    pub fn fault(what: &str) -> Self {
        let message = format!("a fault of Windrose's own while reading the files: {what}");
        let diagnostic = Diagnostic::general("fault", message).hint("please report it, with the files");
        Self { plan: None, diagnostics: vec![diagnostic], included: Vec::new(), overlays: Overlays::new() }
    }
}

/// A directory or file that cannot be read.
#[derive(Debug)]
pub struct ReadError {
    path: PathBuf,
    error: io::Error,
}

impl std::fmt::Display for ReadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "cannot read {}: {}", self.path.display(), self.error)
    }
}

/// Loads all of a `zones` directory, with what updates made of it, for clients of whom these `facts` are known. Never fails otherwise than by its diagnostics.
pub fn zones(directory: &Path, facts: &Arc<Facts>, report_interval: Duration, overlays: &Overlays) -> Loaded {
    let (sources, unreadable) = read_all(directory);
    let mut loaded = compile(&sources, facts, report_interval, overlays);
    if !unreadable.is_empty() {
        loaded.plan = None;
        loaded.diagnostics.splice(0..0, unreadable.iter().map(about));
    }
    loaded
}

/// Reads the files of a `zones` directory, sorted by name; those of other kinds and hidden ones are left
/// alone.
///
/// # Errors
/// The directory or the first file that cannot be read.
pub fn sources(directory: &Path) -> Result<Sources, ReadError> {
    let (sources, unreadable) = read_all(directory);
    unreadable.into_iter().next().map_or(Ok(sources), Err)
}

fn read_all(directory: &Path) -> (Sources, Vec<ReadError>) {
    let (mut sources, mut unreadable) = (Sources::default(), Vec::new());
    let entries = fs::read_dir(directory).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let entries = entries.unwrap_or_else(|error| {
        unreadable.push(ReadError { path: directory.to_owned(), error });
        Vec::new()
    });
    let mut paths: Vec<PathBuf> = entries.iter().map(fs::DirEntry::path).collect();
    paths.sort();
    for path in paths.into_iter().filter(|path| is_meant(path)) {
        let list = match path.extension().and_then(|extension| extension.to_str()) {
            Some("zone") => &mut sources.zones,
            Some("toml") => &mut sources.steering,
            _ => continue,
        };
        match read(&path) {
            Ok(source) => list.push(source),
            Err(error) => unreadable.push(ReadError { path, error }),
        }
    }
    (sources, unreadable)
}

fn compile(sources: &Sources, facts: &Arc<Facts>, report_interval: Duration, overlays: &Overlays) -> Loaded {
    let named = RefCell::new(Vec::new());
    let fingerprint = Cell::new(fingerprint(sources));
    let include = |from: &str, name: &str| {
        named.borrow_mut().push(beside(from, name));
        let included = include(from, name)?;
        fingerprint.set(fingerprint.get().with(included.text.as_bytes()));
        Ok(included)
    };
    let (mut spec, mut found) = spec::parse(sources, &include);
    let mut left = Overlays::new();
    for file in &mut spec.zones {
        let apex = file.origin.as_slice().to_ascii_lowercase();
        if let Some(overlay) = overlays.get(&*apex) {
            let overlay = overlay.lay(file, &mut found);
            if !overlay.is_empty() {
                let parts = [&overlay.removed, &overlay.added].map(|records| records.fingerprint().value());
                fingerprint
                    .set(parts.iter().fold(fingerprint.get(), |all, part| all.with(&part.to_be_bytes())));
            }
            left.insert(apex.into(), overlay);
        }
    }
    if spec.zones.is_empty() && found.is_empty() {
        found.push(no_zones());
    }
    let (plan, compiled) = plan::compile(&spec, facts, report_interval);
    let diagnostics = spec.findings(found, compiled);
    let refused = diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
    let zone_files = sources.zones.iter().map(|source| PathBuf::from(&*source.file));
    let included = zone_files.chain(named.into_inner()).collect();
    let source = fingerprint.get();
    let plan = plan.filter(|_| !refused).map(|plan| Plan { source, ..plan });
    Loaded { plan, diagnostics, included, overlays: left }
}

/// Of the files by their own names, as the directory is another one on each machine.
fn fingerprint(sources: &Sources) -> Fingerprint {
    let files = sources.zones.iter().chain(&sources.steering);
    files.fold(Fingerprint::new(), |fingerprint, source| {
        let name = Path::new(&*source.file).file_name().unwrap_or_default();
        fingerprint.with(name.as_encoded_bytes()).with(source.text.as_bytes())
    })
}

/// Reads what a file `from` a `zones` directory names with `$INCLUDE` or `nets_file`.
///
/// # Errors
/// It cannot be read; why, for people.
pub fn include(from: &str, name: &str) -> Result<Source, String> {
    let path = beside(from, name);
    read(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))
}

/// What `$INCLUDE` or `nets_file` names: relative to the file that names it.
fn beside(from: &str, name: &str) -> PathBuf {
    Path::new(from).parent().unwrap_or(Path::new(".")).join(name)
}

/// Bytes that are no UTF-8 are kept out of the text but not out of the file: each becomes U+FFFD, which
/// the parsers point at.
fn read(path: &Path) -> io::Result<Source> {
    // A pipe would block for ever, a device never end.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
    }
    let text = String::from_utf8(fs::read(path)?)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
    Ok(Source::new(&path.display().to_string(), &text))
}

/// Not hidden, and no left-over of an editor.
pub(super) fn is_meant(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    !name.starts_with(b".") && !name.ends_with(b"~")
}

fn about(error: &ReadError) -> Diagnostic {
    Diagnostic::general("unreadable", error.to_string())
        .hint("`zones = \"...\"` in the configuration names the directory, relative to that file")
}

fn no_zones() -> Diagnostic {
    Diagnostic::general("no-zones", "there is no zone to serve")
        .hint("put a zone file named after its origin into the directory, as zones/example.org.zone")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_sorted_and_others_are_left_alone() {
        let directory = tempfile::tempdir().expect("a directory");
        for name in ["b.zone", "a.zone", "x.toml", ".hidden.toml", "notes.txt", "a.zone~"] {
            fs::write(directory.path().join(name), name).expect("a file");
        }
        let sources = sources(directory.path()).expect("readable");
        let names = |list: &[Source]| list.iter().map(|source| source.text.to_string()).collect::<Vec<_>>();
        assert_eq!(names(&sources.zones), ["a.zone", "b.zone"]);
        assert_eq!(names(&sources.steering), ["x.toml"]);
    }

    #[test]
    fn what_a_steering_file_names_is_read_beside_it_and_watched_even_if_it_is_not_there() {
        let directory = tempfile::tempdir().expect("a directory");
        let zones = directory.path().join("zones");
        fs::create_dir(&zones).expect("a directory");
        let steering = "[regions.eu]\nnets_file = \"../eu.txt\"\n[regions.us]\nnets_file = \"us.txt\"\n";
        fs::write(zones.join("regions.toml"), steering).expect("a file");
        fs::write(directory.path().join("eu.txt"), "192.0.2.0/24\nEurope\n").expect("a file");
        let loaded = super::zones(&zones, &Arc::new(Facts::none()), Duration::from_secs(2), &Overlays::new());
        let codes: Vec<&str> = loaded.diagnostics.iter().map(|diagnostic| diagnostic.code).collect();
        assert_eq!(codes[..2], ["bad-prefix", "unreadable"]);
        assert_eq!(loaded.included, [zones.join("../eu.txt"), zones.join("us.txt")]);
    }

    #[test]
    fn a_missing_directory_is_a_diagnostic() {
        let loaded = zones(
            Path::new("no/such/zones"),
            &Arc::new(Facts::none()),
            Duration::from_secs(2),
            &Overlays::new(),
        );
        assert!(loaded.plan.is_none());
        assert!(loaded.diagnostics[0].message.contains("no/such/zones"));
    }
}
