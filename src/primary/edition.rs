//! The editions of a zone: each has a serial, and how it came from the one before is remembered for a while.
//!
//! ```text
//!   11 --Change--> 12 --Change--> 15 = what is served      since(12): 12 -> 15      since(9): all of it
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use domain::base::iana::Rtype;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::model::Fingerprint;
use crate::primary::records::{Record, Records};
use crate::primary::serial;

/// What a zone holds at a time, before it has a number.
#[derive(Clone, Debug)]
pub struct Content {
    /// Its SOA record, with the serial of the zone file.
    pub soa: Soa,
    /// All other records, but for those of signatures.
    pub records: Records,
    /// How it is signed, if it is ([`crate::dnssec::ZoneKeys::signed_as`]).
    pub signed: Option<Fingerprint>,
}

/// The SOA record of a zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Soa {
    /// Seconds.
    pub ttl: u32,
    /// Uncompressed wire form.
    pub rdata: Vec<u8>,
}

/// How an edition came from the one before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The SOA record before.
    pub from: Soa,
    /// The SOA record after.
    pub to: Soa,
    /// What is gone, the SOA record aside.
    pub removed: Records,
    /// What is new, the SOA record aside.
    pub added: Records,
}

/// A zone as others may have it.
#[derive(Clone, Debug)]
pub struct Edition {
    /// Its SOA record, with the serial of the edition.
    pub soa: Soa,
    /// All other records.
    pub records: Arc<Records>,
    /// The latest changes, oldest first: each begins where the one before ends.
    pub history: VecDeque<Arc<Change>>,
    /// How it is signed, if it is: what differs here has other signatures, and nothing that was changed tells of them.
    pub signed: Option<Fingerprint>,
}

/// The editions of zones, by their apexes in lower case, wire form.
#[derive(Clone, Debug, Default)]
pub struct Editions(BTreeMap<Box<[u8]>, Arc<Edition>>);

/// What somebody lacks who has an edition.
#[derive(Debug)]
pub enum Since<'e> {
    /// Nothing: it is the current one, or a later one.
    Nothing,
    /// These changes, oldest first.
    Changes(Vec<&'e Arc<Change>>),
    /// It is too long ago, or never was.
    Everything,
}

impl Content {
    /// A number that tells it from others, the SOA record aside.
    pub fn fingerprint(&self) -> Fingerprint {
        fingerprint(&self.records, self.signed)
    }
}

impl Soa {
    /// Its serial.
    pub fn serial(&self) -> u32 {
        let serial = self.rdata.len().checked_sub(SERIAL_FROM_END).and_then(|at| self.rdata.get(at..at + 4));
        serial.and_then(|octets| octets.first_chunk()).map_or(0, |octets| u32::from_be_bytes(*octets))
    }

    /// How long a proof that something is not there holds, in seconds (RFC 9077 section 3).
    pub fn negative_ttl(&self) -> u32 {
        self.rdata.last_chunk().map_or(0, |minimum| u32::from_be_bytes(*minimum)).min(self.ttl)
    }

    /// The same with another serial.
    #[must_use]
    pub fn with_serial(&self, serial: u32) -> Self {
        let mut soa = self.clone();
        if let Some(at) = soa.rdata.len().checked_sub(SERIAL_FROM_END) {
            soa.rdata[at..at + 4].copy_from_slice(&serial.to_be_bytes());
        }
        soa
    }
}

/// As a line of a zone file, of the root: of whose zone it is is said elsewhere.
impl Serialize for Soa {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Record { owner: ROOT, rtype: SOA, rdata: &self.rdata, ttl: self.ttl }.line().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Soa {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let records = Records::parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)?;
        let soa = records.get(0).filter(|record| record.rtype == SOA);
        let soa = soa.ok_or_else(|| de::Error::custom("it is no SOA record"))?;
        Ok(Self { ttl: soa.ttl, rdata: soa.rdata.to_vec() })
    }
}

