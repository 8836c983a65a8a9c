//! The world of a scenario: a keeper, probes that do as they are told, and a clock that moves on command.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use domain::base::iana::Rtype;

use crate::answer::explain::{Explanation, explain, locate};
use crate::answer::{Proof, Query, Trace, answer};
use crate::geo::Facts;
use crate::health::{Agent, Basis, Opinion, Report, TargetReport, Tracker, TrackerSettings};
use crate::keeper::{Event, Fact, Keeper, State, Step, describe};
use crate::model::{Family, Moment, Name, Target};
use crate::plan::promise::promises;
use crate::plan::{self, Plan};
use crate::scenario::command::{Command, Probe, Question, Said};
use crate::scenario::script::Block;
use crate::scenario::{ReadZones, facts};
use crate::snapshot::Snapshot;
use crate::spec::diagnostic::render;
use crate::spec::{self, Diagnostic, Include, Severity, Source, Sources, did_you_mean, duration};
use crate::steering;

/// All that a script can act upon.
pub struct World<'w> {
    zones: ReadZones<'w>,
    include: Include<'w>,
    files: BTreeMap<String, Source>,
    now: Moment,
    /// What the databases know, as far as the script has any.
    facts: Arc<Facts>,
    warnings: Vec<Diagnostic>,
    served: Option<Served>,
    probes: BTreeMap<Probe, Standin>,
    /// The only one that is heard while the line to the fleet is cut.
    own: Option<Probe>,
}

/// What runs once zones are loaded.
struct Served {
    keeper: Keeper,
    snapshot: Snapshot,
}

/// A probe that does as the script says.
#[derive(Default)]
struct Standin {
    number: u64,
    silent: bool,
    opinions: HashMap<Key, Opinion>,
    rtts: HashMap<Key, Duration>,
    words: HashMap<Key, Agent>,
    trackers: HashMap<Key, Tracker>,
}

/// Somebody who hears how an answer comes about, so that nothing worked out beforehand is used for it.
struct Listener;

impl steering::Trace for Listener {
    fn step(&mut self, _step: steering::Step) {}
}

impl Trace for Listener {}

/// A target by what reports call it.
type Key = (Arc<str>, IpAddr);

impl<'w> World<'w> {
    /// An empty world; `zones` reads the directories that the script names, `include` what their files name.
    pub fn new(zones: ReadZones<'w>, include: Include<'w>) -> Self {
        Self {
            zones,
            include,
            files: BTreeMap::new(),
            now: START,
            facts: Arc::new(Facts::none()),
            warnings: Vec::new(),
            served: None,
            probes: BTreeMap::new(),
            own: None,
        }
    }

    /// Runs one block; what it prints ends in a newline, or is empty.
    pub fn run(&mut self, block: &Block) -> String {
        let output = Command::parse(&block.command).and_then(|command| self.obey(command, &block.input));
        let mut text = output.unwrap_or_else(|error| format!("error: {error}"));
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        text
    }

    fn obey(&mut self, command: Command, input: &str) -> Result<String, String> {
        match command {
            Command::Zones(directory) => {
                let sources = (self.zones)(&directory)?;
                self.load(&sources, self.include)
            }
            Command::File(name) => {
                self.files.insert(name.clone(), Source::new(&name, input));
                Ok(String::new())
            }
            Command::Geo => {
                self.facts = Arc::new(facts::parse(input)?);
                Ok(String::new())
            }
            Command::Load => {
                let files = self.files.clone();
                let here = |_: &str, name: &str| {
                    files.get(name).cloned().ok_or_else(|| format!("there is no file `{name}` here"))
                };
                self.load(&self.made_here(), &here)
            }
            Command::Check => self.check(),
            Command::Report { probe, says } => self.report(probe, &says),
            Command::Checks { probe, endpoint, results } => self.checks(&probe, &endpoint, &results),
            Command::Silence(probe) => {
                self.probes.entry(probe).or_default().silent = true;
                Ok(String::new())
            }
            Command::Cut(probe) => {
                self.own = Some(probe);
                self.note_line(Some(self.now))
            }
            Command::Mend => {
                self.own = None;
                self.note_line(None)
            }
            Command::Wait(time) => Ok(self.pass(time)?.unwrap_or_default()),
            Command::Jump(time) => {
                self.now = self.now.plus(time);
                Ok(self.apply(Event::Tick)?.unwrap_or_default())
            }
            Command::Ask { question, draw } => Ok(self.explain(&question, draw)?.short()),
            Command::Explain { question, draw } => Ok(self.explain(&question, draw)?.to_string()),
            Command::Share { question, draws } => self.share(&question, draws),
            Command::Control { endpoint, control } => self.operate(Event::Control { endpoint, control }),
            Command::Failback(pool) => self.operate(Event::Failback { pool }),
            Command::Restart => self.restart(),
            Command::Status => self.status(),
            Command::Locate(clients) => {
                let plan = self.plan()?;
                Ok(clients.iter().map(|client| locate(*client, plan).short()).collect())
            }
        }
    }

