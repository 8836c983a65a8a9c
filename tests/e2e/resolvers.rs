//! Resolvers of others in front of a signed zone: unbound, which looks for answers itself, and Knot Resolver, which is
//! told to ask us. Both trust the zone's key, validate, and must come to the same answers.
//!
//! ```text
//!   dig > unbound         > windrose: example.org, and below it child (signed) and insecure (not)
//!       > Knot Resolver   >
//! ```

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::dnssec::{STEERING, ZONE, key_files, said};
use crate::query::dig;
use crate::world::{Server, World, daemon, free_address, wait_until};

/// A question, and what a resolver must make of it.
struct Case {
    name: &'static str,
    rtype: &'static str,
    /// The records of the answer, in lower case and sorted, and without signatures; one that ends with `...` only
    /// begins so.
    answer: &'static [&'static str],
    /// What else there is to say of it.
    end: End,
}

/// How it ends.
#[derive(Clone, Copy, PartialEq)]
enum End {
    /// NOERROR, and proven.
    Proven,
    /// NOERROR from the zone that is not signed: nothing is proven.
    Unsigned,
    /// NXDOMAIN from that zone.
    NoName,
}

use End::{NoName, Proven, Unsigned};

const fn case(name: &'static str, rtype: &'static str, answer: &'static [&'static str], end: End) -> Case {
    Case { name, rtype, answer, end }
}

/// A name that does not exist is NOERROR without data to who wants proof (RFC 9824), and these resolvers are older than
/// the code that tells it from others.
const CASES: &[Case] = &[
    case(
        "example.org",
        "SOA",
        &["soa ns1.example.org. hostmaster.example.org. 1 7200 1800 1209600 300"],
        Proven,
    ),
    case("example.org", "NS", &["ns ns1.example.org."], Proven),
    case("example.org", "MX", &["mx 10 mail.example.org."], Proven),
    case("example.org", "TXT", &["txt \"v=spf1 -all\""], Proven),
    case("example.org", "DNSKEY", &["dnskey 257 3 13 ..."], Proven),
    case("example.org", "CAA", &[], Proven),
    case("example.org", "A", &["a 192.0.2.11"], Proven),
    case("ns1.example.org", "A", &["a 127.0.0.1"], Proven),
    case("mail.example.org", "A", &["a 192.0.2.25"], Proven),
    case("StAtIc.ExAmPlE.oRg", "A", &["a 192.0.2.1"], Proven),
    case("static.example.org", "AAAA", &["aaaa 2001:db8::1"], Proven),
    case("static.example.org", "CAA", &["caa 0 issue \"ca.example.net\""], Proven),
    case("static.example.org", "MX", &[], Proven),
    case("static.example.org", "NSEC", &["nsec \\000.static.example.org. a aaaa rrsig nsec caa"], Proven),
    case("alias.example.org", "A", &["a 192.0.2.1", "cname static.example.org."], Proven),
    case("alias.example.org", "MX", &["cname static.example.org."], Proven),
    case("to-steered.example.org", "A", &["a 192.0.2.11", "cname www.example.org."], Proven),
    case("dangling.example.org", "A", &["cname nowhere.example.org."], Proven),
    case("srv.example.org", "SRV", &["srv 0 0 80 static.example.org."], Proven),
    case("naptr.example.org", "NAPTR", &["naptr 1 2 \"u\" \"sip+d2u\" \"\" static.example.org."], Proven),
    case("svcb.example.org", "SVCB", &["svcb 1 static.example.org. alpn=\"h2,h3\" port=8443"], Proven),
    case("https.example.org", "HTTPS", &["https 1 . alpn=\"h2\" ipv4hint=192.0.2.1"], Proven),
    case("_443._tcp.static.example.org", "TLSA", &["tlsa 3 1 1 00000000..."], Proven),
    case("ssh.example.org", "SSHFP", &["sshfp 4 2 00000000..."], Proven),
    case("unknown.example.org", "TYPE65280", &["type65280 \\# 3 010203"], Proven),
    case("long.example.org", "TXT", &["txt \"0123456789..."], Proven),
    case("any.wild.example.org", "A", &["a 192.0.2.9"], Proven),
    case("a.b.c.wild.example.org", "TXT", &["txt \"wild\""], Proven),
    case("any.wild.example.org", "MX", &[], Proven),
    case("*.wild.example.org", "A", &["a 192.0.2.9"], Proven),
    case("wild.example.org", "A", &[], Proven),
    case("any.aliases.example.org", "A", &["a 192.0.2.1", "cname static.example.org."], Proven),
    case("a.b.empty.example.org", "A", &["a 192.0.2.4"], Proven),
    case("b.empty.example.org", "TXT", &[], Proven),
    case("empty.example.org", "A", &[], Proven),
    case("nothing-like-it.example.org", "A", &[], Proven),
    case("a.b.c.d.e.example.org", "AAAA", &[], Proven),
    case("below.static.example.org", "A", &[], Proven),
    case("tree.example.org", "DNAME", &["dname wild.example.org."], Proven),
    case(
        "any.tree.example.org",
        "A",
        &["a 192.0.2.9", "cname any.wild.example.org.", "dname wild.example.org."],
        Proven,
    ),
    case(
        "other.tree.example.org",
        "MX",
        &["cname other.wild.example.org.", "dname wild.example.org."],
        Proven,
    ),
    case("insecure.example.org", "DS", &[], Proven),
    case("www.insecure.example.org", "A", &["a 192.0.2.60"], Unsigned),
    case("www.insecure.example.org", "MX", &[], Unsigned),
    case("missing.insecure.example.org", "A", &[], NoName),
    case("to-insecure.example.org", "A", &["a 192.0.2.60", "cname www.insecure.example.org."], Unsigned),
    case("child.example.org", "DS", &["ds ..."], Proven),
    case("child.example.org", "DNSKEY", &["dnskey 257 3 13 ..."], Proven),
    case("www.child.example.org", "A", &["a 192.0.2.60"], Proven),
    case("missing.child.example.org", "A", &[], Proven),
    case("to-child.example.org", "A", &["a 192.0.2.60", "cname www.child.example.org."], Proven),
    case("www.example.org", "A", &["a 192.0.2.11"], Proven),
    case("www.example.org", "AAAA", &["aaaa 2001:db8::12"], Proven),
    case("www.example.org", "TXT", &["txt \"beside\""], Proven),
    case("www.example.org", "MX", &[], Proven),
    case("all.example.org", "A", &["a 192.0.2.11", "a 192.0.2.12"], Proven),
    case("spare.example.org", "A", &["a 192.0.2.11"], Proven),
    case("any.shop.example.org", "A", &["a 192.0.2.11"], Proven),
    case("a.b.shop.example.org", "MX", &[], Proven),
    case("nothing.example.org", "AAAA", &[], Proven),
    case("last.example.org", "A", &["a 192.0.2.11"], Proven),
];

