//! What monitoring systems are told: everything a server counts, as OpenMetrics text.
//!
//! ```text
//!   the serving task --View, copied--> Figures --off the async threads--> text --> /metrics
//! ```
//!
//! To add a metric is a line in [`Figures::write`]. No label is ever made of a query, so that nobody who asks can make
//! more of them; those that are made of names in the configuration and of probes are limited.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, EncodeLabelSet, NoLabelSet, text,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use tokio::sync::oneshot;

use crate::app::persist::Writing;
use crate::app::status::View;
use crate::control::Reply;
use crate::dns::{Stats, Traffic};
use crate::health::{PoolStanding, Standing, Verdict};
use crate::keeper::ProbeStatus;
use crate::load::{Current, Held};
use crate::model::{ELSEWHERE, EndpointId, Family, Moment, PoolId, RegionId};
use crate::snapshot::Snapshot;

/// How reading the files again went.
#[derive(Clone, Debug)]
pub(super) struct Reloads {
    started: Moment,
    good: u64,
    refused: u64,
    last_good: Moment,
    last_refused: bool,
}

impl Reloads {
    /// None yet; a start reads the files too, and they are good or it is none.
    pub(super) fn since(started: Moment) -> Self {
        Self { started, good: 0, refused: 0, last_good: started, last_refused: false }
    }

    /// Counts one.
    pub(super) fn count(&mut self, good: bool, now: Moment) {
        self.last_refused = !good;
        if good {
            self.good += 1;
            self.last_good = now;
        } else {
            self.refused += 1;
        }
    }
}

/// Replies with the metrics, from a thread that may take its time: ten thousand endpoints take milliseconds.
pub(super) fn tell(view: &View<'_>, reply: oneshot::Sender<Reply>) {
    let figures = Figures::of(view);
    tokio::task::spawn_blocking(move || {
        // Whoever asked may have left.
        let _ = reply.send(match figures.text() {
            Ok(text) => Reply::said(text),
            Err(error) => Reply::failed(error.to_string()),
        });
    });
}

/// All that is told, of one moment.
#[derive(Debug)]
struct Figures {
    now: Moment,
    wall: SystemTime,
    answering: bool,
    snapshot: Arc<Snapshot>,
    published: Moment,
    traffic: Traffic,
    reloads: Reloads,
    probes: Vec<ProbeStatus>,
    databases: Vec<Held>,
    state: Writing,
}

impl Figures {
    /// Copies what is needed, which is little.
    fn of(view: &View<'_>) -> Self {
        Self {
            now: view.now,
            wall: SystemTime::now(),
            answering: view.answering,
            snapshot: Arc::clone(&view.snapshot),
            published: view.published,
            traffic: view.traffic,
            reloads: view.reloads.clone(),
            probes: view.probes.clone(),
            databases: view.databases.to_vec(),
            state: view.state.clone(),
        }
    }

    fn text(self) -> Result<String, fmt::Error> {
        let mut registry = Registry::with_prefix("windrose");
        registry.register_collector(Box::new(self));
        let mut written = String::new();
        text::encode(&mut written, &registry)?;
        Ok(written)
    }

    fn write(&self, page: &mut Page<'_>) -> fmt::Result {
        page.info("build", "The release that runs", &[("version", env!("CARGO_PKG_VERSION"))])?;
        page.gauge("start_time_seconds", "When this process started", seconds(self.reloads.started))?;
        page.gauge("answering", "Whether DNS is answered yet", truth(self.answering))?;
        self.write_dns(page)?;
        self.write_plan(page)?;
        self.write_health(page)?;
        self.write_probes(page)?;
        self.write_databases(page)?;
        let Writing { error, failures } = &self.state;
        page.counter("state_write_failures", "Writes of the state file that failed", *failures)?;
        page.gauge(
            "state_write_failing",
            "Whether the last write of the state file failed",
            truth(error.is_some()),
        )
    }

