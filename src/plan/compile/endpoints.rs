//! Endpoints, and the targets that they share.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use crate::health::Guard;
use crate::model::{
    Coordinates, Endpoint, EndpointId, Family, Flap, MapId, MonitorId, Reach, RegionId, Target, TargetId,
};
use crate::plan::compile::beats::Awaited;
use crate::plan::compile::groups;
use crate::plan::compile::maps::Maps;
use crate::plan::compile::monitors::{Monitors, Watch};
use crate::plan::compile::names::{Names, Site, Written};
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
    maps: &mut Maps<'s>,
    monitors: &mut Monitors<'s>,
    serving: &mut Names<'s, Pick>,
    found: &mut Vec<Diagnostic>,
) -> Endpoints<'s> {
    let mut table = Vec::new();
    let mut cnames = Vec::new();
    let mut targets = Targets::default();
    let mut awaited = Awaited::default();
    for written in Written::all(files, |file| &file.endpoints) {
        let spec = written.value;
        serving.define("endpoint", &written, Pick::Endpoint(EndpointId::at(table.len())), found);
        let regions = maps.region_names(MapId::WORLD);
        let region =
            spec.region.as_ref().and_then(|name| regions.resolve("region", name, written.file, found));
        let watches = resolve_monitors(&written, &mut monitors.names, found);
        let name_of = |id: MonitorId| monitors.table[id.index()].name.clone();
        let (checks, needs) = groups::unfold(&watches, &monitors.groups, name_of);
        let reach = reach(&written, found);
        let asks = |id: &MonitorId| monitors.table[id.index()].ask.within().is_none();
        refuse_denied(&written, checks.iter().any(asks), found);
        awaited.add(&written, &checks, &monitors.table, found);
        table.push(Endpoint {
            name: written.name.value.as_str().into(),
            region,
            at: place(spec, region, maps),
            targets: targets.of(&reach, &checks),
            needs,
            flap: flap(&written, found),
            reach,
        });
        cnames.push(spec.cname.as_ref().map(|cname| written.site(cname)));
    }
    Endpoints { table, targets: targets.table, cnames }
}

/// Its own place, else its region's.
fn place(spec: &EndpointSpec, region: Option<RegionId>, maps: &Maps<'_>) -> Option<Coordinates> {
    let own = spec.at.as_ref().map(|at| at.value);
    own.or_else(|| region.and_then(|region| maps.world()[region.index()].at))
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

/// No probe connects to some addresses: what is there cannot be checked, and is no endpoint.
fn refuse_denied(written: &Written<'_, EndpointSpec>, is_asked: bool, found: &mut Vec<Diagnostic>) {
    if !is_asked {
        return;
    }
    let EndpointSpec { ipv4, ipv6, .. } = written.value;
    let v4 = ipv4.as_ref().map(|v4| (IpAddr::V4(v4.value), written.place(v4)));
    let v6 = ipv6.as_ref().map(|v6| (IpAddr::V6(v6.value), written.place(v6)));
    for (address, place) in [v4, v6].into_iter().flatten() {
        if let Err(denied) = Guard::default().admit(address) {
            let message = format!("no probe connects to {address}: it is {denied}");
            let hint = "write the address that clients reach the endpoint by";
            found.push(Diagnostic::error("unwatchable", place, message).hint(hint));
        }
    }
}

/// When it flaps. Without checks nothing changes.
fn flap(written: &Written<'_, EndpointSpec>, found: &mut Vec<Diagnostic>) -> Option<Flap> {
    let flap = written.value.flap.as_ref()?;
    if written.value.monitors.is_empty() {
        let message = format!("endpoint `{}` cannot flap: nothing checks it", written.name.value);
        let hint = "remove `flap`, or add `monitors = [...]`";
        found.push(Diagnostic::error("misplaced-key", written.place(flap), message).hint(hint));
    }
    Some(flap.value)
}

/// The monitors and groups it names, each once.
fn resolve_monitors(
    written: &Written<'_, EndpointSpec>,
    monitors: &mut Names<'_, Watch>,
    found: &mut Vec<Diagnostic>,
) -> Vec<Watch> {
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

#[cfg(test)]
mod tests {
    use crate::plan::compile::fixture::{WORLD, compile};

    #[test]
    fn an_endpoint_without_a_place_has_that_of_its_region() {
        let compiled = compile(WORLD);
        let region = &compiled.plan().inventory.regions[compiled.region("eu").index()];
        assert_eq!(compiled.endpoint("fra").at, region.at);
    }

    #[test]
    fn each_monitor_and_address_is_a_target_of_its_family() {
        let compiled = compile(WORLD);
        let fra = compiled.endpoint("fra");
        assert_eq!(fra.targets.each_ref().map(Vec::len), [1, 1]);
        assert_eq!(compiled.endpoint("iad").targets.each_ref().map(Vec::len), [1, 0]);
        assert_eq!(compiled.plan().inventory.targets.len(), 3);
    }

    #[test]
    fn endpoints_of_one_address_share_a_target() {
        let twin = "[endpoints.twin]\nipv4 = \"203.0.113.20\"\nmonitors = [\"web\"]\n";
        let compiled = compile(&format!("{WORLD}{twin}"));
        assert_eq!(compiled.endpoint("twin").targets, compiled.endpoint("iad").targets);
        assert_eq!(compiled.codes(), [] as [&str; 0]);
    }

    #[test]
    fn an_endpoint_that_can_answer_no_query_is_an_error() {
        let compiled = compile(&format!("{WORLD}[endpoints.nowhere]\nmonitors = [\"web\"]\n"));
        assert_eq!(compiled.codes(), ["no-address"]);
    }

    #[test]
    fn addresses_and_a_cname_are_an_error() {
        let compiled = compile("[endpoints.both]\nipv4 = \"192.0.2.1\"\ncname = \"cdn.example.net.\"\n");
        assert_eq!(compiled.codes(), ["two-kinds"]);
    }

    #[test]
    fn a_cname_cannot_be_checked() {
        let compiled =
            compile(&format!("{WORLD}[endpoints.x]\ncname = \"x.example.net.\"\nmonitors = [\"web\"]\n"));
        assert_eq!(compiled.codes(), ["unwatchable"]);
    }

    #[test]
    fn an_address_that_no_probe_connects_to_cannot_be_checked() {
        let of = |address: &str| compile(&format!("{WORLD}[endpoints.x]\n{address}\nmonitors = [\"web\"]\n"));
        for address in ["ipv4 = \"169.254.169.254\"", "ipv6 = \"fe80::1\"", "ipv6 = \"::ffff:224.0.0.1\""] {
            assert_eq!(of(address).codes(), ["unwatchable"], "{address}");
        }
        assert_eq!(of("ipv4 = \"127.0.0.1\"\nipv6 = \"fd00::1\"").codes(), [] as [&str; 0]);
    }

    #[test]
    fn an_endpoint_without_a_monitor_is_warned_of_and_a_cname_is_not() {
        let compiled =
            compile("[endpoints.a]\nipv4 = \"192.0.2.1\"\n[endpoints.b]\ncname = \"b.example.net.\"\n");
        assert!(compiled.only("unmonitored").message.starts_with("endpoint `a`"));
    }

    #[test]
    fn a_monitor_named_twice_is_one() {
        let twice = "[endpoints.x]\nipv4 = \"192.0.2.1\"\nmonitors = [\"web\", \"web\"]\n";
        let compiled = compile(&format!("{WORLD}{twice}"));
        assert_eq!(compiled.codes(), ["repeated"]);
        assert_eq!(compiled.endpoint("x").targets[0].len(), 1);
    }
}
