//! The entries of a master file: directives and records, with what each of them takes from those before.
//!
//! ```text
//!   $TTL 1h                       the TTL of records that have none
//!   $ORIGIN example.org.          what names are relative to
//!   www      300 IN A 192.0.2.1   owner, TTL and class (in any order), type, data
//!                IN A 192.0.2.2   a blank: the last owner
//! ```
//!
//! An entry that is wrong is left out, and reading goes on behind it.

use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use domain::base::iana::Class;

use crate::model::Name;
use crate::spec::diagnostic::Place;
use crate::spec::master::generate::{GENERATED_MAX, Generate};
use crate::spec::master::token::{Entry, Fault, Token, Tokens};
use crate::spec::master::{Slot, ZoneFile, name, rdata, seconds, types};
use crate::spec::{Diagnostic, Include, Source};

/// Reads a zone file and what it includes.
pub struct Reader<'r> {
    include: Include<'r>,
    diagnostics: &'r mut Vec<Diagnostic>,
    /// How many faults were reported.
    faults: usize,
    /// How many records `$GENERATE` was to make.
    generated: usize,
    /// What was read so far.
    zone: ZoneFile,
    /// What names are relative to, in wire form.
    origin: Vec<u8>,
    /// The owner of records that have none of their own.
    owner: Owner,
    ttls: Ttls,
    /// The files that are being read, each of which includes the next: indexes of sources.
    open: Vec<usize>,
}

/// The owner that was written last.
#[derive(Clone, Copy, Debug)]
enum Owner {
    /// There was none.
    None,
    /// It was wrong, and that was said: its records are passed over in silence.
    Wrong,
    /// A range of the arena.
    At { start: usize, length: usize },
}

/// Where TTLs come from when a record has none, best first.
#[derive(Clone, Copy, Debug, Default)]
struct Ttls {
    /// `$TTL` (RFC 2308 section 4).
    default: Option<u32>,
    /// That of the last record that had one (RFC 1035 section 5.1).
    last: Option<u32>,
    /// The last field of the SOA (RFC 1035 section 3.3.13).
    minimum: Option<u32>,
}

/// Where an entry is.
#[derive(Clone, Copy, Debug)]
struct At {
    source: usize,
    line: u32,
}

/// What stands before the data.
struct Head<'t> {
    ttl: Option<u32>,
    rtype: u16,
    /// The word that says the type.
    word: Token<'t>,
}

impl<'r> Reader<'r> {
    /// A reader for the zone of this name.
    pub fn new(origin: Name, include: Include<'r>, diagnostics: &'r mut Vec<Diagnostic>) -> Self {
        Self {
            include,
            diagnostics,
            faults: 0,
            generated: 0,
            origin: origin.as_slice().to_vec(),
            zone: ZoneFile { sources: Vec::new(), origin, arena: Vec::new(), records: Vec::new() },
            owner: Owner::None,
            ttls: Ttls::default(),
            open: Vec::new(),
        }
    }

    /// Reads it all.
    pub fn read(mut self, source: &Source) -> ZoneFile {
        self.file(source.clone());
        self.zone.arena.shrink_to_fit();
        self.zone.records.shrink_to_fit();
        self.zone
    }

    fn file(&mut self, source: Source) {
        let text = Arc::clone(&source.text);
        let index = self.zone.sources.len();
        self.zone.sources.push(source);
        self.open.push(index);
        let mut tokens = Tokens::new(&text);
        while let Some(entry) = tokens.entry() {
            let outcome = self.entry(&mut tokens, entry, index);
            // A parenthesis that is never closed explains whatever else is wrong in its entry.
            if let Some(fault) = tokens.skip().or(outcome.err()) {
                self.report(index, fault);
            }
            if self.faults > FAULTS_MAX {
                break;
            }
        }
        self.open.pop();
    }

