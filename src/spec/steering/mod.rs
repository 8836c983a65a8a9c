//! A steering file (`zones/*.toml`), as written.
//!
//! ```text
//!   text --read (keys)--values (what stands behind them)--> SteeringFile + every diagnostic
//! ```
//!
//! What can be said of one value alone is said here; what it means beside others is for the compiler. A
//! definition with something wrong in it stays, so that those who name it are not told that it is unknown.

mod read;
mod values;

use std::time::Duration;

use crate::geo::Matcher;
use crate::model::{Coordinates, Failback, MinUp, Name, OnDown, Policy};
use crate::spec::{Diagnostic, Source, Spanned, reader};

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
    reader::read(source, diagnostics, |table| read::file(table, source))
}

/// The JSON schema of a steering file.
pub(super) fn schema() -> serde_json::Value {
    reader::describe(|table| read::file(table, &Source::new("", "")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
zone = "example.org"

[regions.eu]
at      = [50.11, 8]
clients = ["net:198.18.0.0/15", "net:2001:db8::/32"]
[regions.us]
default = true

[monitors.web]
type     = "http"
port     = 80
path     = "/healthz"
host     = "www.example.org"
headers  = { "X-Probe" = "windrose", "Accept" = "*/*" }
expect   = { status = ["200-299", "304", 404], body = "ok" }
interval = "5s"
timeout  = "2s"
recheck  = "500ms"
fall     = 4
rise     = 1
quorum   = "60%"
[monitors.cert]
type = "tls"
tls = { verify = false, name = "x.example.org", roots = "ca.pem", warn_before = "21d" }

[endpoints.fra]
region   = "eu"
ipv4     = "192.0.2.10"
ipv6     = "2001:db8::10"
monitors = ["web"]
[endpoints.cdn]
cname    = "example.cdn.example.net."

[pools.www]
policy   = "nearest"
members  = ["fra", { use = "cdn", weight = 3, bias = -5, regions = ["eu"], default = true }]
fallback = "cdn"
min_up   = "50%"
answers  = 2
on_down  = "nodata"
failback = "10m"
trickle  = "5%"
fence    = true
sticky   = true
map      = "world"
[[pools.api.members]]
use = "fra"
[pools.api]
policy = "all"

[names."www"]
pool = "www"
ttl  = 30
ttl_min = "5s"
rto = "1m"
[names]
"*.shop" = { pool = "www" }
"@".pool = "api"
"a.example.net.".pool = "api"
"#;

    fn read(text: &str) -> (SteeringFile, Vec<Diagnostic>) {
        let mut diagnostics = Vec::new();
        let file = parse(&Source::new("zones/example.org.toml", text), &mut diagnostics);
        (file, diagnostics)
    }

    fn value<T: Clone>(spanned: &Option<Spanned<T>>) -> Option<T> {
        spanned.as_ref().map(|spanned| spanned.value.clone())
    }

    #[test]
    fn a_good_file_is_read_as_written() {
        let (file, diagnostics) = read(GOOD);
        assert_eq!(crate::spec::diagnostic::render(&diagnostics, false), "");
        assert_eq!(value(&file.zone).as_deref(), Some("example.org"));
    }
}
