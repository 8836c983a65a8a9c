//! The text of the metrics, read back.

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
    let loaded = load::zones(
        Path::new(EXAMPLE),
        &Arc::new(Facts::none()),
        Duration::from_secs(2),
        &load::Overlays::new(),
    );
    let plan = loaded.plan.expect("the example is right");
    let mut health = HealthMap::new(&plan.inventory);
    crate::steering::judge_pools(&plan.inventory, &mut health);
    let now = Moment(1_700_000_060_000);
    let started = Moment(1_700_000_000_500);
    Figures {
        now,
        wall: UNIX_EPOCH + Duration::from_millis(now.0),
        answering: true,
        snapshot: Arc::new(Snapshot::new(7, Arc::new(plan), health)),
        published: Moment(1_700_000_057_500),
        traffic: Traffic::default(),
        signatures: crate::dnssec::Figures::default(),
        certificate: None,
        reloads: Reloads::since(started),
        probes: Vec::new(),
        void: Counts::default(),
        refused: keeper::Dropped::default(),
        databases: Vec::new(),
        state: Writing::default(),
        notified: None,
        fleet: None,
    }
}

fn probe(name: &str, fresh: bool) -> ProbeStatus {
    let age = Duration::from_millis(1500);
    ProbeStatus {
        name: name.into(),
        region: RegionId(0),
        number: 1,
        zones: None,
        age: Some(age),
        fresh,
        isolation: None,
        refused: Vec::new(),
    }
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
    let samples = samples(Figures { traffic: Traffic { udp, tcp, ..Traffic::default() }, ..figures() });
    assert_eq!(samples["windrose_dns_queries_total{transport=\"udp\"}"], 10.0);
    assert_eq!(samples["windrose_dns_queries_total{transport=\"tcp\"}"], 3.0);
    assert_eq!(samples["windrose_dns_replies_total{transport=\"udp\",rcode=\"NXDOMAIN\"}"], 2.0);
    assert_eq!(samples["windrose_dns_replies_total{transport=\"udp\",rcode=\"other\"}"], 1.0);
    assert_eq!(samples["windrose_dns_replies_total{transport=\"tcp\",rcode=\"NOERROR\"}"], 0.0);
    assert_eq!(samples["windrose_dns_truncated_total{transport=\"udp\"}"], 2.0);
    assert_eq!(samples["windrose_dns_silenced_total{transport=\"udp\"}"], 1.0);
    assert_eq!(samples["windrose_dns_connections_total{transport=\"tcp\"}"], 2.0);
    assert_eq!(samples["windrose_dns_connections_refused_total{transport=\"tcp\"}"], 1.0);
}

#[test]
fn the_end_of_the_certificate_is_told_and_whether_its_successor_is_refused() {
    let ends = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let shown = Shown { ends, trouble: Some("no key".into()) };
    let samples = samples(Figures { certificate: Some(shown), ..figures() });
    assert_eq!(samples["windrose_certificate_end_timestamp_seconds"], 1_800_000_000.0);
    assert_eq!(samples["windrose_certificate_trouble"], 1.0);
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
    let ranges = "# Generated: Wed, 01 Nov 2023 00:00:00 GMT\n1.0.0.0,1.0.0.255,AU\n1.0.1.0,1.0.1.255,DE\n";
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

#[test]
fn a_fleet_tells_who_differs_and_for_how_long() {
    let start = figures();
    let now = start.now;
    let ago = |seconds: u64| Moment(now.0 - 1000 * seconds);
    let server = |name: &str, other_zones| Server {
        name: name.into(),
        heard: ago(1),
        other_zones,
        other_verdicts: None,
    };
    let fleet = Fleet {
        linked: true,
        zones_version: Some(3),
        dropped: Dropped { false_name: 2, ..Dropped::default() },
        servers: vec![server("ns2", Some(ago(30))), server("ns3", None)],
    };
    let samples = samples(Figures { fleet: Some(fleet), ..start });
    assert_eq!(samples["windrose_fleet_linked"], 1.0);
    assert_eq!(samples["windrose_fleet_zones_version"], 3.0);
    assert_eq!(samples["windrose_fleet_dropped_total{reason=\"false_name\"}"], 2.0);
    assert_eq!(samples["windrose_fleet_servers"], 2.0);
    assert_eq!(samples["windrose_fleet_server_age_seconds{server=\"ns3\"}"], 1.0);
    assert_eq!(samples["windrose_fleet_server_other_zones_seconds{server=\"ns2\"}"], 30.0);
    assert_eq!(samples["windrose_fleet_server_other_zones_seconds{server=\"ns3\"}"], 0.0);
    assert_eq!(samples["windrose_fleet_server_other_verdicts_seconds{server=\"ns2\"}"], 0.0);
}

#[test]
fn how_telling_goes_is_told_only_where_somebody_is_to_be_told() {
    assert!(!samples(figures()).contains_key("windrose_notify_waiting"));
    let notified = Some(Progress { sent: 7, failed: 2, waiting: 3, ..Progress::default() });
    let samples = samples(Figures { notified, ..figures() });
    assert_eq!(samples["windrose_notify_sent_total"], 7.0);
    assert_eq!(samples["windrose_notify_failed_total"], 2.0);
    assert_eq!(samples["windrose_notify_waiting"], 3.0);
}
