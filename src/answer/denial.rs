//! What a signed zone says of what is not there: compact denial of existence (RFC 9824), and the records that only
//! a signed zone has.
//!
//! ```text
//!   no such name     NSEC  name -> \000.name   RRSIG NSEC NXNAME
//!   no such type     NSEC  name -> \000.name   what the name could answer, but for what was asked
//!   no DS at a cut   NSEC  cut  -> \000.cut    NS RRSIG NSEC
//! ```
//!
//! One record says it all, it is of the very name that was asked, and nothing else of the zone shows. Whether a name
//! exists cannot depend on health, and neither may what a resolver concludes from the record for other types (RFC 8198):
//! so a steered name has the types that it has in any state of health.

use crate::answer::lookup::{A, AAAA, CNAME, DS, Lookup, NS, TXT};
use crate::answer::trace::Trace;
use crate::answer::{Data, Owner, Proof, Rcode, RecordSet};
use crate::dnssec::{Published, SignedId, bitmap, just_after};
use crate::plan::zone::name::Lower;
use crate::plan::zone::{Node, Set};

impl<'s, T: Trace> Lookup<'_, '_, 's, T> {
    /// The records that a signed zone has besides those of its file, if it is asked for them; `None`: look into the
    /// file.
    #[cold]
    pub(super) fn of_signing(
        &self,
        node: Node<'s>,
        owner: &Owner<'s>,
        zone: SignedId,
    ) -> Option<RecordSet<'s>> {
        let qtype = self.query.qtype;
        if is_proof(qtype) {
            return Some(self.nsec(
                owner.clone(),
                Types::of(node, self.published(node, zone), self),
                node,
                zone,
            ));
        }
        let published = self.published(node, zone)?;
        let data = match qtype {
            DNSKEY => &published.dnskey,
            CDS => &published.cds,
            CDNSKEY => &published.cdnskey,
            _ => return None,
        };
        (!data.is_empty()).then(|| RecordSet {
            owner: owner.clone(),
            rtype: qtype,
            ttl: self.snapshot.plan.keys.policy.key_ttl,
            data: Data::Stored(data),
            signed: Some(zone),
        })
    }

    /// Proves that a name has no records of the type that was asked for, if a proof is wanted and can be had.
    #[inline(never)]
    pub(super) fn deny_type(&mut self, node: Node<'s>, owner: Owner<'s>, ttl_max: u32) {
        let Some(zone) = node.signed().filter(|_| self.query.proof.wanted) else { return };
        let mut types = Types::of(node, self.published(node, zone), self);
        // What is denied is not there; and had it an alias, that would be the answer.
        types.0.retain(|rtype| ![self.query.qtype, CNAME].contains(rtype));
        let mut nsec = self.nsec(owner, types, node, zone);
        nsec.ttl = nsec.ttl.min(ttl_max);
        self.answer.authority.push(nsec);
    }

    /// Proves that a name does not exist, below an encloser that does. A validator takes that from the proof, so that
    /// the response code is only what it always was for those who ask for it.
    #[inline(never)]
    pub(super) fn deny_name(&mut self, encloser: Node<'s>, owner: Owner<'s>) {
        let Proof { wanted, compact_ok, .. } = self.query.proof;
        let Some(zone) = encloser.signed().filter(|_| wanted) else { return };
        if !compact_ok || is_proof(self.query.qtype) {
            self.answer.rcode = Rcode::NoError;
        }
        let nsec = self.nsec(owner, Types::MISSING.into(), encloser, zone);
        if is_proof(self.query.qtype) {
            // The proof has what it would have to deny.
            self.answer.authority.clear();
            self.answer.answer.push(nsec);
        } else {
            self.answer.authority.push(nsec);
        }
    }

    /// What a signed zone says at a cut: the DS of the zone that is cut off, or that it has none, which is then
    /// taken as it comes.
    #[inline(never)]
    pub(super) fn vouch_for_cut(&mut self, cut: Node<'s>) {
        let Some(zone) = cut.signed().filter(|_| self.query.proof.wanted) else { return };
        let owner = Owner::Name(cut.owner());
        let set = match cut.set(DS) {
            Some(Set { rtype, ttl, data }) => {
                RecordSet { owner, rtype, ttl, data: Data::Stored(data), signed: Some(zone) }
            }
            None => self.nsec(owner, Types::of(cut, None, self), cut, zone),
        };
        self.answer.authority.push(set);
    }

    /// What the zone says of its keys now, at its apex.
    fn published(&self, node: Node<'s>, zone: SignedId) -> Option<&'s Published> {
        let keys = || &self.snapshot.plan.keys.zone(zone).at(self.query.proof.now).published;
        node.is_apex().then(keys)
    }

    /// An NSEC record: these types, and no name up to the next there could be.
    fn nsec(&self, owner: Owner<'s>, types: Types, of: Node<'s>, zone: SignedId) -> RecordSet<'s> {
        let name = Lower::new(owner.wire(self.query.name));
        let mut record = Vec::with_capacity(2 + name.as_slice().len() + 2 + BITMAP_USUAL);
        record.extend([0; 2]);
        just_after(name.as_slice(), of.apex().owner(), &mut record);
        bitmap(&types.0, &mut record);
        let length = (record.len() - 2) as u16;
        record[..2].copy_from_slice(&length.to_be_bytes());
        // RFC 9077: for as long as the SOA beside it may be remembered.
        let ttl = of.apex().negative_ttl();
        RecordSet { owner, rtype: NSEC, ttl, data: Data::Made(record.into()), signed: Some(zone) }
    }
}

