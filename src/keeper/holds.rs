//! Members that recovered and wait until they are used again ([`Failback`]).

use std::collections::HashMap;

use foldhash::fast::FixedState;

use crate::health::{HealthMap, Hold};
use crate::keeper::SavedHold;
use crate::keeper::probes::Names;
use crate::model::{Failback, Family, Inventory, Moment, Pool, PoolId, SituationId, Use};

/// Who waits, and since when it is up.
#[derive(Debug, Default)]
pub(super) struct Holds(HashMap<Hold, Moment, FixedState>);

impl Holds {
    /// Follows what turned between two maps: who recovered waits, who is down waits no more, and nobody
    /// waits while nobody else is up. Who recovered because an operator `spoke` need not wait. Returns the
    /// pools in which somebody waited long enough.
    pub fn follow(
        &mut self,
        (before, after): (&HealthMap, &HealthMap),
        spoke: bool,
        inventory: &Inventory,
        now: Moment,
    ) -> Vec<PoolId> {
        for (id, pool) in waiting_pools(inventory) {
            for situation in inventory.situation_ids() {
                for family in Family::BOTH {
                    let hold = |member| Hold { pool: id, member, situation, family };
                    for (member, of) in (0..).zip(&pool.members) {
                        let [was_up, up] =
                            [before, after].map(|map| is_up(of.picks, inventory, map, situation, family));
                        if !up {
                            self.0.remove(&hold(member));
                        } else if !was_up && !spoke {
                            self.0.insert(hold(member), now);
                        }
                    }
                    if !self.0.is_empty() {
                        let used = |member: u16| pool.members[usize::from(member)].picks;
                        let could_answer =
                            |member: &u16| answers(used(*member), inventory, after, situation, family);
                        let candidates = pool.order_in(situation).iter().copied();
                        self.spare_the_last(candidates.filter(could_answer).map(hold));
                    }
                }
            }
        }
        self.release(|hold, since| match inventory.pools[hold.pool.index()].failback {
            Failback::Auto => true,
            Failback::Manual => false,
            Failback::After(wait) => now.since(since) >= wait,
        })
    }

    /// Lets all of these, who are up and could answer, be used if each of them waits: the one among them
    /// that is used now for want of another must not lose its clients to the next that recovers.
    fn spare_the_last(&mut self, up: impl Iterator<Item = Hold> + Clone) {
        if up.clone().all(|hold| self.0.contains_key(&hold)) {
            for hold in up {
                self.0.remove(&hold);
            }
        }
    }

    /// Lets all members of a pool be used again.
    pub fn fail_back(&mut self, pool: PoolId) {
        self.release(|hold, _| hold.pool == pool);
    }

    /// Writes them into a map.
    pub fn write(&self, map: &mut HealthMap) {
        map.holds_mut().extend(self.0.keys().copied());
    }

    /// By names, in the order of names.
    pub fn save(&self, inventory: &Inventory) -> Vec<SavedHold> {
        let saved = |(hold, since): (&Hold, &Moment)| {
            let pool = &inventory.pools[hold.pool.index()];
            SavedHold {
                pool: pool.name.to_string(),
                member: inventory.name_of(pool.members[usize::from(hold.member)].picks).to_string(),
                region: inventory.situation_name(hold.situation),
                v6: hold.family == Family::V6,
                since: *since,
            }
        };
        let mut saved: Vec<SavedHold> = self.0.iter().map(saved).collect();
        saved.sort_by(|a, b| {
            (&a.pool, &a.member, &a.region, a.v6).cmp(&(&b.pool, &b.member, &b.region, b.v6))
        });
        saved
    }

    /// From names; what the plan does not have is left out. Nobody waits since later than `now`.
    pub fn restore(saved: &[SavedHold], inventory: &Inventory, names: &Names, now: Moment) -> Self {
        let members = waiting_pools(inventory).flat_map(|(id, pool)| {
            (0..)
                .zip(&pool.members)
                .map(move |(place, member)| ((id, inventory.name_of(member.picks)), place))
        });
        let members: HashMap<(PoolId, &str), u16, FixedState> = members.collect();
        let situations: HashMap<String, SituationId, FixedState> =
            inventory.situation_ids().map(|id| (inventory.situation_name(id), id)).collect();
        let hold = |saved: &SavedHold| {
            let pool = names.pool(&saved.pool)?;
            let member = *members.get(&(pool, saved.member.as_str()))?;
            let family = if saved.v6 { Family::V6 } else { Family::V4 };
            let situation = *situations.get(&saved.region)?;
            Some((Hold { pool, member, situation, family }, saved.since.min(now)))
        };
        Self(saved.iter().filter_map(hold).collect())
    }

    /// Lets those go that `done` says; returns their pools, each once, in order.
    fn release(&mut self, done: impl Fn(&Hold, Moment) -> bool) -> Vec<PoolId> {
        let mut pools: Vec<PoolId> =
            self.0.extract_if(|hold, since| done(hold, *since)).map(|(hold, _)| hold.pool).collect();
        pools.sort_unstable();
        pools.dedup();
        pools
    }
}

/// Every pool whose recovered members wait.
fn waiting_pools(inventory: &Inventory) -> impl Iterator<Item = (PoolId, &Pool)> {
    let pools = inventory.pools.iter().enumerate().map(|(index, pool)| (PoolId::at(index), pool));
    pools.filter(|(_, pool)| pool.failback != Failback::Auto)
}

fn is_up(picks: Use, inventory: &Inventory, map: &HealthMap, situation: SituationId, family: Family) -> bool {
    match picks {
        Use::Endpoint(id) => map.endpoint(id, inventory.region_in(situation), family).usable(),
        Use::Pool(id) => map.pool(id, situation, family).up,
    }
}

/// Whether it is up and has an answer for the family.
fn answers(
    picks: Use,
    inventory: &Inventory,
    map: &HealthMap,
    situation: SituationId,
    family: Family,
) -> bool {
    let serves = match picks {
        Use::Endpoint(id) => inventory.endpoints[id.index()].serves(family),
        Use::Pool(_) => true, // one without an answer is not up
    };
    serves && is_up(picks, inventory, map, situation, family)
}
