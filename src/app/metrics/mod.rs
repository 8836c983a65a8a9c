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

use crate::app::certificate::Shown;
use crate::app::fleet::{Membership, Other};
use crate::app::persist::Writing;
use crate::app::status::View;
use crate::control::Reply;
use crate::dns::{Counted, Stats, Traffic};
use crate::dnssec;
use crate::fleet::{Dropped, Link};
use crate::health::{PoolStanding, Standing, Verdict};
use crate::keeper::{self, ProbeStatus};
use crate::load::{Current, Held};
use crate::model::{ELSEWHERE, EndpointId, Family, Moment, PoolId, RegionId};
use crate::notify::Progress;
use crate::plan::zone::name::show;
use crate::probe::Counts;
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
    signatures: dnssec::Figures,
    /// `None`: nothing is encrypted.
    certificate: Option<Shown>,
    reloads: Reloads,
    probes: Vec<ProbeStatus>,
    void: Counts,
    refused: keeper::Dropped,
    databases: Vec<Held>,
    state: Writing,
    /// `None`: nobody is to be told of what happens.
    notified: Option<Progress>,
    /// `None`: one machine alone.
    fleet: Option<Fleet>,
}

/// How this machine and its fleet see one another.
#[derive(Debug)]
struct Fleet {
    linked: bool,
    zones_version: Option<u64>,
    dropped: Dropped,
    servers: Vec<Server>,
}

/// Another server of the fleet.
#[derive(Debug)]
struct Server {
    name: Box<str>,
    heard: Moment,
    /// Since when it runs other zones, or holds other verdicts, than this one.
    other_zones: Option<Moment>,
    other_verdicts: Option<Moment>,
}

