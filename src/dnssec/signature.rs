//! Making signatures (RFC 4034 section 3), or remembering them.
//!
//! ```text
//!          made here
//!   |-------|---------------------------------|-----------|-----------|
//!   now - skew                        used until here   refresh      end = now + validity
//! ```
//!
//! A clock that is behind ours by less than `skew` finds the signature begun, and one that is ahead finds it valid for
//! at least `refresh`, which is also what resolvers may keep it for. What is signed in one moment is not all made anew
//! in one moment: each set has its own within the first quarter of `refresh`.

use ring::rand::SecureRandom;
use smallvec::SmallVec;

use crate::dnssec::cache::{Cache, Held, Print};
use crate::dnssec::canonical::Canonical;
use crate::dnssec::key::{Key, SIGNATURE};
use crate::dnssec::keyring::{Keyring, Policy, SignedId, ZoneKeys};
use crate::dnssec::timing::Seconds;

/// Records of one owner and type.
#[derive(Clone, Copy, Debug)]
pub struct RecordsToSign<'r> {
    /// Whose, in wire form, lower case.
    pub owner: &'r [u8],
    /// Their type.
    pub rtype: u16,
    /// As it is answered.
    pub ttl: u32,
    /// One or more times: length (two octets, big-endian) and RDATA with uncompressed names. The same set always in
    /// the same order: another order is signed again.
    pub data: &'r [u8],
}

/// An RRSIG record, but for its owner and the signer's name, which is the apex of the zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature {
    /// The TTL that the record has: that of the records.
    pub ttl: u32,
    /// RDATA before the signer's name.
    pub head: [u8; HEAD],
    /// RDATA after it.
    pub octets: [u8; SIGNATURE],
}

/// The signatures of one set: one, but for rollovers.
pub type Signatures = SmallVec<[Signature; 1]>;

/// A set could not be signed: chance failed. To be answered with SERVFAIL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsigned;

/// Signs at one moment.
#[derive(Clone, Copy)]
pub struct Signer<'k> {
    /// With these keys.
    pub keyring: &'k Keyring,
    /// What was signed before.
    pub cache: &'k Cache,
    /// ECDSA needs it for every signature.
    pub rng: &'k dyn SecureRandom,
    /// What time it is.
    pub now: Seconds,
    /// A signature that ends sooner than this, in seconds, is made anew.
    pub refresh: u64,
}

impl Signer<'_> {
    /// The signatures of a set of a zone.
    ///
    /// # Errors
    /// Chance failed.
    pub fn sign(&self, zone: SignedId, records: &RecordsToSign<'_>) -> Result<Signatures, Unsigned> {
        let zone = self.keyring.zone(zone);
        let epoch = zone.at(self.now);
        let about_keys = matches!(records.rtype, DNSKEY | CDS | CDNSKEY);
        let signers = if about_keys { &epoch.key_signers } else { &epoch.data_signers };
        signers.iter().map(|key| self.sign_by(key, zone, records)).collect()
    }

    fn sign_by(
        &self,
        key: &Key,
        zone: &ZoneKeys,
        records: &RecordsToSign<'_>,
    ) -> Result<Signature, Unsigned> {
        let RecordsToSign { owner, rtype, ttl, data } = *records;
        let mut fixed = [0; 14];
        fixed[..8].copy_from_slice(&key.id.to_be_bytes());
        fixed[8..10].copy_from_slice(&rtype.to_be_bytes());
        fixed[10..].copy_from_slice(&ttl.to_be_bytes());
        let print = self.cache.print([&fixed, owner, data]);
        let good = |held: &Held| self.allows(held, print);
        let held = match self.cache.get(print, good) {
            Some(held) => held,
            None => {
                let held = self.make(key, zone, records)?;
                self.cache.put(print, held);
                held
            }
        };
        let head = head(key, records, held.inception, held.expiration);
        Ok(Signature { ttl, head, octets: held.octets })
    }

    fn make(&self, key: &Key, zone: &ZoneKeys, records: &RecordsToSign<'_>) -> Result<Held, Unsigned> {
        let Policy { validity, skew, .. } = self.keyring.policy;
        // RRSIG counts in 32 bits, which go round (RFC 4034 section 3.1.5).
        let inception = self.now.0.saturating_sub(skew) as u32;
        let expiration = self.now.plus(validity).0 as u32;
        let mut octets = Vec::with_capacity(512);
        octets.extend(head(key, records, inception, expiration));
        octets.extend(zone.apex());
        let canonical = Canonical::of(records.rtype, records.each());
        canonical.write(records.owner, records.rtype, records.ttl, &mut octets);
        let octets = key.sign(&octets, self.rng).ok_or(Unsigned)?;
        Ok(Held { inception, expiration, octets })
    }

    /// Whether a signature may still be given out: begun, and not near its end.
    #[inline]
    fn allows(&self, held: &Held, print: Print) -> bool {
        let spread = print.spread(self.refresh / 4);
        let now = self.now.0 as u32;
        let left = held.expiration.wrapping_sub(now) as i32;
        let begun = now.wrapping_sub(held.inception) as i32;
        begun >= 0 && i64::from(left) > (self.refresh + spread) as i64
            // After the clock was set back, or the validity shortened: it would hold longer than it should.
            && i64::from(left) <= self.keyring.policy.validity as i64
    }
}

