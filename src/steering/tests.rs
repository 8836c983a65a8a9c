//! Stories of pools and clients, then properties of every decision.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use super::tests_support::World;
use super::*;
use crate::health::{Agent, HealthMap, Slot, Verdict};
use crate::model::*;

const EU: RegionId = RegionId(0);
const US: RegionId = RegionId(1);

/// A world with three endpoints of both families, and how they are.
struct Scene {
    world: World,
    health: HealthMap,
}

fn scene() -> Scene {
    let mut world = World::new(&["eu", "us"]);
    for n in 1..=3 {
        world.endpoint(&format!("e{n}"), &[&format!("192.0.2.{n}"), &format!("2001:db8::{n}")]);
    }
    Scene { health: HealthMap::new(&world.inventory), world }
}

const E1: Use = Use::Endpoint(EndpointId(0));
const E2: Use = Use::Endpoint(EndpointId(1));
const E3: Use = Use::Endpoint(EndpointId(2));

impl Scene {
    /// To be called when the world is made: these endpoints are down.
    fn down(&mut self, names: &[&str]) -> &mut Self {
        self.health = HealthMap::new(&self.world.inventory);
        for name in names {
            self.world.set(&mut self.health, name, Verdict::Down);
        }
        self.judge()
    }

    fn judge(&mut self) -> &mut Self {
        judge_pools(&self.world.inventory, &mut self.health);
        self
    }

    fn hold(&mut self, pool: PoolId, member: u16) -> &mut Self {
        self.health.holds_mut().insert(Slot { pool, member, situation: SituationId(0), family: Family::V4 });
        self
    }

    fn decide(&self, pool: PoolId, request: Request) -> Decision {
        let mut steps = Vec::new();
        let told = decide(pool, &request, &self.world.inventory, &self.health, &mut steps);
        let silent = decide(pool, &request, &self.world.inventory, &self.health, &mut ());
        assert_eq!(told, silent, "who listens changes nothing");
        told
    }

    /// Who is answered to an IPv4 client in `eu`.
    fn ask(&self, pool: PoolId, draw: u64) -> Vec<&str> {
        self.names(self.decide(pool, request(draw)))
    }

    fn names(&self, decision: Decision) -> Vec<&str> {
        match decision.outcome {
            Outcome::Endpoints { chosen, .. } => {
                chosen.iter().map(|id| &*self.world.inventory.endpoints[id.index()].name).collect()
            }
            other => panic!("{other:?}"),
        }
    }

    fn steps(&self, pool: PoolId, request: Request) -> Vec<Step> {
        let mut steps = Vec::new();
        decide(pool, &request, &self.world.inventory, &self.health, &mut steps);
        steps
    }

    /// How often each endpoint comes first in so many draws.
    fn shares(&self, pool: PoolId, draws: u64) -> HashMap<&str, f64> {
        let mut shares = HashMap::new();
        for draw in 0..draws {
            *shares.entry(self.ask(pool, walk::scramble(draw))[0]).or_default() += 1.0 / draws as f64;
        }
        shares
    }
}

fn request(draw: u64) -> Request<'static> {
    Request { client: anybody_in(EU), family: Family::V4, draw, sticky: draw, sticky_source: !draw }
}

fn anybody_in(region: RegionId) -> Whereabouts<'static> {
    let class = Some(ClassId::at(region.index()));
    Whereabouts::Anybody { partition: PartitionId(0), believed: true, class, region: Some(region) }
}

fn v6(draw: u64) -> Request<'static> {
    Request { family: Family::V6, ..request(draw) }
}

fn last_resort(decision: &Decision) -> bool {
    matches!(decision.outcome, Outcome::Endpoints { last_resort: true, .. })
}

fn near(share: Option<&f64>, wanted: f64) -> bool {
    (share.copied().unwrap_or(0.0) - wanted).abs() < 0.02
}