    fn write_dns(&self, page: &mut Page<'_>) -> fmt::Result {
        let Traffic { udp, tcp } = &self.traffic;
        let by_transport = |count: fn(&Stats) -> u64| [udp, tcp].map(count);
        let both =
            |counts: [u64; 2]| [[("transport", "udp")], [("transport", "tcp")]].into_iter().zip(counts);
        let replies = [("udp", udp), ("tcp", tcp)].into_iter().flat_map(|(transport, stats)| {
            replies(stats).map(move |(rcode, count)| ([("transport", transport), ("rcode", rcode)], count))
        });
        page.counters("dns_queries", "Messages that came in", both(by_transport(|of| of.queries)))?;
        page.counters("dns_replies", "Replies", replies)?;
        page.counters("dns_truncated", "Replies with TC", both(by_transport(|of| of.truncated)))?;
        let silenced = "Messages without a reply: runts and responses";
        page.counters("dns_silenced", silenced, both(by_transport(|of| of.silenced)))?;
        let unsent = "Replies that the system did not take";
        page.counters("dns_unsent", unsent, both(by_transport(|of| of.unsent)))?;
        page.counter("dns_tcp_connections", "TCP connections accepted", tcp.connections)?;
        let refused = "TCP connections closed at once, because of a cap";
        page.counter("dns_tcp_connections_refused", refused, tcp.connections_refused)
    }

    fn write_plan(&self, page: &mut Page<'_>) -> fmt::Result {
        let plan = &self.snapshot.plan;
        let inventory = &plan.inventory;
        let regions = inventory.regions.iter().filter(|region| &*region.name != ELSEWHERE).count();
        page.gauge("zones", "Zones served", plan.zones.apexes().count())?;
        page.gauge("names", "Steered names", plan.steered.len())?;
        page.gauge("pools", "Pools", inventory.pools.len())?;
        page.gauge("endpoints", "Endpoints", inventory.endpoints.len())?;
        page.gauge("targets", "Monitors on addresses of endpoints", inventory.targets.len())?;
        page.gauge("regions", "Regions of all maps", regions)?;
        let Reloads { good, refused, last_good, last_refused, .. } = self.reloads;
        let results = [([("result", "good")], good), ([("result", "refused")], refused)];
        page.counters("reloads", "Readings of the files since the start", results)?;
        let last = "When the files were read last and nothing was wrong";
        page.gauge("last_good_reload_timestamp_seconds", last, seconds(last_good))?;
        let refused = "Whether the last reload was refused: the files are not what is served";
        page.gauge("last_reload_refused", refused, truth(last_refused))
    }

    fn write_health(&self, page: &mut Page<'_>) -> fmt::Result {
        let count = Health::of(&self.snapshot);
        let age = self.now.since(self.published).as_secs_f64();
        let verdicts = [("up", count.up), ("down", count.down), ("unknown", count.unknown)];
        let verdicts = verdicts.map(|(verdict, count)| ([("verdict", verdict)], count));
        page.gauge("snapshot_generation", "The number of what is answered from", self.snapshot.generation)?;
        page.gauge("snapshot_age_seconds", "Since when nothing turned or was changed", age)?;
        page.gauges("verdicts", "Endpoint x region x family, by verdict", verdicts)?;
        page.gauge("verdicts_stale", "Those without a fresh vote: the last verdict stands", count.stale)?;
        page.gauge("verdicts_moving", "Those whose health moves, or did lately", count.moving)?;
        page.gauge("verdicts_controlled", "Those that an operator fixed", count.controlled)?;
        page.gauge("pools_down", "Pools that are down for clients somewhere, in a family", count.pools_down)
    }

    fn write_probes(&self, page: &mut Page<'_>) -> fmt::Result {
        let regions = &self.snapshot.plan.inventory.regions;
        let shown = || self.probes.iter().take(PROBES_SHOWN_MAX);
        let labels = |probe: &ProbeStatus| {
            // A probe may have been heard under a plan that had more regions.
            let region = regions.get(probe.region.index()).map_or("", |region| &*region.name);
            vec![("probe", probe.name.to_string()), ("region", region.to_owned())]
        };
        let fresh = self.probes.iter().filter(|probe| probe.fresh).count();
        page.gauge("probes", "Probes that were heard", self.probes.len())?;
        page.gauge("probes_fresh", "Probes whose votes count", fresh)?;
        let ages = shown().map(|probe| (labels(probe), probe.age.as_secs_f64()));
        page.gauges("probe_age_seconds", "How long ago a probe was heard", ages)?;
        let freshness = shown().map(|probe| (labels(probe), truth(probe.fresh)));
        page.gauges("probe_fresh", "Whether a probe's votes count", freshness)
    }

