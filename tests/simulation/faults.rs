//! What breaks, and when it is mended.
//!
//! A seed has some kinds of fault and not others: with all of them at once none would ever matter alone.

use windrose::health::{Agent, Control};
use windrose::keeper::Event;
use windrose::model::Family;

use crate::clock::HOUR;
use crate::dice::Dice;
use crate::fleet::{Fleet, Happening};
use crate::invariants::Violation;
use crate::network::Weather;
use crate::server::{Disk, Server};
use crate::world::{Check, POOLS, Part, STEADY};

/// The kinds of fault that a seed has; one that is there twice is drawn twice as often.
#[derive(Debug)]
pub struct Kinds(Vec<Kind>);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Sickness,
    Recovery,
    Flapping,
    Weather,
    HalfIsCut,
    ServerIsCut,
    LinksAreMended,
    ProbeEnds,
    ProbeRestarts,
    ServerEnds,
    ServerRestarts,
    ProbeClock,
    ServerClock,
    ProbeLeap,
    ServerLeap,
    Operator,
    Failback,
    Plan,
    Word,
}

impl Kinds {
    /// Endpoints always fall sick; of the rest each is there with a chance of a half.
    pub fn any(dice: &mut Dice) -> Self {
        let mut kinds = vec![Kind::Sickness, Kind::Sickness, Kind::Recovery, Kind::LinksAreMended];
        kinds.extend(OPTIONAL.into_iter().filter(|_| dice.chance(0.5)));
        Self(kinds)
    }
}