#[test]
fn failover_takes_the_first_that_is_up() {
    let mut scene = scene();
    let pool = scene.world.pool("p", Policy::Failover, &[E1, E2, E3]);
    assert_eq!(scene.down(&[]).ask(pool, 1), ["e1"]);
    assert_eq!(scene.down(&["e1"]).ask(pool, 1), ["e2"]);
    assert_eq!(
        scene.steps(pool, request(1)),
        [
            Step::Enter(pool),
            Step::Skipped { pool, member: 0, reason: Skip::Down },
            Step::Chosen { pool, member: 1 },
        ]
    );
    scene.world.change(pool).answers = 2;
    assert_eq!(scene.down(&["e2"]).ask(pool, 1), ["e1", "e3"]);
}

#[test]
fn each_region_and_family_has_a_health_of_its_own() {
    let mut scene = scene();
    let pool = scene.world.pool("p", Policy::Failover, &[E1, E2]);
    scene.down(&[]);
    scene.health.endpoint_mut(EndpointId(0), EU, Family::V6).verdict = Verdict::Down;
    scene.judge();
    assert_eq!(scene.names(scene.decide(pool, v6(1))), ["e2"]);
    assert_eq!(scene.names(scene.decide(pool, Request { client: anybody_in(US), ..v6(1) })), ["e1"]);
    assert_eq!(scene.ask(pool, 1), ["e1"]);
}

#[test]
fn trickle_proves_the_standby_with_its_share_of_draws() {
    let mut scene = scene();
    let pool = scene.world.pool("p", Policy::Failover, &[E1, E2, E3]);
    scene.world.change(pool).trickle = u32::MAX / 10;
    let shares = scene.down(&[]).shares(pool, 10_000);
    assert!(near(shares.get("e2"), 0.1) && near(shares.get("e1"), 0.9), "{shares:?}");
    let shares = scene.down(&["e2", "e3"]).shares(pool, 100);
    assert_eq!(shares.len(), 1, "there is no standby: {shares:?}");
}

#[test]
fn weighted_draws_by_weight_among_those_up() {
    let mut scene = scene();
    let pool = scene.world.pool("p", Policy::Weighted, &[E1, E2, E3]);
    scene.world.change(pool).members[0].weight = 3;
    scene.world.change(pool).members[2].weight = 0;
    let shares = scene.down(&[]).shares(pool, 10_000);
    assert!(near(shares.get("e1"), 0.75) && near(shares.get("e2"), 0.25), "{shares:?}");
    assert!(!shares.contains_key("e3"), "weight 0 waits");
    assert_eq!(scene.down(&["e1"]).shares(pool, 100).len(), 1);
    assert_eq!(scene.down(&["e1", "e2"]).ask(pool, 1), ["e3"]);
    scene.world.change(pool).answers = 3;
    let both: HashSet<&str> = scene.down(&[]).ask(pool, 1).into_iter().collect();
    assert_eq!(both, HashSet::from(["e1", "e2"]), "without replacement, and without the weightless");
}

#[test]
fn who_starts_slowly_or_asks_for_less_has_less_of_its_weight() {
    let mut scene = scene();
    let pool = scene.world.pool("p", Policy::Weighted, &[E1, E2]);
    scene.down(&[]);
    let slot = Slot { pool, member: 0, situation: SituationId(0), family: Family::V4 };
    scene.health.ramps_mut().insert(slot, 5);
    assert!(near(scene.shares(pool, 4000).get("e1"), 1.0 / 3.0));
    scene.health.endpoint_mut(EndpointId(0), EU, Family::V4).agent = Some(Agent::Share(50));
    assert!(near(scene.shares(pool, 4000).get("e1"), 1.0 / 5.0));
    prepare(&scene.world.inventory, &mut scene.health);
    assert!(near(scene.shares(pool, 4000).get("e1"), 1.0 / 5.0), "no draw is decided beforehand");
}

