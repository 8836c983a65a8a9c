//! One packet in, one packet out: what every transport does with a query, and what tests and benchmarks
//! can drive without a socket.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::Chaos;
use super::believed::Believed;
use super::cookies::{Cookie, Secrets, Whole};
use super::limits::{Kind, Rules, Verdict, can_be_answered};
use super::sign::Signing;
use super::wire::compose::{self, SMALLEST_LIMIT};
use super::wire::opt::{NSID_MAX, Opt};
use super::wire::parse::{self, Fault, Parsed, Request};
use super::wire::{rcode, rtype};
use crate::answer::{self, Answer, Ede, Query};
use crate::dnssec::{Figures, Keyring, Seconds, Unsigned};
use crate::snapshot::Snapshot;

pub use super::limits::Limiter;
pub use super::wire::compose::Reply;

/// How a packet came: over all but UDP the reply may have 65535 octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// In a datagram: no more than the client and the operator allow, and 512 octets without EDNS.
    Udp,
    /// In a stream.
    Tcp,
    /// In a stream, encrypted (RFC 7858).
    Tls,
    /// In a request of HTTP, encrypted (RFC 8484).
    Https,
    /// In a stream of its own, encrypted (RFC 9250).
    Quic,
}

impl Transport {
    /// Its name for people.
    pub fn name(self) -> &'static str {
        match self {
            Transport::Udp => "UDP",
            Transport::Tcp => "TCP",
            Transport::Tls => "TLS",
            Transport::Https => "HTTPS",
            Transport::Quic => "QUIC",
        }
    }

    /// Whether it is a connection that RFC 7828 speaks of: those of HTTPS and QUIC have times of their own.
    pub fn is_kept_open(self) -> bool {
        matches!(self, Transport::Tcp | Transport::Tls)
    }

    /// Whether nobody between here and the client can read it.
    pub fn is_encrypted(self) -> bool {
        matches!(self, Transport::Tls | Transport::Https | Transport::Quic)
    }
}

/// A packet that has come.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'p> {
    /// What is in it.
    pub packet: &'p [u8],
    /// Who sent it.
    pub client: SocketAddr,
    /// How.
    pub transport: Transport,
    /// The random number of this query.
    pub draw: u64,
    /// What time it is.
    pub now: Seconds,
}

/// Makes replies; the same for every query.
#[derive(Debug)]
pub struct Responder {
    believed: Believed,
    udp_payload: u16,
    nsid: Box<[u8]>,
    signing: Arc<Signing>,
    cookies: Option<Secrets>,
    chaos: Chaos,
    /// How long a connection is kept, in the unit of RFC 7828: tenths of a second.
    keepalive: u16,
    rules: Arc<Rules>,
}

/// An answer on its way to a reply.
struct Answered<'a, 's> {
    request: &'a Request<'a>,
    answer: &'a Answer<'s>,
    opt: Option<&'a Opt<'a>>,
    /// The client speaks cookies.
    spoke_cookies: bool,
}

/// What a cookie came to.
#[derive(Clone, Copy)]
struct Checked {
    cookie: Whole,
    /// The client has the address that it says it has.
    good: bool,
    /// It said something that does not hold.
    wrong: bool,
}

impl Responder {
    /// One that speaks as configured.
    pub fn new(config: &super::Config) -> Self {
        let nsid = config.name.as_bytes();
        Self {
            believed: Believed::new(config.client_subnet, &config.client_subnet_from),
            udp_payload: config.udp_payload.max(SMALLEST_LIMIT as u16),
            nsid: nsid[..nsid.len().min(NSID_MAX)].into(),
            signing: Arc::new(Signing::new(config.signatures)),
            cookies: config.cookies.clone(),
            chaos: config.chaos.clone(),
            keepalive: tenths(config.tcp_idle),
            rules: Arc::new(Rules::new(&config.limits, config.workers)),
        }
    }

    /// What a thread that answers datagrams keeps.
    pub fn limiter(&self) -> Limiter {
        Limiter::new(Arc::clone(&self.rules))
    }

    /// Who signs.
    pub(super) fn signing(&self) -> &Arc<Signing> {
        &self.signing
    }

    /// What is limited.
    pub(super) fn rules(&self) -> &Arc<Rules> {
        &self.rules
    }

    /// The largest UDP reply: how long `out` must be.
    pub fn udp_payload(&self) -> usize {
        usize::from(self.udp_payload)
    }

