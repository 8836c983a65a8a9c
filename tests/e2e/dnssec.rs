//! Signed zones, as validators see them: delv, and the resolver library of unbound. Whatever is asked, in whatever
//! state of health, must be proven from the zone's key alone.

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::process::Command;

use hickory_proto::rr::RecordType;

use crate::query::{dig, query};
use crate::world::{PATIENCE, World, wait_until};

/// What delv, and unbound, make of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proven {
    /// Records that are there.
    Positive,
    /// That there is nothing.
    Negative,
}

use Proven::{Negative, Positive};

/// A kind of answer, and what must be proven of it.
#[derive(Clone, Copy, Debug)]
pub struct Case(pub &'static str, pub &'static str, pub Proven);

/// Bits of the flags of EDNS.
const DNSSEC_OK: u8 = 0x80;
const COMPACT_OK: u8 = 0x40;

const SIGNED: &str = "[probe]\nenabled = false\n[dnssec]\nzones = [\"example.org\"]\n";

pub const ZONE: &str = "\
@ 3600 IN SOA ns1 Hostmaster 1 7200 1800 1209600 300
@ 3600 IN NS ns1
@ 3600 IN MX 10 Mail
@ 3600 IN TXT \"v=spf1 -all\"
ns1 3600 IN A 127.0.0.1
mail 3600 IN A 192.0.2.25
static 3600 IN A 192.0.2.1
static 3600 IN AAAA 2001:db8::1
static 3600 IN CAA 0 issue \"ca.example.net\"
alias 300 IN CNAME Static
to-steered 300 IN CNAME www
dangling 300 IN CNAME nowhere
srv 300 IN SRV 0 0 80 Static.Example.ORG.
naptr 300 IN NAPTR 1 2 \"u\" \"SIP+D2U\" \"\" Static.Example.org.
*.wild 300 IN A 192.0.2.9
*.wild 300 IN TXT \"wild\"
*.aliases 300 IN CNAME static
a.b.empty 300 IN A 192.0.2.4
tree 300 IN DNAME wild
insecure 300 IN NS ns.insecure
ns.insecure 300 IN A 127.0.0.9
secure 300 IN NS ns.secure
secure 300 IN DS 12345 13 2 0000000000000000000000000000000000000000000000000000000000000000
ns.secure 300 IN A 127.0.0.9
www 300 IN TXT \"beside\"
long 300 IN TXT \"0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789\" \
  \"0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789\" \
  \"0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789\" \
  \"0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789\"
last 60 IN A 192.0.2.77
";

pub const STEERING: &str = r#"
[endpoints]
first = { ipv4 = "192.0.2.11" }
second = { ipv4 = "192.0.2.12", ipv6 = "2001:db8::12" }
elsewhere = { cname = "static.example.org." }
[pools.www]
policy = "failover"
members = ["first", "second"]
[pools.all]
policy = "all"
members = ["first", "second"]
[pools.spare]
policy = "failover"
members = ["first"]
fallback = "elsewhere"
[pools.nothing]
policy = "failover"
members = ["first"]
on_down = "nodata"
[pools.last]
policy = "failover"
members = ["first"]
on_down = "static"
[names]
"@" = { pool = "www" }
www = { pool = "www" }
all = { pool = "all" }
spare = { pool = "spare" }
nothing = { pool = "nothing" }
last = { pool = "last" }
"*.shop" = { pool = "www" }
"#;