    fn write_databases(&self, page: &mut Page<'_>) -> fmt::Result {
        // Somebody may have named one twice; a metric must not be there twice.
        let by_path: BTreeMap<String, &Held> =
            self.databases.iter().map(|held| (held.path.display().to_string(), held)).collect();
        let all = || by_path.iter().map(|(path, held)| ([("path", path.as_str())], *held));
        let used = || all().filter_map(|(labels, held)| Some((labels, held.current.as_ref()?)));
        let unused = all().map(|(labels, held)| (labels, truth(held.trouble.is_some())));
        page.gauges("geo_database_trouble", "Whether the file that is there now is not used", unused)?;
        let bytes = used().map(|(labels, current)| (labels, current.database.bytes));
        page.gauges("geo_database_bytes", "Size of a geo database", bytes)?;
        let networks = used().map(|(labels, current)| (labels, current.database.networks));
        page.gauges("geo_database_networks", "Networks in a geo database", networks)?;
        let age = |current: &Current| Some(current.database.age(self.wall)?.as_secs_f64());
        let ages = used().filter_map(|(labels, current)| Some((labels, age(current)?)));
        page.gauges("geo_database_age_seconds", "How long ago a geo database was built", ages)?;
        let loaded = used().map(|(labels, current)| {
            let since_1970 = current.loaded.duration_since(UNIX_EPOCH).unwrap_or_default();
            (labels, since_1970.as_secs_f64())
        });
        page.gauges("geo_database_loaded_timestamp_seconds", "When a geo database was read", loaded)
    }
}

impl Collector for Figures {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.write(&mut Page(encoder))
    }
}

/// Where the lines go: a family of metrics each, named after the conventions of Prometheus (a counter's `_total` is
/// added).
struct Page<'e>(DescriptorEncoder<'e>);

impl Page<'_> {
    fn info(&mut self, name: &str, help: &str, labels: &[(&str, &str)]) -> fmt::Result {
        self.0.encode_descriptor(name, help, None, MetricType::Info)?.encode_info(&labels)
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl EncodeGaugeValue) -> fmt::Result {
        self.0.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&value)
    }

    fn gauges<L: EncodeLabelSet, V: EncodeGaugeValue>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (L, V)>,
    ) -> fmt::Result {
        let mut encoder = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        values
            .into_iter()
            .try_for_each(|(labels, value)| encoder.encode_family(&labels)?.encode_gauge(&value))
    }

    fn counter(&mut self, name: &str, help: &str, value: impl EncodeCounterValue) -> fmt::Result {
        let mut encoder = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        encoder.encode_counter::<NoLabelSet, _, u64>(&value, None)
    }

    fn counters<L: EncodeLabelSet, V: EncodeCounterValue>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (L, V)>,
    ) -> fmt::Result {
        let mut encoder = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        values.into_iter().try_for_each(|(labels, value)| {
            encoder.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&value, None)
        })
    }
}

/// How endpoints and pools stand, counted.
#[derive(Debug, Default, PartialEq)]
struct Health {
    up: usize,
    down: usize,
    unknown: usize,
    stale: usize,
    moving: usize,
    controlled: usize,
    pools_down: usize,
}

impl Health {
    fn of(snapshot: &Snapshot) -> Self {
        let inventory = &snapshot.plan.inventory;
        let mut health = Self::default();
        for (index, endpoint) in inventory.endpoints.iter().enumerate() {
            for family in Family::BOTH.into_iter().filter(|&family| endpoint.serves(family)) {
                for region in (0..inventory.regions.len()).map(RegionId::at) {
                    health.count(snapshot.health.endpoint(EndpointId::at(index), region, family));
                }
            }
        }
        let pools = (0..inventory.pools.len()).map(PoolId::at);
        health.pools_down = pools.filter(|&pool| is_down_somewhere(pool, snapshot)).count();
        health
    }

