//! NSD, Knot and BIND as secondaries of ours: each in a temporary directory, on a port of the system's choice, with
//! everything signed by one key.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::world::{daemon, free_address};

/// Where a secondary will listen, and how it is started.
pub struct Place {
    name: &'static str,
    command: &'static str,
    configured: fn(&Wanted<'_>) -> (String, Vec<String>),
    pub address: SocketAddr,
}

/// A secondary at work; killed when dropped.
pub struct Secondary {
    pub name: &'static str,
    pub address: SocketAddr,
    child: Child,
    directory: tempfile::TempDir,
}

/// What a secondary is configured with.
struct Wanted<'w> {
    directory: &'w Path,
    port: u16,
    primary: SocketAddr,
    secret: &'w str,
}

/// The name of the key that signs everything.
pub const KEY: &str = "secondaries";

/// A place for each of them.
pub fn places() -> [Place; 3] {
    let place = |name, command, configured| Place { name, command, configured, address: free_address() };
    [place("NSD", "nsd", nsd), place("Knot", "knotd", knot), place("BIND", "named", bind)]
}

impl Place {
    /// Starts it, as a secondary of `example.org` at this primary, with this secret of [`KEY`].
    pub fn start(&self, primary: SocketAddr, secret: &str) -> Secondary {
        let directory = tempfile::tempdir().expect("a directory");
        let wanted = Wanted { directory: directory.path(), port: self.address.port(), primary, secret };
        let (config, arguments) = (self.configured)(&wanted);
        fs::write(directory.path().join("config"), config).expect("written");
        let log = fs::File::create(directory.path().join("log")).expect("a log");
        let child = Command::new(daemon(self.command))
            .args(&arguments)
            .current_dir(directory.path())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .stdin(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}; tools/install installs it", self.command));
        Secondary { name: self.name, address: self.address, child, directory }
    }
}

impl Secondary {
    /// What dig prints of its answer; nothing while it does not answer.
    pub fn dig(&self, arguments: &[&str]) -> String {
        let port = self.address.port().to_string();
        let output = Command::new("dig")
            .args(["@127.0.0.1", "-p", &port, "+time=1", "+tries=1"])
            .args(arguments)
            .output()
            .expect("dig is installed (tools/test installs it)");
        String::from_utf8(output.stdout).expect("text")
    }

    /// The data of the records that it answers, in order.
    pub fn answers(&self, name: &str, rtype: &str) -> String {
        let said = self.dig(&[name, rtype, "+short"]);
        let mut lines: Vec<&str> = said.lines().collect();
        lines.sort_unstable();
        lines.join(" ")
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Secondary {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- the log of {} ---\n{}", self.name, self.log());
        }
    }
}

fn nsd(wanted: &Wanted<'_>) -> (String, Vec<String>) {
    let Wanted { directory, port, primary, secret } = wanted;
    let (at, from, from_port) = (directory.display(), primary.ip(), primary.port());
    let config = format!(
        "server:
           ip-address: 127.0.0.1@{port}
           username: \"\"
           chroot: \"\"
           zonesdir: \"{at}\"
           database: \"\"
           pidfile: \"\"
           zonelistfile: \"{at}/zone.list\"
           xfrdfile: \"{at}/xfrd.state\"
           xfrdir: \"{at}\"
           server-count: 1
           verbosity: 2
         remote-control:
           control-enable: no
         key:
           name: {KEY}
           algorithm: hmac-sha256
           secret: \"{secret}\"
         zone:
           name: example.org
           zonefile: zone
           allow-notify: 127.0.0.1 {KEY}
           request-xfr: {from}@{from_port} {KEY}\n"
    );
    (config, words("-d -c config"))
}

fn knot(wanted: &Wanted<'_>) -> (String, Vec<String>) {
    let Wanted { directory, port, primary, secret } = wanted;
    let (at, from, from_port) = (directory.display(), primary.ip(), primary.port());
    let config = format!(
        "server:
    rundir: \"{at}\"
    listen: 127.0.0.1@{port}
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
database:
    storage: \"{at}\"
log:
  - target: stderr
    any: info
key:
  - id: {KEY}
    algorithm: hmac-sha256
    secret: {secret}
remote:
  - id: primary
    address: {from}@{from_port}
    key: {KEY}
acl:
  - id: told
    address: 127.0.0.1
    key: {KEY}
    action: notify
zone:
  - domain: example.org
    storage: \"{at}\"
    file: zone
    master: primary
    acl: told\n"
    );
    (config, words("-c config"))
}

fn bind(wanted: &Wanted<'_>) -> (String, Vec<String>) {
    let Wanted { directory, port, primary, secret } = wanted;
    let (at, from, from_port) = (directory.display(), primary.ip(), primary.port());
    let config = format!(
        "options {{
           directory \"{at}\";
           listen-on port {port} {{ 127.0.0.1; }};
           listen-on-v6 {{ none; }};
           pid-file none;
           session-keyfile none;
           recursion no;
           dnssec-validation no;
           notify no;
         }};
         controls {{ }};
         key {KEY} {{ algorithm hmac-sha256; secret \"{secret}\"; }};
         zone \"example.org\" {{
           type secondary;
           file \"zone\";
           primaries {{ {from} port {from_port} key {KEY}; }};
         }};\n"
    );
    (config, words("-g -4 -n 1 -c config"))
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_string).collect()
}
