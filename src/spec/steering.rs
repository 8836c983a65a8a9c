//! A steering file (`zones/*.toml`), as written.

use std::time::Duration;

use crate::geo::Matcher;
use crate::model::{Coordinates, Failback, MinUp, Name, OnDown, Policy};
use crate::spec::{Diagnostic, Source, Spanned};

/// One steering file.
#[derive(Clone, Debug)]
pub struct SteeringFile {
    /// The file.
    pub source: Source,
    /// What `names` are relative to, if it is written.
    pub zone: Option<Spanned<String>>,
    /// `[regions.NAME]`
    pub regions: Vec<Named<RegionSpec>>,
    /// `[monitors.NAME]`
    pub monitors: Vec<Named<MonitorSpec>>,
    /// `[endpoints.NAME]`
    pub endpoints: Vec<Named<EndpointSpec>>,
    /// `[pools.NAME]`
    pub pools: Vec<Named<PoolSpec>>,
    /// `[names."OWNER"]`
    pub names: Vec<Named<NameSpec>>,
}

/// A definition: its name and what is said of it.
#[derive(Clone, Debug)]
pub struct Named<T> {
    /// The key it stands under.
    pub name: Spanned<String>,
    /// What is said.
    pub value: T,
}

/// `[regions.NAME]`
#[derive(Clone, Debug, Default)]
pub struct RegionSpec {
    /// `at = [latitude, longitude]`
    pub at: Option<Spanned<Coordinates>>,
    /// `clients = ["net:..."]`
    pub clients: Vec<Spanned<Matcher>>,
    /// `default = true`
    pub default: Option<Spanned<bool>>,
}

/// `[monitors.NAME]`. Values that are absent are given their defaults by the compiler
/// ([`crate::plan::compile`]); values here are in range.
#[derive(Clone, Debug)]
pub struct MonitorSpec {
    /// `type`
    pub kind: Spanned<MonitorKind>,
    /// `port`; default 80 for http, 443 for https and tls; required for tcp.
    pub port: Option<Spanned<u16>>,
    /// `path`, http(s) only; default `/`.
    pub path: Option<Spanned<String>>,
    /// `method`, http(s) only; default `GET`.
    pub method: Option<Spanned<String>>,
    /// `host`, http, https and tls: Host header and SNI.
    pub host: Option<Spanned<String>>,
    /// `headers = { NAME = "value" }`, http(s) only.
    pub headers: Vec<(Spanned<String>, Spanned<String>)>,
    /// `expect.status = ["200-299"]`, http(s) only; default `200-299`.
    pub expect_status: Vec<Spanned<std::ops::RangeInclusive<u16>>>,
    /// `expect.body = "text"`, http(s) only.
    pub expect_body: Option<Spanned<String>>,
    /// `tls.verify`, https and tls; default true.
    pub tls_verify: Option<Spanned<bool>>,
    /// `tls.name`: name to send and verify instead of `host`.
    pub tls_name: Option<Spanned<String>>,
    /// `tls.roots`: a PEM file.
    pub tls_roots: Option<Spanned<String>>,
    /// `tls.warn_before`; default 14 days.
    pub tls_warn_before: Option<Spanned<Duration>>,
    /// `interval`; default 5 s.
    pub interval: Option<Spanned<Duration>>,
    /// `timeout`; default 2 s.
    pub timeout: Option<Spanned<Duration>>,
    /// `recheck`; default 1 s, or the interval if that is shorter.
    pub recheck: Option<Spanned<Duration>>,
    /// `fall`; default 3.
    pub fall: Option<Spanned<u32>>,
    /// `rise`; default 2.
    pub rise: Option<Spanned<u32>>,
    /// `quorum`, percent; default 75.
    pub quorum: Option<Spanned<u8>>,
}

/// `type` of a monitor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MonitorKind {
    /// An HTTP request.
    Http,
    /// An HTTP request over TLS.
    Https,
    /// A TCP connection.
    Tcp,
    /// A TLS handshake.
    Tls,
}

/// `[endpoints.NAME]`
#[derive(Clone, Debug, Default)]
pub struct EndpointSpec {
    /// `region`
    pub region: Option<Spanned<String>>,
    /// `at`, instead of the region's.
    pub at: Option<Spanned<Coordinates>>,
    /// `ipv4`
    pub ipv4: Option<Spanned<std::net::Ipv4Addr>>,
    /// `ipv6`
    pub ipv6: Option<Spanned<std::net::Ipv6Addr>>,
    /// `cname`, absolute.
    pub cname: Option<Spanned<Name>>,
    /// `monitors`
    pub monitors: Vec<Spanned<String>>,
}

/// `[pools.NAME]`
#[derive(Clone, Debug)]
pub struct PoolSpec {
    /// `policy`
    pub policy: Spanned<Policy>,
    /// `members`
    pub members: Vec<MemberSpec>,
    /// `answers`
    pub answers: Option<Spanned<u8>>,
    /// `min_up`
    pub min_up: Option<Spanned<MinUp>>,
    /// `fallback`
    pub fallback: Option<Spanned<String>>,
    /// `on_down`
    pub on_down: Option<Spanned<OnDown>>,
    /// `failback`
    pub failback: Option<Spanned<Failback>>,
    /// `trickle`, a share 0.0..=1.0 (written as a number or "5%").
    pub trickle: Option<Spanned<f64>>,
    /// `fence`
    pub fence: Option<Spanned<bool>>,
    /// `sticky`
    pub sticky: Option<Spanned<bool>>,
    /// `map`
    pub map: Option<Spanned<String>>,
}

/// One of `members`: a name, or `{ use, weight, bias, regions, default }`.
#[derive(Clone, Debug)]
pub struct MemberSpec {
    /// The name of an endpoint or a pool.
    pub picks: Spanned<String>,
    /// `weight`; default 1.
    pub weight: Option<Spanned<u32>>,
    /// `bias`; default 0.
    pub bias: Option<Spanned<i8>>,
    /// `regions`
    pub regions: Vec<Spanned<String>>,
    /// `default`
    pub default: Option<Spanned<bool>>,
}

/// `[names."OWNER"]`
#[derive(Clone, Debug)]
pub struct NameSpec {
    /// `pool`
    pub pool: Spanned<String>,
    /// `ttl`, seconds (a bare number, as in a zone file) or a duration; default 30.
    pub ttl: Option<Spanned<u32>>,
    /// `ttl_min`; default half of `ttl`, at least 1.
    pub ttl_min: Option<Spanned<u32>>,
    /// `rto`: the failover time that must be kept.
    pub rto: Option<Spanned<Duration>>,
}

/// Reads a steering file. What could not be read is left out and in the diagnostics.
pub fn parse(source: &Source, diagnostics: &mut Vec<Diagnostic>) -> SteeringFile {
    let _ = (source, diagnostics);
    todo!()
}
