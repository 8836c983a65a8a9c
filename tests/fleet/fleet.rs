//! A fleet of three regions: in each a server, a probe, an endpoint and a NATS server.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::ground::{Ground, Host};

pub const REGIONS: [&str; 3] = ["eu", "us", "ap"];

/// A client of each region.
const CLIENTS: [&str; 3] = ["192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24"];

/// All of it, running. Dropping it ends it.
pub struct Fleet {
    running: BTreeMap<String, Child>,
    pub ground: Ground,
    pub servers: Vec<Host>,
    pub probes: Vec<Host>,
    pub endpoints: Vec<Host>,
    pub nats: Vec<Host>,
    directory: TempDir,
    /// One fleet at a time: they share names of hosts, and the machine.
    _alone: MutexGuard<'static, ()>,
}

static ALONE: Mutex<()> = Mutex::new(());

impl Fleet {
    pub fn start() -> Self {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let ground = Ground::new();
        let kind = |kind: &str, number: u8| -> Vec<Host> {
            (1..)
                .zip(REGIONS)
                .map(|(region, name)| ground.host(&format!("{name}-{kind}"), region, number))
                .collect()
        };
        let (servers, probes) = (kind("server", 1), kind("probe", 2));
        let (endpoints, nats) = (kind("endpoint", 3), kind("nats", 4));
        let directory = tempfile::tempdir().expect("a directory");
        let running = BTreeMap::new();
        let mut fleet = Self { running, ground, servers, probes, endpoints, nats, directory, _alone: alone };
        for region in 0..REGIONS.len() {
            fleet.write(region);
        }
        for region in 0..REGIONS.len() {
            fleet.start_nats(region);
            fleet.start_endpoint(region);
            fleet.start_probe(region);
            fleet.start_server(region);
        }
        fleet
    }

    pub fn start_nats(&mut self, region: usize) {
        let host = self.nats[region].clone();
        self.spawn(&host, "nats-server", &["-c".into(), self.path(&host, "nats.conf")]);
    }

    pub fn start_endpoint(&mut self, region: usize) {
        let host = self.endpoints[region].clone();
        let (address, empty) = (host.address.to_string().into(), self.path(&host, ""));
        let server = ["-m", "http.server", "8080", "--bind"].map(PathBuf::from);
        let arguments = [&server[..], &[address, "--directory".into(), empty]].concat();
        self.spawn(&host, "python3", &arguments);
    }

    pub fn start_probe(&mut self, region: usize) {
        let host = self.probes[region].clone();
        self.spawn(&host, BINARY, &["probe".into(), self.path(&host, "config/windrose.toml")]);
    }

    pub fn start_server(&mut self, region: usize) {
        let host = self.servers[region].clone();
        self.spawn(&host, BINARY, &["serve".into(), self.path(&host, "config/windrose.toml")]);
    }

    /// Ends what runs on a host, as a power cut does.
    pub fn kill(&mut self, host: &Host) {
        let mut child = self.running.remove(&host.name).expect("it runs");
        child.kill().expect("it can be killed");
        child.wait().expect("it ended");
    }

    /// What clients of a region get from the server of a region.
    pub fn dig(&self, server: usize, client: usize) -> String {
        let server = format!("@{}", self.servers[server].address);
        let subnet = format!("+subnet={}", CLIENTS[client]);
        let mut dig = self.ground.client("dig");
        dig.args([&server, "-p", "5300", "www.example.org", "+short", &subnet, "+tries=1", "+time=1"]);
        let ran = dig.output().expect("dig starts");
        let said = String::from_utf8_lossy(&ran.stdout).trim().to_string();
        let endpoint = self.endpoints.iter().position(|endpoint| endpoint.address.to_string() == said);
        endpoint.map_or(said, |endpoint| REGIONS[endpoint].to_string())
    }

    /// Waits until every server says this to the clients of each region; fails if it takes too long.
    pub fn all_say(&self, wanted: [&str; 3]) {
        self.these_say(&[0, 1, 2], wanted);
    }

