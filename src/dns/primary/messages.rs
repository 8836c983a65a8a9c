//! Messages that are signed as their requests were.

use std::sync::Arc;

use domain::base::Message;
use domain::base::iana::{Rcode, Rtype, TsigRcode};
use domain::base::message_builder::{AdditionalBuilder, MessageBuilder, TreeCompressor};
use domain::rdata::AllRecordData;
use domain::rdata::tsig::Time48;
use domain::tsig::{Key, ServerError, ServerSequence};

use crate::dns::wire::compose::SMALLEST_LIMIT;
use crate::dnssec::Seconds;

/// Where messages are written.
pub(super) type Octets = TreeCompressor<Vec<u8>>;

/// What signs the messages of one answer.
#[derive(Clone)]
pub(super) struct Signature {
    pub(super) sequence: ServerSequence<Arc<Key>>,
    pub(super) now: Seconds,
}

/// A request that is answered later, and the signature of the answer.
#[derive(Clone)]
pub(super) struct Signed {
    request: Message<Vec<u8>>,
    signature: Option<Signature>,
}

impl Signature {
    /// The key that signed the request.
    pub(super) fn key(&self) -> &Key {
        self.sequence.key()
    }

    /// How long a signature is.
    pub(super) fn length(&self) -> usize {
        usize::from(self.key().compose_len())
    }

    /// Signs the next message.
    pub(super) fn sign(&mut self, message: &mut AdditionalBuilder<Octets>) -> Option<()> {
        self.sequence.answer(message, Time48::from_u64(self.now.0)).ok()
    }
}

impl Signed {
    pub(super) fn new(request: &Message<Vec<u8>>, signature: Option<Signature>) -> Self {
        Self { request: request.clone(), signature }
    }

    /// A reply without records.
    pub(super) fn reply(self, rcode: Rcode) -> Vec<u8> {
        refuse(&self.request, rcode, self.signature)
    }
}

/// A message to be written.
pub(super) fn begin() -> MessageBuilder<Octets> {
    MessageBuilder::from_target(TreeCompressor::new(Vec::new())).expect("a vector has room")
}

/// What was written.
pub(super) fn finish(message: AdditionalBuilder<Octets>) -> Vec<u8> {
    message.finish().into_target()
}

/// A reply that has no more than a response code and its question.
pub(super) fn refuse(request: &Message<Vec<u8>>, rcode: Rcode, signature: Option<Signature>) -> Vec<u8> {
    let mut reply = match begin().start_answer(request, rcode) {
        Ok(reply) => reply.additional(),
        // A question that cannot be repeated is left out.
        Err(_) => {
            let mut bare = begin();
            let header = request.header();
            bare.header_mut().set_id(header.id());
            bare.header_mut().set_qr(true);
            bare.header_mut().set_opcode(header.opcode());
            bare.header_mut().set_rcode(rcode);
            bare.additional()
        }
    };
    if let Some(mut signature) = signature {
        // A vector has room for it.
        let _ = signature.sign(&mut reply);
    }
    finish(reply)
}

/// The reply to a request whose signature does not hold.
pub(super) fn refuse_signature(error: ServerError<Arc<Key>>, request: &Message<&[u8]>) -> Option<Vec<u8>> {
    let wrong = error.error() == TsigRcode::FORMERR;
    let reply = error.build_message(request, begin()).ok()?;
    let not_authorized = reply.header().rcode() == Rcode::NOTAUTH;
    let mut octets = finish(reply);
    // The library says FORMERR of a signature that was made with another secret, where RFC 8945 section 5.3.2 wants
    // BADSIG. The error stands before the length of the other data, which there is none of.
    if wrong
        && not_authorized
        && let Some(at) = octets.len().checked_sub(4)
    {
        octets[at..at + 2].copy_from_slice(&TsigRcode::BADSIG.to_int().to_be_bytes());
    }
    Some(octets)
}

/// A reply as it was written, signed. What would be longer than a datagram may be, `octets_max`, is truncated.
pub(super) fn sign_copy(
    reply: Vec<u8>,
    request: &Message<Vec<u8>>,
    signature: Option<Signature>,
    octets_max: usize,
) -> Option<Vec<u8>> {
    let Some(mut signature) = signature else { return Some(reply) };
    let whole = reply.len() + signature.length() <= octets_max;
    let reply = Message::from_octets(reply).ok()?;
    let mut copy = begin().start_answer(request, Rcode::NOERROR).ok()?;
    *copy.header_mut() = reply.header();
    if !whole {
        copy.header_mut().set_tc(true);
    }
    let mut copy = reply
        .copy_records(copy, |record| {
            let kept = whole || record.rtype() == Rtype::OPT;
            kept.then(|| record.into_any_record::<AllRecordData<_, _>>().ok()).flatten()
        })
        .ok()?;
    signature.sign(&mut copy)?;
    Some(finish(copy))
}

/// The longest reply in a datagram that a client takes, if we send up to `ours`.
pub(super) fn datagram_max(request: &Message<Vec<u8>>, ours: usize) -> usize {
    let theirs = request.opt().map_or(SMALLEST_LIMIT, |opt| usize::from(opt.udp_payload_size()));
    theirs.min(ours).max(SMALLEST_LIMIT)
}
