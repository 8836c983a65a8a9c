//! Queries and replies, as far as the benchmarks look into them.

use ipnet::Ipv4Net;

/// A query for the A records of the pattern's nth name, with EDNS as resolvers send it.
pub fn query(pattern: &str, number: usize) -> Vec<u8> {
    let name = pattern.replace('%', &format!("{number:04}"));
    let mut packet = (number as u16).to_be_bytes().to_vec();
    packet.extend([0, 0, 0, 1, 0, 0, 0, 0, 0, 1]);
    for label in name.split('.') {
        packet.push(label.len() as u8);
        packet.extend(label.as_bytes());
    }
    packet.extend([0, 0, 1, 0, 1]);
    packet.extend(OPT_1232);
    packet
}

/// Puts the option of RFC 7871 into the OPT record that a query ends with.
pub fn add_client_subnet(packet: &mut Vec<u8>, subnet: Ipv4Net) {
    let address = subnet.network().octets();
    let sent = &address[..usize::from(subnet.prefix_len()).div_ceil(8)];
    let length = 4 + sent.len() as u8;
    let data_length = packet.len() - 1;
    packet[data_length] = 4 + length;
    packet.extend([0, CLIENT_SUBNET, 0, length, 0, IPV4, subnet.prefix_len(), 0]);
    packet.extend(sent);
}

/// NOERROR, with something in the answer section.
pub fn is_good(reply: &[u8]) -> bool {
    reply.len() > HEADER && reply[3] & 0x0f == 0 && reply[6..8] != [0, 0]
}

/// EDNS: the resolver takes replies of up to 1232 octets.
const OPT_1232: [u8; 11] = [0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0];
const HEADER: usize = 12;
const CLIENT_SUBNET: u8 = 8;
const IPV4: u8 = 1;