    /// Whether whoever sent it is served at all.
    #[inline(always)]
    pub(super) fn serves(&self, arrival: &Arrival<'_>) -> bool {
        let reachable = arrival.transport != Transport::Udp || can_be_answered(arrival.client);
        reachable && self.rules.serve(arrival.client.ip())
    }

    /// What was signed so far.
    pub fn signatures(&self) -> Figures {
        self.signing.figures()
    }

    /// Writes the reply to a packet to the start of `out`; `None`: it gets none. `out` has [`Self::udp_payload`] octets
    /// at least. What may come from a forged address goes through a `limiter`.
    #[inline]
    pub fn respond(
        &self,
        arrival: &Arrival<'_>,
        limiter: Option<&mut Limiter>,
        snapshot: &Snapshot,
        out: &mut [u8],
    ) -> Option<Reply> {
        let answer = |query: &Query<'_>| answer::answer(query, snapshot, &mut ());
        self.respond_by(answer, &snapshot.plan.keys, arrival, limiter, out)
    }

    /// As [`Self::respond`], with something else that knows the answers, which are signed with these keys.
    pub fn respond_by<'s>(
        &self,
        answer: impl FnOnce(&Query<'_>) -> Answer<'s>,
        keys: &Keyring,
        arrival: &Arrival<'_>,
        limiter: Option<&mut Limiter>,
        out: &mut [u8],
    ) -> Option<Reply> {
        let &Arrival { packet, client, transport, draw, now } = arrival;
        if !self.serves(arrival) {
            return None;
        }
        match parse::parse(packet, self.believed.includes(&client)) {
            Parsed::Silence => None,
            Parsed::Fault(request, fault) => self.reply_to_fault(&request, fault, arrival, limiter, out),
            Parsed::Cookies(request) => self.reply_to_cookie(&request, arrival, limiter, out),
            Parsed::Chaos(request) => self.reply_about_us(&request, arrival, limiter, out),
            Parsed::Query(request) => {
                let (name, qtype) = (request.name(), request.qtype());
                let proof = request.proof(now);
                let query = Query { name, qtype, client: request.client(client.ip()), draw, proof };
                let answer = answer(&query);
                let checked = self.check(&request, arrival);
                let limit = self.limit(&request, transport, out.len());
                let opt = self.opt(&request, checked.as_ref(), transport, answer.scope, answer.ede);
                let out = &mut out[..limit];
                let proven = checked.as_ref().is_some_and(|checked| checked.good);
                let limiter = limiter.filter(|limiter| !proven && limiter.concerns(&answer));
                let keys =
                    Some(keys).filter(|keys| !keys.is_empty() && (proof.wanted || qtype == rtype::RRSIG));
                if limiter.is_none() && keys.is_none() {
                    return Some(compose::answer(&request, &answer, opt.as_ref(), out));
                }
                let answered = Answered {
                    request: &request,
                    answer: &answer,
                    opt: opt.as_ref(),
                    spoke_cookies: checked.is_some(),
                };
                self.reply_with_care(&answered, keys, arrival, limiter, out)
            }
        }
    }

    /// Replies within limits, and signs with `keys`, if there are any.
    #[inline(never)]
    fn reply_with_care(
        &self,
        answered: &Answered<'_, '_>,
        keys: Option<&Keyring>,
        arrival: &Arrival<'_>,
        mut limiter: Option<&mut Limiter>,
        out: &mut [u8],
    ) -> Option<Reply> {
        let &Answered { request, answer, opt, spoke_cookies } = answered;
        if let Some(limiter) = &mut limiter {
            match limiter.judge(Kind::of(answer), arrival.client.ip(), arrival.draw) {
                Verdict::Drop => return None,
                // Whoever speaks cookies learns ours now, and may ask again at once.
                Verdict::Slip if spoke_cookies => {
                    return Some(compose::fault(request, rcode::BADCOOKIE, opt, out));
                }
                Verdict::Slip => return Some(compose::truncated(request, opt, out)),
                Verdict::Pass => {}
            }
        }
        let reply = match keys {
            Some(keys) => self.sign(answered, keys, arrival.now, out),
            None => compose::answer(request, answer, opt, out),
        };
        match limiter {
            Some(limiter) if reply.length > self.rules.reply_max(arrival.packet.len()) => {
                limiter.counted.shrunk += 1;
                Some(compose::truncated(request, opt, out))
            }
            _ => Some(reply),
        }
    }

