//! Reading a query: what is asked, and by whom, or why it is not answered.
//!
//! ```text
//!   packet --+--> Query    ask `answer` and compose what it says
//!            +--> Cookies  no question, but a cookie: it is answered with one
//!            +--> Chaos    a question about the server itself
//!            +--> Fault    compose an empty reply with this code
//!            `--> Silence  an answer would be a weapon: runts, and packets that are responses
//! ```
//!
//! Every packet is read once from front to back, so the work is bounded by its length. Records before the
//! OPT are stepped over unread; what follows the last record is not looked at.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::{CLASS_CH, CLASS_IN, HEADER, edns_flag, flag, option, rcode, rtype};
use crate::answer::{Client, Ede, Proof};
use crate::dns::cookies::Cookie;
use crate::dnssec::Seconds;

/// What is to be done about a packet.
#[derive(Clone, Debug, PartialEq)]
pub enum Parsed<'p> {
    /// It is for `answer` to answer; the question is there, its class is IN.
    Query(Request<'p>),
    /// It has no question, but a cookie: all that is asked for is one of ours (RFC 7873 section 5.4).
    Cookies(Request<'p>),
    /// Its class is CHAOS.
    Chaos(Request<'p>),
    /// It gets an empty reply. Of the request there is as much as could be read.
    Fault(Request<'p>, Fault),
    /// It gets no reply at all.
    Silence,
}

/// What a reply needs to know of its query.
#[derive(Clone, Debug, PartialEq)]
pub struct Request<'p> {
    /// The number that the reply repeats.
    pub id: u16,
    /// The header's second word; see [`flag`].
    pub flags: u16,
    /// Name, type and class as they were asked, to be repeated octet for octet; empty if unreadable.
    pub question: &'p [u8],
    /// EDNS, if the client speaks it.
    pub edns: Option<Edns<'p>>,
}

/// Why a query is not answered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fault {
    /// The response code, of 12 bits if there is EDNS.
    pub rcode: u16,
    /// More about it.
    pub ede: Option<Ede>,
}

/// What a client says in its OPT record (RFC 6891).
#[derive(Clone, Debug, PartialEq)]
pub struct Edns<'p> {
    /// The largest UDP response that it takes, as written: below 512 means 512.
    pub payload: u16,
    /// 0 is the only version there is.
    pub version: u8,
    /// DNSSEC OK, and with it perhaps Compact Answers OK ([`edns_flag`]).
    pub flags: u8,
    /// On whose behalf it asks.
    pub subnet: Option<Subnet>,
    /// It wants to know who answers.
    pub nsid: bool,
    /// What it says to show that its address is its own: a [`Cookie`], which can be read.
    pub cookie: Option<&'p [u8]>,
    /// It wants to know how long a connection is kept.
    pub keepalive: bool,
    /// It takes padding (RFC 7830).
    pub padding: bool,
}

/// The client subnet option (RFC 7871), well formed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Subnet {
    /// 1: IPv4. 2: IPv6. 0: nothing is told, and `source` is 0.
    pub family: u16,
    /// How many bits of the address are told.
    pub source: u8,
    /// The address; bits beyond `source` are 0.
    pub address: [u8; 16],
}

impl<'p> Request<'p> {
    /// The question's name in wire form.
    pub fn name(&self) -> &'p [u8] {
        let after_name = self.question.len().saturating_sub(TYPE_AND_CLASS);
        &self.question[..after_name]
    }

    /// The question's type.
    pub fn qtype(&self) -> u16 {
        self.question
            .last_chunk::<TYPE_AND_CLASS>()
            .map_or(0, |&[high, low, _, _]| u16::from_be_bytes([high, low]))
    }

    /// The question's class.
    pub fn qclass(&self) -> u16 {
        self.question.last_chunk::<2>().map_or(0, |class| u16::from_be_bytes(*class))
    }

    /// Who asks: the client subnet if one is told, else whoever sent the packet.
    pub fn client(&self, source: IpAddr) -> Client {
        let subnet = self.edns.as_ref().and_then(|edns| edns.subnet).and_then(|subnet| subnet.net());
        Client { source, subnet }
    }
}

