//! The server as a primary: other name servers take its zones, are told of changes, and programs change them.

use std::fs;
use std::io::Write;
use std::net::UdpSocket;
use std::process::{Command, Stdio};

use domain::base::iana::{Class, Opcode, Rtype};
use domain::base::message_builder::TreeCompressor;
use domain::base::rdata::UnknownRecordData;
use domain::base::{MessageBuilder, Name, Ttl};
use domain::rdata::tsig::Time48;
use domain::tsig::{Algorithm, ClientTransaction, Key};
use nix::sys::signal::Signal;

use crate::encrypted::write_pair;
use crate::query::dig;
use crate::secondaries::{KEY, Secondary, places};
use crate::world::{PATIENCE, Server, World, wait_until};

pub const SECRET: &str = "l4zkZ1+9tb9pdLyqZ6DMKGyRPQMxNz6FBZLpQPk8ijA=";
const OTHER_SECRET: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

const ZONE: &str = "\
@ 3600 IN SOA ns1 hostmaster 10 7200 1800 1209600 300
@ 3600 IN NS ns1
@ 3600 IN MX 10 mail
ns1 3600 IN A 127.0.0.1
mail 3600 IN A 192.0.2.25
static 3600 IN A 192.0.2.1
*.wild 3600 IN TXT \"wild\"
sub 3600 IN NS ns.sub
ns.sub 3600 IN A 192.0.2.54
odd 3600 IN TYPE65400 \\# 3 010203
fixed 3600 IN A 192.0.2.77
";

const STEERING: &str = r#"
zone = "example.org"
[endpoints]
first = { ipv4 = "192.0.2.11" }
second = { ipv4 = "192.0.2.12", ipv6 = "2001:db8::12" }
[pools.www]
policy = "failover"
members = ["first", "second"]
[names]
www = { pool = "www" }
fixed = { pool = "www" }
"#;

/// A world with keys for transfers and updates, and these settings.
fn world(settings: &str) -> World {
    let world = World::new(&format!("[probe]\nenabled = false\n[tsig]\nkeys = \"keys\"\n{settings}"));
    let keys = [key_file(KEY, SECRET), key_file("certbot", OTHER_SECRET)].concat();
    fs::write(world.path("config/keys"), keys).expect("written");
    world.write_zone("example.org.zone", ZONE);
    world.write_zone("example.org.toml", STEERING);
    world
}

/// A key, as BIND's tools write it.
pub fn key_file(name: &str, secret: &str) -> String {
    format!("key \"{name}\" {{ algorithm hmac-sha256; secret \"{secret}\"; }};\n")
}

/// What a zone transfer gives, sorted, without the signature of the message.
fn axfr(server: &Server, arguments: &[&str]) -> Vec<String> {
    let text = dig(server.address, &[&["example.org", "AXFR", "+nostats", "+nocmd"], arguments].concat());
    let records =
        text.lines().filter(|line| !line.is_empty() && !line.starts_with(';') && !line.contains("TSIG"));
    let mut records: Vec<String> =
        records.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    records.sort();
    records
}

fn key(name: &str, secret: &str) -> String {
    format!("hmac-sha256:{name}:{secret}")
}

