//! What probes see and what a server makes of it.
//!
//! ```text
//!   check result --> Tracker --> opinion --> Report --> vote --> Verdict --> HealthMap
//!   (one probe, one target)              (one probe, all)   (all probes, one region)
//! ```
//!
//! Nothing here knows a clock: every method that needs the time takes a [`Moment`].

mod guard;
mod map;
mod report;
mod tracker;
mod vote;

pub use guard::{Denied, Guard};
pub use map::{Control, HealthMap, Measured, PoolStanding, Ready, Slot, Standing, TENTHS, Verdict};
pub use report::{Agent, Kind, Opinion, Report, TargetReport};
pub use tracker::{Outcome, Tracker, TrackerSettings, Turn};
pub use vote::{Basis, Evidence, Poll, Vote};
