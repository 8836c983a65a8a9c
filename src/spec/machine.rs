//! `config/windrose.toml`: this machine, as it runs. Every field has a default; an empty file works.

use std::net::SocketAddr;
use std::time::Duration;

use crate::spec::{Diagnostic, Source};

/// This machine. Paths are as written: relative to the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Machine {
    /// Directory of zone and steering files; default `../zones`.
    pub zones: String,
    /// Directory of what survives a restart; default `../state`.
    pub state: String,
    /// `[machine]`
    pub machine: Identity,
    /// `[dns]`
    pub dns: Dns,
    /// `[probe]`
    pub probe: Probe,
    /// `[control]`
    pub control: Control,
}

/// `[machine]`
#[derive(Clone, Debug, PartialEq)]
pub struct Identity {
    /// `name`: in NSID, logs, status; default: the host's name (filled in by the edge when `None`).
    pub name: Option<String>,
    /// `region`: where it stands; default: the default region.
    pub region: Option<String>,
}

/// `[dns]`
#[derive(Clone, Debug, PartialEq)]
pub struct Dns {
    /// `listen`: UDP and TCP; default `127.0.0.1:5300` and `[::1]:5300`.
    pub listen: Vec<SocketAddr>,
    /// `workers`: UDP threads; 0: one per core.
    pub workers: usize,
    /// `client_subnet`: believe the option of RFC 7871; default true.
    pub client_subnet: bool,
    /// `udp_payload`: largest UDP response, 512..=4096; default 1232.
    pub udp_payload: u16,
    /// `tcp_connections`: at most so many in all; default 1000.
    pub tcp_connections: usize,
    /// `tcp_connections_per_client`: at most so many from one address (IPv6: one /64); default 50.
    pub tcp_connections_per_client: usize,
    /// `tcp_idle`: a connection that asks nothing this long is closed; default 10 s.
    pub tcp_idle: Duration,
    /// `tcp_write`: a client that does not take its answer this long is cut off; default 5 s.
    pub tcp_write: Duration,
}

/// `[probe]`
#[derive(Clone, Debug, PartialEq)]
pub struct Probe {
    /// `enabled`: run checks from this machine; default true.
    pub enabled: bool,
    /// `report_interval`; default 2 s.
    pub report_interval: Duration,
    /// `settle`: a start with no state waits at most this long for a first opinion of every target; default 5 s.
    pub settle: Duration,
    /// `concurrency`: checks under way at once, at most; default 1000.
    pub concurrency: usize,
}

/// `[control]`
#[derive(Clone, Debug, PartialEq)]
pub struct Control {
    /// `socket`: a local socket for explain and control; default `windrose.sock` in the state directory.
    pub socket: Option<String>,
}

impl Default for Machine {
    fn default() -> Self {
        Self {
            zones: "../zones".into(),
            state: "../state".into(),
            machine: Identity { name: None, region: None },
            dns: Dns {
                listen: vec![
                    SocketAddr::from(([127, 0, 0, 1], 5300)),
                    SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, 5300)),
                ],
                workers: 0,
                client_subnet: true,
                udp_payload: 1232,
                tcp_connections: 1000,
                tcp_connections_per_client: 50,
                tcp_idle: Duration::from_secs(10),
                tcp_write: Duration::from_secs(5),
            },
            probe: Probe {
                enabled: true,
                report_interval: Duration::from_secs(2),
                settle: Duration::from_secs(5),
                concurrency: 1000,
            },
            control: Control { socket: None },
        }
    }
}

/// Reads the file; whatever is absent or wrong has its default, and what is wrong is in the diagnostics.
pub fn parse(source: &Source, diagnostics: &mut Vec<Diagnostic>) -> Machine {
    let _ = (source, diagnostics);
    todo!()
}
