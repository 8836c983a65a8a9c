//! The fleet of one seed: probes, servers, and everything that happens to them, in the order of time.
//!
//! ```text
//!   seed --> Sketch, probes, servers, weather, which kinds of fault there are
//!              |
//!              v           .--> a check of a probe ends --> tracker --> report at once when it turned
//!   agenda: (time, what) --+--> a report is due --> network --> arrives at servers --> keeper
//!              ^           +--> a server ticks
//!              `-----------+--> a fault: something breaks, or is mended ([`crate::faults`])
//!                          `--> after each step of a server: the invariants
//! ```
//!
//! A run ends with a healing: the network is whole, everybody runs the last plan, nothing flaps. One report of each
//! probe must then be enough, and when checks have settled, what is served must be the truth.

use std::collections::BTreeMap;
use std::sync::Arc;

use windrose::health::{Agent, Control, Report, Verdict};
use windrose::keeper::{Event, Fact, describe};
use windrose::model::Family;

use crate::asking::ask;
use crate::broken::Rules;
use crate::clock::Clock;
use crate::dice::Dice;
use crate::faults::Kinds;
use crate::invariants::{
    SETTLED_AFTER, Slot, Violation, after_step, any_order_same_map, same_reports_same_verdicts,
    verdicts_are_true,
};
use crate::network::{Network, Weather};
use crate::probe::{Key, Probe, Reply};
use crate::server::{Disk, Server};
use crate::world::{Check, Part, QUORUM, STEADY, Sick, Sketch, Version, endpoint_at};

pub struct Fleet<'r> {
    pub dice: Dice,
    rules: &'r dyn Rules,
    /// Milliseconds of the world's own time.
    pub now: u64,
    agenda: BTreeMap<(u64, u64), Happening>,
    entries: u64,
    pub kinds: Kinds,
    /// The last is what the operator wants now.
    pub versions: Vec<Version>,
    pub sick: Sick,
    /// What endpoints say of themselves.
    pub words: BTreeMap<usize, Agent>,
    pub network: Network,
    /// Of checks, so many fail without a reason.
    check_loss: f64,
    pub probes: Vec<Probe>,
    pub servers: Vec<Server>,
    /// What operators said last.
    pub orders: BTreeMap<String, Control>,
    pub healed: bool,
    trace: Option<Vec<String>>,
    pub counts: Counts,
}

/// What happened in a run: to see that things do happen.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub steps: u64,
    pub turns: u64,
    pub faults: u64,
    pub questions: u64,
}

impl Counts {
    pub fn add(&mut self, other: Self) {
        self.steps += other.steps;
        self.turns += other.turns;
        self.faults += other.faults;
        self.questions += other.questions;
    }
}

#[derive(Debug)]
pub enum Happening {
    CheckEnds {
        probe: usize,
        life: u32,
        key: Key,
    },
    ReportDue {
        probe: usize,
        life: u32,
        at: u64,
    },
    Arrives {
        server: usize,
        report: Arc<Report>,
    },
    /// By the probe on the same machine.
    Handed {
        server: usize,
        report: Arc<Report>,
    },
    /// Over the line of a server comes what it said itself.
    Echoes {
        server: usize,
    },
    Ticks {
        server: usize,
        life: u32,
    },
    Saves {
        server: usize,
        life: u32,
    },
    ProbeStarts {
        probe: usize,
    },
    ServerStarts {
        server: usize,
    },
    ServerFollows {
        server: usize,
        version: usize,
    },
    ProbeFollows {
        probe: usize,
        version: usize,
    },
    Flaps {
        part: Part,
        left: u32,
    },
    /// Nothing comes to a server any more.
    Parts {
        server: usize,
    },
    Fault,
    Heals,
    Ends,
}

impl<'r> Fleet<'r> {
    pub fn new(seed: u64, rules: &'r dyn Rules, traced: bool) -> Self {
        let mut dice = Dice::new(seed);
        let sketch = Sketch::any(&mut dice);
        let regions = sketch.regions;
        let version = sketch.version(0, |text| rules.edit(text));
        let now = START;
        let mut probes = Vec::new();
        for region in 0..regions {
            // A region without probes is judged by the others.
            let fewest = if region == 0 { 1 } else { 0 };
            for number in 0..dice.between(fewest, if regions == 1 { 5 } else { 3 }) {
                probes.push(Probe::new(&format!("p{region}{number}"), region, Clock::new(skew(&mut dice))));
            }
        }
        let servers = (0..dice.pick(&[2, 2, 3, 3, 4])).map(|number| {
            let own_probe = Some(number).filter(|number| *number < probes.len() && dice.chance(0.5));
            let clock = Clock::new(skew(&mut dice));
            Server::new(format!("s{number}"), version.clone(), clock, own_probe, now)
        });
        let servers = servers.collect();
        let mut fleet = Self {
            kinds: Kinds::any(&mut dice),
            network: Network::new(Weather::any(&mut dice)),
            check_loss: dice.pick(&[0.0, 0.0, 0.05, 0.3]),
            rules,
            now,
            agenda: BTreeMap::new(),
            entries: 0,
            versions: vec![version],
            sick: Sick::new(),
            words: BTreeMap::new(),
            probes,
            servers,
            orders: BTreeMap::new(),
            healed: false,
            trace: traced.then(Vec::new),
            counts: Counts::default(),
            dice,
        };
        for server in 0..fleet.servers.len() {
            fleet.server_lives(server);
        }
        for probe in 0..fleet.probes.len() {
            fleet.start_probe(probe);
        }
        if fleet.dice.chance(PARTED) {
            fleet.plan_parting();
        }
        fleet.after(FIRST_FAULT, Happening::Fault);
        fleet.after(TROUBLED_FOR, Happening::Heals);
        fleet
    }

