//! Keys of the zones that are signed: read from their directory, checked, and written by the commands that roll them.
//!
//! ```text
//!   [dnssec] zones --> K<zone>.+*.key, .private --> ZoneKeys, or why the zone cannot be signed --> plan
//! ```
//!
//! That a zone is signed is said in the configuration and not concluded from its keys, so that nothing that happens to
//! a file can make its answers unsigned: without keys that can be used there is no plan, and what ran before goes on.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use ring::rand::SystemRandom;

use crate::dnssec::{CannotSign, KeyFile, Keyring, Policy, Role, Seconds, ZoneKeys};
use crate::load::{Loaded, Site};
use crate::model::Name;
use crate::plan::Plan;
use crate::plan::zone::Node;
use crate::spec::machine::Dnssec;
use crate::spec::{Diagnostic, Severity};

/// The directory of keys.
#[derive(Clone, Debug)]
pub struct KeyDirectory {
    path: PathBuf,
}

/// A key of a directory, as its files have it.
#[derive(Debug)]
pub struct FoundKey {
    /// What is in them.
    pub file: KeyFile,
    /// The private one.
    pub path: PathBuf,
    /// Everybody can read that.
    pub readable: bool,
}

impl KeyDirectory {
    /// That of a site.
    pub fn of(site: &Site) -> Self {
        Self { path: site.beside(&site.machine.dnssec.keys) }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The keys of a zone, by the names of their files; and what is wrong with those that cannot be used.
    pub fn read(&self, zone: &Name) -> (Vec<FoundKey>, Vec<Diagnostic>) {
        let (mut keys, mut wrong) = (Vec::new(), Vec::new());
        for path in self.public_files(zone) {
            match read_key(&path, zone) {
                Ok(key) => keys.push(key),
                Err(diagnostic) => wrong.push(*diagnostic),
            }
        }
        (keys, wrong)
    }

    /// Writes both files of a key, the private one for its owner alone; each in one piece.
    ///
    /// # Errors
    /// They cannot be written.
    pub fn write(&self, key: &KeyFile) -> io::Result<()> {
        fs::create_dir_all(&self.path)?;
        let name = key.name();
        let write = |ending: &str, text: &str, mode: u32| {
            let new = self.path.join(format!(".{name}.{ending}.new"));
            let mut file =
                fs::OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&new)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&new, self.path.join(format!("{name}.{ending}")))
        };
        // The public file is what makes a key be seen.
        write("private", &key.private_text(), 0o600)?;
        write("key", &key.public_text(), 0o644)
    }

    /// All that a change of which matters for a zone: the files, and the directory for those to come.
    fn files(&self, zone: &Name) -> Vec<PathBuf> {
        let both = |path: PathBuf| [path.with_extension("private"), path];
        std::iter::once(self.path.clone()).chain(self.public_files(zone).into_iter().flat_map(both)).collect()
    }

    fn public_files(&self, zone: &Name) -> Vec<PathBuf> {
        let prefix = KeyFile::prefix(zone) + "+";
        let is_meant = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
            name.starts_with(&prefix.to_ascii_lowercase()) && name.ends_with(".key")
        };
        let entries = fs::read_dir(&self.path).into_iter().flatten().flatten();
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(is_meant).collect();
        files.sort();
        files
    }
}

/// Gives the plan the keys of the zones that are signed; where that cannot be, says why, and there is no plan.
pub fn sign(site: &Site, loaded: &mut Loaded, now: SystemTime) {
    let Dnssec { zones, validity, refresh, skew, key_ttl, .. } = &site.machine.dnssec;
    if zones.is_empty() {
        return;
    }
    let (directory, now) = (KeyDirectory::of(site), seconds(now));
    let policy = Policy::of(*validity, *refresh, *skew, *key_ttl);
    let mut keys = Vec::new();
    for zone in zones {
        loaded.included.extend(directory.files(zone));
        let (zone_keys, found) = zone_keys(&directory, zone, now);
        loaded.diagnostics.extend(found);
        if let Some(plan) = &loaded.plan {
            loaded.diagnostics.extend(about_zone(plan, zone, &policy));
        }
        keys.extend(zone_keys);
    }
    let refused = loaded.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
    match &mut loaded.plan {
        Some(plan) if !refused => plan.sign(Keyring::new(policy, keys)),
        plan => *plan = None,
    }
}

