//! Steering: which members of a pool answer this client, and why.
//!
//! ```text
//!   decide(pool)
//!     top pool up? --yes--> pick: the policy's order over members that are up; a nested pool picks again
//!        |                        (a branch that turns out dead backs out to the next choice)
//!        no --> fallback usable? --yes--> it
//!                  no --> on_down: serve-all | static | nodata | servfail
//! ```
//!
//! | to see | look in |
//! |---|---|
//! | what is tried in turn: pool, fallbacks, last resort | `decide` |
//! | which members are usable, and what one answer may carry | `walk` |
//! | `failover`, `nearest`, `geo`: the first that will do | `ordered` |
//! | `weighted`, and its sticky form | `weighted` |
//! | `all` | `all` |
//! | when a pool is up | `judge` |
//! | `latency`: in which order | `latency` |
//! | which treatment a client gets, and how far that holds | `whereabouts` |
//!
//! Pure: the draw is an argument, health is a finished map. What was looked at is told to a [`Trace`];
//! the query path passes `()`, which costs nothing, explain passes one that writes it down. There is no
//! second path.

mod all;
mod decide;
mod judge;
mod latency;
mod ordered;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub mod tests_support;
mod trace;
mod walk;
mod weighted;
mod whereabouts;

pub use decide::{Decision, Outcome, Request, decide, prepare};
pub use judge::judge_pools;
pub use latency::order_by_latency;
pub use trace::{Skip, Step, Trace};
pub use whereabouts::Whereabouts;
