//! Monitors: every setting that was left out gets its default, and an [`Ask`] its shape.

use std::time::Duration;

use crate::model::{Ask, Expect, Monitor, MonitorId, TlsAsk};
use crate::plan::compile::keys::{Key, refuse_misplaced};
use crate::plan::compile::names::{Names, Written};
use crate::spec::steering::{MonitorKind, MonitorSpec, SteeringFile};
use crate::spec::{Diagnostic, Spanned};

/// All monitors.
#[derive(Debug)]
pub struct Monitors<'s> {
    /// Index [`MonitorId`].
    pub table: Vec<Monitor>,
    /// By name.
    pub names: Names<'s, MonitorId>,
}

/// Compiles `[monitors]` of all files.
pub fn compile<'s>(files: &'s [SteeringFile], found: &mut Vec<Diagnostic>) -> Monitors<'s> {
    let mut monitors = Monitors { table: Vec::new(), names: Names::default() };
    for written in Written::all(files, |file| &file.monitors) {
        monitors.names.define("monitor", &written, MonitorId::at(monitors.table.len()), found);
        refuse_keys_of_other_types(&written, found);
        let monitor = monitor(&written, found);
        warn_of_risks(&written, &monitor, found);
        monitors.table.push(monitor);
    }
    monitors
}

fn monitor(written: &Written<'_, MonitorSpec>, found: &mut Vec<Diagnostic>) -> Monitor {
    let spec = written.value;
    let interval = or(&spec.interval, INTERVAL);
    Monitor {
        name: written.name.value.as_str().into(),
        ask: ask(written, found),
        interval,
        timeout: or(&spec.timeout, TIMEOUT),
        recheck: or(&spec.recheck, RECHECK.min(interval)),
        fall: or(&spec.fall, FALL),
        rise: or(&spec.rise, RISE),
        quorum: or(&spec.quorum, QUORUM),
    }
}

fn ask(written: &Written<'_, MonitorSpec>, found: &mut Vec<Diagnostic>) -> Ask {
    let spec = written.value;
    let port = port(written, found);
    match spec.kind.value {
        MonitorKind::Tcp => Ask::Tcp { port },
        MonitorKind::Tls => Ask::Tls { port, tls: tls_ask(spec) },
        MonitorKind::Http => http_ask(spec, port, None),
        MonitorKind::Https => http_ask(spec, port, Some(tls_ask(spec))),
    }
}

/// The port that was written, or the one that everybody expects; a tcp check has none.
fn port(written: &Written<'_, MonitorSpec>, found: &mut Vec<Diagnostic>) -> u16 {
    let spec = written.value;
    match (&spec.port, spec.kind.value) {
        (Some(port), _) => port.value,
        (None, MonitorKind::Http) => 80,
        (None, MonitorKind::Https | MonitorKind::Tls) => 443,
        (None, MonitorKind::Tcp) => {
            let message = format!("monitor `{}` does not say which port to connect to", written.name.value);
            found.push(
                Diagnostic::error("no-port", written.named(), message)
                    .hint("add `port = ...`: tcp has no usual port"),
            );
            0
        }
    }
}

fn http_ask(spec: &MonitorSpec, port: u16, tls: Option<TlsAsk>) -> Ask {
    let mut status: Vec<_> = spec.expect_status.iter().map(|range| range.value.clone()).collect();
    if status.is_empty() {
        status.push(200..=299);
    }
    let headers = spec.headers.iter();
    Ask::Http {
        port,
        tls,
        method: text(&spec.method).unwrap_or_else(|| "GET".into()),
        path: text(&spec.path).unwrap_or_else(|| "/".into()),
        host: text(&spec.host),
        headers: headers
            .map(|(name, value)| (name.value.as_str().into(), value.value.as_str().into()))
            .collect(),
        expect: Expect { status, body: text(&spec.expect_body) },
    }
}

fn tls_ask(spec: &MonitorSpec) -> TlsAsk {
    TlsAsk {
        name: text(&spec.tls_name).or_else(|| text(&spec.host)),
        verify: or(&spec.tls_verify, true),
        roots: text(&spec.tls_roots),
        warn_before: or(&spec.tls_warn_before, WARN_BEFORE),
    }
}

fn refuse_keys_of_other_types(written: &Written<'_, MonitorSpec>, found: &mut Vec<Diagnostic>) {
    let spec = written.value;
    let (http, tls, word) = match spec.kind.value {
        MonitorKind::Http => (true, false, "http"),
        MonitorKind::Https => (true, true, "https"),
        MonitorKind::Tcp => (false, false, "tcp"),
        MonitorKind::Tls => (false, true, "tls"),
    };
    let header = spec.headers.first().map(|(name, _)| std::slice::from_ref(name)).unwrap_or_default();
    let keys = [
        Key::one("path", &spec.path, http),
        Key::one("method", &spec.method, http),
        Key::one("host", &spec.host, http || tls),
        Key::many("headers", header, http),
        Key::many("expect.status", &spec.expect_status, http),
        Key::one("expect.body", &spec.expect_body, http),
        Key::one("tls.verify", &spec.tls_verify, tls),
        Key::one("tls.name", &spec.tls_name, tls),
        Key::one("tls.roots", &spec.tls_roots, tls),
        Key::one("tls.warn_before", &spec.tls_warn_before, tls),
    ];
    refuse_misplaced(written.file, keys, &format!("for a monitor of type {word}"), found);
}

