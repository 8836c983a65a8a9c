//! What other servers and programs ask of a primary server: zones whole or what changed in them (RFC 5936, 1995), and
//! changes (RFC 2136); and whatever else they sign (RFC 8945).
//!
//! ```text
//!   packet --is_errand?--> key --> transfer: allowed? --> messages, as many as it takes   (one over UDP)
//!                                  update: allowed? ----> whoever owns the zones --> reply, when it is served
//!                                  anything else -------> answered as ever, and signed
//!   another edition --announce--> NOTIFY, until it is heard (RFC 1996)
//! ```
//!
//! None of it is known to the path of queries: where nobody may do any of this, nobody asks whether a packet is such.

mod announce;
mod keys;
mod messages;
mod transfer;
mod update;
mod vouch;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use domain::base::iana::{Opcode, Rcode, Rtype};
use domain::base::{Message, ToName};
use domain::rdata::tsig::Time48;
use domain::tsig::{Key, ServerSequence};
use tokio::sync::Semaphore;

pub use announce::Announcer;
pub use keys::{Keys, KeysError};
pub use transfer::Transfer;
pub use update::{Done, UpdateCall};

use super::respond::{Arrival, Responder, Transport};
use super::wire::parse;
use crate::primary::Since;
use crate::snapshot::Snapshot;
use crate::spec::machine::{Grant, UpdateGrant};
use messages::{Signature, Signed, refuse, sign_copy};
use transfer::Course;
use vouch::Vouched;

/// Who may do what, and with which keys.
pub struct Settings {
    /// The keys that messages may be signed with.
    pub keys: Keys,
    /// Who may take zones.
    pub transfers: Vec<Grant>,
    /// Who may change what.
    pub updates: Vec<UpdateGrant>,
    /// Where changes go: to whoever owns the zones.
    pub changes: tokio::sync::mpsc::Sender<UpdateCall>,
}

/// Sees to all of it; one for all listeners.
pub struct Primary {
    settings: Settings,
    transfers: Arc<Semaphore>,
}

/// What came of such a packet.
pub enum Errand {
    /// One message.
    Reply(Vec<u8>),
    /// Several, one after another.
    Transfer(Box<Transfer>),
    /// One, later: to whoever was named.
    Later,
}

/// Who is told of an update's end, once: with the reply.
pub type Tell = Box<dyn FnOnce(Vec<u8>) + Send>;

impl Primary {
    /// For all listeners.
    pub fn new(settings: Settings) -> Self {
        Self { settings, transfers: Arc::new(Semaphore::new(TRANSFERS_MAX)) }
    }

    /// Whether a packet is for [`Self::run`]. Whatever cannot be read is not.
    #[inline]
    pub fn is_errand(&self, packet: &[u8]) -> bool {
        parse::is_errand(packet)
    }

    /// Does what a packet asks for. `tell`: whom to tell, if that is not known at once.
    pub fn run(
        &self,
        arrival: &Arrival<'_>,
        snapshot: &Snapshot,
        responder: &Responder,
        tell: impl FnOnce() -> Tell,
    ) -> Option<Errand> {
        if !responder.serves(arrival) {
            return None;
        }
        let original = Message::from_octets(arrival.packet).ok()?;
        let mut message = Message::from_octets(arrival.packet.to_vec()).ok()?;
        let now = Time48::from_u64(arrival.now.0);
        let signature = match ServerSequence::request(&self.settings.keys, &mut message, now) {
            Ok(sequence) => sequence.map(|sequence| Signature { sequence, now: arrival.now }),
            Err(error) => return messages::refuse_signature(error, &original).map(Errand::Reply),
        };
        let header = message.header();
        match (header.opcode(), message.sole_question().map(|question| question.qtype())) {
            (Opcode::UPDATE, _) => Some(self.update(&message, signature, tell)),
            (Opcode::QUERY, Ok(Rtype::AXFR | Rtype::IXFR)) => {
                Some(self.transfer(&message, signature, arrival, snapshot, responder))
            }
            _ => {
                let octets_max = match arrival.transport {
                    Transport::Udp => messages::datagram_max(&message, responder.udp_payload()),
                    _ => usize::from(u16::MAX),
                };
                let mut out = vec![0; octets_max];
                let unsigned = Arrival { packet: message.as_slice(), ..*arrival };
                let reply = responder.respond(&unsigned, None, snapshot, &mut out)?;
                out.truncate(reply.length);
                sign_copy(out, &message, signature, octets_max).map(Errand::Reply)
            }
        }
    }

