//! Questions to a world in some state of health, and what is to be expected of the answers.
//!
//! ```text
//!   Health (verdicts by luck) --snapshot--.
//!   Ask (pool, family, draw, source) -----+--answer--> Given (records, scope)
//!   Scopes: how far each pool treats clients alike, by the reference
//! ```

use std::net::IpAddr;

use domain::base::iana::Rtype;
use ipnet::IpNet;
use proptest::prelude::*;
use windrose::answer::explain::explain;
use windrose::answer::{Answer, Client, Data, Ede, Proof, Query, Rcode, RecordSet, answer};
use windrose::health::{HealthMap, Verdict};
use windrose::model::{EndpointId, Family, Name, Policy, PoolId, RegionId};
use windrose::plan::Plan;
use windrose::snapshot::Snapshot;
use windrose::steering::{judge_pools, prepare};

use crate::reference::{EMBEDDED, Everywhere, Reference, Treatment, block, inner, serves};
use crate::scramble;
use crate::world::{Endpoint, Pick, Pool, Reach, World};

/// All pools of a world.
pub fn pools(world: &World) -> Vec<usize> {
    (0..world.pools.len()).collect()
}

pub fn is_fenced(world: &World, pool: usize) -> bool {
    world.pools[pool].fence
}

/// The id of a pool: compiled ones stand in another order.
pub fn id(plan: &Plan, pool: usize) -> PoolId {
    plan.inventory.pool(&Pick::Pool(pool).name()).expect("every pool is compiled")
}

/// What the probes found: a share of everything is down, differently in each region.
#[derive(Clone, Copy, Debug)]
pub struct Health {
    seed: u64,
    /// Of eight.
    down: u64,
}

pub fn health() -> impl Strategy<Value = Health> {
    (any::<u64>(), 0..=8u64).prop_map(|(seed, down)| Health { seed, down })
}

impl Health {
    /// The verdict on an endpoint for a region. An endpoint that nothing watches may be drained, everywhere at once.
    pub fn verdict(self, world: &World, endpoint: usize, region: usize, v4: bool) -> Verdict {
        let luck = self.luck(world, endpoint, region, v4);
        match luck & 7 {
            share if share < self.down => Verdict::Down,
            _ if luck & 8 == 0 => Verdict::Up,
            _ => Verdict::Unknown,
        }
    }

    pub fn luck(self, world: &World, endpoint: usize, region: usize, v4: bool) -> u64 {
        let by_region = if world.endpoints[endpoint].watched { 2 * region as u64 + u64::from(v4) } else { 0 };
        scramble(self.seed ^ scramble(endpoint as u64) ^ by_region)
    }
}

/// A world with this health.
pub fn snapshot(world: &World, health: &Health) -> Snapshot {
    let plan = world.plan();
    let mut map = HealthMap::new(&plan.inventory);
    for endpoint in 0..world.endpoints.len() {
        for region in 0..plan.inventory.regions.len() {
            for family in Family::BOTH {
                let v4 = family == Family::V4;
                let luck = health.luck(world, endpoint, region, v4);
                let standing = map.endpoint_mut(EndpointId::at(endpoint), RegionId::at(region), family);
                standing.verdict = health.verdict(world, endpoint, region, v4);
                (standing.moving, standing.stale) = (luck & 0x30 == 0, luck & 0x1c0 == 0);
            }
        }
    }
    judge_pools(&plan.inventory, &mut map);
    prepare(&plan.inventory, &mut map);
    Snapshot::new(1, plan, map)
}

/// A question for the name of a pool.
#[derive(Clone, Copy, Debug)]
pub struct Ask {
    pub pool: usize,
    pub v4: bool,
    pub draw: u64,
    /// Who sends it.
    pub source: IpAddr,
}

/// What was answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Given<'s> {
    pub rcode: Rcode,
    pub records: Vec<RecordSet<'s>>,
    pub ede: Option<Ede>,
    pub scope: u8,
}

impl Ask {
    /// For one of these pools.
    pub fn one_of(pools: &[usize], luck: u64, source: IpAddr) -> Self {
        let pool = pools[luck as usize % pools.len()];
        Self { pool, v4: luck & 1 << 32 == 0, draw: scramble(luck), source }
    }

    /// Asks on behalf of a subnet.
    pub fn of(self, snapshot: &Snapshot, told: IpNet) -> Given<'_> {
        self.with(told, |query| {
            let Answer { rcode, answer, authority, ede, scope, .. } = answer(query, snapshot, &mut ());
            Given { rcode, records: answer.into_iter().chain(authority).collect(), ede, scope }
        })
    }

    pub fn with<R>(self, told: IpNet, ask: impl FnOnce(&Query<'_>) -> R) -> R {
        let name: Name = format!("p{}.example.org", self.pool).parse().expect("a name");
        let qtype = if self.v4 { Rtype::A } else { Rtype::AAAA }.to_int();
        let client = Client { source: self.source, subnet: Some(told) };
        ask(&Query { name: name.as_slice(), qtype, client, draw: self.draw, proof: Proof::default() })
    }
}

impl Given<'_> {
    pub fn addresses(&self) -> Vec<IpAddr> {
        let of_set = |set: &RecordSet<'_>| -> Vec<IpAddr> {
            match &set.data {
                Data::A(addresses) => addresses.iter().map(|address| IpAddr::V4(*address)).collect(),
                Data::Aaaa(addresses) => addresses.iter().map(|address| IpAddr::V6(*address)).collect(),
                _ => Vec::new(),
            }
        };
        self.records.iter().flat_map(of_set).collect()
    }

    pub fn without_scope(&self) -> Self {
        Self { scope: 0, ..self.clone() }
    }
}