pub const STATIC: &[Case] = &[
    Case("example.org", "SOA", Positive),
    Case("example.org", "NS", Positive),
    Case("example.org", "MX", Positive),
    Case("example.org", "TXT", Positive),
    Case("example.org", "DNSKEY", Positive),
    Case("example.org", "CAA", Negative),
    Case("static.example.org", "A", Positive),
    Case("StAtIc.ExAmPlE.oRg", "AAAA", Positive),
    Case("static.example.org", "CAA", Positive),
    Case("static.example.org", "MX", Negative),
    Case("static.example.org", "NSEC", Positive),
    Case("alias.example.org", "A", Positive),
    Case("alias.example.org", "MX", Negative),
    Case("to-steered.example.org", "A", Positive),
    Case("dangling.example.org", "A", Negative),
    Case("srv.example.org", "SRV", Positive),
    Case("naptr.example.org", "NAPTR", Positive),
    Case("any.wild.example.org", "A", Positive),
    Case("a.b.c.wild.example.org", "TXT", Positive),
    Case("any.wild.example.org", "MX", Negative),
    Case("*.wild.example.org", "A", Positive),
    Case("long.example.org", "TXT", Positive),
    Case("wild.example.org", "A", Negative),
    Case("any.aliases.example.org", "A", Positive),
    Case("empty.example.org", "A", Negative),
    Case("b.empty.example.org", "TXT", Negative),
    Case("nothing-like-it.example.org", "A", Negative),
    Case("a.b.c.d.e.example.org", "AAAA", Negative),
    Case("below.static.example.org", "A", Negative),
    Case("nothing-like-it.example.org", "NSEC", Positive),
    Case("tree.example.org", "DNAME", Positive),
    Case("any.tree.example.org", "A", Positive),
    Case("any.tree.example.org", "MX", Negative),
    Case("insecure.example.org", "DS", Negative),
    Case("secure.example.org", "DS", Positive),
];

/// What steering answers, whoever is up.
pub const STEERED: &[Case] = &[
    Case("example.org", "A", Positive),
    Case("www.example.org", "A", Positive),
    Case("www.example.org", "AAAA", Positive),
    Case("www.example.org", "TXT", Positive),
    Case("www.example.org", "MX", Negative),
    Case("all.example.org", "A", Positive),
    Case("spare.example.org", "A", Positive),
    Case("any.shop.example.org", "A", Positive),
    Case("any.shop.example.org", "MX", Negative),
    Case("nothing.example.org", "AAAA", Negative),
    Case("nothing.example.org", "TXT", Negative),
    Case("last.example.org", "A", Positive),
    Case("last.example.org", "AAAA", Negative),
];

/// A world in which `example.org` is signed, with one key for everything.
fn signed_world() -> World {
    let world = World::new(SIGNED);
    world.write_zone("example.org.zone", ZONE);
    world.write_zone("example.org.toml", STEERING);
    said(&world, &["keys", "generate", "example.org"]);
    world
}

