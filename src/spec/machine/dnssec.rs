//! `[dnssec]`: which zones are signed, with keys from where, and how long what holds.
//!
//! ```text
//!   zones    = ["example.org"]     that they are signed is said here: a key that is missing is then an error
//!   keys     = "keys"              K*.key and K*.private, as BIND's tools have them
//!   validity = "7d"                of a signature, from when it is made
//!   refresh  = "2d"                what is left of it when it is made anew
//!   skew     = "1h"                how far the clocks of others may be behind
//! ```

use std::str::FromStr;
use std::time::Duration;

use super::{DAY, HOUR, MINUTE, plain};
use crate::dnssec::SignedId;
use crate::model::Name;
use crate::spec::reader::{ListOf, Problem, TEXT, Table, Time, Whole, Written, key};

/// `[dnssec]`. Paths are as written: relative to the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Dnssec {
    /// `zones`: those that are signed; default none.
    pub zones: Vec<Name>,
    /// `keys`: the directory of their keys; default `keys`.
    pub keys: String,
    /// `validity`: how long a signature holds from when it is made; default 7 days.
    pub validity: Duration,
    /// `refresh`: a signature that ends sooner than this is made anew; default 2 days.
    pub refresh: Duration,
    /// `skew`: how far the clocks of others may be behind; default 1 hour.
    pub skew: Duration,
    /// `key_ttl`: the TTL of DNSKEY, CDS and CDNSKEY records; default 1 hour.
    pub key_ttl: Duration,
    /// `signatures`: remembered at most, of about 105 bytes each; default a million.
    pub signatures: usize,
}

impl Default for Dnssec {
    fn default() -> Self {
        Self {
            zones: Vec::new(),
            keys: "keys".into(),
            validity: 7 * DAY,
            refresh: 2 * DAY,
            skew: HOUR,
            key_ttl: HOUR,
            signatures: 1_000_000,
        }
    }
}

pub(super) fn dnssec(table: &mut Table<'_>) -> Dnssec {
    let default = Dnssec::default();
    let zones = key("zones", "The zones that are signed.");
    let keys = key("keys", "Directory of their keys, relative to this file.");
    let validity = key("validity", "How long a signature holds from when it is made.");
    let refresh = key("refresh", "A signature that ends sooner than this is made anew.");
    let skew = key("skew", "How far the clocks of others may be behind: signatures begin so much earlier.");
    let key_ttl = key("key_ttl", "TTL of DNSKEY, CDS and CDNSKEY records.");
    let signatures = key("signatures", "Signatures that are remembered at most, of about 105 bytes each.");
    let written_zones = table.optional(zones.or(NO_ZONES), ListOf::any(ZONE));
    if let Some(zones) = written_zones.as_ref().filter(|zones| zones.value.len() > SignedId::MAX) {
        let problem = Problem::new("too-many-zones", format!("{} zones are to be signed", zones.value.len()));
        table.error(zones.span.clone(), problem.hint(format!("{} can be at most", SignedId::MAX)));
    }
    let written_refresh = table.optional(refresh.or("2d"), Time::within(HOUR..=MONTHS));
    let read = Dnssec {
        zones: written_zones.map_or(default.zones, plain),
        keys: table.defaulted(keys, TEXT, default.keys),
        validity: table.defaulted(validity, Time::within(2 * HOUR..=MONTHS), default.validity),
        refresh: written_refresh.as_ref().map_or(default.refresh, |refresh| refresh.value),
        skew: table.defaulted(skew, Time::within(Duration::ZERO..=DAY), default.skew),
        key_ttl: table.defaulted(key_ttl, Time::within(MINUTE..=DAY), default.key_ttl),
        signatures: table.defaulted(signatures, Whole::within(1000..=100_000_000), default.signatures),
    };
    // Signatures are renewed within the quarter of `refresh` before it.
    if read.validity < read.refresh * 5 / 4 + HOUR {
        let problem =
            Problem::new("refresh-too-long", "a signature would be made anew as soon as it is made");
        let hint = "`refresh` is what is left of `validity` then: at most half of it is usual";
        table.error(written_refresh.map_or(0..0, |refresh| refresh.span), problem.hint(hint));
    }
    read
}

/// The name of a zone, with or without the dot at its end.
const ZONE: Written<Name> = Written {
    expects: "the name of a zone, as \"example.org\"",
    pattern: ".",
    parse: |text| {
        Name::from_str(text).map_err(|error| {
            Problem::new("bad-name", format!("`{text}` is no domain name: {error}"))
                .hint("write the name of the zone, as \"example.org\"")
        })
    },
};

const NO_ZONES: &[&str] = &[];

/// Longer than any signature should hold: whoever has one can replay it for so long.
const MONTHS: Duration = Duration::from_secs(90 * 24 * 60 * 60);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::machine::parse;
    use crate::spec::{Diagnostic, Source};

    fn read(text: &str) -> (Dnssec, Vec<&'static str>) {
        let mut found: Vec<Diagnostic> = Vec::new();
        let machine = parse(&Source::new("windrose.toml", text), &mut found);
        (machine.dnssec, found.iter().map(|found| found.code).collect())
    }

    #[test]
    fn what_is_written_holds() {
        let (dnssec, codes) = read(
            "[dnssec]\nzones = [\"example.org\", \"gtm.example.\"]\nkeys = \"/etc/keys\"\nvalidity = \"14d\"\nrefresh = \"3d\"\n\
             skew = \"30m\"\nkey_ttl = \"2h\"\nsignatures = 5000\n",
        );
        assert_eq!(codes, [] as [&str; 0]);
        let zones = ["example.org", "gtm.example"].map(|zone| zone.parse::<Name>().expect("a name"));
        assert_eq!(dnssec.zones, zones);
        assert_eq!((dnssec.validity, dnssec.refresh), (14 * DAY, 3 * DAY));
        assert_eq!((dnssec.skew, dnssec.key_ttl, dnssec.signatures), (HOUR / 2, 2 * HOUR, 5000));
    }

    #[test]
    fn no_more_zones_are_signed_than_have_a_number() {
        let of = |count: usize| {
            let zones: Vec<String> = (0..count).map(|number| format!("\"z{number}\"")).collect();
            read(&format!("[dnssec]\nzones = [{}]\n", zones.join(", "))).1
        };
        assert_eq!(of(SignedId::MAX), [] as [&str; 0]);
        assert_eq!(of(SignedId::MAX + 1), ["too-many-zones"]);
    }

    #[test]
    fn a_signature_is_used_before_it_is_made_anew() {
        assert_eq!(read("[dnssec]\nvalidity = \"2d\"\n").1, ["refresh-too-long"]);
        assert_eq!(read("[dnssec]\nvalidity = \"3d\"\nrefresh = \"2d\"\n").1, [] as [&str; 0]);
        assert_eq!(read("[dnssec]\nzones = [\"a..b\"]\n").1, ["bad-name"]);
    }
}
