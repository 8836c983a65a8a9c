//! The probe: runs checks from this machine, and reports what it holds.
//!
//! ```text
//!   targets (watch) --> one task per target: pause --> check --> Tracker --> table of opinions
//!                                                                     | every interval, or at once on a turn
//!                                                                     v
//!                                                                  Report
//! ```
//!
//! One slow or hanging endpoint never delays another's check: each target has its own task and deadline.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use crate::health::Report;
use crate::model::Monitor;

/// What to check: the monitor and the address, by value, so that a probe needs no plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Assignment {
    /// How.
    pub monitor: Arc<Monitor>,
    /// Whom.
    pub address: IpAddr,
}

/// Who a probe is and how it works.
#[derive(Clone, Debug)]
pub struct Config {
    /// Its name.
    pub name: Arc<str>,
    /// Its region, by name.
    pub region: Arc<str>,
    /// How often it reports.
    pub report_interval: Duration,
    /// Checks under way at once, at most.
    pub concurrency: usize,
}

/// Runs until `assignments` closes or nobody hears its reports. A change of assignments keeps the trackers of targets
/// that stay (same monitor name and address). Checks are spread over the first interval on a change of
/// assignments, but the first round of a probe that just started runs at once.
pub async fn run(
    config: Config,
    assignments: watch::Receiver<Arc<[Assignment]>>,
    reports: mpsc::Sender<Report>,
) {
    let _ = (config, assignments, reports);
    todo!()
}
