//! `config/windrose.toml`: this machine, as it runs. Every field has a default; an empty file works.

mod dnssec;
mod fleet;
mod limits;
mod notify;
mod probe;
mod sandbox;
mod tls;
mod transfer;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

pub use dnssec::Dnssec;
pub use fleet::{Certificate, Fleet, Login};
use ipnet::IpNet;
pub use limits::Limits;
pub use notify::{EventChoice, EventKind, Notify, NotifyFormat};
pub use probe::Probe;
pub use sandbox::Sandbox;
pub use tls::Tls;
pub use transfer::{Grant, NamePattern, Secondary, SteeredChoice, Transfer, Tsig, Update, UpdateGrant};

use crate::spec::prefix::PREFIX;
use crate::spec::reader::{
    ListOf, MISSING_KEY, NAME, Problem, TEXT, Table, TableOf, Time, Truth, Whole, Written, key,
};
use crate::spec::{Diagnostic, Source, Spanned, reader};

/// This machine. Paths are as written: relative to the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Machine {
    /// Directory of zone and steering files; default `../zones`.
    pub zones: String,
    /// Directory of what survives a restart; default `../state`.
    pub state: String,
    /// `[machine]`
    pub machine: Identity,
    /// `[dns]`
    pub dns: Dns,
    /// `[tls]`; `None`: nothing is encrypted.
    pub tls: Option<Tls>,
    /// `[dnssec]`
    pub dnssec: Dnssec,
    /// `[tsig]`
    pub tsig: Tsig,
    /// `[transfer]`
    pub transfer: Transfer,
    /// `[update]`
    pub update: Update,
    /// `[limits]`
    pub limits: Limits,
    /// `[geo]`
    pub geo: Geo,
    /// `[probe]`
    pub probe: Probe,
    /// `[control]`
    pub control: Control,
    /// `[beats]`
    pub beats: Beats,
    /// `[notify]`; `None`: nobody is told over HTTP.
    pub notify: Option<Notify>,
    /// `[fleet]`; `None`: one machine alone.
    pub fleet: Option<Fleet>,
    /// `[sandbox]`
    pub sandbox: Sandbox,
}

/// `[machine]`
#[derive(Clone, Debug, PartialEq)]
pub struct Identity {
    /// `name`: in NSID, logs, status; default: the host's name (filled in by the edge when `None`).
    pub name: Option<String>,
    /// `region`: where it stands; default: the default region.
    pub region: Option<String>,
}

/// `[dns]`
#[derive(Clone, Debug, PartialEq)]
pub struct Dns {
    /// `listen`: UDP and TCP; default `127.0.0.1:5300` and `[::1]:5300`.
    pub listen: Vec<SocketAddr>,
    /// `workers`: UDP threads; 0: one per core.
    pub workers: usize,
    /// `client_subnet`: believe the option of RFC 7871; default true.
    pub client_subnet: bool,
    /// `client_subnet_from`: the resolvers whose option is believed; default all.
    pub client_subnet_from: Vec<IpNet>,
    /// `udp_payload`: largest UDP response, 512..=4096; default 1232.
    pub udp_payload: u16,
    /// `tcp_connections`: at most so many in all; default 1000.
    pub tcp_connections: usize,
    /// `tcp_connections_per_client`: at most so many from one address (IPv6: one /64); default 50.
    pub tcp_connections_per_client: usize,
    /// `tcp_connections_per_prefix`: at most so many from one network of `[limits]`; default 200.
    pub tcp_connections_per_prefix: usize,
    /// `tcp_idle`: a connection that asks nothing this long is closed; default 10 s.
    pub tcp_idle: Duration,
    /// `tcp_write`: a client that does not take its answer this long is cut off; default 5 s.
    pub tcp_write: Duration,
    /// `proxy_from`: load balancers that say by the PROXY protocol who the client is; default none.
    pub proxy_from: Vec<IpNet>,
    /// `cookies`: answer cookies (RFC 7873); default true.
    pub cookies: bool,
    /// `cookie_secrets`: a file with what they are made with; `None`: drawn at each start.
    pub cookie_secrets: Option<String>,
    /// `chaos_version`: what `version.bind` is answered with; `None`: it is refused.
    pub chaos_version: Option<String>,
    /// `chaos_name`: what `id.server` and `hostname.bind` are answered with; `None`: they are refused.
    pub chaos_name: Option<String>,
}