    /// Lives the whole day; the trace is there if it was asked for.
    pub fn run(mut self) -> (Result<Counts, Violation>, Vec<String>) {
        let result = self.live();
        (result.map(|()| self.counts), self.trace.unwrap_or_default())
    }

    fn live(&mut self) -> Result<(), Violation> {
        while let Some(((now, _), happening)) = self.agenda.pop_first() {
            self.now = now;
            if matches!(happening, Happening::Ends) {
                return self.in_the_end();
            }
            self.happens(happening)?;
        }
        unreachable!("it ends")
    }

    fn happens(&mut self, happening: Happening) -> Result<(), Violation> {
        match happening {
            Happening::CheckEnds { probe, life, key } if self.probes[probe].life == life => {
                self.check_ends(probe, key);
            }
            Happening::ReportDue { probe, life, at }
                if (self.probes[probe].life, self.probes[probe].due) == (life, at) =>
            {
                self.report(probe);
                self.probes[probe].reported(at);
                self.plan_report(probe);
            }
            Happening::Arrives { server, report } if self.servers[server].alive => {
                self.servers[server].carried(self.now);
                let report = self.servers[server].note(&report, self.now);
                self.apply(server, Event::Report(report))?;
            }
            Happening::Handed { server, report } if self.servers[server].alive => {
                let report = self.servers[server].note(&report, self.now);
                self.apply(server, Event::Report(report))?;
            }
            Happening::Echoes { server } if self.servers[server].alive => {
                self.servers[server].carried(self.now);
            }
            Happening::Ticks { server, life } if self.servers[server].life == life => {
                self.tick(server)?;
                let echo = self.network.echo(server, &mut self.dice);
                echo.into_iter().for_each(|delay| self.after(delay, Happening::Echoes { server }));
                self.after(TICK, Happening::Ticks { server, life });
            }
            Happening::Saves { server, life } if self.servers[server].life == life => {
                self.servers[server].save(self.now);
                self.after(SAVE, Happening::Saves { server, life });
            }
            Happening::ProbeStarts { probe } if !self.probes[probe].alive => self.start_probe(probe),
            Happening::ServerStarts { server } if !self.servers[server].alive => self.start_server(server)?,
            Happening::ServerFollows { server, version } if self.servers[server].alive => {
                self.server_follows(server, version)?;
            }
            Happening::ProbeFollows { probe, version } if self.probes[probe].alive => {
                self.probe_follows(probe, version);
            }
            Happening::Flaps { part, left } if !self.healed => self.flap(part, left),
            Happening::Parts { server } => {
                self.tell(|| format!("server {server} is parted from the fleet"));
                self.network.part(server);
            }
            Happening::Fault if !self.healed => {
                self.counts.faults += 1;
                self.fault()?;
                let pause = self.dice.between(FAULT_PAUSE.0, FAULT_PAUSE.1);
                self.after(pause, Happening::Fault);
            }
            Happening::Heals => self.heal()?,
            // It was meant for a life that is over.
            _ => {}
        }
        Ok(())
    }

    /// Puts something on the agenda.
    pub fn after(&mut self, pause: u64, happening: Happening) {
        self.entries += 1;
        self.agenda.insert((self.now + pause, self.entries), happening);
    }

    pub fn tell(&mut self, what: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            let at = self.now - START;
            trace.push(format!("{:>3}.{:03} {}", at / 1000, at % 1000, what()));
        }
    }

    pub fn rules(&self) -> &'r dyn Rules {
        self.rules
    }

    /// What the operator wants now.
    pub fn wanted(&self) -> &Version {
        self.versions.last().expect("there is one from the start")
    }
}