/// What a command prints; it must succeed.
pub fn said(world: &World, arguments: &[&str]) -> String {
    let output = world.run(arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// What a command that must fail says.
fn refused(world: &World, arguments: &[&str], status: i32) -> String {
    let output = world.run(arguments);
    assert_eq!(output.status.code(), Some(status), "{arguments:?}: {output:?}");
    String::from_utf8(output.stderr).expect("text")
}

/// The key files of the world that end like this.
pub fn key_files(world: &World, ending: &str) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(world.path("config/keys")).expect("keys");
    let paths = entries.map(|entry| entry.expect("readable").path());
    let mut files: Vec<_> = paths.filter(|path| path.to_string_lossy().ends_with(ending)).collect();
    files.sort();
    files
}

/// The DNSKEY records that the parent would vouch for, as `257 3 13 ...`.
fn trusted(world: &World) -> Vec<String> {
    let texts = key_files(world, ".key").into_iter().map(|path| fs::read_to_string(path).expect("readable"));
    let keys = texts.filter_map(|text| text.split("DNSKEY ").nth(1).map(|key| key.trim().to_owned()));
    keys.filter(|key| key.starts_with("257 ")).collect()
}

/// Asks through delv, which trusts nothing but the zone's keys.
fn delv(world: &World, server: SocketAddr, name: &str, qtype: &str) -> String {
    let anchor = |key: String| {
        let mut words = key.split_whitespace();
        let numbers: Vec<&str> = words.by_ref().take(3).collect();
        format!("example.org static-key {} \"{}\";", numbers.join(" "), words.collect::<String>())
    };
    let anchors: String = trusted(world).into_iter().map(anchor).collect();
    let file = world.path("anchors");
    fs::write(&file, format!("trust-anchors {{ {anchors} }};\n")).expect("written");
    let (host, port) = (format!("@{}", server.ip()), server.port().to_string());
    let file = file.display().to_string();
    let output = Command::new("delv")
        .args([&host, "-p", &port, "-a", &file, "+root=example.org", name, qtype])
        .output()
        .expect("delv is installed (tools/test installs it)");
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

/// Asks through the resolver of unbound, which does the same.
fn unbound(world: &World, server: SocketAddr, name: &str, qtype: &str) -> String {
    let anchors: String = trusted(world)
        .into_iter()
        .map(|key| format!("trust-anchor: \"example.org. DNSKEY {key}\"\n"))
        .collect();
    let (host, port) = (server.ip(), server.port());
    let file = world.path("unbound.conf");
    let text = format!(
        "server:\nmodule-config: \"validator iterator\"\ndo-not-query-localhost: no\ndirectory: \"\"\nchroot: \"\"\n{anchors}\
         stub-zone:\nname: \"example.org\"\nstub-addr: {host}@{port}\n"
    );
    fs::write(&file, text).expect("written");
    let output = Command::new("unbound-host")
        .args(["-C", &file.display().to_string(), "-v", "-t", qtype, name])
        .output()
        .expect("unbound-host is installed (tools/test installs it)");
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

/// Everything that is not proven.
pub fn unproven(world: &World, server: SocketAddr, cases: &[Case]) -> Vec<String> {
    let mut wrong = Vec::new();
    for Case(name, qtype, proven) in cases {
        let text = delv(world, server, name, qtype);
        let is_negative = text.contains("ncache");
        if !text.contains("fully validated")
            || text.contains("unsigned")
            || is_negative != (*proven == Negative)
        {
            wrong.push(format!("delv {name} {qtype} is not {proven:?}:\n{text}"));
        }
        let text = unbound(world, server, name, qtype);
        let is_negative = text.contains("has no") || text.contains("not found");
        if !text.contains("(secure)") || text.contains("(BOGUS") || is_negative != (*proven == Negative) {
            wrong.push(format!("unbound-host {name} {qtype} is not {proven:?}:\n{text}"));
        }
    }
    wrong
}

pub fn assert_proven(world: &World, server: SocketAddr, cases: &[Case]) {
    let wrong = unproven(world, server, cases);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_kind_of_static_answer_is_proven() {
    let world = signed_world();
    assert_proven(&world, world.serve().address, STATIC);
}

#[test]
fn every_steered_answer_is_proven_in_every_state_of_health() {
    let world = signed_world();
    let server = world.serve();
    let addresses = || dig(server.address, &["www.example.org", "+short"]);
    assert_proven(&world, server.address, STEERED);
    assert_proven(&world, server.address, &[Case("nothing.example.org", "A", Positive)]);
    for (endpoint, address) in [("first", "192.0.2.12\n"), ("second", "192.0.2.11\n")] {
        said(&world, &["force", "down", endpoint, "-c", "config/windrose.toml"]);
        wait_until("an endpoint is down", || (addresses() == address).then_some(()));
        assert_proven(&world, server.address, STEERED);
        assert_proven(&world, server.address, &[Case("nothing.example.org", "A", Negative)]);
    }
    let last = dig(server.address, &["last.example.org", "+short"]);
    assert_eq!(last, "192.0.2.77\n");
}

#[test]
fn a_zone_with_two_roles_of_keys_and_both_algorithms_is_proven() {
    for algorithm in ["ecdsa-p256", "ed25519"] {
        let world = World::new(SIGNED);
        world.write_zone("example.org.zone", ZONE);
        for role in ["zsk", "ksk"] {
            said(&world, &["keys", "generate", "example.org", "--role", role, "--algorithm", algorithm]);
        }
        // The second key would only sign when the first has been seen by all: here nobody has seen any.
        for path in key_files(&world, ".private") {
            let text = fs::read_to_string(&path).expect("readable");
            let created = text.split("Created: ").nth(1).expect("a time").lines().next().expect("a line");
            let line = |line: &str| match line.strip_prefix("Activate: ") {
                Some(_) => format!("Activate: {created}\n"),
                None => format!("{line}\n"),
            };
            fs::write(&path, text.lines().map(line).collect::<String>()).expect("written");
        }
        let server = world.serve();
        assert_proven(&world, server.address, &STATIC[..8]);
        let keys = dig(server.address, &["example.org", "DNSKEY", "+dnssec"]);
        assert_eq!(keys.matches("RRSIG\tDNSKEY").count(), 1, "{keys}");
    }
}

#[test]
fn keys_of_binds_tools_are_used_as_they_are_and_ours_by_them() {
    let world = World::new(SIGNED);
    world.write_zone("example.org.zone", ZONE);
    let directory = world.path("config/keys");
    fs::create_dir(&directory).expect("a directory");
    let directory = directory.display().to_string();
    let keygen = Command::new("dnssec-keygen")
        .args(["-q", "-K", &directory, "-a", "ECDSAP256SHA256", "-f", "KSK", "example.org"])
        .output()
        .expect("dnssec-keygen is installed (tools/test installs it)");
    assert!(keygen.status.success(), "{keygen:?}");
    assert_proven(&world, world.serve().address, &STATIC[..5]);
    for (zone, prefix) in [("other.example", "Kother.example.+"), (".", "K.+")] {
        said(&world, &["keys", "generate", zone, "-c", "config/windrose.toml"]);
        let files = key_files(&world, ".private");
        let path = files.iter().find(|path| path.to_string_lossy().contains(prefix)).expect("it is there");
        let key = path.with_extension("");
        let settime = Command::new("dnssec-settime").args(["-p", "all"]).arg(&key).output().expect("settime");
        let text = String::from_utf8(settime.stdout).expect("text");
        assert!(settime.status.success() && !text.contains("\nPublish: UNSET"), "{text}");
        let ds =
            Command::new("dnssec-dsfromkey").arg(path.with_extension("key")).output().expect("dsfromkey");
        let ds = String::from_utf8(ds.stdout).expect("text");
        let ours = said(&world, &["keys", "ds", zone]);
        assert_eq!(ours.split(" ;").next().map(str::trim), Some(ds.trim()));
    }
}

#[test]
fn rfc_9824_a_name_that_does_not_exist_is_nodata_unless_the_client_asks_for_the_code() {
    let world = signed_world();
    let server = world.serve();
    let missing = "nothing-like-it.example.org";
    let plain = dig(server.address, &[missing]);
    assert!(plain.contains("status: NXDOMAIN") && !plain.contains("NSEC"), "{plain}");
    let signed = dig(server.address, &[missing, "+dnssec"]);
    assert!(signed.contains("status: NOERROR") && signed.contains("RRSIG NSEC TYPE128"), "{signed}");
    assert!(signed.contains("\\000.nothing-like-it.example.org."), "{signed}");
    let mut packet = query(missing, RecordType::A);
    packet[11] = 1;
    packet.extend([0, 0, 41, 4, 208, 0, 0, DNSSEC_OK | COMPACT_OK, 0, 0, 0]);
    let socket = UdpSocket::bind(("127.0.0.1", 0)).expect("a socket");
    socket.connect(server.address).expect("connected");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    socket.send(&packet).expect("sent");
    let mut reply = [0; 1232];
    let length = socket.recv(&mut reply).expect("an answer");
    assert_eq!(reply[3] & 0x0F, 3, "NXDOMAIN");
    assert!(reply[..length].ends_with(&[0, 0, 41, 4, 208, 0, 0, DNSSEC_OK | COMPACT_OK, 0, 0, 0]));
}

#[test]
fn an_answer_without_dnssec_ok_has_no_signature() {
    let world = signed_world();
    let server = world.serve();
    for name in ["static.example.org", "www.example.org", "insecure.example.org", "any.tree.example.org"] {
        let text = dig(server.address, &[name, "+nodnssec"]);
        assert!(!text.contains("RRSIG") && !text.contains("NSEC"), "{text}");
    }
}

#[test]
fn an_explanation_says_who_signs_from_the_files_and_from_the_server() {
    let world = signed_world();
    let key = key_files(&world, ".key").remove(0);
    let tag = key.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.rsplit('+').next());
    let tag: u16 = tag.and_then(|tag| tag.parse().ok()).expect("a tag");
    let line = format!("\n  signed by example.org with key {tag}, for who wants proof\n");
    let explained = |name: &str| said(&world, &["explain", name, "A", "--from", "192.0.2.1"]);
    assert!(explained("www.example.org").contains(&line), "{}", explained("www.example.org"));
    assert!(!explained("insecure.example.org").contains("signed by"), "a referral is not for us to sign");
    let server = world.serve();
    assert!(explained("www.example.org").contains(&line), "{}", explained("www.example.org"));
    drop(server);
}

#[test]
fn referrals_say_whether_what_is_cut_off_is_signed_and_glue_is_not_signed() {
    let world = signed_world();
    let server = world.serve();
    let insecure = dig(server.address, &["www.insecure.example.org", "+dnssec"]);
    let words = insecure.split_whitespace().collect::<Vec<_>>().join(" ");
    let proof = "insecure.example.org. 300 IN NSEC \\000.insecure.example.org. NS RRSIG NSEC";
    assert!(words.contains(proof), "{insecure}");
    assert!(!words.contains("RRSIG NS ") && !words.contains("RRSIG A "), "{insecure}");
    let secure = dig(server.address, &["www.secure.example.org", "+dnssec"]);
    assert!(secure.contains("\tDS\t") && secure.contains("RRSIG\tDS "), "{secure}");
}

#[test]
fn what_does_not_fit_a_datagram_with_its_signatures_is_truncated() {
    let world = signed_world();
    let server = world.serve();
    let ask = |more: &[&str]| {
        let question = [&["long.example.org", "TXT", "+bufsize=512", "+ignore", "+nocookie"], more].concat();
        dig(server.address, &question)
    };
    let [plain, signed, whole] = [ask(&["+nodnssec"]), ask(&["+dnssec"]), ask(&["+dnssec", "+tcp"])];
    let is_truncated =
        |text: &str| text.lines().any(|line| line.starts_with(";; flags:") && line.contains(" tc"));
    assert!(!is_truncated(&plain) && plain.contains("0123456789"), "{plain}");
    assert!(is_truncated(&signed) && !signed.contains("RRSIG"), "{signed}");
    assert!(!is_truncated(&whole) && whole.matches("\tRRSIG\t").count() == 1, "{whole}");
}

#[test]
fn a_key_that_is_missing_unreadable_or_expired_is_an_error_at_load() {
    let world = World::new(SIGNED);
    world.write_zone("example.org.zone", ZONE);
    let check = |what: &str| {
        for command in ["check", "serve"] {
            let text = refused(&world, &[command, "config/windrose.toml"], 2);
            assert!(text.contains(what), "{text}");
        }
    };
    check("error[no-key]");
    said(&world, &["keys", "generate", "example.org"]);
    let path = key_files(&world, ".private").remove(0);
    let good = fs::read_to_string(&path).expect("readable");
    fs::remove_file(&path).expect("removed");
    check("error[unreadable-key]");
    fs::write(&path, good.replace("PrivateKey: ", "PrivateKey: AAAA")).expect("written");
    check("error[bad-key]");
    fs::write(&path, format!("{good}Inactive: 20200101000000\n")).expect("written");
    check("error[key-expired]");
    fs::write(&path, good.replace("Activate: 20", "Activate: 21")).expect("written");
    check("error[key-not-active]");
    fs::write(&path, &good).expect("written");
    fs::write(world.path("config/windrose.toml"), SIGNED.replace("example.org", "example.net"))
        .expect("written");
    check("error[unknown-zone]");
}

#[test]
fn a_key_that_goes_bad_at_work_changes_nothing_and_one_that_is_added_is_taken() {
    let world = signed_world();
    let server = world.serve();
    let path = key_files(&world, ".private").remove(0);
    let good = fs::read_to_string(&path).expect("readable");
    fs::write(&path, "nothing").expect("written");
    server.log.wait_for("the files are wrong");
    assert_proven(&world, server.address, &STATIC[..5]);
    fs::write(&path, good).expect("written");
    server.log.wait_for("reloaded (files changed)");
    said(&world, &["keys", "generate", "example.org", "--role", "zsk"]);
    wait_until("the new key is shown", || {
        (dig(server.address, &["example.org", "DNSKEY", "+short"]).lines().count() == 2).then_some(())
    });
    assert_proven(&world, server.address, &STATIC[..5]);
}

#[test]
fn a_rollover_goes_through_its_states_and_every_step_is_proven() {
    let world = signed_world();
    let server = world.serve();
    let tag = |list: &str, at: usize| {
        list.lines().nth(at).and_then(|line| line.split_whitespace().nth(1)).expect("a tag").to_owned()
    };
    let list = || said(&world, &["keys", "list"]);
    let before = list();
    assert!(before.contains("CSK") && before.contains("active"), "{before}");
    let old = tag(&before, 1);
    said(&world, &["keys", "roll", "example.org", &old]);
    let rolling = list();
    assert!(rolling.contains("published") && rolling.contains("active"), "{rolling}");
    let again = refused(&world, &["keys", "roll", "example.org", &old], 1);
    assert!(again.contains("being rolled already"), "{again}");
    let early = refused(&world, &["keys", "ds-seen", "example.org", &old], 1);
    assert!(early.contains("the parent must wait"), "{early}");
    wait_until("both keys are shown", || {
        (dig(server.address, &["example.org", "DNSKEY", "+short"]).lines().count() == 2).then_some(())
    });
    assert_proven(&world, server.address, &STATIC[..5]);
    // Two hours later: what was to come is past.
    let moved = |word: &str, path: &std::path::Path| {
        let text = fs::read_to_string(path).expect("readable");
        let line = |line: &str| match line.starts_with(word) {
            true => format!("{word}: 20200101000000\n"),
            false => format!("{line}\n"),
        };
        fs::write(path, text.lines().map(line).collect::<String>()).expect("written");
    };
    for path in key_files(&world, ".private") {
        for word in ["Activate", "SyncPublish", "SyncDelete"] {
            moved(word, &path);
        }
    }
    wait_until("the parent is asked for the new DS", || {
        dig(server.address, &["example.org", "CDS", "+short"]).lines().count().eq(&1).then_some(())
    });
    assert_proven(
        &world,
        server.address,
        &[Case("example.org", "CDS", Positive), Case("example.org", "CDNSKEY", Positive)],
    );
    let ds = said(&world, &["keys", "ds", "example.org"]);
    assert!(ds.lines().count() == 1 && !ds.contains(&format!(" DS {old} ")), "{ds}");
    said(&world, &["keys", "ds-seen", "example.org", &old, "--ds-ttl", "0s"]);
    let retired = list();
    assert!(retired.contains("retired"), "{retired}");
    wait_until("the old key no longer signs", || {
        let signed = dig(server.address, &["static.example.org", "+dnssec"]);
        (signed.matches("RRSIG").count() == 1 && !signed.contains(&format!(" {old} example.org.")))
            .then_some(())
    });
    assert_proven(&world, server.address, STATIC);
}
