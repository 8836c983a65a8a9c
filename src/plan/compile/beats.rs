//! Who is meant by a beat: it is for all targets of its endpoint that await beats, so no other endpoint may share one.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::model::{Family, Monitor, MonitorId, Target};
use crate::plan::compile::names::Written;
use crate::spec::Diagnostic;
use crate::spec::steering::EndpointSpec;

/// The targets that await beats, and the endpoint of each.
#[derive(Debug, Default)]
pub struct Awaited<'s> {
    endpoints: HashMap<Target, &'s str>,
}

impl<'s> Awaited<'s> {
    /// Adds an endpoint that is checked with these monitors; one whose beats would count for another is an error.
    pub fn add(
        &mut self,
        written: &Written<'s, EndpointSpec>,
        checks: &[MonitorId],
        monitors: &[Monitor],
        found: &mut Vec<Diagnostic>,
    ) {
        let EndpointSpec { ipv4, ipv6, .. } = written.value;
        let addresses = [
            ipv4.as_ref().map(|v4| (IpAddr::V4(v4.value), written.place(v4))),
            ipv6.as_ref().map(|v6| (IpAddr::V6(v6.value), written.place(v6))),
        ];
        let awaiting = |id: &&MonitorId| monitors[id.index()].ask.within().is_some();
        for monitor in checks.iter().filter(awaiting) {
            for (address, place) in addresses.iter().flatten() {
                let target = Target { monitor: *monitor, address: *address };
                let name = written.name.value.as_str();
                let first = *self.endpoints.entry(target).or_insert(name);
                if first != name {
                    let (monitor, family) = (&monitors[monitor.index()].name, Family::of(*address));
                    let message = format!(
                        "a beat for `{name}` would count for `{first}` too: monitor `{monitor}` awaits both, and they have one {family} address"
                    );
                    let hint = "give one of them a push monitor of its own";
                    found.push(Diagnostic::error("shared-beat", place.clone(), message).hint(hint));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::plan::compile::fixture::{WORLD, compile};

    const MONITORS: &str = "[monitors.job]\ntype = \"push\"\nwithin = \"90s\"\n[monitors.other]\ntype = \"push\"\n\
         within = \"90s\"\n[monitors.g]\ntype = \"group\"\nmonitors = [\"web\", \"job\"]\nneed = \"any\"\n";

    /// What is found of two endpoints with these lines; both have the address 192.0.2.1.
    fn codes(one: &str, another: &str) -> Vec<&'static str> {
        let endpoint = |name: &str, more: &str| format!("[endpoints.{name}]\nipv4 = \"192.0.2.1\"\n{more}\n");
        compile(&format!("{WORLD}{MONITORS}{}{}", endpoint("one", one), endpoint("another", another))).codes()
    }

    #[test]
    fn endpoints_of_one_address_do_not_share_their_beats() {
        let job = "monitors = [\"job\"]";
        assert_eq!(codes(job, job), ["shared-beat"]);
        assert_eq!(codes(job, "monitors = [\"g\"]"), ["shared-beat"], "nor as parts of a group");
        assert_eq!(codes(job, "monitors = [\"other\", \"web\"]"), [] as [&str; 0]);
    }

    #[test]
    fn each_shared_address_is_shown() {
        let job = "ipv6 = \"2001:db8::1\"\nmonitors = [\"job\"]";
        assert_eq!(codes(job, job), ["shared-beat", "shared-beat"]);
    }

    #[test]
    fn whom_nobody_connects_to_may_send_beats_from_anywhere() {
        let local = |monitor: &str| {
            let endpoint = format!("[endpoints.x]\nipv4 = \"169.254.1.1\"\nmonitors = [\"{monitor}\"]\n");
            compile(&format!("{WORLD}{MONITORS}{endpoint}")).codes()
        };
        assert_eq!(local("job"), [] as [&str; 0]);
        assert_eq!(local("g"), ["unwatchable"]);
    }
}
