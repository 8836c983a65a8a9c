//! What a large fleet costs each of its servers, in simulation: `tools/bench/fleet-scale`.
//!
//! ```text
//!   200 probes, each with an opinion of 1,000 targets, report every 2 s (at once when one turns)
//!     `--bytes--> 10 servers: decode > keeper > snapshot > cell        timed: the CPU of each server's thread
//! ```
//!
//! Nothing is sent over a network and nobody asks for names; what NATS and sockets cost comes on top. Time is
//! simulated: a server that needs a second of CPU for ten seconds of reports takes 10 % of a core.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use windrose::fleet::wire::{decode, encode};
use windrose::geo::Facts;
use windrose::health::{Kind, Opinion, Report, TargetReport, Verdict};
use windrose::keeper::{Event, Keeper};
use windrose::model::{EndpointId, Family, Moment, RegionId};
use windrose::plan::{Plan, compile};
use windrose::snapshot::SnapshotCell;
use windrose::spec::{self, Source, Sources};

fn main() -> ExitCode {
    let plan = plan();
    println!(
        "{}; {PROBES} probes, {} targets, {SERVERS} servers\n",
        plan.summary(),
        plan.inventory.targets.len()
    );
    let mut probes: Vec<Probe> = (0..PROBES).map(|number| Probe::new(number, &plan)).collect();
    let before = resident();
    let mut servers: Vec<Server> = (0..SERVERS).map(|_| Server::new(&plan)).collect();
    let mut now = START;
    print_row(&["phase", "CPU of a server, in % of a core", "the longest report took", "one report, mean"]);
    print_row(&["---"; 4]);
    let mut busiest: f64 = 0.0;
    for phase in [Phase::Quiet, Phase::Restless, Phase::AllDead, Phase::Quiet] {
        for server in &mut servers {
            server.spent = Spent::default();
        }
        let begin = now;
        for round in 0..ROUNDS {
            phase.befall(round, &mut probes);
            let messages: Vec<Vec<u8>> = probes.iter_mut().map(|probe| probe.report(now)).collect();
            servers.iter_mut().for_each(|server| server.hear(&messages, now));
            now = now.plus(ROUND);
        }
        let simulated = now.since(begin).as_secs_f64();
        let worst =
            |of: &dyn Fn(&Spent) -> f64| servers.iter().map(|server| of(&server.spent)).fold(0.0, f64::max);
        let cpu = worst(&|spent| spent.cpu.as_secs_f64()) / simulated * 100.0;
        let longest = worst(&|spent| spent.longest.as_secs_f64() * 1e3);
        let mean = worst(&|spent| spent.cpu.as_secs_f64() * 1e3 / spent.reports as f64);
        busiest = busiest.max(cpu);
        print_row(&[
            phase.words(),
            &format!("{cpu:.1} %"),
            &format!("{longest:.2} ms"),
            &format!("{mean:.3} ms"),
        ]);
    }
    let memory = (resident() - before) as f64 / 1e6 / SERVERS as f64;
    let change = change_to_snapshot(&mut probes, &mut servers, now);
    assert!(
        servers.windows(2).all(|pair| pair[0].verdicts() == pair[1].verdicts()),
        "all servers hold the same"
    );
    println!();
    print_row(&["bar", "wanted", "measured", "verdict"]);
    print_row(&["---"; 4]);
    let bars = [
        ("CPU of a server, the busiest phase", CPU_MAX, busiest, "% of a core"),
        ("memory of a server, beside its plan", MEGABYTES_MAX, memory, "MB"),
        ("a verdict is in the snapshot after, at most", CHANGE_MS_MAX, change, "ms"),
    ];
    for (name, wanted, measured, unit) in bars {
        let verdict = if measured <= wanted { "pass" } else { "FAIL" };
        print_row(&[name, &format!("<= {wanted} {unit}"), &format!("{measured:.2} {unit}"), verdict]);
    }
    ExitCode::from(u8::from(bars.iter().any(|(_, wanted, measured, _)| measured > wanted)))
}

/// What happens to the endpoints.
#[derive(Clone, Copy)]
enum Phase {
    /// Nothing turns.
    Quiet,
    /// In each round one in a hundred turns, seen by all.
    Restless,
    /// All die at once, and stay dead.
    AllDead,
}

impl Phase {
    fn words(self) -> &'static str {
        match self {
            Phase::Quiet => "nothing turns",
            Phase::Restless => "one in a hundred turns every 2 s",
            Phase::AllDead => "all die at once",
        }
    }

    fn befall(self, round: u32, probes: &mut [Probe]) {
        for probe in probes {
            match self {
                Phase::Quiet => {}
                Phase::Restless => {
                    (0..TARGETS).skip(round as usize % 100).step_by(100).for_each(|one| probe.turn(one))
                }
                Phase::AllDead => probe.down = (0..TARGETS).collect(),
            }
        }
    }
}

