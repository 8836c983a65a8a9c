//! What names promise against what was demanded of them: `rto`.

use std::time::Duration;

use crate::model::{EndpointId, Monitor};
use crate::plan::compile::names::Site;
use crate::plan::promise::{self, Promise};
use crate::plan::{Plan, Steered, SteeredId};
use crate::spec::Diagnostic;

/// An error for each name that cannot keep the failover time that was demanded.
pub fn check(
    plan: &Plan,
    demands: &[(SteeredId, Site<'_>)],
    report_interval: Duration,
    found: &mut Vec<Diagnostic>,
) {
    let watched = promise::watched_by_pool(&plan.inventory);
    for (id, site) in demands {
        let steered = &plan.steered[id.0 as usize];
        let Some(rto) = steered.rto else { continue };
        let watched = watched[steered.pool.index()];
        match (watched.unwatched, Promise::new(steered, watched, report_interval)) {
            (Some(endpoint), _) => found.push(unwatched(endpoint, steered, plan, site)),
            (None, None) => found.push(unkept(steered, site)),
            (None, Some(promise)) if promise.total > rto => found.push(broken(&promise, plan, rto, site)),
            (None, Some(_)) => {}
        }
    }
}

fn unwatched(endpoint: EndpointId, steered: &Steered, plan: &Plan, site: &Site<'_>) -> Diagnostic {
    let endpoint = &plan.inventory.endpoints[endpoint.index()].name;
    let message = format!(
        "`{}` can promise no failover time: nothing notices when its endpoint `{endpoint}` dies",
        steered.owner
    );
    let hint = format!("add `monitors` to [endpoints.{endpoint}], or remove `rto`");
    Diagnostic::error("rto", site.place(), message).hint(hint)
}

fn unkept(steered: &Steered, site: &Site<'_>) -> Diagnostic {
    let message = format!("`{}` can promise no failover time: nothing checks its endpoints", steered.owner);
    let hint = "use endpoints with addresses and `monitors` in its pool, or remove `rto`";
    Diagnostic::error("rto", site.place(), message).hint(hint)
}

fn broken(promise: &Promise, plan: &Plan, rto: Duration, site: &Site<'_>) -> Diagnostic {
    let message =
        format!("`{}` can take {:?} to fail over, more than its rto of {rto:?}", promise.name, promise.total);
    let monitor = &plan.inventory.monitors[promise.monitor.index()];
    let endpoint = &plan.inventory.endpoints[promise.endpoint.index()];
    let hint = format!(
        "{promise}; monitor `{}` of endpoint `{}` is the slowest: {}",
        monitor.name,
        endpoint.name,
        pace(monitor)
    );
    Diagnostic::error("rto", site.place(), message).hint(hint)
}

/// The settings by which a monitor is as slow as it is.
fn pace(monitor: &Monitor) -> String {
    let Monitor { interval, timeout, recheck, fall, .. } = monitor;
    match monitor.ask.within() {
        Some(within) => format!("within {within:?}"),
        None => format!("interval {interval:?}, timeout {timeout:?}, recheck {recheck:?}, fall {fall}"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::plan::compile::fixture::{WORLD, compile};
    use crate::plan::promise::promises;

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

    #[test]
    fn a_demand_on_a_pool_with_an_endpoint_that_nothing_watches_is_an_error() {
        let text = format!(
            "{WORLD}[endpoints.bare]\nipv4 = \"203.0.113.30\"\n[pools.www]\npolicy = \"failover\"\n\
             members = [\"fra\", \"bare\", \"cdn\"]\n[names.www]\npool = \"www\"\nrto = \"60s\"\n"
        );
        let compiled = compile(&text);
        assert_eq!(compiled.codes(), ["rto", "unmonitored"]);
        assert!(compiled.only("rto").message.ends_with("its endpoint `bare` dies"));
        let compiled = compile(&text.replace("rto = \"60s\"\n", ""));
        let promise = &promises(compiled.plan(), Duration::from_secs(2))[0];
        assert!(promise.unwatched.is_some());
        assert!(promise.to_string().ends_with("; never for an endpoint without a monitor"), "{promise}");
    }

    #[test]
    fn a_host_name_is_watched_by_those_who_answer_for_it() {
        let text = format!(
            "{WORLD}[pools.www]\npolicy = \"failover\"\nmembers = [\"fra\", \"cdn\"]\n\
             [names.www]\npool = \"www\"\nrto = \"60s\"\n"
        );
        assert_eq!(compile(&text).codes(), [] as [&str; 0]);
    }
}
