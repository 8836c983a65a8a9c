//! `windrose demo`: a whole small world on loopback, no privileges, no files to write.
//!
//! ```text
//!   Stage: three endpoints that really serve HTTP  <--checks-- probe --Report--> Desk --> cell
//!      ^ keys: 1 2 3 stop and start them                                                   |
//!   Audience: asks over UDP as a client of each region  <------- dns -------------------- '
//!      `--> prints each change of answer, with the seconds since the endpoint died
//! ```
//!
//! It serves the repository's own `zones/` example, which is built in.

mod audience;
mod keys;
mod stage;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use tokio::sync::{mpsc, watch};
use tokio::time::{interval, timeout};

use self::audience::Audience;
use self::keys::Keys;
use self::stage::Stage;
use crate::app::desk::Desk;
use crate::app::print::{Reader, print};
use crate::app::probing::assignments;
use crate::app::process::{StopSignals, failed};
use crate::app::watch::Told;
use crate::app::{Failure, explain, print_diagnostics};
use crate::dns;
use crate::geo::Facts;
use crate::health::{Guard, Opinion, Report};
use crate::keeper::Event;
use crate::model::MapId;
use crate::plan::{self, Plan};
use crate::probe;
use crate::spec::machine::Machine;
use crate::spec::{self, Source, Sources};

pub(super) fn run(port: u16, http_port: u16) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(failed("cannot start the runtime"))?;
    let result = runtime.block_on(perform(port, http_port));
    runtime.shutdown_background();
    result
}

async fn perform(port: u16, http_port: u16) -> Result<(), Failure> {
    let plan = built_in_plan(http_port)?;
    let server = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let bound = dns::Bound::bind(dns_config(server))
        .map_err(|error| Failure::Failed(format!("{error}; another port: windrose demo --port 5301")))?;
    let server = bound.addresses().first().copied().unwrap_or(server);
    let mut stage = Stage::open(&plan, http_port).await.map_err(|error| {
        Failure::Failed(format!("{error}; another port for the endpoints: windrose demo --http-port 18080"))
    })?;
    let regions = client_subnets(&plan);
    let mut desk = Desk::new(plan, None);
    let (_assignments, mut reports) = start_probe(&desk);
    first_round(&mut desk, &mut reports).await;
    let mut running = bound.serve(Arc::clone(&desk.cell)).map_err(failed("cannot listen"))?;
    let mut audience = Audience::new(server, regions).await.map_err(failed("cannot ask"))?;

    print(welcome(server, &stage, &audience))?;
    let mut stop = StopSignals::listen().map_err(failed("cannot listen for signals"))?;
    let mut keys = Keys::listen();
    let mut ticks = interval(Duration::from_secs(1));
    let mut looks = interval(audience::LOOK);
    loop {
        let text = tokio::select! {
            Some(report) = reports.recv() => verdicts(desk.apply(Event::Report(report))),
            _ = ticks.tick() => verdicts(desk.apply(Event::Tick)),
            _ = looks.tick() => lines(audience.look(&stage).await),
            key = keys.next() => match key {
                Some('q') | None => break,
                Some('e') => format!("\n{}\n", explained(&desk, &audience)),
                Some(key) => match stage.toggle(key).await {
                    Some(line) => format!("\n{line}\n"),
                    None => help(&stage),
                },
            },
            error = running.failed() => return Err(Failure::Failed(error.to_string())),
            _ = stop.recv() => break,
        };
        if print(text)? == Reader::Gone {
            break;
        }
    }
    running.stop().await;
    Ok(())
}

/// The example of the repository, with the endpoints on another port if need be.
fn built_in_plan(http_port: u16) -> Result<Plan, Failure> {
    let steering = STEERING.replace(HTTP_PORT, &format!("port = {http_port}"));
    let sources = Sources {
        zones: vec![Source::new("example.org.zone", ZONE)],
        steering: vec![Source::new("example.org.toml", &steering), Source::new("regions.toml", REGIONS)],
    };
    let (spec, read) = spec::parse(&sources, &|_, name| Err(format!("no file {name}")));
    let (plan, compiled) = plan::compile(&spec, &Arc::new(Facts::none()), REPORT_INTERVAL);
    plan.ok_or_else(|| {
        print_diagnostics(&spec.findings(read, compiled));
        Failure::Failed("the built-in example is wrong".into())
    })
}