    /// Writes an answer with its signatures.
    fn sign(&self, answered: &Answered<'_, '_>, keys: &Keyring, now: Seconds, out: &mut [u8]) -> Reply {
        let &Answered { request, answer, opt, .. } = answered;
        match self.signing.sign(answer, (request.name(), request.qtype()), keys, now) {
            Ok(signed) => compose::signed_answer(request, answer, &signed, opt, out),
            Err(Unsigned) => compose::fault(request, rcode::SERVFAIL, opt, out),
        }
    }

    /// A mistake is told, as far as the budget for such goes.
    #[cold]
    fn reply_to_fault(
        &self,
        request: &Request<'_>,
        fault: Fault,
        arrival: &Arrival<'_>,
        limiter: Option<&mut Limiter>,
        out: &mut [u8],
    ) -> Option<Reply> {
        let checked = self.check(request, arrival);
        let proven = checked.as_ref().is_some_and(|checked| checked.good);
        if let Some(limiter) = limiter.filter(|_| !proven)
            && limiter.judge(Kind::Error, arrival.client.ip(), arrival.draw) != Verdict::Pass
        {
            return None;
        }
        let opt = self.opt(request, checked.as_ref(), arrival.transport, 0, fault.ede);
        let limit = self.limit(request, arrival.transport, out.len());
        Some(compose::fault(request, fault.rcode, opt.as_ref(), &mut out[..limit]))
    }

    /// RFC 7873 section 5.4: a cookie for a cookie. It is no larger than what was sent, so that nothing limits it.
    fn reply_to_cookie(
        &self,
        request: &Request<'_>,
        arrival: &Arrival<'_>,
        limiter: Option<&mut Limiter>,
        out: &mut [u8],
    ) -> Option<Reply> {
        let Some(checked) = self.check(request, arrival) else {
            return self.reply_to_fault(request, Fault::FORMERR, arrival, limiter, out);
        };
        let rcode = if checked.wrong { rcode::BADCOOKIE } else { rcode::NOERROR };
        let opt = self.opt(request, Some(&checked), arrival.transport, 0, None);
        let limit = self.limit(request, arrival.transport, out.len());
        Some(compose::fault(request, rcode, opt.as_ref(), &mut out[..limit]))
    }

    /// RFC 4892: what the operator lets us tell of ourselves; any other question is refused.
    #[cold]
    fn reply_about_us(
        &self,
        request: &Request<'_>,
        arrival: &Arrival<'_>,
        limiter: Option<&mut Limiter>,
        out: &mut [u8],
    ) -> Option<Reply> {
        let text = self.chaos_text(request);
        let Some(text) = text.filter(|_| matches!(request.qtype(), rtype::TXT | rtype::ANY)) else {
            return self.reply_to_fault(request, Fault::REFUSED, arrival, limiter, out);
        };
        let checked = self.check(request, arrival);
        let opt = self.opt(request, checked.as_ref(), arrival.transport, 0, None);
        let limit = self.limit(request, arrival.transport, out.len());
        Some(compose::chaos(request, text, opt.as_ref(), &mut out[..limit]))
    }

    fn chaos_text(&self, request: &Request<'_>) -> Option<&str> {
        let asked = |name: &[u8]| request.name().eq_ignore_ascii_case(name);
        let Chaos { version, name } = &self.chaos;
        if asked(b"\x07version\x04bind\0") || asked(b"\x07version\x06server\0") {
            version.as_deref()
        } else if asked(b"\x02id\x06server\0") || asked(b"\x08hostname\x04bind\0") {
            name.as_deref()
        } else {
            None
        }
    }

    /// What the cookie of a client that sent one comes to.
    #[inline]
    fn check(&self, request: &Request<'_>, arrival: &Arrival<'_>) -> Option<Checked> {
        let told = request.edns.as_ref()?.cookie?;
        self.check_cookie(told, arrival)
    }

    #[inline(never)]
    fn check_cookie(&self, told: &[u8], arrival: &Arrival<'_>) -> Option<Checked> {
        let told = &Cookie::read(told)?;
        let (cookie, good) = self.cookies.as_ref()?.answer(told, arrival.client.ip(), arrival.now.0 as u32);
        Some(Checked { cookie, good, wrong: told.has_server && !good })
    }