#[test]
fn weighted_tells_of_everybody_it_passed_over() {
    let mut scene = scene();
    let e4 = Use::Endpoint(scene.world.endpoint("e4", &["192.0.2.4"]));
    let pool = scene.world.pool("p", Policy::Weighted, &[E1, E2, E3, e4]);
    scene.world.change(pool).members[2].weight = 0;
    scene.world.change(pool).failback = Failback::Manual;
    scene.down(&["e1"]).hold(pool, 3);
    let skipped = |member, reason| Step::Skipped { pool, member, reason };
    assert_eq!(
        scene.steps(pool, request(1)),
        [
            Step::Enter(pool),
            skipped(0, Skip::Down),
            Step::Chosen { pool, member: 1 },
            skipped(2, Skip::Weightless),
            skipped(3, Skip::Held),
        ]
    );
    scene.down(&[]);
    let steps = scene.steps(pool, request(1));
    assert!(steps.iter().any(|step| matches!(step, Step::Skipped { reason: Skip::Draw, .. })), "{steps:?}");
}

#[test]
fn a_sticky_client_keeps_its_member_and_only_those_of_a_lost_one_move() {
    let mut scene = scene();
    let pool = scene.world.pool("p", Policy::Weighted, &[E1, E2, E3]);
    scene.world.change(pool).sticky = true;
    scene.world.change(pool).members[0].weight = 2;
    scene.down(&[]);
    let shares = scene.shares(pool, 10_000);
    assert!(near(shares.get("e1"), 0.5) && near(shares.get("e2"), 0.25), "{shares:?}");
    assert!(scene.decide(pool, request(1)).sticky);
    let member = |scene: &Scene, client| {
        let names = |draw| scene.ask_owned(pool, Request { draw, ..request(client) });
        assert_eq!(names(1), names(2), "the draw of the query does not matter");
        names(1)
    };
    let before: Vec<String> = (0..500).map(|client| member(&scene, client)).collect();
    scene.down(&["e2"]);
    let mut heirs = HashSet::new();
    for (client, had) in (0..).zip(&before) {
        let has = member(&scene, client);
        if had == "e2" {
            heirs.insert(has);
        } else {
            assert_eq!(*had, has);
        }
    }
    assert_eq!(heirs.len(), 2, "its clients are shared out");
}

impl Scene {
    fn ask_owned(&self, pool: PoolId, request: Request) -> String {
        self.names(self.decide(pool, request))[0].to_string()
    }
}

#[test]
fn all_gives_everybody_up_in_turn() {
    let mut scene = scene();
    let pool = scene.world.pool("p", Policy::All, &[E1, E2, E3]);
    scene.down(&[]);
    let orders: HashSet<Vec<&str>> = (0..100).map(|draw| scene.ask(pool, walk::scramble(draw))).collect();
    assert_eq!(
        orders,
        HashSet::from([vec!["e1", "e2", "e3"], vec!["e2", "e3", "e1"], vec!["e3", "e1", "e2"]])
    );
    assert!(near(scene.shares(pool, 9_000).get("e2"), 1.0 / 3.0));
    let mut two = scene.down(&["e2"]).ask(pool, 5);
    two.sort_unstable();
    assert_eq!(two, ["e1", "e3"]);
    scene.world.change(pool).answers = 2;
    assert_eq!(scene.down(&[]).ask(pool, 5).len(), 2);
}

#[test]
fn geo_goes_by_the_clients_region_and_a_fence_holds_in_any_state() {
    let mut scene = scene();
    let members: &[(EndpointId, &[RegionId])] =
        &[(EndpointId(0), &[EU]), (EndpointId(1), &[US]), (EndpointId(2), &[])];
    let open = scene.world.geo("open", members, false);
    let fenced = scene.world.geo("fenced", members, true);
    scene.world.change(fenced).fallback = Some(E3);
    assert_eq!(scene.down(&[]).ask(open, 1), ["e1"]);
    let american = Request { client: anybody_in(US), ..request(1) };
    assert_eq!(scene.names(scene.decide(open, american)), ["e2"]);
    assert!(scene.decide(open, american).scope > 0);
    assert_eq!(scene.down(&["e1"]).ask(open, 1), ["e3"]);
    assert_eq!(scene.ask(fenced, 1), ["e1"]);
    assert!(last_resort(&scene.decide(fenced, request(1))));
}

