//! The `zones` directory: read, parsed and compiled.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::plan::{self, Plan};
use crate::spec::{self, Diagnostic, Severity, Source, Sources};

/// What came of loading a `zones` directory.
#[derive(Debug)]
pub struct Loaded {
    /// What to run; `None` if anything is wrong.
    pub plan: Option<Plan>,
    /// Every error and warning.
    pub diagnostics: Vec<Diagnostic>,
    /// The zone files, and whatever they include: a change of any of them matters.
    pub included: Vec<PathBuf>,
}

impl Loaded {
    /// Nothing could be loaded, because of a fault of ours.
    pub fn fault(what: &str) -> Self {
        let message = format!("a fault of Windrose's own while reading the files: {what}");
        let diagnostic = Diagnostic::general("fault", message).hint("please report it, with the files");
        Self { plan: None, diagnostics: vec![diagnostic], included: Vec::new() }
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

/// Loads all of a `zones` directory. Never fails otherwise than by its diagnostics.
pub fn zones(directory: &Path, report_interval: Duration) -> Loaded {
    let (sources, unreadable) = read_all(directory);
    let mut loaded = compile(&sources, report_interval);
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

fn compile(sources: &Sources, report_interval: Duration) -> Loaded {
    let (spec, mut read) = spec::parse(sources, &include);
    if spec.zones.is_empty() && read.is_empty() {
        read.push(no_zones());
    }
    let (plan, compiled) = plan::compile(&spec, report_interval);
    let diagnostics = spec.findings(read, compiled);
    let refused = diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
    let zone_files = spec.zones.iter().flat_map(|zone| &zone.sources);
    let included = zone_files.map(|source| PathBuf::from(&*source.file)).collect();
    Loaded { plan: plan.filter(|_| !refused), diagnostics, included }
}

/// Reads what `$INCLUDE` names: relative to the file that includes.
fn include(from: &str, name: &str) -> Result<Source, String> {
    let path = Path::new(from).parent().unwrap_or(Path::new(".")).join(name);
    read(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))
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
    fn a_missing_directory_is_a_diagnostic() {
        let loaded = zones(Path::new("no/such/zones"), Duration::from_secs(2));
        assert!(loaded.plan.is_none());
        assert!(loaded.diagnostics[0].message.contains("no/such/zones"));
    }
}
