//! Geo databases: a file in either form -> facts.
//!
//! ```text
//!   *.mmdb  (City, Country, ASN; MaxMind, DB-IP, IPinfo) --mmdb--.
//!   text ranges (Debian's tor-geoipdb)                   --text--+--> Database { what it is } + Facts
//! ```
//!
//! Which form it is, its content tells. A file that is missing, cut off or corrupt in any way is [`Unusable`]; it
//! never ends the process, and what it can cost is bounded: each node of a tree is met a few times at most, each
//! distinct record read once, and no record unfolds into more than 65,536 values (the library sees to that).

mod mmdb;
mod record;
#[cfg(test)]
mod tests;
mod text;
#[cfg(test)]
#[path = "../../../tools/geo/mmdb.rs"]
mod writer;

use std::fmt;
use std::fs;
use std::io;
use std::panic::{UnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::geo::{Facts, Knows};

/// A database that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Database {
    /// The file; of text ranges the one that was named.
    pub path: PathBuf,
    /// What it calls itself, as `GeoLite2-City`; or `text ranges`.
    pub kind: String,
    /// When it was made; `None`: it does not say, and the file does not either.
    pub built: Option<SystemTime>,
    /// Of all its files.
    pub bytes: u64,
    /// Networks or ranges in it.
    pub networks: u64,
    /// What it knows of anybody.
    pub knows: Knows,
}

impl Database {
    /// How old it is; zero if it is from the future.
    pub fn age(&self, now: SystemTime) -> Option<Duration> {
        self.built.map(|built| now.duration_since(built).unwrap_or_default())
    }

    /// What it cannot tell.
    pub fn lacks(&self) -> Vec<&'static str> {
        let Knows { continent, country, subdivision, coordinates, asn } = self.knows;
        let facts = [
            (continent, "continents"),
            (country, "countries"),
            (subdivision, "subdivisions"),
            (coordinates, "coordinates"),
            (asn, "ASNs"),
        ];
        facts.into_iter().filter(|(known, _)| !known).map(|(_, fact)| fact).collect()
    }

    /// `GeoLite2-City at /usr/share/GeoIP/GeoLite2-City.mmdb, 12 days old, 3,600,000 networks; it cannot tell ASNs`
    pub fn summary(&self, now: SystemTime) -> String {
        let age = match self.age(now) {
            Some(age) => format!("{} days old", age.as_secs() / DAY.as_secs()),
            None => "of unknown age".into(),
        };
        let lacks = match self.lacks() {
            lacks if lacks.is_empty() => String::new(),
            lacks => format!("; it cannot tell {}", lacks.join(", ")),
        };
        let Self { kind, path, networks, bytes, .. } = self;
        let size = bytes.div_ceil(1024);
        format!("{kind} at {}, {age}, {networks} networks in {size} KiB{lacks}", path.display())
    }
}

/// Why a file cannot be used as a database: a sentence.
#[derive(Clone, Debug, PartialEq)]
pub struct Unusable(String);

impl Unusable {
    fn new(path: &Path, why: impl fmt::Display) -> Self {
        Self(format!("the geo database {} cannot be used: {why}", path.display()))
    }
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Reads a database, and the file beside it that belongs to it, if there is one.
///
/// # Errors
/// Why it is of no use.
pub fn read(path: &Path) -> Result<(Database, Facts), Unusable> {
    let bytes = content(path)?;
    if mmdb::is_one(&bytes) {
        return guarded(|| mmdb::read(path, &bytes)).map_err(|why| Unusable::new(path, why));
    }
    let mut parts = vec![(path.to_owned(), bytes)];
    for other in files(path).into_iter().filter(|file| file != path && file.exists()) {
        let bytes = content(&other)?;
        parts.push((other, bytes));
    }
    for (path, bytes) in &parts {
        if let Some(what) = foreign(bytes) {
            return Err(Unusable::new(path, what));
        }
    }
    text::read(&parts)
}

/// We know of no file on which the library that reads it panics. If there is one, it is of no use, and no more.
fn guarded<T>(read: impl FnOnce() -> Result<T, String> + UnwindSafe) -> Result<T, String> {
    catch_unwind(read)
        .unwrap_or_else(|_| Err("the library that reads it failed: please report it, with the file".into()))
}

fn content(path: &Path) -> Result<Vec<u8>, Unusable> {
    let unreadable = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => Unusable::new(path, MISSING),
        _ => Unusable::new(path, error),
    };
    let meta = fs::metadata(path).map_err(unreadable)?;
    // A pipe would block for ever, a device never end.
    if !meta.is_file() {
        return Err(Unusable::new(path, "it is no regular file"));
    }
    if meta.len() > FILE_MAX {
        return Err(Unusable::new(path, format!("it has more than {} GiB", FILE_MAX >> 30)));
    }
    fs::read(path).map_err(unreadable)
}

