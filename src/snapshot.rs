//! The snapshot: plan + health map + editions + generation, and the one cell that holds the current one.
//!
//! Readers take it without waiting; the keeper's thread is the only writer. A generation only grows: an
//! older snapshot never replaces a newer one, compared at the moment of the swap.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

use crate::health::HealthMap;
use crate::plan::Plan;
use crate::primary::Editions;

/// All that an answer depends on, at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Its number.
    pub generation: u64,
    /// What the operator wants.
    pub plan: Arc<Plan>,
    /// What the probes saw.
    pub health: HealthMap,
    /// The zones that others may take, as they may have them.
    pub editions: Arc<Editions>,
}

impl Snapshot {
    /// One whose zones nobody takes.
    pub fn new(generation: u64, plan: Arc<Plan>, health: HealthMap) -> Self {
        Self { generation, plan, health, editions: Arc::default() }
    }
}

/// The one cell that holds the truth.
#[derive(Debug)]
pub struct SnapshotCell(ArcSwap<Snapshot>);

/// A snapshot was not published because the cell holds a newer one, or the same.
#[derive(Debug, PartialEq, Eq)]
pub struct Older {
    /// What the cell holds.
    pub held: u64,
    /// What was offered.
    pub offered: u64,
}

impl SnapshotCell {
    /// A cell that holds this one.
    pub fn new(snapshot: Snapshot) -> Self {
        Self(ArcSwap::from_pointee(snapshot))
    }

    /// The current one, cheaply, for a batch of queries.
    #[inline]
    pub fn load(&self) -> Guard<Arc<Snapshot>> {
        self.0.load()
    }

    /// The current one, to keep.
    pub fn load_full(&self) -> Arc<Snapshot> {
        self.0.load_full()
    }

    /// Makes a newer one current; returns the one before it. Whoever lets go of that last frees all of a
    /// plan: keep it until no reader has it any more, so that this is never a thread that answers.
    pub fn publish(&self, snapshot: Snapshot) -> Result<Arc<Snapshot>, Older> {
        let offered = snapshot.generation;
        let snapshot = Arc::new(snapshot);
        let held = self.0.rcu(|current| {
            if current.generation < offered { Arc::clone(&snapshot) } else { Arc::clone(current) }
        });
        if held.generation < offered { Ok(held) } else { Err(Older { held: held.generation, offered }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geo::Geo;
    use crate::model::{Inventory, RegionId};
    use crate::plan::zone::Zones;

    fn snapshot(generation: u64) -> Snapshot {
        let geo = Geo::one_region(RegionId(0));
        let (inventory, zones, steered) = (Inventory::default(), Zones::default(), Vec::new());
        let plan = Plan {
            inventory,
            geo,
            zones,
            steered,
            debug: Vec::new(),
            keys: crate::dnssec::Keyring::default(),
            source: crate::model::Fingerprint::new(),
        };
        Snapshot::new(generation, Arc::new(plan), HealthMap::default())
    }

    #[test]
    fn a_newer_snapshot_replaces_an_older_one() {
        let cell = SnapshotCell::new(snapshot(1));
        let before = cell.publish(snapshot(3)).expect("3 is newer than 1");
        assert_eq!((before.generation, cell.load().generation), (1, 3));
    }

    #[test]
    fn the_one_that_is_replaced_is_freed_by_whoever_replaced_it() {
        let cell = SnapshotCell::new(snapshot(1));
        let reader = cell.load();
        let before = cell.publish(snapshot(2)).expect("2 is newer than 1");
        assert_eq!((reader.generation, Arc::strong_count(&before)), (1, 2));
        drop(reader);
        assert_eq!(Arc::strong_count(&before), 1);
    }

    #[test]
    fn an_older_or_equal_snapshot_never_replaces_a_newer_one() {
        let cell = SnapshotCell::new(snapshot(2));
        for offered in [1, 2] {
            assert_eq!(cell.publish(snapshot(offered)).err(), Some(Older { held: 2, offered }));
        }
        assert_eq!(cell.load_full().generation, 2);
    }

    #[test]
    fn whoever_publishes_at_once_the_newest_stays() {
        let cell = SnapshotCell::new(snapshot(0));
        std::thread::scope(|threads| {
            for first in 1..=4 {
                let cell = &cell;
                threads.spawn(move || {
                    for generation in (first..400).step_by(4) {
                        let _ = cell.publish(snapshot(generation));
                    }
                });
            }
        });
        assert_eq!(cell.load().generation, 399);
    }
}
