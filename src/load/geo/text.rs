//! Text ranges: the form of Debian's package tor-geoipdb, made from IPFire's location database.
//!
//! ```text
//!   # comment
//!   16777216,16777471,AU                                 IPv4: numbers, or with dots
//!   2001:200::,2001:200:ffff:ffff:ffff:ffff:ffff:ffff,JP IPv6
//! ```

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::str;
use std::time::SystemTime;

use foldhash::fast::FixedState;

use super::{Database, NETWORKS_MAX, Unusable};
use crate::geo::facts::Record;
use crate::geo::{Country, Facts, FactsBuilder, hubs};

/// All ranges of files that belong together.
pub(super) fn read(parts: &[(PathBuf, Vec<u8>)]) -> Result<(Database, Facts), Unusable> {
    let mut builder = FactsBuilder::default();
    let mut networks = 0;
    for (path, bytes) in parts {
        networks += add(bytes, &mut builder).map_err(|why| Unusable::new(path, why))?;
    }
    let facts = builder.finish();
    let database = Database {
        path: parts.first().map(|(path, _)| path.clone()).unwrap_or_default(),
        kind: "text ranges".into(),
        built: parts.iter().filter_map(|(path, bytes)| date(bytes).or_else(|| written(path))).min(),
        bytes: parts.iter().map(|(_, bytes)| bytes.len() as u64).sum(),
        networks,
        knows: facts.knows(),
    };
    Ok((database, facts))
}

/// Adds the ranges of one file, and says how many they are.
fn add(bytes: &[u8], builder: &mut FactsBuilder) -> Result<u64, String> {
    let mut ranges = 0;
    // Hundreds of thousands of ranges are in a few hundred countries.
    let mut records: HashMap<Country, Option<u32>, FixedState> = HashMap::default();
    for (number, line) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
        // If not even the first is a range, it is a file of another form.
        let wrong =
            |why: &str| if ranges == 0 { NO_DATABASE.into() } else { format!("line {number}: {why}") };
        let line = str::from_utf8(line).map_err(|_| wrong("it is no text"))?.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if ranges == NETWORKS_MAX {
            return Err(wrong("there are too many ranges"));
        }
        let (first, last, country) = range(line).ok_or_else(|| wrong(NO_RANGE))?;
        let record =
            country.and_then(|country| *records.entry(country).or_insert_with(|| record(country, builder)));
        match (first, last, record) {
            (IpAddr::V4(first), IpAddr::V4(last), Some(record)) => builder.add_v4(first, last, record),
            (IpAddr::V6(first), IpAddr::V6(last), Some(record)) => builder.add_v6(first, last, record),
            _ => {}
        }
        ranges += 1;
    }
    if ranges > 0 { Ok(ranges) } else { Err(NO_DATABASE.into()) }
}

/// The number of a country's record, unless there is no such country.
fn record(country: Country, builder: &mut FactsBuilder) -> Option<u32> {
    hubs::of(country).map(|_| builder.record(Record { country: Some(country), ..Record::default() }))
}

/// First, last and country; of `??` and the like no country, for nobody knows.
fn range(line: &str) -> Option<(IpAddr, IpAddr, Option<Country>)> {
    let mut fields = line.split(',').map(str::trim);
    let (first, last, code) = (fields.next()?, fields.next()?, fields.next()?);
    let (first, last) = (address(first)?, address(last)?);
    let is_one = fields.next().is_none() && first.is_ipv4() == last.is_ipv4() && first <= last;
    is_one.then(|| (first, last, code.parse().ok()))
}

fn address(text: &str) -> Option<IpAddr> {
    match text.parse::<u32>() {
        Ok(number) => Some(Ipv4Addr::from_bits(number).into()),
        Err(_) => text.parse().ok(),
    }
}

/// When the file says that it was made: `# Generated: Thu, 25 Jun 2026 04:33:59 GMT`, in the comments it begins with.
fn date(bytes: &[u8]) -> Option<SystemTime> {
    let comments = bytes.split(|byte| *byte == b'\n').take_while(|line| line.starts_with(b"#"));
    let dated = comments.filter_map(|line| line.strip_prefix(b"# Generated: "));
    dated.filter_map(|date| httpdate::parse_http_date(str::from_utf8(date).ok()?.trim()).ok()).next()
}

/// When it was written to disk.
fn written(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|meta| meta.modified()).ok()
}

const NO_DATABASE: &str = "it is neither an .mmdb file nor ranges in text, one a line: FIRST,LAST,COUNTRY; \
    or it is cut off: download it again";

const NO_RANGE: &str = "no range: expected FIRST,LAST,COUNTRY, as 16777216,16777471,AU";
