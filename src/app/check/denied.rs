//! Endpoints that this machine's probe must not connect to, told before it runs.

use crate::app::probing;
use crate::health::Guard;
use crate::load::Site;
use crate::model::{Target, TargetId};
use crate::plan::Plan;
use crate::spec::Diagnostic;

/// A warning for each endpoint that the probe of this machine has no opinion of.
pub(super) fn warnings(site: &Site, plan: &Plan) -> Vec<Diagnostic> {
    if site.machine.probe.enabled { denied(&probing::guard(site), plan) } else { Vec::new() }
}

fn denied(guard: &Guard, plan: &Plan) -> Vec<Diagnostic> {
    let inventory = &plan.inventory;
    let of_endpoint = |endpoint: &crate::model::Endpoint| {
        // Whoever sends beats is not connected to.
        let is_asked = |target: &&Target| inventory.monitors[target.monitor.index()].ask.within().is_none();
        let of_family = |targets: &Vec<TargetId>| {
            targets
                .iter()
                .map(|id| &inventory.targets[id.index()])
                .find(is_asked)
                .map(|target| target.address)
        };
        let addresses = endpoint.targets.iter().filter_map(of_family);
        let refused = addresses.filter_map(|address| Some((address, guard.admit(address).err()?)));
        refused.map(|(address, why)| (endpoint.name.clone(), address, why)).collect::<Vec<_>>()
    };
    let mut refused = inventory.endpoints.iter().flat_map(of_endpoint);
    let shown = refused.by_ref().take(SHOWN_MAX).map(|(name, address, why)| {
        let message =
            format!("the probe of this machine does not check endpoint `{name}`: {address} is {why}");
        Diagnostic::general_warning("denied", message).hint(HINT)
    });
    let mut warnings: Vec<Diagnostic> = shown.collect();
    match refused.count() {
        0 => {}
        more => {
            let message = format!("{more} more addresses are in `[probe] deny`");
            warnings.push(Diagnostic::general_warning("denied", message));
        }
    }
    warnings
}

const HINT: &str = "it counts as up here unless probes of other machines say otherwise";

/// Further ones are counted.
const SHOWN_MAX: usize = 10;