/// `[geo]`
#[derive(Clone, Debug, PartialEq)]
pub struct Geo {
    /// `databases`: of each fact the first that knows it counts; `None`: whatever is at the usual paths.
    pub databases: Option<Vec<String>>,
    /// `max_age`: an older database is warned of, and does not replace a younger one; default 180 days.
    pub max_age: Duration,
}

/// `[control]`
#[derive(Clone, Debug, PartialEq)]
pub struct Control {
    /// `socket`: a local socket for explain and control; default `windrose.sock` in the state directory.
    pub socket: Option<String>,
    /// `listen`: where metrics, status and health are read over HTTP; `None`: nowhere.
    pub listen: Option<SocketAddr>,
}

/// `[beats]`
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Beats {
    /// `listen`: where applications say over HTTP that they live; `None`: nowhere.
    pub listen: Option<SocketAddr>,
    /// `key_file`: a file with what they must say to be heard; `None`: everybody is.
    pub key_file: Option<String>,
}

impl Default for Machine {
    fn default() -> Self {
        Self {
            zones: "../zones".into(),
            state: "../state".into(),
            machine: Identity { name: None, region: None },
            dns: Dns {
                listen: vec![
                    SocketAddr::from(([127, 0, 0, 1], 5300)),
                    SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, 5300)),
                ],
                workers: 0,
                client_subnet: true,
                client_subnet_from: vec![IpNet::V4(Default::default()), IpNet::V6(Default::default())],
                udp_payload: 1232,
                tcp_connections: 1000,
                tcp_connections_per_client: 50,
                tcp_connections_per_prefix: 200,
                tcp_idle: Duration::from_secs(10),
                tcp_write: Duration::from_secs(5),
                cookies: true,
                cookie_secrets: None,
                chaos_version: None,
                chaos_name: None,
                proxy_from: Vec::new(),
            },
            tls: None,
            dnssec: Dnssec::default(),
            tsig: Tsig::default(),
            transfer: Transfer::default(),
            update: Update::default(),
            limits: Limits::default(),
            geo: Geo { databases: None, max_age: Duration::from_secs(180 * 24 * 60 * 60) },
            probe: Probe::default(),
            control: Control { socket: None, listen: None },
            beats: Beats::default(),
            notify: None,
            fleet: None,
            sandbox: Sandbox::default(),
        }
    }
}

/// Reads the file; whatever is absent or wrong has its default, and what is wrong is in the diagnostics.
pub fn parse(source: &Source, diagnostics: &mut Vec<Diagnostic>) -> Machine {
    reader::read(source, diagnostics, machine)
}

/// The JSON schema of the file.
pub(super) fn schema() -> serde_json::Value {
    reader::describe(machine)
}