    fn made_here(&self) -> Sources {
        let of_kind = |suffix: &str| {
            let files = self.files.values().filter(|source| source.file.ends_with(suffix));
            files.cloned().collect()
        };
        Sources { zones: of_kind(".zone"), steering: of_kind(".toml") }
    }

    fn load(&mut self, sources: &Sources, include: Include<'_>) -> Result<String, String> {
        let (spec, read) = spec::parse(sources, include);
        let (plan, compiled) = plan::compile(&spec, &self.facts, REPORT_INTERVAL);
        let diagnostics = spec.findings(read, compiled);
        let refused = diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
        let Some(plan) = plan.filter(|_| !refused) else { return Ok(render(&diagnostics, false)) };
        self.warnings = diagnostics;
        let plan = Arc::new(plan);
        let mut text = plan.summary() + "\n";
        if self.served.is_some() {
            text += &self.apply(Event::Plan(plan))?.unwrap_or_default();
        } else {
            let keeper = Keeper::new(plan, None, self.now);
            self.served = Some(Served { snapshot: keeper.first(), keeper });
        }
        Ok(text)
    }

    fn check(&mut self) -> Result<String, String> {
        let mut text = if self.warnings.is_empty() { String::new() } else { render(&self.warnings, false) };
        let plan = self.plan()?;
        for promise in promises(plan, REPORT_INTERVAL) {
            let parts = [promise.detection, promise.publication, promise.cached].map(duration::display);
            let total = duration::display(promise.total);
            let slowest = &plan.inventory.endpoints[promise.endpoint.index()].name;
            let _ = writeln!(text, "{}: {} = {total} ({slowest})", promise.name, parts.join(" + "));
        }
        Ok(text)
    }

    fn report(&mut self, probe: Probe, says: &[(String, Said)]) -> Result<String, String> {
        for (target, said) in says {
            let keys = self.targets_of(target)?.into_iter();
            let standin = self.probes.entry(probe.clone()).or_default();
            match said {
                Said::Opinion(opinion) => standin.opinions.extend(keys.map(|key| (key, *opinion))),
                Said::Rtt(rtt) => standin.rtts.extend(keys.map(|key| (key, *rtt))),
                Said::Agent(word) => standin.words.extend(keys.map(|key| (key, *word))),
            }
        }
        self.probes.entry(probe.clone()).or_default().silent = false;
        let mut text = self.send(&probe)?.unwrap_or_default();
        text += &self.pass(A_REPORT_TAKES)?.unwrap_or_default();
        Ok(if text.is_empty() { "no change\n".into() } else { text })
    }

    fn checks(&mut self, probe: &Probe, endpoint: &str, results: &[bool]) -> Result<String, String> {
        let keys = self.targets_of(endpoint)?;
        let mut text = String::new();
        for &passed in results {
            let mut pause = Duration::ZERO;
            let mut turned = None;
            for key in &keys {
                let settings = self.settings_of(key)?;
                let now = self.now;
                let standin = self.probes.entry(probe.clone()).or_default();
                let tracker =
                    standin.trackers.entry(key.clone()).or_insert_with(|| Tracker::new(settings, now));
                turned = turned.or(tracker.observe(passed, now));
                pause = pause.max(tracker.pause());
                standin.opinions.insert(key.clone(), tracker.opinion());
            }
            if let Some(turn) = turned {
                let _ = writeln!(
                    text,
                    "{}/{}: {endpoint} {} -> {}",
                    probe.region, probe.name, turn.from, turn.to
                );
            }
            text += &self.send(probe)?.unwrap_or_default();
            text += &self.pass(pause)?.unwrap_or_default();
        }
        Ok(if text.is_empty() { "no change\n".into() } else { text })
    }