/// Probes.
impl Fleet<'_> {
    pub fn start_probe(&mut self, probe: usize) {
        let instance = self.dice.next();
        self.probes[probe].start(self.now, instance);
        self.tell(|| format!("probe {probe} starts"));
        self.probe_follows(probe, self.versions.len() - 1);
        self.plan_report(probe);
    }

    fn plan_report(&mut self, probe: usize) {
        let (life, at) = (self.probes[probe].life, self.probes[probe].due);
        self.after(at - self.now, Happening::ReportDue { probe, life, at });
    }

    fn probe_follows(&mut self, probe: usize, version: usize) {
        // What it was told of late is older than what it follows.
        if version < self.probes[probe].version {
            return;
        }
        self.probes[probe].version = version;
        let new = self.probes[probe].assign(&self.versions[version].plan, self.now);
        let life = self.probes[probe].life;
        for key in new {
            let first = self.dice.between(1, 1_000);
            self.after(first, Happening::CheckEnds { probe, life, key });
        }
    }

    fn check_ends(&mut self, probe: usize, key: Key) {
        let region = self.probes[probe].region;
        let part = part(region, &key);
        let unlucky = part.endpoint != STEADY && self.dice.chance(self.check_loss);
        let well = !unlucky && !self.sick.contains(&part);
        let reply = well.then(|| Reply { word: self.words.get(&part.endpoint).copied() });
        let Some((pause, news)) = self.probes[probe].checked(&key, reply, self.now) else { return };
        let life = self.probes[probe].life;
        self.after(pause.as_millis() as u64, Happening::CheckEnds { probe, life, key });
        if news {
            self.probes[probe].hasten(self.now);
            self.plan_report(probe);
        }
    }

    fn report(&mut self, probe: usize) {
        let report = self.make_report(probe);
        for server in 0..self.servers.len() {
            if self.servers[server].line.own_probe == Some(probe) {
                self.after(1, Happening::Handed { server, report: Arc::clone(&report) });
                continue;
            }
            for delay in self.network.carry(probe, server, &mut self.dice) {
                self.after(delay, Happening::Arrives { server, report: Arc::clone(&report) });
            }
        }
    }

    fn make_report(&mut self, probe: usize) -> Arc<Report> {
        let region = format!("r{}", self.probes[probe].region);
        Arc::new(self.probes[probe].report(&region, self.now))
    }
}

/// Servers.
impl Fleet<'_> {
    /// An event comes to a server; the invariants are seen to.
    pub fn apply(&mut self, server: usize, event: Event) -> Result<(), Violation> {
        let Self { servers, rules, now, dice, counts, .. } = self;
        let (at, now) = (server, *now);
        let server = &mut servers[at];
        let applied = server.apply(event, now, *rules)?;
        counts.steps += 1;
        counts.turns += applied.facts.len() as u64;
        after_step(server, &applied, now)?;
        if dice.chance(ASKED) {
            counts.questions += 1;
            ask(server, dice)?;
        }
        if dice.chance(COMPARED) {
            any_order_same_map(server, now, dice)?;
        }
        self.compare(at)?;
        self.tell_facts(at, &applied.facts);
        Ok(())
    }

    fn tell_facts(&mut self, server: usize, facts: &[Fact]) {
        for fact in facts {
            let server = &self.servers[server];
            let told = self.trace.is_some().then(|| describe(fact, server.keeper.plan()));
            let told = told.map(|told| format!("{}: {told}", server.name));
            self.tell(|| told.expect("it is traced"));
        }
    }

    /// A server beside the others.
    fn compare(&self, server: usize) -> Result<(), Violation> {
        let one = &self.servers[server];
        let others = self.servers.iter().enumerate().filter(|(other, two)| *other != server && two.alive);
        others.map(|(_, two)| two).try_for_each(|two| same_reports_same_verdicts(one, two, self.now))
    }

    fn server_lives(&mut self, server: usize) {
        let life = self.servers[server].life;
        let (tick, save) = (self.dice.between(1, TICK), self.dice.between(1, SAVE));
        self.after(tick, Happening::Ticks { server, life });
        self.after(save, Happening::Saves { server, life });
    }

    pub fn stop_server(&mut self, server: usize, disk: Disk) {
        let now = self.now;
        self.tell(|| format!("server {server} ends, its state is {disk:?}"));
        self.servers[server].stop(disk, now);
    }

    pub fn start_server(&mut self, server: usize) -> Result<(), Violation> {
        let version = self.wanted().clone();
        self.tell(|| format!("server {server} starts"));
        self.servers[server].start(version, self.now)?;
        self.server_lives(server);
        self.tick(server)
    }

    /// As once a second: the line is looked at first.
    pub fn tick(&mut self, server: usize) -> Result<(), Violation> {
        let Self { servers, rules, now, .. } = self;
        let line = servers[server].look_at_line(*now);
        servers[server].apply(line, *now, *rules)?;
        self.apply(server, Event::Tick)
    }

    fn server_follows(&mut self, server: usize, version: usize) -> Result<(), Violation> {
        let version = self.versions[version].clone();
        if version.number <= self.servers[server].version.number {
            return Ok(());
        }
        let plan = Arc::clone(&version.plan);
        self.tell(|| format!("server {server} follows another plan"));
        self.servers[server].version = version;
        self.apply(server, Event::Plan(plan))
    }
}

