//! Records of a zone, packed and in order: a million of them are one vector.
//!
//! ```text
//!   octets: owner | type | RDATA length | RDATA | TTL     owner | type | ...
//!   starts: ^                                             ^
//! ```

use std::fmt::Write;

use domain::base::iana::Rtype;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::model::Fingerprint;
use crate::spec::master::{self, ZoneFile};
use crate::spec::{Diagnostic, Source};

/// A record by itself. In order: those of one owner and type are together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Record<'r> {
    /// Uncompressed wire form, in lower case.
    pub owner: &'r [u8],
    /// Its type.
    pub rtype: u16,
    /// Uncompressed wire form.
    pub rdata: &'r [u8],
    /// Seconds.
    pub ttl: u32,
}

/// Any number of records, in order, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Records {
    octets: Vec<u8>,
    starts: Vec<usize>,
}

impl Record<'_> {
    /// As a line of a zone file; its data in the form for any type (RFC 3597), so that it can be read again.
    pub fn line(&self) -> String {
        let Self { owner, rtype, rdata, ttl } = self;
        let rtype = Rtype::from_int(*rtype);
        let mut line = in_full(owner);
        let _ = write!(line, " {ttl} IN {rtype} \\# {}", rdata.len());
        if !rdata.is_empty() {
            line.push(' ');
        }
        for octet in *rdata {
            let _ = write!(line, "{octet:02x}");
        }
        line
    }
}

impl Records {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.starts.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    /// How many octets they take.
    pub fn octets(&self) -> usize {
        self.octets.len()
    }

    /// One by its place in the order.
    pub fn get(&self, index: usize) -> Option<Record<'_>> {
        self.starts.get(index).map(|&start| read(&self.octets[start..]))
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = Record<'_>> {
        self.starts.iter().map(|&start| read(&self.octets[start..]))
    }

    /// Whether this one is among them.
    pub fn contains(&self, record: &Record<'_>) -> bool {
        self.starts.binary_search_by(|&start| read(&self.octets[start..]).cmp(record)).is_ok()
    }

    /// Those that are not among the others.
    #[must_use]
    pub fn without(&self, others: &Records) -> Records {
        let mut others = others.iter().peekable();
        let missing = self.iter().filter(|record| {
            while others.next_if(|other| other < record).is_some() {}
            others.peek() != Some(record)
        });
        missing.collect()
    }

    /// These and others.
    #[must_use]
    pub fn and(&self, others: &Records) -> Records {
        self.iter().chain(others.iter()).collect()
    }

    /// A number that tells these from others.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::new().with(&self.octets)
    }

    /// As lines of a zone file.
    pub fn lines(&self) -> Vec<String> {
        self.iter().map(|record| record.line()).collect()
    }

    /// Reads such lines.
    ///
    /// # Errors
    /// What is wrong with the first line that cannot be read.
    pub fn parse(lines: &str) -> Result<Self, String> {
        let (file, mut wrong) = read_lines(&Source::new("records", lines));
        if !wrong.is_empty() {
            return Err(wrong.swap_remove(0).message);
        }
        Ok(file.iter().flat_map(ZoneFile::records).map(|record| Record::from(&record)).collect())
    }
}

/// A name as zone files have it, whatever is in it.
fn in_full(name: &[u8]) -> String {
    let mut text = String::new();
    let mut rest = name;
    while let Some((&length, after)) = rest.split_first().filter(|(length, _)| **length > 0) {
        let (label, after) = after.split_at_checked(length.into()).unwrap_or((after, &[]));
        for &octet in label {
            match octet {
                plain @ (b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'*') => {
                    text.push(plain.into())
                }
                other => {
                    let _ = write!(text, "\\{other:03}");
                }
            }
        }
        text.push('.');
        rest = after;
    }
    if text.is_empty() { ".".into() } else { text }
}

/// Reads lines that name everything in full.
pub(super) fn read_lines(source: &Source) -> (Option<ZoneFile>, Vec<Diagnostic>) {
    let no_files = |_: &str, _: &str| Err("nothing is included here".to_owned());
    let mut found = Vec::new();
    let file = master::parse(source, &no_files, &mut found);
    (file, found)
}

impl<'r> From<&master::Record<'r>> for Record<'r> {
    fn from(record: &master::Record<'r>) -> Self {
        Self { owner: record.owner, rtype: record.rtype, rdata: record.rdata, ttl: record.ttl }
    }
}