    /// Waits until these servers say this to the clients of each region.
    pub fn these_say(&self, servers: &[usize], wanted: [&str; 3]) {
        let begin = Instant::now();
        loop {
            let said: Vec<[String; 3]> =
                servers.iter().map(|&server| [0, 1, 2].map(|client| self.dig(server, client))).collect();
            if said.iter().all(|said| said.each_ref().map(String::as_str) == wanted) {
                return;
            }
            assert!(
                begin.elapsed() < PATIENCE,
                "wanted {wanted:?} of servers {servers:?}, got {said:?}\n{}",
                self.logs()
            );
        }
    }

    /// For this long every server says this, each time it is asked.
    pub fn all_go_on_saying(&self, wanted: [&str; 3], time: Duration) {
        let begin = Instant::now();
        while begin.elapsed() < time {
            for server in 0..REGIONS.len() {
                let said = [0, 1, 2].map(|client| self.dig(server, client));
                assert_eq!(said, wanted, "of {}\n{}", self.servers[server].name, self.logs());
            }
        }
    }

    /// What a command of the binary prints, on the host of a server.
    pub fn run(&self, server: usize, arguments: &[&str]) -> String {
        self.run_as(server, "config/windrose.toml", arguments)
    }

    /// The same for one who may publish.
    pub fn operate(&self, server: usize, arguments: &[&str]) -> String {
        self.run_as(server, "config/operator.toml", arguments)
    }

    fn run_as(&self, server: usize, config: &str, arguments: &[&str]) -> String {
        let host = &self.servers[server];
        let mut command = host.command(BINARY);
        command.args(arguments).arg("--config").arg(self.path(host, config));
        let ran = command.output().expect("it starts");
        String::from_utf8_lossy(&[ran.stdout, ran.stderr].concat()).into_owned()
    }

    /// Waits until a command prints a text.
    pub fn until_it_prints(&self, server: usize, arguments: &[&str], text: &str) -> String {
        let begin = Instant::now();
        loop {
            let printed = self.run(server, arguments);
            if printed.contains(text) {
                return printed;
            }
            assert!(begin.elapsed() < PATIENCE, "`{text}` is not in:\n{printed}\n{}", self.logs());
        }
    }

    /// Changes the zones that lie on a server's disk, from which it would publish.
    pub fn edit(&self, server: usize, from: &str, to: &str) {
        let path = self.path(&self.servers[server], "zones/example.org.toml");
        let text = fs::read_to_string(&path).expect("read");
        assert!(text.contains(from), "{from}");
        fs::write(path, text.replace(from, to)).expect("written");
    }

    fn spawn(&mut self, host: &Host, program: &str, arguments: &[PathBuf]) {
        fs::create_dir_all(self.path(host, "")).expect("made");
        let log = || File::options().create(true).append(true).open(self.path(host, "log")).expect("a log");
        let mut command = host.command(program);
        command.args(arguments).stdin(Stdio::null()).stdout(log()).stderr(log());
        let child = command.spawn().unwrap_or_else(|error| panic!("{program}: {error}"));
        self.running.insert(host.name.clone(), child);
    }

    fn path(&self, host: &Host, name: &str) -> PathBuf {
        self.directory.path().join(&host.name).join(name)
    }

    fn write(&self, region: usize) {
        for (host, is_probe) in [(&self.servers[region], false), (&self.probes[region], true)] {
            fs::create_dir_all(self.path(host, "config")).expect("made");
            fs::create_dir_all(self.path(host, "zones")).expect("made");
            let nats: Vec<String> =
                (0..3).map(|turn| &self.nats[(region + turn) % 3]).map(nats_address).collect();
            let listen = if is_probe {
                String::new()
            } else {
                format!("[dns]\nlisten = [\"{}:5300\"]\n", host.address)
            };
            let (name, region) = (&host.name, REGIONS[region]);
            let text = format!("[machine]\nname = \"{name}\"\nregion = \"{region}\"\n{listen}");
            self.write_config(host, "windrose.toml", name, &text, &nats);
            let elsewhere = "state = \"../operator\"\n[machine]\nname = \"operator\"\n";
            self.write_config(host, "operator.toml", "operator", elsewhere, &nats);
            fs::write(self.path(host, "zones/example.org.zone"), ZONE).expect("written");
            fs::write(self.path(host, "zones/example.org.toml"), self.steering()).expect("written");
        }
        let host = &self.nats[region];
        fs::create_dir_all(self.path(host, "")).expect("made");
        let routes: Vec<String> =
            self.nats.iter().map(|other| format!("nats://{}:6222", other.address)).collect();
        let text = format!(
            "server_name: \"{name}\"\nlisten: \"{address}:4222\"\njetstream {{ store_dir: {store:?} }}\n\
             cluster {{ name: windrose, listen: \"{address}:6222\", routes: {routes:?} }}\n\
             accounts {{ WINDROSE {{ jetstream: enabled, users: [{users}] }} }}\n",
            name = host.name,
            address = host.address,
            store = self.path(host, "store"),
            users = self.users(),
        );
        fs::write(self.path(host, "nats.conf"), text).expect("written");
    }

