//! Monitors: every setting that was left out gets its default, and an [`Ask`] its shape.

use std::time::Duration;

use domain::base::Rtype;
use domain::base::iana::Rcode;

use crate::model::{
    Answer, Ask, Expect, ExpectAnswer, ExpectDatagram, Monitor, MonitorId, Name, TlsAsk, Transport,
};
use crate::plan::compile::groups::{self, Group};
use crate::plan::compile::keys::{Key, refuse_misplaced};
use crate::plan::compile::names::{Names, Written};
use crate::spec::steering::{MonitorKind, MonitorSpec, SteeringFile, TlsSpec};
use crate::spec::{Diagnostic, Spanned, master};

/// All monitors.
#[derive(Debug)]
pub struct Monitors<'s> {
    /// Index [`MonitorId`].
    pub table: Vec<Monitor>,
    /// In the order in which they were written.
    pub groups: Vec<Group>,
    /// By name.
    pub names: Names<'s, Watch>,
}

/// What a name in `monitors` stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Watch {
    /// One monitor.
    Monitor(MonitorId),
    /// A group: an index into [`Monitors::groups`].
    Group(usize),
}

/// Compiles `[monitors]` of all files.
pub fn compile<'s>(files: &'s [SteeringFile], found: &mut Vec<Diagnostic>) -> Monitors<'s> {
    let mut monitors = Monitors { table: Vec::new(), groups: Vec::new(), names: Names::default() };
    let mut groups: Vec<Written<'s, MonitorSpec>> = Vec::new();
    for written in Written::all(files, |file| &file.monitors) {
        refuse_keys_of_other_types(&written, found);
        let id = match ask(&written, found) {
            Some(ask) => {
                let monitor = monitor(&written, ask);
                warn_of_risks(&written, &monitor, found);
                monitors.table.push(monitor);
                Watch::Monitor(MonitorId::at(monitors.table.len() - 1))
            }
            None => Watch::Group(groups.len()),
        };
        monitors.names.define("monitor", &written, id, found);
        if matches!(id, Watch::Group(_)) {
            groups.push(written);
        }
    }
    // A part may stand behind its group, and in another file.
    monitors.groups =
        groups.iter().map(|written| groups::compile(written, &mut monitors.names, found)).collect();
    monitors
}

fn monitor(written: &Written<'_, MonitorSpec>, ask: Ask) -> Monitor {
    let spec = written.value;
    let name = written.name.value.as_str().into();
    let quorum = or(&spec.quorum, QUORUM);
    if let Ask::Push { within } = ask {
        // One beat says that it lives, and one silence that it does not.
        return Monitor {
            name,
            ask,
            interval: within,
            timeout: within,
            recheck: within,
            fall: 1,
            rise: 1,
            quorum,
        };
    }
    let interval = or(&spec.interval, INTERVAL);
    Monitor {
        name,
        ask,
        interval,
        timeout: or(&spec.timeout, TIMEOUT),
        recheck: or(&spec.recheck, RECHECK.min(interval)),
        fall: or(&spec.fall, FALL),
        rise: or(&spec.rise, RISE),
        quorum,
    }
}

/// `None`: a group asks nothing of its own.
fn ask(written: &Written<'_, MonitorSpec>, found: &mut Vec<Diagnostic>) -> Option<Ask> {
    let spec = written.value;
    let port = port(written, found);
    Some(match spec.kind.value {
        MonitorKind::Tcp => Ask::Tcp { port },
        MonitorKind::Tls => Ask::Tls { port, tls: tls_ask(spec) },
        MonitorKind::Http => http_ask(spec, port, None),
        MonitorKind::Https => http_ask(spec, port, Some(tls_ask(spec))),
        MonitorKind::Dns => dns_ask(written, port, found),
        MonitorKind::Icmp => Ask::Icmp { payload: or(&spec.payload, PAYLOAD) },
        MonitorKind::Grpc => Ask::Grpc {
            port,
            tls: spec.tls.as_ref().map(|_| tls_ask(spec)),
            host: text(&spec.host),
            service: text(&spec.service).unwrap_or_default(),
        },
        MonitorKind::Udp => udp_ask(written, port, found),
        MonitorKind::Push => Ask::Push { within: within(written, found) },
        MonitorKind::Group => return None,
    })
}

