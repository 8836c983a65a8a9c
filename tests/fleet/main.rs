//! A real fleet: three regions, each with a server, a probe, an endpoint and a NATS server, on hosts of their own.
//! What is asserted is what `dig` gets in each region, and in between that nothing else is said.
//!
//! | what fails | see |
//! |---|---|
//! | probes, their clocks, their view of the world, two under one name | `probes` |
//! | links, NATS servers, servers | `links` |
//! | what comes over the wire | `forged` |
//! | publishing | `zones` |
//!
//! docs/FLEET.md names these tests; `table` sees to it that they are there.

mod audience;
mod breaking;
mod fleet;
mod forged;
mod ground;
mod links;
mod page;
mod probes;
mod stranger;
mod table;
mod wire;
mod zones;

use std::time::Duration;

/// Longer than a report is fresh for.
const A_WHILE: Duration = Duration::from_secs(6);

/// Enough for all servers to work out their maps anew.
const A_MOMENT: Duration = Duration::from_secs(1);