impl<'r> RecordsToSign<'r> {
    /// The RDATA of each.
    fn each(&self) -> impl Iterator<Item = &'r [u8]> {
        let mut rest = self.data;
        std::iter::from_fn(move || {
            let (length, after) = rest.split_first_chunk()?;
            let (rdata, after) = after.split_at_checked(u16::from_be_bytes(*length).into())?;
            rest = after;
            Some(rdata)
        })
    }

    /// The labels of the owner, without the root and without an asterisk at its start (RFC 4034 section 3.1.3).
    /// What a wildcard speaks for is signed under the name that was asked: nobody need know of the wildcard.
    fn labels(&self) -> u8 {
        let (mut at, mut labels) = (0, 0);
        while let Some(&label) = self.owner.get(at)
            && label != 0
        {
            labels += u8::from(at > 0 || !self.owner.starts_with(ASTERISK));
            at += 1 + usize::from(label);
        }
        labels
    }
}

/// RDATA of an RRSIG before the signer's name.
fn head(key: &Key, records: &RecordsToSign<'_>, inception: u32, expiration: u32) -> [u8; HEAD] {
    let mut head = [0; HEAD];
    head[..2].copy_from_slice(&records.rtype.to_be_bytes());
    head[2] = key.record.algorithm.number();
    head[3] = records.labels();
    head[4..8].copy_from_slice(&records.ttl.to_be_bytes());
    head[8..12].copy_from_slice(&expiration.to_be_bytes());
    head[12..16].copy_from_slice(&inception.to_be_bytes());
    head[16..].copy_from_slice(&key.tag.to_be_bytes());
    head
}

/// Octets of the RDATA of an RRSIG before the signer's name.
pub const HEAD: usize = 18;

const ASTERISK: &[u8] = b"\x01*";
const DNSKEY: u16 = 48;
const CDS: u16 = 59;
const CDNSKEY: u16 = 60;

#[cfg(test)]
mod tests {
    use std::hash::RandomState;
    use std::sync::Arc;

    use ring::rand::SystemRandom;
    use ring::signature::{ED25519, UnparsedPublicKey};

    use super::*;
    use crate::dnssec::key::{Algorithm, Role};
    use crate::dnssec::timing::Timing;

    /// One zone `example.org` with a key of Ed25519.
    struct World {
        keyring: Keyring,
        cache: Cache,
        rng: SystemRandom,
    }

    const ZONE: SignedId = SignedId(std::num::NonZeroU16::MIN);
    const HOUR: u64 = 3600;
    const DAY: u64 = 24 * HOUR;
    const START: u64 = 1_795_272_815;

    impl World {
        fn new() -> Self {
            let rng = SystemRandom::new();
            let (record, private) =
                Key::generate(Algorithm::Ed25519, Role::KeySigning, &rng).expect("chance");
            let timing = Timing { activate: Some(Seconds(1)), ..Timing::default() };
            let key = Key::new(record, &private, timing, &rng).expect("a pair");
            let zone = ZoneKeys::new("Example.org".parse().expect("a name"), vec![Arc::new(key)]);
            let cache = Cache::new(1000, [RandomState::new(), RandomState::new()]);
            Self { keyring: Keyring::new(Policy::default(), vec![zone]), cache, rng }
        }

        fn sign(&self, records: &RecordsToSign<'_>, now: u64) -> Signature {
            let Self { keyring, cache, rng } = self;
            let refresh = keyring.policy.refresh;
            let signer = Signer { keyring, cache, rng, now: Seconds(now), refresh };
            signer.sign(ZONE, records).expect("chance")[0]
        }

