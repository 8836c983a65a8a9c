//! A key: what everybody may know of it, what only it can do, and when.

use std::fmt;
use std::sync::Arc;

use ring::digest;
use ring::rand::SecureRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, Signature,
};

use crate::dnssec::timing::Timing;
use crate::model::Name;

/// A way to sign. Both make signatures of [`SIGNATURE`] octets, from keys that fit a DNSKEY set many times over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Algorithm {
    /// ECDSA on P-256 with SHA-256 (RFC 6605): what every validator knows.
    EcdsaP256,
    /// Ed25519 (RFC 8080).
    Ed25519,
}

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// It signs the keys, and the parent's DS is of it; where there is no other, it signs everything.
    KeySigning,
    /// It signs all but the keys.
    ZoneSigning,
}

/// The public side of a key: its DNSKEY record (RFC 4034 section 2).
#[derive(Clone, PartialEq, Eq)]
pub struct KeyRecord {
    /// How it signs.
    pub algorithm: Algorithm,
    /// What for.
    pub role: Role,
    /// The public key as the record has it.
    pub public: Box<[u8]>,
}

/// A key of a zone, able to sign.
pub struct Key {
    /// What everybody may know.
    pub record: KeyRecord,
    /// When it does what.
    pub timing: Timing,
    /// Tells keys apart where their tags do not.
    pub(super) id: u64,
    pub(super) tag: u16,
    pair: Pair,
}

/// A private key that is none, or that belongs to another public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadKey;

enum Pair {
    EcdsaP256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl Algorithm {
    /// All there are.
    pub const ALL: [Algorithm; 2] = [Algorithm::EcdsaP256, Algorithm::Ed25519];

    /// Its number in records and names of files.
    pub const fn number(self) -> u8 {
        match self {
            Algorithm::EcdsaP256 => 13,
            Algorithm::Ed25519 => 15,
        }
    }

    /// Its mnemonic, as BIND writes it.
    pub const fn mnemonic(self) -> &'static str {
        match self {
            Algorithm::EcdsaP256 => "ECDSAP256SHA256",
            Algorithm::Ed25519 => "ED25519",
        }
    }

    /// The one with this number.
    pub fn of_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.number() == number)
    }

    /// Octets of a public key.
    pub const fn public_length(self) -> usize {
        match self {
            Algorithm::EcdsaP256 => 64,
            Algorithm::Ed25519 => 32,
        }
    }
}

impl Role {
    /// The flags of its DNSKEY record: a zone key, and for the one that the parent knows the SEP bit (RFC 3757).
    pub const fn flags(self) -> u16 {
        match self {
            Role::KeySigning => ZONE | SEP,
            Role::ZoneSigning => ZONE,
        }
    }

    /// The role of a key with these flags; `None`: it is no key of a zone, or was revoked (RFC 5011).
    pub fn of_flags(flags: u16) -> Option<Self> {
        match flags {
            SEP_ZONE => Some(Role::KeySigning),
            ZONE => Some(Role::ZoneSigning),
            _ => None,
        }
    }

    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Role::KeySigning => "KSK",
            Role::ZoneSigning => "ZSK",
        }
    }
}

impl KeyRecord {
    /// Its RDATA.
    pub fn rdata(&self) -> Vec<u8> {
        let [high, low] = self.role.flags().to_be_bytes();
        [&[high, low, PROTOCOL, self.algorithm.number()], &*self.public].concat()
    }

    /// The key tag (RFC 4034 appendix B): a short name, not always one of a kind.
    pub fn tag(&self) -> u16 {
        let shifted = |(at, octet): (usize, u8)| u32::from(octet) << if at % 2 == 0 { 8 } else { 0 };
        let sum: u32 = self.rdata().into_iter().enumerate().map(shifted).sum();
        (sum + (sum >> 16)) as u16
    }

    /// The RDATA of its DS record with a SHA-256 digest (RFC 4509): what the parent is to have, and CDS says.
    pub fn ds(&self, zone: &Name) -> Vec<u8> {
        let owner = zone.as_slice().to_ascii_lowercase();
        let digest = digest::digest(&digest::SHA256, &[owner, self.rdata()].concat());
        let [high, low] = self.tag().to_be_bytes();
        [&[high, low, self.algorithm.number(), SHA256], digest.as_ref()].concat()
    }
}

impl fmt::Debug for KeyRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.role.word(), self.algorithm.mnemonic(), self.tag())
    }
}

impl Key {
    /// Joins the halves of a key: they must belong together. `private`: the private key as key files have it.
    ///
    /// # Errors
    /// They do not, or the private one is no key.
    pub fn new(
        record: KeyRecord,
        private: &[u8],
        timing: Timing,
        rng: &dyn SecureRandom,
    ) -> Result<Self, BadKey> {
        let pair = match record.algorithm {
            Algorithm::EcdsaP256 => {
                let public = [&[UNCOMPRESSED], &*record.public].concat();
                let of = EcdsaKeyPair::from_private_key_and_public_key;
                // BIND's tools leave out the zeros that a number begins with: one key of 256 is shorter.
                let zeros = P256_PRIVATE.len().saturating_sub(private.len());
                let private = [&vec![0; zeros], private].concat();
                let pair = of(&ECDSA_P256_SHA256_FIXED_SIGNING, &private, &public, rng);
                Pair::EcdsaP256(pair.map_err(|_| BadKey)?)
            }
            Algorithm::Ed25519 => {
                let pair = Ed25519KeyPair::from_seed_and_public_key(private, &record.public);
                Pair::Ed25519(pair.map_err(|_| BadKey)?)
            }
        };
        let digest = digest::digest(&digest::SHA256, &record.rdata());
        let id = digest.as_ref().first_chunk().map_or(0, |octets| u64::from_be_bytes(*octets));
        Ok(Self { tag: record.tag(), record, timing, id, pair })
    }

