//! NSD, Knot and BIND, each with a zone of ours, from a temporary directory, on a port of the system's choice.

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::query;
use crate::world::{daemon, free_address, wait_until};

/// Another name server at work; killed when dropped.
pub struct Oracle {
    pub name: &'static str,
    pub address: SocketAddr,
    child: Child,
    _directory: tempfile::TempDir,
}

impl Drop for Oracle {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts all of them and waits until each answers for `example.org`.
pub fn start(zone: &str) -> Vec<Oracle> {
    let started = [
        ("NSD", "nsd", nsd as fn(&Path, u16) -> (String, Vec<String>)),
        ("Knot", "knotd", knot),
        ("BIND", "named", bind),
    ];
    started.into_iter().map(|(name, command, configured)| run(name, command, zone, configured)).collect()
}

/// Starts BIND alone, which takes updates from anybody here.
pub fn bind_alone(zone: &str) -> Oracle {
    run("BIND", "named", zone, bind)
}

fn run(
    name: &'static str,
    command: &str,
    zone: &str,
    configured: fn(&Path, u16) -> (String, Vec<String>),
) -> Oracle {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path();
    fs::write(path.join("zone"), zone).expect("written");
    let address = free_address();
    let (config, arguments) = configured(path, address.port());
    fs::write(path.join("config"), config).expect("written");
    let log = fs::File::create(path.join("log")).expect("a log");
    let child = Command::new(daemon(command))
        .args(&arguments)
        .current_dir(path)
        .stdout(log.try_clone().expect("a log"))
        .stderr(log)
        .stdin(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("{command}: {error}; tools/install installs it"));
    let mut oracle = Oracle { name, address, child, _directory: directory };
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.set_read_timeout(Some(Duration::from_millis(200))).expect("a deadline");
    wait_until(&format!("{name} answers"), || {
        if let Some(ended) = oracle.child.try_wait().expect("waited for") {
            let log = fs::read_to_string(oracle._directory.path().join("log")).unwrap_or_default();
            panic!("{name} ended, {ended}:\n{log}");
        }
        let query = query::packet("example.org SOA", 1).expect("a query");
        socket.send_to(&query, oracle.address).ok()?;
        let mut reply = [0; 512];
        let length = socket.recv(&mut reply).ok()?;
        (length > 12 && reply[3] & 0xF == 0 && reply[7] == 1).then_some(())
    });
    oracle
}

fn nsd(directory: &Path, port: u16) -> (String, Vec<String>) {
    let at = directory.display();
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
           rrl-ratelimit: 0
           rrl-whitelist-ratelimit: 0
         remote-control:
           control-enable: no
         zone:
           name: example.org
           zonefile: zone\n"
    );
    (config, words("-d -c config"))
}

fn knot(directory: &Path, port: u16) -> (String, Vec<String>) {
    let at = directory.display();
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
    any: warning
zone:
  - domain: example.org
    storage: \"{at}\"
    file: zone
    journal-content: none
    semantic-checks: off\n"
    );
    (config, words("-c config"))
}

fn bind(directory: &Path, port: u16) -> (String, Vec<String>) {
    let at = directory.display();
    let config = format!(
        "options {{
           directory \"{at}\";
           listen-on port {port} {{ 127.0.0.1; }};
           listen-on-v6 {{ none; }};
           pid-file none;
           session-keyfile none;
           recursion no;
           zero-no-soa-ttl no;
           dnssec-validation no;
           notify no;
         }};
         controls {{ }};
         zone \"example.org\" {{
           type primary;
           file \"zone\";
           check-names ignore;
           check-integrity no;
           allow-update {{ 127.0.0.1; }};
         }};\n"
    );
    (config, words("-g -4 -n 1 -c config"))
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_string).collect()
}