    /// The most octets that the reply may take.
    fn limit(&self, request: &Request<'_>, transport: Transport, room: usize) -> usize {
        let allowed = match (transport, &request.edns) {
            (Transport::Udp, None) => SMALLEST_LIMIT,
            (Transport::Udp, Some(edns)) => {
                usize::from(edns.payload.min(self.udp_payload)).max(SMALLEST_LIMIT)
            }
            _ => usize::from(u16::MAX),
        };
        allowed.min(room)
    }

    /// An OPT record for a client that sent one.
    fn opt<'o>(
        &'o self,
        request: &Request<'_>,
        checked: Option<&'o Checked>,
        transport: Transport,
        scope: u8,
        ede: Option<Ede>,
    ) -> Option<Opt<'o>> {
        let edns = request.edns.as_ref()?;
        // A client that tells nothing of itself is answered for where it stands; that holds for no one else,
        // but there is no subnet that a scope could speak of (RFC 7871 section 7.2.1).
        let scoped = |subnet: parse::Subnet| (subnet, if subnet.source == 0 { 0 } else { scope });
        Some(Opt {
            payload: self.udp_payload,
            flags: edns.flags,
            subnet: edns.subnet.map(scoped),
            nsid: edns.nsid.then_some(&*self.nsid),
            cookie: checked.map(|checked| &checked.cookie),
            keepalive: (edns.keepalive && transport.is_kept_open()).then_some(self.keepalive),
            padding: edns.padding && transport.is_encrypted(),
            ede,
        })
    }
}

