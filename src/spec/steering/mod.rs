//! A steering file (`zones/*.toml`), as written.
//!
//! ```text
//!   text --read (keys)--values (what stands behind them)--> SteeringFile + every diagnostic
//! ```
//!
//! What can be said of one value alone is said here; what it means beside others is for the compiler. A
//! definition with something wrong in it stays, so that those who name it are not told that it is unknown.

mod clients;
mod monitor;
mod nets;
mod read;
mod values;

use std::time::Duration;

pub use monitor::{ExpectSpec, MonitorKind, MonitorSpec, NeedSpec, TlsSpec};

use ipnet::IpNet;

use crate::geo::Matcher;
use crate::model::{Coordinates, Failback, Flap, Governor, MinUp, Name, OnDown, Policy};
use crate::spec::{Diagnostic, Include, Source, Spanned, reader};

/// One steering file.
#[derive(Clone, Debug)]
pub struct SteeringFile {
    /// The file.
    pub source: Source,
    /// What `names` are relative to, if it is written.
    pub zone: Option<Spanned<String>>,
    /// `[governor]`
    pub governor: Option<Spanned<Governor>>,
    /// `[regions.NAME]`
    pub regions: Vec<Named<RegionSpec>>,
    /// `[maps.NAME]`: maps beside `world`, whose regions are [`SteeringFile::regions`].
    pub maps: Vec<Named<MapSpec>>,
    /// `[probes.NAME]`
    pub probes: Vec<Named<ProbeSpec>>,
    /// `[monitors.NAME]`
    pub monitors: Vec<Named<MonitorSpec>>,
    /// `[endpoints.NAME]`
    pub endpoints: Vec<Named<EndpointSpec>>,
    /// `[pools.NAME]`
    pub pools: Vec<Named<PoolSpec>>,
    /// `[names."OWNER"]`
    pub names: Vec<Named<NameSpec>>,
    /// `[debug."OWNER"]`
    pub debug: Vec<Named<DebugSpec>>,
}

impl SteeringFile {
    /// The files of prefixes that its regions name, of every map.
    pub fn nets_files(&self) -> impl Iterator<Item = &NetsFile> {
        let of_maps = self.maps.iter().flat_map(|map| &map.value.regions);
        self.regions.iter().chain(of_maps).filter_map(|region| region.value.nets_file.as_ref())
    }
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
    /// `clients = ["net:...", "country:..."]`
    pub clients: Vec<Spanned<Matcher>>,
    /// `nets_file = "..."`: more prefixes.
    pub nets_file: Option<NetsFile>,
    /// `default = true`
    pub default: Option<Spanned<bool>>,
}

/// The prefixes that a file lists, one a line.
#[derive(Clone, Debug)]
pub struct NetsFile {
    /// As it was named, relative to the steering file.
    pub name: Spanned<String>,
    /// The file; empty if it could not be read.
    pub source: Source,
    /// What it lists, each at its place in the file.
    pub nets: Vec<Spanned<IpNet>>,
}

impl NetsFile {
    /// A file that has not been read yet.
    fn named(name: Spanned<String>) -> Self {
        Self { name, source: Source::new("", ""), nets: Vec::new() }
    }
}

/// `[maps.NAME]`
#[derive(Clone, Debug, Default)]
pub struct MapSpec {
    /// `client_subnet`; default true. `world` may have this, but no regions.
    pub client_subnet: Option<Spanned<bool>>,
    /// `[maps.NAME.regions.NAME]`
    pub regions: Vec<Named<RegionSpec>>,
}

