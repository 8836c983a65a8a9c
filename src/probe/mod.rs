//! The probe: runs checks from this machine, and reports what it holds.
//!
//! ```text
//!   assignments (watch) --> one task per target: pause --> Check --> Outcome --> Tracker
//!                                                                                   |
//!                             every interval, or at once when an opinion turns      v
//!   reports (mpsc) <-------------------- Report <--------------------------- all that is held
//! ```
//!
//! One slow or hanging endpoint never delays another's check: each target has its own task and deadline.
//! Whoever hears the reports never delays a check either: while nobody takes one, none is made, and the next
//! one taken says what is held then.
//!
//! Monitors of the type `push` are the other way round: their targets await what [`Beats`] brings, and take no part in
//! schedules.
//!
//! A probe mistrusts itself: a failure counts only if this machine was not late ([`lag`]), and if one of its
//! references, if it has any, answers afterwards ([`references`]). What is void changes no opinion.

mod beats;
mod check;
mod lag;
mod references;
mod run;
mod schedule;
mod stats;
mod target;

pub use beats::{Awaited, Beats};
pub use check::said_in;
pub use run::run;
pub use stats::{Counts, Stats};

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use crate::health::{Guard, Kind, Outcome};
use crate::model::Monitor;
use check::{Check, NoCheck, Trust};

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
    /// Drawn when the process starts: tells it from another that runs under the same name.
    pub instance: u64,
    /// How often it reports.
    pub report_interval: Duration,
    /// Checks under way at once, at most; further ones wait for their turn, and start late. A check that
    /// hangs holds its place until its timeout.
    pub concurrency: usize,
    /// What it may connect to. A target that it may not has no opinion.
    pub guard: Guard,
    /// Addresses that answer whenever this probe's own network works: while none does, it has no opinion. Those
    /// that the guard denies never answer.
    pub references: Vec<SocketAddr>,
    /// What applications send it.
    pub beats: Arc<Beats>,
    /// Where it counts the checks that said nothing.
    pub stats: Arc<Stats>,
}

/// Runs one check now, outside of any schedule: for people and tests.
///
/// A check that this machine cannot run, or must not, and one that asks nothing, ends as [`Kind::Other`].
pub async fn check_once(assignment: &Assignment, guard: &Guard) -> Outcome {
    let not_run = |reason| Outcome {
        kind: Kind::Other,
        rtt: None,
        detail: Some(reason),
        certificate_end: None,
        agent: None,
    };
    match prepare(vec![assignment.clone()], guard).await.remove(0) {
        Ok(check) => check.run().await.unwrap_or_else(|trouble| not_run(trouble.reason)),
        Err(NoCheck::Denied(denied)) => not_run(format!("{} is {denied}", assignment.address).into()),
        Err(NoCheck::Awaited { .. }) => not_run("nobody is asked: beats are awaited".into()),
    }
}

/// Makes the checks for assignments, in their order. Root certificates are read anew, once for all of them.
async fn prepare(assignments: Vec<Assignment>, guard: &Guard) -> Vec<Result<Check, NoCheck>> {
    let guard = guard.clone();
    let making = tokio::task::spawn_blocking(move || {
        let mut trust = Trust::new();
        assignments.iter().map(|assignment| Check::new(assignment, &guard, &mut trust)).collect()
    });
    making.await.expect("making a check does not panic")
}
