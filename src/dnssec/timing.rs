//! When a key does what: the times of a key file, and the states of RFC 7583 that follow from them.
//!
//! ```text
//!   generated --Publish--> published --Ipub--> ready --Activate--> active --Inactive--> retired --Iret--> dead --Delete--> removed
//!                          in DNSKEY           known everywhere    signs     its signatures may be cached    gone
//! ```

use std::fmt;

/// Seconds since 1970, UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seconds(pub u64);

/// The times of a key, as BIND's tools write them into its files; what is absent never happens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// `Created`
    pub created: Option<Seconds>,
    /// `Publish`: it is in the DNSKEY set from now on.
    pub publish: Option<Seconds>,
    /// `Activate`: it signs from now on.
    pub activate: Option<Seconds>,
    /// `Inactive`: it no longer signs.
    pub inactive: Option<Seconds>,
    /// `Delete`: it leaves the DNSKEY set.
    pub delete: Option<Seconds>,
    /// `SyncPublish`: CDS and CDNSKEY ask the parent for its DS (RFC 7344).
    pub sync_publish: Option<Seconds>,
    /// `SyncDelete`: they no longer do.
    pub sync_delete: Option<Seconds>,
}

/// Where a key is in its life (RFC 7583 section 3.1), with the last step, which leaves no trace in the zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It exists, and nobody has been told.
    Generated,
    /// It is in the DNSKEY set; resolvers may hold one without it.
    Published,
    /// Every resolver that holds the DNSKEY set holds it with this key.
    Ready,
    /// It signs.
    Active,
    /// It no longer signs; resolvers may hold what it signed.
    Retired,
    /// Nobody needs it any more.
    Dead,
    /// It has left the DNSKEY set.
    Removed,
}

impl Timing {
    /// Whether the key is in the DNSKEY set. One that is to sign is shown even if nobody said when.
    pub fn is_published(&self, now: Seconds) -> bool {
        self.publish.or(self.activate).is_some_and(|from| from <= now) && !self.is_removed(now)
    }

    /// Whether the key signs.
    pub fn is_active(&self, now: Seconds) -> bool {
        self.activate.is_some_and(|from| from <= now) && self.ceases().is_none_or(|at| now < at)
    }

    /// Whether its DS is asked for at the parent.
    pub fn is_synced(&self, now: Seconds) -> bool {
        self.sync_publish.is_some_and(|from| from <= now)
            && self.sync_delete.is_none_or(|until| now < until)
            && self.is_published(now)
    }

    /// When it stops to sign, if ever.
    pub fn ceases(&self) -> Option<Seconds> {
        match (self.inactive, self.delete) {
            (Some(inactive), Some(delete)) => Some(inactive.min(delete)),
            (inactive, delete) => inactive.or(delete),
        }
    }

    /// Every moment at which something changes.
    pub fn turns(&self) -> impl Iterator<Item = Seconds> {
        [self.publish, self.activate, self.inactive, self.delete, self.sync_publish, self.sync_delete]
            .into_iter()
            .flatten()
    }

    /// Where the key is in its life, if `publication` is how long it takes until a new DNSKEY set is known
    /// everywhere, and `retirement` until the last signature has left every cache.
    pub fn state(&self, now: Seconds, publication: u64, retirement: u64) -> State {
        let since = |at: Option<Seconds>| at.and_then(|at| now.0.checked_sub(at.0));
        if self.is_removed(now) {
            return State::Removed;
        }
        if let Some(retired) = since(self.inactive) {
            return if retired < retirement { State::Retired } else { State::Dead };
        }
        if self.is_active(now) {
            return State::Active;
        }
        match since(self.publish) {
            None => State::Generated,
            Some(published) if published < publication => State::Published,
            Some(_) => State::Ready,
        }
    }

    fn is_removed(&self, now: Seconds) -> bool {
        self.delete.is_some_and(|at| at <= now)
    }
}

impl State {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            State::Generated => "generated",
            State::Published => "published",
            State::Ready => "ready",
            State::Active => "active",
            State::Retired => "retired",
            State::Dead => "dead",
            State::Removed => "removed",
        }
    }
}

impl Seconds {
    /// So much later.
    pub fn plus(self, seconds: u64) -> Self {
        Self(self.0.saturating_add(seconds))
    }

