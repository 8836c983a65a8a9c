//! A signed zone for those who take all of it. We make a proof for each question; others answer by rote, so that they are
//! given what can be proven ahead: of each name its types and the next name (NSEC, RFC 4034 section 4).
//!
//! ```text
//!   example.org NSEC a.example.org SOA ... --> a.example.org NSEC *.b.example.org A ... --> ... --> example.org
//!                                              glue, and what is below a delegation, is left out and not signed
//! ```

use std::collections::HashSet;
use std::ops::Range;

use domain::base::Name;
use domain::base::iana::Rtype;

use crate::dnssec::{Published, bitmap};
use crate::plan::zone::Set;
use crate::plan::zone::name::ancestors;
use crate::primary::edition::Edition;
use crate::primary::records::{Record, Records};

/// All records of a signed zone but the signatures, with its SOA record, the records of its keys, and its proofs.
#[derive(Debug)]
pub struct SignedZone {
    records: Records,
    /// Where others are in charge.
    cuts: HashSet<Box<[u8]>>,
}

impl SignedZone {
    /// An edition of a zone, with what it says of its keys at the time; `key_ttl` in seconds.
    pub fn new(apex: &[u8], edition: &Edition, keys: &Published, key_ttl: u32) -> Self {
        let soa = Record { owner: apex, rtype: SOA, rdata: &edition.soa.rdata, ttl: edition.soa.ttl };
        let said = [(DNSKEY, &keys.dnskey), (CDS, &keys.cds), (CDNSKEY, &keys.cdnskey)];
        let said = said.into_iter().flat_map(|(rtype, data)| {
            let records = Set { rtype, ttl: key_ttl, data }.records();
            records.map(move |rdata| Record { owner: apex, rtype, rdata, ttl: key_ttl })
        });
        // What signing owns is not for the file to say.
        let is_made = |record: &Record<'_>| {
            PROOFS.contains(&record.rtype) || (record.owner == apex && OF_KEYS.contains(&record.rtype))
        };
        let written = edition.records.iter().filter(|record| !is_made(record));
        let records: Records = written.chain([soa]).chain(said).collect();
        let cuts = records.iter().filter(|record| record.rtype == NS && record.owner != apex);
        let cuts = cuts.map(|record| record.owner.into()).collect();
        let zone = Self { records, cuts };
        let proofs = zone.proofs(edition.soa.negative_ttl());
        Self { records: zone.records.and(&proofs), ..zone }
    }

    /// All of them: those of one owner and type are together.
    pub fn records(&self) -> &Records {
        &self.records
    }

    /// The set that ends with the record before this place, if that ends one which the zone vouches for.
    pub fn set_before(&self, end: usize) -> Option<Range<usize>> {
        let last = self.records.get(end.checked_sub(1)?)?;
        let same = |at: usize| self.records.get(at).is_some_and(|record| is_of_one_set(&record, &last));
        if same(end) || !self.vouches_for(&last) {
            return None;
        }
        let start = (0..end).rev().take_while(|at| same(*at)).last()?;
        Some(start..end)
    }

    /// The proofs of all its names.
    fn proofs(&self, ttl: u32) -> Records {
        let mut names: Vec<(&Name<[u8]>, Vec<u16>)> = Vec::new();
        for record in self.records.iter().filter(|record| self.is_shown(record)) {
            let Ok(owner) = Name::from_slice(record.owner) else { continue };
            match names.last_mut() {
                Some((name, types)) if *name == owner => types.push(record.rtype),
                _ => names.push((owner, vec![record.rtype])),
            }
        }
        // In canonical order (RFC 4034 section 6.1).
        names.sort_by_key(|(name, _)| *name);
        let next = names.iter().cycle().skip(1).map(|(name, _)| *name);
        let proofs: Vec<(&Name<[u8]>, Vec<u8>)> = names
            .iter()
            .zip(next)
            .map(|((name, types), next)| {
                let mut types = [types.as_slice(), &[RRSIG, NSEC]].concat();
                types.sort_unstable();
                types.dedup();
                let mut rdata = next.as_slice().to_vec();
                bitmap(&types, &mut rdata);
                (*name, rdata)
            })
            .collect();
        let proofs = proofs.iter();
        proofs.map(|(name, rdata)| Record { owner: name.as_slice(), rtype: NSEC, rdata, ttl }).collect()
    }

    /// Whether a record is among the types of its name: a delegation's servers are, though they are not vouched for.
    fn is_shown(&self, record: &Record<'_>) -> bool {
        self.vouches_for(record) || record.rtype == NS && !self.is_below_cut(record.owner)
    }

    /// Whether the zone is in charge of a record (RFC 4035 section 2.2).
    fn vouches_for(&self, record: &Record<'_>) -> bool {
        let of_cut = || matches!(record.rtype, DS | NSEC) || !self.cuts.contains(record.owner);
        of_cut() && !self.is_below_cut(record.owner)
    }

    fn is_below_cut(&self, name: &[u8]) -> bool {
        !self.cuts.is_empty() && ancestors(name).any(|ancestor| self.cuts.contains(ancestor))
    }
}

