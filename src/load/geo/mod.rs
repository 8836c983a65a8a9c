//! Geo databases: a file in either form -> facts.
//!
//! ```text
//!   *.mmdb  (City, Country, ASN; MaxMind, DB-IP, IPinfo) --mmdb--.
//!   text ranges (Debian's tor-geoipdb)                   --text--+--> Database { what it is } + Facts
//! ```
//!
//! Which form it is, its content tells. A file that is missing, cut off or corrupt in any way is [`Unusable`]; it
//! never ends the process, and never takes more time or memory than its size allows.

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
        let Self { kind, path, networks, .. } = self;
        format!("{kind} at {}, {age}, {networks} networks{lacks}", path.display())
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
        return on_a_deep_stack(|| mmdb::read(path, bytes)).map_err(|why| Unusable::new(path, why));
    }
    let mut parts = vec![(path.to_owned(), bytes)];
    for other in files(path).into_iter().filter(|file| file != path && file.exists()) {
        let bytes = content(&other)?;
        parts.push((other, bytes));
    }
    text::read(&parts)
}

/// A corrupt record can nest, or point to itself, as deep as the library that reads it allows.
fn on_a_deep_stack<T: Send>(read: impl FnOnce() -> Result<T, String> + Send) -> Result<T, String> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, read);
        let read = thread.map_err(|error| error.to_string())?.join();
        read.unwrap_or_else(|_| Err("it confuses the library that reads it".into()))
    })
}

fn content(path: &Path) -> Result<Vec<u8>, Unusable> {
    let unreadable = |error: std::io::Error| Unusable::new(path, error);
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

/// The files that a database consists of: IPv6 has a file of its own in tor-geoipdb.
pub fn files(path: &Path) -> Vec<PathBuf> {
    let v6 = (path.file_name() == Some("geoip".as_ref())).then(|| path.with_file_name("geoip6"));
    [Some(path.to_owned()), v6].into_iter().flatten().collect()
}

/// The databases at the usual paths below a root: the best that tells places, and one that tells ASNs.
pub fn usual(root: &Path) -> Vec<PathBuf> {
    let first = |names: &[&str]| paths(root, names).into_iter().find(|path| path.is_file());
    let place = first(CITIES).or_else(|| first(COUNTRIES)).or_else(|| first_text(root));
    [place, first(ASNS)].into_iter().flatten().collect()
}

/// Every file that [`usual`] looks at.
pub fn candidates(root: &Path) -> Vec<PathBuf> {
    let mut candidates: Vec<PathBuf> =
        [CITIES, COUNTRIES, ASNS].iter().flat_map(|names| paths(root, names)).collect();
    candidates.extend(files(&root.join(TEXT)));
    candidates
}

fn paths(root: &Path, names: &[&str]) -> Vec<PathBuf> {
    let of_name = |name: &&str| DIRECTORIES.map(|directory| root.join(directory).join(name));
    names.iter().flat_map(of_name).collect()
}

fn first_text(root: &Path) -> Option<PathBuf> {
    Some(root.join(TEXT)).filter(|path| path.is_file())
}

/// Where packages and updaters put them.
const DIRECTORIES: [&str; 4] =
    ["usr/share/GeoIP", "var/lib/GeoIP", "usr/local/share/GeoIP", "usr/local/var/GeoIP"];

/// Best first.
const CITIES: &[&str] = &[
    "GeoIP2-Enterprise.mmdb",
    "GeoIP2-City.mmdb",
    "GeoLite2-City.mmdb",
    "dbip-city.mmdb",
    "dbip-city-lite.mmdb",
    "ipinfo_location.mmdb",
];

/// Best first.
const COUNTRIES: &[&str] = &[
    "GeoIP2-Country.mmdb",
    "GeoLite2-Country.mmdb",
    "dbip-country.mmdb",
    "dbip-country-lite.mmdb",
    "ipinfo_lite.mmdb",
    "country.mmdb",
];

/// Best first.
const ASNS: &[&str] =
    &["GeoIP2-ISP.mmdb", "GeoLite2-ASN.mmdb", "dbip-asn.mmdb", "dbip-asn-lite.mmdb", "asn.mmdb"];

/// Debian's package tor-geoipdb.
const TEXT: &str = "usr/share/tor/geoip";

/// A larger file is no database that this machine should hold in memory.
const FILE_MAX: u64 = 4 << 30;

/// Networks in one database at most: several times what the whole world is divided into.
const NETWORKS_MAX: u64 = 64_000_000;

/// Several times what the deepest record takes that `maxminddb` goes into (512 levels), without optimization. Only
/// what is used of it is ever backed by memory.
const STACK: usize = 64 << 20;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