/// The port that was written, or the one that everybody expects; some types have none.
fn port(written: &Written<'_, MonitorSpec>, found: &mut Vec<Diagnostic>) -> u16 {
    let spec = written.value;
    match (&spec.port, spec.kind.value) {
        (Some(port), _) => port.value,
        (None, MonitorKind::Http) => 80,
        (None, MonitorKind::Https | MonitorKind::Tls) => 443,
        (None, MonitorKind::Dns) => 53,
        (None, MonitorKind::Icmp | MonitorKind::Group | MonitorKind::Push) => 0,
        (None, kind @ (MonitorKind::Tcp | MonitorKind::Udp | MonitorKind::Grpc)) => {
            let message = format!("monitor `{}` does not say which port to connect to", written.name.value);
            let hint = format!("add `port = ...`: {} has no usual port", kind.word());
            found.push(Diagnostic::error("no-port", written.named(), message).hint(hint));
            0
        }
    }
}

fn http_ask(spec: &MonitorSpec, port: u16, tls: Option<TlsAsk>) -> Ask {
    let mut status: Vec<_> = spec.expect.status.iter().map(|range| range.value.clone()).collect();
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
        expect: Expect { status, body: text(&spec.expect.body) },
        agent: text(&spec.agent),
    }
}

fn tls_ask(spec: &MonitorSpec) -> TlsAsk {
    let tls = spec.tls.as_ref().map(|tls| tls.value.clone()).unwrap_or_default();
    TlsAsk {
        name: text(&tls.name).or_else(|| text(&spec.host)),
        verify: or(&tls.verify, true),
        roots: text(&tls.roots),
        warn_before: or(&tls.warn_before, WARN_BEFORE),
    }
}

/// As `dig` does: without a name the root's name servers, with one its address.
fn dns_ask(written: &Written<'_, MonitorSpec>, port: u16, found: &mut Vec<Diagnostic>) -> Ask {
    let spec = written.value;
    let name = or(&spec.name, Name::root_vec());
    let usual = if name.is_root() { Rtype::NS } else { Rtype::A };
    let record = or(&spec.record, usual);
    let mut rcodes: Vec<_> = spec.expect.rcode.iter().map(|rcode| rcode.value).collect();
    if rcodes.is_empty() {
        rcodes.push(Rcode::NOERROR);
    }
    let answers = spec.expect.answers.iter();
    let answers = answers.filter_map(|text| answer(written, record, text, found)).collect();
    Ask::Dns {
        port,
        name,
        record,
        transport: or(&spec.transport, Transport::Udp),
        recursion_desired: or(&spec.recursion_desired, false),
        expect: ExpectAnswer { rcodes, answers },
    }
}

fn answer(
    written: &Written<'_, MonitorSpec>,
    record: Rtype,
    text: &Spanned<String>,
    found: &mut Vec<Diagnostic>,
) -> Option<Answer> {
    match master::rdata(record, &text.value) {
        Ok(rdata) => Some(Answer { written: text.value.as_str().into(), rdata: rdata.into() }),
        Err(fault) => {
            let message = format!("this is no {record} data: {}", fault.message);
            let wrong = Diagnostic::error("bad-answer", written.place(text), message);
            found.push(match fault.hint {
                Some(hint) => wrong.hint(hint),
                None => wrong,
            });
            None
        }
    }
}

fn udp_ask(written: &Written<'_, MonitorSpec>, port: u16, found: &mut Vec<Diagnostic>) -> Ask {
    let spec = written.value;
    let send = match (&spec.send, &spec.send_hex) {
        (Some(_), Some(hex)) => {
            let message = "a datagram is sent as a text or as octets, not both";
            let hint = "remove `send` or `send_hex`";
            found.push(Diagnostic::error("two-kinds", written.place(hex), message).hint(hint));
            hex.value.as_slice()
        }
        (Some(text), None) => text.value.as_bytes(),
        (None, Some(hex)) => hex.value.as_slice(),
        (None, None) => {
            let message = format!("monitor `{}` does not say what to send", written.name.value);
            let hint = "add `send = \"...\"` or `send_hex = \"...\"`: something that is answered";
            found.push(Diagnostic::error("nothing-to-send", written.named(), message).hint(hint));
            &[]
        }
    };
    let prefix = or(&spec.expect.prefix_hex, Vec::new()).into();
    let expect = ExpectDatagram { body: text(&spec.expect.body), prefix };
    Ask::Udp { port, send: send.into(), expect }
}