        fn made(&self) -> u64 {
            self.cache.figures().made
        }
    }

    const A: RecordsToSign<'_> = RecordsToSign {
        owner: b"\x03www\x07example\x03org\0",
        rtype: 1,
        ttl: 30,
        data: &[0, 4, 192, 0, 2, 2, 0, 4, 192, 0, 2, 1],
    };

    fn times(signature: &Signature) -> (u64, u64) {
        let word =
            |at: usize| u32::from_be_bytes(signature.head[at..at + 4].try_into().expect("four")).into();
        (word(12), word(8))
    }

    #[test]
    fn rfc_4034_section_3_1_8_1_the_signature_is_of_the_canonical_octets() {
        let world = World::new();
        let signature = world.sign(&A, START);
        let mut octets = signature.head.to_vec();
        octets.extend(b"\x07example\x03org\0");
        for last in [1, 2] {
            octets.extend(b"\x03www\x07example\x03org\0\0\x01\0\x01\0\0\0\x1e\0\x04");
            octets.extend([192, 0, 2, last]);
        }
        let public = &world.keyring.zone(ZONE).keys()[0].record.public;
        assert!(UnparsedPublicKey::new(&ED25519, public).verify(&octets, &signature.octets).is_ok());
        assert_eq!(signature.head[..8], [0, 1, 15, 3, 0, 0, 0, 30]);
    }

    #[test]
    fn rfc_4034_section_3_1_3_an_asterisk_is_no_label() {
        let labels = |owner| RecordsToSign { owner, ..A }.labels();
        assert_eq!(labels(b"\x01*\x07example\x03org\0"), 2);
        assert_eq!(labels(b"\x01a\x01*\x03org\0"), 3);
        assert_eq!(labels(b"\0"), 0);
    }

    #[test]
    fn a_signature_allows_for_clocks_that_are_wrong_at_both_ends() {
        let (inception, expiration) = times(&World::new().sign(&A, START));
        assert_eq!((inception, expiration), (START - HOUR, START + 7 * DAY));
    }

    #[test]
    fn an_answer_costs_one_signature_for_each_of_its_forms_and_each_period() {
        let world = World::new();
        for now in [START, START + 1, START + DAY, START + 4 * DAY] {
            world.sign(&A, now);
            world.sign(&RecordsToSign { ttl: 15, ..A }, now);
        }
        assert_eq!(world.made(), 2);
        let again = world.sign(&A, START + 5 * DAY);
        assert_eq!(times(&again), (START + 5 * DAY - HOUR, START + 12 * DAY));
        assert_eq!(world.made(), 3);
    }

    #[test]
    fn a_signature_is_never_given_out_near_its_end_or_before_its_beginning() {
        let world = World::new();
        let mut now = START;
        for _ in 0..200 {
            let (inception, expiration) = times(&world.sign(&A, now));
            assert!(inception + HOUR <= now && now + 2 * DAY < expiration);
            now += 7 * HOUR;
        }
        let made = world.made();
        let (inception, _) = times(&world.sign(&A, START));
        assert_eq!((inception, world.made()), (START - HOUR, made + 1), "the clock was set back");
    }

    #[test]
    fn who_keeps_a_signature_gets_a_younger_one() {
        let mut world = World::new();
        world.sign(&A, START);
        let refresh = world.keyring.policy.refresh_for_others();
        world.keyring.policy.refresh = refresh;
        for (later, made) in [(0, 1), (3 * HOUR, 1), (2 * DAY, 2)] {
            let (_, expiration) = times(&world.sign(&A, START + later));
            assert!(expiration >= START + later + refresh);
            assert_eq!(world.made(), made, "{later}");
        }
    }

    #[test]
    fn what_is_signed_at_once_is_not_made_anew_at_once() {
        let world = World::new();
        let owners: Vec<Vec<u8>> =
            (0..100u8).map(|n| [&[1, n][..], b"\x07example\x03org\0"].concat()).collect();
        let sign_all = |now| {
            owners.iter().for_each(|owner| {
                world.sign(&RecordsToSign { owner, ..A }, now);
            })
        };
        sign_all(START);
        sign_all(START + 5 * DAY - 6 * HOUR);
        assert!((101..200).contains(&world.made()), "{}", world.made());
    }
}