    fn transfer(
        &self,
        message: &Message<Vec<u8>>,
        signature: Option<Signature>,
        arrival: &Arrival<'_>,
        snapshot: &Snapshot,
        responder: &Responder,
    ) -> Errand {
        let refuse = |rcode, signature| Errand::Reply(refuse(message, rcode, signature));
        let Ok(question) = message.sole_question() else { return refuse(Rcode::FORMERR, signature) };
        let key = signature.as_ref().map(Signature::key);
        if !self.may_transfer(arrival.client.ip(), key) {
            return refuse(Rcode::REFUSED, signature);
        }
        let apex = question.qname().to_vec().as_slice().to_ascii_lowercase();
        let Some(node) = snapshot.plan.zones.exact(&apex).filter(|node| node.is_apex()) else {
            return refuse(Rcode::NOTAUTH, signature);
        };
        let Some(edition) = snapshot.editions.of(&apex) else { return refuse(Rcode::REFUSED, signature) };
        let Ok(permit) = Arc::clone(&self.transfers).try_acquire_owned() else {
            return refuse(Rcode::REFUSED, signature);
        };
        let udp = arrival.transport == Transport::Udp;
        let whole = || match node.signed() {
            None => Course::Whole,
            // It does not fit; whoever asks comes back over a stream.
            Some(_) if udp => Course::Serial,
            Some(id) => {
                let (of, signing) = ((&snapshot.plan, id), responder.signing());
                Course::Signed(Box::new(Vouched::new(&apex, edition, of, signing, arrival.now)))
            }
        };
        let course = match question.qtype() {
            Rtype::IXFR => match transfer::serial_of(message) {
                None => return refuse(Rcode::FORMERR, signature),
                Some(serial) => match edition.since(serial) {
                    Since::Nothing => Course::Serial,
                    Since::Changes(changes) => Course::Changes(changes.into_iter().cloned().collect()),
                    Since::Everything => whole(),
                },
            },
            // A transfer needs a stream (RFC 5936 section 4.2).
            _ if udp => return refuse(Rcode::REFUSED, signature),
            _ => whole(),
        };
        let transfer = Transfer::new(message, Arc::clone(edition), course, signature, permit);
        if udp {
            let octets_max = messages::datagram_max(message, usize::from(u16::MAX));
            return Errand::Reply(transfer.in_a_datagram(octets_max.min(DATAGRAM_MAX)));
        }
        Errand::Transfer(Box::new(transfer))
    }

    fn may_transfer(&self, client: IpAddr, key: Option<&Key>) -> bool {
        self.settings.transfers.iter().any(|grant| {
            grant.from.is_none_or(|from| from.contains(&client))
                && grant.key.as_ref().is_none_or(|name| key.is_some_and(|key| key.name() == name))
        })
    }

    fn update(
        &self,
        message: &Message<Vec<u8>>,
        signature: Option<Signature>,
        tell: impl FnOnce() -> Tell,
    ) -> Errand {
        let key = signature.as_ref().map(Signature::key);
        let grants: Vec<UpdateGrant> = match key {
            Some(key) => {
                self.settings.updates.iter().filter(|grant| key.name() == &grant.key).cloned().collect()
            }
            None => Vec::new(),
        };
        if grants.is_empty() {
            return Errand::Reply(refuse(message, Rcode::REFUSED, signature));
        }
        let Some((apex, update)) = update::read(message) else {
            return Errand::Reply(refuse(message, Rcode::FORMERR, signature));
        };
        let signed = Signed::new(message, signature);
        let (answered, tell) = (signed.clone(), tell());
        let key = grants[0].key.to_string();
        let done = Done::new(move |rcode| tell(signed.reply(rcode)));
        match self.settings.changes.try_send(UpdateCall { apex, update, grants, key, done }) {
            Ok(()) => Errand::Later,
            // Too many wait already: whoever asks again may have more luck.
            Err(full) => {
                full.into_inner().done.forget();
                Errand::Reply(answered.reply(Rcode::SERVFAIL))
            }
        }
    }
}

impl fmt::Debug for Primary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Primary").field("keys", &self.settings.keys).finish_non_exhaustive()
    }
}

/// A longer datagram may be cut to pieces on its way (RFC 9715).
const DATAGRAM_MAX: usize = 1232;
/// So many transfers at once, in all; who comes then is refused and tries again later.
const TRANSFERS_MAX: usize = 20;
