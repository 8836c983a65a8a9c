//! What to ask an endpoint, how to judge the reply, how often.

use std::ops::RangeInclusive;
use std::time::Duration;

use domain::base::Rtype;
use domain::base::iana::Rcode;

use super::Name;

/// What to ask an endpoint, how to judge the reply, how often. One that asks nothing, as beats come by themselves
/// ([`Ask::Push`]), has its `within` for every time, and one failure or success is enough.
#[derive(Clone, Debug, PartialEq)]
pub struct Monitor {
    /// As the operator wrote it.
    pub name: Box<str>,
    /// What one check does.
    pub ask: Ask,
    /// From the start of one check to the start of the next, once the opinion is settled.
    pub interval: Duration,
    /// A check that has not ended by then has failed ([`crate::health::Kind::Timeout`]).
    pub timeout: Duration,
    /// Instead of `interval` while the opinion is not settled.
    pub recheck: Duration,
    /// Failures in a row that make a target down.
    pub fall: u32,
    /// Successes in a row that make a target up.
    pub rise: u32,
    /// Share of a region's votes that must say down, in percent, 1..=100.
    pub quorum: u8,
}

/// What one check does, and what a good reply is.
#[derive(Clone, Debug, PartialEq)]
pub enum Ask {
    /// A TCP connection that is accepted.
    Tcp {
        /// Port to connect to.
        port: u16,
    },
    /// A TLS handshake that succeeds.
    Tls {
        /// Port to connect to.
        port: u16,
        /// How the certificate is judged.
        tls: TlsAsk,
    },
    /// An HTTP request that is answered as expected.
    Http {
        /// Port to connect to.
        port: u16,
        /// How the certificate is judged; `None`: plain `http`.
        tls: Option<TlsAsk>,
        /// `GET` or `HEAD` (or any other token).
        method: Box<str>,
        /// Path and query, starting with a slash.
        path: Box<str>,
        /// Host header and SNI; `None`: the address.
        host: Option<Box<str>>,
        /// Headers to send, in order.
        headers: Vec<(Box<str>, Box<str>)>,
        /// What a good reply is.
        expect: Expect,
        /// The header of the reply in which the endpoint says how much it wants, if it says so.
        agent: Option<Box<str>>,
    },
    /// A DNS query that is answered as expected.
    Dns {
        /// Port to send to.
        port: u16,
        /// What is asked for.
        name: Name,
        /// The type asked for.
        record: Rtype,
        /// What the query goes over.
        transport: Transport,
        /// Whether a resolver shall go and find the answer (RD).
        recursion_desired: bool,
        /// What a good reply is.
        expect: ExpectAnswer,
    },
    /// An echo request that is echoed.
    Icmp {
        /// Octets that are echoed, at least 8.
        payload: u16,
    },
    /// The health check of gRPC (`grpc.health.v1.Health/Check`), which says that it is serving.
    Grpc {
        /// Port to connect to.
        port: u16,
        /// How the certificate is judged; `None`: in the clear.
        tls: Option<TlsAsk>,
        /// Authority of the request, and SNI; `None`: the address.
        host: Option<Box<str>>,
        /// The service asked about; empty: the server as a whole.
        service: Box<str>,
    },
    /// A datagram that is answered as expected.
    Udp {
        /// Port to send to.
        port: u16,
        /// What is sent.
        send: Box<[u8]>,
        /// What a good reply is.
        expect: ExpectDatagram,
    },
    /// Nothing: the endpoint's application sends beats to the probes.
    Push {
        /// When none came for so long, it fails.
        within: Duration,
    },
}

impl Ask {
    /// The port that the check reaches; ICMP has none.
    pub fn port(&self) -> Option<u16> {
        match self {
            Ask::Tcp { port }
            | Ask::Tls { port, .. }
            | Ask::Http { port, .. }
            | Ask::Dns { port, .. }
            | Ask::Grpc { port, .. }
            | Ask::Udp { port, .. } => Some(*port),
            Ask::Icmp { .. } | Ask::Push { .. } => None,
        }
    }

    /// Whether the endpoint may say how much it wants.
    pub fn hears_words(&self) -> bool {
        match self {
            Ask::Http { agent, .. } => agent.is_some(),
            Ask::Push { .. } => true,
            _ => false,
        }
    }

    /// For how long a beat is good, where beats are awaited and nobody is asked.
    pub fn within(&self) -> Option<Duration> {
        match self {
            Ask::Push { within } => Some(*within),
            _ => None,
        }
    }

    /// How the certificate is judged, if there is one.
    pub fn tls(&self) -> Option<&TlsAsk> {
        match self {
            Ask::Tls { tls, .. } => Some(tls),
            Ask::Http { tls, .. } | Ask::Grpc { tls, .. } => tls.as_ref(),
            Ask::Tcp { .. } | Ask::Dns { .. } | Ask::Icmp { .. } | Ask::Udp { .. } | Ask::Push { .. } => None,
        }
    }
}

/// How the certificate of a check is judged.
#[derive(Clone, Debug, PartialEq)]
pub struct TlsAsk {
    /// Name sent as SNI and looked for in the certificate; `None`: the `host`, else the address.
    pub name: Option<Box<str>>,
    /// `false`: any certificate will do. `windrose check` warns.
    pub verify: bool,
    /// A PEM file with the roots to trust instead of the machine's.
    pub roots: Option<Box<str>>,
    /// A certificate that ends sooner than this is warned of.
    pub warn_before: Duration,
}

/// What a good HTTP reply is.
#[derive(Clone, Debug, PartialEq)]
pub struct Expect {
    /// Any of these ranges.
    pub status: Vec<RangeInclusive<u16>>,
    /// A text that the first 64 KiB of the body must hold.
    pub body: Option<Box<str>>,
}

/// What a DNS query goes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Datagrams.
    Udp,
    /// A connection.
    Tcp,
}

/// What a good DNS reply is.
#[derive(Clone, Debug, PartialEq)]
pub struct ExpectAnswer {
    /// Any of these.
    pub rcodes: Vec<Rcode>,
    /// All of these must be in the answer section, whatever else is.
    pub answers: Vec<Answer>,
}

/// The data of a record that is expected.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// As the operator wrote it.
    pub written: Box<str>,
    /// Uncompressed wire form.
    pub rdata: Box<[u8]>,
}

/// What a good datagram is; what is not said does not matter.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ExpectDatagram {
    /// A text that it must hold.
    pub body: Option<Box<str>>,
    /// Octets that it must start with.
    pub prefix: Box<[u8]>,
}