#[test]
fn geo_without_a_rule_for_a_region_gives_anybody_rather_than_nothing() {
    let mut scene = scene();
    let open = scene.world.geo("open", &[(EndpointId(1), &[US])], false);
    let fenced = scene.world.geo("fenced", &[(EndpointId(1), &[US])], true);
    assert_eq!(scene.down(&[]).ask(open, 1), ["e2"]);
    assert!(last_resort(&scene.decide(open, request(1))));
    assert_eq!(scene.decide(fenced, request(1)).outcome, Outcome::NoData);
}

#[test]
fn a_dead_branch_is_passed_over_and_pools_nest() {
    let mut scene = scene();
    let inner = scene.world.pool("inner", Policy::Failover, &[E1, E2]);
    let outer = scene.world.pool("outer", Policy::Failover, &[Use::Pool(inner), E3]);
    let top = scene.world.pool("top", Policy::Failover, &[Use::Pool(outer)]);
    assert_eq!(scene.down(&["e1"]).ask(top, 1), ["e2"]);
    assert_eq!(scene.down(&["e1", "e2"]).ask(top, 1), ["e3"]);
    assert_eq!(scene.down(&["e1", "e2", "e3"]).ask(top, 1), ["e1"]);
    assert!(last_resort(&scene.decide(top, request(1))));
}

#[test]
fn nested_pools_draw_independently() {
    let mut scene = scene();
    let e4 = Use::Endpoint(scene.world.endpoint("e4", &["192.0.2.4"]));
    let one = scene.world.pool("one", Policy::Weighted, &[E1, E2]);
    let two = scene.world.pool("two", Policy::Weighted, &[E3, e4]);
    let top = scene.world.pool("top", Policy::Weighted, &[Use::Pool(one), Use::Pool(two)]);
    let shares = scene.down(&[]).shares(top, 10_000);
    assert!(["e1", "e2", "e3", "e4"].iter().all(|name| near(shares.get(name), 0.25)), "{shares:?}");
}

#[test]
fn a_pool_that_is_down_hands_over_to_its_chain_of_fallbacks() {
    let mut scene = scene();
    let second = scene.world.pool("second", Policy::Failover, &[E2]);
    let first = scene.world.pool("first", Policy::Failover, &[E1]);
    scene.world.change(second).fallback = Some(E3);
    scene.world.change(first).fallback = Some(Use::Pool(second));
    assert_eq!(scene.down(&["e1"]).ask(first, 1), ["e2"]);
    assert_eq!(scene.down(&["e1", "e2"]).ask(first, 1), ["e3"]);
    assert_eq!(scene.down(&["e1", "e2", "e3"]).ask(first, 1), ["e1"]);
    assert_eq!(
        scene.steps(first, request(1)),
        [
            Step::Enter(first),
            Step::Skipped { pool: first, member: 0, reason: Skip::Down },
            Step::PoolDown(first),
            Step::Fallback { pool: first, to: Use::Pool(second) },
            Step::Enter(second),
            Step::Skipped { pool: second, member: 0, reason: Skip::Down },
            Step::PoolDown(second),
            Step::Fallback { pool: second, to: E3 },
            Step::LastResort(first),
            Step::Enter(first),
            Step::Chosen { pool: first, member: 0 },
        ]
    );
}

#[test]
fn too_few_up_is_down_although_somebody_is_up() {
    let mut scene = scene();
    let pool = scene.world.pool("p", Policy::Failover, &[E1, E2]);
    scene.world.change(pool).min_up = MinUp::Percent(51);
    scene.world.change(pool).fallback = Some(E3);
    assert_eq!(scene.down(&["e1"]).ask(pool, 1), ["e3"]);
}