/// In tenths of a second, as far as 16 bits go.
fn tenths(time: Duration) -> u16 {
    u16::try_from(time.as_millis() / 100).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use hickory_proto::op::{Message, MessageType};
    use proptest::collection::vec;
    use proptest::prelude::*;
    use smallvec::smallvec;

    use super::*;
    use crate::answer::{Data, Owner, Rcode, RecordSet};
    use crate::dns::Config;
    use crate::dns::tests::*;

    /// Answers everything with one address, and checks what it is asked.
    fn one_address(query: &Query<'_>) -> Answer<'static> {
        assert!(query.name.ends_with(&[0]) && query.name.len() <= 255);
        Answer {
            rcode: Rcode::NoError,
            authoritative: true,
            answer: smallvec![RecordSet {
                owner: Owner::Question,
                rtype: A,
                ttl: 30,
                data: Data::A(smallvec![Ipv4Addr::new(192, 0, 2, 1)]),
                signed: None,
            }],
            authority: smallvec![],
            additional: smallvec![],
            scope: 24,
            ede: None,
        }
    }

    fn many_addresses(query: &Query<'_>) -> Answer<'static> {
        let mut answer = one_address(query);
        let Data::A(addresses) = &mut answer.answer[0].data else { unreachable!() };
        addresses.extend((0..200).map(|n| Ipv4Addr::new(198, 51, 100, n)));
        answer
    }

    fn reply_by(
        config: &Config,
        answer: impl FnOnce(&Query<'_>) -> Answer<'static>,
        packet: &[u8],
        transport: Transport,
    ) -> Option<(Reply, Vec<u8>)> {
        let mut out = vec![0; 65535];
        let client = "203.0.113.9:4242".parse().expect("an address");
        let arrival = Arrival { packet, client, transport, draw: 7, now: Seconds(0) };
        let reply =
            Responder::new(config).respond_by(answer, &Keyring::default(), &arrival, None, &mut out)?;
        out.truncate(reply.length);
        Some((reply, out))
    }

    fn read(reply: Option<(Reply, Vec<u8>)>) -> Message {
        Message::from_vec(&reply.expect("a reply").1).expect("a well-formed reply")
    }

    fn udp(packet: &[u8]) -> Option<(Reply, Vec<u8>)> {
        reply_by(&config(), one_address, packet, Transport::Udp)
    }

    #[test]
    fn a_query_is_answered_octet_for_octet() {
        let (reply, octets) = udp(&query("www.Example.org", A)).expect("a reply");
        let mut expected = vec![0x12, 0x34, 0x85, 0x00, 0, 1, 0, 1, 0, 0, 0, 0];
        expected.extend(b"\x03www\x07Example\x03org\x00\x00\x01\x00\x01");
        expected.extend([0xC0, 0x0C, 0, 1, 0, 1, 0, 0, 0, 30, 0, 4, 192, 0, 2, 1]);
        assert_eq!(octets, expected);
        assert_eq!(reply, Reply { length: expected.len(), rcode: 0, truncated: false });
    }

    #[test]
    fn edns_is_answered_with_edns_and_only_then() {
        assert!(read(udp(&query("a.example", A))).edns.is_none());
        let mut packet = with_edns(query("a.example", A), 4096, &[]);
        let edns_flags = packet.len() - 4;
        packet[edns_flags] = 0x80;
        let edns = read(udp(&packet)).edns.expect("EDNS");
        assert_eq!((edns.version(), edns.max_payload(), edns.flags().dnssec_ok), (0, 1232, true));
    }

    #[test]
    fn the_client_subnet_is_believed_and_echoed_with_the_scope() {
        let packet = with_subnet(query("a.example", A), &[0, 1, 20, 0, 198, 51, 96]);
        let answer = |query: &Query<'_>| {
            assert_eq!(query.client.told().to_string(), "198.51.96.0/20");
            one_address(query)
        };
        let (_, octets) = reply_by(&config(), answer, &packet, Transport::Udp).expect("a reply");
        assert_eq!(subnet_of(&octets), Some(&[0, 1, 20, 24, 198, 51, 96][..]));
    }

    #[test]
    fn a_client_that_tells_no_subnet_is_answered_for_its_address_with_scope_0() {
        for family in [0, 1, 2] {
            let packet = with_subnet(query("a.example", A), &[0, family, 0, 0]);
            let answer = |query: &Query<'_>| {
                assert_eq!(query.client.told().to_string(), "203.0.113.9/32");
                one_address(query)
            };
            let (_, octets) = reply_by(&config(), answer, &packet, Transport::Udp).expect("a reply");
            assert_eq!(subnet_of(&octets), Some(&[0, family, 0, 0][..]));
        }
    }

    #[test]
    fn a_subnet_that_is_not_believed_is_neither_looked_at_nor_echoed() {
        let doubter = Config { client_subnet: false, ..config() };
        for subnet in [&[0, 1, 24, 0, 198, 51, 100][..], &[9, 9, 9, 9]] {
            let packet = with_subnet(query("a.example", A), subnet);
            let answer = |query: &Query<'_>| {
                assert_eq!(query.client.told().to_string(), "203.0.113.9/32");
                one_address(query)
            };
            let (reply, octets) = reply_by(&doubter, answer, &packet, Transport::Udp).expect("a reply");
            assert_eq!((reply.rcode, subnet_of(&octets)), (0, None));
        }
    }

    #[test]
    fn the_name_of_the_server_is_told_to_those_who_ask() {
        let (_, octets) = udp(&with_edns(query("a.example", A), 1232, &option(3, &[]))).expect("a reply");
        assert!(octets.ends_with(b"\x00\x03\x00\x03ns1"));
        let (_, octets) = udp(&with_edns(query("a.example", A), 1232, &[])).expect("a reply");
        assert!(!octets.ends_with(b"ns1"));
    }

    #[test]
    fn a_bad_version_is_told_the_right_one() {
        let packet = with_record(query("a.example", A), &[0], 41, 1232, [0, 1, 0, 0], b"anything");
        let (reply, octets) = udp(&packet).expect("a reply");
        assert_eq!(reply.rcode, 16);
        let message = Message::from_vec(&octets).expect("a well-formed reply");
        assert_eq!(u16::from(message.metadata.response_code), 16);
        assert_eq!(message.version(), 0);
        assert!(message.answers.is_empty());
    }

    #[test]
    fn what_is_wrong_with_an_answer_is_told_over_edns_only() {
        let stale = |query: &Query<'_>| Answer {
            ede: Some(Ede { code: 3, text: "no probe was heard" }),
            ..one_address(query)
        };
        let packet = with_edns(query("a.example", A), 1232, &[]);
        let (_, octets) = reply_by(&config(), stale, &packet, Transport::Udp).expect("a reply");
        assert!(octets.ends_with(b"\x00\x0F\x00\x14\x00\x03no probe was heard"));
        let (reply, _) = reply_by(&config(), stale, &query("a.example", A), Transport::Udp).expect("a reply");
        assert_eq!(reply.length, 12 + 15 + 16);
    }

    #[test]
    fn too_much_for_a_datagram_is_truncated_and_keeps_its_edns() {
        for (packet, limit) in [
            (query("a.example", A), 512),
            (with_edns(query("a.example", A), 100, &[]), 512),
            (with_edns(query("a.example", A), 800, &[]), 800),
            (with_edns(query("a.example", A), 4096, &[]), 1232),
        ] {
            let (reply, octets) =
                reply_by(&config(), many_addresses, &packet, Transport::Udp).expect("a reply");
            assert!(reply.truncated && octets.len() <= limit);
            let message = Message::from_vec(&octets).expect("a well-formed reply");
            assert!(message.metadata.truncation && message.answers.is_empty());
            assert_eq!(message.edns.is_some(), packet[11] == 1);
        }
        let whole = read(reply_by(&config(), many_addresses, &query("a.example", A), Transport::Tcp));
        assert_eq!((whole.metadata.truncation, whole.answers.len()), (false, 201));
    }

    #[test]
    fn every_transport_gives_the_same_reply_and_encrypted_ones_pad_it_for_those_who_take_that() {
        let plain = with_edns(query("a.example", A), 1232, &[]);
        let padding = with_edns(query("a.example", A), 1232, &option(12, &[0; 9]));
        let octets =
            |packet, transport| reply_by(&config(), one_address, packet, transport).expect("a reply").1;
        let over_tcp = octets(&plain, Transport::Tcp);
        for transport in [Transport::Udp, Transport::Tls, Transport::Https, Transport::Quic] {
            assert_eq!(octets(&plain, transport), over_tcp);
            let reply = octets(&padding, transport);
            assert_eq!(reply.len(), if transport.is_encrypted() { 468 } else { over_tcp.len() });
            assert_eq!(Message::from_vec(&reply).expect("a well-formed reply").answers.len(), 1);
        }
        assert_eq!(octets(&padding, Transport::Tcp), over_tcp);
        let (reply, large) = reply_by(&config(), many_addresses, &padding, Transport::Tls).expect("a reply");
        assert_eq!((large.len() % 468, reply.length), (0, large.len()));
    }

    #[test]
    fn a_datagram_from_port_0_is_not_answered() {
        let responder = Responder::new(&config());
        let client = "203.0.113.9:0".parse().expect("an address");
        let mut out = [0; 1232];
        let packet = query("a.example", A);
        let arrival =
            Arrival { packet: &packet, client, transport: Transport::Udp, draw: 0, now: Seconds(0) };
        assert!(responder.respond_by(one_address, &Keyring::default(), &arrival, None, &mut out).is_none());
    }

    /// A query with most of what there can be, to be damaged.
    fn rich_query() -> Vec<u8> {
        let options =
            [option(10, b"eightoct"), option(8, &[0, 2, 56, 0, 0x20, 1, 0xD, 0xB8, 0, 0, 1]), option(3, &[])];
        let packet =
            with_record(query("www.shop.example.org", A), &name("x.example"), 16, 1, [0; 4], b"\x01x");
        with_edns(packet, 1400, &options.concat())
    }

    fn holds_for(packet: &[u8], transport: Transport) {
        for answer in [one_address, many_addresses] {
            let Some((reply, octets)) = reply_by(&config(), answer, packet, transport) else {
                assert!(packet.len() < 12 || packet[2] & 0x80 != 0, "only runts and responses get no reply");
                continue;
            };
            assert!(packet[2] & 0x80 == 0, "a response was answered");
            assert_eq!(reply.length, octets.len());
            assert!(transport != Transport::Udp || octets.len() <= 1232);
            let message = Message::from_vec(&octets).expect("a well-formed reply");
            assert_eq!(message.metadata.message_type, MessageType::Response);
            assert_eq!(octets[..2], packet[..2]);
            assert_eq!(u16::from(message.metadata.response_code), reply.rcode);
            assert_eq!(message.metadata.truncation, reply.truncated);
        }
    }

    proptest! {
        #[test]
        fn any_packet_gets_a_well_formed_reply_or_none(packet in vec(any::<u8>(), 0..200)) {
            holds_for(&packet, Transport::Udp);
        }

        #[test]
        fn a_damaged_query_gets_a_well_formed_reply_or_none(
            damage in vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
            length in any::<prop::sample::Index>(),
            cut in any::<bool>(),
            tail in vec(any::<u8>(), 0..8),
        ) {
            let mut packet = rich_query();
            for (place, octet) in damage {
                let place = place.index(packet.len());
                packet[place] = octet;
            }
            if cut {
                packet.truncate(length.index(packet.len()));
            }
            packet.extend(tail);
            holds_for(&packet, Transport::Udp);
            holds_for(&packet, Transport::Tcp);
            holds_for(&packet, Transport::Tls);
        }
    }
}
