//! From names to numbers: what a plan calls things, and the lists of targets in reports.
//!
//! A probe says the same list of targets in every report, and most probes say the same as the others. So a
//! list is looked up once and kept as a [`Roster`], and a report whose list is the same costs only comparing.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use foldhash::fast::FixedState;
use smallvec::SmallVec;

use crate::health::{Report, TargetReport};
use crate::model::{EndpointId, Inventory, PoolId, RegionId, SiteId, TargetId};

/// The targets at an address, by their monitors' names: mostly one.
type AtAddress = SmallVec<[(Box<str>, TargetId); 1]>;

/// From the names in reports and controls to the numbers of a plan.
#[derive(Debug)]
pub(super) struct Names {
    regions: HashMap<Box<str>, RegionId, FixedState>,
    endpoints: HashMap<Box<str>, EndpointId, FixedState>,
    pools: HashMap<Box<str>, PoolId, FixedState>,
    sites: HashMap<Box<str>, SiteId, FixedState>,
    targets: HashMap<IpAddr, AtAddress, FixedState>,
    /// By target: whose verdict rests on it.
    endpoints_of: Vec<SmallVec<[EndpointId; 2]>>,
    default: RegionId,
}

impl Names {
    /// The names of an inventory.
    pub fn of(inventory: &Inventory) -> Self {
        let mut targets: HashMap<IpAddr, AtAddress, _> = HashMap::default();
        for (index, target) in inventory.targets.iter().enumerate() {
            let monitor = inventory.monitors[target.monitor.index()].name.clone();
            targets.entry(target.address).or_default().push((monitor, TargetId::at(index)));
        }
        let regions = inventory.regions.iter().enumerate();
        let endpoints = inventory.endpoints.iter().enumerate();
        let pools = inventory.pools.iter().enumerate();
        let sites = inventory.probes.iter().filter_map(|probe| Some((probe.name.clone(), probe.site?)));
        Self {
            regions: regions.map(|(index, region)| (region.name.clone(), RegionId::at(index))).collect(),
            endpoints: endpoints.map(|(index, one)| (one.name.clone(), EndpointId::at(index))).collect(),
            pools: pools.map(|(index, pool)| (pool.name.clone(), PoolId::at(index))).collect(),
            sites: sites.collect(),
            targets,
            endpoints_of: endpoints_of(inventory),
            default: inventory.default_region(),
        }
    }

    /// A region by its name.
    pub fn region(&self, name: &str) -> Option<RegionId> {
        self.regions.get(name).copied()
    }

    /// Where a probe stands that says so; the default region, if the plan lacks that one.
    pub fn region_or_default(&self, name: &str) -> RegionId {
        self.region(name).unwrap_or(self.default)
    }

    /// The site that a probe shares with others.
    pub fn site(&self, probe: &str) -> Option<SiteId> {
        self.sites.get(probe).copied()
    }

    /// An endpoint by its name.
    pub fn endpoint(&self, name: &str) -> Option<EndpointId> {
        self.endpoints.get(name).copied()
    }

    /// A pool by its name.
    pub fn pool(&self, name: &str) -> Option<PoolId> {
        self.pools.get(name).copied()
    }

    /// The endpoints whose verdict rests on a target.
    pub fn endpoints_of(&self, target: TargetId) -> &[EndpointId] {
        &self.endpoints_of[target.index()]
    }

    /// How many targets the plan has.
    pub fn targets_len(&self) -> usize {
        self.endpoints_of.len()
    }

    fn target(&self, monitor: &str, address: IpAddr) -> Option<TargetId> {
        let there = self.targets.get(&address)?;
        there.iter().find(|(name, _)| **name == *monitor).map(|(_, target)| *target)
    }

    /// Cuts off what a report says of targets that the plan does not have, but for some: they may be of
    /// the next plan, which the probe has already.
    pub fn cut(&self, report: &mut Report) {
        let mut strangers = 0;
        report.targets.retain(|said| {
            let known = self.target(&said.monitor, said.address).is_some();
            strangers += usize::from(!known);
            known || strangers <= STRANGERS_MAX
        });
        report.targets.truncate(self.targets_len() + STRANGERS_MAX);
    }
}

/// A list of targets, as a report says them, and what the plan calls them.
#[derive(Debug)]
pub(super) struct Roster {
    keys: Box<[(Arc<str>, IpAddr)]>,
    /// By place in the list; `None`: the plan does not have it, or it comes again further on. It is of a plan
    /// that the probe has and we have not yet, or no more.
    targets: Vec<Option<TargetId>>,
    /// By target.
    places: Vec<Option<u32>>,
}

impl Roster {
    /// The list of a report.
    pub fn new(said: &[TargetReport], names: &Names) -> Self {
        Self::resolve(said.iter().map(|said| (Arc::clone(&said.monitor), said.address)).collect(), names)
    }

    /// The same list, under another plan.
    pub fn follow(&self, names: &Names) -> Self {
        Self::resolve(self.keys.clone(), names)
    }

    fn resolve(keys: Box<[(Arc<str>, IpAddr)]>, names: &Names) -> Self {
        let mut places = vec![None; names.targets_len()];
        let mut targets = vec![None; keys.len()];
        for (place, (monitor, address)) in (0u32..).zip(&keys) {
            let Some(target) = names.target(monitor, *address) else { continue };
            targets[place as usize] = Some(target);
            if let Some(earlier) = places[target.index()].replace(place) {
                targets[earlier as usize] = None;
            }
        }
        Self { keys, targets, places }
    }

    /// Whether a report has this list.
    pub fn is_of(&self, said: &[TargetReport]) -> bool {
        let same = |((monitor, address), said): (&(Arc<str>, IpAddr), &TargetReport)| {
            *address == said.address && **monitor == *said.monitor
        };
        self.keys.len() == said.len() && self.keys.iter().zip(said).all(same)
    }

    /// By place in the list.
    pub fn targets(&self) -> &[Option<TargetId>] {
        &self.targets
    }

    /// Where in the list a target is.
    pub fn place(&self, target: TargetId) -> Option<usize> {
        self.places[target.index()].map(|place| place as usize)
    }
}

fn endpoints_of(inventory: &Inventory) -> Vec<SmallVec<[EndpointId; 2]>> {
    let mut endpoints_of = vec![SmallVec::new(); inventory.targets.len()];
    for (index, endpoint) in inventory.endpoints.iter().enumerate() {
        for target in endpoint.targets.iter().flatten() {
            endpoints_of[target.index()].push(EndpointId::at(index));
        }
    }
    endpoints_of
}

/// Of the targets in one report that the plan does not have, so many are kept; the rest is cut off.
pub(super) const STRANGERS_MAX: usize = 1_000;
