//! Connections (RFC 7766): many queries on one, answered as they come.

use std::io::Write;

use crate::ask::{connect, framed, message};
use crate::query::packet;
use crate::reply::Reply;
use crate::world::{World, ZONE};

fn world() -> World {
    let world = World::new("[probe]\nenabled = false\n");
    world.write_zone("example.org.zone", ZONE);
    world
}

#[test]
fn a_connection_is_used_again_for_the_next_query_rfc_7766_6_2_1() {
    let world = world();
    let server = world.serve();
    let mut stream = connect(server.address);
    for id in 0..20 {
        stream.write_all(&framed(&packet("static.example.org A", id).expect("a query"))).expect("it is sent");
        let reply = Reply::read(&message(&mut stream).expect("a reply")).expect("well formed");
        assert_eq!((reply.id, reply.rcode()), (id, 0));
    }
}

#[test]
fn queries_in_flight_are_all_answered_each_with_its_id_rfc_7766_6_2_1_1() {
    let world = world();
    let server = world.serve();
    let mut stream = connect(server.address);
    let queries: Vec<u8> = (0..500)
        .flat_map(|id| {
            let name = if id % 2 == 0 { "static.example.org A" } else { "nothing.example.org A edns" };
            framed(&packet(name, id).expect("a query"))
        })
        .collect();
    stream.write_all(&queries).expect("they are sent");
    let mut replies: Vec<(u16, u16)> = (0..500)
        .map(|_| {
            let reply = Reply::read(&message(&mut stream).expect("a reply")).expect("well formed");
            (reply.id, reply.rcode())
        })
        .collect();
    // RFC 7766 section 7: in any order.
    replies.sort_unstable();
    assert_eq!(replies, (0..500).map(|id| (id, if id % 2 == 0 { 0 } else { 3 })).collect::<Vec<_>>());
}

#[test]
fn a_query_in_pieces_is_put_together_rfc_7766_8() {
    let world = world();
    let server = world.serve();
    let mut stream = connect(server.address);
    for octet in framed(&packet("static.example.org A", 7).expect("a query")) {
        stream.write_all(&[octet]).expect("it is sent");
    }
    assert_eq!(Reply::read(&message(&mut stream).expect("a reply")).expect("well formed").id, 7);
}

#[test]
fn a_malformed_query_does_not_end_the_connection_rfc_7766_6_2_3() {
    let world = world();
    let server = world.serve();
    let mut stream = connect(server.address);
    for (words, rcode) in [("static.example.org A cut=3", 1), ("static.example.org A", 0)] {
        stream.write_all(&framed(&packet(words, 7).expect("a query"))).expect("it is sent");
        assert_eq!(Reply::read(&message(&mut stream).expect("a reply")).expect("well formed").rcode(), rcode);
    }
}

#[test]
fn a_connection_ends_when_the_client_has_had_its_answers_rfc_7766_6_2_4() {
    let world = world();
    let server = world.serve();
    let mut stream = connect(server.address);
    stream.write_all(&framed(&packet("static.example.org A", 7).expect("a query"))).expect("it is sent");
    stream.shutdown(std::net::Shutdown::Write).expect("a half-closed connection");
    assert_eq!(Reply::read(&message(&mut stream).expect("a reply")).expect("well formed").id, 7);
    assert!(message(&mut stream).is_err(), "the server hangs up");
}
