//! `[limits]`: what keeps floods from doing harm, to us and to those whose addresses are forged.

use ipnet::IpNet;

use super::{EVERYBODY, Machine, plain};
use crate::spec::prefix::PREFIX;
use crate::spec::reader::{ListOf, Table, Whole, key};

/// `[limits]`
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// `allow`: who is served; default everybody.
    pub allow: Vec<IpNet>,
    /// `deny`: who is not, even if allowed; default nobody.
    pub deny: Vec<IpNet>,
    /// `exempt`: whose replies no rate limits; default nobody's.
    pub exempt: Vec<IpNet>,
    /// `rate`: replies a second of each kind to one network over UDP; 0, the default: no limit.
    pub rate: u32,
    /// `slip`: of those beyond the rate one in so many is answered with TC; 0: none; default 2.
    pub slip: u32,
    /// `ipv4_prefix`: how many bits of an IPv4 address are one network; default 24.
    pub ipv4_prefix: u8,
    /// `ipv6_prefix`: how many bits of an IPv6 address are one network, 64 at most; default 56.
    pub ipv6_prefix: u8,
    /// `error_rate`: errors a second over UDP, to all together; 0: no limit; default 100.
    pub error_rate: u32,
    /// `amplification`: a reply over UDP is at most so many times its question; 0, the default: no limit.
    pub amplification: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { error_rate: 100, ..Self::none() }
    }
}

impl Limits {
    /// Nothing is limited.
    pub fn none() -> Self {
        Self {
            allow: vec![IpNet::V4(Default::default()), IpNet::V6(Default::default())],
            deny: Vec::new(),
            exempt: Vec::new(),
            rate: 0,
            slip: 2,
            ipv4_prefix: 24,
            ipv6_prefix: 56,
            error_rate: 0,
            amplification: 0,
        }
    }
}

pub(super) fn limits(table: &mut Table<'_>) -> Limits {
    let default = Machine::default().limits;
    let allow = key("allow", "The clients that are served, as prefixes.");
    let deny = key("deny", "Clients that are not served, as prefixes, even if they are allowed.");
    let exempt = key("exempt", "Clients whose replies no rate limits, as prefixes.");
    let nobody: &[&str] = &[];
    Limits {
        allow: table.optional(allow.or(EVERYBODY), ListOf::one_or_more(PREFIX)).map_or(default.allow, plain),
        deny: table.optional(deny.or(nobody), ListOf::any(PREFIX)).map_or(default.deny, plain),
        exempt: table.optional(exempt.or(nobody), ListOf::any(PREFIX)).map_or(default.exempt, plain),
        rate: table.defaulted(
            key("rate", "Replies a second of each kind to one network over UDP; 0: no limit."),
            Whole::within(0..=RATE_MAX),
            default.rate,
        ),
        slip: table.defaulted(
            key("slip", "Of the replies beyond the rate one in so many only says: ask over TCP; 0: none."),
            Whole::within(0..=SLIP_MAX),
            default.slip,
        ),
        ipv4_prefix: table.defaulted(
            key("ipv4_prefix", "How many bits of an IPv4 address are one network."),
            Whole::within(8..=32),
            default.ipv4_prefix,
        ),
        ipv6_prefix: table.defaulted(
            key("ipv6_prefix", "How many bits of an IPv6 address are one network."),
            Whole::within(16..=64),
            default.ipv6_prefix,
        ),
        error_rate: table.defaulted(
            key("error_rate", "Errors a second over UDP, to all clients together; 0: no limit."),
            Whole::within(0..=RATE_MAX),
            default.error_rate,
        ),
        amplification: table.defaulted(
            key(
                "amplification",
                "A reply over UDP is at most so many times as long as its question; 0: no limit.",
            ),
            Whole::within(0..=AMPLIFICATION_MAX),
            default.amplification,
        ),
    }
}

/// More replies than a thread can send in a second.
const RATE_MAX: i64 = 10_000_000;

/// Fewer that slip help nobody.
const SLIP_MAX: i64 = 100;

/// More than the longest reply is of the shortest question.
const AMPLIFICATION_MAX: i64 = 1000;