    fn report(&mut self, source: usize, fault: Fault) {
        self.faults += 1;
        if self.faults > FAULTS_MAX + 1 {
            return;
        }
        let place = Place::new(&self.zone.sources[source], fault.span);
        self.diagnostics.push(if self.faults > FAULTS_MAX {
            let message = format!("more than {FAULTS_MAX} errors in this zone, the rest of it was not read");
            Diagnostic::error("too-many-errors", place, message)
        } else {
            let diagnostic = Diagnostic::error(fault.code, place, fault.message);
            fault.hint.into_iter().fold(diagnostic, Diagnostic::hint)
        });
    }

    fn entry(&mut self, tokens: &mut Tokens<'_>, entry: Entry, source: usize) -> Result<(), Fault> {
        let at = At { source, line: entry.line };
        if !entry.indented {
            let Some(first) = tokens.next()? else { return Ok(()) };
            if first.raw.starts_with('$') && !first.quoted {
                return self.directive(&first, tokens, at);
            }
            self.own(&first)?;
        }
        self.record(tokens, at)
    }

    /// Makes a name the owner of what follows. Records of one owner that stand together share its octets.
    fn own(&mut self, token: &Token<'_>) -> Result<(), Fault> {
        let arena = &mut self.zone.arena;
        let start = arena.len();
        if let Err(fault) = name::write(token, &self.origin, arena) {
            arena.truncate(start);
            self.owner = Owner::Wrong;
            return Err(fault);
        }
        // Lengths of labels are below 64, where no letter is.
        arena[start..].make_ascii_lowercase();
        match self.owner {
            Owner::At { start: last, length } if arena[last..last + length] == arena[start..] => {
                arena.truncate(start);
            }
            _ => self.owner = Owner::At { start, length: arena.len() - start },
        }
        Ok(())
    }

    fn record(&mut self, tokens: &mut Tokens<'_>, at: At) -> Result<(), Fault> {
        let head = head(tokens)?;
        self.ttls.last = head.ttl.or(self.ttls.last);
        let (owner, owner_length) = match self.owner {
            Owner::At { start, length } => (start, length),
            Owner::Wrong => return Ok(()),
            Owner::None => return Err(no_owner(&head.word)),
        };
        let start = self.zone.arena.len();
        let slot = rdata::read(head.rtype, tokens, &self.origin, &mut self.zone.arena)
            .and_then(|()| self.ttl(&head, start))
            .and_then(|ttl| {
                let end = self.zone.arena.len();
                u32::try_from(end).map_err(|_| too_large(&head.word))?;
                Ok(Slot {
                    owner: owner as u32,
                    rdata: start as u32,
                    rdata_len: (end - start) as u16,
                    owner_len: owner_length as u8,
                    source: at.source as u8,
                    rtype: head.rtype,
                    ttl,
                    line: at.line,
                })
            });
        match slot {
            Ok(slot) => self.zone.records.push(slot),
            Err(_) => self.zone.arena.truncate(start),
        }
        slot.map(drop)
    }

    /// The TTL of a record whose RDATA starts here.
    fn ttl(&mut self, head: &Head<'_>, rdata: usize) -> Result<u32, Fault> {
        if let (types::SOA, None, [.., a, b, c, d]) =
            (head.rtype, self.ttls.minimum, &self.zone.arena[rdata..])
        {
            self.ttls.minimum = Some(u32::from_be_bytes([*a, *b, *c, *d]).min(seconds::TTL_MAX));
        }
        let Ttls { default, last, minimum } = self.ttls;
        head.ttl.or(default).or(last).or(minimum).ok_or_else(|| {
            head.word
                .fault("ttl", "is a record without a TTL, and none was said before")
                .hint("start the file with a line as `$TTL 1h`")
        })
    }

