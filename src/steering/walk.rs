//! One walk through pools for one decision: who is usable, and what one answer may carry.

use smallvec::SmallVec;

use crate::health::{HealthMap, Slot};
use crate::model::{EndpointId, Failback, Inventory, Policy, Pool, PoolId, Reach, RegionId, Treatment, Use};
use crate::steering::judge::in_order;
use crate::steering::whereabouts::Met;
use crate::steering::{Request, Skip, Step, Trace};

/// What a walk knows and what it has found so far. Each policy is an `impl` of it, in its own file.
pub(super) struct Walk<'w, T> {
    pub request: Request<'w>,
    pub inventory: &'w Inventory,
    pub health: &'w HealthMap,
    pub trace: &'w mut T,
    /// Whether host names may be chosen.
    pub names: bool,
    /// As if all were up.
    pub last_resort: bool,
    pub found: Found,
    /// The treatments met so far.
    pub met: Met,
    /// Whether the answer is a host name, which stands alone.
    named: bool,
    looks_left: usize,
    /// How many pools are entered and not yet left.
    depth: usize,
}

/// What a walk found, and what it rests on: see [`crate::steering::Decision`].
#[derive(Default)]
pub(super) struct Found {
    pub chosen: SmallVec<[EndpointId; 8]>,
    pub moving: bool,
    pub stale: bool,
    pub scope: u8,
    /// It is not known how some pool treats the client.
    pub undetermined: bool,
    pub sticky: bool,
    /// The draw had a say.
    pub drew: bool,
    /// The members of all pools that were entered.
    pub looks: usize,
}

impl<'w, T: Trace> Walk<'w, T> {
    pub fn new(
        request: Request<'w>,
        inventory: &'w Inventory,
        health: &'w HealthMap,
        met: Met,
        trace: &'w mut T,
    ) -> Self {
        let found = Found::default();
        let (names, last_resort, named, looks_left, depth) = (true, false, false, LOOKS_MAX, 0);
        Self { request, inventory, health, trace, names, last_resort, found, met, named, looks_left, depth }
    }

    /// Asks how a pool treats the client: from here on the scope speaks for that too.
    #[inline]
    pub fn meet(&mut self, pool: &Pool) -> Treatment {
        let family = self.request.family;
        let known = self.met.class(pool, family);
        let Some(class) = known.or_else(|| self.request.client.class(pool, family)) else {
            self.found.undetermined = true;
            return pool.treatments[0];
        };
        if known.is_none() {
            self.met.note(pool, family, class);
        }
        self.found.scope = self.found.scope.max(class.scope);
        pool.treatments[class.id.index()]
    }

    /// The region of the client where no pool asks: that of an endpoint which is fallen back to.
    pub fn region(&mut self, believed: bool) -> RegionId {
        let Some((region, scope)) = self.request.client.region(believed, self.inventory) else {
            self.found.undetermined = true;
            return RegionId(0);
        };
        self.found.scope = self.found.scope.max(scope);
        region
    }

    /// How a pool that was met treats the client.
    #[inline]
    fn treatment(&self, pool: &Pool) -> Treatment {
        pool.treatments[self.met.class(pool, self.request.family).map_or(0, |class| class.id.index())]
    }

    /// Lets a pool pick; says whether the answer has grown.
    pub fn pick(&mut self, id: PoolId) -> bool {
        if self.depth == Pool::NESTING_MAX {
            return false;
        }
        self.depth += 1;
        let grown = self.enter(id);
        self.depth -= 1;
        grown
    }

    fn enter(&mut self, id: PoolId) -> bool {
        let pool = self.pool(id);
        let Some(looks_left) = self.looks_left.checked_sub(pool.members.len()) else { return false };
        self.looks_left = looks_left;
        self.found.looks += pool.members.len();
        self.trace.step(Step::Enter(id));
        self.meet(pool);
        self.found.sticky |= pool.sticky && pool.client_subnet;
        let draw = mix(if pool.sticky { self.sticky_draw(pool) } else { self.request.draw }, id);
        match pool.policy {
            Policy::Failover | Policy::Nearest | Policy::Latency | Policy::Geo => {
                self.pick_in_order(id, draw)
            }
            Policy::Weighted => self.pick_by_weight(id, draw),
            Policy::All => self.pick_all(id, draw),
        }
    }

    /// What a sticky pool draws by.
    pub fn sticky_draw(&self, pool: &Pool) -> u64 {
        if pool.client_subnet { self.request.sticky } else { self.request.sticky_source }
    }

    /// Answers as if everything were up from here on.
    pub fn turn_to_last_resort(&mut self) {
        self.last_resort = true;
        self.looks_left = LOOKS_MAX;
    }

