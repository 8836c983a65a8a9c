//! The health map: region x endpoint x family -> verdict, with its evidence.
//!
//! Flat tables, indexed by number; immutable once in a snapshot. The keeper makes them.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use foldhash::fast::FixedState;
use serde::{Deserialize, Serialize};

use crate::health::{Agent, Evidence};
use crate::model::{
    ClassId, EndpointId, Family, Fingerprint, Inventory, Moment, PoolId, RegionId, SituationId,
};

/// What a server concludes of an endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Usable.
    Up,
    /// Not usable.
    Down,
    /// Nothing is known: usable.
    #[default]
    Unknown,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Verdict::Up => "Up",
            Verdict::Down => "Down",
            Verdict::Unknown => "Unknown",
        })
    }
}

/// What an operator said of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Control {
    /// Take it out, whatever its checks say.
    Drain,
    /// Its verdict is Up, whatever its checks say.
    ForceUp,
    /// Its verdict is Down, whatever its checks say.
    ForceDown,
}

/// The verdict on one endpoint for one region and family.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Standing {
    /// The conclusion, controls included: a drained endpoint is Down.
    pub verdict: Verdict,
    /// Opinions are changing, the verdict turned lately, or an operator's change is fresh.
    pub moving: bool,
    /// No fresh vote anywhere: the last verdict stands.
    pub stale: bool,
    /// Its checks want it down, but the governor lets no more endpoints be taken out just now.
    pub governed: bool,
    /// What an operator fixed.
    pub control: Option<Control>,
    /// Why.
    pub evidence: Evidence,
    /// Since when the verdict is what it is; `None`: since before anything was known.
    pub since: Option<Moment>,
    /// What the endpoint says of itself in this region; `None`: nothing but `up`.
    pub agent: Option<Agent>,
    /// Its smoothed round-trip time from this region, in microseconds: the median of the region's probes, as they
    /// last measured. `None`: none did, or no pool goes by it.
    pub rtt_us: Option<u32>,
}

impl Standing {
    /// Whether it may be answered: everything but Down.
    pub fn usable(&self) -> bool {
        self.verdict != Verdict::Down
    }

    /// How many percent of its weight it wants, 1..=100.
    pub fn wanted(&self) -> u8 {
        match self.agent {
            Some(Agent::Share(percent)) => percent.clamp(1, 100),
            _ => 100,
        }
    }
}

/// Whether a pool is up for one region and family, worked out once when the map is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolStanding {
    /// It has `min_up` members up.
    pub up: bool,
    /// Somebody it can pick, up or not, has an address of the family.
    pub addresses: bool,
    /// Somebody it can pick, up or not, is a host name.
    pub names: bool,
    /// The health of something it can pick is moving.
    pub moving: bool,
    /// The health of something it can pick is stale.
    pub stale: bool,
}

/// A member of a pool, for the clients in a situation and a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Slot {
    /// In this pool,
    pub pool: PoolId,
    /// this member (index into its members),
    pub member: u16,
    /// for clients in this situation,
    pub situation: SituationId,
    /// and this family.
    pub family: Family,
}

/// The members of a `latency` pool whose round-trip time is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measured {
    order: Box<[(u16, u32)]>,
    /// Index: a member.
    known: Box<[bool]>,
}

impl Measured {
    /// Members and their round-trip times in microseconds, the first of which is tried first; of so many members
    /// in all.
    pub fn new(order: Box<[(u16, u32)]>, members: usize) -> Self {
        let mut known = vec![false; members];
        for (member, _) in &order {
            known[usize::from(*member)] = true;
        }
        Self { order, known: known.into() }
    }

    /// Members and their round-trip times in microseconds, with bias, in the order in which they are tried.
    #[inline]
    pub fn order(&self) -> &[(u16, u32)] {
        &self.order
    }

    /// Whether a member is one of them.
    #[inline]
    pub fn knows(&self, member: u16) -> bool {
        self.known.get(usize::from(member)).copied().unwrap_or(false)
    }
}

/// The decision on a pool for one class of clients and family, where no draw can change it: this one endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    /// Who is answered.
    pub endpoint: EndpointId,
    /// Everything consulted is settled.
    pub settled: bool,
    /// Something consulted is stale.
    pub stale: bool,
}

/// Region x endpoint x family -> standing; situation x pool x family -> standing; what is held back; and
/// what all of that comes to, where that is the same for every query.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HealthMap {
    regions: usize,
    situations: usize,
    endpoints: Vec<Standing>,
    pools: Vec<PoolStanding>,
    /// Recovered members that are not used yet ([`crate::model::Failback`]).
    holds: HashSet<Slot, FixedState>,
    /// Recovered members that do not have all of their weight yet, and how many tenths of it they have.
    ramps: HashMap<Slot, u8, FixedState>,
    /// The members of `latency` pools that were measured.
    measured: HashMap<(PoolId, SituationId, Family), Arc<Measured>, FixedState>,
    /// Empty until [`crate::steering::prepare`] has worked it out, and after every change.
    ready: Vec<Option<Ready>>,
    /// Index [`PoolId`]: where its part of `ready` begins.
    ready_from: Vec<u32>,
}