/// There is no usual one: only who sends the beats knows how often.
fn within(written: &Written<'_, MonitorSpec>, found: &mut Vec<Diagnostic>) -> Duration {
    written.value.within.as_ref().map(|within| within.value).unwrap_or_else(|| {
        let name = &written.name.value;
        let message = format!("monitor `{name}` does not say for how long a beat is good");
        let hint = "add `within = \"90s\"`: three times the pause between two beats, so that two may be lost";
        found.push(Diagnostic::error("no-within", written.named(), message).hint(hint));
        Duration::ZERO
    })
}

fn refuse_keys_of_other_types(written: &Written<'_, MonitorSpec>, found: &mut Vec<Diagnostic>) {
    use MonitorKind::*;
    let spec = written.value;
    let kind = spec.kind.value;
    let (http, dns, udp) = (matches!(kind, Http | Https), kind == Dns, kind == Udp);
    let tls = matches!(kind, Https | Tls | Grpc);
    let checks = !matches!(kind, Group | Push);
    let header = spec.headers.first().map(|(name, _)| std::slice::from_ref(name)).unwrap_or_default();
    let expect = &spec.expect;
    let keys = [
        Key::one("port", &spec.port, kind != Icmp && checks),
        Key::one("path", &spec.path, http),
        Key::one("method", &spec.method, http),
        Key::one("host", &spec.host, http || tls),
        Key::many("headers", header, http),
        Key::one("name", &spec.name, dns),
        Key::one("record", &spec.record, dns),
        Key::one("transport", &spec.transport, dns),
        Key::one("recursion_desired", &spec.recursion_desired, dns),
        Key::one("payload", &spec.payload, kind == Icmp),
        Key::one("service", &spec.service, kind == Grpc),
        Key::one("send", &spec.send, udp),
        Key::one("send_hex", &spec.send_hex, udp),
        Key::one("agent", &spec.agent, http),
        Key::many("monitors", &spec.monitors, kind == Group),
        Key::one("need", &spec.need, kind == Group),
        Key::one("interval", &spec.interval, checks),
        Key::one("timeout", &spec.timeout, checks),
        Key::one("recheck", &spec.recheck, checks),
        Key::one("fall", &spec.fall, checks),
        Key::one("rise", &spec.rise, checks),
        Key::one("quorum", &spec.quorum, kind != Group),
        Key::one("within", &spec.within, kind == Push),
        Key::many("expect.status", &expect.status, http),
        Key::one("expect.body", &expect.body, http || udp),
        Key::one("expect.prefix_hex", &expect.prefix_hex, udp),
        Key::many("expect.rcode", &expect.rcode, dns),
        Key::many("expect.answers", &expect.answers, dns),
    ];
    let keys = keys.into_iter().chain(tls_keys(spec, tls));
    refuse_misplaced(written.file, keys, &format!("for a monitor of type {}", kind.word()), found);
}

/// The keys of `tls`; of an empty table, the table itself.
fn tls_keys(spec: &MonitorSpec, fits: bool) -> Vec<Key> {
    match &spec.tls {
        Some(tls) if tls.value != TlsSpec::default() => vec![
            Key::one("tls.verify", &tls.value.verify, fits),
            Key::one("tls.name", &tls.value.name, fits),
            Key::one("tls.roots", &tls.value.roots, fits),
            Key::one("tls.warn_before", &tls.value.warn_before, fits),
        ],
        empty => vec![Key::one("tls", empty, fits)],
    }
}