/// What a file is that operators take for a database, and what to do about it.
fn foreign(bytes: &[u8]) -> Option<&'static str> {
    if COMPRESSED.iter().any(|mark| bytes.starts_with(mark)) {
        Some("it is compressed: unpack it")
    } else if bytes.trim_ascii_start().starts_with(b"<") {
        Some("it is a web page: look at it to see what went wrong, and download the database again")
    } else {
        None
    }
}

/// The files that a database consists of: IPv6 has a file of its own in tor-geoipdb.
pub fn files(path: &Path) -> Vec<PathBuf> {
    let v6 = (path.file_name() == Some("geoip".as_ref())).then(|| path.with_file_name("geoip6"));
    [Some(path.to_owned()), v6].into_iter().flatten().collect()
}

/// The databases at the usual paths below a root: the best that tells places, and one that tells ASNs.
pub fn usual(root: &Path) -> Vec<PathBuf> {
    let first = |names: &[&str]| names.iter().find_map(|name| newest(root, name));
    let text = || Some(root.join(TEXT)).filter(|path| path.is_file());
    let place = first(CITIES).or_else(|| first(COUNTRIES)).or_else(text);
    [place, first(ASNS)].into_iter().flatten().collect()
}

/// What changes when [`usual`] changes its mind, or one of its databases changes: the directories, for what comes and
/// goes in them, and the files.
pub fn candidates(root: &Path) -> Vec<PathBuf> {
    directories(root).into_iter().chain(files(&root.join(TEXT))).chain(usual(root)).collect()
}

/// Where packages and updaters put them below a root.
pub fn directories(root: &Path) -> Vec<PathBuf> {
    DIRECTORIES.iter().map(|directory| root.join(directory)).collect()
}

/// The database of a name in the first of the directories that has it; of several with a date behind the name, as
/// `dbip-city-lite-2026-06.mmdb`, the newest.
fn newest(root: &Path, name: &str) -> Option<PathBuf> {
    let is_one = |path: &PathBuf| {
        let file = path.file_name().and_then(|file| file.to_str()).unwrap_or_default();
        let date = file.strip_prefix(name).and_then(|rest| rest.strip_suffix(".mmdb"));
        date.is_some_and(|date| date.bytes().all(|byte| matches!(byte, b'-' | b'0'..=b'9'))) && path.is_file()
    };
    DIRECTORIES.iter().find_map(|directory| {
        let entries = fs::read_dir(root.join(directory)).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).filter(is_one).max()
    })
}

/// Where packages and updaters put them.
const DIRECTORIES: [&str; 4] =
    ["usr/share/GeoIP", "var/lib/GeoIP", "usr/local/share/GeoIP", "usr/local/var/GeoIP"];

/// Best first.
const CITIES: &[&str] = &[
    "GeoIP2-Enterprise",
    "GeoIP2-City",
    "GeoLite2-City",
    "dbip-location",
    "dbip-city",
    "dbip-city-lite",
    "ipinfo_location",
    "standard_location",
];

/// Best first.
const COUNTRIES: &[&str] = &[
    "GeoIP2-Country",
    "GeoLite2-Country",
    "dbip-country",
    "dbip-country-lite",
    "ipinfo_lite",
    "country_asn",
    "country",
];

/// Best first.
const ASNS: &[&str] = &["GeoIP2-ISP", "GeoLite2-ASN", "dbip-asn", "dbip-asn-lite", "asn"];

/// Debian's package tor-geoipdb.
const TEXT: &str = "usr/share/tor/geoip";

/// A larger file is no database that this machine should hold in memory.
const FILE_MAX: u64 = 4 << 30;

/// Networks in one database at most: several times what the whole world is divided into.
const NETWORKS_MAX: u64 = 64_000_000;

/// How files begin that gzip, zip, xz and zstd made.
const COMPRESSED: [&[u8]; 4] = [b"\x1f\x8b", b"PK\x03\x04", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd"];

const MISSING: &str = "there is no such file; Debian's package tor-geoipdb brings one, and `[geo] databases` says which are wanted";

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
