//! `[probe]`: the checks that run from this machine.

use std::time::Duration;

use ipnet::IpNet;

use super::{CONNECTIONS_MAX, HOUR, MINUTE, TENTH, plain};
use crate::spec::prefix::PREFIX;
use crate::spec::reader::{ListOf, Table, Time, Truth, Whole, key};

/// `[probe]`
#[derive(Clone, Debug, PartialEq)]
pub struct Probe {
    /// `enabled`: run checks from this machine; default true.
    pub enabled: bool,
    /// `report_interval`; default 2 s.
    pub report_interval: Duration,
    /// `settle`: a start with no state waits at most this long for a first opinion of every target; default 5 s.
    pub settle: Duration,
    /// `concurrency`: checks under way at once, at most; default 1000.
    pub concurrency: usize,
    /// `deny`: what it must not connect to, besides what is no endpoint's address; default nothing.
    pub deny: Vec<IpNet>,
}

impl Default for Probe {
    fn default() -> Self {
        Self {
            enabled: true,
            report_interval: Duration::from_secs(2),
            settle: Duration::from_secs(5),
            concurrency: 1000,
            deny: Vec::new(),
        }
    }
}

pub(super) fn probe(table: &mut Table<'_>) -> Probe {
    let default = Probe::default();
    let deny =
        key("deny", "Prefixes that it does not connect to: what is there has no opinion of this probe.");
    let deny = table.optional(deny.or(NOTHING), ListOf::any(PREFIX));
    Probe {
        enabled: table.defaulted(
            key("enabled", "Whether checks run from this machine."),
            Truth,
            default.enabled,
        ),
        report_interval: table.defaulted(
            key(
                "report_interval",
                "How often the probe reports; after three of these without one it is stale.",
            ),
            Time::within(TENTH..=MINUTE),
            default.report_interval,
        ),
        settle: table.defaulted(
            key(
                "settle",
                "A start without state waits at most this long for a first opinion of every target.",
            ),
            Time::within(Duration::ZERO..=HOUR),
            default.settle,
        ),
        concurrency: table.defaulted(
            key("concurrency", "Checks under way at once, at most."),
            Whole::within(1..=CONNECTIONS_MAX),
            default.concurrency,
        ),
        deny: deny.map_or(default.deny, plain),
    }
}

/// [`Probe::deny`] as it would be written.
const NOTHING: &[&str] = &[];
