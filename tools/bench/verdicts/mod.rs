//! Three ways to come from checks to a verdict, on the same traces of loss.
//!
//! ```text
//!   Trace: seed + loss --> for each vantage, whether a check that starts then fails
//!     |--> windrose   the real trackers of several probes, and the real vote
//!     |--> gdnsd      one vantage, a counter of failures
//!     `--> route53    sixteen checkers, a share of which must say up
//!                        `--> the moments at which the verdict turns to Down
//! ```
//!
//! Vantage 0 is the same for all three, and the probes of Windrose are the first vantages of Route 53. Times are
//! in milliseconds.

pub mod gdnsd;
pub mod route53;
pub mod trace;
pub mod windrose;

pub use gdnsd::Gdnsd;
pub use route53::Route53;
pub use trace::{Ending, Loss, Trace};
pub use windrose::Windrose;

/// Comes to a verdict.
pub trait Judge: Sync {
    /// When the verdict turned to Down. It begins Up.
    fn downs(&self, trace: &Trace) -> Vec<u64>;

    /// A check that nobody answers has failed after so long.
    fn timeout(&self) -> u64;
}
