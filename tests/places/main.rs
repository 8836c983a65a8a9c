//! Where clients are and how they are treated, against a slow and obvious reference, in random worlds.
//!
//! ```text
//!   random world --compile--> Plan --locate, class, answer--> region, scope, answer --.
//!        `-------- reference: all rules, all lengths ------------------------------> equal?
//! ```
//!
//! A world costs milliseconds and an address microseconds, so that each world is asked from many addresses: near the
//! edges of prefixes, within IPv6, and anywhere. A case is an address in a world.

mod reference;
mod world;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use domain::base::iana::Rtype;
use ipnet::IpNet;
use proptest::prelude::*;
use windrose::answer::explain::explain;
use windrose::answer::{Answer, Client, Data, Ede, Query, Rcode, RecordSet, answer};
use windrose::geo::Class;
use windrose::health::{HealthMap, Verdict};
use windrose::model::{EndpointId, Family, MapId, Name, Policy, PoolId, RegionId};
use windrose::plan::Plan;
use windrose::snapshot::Snapshot;
use windrose::steering::{judge_pools, prepare};

use reference::{EMBEDDED, Everywhere, Reference, Served, Treatment, block, embedded_forms, inner, serves};
use world::{Endpoint, Pick, Pool, World};

proptest! {
    #![proptest_config(cases(WORLDS))]

    #[test]
    fn every_client_is_in_the_region_that_the_rules_say_as_far_as_the_scope_says(
        world in world(), seed in any::<u64>(),
    ) {
        let (plan, reference) = (world.plan(), Reference::new(&world));
        let regions: Vec<Everywhere<usize>> =
            (0..world.maps.len()).map(|map| reference.everywhere(|place| place.regions[map])).collect();
        for (client, _) in aimed(&reference, seed, ADDRESSES) {
            let place = reference.place(client);
            for (map, regions) in regions.iter().enumerate() {
                let located = plan.geo.locate(MapId::at(map), client);
                prop_assert_eq!(located.region.index(), place.regions[map], "{} on map {}", client, map);
                prop_assert_eq!(located.scope, regions.scope(client), "{} on map {}", client, map);
            }
            prop_assert_eq!(plan.geo.coordinates(client), place.at, "{}", client);
        }
    }

    #[test]
    fn every_pool_treats_a_client_by_its_place_as_far_as_the_scope_says(world in world(), seed in any::<u64>()) {
        let (plan, reference) = (world.plan(), Reference::new(&world));
        for (number, sketch) in world.pools.iter().enumerate() {
            let pool = &plan.inventory.pools[id(&plan, number).index()];
            let everywhere = reference.everywhere(|place| reference.treatment(sketch, place));
            prop_assert_eq!(pool.treatments.len() == 1, everywhere.is_one(), "p{}", number);
            for (client, _) in aimed(&reference, seed, ADDRESSES) {
                let Class { id: class, scope } = plan.geo.class(pool.partition, client);
                let wanted = reference.treatment(sketch, &reference.place(client));
                let treatment = pool.treatments[class.index()];
                let order: Vec<usize> =
                    pool.order_of(treatment).iter().map(|member| usize::from(*member)).collect();
                prop_assert_eq!(order, wanted.order, "p{} for {}", number, client);
                prop_assert_eq!(scope, everywhere.scope(client), "p{} for {}", number, client);
            }
        }
    }

    #[test]
    fn the_prefixes_of_a_map_are_all_addresses_each_once(world in world()) {
        let (plan, reference) = (world.plan(), Reference::new(&world));
        for map in plan.inventory.map_ids() {
            let prefixes: Vec<(IpNet, RegionId)> = plan.geo.prefixes(map).map(|(net, situation)| {
                (net, plan.inventory.situations[situation.index()].region(map))
            }).collect();
            for client in reference.edges().iter().filter(|edge| inner(**edge) == **edge) {
                let holding: Vec<_> = prefixes.iter().copied().filter(|(net, _)| net.contains(client)).collect();
                let located = plan.geo.locate(map, *client);
                prop_assert_eq!(holding, vec![(block(*client, located.scope), located.region)]);
            }
        }
    }

    /// With every longitude negated, what lay across the date line still does, on the other side.
    #[test]
    fn a_world_in_the_mirror_is_steered_alike(choices in choices(), seed in any::<u64>()) {
        let (world, mirrored) = (World::of(choices.clone()).without_hubs(), World::of(choices).without_hubs().mirrored());
        let (plan, mirror, reference) = (world.plan(), mirrored.plan(), Reference::new(&world));
        for (client, _) in aimed(&reference, seed, ADDRESSES) {
            for map in plan.inventory.map_ids() {
                prop_assert_eq!(plan.geo.locate(map, client), mirror.geo.locate(map, client));
            }
            for (pool, twin) in plan.inventory.pools.iter().zip(&mirror.inventory.pools) {
                let class = plan.geo.class(pool.partition, client);
                prop_assert_eq!(class, mirror.geo.class(twin.partition, client));
                let treatments = [pool.treatments[class.id.index()], twin.treatments[class.id.index()]];
                prop_assert_eq!(pool.order_of(treatments[0]), twin.order_of(treatments[1]), "{}", pool.name);
            }
        }
    }
}

