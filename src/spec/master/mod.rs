//! A zone file in master format (RFC 1035 section 5), as written.
//!
//! ```text
//!   text --token--> words --entry--> directives, owner, TTL, class, type
//!                                      |  `- $INCLUDE, $GENERATE: more text
//!                                      `--rdata--> fields of the type (types) --> arena
//! ```
//!
//! Made for a million records: all owners and RDATA lie in one arena, a record is a few numbers, and
//! reading one allocates nothing.

mod entry;
mod generate;
mod location;
mod name;
mod parameters;
mod rdata;
mod seconds;
mod token;
mod types;
mod wire;

use crate::model::Name;
use crate::spec::diagnostic::Place;
use crate::spec::{Diagnostic, Include, Source};
use entry::Reader;
use token::{Fault, Token};

/// A zone file, read: its records in the order in which they were written.
#[derive(Clone, Debug)]
pub struct ZoneFile {
    /// The files it was read from: the zone file first, then what it includes.
    pub sources: Vec<Source>,
    /// From the file's name; `$ORIGIN` inside may differ.
    pub origin: Name,
    arena: Vec<u8>,
    records: Vec<Slot>,
}

/// Where a record lies in the arena.
#[derive(Clone, Copy, Debug)]
struct Slot {
    owner: u32,
    rdata: u32,
    rdata_len: u16,
    owner_len: u8,
    source: u8,
    rtype: u16,
    ttl: u32,
    line: u32,
}

/// One record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'z> {
    /// Absolute, uncompressed wire form, in lower case (RFC 4343; RFC 4034 section 6.2).
    pub owner: &'z [u8],
    /// Its type.
    pub rtype: u16,
    /// Seconds.
    pub ttl: u32,
    /// Uncompressed wire form; names in it keep the case they were written in.
    pub rdata: &'z [u8],
    /// Which of [`ZoneFile::sources`].
    pub source: usize,
    /// Line it starts on, from 1.
    pub line: u32,
}

impl ZoneFile {
    /// How many records it has.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// A record by its place, 0..len().
    pub fn record(&self, index: usize) -> Record<'_> {
        let slot = self.records[index];
        let owner = slot.owner as usize;
        let rdata = slot.rdata as usize;
        Record {
            owner: &self.arena[owner..owner + slot.owner_len as usize],
            rtype: slot.rtype,
            ttl: slot.ttl,
            rdata: &self.arena[rdata..rdata + slot.rdata_len as usize],
            source: slot.source as usize,
            line: slot.line,
        }
    }

    /// All records, as written.
    pub fn records(&self) -> impl Iterator<Item = Record<'_>> {
        (0..self.len()).map(|index| self.record(index))
    }

    /// Where a record stands, for a diagnostic. Slow.
    pub fn place(&self, record: &Record<'_>) -> Place {
        let source = &self.sources[record.source];
        let start = source
            .text
            .split_inclusive('\n')
            .take((record.line as usize).saturating_sub(1))
            .map(str::len)
            .sum::<usize>();
        let line = source.text[start..].lines().next().unwrap_or_default();
        Place::new(source, start..start + line.trim_end().len())
    }
}

/// Reads a zone file. Records that could not be read are in the diagnostics; `None` only when the file's
/// name is no domain name.
pub fn parse(source: &Source, include: Include<'_>, diagnostics: &mut Vec<Diagnostic>) -> Option<ZoneFile> {
    match origin_of(&source.file) {
        Ok(origin) => Some(Reader::new(origin, include, diagnostics).read(source)),
        Err(fault) => {
            let message = format!(
                "{}: the name of a zone file is the name of its zone, but {}",
                source.file, fault.message
            );
            let diagnostic = Diagnostic::general("zone-name", message);
            diagnostics.push(diagnostic.hint(fault.hint.unwrap_or_else(|| ORIGIN_HINT.into())));
            None
        }
    }
}

/// The origin that a file's name says, in lower case: `zones/example.org.zone` is `example.org.`. What a
/// file's name cannot hold is written as `%2f`, as in the zones of RFC 2317.
fn origin_of(file: &str) -> Result<Name, Fault> {
    let last = file.rsplit(['/', '\\']).next().unwrap_or(file);
    let stem = last.strip_suffix(".zone").unwrap_or(last);
    let mut text = String::new();
    let mut rest = stem;
    while let Some((before, after)) = rest.split_once('%') {
        let octet = after.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        let octet = octet
            .ok_or_else(|| Token::alone(stem).fault("name", "has a `%` without two hexadecimal digits"))?;
        text.push_str(&format!("{before}\\{octet:03}"));
        rest = &after[2..];
    }
    text.push_str(rest);
    let mut wire = Vec::new();
    name::write(&Token::alone(&text), ROOT, &mut wire)?;
    wire.make_ascii_lowercase();
    Ok(Name::from_octets(wire).expect("what was written is a name"))
}

/// The root, in wire form.
const ROOT: &[u8] = &[0];
const ORIGIN_HINT: &str = "call it as `example.org.zone`, and write `%2f` for a slash";