/// What the zone has beside that of the other tests.
const MORE: &str = "\
svcb 300 IN SVCB 1 static alpn=\"h2,h3\" port=8443
https 300 IN HTTPS 1 . alpn=\"h2\" ipv4hint=192.0.2.1
_443._tcp.static 300 IN TLSA 3 1 1 0000000000000000000000000000000000000000000000000000000000000000
ssh 300 IN SSHFP 4 2 0000000000000000000000000000000000000000000000000000000000000000
unknown 300 IN TYPE65280 \\# 3 010203
child 300 IN NS ns1
to-child 300 IN CNAME www.child
to-insecure 300 IN CNAME www.insecure
";

const BELOW: &str = "\
@ 300 IN SOA ns1.example.org. host 1 7200 1800 1209600 300
@ 300 IN NS ns1.example.org.
www 300 IN A 192.0.2.60
";

/// `example.org` and what is below it.
fn served() -> (World, Server) {
    let signed = "[probe]\nenabled = false\n[dnssec]\nzones = [\"example.org\", \"child.example.org\"]\n";
    let world = World::new(signed);
    for zone in ["example.org", "child.example.org"] {
        said(&world, &["keys", "generate", zone]);
    }
    let ds = said(&world, &["keys", "ds", "child.example.org"]);
    world.write_zone("example.org.zone", &format!("{ZONE}{MORE}{ds}"));
    world.write_zone("example.org.toml", STEERING);
    world.write_zone("child.example.org.zone", BELOW);
    world.write_zone("insecure.example.org.zone", BELOW);
    let server = world.serve();
    (world, server)
}

/// A resolver at work; killed when dropped.
struct Resolver {
    name: &'static str,
    address: SocketAddr,
    child: Child,
    log: PathBuf,
}

impl Resolver {
    /// Starts one from its configuration, and waits until it answers for our zone.
    fn start(name: &'static str, directory: &Path, address: SocketAddr, command: &mut Command) -> Self {
        let path = directory.join("log");
        let log = fs::File::create(&path).expect("a log");
        let child = command
            .current_dir(directory)
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .stdin(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{name}: {error}: tools/install installs it"));
        let resolver = Self { name, address, child, log: path };
        let (host, port) = (format!("@{}", address.ip()), address.port().to_string());
        let question = [&host, "-p", &port, "example.org", "SOA", "+short", "+time=1", "+tries=1"];
        wait_until(name, || {
            let asked = Command::new("dig").args(question).output().expect("dig is installed");
            asked.stdout.starts_with(b"ns1").then_some(())
        });
        resolver
    }

    /// What is not as it must be.
    fn wrong(&self, cases: &[Case]) -> Vec<String> {
        let failed = |case: &Case| {
            let text = dig(self.address, &[case.name, case.rtype, "+dnssec"]);
            let is_right = case.is_told_by(&text);
            (!is_right).then(|| format!("{} of {} {}:\n{text}", self.name, case.name, case.rtype))
        };
        cases.iter().filter_map(failed).collect()
    }
}

impl Drop for Resolver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = fs::read_to_string(&self.log).unwrap_or_default();
            eprintln!("--- the log of {} ---\n{log}", self.name);
        }
    }
}

