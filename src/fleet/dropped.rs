//! Messages that are dropped: counted by reason, and told of in the log without filling it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::warn;

/// How many messages were dropped since the start, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Damaged, or something else than what belongs on its subject.
    pub garbage: u64,
    /// Of a version that this release does not read.
    pub version: u64,
    /// From somebody whose subject names somebody else.
    pub false_name: u64,
    /// Over the bound; not read.
    pub too_large: u64,
    /// Good, but newer ones came before anybody took it.
    pub overflow: u64,
}

/// Why a message is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    Garbage,
    Version,
    FalseName,
    TooLarge,
    Overflow,
}

/// Counts what is dropped.
#[derive(Debug, Default)]
pub(super) struct Counts {
    by_reason: [Count; 5],
}

#[derive(Debug, Default)]
struct Count {
    dropped: AtomicU64,
    told: Mutex<Option<Instant>>,
}

impl Counts {
    /// Counts one message, and tells of it unless one was told of for the same reason within [`QUIET`].
    pub(super) fn drop_one(&self, reason: Reason, subject: &str, why: &str) {
        let count = &self.by_reason[reason as usize];
        let dropped = count.dropped.fetch_add(1, Ordering::Relaxed) + 1;
        let mut told = count.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.is_none_or(|told| told.elapsed() >= QUIET) {
            *told = Some(Instant::now());
            let subject = subject.escape_debug();
            warn!("a message on {subject} is dropped: {why} ({dropped} for this reason so far)");
        }
    }

    /// Since the start.
    pub(super) fn dropped(&self) -> Dropped {
        let of = |reason: Reason| self.by_reason[reason as usize].dropped.load(Ordering::Relaxed);
        Dropped {
            garbage: of(Reason::Garbage),
            version: of(Reason::Version),
            false_name: of(Reason::FalseName),
            too_large: of(Reason::TooLarge),
            overflow: of(Reason::Overflow),
        }
    }
}

/// For each reason at most one line in this time.
const QUIET: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_a_count_of_its_own() {
        let counts = Counts::default();
        counts.drop_one(Reason::Version, "windrose.v1.report.eu.ams", "it is of version 2");
        counts.drop_one(Reason::Version, "windrose.v1.report.eu.ams", "it is of version 2");
        counts.drop_one(Reason::Overflow, "windrose.v1.report.eu.ams", "it was too slow");
        assert_eq!(counts.dropped(), Dropped { version: 2, overflow: 1, ..Dropped::default() });
    }
}