    fn count(&mut self, standing: &Standing) {
        match standing.verdict {
            Verdict::Up => self.up += 1,
            Verdict::Down => self.down += 1,
            Verdict::Unknown => self.unknown += 1,
        }
        self.stale += usize::from(standing.stale);
        self.moving += usize::from(standing.moving);
        self.controlled += usize::from(standing.control.is_some());
    }
}

/// Whether it is down in a family for which it has somebody to answer with.
fn is_down_somewhere(pool: PoolId, snapshot: &Snapshot) -> bool {
    let standing = |situation, family| snapshot.health.pool(pool, situation, family);
    let down = |standing: PoolStanding| !standing.up && (standing.addresses || standing.names);
    let mut situations = snapshot.plan.inventory.situation_ids();
    situations.any(|situation| Family::BOTH.into_iter().any(|family| down(standing(situation, family))))
}

/// The replies of each response code that is ever sent, and of all others.
fn replies(stats: &Stats) -> impl Iterator<Item = (&'static str, u64)> {
    let named = RCODES.map(|(rcode, name)| (name, stats.replies[rcode]));
    let others = stats.answered() - named.iter().map(|(_, count)| count).sum::<u64>();
    named.into_iter().chain([("other", others)])
}

fn seconds(moment: Moment) -> f64 {
    moment.0 as f64 / 1000.0
}

fn truth(truth: bool) -> u32 {
    truth.into()
}

/// By their names in the IANA registry; index of [`Stats::replies`].
const RCODES: [(usize, &str); 7] = [
    (0, "NOERROR"),
    (1, "FORMERR"),
    (2, "SERVFAIL"),
    (3, "NXDOMAIN"),
    (4, "NOTIMP"),
    (5, "REFUSED"),
    (16, "BADVERS"),
];

