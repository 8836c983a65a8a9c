//! A zone file in master format (RFC 1035 section 5), as written.
//!
//! Made for a million records: all owners and RDATA lie in one arena, a record is a few numbers.

use crate::model::Name;
use crate::spec::diagnostic::Place;
use crate::spec::{Diagnostic, Include, Source};

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
    let _ = (source, include, diagnostics);
    todo!()
}