#[test]
fn when_nothing_is_up_the_names_pool_says_what_to_do() {
    let mut scene = scene();
    let inner = scene.world.pool("inner", Policy::Failover, &[E1]);
    scene.world.change(inner).on_down = OnDown::ServFail;
    let pool = scene.world.pool("p", Policy::Failover, &[Use::Pool(inner)]);
    for (on_down, outcome) in [
        (OnDown::NoData, Outcome::NoData),
        (OnDown::Static, Outcome::Static),
        (OnDown::ServFail, Outcome::ServFail),
    ] {
        scene.world.change(pool).on_down = on_down;
        assert_eq!(scene.down(&["e1"]).decide(pool, request(1)).outcome, outcome);
    }
    scene.world.change(pool).on_down = OnDown::ServeAll;
    assert_eq!(scene.down(&["e1"]).ask(pool, 1), ["e1"], "the nested pool is not asked");
}

#[test]
fn a_name_without_any_address_of_a_family_has_no_data() {
    let mut scene = scene();
    let old = Use::Endpoint(scene.world.endpoint("old", &["192.0.2.9"]));
    let pool = scene.world.pool("p", Policy::Failover, &[old]);
    scene.world.change(pool).on_down = OnDown::ServFail;
    assert_eq!(scene.down(&[]).decide(pool, v6(1)).outcome, Outcome::NoData);
    scene.world.change(pool).fallback = Some(E2);
    scene.down(&[]);
    assert_eq!(scene.names(scene.decide(pool, v6(1))), ["e2"]);
    assert_eq!(scene.down(&["e2"]).decide(pool, v6(1)).outcome, Outcome::NoData);
}

#[test]
fn a_host_name_speaks_for_both_families_or_for_none() {
    let mut scene = scene();
    let old = Use::Endpoint(scene.world.endpoint("old", &["192.0.2.9"]));
    let cdn = Use::Endpoint(scene.world.host("cdn.example.net"));
    let pool = scene.world.pool("p", Policy::Failover, &[old, E1]);
    scene.world.change(pool).fallback = Some(cdn);
    scene.down(&["e1"]);
    assert_eq!(scene.ask(pool, 1), ["old"]);
    // a CNAME for AAAA would take the clients of `old` away
    let decision = scene.decide(pool, v6(1));
    assert!(last_resort(&decision));
    assert_eq!(scene.names(decision), ["e1"]);
    assert!(scene.steps(pool, v6(1)).contains(&Step::WithoutNames(pool)));

    scene.down(&["e1", "old"]);
    assert_eq!(scene.ask(pool, 1), ["cdn.example.net"]);
    assert_eq!(scene.names(scene.decide(pool, v6(1))), ["cdn.example.net"]);

    let v4_only = scene.world.pool("v4", Policy::Failover, &[old, cdn]);
    assert_eq!(scene.down(&[]).decide(v4_only, v6(1)).outcome, Outcome::NoData);
}

#[test]
fn a_host_name_is_answered_alone_and_an_address_once() {
    let mut scene = scene();
    let cdn = Use::Endpoint(scene.world.host("cdn.example.net"));
    let twin = Use::Endpoint(scene.world.endpoint("twin", &["192.0.2.1", "2001:db8::1"]));
    let inner = scene.world.pool("inner", Policy::Failover, &[E1]);
    let after = scene.world.pool("after", Policy::Failover, &[E1, cdn, twin, Use::Pool(inner), E2]);
    let first = scene.world.pool("first", Policy::Failover, &[cdn, E1]);
    scene.world.change(after).answers = 4;
    scene.world.change(first).answers = 2;
    assert_eq!(scene.down(&[]).ask(after, 1), ["e1", "e2"]);
    assert_eq!(scene.ask(first, 1), ["cdn.example.net"]);
}

#[test]
fn a_recovered_member_waits_unless_nobody_else_is_up() {
    for policy in [Policy::Failover, Policy::Weighted, Policy::All] {
        let mut scene = scene();
        let pool = scene.world.pool("p", policy, &[E1, E2]);
        scene.world.change(pool).failback = Failback::Manual;
        assert_eq!(scene.down(&[]).hold(pool, 0).ask(pool, 1), ["e2"]);
        assert_eq!(scene.down(&["e2"]).hold(pool, 0).ask(pool, 1), ["e1"]);
    }
}

