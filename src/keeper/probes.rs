//! What the probes said last, ready to be voted with.
//!
//! A report is kept as it came, by names, and resolved to the targets of the plan once, when it comes or
//! when the plan changes. Whether it is fresh is judged by when it was *heard*: a probe's clock may be
//! anything.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::FixedState;

use crate::health::{Report, TargetReport, Vote};
use crate::keeper::{FRESH_INTERVALS, Fact, ProbeStatus};
use crate::model::{EndpointId, Inventory, Moment, PoolId, RegionId, TargetId};

/// The newest report of each probe.
#[derive(Debug, Default)]
pub(super) struct Probes(BTreeMap<Arc<str>, Held>);

#[derive(Debug)]
struct Held {
    report: Report,
    heard: Moment,
    region: RegionId,
    /// By target; `None`: it says nothing of it.
    votes: Vec<Option<Vote>>,
    /// It was told that this probe is silent.
    told: bool,
}

impl Probes {
    /// Takes a report in, unless what is held is as new. A probe whose numbers went back, because its clock
    /// did, is heard again when what is held of it is stale.
    pub fn hear(&mut self, mut report: Report, names: &Names, now: Moment) -> Result<(), Fact> {
        match self.0.get(&report.probe) {
            Some(held) if held.outdoes(&report, now) => {
                let Report { probe, number, .. } = report;
                return Err(Fact::ReportDropped { probe, number, held: held.report.number });
            }
            None if self.0.len() >= PROBES_MAX => return Err(Fact::TooManyProbes { probe: report.probe }),
            _ => {}
        }
        report.interval_ms = report.interval_ms.clamp(1, INTERVAL_MAX_MS);
        names.cut(&mut report);
        let (region, votes) = names.resolve(&report);
        let probe = Arc::clone(&report.probe);
        self.0.insert(probe, Held { report, heard: now, region, votes, told: false });
        Ok(())
    }

    /// Reads every report again, under another plan.
    pub fn follow(&mut self, names: &Names) {
        for held in self.0.values_mut() {
            (held.region, held.votes) = names.resolve(&held.report);
        }
    }

    /// Tells, once each, which probes fell silent, and forgets those that are long gone.
    pub fn find_silent(&mut self, now: Moment) -> Vec<Fact> {
        self.0.retain(|_, held| now.since(held.heard) < FORGOTTEN_AFTER);
        let mut facts = Vec::new();
        for (probe, held) in &mut self.0 {
            if !held.told && !held.fresh(now) {
                held.told = true;
                facts.push(Fact::ProbeSilent { probe: Arc::clone(probe) });
            }
        }
        facts
    }

    /// The votes that count now: for each fresh probe, by target.
    pub fn votes(&self, now: Moment) -> Vec<&[Option<Vote>]> {
        self.0.values().filter(|held| held.fresh(now)).map(|held| &held.votes[..]).collect()
    }

    /// See [`crate::keeper::Keeper::probes`].
    pub fn status(&self, now: Moment) -> Vec<ProbeStatus> {
        let status = |(name, held): (&Arc<str>, &Held)| ProbeStatus {
            name: Arc::clone(name),
            region: held.region,
            number: held.report.number,
            age: now.since(held.heard),
            fresh: held.fresh(now),
        };
        self.0.iter().map(status).collect()
    }
}

impl Held {
    /// Whether this is rather to be believed than another report of the same probe.
    fn outdoes(&self, report: &Report, now: Moment) -> bool {
        let number = self.report.number;
        number == report.number || (number > report.number && self.fresh(now))
    }

    fn fresh(&self, now: Moment) -> bool {
        now.since(self.heard) <= FRESH_INTERVALS * Duration::from_millis(self.report.interval_ms.into())
    }
}

/// From the names in reports and controls to the numbers of a plan.
#[derive(Debug)]
pub(super) struct Names {
    regions: HashMap<Box<str>, RegionId, FixedState>,
    endpoints: HashMap<Box<str>, EndpointId, FixedState>,
    pools: HashMap<Box<str>, PoolId, FixedState>,
    targets: HashMap<IpAddr, Vec<(Box<str>, TargetId)>, FixedState>,
    targets_len: usize,
    default: RegionId,
}

impl Names {
    /// The names of an inventory.
    pub fn of(inventory: &Inventory) -> Self {
        let mut targets: HashMap<IpAddr, Vec<_>, FixedState> = HashMap::default();
        for (index, target) in inventory.targets.iter().enumerate() {
            let monitor = inventory.monitors[target.monitor.index()].name.clone();
            targets.entry(target.address).or_default().push((monitor, TargetId::at(index)));
        }
        let regions = inventory.regions.iter().enumerate();
        let endpoints = inventory.endpoints.iter().enumerate();
        let pools = inventory.pools.iter().enumerate();
        Self {
            regions: regions.map(|(index, region)| (region.name.clone(), RegionId::at(index))).collect(),
            endpoints: endpoints.map(|(index, one)| (one.name.clone(), EndpointId::at(index))).collect(),
            pools: pools.map(|(index, pool)| (pool.name.clone(), PoolId::at(index))).collect(),
            targets,
            targets_len: inventory.targets.len(),
            default: inventory.default_region(),
        }
    }

    /// A region by its name.
    pub fn region(&self, name: &str) -> Option<RegionId> {
        self.regions.get(name).copied()
    }

    /// An endpoint by its name.
    pub fn endpoint(&self, name: &str) -> Option<EndpointId> {
        self.endpoints.get(name).copied()
    }

    /// A pool by its name.
    pub fn pool(&self, name: &str) -> Option<PoolId> {
        self.pools.get(name).copied()
    }

    /// A target by the names in a report.
    fn target(&self, said: &TargetReport) -> Option<TargetId> {
        let there = self.targets.get(&said.address)?;
        there.iter().find(|(monitor, _)| **monitor == *said.monitor).map(|(_, target)| *target)
    }

    /// Cuts off what a report says of targets that the plan does not have, but for some: they may be of
    /// the next plan, which the probe has already.
    pub fn cut(&self, report: &mut Report) {
        let mut strangers = 0;
        report.targets.retain(|said| {
            let known = self.target(said).is_some();
            strangers += usize::from(!known);
            known || strangers <= STRANGERS_MAX
        });
        report.targets.truncate(self.targets_len + STRANGERS_MAX);
        report.targets.shrink_to_fit();
    }

    /// Where the votes of a report count, and what they are, by target. What the plan does not have is
    /// left out: it is of a plan that the probe has and we have not yet, or no more.
    fn resolve(&self, report: &Report) -> (RegionId, Vec<Option<Vote>>) {
        let region = self.region(&report.region).unwrap_or(self.default);
        let mut votes = vec![None; self.targets_len];
        for said in &report.targets {
            if let Some(target) = self.target(said) {
                let (opinion, moving, last, rtt_us) = (said.opinion, said.moving, said.last, said.rtt_us);
                votes[target.index()] =
                    Some(Vote { region, opinion, moving, last, rtt_us, agent: said.agent });
            }
        }
        (region, votes)
    }
}

/// A probe that was silent for so long is no longer shown, and may come back with any number.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// Probes that are remembered at most: beyond this a new one is not heard until another is forgotten.
pub(super) const PROBES_MAX: usize = 10_000;

/// A probe that says it reports less often is taken to report this often: its votes go stale sooner than
/// its next report comes, rather than standing for weeks after its last.
const INTERVAL_MAX_MS: u32 = 60_000;

/// Of the targets in one report that the plan does not have, so many are kept; the rest is cut off.
pub(super) const STRANGERS_MAX: usize = 1_000;
