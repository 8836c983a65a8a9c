//! The keeper at its desk: what it hears it takes in at once, and what it concludes goes to the cell.

use std::sync::Arc;

use tracing::error;

use crate::app::watch::Told;
use crate::keeper::{Event, Keeper, State};
use crate::model::Moment;
use crate::plan::Plan;
use crate::snapshot::{Snapshot, SnapshotCell};
use crate::telemetry::Clock;

/// The keeper, its clock, and the cell that only it writes to.
pub(super) struct Desk {
    pub(super) clock: Clock,
    pub(super) keeper: Keeper,
    pub(super) cell: Arc<SnapshotCell>,
    /// When the snapshot in the cell was put there.
    pub(super) published: Moment,
    /// Replaced, but perhaps still being read: kept so that it is this task and no listener that frees a
    /// large plan.
    retired: Vec<Arc<Snapshot>>,
}

impl Desk {
    pub(super) fn new(plan: Plan, saved: Option<State>) -> Self {
        let clock = Clock::start();
        let keeper = Keeper::new(Arc::new(plan), saved, clock.now());
        let cell = Arc::new(SnapshotCell::new(keeper.first()));
        Self { retired: Vec::new(), published: clock.now(), clock, keeper, cell }
    }

    /// Takes an event in; says what came of it.
    pub(super) fn apply(&mut self, event: Event) -> Vec<Told> {
        let now = self.clock.now();
        let step = self.keeper.apply(event, now);
        self.retired.retain(|retired| Arc::strong_count(retired) > 1);
        match step.snapshot.map(|snapshot| self.cell.publish(snapshot)) {
            Some(Ok(replaced)) => {
                self.published = now;
                self.retired.push(replaced);
            }
            Some(Err(older)) => {
                error!("snapshot {} was not published: {} is current", older.offered, older.held);
            }
            None => {}
        }
        step.facts.iter().map(|fact| Told::of(fact, self.keeper.plan(), now)).collect()
    }

    /// Waits until the keeper wants to hear that time passed: for ever, if it does not.
    pub(super) async fn due(&self) {
        match self.keeper.due() {
            Some(due) => tokio::time::sleep(due.since(self.clock.now())).await,
            None => std::future::pending().await,
        }
    }

    pub(super) fn plan(&self) -> &Plan {
        self.keeper.plan()
    }
}