proptest! {
    #![proptest_config(cases(WORLDS_ANSWERED))]

    #[test]
    fn all_clients_of_a_scope_get_the_same_answer(
        world in world(), health in health(), seed in any::<u64>(), resolver in any::<u64>(),
    ) {
        let (snapshot, reference) = (snapshot(&world, &health), Reference::new(&world));
        let source = aim(&reference, resolver);
        for (client, luck) in aimed(&reference, seed, ADDRESSES_ANSWERED) {
            let ask = Ask { pool: luck as usize % world.pools.len(), v4: luck & 64 == 0, draw: luck.rotate_left(20), source };
            // What is told is a whole subnet: it gets what its first address gets.
            let told = match luck & 128 {
                0 => IpNet::from(client),
                _ => block(client, (luck >> 8) as u8 % (1 + IpNet::from(client).max_prefix_len())),
            };
            let first = ask.of(&snapshot, told);
            let alike = block(told.addr(), first.scope);
            let within = reference.edges().iter().filter(|edge| alike.contains(*edge)).take(EDGES_ASKED);
            for other in within.copied().chain([alike.network(), alike.broadcast(), somewhere_in(alike, luck)]) {
                let second = ask.of(&snapshot, other.into());
                prop_assert_eq!(&second, &first, "p{}: {} and {}", ask.pool, told, other);
            }
        }
    }

    #[test]
    fn the_scope_of_an_answer_is_that_of_all_pools_that_were_consulted(
        world in world(), health in health(), seed in any::<u64>(),
    ) {
        let (snapshot, reference) = (snapshot(&world, &health), Reference::new(&world));
        let scopes = Scopes::new(&reference);
        for (client, luck) in aimed(&reference, seed, ADDRESSES_ANSWERED) {
            let ask = Ask { pool: luck as usize % world.pools.len(), v4: luck & 64 == 0, draw: luck, source: client };
            let scope = ask.of(&snapshot, client.into()).scope;
            let (consulted, mentioned) = (scopes.consulted(&ask, &snapshot, client), scopes.reachable(ask.pool, client));
            prop_assert!(scope <= mentioned, "p{} for {}: {} > {}", ask.pool, client, scope, mentioned);
            prop_assert!(scope >= consulted, "p{} for {}: {} < {}", ask.pool, client, scope, consulted);
            if scopes.is_plain(ask.pool) {
                prop_assert_eq!(scope, consulted, "p{} for {}", ask.pool, client);
            }
        }
    }

    #[test]
    fn pools_that_try_their_members_in_order_answer_with_the_first_that_is_up(
        world in world_with(tries_in_order), health in health(), seed in any::<u64>(), resolver in any::<u64>(),
    ) {
        let (snapshot, reference) = (snapshot(&world, &health), Reference::new(&world));
        let source = aim(&reference, resolver);
        let simple: Vec<usize> = (0..world.pools.len()).filter(|pool| tries_in_order(&world, *pool)).collect();
        for (client, luck) in aimed(&reference, seed, ADDRESSES_ANSWERED) {
            let ask = Ask { pool: simple[luck as usize % simple.len()], v4: luck & 64 == 0, draw: luck, source };
            let served = Served {
                reference: &reference,
                usable: &|endpoint, region| health.verdict(&world, endpoint, region, ask.v4) != Verdict::Down,
                serves: &|endpoint| serves(&world.endpoints[endpoint], ask.v4),
                subnet: reference.place(client),
                source: reference.place(source),
            };
            let wanted: Vec<IpAddr> = served.by(ask.pool).map(|endpoint| address(endpoint, ask.v4)).into_iter().collect();
            prop_assert_eq!(ask.of(&snapshot, client.into()).addresses(), wanted, "p{} for {}", ask.pool, client);
        }
    }

    #[test]
    fn nobody_gets_out_of_a_fence(world in world_with(|world, pool| world.pools[pool].fence), health in health(), seed in any::<u64>()) {
        let fenced: Vec<usize> = (0..world.pools.len()).filter(|pool| world.pools[*pool].fence).collect();
        let (snapshot, reference) = (snapshot(&world, &health), Reference::new(&world));
        for (client, luck) in aimed(&reference, seed, ADDRESSES_ANSWERED) {
            let ask = Ask { pool: fenced[luck as usize % fenced.len()], v4: luck & 64 == 0, draw: luck, source: client };
            let given = ask.of(&snapshot, client.into());
            let pool = &world.pools[ask.pool];
            let order = reference.treatment(pool, &reference.place(client)).order;
            let inside: Vec<Pick> = order.iter().flat_map(|member| world.reachable(pool.members[*member].pick)).collect();
            let is_inside = |given: &IpAddr| {
                (0..world.endpoints.len()).any(|number| {
                    address(number, ask.v4) == *given && inside.contains(&Pick::Endpoint(number))
                })
            };
            prop_assert!(given.addresses().iter().all(is_inside), "p{} for {}: {:?}", ask.pool, client, given);
        }
    }

    #[test]
    fn an_ipv4_client_within_ipv6_is_treated_as_what_it_is(
        world in world(), health in health(), seed in any::<u64>(), resolver in any::<u64>(),
    ) {
        let (snapshot, reference) = (snapshot(&world, &health), Reference::new(&world));
        let source = aim(&reference, resolver);
        for (client, luck) in aimed(&reference, seed, ADDRESSES_ANSWERED) {
            let IpAddr::V4(v4) = inner(client) else { continue };
            let ask = Ask { pool: luck as usize % world.pools.len(), v4: luck & 64 == 0, draw: luck, source };
            let plain = ask.of(&snapshot, IpAddr::from(v4).into());
            for (form, before) in embedded_forms(v4, luck) {
                let embedded = ask.of(&snapshot, IpAddr::from(form).into());
                prop_assert_eq!(&embedded.without_scope(), &plain.without_scope(), "p{}: {}", ask.pool, form);
                match plain.scope {
                    // All of IPv4 is alike, so that more of IPv6 may be.
                    0 => prop_assert!(embedded.scope <= before, "p{}: {}", ask.pool, form),
                    scope => prop_assert_eq!(embedded.scope, scope + before, "p{}: {}", ask.pool, form),
                }
            }
        }
    }

    #[test]
    fn what_was_worked_out_beforehand_is_what_would_be_worked_out(
        world in world(), health in health(), seed in any::<u64>(), resolver in any::<u64>(),
    ) {
        let (prepared, reference) = (snapshot(&world, &health), Reference::new(&world));
        let mut walked = prepared.clone();
        judge_pools(&walked.plan.inventory, &mut walked.health);
        let source = aim(&reference, resolver);
        for (client, luck) in aimed(&reference, seed, ADDRESSES_ANSWERED) {
            let ask = Ask { pool: luck as usize % world.pools.len(), v4: luck & 64 == 0, draw: luck, source };
            let (before, at_once) = (ask.of(&prepared, client.into()), ask.of(&walked, client.into()));
            prop_assert_eq!(before, at_once, "p{} for {}", ask.pool, client);
        }
    }
}

