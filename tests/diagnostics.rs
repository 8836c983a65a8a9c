//! What an operator is told about wrong files, word for word.
//!
//! ```text
//!   tests/config/bad/NAME/zones/*.zone *.toml   what is served
//!                         windrose.toml         this machine, if the case is about it
//!                         expected.txt          what is said of all of them
//! ```
//!
//! `UPDATE=1 cargo test --test diagnostics` writes what is said now into `expected.txt`: read the difference
//! before it is committed.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use windrose::geo::Facts;
use windrose::plan;
use windrose::spec::{self, Severity, Source, Sources, diagnostic, machine};

#[test]
fn every_bad_directory_is_told_what_is_wrong_with_it() {
    let update = std::env::var_os("UPDATE").is_some();
    let mut wrong = Vec::new();
    let cases = cases("bad");
    assert!(!cases.is_empty());
    for case in cases {
        let said = said_of(&case);
        assert!(said.contains("error[") || said.contains("warning["), "{}: nothing is wrong", case.display());
        let golden = case.join("expected.txt");
        if update {
            fs::write(&golden, &said).expect("the golden file can be written");
        } else if fs::read_to_string(&golden).unwrap_or_default() != said {
            wrong.push(format!("{}:\n{said}", case.display()));
        }
    }
    assert!(wrong.is_empty(), "not what is expected (UPDATE=1 accepts it):\n\n{}", wrong.join("\n"));
}

#[test]
fn no_good_directory_has_an_error() {
    for case in cases("good") {
        let said = said_of(&case);
        assert!(!said.contains("error["), "{}:\n{said}", case.display());
    }
}

/// The directories of cases of one kind, by name.
fn cases(kind: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config").join(kind);
    let entries = fs::read_dir(root).expect("the cases are there");
    let mut cases: Vec<_> = entries.map(|entry| entry.expect("a readable entry").path()).collect();
    cases.sort();
    cases
}

/// All that is said of an operator's directory, as a terminal without colour shows it.
fn said_of(case: &Path) -> String {
    let mut said = Vec::new();
    let config = case.join("windrose.toml");
    if config.exists() {
        machine::parse(&source(case, &config), &mut said);
    }
    let sources = sources(case);
    if !sources.zones.is_empty() || !sources.steering.is_empty() {
        let include = |from: &str, name: &str| {
            let path = case.join(from).with_file_name(name);
            if path.exists() { Ok(source(case, &path)) } else { Err(format!("there is no file {name}")) }
        };
        let (spec, read) = spec::parse(&sources, &include);
        let (plan, compiled) = plan::compile(&spec, &Arc::new(Facts::none()), Duration::from_secs(2));
        let all = spec.findings(read, compiled);
        let refused = all.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
        assert!(refused || plan.is_some(), "{}: no plan and no reason", case.display());
        said.extend(all);
    }
    diagnostic::render(&said, false)
}

/// The files of `zones/`, or of the directory itself if it has none.
fn sources(case: &Path) -> Sources {
    let zones = case.join("zones");
    let directory = if zones.is_dir() { zones } else { case.to_owned() };
    let entries = fs::read_dir(directory).expect("a readable directory");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("a readable entry").path()).collect();
    paths.sort();
    let mut sources = Sources::default();
    for path in paths.iter().filter(|path| !path.ends_with("windrose.toml")) {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("zone") => sources.zones.push(source(case, path)),
            Some("toml") => sources.steering.push(source(case, path)),
            _ => {}
        }
    }
    sources
}

/// A file, named relative to its case.
fn source(case: &Path, path: &Path) -> Source {
    let bytes = fs::read(path).expect("a readable file");
    let name = path.strip_prefix(case).expect("a file of the case");
    Source::new(&name.display().to_string(), &String::from_utf8_lossy(&bytes))
}
