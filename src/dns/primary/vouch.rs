//! A signed zone on its way: record after record, behind each set its signatures, which are made when their turn comes.

use std::sync::Arc;

use domain::base::iana::Rtype;

use crate::dns::sign::Signing;
use crate::dnssec::{RecordsToSign, Seconds, Signature, SignedId, Unsigned};
use crate::plan::Plan;
use crate::primary::{Edition, Record, SignedZone};

/// The records of a signed zone, but for the SOA record, which frames a transfer.
pub(super) struct Vouched {
    zone: SignedZone,
    plan: Arc<Plan>,
    id: SignedId,
    signing: Arc<Signing>,
    now: Seconds,
    /// The next record.
    at: usize,
    /// What is sent before it, the last first.
    signatures: Vec<Made>,
    failed: bool,
}

/// A signature that is to be sent.
struct Made {
    /// Of the set that begins with this record.
    of: usize,
    ttl: u32,
    rdata: Vec<u8>,
}

impl Vouched {
    /// An edition of a zone, signed now.
    pub(super) fn new(
        apex: &[u8],
        edition: &Edition,
        (plan, id): (&Arc<Plan>, SignedId),
        signing: &Arc<Signing>,
        now: Seconds,
    ) -> Self {
        let published = &plan.keys.zone(id).at(now).published;
        let zone = SignedZone::new(apex, edition, published, plan.keys.policy.key_ttl);
        let (plan, signing) = (Arc::clone(plan), Arc::clone(signing));
        Self { zone, plan, id, signing, now, at: 0, signatures: Vec::new(), failed: false }
    }

    /// The next record; `None`: there is none.
    pub(super) fn peek(&mut self) -> Option<Record<'_>> {
        let records = self.zone.records();
        if self.signatures.is_empty() && records.get(self.at).is_some_and(|record| record.rtype == SOA) {
            self.advance();
        }
        let records = self.zone.records();
        match self.signatures.last() {
            _ if self.failed => None,
            None => records.get(self.at),
            Some(Made { of, ttl, rdata }) => {
                records.get(*of).map(|signed| Record { rtype: RRSIG, rdata, ttl: *ttl, ..signed })
            }
        }
    }

    /// Goes on to the one after it.
    pub(super) fn advance(&mut self) {
        if self.signatures.pop().is_some() {
            return;
        }
        self.at += 1;
        match self.signatures_before(self.at) {
            Ok(signatures) => self.signatures = signatures,
            Err(Unsigned) => self.failed = true,
        }
    }

    /// Whether the system had no chance to give: then this is not all of it, and must not seem so.
    pub(super) fn failed(&self) -> bool {
        self.failed
    }

    /// The signatures of the set that ends before this place, if it is signed.
    fn signatures_before(&self, end: usize) -> Result<Vec<Made>, Unsigned> {
        let Some(set) = self.zone.set_before(end) else { return Ok(Vec::new()) };
        let of = set.start;
        let Some(Record { owner, rtype, ttl, .. }) = self.zone.records().get(of) else {
            return Ok(Vec::new());
        };
        let records = set.filter_map(|at| self.zone.records().get(at));
        let data: Vec<u8> = records
            .flat_map(|record| [&(record.rdata.len() as u16).to_be_bytes(), record.rdata].concat())
            .collect();
        let signer = self.signing.for_others(&self.plan.keys, self.now);
        let made = signer.sign(self.id, &RecordsToSign { owner, rtype, ttl, data: &data })?;
        let apex = self.plan.keys.zone(self.id).apex();
        let made = made.iter().map(|Signature { ttl, head, octets }| Made {
            of,
            ttl: *ttl,
            rdata: [head.as_slice(), apex, octets].concat(),
        });
        Ok(made.collect())
    }
}

const RRSIG: u16 = Rtype::RRSIG.to_int();
const SOA: u16 = Rtype::SOA.to_int();
