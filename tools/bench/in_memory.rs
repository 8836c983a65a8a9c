//! How the benchmarks that need no socket have queries answered.

use std::time::Duration;

use ipnet::IpNet;
use windrose::dns;
use windrose::spec::Limits;

/// What a server with one thread is set to.
pub fn config(limits: Limits) -> dns::Config {
    dns::Config {
        listen: Vec::new(),
        workers: 1,
        client_subnet: true,
        client_subnet_from: vec![IpNet::V4(Default::default()), IpNet::V6(Default::default())],
        udp_payload: 1232,
        tcp_connections: 1,
        tcp_connections_per_client: 1,
        tcp_connections_per_prefix: 1,
        tcp_idle: Duration::from_secs(1),
        tcp_write: Duration::from_secs(1),
        signatures: 1_000_000,
        proxies: Vec::new(),
        primary: None,
        encrypted: None,
        name: "bench".to_owned(),
        cookies: None,
        chaos: dns::Chaos::default(),
        limits,
    }
}