/// What is possible, but seldom meant.
fn warn_of_risks(written: &Written<'_, MonitorSpec>, monitor: &Monitor, found: &mut Vec<Diagnostic>) {
    let spec = written.value;
    let verify = spec.tls.as_ref().and_then(|tls| tls.value.verify.as_ref());
    if let Some(verify) = verify.filter(|verify| !verify.value) {
        let message = "certificates are not verified: anybody on the way can answer this check";
        let hint = "trust your own roots with `tls.roots` instead, or set the expected name with `tls.name`";
        found.push(Diagnostic::warning("unverified", written.place(verify), message).hint(hint));
    }
    if let Some(timeout) = spec.timeout.as_ref().filter(|timeout| timeout.value < SYN_RETRY) {
        let message = "with a timeout under 1s a single lost packet is a failed check";
        let hint = "a lost packet is sent again after 1s: `timeout = \"2s\"` lets it through";
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

/// Octets of an echo request, as Windows sends; ping's 56 show no more.
const PAYLOAD: u16 = 32;

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
                agent: None,
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
    fn a_check_without_a_usual_port_must_say_its_port() {
        for kind in ["tcp", "grpc"] {
            let compiled = compile(&format!("[monitors.web]\ntype = \"{kind}\"\n"));
            assert_eq!(compiled.codes(), ["no-port"], "{kind}");
        }
    }

    #[test]
    fn a_query_is_for_the_root_or_for_an_address() {
        let asked = |settings: &str| match monitor(&format!("type = \"dns\"\n{settings}")).ask {
            Ask::Dns { port, name, record, transport, recursion_desired, expect } => {
                assert_eq!((port, transport, recursion_desired), (53, Transport::Udp, false));
                assert_eq!(expect, ExpectAnswer { rcodes: vec![Rcode::NOERROR], answers: Vec::new() });
                format!("{name} {record}")
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(asked(""), ". NS");
        assert_eq!(asked("name = \"www.example.org\""), "www.example.org A");
        assert_eq!(asked("name = \"example.org.\"\nrecord = \"soa\""), "example.org SOA");
    }

    #[test]
    fn answers_are_read_as_the_type_asked_for() {
        let Ask::Dns { expect, .. } =
            monitor("type = \"dns\"\nrecord = \"mx\"\nexpect.answers = \"10 mail.example.\"").ask
        else {
            panic!()
        };
        assert_eq!(&*expect.answers[0].rdata, b"\0\x0a\x04mail\x07example\0");
        let wrong = "[monitors.web]\ntype = \"dns\"\nname = \"a\"\nexpect.answers = \"mail\"\n";
        assert_eq!(compile(wrong).codes(), ["bad-answer"]);
    }

    #[test]
    fn a_table_for_tls_is_what_makes_a_call_go_over_tls() {
        let tls =
            |settings: &str| monitor(&format!("type = \"grpc\"\nport = 1\n{settings}")).ask.tls().cloned();
        assert_eq!(tls("host = \"a.example\""), None);
        let over_tls = tls("host = \"a.example\"\ntls = {}").unwrap();
        assert_eq!((over_tls.name.as_deref(), over_tls.verify), (Some("a.example"), true));
    }

    #[test]
    fn a_datagram_is_a_text_or_octets() {
        let sent = |settings: &str| match monitor(&format!("type = \"udp\"\nport = 7\n{settings}")).ask {
            Ask::Udp { send, .. } => send.to_vec(),
            other => panic!("{other:?}"),
        };
        assert_eq!(sent("send = \"ping\""), b"ping");
        assert_eq!(sent("send_hex = \"80 ff01\""), [0x80, 0xff, 1]);
        let without = |settings: &str| {
            compile(&format!("[monitors.web]\ntype = \"udp\"\nport = 7\n{settings}\n")).codes().to_vec()
        };
        assert_eq!(without(""), ["nothing-to-send"]);
        assert_eq!(without("send = \"a\"\nsend_hex = \"01\""), ["two-kinds"]);
    }

    #[test]
    fn beats_have_their_one_time_and_one_of_them_is_enough() {
        let job = monitor("type = \"push\"\nwithin = \"90s\"\nquorum = \"50%\"");
        let within = Duration::from_secs(90);
        assert_eq!((&job.ask, job.ask.within()), (&Ask::Push { within }, Some(within)));
        assert_eq!((job.interval, job.timeout, job.recheck), (within, within, within));
        assert_eq!((job.fall, job.rise, job.quorum), (1, 1, 50));
    }

    #[test]
    fn whoever_awaits_beats_must_say_for_how_long_and_nothing_of_checks() {
        let codes =
            |settings: &str| compile(&format!("[monitors.job]\ntype = \"push\"\n{settings}\n")).codes();
        assert_eq!(codes(""), ["no-within"]);
        let within = "within = \"90s\"";
        for key in
            ["interval = \"5s\"", "timeout = \"2s\"", "recheck = \"1s\"", "fall = 2", "rise = 2", "port = 1"]
        {
            assert_eq!(codes(&format!("{within}\n{key}")), ["misplaced-key"], "{key}");
        }
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
