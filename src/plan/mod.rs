//! What the server runs: the spec, understood.
//!
//! ```text
//!   Spec --compile--> Plan { Inventory, Geo, Zones, steered names, debug names }   or every diagnostic
//!                       `--promises--> the failover time that each name can keep
//! ```
//!
//! Whatever can be decided before a query arrives is decided here.

mod compile;
pub mod promise;
pub mod zone;

pub use compile::compile;

use std::time::Duration;

use crate::dnssec::Keyring;
use crate::geo::{Geo, Nets};
use crate::model::{ELSEWHERE, Fingerprint, Inventory, Name, PoolId};
use zone::Zones;

/// All that the operator wants, ready to run. Immutable.
#[derive(Debug)]
pub struct Plan {
    /// Regions, monitors, endpoints, targets and pools.
    pub inventory: Inventory,
    /// Where clients are.
    pub geo: Geo,
    /// What is served.
    pub zones: Zones,
    /// The names whose answers are chosen, index [`SteeredId`].
    pub steered: Vec<Steered>,
    /// The names that tell clients where they seem to be, index [`DebugId`].
    pub debug: Vec<DebugName>,
    /// The keys of the zones that are signed.
    pub keys: Keyring,
    /// Of the files that it was made from, if it was made from files: the same on machines that run the same.
    pub source: Fingerprint,
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
    /// Whether it can have an address of each family (index [`crate::model::Family::index`]), or an alias instead of
    /// one, in some state of health.
    pub serves: [bool; 2],
    /// Whether its pool, or one that can be consulted for it, is sticky: if not, no client subnet is hashed.
    pub sticky: bool,
    /// `rto`: the failover time that the operator demands.
    pub rto: Option<Duration>,
}

/// A debug name: an index into [`Plan::debug`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DebugId(pub u32);

/// A name that answers TXT with where the client seems to be, and what would be chosen for it.
#[derive(Clone, Debug, PartialEq)]
pub struct DebugName {
    /// Its name, as the operator spelled it; a wildcard starts with `*`.
    pub owner: Name,
    /// Whose choice is told.
    pub pool: PoolId,
    /// Whether that, or a pool that can be consulted for it, is sticky.
    pub sticky: bool,
    /// The senders of queries that are told; for others there is no data.
    pub clients: Nets,
}

impl Plan {
    /// Signs the zones of a keyring, and no others; those that are not served are left out.
    pub fn sign(&mut self, keys: Keyring) {
        self.zones.sign(keys.zones().map(|(id, zone)| (zone.apex(), id)));
        self.keys = keys;
    }

    /// `1 zone, 2 steered names, 1 pool, 3 endpoints, 2 regions`; what there is none of is left out.
    pub fn summary(&self) -> String {
        let Self { inventory, zones, steered, debug, .. } = self;
        let counts = [
            (zones.apexes().count(), "zone"),
            (steered.len(), "steered name"),
            (debug.len(), "debug name"),
            (inventory.pools.len(), "pool"),
            (inventory.endpoints.len(), "endpoint"),
            (inventory.regions.iter().filter(|region| &*region.name != ELSEWHERE).count(), "region"),
        ];
        let words = counts.iter().filter(|(count, _)| *count > 0).map(|(count, word)| {
            let plural = if *count == 1 { "" } else { "s" };
            format!("{count} {word}{plural}")
        });
        words.collect::<Vec<_>>().join(", ")
    }
}