impl Change {
    fn octets(&self) -> usize {
        self.removed.octets() + self.added.octets() + self.from.rdata.len() + self.to.rdata.len()
    }
}

impl Edition {
    /// The first one that is known of: its serial is that of the zone file, or after `last`, which others may have.
    pub fn first(content: Content, last: Option<u32>) -> Self {
        let Content { soa, records, signed } = content;
        let serial = last.map_or(soa.serial(), |last| serial::next(soa.serial(), last));
        let (soa, records) = (soa.with_serial(serial), Arc::new(records));
        Self { soa, records, history: VecDeque::new(), signed }
    }

    /// The one after it, of which `history_max` changes are remembered; `None`: nothing changed. A serial of the zone
    /// file that is newer counts.
    pub fn next(&self, content: Content, history_max: usize) -> Option<Self> {
        let Content { soa, records, signed } = content;
        let same =
            *self.records == records && self.soa == soa.with_serial(self.serial()) && self.signed == signed;
        if same && !serial::is_newer(soa.serial(), self.serial()) {
            return None;
        }
        let to = soa.with_serial(serial::next(soa.serial(), self.serial()));
        // Signatures come and go with every change, and nobody counts them.
        let history = if self.signed.or(signed).is_none() {
            let (removed, added) = (self.records.without(&records), records.without(&self.records));
            let change = Change { from: self.soa.clone(), to: to.clone(), removed, added };
            self.history.iter().cloned().chain([Arc::new(change)]).collect()
        } else {
            VecDeque::new()
        };
        let mut next = Self { soa: to, records: Arc::new(records), history, signed };
        next.forget(history_max);
        Some(next)
    }

    /// A number that tells what it holds from what others hold.
    pub fn fingerprint(&self) -> Fingerprint {
        fingerprint(&self.records, self.signed)
    }

    /// Its serial.
    pub fn serial(&self) -> u32 {
        self.soa.serial()
    }

    /// What somebody lacks who has the edition of this serial.
    pub fn since(&self, serial: u32) -> Since<'_> {
        if !serial::is_newer(self.serial(), serial) {
            return Since::Nothing;
        }
        let known = self.history.iter().position(|change| change.from.serial() == serial);
        known.map_or(Since::Everything, |at| Since::Changes(self.history.iter().skip(at).collect()))
    }

    /// Changes that take more than the zone itself are of no use to anybody.
    fn forget(&mut self, history_max: usize) {
        let octets_max = self.records.octets().max(HISTORY_OCTETS_MIN);
        let mut octets: usize = self.history.iter().map(|change| change.octets()).sum();
        while self.history.len() > history_max || octets > octets_max {
            let Some(oldest) = self.history.pop_front() else { break };
            octets -= oldest.octets();
        }
    }
}

impl Editions {
    /// Whether there are none, so that nobody need be asked.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// That of a zone, by its apex in lower case.
    pub fn of(&self, apex: &[u8]) -> Option<&Arc<Edition>> {
        self.0.get(apex)
    }

    /// Whether these are the very same ones.
    pub fn are(&self, others: &Editions) -> bool {
        let is_there = |(apex, edition): (&[u8], &Arc<Edition>)| {
            others.of(apex).is_some_and(|other| Arc::ptr_eq(edition, other))
        };
        self.0.len() == others.0.len() && self.iter().all(is_there)
    }

    /// All of them, by their apexes.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &Arc<Edition>)> {
        self.0.iter().map(|(apex, edition)| (&**apex, edition))
    }
}

impl FromIterator<(Box<[u8]>, Arc<Edition>)> for Editions {
    fn from_iter<I: IntoIterator<Item = (Box<[u8]>, Arc<Edition>)>>(editions: I) -> Self {
        Self(editions.into_iter().collect())
    }
}

fn fingerprint(records: &Records, signed: Option<Fingerprint>) -> Fingerprint {
    let records = records.fingerprint();
    signed.map_or(records, |signed| records.with(&signed.value().to_be_bytes()))
}