fn machine(table: &mut Table<'_>) -> Machine {
    let default = Machine::default();
    let zones = key("zones", "Directory of the zone and steering files, relative to this file.");
    let state = key("state", "Directory of what survives a restart, relative to this file.");
    let mut read = Machine {
        zones: table.defaulted(zones, TEXT, default.zones),
        state: table.defaulted(state, TEXT, default.state),
        machine: table.section(key("machine", "Who this machine is."), identity),
        dns: table.section(key("dns", "Where and how DNS is answered."), dns),
        tls: None,
        dnssec: table.section(key("dnssec", "Which zones are signed, and with which keys."), dnssec::dnssec),
        tsig: table.section(key("tsig", "Keys that sign messages."), transfer::tsig),
        transfer: table.section(
            key("transfer", "Who may take zones whole, and is told that they changed; if absent, nobody."),
            transfer::transfer,
        ),
        update: table.section(
            key("update", "Who may change records over the wire; if absent, nobody."),
            transfer::update,
        ),
        limits: table.section(key("limits", "What keeps floods from doing harm."), limits::limits),
        geo: table.section(key("geo", "What tells where clients are."), geo),
        probe: table.section(key("probe", "The checks that run from this machine."), probe::probe),
        control: table.section(key("control", "How this machine is asked and told."), control),
        beats: table
            .section(key("beats", "How applications say that they live, for monitors of type push."), beats),
        notify: None,
        fleet: None,
        sandbox: table.section(key("sandbox", "What the server gives up once it runs."), sandbox::sandbox),
    };
    let tls = key("tls", "Where DNS is answered encrypted, and with which certificate; if absent, nowhere.");
    read.tls = table.optional(tls, TableOf(tls::tls)).and_then(|written| written.value);
    let notify = key("notify", "Who is told of what happens; if absent, nobody.");
    read.notify = table.optional(notify, TableOf(notify::notify)).and_then(|written| written.value);
    let fleet = key("fleet", "How this machine hears of the others; if absent, it is alone.");
    if let Some(written) = table.optional(fleet, TableOf(fleet::fleet)) {
        if read.machine.name.is_none() {
            let problem = Problem::new(MISSING_KEY, "a machine of a fleet needs a `name` of its own");
            table.error(
                written.span,
                problem.hint("add `name = \"ns1\"` to `[machine]`, another one on each machine"),
            );
        }
        read.fleet = written.value;
    }
    read
}

fn identity(table: &mut Table<'_>) -> Identity {
    let name = key("name", "Its name in NSID, logs and status; if absent, the host's.");
    let region =
        key("region", "The region where it stands: its probe votes there; if absent, the default one.");
    Identity { name: value(table.optional(name, NAME)), region: value(table.optional(region, NAME)) }
}

fn dns(table: &mut Table<'_>) -> Dns {
    let default = Machine::default().dns;
    let listen = key("listen", "Addresses and ports for UDP and TCP; one alone may stand without brackets.");
    let listen = table.optional(listen.or(LISTEN), ListOf::one_or_more(LISTENER));
    let client_subnet_from =
        key("client_subnet_from", "The resolvers whose client subnet option is believed.");
    let client_subnet_from = table.optional(client_subnet_from.or(EVERYBODY), ListOf::one_or_more(PREFIX));
    let proxy_from = key(
        "proxy_from",
        "Load balancers whose connections and datagrams start with a PROXY header (version 2).",
    );
    let proxy_from = table.optional(proxy_from.or(NOBODY), ListOf::any(PREFIX));
    Dns {
        proxy_from: proxy_from.map_or(default.proxy_from, plain),
        listen: listen.map_or(default.listen, plain),
        workers: table.defaulted(
            key("workers", "UDP threads; 0: one for each core."),
            Whole::within(0..=WORKERS_MAX),
            default.workers,
        ),
        client_subnet: table.defaulted(
            key("client_subnet", "Whether the EDNS client subnet option (RFC 7871) is believed."),
            Truth,
            default.client_subnet,
        ),
        client_subnet_from: client_subnet_from.map_or(default.client_subnet_from, plain),
        udp_payload: table.defaulted(
            key("udp_payload", "The largest UDP response, in bytes."),
            Whole::within(512..=4096),
            default.udp_payload,
        ),
        tcp_connections: table.defaulted(
            key("tcp_connections", "TCP connections at once, at most."),
            Whole::within(1..=CONNECTIONS_MAX),
            default.tcp_connections,
        ),
        tcp_connections_per_client: table.defaulted(
            key(
                "tcp_connections_per_client",
                "TCP connections at once from one address (IPv6: one /64), at most.",
            ),
            Whole::within(1..=CONNECTIONS_MAX),
            default.tcp_connections_per_client,
        ),
        tcp_connections_per_prefix: table.defaulted(
            key(
                "tcp_connections_per_prefix",
                "TCP connections at once from one network, as `[limits]` has it, at most.",
            ),
            Whole::within(1..=CONNECTIONS_MAX),
            default.tcp_connections_per_prefix,
        ),
        tcp_idle: table.defaulted(
            key("tcp_idle", "A TCP connection that asks nothing for this long is closed."),
            Time::within(TENTH..=HOUR),
            default.tcp_idle,
        ),
        tcp_write: table.defaulted(
            key("tcp_write", "A TCP client that does not take its answer for this long is cut off."),
            Time::within(TENTH..=HOUR),
            default.tcp_write,
        ),
        cookies: table.defaulted(
            key("cookies", "Whether cookies (RFC 7873) are answered."),
            Truth,
            default.cookies,
        ),
        cookie_secrets: value(table.optional(
            key(
                "cookie_secrets",
                "A file with the secrets of cookies; if absent, one is drawn at each start.",
            ),
            TEXT,
        )),
        chaos_version: value(table.optional(
            key("chaos_version", "What `version.bind` is answered with; if absent, it is refused."),
            TEXT,
        )),
        chaos_name: value(table.optional(
            key(
                "chaos_name",
                "What `id.server` and `hostname.bind` are answered with; if absent, they are refused.",
            ),
            TEXT,
        )),
    }
}

