//! The decision: one pure function for every policy.
//!
//! Some rules that are easily got wrong:
//!
//! - A pool that has nothing of the asked family at all is not down: the name simply has no such address,
//!   and that is NODATA, whatever `on_down` says (but `static` still asks the zone file, which may have
//!   some). Only a fallback that has such addresses and is up comes before that.
//! - A CNAME speaks for every type (RFC 1034 section 3.6.2): a resolver that gets one for AAAA uses it
//!   for A too. So a host name is only answered if the other family would not get addresses now;
//!   otherwise the decision is made again as if host names were not there. A v4-only pool with a CDN as
//!   its fallback thus keeps its clients until IPv4 is down as well.
//! - A fence holds in any state, so a fenced pool's fallback is never used.

use std::mem::take;

use smallvec::{SmallVec, smallvec};

use crate::geo::Class;
use crate::health::{HealthMap, Ready};
use crate::model::{ClassId, EndpointId, Family, Inventory, OnDown, Pool, PoolId, RegionId, Use};
use crate::steering::walk::{Found, Walk};
use crate::steering::whereabouts::{Met, Whereabouts};
use crate::steering::{Step, Trace};

/// Who asks for what, as far as steering goes.
#[derive(Clone, Copy, Debug)]
pub struct Request<'r> {
    /// Where the client is.
    pub client: Whereabouts<'r>,
    /// What it asks for.
    pub family: Family,
    /// The random number of this query; for sticky pools, of its client (`sticky`).
    pub draw: u64,
    /// A hash of the client subnet: the draw of sticky pools.
    pub sticky: u64,
    /// A hash of the network that the query came from: the draw of sticky pools that do not believe the client
    /// subnet.
    pub sticky_source: u64,
}

/// What was decided.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// What to answer.
    pub outcome: Outcome,
    /// Everything consulted is settled: the full TTL may be used.
    pub settled: bool,
    /// Something consulted is stale.
    pub stale: bool,
    /// The length of the shortest prefix around the client subnet in which all that was consulted treats every
    /// client alike; 0: their place did not matter.
    pub scope: u8,
    /// A sticky pool hashed the client subnet: the scope is at least the prefix that was hashed.
    pub sticky: bool,
}

/// What to answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// These endpoints, in this order; never empty. Either addresses of the asked family, or one name.
    Endpoints {
        /// Who.
        chosen: SmallVec<[EndpointId; 8]>,
        /// Nothing was up: as if all were (EDE).
        last_resort: bool,
    },
    /// The records of the zone file at the name.
    Static,
    /// An empty answer.
    NoData,
    /// SERVFAIL.
    ServFail,
}

/// Decides what `pool` answers. Every transport, explain, tests and simulation come through here.
#[inline]
pub fn decide(
    pool: PoolId,
    request: &Request<'_>,
    inventory: &Inventory,
    health: &HealthMap,
    trace: &mut impl Trace,
) -> Decision {
    let class = request.client.class(&inventory.pools[pool.index()], request.family);
    if let Some(class) = class.filter(|_| !trace.hears())
        && let Some(ready) = health.ready(pool, class.id, request.family)
    {
        return ready.decision(class.scope);
    }
    walk(pool, class, request, inventory, health, trace)
}

/// Decides by a walk, for a client of this class of the pool's, if it is known.
#[inline(never)]
fn walk(
    pool: PoolId,
    class: Option<Class>,
    request: &Request<'_>,
    inventory: &Inventory,
    health: &HealthMap,
    trace: &mut impl Trace,
) -> Decision {
    let mut met = Met::default();
    if let Some(class) = class {
        met.note(&inventory.pools[pool.index()], request.family, class);
    }
    let (outcome, found) = work_out(pool, request, inventory, health, met, trace);
    found.decision(outcome)
}

/// Makes those decisions beforehand that no draw can change, by the same walk: each is one endpoint that
/// is up. To be called when a map is finished; one that is not prepared is walked at every query.
pub fn prepare(inventory: &Inventory, health: &mut HealthMap) {
    let mut looks_left = PREPARED_LOOKS_MAX;
    let mut ready = Vec::new();
    let mut from = Vec::with_capacity(inventory.pools.len());
    for (id, pool) in inventory.pools.iter().enumerate() {
        from.push(u32::try_from(ready.len()).expect("treatments are bounded when a plan is compiled"));
        for class in (0..pool.treatments.len()).map(ClassId::at) {
            for family in Family::BOTH {
                let (partition, believed) = (pool.partition, pool.client_subnet);
                // Where the family does not tell clients apart, what is kept is for all of them: the other family,
                // which may be asked as well, must not go by one class.
                let class = pool.tells_apart(family).then_some(class);
                let client = Whereabouts::Anybody { partition, believed, class, region: None };
                let request = Request { client, family, draw: 0, sticky: 0, sticky_source: 0 };
                let decided = (looks_left > 0)
                    .then(|| work_out(PoolId::at(id), &request, inventory, health, Met::default(), &mut ()));
                looks_left = looks_left.saturating_sub(decided.as_ref().map_or(0, |(_, found)| found.looks));
                ready.push(decided.and_then(|(outcome, found)| found.ready(&outcome)));
            }
        }
    }
    health.set_ready(ready, from);
}