impl Request<'_> {
    /// What it wants to be proven.
    pub fn proof(&self, now: Seconds) -> Proof {
        let flags = self.edns.as_ref().map_or(0, |edns| edns.flags);
        let is_set = |flag| flags & flag != 0;
        Proof { wanted: is_set(edns_flag::DNSSEC_OK), compact_ok: is_set(edns_flag::COMPACT_OK), now }
    }
}

impl Fault {
    /// It is malformed.
    pub const FORMERR: Fault = Fault { rcode: rcode::FORMERR, ede: None };
    const NOTIMP: Fault = Fault { rcode: rcode::NOTIMP, ede: None };
    /// It is not for us to answer.
    pub const REFUSED: Fault = Fault { rcode: rcode::REFUSED, ede: None };
    const BADVERS: Fault = Fault { rcode: rcode::BADVERS, ede: None };
    /// RFC 9824 section 3.1: NXNAME is never asked for.
    const INVALID_TYPE: Fault =
        Fault { rcode: rcode::FORMERR, ede: Some(Ede { code: 30, text: "invalid query type" }) };
}

impl Subnet {
    /// The address octets that go over the wire.
    pub fn octets(&self) -> &[u8] {
        &self.address[..usize::from(self.source.div_ceil(8)).min(self.address.len())]
    }

    /// The subnet that it tells of; a source prefix of 0 tells of none.
    fn net(&self) -> Option<IpNet> {
        let [a, b, c, d, ..] = self.address;
        let address = match (self.source, self.family) {
            (0, _) => return None,
            (_, FAMILY_IPV4) => IpAddr::from(Ipv4Addr::new(a, b, c, d)),
            _ => Ipv6Addr::from(self.address).into(),
        };
        IpNet::new(address, self.source).ok()
    }

    /// Reads the option as strictly as RFC 7871 section 7.1.2 asks: as many octets as the prefix needs,
    /// no bit beyond it, and no scope.
    fn read(octets: &[u8]) -> Result<Self, Fault> {
        let Some((&[family_high, family_low, source, scope], told)) = octets.split_first_chunk::<4>() else {
            return Err(Fault::FORMERR);
        };
        let family = u16::from_be_bytes([family_high, family_low]);
        let bits = match family {
            FAMILY_NONE => 0,
            FAMILY_IPV4 => 32,
            FAMILY_IPV6 => 128,
            _ => return Err(Fault::FORMERR),
        };
        if source > bits || scope != 0 || told.len() != usize::from(source.div_ceil(8)) {
            return Err(Fault::FORMERR);
        }
        if !source.is_multiple_of(8) && told.last().is_some_and(|last| last << (source % 8) != 0) {
            return Err(Fault::FORMERR);
        }
        let mut address = [0; 16];
        address[..told.len()].copy_from_slice(told);
        Ok(Self { family, source, address })
    }
}

/// Reads a packet. With `believe_subnet` off, the client subnet option is as if it were not there.
pub fn parse(packet: &[u8], believe_subnet: bool) -> Parsed<'_> {
    let Some((header, body)) = packet.split_first_chunk::<HEADER>() else { return Parsed::Silence };
    let word = |index: usize| u16::from_be_bytes([header[2 * index], header[2 * index + 1]]);
    let flags = word(1);
    if flags & flag::QR != 0 {
        return Parsed::Silence;
    }
    let mut request = Request { id: word(0), flags, question: &[], edns: None };
    let counts = Counts { questions: word(2), answers: word(3), authorities: word(4), additionals: word(5) };
    let read = read_body(&mut request, body, counts, believe_subnet);
    if flags & flag::OPCODE != 0 {
        // Other kinds of messages may be laid out otherwise; what could be read is repeated.
        let notify = flags & flag::OPCODE == flag::NOTIFY && read.is_ok();
        return Parsed::Fault(request, if notify { Fault::REFUSED } else { Fault::NOTIMP });
    }
    match read.map_err(Odd::Fault).and_then(|()| judge(&request)) {
        Ok(()) => Parsed::Query(request),
        Err(odd) => odd.about(request),
    }
}