fn geo(table: &mut Table<'_>) -> Geo {
    let databases = key(
        "databases",
        "Files that tell where addresses are, the first that knows counts; if absent, whatever is at the usual paths.",
    );
    Geo {
        databases: table.optional(databases, ListOf::any(TEXT)).map(plain),
        max_age: table.defaulted(
            key("max_age", "An older database is warned of, and does not replace a younger one."),
            Time::within(DAY..=YEARS),
            Machine::default().geo.max_age,
        ),
    }
}

fn control(table: &mut Table<'_>) -> Control {
    let socket = key("socket", "The local socket; if absent, `windrose.sock` in the state directory.");
    let listen = key(
        "listen",
        "Address and port for metrics, status and health over HTTP; if absent, none is opened.",
    );
    Control {
        socket: value(table.optional(socket, TEXT)),
        listen: value(table.optional(listen, CONTROL_LISTENER)),
    }
}

fn beats(table: &mut Table<'_>) -> Beats {
    let listen = key("listen", "Address and port for beats over HTTP; if absent, none is opened.");
    let key_file =
        key("key_file", "A file with the key that each beat must carry; if absent, none is asked for.");
    let listen = table.optional(listen, BEATS_LISTENER);
    let key_file = table.optional(key_file, TEXT);
    if let Some(key_file) = key_file.as_ref().filter(|_| listen.is_none()) {
        let problem = Problem::new(MISSING_KEY, "`listen` is missing");
        table.error(
            key_file.span.clone(),
            problem.hint("add `listen = \"127.0.0.1:5381\"`: the key is for that port"),
        );
    }
    Beats { listen: value(listen), key_file: value(key_file) }
}

fn value<T>(written: Option<Spanned<T>>) -> Option<T> {
    written.map(|written| written.value)
}

fn plain<T>(list: Spanned<Vec<Spanned<T>>>) -> Vec<T> {
    list.value.into_iter().map(|one| one.value).collect()
}

/// An address to listen on for DNS.
const LISTENER: Written<SocketAddr> = Written {
    expects: "an address and a port, as \"127.0.0.1:5300\" or \"[::1]:5300\"",
    pattern: LISTENER_PATTERN,
    parse: |text| listener(text, DNS_PORT, 5300),
};

/// An address to listen on for HTTP.
const CONTROL_LISTENER: Written<SocketAddr> = Written {
    expects: "an address and a port, as \"127.0.0.1:5380\" or \"[::1]:5380\"",
    pattern: LISTENER_PATTERN,
    parse: |text| listener(text, CONTROL_PORT, CONTROL_PORT),
};

/// An address to listen on for beats.
const BEATS_LISTENER: Written<SocketAddr> = Written {
    expects: "an address and a port, as \"127.0.0.1:5381\" or \"[::1]:5381\"",
    pattern: LISTENER_PATTERN,
    parse: |text| listener(text, BEATS_PORT, BEATS_PORT),
};

/// Ends with a port.
const LISTENER_PATTERN: &str = r":\d{1,5}$";