/// The address that a query for an endpoint is answered with.
pub fn address(endpoint: usize, v4: bool) -> IpAddr {
    if v4 { Endpoint::v4(endpoint).into() } else { Endpoint::v6(endpoint).into() }
}

/// Whether the first member that is up is all that comes out of a pool: the reference knows no fractions, no draws
/// and no host names.
pub fn tries_in_order(world: &World, pool: usize) -> bool {
    let in_order =
        |policy| matches!(policy, Policy::Failover | Policy::Nearest | Policy::Latency | Policy::Geo);
    world.gives_addresses(pool)
        && world.reachable_pools(pool).all(|pool| {
            in_order(pool.policy) && !pool.trickle && pool.min_up.is_none() && pool.answers.unwrap_or(1) == 1
        })
}

/// How far what each pool does holds.
pub struct Scopes<'w> {
    world: &'w World,
    pools: Vec<Everywhere<Treatment>>,
    regions: Everywhere<usize>,
}

impl<'w> Scopes<'w> {
    pub fn new(reference: &Reference<'w>) -> Self {
        let of_pool = |pool| reference.everywhere(|place| reference.treatment(pool, place));
        Self {
            world: reference.world,
            pools: reference.world.pools.iter().map(of_pool).collect(),
            regions: reference.everywhere(|place| place.regions[0]),
        }
    }

    /// The scope of one pool alone.
    pub fn of(&self, pool: usize, client: IpAddr) -> u8 {
        let sketch = &self.world.pools[pool];
        if !believes(self.world, sketch) {
            return 0;
        }
        self.pools[pool].scope(client)
    }

    /// Of all pools that an answer says it entered, but those where nobody has the family that was asked for,
    /// wherever the client is.
    pub fn consulted(&self, ask: &Ask, snapshot: &Snapshot, client: IpAddr) -> u8 {
        let explanation = ask.with(client.into(), |query| explain(query, snapshot));
        let decisions = explanation.lookups.iter().flat_map(|lookup| &lookup.decisions);
        let pools = decisions.flat_map(|decided| &decided.pools).map(|look| &look.pool);
        let numbers = pools.map(|name| name[1..].parse::<usize>().expect("pools are numbered"));
        let serving = numbers.filter(|pool| self.serves(Pick::Pool(*pool), ask.v4));
        serving.map(|pool| self.of(pool, client)).max().unwrap_or(0)
    }

    /// Whether somebody who can be picked has an address of a family, or a host name.
    fn serves(&self, pick: Pick, v4: bool) -> bool {
        match pick {
            Pick::Endpoint(id) => match self.world.endpoints[id].reach {
                Reach::Addresses { .. } => serves(&self.world.endpoints[id], v4),
                Reach::Outside | Reach::Alias => true,
            },
            Pick::Pool(id) => self.world.pools[id].members.iter().any(|member| self.serves(member.pick, v4)),
        }
    }

    /// Of all that could be consulted.
    pub fn reachable(&self, pool: usize, client: IpAddr) -> u8 {
        let scopes = self.world.reachable(Pick::Pool(pool)).into_iter().map(|pick| {
            let Pick::Pool(id) = pick else { return 0 };
            let pool = &self.world.pools[id];
            let sticky = if is_sticky(self.world, pool) { sticky_scope(client) } else { 0 };
            let region = if self.asks_for_the_region(pool) { self.regions.scope(client) } else { 0 };
            self.of(id, client).max(sticky).max(region)
        });
        scopes.max().unwrap_or(0)
    }

    /// Whether a pool falls back to an endpoint that is judged by region.
    pub fn asks_for_the_region(&self, pool: &Pool) -> bool {
        let watched = |pick| matches!(pick, Pick::Endpoint(id) if self.world.endpoints[id].watched);
        believes(self.world, pool) && pool.fallback.is_some_and(watched)
    }

    /// Whether an answer rests on nothing but how the pools that it says it entered treat clients: beside a host
    /// name, what the other family would get is consulted too; a fallback may ask for the region; and who is sticky
    /// and up hashes the client.
    pub fn is_plain(&self, pool: usize) -> bool {
        let plain = |pool| !self.asks_for_the_region(pool) && !is_sticky(self.world, pool);
        self.world.gives_addresses(pool) && self.world.reachable_pools(pool).all(plain)
    }
}

/// Whether a pool goes by the client subnet.
pub fn believes(world: &World, pool: &Pool) -> bool {
    pool.client_subnet && world.maps[pool.map].client_subnet
}

/// Whether a pool goes by a hash of the client subnet.
pub fn is_sticky(world: &World, pool: &Pool) -> bool {
    pool.sticky && believes(world, pool)
}

/// The prefix that a sticky pool hashes; none that holds IPv4 clients within IPv6 beside others: they are hashed as
/// what they are.
pub fn sticky_scope(client: IpAddr) -> u8 {
    let holds = |length: &u8| {
        EMBEDDED.iter().any(|(prefix, ..)| block(client, *length).contains(&IpNet::V6(*prefix)))
    };
    match (client, inner(client)) {
        (IpAddr::V6(_), IpAddr::V6(_)) => {
            (56..=128).find(|length| !holds(length)).expect("one address is no prefix")
        }
        _ => {
            24 + EMBEDDED
                .iter()
                .find(|(prefix, ..)| IpNet::V6(*prefix).contains(&client))
                .map_or(0, |kind| kind.1)
        }
    }
}