/// So many worlds, of which none is kept in a file: what is found becomes a test of its own.
fn cases(worlds: u32) -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(worlds) }
}

fn choices() -> impl Strategy<Value = Vec<u64>> {
    prop::collection::vec(any::<u64>(), 0..=400)
}

fn world() -> impl Strategy<Value = World> {
    choices().prop_map(World::of)
}

/// A world with such a pool.
fn world_with(such: fn(&World, usize) -> bool) -> impl Strategy<Value = World> {
    world().prop_filter("a world with such a pool", move |world| {
        (0..world.pools.len()).any(|pool| such(world, pool))
    })
}

/// Clients to ask as, each with some luck of its own.
fn aimed<'r>(
    reference: &'r Reference<'_>,
    seed: u64,
    addresses: u64,
) -> impl Iterator<Item = (IpAddr, u64)> + 'r {
    (0..addresses).map(move |number| {
        let luck = scramble(seed ^ scramble(number));
        (aim(reference, luck), scramble(luck))
    })
}

/// A client: mostly at an edge of something, or beside it, in any form.
fn aim(reference: &Reference<'_>, aim: u64) -> IpAddr {
    let luck = scramble(aim);
    let edges = reference.edges();
    let edge = edges[luck as usize % edges.len()];
    let far = scramble(luck);
    let near = match edge {
        IpAddr::V4(edge) => {
            let offset = [0, 1, u32::MAX, far as u32 & 0xff, far as u32][(luck >> 16) as usize % 5];
            Ipv4Addr::from_bits(edge.to_bits().wrapping_add(offset)).into()
        }
        IpAddr::V6(edge) => {
            let far = u128::from(far) << 64 | u128::from(luck);
            let offset = [0, 1, u128::MAX, far >> 64, far >> 100 << 60, far][(luck >> 16) as usize % 6];
            IpAddr::from(Ipv6Addr::from_bits(edge.to_bits().wrapping_add(offset)))
        }
    };
    match near {
        IpAddr::V4(v4) if luck >> 24 & 3 == 0 => {
            embedded_forms(v4, far)[(luck >> 28) as usize % EMBEDDED.len()].0.into()
        }
        near => near,
    }
}