/// The end.
impl Fleet<'_> {
    /// The network is whole, everybody runs, with the right time and the last plan, and nothing changes any more.
    fn heal(&mut self) -> Result<(), Violation> {
        self.tell(|| "everything is healed".into());
        self.healed = true;
        self.network = Network::new(Weather::CALM);
        self.check_loss = 0.0;
        let travels =
            |happening: &Happening| matches!(happening, Happening::Arrives { .. } | Happening::Handed { .. });
        self.agenda.retain(|_, happening| !travels(happening));
        for probe in 0..self.probes.len() {
            self.probes[probe].clock.set(0);
            if !self.probes[probe].alive {
                self.start_probe(probe);
            }
            self.probe_follows(probe, self.versions.len() - 1);
        }
        for server in 0..self.servers.len() {
            self.servers[server].clock.set(0);
            if !self.servers[server].alive {
                self.start_server(server)?;
            }
            self.server_follows(server, self.versions.len() - 1)?;
            self.repeat_orders(server)?;
        }
        self.one_report_of_each()?;
        self.after(SETTLED_AFTER.as_millis() as u64, Happening::Ends);
        Ok(())
    }

    /// What operators want is not in the reports: a server that lost its state is told again.
    fn repeat_orders(&mut self, server: usize) -> Result<(), Violation> {
        let names: Vec<String> =
            self.wanted().sketch.present().map(|(number, _)| format!("e{number}")).collect();
        for endpoint in names {
            let control = self.orders.get(&endpoint).copied();
            self.apply(server, Event::Control { endpoint, control })?;
        }
        Ok(())
    }

    /// One report of each probe, and every server is right: with the invariants of each step, and of servers beside
    /// one another.
    fn one_report_of_each(&mut self) -> Result<(), Violation> {
        for probe in 0..self.probes.len() {
            let report = self.make_report(probe);
            for server in 0..self.servers.len() {
                let report = self.servers[server].note(&report, self.now);
                self.apply(server, Event::Report(report))?;
            }
        }
        for server in 0..self.servers.len() {
            let Self { servers, now, dice, .. } = self;
            any_order_same_map(&servers[server], *now, dice)?;
            self.compare(server)?;
        }
        Ok(())
    }

    fn in_the_end(&mut self) -> Result<(), Violation> {
        let mut watching: Vec<usize> = self.probes.iter().map(|probe| probe.region).collect();
        watching.dedup();
        let fails = |target: &Key, region: usize| self.sick.contains(&part(region, target));
        let fails_for = |target: &Key, region: usize| match watching.contains(&region) {
            true => fails(target, region),
            // Nobody is there to see: what the other regions see of this very target.
            false => {
                let all = watching.iter().filter(|region| fails(target, **region)).count();
                all * 100 >= watching.len() * QUORUM as usize
            }
        };
        let out = |slot: &Slot<'_>| {
            let targets = slot.targets().map(|(monitor, address)| (Arc::from(monitor), address));
            let drains = slot.is_checked() && self.words.get(&slot.number()) == Some(&Agent::Drain);
            let failing = targets.map(|target| Some(fails_for(&target, slot.region().index())));
            drains || slot.conclude(failing) == Some(Verdict::Down)
        };
        let orders: Vec<(String, Control)> =
            self.orders.iter().map(|(name, order)| (name.clone(), *order)).collect();
        self.servers.iter().try_for_each(|server| verdicts_are_true(server, self.now, out, &orders))
    }
}

/// What a check of a target in a region is a check of.
fn part(region: usize, (monitor, address): &Key) -> Part {
    let v6 = Family::of(*address) == Family::V6;
    Part { region, endpoint: endpoint_at(*address), v6, check: Check::called(monitor) }
}

/// Two clocks are never quite the same.
fn skew(dice: &mut Dice) -> i64 {
    dice.between(0, 4_000) as i64 - 2_000
}

/// So that an hour before it is a time too.
const START: u64 = 1_000_000_000;
const FIRST_FAULT: u64 = 3_000;
const TROUBLED_FOR: u64 = 18_000;
const FAULT_PAUSE: (u64, u64) = (100, 1_500);
const TICK: u64 = 1_000;
const SAVE: u64 = 5_000;

/// Of the worlds, so many have a server that is parted from the fleet.
const PARTED: f64 = 0.25;

/// Of the steps of a server, so many are followed by a question, and by a comparison with fresh keepers.
const ASKED: f64 = 0.2;
const COMPARED: f64 = 0.01;
