//! Spec -> plan: every name resolved, every rule checked, every order worked out.
//!
//! ```text
//!   limits                     nothing is too big for its table
//!     |
//!   regions   monitors         what stands alone
//!     |    `.    |
//!     |     endpoints          what they point at, and the targets they share
//!     |        |
//!     `----- pools             nesting (no loops) -> rules -> order for each client region
//!              |
//!   zones -- steered           the names, and what a zone file has there
//!              |
//!            kept              what they promise against what was demanded
//! ```
//!
//! Each step reads the tables of the steps before it and adds to one list of diagnostics. None stops at
//! an error: what is wrong is left out or given its default, so that the operator sees everything at
//! once. A plan comes out only if no step found an error.

mod beside;
mod chains;
mod drafts;
mod endpoints;
#[cfg(test)]
mod fixture;
mod heeded;
mod kept;
mod keys;
mod limits;
mod monitors;
mod names;
mod nesting;
mod order;
mod pools;
mod potential;
mod regions;
mod rules;
mod steered;

use std::collections::HashMap;
use std::time::Duration;

use crate::model::{Inventory, Name};
use crate::plan::Plan;
use crate::plan::zone::Builder;
use crate::spec::diagnostic::Place;
use crate::spec::master::ZoneFile;
use crate::spec::{Diagnostic, Severity, Spec};
use names::Names;

/// Compiles what was read. `report_interval` is the machine's (for the promised failover times).
///
/// Returns the plan, if there is no error, and all diagnostics, warnings too.
pub fn compile(spec: &Spec, report_interval: Duration) -> (Option<Plan>, Vec<Diagnostic>) {
    let mut found = Vec::new();
    let plan = limits::check(spec, &mut found).then(|| understand(spec, report_interval, &mut found));
    let refused = found.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
    (plan.filter(|_| !refused), found)
}

/// All steps; the plan is whole only if none of them found an error.
fn understand(spec: &Spec, report_interval: Duration, found: &mut Vec<Diagnostic>) -> Plan {
    let files = &spec.steering;
    let mut zones = gather(&spec.zones, found);
    let mut regions = regions::compile(files, found);
    let mut monitors = monitors::compile(files, found);
    let mut serving = Names::default();
    let endpoints = endpoints::compile(files, &mut regions, &mut monitors.names, &mut serving, found);
    let pools =
        pools::compile(files, &regions.table, &mut regions.names, &endpoints.table, &mut serving, found);
    let steered = steered::compile(files, &mut zones, &endpoints, &pools, &mut serving, found);
    heeded::warn_of_unheard(&steered.table, &pools, found);
    monitors.names.warn_unused(found);
    serving.warn_unused(found);
    let inventory = Inventory {
        regions: regions.table,
        monitors: monitors.table,
        endpoints: endpoints.table,
        targets: endpoints.targets,
        pools: pools.table,
    };
    let plan = Plan { inventory, geo: regions.map, zones: zones.build(), steered: steered.table };
    kept::check(&plan, &steered.demands, report_interval, found);
    plan
}

/// Puts the zone files together; two of one origin would each serve half of it.
fn gather(files: &[ZoneFile], found: &mut Vec<Diagnostic>) -> Builder {
    let mut zones = Builder::default();
    let mut origins: HashMap<&Name, &ZoneFile> = HashMap::new();
    for file in files {
        if let Some(first) = origins.insert(&file.origin, file) {
            let message = format!("a second zone file for `{}`", file.origin);
            let diagnostic = Diagnostic::error("duplicate-zone", Place::new(&file.sources[0], 0..0), message)
                .and(Place::new(&first.sources[0], 0..0), "first zone file here")
                .hint("put all records of a zone in one file, or use $INCLUDE");
            found.push(diagnostic);
        } else {
            zones.add(file, found);
        }
    }
    zones
}