fn is_of_one_set(one: &Record<'_>, other: &Record<'_>) -> bool {
    (one.owner, one.rtype) == (other.owner, other.rtype)
}

const NS: u16 = Rtype::NS.to_int();
const SOA: u16 = Rtype::SOA.to_int();
const DS: u16 = Rtype::DS.to_int();
const RRSIG: u16 = Rtype::RRSIG.to_int();
const NSEC: u16 = Rtype::NSEC.to_int();
const DNSKEY: u16 = Rtype::DNSKEY.to_int();
const CDS: u16 = Rtype::CDS.to_int();
const CDNSKEY: u16 = Rtype::CDNSKEY.to_int();
const NSEC3: u16 = Rtype::NSEC3.to_int();
const NSEC3PARAM: u16 = Rtype::NSEC3PARAM.to_int();
/// What signing makes at any name, and what it makes of the keys at the apex.
const PROOFS: [u16; 4] = [RRSIG, NSEC, NSEC3, NSEC3PARAM];
const OF_KEYS: [u16; 3] = [DNSKEY, CDS, CDNSKEY];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::primary::edition::{Content, Soa};

    const ZONE: &str = "\
example.org. 60 IN NS ns.example.org.
ns.example.org. 60 IN A 192.0.2.1
ns.example.org. 60 IN NSEC x.example.org. A MX
a.b.example.org. 60 IN TXT one
a.b.example.org. 60 IN TXT two
cut.example.org. 60 IN NS ns.cut.example.org.
cut.example.org. 60 IN DS 1 13 2 0000000000000000000000000000000000000000000000000000000000000000
ns.cut.example.org. 60 IN A 192.0.2.2
*.example.org. 60 IN A 192.0.2.3
";
    const APEX: &[u8] = b"\x07example\x03org\0";

    fn zone() -> SignedZone {
        let soa = Soa { ttl: 60, rdata: [&[0; 18][..], &[0, 0, 0, 30]].concat() };
        let content = Content { soa, records: Records::parse(ZONE).expect("records"), signed: None };
        let keys = Published { dnskey: [0, 1, 7].into(), ..Published::default() };
        SignedZone::new(APEX, &Edition::first(content, None), &keys, 3600)
    }

    #[test]
    fn rfc_4034_section_6_1_each_name_leads_to_the_next() {
        let zone = zone();
        let proofs = zone.records().iter().filter(|record| record.rtype == NSEC);
        let mut proofs: Vec<_> = proofs
            .map(|proof| {
                assert_eq!(proof.ttl, 30, "RFC 9077 section 3");
                let show = |name: &[u8]| Name::from_slice(name).expect("a name").to_string();
                let next = proof.rdata.iter().position(|octet| *octet == 0).expect("an end") + 1;
                let (next, types) = proof.rdata.split_at(next);
                (show(proof.owner), show(next), types.to_vec())
            })
            .collect();
        proofs.sort();
        let bits = |types: &[u16]| {
            let mut octets = Vec::new();
            bitmap(types, &mut octets);
            octets
        };
        let proof = |name: &str, next: &str, types: &[u16]| (name.into(), next.into(), bits(types));
        assert_eq!(
            proofs,
            [
                proof("*.example.org", "a.b.example.org", &[1, RRSIG, NSEC]),
                proof("a.b.example.org", "cut.example.org", &[16, RRSIG, NSEC]),
                proof("cut.example.org", "ns.example.org", &[NS, DS, RRSIG, NSEC]),
                proof("example.org", "*.example.org", &[NS, SOA, RRSIG, NSEC, DNSKEY]),
                proof("ns.example.org", "example.org", &[1, RRSIG, NSEC]),
            ]
        );
    }

    #[test]
    fn rfc_4035_section_2_2_delegations_and_glue_are_not_signed() {
        let zone = zone();
        let sets = (1..=zone.records().len()).filter_map(|end| zone.set_before(end));
        let mut signed: Vec<_> = sets
            .map(|set| {
                let record = zone.records().get(set.start).expect("it is there");
                (record.owner[1], record.rtype, set.len())
            })
            .collect();
        signed.sort_unstable();
        let proofs = signed.iter().filter(|(_, rtype, _)| *rtype == NSEC).count();
        signed.retain(|(_, rtype, _)| *rtype != NSEC);
        let expected = [(b'*', 1, 1), (b'a', 16, 2), (b'c', DS, 1), (b'e', NS, 1), (b'e', SOA, 1)];
        assert_eq!(signed, [&expected[..], &[(b'e', DNSKEY, 1), (b'n', 1, 1)]].concat());
        assert_eq!(proofs, 5);
    }
}
