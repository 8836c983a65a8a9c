//! The keys of a monitor: what to ask, how to judge the reply, how often.
//!
//! All keys are read for every type; the compiler says which of them mean nothing for the one that it is.

use std::ops::RangeInclusive;
use std::time::Duration;

use domain::base::Rtype;
use domain::base::iana::Rcode;

use crate::model::{Name, Transport};
use crate::spec::Spanned;
use crate::spec::reader::{
    ListOf, NAME, Percent, TEXT, Table, TableOf, Texts, Time, Truth, Whole, Word, key,
};
use crate::spec::steering::values::{
    HEADER_NAME, HEADER_VALUE, HEX, HOST, HowMany, METHOD, PATH, QUESTION, RECORD, Status,
};

/// `[monitors.NAME]`. Values that are absent are given their defaults by the compiler
/// ([`crate::plan::compile`]); values here are in range.
#[derive(Clone, Debug)]
pub struct MonitorSpec {
    /// `type`
    pub kind: Spanned<MonitorKind>,
    /// `port`; default 80 for http, 443 for https and tls, 53 for dns; required for tcp, udp and grpc.
    pub port: Option<Spanned<u16>>,
    /// `path`, http(s) only; default `/`.
    pub path: Option<Spanned<String>>,
    /// `method`, http(s) only; default `GET`.
    pub method: Option<Spanned<String>>,
    /// `host`, http(s), tls and grpc: Host header and SNI.
    pub host: Option<Spanned<String>>,
    /// `headers = { NAME = "value" }`, http(s) only.
    pub headers: Vec<(Spanned<String>, Spanned<String>)>,
    /// `name`, dns only: what is asked for; default the root.
    pub name: Option<Spanned<Name>>,
    /// `record`, dns only: the type asked for; default `A`, for the root `NS`.
    pub record: Option<Spanned<Rtype>>,
    /// `transport`, dns only; default `udp`.
    pub transport: Option<Spanned<Transport>>,
    /// `recursion_desired`, dns only; default false.
    pub recursion_desired: Option<Spanned<bool>>,
    /// `payload`, icmp only: octets; default 32.
    pub payload: Option<Spanned<u16>>,
    /// `service`, grpc only; default empty: the server as a whole.
    pub service: Option<Spanned<String>>,
    /// `send`, udp only: a text.
    pub send: Option<Spanned<String>>,
    /// `send_hex`, udp only: octets, instead of `send`.
    pub send_hex: Option<Spanned<Vec<u8>>>,
    /// `agent`, http(s) only: the header with the endpoint's own word.
    pub agent: Option<Spanned<String>>,
    /// `monitors`, group only: its parts.
    pub monitors: Vec<Spanned<String>>,
    /// `need`, group only.
    pub need: Option<Spanned<NeedSpec>>,
    /// `within`, push only: for how long a beat is good; required there.
    pub within: Option<Spanned<Duration>>,
    /// `expect = { ... }`
    pub expect: ExpectSpec,
    /// `tls = { ... }`, https, tls and grpc; for grpc its presence means TLS.
    pub tls: Option<Spanned<TlsSpec>>,
    /// `interval`; default 5 s.
    pub interval: Option<Spanned<Duration>>,
    /// `timeout`; default 2 s.
    pub timeout: Option<Spanned<Duration>>,
    /// `recheck`; default 1 s, or the interval if that is shorter.
    pub recheck: Option<Spanned<Duration>>,
    /// `fall`; default 3.
    pub fall: Option<Spanned<u32>>,
    /// `rise`; default 2.
    pub rise: Option<Spanned<u32>>,
    /// `quorum`, percent; default 75.
    pub quorum: Option<Spanned<u8>>,
}

/// `type` of a monitor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MonitorKind {
    /// An HTTP request.
    Http,
    /// An HTTP request over TLS.
    Https,
    /// A TCP connection.
    Tcp,
    /// A TLS handshake.
    Tls,
    /// A DNS query.
    Dns,
    /// An ICMP echo request.
    Icmp,
    /// A gRPC health check.
    Grpc,
    /// A UDP datagram.
    Udp,
    /// Other monitors, of which so many must pass.
    Group,
    /// Beats that the application sends by itself.
    Push,
}

/// How many monitors of a group must pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NeedSpec {
    /// `"all"`
    All,
    /// `"any"`
    Any,
    /// So many.
    AtLeast(u16),
}

impl MonitorKind {
    /// As it is written.
    pub fn word(self) -> &'static str {
        let words = MONITOR_KIND.words.iter();
        words.filter(|(_, kind)| *kind == self).map(|(word, _)| *word).next().unwrap_or_default()
    }
}

