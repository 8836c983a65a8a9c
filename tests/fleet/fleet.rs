//! A fleet of three regions: in each a server, a probe, an endpoint and a NATS server.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::audience::{Audience, Watch};
use crate::ground::{Ground, Host};
use crate::page;
use crate::wire::Wire;

pub const REGIONS: [&str; 3] = ["eu", "us", "ap"];
pub const EU: usize = 0;
pub const US: usize = 1;
pub const AP: usize = 2;

/// All of it, running. Dropping it ends it.
pub struct Fleet {
    running: BTreeMap<String, Child>,
    pub ground: Ground,
    pub servers: Vec<Host>,
    pub probes: Vec<Host>,
    pub endpoints: Vec<Host>,
    pub nats: Vec<Host>,
    /// On loopback: by the names of the two hosts, from the one that connects to NATS.
    wires: BTreeMap<(String, String), Wire>,
    setup: Setup,
    directory: TempDir,
    /// One fleet at a time: they share names of hosts, and the machine.
    _alone: MutexGuard<'static, ()>,
}

/// What differs between fleets.
#[derive(Clone, Copy, Debug)]
pub enum Setup {
    /// As it comes: each server has a probe of its own.
    Usual,
    /// Servers have none, and the clock of each machine can be set.
    OneProbeARegion,
}

static ALONE: Mutex<()> = Mutex::new(());

impl Fleet {
    pub fn start(setup: Setup) -> Self {
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
        let (running, wires) = (BTreeMap::new(), BTreeMap::new());
        let mut fleet = Self {
            running,
            ground,
            servers,
            probes,
            endpoints,
            nats,
            wires,
            setup,
            directory,
            _alone: alone,
        };
        fleet.lay_wires();
        for region in 0..REGIONS.len() {
            fleet.write(region);
        }
        for region in 0..REGIONS.len() {
            fleet.start_nats(region);
            fleet.start_endpoint(region);
        }
        // Nobody is to see a world that is not there yet.
        for region in 0..REGIONS.len() {
            fleet.until_it_listens(&fleet.nats[region], NATS_PORT);
            fleet.until_it_listens(&fleet.endpoints[region], PORT);
        }
        for region in 0..REGIONS.len() {
            fleet.start_probe(region);
            fleet.start_server(region);
        }
        fleet
    }

    /// On loopback, from everybody to every other NATS server.
    fn lay_wires(&mut self) {
        if self.ground.has_links() {
            return;
        }
        for to in &self.nats {
            for from in self.servers.iter().chain(&self.probes).chain(&self.nats) {
                let is_nats = self.nats.iter().any(|nats| nats.name == from.name);
                let port = if is_nats { ROUTES_PORT } else { NATS_PORT };
                if from.name != to.name {
                    let wire = Wire::new(from.address, SocketAddr::from((to.address, port)));
                    self.wires.insert((from.name.clone(), to.name.clone()), wire);
                }
            }
        }
    }

    /// Where a host finds a port of a NATS server.
    fn way(&self, from: &Host, to: &Host, port: u16) -> SocketAddr {
        let wire = self.wires.get(&(from.name.clone(), to.name.clone()));
        wire.map_or(SocketAddr::from((to.address, port)), Wire::address)
    }

    /// From now on a host hears nothing of these NATS servers.
    pub fn cut(&self, host: &Host, nats: &[&Host]) {
        if self.ground.has_links() {
            return host.shut_out(nats);
        }
        self.wires_between(host, nats).for_each(|wire| wire.set_cut(true));
    }

    /// It hears all of them again.
    pub fn mend(&self, host: &Host) {
        if self.ground.has_links() {
            return host.open();
        }
        let all: Vec<&Host> = self.nats.iter().collect();
        self.wires_between(host, &all).for_each(|wire| wire.set_cut(false));
    }

    fn wires_between(&self, host: &Host, nats: &[&Host]) -> impl Iterator<Item = &Wire> {
        let between = move |from: &str, to: &str| {
            let is_nats = |name: &str| nats.iter().any(|nats| nats.name == name);
            (from == host.name && is_nats(to)) || (to == host.name && is_nats(from))
        };
        self.wires.iter().filter(move |((from, to), _)| between(from, to)).map(|(_, wire)| wire)
    }

