//! A real NATS server, which a test starts for itself on a free port and stops when it ends.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use tempfile::TempDir;

/// It is killed when it is dropped.
pub(super) struct Nats {
    directory: TempDir,
    settings: String,
    port: u16,
    process: Option<Child>,
}

impl Nats {
    /// Without accounts, and with a store.
    pub(super) fn start() -> Self {
        Self::start_with("")
    }

    /// Without a store.
    pub(super) fn start_without_store() -> Self {
        Self::start_as("")
    }

    /// With a store and more settings, as in its configuration file.
    pub(super) fn start_with(settings: &str) -> Self {
        Self::start_as(&format!("jetstream {{ store_dir: store }}\n{settings}"))
    }

    /// Three that are one: any of them serves, and what is stored is stored by all.
    pub(super) fn start_three() -> [Self; 3] {
        // They must know of each other before they run. Held all at once, so that they differ.
        let held = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").expect("there is a free port"));
        let ports = held.each_ref().map(|held| held.local_addr().expect("it is bound").port());
        drop(held);
        let routes = ports.map(|port| format!("\"nats-route://127.0.0.1:{port}\"")).join(", ");
        ports.map(|port| {
            Self::start_with(&format!(
                "server_name: nats-{port}
                 cluster {{ name: test, listen: \"127.0.0.1:{port}\", routes: [{routes}] }}"
            ))
        })
    }

    /// Without a store, and with settings as in its configuration file.
    pub(super) fn start_as(settings: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory can be made");
        let mut nats = Self { directory, settings: settings.to_owned(), port: 0, process: None };
        nats.run();
        nats
    }

    /// Where its clients connect.
    pub(super) fn address(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Ends it at once, as a power cut does.
    pub(super) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().expect("it can be killed");
            process.wait().expect("it ends");
        }
    }

    /// Starts it on the port and with the store that it had.
    pub(super) fn restart(&mut self) {
        self.kill();
        self.run();
    }

    /// Stops it in the middle of whatever it does: its sockets stay, and nothing is answered.
    pub(super) fn freeze(&self) {
        kill(self.pid(), Signal::SIGSTOP).expect("it can be signalled");
        // The last of its threads may go on for a while after it was told.
        waitpid(self.pid(), Some(WaitPidFlag::WUNTRACED)).expect("it stands still");
    }

    /// Lets it go on.
    pub(super) fn thaw(&self) {
        kill(self.pid(), Signal::SIGCONT).expect("it can be signalled");
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.process.as_ref().expect("it runs").id() as i32)
    }

    fn run(&mut self) {
        let directory = self.directory.path();
        let port = if self.port == 0 { -1 } else { i32::from(self.port) };
        let settings = format!("listen: \"127.0.0.1:{port}\"\n{}\n", self.settings);
        let file = directory.join("nats.conf");
        fs::write(&file, settings).expect("its configuration can be written");
        let mut process = Command::new("nats-server")
            .arg("-c")
            .arg(&file)
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("nats-server is installed: tools/install does it");
        let log = process.stderr.take().expect("it is piped");
        self.process = Some(process);
        self.port = port_when_ready(log);
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Reads the log up to the line that says that clients can connect, and then goes on, so that it never fills.
fn port_when_ready(log: ChildStderr) -> u16 {
    let (ready, is_ready) = mpsc::channel();
    std::thread::spawn(move || {
        let mut port = None;
        let mut said = Vec::new();
        for line in BufReader::new(log).lines().map_while(Result::ok) {
            if let Some((_, address)) = line.split_once("Listening for client connections on ") {
                port = address.rsplit(':').next().and_then(|port| port.parse().ok());
            }
            if line.ends_with("Server is ready") {
                let _ = ready.send(Ok(port.expect("it said where it listens")));
            }
            said.push(line);
            said.truncate(100);
        }
        let _ = ready.send(Err(said.join("\n")));
    });
    let said = is_ready.recv_timeout(START_MAX).expect("nats-server starts in time");
    said.unwrap_or_else(|log| panic!("nats-server ended: {log}"))
}

/// Much longer than it needs on a machine that does much else.
const START_MAX: Duration = Duration::from_secs(60);
