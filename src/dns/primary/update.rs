//! An update (RFC 2136) as it came, on its way to whoever owns the zones.

use std::fmt;

use domain::base::iana::{Class, Rcode, Rtype};
use domain::base::rdata::ComposeRecordData;
use domain::base::{Message, ParsedRecord, ToName};
use domain::rdata::AllRecordData;

use crate::primary::update::{Entry, Refusal, Update};
use crate::spec::machine::UpdateGrant;

/// An update that somebody with a key sent.
#[derive(Debug)]
pub struct UpdateCall {
    /// The apex of the zone, in lower case, wire form.
    pub apex: Vec<u8>,
    /// What is to be changed.
    pub update: Update,
    /// What the key may change.
    pub grants: Vec<UpdateGrant>,
    /// The name of the key.
    pub key: String,
    /// Who waits.
    pub done: Done,
}

/// Tells whoever waits what came of an update. Dropped, it says that it failed.
pub struct Done(Option<Box<dyn FnOnce(Rcode) + Send>>);

impl Done {
    pub(super) fn new(tell: impl FnOnce(Rcode) + Send + 'static) -> Self {
        Self(Some(Box::new(tell)))
    }

    /// It is served, and kept.
    pub fn accept(self) {
        self.tell(Rcode::NOERROR);
    }

    /// It changed nothing.
    pub fn refuse(self, refusal: Refusal) {
        self.tell(match refusal {
            Refusal::Malformed => Rcode::FORMERR,
            Refusal::NotZone => Rcode::NOTZONE,
            Refusal::NoName => Rcode::NXDOMAIN,
            Refusal::Name => Rcode::YXDOMAIN,
            Refusal::NoSet => Rcode::NXRRSET,
            Refusal::Set => Rcode::YXRRSET,
            Refusal::NotAllowed(_) => Rcode::REFUSED,
        });
    }

    /// The zone is not one of ours.
    pub fn not_ours(self) {
        self.tell(Rcode::NOTAUTH);
    }

    /// Somebody else tells.
    pub(super) fn forget(mut self) {
        self.0 = None;
    }

    fn tell(mut self, rcode: Rcode) {
        if let Some(tell) = self.0.take() {
            tell(rcode);
        }
    }
}

impl Drop for Done {
    fn drop(&mut self) {
        if let Some(tell) = self.0.take() {
            tell(Rcode::SERVFAIL);
        }
    }
}

impl fmt::Debug for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Done")
    }
}

/// The zone that an update is of, and what it says; `None`: it is malformed.
pub(super) fn read(message: &Message<Vec<u8>>) -> Option<(Vec<u8>, Update)> {
    let zone = message.sole_question().ok()?;
    if zone.qtype() != Rtype::SOA || zone.qclass() != Class::IN {
        return None;
    }
    let (mut prerequisites, mut entries) = (Vec::new(), Vec::new());
    for record in message.answer().ok()? {
        prerequisites.push(entry(record.ok()?)?);
    }
    for record in message.authority().ok()? {
        entries.push(entry(record.ok()?)?);
    }
    Some((lower(&zone.qname()), Update { prerequisites, entries }))
}

fn entry(record: ParsedRecord<'_, Vec<u8>>) -> Option<Entry> {
    let (owner, rtype) = (lower(&record.owner()), record.rtype().to_int());
    let (class, ttl) = (record.class().to_int(), record.ttl().as_secs());
    let mut rdata = Vec::new();
    // Without data, it speaks of whole sets.
    if record.rdlen() > 0 {
        let data = record.to_any_record::<AllRecordData<_, _>>().ok()?;
        data.data().compose_rdata(&mut rdata).ok()?;
    }
    // TTLs have 31 bits (RFC 2181 section 8).
    let ttl = if ttl > i32::MAX as u32 { 0 } else { ttl };
    Some(Entry { owner, rtype, class, ttl, rdata })
}

fn lower(name: &impl ToName) -> Vec<u8> {
    name.to_vec().as_slice().to_ascii_lowercase()
}
