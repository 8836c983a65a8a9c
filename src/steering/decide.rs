//! The decision: one pure function for every policy.

use smallvec::SmallVec;

use crate::health::HealthMap;
use crate::model::{EndpointId, Family, Inventory, PoolId, RegionId};
use crate::steering::Trace;

/// Who asks for what, as far as steering goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Where the client is.
    pub region: RegionId,
    /// What it asks for.
    pub family: Family,
    /// The random number of this query; for sticky pools, of its client (`sticky`).
    pub draw: u64,
    /// A hash of the client subnet: the draw of sticky pools.
    pub sticky: u64,
}

/// What was decided.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// What to answer.
    pub outcome: Outcome,
    /// Everything consulted is settled: the full TTL may be used.
    pub settled: bool,
    /// Something consulted is stale.
    pub stale: bool,
    /// The region of the client mattered: the scope is that of its place.
    pub by_region: bool,
    /// A sticky pool was consulted: the scope is at least the prefix that was hashed.
    pub sticky: bool,
}

/// What to answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// These endpoints, in this order; never empty. Either addresses of the asked family, or one name.
    Endpoints {
        /// Who.
        chosen: SmallVec<[EndpointId; 8]>,
        /// Nothing was up: as if all were (EDE).
        last_resort: bool,
    },
    /// The records of the zone file at the name.
    Static,
    /// An empty answer.
    NoData,
    /// SERVFAIL.
    ServFail,
}

/// Decides what `pool` answers. Every transport, explain, tests and simulation come through here.
pub fn decide(
    pool: PoolId,
    request: &Request,
    inventory: &Inventory,
    health: &HealthMap,
    trace: &mut impl Trace,
) -> Decision {
    let _ = (pool, request, inventory, health, trace);
    todo!()
}