/// For each region a subnet whose clients are in it.
fn client_subnets(plan: &Plan) -> Vec<(String, IpNet)> {
    let of_region = |region: &crate::model::Region| {
        let id = plan.inventory.region(&region.name)?;
        let net = CLIENT_SUBNETS.iter().filter_map(|net| net.parse::<IpNet>().ok());
        let net = net.into_iter().find(|net| plan.geo.locate(MapId::WORLD, net.addr()).region == id)?;
        Some((region.name.to_string(), net))
    };
    plan.inventory.regions.iter().filter_map(of_region).collect()
}

fn start_probe(desk: &Desk) -> (watch::Sender<Arc<[probe::Assignment]>>, mpsc::Receiver<Report>) {
    let config = probe::Config {
        name: "demo".into(),
        region: "eu".into(),
        instance: 0,
        report_interval: REPORT_INTERVAL,
        concurrency: 16,
        guard: Guard::default(),
        references: Vec::new(),
        beats: Arc::default(),
        stats: Arc::default(),
    };
    let (sender, receiver) = watch::channel(assignments(desk.plan()));
    let (reports, heard) = mpsc::channel(4);
    tokio::spawn(probe::run(config, receiver, reports));
    (sender, heard)
}

/// Waits until every endpoint has been checked, so that the first answer is a right one.
async fn first_round(desk: &mut Desk, reports: &mut mpsc::Receiver<Report>) {
    let all_known = async {
        while let Some(report) = reports.recv().await {
            let known = report.targets.iter().all(|target| target.opinion != Opinion::Unknown);
            desk.apply(Event::Report(report));
            if known {
                return;
            }
        }
    };
    // If it takes longer, Unknown is usable all the same.
    let _ = timeout(FIRST_ROUND, all_known).await;
}

fn dns_config(server: SocketAddr) -> dns::Config {
    let Machine { dns: defaults, limits, .. } = Machine::default();
    dns::Config {
        listen: vec![server],
        workers: 1,
        client_subnet: true,
        client_subnet_from: defaults.client_subnet_from,
        udp_payload: defaults.udp_payload,
        tcp_connections: defaults.tcp_connections,
        tcp_connections_per_client: defaults.tcp_connections_per_client,
        tcp_connections_per_prefix: defaults.tcp_connections_per_prefix,
        tcp_idle: defaults.tcp_idle,
        tcp_write: defaults.tcp_write,
        signatures: Machine::default().dnssec.signatures,
        proxies: Vec::new(),
        encrypted: None,
        name: "demo".into(),
        cookies: None,
        chaos: dns::Chaos::default(),
        limits,
        primary: None,
    }
}

fn explained(desk: &Desk, audience: &Audience) -> String {
    let Some((_, net)) = audience.regions().next() else { return String::new() };
    match explain::of(&desk.cell.load(), audience::NAME, "A", net, 0) {
        Ok(explanation) => explanation.to_string(),
        Err(error) => error,
    }
}

fn welcome(server: SocketAddr, stage: &Stage, audience: &Audience) -> String {
    let mut text =
        format!("\nWindrose demo: one name server on {server}, three regions, three endpoints.\n\n");
    for line in stage.listing() {
        text += &format!("  {line}\n");
    }
    text += "\nAsk, as a client of each region (in another terminal):\n\n";
    for (region, net) in audience.regions() {
        let dig =
            format!("dig @{} -p {} {} +short +subnet={net}", server.ip(), server.port(), audience::NAME);
        text += &format!("  {dig:<72} # {region}\n");
    }
    text + &help(stage)
}

fn help(stage: &Stage) -> String {
    format!("\nKeys: {}, e explains, q quits. What changes is shown as it happens.\n\n", stage.keys())
}

fn verdicts(told: Vec<Told>) -> String {
    lines(told.iter().map(|told| format!("  verdict   {}", told.happened.text)))
}

fn lines(lines: impl IntoIterator<Item = String>) -> String {
    lines.into_iter().map(|line| line + "\n").collect()
}

const ZONE: &str = include_str!("../../../zones/example.org.zone");
const STEERING: &str = include_str!("../../../zones/example.org.toml");
const REGIONS: &str = include_str!("../../../zones/regions.toml");

/// As the example has it.
const HTTP_PORT: &str = "port     = 8080";

/// One for each region of the example.
const CLIENT_SUBNETS: [&str; 3] = ["192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24"];

const REPORT_INTERVAL: Duration = Duration::from_secs(2);
const FIRST_ROUND: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_example_compiles_on_any_port() {
        let plan = built_in_plan(18_080).expect("it is right");
        assert!(plan.inventory.monitors.iter().all(|monitor| monitor.ask.port() == Some(18_080)));
        assert_eq!(client_subnets(&plan).len(), 3, "a client for every region");
    }
}
