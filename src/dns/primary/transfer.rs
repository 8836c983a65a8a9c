//! A zone on its way to somebody: message after message, each as full as is good, each signed if the request was.
//!
//! ```text
//!   AXFR (RFC 5936)   SOA | all records ............................ | SOA      (of a signed zone with signatures)
//!   IXFR (RFC 1995)   SOA | SOA before, removed | SOA after, added | ... | SOA
//!   nothing is new    SOA
//! ```
//!
//! What is sent is one edition, held until the end: whatever changes meanwhile, nobody gets half of each.

use std::sync::Arc;

use domain::base::iana::{Class, Rcode, Rtype};
use domain::base::message_builder::{AnswerBuilder, PushError};
use domain::base::rdata::UnknownRecordData;
use domain::base::{Message, Name, ToName, Ttl};
use domain::rdata::Soa as SoaData;
use tokio::sync::OwnedSemaphorePermit;

use super::messages::{Octets, Signature, begin, finish};
use super::vouch::Vouched;
use crate::primary::{Change, Edition, Record, Records, Soa};

/// A transfer under way.
pub struct Transfer {
    request: Message<Vec<u8>>,
    apex: Vec<u8>,
    edition: Arc<Edition>,
    parts: Vec<Part>,
    /// The part that is sent, and the place in it.
    at: (usize, usize),
    signature: Option<Signature>,
    messages: usize,
    _permit: OwnedSemaphorePermit,
}

/// What is sent.
pub(super) enum Course {
    /// The SOA record: nothing is new, or there is no room for more.
    Serial,
    /// All of it.
    Whole,
    /// All of it, signed.
    Signed(Box<Vouched>),
    /// What changed.
    Changes(Vec<Arc<Change>>),
}

/// A piece of what is sent.
enum Part {
    Soa(Soa),
    Records(Arc<Edition>),
    Signed(Box<Vouched>),
    Removed(Arc<Change>),
    Added(Arc<Change>),
}

/// The serial that a request for changes says somebody has; `None`: it says none.
pub(super) fn serial_of(request: &Message<Vec<u8>>) -> Option<u32> {
    let authority = request.authority().ok()?;
    let soa = authority.limit_to::<SoaData<_>>().next()?.ok()?;
    Some(soa.data().serial().into_int())
}

/// Message after message.
impl Iterator for Transfer {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        if self.at.0 == self.parts.len() {
            return None;
        }
        // A record that alone is larger than is good goes alone.
        self.message(MESSAGE_GOOD).or_else(|| self.message(usize::from(u16::MAX)))
    }
}

impl Transfer {
    pub(super) fn new(
        request: &Message<Vec<u8>>,
        edition: Arc<Edition>,
        course: Course,
        signature: Option<Signature>,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        let question = request.sole_question().map(|question| question.qname().to_vec());
        let apex = question.map(|name| name.as_slice().to_vec()).unwrap_or_default();
        let parts = parts(&edition, course);
        let request = request.clone();
        Self { request, apex, edition, parts, at: (0, 0), signature, messages: 0, _permit: permit }
    }

    /// All of it in one message, or the SOA record, which says: ask over a stream.
    pub(super) fn in_a_datagram(mut self, octets_max: usize) -> Vec<u8> {
        if let Some(whole) = self.message(octets_max)
            && self.at.0 == self.parts.len()
        {
            return whole;
        }
        (self.parts, self.at, self.messages) = (parts(&self.edition, Course::Serial), (0, 0), 0);
        self.message(octets_max).unwrap_or_default()
    }

    /// A message of so many octets at most; `None`: not one record fits.
    fn message(&mut self, octets_max: usize) -> Option<Vec<u8>> {
        let mut message = begin();
        let signed = self.signature.as_ref().map_or(0, Signature::length);
        message.set_push_limit(octets_max - signed);
        // The question is in the first (RFC 5936 section 2.2.1).
        let mut answer = if self.messages == 0 {
            message.start_answer(&self.request, Rcode::NOERROR).ok()?
        } else {
            let header = message.header_mut();
            header.set_id(self.request.header().id());
            header.set_qr(true);
            message.answer()
        };
        answer.header_mut().set_aa(true);
        let mut put = 0;
        let from = self.at;
        while let Some(fits) = self.put_next(&mut answer) {
            if !fits {
                break;
            }
            put += 1;
        }
        if put == 0 {
            self.at = from;
            return None;
        }
        self.messages += 1;
        let mut message = answer.additional();
        message.clear_push_limit();
        if let Some(signature) = &mut self.signature {
            signature.sign(&mut message)?;
        }
        Some(finish(message))
    }

    /// Puts the next record in, if it fits; `None`: there is none.
    fn put_next(&mut self, answer: &mut AnswerBuilder<Octets>) -> Option<bool> {
        loop {
            let (part, place) = self.at;
            let next = match self.parts.get_mut(part)? {
                Part::Soa(Soa { ttl, rdata }) => (place == 0).then_some(Record {
                    owner: &self.apex,
                    rtype: Rtype::SOA.to_int(),
                    rdata,
                    ttl: *ttl,
                }),
                Part::Records(edition) => edition.records.get(place),
                Part::Signed(vouched) => vouched.peek(),
                Part::Removed(change) => change.removed.get(place),
                Part::Added(change) => change.added.get(place),
            };
            let pushed = next.map(|record| push(answer, &record));
            match (pushed, &mut self.parts[part]) {
                (Some(Err(_)), _) => return Some(false),
                (Some(Ok(())), of) => {
                    self.at.1 += 1;
                    if let Part::Signed(vouched) = of {
                        vouched.advance();
                    }
                    return Some(true);
                }
                // Without the SOA record at its end it is no transfer.
                (None, Part::Signed(vouched)) if vouched.failed() => self.parts.truncate(part + 1),
                (None, _) => {}
            }
            self.at = (part + 1, 0);
        }
    }
}

fn push(answer: &mut AnswerBuilder<Octets>, record: &Record<'_>) -> Result<(), PushError> {
    // What was served is well formed.
    let Ok(owner) = Name::from_slice(record.owner) else { return Ok(()) };
    let Ok(data) = UnknownRecordData::from_octets(Rtype::from_int(record.rtype), record.rdata) else {
        return Ok(());
    };
    answer.push((owner, Class::IN, Ttl::from_secs(record.ttl), data))
}

fn parts(edition: &Arc<Edition>, course: Course) -> Vec<Part> {
    let current = || Part::Soa(edition.soa.clone());
    match course {
        Course::Serial => vec![current()],
        // What changed is larger than what there is.
        Course::Changes(changes) if octets(&changes) > edition.records.octets() => {
            parts(edition, Course::Whole)
        }
        Course::Whole => vec![current(), Part::Records(Arc::clone(edition)), current()],
        Course::Signed(vouched) => vec![current(), Part::Signed(vouched), current()],
        Course::Changes(changes) => {
            let each = changes.into_iter().flat_map(|change| {
                [
                    Part::Soa(change.from.clone()),
                    Part::Removed(Arc::clone(&change)),
                    Part::Soa(change.to.clone()),
                    Part::Added(change),
                ]
            });
            std::iter::once(current()).chain(each).chain([current()]).collect()
        }
    }
}

fn octets(changes: &[Arc<Change>]) -> usize {
    let of = |records: &Records| records.octets();
    changes.iter().map(|change| of(&change.removed) + of(&change.added)).sum()
}

/// Compression reaches 16 KiB far, and a reader has not to hold more at once.
const MESSAGE_GOOD: usize = 16 * 1024;