/// `expect` of a monitor.
#[derive(Clone, Debug, Default)]
pub struct ExpectSpec {
    /// `status = ["200-299"]`, http(s) only; default `200-299`.
    pub status: Vec<Spanned<RangeInclusive<u16>>>,
    /// `body = "text"`, http(s) and udp.
    pub body: Option<Spanned<String>>,
    /// `prefix_hex = "8001"`, udp only: the first octets.
    pub prefix_hex: Option<Spanned<Vec<u8>>>,
    /// `rcode = ["NOERROR"]`, dns only; default `NOERROR`.
    pub rcode: Vec<Spanned<Rcode>>,
    /// `answers = ["192.0.2.1"]`, dns only: as in a zone file, of the type asked for.
    pub answers: Vec<Spanned<String>>,
}

/// `tls` of a monitor.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TlsSpec {
    /// `verify`; default true.
    pub verify: Option<Spanned<bool>>,
    /// `name`: to send and verify instead of `host`.
    pub name: Option<Spanned<String>>,
    /// `roots`: a PEM file.
    pub roots: Option<Spanned<String>>,
    /// `warn_before`; default 14 days.
    pub warn_before: Option<Spanned<Duration>>,
}

/// A type that cannot be read counts as http, which most keys fit: the monitor stays known by its name.
pub(super) fn monitor(table: &mut Table<'_>) -> Option<MonitorSpec> {
    let kind = table.required(key("type", "What one check does."), MONITOR_KIND);
    let port = key("port", "Port to connect to; if absent, 80 for http, 443 for https and tls, 53 for dns.");
    let host =
        key("host", "Host header, and the name for TLS; the connection goes to the endpoint's address.");
    let headers = Texts { name: HEADER_NAME, text: HEADER_VALUE };
    let record = key("record", "dns: the type asked for; if absent, A, or NS for the root.");
    let service = key("service", "grpc: the service asked about; if absent, the server as a whole.");
    let pause = || Time::within(PAUSE_MIN..=PAUSE_MAX);
    Some(MonitorSpec {
        kind: kind.unwrap_or(Spanned { value: MonitorKind::Http, span: 0..0 }),
        port: table.optional(port, Whole::within(1..=65535)),
        path: table.optional(key("path", "Path and query to ask for.").or("/"), PATH),
        method: table.optional(key("method", "Method of the request.").or("GET"), METHOD),
        host: table.optional(host, HOST),
        headers: table
            .optional(key("headers", "Headers to send."), headers)
            .map(|written| written.value)
            .unwrap_or_default(),
        name: table.optional(key("name", "dns: the name asked for.").or("."), QUESTION),
        record: table.optional(record, RECORD),
        transport: table.optional(key("transport", "dns: what the query goes over.").or("udp"), TRANSPORT),
        recursion_desired: table.optional(
            key("recursion_desired", "dns: whether a resolver shall go and find the answer.").or(false),
            Truth,
        ),
        payload: table.optional(
            key("payload", "icmp: how many octets the endpoint shall echo.").or(32),
            Whole::within(PAYLOAD_MIN..=PAYLOAD_MAX),
        ),
        service: table.optional(service, TEXT),
        send: table.optional(key("send", "udp: the text of the datagram."), TEXT),
        send_hex: table.optional(
            key("send_hex", "udp: the octets of the datagram, in hexadecimal, instead of `send`."),
            HEX,
        ),
        agent: table.optional(
            key("agent", "http, https: a header of the reply that says up, drain, down, or a share as 75%."),
            HEADER_NAME,
        ),
        monitors: table.list(key("monitors", "group: its parts."), NAME),
        need: table.optional(key("need", "group: how many of its parts must pass."), HowMany),
        within: table.optional(
            key("within", "push: when no beat came for so long, it is down."),
            Time::within(WITHIN_MIN..=WITHIN_MAX),
        ),
        expect: table.section(key("expect", "What a good reply is."), expect),
        tls: table
            .optional(key("tls", "How the certificate is judged. For grpc: that TLS is used."), TableOf(tls)),
        interval: table.optional(
            key("interval", "From the start of one check to the start of the next.").or("5s"),
            pause(),
        ),
        timeout: table.optional(
            key("timeout", "A check that takes longer has failed.").or("2s"),
            Time::within(TIMEOUT_MIN..=TIMEOUT_MAX),
        ),
        recheck: table.optional(
            key("recheck", "Instead of the interval, while results speak against what is held.").or("1s"),
            pause(),
        ),
        fall: table.optional(
            key("fall", "Failures in a row until it is down.").or(3),
            Whole::within(1..=IN_A_ROW_MAX),
        ),
        rise: table.optional(
            key("rise", "Successes in a row until it is up.").or(2),
            Whole::within(1..=IN_A_ROW_MAX),
        ),
        quorum: table
            .optional(key("quorum", "Share of a region's probes that must say down.").or("75%"), Percent),
    })
}

