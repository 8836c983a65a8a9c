//! Text ranges: the form of Debian's package tor-geoipdb, made from IPFire's location database.
//!
//! ```text
//!   # comment
//!   16777216,16777471,AU                                 IPv4: numbers, or with dots
//!   2001:200::,2001:200:ffff:ffff:ffff:ffff:ffff:ffff,JP IPv6
//! ```

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::str;
use std::time::SystemTime;

use super::{Database, NETWORKS_MAX, Unusable};
use crate::geo::facts::Record;
use crate::geo::{Country, Facts, FactsBuilder};

/// All ranges of files that belong together.
pub(super) fn read(parts: &[(PathBuf, Vec<u8>)]) -> Result<(Database, Facts), Unusable> {
    let mut builder = FactsBuilder::default();
    let mut networks = 0;
    for (path, bytes) in parts {
        for (number, line) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
            // Of an .mmdb file that is cut off the first line is none.
            let before_any = networks == 0;
            let wrong = |why: &str| match before_any {
                true => Unusable::new(path, NO_DATABASE),
                false => Unusable::new(path, format!("line {number}: {why}")),
            };
            let line = str::from_utf8(line).map_err(|_| wrong("it is no text"))?.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            networks += 1;
            if networks > NETWORKS_MAX {
                return Err(wrong("there are too many ranges"));
            }
            let (first, last, code) = range(line).ok_or_else(|| wrong(NO_RANGE))?;
            // `??` and the like: nobody knows
            if let Ok(country) = code.parse::<Country>() {
                let record = builder.record(Record { country: Some(country), ..Record::default() });
                match (first, last) {
                    (IpAddr::V4(first), IpAddr::V4(last)) => builder.add_v4(first, last, record),
                    (IpAddr::V6(first), IpAddr::V6(last)) => builder.add_v6(first, last, record),
                    _ => return Err(wrong(NO_RANGE)),
                }
            }
        }
    }
    let Some((path, _)) = parts.first().filter(|_| networks > 0) else {
        let path = parts.first().map(|(path, _)| path.as_path()).unwrap_or(Path::new(""));
        return Err(Unusable::new(path, NO_DATABASE));
    };
    let facts = builder.finish();
    let database = Database {
        path: path.clone(),
        kind: "text ranges".into(),
        built: parts.iter().filter_map(|(path, bytes)| date(bytes).or_else(|| written(path))).min(),
        bytes: parts.iter().map(|(_, bytes)| bytes.len() as u64).sum(),
        networks,
        knows: facts.knows(),
    };
    Ok((database, facts))
}

fn range(line: &str) -> Option<(IpAddr, IpAddr, &str)> {
    let mut fields = line.split(',').map(str::trim);
    let (first, last, code) = (fields.next()?, fields.next()?, fields.next()?);
    let (first, last) = (address(first)?, address(last)?);
    (fields.next().is_none() && first <= last).then_some((first, last, code))
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

const NO_DATABASE: &str =
    "it is neither an .mmdb file (or is cut off) nor ranges in text, one a line: FIRST,LAST,COUNTRY";

const NO_RANGE: &str = "no range: expected FIRST,LAST,COUNTRY, as 16777216,16777471,AU";
