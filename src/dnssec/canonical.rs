//! The canonical form of a record set (RFC 4034 section 6): the octets that a signature is of.
//!
//! ```text
//!   RRSIG RDATA without its signature | owner type class TTL length RDATA | owner type class TTL length RDATA | ...
//!                                       in lower case                `- sorted, names in it in lower case
//! ```

use std::borrow::Cow;

use smallvec::SmallVec;

/// Records of one owner and type, in the order in which they are signed.
pub(super) struct Canonical<'r>(SmallVec<[Cow<'r, [u8]>; 8]>);

impl<'r> Canonical<'r> {
    /// From the RDATA of each, names uncompressed, in any order.
    pub(super) fn of(rtype: u16, records: impl Iterator<Item = &'r [u8]>) -> Self {
        let mut records: SmallVec<_> = records.map(|rdata| canonical_rdata(rtype, rdata)).collect();
        records.sort_unstable();
        records.dedup();
        Self(records)
    }

    /// Writes the whole set; `owner` is in lower case.
    pub(super) fn write(&self, owner: &[u8], rtype: u16, ttl: u32, octets: &mut Vec<u8>) {
        for rdata in &self.0 {
            octets.extend(owner);
            octets.extend(rtype.to_be_bytes());
            octets.extend(CLASS_IN.to_be_bytes());
            octets.extend(ttl.to_be_bytes());
            octets.extend((rdata.len() as u16).to_be_bytes());
            octets.extend(&**rdata);
        }
    }
}

/// RDATA with the names in lower case that RFC 4034 section 6.2 lists (but for those of NSEC: RFC 6840
/// section 5.1).
pub fn canonical_rdata(rtype: u16, rdata: &[u8]) -> Cow<'_, [u8]> {
    let Some((before, names)) = names_of(rtype, rdata) else { return Cow::Borrowed(rdata) };
    let mut lower = rdata.to_vec();
    let mut at = before;
    for _ in 0..names {
        let end = at + name_length(lower.get(at..).unwrap_or_default());
        // Lengths of labels are below `A`: all octets of a name can be treated alike.
        lower.get_mut(at..end).unwrap_or_default().make_ascii_lowercase();
        at = end;
    }
    Cow::Owned(lower)
}

/// How many octets stand before the names of RDATA, and how many names there are.
fn names_of(rtype: u16, rdata: &[u8]) -> Option<(usize, usize)> {
    match rtype {
        NS | MD | MF | CNAME | MB | MG | MR | PTR | DNAME => Some((0, 1)),
        SOA | MINFO | RP => Some((0, 2)),
        MX | AFSDB | RT | KX => Some((2, 1)),
        PX => Some((2, 2)),
        SRV => Some((6, 1)),
        NAPTR => {
            // Order and preference, then three strings, each after its length.
            let string = |at: usize| rdata.get(at).map_or(at, |length| at + 1 + usize::from(*length));
            Some((string(string(string(4))), 1))
        }
        _ => None,
    }
}

/// The length of the uncompressed name that `octets` starts with.
fn name_length(octets: &[u8]) -> usize {
    let mut at = 0;
    while let Some(&label) = octets.get(at)
        && label != 0
    {
        at += 1 + usize::from(label);
    }
    (at + 1).min(octets.len())
}

const CLASS_IN: u16 = 1;

const NS: u16 = 2;
const MD: u16 = 3;
const MF: u16 = 4;
const CNAME: u16 = 5;
const SOA: u16 = 6;
const MB: u16 = 7;
const MG: u16 = 8;
const MR: u16 = 9;
const PTR: u16 = 12;
const MINFO: u16 = 14;
const MX: u16 = 15;
const RP: u16 = 17;
const AFSDB: u16 = 18;
const RT: u16 = 21;
const PX: u16 = 26;
const SRV: u16 = 33;
const NAPTR: u16 = 35;
const KX: u16 = 36;
const DNAME: u16 = 39;

#[cfg(test)]
mod tests {
    use domain::base::iana::Rtype;
    use domain::base::rdata::{ComposeRecordData, ParseRecordData};
    use domain::base::{Name, ParsedName};
    use domain::dep::octseq::Parser;
    use domain::rdata::ZoneRecordData;
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    type Parsed<'p> = ZoneRecordData<&'p [u8], ParsedName<&'p [u8]>>;

    /// What an independent library takes for the canonical RDATA.
    fn known(rtype: u16, rdata: &[u8]) -> Option<Vec<u8>> {
        let mut parser = Parser::from_ref(rdata);
        let parsed = Parsed::parse_rdata(Rtype::from_int(rtype), &mut parser).ok()??;
        let mut octets = Vec::new();
        parsed.compose_canonical_rdata(&mut octets).ok()?;
        Some(octets)
    }

    fn name() -> impl Strategy<Value = Vec<u8>> {
        "[A-Za-z0-9-]{1,9}(\\.[A-Z]{1,9}){0,4}"
            .prop_map(|text| text.parse::<Name<Vec<u8>>>().expect("a name").as_slice().to_vec())
    }

    #[test]
    fn records_are_sorted_as_octets_and_only_once_there() {
        let records: [&[u8]; 4] = [&[9], &[1, 2], &[1], &[9]];
        let mut octets = Vec::new();
        Canonical::of(1, records.into_iter()).write(&[0], 1, 7, &mut octets);
        let one = |rdata: &[u8]| [&[0, 0, 1, 0, 1, 0, 0, 0, 7, 0, rdata.len() as u8], rdata].concat();
        assert_eq!(octets, [one(&[1]), one(&[1, 2]), one(&[9])].concat());
    }

    #[test]
    fn names_in_naptr_are_found_behind_its_strings() {
        let rdata = b"\0\x01\0\x02\x01U\x03SIP\0\x01A\x03ORG\0";
        assert_eq!(&*canonical_rdata(NAPTR, rdata), b"\0\x01\0\x02\x01U\x03SIP\0\x01a\x03org\0");
    }

    proptest! {
        #[test]
        fn rfc_4034_section_6_2_names_are_in_lower_case_as_another_library_has_them(
            first in name(),
            second in name(),
            numbers in vec(any::<u8>(), 20),
        ) {
            let shapes: [(u16, usize, usize, usize); 10] = [
                (NS, 0, 1, 0), (CNAME, 0, 1, 0), (PTR, 0, 1, 0), (DNAME, 0, 1, 0), (SOA, 0, 2, 20),
                (MX, 2, 1, 0), (SRV, 6, 1, 0), (MINFO, 0, 2, 0), (MB, 0, 1, 0), (16, 0, 0, 0),
            ];
            for (rtype, before, names, after) in shapes {
                let names = [&first, &second].into_iter().take(names).flatten().copied();
                let mut rdata = numbers[..before].to_vec();
                rdata.extend(names);
                rdata.extend(&numbers[..after]);
                if rtype == 16 {
                    rdata = [&[4][..], b"TeXt"].concat();
                }
                prop_assert_eq!(Some(canonical_rdata(rtype, &rdata).into_owned()), known(rtype, &rdata), "{}", rtype);
            }
        }

        #[test]
        fn any_rdata_of_any_type_is_taken(rtype in 0..70u16, rdata in vec(any::<u8>(), 0..40)) {
            prop_assert_eq!(canonical_rdata(rtype, &rdata).len(), rdata.len());
        }
    }
}