/// `[probes.NAME]`
#[derive(Clone, Debug, Default)]
pub struct ProbeSpec {
    /// `site = "..."`: what it shares with others.
    pub site: Option<Spanned<String>>,
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
    /// `flap = { changes, within, hold }`
    pub flap: Option<Spanned<Flap>>,
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
    /// `slow_start`
    pub slow_start: Option<Spanned<Duration>>,
    /// `trickle`, a share 0.0..=1.0 (written as a number or "5%").
    pub trickle: Option<Spanned<f64>>,
    /// `fence`
    pub fence: Option<Spanned<bool>>,
    /// `sticky`
    pub sticky: Option<Spanned<bool>>,
    /// `map`
    pub map: Option<Spanned<String>>,
    /// `client_subnet`: whether the client subnet is believed for this pool; default true.
    pub client_subnet: Option<Spanned<bool>>,
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

/// `[debug."OWNER"]`: a name that tells those who may ask where they seem to be.
#[derive(Clone, Debug)]
pub struct DebugSpec {
    /// `pool`: whose choice is told.
    pub pool: Spanned<String>,
    /// `clients`: the addresses that are told, one or more prefixes.
    pub clients: Vec<Spanned<IpNet>>,
}

/// Reads a steering file, and the files of prefixes that it names. What could not be read is left out and in the
/// diagnostics.
pub fn parse(source: &Source, include: Include<'_>, diagnostics: &mut Vec<Diagnostic>) -> SteeringFile {
    let mut file = reader::read(source, diagnostics, |table| read::file(table, source));
    nets::read_all(&mut file, include, diagnostics);
    file
}

/// The JSON schema of a steering file.
pub(super) fn schema() -> serde_json::Value {
    reader::describe(|table| read::file(table, &Source::new("", "")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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

    const LIKE_TOML: &str = "([a-z_.]+ ?= ?[\"\\[\\]{}a-z0-9:,.%-]*\n|\\[+[a-z.]*\\]+\n|.{0,9}\n?){0,12}";

    fn read(text: &str) -> (SteeringFile, Vec<Diagnostic>) {
        let mut diagnostics = Vec::new();
        let include = |_: &str, _: &str| Ok(Source::new("zones/lists/eu.txt", "192.0.2.0/24\n"));
        let file = parse(&Source::new("zones/example.org.toml", text), &include, &mut diagnostics);
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

        let [eu, us] = file.regions.as_slice() else { panic!("two regions") };
        assert_eq!((eu.name.value.as_str(), us.name.value.as_str()), ("eu", "us"));
        assert_eq!(value(&eu.value.at), Some(Coordinates { latitude: 50.11, longitude: 8.0 }));
        let clients: Vec<String> = eu.value.clients.iter().map(|rule| rule.value.to_string()).collect();
        assert_eq!(clients, ["net:198.18.0.0/15", "net:2001:db8::/32"]);
        assert_eq!((value(&eu.value.default), value(&us.value.default)), (None, Some(true)));

        let [fra, cdn] = file.endpoints.as_slice() else { panic!("two endpoints") };
        assert_eq!(value(&fra.value.region).as_deref(), Some("eu"));
        assert_eq!(value(&fra.value.ipv4), Some("192.0.2.10".parse().expect("IPv4")));
        assert_eq!(value(&fra.value.ipv6), Some("2001:db8::10".parse().expect("IPv6")));
        assert_eq!(fra.value.monitors[0].value, "web");
        assert_eq!(
            value(&cdn.value.cname).map(|name| name.to_string()).as_deref(),
            Some("example.cdn.example.net")
        );

        let names: Vec<&str> = file.names.iter().map(|named| named.name.value.as_str()).collect();
        assert_eq!(names, ["www", "*.shop", "@", "a.example.net."]);
        let www = &file.names[0].value;
        assert_eq!(
            (www.pool.value.as_str(), value(&www.ttl), value(&www.ttl_min)),
            ("www", Some(30), Some(5))
        );
        assert_eq!(value(&www.rto), Some(Duration::from_secs(60)));
    }

    #[test]
    fn monitors_are_read_as_written() {
        let (file, _) = read(GOOD);
        let [web, cert] = file.monitors.as_slice() else { panic!("two monitors") };
        let web = &web.value;
        assert_eq!((web.kind.value, value(&web.port)), (MonitorKind::Http, Some(80)));
        assert_eq!(value(&web.path).as_deref(), Some("/healthz"));
        assert_eq!(value(&web.host).as_deref(), Some("www.example.org"));
        let headers: Vec<(&str, &str)> =
            web.headers.iter().map(|(name, text)| (name.value.as_str(), text.value.as_str())).collect();
        assert_eq!(headers, [("X-Probe", "windrose"), ("Accept", "*/*")]);
        let statuses: Vec<_> = web.expect.status.iter().map(|range| range.value.clone()).collect();
        assert_eq!(statuses, [200..=299, 304..=304, 404..=404]);
        assert_eq!(value(&web.expect.body).as_deref(), Some("ok"));
        let times =
            [&web.interval, &web.timeout, &web.recheck].map(|time| value(time).map(|time| time.as_millis()));
        assert_eq!(times, [Some(5000), Some(2000), Some(500)]);
        assert_eq!((value(&web.fall), value(&web.rise), value(&web.quorum)), (Some(4), Some(1), Some(60)));
        let cert = &cert.value;
        let tls = value(&cert.tls).expect("it is written");
        assert_eq!((cert.kind.value, value(&tls.verify)), (MonitorKind::Tls, Some(false)));
        assert_eq!(value(&tls.name).as_deref(), Some("x.example.org"));
        assert_eq!(value(&tls.roots).as_deref(), Some("ca.pem"));
        assert_eq!(value(&tls.warn_before), Some(Duration::from_secs(21 * 24 * 3600)));
    }

    #[test]
    fn pools_are_read_as_written() {
        let (file, _) = read(GOOD);
        let [www, api] = file.pools.as_slice() else { panic!("two pools") };
        let www = &www.value;
        assert_eq!((www.policy.value, value(&www.answers)), (Policy::Nearest, Some(2)));
        assert_eq!(value(&www.min_up), Some(MinUp::Percent(50)));
        assert_eq!(value(&www.fallback).as_deref(), Some("cdn"));
        assert_eq!(value(&www.on_down), Some(OnDown::NoData));
        assert_eq!(value(&www.failback), Some(Failback::After(Duration::from_secs(600))));
        assert_eq!(value(&www.trickle), Some(0.05));
        assert_eq!((value(&www.fence), value(&www.sticky)), (Some(true), Some(true)));
        assert_eq!(value(&www.map).as_deref(), Some("world"));
        let [fra, cdn] = www.members.as_slice() else { panic!("two members") };
        assert_eq!((fra.picks.value.as_str(), value(&fra.weight)), ("fra", None));
        assert_eq!(
            (cdn.picks.value.as_str(), value(&cdn.weight), value(&cdn.bias)),
            ("cdn", Some(3), Some(-5))
        );
        assert_eq!((cdn.regions[0].value.as_str(), value(&cdn.default)), ("eu", Some(true)));
        assert_eq!(api.value.members[0].picks.value, "fra");
    }

    #[test]
    fn clients_are_placed_by_rules_and_files_in_more_than_one_map() {
        let (file, diagnostics) = read(
            "[regions.eu]\nclients = [\"continent:EU\", \"asn:AS64500\"]\nnets_file = \"lists/eu.txt\"\n\
             [maps.legal]\nclient_subnet = false\n[maps.legal.regions.union]\nat = [50, 8]\n\
             clients = [\"country:DE\"]\n[maps.legal.regions.others]\ndefault = true\n\
             [maps.world]\nclient_subnet = true\n",
        );
        assert_eq!(diagnostics, []);
        let rules = |region: &RegionSpec| -> Vec<String> {
            region.clients.iter().map(|rule| rule.value.to_string()).collect()
        };
        let eu = &file.regions[0].value;
        assert_eq!(rules(eu), ["continent:EU", "asn:64500"]);
        let listed = eu.nets_file.as_ref().expect("it is named");
        assert_eq!(
            (listed.name.value.as_str(), &*listed.source.file),
            ("lists/eu.txt", "zones/lists/eu.txt")
        );
        assert_eq!(listed.nets[0].value.to_string(), "192.0.2.0/24");

        let [legal, world] = file.maps.as_slice() else { panic!("two maps") };
        assert_eq!((legal.name.value.as_str(), value(&legal.value.client_subnet)), ("legal", Some(false)));
        let [union, others] = legal.value.regions.as_slice() else { panic!("two regions") };
        assert_eq!(
            (union.name.value.as_str(), rules(&union.value)),
            ("union", vec!["country:DE".to_owned()])
        );
        assert_eq!(value(&others.value.default), Some(true));
        assert_eq!((value(&world.value.client_subnet), world.value.regions.len()), (Some(true), 0));
    }

    #[test]
    fn the_regions_of_world_stand_elsewhere() {
        let (file, diagnostics) = read("[maps.world.regions.eu]\nclients = [\"continent:EU\"]\n");
        assert_eq!(diagnostics[0].hint.as_deref(), Some("write [regions.eu]"));
        assert_eq!(file.maps[0].value.regions.len(), 0);
    }

    #[test]
    fn a_debug_name_is_for_listed_clients() {
        let (file, diagnostics) = read(
            "[debug.\"_where\"]\npool = \"www\"\nclients = [\"192.0.2.0/24\", \"::1\"]\n\
             [debug.\"_me\"]\npool = \"www\"\nclients = \"127.0.0.1\"\n\
             [pools.www]\npolicy = \"latency\"\nmembers = [\"fra\"]\nclient_subnet = false\n",
        );
        assert_eq!(diagnostics, []);
        let told: Vec<Vec<String>> = file
            .debug
            .iter()
            .map(|named| named.value.clients.iter().map(|net| net.value.to_string()).collect())
            .collect();
        assert_eq!(told, [vec!["192.0.2.0/24", "::1/128"], vec!["127.0.0.1/32"]]);
        assert_eq!(
            (file.debug[0].name.value.as_str(), file.debug[0].value.pool.value.as_str()),
            ("_where", "www")
        );
        let www = &file.pools[0].value;
        assert_eq!((www.policy.value, value(&www.client_subnet)), (Policy::Latency, Some(false)));
    }

    #[test]
    fn a_value_is_found_where_it_was_written() {
        let (file, _) = read(GOOD);
        let fra = &file.endpoints[0];
        assert_eq!(&GOOD[fra.name.span.clone()], "fra");
        let ipv6 = fra.value.ipv6.as_ref().expect("an address");
        assert_eq!(&GOOD[ipv6.span.clone()], "\"2001:db8::10\"");
        assert_eq!(&GOOD[file.pools[0].value.members[1].picks.span.clone()], "\"cdn\"");
    }

    #[test]
    fn a_definition_with_an_error_keeps_its_name_and_the_rest_of_it() {
        let (file, diagnostics) =
            read("[endpoints.fra]\nipv4 = \"x\"\nregion = \"eu\"\n[pools.p]\nmembers = [\"fra\", 1]\n");
        assert_eq!(diagnostics.len(), 3);
        assert_eq!(file.endpoints[0].name.value, "fra");
        assert_eq!(value(&file.endpoints[0].value.region).as_deref(), Some("eu"));
        assert_eq!((file.pools[0].name.value.as_str(), file.pools[0].value.members.len()), ("p", 1));
    }

    #[test]
    fn more_errors_than_anybody_reads_are_counted() {
        let text: String = (0..1500).map(|key| format!("unknown-{key} = 1\n")).collect();
        let (_, diagnostics) = read(&text);
        assert_eq!(diagnostics.len(), 1001);
        assert_eq!(diagnostics[1000].message, "500 more errors in zones/example.org.toml are not shown");
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in LIKE_TOML) {
            read(&text);
        }

        #[test]
        fn no_damage_makes_it_panic(at in 0..GOOD.len(), gone in 0..300usize, new in ".{0,3}") {
            let bytes = GOOD.as_bytes();
            let end = (at + gone).min(bytes.len());
            let damaged = [&bytes[..at], new.as_bytes(), &bytes[end..]].concat();
            read(&String::from_utf8_lossy(&damaged));
        }

        #[test]
        fn no_order_of_lines_makes_it_panic(lines in Just(GOOD.lines().collect::<Vec<_>>()).prop_shuffle()) {
            read(&lines.join("\n"));
        }
    }
}
