//! A report: the whole of a probe's opinions at one moment, numbered.
//!
//! It is full state, so losing, repeating or reordering reports heals itself: the newest one a server
//! holds says everything. Targets go by the names an operator gave, not by numbers, so that a report
//! made under one plan can be read under the next.

use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::Moment;

/// What one probe holds of one target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Opinion {
    /// It passes.
    Up,
    /// It fails.
    Down,
    /// Nothing is known yet. Never counted as a failure.
    #[default]
    Unknown,
}

/// How a check ended. Ordered from the most telling failure to the least, after [`Kind::Ok`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// As expected.
    Ok,
    /// The port is closed.
    Refused,
    /// Nothing came in time.
    Timeout,
    /// The connection was cut.
    Reset,
    /// No route, or the network said so.
    Unreachable,
    /// A name could not be resolved.
    Dns,
    /// The handshake or the certificate failed.
    Tls,
    /// Another status than expected.
    Status,
    /// Another body than expected.
    Body,
    /// Anything else.
    Other,
}

/// What an endpoint says of itself in a reply, as HAProxy's agent-check: how much it wants of what it gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Agent {
    /// All of it.
    Up,
    /// Nothing new: as an operator's drain.
    Drain,
    /// Nothing: it fails.
    Down,
    /// This many percent of its weight, 1..=100.
    Share(u8),
}

/// The whole of a probe's opinions at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The probe's name, unique in the fleet.
    pub probe: Arc<str>,
    /// The region it stands in, by name. A region that the plan lacks counts as the default region.
    pub region: Arc<str>,
    /// Grows by one with each report of this probe; starts from the wall clock in milliseconds, so that
    /// it grows over a restart too. An older number never replaces a newer one.
    pub number: u64,
    /// Drawn when the probe started: two probes that run under one name differ in it.
    pub instance: u64,
    /// When it was sent, by the probe's clock.
    pub sent: Moment,
    /// How often this probe reports, in milliseconds: three of these without one, and at least five seconds,
    /// and its votes are stale.
    pub interval_ms: u32,
    /// The version of the fleet's zones from which it knows what to check; `None`: its own files.
    pub zones: Option<u64>,
    /// One entry for each target the probe was asked to check.
    pub targets: Vec<TargetReport>,
}

/// What a probe says of one target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TargetReport {
    /// The monitor's name.
    pub monitor: Arc<str>,
    /// The address checked.
    pub address: IpAddr,
    /// What the probe holds.
    pub opinion: Opinion,
    /// The last results speak against the opinion, or it is not settled yet.
    pub moving: bool,
    /// How the last check ended; `None`: no check has ended yet.
    pub last: Option<Kind>,
    /// Smoothed round-trip time of good checks, in microseconds: the time to connect, or of the reply where nothing
    /// is connected. The first as it is; then each moves what was by an eighth of the difference, as TCP's SRTT
    /// (RFC 6298 section 2).
    pub rtt_us: Option<u32>,
    /// For how long the opinion has been held, in milliseconds.
    pub age_ms: u64,
    /// When the certificate ends, in seconds since 1970, if the check saw one.
    pub certificate_end: Option<i64>,
    /// What the endpoint said of itself in the last reply, if its monitor asks for that.
    pub agent: Option<Agent>,
}

impl Kind {
    /// Whether the check passed.
    pub fn is_ok(self) -> bool {
        self == Kind::Ok
    }

    /// One lower-case word, for people and metrics.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Ok => "ok",
            Kind::Refused => "refused",
            Kind::Timeout => "timeout",
            Kind::Reset => "reset",
            Kind::Unreachable => "unreachable",
            Kind::Dns => "dns",
            Kind::Tls => "tls",
            Kind::Status => "status",
            Kind::Body => "body",
            Kind::Other => "other",
        }
    }
}

impl std::fmt::Display for Agent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Agent::Up => f.write_str("up"),
            Agent::Drain => f.write_str("drain"),
            Agent::Down => f.write_str("down"),
            Agent::Share(percent) => write!(f, "{percent}%"),
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.word())
    }
}

impl std::fmt::Display for Opinion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Opinion::Up => "up",
            Opinion::Down => "down",
            Opinion::Unknown => "unknown",
        })
    }
}
