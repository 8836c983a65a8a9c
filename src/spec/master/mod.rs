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

use domain::base::Rtype;

pub use token::Fault;

use crate::model::Name;
use crate::spec::diagnostic::Place;
use crate::spec::{Diagnostic, Include, Source};
use entry::Reader;
use token::{Token, Tokens};

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

    /// Keeps only some of its records.
    pub fn retain(&mut self, keep: impl Fn(&Record<'_>) -> bool) {
        let kept =
            (0..self.len()).filter(|&index| keep(&self.record(index))).map(|index| self.records[index]);
        self.records = kept.collect();
    }

    /// Adds records that stand in no file: they are shown in this text. Once, as files leave room for one.
    pub fn append(&mut self, others: &ZoneFile, shown_in: Source) {
        let source = self.sources.len() as u8;
        self.sources.push(shown_in);
        for record in others.records() {
            let owner = self.arena.len() as u32;
            self.arena.extend(record.owner);
            let rdata = self.arena.len() as u32;
            self.arena.extend(record.rdata);
            let (rdata_len, owner_len) = (record.rdata.len() as u16, record.owner.len() as u8);
            let Record { rtype, ttl, line, .. } = record;
            self.records.push(Slot { owner, rdata, rdata_len, owner_len, source, rtype, ttl, line });
        }
    }

    /// Where a record stands, for a diagnostic.
    pub fn place(&self, record: &Record<'_>) -> Place {
        let source = &self.sources[record.source];
        let line = source.line(record.line as usize);
        let written = source.text[line.clone()].trim_end().len();
        Place::new(source, line.start..line.start + written)
    }
}

/// The type that a word names: by mnemonic, in any case, or as `TYPE123`. Only types that a zone can hold.
pub fn record_type(word: &str) -> Option<Rtype> {
    types::number(word).filter(|rtype| !types::is_meta(*rtype)).map(Rtype::from_int)
}

/// Reads the data of one record, as it stands in a zone file behind the type: to uncompressed wire form. Names
/// are relative to the root.
pub fn rdata(rtype: Rtype, text: &str) -> Result<Vec<u8>, Fault> {
    let mut tokens = Tokens::new(text);
    let mut octets = Vec::new();
    rdata::read(rtype.to_int(), &mut tokens, ROOT, &mut octets)?;
    match tokens.entry() {
        None => Ok(octets),
        Some(more) => Err(Fault::new("trailing", more.start..text.len(), "there is more than one line")),
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn no_files(_: &str, _: &str) -> Result<Source, String> {
        Err("there are no files".into())
    }

    fn origin(file: &str) -> Option<String> {
        let mut diagnostics = Vec::new();
        let zone = parse(&Source::new(file, ""), &no_files, &mut diagnostics);
        assert_eq!(zone.is_none(), diagnostics.len() == 1);
        zone.map(|zone| zone.origin.to_string())
    }

    #[test]
    fn the_name_of_the_file_is_the_name_of_the_zone() {
        assert_eq!(origin("example.org.zone").as_deref(), Some("example.org"));
        assert_eq!(origin("../zones/Example.ORG.zone").as_deref(), Some("example.org"));
        assert_eq!(origin("0%2f26.2.0.192.in-addr.arpa.zone").as_deref(), Some("0/26.2.0.192.in-addr.arpa"));
        assert_eq!(origin("a%2eb.zone").as_deref(), Some("a\\.b"));
    }

    #[test]
    fn a_file_whose_name_is_no_name_is_no_zone() {
        for file in ["a..b.zone", ".zone", "a%2.zone", "a%zz.zone", "caf\u{e9}.zone", "a b.zone"] {
            assert_eq!(origin(file), None, "{file}");
        }
    }

    #[test]
    fn a_record_knows_its_place() {
        let source =
            Source::new("example.org.zone", "a 5 TXT (\n b )\n\n  \u{e9} 5 A 192.0.2.1\nb 5 A 192.0.2.1\r\n");
        let mut diagnostics = Vec::new();
        let zone = parse(&source, &no_files, &mut diagnostics).expect("a zone");
        let places: Vec<_> = zone
            .records()
            .map(|record| zone.place(&record))
            .map(|place| (place.line, &*place.text == "b 5 A 192.0.2.1", place.width))
            .collect();
        assert_eq!(places, [(1, false, 9), (5, true, 15)]);
        assert_eq!(diagnostics.len(), 1);
    }

    const TRICKY: &str = include_str!("../../../tests/config/zones/tricky.zone");
    const TRICKY_INCLUDED: &str = include_str!("../../../tests/config/zones/tricky.inc");
    /// What `named-checkzone -k ignore -i none -D` of BIND 9.18 makes of it.
    const TRICKY_BY_BIND: &str = include_str!("../../../tests/config/zones/tricky.bind");

    #[test]
    fn a_tricky_zone_means_what_it_means_to_bind() {
        let records = |text: &str| {
            let include = |_: &str, name: &str| Ok(Source::new(name, TRICKY_INCLUDED));
            let mut diagnostics = Vec::new();
            let zone = parse(&Source::new("tricky.zone", text), &include, &mut diagnostics).expect("a zone");
            assert_eq!(diagnostics, []);
            let records = zone
                .records()
                .map(|record| (record.owner.to_vec(), record.rtype, record.ttl, record.rdata.to_vec()));
            records.collect::<std::collections::BTreeSet<_>>()
        };
        let (ours, by_bind) = (records(TRICKY), records(TRICKY_BY_BIND));
        assert_eq!(ours.symmetric_difference(&by_bind).collect::<Vec<_>>(), Vec::<&(_, _, _, _)>::new());
        assert_eq!(ours.len(), 77);
    }

    proptest! {
        #[test]
        fn no_text_is_too_much(text in any::<String>()) {
            parse(&Source::new("a.zone", &text), &no_files, &mut Vec::new());
        }

        #[test]
        fn no_text_that_looks_like_a_zone_is_too_much(
            pieces in proptest::collection::vec(
                prop_oneof![
                    proptest::sample::select(types::shapes()).prop_map(|shape| shape.mnemonic.to_string()),
                    "[ -~]{1,3}", "[0-9]{1,12}",
                    proptest::sample::select(vec![
                        " ", " ", " ", "\t", "\n", "\r\n", "(", ")", "\"", ";", "\\", "\\#", "@", "$", "$TTL 1h\n", "$ORIGIN ",
                        "$INCLUDE ", "$GENERATE 1-9 ", "${", "IN", "CH", "a", "a.b.", "192.0.2.1", "::1", "=", ",", "-",
                        "\u{e9}", "\u{1f600}", "\0", "alpn=\"h2,h3\"", "mandatory=", "N", "E", "1h30m", "\\256", "\\0",
                    ]).prop_map(str::to_string),
                ],
                0..60,
            ),
        ) {
            let text = format!("$TTL 1\na {}", pieces.concat());
            let source = Source::new("a.zone", &text);
            let zone = parse(&source, &no_files, &mut Vec::new()).expect("the file's name is a name");
            for record in zone.records() {
                prop_assert!(Name::from_octets(record.owner.to_vec()).is_ok());
                zone.place(&record);
            }
        }
    }
}
