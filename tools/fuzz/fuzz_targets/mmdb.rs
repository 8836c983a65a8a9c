//! A geo database, as a download leaves it: what can be read of it places clients, the rest is said to be of no use.

#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use libfuzzer_sys::fuzz_target;
use windrose::load::{Databases, Site};
use windrose::spec::machine::{Geo, Machine};
use windrose::spec::{Source, Sources};
use windrose_fuzz::{AT, Scratch, compile, told};

static SCRATCH: LazyLock<Scratch> = LazyLock::new(|| Scratch::new("some.mmdb"));

fuzz_target!(|octets: &[u8]| {
    SCRATCH.write(octets);
    let now = SystemTime::UNIX_EPOCH + Duration::from_millis(AT.0);
    let databases = Databases::open(&site(), now);
    told(&databases.warnings(now));
    if databases.summaries(now).is_empty() {
        return;
    }
    let facts = databases.facts();
    for client in CLIENTS {
        facts.of(client.parse().expect("an address"));
    }
    let sources = Sources { zones: Vec::new(), steering: vec![Source::new("world.toml", REGIONS)] };
    let plan = compile(&sources, facts).expect("no database makes a right plan wrong");
    for client in CLIENTS {
        plan.geo
            .locate(plan.inventory.map_ids().next().expect("the world"), client.parse().expect("an address"));
    }
});

/// This machine, with that database alone.
fn site() -> Site {
    let geo = Geo { databases: Some(vec!["some.mmdb".into()]), ..Machine::default().geo };
    let machine = Machine { geo, ..Machine::default() };
    let config = SCRATCH.directory().join("windrose.toml");
    Site { config, machine, zones: PathBuf::new(), state: PathBuf::new(), socket: PathBuf::new() }
}

const REGIONS: &str = r#"
[regions.eu]
at = [50.11, 8.68]
clients = ["continent:EU", "country:DE", "subdivision:US-CA"]
[regions.us]
at = [39.04, -77.49]
clients = ["asn:64500", "net:203.0.113.0/24"]
default = true
"#;

const CLIENTS: [&str; 8] = [
    "0.0.0.0",
    "192.0.2.1",
    "198.51.100.7",
    "255.255.255.255",
    "::",
    "2001:db8::1",
    "2002:c000:201::",
    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
];
