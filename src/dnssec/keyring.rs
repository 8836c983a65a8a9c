//! The keys of all signed zones, and who does what at which time.
//!
//! ```text
//!   times of all keys of a zone, in order:   |--------|------------|-------|------->
//!   between two of them nothing changes:       Epoch      Epoch      Epoch   Epoch
//! ```
//!
//! A zone that is signed is never without a signature: when the last key that could sign has reached its end and none
//! has followed it, it goes on, is shown, and the epoch says so. That is for a server at work; none starts like that.

use std::num::NonZeroU16;
use std::time::Duration;

use smallvec::SmallVec;

use crate::dnssec::key::{Algorithm, Role, SharedKey};
use crate::dnssec::timing::Seconds;
use crate::model::{Fingerprint, Name};

/// A signed zone: its place in [`Keyring`], from 1. Two octets, because each record set of an answer has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignedId(pub(super) NonZeroU16);

impl SignedId {
    /// Signed zones at most.
    pub const MAX: usize = u16::MAX as usize;

    fn at(index: usize) -> Option<Self> {
        u16::try_from(index + 1).ok().and_then(NonZeroU16::new).map(Self)
    }

    #[inline]
    fn index(self) -> usize {
        usize::from(self.0.get()) - 1
    }
}

/// The keys of all signed zones.
#[derive(Debug, Default)]
pub struct Keyring {
    /// How long what holds.
    pub policy: Policy,
    zones: Vec<ZoneKeys>,
}

/// How long what holds, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// A signature, from when it is made.
    pub validity: u64,
    /// A signature that ends sooner than this is made anew.
    pub refresh: u64,
    /// The clocks of others may be behind ours by so much.
    pub skew: u64,
    /// The TTL of DNSKEY, CDS and CDNSKEY.
    pub key_ttl: u32,
}

/// The keys of one zone.
#[derive(Debug)]
pub struct ZoneKeys {
    zone: Name,
    /// As records name it: in lower case, wire form.
    apex: Box<[u8]>,
    keys: Vec<SharedKey>,
    /// By when each begins; the first at 0.
    epochs: Vec<Epoch>,
}

/// A time in which no key changes what it does.
#[derive(Debug)]
pub struct Epoch {
    from: Seconds,
    /// What the zone says of its keys.
    pub published: Published,
    /// Whether keys are used beyond their end, because none followed them.
    pub overdue: bool,
    /// For DNSKEY, CDS and CDNSKEY.
    pub(super) key_signers: Signers,
    /// For everything else.
    pub(super) data_signers: Signers,
}

/// What a zone says of its keys: of each type one or more times the length (two octets) and the RDATA; empty if there
/// are no such records.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Published {
    /// The keys.
    pub dnskey: Box<[u8]>,
    /// What the parent's DS should be (RFC 7344),
    pub cds: Box<[u8]>,
    /// or be made from.
    pub cdnskey: Box<[u8]>,
}

/// Why the keys of a zone cannot sign it at some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CannotSign {
    /// There are none.
    NoKey,
    /// The first begins to sign then.
    NotYet(Seconds),
    /// The last stopped to sign then.
    Expired(Seconds),
}

/// The keys that sign something: mostly one.
pub(super) type Signers = SmallVec<[SharedKey; 1]>;

impl Keyring {
    /// The keyring of these zones; [`SignedId::MAX`] of them at most.
    pub fn new(policy: Policy, zones: Vec<ZoneKeys>) -> Self {
        Self { policy, zones }
    }

    /// The keys of a zone.
    #[inline]
    pub fn zone(&self, id: SignedId) -> &ZoneKeys {
        &self.zones[id.index()]
    }

    /// Whether no zone is signed.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.zones.is_empty()
    }

    /// The keys of all signed zones.
    pub fn zones(&self) -> impl Iterator<Item = (SignedId, &ZoneKeys)> {
        (0..).map_while(SignedId::at).zip(&self.zones)
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self { validity: 7 * DAY, refresh: 2 * DAY, skew: 60 * 60, key_ttl: 60 * 60 }
    }
}

