//! What the server runs: the spec, understood.
//!
//! ```text
//!   Spec --compile--> Plan { Inventory, GeoMap, Zones, steered names }   or every diagnostic
//!                       `--promises--> the failover time that each name can keep
//! ```
//!
//! Whatever can be decided before a query arrives is decided here.

mod compile;
pub mod promise;
pub mod zone;

pub use compile::compile;

use std::time::Duration;

use crate::geo::GeoMap;
use crate::model::{Inventory, Name, PoolId};
use zone::Zones;

/// All that the operator wants, ready to run. Immutable.
#[derive(Debug)]
pub struct Plan {
    /// Regions, monitors, endpoints, targets and pools.
    pub inventory: Inventory,
    /// Where clients are.
    pub geo: GeoMap,
    /// What is served.
    pub zones: Zones,
    /// The names whose answers are chosen, index [`SteeredId`].
    pub steered: Vec<Steered>,
}

/// A steered name: an index into [`Plan::steered`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SteeredId(pub u32);

/// A name whose answer is chosen per query.
#[derive(Clone, Debug, PartialEq)]
pub struct Steered {
    /// Its name, as the operator spelled it; a wildcard starts with `*`.
    pub owner: Name,
    /// What chooses.
    pub pool: PoolId,
    /// Seconds, while everything consulted is settled.
    pub ttl: u32,
    /// Seconds, while something moves.
    pub ttl_min: u32,
    /// `rto`: the failover time that the operator demands.
    pub rto: Option<Duration>,
}
