//! Endpoints, and the targets that they share.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use crate::model::{Endpoint, EndpointId, Family, MonitorId, Reach, RegionId, Target, TargetId};
use crate::plan::compile::names::{Names, Site, Written};
use crate::plan::compile::regions::Regions;
use crate::spec::Diagnostic;
use crate::spec::steering::{EndpointSpec, SteeringFile};

/// What a name in `members` or `fallback` stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pick {
    /// An endpoint.
    Endpoint(EndpointId),
    /// A pool, by its place in the files: pools get their ids when it is known what nests in what.
    Pool(usize),
}

/// All endpoints.
#[derive(Debug)]
pub struct Endpoints<'s> {
    /// Index [`EndpointId`].
    pub table: Vec<Endpoint>,
    /// Index [`TargetId`].
    pub targets: Vec<Target>,
    /// Where the `cname` of each was written, if it has one.
    pub cnames: Vec<Option<Site<'s>>>,
}

/// Compiles `[endpoints]` of all files.
pub fn compile<'s>(
    files: &'s [SteeringFile],
    regions: &mut Regions<'s>,
    monitors: &mut Names<'s, MonitorId>,
    serving: &mut Names<'s, Pick>,
    found: &mut Vec<Diagnostic>,
) -> Endpoints<'s> {
    let mut table = Vec::new();
    let mut cnames = Vec::new();
    let mut targets = Targets::default();
    for written in Written::all(files, |file| &file.endpoints) {
        let spec = written.value;
        serving.define("endpoint", &written, Pick::Endpoint(EndpointId::at(table.len())), found);
        let region =
            spec.region.as_ref().and_then(|name| regions.names.resolve("region", name, written.file, found));
        let monitors = resolve_monitors(&written, monitors, found);
        let reach = reach(&written, found);
        table.push(Endpoint {
            name: written.name.value.as_str().into(),
            region,
            at: place(spec, region, regions),
            targets: targets.of(&reach, &monitors),
            reach,
        });
        cnames.push(spec.cname.as_ref().map(|cname| written.site(cname)));
    }
    Endpoints { table, targets: targets.table, cnames }
}

/// Its own place, else its region's.
fn place(
    spec: &EndpointSpec,
    region: Option<RegionId>,
    regions: &Regions<'_>,
) -> Option<crate::model::Coordinates> {
    let own = spec.at.as_ref().map(|at| at.value);
    own.or_else(|| region.and_then(|region| regions.table[region.index()].at))
}

/// Addresses or a host name: not both, not neither. What is wrong counts as an endpoint without addresses.
fn reach(written: &Written<'_, EndpointSpec>, found: &mut Vec<Diagnostic>) -> Reach {
    let spec = written.value;
    let v4 = spec.ipv4.as_ref().map(|address| address.value);
    let v6 = spec.ipv6.as_ref().map(|address| address.value);
    let name = &written.name.value;
    match &spec.cname {
        Some(cname) if v4.is_some() || v6.is_some() => {
            let message = format!("endpoint `{name}` has addresses and a cname");
            let hint = "an answer is either: make two endpoints of it";
            found.push(Diagnostic::error("two-kinds", written.place(cname), message).hint(hint));
        }
        Some(cname) => return Reach::Name(cname.value.clone()),
        None if v4.is_none() && v6.is_none() => {
            let message = format!("endpoint `{name}` can answer no query: it has no address and no cname");
            let hint = "add `ipv4`, `ipv6` or `cname`";
            found.push(Diagnostic::error("no-address", written.named(), message).hint(hint));
        }
        None => {}
    }
    Reach::Addresses { v4, v6 }
}

/// The monitors it names, each once.
fn resolve_monitors(
    written: &Written<'_, EndpointSpec>,
    monitors: &mut Names<'_, MonitorId>,
    found: &mut Vec<Diagnostic>,
) -> Vec<MonitorId> {
    let spec = written.value;
    let mut seen = HashSet::new();
    let mut resolved = Vec::new();
    for name in &spec.monitors {
        let Some(id) = monitors.resolve("monitor", name, written.file, found) else { continue };
        if seen.insert(id) {
            resolved.push(id);
        } else {
            let message = format!("monitor `{}` is here twice", name.value);
            found.push(
                Diagnostic::warning("repeated", written.place(name), message).hint("remove one of them"),
            );
        }
    }
    match (&spec.cname, spec.monitors.first()) {
        (Some(_), Some(first)) => {
            let message = "an endpoint with a cname cannot be checked: it has no address of its own";
            let hint = "remove `monitors`, or give the endpoint addresses";
            found.push(Diagnostic::error("unwatchable", written.place(first), message).hint(hint));
        }
        (None, None) => {
            let message = format!("endpoint `{}` has no monitor: it always counts as up", written.name.value);
            let hint = "add `monitors = [...]`, or nothing will notice when it dies";
            found.push(Diagnostic::warning("unmonitored", written.named(), message).hint(hint));
        }
        _ => {}
    }
    resolved
}

/// Targets, each once however many endpoints share it: what two endpoints share is checked once.
#[derive(Default)]
struct Targets {
    table: Vec<Target>,
    ids: HashMap<Target, TargetId>,
}

impl Targets {
    /// The targets of an endpoint by family, one for each monitor and address.
    fn of(&mut self, reach: &Reach, monitors: &[MonitorId]) -> [Vec<TargetId>; 2] {
        let Reach::Addresses { v4, v6 } = reach else { return Default::default() };
        let addresses = [v4.map(IpAddr::V4), v6.map(IpAddr::V6)];
        Family::BOTH.map(|family| {
            let Some(address) = addresses[family.index()] else { return Vec::new() };
            monitors.iter().map(|&monitor| self.share(Target { monitor, address })).collect()
        })
    }

    fn share(&mut self, target: Target) -> TargetId {
        *self.ids.entry(target.clone()).or_insert_with(|| {
            self.table.push(target);
            TargetId::at(self.table.len() - 1)
        })
    }
}