impl Policy {
    /// How long until a DNSKEY set with a new key is known everywhere: Ipub of RFC 7583.
    pub fn publication(&self) -> u64 {
        PROPAGATION + u64::from(self.key_ttl)
    }

    /// How long until nothing that was signed is held by anybody, if no TTL of the zone is longer than this: Iret.
    pub fn retirement(&self, ttl_max: u32) -> u64 {
        PROPAGATION + u64::from(ttl_max.max(self.key_ttl))
    }

    /// What others are given of a zone that is signed has signatures that end no sooner than this: they keep it until
    /// they are told of other ones, and should not need us for a while after that.
    pub fn refresh_for_others(&self) -> u64 {
        self.validity / 4 * 3
    }

    /// How often others are told of other signatures, long before theirs end.
    fn renewal(&self) -> u64 {
        (self.refresh / 2).max(1)
    }

    /// The settings as durations: validity, refresh, skew and the TTL of keys.
    pub fn of(validity: Duration, refresh: Duration, skew: Duration, key_ttl: Duration) -> Self {
        let [validity, refresh, skew, key_ttl] =
            [validity, refresh, skew, key_ttl].map(|time| time.as_secs());
        Self { validity, refresh, skew, key_ttl: u32::try_from(key_ttl).unwrap_or(u32::MAX) }
    }
}

impl ZoneKeys {
    /// The keys of a zone, in any order.
    pub fn new(zone: Name, keys: Vec<SharedKey>) -> Self {
        let mut turns: Vec<Seconds> = keys.iter().flat_map(|key| key.timing.turns()).collect();
        turns.push(Seconds(0));
        turns.sort_unstable();
        turns.dedup();
        let epochs = turns.into_iter().map(|from| Epoch::new(&zone, &keys, from)).collect();
        let apex = zone.as_slice().to_ascii_lowercase().into();
        Self { zone, apex, keys, epochs }
    }

    /// The zone.
    pub fn zone(&self) -> &Name {
        &self.zone
    }

    /// Its apex, in lower case, wire form.
    #[inline]
    pub fn apex(&self) -> &[u8] {
        &self.apex
    }

    /// All its keys.
    pub fn keys(&self) -> &[SharedKey] {
        &self.keys
    }

    /// Who does what now.
    #[inline]
    pub fn at(&self, now: Seconds) -> &Epoch {
        let after = self.epochs.partition_point(|epoch| epoch.from <= now);
        &self.epochs[after.saturating_sub(1)]
    }

    /// Whether something changed between two times.
    pub fn turned(&self, before: Seconds, now: Seconds) -> bool {
        self.at(before).from != self.at(now).from
    }

    /// Whether others who took the zone before should take it anew now, for its keys or its signatures.
    pub fn renewed(&self, policy: &Policy, before: Seconds, now: Seconds) -> bool {
        before.0 / policy.renewal() != now.0 / policy.renewal() || self.turned(before, now)
    }

    /// What others take from now on is signed so: another number, when they should take it anew.
    pub fn signed_as(&self, policy: &Policy, now: Seconds) -> Fingerprint {
        let Epoch { published, data_signers, key_signers, .. } = self.at(now);
        let signers = data_signers.iter().chain(key_signers);
        let fingerprint = Fingerprint::new()
            .with(&(now.0 / policy.renewal()).to_be_bytes())
            .with(&published.dnskey)
            .with(&published.cds)
            .with(&published.cdnskey);
        signers.fold(fingerprint, |fingerprint, key| fingerprint.with(&key.record.tag().to_be_bytes()))
    }

