//! Spec -> plan: every name resolved, every rule checked, every order worked out.
//!
//! ```text
//!   limits                     nothing is too big for its table
//!     |
//!   maps      monitors         what stands alone
//!     |  `-.     |
//!   atlas   endpoints          who is alike by place; what regions and monitors are for
//!     |        |
//!     `----- pools             nesting (no loops) -> treatment of each class of clients -> rules
//!              |
//!   zones -- steered, debug    the names, and what a zone file has there
//!              |
//!            kept              what they promise against what was demanded
//! ```
//!
//! Each step reads the tables of the steps before it and adds to one list of diagnostics. None stops at
//! an error: what is wrong is left out or given its default, so that the operator sees everything at
//! once. A plan comes out only if no step found an error.

mod beats;
mod beside;
mod chains;
mod debug;
mod drafts;
mod endpoints;
mod fences;
mod few;
#[cfg(test)]
mod fixture;
mod governor;
mod groups;
mod heeded;
mod kept;
mod keys;
mod limits;
mod maps;
mod monitors;
mod names;
mod nearness;
mod nesting;
mod owners;
mod pools;
mod potential;
mod probes;
mod rules;
mod steered;
mod treatments;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::geo::{Atlas, Facts, Map};
use crate::model::{Fingerprint, Inventory, Name};
use crate::plan::Plan;
use crate::plan::zone::Builder;
use crate::spec::diagnostic::Place;
use crate::spec::master::ZoneFile;
use crate::spec::{Diagnostic, Severity, Spec};
use names::Names;
use owners::Owners;

/// Compiles what was read, for clients of whom these `facts` are known. `report_interval` is the machine's (for
/// the promised failover times).
///
/// Returns the plan, if there is no error, and all diagnostics, warnings too.
pub fn compile(
    spec: &Spec,
    facts: &Arc<Facts>,
    report_interval: Duration,
) -> (Option<Plan>, Vec<Diagnostic>) {
    let mut found = Vec::new();
    let plan = limits::check(spec, &mut found).then(|| understand(spec, facts, report_interval, &mut found));
    let refused = found.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
    (plan.filter(|_| !refused), few::of_each_kind(found))
}

/// All steps; the plan is whole only if none of them found an error.
fn understand(
    spec: &Spec,
    facts: &Arc<Facts>,
    report_interval: Duration,
    found: &mut Vec<Diagnostic>,
) -> Plan {
    let files = &spec.steering;
    let mut zones = gather(&spec.zones, owners::to_steer(files), found);
    let mut maps = maps::compile(files, found);
    let ready_maps: Vec<Map> = maps.rules().into_iter().map(Map::compile).collect();
    let atlas = Atlas::compile(facts, &ready_maps);
    let nobody_there = maps.warnings_of_the_empty(&atlas, facts.knows());
    let mut monitors = monitors::compile(files, found);
    let mut serving = Names::default();
    let endpoints = endpoints::compile(files, &mut maps, &mut monitors, &mut serving, found);
    let probes = probes::compile(files, found);
    let governor = governor::compile(files, &endpoints.table, found);
    let pools = pools::compile(files, &mut maps, &atlas, &endpoints.table, &mut serving, found);
    let mut owners = Owners::new(files, &zones, found);
    let steered = steered::compile(files, &mut owners, &mut zones, &endpoints, &pools, &mut serving, found);
    let debug = debug::compile(files, &mut owners, &mut zones, &pools, &mut serving, found);
    heeded::warn_of_unheard(&steered.table, &pools, found);
    monitors.names.warn_unused(found);
    serving.warn_unused(found);
    let (regions, other_maps) = maps.into_tables();
    let inventory = Inventory {
        regions,
        maps: other_maps,
        situations: pools.situations,
        monitors: monitors.table,
        endpoints: endpoints.table,
        targets: endpoints.targets,
        pools: pools.table,
        sites: probes.sites,
        probes: probes.table,
        governor,
    };
    let plan = Plan {
        inventory,
        geo: pools.partitions.into_geo(ready_maps, Arc::clone(facts)),
        zones: zones.build(),
        steered: steered.table,
        debug,
        keys: crate::dnssec::Keyring::default(),
        source: Fingerprint::new(),
    };
    kept::check(&plan, &steered.demands, report_interval, found);
    // What is wrong may be why.
    if found.iter().all(|diagnostic| diagnostic.severity != Severity::Error) {
        found.extend(nobody_there);
    }
    plan
}