/// The types that a name has, in order.
struct Types(Vec<u16>);

impl Types {
    /// A name that does not exist.
    const MISSING: [u16; 3] = [RRSIG, NSEC, NXNAME];

    /// All that a name could answer, in whatever state of health and by whomever it is asked.
    fn of<T: Trace>(node: Node<'_>, published: Option<&Published>, lookup: &Lookup<'_, '_, '_, T>) -> Self {
        let mut types = vec![RRSIG, NSEC];
        // What we serve below is cut off even if its parent zone does not say so.
        let is_cut = node.is_cut() || (!node.is_apex() && lookup.zones.exact(node.owner()) != Some(node));
        if is_cut {
            types.push(NS);
            types.extend(node.set(DS).map(|set| set.rtype));
        } else {
            types.extend(node.sets().map(|set| set.rtype).filter(|rtype| !is_of_signing(*rtype)));
        }
        if let Some(id) = node.steered() {
            let serves = lookup.snapshot.plan.steered[id.0 as usize].serves;
            types.extend(
                [A, AAAA].into_iter().zip(serves).filter(|(_, serves)| *serves).map(|(rtype, _)| rtype),
            );
        }
        types.extend(node.debug().map(|_| TXT));
        if let Some(Published { dnskey, cds, cdnskey }) = published {
            let records = [(DNSKEY, dnskey), (CDS, cds), (CDNSKEY, cdnskey)];
            types.retain(|rtype| ![DNSKEY, CDS, CDNSKEY].contains(rtype));
            types.extend(records.into_iter().filter(|(_, data)| !data.is_empty()).map(|(rtype, _)| rtype));
        }
        types.sort_unstable();
        types.dedup();
        Self(types)
    }
}

impl From<[u16; 3]> for Types {
    fn from(types: [u16; 3]) -> Self {
        Self(types.into())
    }
}

/// Types that signing makes: a signed zone has none of its file.
pub(super) fn is_of_signing(rtype: u16) -> bool {
    matches!(rtype, RRSIG | NSEC | NSEC3 | NSEC3PARAM)
}

/// Types that every name has, if only in proofs.
fn is_proof(rtype: u16) -> bool {
    matches!(rtype, RRSIG | NSEC)
}

/// Types that are answered by signing at any name, or at the apex.
pub(super) fn may_be_of_signing(rtype: u16) -> bool {
    is_proof(rtype) || matches!(rtype, DNSKEY | CDS | CDNSKEY)
}

/// Octets of the bitmap of a name with types up to 255: more makes one more allocation.
const BITMAP_USUAL: usize = 2 + 17;

pub(super) const RRSIG: u16 = 46;
pub(super) const NSEC: u16 = 47;
pub(super) const DNSKEY: u16 = 48;
const NSEC3: u16 = 50;
const NSEC3PARAM: u16 = 51;
pub(super) const CDS: u16 = 59;
pub(super) const CDNSKEY: u16 = 60;
const NXNAME: u16 = 128;