    /// Reads `YYYYMMDDHHMMSS`.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != 14 || !text.bytes().all(|octet| octet.is_ascii_digit()) {
            return None;
        }
        let part = |from: usize, to: usize| text[from..to].parse::<u64>().ok();
        let (year, month, day) = (part(0, 4)?, part(4, 6)?, part(6, 8)?);
        let (hour, minute, second) = (part(8, 10)?, part(10, 12)?, part(12, 14)?);
        let real = (1970..=9999).contains(&year)
            && (1..=12).contains(&month)
            && (1..=31).contains(&day)
            && hour < 24
            && minute < 60
            && second <= 60;
        real.then(|| Self(days_before(year, month, day) * DAY + hour * 3600 + minute * 60 + second))
    }

    /// Year, month, day, hour, minute and second.
    fn calendar(self) -> [u64; 6] {
        let (days, second) = (self.0 / DAY, self.0 % DAY);
        // Years of 365.2425 days: never more than one off.
        let mut year = 1970 + days * 400 / 146_097;
        while days_before(year + 1, 1, 1) <= days {
            year += 1;
        }
        while days_before(year, 1, 1) > days {
            year -= 1;
        }
        let month = (1..=12).rev().find(|month| days_before(year, *month, 1) <= days).unwrap_or(1);
        let day = days - days_before(year, month, 1) + 1;
        [year, month, day, second / 3600, second / 60 % 60, second % 60]
    }

    /// `YYYYMMDDHHMMSS`, as key files have it.
    pub fn compact(self) -> String {
        let [year, month, day, hour, minute, second] = self.calendar();
        format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}")
    }
}

/// `2026-11-21 14:05:09`, in UTC.
impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [year, month, day, hour, minute, second] = self.calendar();
        write!(f, "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
    }
}

/// Days from 1970 to a date of the Gregorian calendar.
fn days_before(year: u64, month: u64, day: u64) -> u64 {
    const BEFORE_MONTH: [u64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    let past = year - 1;
    let leaps = |years: u64| years / 4 - years / 100 + years / 400;
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let this_leap = u64::from(is_leap && month > 2);
    (year - 1970) * 365 + leaps(past) - leaps(1969) + BEFORE_MONTH[month as usize - 1] + this_leap + day - 1
}

const DAY: u64 = 24 * 60 * 60;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_of_key_files_are_read_and_written() {
        for (text, seconds) in [
            ("19700101000000", 0),
            ("20000229120000", 951_825_600),
            ("20261121145335", 1_795_272_815),
            ("21000301000000", 4_107_542_400),
        ] {
            assert_eq!(Seconds::parse(text), Some(Seconds(seconds)), "{text}");
            assert_eq!(Seconds(seconds).compact(), text);
        }
        for text in ["", "2026", "20261321000000", "2026112114533x", "19691231235959", "+0261121145335"] {
            assert_eq!(Seconds::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_key_goes_through_the_states_of_rfc_7583_section_3_1() {
        let timing = Timing {
            created: Some(Seconds(0)),
            publish: Some(Seconds(100)),
            activate: Some(Seconds(200)),
            inactive: Some(Seconds(300)),
            delete: Some(Seconds(400)),
            ..Timing::default()
        };
        for (now, state) in [
            (99, State::Generated),
            (100, State::Published),
            (149, State::Published),
            (150, State::Ready),
            (200, State::Active),
            (300, State::Retired),
            (360, State::Dead),
            (400, State::Removed),
        ] {
            assert_eq!(timing.state(Seconds(now), 50, 60), state, "at {now}");
        }
    }

    #[test]
    fn a_key_that_is_to_sign_is_shown_even_if_nobody_said_when() {
        let timing = Timing { activate: Some(Seconds(5)), ..Timing::default() };
        assert!(!timing.is_published(Seconds(4)) && timing.is_published(Seconds(5)));
        assert!(!Timing::default().is_published(Seconds(5)));
    }

    proptest! {
        #[test]
        fn every_second_has_one_name(seconds in 0..253_402_300_800u64) {
            prop_assert_eq!(Seconds::parse(&Seconds(seconds).compact()), Some(Seconds(seconds)));
        }
    }
}
