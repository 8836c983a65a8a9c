//! The hosts that a fleet stands on: network namespaces where they are permitted, else loopback addresses.
//!
//! ```text
//!   wire (a bridge, 10.77.0.1/16)
//!     |-- eu-server 10.77.1.1   eu-probe 10.77.1.2   eu-endpoint 10.77.1.3   eu-nats 10.77.1.4
//!     |-- us-...    10.77.2.x
//!     `-- ap-...    10.77.3.x
//! ```
//!
//! A link between two hosts is cut by nftables in one of them; on loopback by whoever joins them there ([`crate::wire`]).
//! Set `WINDROSE_TEST_ON_LOOPBACK` to go there where namespaces are permitted too.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use nix::sched::{CloneFlags, setns};

/// All hosts. Dropping it takes them down.
pub struct Ground {
    /// Begins the names of our namespaces; `None`: on loopback.
    prefix: Option<String>,
}

/// One host.
#[derive(Clone, Debug)]
pub struct Host {
    pub name: String,
    pub address: Ipv4Addr,
    namespace: Option<String>,
}

impl Ground {
    /// Makes the network, if that is permitted.
    pub fn new() -> Self {
        static GROUNDS: AtomicU32 = AtomicU32::new(0);
        let prefix = format!("wr{}-{}-", std::process::id(), GROUNDS.fetch_add(1, Ordering::Relaxed));
        let wire = format!("{prefix}wire");
        let wanted = std::env::var_os("WINDROSE_TEST_ON_LOOPBACK").is_none();
        let permitted = wanted
            && try_to(&["ip", "netns", "add", &wire])
            && try_to(&["ip", "-n", &wire, "link", "add", "br0", "type", "bridge"])
            && try_to(&["ip", "-n", &wire, "address", "add", "10.77.0.1/16", "dev", "br0"])
            && try_to(&["ip", "-n", &wire, "link", "set", "br0", "up"])
            && try_to(&["ip", "netns", "exec", &wire, "nft", "list", "ruleset"]);
        if !permitted {
            if wanted {
                try_to(&["ip", "netns", "delete", &wire]);
            }
            eprintln!("network namespaces are not permitted, or not wanted: on loopback addresses");
            return Self { prefix: None };
        }
        eprintln!("in network namespaces");
        Self { prefix: Some(prefix) }
    }

    /// Whether hosts have links of their own, which nftables can cut.
    pub fn has_links(&self) -> bool {
        self.prefix.is_some()
    }

    /// Another host, `number` in region `region`, both from 1.
    pub fn host(&self, name: &str, region: u8, number: u8) -> Host {
        let Some(prefix) = &self.prefix else {
            let address = Ipv4Addr::new(127, 88, region, number);
            return Host { name: name.into(), address, namespace: None };
        };
        let (wire, namespace) = (format!("{prefix}wire"), format!("{prefix}{name}"));
        let (port, address) = (format!("v{region}{number}"), Ipv4Addr::new(10, 77, region, number));
        let with_length = format!("{address}/16");
        for command in [
            &["ip", "netns", "add", &namespace][..],
            &[
                "ip", "link", "add", &port, "netns", &wire, "type", "veth", "peer", "name", "eth0", "netns",
                &namespace,
            ],
            &["ip", "-n", &wire, "link", "set", &port, "master", "br0", "up"],
            &["ip", "-n", &namespace, "address", "add", &with_length, "dev", "eth0"],
            &["ip", "-n", &namespace, "link", "set", "eth0", "up"],
            &["ip", "-n", &namespace, "link", "set", "lo", "up"],
        ] {
            assert!(try_to(command), "{command:?}");
        }
        Host { name: name.into(), address, namespace: Some(namespace) }
    }

    /// Where clients are, and whoever else is no part of the fleet.
    pub fn outside(&self) -> Host {
        let (address, namespace) = match &self.prefix {
            None => (Ipv4Addr::LOCALHOST, None),
            Some(prefix) => (Ipv4Addr::new(10, 77, 0, 1), Some(format!("{prefix}wire"))),
        };
        Host { name: "outside".into(), address, namespace }
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        let Some(prefix) = &self.prefix else { return };
        let listed = output(&["ip", "netns", "list"]);
        let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
        let names = listed.lines().filter_map(|line| line.split_whitespace().next());
        for name in names.filter(|name| name.starts_with(prefix.as_str())) {
            try_to(&["ip", "netns", "delete", name]);
        }
    }
}

impl Host {
    /// A command that runs on this host.
    pub fn command(&self, program: &str) -> Command {
        within(self.namespace.as_deref(), program)
    }

    /// A connection from this host.
    pub fn connect(&self, to: SocketAddr) -> std::io::Result<TcpStream> {
        self.on(|| TcpStream::connect(to))
    }

    /// A listener on this host, on a port that is free.
    pub fn listen(&self) -> TcpListener {
        self.on(|| TcpListener::bind((self.address, 0))).expect("there is a free port")
    }
    /// Does something with this host's network: a socket stays there that was made there.
    fn on<T: Send>(&self, make: impl FnOnce() -> T + Send) -> T {
        let enter = || {
            let Some(namespace) = &self.namespace else { return };
            let namespace = File::open(format!("/run/netns/{namespace}")).expect("it is there");
            setns(namespace, CloneFlags::CLONE_NEWNET).expect("it can be entered");
        };
        // Only this thread enters.
        let made = thread::scope(|scope| scope.spawn(|| (enter(), make()).1).join());
        made.expect("it does not panic")
    }

    /// From now on this host hears nothing of these, though it may still talk to them.
    pub fn shut_out(&self, others: &[&Host]) {
        for other in others {
            let address = other.address.to_string();
            for command in [
                &["nft", "add", "table", "inet", "cut"][..],
                &["nft", "add", "chain", "inet", "cut", "in", "{ type filter hook input priority 0; }"],
                &["nft", "add", "rule", "inet", "cut", "in", "ip", "saddr", &address, "drop"],
            ] {
                self.must(command);
            }
        }
    }

    /// Hears everybody again.
    pub fn open(&self) {
        self.must(&["nft", "flush", "ruleset"]);
    }

    fn must(&self, command: &[&str]) {
        let ran = self.command(command[0]).args(&command[1..]).output().expect("it starts");
        assert!(ran.status.success(), "{}: {command:?}: {ran:?}", self.name);
    }
}

fn within(namespace: Option<&str>, program: &str) -> Command {
    match namespace {
        None => Command::new(program),
        Some(namespace) => {
            let mut command = Command::new("ip");
            command.args(["netns", "exec", namespace, program]);
            command
        }
    }
}

fn try_to(command: &[&str]) -> bool {
    output(command).status.success()
}

fn output(command: &[&str]) -> Output {
    let ran = Command::new(command[0]).args(&command[1..]).stdin(Stdio::null()).output();
    ran.unwrap_or_else(|error| panic!("{}: {error}: tools/test installs it", command[0]))
}