#[test]
fn what_moves_and_what_is_stale_is_told_of_all_that_was_consulted() {
    let mut scene = scene();
    let pool = scene.world.pool("p", Policy::Failover, &[E1, E2]);
    scene.world.change(pool).fallback = Some(E3);
    scene.down(&[]);
    scene.health.endpoint_mut(EndpointId(1), EU, Family::V4).moving = true;
    scene.health.endpoint_mut(EndpointId(2), EU, Family::V4).stale = true;
    scene.judge();
    let decision = scene.decide(pool, request(1));
    assert_eq!((decision.settled, decision.stale), (false, false));
    scene.world.set(&mut scene.health, "e1", Verdict::Down);
    scene.world.set(&mut scene.health, "e2", Verdict::Down);
    let decision = scene.judge().decide(pool, request(1));
    assert_eq!((decision.settled, decision.stale, decision.scope > 0), (false, true, true));
}

#[test]
fn pools_that_share_members_many_times_over_are_not_walked_forever() {
    let mut scene = scene();
    let mut below = scene.world.pool("p0", Policy::All, &[E1, E2]);
    for level in 1..40 {
        let twice = [Use::Pool(below), Use::Pool(below)];
        below = scene.world.pool(&format!("p{level}"), Policy::All, &twice);
    }
    assert_eq!(scene.down(&[]).ask(below, 1).len(), 2);
    assert_eq!(scene.down(&["e1", "e2"]).ask(below, 1).len(), 2);
}

#[test]
fn pools_nested_without_end_are_not_followed_to_the_end() {
    let mut scene = scene();
    let mut top = scene.world.pool("p1", Policy::Failover, &[E1]);
    let mut deepest = top;
    for level in 2..=20_000 {
        top = scene.world.pool(&format!("p{level}"), Policy::Failover, &[Use::Pool(top)]);
        deepest = if level == Pool::NESTING_MAX { top } else { deepest };
    }
    scene.down(&[]);
    assert_eq!(scene.ask(deepest, 1), ["e1"]);
    let one_deeper = PoolId(deepest.0 + 1);
    assert_eq!(scene.decide(one_deeper, request(1)).outcome, Outcome::NoData);
    assert_eq!(scene.decide(top, request(1)).outcome, Outcome::NoData);
}

#[test]
fn a_decision_that_no_draw_can_change_is_made_beforehand_until_the_map_changes() {
    let mut scene = scene();
    let failover = scene.world.pool("failover", Policy::Failover, &[E1, E2]);
    let outer = scene.world.pool("outer", Policy::Nearest, &[Use::Pool(failover), E3]);
    let weighted = scene.world.pool("weighted", Policy::Weighted, &[E1, E2]);
    let trickle = scene.world.pool("trickle", Policy::Failover, &[E1, E2]);
    scene.world.change(trickle).trickle = 1;
    scene.down(&["e1"]);
    prepare(&scene.world.inventory, &mut scene.health);
    let ready =
        |scene: &Scene, pool| scene.health.ready(pool, ClassId(0), Family::V4).map(|ready| ready.endpoint.0);
    let pools = [failover, outer, weighted, trickle];
    assert_eq!(pools.map(|pool| ready(&scene, pool)), [Some(1), Some(1), None, None]);
    scene.world.set(&mut scene.health, "e1", Verdict::Up);
    assert_eq!(pools.map(|pool| ready(&scene, pool)), [None; 4]);
    scene.judge();
    prepare(&scene.world.inventory, &mut scene.health);
    assert_eq!(ready(&scene, outer), Some(0));
}

