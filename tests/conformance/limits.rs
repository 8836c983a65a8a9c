//! Floods, and what is kept from them: each client is an address of 127/8 of its own.

use std::fs;
use std::io::Read;
use std::net::UdpSocket;
use std::time::Instant;

use crate::ask::{connect, datagram, udp};
use crate::query::packet;
use crate::reply::{Reply, hex};
use crate::world::{Server, World};

/// A server with these lines in `[limits]` and `[dns]`, and the zone of the cases.
fn world(limits: &str, dns: &str) -> World {
    let world = World::new(&format!("[probe]\nenabled = false\n[limits]\n{limits}\n"));
    let path = world.path("config/windrose.toml");
    let config = fs::read_to_string(&path).expect("just written");
    fs::write(path, config.replace("[dns]\n", &format!("[dns]\n{dns}\n"))).expect("written");
    world.write_zone("example.org.zone", crate::cases::ZONES[0].1);
    world
}

fn client(own: &str, server: &Server) -> UdpSocket {
    udp(&format!("{own}:0"), server.address)
}

fn ask(client: &UdpSocket, words: &str) -> Reply {
    client.send(&packet(words, 7).expect("a query")).expect("it is sent");
    Reply::read(&datagram(client)).expect("well formed")
}

/// The cookie that a server gives to a client, as an option of a query.
fn cookie(client: &UdpSocket) -> String {
    let reply = ask(client, "www.example.org A edns option=10:0102030405060708");
    let options = reply.opt.expect("EDNS").options;
    let (_, cookie) = options.into_iter().find(|(code, _)| *code == 10).expect("a cookie");
    assert_eq!(cookie.len(), 24);
    format!("option=10:{}", hex(&cookie))
}

/// What has come for a client so far.
fn waiting(client: &UdpSocket) -> Vec<Reply> {
    client.set_nonblocking(true).expect("an option");
    let mut octets = [0; 4096];
    std::iter::from_fn(|| client.recv(&mut octets).ok().map(|length| octets[..length].to_vec()))
        .map(|octets| Reply::read(&octets).expect("well formed"))
        .collect()
}

#[test]
fn a_flooded_network_gets_its_rate_and_others_lose_nothing() {
    let world = world("rate = 50\nslip = 0", "");
    let server = world.serve();
    let start = Instant::now();
    // As forged packets would come: from several addresses and ports of one network.
    let victims: Vec<_> = (1..9).map(|host| client(&format!("127.9.9.{host}"), &server)).collect();
    let query = packet("www.example.org A", 1).expect("a query");
    for round in 1..101 {
        for victim in &victims {
            (0..10).for_each(|_| assert!(victim.send(&query).is_ok()));
        }
        // Each of them waits for its answer: were one lost, the test would not end well.
        for net in 20..24 {
            let other = client(&format!("127.{net}.{round}.1"), &server);
            assert_eq!(ask(&other, "alias.example.org A").sections[0].len(), 3);
        }
    }
    let got: usize = victims.iter().map(|victim| waiting(victim).len()).sum();
    let earned = 50 * (start.elapsed().as_secs() as usize + 2);
    assert!((25..=earned).contains(&got), "{got} of 8000, where {earned} are earned");
}

#[test]
fn who_shows_a_cookie_is_not_limited_and_who_speaks_them_is_given_one() {
    let world = world("rate = 1\nslip = 1", "");
    let server = world.serve();
    let one = client("127.9.9.9", &server);
    let cookie = cookie(&one);
    for _ in 0..200 {
        let reply = ask(&one, &format!("www.example.org A edns {cookie}"));
        assert_eq!((reply.rcode(), reply.sections[0].len()), (0, 2));
    }
    // The rate is spent before it is earned again.
    let slipped = |words: &str| (0..100).map(|_| ask(&one, words)).find(|reply| reply.sections[0].is_empty());
    let truncated = slipped("www.example.org A").expect("beyond the rate");
    assert_eq!((truncated.rcode(), truncated.flags & 0x0200), (0, 0x0200));
    let told = slipped("www.example.org A edns option=10:0102030405060708").expect("beyond the rate");
    assert_eq!(told.rcode(), 23, "BADCOOKIE, with a cookie to come back with");
    assert_eq!(told.opt.expect("EDNS").options[0].1.len(), 24);
}

