//! An endpoint dies; the answer moves, in time.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use crate::endpoint::Endpoint;
use crate::query::addresses_of;
use crate::world::{World, addresses, wait_until, write_failover_zone};

fn seconds_until_answer_is(server: SocketAddr, address: IpAddr, since: Instant) -> f64 {
    wait_until("the answer moves", || {
        (addresses_of(server, "www.example.org.") == [address]).then(|| since.elapsed().as_secs_f64())
    })
}

/// Both alive, the server answering with the first.
fn two_endpoints(test: u8) -> (World, crate::world::Server, [Endpoint; 2], [IpAddr; 2]) {
    let places = addresses(test);
    let first = Endpoint::start(places[0], 0);
    let second = Endpoint::start(places[1], first.port());
    let world = World::new("");
    write_failover_zone(&world, places, first.port());
    let server = world.serve();
    let places = places.map(IpAddr::V4);
    assert_eq!(addresses_of(server.address, "www.example.org."), [places[0]]);
    (world, server, [first, second], places)
}

#[test]
fn when_an_endpoint_refuses_the_answer_moves_within_two_seconds_and_back_when_it_recovers() {
    let (_world, server, [mut first, _second], places) = two_endpoints(2);
    let port = first.port();
    first.refuse();
    let took = seconds_until_answer_is(server.address, places[1], Instant::now());
    assert!(took < 2.0, "it took {took:.2} s");
    let IpAddr::V4(address) = places[0] else { unreachable!("made as IPv4") };
    let _again = Endpoint::start(address, port);
    seconds_until_answer_is(server.address, places[0], Instant::now());
}

#[test]
fn when_packets_vanish_the_answer_moves_within_five_seconds() {
    let (_world, server, [mut first, _second], places) = two_endpoints(3);
    let died = Instant::now();
    let _hole = first.vanish();
    let took = seconds_until_answer_is(server.address, places[1], died);
    assert!(took < 5.0, "it took {took:.2} s");
}

#[test]
fn when_everything_is_down_everything_is_answered_and_the_answer_says_so() {
    let (_world, server, [mut first, mut second], _) = two_endpoints(4);
    first.refuse();
    second.refuse();
    server.log.wait_for("first Up -> Down");
    server.log.wait_for("second Up -> Down");
    let deadline = Instant::now() + Duration::from_secs(2);
    while Instant::now() < deadline {
        assert_eq!(addresses_of(server.address, "www.example.org.").len(), 1, "never empty");
    }
}