const ROOT: &[u8] = &[0];
const SOA: u16 = Rtype::SOA.to_int();
/// Serial, refresh, retry, expire and minimum end the RDATA.
const SERIAL_FROM_END: usize = 5 * 4;
/// So much may be remembered of a small zone.
const HISTORY_OCTETS_MIN: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::primary::records::tests::record;

    fn content(serial: u32, records: Records) -> Content {
        let soa = Soa { ttl: 60, rdata: vec![0; 22] }.with_serial(serial);
        Content { soa, records, signed: None }
    }

    fn next(edition: &Edition, written: u32, records: Records) -> Edition {
        edition.next(content(written, records), 3).expect("something changed")
    }

    #[test]
    fn what_changed_gets_a_newer_serial_and_what_did_not_keeps_it() {
        let first = Edition::first(content(7, record("a", 5, 1)), None);
        assert_eq!(first.serial(), 7);
        assert!(first.next(content(7, record("a", 5, 1)), 3).is_none());
        assert!(first.next(content(3, record("a", 5, 1)), 3).is_none());
        let second = next(&first, 7, record("a", 5, 2));
        assert_eq!(second.serial(), 8);
        let renumbered = next(&second, 2026112100, record("a", 5, 2));
        assert_eq!(renumbered.serial(), 2026112100);
        assert_eq!(Edition::first(content(7, record("a", 5, 1)), Some(9)).serial(), 10);
    }

    #[test]
    fn whoever_has_a_remembered_edition_gets_what_came_since() {
        let mut edition = Edition::first(content(1, record("a", 5, 0)), None);
        for octet in 1..=4 {
            edition = next(&edition, 1, record("a", 5, octet));
        }
        assert_eq!((edition.serial(), edition.history.len()), (5, 3));
        assert!(matches!(edition.since(1), Since::Everything));
        assert!(matches!(edition.since(5), Since::Nothing));
        assert!(matches!(edition.since(6), Since::Nothing));
        let Since::Changes(changes) = edition.since(3) else { panic!("it is remembered") };
        let serials: Vec<_> = changes.iter().map(|c| (c.from.serial(), c.to.serial())).collect();
        assert_eq!(serials, [(3, 4), (4, 5)]);
        assert_eq!((changes[0].removed.len(), changes[0].added.len()), (1, 1));
    }

    #[test]
    fn of_what_is_signed_nothing_is_remembered_and_other_signatures_have_a_number() {
        let signed = |by: u8, octet: u8| {
            let signed = (by > 0).then(|| Fingerprint::new().with(&[by]));
            Content { signed, ..content(1, record("a", 5, octet)) }
        };
        let mut edition = Edition::first(signed(1, 1), None);
        assert!(edition.next(signed(1, 1), 3).is_none());
        for (content, serial, remembered) in [
            (signed(2, 1), 2, 0),
            (signed(2, 2), 3, 0),
            (signed(0, 2), 4, 0),
            (signed(0, 3), 5, 1),
            (signed(1, 3), 6, 0),
        ] {
            let fingerprint = content.fingerprint();
            let next = edition.next(content, 3).expect("it is another one");
            assert_eq!((next.serial(), next.history.len()), (serial, remembered));
            assert_eq!(next.fingerprint(), fingerprint);
            assert_ne!(edition.fingerprint(), fingerprint);
            edition = next;
        }
    }

    #[test]
    fn changes_larger_than_the_zone_are_forgotten() {
        let large = |octet: u8| {
            let rdata = [octet; 60_000];
            std::iter::once(crate::primary::Record { owner: b"\x00", rtype: 16, rdata: &rdata, ttl: 5 })
                .collect::<Records>()
        };
        let first = Edition::first(content(1, large(1)), None);
        let second = first.next(content(1, large(2)), 100).expect("it changed");
        assert_eq!((second.serial(), second.history.len()), (2, 0));
    }
}
