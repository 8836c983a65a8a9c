//! Slots that are remembered since a moment: what holds and slow starts keep over plans and restarts.

use std::collections::HashMap;

use foldhash::fast::FixedState;
use serde::{Deserialize, Serialize};

use crate::health::{HealthMap, Slot};
use crate::keeper::names::Names;
use crate::model::{Family, Inventory, Moment, Pool, PoolId, SituationId, Use};

/// Slots, and since when each is remembered.
pub(super) type Since = HashMap<Slot, Moment, FixedState>;

/// A slot that is remembered, by names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SavedSlot {
    /// The pool.
    pub pool: String,
    /// The member, by what it picks.
    pub member: String,
    /// The situation of its clients.
    pub region: String,
    /// True: IPv6.
    pub v6: bool,
    /// Since when.
    pub since: Moment,
}

/// By names, in the order of names.
pub(super) fn save(slots: &Since, inventory: &Inventory) -> Vec<SavedSlot> {
    let saved = |(slot, since): (&Slot, &Moment)| {
        let pool = &inventory.pools[slot.pool.index()];
        SavedSlot {
            pool: pool.name.to_string(),
            member: inventory.name_of(pool.members[usize::from(slot.member)].picks).to_string(),
            region: inventory.situation_name(slot.situation),
            v6: slot.family == Family::V6,
            since: *since,
        }
    };
    let mut saved: Vec<SavedSlot> = slots.iter().map(saved).collect();
    saved.sort_by(|a, b| (&a.pool, &a.member, &a.region, a.v6).cmp(&(&b.pool, &b.member, &b.region, b.v6)));
    saved
}

/// From names, those of pools that remember; what the plan does not have is left out. Nothing is remembered
/// since later than `now`.
pub(super) fn restore(
    saved: &[SavedSlot],
    remembers: impl Fn(&Pool) -> bool,
    (inventory, names): (&Inventory, &Names),
    now: Moment,
) -> Since {
    let members = pools(inventory).filter(|(_, pool)| remembers(pool)).flat_map(|(id, pool)| {
        (0..).zip(&pool.members).map(move |(place, member)| ((id, inventory.name_of(member.picks)), place))
    });
    let members: HashMap<(PoolId, &str), u16, FixedState> = members.collect();
    let situations: HashMap<String, SituationId, FixedState> =
        inventory.situation_ids().map(|id| (inventory.situation_name(id), id)).collect();
    let slot = |saved: &SavedSlot| {
        let pool = names.pool(&saved.pool)?;
        let member = *members.get(&(pool, saved.member.as_str()))?;
        let family = if saved.v6 { Family::V6 } else { Family::V4 };
        let situation = *situations.get(&saved.region)?;
        Some((Slot { pool, member, situation, family }, saved.since.min(now)))
    };
    saved.iter().filter_map(slot).collect()
}

/// Every pool, with its number.
pub(super) fn pools(inventory: &Inventory) -> impl Iterator<Item = (PoolId, &Pool)> {
    inventory.pools.iter().enumerate().map(|(index, pool)| (PoolId::at(index), pool))
}

/// Whether what a member picks is up for these clients.
pub(super) fn is_up(
    picks: Use,
    inventory: &Inventory,
    map: &HealthMap,
    situation: SituationId,
    family: Family,
) -> bool {
    match picks {
        Use::Endpoint(id) => map.endpoint(id, inventory.region_in(situation), family).usable(),
        Use::Pool(id) => map.pool(id, situation, family).up,
    }
}