#[test]
fn what_goes_by_two_addresses_is_not_decided_beforehand() {
    let mut scene = scene();
    let inner = scene.world.pool("inner", Policy::Failover, &[E1, E2]);
    let outer = scene.world.pool("outer", Policy::Failover, &[Use::Pool(inner)]);
    scene.down(&[]);
    prepare(&scene.world.inventory, &mut scene.health);
    assert!(scene.health.ready(outer, ClassId(0), Family::V4).is_some());
    scene.world.change(inner).client_subnet = false;
    prepare(&scene.world.inventory, &mut scene.health);
    assert_eq!(scene.health.ready(outer, ClassId(0), Family::V4), None, "the source may be of another class");
    assert!(scene.health.ready(inner, ClassId(0), Family::V4).is_some());
}

/// What a random pool is like; members count backwards from it, into the pools and endpoints before it.
#[derive(Clone, Debug)]
struct Sketch {
    policy: Policy,
    members: Vec<(bool, usize, u32)>,
    answers: u8,
    min_up: MinUp,
    fallback: Option<usize>,
    failback: Failback,
    trickle: u32,
    fence: bool,
    sticky: bool,
}

fn sketch() -> impl Strategy<Value = Sketch> {
    use Policy::*;
    let policy = proptest::sample::select(vec![Failover, Weighted, Nearest, Latency, Geo, All]);
    let members = proptest::collection::vec((any::<bool>(), 0..8usize, 0..3u32), 1..5);
    let min_up = prop_oneof![(0..3u32).prop_map(MinUp::Count), (1..=100u8).prop_map(MinUp::Percent)];
    let failback = proptest::sample::select(vec![Failback::Auto, Failback::Manual]);
    let parts = (policy, members, 1..=4u8, min_up, proptest::option::of(0..8usize), failback);
    (parts, any::<u32>(), any::<bool>(), any::<bool>()).prop_map(|(parts, trickle, fence, sticky)| {
        let (policy, members, answers, min_up, fallback, failback) = parts;
        let fence = fence && policy == Geo;
        Sketch { policy, members, answers, min_up, fallback, failback, trickle, fence, sticky }
    })
}

/// Two addresses of each kind (IPv4, IPv6, both), a host name, and pools as sketched.
fn build(sketches: &[Sketch]) -> World {
    let mut world = World::new(&["eu", "us"]);
    for n in 1..=2 {
        let (v4, v6) = (format!("192.0.2.{n}"), format!("2001:db8::{n}"));
        world.endpoint(&format!("old{n}"), &[&v4]);
        world.endpoint(&format!("new{n}"), &[&v6]);
        world.endpoint(&format!("both{n}"), &[&format!("198.51.100.{n}"), &format!("2001:db8:1::{n}")]);
    }
    world.host("cdn.example.net");
    for (index, sketch) in sketches.iter().enumerate() {
        let pick = |(pool, back, _): &(bool, usize, u32)| match pool {
            true if index > 0 => Use::Pool(PoolId::at(index - 1 - back % index)),
            _ => Use::Endpoint(EndpointId::at(back % world.inventory.endpoints.len())),
        };
        let members: Vec<Use> = sketch.members.iter().map(pick).collect();
        let fallback = sketch.fallback.map(|back| pick(&(true, back, 0)));
        let id = world.pool(&format!("p{index}"), sketch.policy, &members);
        let pool = world.change(id);
        for (member, (_, _, weight)) in pool.members.iter_mut().zip(&sketch.members) {
            member.weight = *weight;
        }
        if sketch.policy == Policy::Geo {
            // the first half is for `eu`, the rest for `us`, which may be nobody
            let half = pool.orders[0].len().div_ceil(2);
            let order = pool.orders[0].to_vec();
            pool.orders = vec![order[..half].into(), order[half..].into()];
        }
        (pool.answers, pool.min_up, pool.fallback) = (sketch.answers, sketch.min_up, fallback);
        (pool.failback, pool.trickle) = (sketch.failback, sketch.trickle);
        (pool.fence, pool.sticky) = (sketch.fence, sketch.sticky);
    }
    world
}