impl Case {
    /// Whether that is what dig printed of it.
    fn is_told_by(&self, text: &str) -> bool {
        let rcode = if self.end == NoName { "NXDOMAIN" } else { "NOERROR" };
        let flags = text.split("flags: ").nth(1).and_then(|rest| rest.split(';').next()).unwrap_or_default();
        let is_proven = flags.split_whitespace().any(|flag| flag == "ad");
        let answer = text.split(";; ANSWER SECTION:\n").nth(1).and_then(|rest| rest.split("\n\n").next());
        let mut records: Vec<String> = answer.unwrap_or_default().lines().filter_map(record).collect();
        records.sort();
        let alike = |(record, expected): (&String, &&str)| match expected.strip_suffix("...") {
            Some(begin) => record.starts_with(begin),
            None => record == expected,
        };
        text.contains(&format!("status: {rcode},"))
            && is_proven == (self.end == Proven)
            && records.len() == self.answer.len()
            && records.iter().zip(self.answer).all(alike)
    }
}

/// Type and data of a line, unless it is a signature.
fn record(line: &str) -> Option<String> {
    let words: Vec<&str> = line.split_whitespace().skip(3).collect();
    (words.first() != Some(&"RRSIG")).then(|| words.join(" ").to_lowercase())
}

/// The DNSKEY record of the zone, which is all that resolvers are told of it.
fn anchor(world: &World) -> String {
    let keys = key_files(world, ".key");
    let of_zone = |path: &&PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("Kexample."))
    };
    let text = fs::read_to_string(keys.iter().find(of_zone).expect("it has a key")).expect("readable");
    text.lines().find(|line| line.contains(" DNSKEY ")).expect("a record").to_owned()
}

/// A directory of a resolver's own.
fn directory(world: &World, name: &str) -> PathBuf {
    let path = world.path(name);
    fs::create_dir(&path).expect("a directory");
    path
}

fn unbound(world: &World, server: &Server) -> Resolver {
    let (directory, address) = (directory(world, "unbound"), free_address());
    let (at, port, anchor) = (directory.display(), address.port(), anchor(world));
    let (host, server_port) = (server.address.ip(), server.address.port());
    let config = format!(
        "server:\n interface: 127.0.0.1@{port}\n port: {port}\n do-daemonize: no\n chroot: \"\"\n username: \"\"\n\
         directory: \"{at}\"\n pidfile: \"\"\n use-syslog: no\n logfile: \"\"\n do-not-query-localhost: no\n\
         module-config: \"validator iterator\"\n trust-anchor: '{anchor}'\n\
         remote-control:\n control-enable: no\n\
         stub-zone:\n name: \"example.org\"\n stub-addr: {host}@{server_port}\n"
    );
    fs::write(directory.join("unbound.conf"), config).expect("written");
    let mut command = Command::new(daemon("unbound"));
    Resolver::start("unbound", &directory, address, command.args(["-d", "-c", "unbound.conf"]))
}

fn knot_resolver(world: &World, server: &Server) -> Resolver {
    let (directory, address) = (directory(world, "knot-resolver"), free_address());
    let (port, anchor) = (address.port(), anchor(world));
    let (host, server_port) = (server.address.ip(), server.address.port());
    // Debian's build brings the key of the real root, which is out of reach.
    let config = format!(
        "net.listen('127.0.0.1', {port}, {{ kind = 'dns' }})\n\
         cache.size = 10 * MB\n\
         trust_anchors.remove('.')\n\
         trust_anchors.add([[{anchor}]])\n\
         policy.add(policy.suffix(policy.FORWARD({{'{host}@{server_port}'}}), policy.todnames({{'example.org.'}})))\n"
    );
    fs::write(directory.join("config"), config).expect("written");
    let mut command = Command::new(daemon("kresd"));
    Resolver::start("Knot Resolver", &directory, address, command.args(["-n", "-c", "config", "."]))
}

#[test]
fn an_unbound_and_a_knot_resolver_in_front_resolve_and_validate_names_of_every_kind() {
    let names: BTreeSet<String> = CASES.iter().map(|case| case.name.to_lowercase()).collect();
    assert!(names.len() >= 40, "{} names", names.len());
    let (world, server) = served();
    for resolver in [unbound(&world, &server), knot_resolver(&world, &server)] {
        let wrong = resolver.wrong(CASES);
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}
