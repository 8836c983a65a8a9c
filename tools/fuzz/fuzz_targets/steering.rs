//! Steering files, beside a zone: whatever is written in one is done or complained about, and every name that is steered can
//! be asked for, whoever is up.

#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use windrose::dns::respond::Transport;
use windrose::geo::Facts;
use windrose::health::Control;
use windrose::keeper::{Event, Keeper};
use windrose::spec::{Limits, Source, Sources};
use windrose_fuzz::{AT, Asker, compile, query};

fuzz_target!(|octets: &[u8]| {
    let text = String::from_utf8_lossy(octets);
    let sources = Sources {
        zones: vec![Source::new("example.org.zone", ZONE)],
        steering: vec![Source::new("example.org.toml", &text)],
    };
    let Some(plan) = compile(&sources, &Arc::new(Facts::none())) else { return };
    let plan = Arc::new(plan);
    let mut keeper = Keeper::new(Arc::clone(&plan), None, AT);
    let mut snapshot = keeper.first();
    let mut asker = Asker::new(Limits::none());
    // With all up, and then with one down after the other.
    let endpoints = plan.inventory.endpoints.iter().take(ENDPOINTS).map(|endpoint| endpoint.name.to_string());
    for down in [None].into_iter().chain(endpoints.map(Some)) {
        if let Some(endpoint) = down {
            let event = Event::Control { endpoint, control: Some(Control::ForceDown) };
            snapshot = keeper.apply(event, AT).snapshot.unwrap_or(snapshot);
        }
        for name in NAMES {
            for rtype in [A, AAAA, TXT] {
                asker.ask(&query(name, rtype), Transport::Udp, &snapshot).expect("a query is answered");
            }
        }
    }
});

const ZONE: &str = "\
$TTL 300
@ SOA ns1 host 1 2 3 4 5
@ NS ns1
ns1 A 192.0.2.53
www A 192.0.2.1
alias CNAME www
";

/// The names that the corpus steers.
const NAMES: [&[u8]; 4] = [
    b"\x07example\x03org\0",
    b"\x03www\x07example\x03org\0",
    b"\x05alias\x07example\x03org\0",
    b"\x01a\x04shop\x07example\x03org\0",
];
/// So many are taken down.
const ENDPOINTS: usize = 3;
const A: u16 = 1;
const TXT: u16 = 16;
const AAAA: u16 = 28;