/// Some address of a block.
fn somewhere_in(block: IpNet, luck: u64) -> IpAddr {
    match block {
        IpNet::V4(net) => (net.network() | (net.hostmask() & Ipv4Addr::from_bits(luck as u32))).into(),
        IpNet::V6(net) => {
            let bits = u128::from(luck) << 64 | u128::from(luck.rotate_left(32));
            (net.network() | (net.hostmask() & Ipv6Addr::from_bits(bits))).into()
        }
    }
}

/// The id of a pool: compiled ones stand in another order.
fn id(plan: &Plan, pool: usize) -> PoolId {
    plan.inventory.pool(&Pick::Pool(pool).name()).expect("every pool is compiled")
}

/// What the probes found: a share of everything is down, differently in each region.
#[derive(Clone, Copy, Debug)]
struct Health {
    seed: u64,
    /// Of eight.
    down: u64,
}

fn health() -> impl Strategy<Value = Health> {
    (any::<u64>(), 0..=8u64).prop_map(|(seed, down)| Health { seed, down })
}

impl Health {
    /// The verdict on an endpoint for a region. An endpoint that nothing watches may be drained, everywhere at once.
    fn verdict(self, world: &World, endpoint: usize, region: usize, v4: bool) -> Verdict {
        let luck = self.luck(world, endpoint, region, v4);
        match luck & 7 {
            share if share < self.down => Verdict::Down,
            _ if luck & 8 == 0 => Verdict::Up,
            _ => Verdict::Unknown,
        }
    }

    fn luck(self, world: &World, endpoint: usize, region: usize, v4: bool) -> u64 {
        let by_region = if world.endpoints[endpoint].watched { 2 * region as u64 + u64::from(v4) } else { 0 };
        scramble(self.seed ^ scramble(endpoint as u64) ^ by_region)
    }
}

/// A world with this health.
fn snapshot(world: &World, health: &Health) -> Snapshot {
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
    Snapshot { generation: 1, plan, health: map }
}

/// A question for the name of a pool.
#[derive(Clone, Copy, Debug)]
struct Ask {
    pool: usize,
    v4: bool,
    draw: u64,
    /// Who sends it.
    source: IpAddr,
}

/// What was answered.
#[derive(Clone, Debug, PartialEq)]
struct Given<'s> {
    rcode: Rcode,
    records: Vec<RecordSet<'s>>,
    ede: Option<Ede>,
    scope: u8,
}

impl Ask {
    /// Asks on behalf of a subnet.
    fn of(self, snapshot: &Snapshot, told: IpNet) -> Given<'_> {
        self.with(told, |query| {
            let Answer { rcode, answer, authority, ede, scope, .. } = answer(query, snapshot, &mut ());
            Given { rcode, records: answer.into_iter().chain(authority).collect(), ede, scope }
        })
    }

    fn with<R>(self, told: IpNet, ask: impl FnOnce(&Query<'_>) -> R) -> R {
        let name: Name = format!("p{}.example.org", self.pool).parse().expect("a name");
        let qtype = if self.v4 { Rtype::A } else { Rtype::AAAA }.to_int();
        let client = Client { source: self.source, subnet: Some(told) };
        ask(&Query { name: name.as_slice(), qtype, client, draw: self.draw })
    }
}

