//! One packet in, one packet out: what every transport does with a query, and what tests and benchmarks
//! can drive without a socket.

use std::net::SocketAddr;

use super::wire::compose::{self, NSID_MAX, Opt, SMALLEST_LIMIT};
use super::wire::parse::{self, Parsed, Request};
use crate::answer::{self, Answer, Ede, Query};
use crate::snapshot::Snapshot;

pub use super::wire::compose::Reply;

/// How a packet came, as far as the size of its reply goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// In a datagram: no more than the client and the operator allow, and 512 octets without EDNS.
    Udp,
    /// In a stream: up to 65535 octets.
    Tcp,
}

/// Makes replies; the same for every query.
#[derive(Clone, Debug)]
pub struct Responder {
    client_subnet: bool,
    udp_payload: u16,
    nsid: Box<[u8]>,
}

impl Responder {
    /// One that speaks as configured.
    pub fn new(config: &super::Config) -> Self {
        let nsid = config.name.as_bytes();
        Self {
            client_subnet: config.client_subnet,
            udp_payload: config.udp_payload.max(SMALLEST_LIMIT as u16),
            nsid: nsid[..nsid.len().min(NSID_MAX)].into(),
        }
    }

    /// The largest UDP reply: how long `out` must be.
    pub fn udp_payload(&self) -> usize {
        usize::from(self.udp_payload)
    }

    /// Writes the reply to a packet from `client` to the start of `out`; `None`: it gets none. `out` has
    /// [`Self::udp_payload`] octets at least.
    #[inline]
    pub fn respond(
        &self,
        packet: &[u8],
        client: SocketAddr,
        transport: Transport,
        snapshot: &Snapshot,
        draw: u64,
        out: &mut [u8],
    ) -> Option<Reply> {
        let answer = |query: &Query<'_>| answer::answer(query, snapshot, &mut ());
        self.respond_by(answer, packet, client, transport, draw, out)
    }

    /// As [`Self::respond`], with something else that knows the answers.
    pub fn respond_by<'s>(
        &self,
        answer: impl FnOnce(&Query<'_>) -> Answer<'s>,
        packet: &[u8],
        client: SocketAddr,
        transport: Transport,
        draw: u64,
        out: &mut [u8],
    ) -> Option<Reply> {
        // A datagram from port 0 cannot be answered.
        if client.port() == 0 {
            return None;
        }
        match parse::parse(packet, self.client_subnet) {
            Parsed::Silence => None,
            Parsed::Fault(request, fault) => {
                let opt = self.opt(&request, 0, fault.ede);
                let limit = self.limit(&request, transport, out.len());
                Some(compose::fault(&request, fault.rcode, opt.as_ref(), &mut out[..limit]))
            }
            Parsed::Query(request) => {
                let (name, qtype) = (request.name(), request.qtype());
                let query = Query { name, qtype, client: request.client(client.ip()), draw };
                let answer = answer(&query);
                let opt = self.opt(&request, answer.scope, answer.ede);
                let limit = self.limit(&request, transport, out.len());
                Some(compose::answer(&request, &answer, opt.as_ref(), &mut out[..limit]))
            }
        }
    }

    /// The most octets that the reply may take.
    fn limit(&self, request: &Request<'_>, transport: Transport, room: usize) -> usize {
        let allowed = match (transport, &request.edns) {
            (Transport::Tcp, _) => usize::from(u16::MAX),
            (Transport::Udp, None) => SMALLEST_LIMIT,
            (Transport::Udp, Some(edns)) => {
                usize::from(edns.payload.min(self.udp_payload)).max(SMALLEST_LIMIT)
            }
        };
        allowed.min(room)
    }

    /// An OPT record for a client that sent one.
    fn opt(&self, request: &Request<'_>, scope: u8, ede: Option<Ede>) -> Option<Opt<'_>> {
        let edns = request.edns.as_ref()?;
        // A client that tells nothing of itself is answered for where it stands; that holds for no one else,
        // but there is no subnet that a scope could speak of (RFC 7871 section 7.2.1).
        let scoped = |subnet: parse::Subnet| (subnet, if subnet.source == 0 { 0 } else { scope });
        Some(Opt {
            payload: self.udp_payload,
            dnssec_ok: edns.dnssec_ok,
            subnet: edns.subnet.map(scoped),
            nsid: edns.nsid.then_some(&*self.nsid),
            ede,
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use crate::dns::Config;

    /// A configuration for loopback.
    pub fn config() -> Config {
        Config {
            listen: vec!["127.0.0.1:0".parse().expect("an address")],
            workers: 1,
            client_subnet: true,
            udp_payload: 1232,
            tcp_connections: 100,
            tcp_connections_per_client: 100,
            tcp_idle: Duration::from_secs(10),
            tcp_write: Duration::from_secs(10),
            name: "ns1".to_string(),
        }
    }
}
