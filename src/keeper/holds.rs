//! Members that recovered and wait until they are used again ([`Failback`]).

use crate::health::{HealthMap, Slot};
use crate::keeper::names::Names;
use crate::keeper::slots::{self, SavedSlot, Since, is_up, pools};
use crate::model::{Failback, Family, Inventory, Moment, Pool, PoolId, SituationId, Use};

/// Who waits, and since when it is up.
#[derive(Debug, Default)]
pub(super) struct Holds(Since);

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
        for (id, pool) in pools(inventory).filter(|(_, pool)| waits(pool)) {
            for situation in inventory.situation_ids() {
                for family in Family::BOTH {
                    let hold = |member| Slot { pool: id, member, situation, family };
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
    fn spare_the_last(&mut self, up: impl Iterator<Item = Slot> + Clone) {
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
    pub fn save(&self, inventory: &Inventory) -> Vec<SavedSlot> {
        slots::save(&self.0, inventory)
    }

    /// From names.
    pub fn restore(saved: &[SavedSlot], inventory: &Inventory, names: &Names, now: Moment) -> Self {
        Self(slots::restore(saved, waits, (inventory, names), now))
    }

    /// Lets those go that `done` says; returns their pools, each once, in order.
    fn release(&mut self, done: impl Fn(&Slot, Moment) -> bool) -> Vec<PoolId> {
        let mut pools: Vec<PoolId> =
            self.0.extract_if(|hold, since| done(hold, *since)).map(|(hold, _)| hold.pool).collect();
        pools.sort_unstable();
        pools.dedup();
        pools
    }
}

/// Whether the recovered members of a pool wait.
fn waits(pool: &Pool) -> bool {
    pool.failback != Failback::Auto
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