/// Reads an address and a port; whoever forgot the port may have meant `usual`.
fn listener(text: &str, usual: u16, example: u16) -> Result<SocketAddr, Problem> {
    text.parse().map_err(|_| {
        let problem = Problem::new("bad-address", format!("`{text}` is no address and port"));
        problem.hint(match text.parse::<IpAddr>() {
            Ok(address) => format!("add a port: \"{}\"", SocketAddr::from((address, usual))),
            Err(_) => {
                format!("write an address and a port, as \"127.0.0.1:{example}\" or \"[::1]:{example}\"")
            }
        })
    })
}

/// [`Dns::listen`] as it would be written.
const LISTEN: &[&str] = &["127.0.0.1:5300", "[::1]:5300"];

/// [`Dns::client_subnet_from`] as it would be written.
const EVERYBODY: &[&str] = &["0.0.0.0/0", "::/0"];

/// [`Dns::proxy_from`] as it would be written.
const NOBODY: &[&str] = &[];

const DNS_PORT: u16 = 53;

const CONTROL_PORT: u16 = 5380;

const BEATS_PORT: u16 = 5381;

/// More threads than any machine has cores for.
const WORKERS_MAX: i64 = 1024;

/// More connections than one process has ports for.
const CONNECTIONS_MAX: i64 = 65_535;

const TENTH: Duration = Duration::from_millis(100);

const MINUTE: Duration = Duration::from_secs(60);

