//! Slow start: a member of a `weighted` pool that recovered gets its weight back little by little.
//!
//! ```text
//!   weight  10/10                         .--------
//!                                   .- - -'
//!                             .- - -'
//!            1/10       .- - -'
//!                 Down  |------ slow_start ------|
//! ```
//!
//! In steps of a tenth: few enough that each is worth a snapshot. Who waits for its failback has not begun.

use crate::health::{HealthMap, Slot, TENTHS};
use crate::keeper::names::Names;
use crate::keeper::slots::{self, SavedSlot, Since, is_up, pools};
use crate::model::{Family, Inventory, Moment, Pool};

/// Who is growing, and since when.
#[derive(Debug, Default)]
pub(super) struct Ramps(Since);

impl Ramps {
    /// Follows who came into use between two maps, and writes into the second how far each has grown.
    pub fn follow(&mut self, before: &HealthMap, after: &mut HealthMap, inventory: &Inventory, now: Moment) {
        for (id, pool) in pools(inventory).filter(|(_, pool)| starts_slowly(pool)) {
            for situation in inventory.situation_ids() {
                for family in Family::BOTH {
                    for (member, of) in (0..).zip(&pool.members) {
                        let slot = Slot { pool: id, member, situation, family };
                        let in_use = |map: &HealthMap| {
                            is_up(of.picks, inventory, map, situation, family) && !map.holds(&slot)
                        };
                        if !in_use(after) {
                            self.0.remove(&slot);
                        } else if !in_use(before) {
                            self.0.insert(slot, now);
                        }
                    }
                }
            }
        }
        self.0.retain(|slot, since| match tenths(&inventory.pools[slot.pool.index()], *since, now) {
            TENTHS => false,
            grown => {
                after.ramps_mut().insert(*slot, grown);
                true
            }
        });
    }

    /// By names, in the order of names.
    pub fn save(&self, inventory: &Inventory) -> Vec<SavedSlot> {
        slots::save(&self.0, inventory)
    }

    /// From names.
    pub fn restore(saved: &[SavedSlot], inventory: &Inventory, names: &Names, now: Moment) -> Self {
        Self(slots::restore(saved, starts_slowly, (inventory, names), now))
    }
}

fn starts_slowly(pool: &Pool) -> bool {
    pool.slow_start.is_some()
}

/// How far a member of a pool has grown: from 1 to [`TENTHS`].
fn tenths(pool: &Pool, since: Moment, now: Moment) -> u8 {
    let Some(whole) = pool.slow_start else { return TENTHS };
    let grown = now.since(since).as_millis() * u128::from(TENTHS) / whole.as_millis().max(1);
    u8::try_from(grown).unwrap_or(TENTHS).clamp(1, TENTHS)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::Policy;
    use crate::steering::tests_support::World;

    #[test]
    fn it_grows_from_a_tenth_to_its_whole_in_steps_of_a_tenth() {
        let mut world = World::new(&["eu"]);
        let id = world.pool("p", Policy::Weighted, &[]);
        world.change(id).slow_start = Some(Duration::from_secs(100));
        let pool = &world.inventory.pools[id.index()];
        let grown = |seconds: u64| tenths(pool, Moment(5_000), Moment(5_000 + seconds * 1000));
        assert_eq!([0, 9, 19, 20, 55, 99, 100, 5000].map(grown), [1, 1, 1, 2, 5, 9, 10, 10]);
        assert_eq!(tenths(pool, Moment(9_000), Moment(5_000)), 1, "the clock went back");
    }
}
