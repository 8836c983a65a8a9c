//! What is kept of zones that others take or change: their last serials, their latest changes, and what updates made of
//! them.
//!
//! ```text
//!   state/journal/example.org.state   { serial, of, overlay, history }
//! ```
//!
//! Written whole, as every state file: after `kill -9` at any moment there is what was before an update or what came of it,
//! and an update is answered only once it is on the disk.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::dnssec::KeyFile;
use crate::load::Site;
use crate::load::state::{StateFile, Unreadable};
use crate::load::zones::{Overlays, is_meant};
use crate::model::Name;
use crate::primary::{Change, Edition, Overlay};

/// The journals of a machine.
#[derive(Clone, Debug)]
pub struct Journals {
    directory: PathBuf,
}

/// What is kept of a zone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Journal {
    /// The zone.
    pub zone: String,
    /// The serial that others may have seen; `None`: nobody takes the zone.
    pub serial: Option<u32>,
    /// What the zone held under it ([`Edition::fingerprint`]).
    pub of: u64,
    /// What updates made of it.
    pub overlay: Overlay,
    /// How it came to that, oldest first.
    pub history: Vec<Arc<Change>>,
}

impl Journals {
    /// Those of a site.
    pub fn of(site: &Site) -> Self {
        Self { directory: site.state.join(DIRECTORY) }
    }

    /// All of them, by the apexes of their zones; and those that cannot be read, which are set aside.
    pub fn read(&self) -> (BTreeMap<Box<[u8]>, Journal>, Vec<Unreadable>) {
        let (mut journals, mut unreadable) = (BTreeMap::new(), Vec::new());
        for file in self.files() {
            match file.read() {
                Ok(journal) => journals.extend(journal.and_then(Journal::with_apex)),
                Err(error) => unreadable.push(error),
            }
        }
        (journals, unreadable)
    }

    fn files(&self) -> impl Iterator<Item = StateFile<Journal>> {
        let entries = fs::read_dir(&self.directory).into_iter().flatten().flatten();
        let paths = entries.map(|entry| entry.path()).filter(|path| is_meant(path));
        let ours = paths.filter(|path| path.extension().is_some_and(|ending| ending == "state"));
        ours.filter_map(|path| {
            path.file_stem().and_then(|stem| stem.to_str()).map(|name| StateFile::new(&self.directory, name))
        })
    }

    /// Writes one. Blocks for as long as the disk does.
    ///
    /// # Errors
    /// Whatever the file system says; what was kept before is still there then.
    pub fn write(&self, zone: &Name, journal: &Journal) -> io::Result<()> {
        let prefix = KeyFile::prefix(zone);
        let name = prefix.strip_prefix('K').unwrap_or(&prefix).trim_end_matches('.');
        StateFile::new(&self.directory, if name.is_empty() { "root" } else { name }).write(journal)
    }
}

impl Journal {
    fn with_apex(self) -> Option<(Box<[u8]>, Self)> {
        let zone = self.zone.parse::<Name>().ok()?;
        Some((zone.as_slice().to_ascii_lowercase().into(), self))
    }

    /// Of an edition.
    pub fn new(zone: &Name, overlay: Overlay, edition: Option<&Edition>) -> Self {
        Self {
            zone: zone.to_string(),
            serial: edition.map(Edition::serial),
            of: edition.map_or(0, |edition| edition.fingerprint().value()),
            overlay,
            history: edition.map(|edition| edition.history.iter().cloned().collect()).unwrap_or_default(),
        }
    }
}

/// What updates made of the zones of a site, for those who only look: journals that cannot be read are passed over.
pub fn overlays(site: &Site) -> Overlays {
    let journals = Journals::of(site);
    let journals = journals.files().filter_map(|file| file.peek().and_then(Journal::with_apex));
    journals.map(|(apex, journal)| (apex, journal.overlay)).collect()
}

/// The name of a directory of state.
const DIRECTORY: &str = "journal";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::primary::Records;

    #[test]
    fn a_journal_is_read_as_it_was_written() {
        let directory = tempfile::tempdir().expect("a directory");
        let journals = Journals { directory: directory.path().join("journal") };
        assert!(journals.read().0.is_empty());
        let added = Records::parse("_acme-challenge.example.org. 60 TXT \"a b\"").expect("a record");
        let overlay = Overlay { added, ..Overlay::default() };
        for zone in ["Example.org", "0/25.2.0.192.in-addr.arpa", "."] {
            let zone: Name = zone.parse().expect("a name");
            journals.write(&zone, &Journal::new(&zone, overlay.clone(), None)).expect("written");
        }
        let (read, unreadable) = journals.read();
        assert!(unreadable.is_empty());
        let zones: Vec<&str> = read.values().map(|journal| &*journal.zone).collect();
        assert_eq!(zones, [".", "0/25.2.0.192.in-addr.arpa", "Example.org"]);
        assert!(read.values().all(|journal| journal.overlay == overlay));
    }

    #[test]
    fn a_damaged_journal_is_set_aside_and_told() {
        let directory = tempfile::tempdir().expect("a directory");
        let journals = Journals { directory: directory.path().to_owned() };
        fs::write(directory.path().join("example.org.state"), "windrose-state 1 00000000\n{}")
            .expect("written");
        let (read, unreadable) = journals.read();
        assert_eq!((read.len(), unreadable.len()), (0, 1));
        assert!(unreadable[0].set_aside.as_ref().is_some_and(|aside| aside.exists()));
        assert!(journals.read().1.is_empty());
    }
}