/// What is possible, but seldom meant.
fn warn_of_risks(written: &Written<'_, MonitorSpec>, monitor: &Monitor, found: &mut Vec<Diagnostic>) {
    let spec = written.value;
    if let Some(verify) = spec.tls_verify.as_ref().filter(|verify| !verify.value) {
        let message = "certificates are not verified: anybody on the way can answer this check";
        let hint = "trust your own roots with `tls.roots` instead, or set the expected name with `tls.name`";
        found.push(Diagnostic::warning("unverified", written.place(verify), message).hint(hint));
    }
    if let Some(timeout) = spec.timeout.as_ref().filter(|timeout| timeout.value < SYN_RETRY) {
        let message = "with a timeout under 1s a single lost packet is a failed check";
        let hint = "a lost SYN is sent again after 1s: `timeout = \"2s\"` lets it through";
        found.push(Diagnostic::warning("short-timeout", written.place(timeout), message).hint(hint));
    }
    if let Some(recheck) = spec.recheck.as_ref().filter(|_| monitor.recheck > monitor.interval) {
        let message = "`recheck` is longer than `interval`: a failure would slow the checks down";
        let hint = "leave it out: the default is 1s, or the interval if that is shorter";
        found.push(Diagnostic::warning("slow-recheck", written.place(recheck), message).hint(hint));
    }
}

fn or<T: Clone>(written: &Option<Spanned<T>>, default: T) -> T {
    written.as_ref().map_or(default, |written| written.value.clone())
}

fn text(written: &Option<Spanned<String>>) -> Option<Box<str>> {
    written.as_ref().map(|written| written.value.as_str().into())
}

const INTERVAL: Duration = Duration::from_secs(5);

/// One lost SYN, sent again after [`SYN_RETRY`], still makes it.
const TIMEOUT: Duration = Duration::from_secs(2);

const RECHECK: Duration = Duration::from_secs(1);

const FALL: u32 = 3;

const RISE: u32 = 2;

const QUORUM: u8 = 75;

const WARN_BEFORE: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// RFC 6298: the first retransmission of a SYN.
const SYN_RETRY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::compile::fixture::compile;

    fn monitor(settings: &str) -> Monitor {
        compile(&format!("[monitors.web]\n{settings}\n")).plan().inventory.monitors[0].clone()
    }

    #[test]
    fn what_is_left_out_has_its_default() {
        let monitor = monitor("type = \"http\"");
        let expected = Monitor {
            name: "web".into(),
            ask: Ask::Http {
                port: 80,
                tls: None,
                method: "GET".into(),
                path: "/".into(),
                host: None,
                headers: Vec::new(),
                expect: Expect { status: vec![200..=299], body: None },
            },
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(2),
            recheck: Duration::from_secs(1),
            fall: 3,
            rise: 2,
            quorum: 75,
        };
        assert_eq!(monitor, expected);
    }

    #[test]
    fn a_short_interval_is_its_own_recheck() {
        assert_eq!(monitor("type = \"http\"\ninterval = \"400ms\"").recheck, Duration::from_millis(400));
    }

    #[test]
    fn the_host_is_the_name_that_a_certificate_must_have() {
        let Ask::Tls { port, tls } = monitor("type = \"tls\"\nhost = \"www.example.org\"").ask else {
            panic!()
        };
        assert_eq!((port, tls.name.as_deref(), tls.verify), (443, Some("www.example.org"), true));
    }

    #[test]
    fn a_tcp_check_must_say_its_port() {
        assert_eq!(compile("[monitors.web]\ntype = \"tcp\"\n").codes(), ["no-port"]);
    }

    #[test]
    fn keys_of_another_type_are_errors() {
        let compiled =
            compile("[monitors.web]\ntype = \"tcp\"\nport = 80\npath = \"/\"\ntls.verify = true\n");
        assert_eq!(compiled.codes(), ["misplaced-key", "misplaced-key"]);
    }

    #[test]
    fn risky_settings_are_warned_of() {
        let compiled = compile(
            "[monitors.web]\ntype = \"https\"\ntls.verify = false\ntimeout = \"500ms\"\nrecheck = \"9s\"\n",
        );
        assert_eq!(compiled.codes(), ["short-timeout", "slow-recheck", "unverified"]);
        compiled.plan();
    }
}
