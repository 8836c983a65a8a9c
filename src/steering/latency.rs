//! Policy `latency`: the order of a pool's members by round-trip time, worked out when a health map is made.
//!
//! ```text
//!   median of the region's probes, with bias     fra 12 ms   lon 14 ms   iad 95 ms   cdn not measured
//!   the order before                             lon  fra  iad
//!   the order now                                lon  fra  iad, then by distance: cdn
//!                                                 ^ stays in front: fra is not better by more than 5 ms
//! ```
//!
//! Round-trip times waver; clients should not. So whoever is in front stays there until another is better by
//! more than a tenth and more than 5 ms. That makes the order depend on the one before: servers that heard the
//! same in the same state hold the same order; where their pasts differ they may differ about members that
//! are within those bounds of each other, and about no others.
//!
//! A member that nobody measured (a host name, a region without probes) comes after those that are, by distance.

use std::sync::Arc;

use crate::geo::biased;
use crate::health::{HealthMap, Measured};
use crate::model::{Family, Inventory, Policy, Pool, PoolId, SituationId, Use};

/// Gives every `latency` pool its order, going on from that `before`. Endpoints and pools have been judged.
pub fn order_by_latency(inventory: &Inventory, before: &HealthMap, health: &mut HealthMap) {
    let any = inventory.pools.iter().any(|pool| pool.policy == Policy::Latency);
    if !any {
        return;
    }
    for situation in inventory.situation_ids() {
        for family in Family::BOTH {
            let mut costs: Vec<Option<u32>> = Vec::with_capacity(inventory.pools.len());
            for (index, pool) in inventory.pools.iter().enumerate() {
                let clients = Clients { situation, family, inventory, health };
                costs.push(clients.cost_of_pool(pool, &costs));
                if pool.policy != Policy::Latency {
                    continue;
                }
                let known = before.measured(PoolId::at(index), situation, family);
                let order = clients.order(pool, &costs, known.map_or(&[], |known| known.order()));
                let measured = Arc::new(Measured::new(order, pool.members.len()));
                health.set_measured(PoolId::at(index), situation, family, measured);
            }
        }
    }
}

/// Those whom the round-trip times are for.
struct Clients<'c> {
    situation: SituationId,
    family: Family,
    inventory: &'c Inventory,
    health: &'c HealthMap,
}

impl Clients<'_> {
    /// As quick as the quickest that it can pick: of those that are up, if any is.
    fn cost_of_pool(&self, pool: &Pool, pools: &[Option<u32>]) -> Option<u32> {
        let members =
            || pool.order_in(self.situation).iter().map(|member| pool.members[usize::from(*member)].picks);
        let quickest = |up: bool| {
            members()
                .filter(|picks| !up || self.is_up(*picks))
                .filter_map(|picks| self.cost(picks, pools))
                .min()
        };
        quickest(true).or_else(|| quickest(false))
    }

    /// Microseconds; `None`: nobody measured.
    fn cost(&self, picks: Use, pools: &[Option<u32>]) -> Option<u32> {
        match picks {
            Use::Endpoint(id) => {
                let region = self.inventory.region_in(self.situation);
                self.health.endpoint(id, region, self.family).rtt_us
            }
            // Not there only in a loop of pools, which is an error.
            Use::Pool(id) => pools.get(id.index()).copied().flatten(),
        }
    }

    fn is_up(&self, picks: Use) -> bool {
        match picks {
            Use::Endpoint(id) => {
                self.health.endpoint(id, self.inventory.region_in(self.situation), self.family).usable()
            }
            Use::Pool(id) => self.health.pool(id, self.situation, self.family).up,
        }
    }

    /// The members that were measured, in the order in which they are to be tried.
    fn order(&self, pool: &Pool, pools: &[Option<u32>], before: &[(u16, u32)]) -> Box<[(u16, u32)]> {
        let mut costs: Vec<Option<u32>> = vec![None; pool.members.len()];
        let mut quickest: Vec<(u32, u16)> = Vec::with_capacity(pool.members.len());
        for &index in pool.order_in(self.situation) {
            let member = &pool.members[usize::from(index)];
            if let Some(cost) = self.cost(member.picks, pools) {
                let cost = biased(cost.into(), member.bias).round() as u32;
                costs[usize::from(index)] = Some(cost);
                quickest.push((cost, index));
            }
        }
        quickest.sort_by_key(|(cost, _)| *cost);
        settle(&costs, &quickest, before)
    }
}

/// Goes on from the order `before`: at each place stays who was in front of all that are left, unless the
/// quickest of them is better by the margin. `quickest` are those with a cost, in the order of that; new ones
/// come last in what was before.
fn settle(costs: &[Option<u32>], quickest: &[(u32, u16)], before: &[(u16, u32)]) -> Box<[(u16, u32)]> {
    let cost = |member: u16| Some((member, costs.get(usize::from(member)).copied().flatten()?));
    let old = before.iter().filter_map(|(member, _)| cost(*member));
    let mut in_front = old.chain(quickest.iter().map(|(cost, member)| (*member, *cost))).peekable();
    let mut left = quickest.iter().map(|(cost, member)| (*member, *cost)).peekable();
    let mut placed = vec![false; costs.len()];
    let mut order = Vec::with_capacity(quickest.len());
    loop {
        while in_front.next_if(|(member, _)| placed[usize::from(*member)]).is_some() {}
        while left.next_if(|(member, _)| placed[usize::from(*member)]).is_some() {}
        let (Some(&front), Some(&best)) = (in_front.peek(), left.peek()) else { return order.into() };
        let next = if is_better(best.1, front.1) { best } else { front };
        placed[usize::from(next.0)] = true;
        order.push(next);
    }
}