    fn until_it_listens(&self, host: &Host, port: u16) {
        let address = SocketAddr::from((host.address, port));
        let connect = || self.ground.outside().connect(address).map_err(|error| error.to_string());
        self.until(&format!("{} to listen", host.name), connect);
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
        self.start_machine(&host, "probe");
    }

    pub fn start_server(&mut self, region: usize) {
        let host = self.servers[region].clone();
        self.start_machine(&host, "serve");
    }

    /// Another machine that takes itself for the probe of a region, as when somebody copied its files.
    pub fn start_twin(&mut self, region: usize) -> Host {
        let number = u8::try_from(region + 1).expect("they are few");
        let twin = self.ground.host(&format!("{}-twin", REGIONS[region]), number, 5);
        self.write_machine(&twin, &self.probes[region].name, region, "");
        self.start_machine(&twin, "probe");
        twin
    }

    fn start_machine(&mut self, host: &Host, command: &str) {
        self.spawn(host, BINARY, &[command.into(), self.path(host, "config/windrose.toml")]);
    }

    /// Ends what runs on a host, as a power cut does.
    pub fn kill(&mut self, host: &Host) {
        let mut child = self.running.remove(&host.name).expect("it runs");
        child.kill().expect("it can be killed");
        child.wait().expect("it ended");
    }

    /// Those who ask.
    pub fn audience(&self) -> Audience {
        let (servers, endpoints) = (self.servers.clone(), self.endpoints.clone());
        Audience { outside: self.ground.outside(), servers, endpoints }
    }

    /// Waits until every server says this to the clients of each region; fails if it takes too long.
    pub fn all_say(&self, wanted: [&str; 3]) {
        let (begin, audience) = (Instant::now(), self.audience());
        loop {
            let said = [0, 1, 2].map(|server| audience.ask(server));
            if said.iter().all(|said| said.each_ref().map(String::as_str) == wanted) {
                return;
            }
            assert!(begin.elapsed() < PATIENCE, "wanted {wanted:?}, got {said:?}\n{}", self.logs());
        }
    }