    /// A new key: its public side and its private octets, as key files have them; `None`: chance fails.
    pub fn generate(
        algorithm: Algorithm,
        role: Role,
        rng: &dyn SecureRandom,
    ) -> Option<(KeyRecord, Vec<u8>)> {
        let (private, public) = match algorithm {
            Algorithm::EcdsaP256 => {
                let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, rng).ok()?;
                let octets = document.as_ref();
                // PKCS #8 as ring writes it, in which both stand at fixed places; `Key::new` would not take others.
                (octets.get(P256_PRIVATE)?.to_vec(), octets.get(P256_PUBLIC)?.to_vec())
            }
            Algorithm::Ed25519 => {
                let mut seed = vec![0; ED25519_SEED];
                rng.fill(&mut seed).ok()?;
                let pair = Ed25519KeyPair::from_seed_unchecked(&seed).ok()?;
                (seed, pair.public_key().as_ref().to_vec())
            }
        };
        let record = KeyRecord { algorithm, role, public: public.into() };
        Key::new(record.clone(), &private, Timing::default(), rng).ok()?;
        Some((record, private))
    }

    /// Signs; `None`: chance fails.
    pub(super) fn sign(&self, octets: &[u8], rng: &dyn SecureRandom) -> Option<[u8; SIGNATURE]> {
        let signature: Signature = match &self.pair {
            Pair::EcdsaP256(pair) => pair.sign(rng, octets).ok()?,
            Pair::Ed25519(pair) => pair.sign(octets),
        };
        signature.as_ref().try_into().ok()
    }
}

/// Never shows what is private.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.record)
    }
}

/// A key, to be held by whatever signs with it.
pub(super) type SharedKey = Arc<Key>;

/// Octets of a signature of either algorithm.
pub(super) const SIGNATURE: usize = 64;
/// DNSKEY's protocol field (RFC 4034 section 2.1.2).
const PROTOCOL: u8 = 3;
const ZONE: u16 = 0x0100;
const SEP: u16 = 0x0001;
const SEP_ZONE: u16 = ZONE | SEP;
/// DS's digest type (RFC 4509).
const SHA256: u8 = 2;
/// What stands before both coordinates of a point (SEC 1); DNSKEY leaves it out (RFC 6605 section 4).
const UNCOMPRESSED: u8 = 4;
const ED25519_SEED: usize = 32;
const P256_PRIVATE: std::ops::Range<usize> = 36..68;
const P256_PUBLIC: std::ops::Range<usize> = 74..138;

#[cfg(test)]
mod tests {
    use domain::base::iana::SecurityAlgorithm;
    use domain::rdata::Dnskey;
    use ring::rand::SystemRandom;
    use ring::signature::{ECDSA_P256_SHA256_FIXED, ED25519, UnparsedPublicKey};

    use super::*;

    fn generated(algorithm: Algorithm, role: Role) -> Key {
        let rng = SystemRandom::new();
        let (record, private) = Key::generate(algorithm, role, &rng).expect("chance");
        Key::new(record, &private, Timing::default(), &rng).expect("a pair")
    }

    #[test]
    fn a_generated_key_makes_signatures_that_its_public_side_verifies() {
        let rng = SystemRandom::new();
        let key = generated(Algorithm::EcdsaP256, Role::ZoneSigning);
        let signature = key.sign(b"octets", &rng).expect("chance");
        let public = [&[4], &*key.record.public].concat();
        assert!(
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, public).verify(b"octets", &signature).is_ok()
        );
        let key = generated(Algorithm::Ed25519, Role::KeySigning);
        let signature = key.sign(b"octets", &rng).expect("no chance needed");
        assert!(UnparsedPublicKey::new(&ED25519, &key.record.public).verify(b"octets", &signature).is_ok());
    }

    #[test]
    fn a_private_key_of_another_public_one_is_refused() {
        let rng = SystemRandom::new();
        for algorithm in Algorithm::ALL {
            let (record, _) = Key::generate(algorithm, Role::ZoneSigning, &rng).expect("chance");
            let (_, other) = Key::generate(algorithm, Role::ZoneSigning, &rng).expect("chance");
            assert_eq!(Key::new(record, &other, Timing::default(), &rng).err(), Some(BadKey));
        }
    }

    #[test]
    fn tags_are_those_of_rfc_4034_appendix_b() {
        for algorithm in Algorithm::ALL {
            let record = generated(algorithm, Role::KeySigning).record;
            let number = SecurityAlgorithm::from_int(algorithm.number());
            let known = Dnskey::new(record.role.flags(), 3, number, record.public.to_vec()).expect("short");
            assert_eq!(record.tag(), known.key_tag());
        }
    }

    #[test]
    fn what_is_private_is_not_shown() {
        let key = generated(Algorithm::Ed25519, Role::KeySigning);
        assert_eq!(format!("{key:?}"), format!("KSK ED25519 {}", key.record.tag()));
    }
}