impl HealthMap {
    /// Everything Unknown (unmonitored endpoints Up), every pool not judged yet: see
    /// [`crate::steering::judge_pools`].
    pub fn new(inventory: &Inventory) -> Self {
        let regions = inventory.regions.len();
        let mut endpoints = Vec::with_capacity(inventory.endpoints.len() * regions * 2);
        for endpoint in &inventory.endpoints {
            for _ in 0..regions {
                for family in Family::BOTH {
                    let watched = !endpoint.targets[family.index()].is_empty();
                    let verdict = if watched { Verdict::Unknown } else { Verdict::Up };
                    endpoints.push(Standing { verdict, ..Standing::default() });
                }
            }
        }
        let situations = inventory.situations.len();
        let pools = vec![PoolStanding::default(); inventory.pools.len() * situations * 2];
        let (ready, ready_from) = (Vec::new(), Vec::new());
        let (holds, ramps, measured) = (HashSet::default(), HashMap::default(), HashMap::default());
        Self { regions, situations, endpoints, pools, holds, ramps, measured, ready, ready_from }
    }

    /// The standing of an endpoint for clients of a region.
    #[inline]
    pub fn endpoint(&self, id: EndpointId, region: RegionId, family: Family) -> &Standing {
        &self.endpoints[self.endpoint_slot(id, region, family)]
    }

    /// To be written by the keeper.
    pub fn endpoint_mut(&mut self, id: EndpointId, region: RegionId, family: Family) -> &mut Standing {
        self.ready.clear();
        let slot = self.endpoint_slot(id, region, family);
        &mut self.endpoints[slot]
    }

    /// Whether every endpoint stands as in another map of the same inventory, and says the same of itself: whatever
    /// the reasons, dates and times.
    pub fn says_the_same(&self, other: &Self) -> bool {
        let said = |standing: &Standing| (standing.verdict, standing.agent);
        self.endpoints.iter().map(said).eq(other.endpoints.iter().map(said))
    }

    /// The standing of a pool for clients in a situation.
    #[inline]
    pub fn pool(&self, id: PoolId, situation: SituationId, family: Family) -> PoolStanding {
        self.pools[self.pool_slot(id, situation, family)]
    }

    /// To be written by [`crate::steering::judge_pools`].
    pub fn pool_mut(&mut self, id: PoolId, situation: SituationId, family: Family) -> &mut PoolStanding {
        self.ready.clear();
        let slot = self.pool_slot(id, situation, family);
        &mut self.pools[slot]
    }

    /// Whether a recovered member is kept waiting.
    #[inline]
    pub fn holds(&self, slot: &Slot) -> bool {
        !self.holds.is_empty() && self.holds.contains(slot)
    }

    /// To be written by the keeper.
    pub fn holds_mut(&mut self) -> &mut HashSet<Slot, FixedState> {
        self.ready.clear();
        &mut self.holds
    }

    /// How many tenths of its weight a member has: [`TENTHS`], unless it is starting slowly.
    #[inline]
    pub fn grown(&self, slot: &Slot) -> u8 {
        if self.ramps.is_empty() { TENTHS } else { self.ramps.get(slot).copied().unwrap_or(TENTHS) }
    }

    /// To be written by the keeper.
    pub fn ramps_mut(&mut self) -> &mut HashMap<Slot, u8, FixedState> {
        self.ready.clear();
        &mut self.ramps
    }

    /// The members of a `latency` pool that were measured from where these clients are.
    #[inline]
    pub fn measured(&self, id: PoolId, situation: SituationId, family: Family) -> Option<&Arc<Measured>> {
        self.measured.get(&(id, situation, family))
    }

    /// To be written by [`crate::steering::order_by_latency`].
    pub fn set_measured(
        &mut self,
        id: PoolId,
        situation: SituationId,
        family: Family,
        measured: Arc<Measured>,
    ) {
        self.ready.clear();
        self.measured.insert((id, situation, family), measured);
    }

    /// The decision on a pool for clients of a class, if it was worked out beforehand.
    #[inline]
    pub fn ready(&self, id: PoolId, class: ClassId, family: Family) -> Option<Ready> {
        let from = *self.ready_from.get(id.index())? as usize;
        self.ready.get(from + class.index() * 2 + family.index()).copied().flatten()
    }

    /// To be written by [`crate::steering::prepare`]: one for each pool, each of its classes, and each family, in
    /// this order; and where the part of each pool begins.
    pub fn set_ready(&mut self, ready: Vec<Option<Ready>>, from: Vec<u32>) {
        self.ready = ready;
        self.ready_from = from;
    }

    /// A number that is the same on servers which hold the same verdicts of the same endpoints, whatever they
    /// heard in which order: of names and verdicts, controls included, and nothing that dates or explains them.
    pub fn fingerprint(&self, inventory: &Inventory) -> u64 {
        let of = |name: &str| Fingerprint::new().with(name.as_bytes()).value();
        let regions: Vec<u64> = inventory.regions.iter().map(|region| of(&region.name)).collect();
        let mut sum = 0u64;
        for (endpoint, of_endpoint) in inventory.endpoints.iter().zip(self.endpoints.chunks(self.regions * 2))
        {
            let name = of(&endpoint.name);
            for (slot, standing) in of_endpoint.iter().enumerate() {
                let place = name ^ regions[slot / 2].rotate_left(17 + slot as u32 % 2);
                sum = sum.wrapping_add(scatter(place.wrapping_add(standing.verdict as u64)));
            }
        }
        sum
    }

    #[inline]
    fn endpoint_slot(&self, id: EndpointId, region: RegionId, family: Family) -> usize {
        (id.index() * self.regions + region.index()) * 2 + family.index()
    }

    #[inline]
    fn pool_slot(&self, id: PoolId, situation: SituationId, family: Family) -> usize {
        (id.index() * self.situations + situation.index()) * 2 + family.index()
    }
}

/// All of a member's weight: a slow start goes in steps of a tenth, few enough that each is worth a snapshot.
pub const TENTHS: u8 = 10;

/// Spreads what differs little over all bits, so that in a sum no two differences cancel out (splitmix64).
fn scatter(number: u64) -> u64 {
    let mut mixed = number;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
