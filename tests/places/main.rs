//! Where clients are and how they are treated, against a slow and obvious reference, in random worlds.
//!
//! ```text
//!   random world --compile--> Plan --locate, class, answer--> region, scope, answer --.
//!        `-------- reference: all rules, all lengths ------------------------------> equal?
//! ```
//!
//! A world costs milliseconds and an address microseconds, so that each world is asked from many addresses: near
//! the edges of prefixes, within IPv6, and anywhere. A case is an address in a world.

mod asking;
mod reference;
mod world;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use proptest::prelude::*;
use windrose::geo::Class;
use windrose::health::Verdict;
use windrose::model::{MapId, RegionId, SituationId};
use windrose::steering::judge_pools;

use asking::{Ask, Scopes, address, health, id, is_fenced, pools, snapshot, tries_in_order};
use reference::{EMBEDDED, Everywhere, Reference, Served, block, embedded_forms, inner, serves};
use world::{Pick, World};

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
    fn every_pool_treats_a_client_by_its_place_as_far_as_the_scope_says(
        world in world(), seed in any::<u64>(),
    ) {
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
            let region = |situation: SituationId| plan.inventory.situations[situation.index()].region(map);
            let prefixes: Vec<(IpNet, RegionId)> =
                plan.geo.prefixes(map).map(|(net, situation)| (net, region(situation))).collect();
            for client in reference.edges().iter().filter(|edge| inner(**edge) == **edge) {
                let holding = prefixes.iter().copied().filter(|(net, _)| net.contains(client));
                let holding = Vec::from_iter(holding);
                let located = plan.geo.locate(map, *client);
                prop_assert_eq!(holding, vec![(block(*client, located.scope), located.region)]);
            }
        }
    }

    /// With every longitude negated, what lay across the date line still does, on the other side.
    #[test]
    fn a_world_in_the_mirror_is_steered_alike(choices in choices(), seed in any::<u64>()) {
        let world = World::of(choices.clone()).without_hubs();
        let mirrored = World::of(choices).without_hubs().mirrored();
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
            let ask = Ask::one_of(&pools(&world), luck, source);
            // What is told is a whole subnet: it gets what its first address gets.
            let told = match luck & 128 {
                0 => IpNet::from(client),
                _ => block(client, (luck >> 8) as u8 % (1 + IpNet::from(client).max_prefix_len())),
            };
            let first = ask.of(&snapshot, told);
            let alike = block(told.addr(), first.scope);
            let within = reference.edges().iter().filter(|edge| alike.contains(*edge)).take(EDGES_ASKED);
            let ends = [alike.network(), alike.broadcast(), somewhere_in(alike, luck)];
            for other in within.copied().chain(ends) {
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
            let ask = Ask::one_of(&pools(&world), luck, client);
            let scope = ask.of(&snapshot, client.into()).scope;
            let consulted = scopes.consulted(&ask, &snapshot, client);
            let reachable = scopes.reachable(ask.pool, client);
            prop_assert!(scope <= reachable, "p{} for {}: {} > {}", ask.pool, client, scope, reachable);
            prop_assert!(scope >= consulted, "p{} for {}: {} < {}", ask.pool, client, scope, consulted);
            if scopes.is_plain(ask.pool) {
                prop_assert_eq!(scope, consulted, "p{} for {}", ask.pool, client);
            }
        }
    }

    #[test]
    fn pools_that_try_their_members_in_order_answer_with_the_first_that_is_up(
        world in world_with(tries_in_order), health in health(),
        seed in any::<u64>(), resolver in any::<u64>(),
    ) {
        let (snapshot, reference) = (snapshot(&world, &health), Reference::new(&world));
        let source = aim(&reference, resolver);
        let simple = Vec::from_iter(pools(&world).into_iter().filter(|pool| tries_in_order(&world, *pool)));
        for (client, luck) in aimed(&reference, seed, ADDRESSES_ANSWERED) {
            let ask = Ask::one_of(&simple, luck, source);
            let served = Served {
                reference: &reference,
                usable: &|endpoint, region| health.verdict(&world, endpoint, region, ask.v4) != Verdict::Down,
                serves: &|endpoint| serves(&world.endpoints[endpoint], ask.v4),
                subnet: reference.place(client),
                source: reference.place(source),
            };
            let wanted = Vec::from_iter(served.by(ask.pool).map(|endpoint| address(endpoint, ask.v4)));
            let given = ask.of(&snapshot, client.into()).addresses();
            prop_assert_eq!(given, wanted, "p{} for {}", ask.pool, client);
        }
    }

    #[test]
    fn nobody_gets_out_of_a_fence(
        world in world_with(is_fenced), health in health(), seed in any::<u64>(),
    ) {
        let fenced = Vec::from_iter(pools(&world).into_iter().filter(|pool| is_fenced(&world, *pool)));
        let (snapshot, reference) = (snapshot(&world, &health), Reference::new(&world));
        for (client, luck) in aimed(&reference, seed, ADDRESSES_ANSWERED) {
            let ask = Ask::one_of(&fenced, luck, client);
            let given = ask.of(&snapshot, client.into());
            let pool = &world.pools[ask.pool];
            let order = reference.treatment(pool, &reference.place(client)).order;
            let inside = order.iter().flat_map(|member| world.reachable(pool.members[*member].pick));
            let inside: Vec<IpAddr> = inside.filter_map(|pick| match pick {
                Pick::Endpoint(number) => Some(address(number, ask.v4)),
                Pick::Pool(_) => None,
            }).collect();
            let all_are_inside = given.addresses().iter().all(|address| inside.contains(address));
            prop_assert!(all_are_inside, "p{} for {}: {:?}", ask.pool, client, given);
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
            let ask = Ask::one_of(&pools(&world), luck, source);
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
            let ask = Ask::one_of(&pools(&world), luck, source);
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

/// Every bit of the input changes half of the output (SplitMix64).
fn scramble(bits: u64) -> u64 {
    let bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// Worlds for each property of places, and addresses asked from in each: 12,800 cases. The reference takes its
/// time for each address.
const WORLDS: u32 = 160;
const ADDRESSES: u64 = 80;

/// The same for each property of answers: what can go wrong there takes a world with a certain nest of pools.
const WORLDS_ANSWERED: u32 = 512;
const ADDRESSES_ANSWERED: u64 = 20;

/// Of the edges within a scope, as many are asked from.
const EDGES_ASKED: usize = 4;