    /// A pool by its number.
    pub fn pool(&self, id: PoolId) -> &'w Pool {
        &self.inventory.pools[id.index()]
    }

    /// The members that the client may be given, in the order of the policy, by index.
    pub fn candidates(&self, pool: &'w Pool) -> impl Iterator<Item = u16> + Clone + use<'w, T> {
        let order = pool.order_of(self.treatment(pool));
        let everybody = self.last_resort && order.is_empty() && !pool.fence;
        in_order(order, if everybody { pool.members.len() } else { order.len() })
    }

    /// The same, but for `latency` pools first those that were measured, as they were.
    pub fn in_turn(&self, id: PoolId) -> impl Iterator<Item = u16> + Clone + use<'w, T> {
        let pool = self.pool(id);
        let Treatment { situation, .. } = self.treatment(pool);
        let by_latency = pool.policy == Policy::Latency;
        let measured = by_latency.then(|| self.health.measured(id, situation, self.request.family)).flatten();
        let order = measured.map_or(&[][..], |measured| measured.order());
        let is_left = move |member: &u16| !measured.is_some_and(|measured| measured.knows(*member));
        order.iter().map(|(member, _)| *member).chain(self.candidates(pool).filter(is_left))
    }

    /// Whether a member may be picked, or why not.
    #[inline]
    pub fn look(&self, id: PoolId, member: u16) -> Result<(), Skip> {
        let family = self.request.family;
        let pool = self.pool(id);
        let Treatment { region, situation, .. } = self.treatment(pool);
        let up = match pool.members[usize::from(member)].picks {
            Use::Endpoint(endpoint) => {
                self.answers(endpoint)?;
                self.health.endpoint(endpoint, region, family).usable()
            }
            Use::Pool(nested) => {
                let standing = self.health.pool(nested, situation, family);
                self.has_answers(standing.addresses, standing.names)?;
                standing.up
            }
        };
        if self.last_resort {
            return Ok(());
        }
        if !up {
            return Err(Skip::Down);
        }
        let waits = pool.failback != Failback::Auto;
        if waits && self.health.holds(&Slot { pool: id, member, situation, family }) {
            return Err(Skip::Held);
        }
        Ok(())
    }

    /// How much of its weight a member has: less than all of it while it starts slowly, or if the endpoint
    /// itself asks for less.
    pub fn thousandths(&self, id: PoolId, member: u16) -> u64 {
        let family = self.request.family;
        let pool = self.pool(id);
        let Treatment { region, situation, .. } = self.treatment(pool);
        let wanted = match pool.members[usize::from(member)].picks {
            Use::Endpoint(endpoint) => self.health.endpoint(endpoint, region, family).wanted(),
            Use::Pool(_) => 100,
        };
        let grown = self.health.grown(&Slot { pool: id, member, situation, family });
        u64::from(wanted) * u64::from(grown)
    }

    /// Puts a member, or what it picks, into the answer; says whether the answer has grown.
    pub fn take(&mut self, pool: PoolId, member: u16) -> bool {
        let taken = match self.pool(pool).members[usize::from(member)].picks {
            Use::Endpoint(endpoint) => self.carry(endpoint),
            Use::Pool(nested) => self.pick(nested).then_some(()).ok_or(Skip::Dead),
        };
        match taken {
            Ok(()) => self.trace.step(Step::Chosen { pool, member }),
            Err(reason) => self.skip(pool, member, reason),
        }
        taken.is_ok()
    }

    /// Whether an endpoint has an answer for the family, or why not.
    #[inline]
    pub fn answers(&self, id: EndpointId) -> Result<(), Skip> {
        let endpoint = &self.inventory.endpoints[id.index()];
        let named = matches!(endpoint.reach, Reach::Name(_));
        self.has_answers(!named && endpoint.serves(self.request.family), named)
    }

    /// The same of something that has addresses of the family or host names.
    #[inline]
    pub fn has_answers(&self, addresses: bool, names: bool) -> Result<(), Skip> {
        match (addresses, names) {
            (true, _) => Ok(()),
            (false, true) if self.names => Ok(()),
            (false, true) => Err(Skip::HostName),
            (false, false) => Err(Skip::NoFamily),
        }
    }

    /// Puts an endpoint into the answer, if it fits what is there: addresses, each once, or one name.
    pub fn carry(&mut self, id: EndpointId) -> Result<(), Skip> {
        let endpoint = &self.inventory.endpoints[id.index()];
        let named = matches!(endpoint.reach, Reach::Name(_));
        if named && !self.found.chosen.is_empty() {
            return Err(Skip::HostName);
        }
        let address = |id: EndpointId| self.inventory.endpoints[id.index()].address(self.request.family);
        if self.found.chosen.iter().any(|chosen| address(*chosen) == address(id)) {
            return Err(Skip::Repeated);
        }
        self.named = named;
        self.found.chosen.push(id);
        Ok(())
    }

    /// Whether nothing more fits into the answer.
    pub fn full(&self) -> bool {
        self.named || self.found.chosen.len() >= usize::from(Pool::ANSWERS_MAX)
    }

    /// Whether what was found is a host name.
    pub fn named(&self) -> bool {
        self.named
    }

    /// Tells that a member was passed over.
    pub fn skip(&mut self, pool: PoolId, member: u16, reason: Skip) {
        self.trace.step(Step::Skipped { pool, member, reason });
    }

    /// Tells of every member that may not be picked why not, if anybody listens.
    pub fn tell_unusable(&mut self, id: PoolId) {
        if !self.trace.hears() {
            return;
        }
        for member in self.candidates(self.pool(id)) {
            match self.look(id, member) {
                Ok(()) | Err(Skip::Held) => {}
                Err(reason) => self.skip(id, member, reason),
            }
        }
    }
}

/// The draw of one pool: pools that are nested in one another draw independently.
fn mix(draw: u64, pool: PoolId) -> u64 {
    scramble(draw ^ u64::from(pool.0).wrapping_add(1).wrapping_mul(GOLDEN))
}

/// SplitMix64's finish (Steele, Lea, Flood 2014): every bit of the input changes half of the output.
pub(super) fn scramble(mut bits: u64) -> u64 {
    bits = bits.wrapping_add(GOLDEN);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// A draw as a number below `n`, evenly.
pub(super) fn below(n: u64, draw: u64) -> u64 {
    ((u128::from(draw) * u128::from(n)) >> 64) as u64
}

/// 2^64 over the golden ratio: what SplitMix64 steps by.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Pools with so many members in all are entered for one decision, and again for its last resort; those
/// that would be entered then count as dead. Nested pools that share members could otherwise be walked
/// exponentially often.
const LOOKS_MAX: usize = 1 << 15;