/// Whether a packet is one that other servers and programs send to the primary server of a zone: for a transfer, an
/// update, or signed by a key. What is malformed is not.
#[inline(never)]
pub fn is_errand(packet: &[u8]) -> bool {
    let Some((header, body)) = packet.split_first_chunk::<HEADER>() else { return false };
    let word = |index: usize| u16::from_be_bytes([header[2 * index], header[2 * index + 1]]);
    let (flags, questions) = (word(1), word(2));
    match flags & (flag::QR | flag::OPCODE) {
        0 if questions == 1 => {}
        flag::UPDATE => return true,
        _ => return false,
    }
    let Some((question, mut rest)) = question_length(body).map(|length| body.split_at(length)) else {
        return false;
    };
    let question = Request { id: 0, flags, question, edns: None };
    if matches!(question.qtype(), rtype::AXFR | rtype::IXFR) {
        return true;
    }
    // Most queries have an OPT record at most, and nothing else.
    let records = u32::from(word(3)) + u32::from(word(4)) + u32::from(word(5));
    let mut last = 0;
    for _ in 0..records {
        let Some(record) = take_record(&mut rest) else { return false };
        last = record.rtype;
    }
    last == rtype::TSIG
}

/// What is not for `answer` to answer.
enum Odd {
    Cookies,
    Chaos,
    Fault(Fault),
}

impl Odd {
    #[cold]
    fn about(self, request: Request<'_>) -> Parsed<'_> {
        match self {
            Odd::Cookies => Parsed::Cookies(request),
            Odd::Chaos => Parsed::Chaos(request),
            Odd::Fault(fault) => Parsed::Fault(request, fault),
        }
    }
}

/// How many records of each section the header promises.
struct Counts {
    questions: u16,
    answers: u16,
    authorities: u16,
    additionals: u16,
}

fn read_body<'p>(
    request: &mut Request<'p>,
    body: &'p [u8],
    counts: Counts,
    believe_subnet: bool,
) -> Result<(), Fault> {
    // RFC 9619: a plain query has one question, or none and a cookie.
    let length = match counts.questions {
        0 => 0,
        1 => question_length(body).ok_or(Fault::FORMERR)?,
        _ => return Err(Fault::FORMERR),
    };
    let (question, mut rest) = body.split_at(length);
    request.question = question;
    for _ in 0..u32::from(counts.answers) + u32::from(counts.authorities) {
        let record = take_record(&mut rest).ok_or(Fault::FORMERR)?;
        if record.rtype == rtype::OPT {
            return Err(Fault::FORMERR);
        }
    }
    for _ in 0..counts.additionals {
        let record = take_record(&mut rest).ok_or(Fault::FORMERR)?;
        if record.rtype != rtype::OPT {
            continue;
        }
        if request.edns.is_some() || !record.owner_is_root {
            return Err(Fault::FORMERR);
        }
        read_edns(request.edns.insert(record.edns()), record.rdata, believe_subnet)?;
    }
    Ok(())
}

/// Finds what is asked for that is not for `answer` to answer.
fn judge(request: &Request<'_>) -> Result<(), Odd> {
    if request.edns.as_ref().is_some_and(|edns| edns.version != 0) {
        return Err(Odd::Fault(Fault::BADVERS));
    }
    if request.qclass() != CLASS_IN {
        return Err(judge_class(request));
    }
    match request.qtype() {
        rtype::AXFR | rtype::IXFR => Err(Odd::Fault(Fault::REFUSED)),
        rtype::TKEY | rtype::MAILA | rtype::MAILB => Err(Odd::Fault(Fault::NOTIMP)),
        rtype::OPT | rtype::TSIG => Err(Odd::Fault(Fault::FORMERR)),
        rtype::NXNAME => Err(Odd::Fault(Fault::INVALID_TYPE)),
        _ => Ok(()),
    }
}