    /// From now on every server is asked all the time whether it says this to the clients of each region.
    pub fn watch(&self, wanted: [&'static str; 3]) -> Watch {
        self.audience().watch(&[0, 1, 2], wanted)
    }

    /// Nobody heard anything else, nor does for some time from now.
    pub fn said_the_same(&self, watch: Watch, time: Duration) {
        match watch.end_after(time) {
            Ok(rounds) => assert!(rounds > 0, "nobody was asked"),
            Err(other) => panic!("{other}\n{}", self.logs()),
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

    /// From now on who publishes from a server is this user, and reaches NATS there.
    pub fn operate_as(&self, server: usize, user: &str, nats: &str) {
        self.write_operator(&self.servers[server], user, &[nats.to_owned()]);
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
        self.until(&format!("`{text}`"), || {
            let printed = self.run(server, arguments);
            if printed.contains(text) { Ok(printed) } else { Err(printed) }
        })
    }

    /// Waits until `windrose status` on every server says of a probe what it should.
    pub fn until_all_see(&self, probe: &str, what: &str, is_so: impl Fn(&str) -> bool) {
        (0..REGIONS.len()).for_each(|server| self.until_it_sees(server, probe, what, &is_so));
    }

    /// The same of one server.
    pub fn until_it_sees(&self, server: usize, probe: &str, what: &str, is_so: impl Fn(&str) -> bool) {
        self.until(&format!("{probe} {what}"), || {
            let status = self.run(server, &["status"]);
            let line = status.lines().find(|line| line.contains(&format!("{probe}: ")));
            if line.is_some_and(&is_so) { Ok(()) } else { Err(status) }
        });
    }

    /// Waits until a question has an answer; until then it says what there is instead.
    pub fn until<T>(&self, what: &str, ask: impl Fn() -> Result<T, String>) -> T {
        let begin = Instant::now();
        loop {
            match ask() {
                Ok(answer) => return answer,
                Err(instead) => {
                    assert!(
                        begin.elapsed() < PATIENCE,
                        "waited for {what}; there is\n{instead}\n{}",
                        self.logs()
                    );
                }
            }
        }
    }

    /// What a server counts: the value of one line of its metrics.
    pub fn metric(&self, server: usize, name: &str) -> f64 {
        let address = SocketAddr::from((self.servers[server].address, METRICS_PORT));
        let metrics = page::get(&self.ground.outside(), address, "/metrics");
        let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let value = line.unwrap_or_else(|| panic!("no {name} in:\n{metrics}"));
        value.parse().expect("a number")
    }

    /// From now on these machines do not reach an endpoint, though everybody else does: its host hears nothing of
    /// them. On loopback they look for it on a port where nobody is.
    pub fn hide(&self, endpoint: usize, from: &[&Host]) {
        if self.ground.has_links() {
            return self.endpoints[endpoint].shut_out(from);
        }
        from.iter().for_each(|host| self.point(host, endpoint, DEAF_PORT));
    }

    /// They all reach it again.
    pub fn show(&self, endpoint: usize, to: &[&Host]) {
        if self.ground.has_links() {
            return self.endpoints[endpoint].open();
        }
        to.iter().for_each(|host| self.point(host, endpoint, PORT));
    }

    fn point(&self, host: &Host, endpoint: usize, port: u16) {
        let path = self.path(host, STEERING_FILE);
        let text = fs::read_to_string(&path).expect("read");
        let monitor = format!("[monitors.{}]\nport = ", REGIONS[endpoint]);
        let (before, after) = text.split_once(&monitor).expect("it is there");
        let (_, after) = after.split_once('\n').expect("a line ends");
        fs::write(path, format!("{before}{monitor}{port}\n{after}")).expect("written");
    }

    /// Sets the wall clock of a machine, so many seconds after what it should be.
    pub fn set_clock(&self, host: &Host, offset: i32) {
        let file = self.path(host, CLOCK_FILE);
        let new = file.with_extension("new");
        fs::write(&new, format!("{offset:+}\n")).expect("written");
        fs::rename(new, file).expect("renamed");
    }

    /// Changes the zones that lie on a server's disk, from which it would publish.
    pub fn edit(&self, server: usize, from: &str, to: &str) {
        let path = self.path(&self.servers[server], STEERING_FILE);
        let text = fs::read_to_string(&path).expect("read");
        assert!(text.contains(from), "{from}");
        fs::write(path, text.replace(from, to)).expect("written");
    }

    fn spawn(&mut self, host: &Host, program: &str, arguments: &[PathBuf]) {
        fs::create_dir_all(self.path(host, "")).expect("made");
        let log = || File::options().create(true).append(true).open(self.path(host, "log")).expect("a log");
        let mut command = host.command(program);
        if program == BINARY && matches!(self.setup, Setup::OneProbeARegion) {
            self.set_clock(host, 0);
            take_clock_from(&mut command, &self.path(host, CLOCK_FILE));
        }
        command.args(arguments).stdin(Stdio::null()).stdout(log()).stderr(log());
        let child = command.spawn().unwrap_or_else(|error| panic!("{program}: {error}"));
        self.running.insert(host.name.clone(), child);
    }

    fn path(&self, host: &Host, name: &str) -> PathBuf {
        self.directory.path().join(&host.name).join(name)
    }

    fn write(&self, region: usize) {
        let (server, probe) = (&self.servers[region], &self.probes[region]);
        let (dns, metrics) = (SocketAddr::from((server.address, 5300)), (server.address, METRICS_PORT));
        let metrics = SocketAddr::from(metrics);
        let own_probe = matches!(self.setup, Setup::Usual);
        let serves = format!(
            "enabled = {own_probe}\n[dns]\nlisten = [\"{dns}\"]\n[control]\nlisten = \"{metrics}\"\n"
        );
        self.write_machine(server, &server.name, region, &serves);
        self.write_machine(probe, &probe.name, region, "");
        self.write_nats(region);
    }

    /// What lies on the disk of a server or a probe; `more` starts within `[probe]`.
    fn write_machine(&self, host: &Host, name: &str, region: usize, more: &str) {
        fs::create_dir_all(self.path(host, "config")).expect("made");
        fs::create_dir_all(self.path(host, "zones")).expect("made");
        let nats: Vec<String> =
            (0..3).map(|turn| nats_url(self.way(host, &self.nats[(region + turn) % 3], NATS_PORT))).collect();
        let region = REGIONS[region];
        let text = format!(
            "[machine]\nname = \"{name}\"\nregion = \"{region}\"\n[probe]\nreport_interval = \"1s\"\n{more}"
        );
        self.write_config(host, "windrose.toml", name, &text, &nats);
        self.write_operator(host, "operator", &nats);
        fs::write(self.path(host, "zones/example.org.zone"), ZONE).expect("written");
        fs::write(self.path(host, STEERING_FILE), self.steering()).expect("written");
    }

    fn write_operator(&self, host: &Host, user: &str, nats: &[String]) {
        let elsewhere = "state = \"../operator\"\n[machine]\nname = \"operator\"\n";
        self.write_config(host, "operator.toml", user, elsewhere, nats);
    }

    fn write_nats(&self, region: usize) {
        let host = &self.nats[region];
        fs::create_dir_all(self.path(host, "")).expect("made");
        let routes: Vec<String> =
            self.nats.iter().map(|other| nats_url(self.way(host, other, ROUTES_PORT))).collect();
        let text = format!(
            "server_name: \"{name}\"\nlisten: \"{address}:4222\"\njetstream {{ store_dir: {store:?} }}\n\
             max_payload: 64MB\nmax_pending: 256MB\n\
             cluster {{ name: windrose, listen: \"{address}:{ROUTES_PORT}\", routes: {routes:?}, no_advertise: true }}\n\
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
        let anything = ["windrose.v1.>".to_owned()];
        let mut users = user(STRANGER, &anything, "windrose.v1.>");
        users += &user(READER, &["$JS.API.>".into()], "windrose.v1.>");
        users += &user("operator", &["windrose.v1.zones".into(), "$JS.API.>".into()], "windrose.v1.>");
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
                "[monitors.{region}]\nport = {PORT}\n{MONITOR}\
                 [endpoints.{region}]\nregion = \"{region}\"\nipv4 = \"{address}\"\nmonitors = [\"{region}\"]\n"
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

pub fn nats_address(host: &Host) -> String {
    nats_url(SocketAddr::from((host.address, NATS_PORT)))
}

fn nats_url(address: SocketAddr) -> String {
    format!("nats://{address}")
}

/// From now on its wall clock goes by a file; what it measures by stays right.
fn take_clock_from(command: &mut Command, file: &Path) {
    let beside = |directory: PathBuf| directory.join("faketime/libfaketimeMT.so.1");
    let directories = fs::read_dir("/usr/lib").expect("it can be read");
    let mut libraries = directories.flatten().map(|entry| beside(entry.path()));
    let library =
        libraries.find(|library| library.exists()).expect("faketime is installed: tools/install does it");
    command.env("LD_PRELOAD", library).env("FAKETIME_TIMESTAMP_FILE", file);
    command.env("FAKETIME_NO_CACHE", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
}

const BINARY: &str = env!("CARGO_BIN_EXE_windrose");

pub const PASSWORD: &str = "for-tests-only";

/// A user who may say anything under any name.
pub const STRANGER: &str = "stranger";

/// A user who may look at versions of the zones, and publish none.
pub const READER: &str = "reader";

/// Where NATS servers listen.
pub const NATS_PORT: u16 = 4222;
const ROUTES_PORT: u16 = 6222;

const METRICS_PORT: u16 = 5380;

/// Where an endpoint listens, and where it does not.
const PORT: u16 = 8080;
const DEAF_PORT: u16 = 8081;

const STEERING_FILE: &str = "zones/example.org.toml";
/// Beside the configuration, where the sandbox lets the machine read it.
const CLOCK_FILE: &str = "config/clock";

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

const MONITOR: &str = r#"type = "tcp"
interval = "1s"
recheck = "200ms"
timeout = "1s"
fall = 2
"#;

const STEERING: &str = r#"
zone = "example.org"
[regions.eu]
clients = ["net:192.0.2.0/24"]
[regions.us]
clients = ["net:198.51.100.0/24"]
[regions.ap]
default = true
[pools.www]
policy = "failover"
members = ["eu", "us", "ap"]
[names."www"]
pool = "www"
"#;