    fn write_config(&self, host: &Host, file: &str, user: &str, text: &str, nats: &[String]) {
        let login = format!("user = \"{user}\"\npassword_file = \"password\"\n");
        let text = format!("{text}[geo]\ndatabases = []\n[fleet]\nnats = {nats:?}\n{login}");
        fs::write(self.path(host, "config").join(file), text).expect("written");
        fs::write(self.path(host, "config/password"), format!("{PASSWORD}\n")).expect("written");
    }

    /// Everybody, with the permissions that docs/FLEET.md teaches.
    fn users(&self) -> String {
        let user = |name: &str, publish: &[String], subscribe: &str| {
            format!(
                "{{ user: \"{name}\", password: \"{PASSWORD}\", permissions: {{ publish: {publish:?}, \
                 subscribe: [\"{subscribe}\", \"_INBOX.>\"] }} }},\n"
            )
        };
        let mut users = user("operator", &["windrose.v1.zones".into(), "$JS.API.>".into()], "windrose.v1.>");
        for (region, (server, probe)) in REGIONS.iter().zip(self.servers.iter().zip(&self.probes)) {
            let report = |host: &Host| format!("windrose.v1.report.{region}.{}", host.name);
            let says = format!("windrose.v1.server.{}", server.name);
            let reading = READING.map(String::from);
            users += &user(&server.name, &[&[report(server), says][..], &reading].concat(), "windrose.v1.>");
            users += &user(&probe.name, &[&[report(probe)][..], &reading].concat(), "windrose.v1.zones");
        }
        users
    }

    fn steering(&self) -> String {
        let mut text = STEERING.to_string();
        for (region, endpoint) in REGIONS.iter().zip(&self.endpoints) {
            let address = endpoint.address;
            text += &format!(
                "[endpoints.{region}]\nregion = \"{region}\"\nipv4 = \"{address}\"\nmonitors = [\"web\"]\n"
            );
        }
        text
    }

    fn logs(&self) -> String {
        let hosts = self.servers.iter().chain(&self.probes).chain(&self.nats);
        let log = |host: &Host| {
            let text = fs::read_to_string(self.path(host, "log")).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            format!("--- {}\n{}\n", host.name, lines[lines.len().saturating_sub(30)..].join("\n"))
        };
        hosts.map(log).collect()
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for child in self.running.values_mut() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn nats_address(host: &Host) -> String {
    format!("nats://{}:4222", host.address)
}

const BINARY: &str = env!("CARGO_BIN_EXE_windrose");

const PASSWORD: &str = "for-tests-only";

/// What one who follows the zones may ask of JetStream.
const READING: [&str; 3] = [
    "$JS.API.STREAM.INFO.WINDROSE_ZONES",
    "$JS.API.DIRECT.GET.WINDROSE_ZONES",
    "$JS.API.DIRECT.GET.WINDROSE_ZONES.>",
];

/// Nothing that is waited for takes longer, on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(60);

const ZONE: &str = "\
@ 3600 IN SOA ns1 hostmaster 1 7200 1800 1209600 300
@ 3600 IN NS ns1
ns1 3600 IN A 127.0.0.1
";

const STEERING: &str = r#"
zone = "example.org"
[regions.eu]
clients = ["net:192.0.2.0/24"]
[regions.us]
clients = ["net:198.51.100.0/24"]
[regions.ap]
default = true
[monitors.web]
type = "tcp"
port = 8080
interval = "1s"
recheck = "200ms"
timeout = "1s"
fall = 2
[pools.www]
policy = "failover"
members = ["eu", "us", "ap"]
[names."www"]
pool = "www"
"#;
