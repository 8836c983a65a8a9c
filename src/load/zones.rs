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
    match sources(directory) {
        Ok(sources) => compile(&sources, report_interval),
        Err(error) => Loaded { plan: None, diagnostics: vec![about(&error)] },
    }
}

/// Reads the files of a `zones` directory, sorted by name; those of other kinds and hidden ones are left
/// alone.
///
/// # Errors
/// The first directory or file that cannot be read.
pub fn sources(directory: &Path) -> Result<Sources, ReadError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |error| ReadError { path, error }
    };
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed(directory))? {
        paths.push(entry.map_err(failed(directory))?.path());
    }
    paths.sort();
    let mut sources = Sources::default();
    for path in paths.iter().filter(|path| !is_hidden(path)) {
        let list = match path.extension().and_then(|extension| extension.to_str()) {
            Some("zone") => &mut sources.zones,
            Some("toml") => &mut sources.steering,
            _ => continue,
        };
        list.push(read(path).map_err(failed(path))?);
    }
    Ok(sources)
}

fn compile(sources: &Sources, report_interval: Duration) -> Loaded {
    let (spec, mut diagnostics) = spec::parse(sources, &include);
    if spec.zones.is_empty() && diagnostics.is_empty() {
        diagnostics.push(no_zones());
    }
    let (plan, more) = plan::compile(&spec, report_interval);
    diagnostics.extend(more);
    let refused = diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
    Loaded { plan: plan.filter(|_| !refused), diagnostics }
}

/// Reads what `$INCLUDE` names: relative to the file that includes.
fn include(from: &str, name: &str) -> Result<Source, String> {
    let path = Path::new(from).parent().unwrap_or(Path::new(".")).join(name);
    read(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))
}

/// Bytes that are no UTF-8 are kept out of the text but not out of the file: each becomes U+FFFD, which
/// the parsers point at.
fn read(path: &Path) -> io::Result<Source> {
    let text = String::from_utf8(fs::read(path)?)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
    Ok(Source { file: path.display().to_string().into(), text: text.into() })
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
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