const HOUR: Duration = Duration::from_secs(60 * 60);

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Longer than anybody serves from one database.
const YEARS: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::schema;
    use proptest::prelude::*;
    use serde_json::Value;

    const SHIPPED: &str = include_str!("../../../config/windrose.toml");

    const LIKE_TOML: &str = "([a-z_]+ ?= ?[\"\\[\\]{}a-z0-9:,.-]*\n|\\[+[a-z.]*\\]+\n|.{0,9}\n?){0,12}";

    fn read(text: &str) -> (Machine, Vec<Diagnostic>) {
        let mut diagnostics = Vec::new();
        let machine = parse(&Source::new("config/windrose.toml", text), &mut diagnostics);
        (machine, diagnostics)
    }

    /// Every key of the schema with its default, as `section.key`.
    fn keys() -> Vec<(String, Option<Value>)> {
        let schema = schema::machine();
        let top = schema["properties"].as_object().expect("properties");
        let mut keys = Vec::new();
        for (name, property) in top {
            match property["properties"].as_object() {
                None => keys.push((name.clone(), property.get("default").cloned())),
                Some(section) => keys.extend(
                    section
                        .iter()
                        .map(|(key, property)| (format!("{name}.{key}"), property.get("default").cloned())),
                ),
            }
        }
        keys
    }

    #[test]
    fn an_empty_file_is_the_default() {
        assert_eq!(read(""), (Machine::default(), Vec::new()));
    }

    #[test]
    fn the_shipped_file_says_what_holds_anyway() {
        assert_eq!(read(SHIPPED), (Machine::default(), Vec::new()));
    }

    #[test]
    fn the_shipped_file_has_every_key_with_its_default() {
        let shipped: toml::Value = toml::from_str(SHIPPED).expect("TOML");
        for (key, default) in keys() {
            let (section, name) = key.split_once('.').unwrap_or(("", &key));
            let table = if section.is_empty() { Some(&shipped) } else { shipped.get(section) };
            if table.is_none() {
                assert!(SHIPPED.contains(&format!("\n# [{section}]\n")), "[{section}] is not there");
                assert!(SHIPPED.contains(&format!("\n# {name} = ")), "{key} is not there");
                continue;
            }
            let written = table.and_then(|table| table.get(name));
            let written = written.map(|value| serde_json::to_value(value).expect("plain data"));
            assert_eq!(written, default, "{key}");
            assert!(default.is_some() || SHIPPED.contains(&format!("\n# {name} = ")), "{key} is not there");
        }
    }

    #[test]
    fn the_defaults_that_the_schema_tells_are_those_that_hold() {
        let mut text = String::new();
        let mut section = String::new();
        let mut keys = keys();
        keys.sort_by_key(|(key, _)| key.contains('.'));
        for (key, default) in keys {
            let (table, name) = key.split_once('.').unwrap_or(("", &key));
            if ["fleet", "notify", "tls"].contains(&table) {
                // They mean nothing without somebody at the other end.
                continue;
            }
            if table != section {
                text.push_str(&format!("[{table}]\n"));
                section = table.to_owned();
            }
            if let Some(default) = default {
                text.push_str(&format!("{name} = {default}\n"));
            }
        }
        assert_eq!(read(&text), (Machine::default(), Vec::new()), "{text}");
    }

    #[test]
    fn what_is_written_holds() {
        let (machine, diagnostics) = read(
            "zones = \"/srv/zones\"\n[machine]\nname = \"ns1\"\nregion = \"eu\"\n[dns]\nlisten = \"0.0.0.0:53\"\n\
             workers = 2\nclient_subnet = false\nclient_subnet_from = [\"192.0.2.0/24\", \"::1\"]\n\
             tcp_idle = \"1m30s\"\n[geo]\ndatabases = [\"city.mmdb\", \"asn.mmdb\"]\nmax_age = \"30d\"\n[control]\nsocket = \"w.sock\"\nlisten = \"[::1]:5380\"\n[beats]\nlisten = \"127.0.0.1:5381\"\nkey_file = \"beats.key\"\n",
        );
        assert_eq!(diagnostics, []);
        assert_eq!(machine.zones, "/srv/zones");
        assert_eq!(machine.machine, Identity { name: Some("ns1".into()), region: Some("eu".into()) });
        assert_eq!(machine.dns.listen, [SocketAddr::from(([0, 0, 0, 0], 53))]);
        assert_eq!((machine.dns.workers, machine.dns.client_subnet), (2, false));
        let believed = ["192.0.2.0/24", "::1/128"].map(|net| net.parse().expect("a prefix"));
        assert_eq!(machine.dns.client_subnet_from, believed);
        assert_eq!(machine.dns.tcp_idle, Duration::from_secs(90));
        assert_eq!(machine.geo.databases, Some(vec!["city.mmdb".into(), "asn.mmdb".into()]));
        assert_eq!(machine.geo.max_age, 30 * DAY);
        assert_eq!(machine.control.socket.as_deref(), Some("w.sock"));
        assert_eq!(machine.control.listen, Some(SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, 5380))));
        let beats = Beats {
            listen: Some(SocketAddr::from(([127, 0, 0, 1], 5381))),
            key_file: Some("beats.key".into()),
        };
        assert_eq!(machine.beats, beats);
        assert_eq!(machine.probe, Machine::default().probe);
    }

    #[test]
    fn no_database_is_something_else_than_none_named() {
        assert_eq!(read("[geo]\n").0.geo.databases, None);
        assert_eq!(read("[geo]\ndatabases = []\n").0.geo.databases, Some(Vec::new()));
    }

    #[test]
    fn what_is_wrong_has_its_default_and_the_rest_holds() {
        let (machine, diagnostics) = read("[dns]\nworkers = 2\nudp_payload = 65535\ntcp_idle = 10\n");
        let codes: Vec<&str> = diagnostics.iter().map(|diagnostic| diagnostic.code).collect();
        assert_eq!(codes, ["out-of-range", "bare-number"]);
        assert_eq!(machine.dns, Dns { workers: 2, ..Machine::default().dns });
    }

    #[test]
    fn a_key_for_beats_needs_a_port_to_guard() {
        let (machine, diagnostics) = read("[beats]\nkey_file = \"beats.key\"\n");
        assert_eq!(diagnostics.iter().map(|found| found.code).collect::<Vec<_>>(), ["missing-key"]);
        assert_eq!(machine.beats.listen, None);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in LIKE_TOML) {
            read(&text);
        }

        #[test]
        fn no_damage_makes_it_panic(at in 0..SHIPPED.len(), gone in 0..200usize, new in ".{0,3}") {
            let bytes = SHIPPED.as_bytes();
            let end = (at + gone).min(bytes.len());
            let damaged = [&bytes[..at], new.as_bytes(), &bytes[end..]].concat();
            read(&String::from_utf8_lossy(&damaged));
        }
    }
}