impl Given<'_> {
    fn addresses(&self) -> Vec<IpAddr> {
        let of_set = |set: &RecordSet<'_>| -> Vec<IpAddr> {
            match &set.data {
                Data::A(addresses) => addresses.iter().map(|address| IpAddr::V4(*address)).collect(),
                Data::Aaaa(addresses) => addresses.iter().map(|address| IpAddr::V6(*address)).collect(),
                _ => Vec::new(),
            }
        };
        self.records.iter().flat_map(of_set).collect()
    }

    fn without_scope(&self) -> Self {
        Self { scope: 0, ..self.clone() }
    }
}

/// The address that a query for an endpoint is answered with.
fn address(endpoint: usize, v4: bool) -> IpAddr {
    if v4 { Endpoint::v4(endpoint).into() } else { Endpoint::v6(endpoint).into() }
}

/// Whether the first member that is up is all that comes out of a pool: the reference knows no fractions, no draws and
/// no host names.
fn tries_in_order(world: &World, pool: usize) -> bool {
    let in_order =
        |policy| matches!(policy, Policy::Failover | Policy::Nearest | Policy::Latency | Policy::Geo);
    world.gives_addresses(pool)
        && world.reachable_pools(pool).all(|pool| {
            in_order(pool.policy) && !pool.trickle && pool.min_up.is_none() && pool.answers.unwrap_or(1) == 1
        })
}

/// How far what each pool does holds.
struct Scopes<'w> {
    world: &'w World,
    pools: Vec<Everywhere<Treatment>>,
    regions: Everywhere<usize>,
}

impl<'w> Scopes<'w> {
    fn new(reference: &Reference<'w>) -> Self {
        let of_pool = |pool| reference.everywhere(|place| reference.treatment(pool, place));
        Self {
            world: reference.world,
            pools: reference.world.pools.iter().map(of_pool).collect(),
            regions: reference.everywhere(|place| place.regions[0]),
        }
    }

    /// The scope of one pool alone.
    fn of(&self, pool: usize, client: IpAddr) -> u8 {
        let sketch = &self.world.pools[pool];
        if !believes(self.world, sketch) {
            return 0;
        }
        self.pools[pool].scope(client)
    }

    /// Of all pools that an answer says it entered.
    fn consulted(&self, ask: &Ask, snapshot: &Snapshot, client: IpAddr) -> u8 {
        let explanation = ask.with(client.into(), |query| explain(query, snapshot));
        let decisions = explanation.lookups.iter().flat_map(|lookup| &lookup.decisions);
        let pools = decisions.flat_map(|decided| &decided.pools).map(|look| &look.pool);
        let number = |name: &String| name[1..].parse::<usize>().expect("pools are numbered");
        pools.map(|name| self.of(number(name), client)).max().unwrap_or(0)
    }

    /// Of all that could be consulted.
    fn reachable(&self, pool: usize, client: IpAddr) -> u8 {
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
    fn asks_for_the_region(&self, pool: &Pool) -> bool {
        let watched = |pick| matches!(pick, Pick::Endpoint(id) if self.world.endpoints[id].watched);
        believes(self.world, pool) && pool.fallback.is_some_and(watched)
    }

    /// Whether all that an answer rests on is where the pools that it says it entered treat clients alike: beside a host
    /// name, what the other family would get is consulted too; a fallback may ask for the region; and who is sticky and up
    /// hashes the client.
    fn is_plain(&self, pool: usize) -> bool {
        let plain = |pool| !self.asks_for_the_region(pool) && !is_sticky(self.world, pool);
        self.world.gives_addresses(pool) && self.world.reachable_pools(pool).all(plain)
    }
}

/// Whether a pool goes by the client subnet.
fn believes(world: &World, pool: &Pool) -> bool {
    pool.client_subnet && world.maps[pool.map].client_subnet
}

/// Whether a pool goes by a hash of the client subnet.
fn is_sticky(world: &World, pool: &Pool) -> bool {
    pool.sticky && believes(world, pool)
}

/// The prefix that a sticky pool hashes; shorter of none that shows IPv4 clients too, who are hashed as what they are.
fn sticky_scope(client: IpAddr) -> u8 {
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

/// Every bit of the input changes half of the output (SplitMix64).
fn scramble(bits: u64) -> u64 {
    let bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// Worlds for each property of places, and addresses asked from in each: 12,800 cases. The reference takes its time for
/// each address.
const WORLDS: u32 = 160;
const ADDRESSES: u64 = 80;

/// The same for each property of answers: what can go wrong there takes a world with a certain nest of pools.
const WORLDS_ANSWERED: u32 = 512;
const ADDRESSES_ANSWERED: u64 = 20;

/// Of the edges within a scope, as many are asked from.
const EDGES_ASKED: usize = 4;