fn expect(table: &mut Table<'_>) -> ExpectSpec {
    let status = key("status", "http, https: any of these: \"200-299\", \"204\" or 204.").or(STATUS_DEFAULT);
    let body =
        key("body", "http, https: a text that the first 64 KiB of the body must hold; udp: the reply.");
    let rcode = key("rcode", "dns: any of these.").or(RCODE_DEFAULT);
    let answers =
        key("answers", "dns: data that the answer must hold, all of it, as it is written in a zone file.");
    ExpectSpec {
        status: one_or_more(table.optional(status, ListOf::one_or_more(Status))),
        body: table.optional(body, TEXT),
        prefix_hex: table
            .optional(key("prefix_hex", "udp: what the reply must start with, in hexadecimal."), HEX),
        rcode: one_or_more(table.optional(rcode, ListOf::one_or_more(RCODE))),
        answers: one_or_more(table.optional(answers, ListOf::one_or_more(TEXT))),
    }
}

fn one_or_more<T>(written: Option<Spanned<Vec<Spanned<T>>>>) -> Vec<Spanned<T>> {
    written.map(|list| list.value).unwrap_or_default()
}

fn tls(table: &mut Table<'_>) -> TlsSpec {
    TlsSpec {
        verify: table.optional(key("verify", "Whether the certificate must be valid.").or(true), Truth),
        name: table.optional(key("name", "The name to ask for and to verify; if absent, the host."), HOST),
        roots: table
            .optional(key("roots", "A PEM file with the roots to trust instead of this machine's."), TEXT),
        warn_before: table.optional(
            key("warn_before", "A certificate that ends sooner than this is warned of.").or("14d"),
            Time::within(Duration::ZERO..=YEARS),
        ),
    }
}

const MONITOR_KIND: Word<MonitorKind> = Word {
    what: "monitor type",
    words: &[
        ("http", MonitorKind::Http),
        ("https", MonitorKind::Https),
        ("tcp", MonitorKind::Tcp),
        ("tls", MonitorKind::Tls),
        ("dns", MonitorKind::Dns),
        ("icmp", MonitorKind::Icmp),
        ("grpc", MonitorKind::Grpc),
        ("udp", MonitorKind::Udp),
        ("group", MonitorKind::Group),
        ("push", MonitorKind::Push),
    ],
};

const TRANSPORT: Word<Transport> =
    Word { what: "transport", words: &[("udp", Transport::Udp), ("tcp", Transport::Tcp)] };

/// Those that a healthy server may answer with on purpose; the first is what most mean.
const RCODE: Word<Rcode> = Word {
    what: "response code",
    words: &[
        ("NOERROR", Rcode::NOERROR),
        ("NXDOMAIN", Rcode::NXDOMAIN),
        ("REFUSED", Rcode::REFUSED),
        ("SERVFAIL", Rcode::SERVFAIL),
        ("NOTIMP", Rcode::NOTIMP),
        ("FORMERR", Rcode::FORMERR),
        ("NOTAUTH", Rcode::NOTAUTH),
    ],
};

const STATUS_DEFAULT: &[&str] = &["200-299"];

const RCODE_DEFAULT: &[&str] = &["NOERROR"];

/// The token that tells a reply from a forged one fits in.
const PAYLOAD_MIN: i64 = 8;

/// A packet of any path holds it.
const PAYLOAD_MAX: i64 = 1200;

/// More often than this, checks are load.
pub(super) const PAUSE_MIN: Duration = Duration::from_millis(100);

/// More seldom than this, nobody can speak of health.
const PAUSE_MAX: Duration = Duration::from_secs(60 * 60);

/// No network answers sooner.
const TIMEOUT_MIN: Duration = Duration::from_millis(10);

/// Nobody waits longer.
const TIMEOUT_MAX: Duration = Duration::from_secs(60);

/// Closer beats are load.
const WITHIN_MIN: Duration = Duration::from_secs(1);

/// Whoever shows life more seldom is no part of an answer within minutes: a weekly job is the slowest.
const WITHIN_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// With more results in a row asked for, nothing would ever turn.
pub(super) const IN_A_ROW_MAX: i64 = 100;

/// Longer than any certificate lives.
const YEARS: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);
