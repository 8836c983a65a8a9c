//! Signatures for an answer: of each record set that somebody vouches for, by what was signed before or anew.
//!
//! ```text
//!   Answer { answer, authority } --each set, in one order--> dnssec::Signer --> Signed --> wire::compose
//! ```
//!
//! What is in the additional section is not signed: glue is not for its zone to vouch for, and other addresses are asked
//! for by those who need them.

use std::hash::RandomState;

use ring::rand::SystemRandom;
use smallvec::SmallVec;

use super::wire::rtype;
use crate::answer::{Answer, Data, RecordSet};
use crate::dnssec::{Cache, Figures, Keyring, RecordsToSign, Seconds, Signature, Signer, Unsigned};
use crate::plan::zone::name::Lower;

/// Signs for all threads, and remembers what was signed.
#[derive(Debug)]
pub struct Signing {
    cache: Cache,
    rng: SystemRandom,
}

/// The signatures of an answer.
#[derive(Debug)]
pub struct Signed<'k> {
    /// For the signers' names.
    pub keys: &'k Keyring,
    /// By the set they are of, counted through the answer and then the authority section.
    pub signatures: SmallVec<[(usize, Signature); 2]>,
    /// Nothing was asked for but signatures.
    only_signatures: bool,
}

impl Signed<'_> {
    /// Whether the signatures of a set go without it: what is asked for is answered with those of a proof.
    pub fn alone_in(&self, set: &RecordSet<'_>) -> bool {
        self.only_signatures && set.rtype == rtype::NSEC
    }
}

impl Signing {
    /// Remembers so many signatures at most.
    pub fn new(signatures_max: usize) -> Self {
        let chance = [RandomState::new(), RandomState::new()];
        Self { cache: Cache::new(signatures_max, chance), rng: SystemRandom::new() }
    }

    /// What was signed so far.
    pub fn figures(&self) -> Figures {
        self.cache.figures()
    }

    /// Signs with these keys what others keep: signatures that are young.
    pub(super) fn for_others<'s>(&'s self, keys: &'s Keyring, now: Seconds) -> Signer<'s> {
        self.signer(keys, now, keys.policy.refresh_for_others())
    }

    #[inline]
    fn signer<'s>(&'s self, keyring: &'s Keyring, now: Seconds, refresh: u64) -> Signer<'s> {
        Signer { keyring, cache: &self.cache, rng: &self.rng, now, refresh }
    }

    /// Signs an answer to a question of this name and type.
    ///
    /// # Errors
    /// The system has no chance to give. Such an answer must not leave.
    pub fn sign<'k>(
        &self,
        answer: &Answer<'_>,
        (name, qtype): (&[u8], u16),
        keys: &'k Keyring,
        now: Seconds,
    ) -> Result<Signed<'k>, Unsigned> {
        let signer = self.signer(keys, now, keys.policy.refresh);
        let mut signatures = SmallVec::new();
        for (number, set) in answer.answer.iter().chain(&answer.authority).enumerate() {
            let Some(zone) = set.signed else { continue };
            let owner = Lower::new(set.owner.wire(name));
            let RecordSet { rtype, ttl, .. } = *set;
            let made = with_data(set, |data| {
                signer.sign(zone, &RecordsToSign { owner: owner.as_slice(), rtype, ttl, data })
            })?;
            signatures.extend(made.into_iter().map(|signature| (number, signature)));
        }
        let only_signatures = qtype == rtype::RRSIG && answer.authority.is_empty();
        Ok(Signed { keys, signatures, only_signatures })
    }
}

/// Calls `look` with the records of a set, each after its length. Addresses that were chosen are put in order: a pool
/// that rotates them is not signed anew for each turn.
fn with_data<R>(set: &RecordSet<'_>, look: impl FnOnce(&[u8]) -> R) -> R {
    let mut octets: SmallVec<[u8; 144]> = SmallVec::new();
    match &set.data {
        Data::Stored(stored) => return look(stored),
        Data::Made(made) => return look(made),
        Data::A(addresses) => {
            let mut addresses = addresses.clone();
            addresses.sort_unstable();
            addresses.iter().for_each(|address| put(&mut octets, &address.octets()));
        }
        Data::Aaaa(addresses) => {
            let mut addresses = addresses.clone();
            addresses.sort_unstable();
            addresses.iter().for_each(|address| put(&mut octets, &address.octets()));
        }
        Data::Target(name) => put(&mut octets, name),
    }
    look(&octets)
}

fn put(octets: &mut SmallVec<[u8; 144]>, rdata: &[u8]) {
    octets.extend_from_slice(&(rdata.len() as u16).to_be_bytes());
    octets.extend_from_slice(rdata);
}