/// The same of a question that is in no class of ours, or not there at all.
#[cold]
fn judge_class(request: &Request<'_>) -> Odd {
    let cookie = request.edns.as_ref().is_some_and(|edns| edns.cookie.is_some());
    match request.qclass() {
        CLASS_CH => Odd::Chaos,
        _ if !request.question.is_empty() => Odd::Fault(Fault::REFUSED),
        _ if cookie => Odd::Cookies,
        _ => Odd::Fault(Fault::FORMERR),
    }
}

/// The length of the question that `body` starts with, if there is a whole one. Nothing stands before it
/// that a compression pointer could point to, so one is malformed.
#[inline(always)]
fn question_length(body: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let label = usize::from(*body.get(at)?);
        if label > LABEL_MAX {
            return None;
        }
        at += 1 + label;
        if at > NAME_MAX {
            return None;
        }
        if label == 0 {
            let length = at + TYPE_AND_CLASS;
            return (length <= body.len()).then_some(length);
        }
    }
}

/// A record, as far as it is looked at.
struct Record<'p> {
    owner_is_root: bool,
    rtype: u16,
    class: u16,
    ttl: [u8; 4],
    rdata: &'p [u8],
}

impl<'p> Record<'p> {
    /// The fixed part of an OPT record: RFC 6891 section 6.1.3.
    fn edns(&self) -> Edns<'p> {
        let [_, version, high_flags, _] = self.ttl;
        // Compact Answers OK, which is the bit below DNSSEC OK, means nothing without it.
        let flags = high_flags & (edns_flag::DNSSEC_OK | high_flags >> 1 & edns_flag::COMPACT_OK);
        let (subnet, cookie, nsid) = (None, None, false);
        Edns { payload: self.class, version, flags, subnet, nsid, cookie, keepalive: false, padding: false }
    }
}

/// Takes the record that `rest` starts with, if there is a whole one.
#[inline(always)]
fn take_record<'p>(rest: &mut &'p [u8]) -> Option<Record<'p>> {
    let owner_is_root = *rest.first()? == 0;
    let after_owner = &rest[skip_name(rest)?..];
    let (&[t0, t1, c0, c1, ttl @ .., l0, l1], data) = after_owner.split_first_chunk::<RECORD_FIXED>()?;
    let (rdata, after) = data.split_at_checked(usize::from(u16::from_be_bytes([l0, l1])))?;
    *rest = after;
    let (rtype, class) = (u16::from_be_bytes([t0, t1]), u16::from_be_bytes([c0, c1]));
    Some(Record { owner_is_root, rtype, class, ttl, rdata })
}

/// The length of the name that `octets` starts with; a compression pointer ends it and is not followed.
fn skip_name(octets: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        match usize::from(*octets.get(at)?) {
            0 => return Some(at + 1),
            label @ 1..=LABEL_MAX => at += 1 + label,
            0xC0.. => return (at + 2 <= octets.len()).then_some(at + 2),
            _ => return None,
        }
    }
}

