//! What names promise against what was demanded of them: `rto`.

use std::time::Duration;

use crate::plan::compile::names::Site;
use crate::plan::promise::{self, Promise};
use crate::plan::{Plan, SteeredId};
use crate::spec::Diagnostic;

/// An error for each name that cannot keep the failover time that was demanded.
pub fn check(
    plan: &Plan,
    demands: &[(SteeredId, Site<'_>)],
    report_interval: Duration,
    found: &mut Vec<Diagnostic>,
) {
    let slowest = promise::slowest_by_pool(&plan.inventory);
    for (id, site) in demands {
        let steered = &plan.steered[id.0 as usize];
        let Some(rto) = steered.rto else { continue };
        let Some(slowest) = slowest[steered.pool.index()] else {
            let message =
                format!("`{}` can promise no failover time: nothing checks its endpoints", steered.owner);
            let hint = "add `monitors` to the endpoints of its pool, or remove `rto`";
            found.push(Diagnostic::error("rto", site.place(), message).hint(hint));
            continue;
        };
        let promise = Promise::new(steered, slowest, report_interval);
        if promise.total > rto {
            found.push(broken(&promise, plan, rto, site));
        }
    }
}

fn broken(promise: &Promise, plan: &Plan, rto: Duration, site: &Site<'_>) -> Diagnostic {
    let message =
        format!("`{}` can take {:?} to fail over, more than its rto of {rto:?}", promise.name, promise.total);
    let monitor = &plan.inventory.monitors[promise.monitor.index()];
    let endpoint = &plan.inventory.endpoints[promise.endpoint.index()];
    let hint = format!(
        "{promise}; monitor `{}` of endpoint `{}` is the slowest: interval {:?}, timeout {:?}, recheck {:?}, fall {}",
        monitor.name, endpoint.name, monitor.interval, monitor.timeout, monitor.recheck, monitor.fall
    );
    Diagnostic::error("rto", site.place(), message).hint(hint)
}

#[cfg(test)]
mod tests {
    use crate::plan::compile::fixture::{WORLD, compile};

    fn demand(member: &str, rto: &str) -> crate::plan::compile::fixture::Compiled {
        compile(&format!(
            "{WORLD}[pools.www]\npolicy = \"failover\"\nmembers = [\"{member}\"]\n[names.www]\npool = \"www\"\nrto = \"{rto}\"\n"
        ))
    }

    #[test]
    fn a_demand_that_can_be_kept_is_fine() {
        assert_eq!(demand("fra", "44s").codes(), [] as [&str; 0]);
    }

    #[test]
    fn a_demand_that_cannot_be_kept_is_an_error_with_the_arithmetic() {
        let compiled = demand("fra", "43s");
        let found = compiled.only("rto");
        assert_eq!(found.message, "`www.example.org` can take 43.5s to fail over, more than its rto of 43s");
        let hint = found.hint.as_deref().unwrap();
        assert!(
            hint.starts_with("43.5s = detection 11.5s + publication 2s + cached 30s; monitor `web`"),
            "{hint}"
        );
    }

    #[test]
    fn a_demand_on_what_nothing_watches_is_an_error() {
        assert!(demand("cdn", "1h").only("rto").message.contains("nothing checks"));
    }
}
