//! The keeper at its desk: what it hears it takes in at once, and what it concludes goes to the cell.

use std::sync::Arc;

use tracing::error;

use crate::keeper::{Event, Keeper, State, describe};
use crate::plan::Plan;
use crate::snapshot::{Snapshot, SnapshotCell};
use crate::telemetry::Clock;

/// The keeper, its clock, and the cell that only it writes to.
pub(super) struct Desk {
    pub(super) clock: Clock,
    pub(super) keeper: Keeper,
    pub(super) cell: Arc<SnapshotCell>,
    /// What was current at the last tick: kept so that it is this task and no listener that frees a
    /// large plan.
    retired: Arc<Snapshot>,
}

impl Desk {
    pub(super) fn new(plan: Plan, saved: Option<State>) -> Self {
        let clock = Clock::start();
        let keeper = Keeper::new(Arc::new(plan), saved, clock.now());
        let cell = Arc::new(SnapshotCell::new(keeper.first()));
        Self { retired: cell.load_full(), clock, keeper, cell }
    }

    /// Takes an event in; says what came of it.
    pub(super) fn apply(&mut self, event: Event) -> Vec<String> {
        let ticks = matches!(event, Event::Tick);
        let step = self.keeper.apply(event, self.clock.now());
        if let Some(snapshot) = step.snapshot
            && let Err(older) = self.cell.publish(snapshot)
        {
            error!("snapshot {} was not published: {} is current", older.offered, older.held);
        }
        if ticks {
            self.retired = self.cell.load_full();
        }
        step.facts.iter().map(|fact| describe(fact, self.keeper.plan())).collect()
    }

    pub(super) fn plan(&self) -> &Plan {
        self.keeper.plan()
    }
}