struct Probe {
    template: Report,
    /// Targets that it holds to be down.
    down: BTreeSet<usize>,
}

impl Probe {
    fn new(number: usize, plan: &Plan) -> Self {
        let inventory = &plan.inventory;
        let target = |target: &windrose::model::Target| TargetReport {
            monitor: inventory.monitors[target.monitor.index()].name.as_ref().into(),
            address: target.address,
            opinion: Opinion::Up,
            moving: false,
            last: Some(Kind::Ok),
            rtt_us: Some(12_345),
            age_ms: 0,
            certificate_end: Some(1_900_000_000),
            agent: None,
        };
        let template = Report {
            probe: format!("probe-{number}").into(),
            region: format!("r{}", number % REGIONS).into(),
            number: START.0,
            instance: number as u64 + 1,
            sent: START,
            interval_ms: ROUND.as_millis() as u32,
            zones: None,
            targets: inventory.targets.iter().map(target).collect(),
        };
        Self { template, down: BTreeSet::new() }
    }

    fn turn(&mut self, target: usize) {
        if !self.down.remove(&target) {
            self.down.insert(target);
        }
    }

    /// The next report, as it is sent.
    fn report(&mut self, now: Moment) -> Vec<u8> {
        self.template.number += 1;
        self.template.sent = now;
        for (number, target) in self.template.targets.iter_mut().enumerate() {
            let down = self.down.contains(&number);
            target.opinion = if down { Opinion::Down } else { Opinion::Up };
            target.last = Some(if down { Kind::Timeout } else { Kind::Ok });
            target.rtt_us = Some(12_000 + (number as u32 * 7 + self.template.number as u32) % 500);
            target.age_ms += ROUND.as_millis() as u64;
        }
        encode(&self.template)
    }
}

struct Server {
    keeper: Keeper,
    cell: SnapshotCell,
    spent: Spent,
}

#[derive(Default)]
struct Spent {
    cpu: Duration,
    /// From the bytes to the snapshot, if one was due.
    longest: Duration,
    reports: u64,
}

impl Server {
    fn new(plan: &Arc<Plan>) -> Self {
        let keeper = Keeper::new(Arc::clone(plan), None, START);
        Self { cell: SnapshotCell::new(keeper.first()), keeper, spent: Spent::default() }
    }

    /// One round of reports, spread over it, and its ticks.
    fn hear(&mut self, messages: &[Vec<u8>], begin: Moment) {
        let before = cpu_of_this_thread();
        let apart = ROUND / messages.len() as u32;
        for (number, message) in (0..).zip(messages) {
            let now = begin.plus(apart * number);
            self.wake(now);
            let started = Instant::now();
            self.apply(Event::Report(decode(message).expect("it is a report")), now);
            self.spent.longest = self.spent.longest.max(started.elapsed());
            if number % (messages.len() as u32 / TICKS) == 0 {
                self.apply(Event::Tick, now);
            }
        }
        self.spent.cpu += cpu_of_this_thread() - before;
        self.spent.reports += messages.len() as u64;
    }

    /// The ticks that the keeper asked for until now, and the last of them.
    fn wake(&mut self, now: Moment) -> Option<Moment> {
        let mut last = None;
        while let Some(due) = self.keeper.due().filter(|due| *due <= now) {
            self.apply(Event::Tick, due);
            last = Some(due);
        }
        last
    }

    fn apply(&mut self, event: Event, now: Moment) {
        if let Some(snapshot) = self.keeper.apply(event, now).snapshot {
            self.cell.publish(snapshot).expect("a generation only grows");
        }
    }

    /// Of what it serves.
    fn verdicts(&self) -> Vec<Verdict> {
        let snapshot = self.cell.load_full();
        let slots = (0..TARGETS).flat_map(|endpoint| (0..REGIONS).map(move |region| (endpoint, region)));
        slots.map(|(endpoint, region)| verdict(&snapshot.health, endpoint, region)).collect()
    }

    /// Of what it serves, on an endpoint in region 0.
    fn verdict(&self, endpoint: usize) -> Verdict {
        verdict(&self.cell.load_full().health, endpoint, 0)
    }
}