/// Reads the options of an OPT record. Those of another version may mean anything and are left alone.
fn read_edns<'p>(edns: &mut Edns<'p>, mut options: &'p [u8], believe_subnet: bool) -> Result<(), Fault> {
    if edns.version != 0 {
        return Ok(());
    }
    while !options.is_empty() {
        let (&[c0, c1, l0, l1], data) = options.split_first_chunk::<4>().ok_or(Fault::FORMERR)?;
        let length = usize::from(u16::from_be_bytes([l0, l1]));
        let (data, after) = data.split_at_checked(length).ok_or(Fault::FORMERR)?;
        match u16::from_be_bytes([c0, c1]) {
            // RFC 5001 section 2.1: whatever a query carries in it is ignored.
            option::NSID => edns.nsid = true,
            option::PADDING => edns.padding = true,
            // The first one counts.
            option::CLIENT_SUBNET if believe_subnet && edns.subnet.is_none() => {
                edns.subnet = Some(Subnet::read(data)?);
            }
            option::COOKIE if edns.cookie.is_none() => {
                edns.cookie = Some(data).filter(|data| Cookie::read(data).is_some());
                edns.cookie.ok_or(Fault::FORMERR)?;
            }
            option::TCP_KEEPALIVE => edns.keepalive = true,
            _ => {}
        }
        options = after;
    }
    Ok(())
}

