//! Transfers and updates, as they come and signed with a key that may do all of it. With what an update makes of a zone
//! the zone is served, and it can be kept and read again; or it is refused.

#![no_main]

use std::cell::RefCell;
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use ring::hmac;
use tokio::sync::mpsc::{Receiver, channel};
use windrose::dns::primary::{Errand, Keys, Primary, Settings, UpdateCall};
use windrose::dns::respond::{Arrival, Transport};
use windrose::load::Journal;
use windrose::model::Name;
use windrose::primary::update::work_out;
use windrose::primary::{Edition, Editions, Overlay, Steered, of_zone};
use windrose::snapshot::Snapshot;
use windrose::spec::Limits;
use windrose::spec::machine::{Grant, UpdateGrant};
use windrose_fuzz::{Asker, NOW, World, compile_updated, read};

struct Target {
    snapshot: Snapshot,
    asker: Asker,
    primary: Primary,
    calls: Receiver<UpdateCall>,
}

impl Target {
    fn new() -> Self {
        let (changes, calls) = channel(1);
        let grant = UpdateGrant { key: KEY_NAME.parse().expect("a name"), names: Vec::new(), types: None };
        let primary = Primary::new(Settings {
            keys: Keys::parse(KEY_FILE).expect("a key"),
            transfers: vec![Grant { from: None, key: None }],
            updates: vec![grant],
            changes,
        });
        let [snapshot, ..] = World::new().snapshots;
        let editions = Arc::new(editions(&snapshot));
        Self {
            snapshot: Snapshot { editions, ..snapshot },
            asker: Asker::new(Limits::none()),
            primary,
            calls,
        }
    }

    fn take(&mut self, packet: &[u8]) {
        if !self.primary.is_errand(packet) {
            return;
        }
        for packet in [Some(packet.to_vec()), signed(packet)].into_iter().flatten() {
            for transport in [Transport::Udp, Transport::Tcp] {
                self.run(&packet, transport);
            }
        }
    }

    fn run(&mut self, packet: &[u8], transport: Transport) {
        let client = "198.18.0.9:4242".parse().expect("an address");
        let arrival = Arrival { packet, client, transport, draw: 7, now: NOW };
        let tell = || Box::new(|octets: Vec<u8>| _ = read(&octets)) as Box<dyn FnOnce(Vec<u8>) + Send>;
        match self.primary.run(&arrival, &self.snapshot, self.asker.responder(), tell) {
            None => {}
            Some(Errand::Reply(octets)) => {
                assert!(octets.len() <= usize::from(u16::MAX), "{} octets", octets.len());
                read(&octets);
            }
            Some(Errand::Transfer(mut transfer)) => {
                assert_eq!(transport, Transport::Tcp, "a transfer in datagrams");
                let messages = std::iter::from_fn(|| transfer.next()).inspect(|octets| _ = read(octets));
                assert!((1..MESSAGES_MAX).contains(&messages.count()), "a transfer without an end, or empty");
            }
            Some(Errand::Later) => {
                let call = self.calls.try_recv().expect("an update is passed on");
                self.update(&call);
            }
        }
    }

    fn update(&self, call: &UpdateCall) {
        let plan = &self.snapshot.plan;
        let Some(apex) = plan.zones.exact(&call.apex).filter(|node| node.is_apex()) else { return };
        let Ok(difference) = work_out(plan, apex, &call.update, &|_, _| true) else { return };
        let overlay = Overlay::default().after(&difference.removed, &difference.added);
        // Else it is refused, and nothing is kept.
        if compile_updated(&call.apex, &overlay).is_none() {
            return;
        }
        let zone = Name::from_octets(call.apex.clone()).expect("an apex is a name");
        let journal =
            Journal::new(&zone, overlay, self.snapshot.editions.of(&call.apex).map(|edition| &**edition));
        let text = serde_json::to_vec(&journal).expect("a journal is JSON");
        let again: Journal = serde_json::from_slice(&text).expect("what is kept can be read");
        assert_eq!(again, journal, "it does not come back");
    }
}

/// The editions of all zones, with a change behind each.
fn editions(snapshot: &Snapshot) -> Editions {
    let plan = &snapshot.plan;
    let edition = |(apex, names): (windrose::plan::zone::Node<'_>, Vec<windrose::plan::zone::Node<'_>>)| {
        let holds = |steered| of_zone(plan, apex, &names, steered, NOW).expect("a zone has an SOA record");
        let first = Edition::first(holds(Steered::Static), None);
        let next = first.next(holds(Steered::Live(&snapshot.health)), 10).unwrap_or(first);
        (apex.owner().into(), Arc::new(next))
    };
    plan.zones.by_zone().map(edition).collect()
}

/// The packet with a TSIG record (RFC 8945) by the key; `None`: there is no place for one.
fn signed(packet: &[u8]) -> Option<Vec<u8>> {
    let header: &[u8; HEADER] = packet.first_chunk()?;
    let records = u16::from_be_bytes([header[10], header[11]]).checked_add(1)?;
    let time = &NOW.0.to_be_bytes()[2..];
    let variables = [packet, KEY_WIRE, &[0, 255, 0, 0, 0, 0], ALGORITHM, time, FUDGE, &[0, 0, 0, 0]].concat();
    let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &SECRET), &variables);
    let data = [ALGORITHM, time, FUDGE, &[0, 32], mac.as_ref(), &header[..2], &[0, 0, 0, 0]].concat();
    let length = (data.len() as u16).to_be_bytes();
    let mut packet = [packet, KEY_WIRE, &[0, 250, 0, 255, 0, 0, 0, 0], &length, &data].concat();
    packet[10..HEADER].copy_from_slice(&records.to_be_bytes());
    Some(packet)
}

thread_local! {
    static TARGET: RefCell<Target> = RefCell::new(Target::new());
}

fuzz_target!(|packet: &[u8]| TARGET.with_borrow_mut(|target| target.take(packet)));

const HEADER: usize = 12;
const KEY_NAME: &str = "fuzz";
const KEY_WIRE: &[u8] = b"\x04fuzz\0";
const ALGORITHM: &[u8] = b"\x0bhmac-sha256\0";
const FUDGE: &[u8] = &[1, 44];
const SECRET: [u8; 32] = [0; 32];
const KEY_FILE: &str =
    r#"key "fuzz" { algorithm hmac-sha256; secret "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="; };"#;
/// The zones fit a few.
const MESSAGES_MAX: usize = 100;