impl<'r> FromIterator<Record<'r>> for Records {
    fn from_iter<I: IntoIterator<Item = Record<'r>>>(records: I) -> Self {
        let mut octets = Vec::new();
        let mut starts = Vec::new();
        for Record { owner, rtype, rdata, ttl } in records {
            starts.push(octets.len());
            octets.push(owner.len() as u8);
            octets.extend(owner);
            octets.extend(rtype.to_be_bytes());
            octets.extend((rdata.len() as u16).to_be_bytes());
            octets.extend(rdata);
            octets.extend(ttl.to_be_bytes());
        }
        if starts.is_sorted_by(|one, other| read(&octets[*one..]) < read(&octets[*other..])) {
            return Self { octets, starts };
        }
        starts.sort_unstable_by(|one, other| read(&octets[*one..]).cmp(&read(&octets[*other..])));
        starts.dedup_by(|one, other| read(&octets[*one..]) == read(&octets[*other..]));
        // In order, so that equal ones are equal octet by octet.
        let in_order = Self { octets, starts };
        in_order.iter().collect()
    }
}

/// The record that `octets`, which were written above, begin with.
fn read(octets: &[u8]) -> Record<'_> {
    let (&owner_length, rest) = octets.split_first().unwrap_or((&0, &[]));
    let (owner, rest) = rest.split_at(usize::from(owner_length));
    let (&[t0, t1, l0, l1], rest) = rest.split_first_chunk().unwrap_or((&[0; 4], &[]));
    let (rdata, rest) = rest.split_at(usize::from(u16::from_be_bytes([l0, l1])));
    let ttl = rest.first_chunk().map_or(0, |ttl| u32::from_be_bytes(*ttl));
    Record { owner, rtype: u16::from_be_bytes([t0, t1]), rdata, ttl }
}

impl Serialize for Records {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.lines().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Records {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let lines = Vec::<String>::deserialize(deserializer)?;
        Records::parse(&lines.join("\n")).map_err(de::Error::custom)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// A record of `NAME.example`, of type TXT, with one octet.
    pub(in crate::primary) fn record(name: &'static str, ttl: u32, octet: u8) -> Records {
        let owner = [&[name.len() as u8], name.as_bytes(), b"\x07example\x00"].concat();
        std::iter::once(Record { owner: &owner, rtype: 16, rdata: &[1, octet], ttl }).collect()
    }

    #[test]
    fn records_are_in_order_and_there_once() {
        let some = record("b", 5, 1).and(&record("a", 5, 2)).and(&record("b", 5, 1)).and(&record("a", 5, 1));
        let seen: Vec<_> = some.iter().map(|record| (record.owner[1], record.rdata[1])).collect();
        assert_eq!(seen, [(b'a', 1), (b'a', 2), (b'b', 1)]);
        assert!(some.contains(&record("a", 5, 2).get(0).expect("one")));
        assert!(!some.contains(&record("a", 6, 2).get(0).expect("one")));
        assert_eq!(some.without(&record("a", 5, 2)).len(), 2);
    }

    #[test]
    fn a_line_can_be_read_again() {
        let odd = Record { owner: b"\x03a.;\x01*\x00", rtype: 65399, rdata: b"", ttl: u32::MAX >> 1 };
        let some: Records = std::iter::once(odd).collect::<Records>().and(&record("a", 5, b'"'));
        assert_eq!(Records::parse(&some.lines().join("\n")), Ok(some));
        assert!(Records::parse("a. IN").is_err());
    }

    proptest! {
        #[test]
        fn what_was_taken_out_and_put_in_again_is_all_of_it(
            one in vec((0u8..4, 0u8..4, 0u32..2), 0..12),
            other in vec((0u8..4, 0u8..4, 0u32..2), 0..12),
        ) {
            let records = |some: &[(u8, u8, u32)]| {
                let owners: Vec<[u8; 3]> = some.iter().map(|(owner, ..)| [1, b'a' + owner, 0]).collect();
                let datas: Vec<[u8; 2]> = some.iter().map(|(_, data, _)| [1, *data]).collect();
                some.iter().zip(&owners).zip(&datas).map(|((&(_, _, ttl), owner), rdata)| {
                    Record { owner, rtype: 16, rdata, ttl }
                }).collect::<Records>()
            };
            let (one, other) = (records(&one), records(&other));
            let (gone, new) = (one.without(&other), other.without(&one));
            prop_assert_eq!(&one.without(&gone).and(&new), &other);
            prop_assert_eq!(one.fingerprint() == other.fingerprint(), one == other);
            prop_assert_eq!(Records::parse(&one.lines().join("\n")), Ok(one));
        }
    }
}