/// A longer label is a pointer or malformed (RFC 1035 section 2.3.4).
const LABEL_MAX: usize = 63;
/// A longer name is malformed (RFC 1035 section 2.3.4).
const NAME_MAX: usize = 255;
const TYPE_AND_CLASS: usize = 4;
/// Type, class, TTL and length of RDATA.
const RECORD_FIXED: usize = 10;
/// Address families of RFC 7871. None at all is what dig sends for `+subnet=0`.
const FAMILY_NONE: u16 = 0;
const FAMILY_IPV4: u16 = 1;
const FAMILY_IPV6: u16 = 2;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::tests::*;

    fn fault(packet: &[u8]) -> u16 {
        match parse(packet, true) {
            Parsed::Fault(_, fault) => fault.rcode,
            other => panic!("no fault, but {other:?}"),
        }
    }

    fn request(packet: &[u8]) -> Request<'_> {
        match parse(packet, true) {
            Parsed::Query(request) => request,
            other => panic!("no query, but {other:?}"),
        }
    }

    fn edns(packet: &[u8]) -> Edns<'_> {
        request(packet).edns.expect("EDNS")
    }

    fn with_counts(mut packet: Vec<u8>, counts: [u8; 4]) -> Vec<u8> {
        for (index, count) in counts.into_iter().enumerate() {
            packet[5 + 2 * index] = count;
        }
        packet
    }

    #[test]
    fn a_query_is_read_as_it_stands() {
        let packet = query("www.Example.org", AAAA);
        let request = request(&packet);
        assert_eq!((request.id, request.flags), (0x1234, 0x0100));
        assert_eq!(request.question, &packet[12..]);
        assert_eq!(request.name(), b"\x03www\x07Example\x03org\x00");
        assert_eq!((request.qtype(), request.qclass(), request.edns.clone()), (AAAA, 1, None));
    }

    #[test]
    fn runts_and_responses_are_met_with_silence() {
        let packet = query("a.example", A);
        for length in 0..12 {
            assert_eq!(parse(&packet[..length], true), Parsed::Silence);
        }
        let mut response = packet.clone();
        response[2] |= 0x80;
        assert_eq!(parse(&response, true), Parsed::Silence);
    }

    #[test]
    fn a_query_cut_anywhere_is_malformed() {
        let packet = with_edns(query("a.example", A), 1232, &option(8, &[0, 1, 8, 0, 10]));
        for length in 12..packet.len() {
            assert_eq!(fault(&packet[..length]), rcode::FORMERR, "cut at {length}");
        }
    }

    #[test]
    fn a_query_has_one_question() {
        let packet = query("a.example", A);
        assert_eq!(fault(&with_counts(packet.clone(), [0, 0, 0, 0])), rcode::FORMERR);
        assert_eq!(fault(&with_counts(packet.clone(), [2, 0, 0, 0])), rcode::FORMERR);
        assert_eq!(fault(&packet[..12]), rcode::FORMERR);
    }

    #[test]
    fn other_kinds_of_queries_are_not_implemented_whatever_they_hold() {
        for opcode in (1..16u8).filter(|&opcode| opcode != 4) {
            let mut packet = query("a.example", A);
            packet[2] = opcode << 3;
            assert_eq!(fault(&packet), rcode::NOTIMP);
            assert_eq!(fault(&packet[..12]), rcode::NOTIMP);
        }
    }

    #[test]
    fn nobody_may_notify_us() {
        let mut packet = query("a.example", rtype::SOA);
        packet[2] = 4 << 3;
        assert_eq!(fault(&packet), rcode::REFUSED);
        assert_eq!(fault(&packet[..20]), rcode::NOTIMP);
    }

    #[test]
    fn a_query_without_a_question_is_one_for_a_cookie() {
        let header = &with_counts(query("", A), [0, 0, 0, 0])[..12];
        let asked = with_edns(header.to_vec(), 1232, &option(10, b"a cookie"));
        assert!(matches!(parse(&asked, true), Parsed::Cookies(_)));
        assert_eq!(fault(&with_edns(header.to_vec(), 1232, &[])), rcode::FORMERR);
    }

    #[test]
    fn a_name_is_made_of_labels_only() {
        for name in [&b"\xC0\x0C"[..], b"\x40a\x00", b"\x80a\x00"] {
            let packet = [&query("", A)[..12], name, &[0, 1, 0, 1]].concat();
            assert_eq!(fault(&packet), rcode::FORMERR);
        }
    }

    #[test]
    fn a_name_has_255_octets_at_most() {
        let label = "a".repeat(63);
        let longest = format!("{label}.{label}.{label}.{}", "a".repeat(61));
        assert_eq!(request(&query(&longest, A)).name().len(), 255);
        assert_eq!(fault(&query(&format!("{longest}a"), A)), rcode::FORMERR);
    }

    #[test]
    fn other_classes_and_zone_transfers_are_refused() {
        for class in [0, 4, 254, 255] {
            let mut packet = query("version.bind", TXT);
            *packet.last_mut().expect("not empty") = class;
            assert_eq!(fault(&packet), rcode::REFUSED);
        }
        assert_eq!(fault(&query("example", rtype::AXFR)), rcode::REFUSED);
        assert_eq!(fault(&query("example", rtype::IXFR)), rcode::REFUSED);
    }

    #[test]
    fn types_that_are_no_data_have_answers_of_their_own() {
        assert_eq!(fault(&query("example", rtype::OPT)), rcode::FORMERR);
        assert_eq!(fault(&query("example", rtype::TSIG)), rcode::FORMERR);
        assert_eq!(fault(&query("example", rtype::TKEY)), rcode::NOTIMP);
        assert_eq!(fault(&query("example", rtype::MAILB)), rcode::NOTIMP);
        assert_eq!(request(&query("example", ANY)).qtype(), ANY);
        let packet = query("example", rtype::NXNAME);
        assert!(matches!(
            parse(&packet, true),
            Parsed::Fault(_, Fault { rcode: 1, ede: Some(Ede { code: 30, .. }) })
        ));
    }

    #[test]
    fn edns_is_found_behind_other_records_and_may_be_followed_by_rubbish() {
        let packet = with_record(query("a.example", A), b"\xC0\x0C", A, 1, [0; 4], &[192, 0, 2, 1]);
        let packet = with_record(packet, &name("b.example"), TXT, 1, [0; 4], b"\x02hi");
        let mut packet = with_edns(packet, 1400, &[]);
        packet.extend(b"rubbish");
        assert_eq!(edns(&packet).payload, 1400);
    }

    #[test]
    fn edns_is_said_once_by_the_root_in_the_additional_section() {
        let once = with_edns(query("a.example", A), 1232, &[]);
        assert_eq!(fault(&with_edns(once.clone(), 1232, &[])), rcode::FORMERR);
        let owned = with_record(query("a.example", A), &name("a"), rtype::OPT, 1232, [0; 4], &[]);
        assert_eq!(fault(&owned), rcode::FORMERR);
        assert_eq!(fault(&with_counts(once.clone(), [1, 1, 0, 0])), rcode::FORMERR);
        assert_eq!(fault(&with_counts(once, [1, 0, 1, 0])), rcode::FORMERR);
    }

    #[test]
    fn a_newer_edns_version_is_refused_before_its_options_are_read() {
        let packet = with_record(query("a.example", A), &[0], rtype::OPT, 1232, [0, 1, 0, 0], b"?");
        assert_eq!(fault(&packet), rcode::BADVERS);
        let mut other_class = packet;
        other_class[12 + 11 + 3] = 3;
        assert_eq!(fault(&other_class), rcode::BADVERS);
    }

    #[test]
    fn options_are_read_and_unknown_ones_passed_over() {
        let options = [option(10, b"a cookie"), option(3, b"ignored"), option(65001, &[])].concat();
        let packet = with_record(query("a.example", A), &[0], rtype::OPT, 4096, [0xFF, 0, 0x80, 0], &options);
        let expected = Edns {
            payload: 4096,
            version: 0,
            flags: edns_flag::DNSSEC_OK,
            subnet: None,
            nsid: true,
            cookie: Some(b"a cookie"),
            keepalive: false,
            padding: false,
        };
        assert_eq!(edns(&packet), expected);
        let beyond = with_edns(query("a.example", A), 1232, &[0, 10, 0, 9, 1]);
        assert_eq!(fault(&beyond), rcode::FORMERR);
    }

    #[test]
    fn a_client_subnet_tells_who_asks() {
        let source: IpAddr = "203.0.113.9".parse().expect("an address");
        let client = |subnet: &[u8]| request(&with_subnet(query("a.example", A), subnet)).client(source);
        let of = |subnet: &str| Client { source, subnet: Some(subnet.parse().expect("a prefix")) };
        assert_eq!(client(&[0, 1, 24, 0, 198, 51, 100]), of("198.51.100.0/24"));
        assert_eq!(client(&[0, 1, 32, 0, 198, 51, 100, 7]), of("198.51.100.7/32"));
        assert_eq!(client(&[0, 2, 33, 0, 0x20, 1, 0xD, 0xB8, 0x80]), of("2001:db8:8000::/33"));
        assert_eq!(client(&[0, 1, 0, 0]), Client::at(source));
        assert_eq!(request(&query("a.example", A)).client(source), Client::at(source));
    }

    #[test]
    fn a_client_subnet_is_read_to_the_letter() {
        for (subnet, why) in [
            (&[][..], "nothing"),
            (&[0, 1, 24], "cut in its head"),
            (&[0, 1, 24, 0, 198, 51], "too few octets"),
            (&[0, 1, 24, 0, 198, 51, 100, 0], "too many octets"),
            (&[0, 1, 20, 0, 198, 51, 100], "a bit beyond the prefix"),
            (&[0, 1, 24, 24, 198, 51, 100], "a scope in a query"),
            (&[0, 1, 33, 0, 198, 51, 100, 7, 0], "a prefix longer than the address"),
            (&[0, 3, 8, 0, 1], "an unknown family"),
            (&[0, 0, 8, 0, 1], "a prefix of no family"),
        ] {
            assert_eq!(fault(&with_subnet(query("a.example", A), subnet)), rcode::FORMERR, "{why}");
        }
    }

    #[test]
    fn a_fault_repeats_as_much_of_the_query_as_was_read() {
        let packet = with_edns(query("a.example", A), 1232, &[]);
        let twice = with_edns(packet.clone(), 1232, &[]);
        let Parsed::Fault(request, _) = parse(&twice, true) else { panic!("two OPT records") };
        assert_eq!(request.question, &query("a.example", A)[12..]);
        assert!(request.edns.is_some());
    }
}
