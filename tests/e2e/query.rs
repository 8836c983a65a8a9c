//! Asking: a small client, with messages read by an independent library; and dig.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::process::Command;
use std::time::Duration;

use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};

use crate::world::{World, ZONE, write_failover_zone};

/// How long one query may take.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Asks over UDP.
pub fn ask(server: SocketAddr, name: &str, qtype: RecordType) -> Option<Message> {
    let socket = UdpSocket::bind(("127.0.0.1", 0)).expect("a socket");
    socket.connect(server).expect("connected");
    socket.set_read_timeout(Some(TIMEOUT)).expect("a timeout");
    socket.send(&query(name, qtype)).ok()?;
    let mut buffer = [0; 4096];
    let length = socket.recv(&mut buffer).ok()?;
    Message::from_vec(&buffer[..length]).ok()
}

/// The addresses that a name has.
pub fn addresses_of(server: SocketAddr, name: &str) -> Vec<IpAddr> {
    let Some(message) = ask(server, name, RecordType::A) else { return Vec::new() };
    let address = |data: &RData| match data {
        RData::A(address) => Some(IpAddr::V4(address.0)),
        RData::AAAA(address) => Some(IpAddr::V6(address.0)),
        _ => None,
    };
    message.answers.iter().filter_map(|record| address(&record.data)).collect()
}

/// A query in wire form.
pub fn query(name: &str, qtype: RecordType) -> Vec<u8> {
    let mut message = Message::query();
    message.add_query(Query::query(Name::from_ascii(name).expect("a name"), qtype));
    message.to_vec().expect("a query fits")
}

/// What dig prints.
pub fn dig(server: SocketAddr, arguments: &[&str]) -> String {
    let (host, port) = (format!("@{}", server.ip()), server.port().to_string());
    let output =
        Command::new("dig").args([&host, "-p", &port, "+time=5", "+tries=1"]).args(arguments).output();
    let output = output.expect("dig is installed (tools/test installs it)");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn dig_gets_static_answers_over_udp_and_tcp() {
    let world = World::new("[probe]\nenabled = false\n");
    world.write_zone("example.org.zone", ZONE);
    let server = world.serve();
    for transport in ["+notcp", "+tcp"] {
        assert_eq!(dig(server.address, &["static.example.org", transport, "+short"]), "192.0.2.1\n");
        let missing = dig(server.address, &["no-such-name.example.org", transport]);
        assert!(missing.contains("status: NXDOMAIN") && missing.contains("SOA"), "{missing}");
        let foreign = dig(server.address, &["example.net", transport]);
        assert!(foreign.contains("status: REFUSED"), "{foreign}");
        let nsid = dig(server.address, &["txt.example.org", "TXT", transport, "+nsid"]);
        assert!(nsid.contains("\"hello\"") && nsid.contains("NSID"), "{nsid}");
    }
}

#[test]
fn dig_gets_a_scope_when_it_sends_a_client_subnet() {
    let world = World::new("[probe]\nenabled = false\n");
    world.write_zone("example.org.zone", ZONE);
    world.write_zone(
        "example.org.toml",
        r#"
        [regions.eu]
        at = [50, 8]
        clients = ["net:192.0.2.0/24"]
        [regions.us]
        at = [39, -77]
        default = true
        [endpoints.fra]
        region = "eu"
        ipv4 = "127.0.0.11"
        [endpoints.iad]
        region = "us"
        ipv4 = "127.0.0.12"
        [pools.www]
        policy = "nearest"
        members = ["fra", "iad"]
        [names."www"]
        pool = "www"
        "#,
    );
    let server = world.serve();
    let answer = dig(server.address, &["www.example.org", "+subnet=192.0.2.0/24"]);
    assert!(answer.contains("127.0.0.11") && answer.contains("CLIENT-SUBNET: 192.0.2.0/24/24"), "{answer}");
    let answer = dig(server.address, &["www.example.org", "+subnet=203.0.113.0/24"]);
    assert!(answer.contains("127.0.0.12"), "{answer}");
}

#[test]
fn a_client_that_pipelines_gets_every_answer() {
    let world = World::new("[probe]\nenabled = false\n");
    world.write_zone("example.org.zone", ZONE);
    let server = world.serve();
    let mut stream = TcpStream::connect(server.address).expect("connected");
    stream.set_read_timeout(Some(TIMEOUT)).expect("a timeout");
    let query = query("static.example.org.", RecordType::A);
    let mut framed = (query.len() as u16).to_be_bytes().to_vec();
    framed.extend(&query);
    stream.write_all(&framed.repeat(100)).expect("written");
    for _ in 0..100 {
        let mut length = [0; 2];
        stream.read_exact(&mut length).expect("a length");
        let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut message).expect("a message");
        let message = Message::from_vec(&message).expect("well formed");
        assert_eq!(message.metadata.response_code, ResponseCode::NoError);
    }
}

#[test]
fn what_is_no_query_gets_no_answer_and_does_no_harm() {
    let world = World::new("[probe]\nenabled = false\n");
    write_failover_zone(&world, crate::world::addresses(1), 80);
    let server = world.serve();
    let socket = UdpSocket::bind(("127.0.0.1", 0)).expect("a socket");
    socket.connect(server.address).expect("connected");
    let mut response = query("static.example.org.", RecordType::A);
    response[2] |= 0x80;
    socket.send(&response).expect("sent");
    for length in 0..12 {
        socket.send(&[0; 12][..length]).expect("sent");
    }
    // The one that is a query is answered, and only that.
    let mut asked = query("static.example.org.", RecordType::A);
    asked[0..2].copy_from_slice(&[0xab, 0xcd]);
    socket.send(&asked).expect("sent");
    socket.set_read_timeout(Some(TIMEOUT)).expect("a timeout");
    let mut buffer = [0; 4096];
    let length = socket.recv(&mut buffer).expect("an answer");
    assert_eq!(&buffer[..2], &[0xab, 0xcd], "the first answer is to the only query");
    assert!(length > 12);
}