    fn directive(&mut self, word: &Token<'_>, tokens: &mut Tokens<'_>, at: At) -> Result<(), Fault> {
        if word.is("$TTL") {
            self.ttls.default = Some(seconds::ttl(&tokens.expect("TTL")?)?);
            tokens.end()
        } else if word.is("$ORIGIN") {
            let mut origin = Vec::new();
            name::write(&tokens.expect("origin")?, &self.origin, &mut origin)?;
            self.origin = origin;
            tokens.end()
        } else if word.is("$INCLUDE") {
            self.included(tokens, at)
        } else if word.is("$GENERATE") {
            self.generated(word, tokens, at)
        } else {
            Err(word.fault("directive", "is not a directive").hint(
                "directives are $ORIGIN, $TTL, $INCLUDE and $GENERATE; an owner is written as `\\$...`",
            ))
        }
    }

    /// Reads another file in this place; what names are relative to and the last owner are then as before.
    fn included(&mut self, tokens: &mut Tokens<'_>, at: At) -> Result<(), Fault> {
        let file = tokens.expect("name of a file")?;
        let mut origin = self.origin.clone();
        if let Some(token) = tokens.next()? {
            origin.clear();
            name::write(&token, &self.origin, &mut origin)?;
        }
        tokens.end()?;
        let source = self.fetch(&file, at)?;
        let before = (std::mem::replace(&mut self.origin, origin), self.owner);
        self.file(source);
        (self.origin, self.owner) = before;
        Ok(())
    }

    fn fetch(&self, file: &Token<'_>, at: At) -> Result<Source, Fault> {
        let includes = &self.zone.sources[at.source].file;
        let fault = |what: &str| file.fault("include", what);
        if self.open.len() > INCLUDE_DEPTH_MAX {
            return Err(fault(&format!("is included through more than {INCLUDE_DEPTH_MAX} files")));
        }
        if self.zone.sources.len() == SOURCES_MAX {
            return Err(fault(&format!("is one file more than the {SOURCES_MAX} that a zone can have")));
        }
        let mut name = Vec::new();
        file.unescape(&mut name)?;
        let name = String::from_utf8(name).map_err(|_| fault("is no name of a file"))?;
        let source =
            (self.include)(includes, &name).map_err(|why| fault(&format!("cannot be included: {why}")))?;
        match self.open.iter().find(|&&open| self.zone.sources[open].file == source.file) {
            Some(_) => Err(fault("is included by itself")),
            None => Ok(source),
        }
    }

    fn generated(&mut self, word: &Token<'_>, tokens: &mut Tokens<'_>, at: At) -> Result<(), Fault> {
        let generate = Generate::read(tokens)?;
        self.generated += generate.len();
        if self.generated > GENERATED_MAX {
            let what = format!("makes more than {GENERATED_MAX} records together with those before it");
            return Err(word.fault("generate", &what).hint("write a zone file of this size with a program"));
        }
        let before = self.owner;
        let outcome = generate.lines().try_for_each(|line| {
            let line = line.map_err(|why| Fault::new("generate", word.span(), why))?;
            let mut made = Tokens::new(&line);
            let owner = made.expect("owner")?;
            let outcome = self.own(&owner).and_then(|()| self.record(&mut made, at));
            outcome.map_err(|fault| Fault {
                span: word.span(),
                message: format!("in `{line}`, made by this directive: {}", fault.message),
                ..fault
            })
        });
        self.owner = before;
        outcome
    }
}

/// Reads what stands before the data: TTL and class, in either order or not at all, and the type.
fn head<'t>(tokens: &mut Tokens<'t>) -> Result<Head<'t>, Fault> {
    let mut ttl = None;
    let mut class = None;
    loop {
        let word = tokens.expect("type of the record")?;
        if class.is_none() && word.is("IN") {
            class = Some(word);
        } else if ttl.is_none() && word.raw.starts_with(|first: char| first.is_ascii_digit()) {
            ttl = Some(seconds::ttl(&word).map_err(|fault| untyped_address(&word).unwrap_or(fault))?);
        } else if let Some(rtype) = types::number(word.raw).filter(|_| !word.quoted) {
            if types::is_meta(rtype) {
                return Err(word.fault("type", "is a type that no zone can hold"));
            }
            return Ok(Head { ttl, rtype, word });
        } else {
            match Class::from_str(word.raw) {
                Ok(Class::IN) if class.is_none() => class = Some(word),
                Ok(_) => return Err(word.fault("class", "is a class that is not served").hint("write `IN`")),
                Err(_) => return Err(untyped_address(&word).unwrap_or_else(|| no_type(&word))),
            }
        }
    }
}

