//! `[probe]`: the checks that run from this machine.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;

use super::{CONNECTIONS_MAX, DNS_PORT, HOUR, MINUTE, TENTH, plain};
use crate::health::Guard;
use crate::spec::prefix::PREFIX;
use crate::spec::reader::{ListOf, Problem, Table, Time, Truth, Whole, Written, key};

/// `[probe]`
#[derive(Clone, Debug, PartialEq)]
pub struct Probe {
    /// `enabled`: run checks from this machine; default true.
    pub enabled: bool,
    /// `report_interval`; default 2 s.
    pub report_interval: Duration,
    /// `settle`: a start with no state waits at most this long for a first opinion of every target; default 5 s.
    pub settle: Duration,
    /// `concurrency`: checks under way at once, at most; default 1000.
    pub concurrency: usize,
    /// `deny`: what it must not connect to, besides what is no endpoint's address; default nothing.
    pub deny: Vec<IpNet>,
    /// `references`: addresses that answer whenever this machine's own network works; default none.
    pub references: Vec<SocketAddr>,
}

impl Default for Probe {
    fn default() -> Self {
        Self {
            enabled: true,
            report_interval: Duration::from_secs(2),
            settle: Duration::from_secs(5),
            concurrency: 1000,
            deny: Vec::new(),
            references: Vec::new(),
        }
    }
}

pub(super) fn probe(table: &mut Table<'_>) -> Probe {
    let default = Probe::default();
    let deny =
        key("deny", "Prefixes that it does not connect to: what is there has no opinion of this probe.");
    let deny = table.optional(deny.or(NOTHING), ListOf::any(PREFIX)).map_or(default.deny, plain);
    let references = references(table, &deny);
    Probe {
        enabled: table.defaulted(
            key("enabled", "Whether checks run from this machine."),
            Truth,
            default.enabled,
        ),
        report_interval: table.defaulted(
            key(
                "report_interval",
                "How often the probe reports; after three of these without one, and 5s at least, it is stale.",
            ),
            Time::within(TENTH..=MINUTE),
            default.report_interval,
        ),
        settle: table.defaulted(
            key(
                "settle",
                "A start without state waits at most this long for a first opinion of every target.",
            ),
            Time::within(Duration::ZERO..=HOUR),
            default.settle,
        ),
        concurrency: table.defaulted(
            key("concurrency", "Checks under way at once, at most."),
            Whole::within(1..=CONNECTIONS_MAX),
            default.concurrency,
        ),
        deny,
        references,
    }
}

/// None of them may be where the probe does not connect to: it would never answer.
fn references(table: &mut Table<'_>, deny: &[IpNet]) -> Vec<SocketAddr> {
    let references = key(
        "references",
        "Addresses, with a TCP port or for port 53, that answer or refuse whenever this machine's network works.",
    );
    let references = table.optional(references.or(NOTHING), ListOf::any(REFERENCE));
    let guard = Guard::new(deny.to_vec());
    for reference in references.iter().flat_map(|references| &references.value) {
        if let Err(denied) = guard.admit(reference.value.ip()) {
            let message = format!("no probe connects to {}: it is {denied}", reference.value.ip());
            let problem = Problem::new("unreachable-reference", message);
            table.error(reference.span.clone(), problem.hint("name one that it may connect to"));
        }
    }
    references.map_or(Vec::new(), plain)
}

/// An address that answers whenever this machine's own network works.
const REFERENCE: Written<SocketAddr> = Written {
    expects: "an address, as \"192.0.2.53\", \"192.0.2.1:443\" or \"[2001:db8::1]:443\"",
    pattern: r"^[0-9A-Fa-f:.\[\]]+$",
    parse: |text| {
        let alone = |_| text.parse::<IpAddr>().map(|address| SocketAddr::new(address, DNS_PORT));
        match text.parse().or_else(alone) {
            Ok(reference) if reference.port() > 0 => Ok(reference),
            _ => Err(Problem::new("bad-address", format!("`{text}` is no address, and no address and port"))
                .hint("write \"192.0.2.53\", \"192.0.2.1:443\" or \"[2001:db8::1]:443\"; names are not looked up")),
        }
    },
};

/// [`Probe::deny`] and [`Probe::references`] as they would be written.
const NOTHING: &[&str] = &[];

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;
    use crate::spec::{Diagnostic, Source};

    fn read(text: &str) -> (Probe, Vec<Diagnostic>) {
        let mut diagnostics = Vec::new();
        let machine =
            parse(&Source::new("config/windrose.toml", &format!("[probe]\n{text}")), &mut diagnostics);
        (machine.probe, diagnostics)
    }

    #[test]
    fn a_reference_is_an_address_and_maybe_a_port() {
        let written =
            "references = [\"192.0.2.53\", \"192.0.2.1:443\", \"2001:db8::53\", \"[2001:db8::1]:443\"]\n";
        let (probe, diagnostics) = read(written);
        let read: Vec<String> = probe.references.iter().map(SocketAddr::to_string).collect();
        assert_eq!(read, ["192.0.2.53:53", "192.0.2.1:443", "[2001:db8::53]:53", "[2001:db8::1]:443"]);
        assert_eq!(diagnostics, []);
        for bad in ["a.example", "192.0.2.1:0", "192.0.2.1:99999", "[2001:db8::1]", "tcp://192.0.2.1", ""] {
            assert!((REFERENCE.parse)(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_reference_that_the_probe_does_not_connect_to_is_an_error() {
        let (_, diagnostics) =
            read("deny = [\"10.0.0.0/8\"]\nreferences = [\"10.0.0.1\", \"fe80::1\", \"192.0.2.1\"]\n");
        let messages: Vec<&str> = diagnostics.iter().map(|diagnostic| &*diagnostic.message).collect();
        assert_eq!(
            messages,
            [
                "no probe connects to 10.0.0.1: it is in 10.0.0.0/8 of `[probe] deny`",
                "no probe connects to fe80::1: it is a link-local address"
            ]
        );
    }
}