impl Fleet {
    fn of(membership: &Membership, zones_version: Option<u64>) -> Self {
        let server = |(name, other): (&str, &Other)| Server {
            name: name.into(),
            heard: other.heard,
            other_zones: other.other_plan,
            other_verdicts: other.other_map,
        };
        Self {
            linked: matches!(membership.link(), Link::Connected { .. }),
            zones_version,
            dropped: membership.dropped(),
            servers: membership.others().map(server).collect(),
        }
    }
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
            signatures: view.signatures,
            certificate: view.certificate.clone(),
            reloads: view.reloads.clone(),
            probes: view.probes.clone(),
            void: view.void,
            refused: view.refused,
            databases: view.databases.to_vec(),
            state: view.state.clone(),
            notified: view.notified.clone(),
            fleet: view.membership.map(|membership| Fleet::of(membership, view.zones_version)),
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
        self.write_signatures(page)?;
        if let Some(shown) = &self.certificate {
            self.write_certificate(shown, page)?;
        }
        self.write_plan(page)?;
        self.write_health(page)?;
        self.write_probes(page)?;
        self.write_databases(page)?;
        if let Some(fleet) = &self.fleet {
            self.write_fleet(fleet, page)?;
        }
        if let Some(progress) = &self.notified {
            write_notified(progress, page)?;
        }
        let Writing { error, failures } = &self.state;
        page.counter("state_write_failures", "Writes of the state file that failed", *failures)?;
        page.gauge(
            "state_write_failing",
            "Whether the last write of the state file failed",
            truth(error.is_some()),
        )
    }

    fn write_dns(&self, page: &mut Page<'_>) -> fmt::Result {
        let transports = || self.traffic.by_transport().into_iter();
        let of_each = |count: fn(&Stats) -> u64| {
            transports().map(move |(transport, stats)| ([("transport", transport)], count(stats)))
        };
        let of_connected = |count| of_each(count).filter(|([(_, transport)], _)| *transport != "udp");
        let replies = transports().flat_map(|(transport, stats)| {
            replies(stats).map(move |(rcode, count)| ([("transport", transport), ("rcode", rcode)], count))
        });
        page.counters("dns_queries", "Messages that came in", of_each(|of| of.queries))?;
        page.counters("dns_replies", "Replies", replies)?;
        page.counters("dns_truncated", "Replies with TC", of_each(|of| of.truncated))?;
        let silenced = "Messages without a reply: runts and responses";
        page.counters("dns_silenced", silenced, of_each(|of| of.silenced))?;
        page.counters("dns_unsent", "Replies that the system did not take", of_each(|of| of.unsent))?;
        page.counters("dns_connections", "Connections accepted", of_connected(|of| of.connections))?;
        let refused = "Connections closed at once, because of a cap";
        page.counters("dns_connections_refused", refused, of_connected(|of| of.connections_refused))?;
        let failed = "Connections that ended before a message could come: no handshake, or none in time";
        page.counters("dns_connections_failed", failed, of_connected(|of| of.connections_failed))?;
        let Counted { dropped, slipped, errors_dropped, shrunk } = self.traffic.udp.limited;
        let limited =
            [("rate", dropped), ("slip", slipped), ("errors", errors_dropped), ("amplification", shrunk)];
        let limited = limited.map(|(by, count)| ([("by", by)], count));
        let about = "Replies over UDP that [limits] dropped (rate, errors) or cut to TC or BADCOOKIE (slip, amplification)";
        page.counters("dns_limited", about, limited)
    }

    fn write_signatures(&self, page: &mut Page<'_>) -> fmt::Result {
        let dnssec::Figures { held, made, given, forgotten } = self.signatures;
        page.gauge("signatures", "Signatures that are remembered", held)?;
        page.counter("signatures_made", "Signatures that were made", made)?;
        page.counter("signatures_given", "Signatures that were given again", given)?;
        page.counter("signatures_forgotten", "Signatures that made room for others", forgotten)
    }

    fn write_certificate(&self, shown: &Shown, page: &mut Page<'_>) -> fmt::Result {
        let ends = shown.ends.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        page.gauge("certificate_end_timestamp_seconds", "When the certificate that is shown ends", ends)?;
        let trouble = "Whether the files hold a certificate that cannot be used: the one before is shown";
        page.gauge("certificate_trouble", trouble, truth(shown.trouble.is_some()))
    }

    fn write_plan(&self, page: &mut Page<'_>) -> fmt::Result {
        let plan = &self.snapshot.plan;
        let inventory = &plan.inventory;
        let regions = inventory.regions.iter().filter(|region| &*region.name != ELSEWHERE).count();
        page.gauge("zones", "Zones served", plan.zones.apexes().count())?;
        let editions = self.snapshot.editions.iter().take(ZONES_SHOWN_MAX);
        let serials = editions.map(|(apex, edition)| ([("zone", show(apex))], i64::from(edition.serial())));
        page.gauges("zone_serial", "The serial of a zone that others may take or change", serials)?;
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
        page.gauge("verdicts_held_back", "Those that would be down but for the governor", count.held_back)?;
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
        let isolated = self.probes.iter().filter(|probe| probe.isolation.is_some()).count();
        page.gauge("probes", "Probes that are known of", self.probes.len())?;
        page.gauge("probes_fresh", "Probes that were heard lately", fresh)?;
        page.gauge("probes_isolated", "Probes whose votes do not count: they see another world", isolated)?;
        let ages = shown().filter_map(|probe| Some((labels(probe), probe.age?.as_secs_f64())));
        page.gauges("probe_age_seconds", "How long ago a probe was heard", ages)?;
        let freshness = shown().map(|probe| (labels(probe), truth(probe.fresh)));
        page.gauges("probe_fresh", "Whether a probe was heard lately", freshness)?;
        let isolation = shown().map(|probe| (labels(probe), truth(probe.isolation.is_some())));
        page.gauges(
            "probe_isolated",
            "Whether a probe's votes do not count: it sees another world",
            isolation,
        )?;
        let refused = self.refused.by_reason().map(|(reason, reports)| ([("reason", reason)], reports));
        page.counters("reports_refused", "Reports of probes that were read and do not count", refused)?;
        let Counts { late, not_run, unconfirmed } = self.void;
        let void = [("late", late), ("not_run", not_run), ("unconfirmed", unconfirmed)];
        let void = void.map(|(reason, count)| ([("reason", reason)], count));
        page.counters("checks_void", "Checks of this machine's own probe that said nothing", void)
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

    fn write_fleet(&self, fleet: &Fleet, page: &mut Page<'_>) -> fmt::Result {
        let Dropped { garbage, version, false_name, too_large, overflow } = fleet.dropped;
        let dropped = [
            ([("reason", "garbage")], garbage),
            ([("reason", "version")], version),
            ([("reason", "false_name")], false_name),
            ([("reason", "too_large")], too_large),
            ([("reason", "overflow")], overflow),
        ];
        let passed = |since: Option<Moment>| since.map_or(0.0, |since| self.now.since(since).as_secs_f64());
        let of_each = |seconds: fn(&Server) -> Option<Moment>| {
            fleet.servers.iter().map(move |server| ([("server", &*server.name)], passed(seconds(server))))
        };
        page.gauge("fleet_linked", "Whether the fleet can be heard", truth(fleet.linked))?;
        page.counters("fleet_dropped", "Messages of the fleet that were dropped", dropped)?;
        if let Some(version) = fleet.zones_version {
            page.gauge("fleet_zones_version", "The published version that is served", version)?;
        }
        page.gauge("fleet_servers", "Other servers that were heard", fleet.servers.len())?;
        let heard = of_each(|server| Some(server.heard));
        page.gauges("fleet_server_age_seconds", "How long ago another server was heard", heard)?;
        let zones = "How long another server has run other zones than this one; 0: the same";
        page.gauges("fleet_server_other_zones_seconds", zones, of_each(|server| server.other_zones))?;
        let verdicts = "How long another server has held other verdicts, with the same zones; 0: the same";
        page.gauges("fleet_server_other_verdicts_seconds", verdicts, of_each(|server| server.other_verdicts))
    }
}

fn write_notified(progress: &Progress, page: &mut Page<'_>) -> fmt::Result {
    page.counter("notify_sent", "Events that the one who is notified took", progress.sent)?;
    page.counter("notify_failed", "Events that were not taken and are lost", progress.failed)?;
    page.gauge("notify_waiting", "Events that are not taken yet", progress.waiting)
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
    held_back: usize,
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
        self.held_back += usize::from(standing.governed);
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
/// So do zones that others take.
const ZONES_SHOWN_MAX: usize = 1000;

#[cfg(test)]
mod tests;