fn no_type(word: &Token<'_>) -> Fault {
    let fault = word.fault("type", "is not a record type");
    let known = types::shapes().iter().map(|shape| shape.mnemonic);
    match crate::spec::did_you_mean(word.raw, known) {
        Some(meant) => fault.hint(format!("did you mean `{meant}`?")),
        None => {
            fault.hint("a record is `owner TTL class type data`; the owner is left out only after a blank")
        }
    }
}

/// An address that stands where a type should be.
fn untyped_address(word: &Token<'_>) -> Option<Fault> {
    let rtype = if word.raw.parse::<IpAddr>().ok()?.is_ipv4() { "A" } else { "AAAA" };
    let fault = word.fault("type", "stands where a type should be");
    Some(fault.hint(format!("write `{rtype} {}`", word.raw)))
}

fn no_owner(word: &Token<'_>) -> Fault {
    word.fault("owner", "is a record without an owner, and none was said before")
        .hint("an owner stands at the start of a line; `@` is the origin")
}

fn too_large(word: &Token<'_>) -> Fault {
    word.fault("too-large", "is a record more than a zone can hold: its data is above 4 GiB")
}

/// After so many errors in one zone reading ends: the file is of another kind.
const FAULTS_MAX: usize = 100;
/// Files may include one another to this depth; deeper is an error.
const INCLUDE_DEPTH_MAX: usize = 10;
/// A zone is read from at most so many files, as a record has one octet for its file, and updates are one more.
const SOURCES_MAX: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::master::{Record, parse};

    /// Files by name, for `$INCLUDE`.
    type Files<'f> = &'f [(&'f str, &'f str)];

    fn read_with(text: &str, files: Files<'_>) -> (ZoneFile, Vec<Diagnostic>) {
        let include = |_: &str, name: &str| {
            let found = files.iter().find(|(file, _)| *file == name);
            found
                .map(|(file, text)| Source::new(file, text))
                .ok_or_else(|| "there is no such file".to_string())
        };
        let mut diagnostics = Vec::new();
        let zone = parse(&Source::new("zones/example.org.zone", text), &include, &mut diagnostics);
        (zone.expect("the file's name is a name"), diagnostics)
    }

    fn read(text: &str) -> (ZoneFile, Vec<Diagnostic>) {
        read_with(text, &[])
    }

    fn good(text: &str) -> ZoneFile {
        let (zone, diagnostics) = read(text);
        assert_eq!(diagnostics, [], "{text}");
        zone
    }

    /// Code, line, column and width of each diagnostic.
    fn faults(text: &str) -> Vec<(&'static str, usize, usize, usize)> {
        let place = |diagnostic: Diagnostic| {
            let place = diagnostic.place.expect("a fault of a zone file has a place");
            (diagnostic.code, place.line, place.column, place.width)
        };
        read(text).1.into_iter().map(place).collect()
    }

    fn show(record: Record<'_>) -> String {
        let owner = Name::from_octets(record.owner.to_vec()).expect("an owner is a name");
        format!(
            "{owner}. {} {} {:?} line {}",
            record.ttl,
            types::name(record.rtype),
            record.rdata,
            record.line
        )
    }

    fn shown(text: &str) -> Vec<String> {
        good(text).records().map(show).collect()
    }

    fn ttls(text: &str) -> Vec<u32> {
        good(text).records().map(|record| record.ttl).collect()
    }

    fn owners(text: &str) -> Vec<String> {
        good(text)
            .records()
            .map(|record| Name::from_octets(record.owner.to_vec()).expect("an owner is a name").to_string())
            .collect()
    }

    #[test]
    fn ttl_and_class_stand_in_any_order_or_not_at_all() {
        let records =
            shown("$TTL 9\na 5 IN A 192.0.2.1\na IN 5 A 192.0.2.1\na CLASS1 A 192.0.2.1\na a 192.0.2.1\n");
        let expected =
            ["5 A [192, 0, 2, 1] line 2", "5 A [192, 0, 2, 1] line 3", "9 A [192, 0, 2, 1] line 4"];
        for (record, expected) in records.iter().zip(expected) {
            assert_eq!(*record, format!("a.example.org. {expected}"));
        }
        assert_eq!(records.len(), 4);
    }

    #[test]
    fn owners_are_in_lower_case_and_a_blank_repeats_the_last() {
        assert_eq!(
            owners(
                "WWW 5 A 192.0.2.1\n  A 192.0.2.2\n@ A 192.0.2.3\n$ORIGIN Sub\nx A 192.0.2.4\n. A 192.0.2.5\n"
            ),
            ["www.example.org", "www.example.org", "example.org", "x.sub.example.org", "."]
        );
    }

    #[test]
    fn records_of_one_owner_share_its_octets() {
        let zone = good("a 5 A 192.0.2.1\nA A 192.0.2.2\n  A 192.0.2.3\nb A 192.0.2.4\n");
        assert_eq!(zone.arena.len(), 2 * b"\x01a\x07example\x03org\0".len() + 4 * 4);
    }

    #[test]
    fn names_in_data_keep_their_case() {
        assert_eq!(good("a 5 NS Ns.Example.\n").record(0).rdata, b"\x02Ns\x07Example\0");
    }

    #[test]
    fn a_record_without_a_ttl_takes_the_best_there_is() {
        const SOA: &str = "SOA a b 1 2 3 4 1h\n";
        assert_eq!(ttls(&format!("@ {SOA} A 192.0.2.1\n")), [3600, 3600]);
        assert_eq!(ttls(&format!("@ 7 {SOA} A 192.0.2.1\n")), [7, 7]);
        assert_eq!(ttls(&format!("$TTL 1m\n@ 7 {SOA} A 192.0.2.1\n")), [7, 60]);
        assert_eq!(ttls("a 7 A 192.0.2.1\n 8 A 192.0.2.2\n A 192.0.2.3\n"), [7, 8, 8]);
    }

    #[test]
    fn a_record_without_any_ttl_is_an_error() {
        assert_eq!(faults("a A 192.0.2.1\n"), [("ttl", 1, 3, 1)]);
        assert_eq!(faults("$TTL 2147483648\n")[0], ("ttl", 1, 6, 10));
    }

    #[test]
    fn an_entry_goes_on_inside_parentheses() {
        let zone = good("@ 5 ( SOA\n ns ; comment\n admin.x\n)( 1 2h\n 3 4 5 )\nb 5 A 192.0.2.1");
        assert_eq!(zone.len(), 2);
        assert_eq!(zone.record(1).line, 6);
        assert_eq!(zone.record(0).rdata[zone.record(0).rdata.len() - 16..][..4], [0, 0, 0x1c, 0x20]);
    }

    #[test]
    fn every_error_of_a_file_is_found() {
        assert_eq!(
            faults(
                "$TTL 1h\n\
                 a A 192.0.2\n\
                 b A 192.0.2.1 x\n\
                 c MX 10\n\
                 d CH A 192.0.2.1\n\
                 e AXFR x\n\
                 f TXT \"a\n\
                 g..h A 192.0.2.1\n\
                 \x20A not looked at, as its owner is wrong\n\
                 i 192.0.2.1\n\
                 j A 192.0.2.1 )\n\
                 $NOPE\n\
                 k A\n"
            ),
            [
                ("address", 2, 5, 7),
                ("trailing", 3, 15, 1),
                ("missing", 4, 6, 2),
                ("class", 5, 3, 2),
                ("type", 6, 3, 4),
                ("quote", 7, 7, 2),
                ("name", 8, 1, 4),
                ("type", 10, 3, 9),
                ("parenthesis", 11, 15, 1),
                ("directive", 12, 1, 5),
                ("missing", 13, 3, 1),
            ]
        );
    }

    #[test]
    fn a_slip_in_a_type_has_a_hint() {
        let hint = |text: &str| read(text).1.remove(0).hint.expect("a hint");
        assert_eq!(hint("a 5 CNMAE b\n"), "did you mean `CNAME`?");
        assert_eq!(hint("a 5 192.0.2.1\n"), "write `A 192.0.2.1`");
        assert!(hint("a 5 NONSENSE b\n").contains("after a blank"));
    }

    #[test]
    fn a_wrong_entry_is_left_out_and_its_lines_are_passed_over() {
        let (zone, diagnostics) =
            read("a 5 TXT ( \"x\n \"b\" )\nb 5 A 192.0.2.1\n A 192.0.2.x\n A 192.0.2.3\n");
        assert_eq!(diagnostics.len(), 2);
        assert_eq!(zone.records().map(|record| record.line).collect::<Vec<_>>(), [3, 5]);
        assert_eq!(zone.record(1).rdata, [192, 0, 2, 3]);
    }

    #[test]
    fn an_unclosed_parenthesis_is_one_error_where_it_was_opened() {
        assert_eq!(faults("a 5 MX ( 10 b\nc 5 A 192.0.2.1\n"), [("unclosed-parenthesis", 1, 8, 1)]);
        assert_eq!(faults("a 5 MX ( 10 b"), [("unclosed-parenthesis", 1, 8, 1)]);
    }

    #[test]
    fn a_first_record_without_an_owner_is_an_error() {
        assert_eq!(faults(" 5 A 192.0.2.1\n"), [("owner", 1, 4, 1)]);
    }

    #[test]
    fn reading_ends_after_too_many_errors() {
        let (_, diagnostics) = read(&"a..b 5 A 192.0.2.1\n".repeat(1000));
        assert_eq!(diagnostics.len(), FAULTS_MAX + 1);
        assert_eq!(diagnostics[FAULTS_MAX].code, "too-many-errors");
        let (_, diagnostics) = read(&"a..b 5 A 192.0.2.1\n".repeat(FAULTS_MAX));
        assert_eq!(diagnostics.len(), FAULTS_MAX);
    }

    #[test]
    fn lines_may_end_as_on_windows_and_start_with_a_byte_order_mark() {
        assert_eq!(owners("\u{feff}a 5 A 192.0.2.1\r\n\r\n  A 192.0.2.2\r\n"), ["a.example.org"; 2]);
    }

    #[test]
    fn an_included_file_has_an_origin_of_its_own_and_leaves_that_of_the_includer() {
        let text = "a 5 A 192.0.2.1\n$INCLUDE sub.inc sub\n A 192.0.2.2\nb A 192.0.2.3\n$INCLUDE sub.inc\n";
        let (zone, diagnostics) = read_with(text, &[("sub.inc", "$ORIGIN x\nc 7 A 192.0.2.4\n")]);
        assert_eq!(diagnostics, []);
        let records: Vec<_> =
            zone.records().map(|record| (show(record), &*zone.sources[record.source].file)).collect();
        assert_eq!(
            records,
            [
                ("a.example.org. 5 A [192, 0, 2, 1] line 1".into(), "zones/example.org.zone"),
                ("c.x.sub.example.org. 7 A [192, 0, 2, 4] line 2".into(), "sub.inc"),
                ("a.example.org. 7 A [192, 0, 2, 2] line 3".into(), "zones/example.org.zone"),
                ("b.example.org. 7 A [192, 0, 2, 3] line 4".into(), "zones/example.org.zone"),
                ("c.x.example.org. 7 A [192, 0, 2, 4] line 2".into(), "sub.inc"),
            ]
        );
        assert_eq!(zone.sources.len(), 3);
        assert_eq!(zone.place(&zone.record(1)).line, 2);
    }

    #[test]
    fn errors_of_an_included_file_are_shown_in_it() {
        let (_, diagnostics) = read_with("$INCLUDE a\n$INCLUDE b\n", &[("a", "\nx 5 A y\n")]);
        let places: Vec<_> = diagnostics.iter().map(|d| d.place.as_ref().expect("a place")).collect();
        assert_eq!((&*places[0].file, places[0].line), ("a", 2));
        assert_eq!((&*places[1].file, places[1].line, places[1].column), ("zones/example.org.zone", 2, 10));
    }

    #[test]
    fn includes_have_an_end() {
        let (_, diagnostics) = read_with("$INCLUDE a\n", &[("a", "$INCLUDE b\n"), ("b", "$INCLUDE a\n")]);
        assert_eq!(diagnostics.len(), 1);
        assert!(diagnostics[0].message.contains("included by itself"));

        let names: Vec<(String, String)> =
            (0..20).map(|n| (n.to_string(), format!("$INCLUDE {}\n", n + 1))).collect();
        let files: Vec<(&str, &str)> = names.iter().map(|(name, text)| (&**name, &**text)).collect();
        let (zone, diagnostics) = read_with("$INCLUDE 0\n", &files);
        assert_eq!((diagnostics.len(), zone.sources.len()), (1, INCLUDE_DEPTH_MAX + 1));

        let (zone, diagnostics) = read_with(&"$INCLUDE a\n".repeat(SOURCES_MAX), &[("a", "")]);
        assert_eq!((diagnostics.len(), zone.sources.len()), (1, SOURCES_MAX));
    }

    #[test]
    fn generated_records_stand_in_the_line_of_their_directive() {
        let zone = good("a 5 A 192.0.2.1\n$GENERATE 1-2 h$ 6 IN CNAME t$\n A 192.0.2.2\n");
        let records: Vec<_> = zone.records().map(|record| (record.line, record.ttl, record.owner)).collect();
        assert_eq!(
            records,
            [
                (1, 5, &b"\x01a\x07example\x03org\0"[..]),
                (2, 6, b"\x02h1\x07example\x03org\0"),
                (2, 6, b"\x02h2\x07example\x03org\0"),
                (3, 6, b"\x01a\x07example\x03org\0"),
            ]
        );
    }

    #[test]
    fn what_is_wrong_with_a_generated_record_is_said_once() {
        let (zone, diagnostics) = read("$TTL 1h\n$GENERATE 250-300 h$ A 192.0.2.$\n");
        assert_eq!(zone.len(), 6);
        assert_eq!(diagnostics.len(), 1);
        assert!(diagnostics[0].message.contains("`h256 A 192.0.2.256`"), "{}", diagnostics[0].message);
        assert_eq!(diagnostics[0].place.as_ref().map(|place| place.line), Some(2));
    }

    #[test]
    fn all_directives_together_make_a_bounded_number_of_records() {
        let directive = "$GENERATE 1-65000 h$ 60 A nowhere\n"; // its first record ends it
        let (_, diagnostics) = read(&directive.repeat(GENERATED_MAX / 65_000 + 2));
        let last_two = &diagnostics[diagnostics.len() - 2..];
        assert!(last_two.iter().all(|found| found.message.contains("makes more than")), "{last_two:#?}");
        assert!(!diagnostics[diagnostics.len() - 3].message.contains("makes more than"));
    }
}