impl Fleet<'_> {
    /// One thing breaks, or is mended.
    pub fn fault(&mut self) -> Result<(), Violation> {
        let kind = self.dice.pick(&self.kinds.0);
        self.tell(|| format!("fault: {kind:?}"));
        let probe = self.dice.below(self.probes.len());
        let server = self.dice.below(self.servers.len());
        match kind {
            Kind::Sickness => self.sicken(),
            Kind::Recovery => self.recover(),
            Kind::Flapping => {
                let (part, left) = (self.any_part(), self.dice.between(2, 9) as u32);
                self.after(1, Happening::Flaps { part, left });
            }
            Kind::Weather => self.network.weather = Weather::any(&mut self.dice),
            Kind::HalfIsCut => self.cut_half(),
            Kind::ServerIsCut => self.network.sever(server),
            Kind::LinksAreMended => self.network.mend(),
            Kind::ProbeEnds => {
                self.probes[probe].stop();
                let gone = self.dice.between(1_000, 15_000);
                self.after(gone, Happening::ProbeStarts { probe });
            }
            Kind::ProbeRestarts => self.start_probe(probe),
            Kind::ServerEnds => {
                self.stop_any(server);
                let gone = self.dice.between(500, 8_000);
                self.after(gone, Happening::ServerStarts { server });
            }
            Kind::ServerRestarts => {
                self.stop_any(server);
                self.start_server(server)?;
            }
            Kind::ProbeClock => self.set_probe_clock(probe),
            Kind::ServerClock => self.set_server_clock(server)?,
            Kind::ProbeLeap => self.probes[probe].clock.leap(HOUR),
            Kind::ServerLeap => {
                self.servers[server].clock.leap(HOUR);
                if self.servers[server].alive {
                    self.tick(server)?;
                }
            }
            Kind::Operator => self.operate()?,
            Kind::Failback => {
                let pool = self.dice.pick(&POOLS).to_owned();
                self.say(|| Event::Failback { pool: pool.clone() })?;
            }
            Kind::Plan => self.change_plan(),
            Kind::Word => {
                let endpoint = self.any_part().endpoint;
                let word = self.dice.pick(&[None, Some(Agent::Drain), Some(Agent::Share(30))]);
                self.words.remove(&endpoint);
                self.words.extend(word.map(|word| (endpoint, word)));
            }
        }
        Ok(())
    }

    /// A server will be left with the probe beside it, for which somebody is dead who lives for other regions: what it
    /// knew of them must stand. Chance alone hardly ever brings both together for long enough.
    pub fn plan_parting(&mut self) {
        let beside = |server: &Server| Some(self.probes[server.line.own_probe?].region);
        let found = self.servers.iter().enumerate().find_map(|(at, server)| Some((at, beside(server)?)));
        let Some((server, region)) = found else { return };
        for (v6, check) in [false, true].into_iter().flat_map(|v6| [(v6, Check::Web), (v6, Check::Deep)]) {
            self.sick.insert(Part { region, endpoint: STEADY + 1, v6, check });
        }
        self.after(PARTED_AFTER, Happening::Parts { server });
    }

    /// An endpoint that flaps changes, and will change again.
    pub fn flap(&mut self, part: Part, left: u32) {
        if !self.sick.remove(&part) {
            self.sick.insert(part);
        }
        if left > 0 {
            let pause = self.dice.between(300, 3_000);
            self.after(pause, Happening::Flaps { part, left: left - 1 });
        }
    }

    /// Something that can fail, of any endpoint but the steady one.
    fn any_part(&mut self) -> Part {
        let sketch = &self.versions[0].sketch;
        let (regions, endpoints) = (sketch.regions, sketch.endpoints.len());
        Part {
            region: self.dice.below(regions),
            endpoint: self.dice.between(STEADY as u64 + 1, endpoints as u64 - 1) as usize,
            v6: self.dice.chance(0.3),
            check: self.dice.pick(&[Check::Web, Check::Web, Check::Deep]),
        }
    }

    /// One thing fails for one region, or all of an endpoint for everybody.
    fn sicken(&mut self) {
        let part = self.any_part();
        if self.dice.chance(0.5) {
            self.sick.insert(part);
            return;
        }
        for region in 0..self.wanted().sketch.regions {
            for family in Family::BOTH {
                let v6 = family == Family::V6;
                self.sick.insert(Part { region, v6, check: Check::Web, ..part });
            }
        }
    }

    fn recover(&mut self) {
        let endpoint = self.any_part().endpoint;
        self.sick.retain(|part| part.endpoint != endpoint);
    }

    /// Some probes and some servers lose sight of each other.
    fn cut_half(&mut self) {
        let probes: Vec<usize> = (0..self.probes.len()).filter(|_| self.dice.chance(0.5)).collect();
        let servers: Vec<usize> = (0..self.servers.len()).filter(|_| self.dice.chance(0.5)).collect();
        let links = probes.iter().flat_map(|probe| servers.iter().map(|server| (*probe, *server)));
        self.network.cut(links);
    }

    fn stop_any(&mut self, server: usize) {
        let disk = self.dice.pick(&[Disk::Current, Disk::Current, Disk::Old, Disk::Lost]);
        self.stop_server(server, disk);
    }

    /// A wall clock is set an hour off, or right again. Who runs notices it only when it starts again.
    fn set_probe_clock(&mut self, probe: usize) {
        let ahead = self.dice.pick(&[-HOUR, 0, HOUR]);
        self.probes[probe].clock.set(ahead);
        if self.dice.chance(0.7) {
            self.start_probe(probe);
        }
    }

    fn set_server_clock(&mut self, server: usize) -> Result<(), Violation> {
        let ahead = self.dice.pick(&[-HOUR, 0, HOUR]);
        self.servers[server].clock.set(ahead);
        if self.dice.chance(0.7) {
            self.stop_any(server);
            self.start_server(server)?;
        }
        Ok(())
    }

    fn operate(&mut self) -> Result<(), Violation> {
        let number = self.dice.below(self.wanted().sketch.endpoints.len());
        let endpoint = format!("e{number}");
        let orders = [Some(Control::Drain), Some(Control::ForceUp), Some(Control::ForceDown), None, None];
        let control = self.dice.pick(&orders);
        // Of an endpoint that is not there, nothing is kept.
        match control.filter(|_| self.wanted().sketch.endpoints[number].present) {
            Some(control) => self.orders.insert(endpoint.clone(), control),
            None => self.orders.remove(&endpoint),
        };
        self.say(|| Event::Control { endpoint: endpoint.clone(), control })
    }

    /// An operator speaks to every server that runs.
    fn say(&mut self, event: impl Fn() -> Event) -> Result<(), Violation> {
        for server in 0..self.servers.len() {
            if self.servers[server].alive {
                self.apply(server, event())?;
            }
        }
        Ok(())
    }

    /// Everybody hears of another plan, sooner or later.
    fn change_plan(&mut self) {
        let sketch = self.wanted().sketch.clone().changed(&mut self.dice);
        let (version, rules) = (self.versions.len(), self.rules());
        self.versions.push(sketch.version(version, |text| rules.edit(text)));
        for server in 0..self.servers.len() {
            let later = self.dice.between(1, PLAN_TAKES);
            self.after(later, Happening::ServerFollows { server, version });
        }
        for probe in 0..self.probes.len() {
            let later = self.dice.between(1, PLAN_TAKES);
            self.after(later, Happening::ProbeFollows { probe, version });
        }
    }
}

const OPTIONAL: [Kind; 18] = [
    Kind::Recovery,
    Kind::Flapping,
    Kind::Weather,
    Kind::HalfIsCut,
    Kind::ServerIsCut,
    Kind::LinksAreMended,
    Kind::ProbeEnds,
    Kind::ProbeRestarts,
    Kind::ServerEnds,
    Kind::ServerRestarts,
    Kind::ProbeClock,
    Kind::ServerClock,
    Kind::ProbeLeap,
    Kind::ServerLeap,
    Kind::Operator,
    Kind::Failback,
    Kind::Plan,
    Kind::Word,
];

const PLAN_TAKES: u64 = 3_000;

/// When all checks have told, and long before the healing.
const PARTED_AFTER: u64 = 6_000;
