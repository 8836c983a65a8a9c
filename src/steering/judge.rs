//! Which pools are up, worked out once for every region and family when a health map is made.

use crate::health::HealthMap;
use crate::model::Inventory;

/// Fills in every [`crate::health::PoolStanding`] of the map from its endpoints. One pass: pools come
/// after the pools they pick.
pub fn judge_pools(inventory: &Inventory, health: &mut HealthMap) {
    let _ = (inventory, health);
    todo!()
}