/// Puts the zone files together; two of one origin would each serve half of it.
fn gather(files: &[ZoneFile], to_steer: impl Iterator<Item = Name>, found: &mut Vec<Diagnostic>) -> Builder {
    let mut zones = Builder::for_steering(to_steer);
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::fixture::{WORLD, compile, compile_files};
    use crate::model::{Inventory, Pool, Use};

    #[test]
    fn everything_that_is_wrong_is_told_at_once() {
        let compiled = compile(
            "[regions.elsewhere]\n[monitors.web]\ntype = \"tcp\"\n[endpoints.a]\nmonitors = [\"web\"]\n\
             [pools.p]\npolicy = \"all\"\nmembers = [\"a\", \"b\"]\n[names.www]\npool = \"q\"\n",
        );
        let codes = ["no-address", "no-port", "reserved-name", "unknown-name", "unknown-name"];
        assert_eq!(compiled.codes(), codes);
    }

    #[test]
    fn two_zone_files_of_one_origin_are_an_error() {
        let zone = "$TTL 300\n@ SOA ns1 host 1 2 3 4 5\n@ NS ns1\nns1 A 192.0.2.53\n";
        let compiled = compile_files(&[("Example.org.zone", zone), ("example.org.zone", zone)], &[]);
        assert_eq!(&*compiled.only("duplicate-zone").related[0].0.file, "Example.org.zone");
    }

    #[test]
    fn nothing_at_all_is_a_plan() {
        assert_eq!(compile_files(&[], &[]).plan().inventory.pools, []);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn whatever_pools_pick_they_come_after_it_and_try_each_member_once(
            pools in prop::collection::vec(wild_pool(), 8),
            tangled in prop::bool::weighted(0.2),
        ) {
            let texts = pools.iter().enumerate().map(|(number, pool)| {
                let inner = |other: &usize| *other < pools.len() && (tangled || *other > number);
                text(number, pool, inner)
            });
            let compiled = compile(&format!("{WORLD}{}", texts.collect::<String>()));
            let Some(plan) = &compiled.plan else { return Ok(()) };
            prop_assert_eq!(plan.inventory.pools.len(), pools.len());
            for (id, pool) in plan.inventory.pools.iter().enumerate() {
                prop_assert!(picks(pool).all(|picks| !matches!(picks, Use::Pool(inner) if inner.index() >= id)));
                prop_assert!(orders_are_without_repetition(pool, &plan.inventory));
            }
        }
    }

    /// A policy, the numbers of the pools that are members beside `fra`, and the number of the fallback.
    type WildPool = (&'static str, Vec<usize>, usize);

    fn wild_pool() -> impl Strategy<Value = WildPool> {
        let policy = prop::sample::select(vec!["failover", "weighted", "nearest", "geo", "all"]);
        let others = prop::sample::subsequence((0..8).collect::<Vec<_>>(), 0..3);
        (policy, others, 0..16usize)
    }

    fn text(number: usize, (policy, others, fallback): &WildPool, picked: impl Fn(&usize) -> bool) -> String {
        let rule = if *policy == "geo" { ", regions = [\"eu\"]" } else { "" };
        let names = others.iter().filter(|other| picked(other)).map(|other| format!("p{other}"));
        let members = names.chain(["fra".into()]).map(|name| format!("{{ use = \"{name}\"{rule} }}"));
        let members = members.collect::<Vec<_>>().join(", ");
        let fallback = if picked(fallback) { format!("fallback = \"p{fallback}\"\n") } else { String::new() };
        format!("[pools.p{number}]\npolicy = \"{policy}\"\nmembers = [{members}]\n{fallback}")
    }

    fn picks(pool: &Pool) -> impl Iterator<Item = Use> {
        pool.members.iter().map(|member| member.picks).chain(pool.fallback)
    }

    fn orders_are_without_repetition(pool: &Pool, inventory: &Inventory) -> bool {
        pool.by_situation.len() == inventory.situations.len()
            && pool.treatments.iter().all(|treatment| pool.orders.get(treatment.order as usize).is_some())
            && pool.orders.iter().all(|order| {
                let mut members: Vec<u16> = order.to_vec();
                members.sort_unstable();
                members.dedup();
                members.len() == order.len()
                    && members.iter().all(|&member| usize::from(member) < pool.members.len())
            })
    }
}