    /// Whether the zone can be signed as its keys say.
    ///
    /// # Errors
    /// Why it cannot, or not by keys in their time.
    pub fn check(&self, now: Seconds) -> Result<(), CannotSign> {
        let epoch = self.at(now);
        if !epoch.overdue && !epoch.data_signers.is_empty() {
            return Ok(());
        }
        let activations = self.keys.iter().filter_map(|key| key.timing.activate);
        Err(match (activations.min(), last_to_cease(&self.keys, now, |_| true).first()) {
            (None, _) => CannotSign::NoKey,
            (Some(_), Some(last)) => CannotSign::Expired(last.timing.ceases().unwrap_or_default()),
            (Some(first), None) => CannotSign::NotYet(first),
        })
    }
}

impl Epoch {
    fn new(zone: &Name, keys: &[SharedKey], from: Seconds) -> Self {
        let active =
            |role: Role| keys.iter().filter(move |key| key.record.role == role && key.timing.is_active(from));
        let mut key_signers = by_algorithm(active(Role::KeySigning), active(Role::ZoneSigning));
        let mut data_signers = by_algorithm(active(Role::ZoneSigning), active(Role::KeySigning));
        let overdue = data_signers.is_empty();
        if overdue {
            data_signers = last_to_cease(keys, from, |key| key.role == Role::ZoneSigning);
            if data_signers.is_empty() {
                data_signers = last_to_cease(keys, from, |_| true);
            }
            if key_signers.is_empty() {
                key_signers = last_to_cease(keys, from, |key| key.role == Role::KeySigning);
            }
            if key_signers.is_empty() {
                key_signers.clone_from(&data_signers);
            }
        }
        let used =
            |key: &SharedKey| key_signers.iter().chain(&data_signers).any(|signer| signer.id == key.id);
        let kept = |key: &&SharedKey| key.timing.is_published(from) || (overdue && used(key));
        let records = |keys: &mut dyn Iterator<Item = Vec<u8>>| -> Box<[u8]> {
            keys.flat_map(|rdata| [&(rdata.len() as u16).to_be_bytes()[..], &rdata].concat()).collect()
        };
        let synced = || keys.iter().filter(|key| key.timing.is_synced(from));
        let published = Published {
            dnskey: records(&mut keys.iter().filter(kept).map(|key| key.record.rdata())),
            cds: records(&mut synced().map(|key| key.record.ds(zone))),
            cdnskey: records(&mut synced().map(|key| key.record.rdata())),
        };
        Self { from, published, overdue, key_signers, data_signers }
    }

    /// The tags of the keys that sign all but the keys.
    pub fn signing_tags(&self) -> impl Iterator<Item = u16> {
        self.data_signers.iter().map(|key| key.record.tag())
    }

    /// The tags of the keys that sign the keys.
    pub fn key_tags(&self) -> impl Iterator<Item = u16> {
        self.key_signers.iter().map(|key| key.record.tag())
    }
}

/// Of each algorithm the keys that are meant for it, or the others if there is none: RFC 6840 section 5.11 wants every
/// algorithm of the keys in every set of signatures.
fn by_algorithm<'k>(
    meant: impl Iterator<Item = &'k SharedKey> + Clone,
    others: impl Iterator<Item = &'k SharedKey> + Clone,
) -> Signers {
    let mut signers = Signers::new();
    for algorithm in Algorithm::ALL {
        let before = signers.len();
        let of_it = |key: &&SharedKey| key.record.algorithm == algorithm;
        signers.extend(meant.clone().filter(of_it).cloned());
        if signers.len() == before {
            signers.extend(others.clone().filter(of_it).cloned());
        }
    }
    signers
}

/// The key of those that signed once, and are `wanted`, which stopped last.
fn last_to_cease(
    keys: &[SharedKey],
    now: Seconds,
    wanted: impl Fn(&crate::dnssec::KeyRecord) -> bool,
) -> Signers {
    let began = |key: &&SharedKey| key.timing.activate.is_some_and(|from| from <= now);
    let ceased = keys.iter().filter(|key| wanted(&key.record)).filter(began);
    ceased.max_by_key(|key| key.timing.ceases()).cloned().into_iter().collect()
}