/// Whether a round-trip time is so much better than another that it is worth a change: microseconds.
fn is_better(one: u32, than: u32) -> bool {
    than.saturating_sub(one) > (than / MARGIN_PART).max(MARGIN_US)
}

/// Better is who is quicker by more than this part of the other's round-trip time,
const MARGIN_PART: u32 = 10;

/// and by more microseconds than this.
const MARGIN_US: u32 = 5_000;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::health::Verdict;
    use crate::model::{ClassId, PartitionId, RegionId};
    use crate::steering::tests_support::World;
    use crate::steering::{Outcome, Request, Whereabouts, decide, judge_pools, prepare};

    /// The order of members with these costs in milliseconds; 0: not measured.
    fn settled(costs: &[u32], before: &[u16]) -> Vec<u16> {
        let costs: Vec<Option<u32>> = costs.iter().map(|ms| (*ms > 0).then_some(ms * 1000)).collect();
        let mut quickest: Vec<(u32, u16)> =
            (0..).zip(&costs).filter_map(|(member, cost)| Some(((*cost)?, member))).collect();
        quickest.sort_by_key(|(cost, _)| *cost);
        let before: Vec<(u16, u32)> = before.iter().map(|member| (*member, 0)).collect();
        settle(&costs, &quickest, &before).iter().map(|(member, _)| *member).collect()
    }

    #[test]
    fn what_was_never_ordered_is_in_the_order_of_round_trip_times() {
        assert_eq!(settled(&[95, 12, 0, 14], &[]), [1, 3, 0]);
    }

    #[test]
    fn who_is_in_front_stays_until_another_is_better_by_a_tenth_and_5_ms() {
        assert_eq!(settled(&[12, 8], &[0, 1]), [0, 1], "4 ms better");
        assert_eq!(settled(&[12, 6], &[0, 1]), [1, 0], "6 ms better");
        assert_eq!(settled(&[200, 181], &[0, 1]), [0, 1], "19 ms better, less than a tenth");
        assert_eq!(settled(&[200, 179], &[0, 1]), [1, 0]);
    }

    #[test]
    fn many_small_steps_are_one_large_one() {
        assert_eq!(settled(&[20, 16, 12], &[0, 1, 2]), [2, 0, 1], "each within 5 ms of the next");
    }

    #[test]
    fn who_is_measured_no_more_leaves_the_order_and_who_is_new_enters_it() {
        assert_eq!(settled(&[0, 14, 12], &[0, 1]), [1, 2]);
        assert_eq!(settled(&[0, 30, 12], &[0, 1]), [2, 1]);
        assert_eq!(settled(&[7, 8], &[5, 1]), [1, 0], "a member that is gone");
    }

    #[test]
    fn a_client_gets_those_that_were_measured_first_and_then_by_distance() {
        let mut world = World::new(&["eu", "us"]);
        let ends = [1, 2, 3].map(|n| world.endpoint(&format!("e{n}"), &[&format!("192.0.2.{n}")]));
        let pool = world.pool("p", Policy::Latency, &ends.map(Use::Endpoint));
        let mut health = HealthMap::new(&world.inventory);
        health.endpoint_mut(ends[2], RegionId(0), Family::V4).rtt_us = Some(12_000);
        health.endpoint_mut(ends[1], RegionId(0), Family::V4).rtt_us = Some(95_000);
        judge_pools(&world.inventory, &mut health);
        order_by_latency(&world.inventory, &HealthMap::new(&world.inventory), &mut health);
        let order = |health: &HealthMap, region: usize| {
            let class = Some(ClassId::at(region));
            let (partition, region) = (PartitionId(0), Some(RegionId::at(region)));
            let client = Whereabouts::Anybody { partition, believed: true, class, region };
            let request = Request { client, family: Family::V4, draw: 0, sticky: 0, sticky_source: 0 };
            match decide(pool, &request, &world.inventory, health, &mut ()).outcome {
                Outcome::Endpoints { chosen, .. } => chosen.to_vec(),
                other => panic!("{other:?}"),
            }
        };
        prepare(&world.inventory, &mut health);
        assert_eq!((order(&health, 0), order(&health, 1)), (vec![ends[2]], vec![ends[0]]), "prepared");
        for (down, next) in [(ends[2], ends[1]), (ends[1], ends[0])] {
            health.endpoint_mut(down, RegionId(0), Family::V4).verdict = Verdict::Down;
            assert_eq!(order(&health, 0), [next]);
        }
    }

    proptest! {
        #[test]
        fn everybody_measured_is_there_once_and_nobody_is_in_front_who_is_much_worse(
            costs in prop::collection::vec(0..60u32, 1..9),
            before in prop::collection::vec(0..9u16, 0..9),
        ) {
            let mut before = before;
            before.sort_unstable();
            before.dedup();
            before.reverse();
            let order = settled(&costs, &before);
            let mut members = order.clone();
            members.sort_unstable();
            let measured = (0..).zip(&costs).filter(|(_, cost)| **cost > 0).map(|(member, _)| member);
            prop_assert_eq!(members, measured.collect::<Vec<u16>>());
            let cost = |member: u16| costs[usize::from(member)] * 1000;
            for (place, one) in order.iter().enumerate() {
                prop_assert!(order[place..].iter().all(|after| !is_better(cost(*after), cost(*one))));
            }
            prop_assert_eq!(settled(&costs, &order), order, "it is settled");
        }
    }
}
