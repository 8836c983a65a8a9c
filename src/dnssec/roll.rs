//! Rolling keys over: which times make a new key follow an old one, by the timelines of RFC 7583.
//!
//! ```text
//!   ZSK (section 3.2.1)    old   ... active --------------------| retired ------| gone
//!                          new   | published -- ready ----------| active ...
//!                                 `------ publication ---------'`-- retirement -'
//!
//!   KSK (section 3.3.1)    old   ... active, in DNSKEY and DS --------------------------------| gone
//!                          new   | published, signs DNSKEY ---| CDS -- the parent's DS --------- ...
//!                                 `------ publication -------'   ...  `-- its TTL, as told -'
//! ```
//!
//! A key that signs keys and data (CSK) is rolled like a KSK, but signs data only once every resolver can know it. The
//! parent's part is the only one that no clock knows of: an operator tells of it ([`Waits::ds_seen`]).

use crate::dnssec::key::Role;
use crate::dnssec::keyring::Policy;
use crate::dnssec::timing::{Seconds, Timing};

/// How long each step of a rollover has to wait, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waits {
    /// Until a new DNSKEY set is known everywhere.
    pub publication: u64,
    /// Until nothing that was signed is held by anybody.
    pub retirement: u64,
}

impl Waits {
    /// For a zone in which no TTL is longer than `ttl_max`.
    pub fn new(policy: &Policy, ttl_max: u32) -> Self {
        Self { publication: policy.publication(), retirement: policy.retirement(ttl_max) }
    }

    /// The first key of a role. It signs at once, unless the zone is signed already and resolvers hold its keys without
    /// this one. Its DS is asked for when nobody holds anything of the zone unsigned any more.
    pub fn first(&self, role: Role, is_signed: bool, now: Seconds) -> Timing {
        let at_once = Some(now);
        let activate = if is_signed { Some(now.plus(self.publication)) } else { at_once };
        let sync_publish =
            (role == Role::KeySigning).then(|| now.plus(self.retirement.max(self.publication)));
        Timing { created: at_once, publish: at_once, activate, sync_publish, ..Timing::default() }
    }

    /// A key that follows `old`, whose times change with it. `signs_data`: whether the old one signs more than keys.
    pub fn successor(&self, old: &mut Timing, role: Role, signs_data: bool, now: Seconds) -> Timing {
        let ready = now.plus(self.publication);
        let mut new =
            Timing { created: Some(now), publish: Some(now), activate: Some(ready), ..Timing::default() };
        match role {
            Role::ZoneSigning => {
                old.inactive = Some(ready);
                old.delete = Some(ready.plus(self.retirement));
            }
            Role::KeySigning => {
                if !signs_data {
                    new.activate = Some(now);
                }
                new.sync_publish = Some(ready);
                old.sync_delete = old.sync_publish.map(|_| ready);
            }
        }
        new
    }

    /// The parent shows the DS of the key that follows `old`, and no longer that of `old`, since `seen`; a resolver may
    /// hold the former DS for `ds_ttl`.
    pub fn ds_seen(&self, old: &mut Timing, ds_ttl: u64, seen: Seconds) {
        let inactive = seen.plus(ds_ttl);
        old.inactive = Some(inactive);
        old.sync_delete = old.sync_delete.or(old.sync_publish.map(|_| seen));
        old.delete = Some(inactive.plus(self.retirement));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAITS: Waits = Waits { publication: 100, retirement: 1000 };
    const NOW: Seconds = Seconds(5000);

    #[test]
    fn rfc_7583_section_3_2_1_a_zone_signing_key_signs_when_it_is_known_and_goes_when_nothing_of_it_is_held()
    {
        let mut old = WAITS.first(Role::ZoneSigning, false, Seconds(0));
        let new = WAITS.successor(&mut old, Role::ZoneSigning, true, NOW);
        assert_eq!((new.publish, new.activate), (Some(NOW), Some(Seconds(5100))));
        assert_eq!((old.inactive, old.delete), (Some(Seconds(5100)), Some(Seconds(6100))));
        assert_eq!((old.sync_publish, new.sync_publish), (None, None));
    }

    #[test]
    fn rfc_7583_section_3_3_1_a_key_signing_key_goes_when_the_parent_has_changed_its_ds() {
        let mut old = WAITS.first(Role::KeySigning, false, Seconds(0));
        let new = WAITS.successor(&mut old, Role::KeySigning, false, NOW);
        assert_eq!((new.activate, new.sync_publish), (Some(NOW), Some(Seconds(5100))));
        assert_eq!((old.sync_delete, old.inactive), (Some(Seconds(5100)), None));
        WAITS.ds_seen(&mut old, 300, Seconds(6000));
        assert_eq!((old.inactive, old.delete), (Some(Seconds(6300)), Some(Seconds(7300))));
    }

    #[test]
    fn a_key_for_everything_signs_data_only_when_it_is_known_everywhere() {
        let mut old = WAITS.first(Role::KeySigning, false, Seconds(0));
        let new = WAITS.successor(&mut old, Role::KeySigning, true, NOW);
        assert_eq!(new.activate, Some(Seconds(5100)));
    }
}