fn work_out(
    pool: PoolId,
    request: &Request<'_>,
    inventory: &Inventory,
    health: &HealthMap,
    met: Met,
    trace: &mut impl Trace,
) -> (Outcome, Found) {
    let mut walk = Walk::new(*request, inventory, health, met, trace);
    let outcome = walk.outcome(pool);
    if !walk.named() {
        return (outcome, walk.found);
    }
    let (first, met) = (walk.found, walk.met);
    let twin = Request { family: request.family.other(), ..*request };
    let mut deaf = ();
    let mut other = Walk::new(twin, inventory, health, met, &mut deaf);
    let has_records = match other.outcome(pool) {
        Outcome::Endpoints { .. } => !other.named(),
        Outcome::Static => true,
        Outcome::NoData | Outcome::ServFail => false,
    };
    let (consulted, met) = (first.with(&other.found), other.met);
    if !has_records {
        return (outcome, consulted);
    }
    trace.step(Step::WithoutNames(pool));
    let mut again = Walk::new(*request, inventory, health, met, trace);
    again.names = false;
    let outcome = again.outcome(pool);
    (outcome, again.found.with(&consulted))
}

impl<T: Trace> Walk<'_, T> {
    /// What a name's pool answers: what it picks, else what its fallbacks do, else what it says is to be
    /// done when it is down.
    fn outcome(&mut self, top: PoolId) -> Outcome {
        if self.try_pool(top) || self.try_fallbacks(top) {
            return self.endpoints();
        }
        let pool = self.pool(top);
        let treatment = self.meet(pool);
        let standing = self.health.pool(top, treatment.situation, self.request.family);
        let has_answers = self.has_answers(standing.addresses, standing.names).is_ok();
        match pool.on_down {
            OnDown::Static => Outcome::Static,
            OnDown::ServeAll if has_answers => self.serve_all(top),
            OnDown::ServFail if has_answers => Outcome::ServFail,
            OnDown::ServeAll | OnDown::ServFail | OnDown::NoData => Outcome::NoData,
        }
    }

    /// Picks from a pool that a name or a fallback points at.
    fn try_pool(&mut self, id: PoolId) -> bool {
        let treatment = self.meet(self.pool(id));
        let standing = self.health.pool(id, treatment.situation, self.request.family);
        self.found.moving |= standing.moving;
        self.found.stale |= standing.stale;
        if standing.up {
            if self.pick(id) {
                return true;
            }
        } else {
            self.trace.step(Step::Enter(id));
            self.tell_unusable(id);
        }
        self.trace.step(Step::PoolDown(id));
        false
    }

    /// Follows the chain of fallbacks.
    fn try_fallbacks(&mut self, top: PoolId) -> bool {
        let mut down = top;
        for _ in 0..Pool::NESTING_MAX {
            let pool = self.pool(down);
            let Some(to) = pool.fallback.filter(|_| !pool.fence) else { return false };
            self.trace.step(Step::Fallback { pool: down, to });
            match to {
                Use::Endpoint(endpoint) => return self.try_endpoint(endpoint, pool.client_subnet),
                Use::Pool(next) if self.try_pool(next) => return true,
                Use::Pool(next) => down = next,
            }
        }
        false
    }

    /// An endpoint that a pool falls back to, which says whether the client subnet is `believed`.
    fn try_endpoint(&mut self, id: EndpointId, believed: bool) -> bool {
        let watched = self.inventory.endpoints[id.index()].monitored();
        let region = if watched { self.region(believed) } else { RegionId(0) };
        let standing = self.health.endpoint(id, region, self.request.family);
        self.found.moving |= standing.moving;
        self.found.stale |= standing.stale;
        standing.usable() && self.answers(id).is_ok() && self.carry(id).is_ok()
    }

    fn serve_all(&mut self, top: PoolId) -> Outcome {
        self.trace.step(Step::LastResort(top));
        self.turn_to_last_resort();
        self.pick(top);
        self.endpoints()
    }

    /// What was chosen; never an empty set.
    fn endpoints(&mut self) -> Outcome {
        if self.found.chosen.is_empty() {
            return Outcome::NoData;
        }
        Outcome::Endpoints { chosen: take(&mut self.found.chosen), last_resort: self.last_resort }
    }
}

impl Found {
    /// What rests on both.
    fn with(self, other: &Found) -> Self {
        Self {
            chosen: self.chosen,
            moving: self.moving || other.moving,
            stale: self.stale || other.stale,
            scope: self.scope.max(other.scope),
            undetermined: self.undetermined || other.undetermined,
            sticky: self.sticky || other.sticky,
            drew: self.drew || other.drew,
            looks: self.looks + other.looks,
        }
    }

    /// The decision to be kept, if it is the same for every draw and simple enough.
    fn ready(&self, outcome: &Outcome) -> Option<Ready> {
        let Outcome::Endpoints { chosen, last_resort: false } = outcome else { return None };
        let &[endpoint] = &chosen[..] else { return None };
        let Found { moving, stale, sticky, drew, undetermined, .. } = *self;
        (!drew && !sticky && !undetermined).then_some(Ready { endpoint, settled: !moving, stale })
    }

    fn decision(&self, outcome: Outcome) -> Decision {
        let Found { moving, stale, scope, sticky, .. } = *self;
        Decision { outcome, settled: !moving, stale, scope, sticky }
    }
}

impl Ready {
    /// The decision for a client whose class is the same as far as `scope` says.
    #[inline]
    fn decision(self, scope: u8) -> Decision {
        let Ready { endpoint, settled, stale } = self;
        let outcome = Outcome::Endpoints { chosen: smallvec![endpoint], last_resort: false };
        Decision { outcome, settled, stale, scope, sticky: false }
    }
}

/// Members of pools entered to prepare one map, at most: a fraction of a second. What is left is walked at
/// every query.
const PREPARED_LOOKS_MAX: usize = 1 << 24;
