//! What targets do that are fuzzed with files.

use std::fs;
use std::path::PathBuf;

use windrose::spec::{Diagnostic, Severity, Source, diagnostic};

/// Reads what a file includes: there is one small file, and nothing else.
pub fn no_files(_: &str, name: &str) -> Result<Source, String> {
    match name {
        "included" => Ok(Source::new(name, "a 5 A 192.0.2.1\n192.0.2.0/24\n")),
        _ => Err("there is no such file".into()),
    }
}

/// Renders what was found for people and for machines: nothing in it may move a terminal's cursor.
pub fn told(found: &[Diagnostic]) {
    let text = diagnostic::render(found, false);
    assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "a control character in {text:?}");
    diagnostic::to_json(found);
}

/// Whether what was found keeps a file from being used.
pub fn refused(found: &[Diagnostic]) -> bool {
    found.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
}

/// Whether a few octets of a zone file ask for so many records that nothing else would be tried: a `$GENERATE` of 1000
/// numbers. It is bounded, by far larger numbers.
pub fn is_dear(text: &str) -> bool {
    let digits = |run: &[u8]| run.len() > 3 && run.iter().all(u8::is_ascii_digit);
    text.as_bytes().windows(9).any(|word| word.eq_ignore_ascii_case(b"$GENERATE"))
        && text.as_bytes().windows(4).any(digits)
}

/// A file of this process that is written over and over. Put `TMPDIR` in memory.
pub struct Scratch {
    directory: PathBuf,
    name: &'static str,
}

impl Scratch {
    /// One of this name, in a directory of its own.
    pub fn new(name: &'static str) -> Self {
        let directory = std::env::temp_dir().join(format!("windrose-fuzz-{}", std::process::id()));
        fs::create_dir_all(&directory).expect("a directory for temporary files");
        Self { directory, name }
    }

    /// The directory.
    pub fn directory(&self) -> &PathBuf {
        &self.directory
    }

    /// The file.
    pub fn path(&self) -> PathBuf {
        self.directory.join(self.name)
    }

    /// Writes it anew.
    pub fn write(&self, octets: &[u8]) {
        fs::write(self.path(), octets).expect("room for temporary files");
    }
}
