//! Which pools are up, worked out once for every situation and family when a health map is made.
//!
//! Only members that have an answer for the family are counted, as members up and as the whole that a
//! percentage is of: a pool of nine IPv4 endpoints and one with both families is up for IPv6 as long as
//! that one is. And only members that the region may be given: a `geo` pool stands for each region alone.

use crate::health::{HealthMap, PoolStanding};
use crate::model::{Family, Inventory, MinUp, Policy, Pool, PoolId, Reach, SituationId, Use};

/// Fills in every [`crate::health::PoolStanding`] of the map from its endpoints. One pass: pools come
/// after the pools they pick.
pub fn judge_pools(inventory: &Inventory, health: &mut HealthMap) {
    for (index, pool) in inventory.pools.iter().enumerate() {
        for situation in inventory.situation_ids() {
            for family in Family::BOTH {
                let standing = stand(pool, situation, family, inventory, health);
                *health.pool_mut(PoolId::at(index), situation, family) = standing;
            }
        }
    }
}

/// The members that may be given to clients in the last resort: those in their order, or all of them where
/// no rule holds them and no fence forbids the rest. By index.
pub(super) fn last_resort(pool: &Pool, situation: SituationId) -> impl Iterator<Item = u16> + Clone {
    let order = pool.order_in(situation);
    let everybody = order.is_empty() && !pool.fence;
    in_order(order, if everybody { pool.members.len() } else { order.len() })
}

/// The first `len` members of an order, and of all members where there is none.
#[inline]
pub(super) fn in_order(order: &[u16], len: usize) -> impl Iterator<Item = u16> + Clone {
    (0..len as u16).map(move |position| order.get(usize::from(position)).copied().unwrap_or(position))
}

fn stand(
    pool: &Pool,
    situation: SituationId,
    family: Family,
    inventory: &Inventory,
    health: &HealthMap,
) -> PoolStanding {
    let standing = |member: u16| of_member(pool, member, situation, family, inventory, health);
    let mut whole = PoolStanding::default();
    for part in last_resort(pool, situation).map(standing) {
        whole.addresses |= part.addresses;
        whole.names |= part.names;
    }
    let mut count = Count::default();
    for &member in pool.order_in(situation) {
        let part = standing(member);
        if part.addresses || part.names {
            count.add(part.up, pool.members[usize::from(member)].weight);
            whole.moving |= part.moving;
            whole.stale |= part.stale;
        }
    }
    whole.up = count.reaches(pool.min_up, pool.policy);
    whole
}

/// How one member stands, as if it were a pool of its own.
fn of_member(
    pool: &Pool,
    member: u16,
    situation: SituationId,
    family: Family,
    inventory: &Inventory,
    health: &HealthMap,
) -> PoolStanding {
    match pool.members[usize::from(member)].picks {
        Use::Pool(nested) => health.pool(nested, situation, family),
        Use::Endpoint(id) => {
            let endpoint = &inventory.endpoints[id.index()];
            let standing = health.endpoint(id, inventory.region_in(situation), family);
            let named = matches!(endpoint.reach, Reach::Name(_));
            PoolStanding {
                up: standing.usable(),
                addresses: !named && endpoint.serves(family),
                names: named,
                moving: standing.moving,
                stale: standing.stale,
            }
        }
    }
}

/// Members that could answer, and those of them that may.
#[derive(Default)]
struct Count {
    members: u64,
    weight: u64,
    members_up: u64,
    weight_up: u64,
}

impl Count {
    fn add(&mut self, up: bool, weight: u32) {
        self.members += 1;
        self.weight += u64::from(weight);
        if up {
            self.members_up += 1;
            self.weight_up += u64::from(weight);
        }
    }

