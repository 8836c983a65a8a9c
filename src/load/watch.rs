//! Noticing that files changed: by looking, not by being told.
//!
//! A look costs one `stat` a file and sees everything: a file written in place, renamed over, deleted, a
//! symbolic link swapped to another directory (as Kubernetes does), on any file system. It is the same
//! work whatever happens.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::zones::is_meant;

/// A directory, as it looked when it was last taken for settled.
#[derive(Debug)]
pub struct Watch {
    directory: PathBuf,
    /// Files elsewhere that matter too.
    included: Vec<PathBuf>,
    settled: Look,
    last: Look,
}

/// What one look sees: for each file what changes when it does.
type Look = BTreeMap<PathBuf, (u64, u64, i64, i64)>;

impl Watch {
    /// Watches from now on.
    pub fn new(directory: &Path) -> Self {
        let look = look(directory, &[]);
        Self { directory: directory.to_owned(), included: Vec::new(), settled: look.clone(), last: look }
    }

    /// Looks at these files too, which may be anywhere, in place of those it was told before.
    pub fn include(&mut self, included: Vec<PathBuf>) {
        if self.included != included {
            self.included = included;
            let look = look(&self.directory, &self.included);
            let new = |(path, _): &(&PathBuf, _)| !self.last.contains_key(*path);
            let added: Look = look.iter().filter(new).map(|(path, seen)| (path.clone(), *seen)).collect();
            self.settled.extend(added.clone());
            self.last.extend(added);
        }
    }

    /// Looks. True once for each change, and only when two looks in a row see the same: somebody who is
    /// still copying files is not interrupted.
    pub fn changed(&mut self) -> bool {
        let now = look(&self.directory, &self.included);
        let still = now == self.last;
        self.last = now;
        if still && self.last != self.settled {
            self.settled = self.last.clone();
            return true;
        }
        false
    }
}

fn look(directory: &Path, included: &[PathBuf]) -> Look {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
    let meant = entries.filter(|path| is_meant(path)).chain(included.iter().cloned());
    let seen = meant.filter_map(|path| {
        let meta = fs::metadata(&path).ok()?;
        Some((path, (meta.ino(), meta.len(), meta.mtime(), meta.mtime_nsec())))
    });
    seen.take(FILES_MAX).collect()
}

/// Changes of files beyond this many are not noticed; SIGHUP reloads all of them.
const FILES_MAX: usize = 100_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_told_once_when_it_has_settled() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("a.zone");
        fs::write(&file, "one").expect("a file");
        let mut watch = Watch::new(directory.path());
        assert!(!watch.changed());
        fs::write(&file, "three").expect("a file");
        assert!(!watch.changed(), "it may still be being written");
        assert!(watch.changed());
        assert!(!watch.changed(), "only once");
    }

    #[test]
    fn a_file_renamed_over_another_is_a_change() {
        let directory = tempfile::tempdir().expect("a directory");
        fs::write(directory.path().join("a.zone"), "one").expect("a file");
        let mut watch = Watch::new(directory.path());
        fs::write(directory.path().join("new"), "two").expect("a file");
        fs::rename(directory.path().join("new"), directory.path().join("a.zone")).expect("renamed");
        assert!(!watch.changed());
        assert!(watch.changed());
    }

    #[test]
    fn a_file_that_is_included_from_elsewhere_is_watched_and_editors_files_are_not() {
        let directory = tempfile::tempdir().expect("a directory");
        let zones = directory.path().join("zones");
        fs::create_dir(&zones).expect("a directory");
        let included = directory.path().join("common.inc");
        fs::write(&included, "one").expect("a file");
        let mut watch = Watch::new(&zones);
        watch.include(vec![included.clone()]);
        fs::write(zones.join(".a.zone.swp"), "x").expect("a file");
        fs::write(zones.join("a.zone~"), "x").expect("a file");
        assert!(!watch.changed() && !watch.changed(), "being told of a file is no change of it");
        fs::write(&included, "other").expect("a file");
        assert!(!watch.changed());
        assert!(watch.changed());
    }

    #[test]
    fn a_deleted_directory_is_a_change_and_no_panic() {
        let directory = tempfile::tempdir().expect("a directory");
        let zones = directory.path().join("zones");
        fs::create_dir(&zones).expect("a directory");
        fs::write(zones.join("a.zone"), "one").expect("a file");
        let mut watch = Watch::new(&zones);
        fs::remove_dir_all(&zones).expect("removed");
        assert!(!watch.changed());
        assert!(watch.changed());
    }
}