fn any_request() -> impl Strategy<Value = (RegionId, Request<'static>)> {
    (0..2u16, any::<bool>(), any::<u64>(), any::<u64>()).prop_map(|(region, v6, draw, sticky)| {
        let family = if v6 { Family::V6 } else { Family::V4 };
        let client = anybody_in(RegionId(region));
        (RegionId(region), Request { client, family, draw, sticky, sticky_source: sticky })
    })
}

/// Whether an endpoint can be reached from a pool inside all fences.
fn within(world: &World, pool: PoolId, region: RegionId, wanted: EndpointId) -> bool {
    judge::last_resort(&world.inventory.pools[pool.index()], SituationId::at(region.index())).any(|member| {
        match world.inventory.pools[pool.index()].members[usize::from(member)].picks {
            Use::Endpoint(id) => id == wanted,
            Use::Pool(nested) => within(world, nested, region, wanted),
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn every_decision_keeps_its_promises(
        sketches in proptest::collection::vec(sketch(), 1..6),
        verdicts in proptest::collection::vec((0..6usize, 0..2u16, any::<bool>()), 0..16),
        held in proptest::collection::vec((0..6usize, 0..4u16, 0..2u32, any::<bool>()), 0..8),
        (region, request) in any_request(),
    ) {
        let world = build(&sketches);
        let mut health = HealthMap::new(&world.inventory);
        let family = |v6| if v6 { Family::V6 } else { Family::V4 };
        for (endpoint, region, v6) in verdicts {
            health.endpoint_mut(EndpointId::at(endpoint), RegionId(region), family(v6)).verdict = Verdict::Down;
        }
        for (pool, member, region, v6) in held {
            let pool = PoolId::at(pool % sketches.len());
            health.holds_mut().insert(Slot { pool, member, situation: SituationId(region), family: family(v6) });
        }
        judge_pools(&world.inventory, &mut health);
        let top = PoolId::at(sketches.len() - 1);
        let mut steps = Vec::new();
        let decision = decide(top, &request, &world.inventory, &health, &mut steps);
        prop_assert_eq!(&decision, &decide(top, &request, &world.inventory, &health, &mut ()));

        let mut prepared = health.clone();
        prepare(&world.inventory, &mut prepared);
        for pool in (0..sketches.len()).map(PoolId::at) {
            let walked = decide(pool, &request, &world.inventory, &health, &mut ());
            prop_assert_eq!(walked, decide(pool, &request, &world.inventory, &prepared, &mut ()));
        }

        let standing = health.pool(top, SituationId::at(region.index()), request.family);
        match &decision.outcome {
            Outcome::Endpoints { chosen, last_resort } => {
                prop_assert!(!chosen.is_empty());
                let endpoint = |id: &EndpointId| &world.inventory.endpoints[id.index()];
                let named = matches!(endpoint(&chosen[0]).reach, Reach::Name(_));
                prop_assert!(!named || chosen.len() == 1);
                let addresses: HashSet<_> = chosen.iter().filter_map(|id| endpoint(id).address(request.family)).collect();
                prop_assert!(named || addresses.len() == chosen.len(), "each has an address of its own");
                for id in chosen {
                    prop_assert!(*last_resort || health.endpoint(*id, region, request.family).usable());
                    if world.inventory.pools[top.index()].fence {
                        prop_assert!(within(&world, top, region, *id));
                    }
                }
                if named {
                    let twin = Request { family: request.family.other(), ..request };
                    let other = decide(top, &twin, &world.inventory, &health, &mut ());
                    let named_too = matches!(&other.outcome, Outcome::Endpoints { chosen, .. }
                        if matches!(endpoint(&chosen[0]).reach, Reach::Name(_)));
                    prop_assert!(named_too || other.outcome == Outcome::NoData);
                }
            }
            Outcome::NoData => prop_assert!(!standing.addresses, "there are addresses: {steps:?}"),
            other => prop_assert!(false, "nobody asked for {other:?}"),
        }
    }
}
