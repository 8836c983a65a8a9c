//! Zonemaster, as registries run it before they delegate: in a network of its own, with a root, `org` and reverse
//! zones that NSD serves, and our zones delegated from there to two servers in different networks.
//!
//! ```text
//!   zonemaster-cli > NSD: . org in-addr.arpa ip6.arpa > windrose: example.org (signed, steered apex)
//!                                                                  plain.org (not signed)
//! ```
//!
//! All of it is in one namespace, whose loopback interface has everybody's addresses: Zonemaster minds those that are
//! for documentation, so these are real ones, which lead nowhere from there.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use crate::world::{World, wait_until};

/// A network that nobody else is in; gone when dropped.
struct Namespace(String);

impl Namespace {
    /// With these addresses. `None`: it is not permitted.
    fn new(addresses: &[&str]) -> Option<Self> {
        let name = format!("wrzm{}", std::process::id());
        let ip = |arguments: &[&str]| {
            let ran = Command::new("ip").args(arguments).output();
            ran.expect("ip is installed (tools/install installs it)").status.success()
        };
        if !ip(&["netns", "add", &name]) {
            return None;
        }
        let namespace = Self(name);
        let name = namespace.0.as_str();
        let up = ip(&["-n", name, "link", "set", "lo", "up"])
            && addresses.iter().all(|address| ip(&["-n", name, "address", "add", address, "dev", "lo"]));
        up.then_some(namespace)
    }

    /// A command that runs in it.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.0, program]);
        command
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "delete", &self.0]).output();
    }
}

/// A process; killed when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const ADDRESSES: &[&str] = &[
    "198.41.0.4/32",
    "2001:503:ba3e::2:30/128",
    "45.10.1.1/32",
    "2a0a:1::1/128",
    "46.20.2.2/32",
    "2a0b:2::2/128",
];

const MACHINE: &str = r#"
[probe]
enabled = false
[dnssec]
zones = ["example.org"]
[dns]
listen = ["45.10.1.1:53", "[2a0a:1::1]:53", "46.20.2.2:53", "[2a0b:2::2]:53"]
workers = 1
[geo]
databases = []
"#;

const ZONE: &str = "\
$TTL 3600
@ SOA ns1.example.org. hostmaster.example.org. 2026112101 14400 3600 1209600 3600
@ NS ns1.example.org.
@ NS ns2.example.org.
@ MX 10 mail.example.org.
@ TXT \"v=spf1 -all\"
www TXT \"beside\"
";

const HOSTS: &str = "\
ns1 A 45.10.1.1
ns1 AAAA 2a0a:1::1
ns2 A 46.20.2.2
ns2 AAAA 2a0b:2::2
mail A 45.10.1.25
";

const STEERING: &str = r#"
[endpoints]
first = { ipv4 = "192.0.2.11" }
second = { ipv4 = "192.0.2.12", ipv6 = "2001:db8::12" }
[pools.www]
policy = "failover"
members = ["first", "second"]
[names]
"@" = { pool = "www" }
www = { pool = "www" }
"#;

/// The zones above ours, and what is written in each. The signed one's DS follows.
const ABOVE: &[(&str, &str)] = &[
    (
        ".",
        "@ NS a.root-servers.net.\na.root-servers.net. A 198.41.0.4\na.root-servers.net. AAAA 2001:503:ba3e::2:30\n",
    ),
    (
        "in-addr.arpa",
        "@ NS a.root-servers.net.\n1.1.10.45 PTR ns1.example.org.\n2.2.20.46 PTR ns2.example.org.\n",
    ),
    (
        "ip6.arpa",
        "@ NS a.root-servers.net.\n\
         1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.0.0.a.0.a.2 PTR ns1.example.org.\n\
         2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.2.0.0.0.b.0.a.2 PTR ns2.example.org.\n",
    ),
    (
        "org",
        "@ NS a.root-servers.net.\n\
         example NS ns1.example\nexample NS ns2.example\nplain NS ns1.example\nplain NS ns2.example\n\
         ns1.example A 45.10.1.1\nns1.example AAAA 2a0a:1::1\nns2.example A 46.20.2.2\nns2.example AAAA 2a0b:2::2\n",
    ),
];

const ROOT: &str = "198.41.0.4";
const HINTS: &str = "\
. 3600000 IN NS a.root-servers.net.
a.root-servers.net. 3600000 IN A 198.41.0.4
a.root-servers.net. 3600000 IN AAAA 2001:503:ba3e::2:30
";

/// Modules that must have spoken: a scan that was cut short finds nothing.
const MODULES: &[&str] = &["ADDRESS", "CONSISTENCY", "DELEGATION", "DNSSEC", "NAMESERVER", "SYNTAX", "ZONE"];
const LEVELS: &[&str] = &["WARNING", "ERROR", "CRITICAL"];