/// Of more probes than this, the rest is only counted: each costs a time series of its own.
const PROBES_SHOWN_MAX: usize = 1000;

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, HashMap};
    use std::path::Path;
    use std::time::Duration;

    use super::*;
    use crate::geo::Facts;
    use crate::health::HealthMap;
    use crate::load;

    const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/config/good/failover");

    /// A server of the example, at a quiet moment.
    fn figures() -> Figures {
        let loaded = load::zones(Path::new(EXAMPLE), &Arc::new(Facts::none()), Duration::from_secs(2));
        let plan = loaded.plan.expect("the example is right");
        let mut health = HealthMap::new(&plan.inventory);
        crate::steering::judge_pools(&plan.inventory, &mut health);
        let now = Moment(1_700_000_060_000);
        let started = Moment(1_700_000_000_500);
        Figures {
            now,
            wall: UNIX_EPOCH + Duration::from_millis(now.0),
            answering: true,
            snapshot: Arc::new(Snapshot { generation: 7, plan: Arc::new(plan), health }),
            published: Moment(1_700_000_057_500),
            traffic: Traffic::default(),
            reloads: Reloads::since(started),
            probes: Vec::new(),
            databases: Vec::new(),
            state: Writing::default(),
        }
    }

    fn probe(name: &str, fresh: bool) -> ProbeStatus {
        let age = Duration::from_millis(1500);
        ProbeStatus { name: name.into(), region: RegionId(0), number: 1, age, fresh }
    }

    /// The text, read as strictly as OpenMetrics is written: every sample by its name and labels.
    fn read(text: &str) -> HashMap<String, f64> {
        let mut samples = HashMap::new();
        let mut described = BTreeSet::new();
        let mut family = (String::new(), "");
        let mut lines = text.lines().peekable();
        while let Some(line) = lines.next() {
            if line == "# EOF" {
                assert!(lines.peek().is_none(), "nothing comes after the end");
                return samples;
            } else if let Some(help) = line.strip_prefix("# HELP ") {
                let name = help.split(' ').next().expect("a name");
                assert!(described.insert(name.to_owned()), "{name} is described twice");
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').expect("a name and a type");
                assert!(described.contains(name) && name.starts_with("windrose_"), "{line}");
                family = (name.to_owned(), kind);
            } else {
                let (series, value) = line.rsplit_once(' ').expect("a series and its value");
                let suffix = match family.1 {
                    "counter" => "_total",
                    "info" => "_info",
                    _ => "",
                };
                let name = series.split('{').next().expect("a name");
                assert_eq!(name, format!("{}{suffix}", family.0), "{line} is out of its family");
                let twice = samples.insert(series.to_owned(), value.parse().expect("a number"));
                assert_eq!(twice, None, "{series} is there twice");
            }
        }
        panic!("it has no end:\n{text}");
    }

    fn samples(figures: Figures) -> HashMap<String, f64> {
        read(&figures.text().expect("a string takes everything"))
    }

    #[test]
    fn a_quiet_server_tells_what_it_serves() {
        let samples = samples(figures());
        assert_eq!(samples["windrose_answering"], 1.0);
        assert_eq!(samples["windrose_zones"], 1.0);
        assert_eq!(samples["windrose_endpoints"], 3.0);
        assert_eq!(samples["windrose_start_time_seconds"], 1_700_000_000.5);
        assert_eq!(samples["windrose_last_good_reload_timestamp_seconds"], 1_700_000_000.5);
        assert_eq!(samples["windrose_snapshot_generation"], 7.0);
        assert_eq!(samples["windrose_snapshot_age_seconds"], 2.5);
        assert_eq!(samples["windrose_pools_down"], 0.0);
        let version = format!("windrose_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"));
        assert_eq!(samples[&version], 1.0);
    }

    #[test]
    fn queries_and_replies_are_told_by_transport() {
        let mut udp = Stats { queries: 10, silenced: 1, truncated: 2, ..Stats::default() };
        (udp.replies[0], udp.replies[3], udp.replies[9]) = (6, 2, 1);
        let tcp = Stats { queries: 3, connections: 2, connections_refused: 1, ..Stats::default() };
        let samples = samples(Figures { traffic: Traffic { udp, tcp }, ..figures() });
        assert_eq!(samples["windrose_dns_queries_total{transport=\"udp\"}"], 10.0);
        assert_eq!(samples["windrose_dns_queries_total{transport=\"tcp\"}"], 3.0);
        assert_eq!(samples["windrose_dns_replies_total{transport=\"udp\",rcode=\"NXDOMAIN\"}"], 2.0);
        assert_eq!(samples["windrose_dns_replies_total{transport=\"udp\",rcode=\"other\"}"], 1.0);
        assert_eq!(samples["windrose_dns_replies_total{transport=\"tcp\",rcode=\"NOERROR\"}"], 0.0);
        assert_eq!(samples["windrose_dns_truncated_total{transport=\"udp\"}"], 2.0);
        assert_eq!(samples["windrose_dns_silenced_total{transport=\"udp\"}"], 1.0);
        assert_eq!(samples["windrose_dns_tcp_connections_total"], 2.0);
        assert_eq!(samples["windrose_dns_tcp_connections_refused_total"], 1.0);
    }

    #[test]
    fn verdicts_and_pools_are_counted() {
        let mut figures = figures();
        let Snapshot { plan, health, .. } = Arc::make_mut(&mut figures.snapshot);
        let slots: usize = Family::BOTH
            .into_iter()
            .map(|family| plan.inventory.endpoints.iter().filter(|one| one.serves(family)).count())
            .sum::<usize>()
            * plan.inventory.regions.len();
        for endpoint in 0..plan.inventory.endpoints.len() {
            let standing = health.endpoint_mut(EndpointId::at(endpoint), RegionId(0), Family::V4);
            *standing = Standing { verdict: Verdict::Down, stale: true, moving: true, ..Standing::default() };
        }
        crate::steering::judge_pools(&plan.inventory, health);
        let samples = samples(figures);
        assert_eq!(samples["windrose_verdicts{verdict=\"down\"}"], 3.0);
        let unknown = samples["windrose_verdicts{verdict=\"unknown\"}"];
        assert_eq!(unknown + samples["windrose_verdicts{verdict=\"up\"}"], slots as f64 - 3.0);
        assert_eq!(samples["windrose_verdicts_stale"], 3.0);
        assert_eq!(samples["windrose_verdicts_moving"], 3.0);
        assert_eq!(samples["windrose_verdicts_controlled"], 0.0);
        assert_eq!(samples["windrose_pools_down"], 1.0);
    }

    #[test]
    fn reloads_are_counted_and_a_refused_one_is_told_until_a_good_one() {
        let mut reloads = Reloads::since(Moment(1_000));
        reloads.count(true, Moment(2_000));
        reloads.count(false, Moment(3_000));
        let refused = samples(Figures { reloads: reloads.clone(), ..figures() });
        assert_eq!(refused["windrose_reloads_total{result=\"good\"}"], 1.0);
        assert_eq!(refused["windrose_reloads_total{result=\"refused\"}"], 1.0);
        assert_eq!(refused["windrose_last_good_reload_timestamp_seconds"], 2.0);
        assert_eq!(refused["windrose_last_reload_refused"], 1.0);
        reloads.count(true, Moment(4_000));
        assert_eq!(samples(Figures { reloads, ..figures() })["windrose_last_reload_refused"], 0.0);
    }

    #[test]
    fn more_probes_than_a_thousand_are_only_counted() {
        let probes: Vec<_> = (0..1200).map(|number| probe(&format!("p{number}"), number % 2 == 0)).collect();
        let samples = samples(Figures { probes, ..figures() });
        assert_eq!(samples["windrose_probes"], 1200.0);
        assert_eq!(samples["windrose_probes_fresh"], 600.0);
        let ages = samples.keys().filter(|series| series.starts_with("windrose_probe_age_seconds{"));
        assert_eq!(ages.count(), PROBES_SHOWN_MAX);
    }

    #[test]
    fn a_name_cannot_break_out_of_its_label() {
        let probes = vec![probe("a\"} 1\nb\\", true)];
        let samples = samples(Figures { probes, ..figures() });
        let series = samples.keys().find(|series| series.starts_with("windrose_probe_fresh{"));
        assert!(series.expect("told").contains(r#"probe="a\"} 1\nb\\""#), "{series:?}");
    }

    #[test]
    fn geo_databases_tell_their_size_and_age_once_each() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = |name: &str| directory.path().join(name);
        let ranges =
            "# Generated: Wed, 01 Nov 2023 00:00:00 GMT\n1.0.0.0,1.0.0.255,AU\n1.0.1.0,1.0.1.255,DE\n";
        std::fs::write(path("ranges"), ranges).expect("written");
        let config = "[geo]\ndatabases = [\"ranges\", \"missing.mmdb\", \"ranges\"]\n";
        std::fs::write(path("windrose.toml"), config).expect("written");
        let (site, _) = load::machine(Some(&path("windrose.toml"))).expect("it is right");
        let start = figures();
        let databases = load::Databases::open(&site, start.wall).held().to_vec();
        let samples = samples(Figures { databases, ..start });
        let of = |metric: &str, name: &str| {
            samples.get(&format!("windrose_geo_database_{metric}{{path=\"{}\"}}", path(name).display()))
        };
        assert_eq!(of("bytes", "ranges"), Some(&(ranges.len() as f64)));
        assert_eq!(of("networks", "ranges"), Some(&2.0));
        assert_eq!(of("loaded_timestamp_seconds", "ranges"), Some(&1_700_000_060.0));
        assert_eq!(of("age_seconds", "ranges"), Some(&1_203_260.0));
        assert_eq!((of("trouble", "ranges"), of("trouble", "missing.mmdb")), (Some(&0.0), Some(&1.0)));
        assert_eq!(of("bytes", "missing.mmdb"), None);
    }

    #[test]
    fn a_state_that_cannot_be_written_is_told() {
        let state = Writing { error: Some("disk full".into()), failures: 3 };
        let samples = samples(Figures { state, ..figures() });
        assert_eq!(samples["windrose_state_write_failing"], 1.0);
        assert_eq!(samples["windrose_state_write_failures_total"], 3.0);
    }
}