    fn explain(&self, question: &Question, draw: u64) -> Result<Explanation, String> {
        let name = Name::from_str(&question.name)
            .map_err(|error| format!("`{}` is no domain name: {error}", question.name))?;
        let qtype = Rtype::from_str(&question.qtype.to_ascii_uppercase())
            .map_err(|_| format!("`{}` is no record type", question.qtype))?;
        let (name, qtype) = (name.as_slice(), qtype.to_int());
        let query = Query { name, qtype, client: question.client, draw, proof: Proof::default() };
        let snapshot = &self.served()?.snapshot;
        let (given, told) = (answer(&query, snapshot, &mut ()), answer(&query, snapshot, &mut Listener));
        if given != told {
            return Err(format!("what is explained is not what is answered:\n{told:?}\n{given:?}"));
        }
        Ok(explain(&query, snapshot))
    }

    fn share(&self, question: &Question, draws: u64) -> Result<String, String> {
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        for number in 0..draws {
            let short = self.explain(question, scatter(number))?.short();
            let first = short.lines().next().unwrap_or_default().to_owned();
            *counts.entry(first).or_default() += 1;
        }
        let mut counts: Vec<_> = counts.into_iter().collect();
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        Ok(counts.iter().map(|(answer, count)| format!("{count} x {answer}\n")).collect())
    }

    fn operate(&mut self, event: Event) -> Result<String, String> {
        let text = self.apply(event)?;
        Ok(text.unwrap_or_else(|| "no change\n".into()))
    }

    /// Through the text of the state file, so that what it lacks is lost here too.
    fn restart(&mut self) -> Result<String, String> {
        let now = self.now;
        let served = self.served_mut()?;
        let saved = serde_json::to_string(&served.keeper.state(now)).map_err(|error| error.to_string())?;
        let state: State = serde_json::from_str(&saved).map_err(|error| error.to_string())?;
        let kept = state.verdicts.len();
        let plan = Arc::clone(&served.snapshot.plan);
        served.keeper = Keeper::new(plan, Some(state), now);
        served.snapshot = served.keeper.first();
        Ok(format!("restarted with {kept} verdict{}\n", if kept == 1 { "" } else { "s" }))
    }

    fn status(&self) -> Result<String, String> {
        let Served { snapshot, .. } = self.served()?;
        let inventory = &snapshot.plan.inventory;
        let mut text = String::new();
        for (index, endpoint) in inventory.endpoints.iter().enumerate() {
            let id = crate::model::EndpointId::at(index);
            for family in Family::BOTH.into_iter().filter(|&family| endpoint.serves(family)) {
                let _ = write!(text, "{} {family}:", endpoint.name);
                for (index, region) in inventory.regions.iter().enumerate() {
                    let standing = snapshot.health.endpoint(id, crate::model::RegionId::at(index), family);
                    let _ = write!(text, " {} {:?}", region.name, standing.verdict);
                    text += if standing.stale { " (stale)" } else { "" };
                    text += if standing.evidence.basis == Basis::Damped { " (flaps)" } else { "" };
                    text += if standing.governed { " (held back)" } else { "" };
                    if let Some(word) = standing.agent {
                        let _ = write!(text, " (says {word})");
                    }
                    text += if standing.moving { " (moving)" } else { "" };
                }
                text.push('\n');
            }
        }
        Ok(text)
    }

    /// Time passes; every probe that is not silent reports again every [`REPORT_INTERVAL`].
    fn pass(&mut self, time: Duration) -> Result<Option<String>, String> {
        let mut text = String::new();
        let end = self.now.plus(time.min(WAIT_MAX));
        while self.now < end {
            let before = self.now;
            self.now = end.min(before.plus(TICK));
            if before.0 / REPORT_INTERVAL_MS != self.now.0 / REPORT_INTERVAL_MS {
                let heard = |probe: &Probe| self.own.as_ref().is_none_or(|own| own == probe);
                let talks = |standin: &Standin| !standin.silent && standin.number > 0;
                let talking = self.probes.iter().filter(|(probe, standin)| talks(standin) && heard(probe));
                for probe in talking.map(|(probe, _)| probe.clone()).collect::<Vec<_>>() {
                    text += &self.send(&probe)?.unwrap_or_default();
                }
            }
            text += &self.apply(Event::Tick)?.unwrap_or_default();
        }
        Ok((!text.is_empty()).then_some(text))
    }

    fn note_line(&mut self, silent_since: Option<Moment>) -> Result<String, String> {
        Ok(self.apply(Event::Line { silent_since })?.unwrap_or_default())
    }