/// Our zones, and what is said of them above.
fn written() -> (World, String) {
    let world = World::new("");
    fs::write(world.path("config/windrose.toml"), MACHINE).expect("written");
    world.write_zone("example.org.zone", &format!("{ZONE}{HOSTS}"));
    world.write_zone("example.org.toml", STEERING);
    world.write_zone("plain.org.zone", ZONE);
    let said = |arguments: &[&str]| {
        let ran = world.run(arguments);
        assert!(ran.status.success(), "{ran:?}");
        String::from_utf8(ran.stdout).expect("text")
    };
    said(&["keys", "generate", "example.org"]);
    let ds = said(&["keys", "ds", "example.org"]);
    (world, ds)
}

/// Serves the zones above.
fn nsd(world: &World, namespace: &Namespace, ds: &str) -> Running {
    let directory = world.path("nsd");
    fs::create_dir(&directory).expect("a directory");
    let at = directory.display();
    let mut config = format!(
        "server:\n ip-address: {ROOT}\n ip-address: 2001:503:ba3e::2:30\n username: \"\"\n chroot: \"\"\n\
         zonesdir: \"{at}\"\n database: \"\"\n pidfile: \"\"\n zonelistfile: \"{at}/list\"\n\
         xfrdfile: \"{at}/xfrd\"\n xfrdir: \"{at}\"\n server-count: 1\n rrl-ratelimit: 0\n\
         remote-control:\n control-enable: no\n"
    );
    for (name, records) in ABOVE {
        let ds = if *name == "org" { ds } else { "" };
        let text = format!(
            "$TTL 86400\n@ SOA a.root-servers.net. noc.example.org. 1 1800 900 604800 86400\n{records}{ds}"
        );
        let file = format!("{}.zone", name.trim_matches('.'));
        fs::write(directory.join(&file), text).expect("written");
        config += &format!("zone:\n name: \"{name}\"\n zonefile: \"{file}\"\n");
    }
    fs::write(directory.join("nsd.conf"), config).expect("written");
    let mut command =
        namespace.command(if Path::new("/usr/sbin/nsd").exists() { "/usr/sbin/nsd" } else { "nsd" });
    let log = fs::File::create(directory.join("log")).expect("a log");
    command.args(["-d", "-c"]).arg(directory.join("nsd.conf")).stdin(Stdio::null());
    let child = command.stdout(log.try_clone().expect("a log")).stderr(log).spawn().expect("it starts");
    let running = Running(child);
    wait_until("NSD answers", || {
        let root = format!("@{ROOT}");
        let asked = namespace
            .command("dig")
            .args([&root, "example.org", "DS", "+short", "+tries=1", "+time=1"])
            .output();
        (!asked.expect("dig is installed (tools/install installs it)").stdout.is_empty()).then_some(())
    });
    running
}

fn scanned(world: &World, namespace: &Namespace, zone: &str) -> Output {
    fs::write(world.path("hints"), HINTS).expect("written");
    let mut command = namespace.command("zonemaster-cli");
    command.arg("--hints").arg(world.path("hints"));
    command.args([
        "--level",
        "INFO",
        "--show-level",
        "--show-module",
        "--show-testcase",
        "--no-progress",
        zone,
    ]);
    command.output().expect("zonemaster-cli is installed (tools/install installs it)")
}

#[test]
fn zonemaster_finds_nothing_to_mend_in_a_signed_zone_and_in_one_that_is_not() {
    let Some(namespace) = Namespace::new(ADDRESSES) else {
        eprintln!(
            "SKIPPED: network namespaces are not permitted here, and Zonemaster needs a root of its own"
        );
        return;
    };
    let (world, ds) = written();
    let _above = nsd(&world, &namespace, &ds);
    let _server = world.serve_by(namespace.command(crate::world::BINARY));
    for zone in ["example.org", "plain.org"] {
        let scan = scanned(&world, &namespace, zone);
        let text = String::from_utf8_lossy(&scan.stdout);
        let has_word = |line: &str, words: &[&str]| line.split_whitespace().any(|word| words.contains(&word));
        let complaints: Vec<&str> = text.lines().filter(|line| has_word(line, LEVELS)).collect();
        assert!(complaints.is_empty(), "{zone}:\n{}", complaints.join("\n"));
        let silent: Vec<&&str> =
            MODULES.iter().filter(|module| !text.lines().any(|line| has_word(line, &[module]))).collect();
        assert!(silent.is_empty(), "{zone}: nothing was said of {silent:?}:\n{text}{scan:?}");
    }
}