#[test]
fn a_hundred_errors_a_second_and_no_more() {
    let world = world("", "");
    let server = world.serve();
    let start = Instant::now();
    let clients: Vec<_> = (1..9).map(|net| client(&format!("127.{net}.1.1"), &server)).collect();
    let rubbish = packet("www.example.org A cut=3", 1).expect("a packet");
    for _ in 0..100 {
        for client in &clients {
            (0..5).for_each(|_| assert!(client.send(&rubbish).is_ok()));
            assert_eq!(ask_past_errors(client).rcode(), 0);
        }
    }
    let (seconds, got) = (start.elapsed().as_secs_f64(), ERRORS.with(|errors| errors.get()));
    assert!(got >= 10 && got <= (100.0 * (seconds + 1.0)) as usize, "{got} errors in {seconds} s");
}

thread_local! {
    /// Errors that came while something else was waited for.
    static ERRORS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

fn ask_past_errors(client: &UdpSocket) -> Reply {
    client.send(&packet("www.example.org A", 7).expect("a query")).expect("it is sent");
    loop {
        let reply = Reply::read(&datagram(client)).expect("well formed");
        if reply.id == 7 {
            return reply;
        }
        ERRORS.with(|errors| errors.set(errors.get() + 1));
    }
}

#[test]
fn a_long_answer_over_udp_is_for_those_who_show_a_cookie() {
    let world = world("amplification = 10", "");
    let server = world.serve();
    let client = client("127.0.0.1", &server);
    let asked = "big.example.org TXT edns payload=1232";
    let short = ask(&client, asked);
    assert_eq!((short.flags & 0x0200, short.sections[0].len()), (0x0200, 0));
    let whole = ask(&client, &format!("{asked} {}", cookie(&client)));
    assert_eq!((whole.flags & 0x0200, whole.sections[0].len()), (0, 5));
}

#[test]
fn who_is_denied_gets_no_connection() {
    let world = world("deny = [\"127.0.0.1\"]", "");
    let server = world.serve();
    assert_eq!(connect(server.address).read(&mut [0; 1]).expect("an end"), 0);
    assert_eq!(ask(&client("127.0.0.2", &server), "www.example.org A").rcode(), 0);
}

#[test]
fn what_the_operator_tells_of_the_server_is_answered_in_class_chaos() {
    let world = world("", "chaos_version = \"Windrose\"\nchaos_name = \"ns1.example\"");
    let server = world.serve();
    let client = client("127.0.0.1", &server);
    for (name, text) in [
        ("version.bind", "\"Windrose\""),
        ("VERSION.server", "\"Windrose\""),
        ("id.server", "\"ns1.example\""),
        ("hostname.bind", "\"ns1.example\""),
    ] {
        let reply = ask(&client, &format!("{name} TXT class=3 edns"));
        assert_eq!((reply.rcode(), &*reply.sections[0][0].data, reply.sections[0][0].class), (0, text, 3));
    }
    for refused in ["authors.bind TXT class=3", "version.bind A class=3", "www.example.org A class=3"] {
        assert_eq!(ask(&client, refused).rcode(), 5);
    }
}

#[test]
fn servers_with_one_secret_know_each_others_cookies_and_a_new_secret_does_not_break_them() {
    let (old, new) = ("e5e973e5a6b2a43f48e7dc849e37bfcf", "dd3bdf9344b678b185a6f5cb60fca715");
    let with = |secrets: &[&str]| {
        let world = world("", "cookie_secrets = \"cookies.key\"");
        fs::write(world.path("config/cookies.key"), secrets.join("\n")).expect("written");
        let server = world.serve();
        (world, server)
    };
    let (_first_world, first) = with(&[old]);
    let (_second_world, second) = with(&[new, old]);
    let (_third_world, third) = with(&[new]);
    let cookie = cookie(&client("127.0.0.1", &first));
    // A query without a question tells whether a cookie holds (RFC 7873 section 5.4).
    let option = cookie.trim_start_matches("option=10:");
    let asked = format!("raw 0000000000000000000100002904d000000000001c000a0018{option}");
    let rcode = |server: &Server| ask(&client("127.0.0.1", server), &asked).rcode();
    assert_eq!((rcode(&first), rcode(&second), rcode(&third)), (0, 0, 23));
}