/// Milliseconds from the report that decides to the snapshot that has it, at most, over many endpoints: what the
/// keeper waits for others that turn, in simulated time, and what it works, in real time.
///
/// A verdict of region 0 is decided by a report from there, and these are further apart than the keeper waits.
fn change_to_snapshot(probes: &mut [Probe], servers: &mut [Server], mut now: Moment) -> f64 {
    let server = &mut servers[0];
    let mut longest = Duration::ZERO;
    for target in 0..CHANGES {
        probes.iter_mut().for_each(|probe| probe.turn(target));
        now = now.plus(ROUND);
        let before = server.verdict(target);
        let (mut heard, mut took) = (now, None);
        for (number, probe) in probes.iter_mut().enumerate() {
            now = now.plus(ROUND / PROBES as u32);
            let message = probe.report(now);
            let started = Instant::now();
            let woken = server.wake(now);
            if took.is_none() && server.verdict(target) != before {
                took = woken.map(|tick| tick.since(heard) + started.elapsed());
            }
            let started = Instant::now();
            server.apply(Event::Report(decode(&message).expect("it is a report")), now);
            if took.is_none() && server.verdict(target) != before {
                took = Some(started.elapsed());
            }
            if number % REGIONS == 0 {
                heard = now;
            }
        }
        longest = longest.max(took.expect("all have turned"));
    }
    // The others hear of it too, in the end.
    let messages: Vec<Vec<u8>> = probes.iter_mut().map(|probe| probe.report(now)).collect();
    servers.iter_mut().for_each(|server| server.hear(&messages, now.plus(ROUND)));
    longest.as_secs_f64() * 1e3
}

fn verdict(health: &windrose::health::HealthMap, endpoint: usize, region: usize) -> Verdict {
    health.endpoint(EndpointId::at(endpoint), RegionId::at(region), Family::V4).verdict
}

/// A thousand endpoints in ten regions, in pools of ten.
fn plan() -> Arc<Plan> {
    let mut text = "[monitors.web]\ntype = \"tcp\"\nport = 80\ninterval = \"2s\"\n".to_owned();
    for region in 0..REGIONS {
        let default = region == 0;
        text += &format!(
            "[regions.r{region}]\nat = [{}, {}]\nclients = [\"net:10.{region}.0.0/16\"]\ndefault = {default}\n",
            region * 5,
            region * 30
        );
    }
    for number in 0..TARGETS {
        let address = IpAddr::from(Ipv4Addr::from_bits(0x0a80_0000 + number as u32));
        let region = number % REGIONS;
        text += &format!(
            "[endpoints.e{number}]\nregion = \"r{region}\"\nipv4 = \"{address}\"\nmonitors = [\"web\"]\n"
        );
    }
    for pool in 0..TARGETS / POOL {
        let members: Vec<String> = (0..POOL).map(|member| format!("\"e{}\"", pool * POOL + member)).collect();
        text += &format!("[pools.p{pool}]\npolicy = \"nearest\"\nmembers = [{}]\n", members.join(", "));
        text += &format!("[names.n{pool}]\npool = \"p{pool}\"\n");
    }
    let sources = Sources {
        zones: vec![Source::new(
            "example.org.zone",
            "@ 300 SOA ns1 host 1 2 3 4 5\n@ 300 NS ns1\nns1 300 A 127.0.0.1\n",
        )],
        steering: vec![Source::new("example.org.toml", &text)],
    };
    let (spec, _) = spec::parse(&sources, &|_, _| Err("nothing to include".into()));
    let (plan, found) = compile(&spec, &Arc::new(Facts::none()), ROUND);
    Arc::new(plan.unwrap_or_else(|| panic!("{found:#?}")))
}

fn cpu_of_this_thread() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_THREAD).expect("a thread knows what it used");
    let [user, system] = [usage.user_time(), usage.system_time()]
        .map(|time| Duration::new(time.tv_sec() as u64, time.tv_usec() as u32 * 1_000));
    user + system
}

/// Bytes of memory in use.
fn resident() -> i64 {
    let told = std::fs::read_to_string("/proc/self/statm").expect("Linux tells");
    let pages: i64 = told.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("pages");
    pages * PAGE
}

fn print_row(cells: &[&str]) {
    println!("| {} |", cells.join(" | "));
}

const PROBES: usize = 200;
const TARGETS: usize = 1_000;
const SERVERS: usize = 10;
const REGIONS: usize = 10;
const POOL: usize = 10;

/// Every probe reports once in it.
const ROUND: Duration = Duration::from_secs(2);
/// Ticks in it.
const TICKS: u32 = 2;
/// In each phase.
const ROUNDS: u32 = 15;
/// Endpoints whose change is timed.
const CHANGES: usize = 30;
const START: Moment = Moment(1_000_000_000);
const PAGE: i64 = 4_096;

const CPU_MAX: f64 = 10.0;
const MEGABYTES_MAX: f64 = 200.0;
const CHANGE_MS_MAX: f64 = 100.0;
