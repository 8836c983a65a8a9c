//! What the tests of this edge share: packets made by hand, and servers on loopback that serve no zone.
//! A query for class CHAOS is refused by such a server as it is by any.

mod client_subnet;
mod signed;

use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use super::wire::rtype;
use super::{Chaos, Config};
use crate::geo::Geo;
use crate::health::HealthMap;
use crate::model::{Inventory, Region, RegionId};
use crate::plan::Plan;
use crate::plan::zone::Zones;
use crate::snapshot::{Snapshot, SnapshotCell};
use crate::spec::Limits;

pub const A: u16 = 1;
pub const TXT: u16 = 16;
pub const AAAA: u16 = 28;
pub const ANY: u16 = 255;

/// A configuration for loopback with a free port.
pub fn config() -> Config {
    Config {
        listen: vec!["127.0.0.1:0".parse().expect("an address")],
        workers: 1,
        client_subnet: true,
        client_subnet_from: vec![IpNet::V4(Default::default()), IpNet::V6(Default::default())],
        udp_payload: 1232,
        tcp_connections: 100,
        tcp_connections_per_client: 100,
        tcp_connections_per_prefix: 100,
        tcp_idle: Duration::from_secs(10),
        tcp_write: Duration::from_secs(10),
        signatures: 1000,
        proxies: Vec::new(),
        encrypted: None,
        name: "ns1".to_string(),
        cookies: None,
        chaos: Chaos::default(),
        limits: Limits::none(),
        primary: None,
    }
}

/// A cell that knows no names.
pub fn cell() -> Arc<SnapshotCell> {
    let region = Region { name: "here".into(), at: None, default: true };
    let inventory = Inventory { regions: vec![region], ..Inventory::default() };
    let health = HealthMap::new(&inventory);
    let geo = Geo::one_region(RegionId(0));
    let plan = Plan {
        inventory,
        geo,
        zones: Zones::default(),
        steered: Vec::new(),
        debug: Vec::new(),
        keys: crate::dnssec::Keyring::default(),
        source: crate::model::Fingerprint::new(),
    };
    Arc::new(SnapshotCell::new(Snapshot::new(1, Arc::new(plan), health)))
}

/// A query that is refused whatever is served, with this number.
pub fn chaos(id: u16) -> Vec<u8> {
    let mut packet = query("version.bind", TXT);
    packet[..2].copy_from_slice(&id.to_be_bytes());
    *packet.last_mut().expect("not empty") = 3;
    packet
}

/// The reply to [`chaos`].
pub fn refusal(id: u16) -> Vec<u8> {
    let mut packet = chaos(id);
    packet[2..4].copy_from_slice(&[0x81, 0x05]);
    packet
}

/// A name in wire form.
pub fn name(text: &str) -> Vec<u8> {
    let labels = text.split('.').filter(|label| !label.is_empty());
    let mut wire: Vec<u8> =
        labels.flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat()).collect();
    wire.push(0);
    wire
}

/// A plain query with RD and the number 0x1234.
pub fn query(text: &str, qtype: u16) -> Vec<u8> {
    let mut packet = vec![0x12, 0x34, 0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0];
    packet.extend(name(text));
    packet.extend(qtype.to_be_bytes());
    packet.extend([0, 1]);
    packet
}

/// Adds a record to the additional section.
pub fn with_record(
    mut packet: Vec<u8>,
    owner: &[u8],
    rtype: u16,
    class: u16,
    ttl: [u8; 4],
    rdata: &[u8],
) -> Vec<u8> {
    packet[11] += 1;
    packet.extend(owner);
    packet.extend(rtype.to_be_bytes());
    packet.extend(class.to_be_bytes());
    packet.extend(ttl);
    packet.extend((rdata.len() as u16).to_be_bytes());
    packet.extend(rdata);
    packet
}

/// Adds EDNS with these options.
pub fn with_edns(packet: Vec<u8>, payload: u16, options: &[u8]) -> Vec<u8> {
    with_record(packet, &[0], rtype::OPT, payload, [0; 4], options)
}

/// An EDNS option.
pub fn option(code: u16, data: &[u8]) -> Vec<u8> {
    [&code.to_be_bytes(), &(data.len() as u16).to_be_bytes(), data].concat()
}

/// Adds EDNS with a client subnet option.
pub fn with_subnet(packet: Vec<u8>, subnet: &[u8]) -> Vec<u8> {
    with_edns(packet, 1232, &option(8, subnet))
}

/// The client subnet option that ends a reply: family, source, scope, address.
pub fn subnet_of(reply: &[u8]) -> Option<&[u8]> {
    (4..=20)
        .map(|length| reply.split_at(reply.len() - length))
        .find_map(|(before, subnet)| before.ends_with(&[0, 8, 0, subnet.len() as u8]).then_some(subnet))
}
