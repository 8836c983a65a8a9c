//! A directory with configuration and zones, and the server that runs from it.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// Longer than anything takes on a slow machine; only a failing test waits this long.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A directory with `config/windrose.toml` and `zones/`.
pub struct World {
    directory: tempfile::TempDir,
}

impl World {
    /// With this configuration, besides where to listen.
    pub fn new(config: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        fs::create_dir(directory.path().join("config")).expect("config/");
        fs::create_dir(directory.path().join("zones")).expect("zones/");
        let listen = "[dns]\nlisten = [\"127.0.0.1:0\"]\nworkers = 2\n";
        // Whatever databases this machine has would place clients otherwise.
        let geo = if config.contains("[geo]") { "" } else { "[geo]\ndatabases = []\n" };
        fs::write(directory.path().join("config/windrose.toml"), format!("{config}\n{listen}{geo}"))
            .expect("written");
        Self { directory }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file of `zones/` whole: beside it and renamed over, as an editor does.
    pub fn write_zone(&self, name: &str, text: &str) {
        let temporary = self.path("new");
        fs::write(&temporary, text).expect("written");
        fs::rename(temporary, self.path("zones").join(name)).expect("renamed");
    }

    /// Runs a command of the binary to its end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        let output = Command::new(BINARY).args(arguments).current_dir(self.directory.path()).output();
        output.expect("the binary runs")
    }

    /// Runs a command of the binary that reads standard input, to its end.
    pub fn feed(&self, arguments: &[&str], input: &[u8]) -> Output {
        feed(self.start(arguments), input)
    }

    /// The same, with nobody who reads what it prints.
    pub fn feed_to_nobody(&self, arguments: &[&str], input: &[u8]) -> Output {
        let mut child = self.start(arguments);
        drop(child.stdout.take());
        feed(child, input)
    }

    /// Starts a command of the binary, with pipes to it.
    pub fn start(&self, arguments: &[&str]) -> Child {
        let mut command = Command::new(BINARY);
        command.args(arguments).current_dir(self.directory.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("the binary starts")
    }

    /// Starts the server and waits until it answers.
    pub fn serve(&self) -> Server {
        self.serve_by(Command::new(BINARY))
    }

    /// The same, by a command that ends up as the binary with the arguments that are added.
    pub fn serve_by(&self, mut command: Command) -> Server {
        let mut child = command
            .args(["serve", "config/windrose.toml"])
            .current_dir(self.directory.path())
            .env("WINDROSE_LOG", "info")
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let log = Log::follow(child.stderr.take().expect("piped"));
        let line = log.wait_for("answering on ");
        let after = line.split("answering on ").nth(1).expect("just found");
        let address = after.split([',', ' ']).next().expect("a word").trim_end_matches(':');
        Server { child, log, address: address.parse().expect("an address") }
    }
}

fn feed(mut child: Child, input: &[u8]) -> Output {
    let mut stdin = child.stdin.take().expect("piped");
    std::thread::scope(|scope| {
        scope.spawn(move || {
            // Whoever has read enough may end before the input does.
            let _ = stdin.write_all(input);
        });
        child.wait_with_output().expect("it ends")
    })
}

/// A running server; killed when dropped.
pub struct Server {
    child: Child,
    pub log: Log,
    pub address: SocketAddr,
}

impl Server {
    /// What the kernel says of it, by the name of the line.
    pub fn kernel_says(&self, name: &str) -> String {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.expect("a line of this name").trim().to_owned()
    }

    pub fn signal(&self, signal: nix::sys::signal::Signal) {
        let pid = nix::unistd::Pid::from_raw(self.child.id().try_into().expect("a pid"));
        nix::sys::signal::kill(pid, signal).expect("it runs");
    }

    /// Waits for its end.
    pub fn exit_code(&mut self) -> Option<i32> {
        wait_until("the server ends", || self.child.try_wait().expect("waited for")).code()
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("waited for").is_none()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- the server's log ---\n{}", self.log.text());
        }
    }
}

/// What a server logs, as it comes.
#[derive(Clone)]
pub struct Log(Arc<(Mutex<Vec<String>>, Condvar)>);

impl Log {
    fn follow(stderr: impl Read + Send + 'static) -> Self {
        let log = Self(Arc::default());
        let writer = log.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let (lines, more) = &*writer.0;
                lines.lock().expect("not poisoned").push(line);
                more.notify_all();
            }
        });
        log
    }

    /// The first line that holds a text, now or later.
    pub fn wait_for(&self, text: &str) -> String {
        let (lines, more) = &*self.0;
        let found = |lines: &Vec<String>| lines.iter().find(|line| line.contains(text)).cloned();
        let guard = lines.lock().expect("not poisoned");
        let (guard, _) =
            more.wait_timeout_while(guard, PATIENCE, |lines| found(lines).is_none()).expect("not poisoned");
        let (line, log) = (found(&guard), guard.join("\n"));
        // Whoever fails here prints the log once more when the server is dropped.
        drop(guard);
        line.unwrap_or_else(|| panic!("`{text}` was never logged; the log:\n{log}"))
    }

    pub fn text(&self) -> String {
        self.0.0.lock().expect("not poisoned").join("\n")
    }

    pub fn count(&self, text: &str) -> usize {
        self.0.0.lock().expect("not poisoned").iter().filter(|line| line.contains(text)).count()
    }
}

/// Tries until there is something; fails the test when that takes too long.
pub fn wait_until<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = attempt() {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "in vain: {what}");
        std::thread::yield_now();
    }
}

/// Another name server's program: Debian has the daemons where only root looks.
pub fn daemon(command: &str) -> PathBuf {
    let sbin = Path::new("/usr/sbin").join(command);
    if sbin.exists() { sbin } else { command.into() }
}

/// An address of loopback whose port is free for UDP and TCP.
pub fn free_address() -> SocketAddr {
    wait_until("a port is free", || {
        let tcp = TcpListener::bind("127.0.0.1:0").ok()?;
        let address = tcp.local_addr().ok()?;
        UdpSocket::bind(address).ok().map(|_| address)
    })
}

/// Two endpoints of 127/8 that share a port, as one monitor needs.
pub fn addresses(test: u8) -> [Ipv4Addr; 2] {
    [Ipv4Addr::new(127, 77, test, 1), Ipv4Addr::new(127, 77, test, 2)]
}

/// A zone `example.org` with a failover pool over two endpoints, checked every second.
pub fn write_failover_zone(world: &World, [first, second]: [Ipv4Addr; 2], port: u16) {
    world.write_zone("example.org.zone", ZONE);
    world.write_zone(
        "example.org.toml",
        &format!(
            r#"
            [monitors.web]
            type = "http"
            port = {port}
            interval = "1s"
            recheck = "200ms"
            timeout = "1s"
            fall = 3
            [endpoints.first]
            ipv4 = "{first}"
            monitors = ["web"]
            [endpoints.second]
            ipv4 = "{second}"
            monitors = ["web"]
            [pools.www]
            policy = "failover"
            members = ["first", "second"]
            [names."www"]
            pool = "www"
            "#
        ),
    );
}

pub const ZONE: &str = "\
@ 3600 IN SOA ns1 hostmaster 1 7200 1800 1209600 300
@ 3600 IN NS ns1
ns1 3600 IN A 127.0.0.1
static 3600 IN A 192.0.2.1
txt 3600 IN TXT \"hello\"
";

pub const BINARY: &str = env!("CARGO_BIN_EXE_windrose");

/// The directory of the repository.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