    /// One report of a probe, whole.
    fn send(&mut self, probe: &Probe) -> Result<Option<String>, String> {
        let plan = Arc::clone(&self.served()?.snapshot.plan);
        let standin = self.probes.entry(probe.clone()).or_default();
        standin.number += 1;
        let targets = plan.inventory.targets.iter().map(|target| standin.says(&key_of(&plan, target)));
        let report = Report {
            probe: probe.name.as_str().into(),
            region: probe.region.as_str().into(),
            targets: targets.collect(),
            number: standin.number,
            instance: 0,
            sent: self.now,
            interval_ms: REPORT_INTERVAL_MS as u32,
            zones: None,
        };
        self.apply(Event::Report(report))
    }

    /// What the keeper has to tell, in words; `None` if nothing.
    fn apply(&mut self, event: Event) -> Result<Option<String>, String> {
        let now = self.now;
        let served = self.served_mut()?;
        let Step { facts, snapshot } = served.keeper.apply(event, now);
        if let Some(snapshot) = snapshot {
            served.snapshot = snapshot;
        }
        let plan = &served.snapshot.plan;
        let line = |fact: &Fact| describe(fact, plan) + "\n";
        let text: String = facts.iter().map(line).collect();
        Ok((!text.is_empty()).then_some(text))
    }

    /// The targets that `ENDPOINT`, `ENDPOINT.ipv4`, `ENDPOINT.ipv6` or `ENDPOINT.MONITOR` means.
    fn targets_of(&self, word: &str) -> Result<Vec<Key>, String> {
        let plan = self.plan()?;
        let inventory = &plan.inventory;
        let (name, part) = match (inventory.endpoint(word), word.rsplit_once('.')) {
            (None, Some((name, part))) => (name, Some(part)),
            _ => (word, None),
        };
        let id = inventory.endpoint(name).ok_or_else(|| {
            let known = inventory.endpoints.iter().map(|endpoint| &*endpoint.name);
            let close = did_you_mean(name, known).map(|close| format!("; did you mean `{close}`?"));
            format!("there is no endpoint `{name}`{}", close.unwrap_or_default())
        })?;
        let targets = inventory.endpoints[id.index()].targets.iter().flatten();
        let keys = targets.map(|id| key_of(plan, &inventory.targets[id.index()]));
        let wanted = |(monitor, address): &Key| match part {
            None => true,
            Some("ipv4") => address.is_ipv4(),
            Some("ipv6") => address.is_ipv6(),
            Some(part) => &**monitor == part,
        };
        let keys: Vec<Key> = keys.filter(wanted).collect();
        if keys.is_empty() { Err(format!("`{word}` is not checked")) } else { Ok(keys) }
    }

    fn settings_of(&self, key: &Key) -> Result<TrackerSettings, String> {
        let monitors = &self.plan()?.inventory.monitors;
        let monitor = monitors.iter().find(|monitor| monitor.name.as_ref() == key.0.as_ref());
        monitor.map(TrackerSettings::from).ok_or_else(|| format!("there is no monitor `{}`", key.0))
    }

    fn plan(&self) -> Result<&Plan, String> {
        Ok(&self.served()?.snapshot.plan)
    }

    fn served(&self) -> Result<&Served, String> {
        self.served.as_ref().ok_or_else(|| NOTHING_LOADED.into())
    }

    fn served_mut(&mut self) -> Result<&mut Served, String> {
        self.served.as_mut().ok_or_else(|| NOTHING_LOADED.into())
    }
}

impl Standin {
    fn says(&self, key: &Key) -> TargetReport {
        TargetReport {
            monitor: Arc::clone(&key.0),
            address: key.1,
            opinion: self.opinions.get(key).copied().unwrap_or(Opinion::Up),
            moving: self.trackers.get(key).is_some_and(Tracker::moving),
            last: None,
            rtt_us: self.rtts.get(key).map(|rtt| rtt.as_micros() as u32),
            age_ms: 0,
            certificate_end: None,
            agent: self.words.get(key).copied(),
        }
    }
}

fn key_of(plan: &Plan, target: &Target) -> Key {
    (plan.inventory.monitors[target.monitor.index()].name.as_ref().into(), target.address)
}

/// Draws that look like draws, the same in every run (splitmix64).
fn scatter(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

const START: Moment = Moment(1_000_000);
const TICK: Duration = Duration::from_secs(1);
const REPORT_INTERVAL: Duration = Duration::from_secs(2);
const REPORT_INTERVAL_MS: u64 = REPORT_INTERVAL.as_millis() as u64;

/// After a report one second passes, so that what is not urgent is published too.
const A_REPORT_TAKES: Duration = Duration::from_secs(1);

/// A longer wait is cut to this: a script must end.
const WAIT_MAX: Duration = Duration::from_secs(24 * 3600);

const NOTHING_LOADED: &str = "nothing is loaded yet: begin with `zones DIRECTORY`";