const DAY: u64 = 24 * 60 * 60;

/// How long after a change of the files every server of the fleet is taken to answer by it.
const PROPAGATION: u64 = 60 * 60;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ring::rand::SystemRandom;

    use super::*;
    use crate::dnssec::key::Key;
    use crate::dnssec::timing::Timing;

    fn key(algorithm: Algorithm, role: Role, timing: Timing) -> SharedKey {
        let rng = SystemRandom::new();
        let (record, private) = Key::generate(algorithm, role, &rng).expect("chance");
        Arc::new(Key::new(record, &private, timing, &rng).expect("a pair"))
    }

    fn times(publish: u64, activate: u64, inactive: Option<u64>, delete: Option<u64>) -> Timing {
        Timing {
            publish: Some(Seconds(publish)),
            activate: Some(Seconds(activate)),
            inactive: inactive.map(Seconds),
            delete: delete.map(Seconds),
            ..Timing::default()
        }
    }

    fn p256(role: Role, timing: Timing) -> SharedKey {
        key(Algorithm::EcdsaP256, role, timing)
    }

    fn zone(keys: &[&SharedKey]) -> ZoneKeys {
        let keys = keys.iter().map(|key| Arc::clone(key)).collect();
        ZoneKeys::new("example.org".parse().expect("a name"), keys)
    }

    fn tags(signers: &Signers) -> Vec<u16> {
        signers.iter().map(|key| key.record.tag()).collect()
    }

    fn count(records: &[u8], length: usize) -> usize {
        records.len() / (2 + length)
    }

    #[test]
    fn a_zone_signing_key_signs_all_but_the_keys() {
        let ksk = p256(Role::KeySigning, times(1, 1, None, None));
        let zsk = p256(Role::ZoneSigning, times(1, 1, None, None));
        let zone = zone(&[&ksk, &zsk]);
        let epoch = zone.at(Seconds(1));
        assert_eq!(tags(&epoch.key_signers), [ksk.record.tag()]);
        assert_eq!(tags(&epoch.data_signers), [zsk.record.tag()]);
        assert_eq!(count(&epoch.published.dnskey, 68), 2);
    }

    #[test]
    fn a_key_signing_key_alone_signs_everything() {
        let csk = p256(Role::KeySigning, times(1, 1, None, None));
        let zone = zone(&[&csk]);
        assert_eq!(tags(&zone.at(Seconds(1)).data_signers), [csk.record.tag()]);
    }

    #[test]
    fn rfc_7583_section_3_2_1_a_zone_signing_key_is_published_before_it_signs() {
        let ksk = p256(Role::KeySigning, times(1, 1, None, None));
        let old = p256(Role::ZoneSigning, times(1, 1, Some(100), Some(200)));
        let new = p256(Role::ZoneSigning, times(50, 100, None, None));
        let zone = zone(&[&ksk, &old, &new]);
        for (now, signs, keys) in
            [(49, &old, 2), (50, &old, 3), (99, &old, 3), (100, &new, 3), (200, &new, 2)]
        {
            let epoch = zone.at(Seconds(now));
            assert_eq!(tags(&epoch.data_signers), [signs.record.tag()], "at {now}");
            assert_eq!(count(&epoch.published.dnskey, 68), keys, "at {now}");
            assert!(!epoch.overdue);
        }
        assert!(zone.turned(Seconds(99), Seconds(100)) && !zone.turned(Seconds(60), Seconds(99)));
    }

    #[test]
    fn rfc_7583_section_3_3_1_two_key_signing_keys_both_sign_the_keys() {
        let old = p256(Role::KeySigning, times(1, 1, Some(100), Some(100)));
        let new = p256(Role::KeySigning, times(50, 50, None, None));
        let zsk = p256(Role::ZoneSigning, times(1, 1, None, None));
        let zone = zone(&[&old, &new, &zsk]);
        assert_eq!(zone.at(Seconds(60)).key_signers.len(), 2);
        assert_eq!(tags(&zone.at(Seconds(60)).data_signers), [zsk.record.tag()]);
        assert_eq!(tags(&zone.at(Seconds(100)).key_signers), [new.record.tag()]);
    }

    #[test]
    fn others_take_a_zone_anew_for_other_keys_and_long_before_its_signatures_end() {
        let policy = Policy::default();
        let csk = p256(Role::KeySigning, times(1, 1, None, None));
        let zsk = p256(Role::ZoneSigning, times(3 * DAY + 50, 3 * DAY + 60, None, None));
        let zone = zone(&[&csk, &zsk]);
        let now = Seconds(3 * DAY);
        for (later, renewed) in [(49, false), (50, true), (55, true), (DAY - 1, true), (DAY, true)] {
            let later = now.plus(later);
            assert_eq!(zone.renewed(&policy, now, later), renewed, "{later}");
            assert_eq!(zone.signed_as(&policy, now) != zone.signed_as(&policy, later), renewed, "{later}");
        }
        assert!(zone.renewed(&policy, now.plus(60), now.plus(DAY)));
        assert!(!zone.renewed(&policy, now.plus(60), now.plus(DAY - 1)));
        // The longest wait of others for a renewal leaves them most of the time of a signature.
        for policy in [policy, Policy { refresh: 5 * DAY, ..policy }] {
            assert!(policy.refresh_for_others() >= policy.renewal() + policy.validity / 4);
        }
    }

    #[test]
    fn rfc_6840_section_5_11_every_algorithm_signs() {
        let keys = Algorithm::ALL.map(|algorithm| key(algorithm, Role::KeySigning, times(1, 1, None, None)));
        let zone = zone(&[&keys[0], &keys[1]]);
        assert_eq!(zone.at(Seconds(1)).data_signers.len(), 2);
    }

    #[test]
    fn rfc_7344_cds_is_there_while_it_is_to_be() {
        let timing = Timing {
            sync_publish: Some(Seconds(10)),
            sync_delete: Some(Seconds(20)),
            ..times(1, 1, None, None)
        };
        let zone = zone(&[&p256(Role::KeySigning, timing)]);
        let cds = |now| count(&zone.at(Seconds(now)).published.cds, 36);
        assert_eq!([cds(9), cds(10), cds(19), cds(20)], [0, 1, 1, 0]);
    }

    #[test]
    fn a_zone_whose_last_key_has_ended_is_signed_all_the_same_and_says_so() {
        let old = p256(Role::KeySigning, times(1, 1, Some(50), Some(60)));
        let last = p256(Role::KeySigning, times(1, 1, Some(100), Some(200)));
        let zone = zone(&[&old, &last]);
        let epoch = zone.at(Seconds(500));
        assert!(epoch.overdue);
        assert_eq!(tags(&epoch.data_signers), [last.record.tag()]);
        assert_eq!(tags(&epoch.key_signers), [last.record.tag()]);
        assert_eq!(count(&epoch.published.dnskey, 68), 1);
    }

    #[test]
    fn keys_that_cannot_sign_are_told_why() {
        let check = |keys: &[&SharedKey], now| zone(keys).check(Seconds(now));
        let key = p256(Role::KeySigning, times(10, 10, Some(100), None));
        assert_eq!(check(&[], 1), Err(CannotSign::NoKey));
        assert_eq!(check(&[&key], 9), Err(CannotSign::NotYet(Seconds(10))));
        assert_eq!(check(&[&key], 10), Ok(()));
        assert_eq!(check(&[&key], 100), Err(CannotSign::Expired(Seconds(100))));
        let standby = p256(Role::KeySigning, Timing { publish: Some(Seconds(1)), ..Timing::default() });
        assert_eq!(check(&[&standby], 5), Err(CannotSign::NoKey));
    }
}
