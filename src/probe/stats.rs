//! What a probe counts of itself: checks that said nothing, by the reason.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts since the probe was configured. Shared by whoever shows them.
#[derive(Debug, Default)]
pub struct Stats {
    pub(super) late: AtomicU64,
    pub(super) not_run: AtomicU64,
    pub(super) unconfirmed: AtomicU64,
}

/// [`Stats`] at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Failures that were void because this machine lagged, or slept.
    pub late: u64,
    /// Checks that this machine could not run.
    pub not_run: u64,
    /// Failures that were void because no reference answered after them.
    pub unconfirmed: u64,
}

impl Stats {
    /// What was counted so far.
    pub fn counts(&self) -> Counts {
        let count = |counted: &AtomicU64| counted.load(Ordering::Relaxed);
        Counts {
            late: count(&self.late),
            not_run: count(&self.not_run),
            unconfirmed: count(&self.unconfirmed),
        }
    }
}