/// What nsupdate says, once it was told this; empty if all is well.
fn nsupdate(server: &Server, key: &str, commands: &str) -> String {
    let mut child = Command::new("nsupdate")
        .args(["-t", "20", "-y", key])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("nsupdate is installed (tools/test installs it)");
    let (host, port) = (server.address.ip(), server.address.port());
    let text = format!("server {host} {port}\nzone example.org\n{commands}\nsend\n");
    child.stdin.take().expect("piped").write_all(text.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    let said = [output.stdout, output.stderr].concat();
    String::from_utf8(said).expect("text").trim().to_owned()
}

fn short(address: std::net::SocketAddr, name: &str, rtype: &str) -> String {
    dig(address, &[name, rtype, "+short"]).trim().to_owned()
}

#[test]
fn nsd_knot_and_bind_follow_a_zone() {
    let places = places();
    let told: Vec<String> =
        places.iter().map(|place| format!("{{ to = \"{}\", key = \"{KEY}\" }}", place.address)).collect();
    let world = world(&format!(
        "[transfer]\nallow = [{{ key = \"{KEY}\" }}]\nnotify = [{}]\n[update]\nallow = [{{ key = \"certbot\" }}]\n",
        told.join(", ")
    ));
    let server = world.serve();
    let secondaries: Vec<Secondary> =
        places.iter().map(|place| place.start(server.address, SECRET)).collect();
    let follow = |name: &str, rtype: &str, expected: &str| {
        for secondary in &secondaries {
            wait_until(&format!("{} answers {expected} for {name}", secondary.name), || {
                (secondary.answers(name, rtype) == expected).then_some(())
            });
        }
    };
    let serial =
        |serial: u32| format!("ns1.example.org. hostmaster.example.org. {serial} 7200 1800 1209600 300");
    follow("example.org", "SOA", &serial(10));
    follow("static.example.org", "A", "192.0.2.1");
    follow("www.example.org", "A", "192.0.2.11 192.0.2.12");
    follow("fixed.example.org", "A", "192.0.2.77");
    follow("a.wild.example.org", "TXT", "\"wild\"");
    follow("odd.example.org", "TYPE65400", "\\# 3 010203");
    // Refresh is two hours away: only who is told can know.
    let said = nsupdate(
        &server,
        &key("certbot", OTHER_SECRET),
        "update add _acme-challenge.example.org 60 TXT token",
    );
    assert_eq!(said, "");
    follow("_acme-challenge.example.org", "TXT", "\"token\"");
    follow("example.org", "SOA", &serial(11));
    world.write_zone(
        "example.org.zone",
        &ZONE.replace("192.0.2.1\n", "192.0.2.2\n").replace(" 10 7200", " 2026112101 7200"),
    );
    follow("static.example.org", "A", "192.0.2.2");
    follow("example.org", "SOA", &serial(2_026_112_101));
    follow("_acme-challenge.example.org", "TXT", "\"token\"");
    let log = secondaries.iter().find(|secondary| secondary.name == "Knot").expect("one of them").log();
    assert!(log.contains("IXFR, incoming") && !log.contains("fallback to AXFR"), "{log}");
}

#[test]
fn a_secondary_can_have_the_members_that_are_up() {
    let places = places();
    let nsd = &places[0];
    let world = world(&format!(
        "[transfer]\nallow = [{{ key = \"{KEY}\" }}]\nnotify = [{{ to = \"{}\", key = \"{KEY}\" }}]\nsteered = \"live\"\n",
        nsd.address
    ));
    let server = world.serve();
    let secondary = nsd.start(server.address, SECRET);
    let answered = |expected: &str| {
        wait_until(&format!("the secondary answers {expected}"), || {
            (secondary.answers("www.example.org", "A") == expected).then_some(())
        });
    };
    answered("192.0.2.11 192.0.2.12");
    let force = |verdict: &str, endpoint: &str| {
        let output = world.run(&["force", verdict, endpoint, "-c", "config/windrose.toml"]);
        assert!(output.status.success(), "{output:?}");
    };
    force("down", "first");
    answered("192.0.2.12");
    // With nobody up, an answer is better than none.
    force("down", "second");
    answered("192.0.2.11 192.0.2.12");
}

#[test]
fn a_zone_is_given_only_to_those_who_may_have_it() {
    let world = world(&format!(
        "[transfer]\nallow = [{{ key = \"{KEY}\", from = \"127.0.0.0/8\" }}, {{ from = \"127.0.0.9\" }}]\n"
    ));
    let server = world.serve();
    let whole = axfr(&server, &["-y", &key(KEY, SECRET)]);
    // The SOA record begins it and ends it.
    assert_eq!(whole.len(), 11 + 1 + 3, "{whole:#?}");
    assert!(whole.contains(&"www.example.org. 30 IN AAAA 2001:db8::12".to_owned()), "{whole:#?}");
    assert_eq!(axfr(&server, &["-b", "127.0.0.9"]), whole);
    for (arguments, why) in [
        (vec![], "Transfer failed"),
        (vec!["-y".to_owned(), key(KEY, OTHER_SECRET)], "Transfer failed"),
        (vec!["-y".to_owned(), key("certbot", OTHER_SECRET)], "Transfer failed"),
        (vec!["-y".to_owned(), key("nobody", SECRET)], "Transfer failed"),
        (vec!["-b".to_owned(), "127.0.0.8".to_owned()], "Transfer failed"),
    ] {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let said = dig(server.address, &[&["example.org", "AXFR"], &arguments[..]].concat());
        assert!(said.contains(why) && !said.contains("static"), "{arguments:?}: {said}");
    }
    let wrong = dig(server.address, &["example.org", "SOA", "-y", &key(KEY, OTHER_SECRET)]);
    assert!(wrong.contains("NOTAUTH") && wrong.contains("BADSIG"), "{wrong}");
    let unknown = dig(server.address, &["example.org", "SOA", "-y", &key("nobody", SECRET)]);
    assert!(unknown.contains("NOTAUTH") && unknown.contains("BADKEY"), "{unknown}");
    for transport in ["+notcp", "+tcp"] {
        let signed = dig(server.address, &["www.example.org", "A", transport, "-y", &key(KEY, SECRET)]);
        assert!(signed.contains("192.0.2.11") && signed.contains("NOERROR 0"), "{signed}");
        assert!(
            !signed.contains("could not be validated") && !signed.contains("Couldn't verify"),
            "{signed}"
        );
    }
    let no_news = dig(server.address, &["example.org", "IXFR=10", "+notcp", "-b", "127.0.0.9"]);
    assert_eq!(no_news.lines().filter(|line| line.contains("\tSOA\t")).count(), 1, "{no_news}");
    let elsewhere = dig(server.address, &["example.net", "AXFR", "-b", "127.0.0.9", "+all"]);
    assert!(elsewhere.contains("Transfer failed"), "{elsewhere}");
}

#[test]
fn a_zone_leaves_over_tls_too() {
    let world = world(&format!(
        "[transfer]\nallow = [{{ key = \"{KEY}\" }}]\n\
         [tls]\ncertificate = \"cert.pem\"\nkey = \"key.pem\"\nlisten_tls = [\"127.0.0.1:0\"]\n"
    ));
    write_pair(&world, "ns1.example.net");
    let server = world.serve();
    let line = server.log.wait_for("answering on ");
    let (before, _) = line.split_once(" (TLS)").expect("it listens");
    let port = before.rsplit(':').next().expect("a port");
    let output = Command::new("kdig")
        .args(["@127.0.0.1", "-p", port, "+tls", "+time=20", "-y", &key(KEY, SECRET), "example.org", "AXFR"])
        .output()
        .expect("kdig is installed (tools/test installs it)");
    let said = String::from_utf8(output.stdout).expect("text");
    assert!(
        output.status.success() && said.contains("192.0.2.77") && said.matches("SOA").count() == 2,
        "{said}"
    );
}

#[test]
fn a_large_zone_leaves_in_many_messages_each_of_them_signed() {
    let world = world(&format!("[transfer]\nallow = [{{ key = \"{KEY}\" }}]\n"));
    let hosts: String = (0..20_000)
        .map(|n| format!("host-{n} 300 IN A 10.{}.{}.{}\n", n >> 16, n >> 8 & 255, n & 255))
        .collect();
    world.write_zone("example.org.zone", &format!("{ZONE}{hosts}"));
    let server = world.serve();
    let said = dig(server.address, &["example.org", "AXFR", "-y", &key(KEY, SECRET)]);
    let size = said.lines().find(|line| line.contains("XFR size")).unwrap_or_else(|| panic!("{said}"));
    let words: Vec<&str> = size.split([' ', ',', '(', ')']).filter(|word| !word.is_empty()).collect();
    let after = |word: &str| {
        words[words.iter().position(|w| *w == word).expect("there") + 1].parse::<u64>().expect("a number")
    };
    assert_eq!(after("size:"), 20_000 + 15, "{size}");
    assert!((10..200).contains(&after("messages")), "{size}");
    assert_eq!(said.matches("host-19999.example.org.").count(), 1);
    assert!(!said.contains("failed") && !said.contains("Couldn't verify"));
}

#[test]
fn updates_are_kept_through_a_kill_and_change_only_what_they_may() {
    let world = world(
        "[transfer]\nallow = [{ from = \"127.0.0.1\" }]\n\
         [update]\nallow = [{ key = \"certbot\", names = [\"_acme-challenge.*\", \"*.dyn.example.org\", \"www.example.org\"] }]\n",
    );
    let mut server = world.serve();
    let certbot = key("certbot", OTHER_SECRET);
    let done =
        |server: &Server, commands: &str| assert_eq!(nsupdate(server, &certbot, commands), "", "{commands}");
    let refused = |server: &Server, commands: &str, why: &str| {
        let said = nsupdate(server, &certbot, commands);
        assert!(said.contains(why), "{commands}: {said}");
    };
    done(
        &server,
        "update add _acme-challenge.www.example.org 60 TXT first\nupdate add a.dyn.example.org 60 A 192.0.2.50",
    );
    done(
        &server,
        "prereq yxdomain a.dyn.example.org\nupdate delete a.dyn.example.org A\nupdate add a.dyn.example.org 60 AAAA 2001:db8::50",
    );
    refused(
        &server,
        "prereq nxdomain a.dyn.example.org\nupdate add b.dyn.example.org 60 A 192.0.2.51",
        "YXDOMAIN",
    );
    refused(
        &server,
        "prereq yxrrset a.dyn.example.org A\nupdate add b.dyn.example.org 60 A 192.0.2.51",
        "NXRRSET",
    );
    refused(&server, "update add static.example.org 60 A 192.0.2.66", "REFUSED");
    refused(&server, "update add www.example.org 60 A 192.0.2.66", "REFUSED");
    done(&server, "update add www.example.org 60 TXT beside");
    let said = nsupdate(&server, &key(KEY, SECRET), "update add _acme-challenge.example.org 60 TXT x");
    assert!(said.contains("REFUSED"), "{said}");
    let said = nsupdate(&server, &key("certbot", SECRET), "update add _acme-challenge.example.org 60 TXT x");
    assert!(said.contains("BADSIG") || said.contains("NOTAUTH"), "{said}");
    let before = axfr(&server, &[]);
    server.signal(Signal::SIGKILL);
    server.exit_code();
    let server = world.serve();
    assert_eq!(axfr(&server, &[]), before);
    assert_eq!(short(server.address, "a.dyn.example.org", "AAAA"), "2001:db8::50");
    assert_eq!(short(server.address, "a.dyn.example.org", "A"), "");
    let soa = short(server.address, "example.org", "SOA");
    assert!(soa.contains(" 13 "), "three changes since 10: {soa}");
    let since = dig(server.address, &["example.org", "IXFR=11"]);
    assert!(since.contains("beside") && !since.contains("static"), "{since}");
    // The file and the updates both go on.
    done(&server, "update delete _acme-challenge.www.example.org TXT");
    world.write_zone("example.org.zone", &format!("{ZONE}later 60 IN A 192.0.2.99\n"));
    server.log.wait_for("files changed");
    assert_eq!(short(server.address, "later.example.org", "A"), "192.0.2.99");
    assert_eq!(short(server.address, "www.example.org", "TXT"), "\"beside\"");
    assert_eq!(short(server.address, "_acme-challenge.www.example.org", "TXT"), "");
}

/// An update that adds these hosts, signed by a key, as external-dns sends it: in one datagram, however long.
fn large_update(hosts: u8) -> Vec<u8> {
    let apex: Name<Vec<u8>> = "example.org".parse().expect("a name");
    let mut message = MessageBuilder::from_target(TreeCompressor::new(Vec::new())).expect("room");
    message.header_mut().set_opcode(Opcode::UPDATE);
    let mut zone = message.question();
    zone.push((&apex, Rtype::SOA)).expect("room");
    let mut update = zone.answer().authority();
    for host in 0..hosts {
        let owner: Name<Vec<u8>> = format!("host-{host}.example.org").parse().expect("a name");
        let data = UnknownRecordData::from_octets(Rtype::TXT, [&[60][..], &[b'x'; 60]].concat());
        update.push((owner, Class::IN, Ttl::from_secs(60), data.expect("short"))).expect("room");
    }
    let secret: Vec<u8> = domain::utils::base64::decode(OTHER_SECRET).expect("Base64");
    let key = Key::new(Algorithm::Sha256, &secret, "certbot".parse().expect("a name"), None, None);
    let mut message = update.additional();
    let now = windrose::load::seconds(std::time::SystemTime::now());
    ClientTransaction::request(&key.expect("a key"), &mut message, Time48::from_u64(now.0)).expect("room");
    message.finish().into_target()
}

#[test]
fn an_update_may_fill_a_datagram() {
    let world = world("[update]\nallow = [{ key = \"certbot\" }]\n");
    let server = world.serve();
    let packet = large_update(100);
    assert!(packet.len() > 8000);
    let socket = UdpSocket::bind(("127.0.0.1", 0)).expect("a socket");
    socket.connect(server.address).expect("connected");
    socket.set_read_timeout(Some(PATIENCE)).expect("a deadline");
    socket.send(&packet).expect("sent");
    let mut reply = [0; 512];
    let length = socket.recv(&mut reply).expect("a reply");
    assert_eq!(reply[3] & 0x0F, 0, "{:?}", &reply[..length]);
    assert_eq!(short(server.address, "host-99.example.org", "TXT").len(), 62);
}

#[test]
fn an_update_that_would_spoil_the_zone_changes_nothing() {
    let world = world("[update]\nallow = [{ key = \"certbot\" }]\n");
    let server = world.serve();
    let certbot = key("certbot", OTHER_SECRET);
    let said = nsupdate(
        &server,
        &certbot,
        "update add below.static.example.org 60 DNAME example.net.\nupdate add a.below.static.example.org 60 A 192.0.2.1",
    );
    assert!(said.contains("REFUSED") || said.is_empty(), "{said}");
    // A server without an address that could be found.
    let said = nsupdate(&server, &certbot, "update add cut.example.org 60 NS ns.cut.example.org.");
    assert!(said.contains("REFUSED"), "{said}");
    assert_eq!(short(server.address, "static.example.org", "A"), "192.0.2.1");
    let said = nsupdate(&server, &certbot, "update add www.example.org 60 CNAME static.example.org.");
    assert!(said.contains("REFUSED"), "{said}");
    assert_eq!(short(server.address, "www.example.org", "A"), "192.0.2.11");
    // A disk that takes nothing: an update that would be lost is refused.
    let journal = world.path("state/journal");
    let _ = fs::remove_dir_all(&journal);
    fs::write(&journal, "in the way").expect("written");
    let said = nsupdate(&server, &certbot, "update add lost.example.org 60 A 192.0.2.1");
    assert!(said.contains("SERVFAIL"), "{said}");
    assert_eq!(short(server.address, "lost.example.org", "A"), "");
    fs::remove_file(&journal).expect("it was there");
    assert_eq!(nsupdate(&server, &certbot, "update add kept.example.org 60 A 192.0.2.1"), "");
    assert_eq!(short(server.address, "kept.example.org", "A"), "192.0.2.1");
    assert_eq!(short(server.address, "lost.example.org", "A"), "");
}

#[test]
fn a_key_that_is_named_and_not_there_is_told_at_the_start() {
    let world = World::new("[probe]\nenabled = false\n[transfer]\nallow = [{ key = \"ns2\" }]\n");
    world.write_zone("example.org.zone", ZONE);
    let output = world.run(&["serve", "config/windrose.toml"]);
    let said = String::from_utf8(output.stderr).expect("text");
    assert!(!output.status.success() && said.contains("tsig-keygen -a hmac-sha256 ns2"), "{said}");
}