/// Seconds since 1970.
pub fn seconds(time: SystemTime) -> Seconds {
    Seconds(time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
}

/// The keys of a zone, and whatever there is to say of them.
fn zone_keys(directory: &KeyDirectory, zone: &Name, now: Seconds) -> (Option<ZoneKeys>, Vec<Diagnostic>) {
    let (found, mut said) = directory.read(zone);
    let (rng, mut keys) = (SystemRandom::new(), Vec::new());
    for FoundKey { file, path, readable } in found {
        // What left the zone long ago may be anything.
        if file.timing.delete.is_some_and(|at| at <= now) {
            continue;
        }
        if readable {
            said.push(readable_by_all(&path));
        }
        match file.key(&rng) {
            Ok(key) => keys.push(Arc::new(key)),
            Err(error) => said.push(bad_key(&path, &error.to_string())),
        }
    }
    if said.iter().any(|diagnostic| diagnostic.severity == Severity::Error) {
        return (None, said);
    }
    if !keys.is_empty() && keys.iter().all(|key| key.record.role == Role::ZoneSigning) {
        let message = format!("no key of `{zone}` is a key-signing key: a DS record would be of a ZSK");
        let hint = "keys that the parent is to know have the flags 257: dnssec-keygen -f KSK makes them so";
        said.push(Diagnostic::general_warning("no-ksk", message).hint(hint));
    }
    let keys = ZoneKeys::new(zone.clone(), keys);
    if let Err(reason) = keys.check(now) {
        said.push(cannot_sign(zone, directory, reason));
        return (None, said);
    }
    (Some(keys), said)
}

fn read_key(public: &Path, zone: &Name) -> Result<FoundKey, Box<Diagnostic>> {
    let path = public.with_extension("private");
    let read = |path: &Path| fs::read_to_string(path).map_err(|error| Box::new(unreadable(path, &error)));
    let (public_text, private_text) = (read(public)?, read(&path)?);
    let file = KeyFile::parse(&public_text, &private_text)
        .map_err(|error| Box::new(bad_key(public, &error.to_string())))?;
    let name = public.file_stem().unwrap_or_default().to_string_lossy();
    if file.zone != *zone || !name.eq_ignore_ascii_case(&file.name()) {
        return Err(bad_key(public, &format!("what is in it belongs to {}", file.name())).into());
    }
    let mode = fs::metadata(&path).map_err(|error| Box::new(unreadable(&path, &error)))?.permissions().mode();
    Ok(FoundKey { file, path, readable: mode & OTHERS != 0 })
}

/// What does not fit between a zone and the way it is to be signed.
fn about_zone(plan: &Plan, zone: &Name, policy: &Policy) -> Option<Diagnostic> {
    let Some(apex) = plan.zones.exact(zone.as_slice()).filter(|node| node.is_apex()) else {
        let message = format!("`{zone}` is to be signed, but there is no such zone");
        let hint = "`zones` of [dnssec] names zones that are served: is there a zone file of this name?";
        return Some(Diagnostic::general("unknown-zone", message).hint(hint));
    };
    ttl_beyond_refresh(plan, apex, zone, policy)
}

fn ttl_beyond_refresh(plan: &Plan, apex: Node<'_>, zone: &Name, policy: &Policy) -> Option<Diagnostic> {
    let ttl = plan.zones.ttl_max(apex);
    let message =
        format!("`{zone}` has a TTL of {ttl} s: resolvers may hold a record longer than its signature");
    let hint = "`refresh` of [dnssec] must be longer than the longest TTL of a zone that is signed";
    (u64::from(ttl) >= policy.refresh)
        .then(|| Diagnostic::general_warning("ttl-beyond-refresh", message).hint(hint))
}

fn cannot_sign(zone: &Name, directory: &KeyDirectory, reason: CannotSign) -> Diagnostic {
    let directory = directory.path.display();
    match reason {
        CannotSign::NoKey => {
            let message = format!("`{zone}` is to be signed, but no key in {directory} signs it");
            Diagnostic::general("no-key", message).hint(format!("make one: windrose keys generate {zone}"))
        }
        CannotSign::NotYet(at) => {
            let message = format!("`{zone}` is to be signed, but its first key signs only from {at} UTC");
            let hint = "`Activate` in its private file says when; until then leave the zone out of `zones`";
            Diagnostic::general("key-not-active", message).hint(hint)
        }
        CannotSign::Expired(at) => {
            let message = format!("`{zone}` is to be signed, but its last key stopped at {at} UTC");
            let hint = format!(
                "`windrose keys list {zone}` shows its keys; a new one can follow, or that time move"
            );
            Diagnostic::general("key-expired", message).hint(hint)
        }
    }
}

fn unreadable(path: &Path, error: &io::Error) -> Diagnostic {
    Diagnostic::general("unreadable-key", format!("cannot read {}: {error}", path.display()))
        .hint("both files of a key are needed, K*.key and K*.private, readable by the server's user")
}

fn bad_key(path: &Path, why: &str) -> Diagnostic {
    Diagnostic::general("bad-key", format!("{} is no key to sign with: {why}", path.display()))
        .hint("take it out of the directory, or bring it back from where it was made")
}

fn readable_by_all(path: &Path) -> Diagnostic {
    let path = path.display();
    Diagnostic::general_warning("readable-key", format!("{path} can be read by everybody"))
        .hint(format!("whoever reads it can speak for the zone: chmod o= {path}"))
}

/// Permissions of everybody: a group may be that of the server.
const OTHERS: u32 = 0o007;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dnssec::{Algorithm, Key, Timing};

    const NOW: Seconds = Seconds(1_000_000);

    /// A directory with a key of `example.org` that does what these times say.
    fn directory(timing: Timing) -> (tempfile::TempDir, KeyDirectory, KeyFile) {
        let place = tempfile::tempdir().expect("a directory");
        let directory = KeyDirectory { path: place.path().join("keys") };
        let key = write(&directory, "example.org", timing);
        (place, directory, key)
    }

    fn write(directory: &KeyDirectory, zone: &str, timing: Timing) -> KeyFile {
        let generated = Key::generate(Algorithm::EcdsaP256, Role::KeySigning, &SystemRandom::new());
        let (record, private) = generated.expect("chance");
        let key = KeyFile::new(name(zone), record, private, timing);
        directory.write(&key).expect("written");
        key
    }

    fn name(zone: &str) -> Name {
        zone.parse().expect("a name")
    }

    fn active() -> Timing {
        Timing { activate: Some(Seconds(1)), ..Timing::default() }
    }

    fn codes(directory: &KeyDirectory) -> Vec<&'static str> {
        let (keys, said) = zone_keys(directory, &name("example.org"), NOW);
        assert_eq!(keys.is_none(), said.iter().any(|said| said.severity == Severity::Error));
        said.iter().map(|said| said.code).collect()
    }

    #[test]
    fn only_the_keys_of_the_zone_are_read_in_any_case() {
        let (_place, directory, key) = directory(active());
        write(&directory, "sub.example.org", active());
        write(&directory, "example.org.net", active());
        let (found, wrong) = directory.read(&name("EXAMPLE.org"));
        assert_eq!((found.len(), wrong.len()), (1, 0));
        assert_eq!(found[0].file, key);
        assert!(!found[0].readable);
        assert_eq!(codes(&directory), [] as [&str; 0]);
    }

    #[test]
    fn a_private_key_that_everybody_can_read_is_warned_of() {
        let (_place, directory, key) = directory(active());
        let private = directory.path().join(key.name() + ".private");
        fs::set_permissions(private, fs::Permissions::from_mode(0o644)).expect("permitted");
        assert_eq!(codes(&directory), ["readable-key"]);
    }

    #[test]
    fn a_key_under_the_name_of_another_is_refused() {
        let (_place, directory, key) = directory(active());
        for ending in [".key", ".private"] {
            let old = directory.path().join(key.name() + ending);
            fs::rename(old, directory.path().join(format!("Kexample.org.+013+00001{ending}")))
                .expect("renamed");
        }
        assert_eq!(codes(&directory), ["bad-key"]);
    }

    #[test]
    fn keys_that_left_the_zone_may_be_anything() {
        let (_place, directory, _) = directory(Timing { delete: Some(NOW), ..active() });
        assert_eq!(codes(&directory), ["no-key"]);
        write(&directory, "example.org", active());
        assert_eq!(codes(&directory), [] as [&str; 0]);
    }

    #[test]
    fn a_change_of_the_directory_or_of_either_file_matters() {
        let (_place, directory, key) = directory(active());
        let file = |ending: &str| directory.path().join(key.name() + ending);
        let mut files = directory.files(&name("example.org"));
        files.sort();
        assert_eq!(files, [directory.path().to_owned(), file(".key"), file(".private")]);
    }
}
