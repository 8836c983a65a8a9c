//! The zones that the fleet published, on this machine's disk: what a restart without a network serves.
//!
//! ```text
//!   state/zones/41/...      one directory for each version, as `zones` would be
//!   state/zones/42/...
//!   state/zones/current     42: the newest that was found right
//! ```
//!
//! A version becomes current only after it was compiled from here; the one before it goes away after that. So
//! whenever the power fails, `current` names a directory that is whole and was right.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Component, Path, PathBuf};

/// Files of a `zones` directory: a path relative to it, with slashes, and what is in it.
pub type ZoneFiles = Vec<(String, Vec<u8>)>;

/// Where published zones are kept.
#[derive(Clone, Debug)]
pub struct PublishedZones {
    root: PathBuf,
}

impl PublishedZones {
    /// Beneath a state directory, which need not be there yet.
    pub fn new(state: &Path) -> Self {
        Self { root: state.join("zones") }
    }

    /// The version that was found right last, and its directory; `None`: there is none, or it is damaged.
    pub fn current(&self) -> Option<(u64, PathBuf)> {
        let version = fs::read_to_string(self.root.join(CURRENT)).ok()?.trim().parse().ok()?;
        let directory = self.directory(version);
        directory.is_dir().then_some((version, directory))
    }

    /// Writes the files of a version; returns their directory.
    ///
    /// # Errors
    /// What the file system says; `InvalidData` for a path that would lead out of the directory.
    pub fn unpack(&self, version: u64, files: &ZoneFiles) -> io::Result<PathBuf> {
        let directory = self.directory(version);
        let unfinished = self.root.join(format!("{version}.unfinished"));
        let _ = fs::remove_dir_all(&unfinished);
        fs::create_dir_all(&unfinished)?;
        for (path, text) in files {
            let path = unfinished.join(inside(path)?);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            let mut file = File::create(path)?;
            file.write_all(text)?;
            file.sync_all()?;
        }
        let _ = fs::remove_dir_all(&directory);
        fs::rename(&unfinished, &directory)?;
        Ok(directory)
    }

    /// Makes a version that was unpacked and found right the current one, and forgets the others.
    ///
    /// # Errors
    /// What the file system says; then the one before is still current.
    pub fn accept(&self, version: u64) -> io::Result<()> {
        let unfinished = self.root.join("current.unfinished");
        let mut file = File::create(&unfinished)?;
        writeln!(file, "{version}")?;
        file.sync_all()?;
        fs::rename(unfinished, self.root.join(CURRENT))?;
        File::open(&self.root)?.sync_all()?;
        self.forget_all_but(&self.directory(version))
    }

    fn forget_all_but(&self, kept: &Path) -> io::Result<()> {
        for entry in fs::read_dir(&self.root)? {
            let path = entry?.path();
            if path.is_dir() && path != kept {
                fs::remove_dir_all(path)?;
            }
        }
        Ok(())
    }

    fn directory(&self, version: u64) -> PathBuf {
        self.root.join(version.to_string())
    }
}

/// The files of a `zones` directory, in the order of their paths; hidden ones, and those that editors leave behind,
/// are left out.
///
/// # Errors
/// What the file system says; `InvalidData` for a name that is no UTF-8, and if there are too many, or too much.
pub fn zone_files(directory: &Path) -> io::Result<ZoneFiles> {
    let mut files = ZoneFiles::new();
    let mut bytes = 0;
    gather(directory, "", 0, &mut |path, text| {
        bytes += text.len();
        files.push((path, text));
        if files.len() > FILES_MAX || bytes > BYTES_MAX {
            let most = format!("more than {FILES_MAX} files or {} MiB of them", BYTES_MAX >> 20);
            return Err(invalid(&format!("{}: {most} cannot be published", directory.display())));
        }
        Ok(())
    })?;
    files.sort();
    Ok(files)
}

fn gather(
    directory: &Path,
    prefix: &str,
    depth: usize,
    take: &mut impl FnMut(String, Vec<u8>) -> io::Result<()>,
) -> io::Result<()> {
    if depth > DEPTH_MAX {
        return Err(invalid(&format!("{}: nested too deep", directory.display())));
    }
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_str().ok_or_else(|| invalid(&format!("{}: no UTF-8", entry.path().display())))?;
        if name.starts_with('.') || name.ends_with('~') {
            continue;
        }
        let path = format!("{prefix}{name}");
        // What a symbolic link leads to is what is served, so that is what is published.
        if fs::metadata(entry.path())?.is_dir() {
            gather(&entry.path(), &format!("{path}/"), depth + 1, take)?;
        } else {
            take(path, fs::read(entry.path())?)?;
        }
    }
    Ok(())
}

/// A path that stays where it is put.
fn inside(path: &str) -> io::Result<&Path> {
    let plain = |part: Component<'_>| matches!(part, Component::Normal(_));
    let relative = Path::new(path);
    if path.is_empty() || !relative.components().all(plain) {
        return Err(invalid(&format!("`{path}` is no path within a directory")));
    }
    Ok(relative)
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Holds the number of the current version.
const CURRENT: &str = "current";

/// Directories within one another, at most: a loop of symbolic links ends here.
const DEPTH_MAX: usize = 8;

/// Files that are published together, at most.
const FILES_MAX: usize = 10_000;

/// What they hold together, at most.
const BYTES_MAX: usize = 256 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn files(text: &str) -> ZoneFiles {
        vec![("a/b.toml".into(), text.into()), ("example.org.zone".into(), b"x".to_vec())]
    }

    #[test]
    fn a_version_is_current_once_it_is_accepted_and_the_others_are_forgotten() {
        let state = tempfile::tempdir().expect("a directory");
        let kept = PublishedZones::new(state.path());
        assert_eq!(kept.current(), None);
        let first = kept.unpack(7, &files("one")).expect("unpacked");
        assert_eq!(kept.current(), None, "nobody found it right yet");
        kept.accept(7).expect("accepted");
        assert_eq!(kept.current(), Some((7, first.clone())));
        kept.unpack(8, &files("two")).expect("unpacked");
        assert_eq!(kept.current(), Some((7, first.clone())));
        kept.accept(8).expect("accepted");
        assert_eq!(kept.current().expect("there is one").0, 8);
        assert!(!first.exists());
    }

    #[test]
    fn what_is_unpacked_is_what_was_gathered() {
        let state = tempfile::tempdir().expect("a directory");
        let kept = PublishedZones::new(state.path());
        let directory = kept.unpack(1, &files("one")).expect("unpacked");
        fs::write(directory.join(".hidden"), "x").expect("written");
        fs::write(directory.join("a/b.toml~"), "x").expect("written");
        assert_eq!(zone_files(&directory).expect("gathered"), files("one"));
    }

    #[test]
    fn a_path_that_leads_out_is_refused_and_nothing_is_current() {
        let state = tempfile::tempdir().expect("a directory");
        let kept = PublishedZones::new(state.path());
        for path in ["../x", "/etc/x", "", "a/../../x"] {
            let error = kept.unpack(1, &vec![(path.into(), Vec::new())]).expect_err(path);
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{path}");
        }
        assert!(!state.path().join("x").exists());
    }

    #[test]
    fn a_damaged_mark_is_none() {
        let state = tempfile::tempdir().expect("a directory");
        let kept = PublishedZones::new(state.path());
        kept.unpack(7, &files("one")).expect("unpacked");
        for mark in ["", "x", "9", "-1"] {
            fs::write(state.path().join("zones/current"), mark).expect("written");
            assert_eq!(kept.current(), None, "{mark}");
        }
    }
}