    /// Whether enough is up; nothing up is never enough. Shares are rounded up; where there are fewer
    /// members than are asked for, all of them are.
    fn reaches(&self, min_up: MinUp, policy: Policy) -> bool {
        let enough = match min_up {
            MinUp::Count(needed) => self.members_up >= u64::from(needed).min(self.members),
            MinUp::Percent(share) => match policy {
                Policy::Weighted => self.weight_up * 100 >= self.weight * u64::from(share),
                _ => self.members_up * 100 >= self.members * u64::from(share),
            },
        };
        enough && self.members_up > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::Verdict;
    use crate::model::RegionId;
    use crate::steering::tests_support::World;

    const EU: RegionId = RegionId(0);
    const US: RegionId = RegionId(1);

    /// Four endpoints, of which only the last has IPv6, with the weights 4, 3, 2 and 1.
    fn four(policy: Policy, min_up: MinUp) -> (World, PoolId) {
        let mut world = World::new(&["eu", "us"]);
        let mut members = Vec::new();
        for n in 1..=4 {
            let v4 = format!("192.0.2.{n}");
            let addresses: &[&str] = if n == 4 { &[&v4, "2001:db8::4"] } else { &[&v4] };
            members.push(Use::Endpoint(world.endpoint(&format!("e{n}"), addresses)));
        }
        let pool = world.pool("p", policy, &members);
        for (member, weight) in (0..).zip([4, 3, 2, 1]) {
            world.inventory.pools[pool.index()].members[member].weight = weight;
        }
        world.inventory.pools[pool.index()].min_up = min_up;
        (world, pool)
    }

    fn up(world: &World, pool: PoolId, down: &[&str], family: Family) -> bool {
        let mut health = HealthMap::new(&world.inventory);
        for name in down {
            world.set(&mut health, name, Verdict::Down);
        }
        judge_pools(&world.inventory, &mut health);
        health.pool(pool, SituationId(0), family).up
    }

    #[test]
    fn a_count_of_members_is_needed() {
        let (world, pool) = four(Policy::Failover, MinUp::Count(2));
        assert!(up(&world, pool, &["e1", "e2"], Family::V4));
        assert!(!up(&world, pool, &["e1", "e2", "e3"], Family::V4));
    }

    #[test]
    fn a_percentage_is_of_the_members_that_serve_the_family_and_rounds_up() {
        let (world, pool) = four(Policy::Failover, MinUp::Percent(60));
        assert!(up(&world, pool, &["e1"], Family::V4));
        assert!(!up(&world, pool, &["e1", "e2"], Family::V4));
        assert!(up(&world, pool, &["e1", "e2", "e3"], Family::V6));
        assert!(!up(&world, pool, &["e4"], Family::V6));
    }

    #[test]
    fn for_weighted_a_percentage_is_of_the_weight() {
        let (world, pool) = four(Policy::Weighted, MinUp::Percent(50));
        assert!(up(&world, pool, &["e2", "e3"], Family::V4));
        assert!(!up(&world, pool, &["e1", "e3"], Family::V4));
    }

    #[test]
    fn a_pool_with_nobody_up_is_down_whatever_it_asks_for() {
        let (world, pool) = four(Policy::Failover, MinUp::Count(0));
        assert!(!up(&world, pool, &["e1", "e2", "e3", "e4"], Family::V4));
    }

    #[test]
    fn a_nested_pool_counts_as_one_member_and_passes_on_what_moves() {
        let (mut world, inner) = four(Policy::Failover, MinUp::Count(3));
        let outer = world.pool("outer", Policy::Failover, &[Use::Pool(inner)]);
        let mut health = HealthMap::new(&world.inventory);
        let e1 = world.inventory.endpoint("e1").expect("made above");
        health.endpoint_mut(e1, US, Family::V4).moving = true;
        health.endpoint_mut(e1, US, Family::V4).stale = true;
        judge_pools(&world.inventory, &mut health);
        let standing = health.pool(outer, SituationId(1), Family::V4);
        assert!(standing.up && standing.moving && standing.stale);
        assert!(standing.addresses && !standing.names);
        assert!(!health.pool(outer, SituationId(0), Family::V4).moving);
        assert!(health.pool(outer, SituationId(1), Family::V6).addresses);
    }

    #[test]
    fn no_more_members_are_needed_than_can_answer_the_family_in_the_region() {
        let (world, pool) = four(Policy::Failover, MinUp::Count(3));
        assert!(up(&world, pool, &["e1"], Family::V6));
        assert!(!up(&world, pool, &["e4"], Family::V6));

        let mut world = World::new(&["eu", "us"]);
        let fra = world.endpoint("fra", &["192.0.2.1"]);
        let iad = world.endpoint("iad", &["192.0.2.2"]);
        let pool = world.geo("p", &[(fra, &[EU]), (iad, &[US])], true);
        world.change(pool).min_up = MinUp::Count(2);
        assert!(up(&world, pool, &[], Family::V4));
        assert!(!up(&world, pool, &["fra"], Family::V4));
    }

    #[test]
    fn a_geo_pool_stands_for_each_region_alone() {
        let mut world = World::new(&["eu", "us", "as"]);
        let fra = world.endpoint("fra", &["192.0.2.1"]);
        let iad = world.endpoint("iad", &["192.0.2.2"]);
        let pool = world.geo("p", &[(fra, &[EU]), (iad, &[US])], false);
        let mut health = HealthMap::new(&world.inventory);
        world.set(&mut health, "fra", Verdict::Down);
        judge_pools(&world.inventory, &mut health);
        let up = |region| health.pool(pool, SituationId(region), Family::V4).up;
        assert_eq!([up(0), up(1), up(2)], [false, true, false]);
        assert!(health.pool(pool, SituationId(2), Family::V4).addresses, "all are its last resort");
    }
}
