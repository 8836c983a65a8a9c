//! Writing a reply, in place, into the packet that leaves.
//!
//! ```text
//!   header | question as asked | answer | authority | additional | OPT
//!            ^ 0xC00C            `--------- record sets --------'   its room is set aside first
//! ```
//!
//! A set goes in whole or not at all. When one that must be there does not fit, TC is set and no more is
//! added; when one that is merely handy does not fit, it is left out (RFC 2181 section 9). The usual set,
//! owned by the question and without names to compress, is copied record by record as it is stored.

use super::names::Names;
use super::opt::Opt;
use super::parse::Request;
use super::{CLASS_CH, CLASS_IN, HEADER, flag, padding, rcode, rtype};
use crate::answer::{Answer, Data, Owner, RecordSet};
use crate::dns::sign::Signed;
use crate::dnssec::Signature;

/// A reply that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    /// How many octets of the packet it takes.
    pub length: usize,
    /// Its response code, of 12 bits if there is EDNS.
    pub rcode: u16,
    /// Something that had to be in it did not fit.
    pub truncated: bool,
}

impl Reply {
    /// One that somebody else wrote, whole.
    pub fn of(octets: &[u8]) -> Self {
        let &[_, _, high, low, ..] = octets else {
            return Self { length: octets.len(), rcode: 0, truncated: false };
        };
        let flags = u16::from_be_bytes([high, low]);
        Self { length: octets.len(), rcode: flags & flag::RCODE, truncated: flags & flag::TC != 0 }
    }
}

/// Writes the answer to a query. The length of `out` is the most that the reply may take; at least 512.
pub fn answer(request: &Request<'_>, answer: &Answer<'_>, opt: Option<&Opt<'_>>, out: &mut [u8]) -> Reply {
    write(request, answer, None, opt, out)
}

/// The same, with its signatures. It is a function of its own so that the former need not look for any.
#[inline(never)]
pub fn signed_answer(
    request: &Request<'_>,
    answer: &Answer<'_>,
    signed: &Signed<'_>,
    opt: Option<&Opt<'_>>,
    out: &mut [u8],
) -> Reply {
    write(request, answer, Some(signed), opt, out)
}

#[inline(always)]
fn write(
    request: &Request<'_>,
    answer: &Answer<'_>,
    signed: Option<&Signed<'_>>,
    opt: Option<&Opt<'_>>,
    out: &mut [u8],
) -> Reply {
    let rcode = answer.rcode as u16;
    let authoritative = if answer.authoritative { flag::AA } else { 0 };
    let mut message = Message::begin(request, opt, out);
    let fit = message.put_sections(answer, signed);
    let truncated = if fit.is_err() { flag::TC } else { 0 };
    message.finish(request, opt, rcode, authoritative | truncated)
}

/// Writes a reply that has nothing but a response code.
pub fn fault(request: &Request<'_>, rcode: u16, opt: Option<&Opt<'_>>, out: &mut [u8]) -> Reply {
    Message::begin(request, opt, out).finish(request, opt, rcode, 0)
}

/// Writes a reply without the answer, which is to be asked for over TCP.
pub fn truncated(request: &Request<'_>, opt: Option<&Opt<'_>>, out: &mut [u8]) -> Reply {
    Message::begin(request, opt, out).finish(request, opt, rcode::NOERROR, flag::TC)
}

/// Writes the answer to a question about the server itself: one text (RFC 4892).
pub fn chaos(request: &Request<'_>, text: &str, opt: Option<&Opt<'_>>, out: &mut [u8]) -> Reply {
    let text = &text.as_bytes()[..text.len().min(usize::from(u8::MAX))];
    let mut message = Message::begin(request, opt, out);
    let [type_high, type_low] = rtype::TXT.to_be_bytes();
    let [class_high, class_low] = CLASS_CH.to_be_bytes();
    let length = text.len() as u8;
    let fixed = [type_high, type_low, class_high, class_low, 0, 0, 0, 0];
    let [length_high, length_low] = (u16::from(length) + 1).to_be_bytes();
    let parts = [&QUESTION_POINTER[..], &fixed, &[length_high, length_low, length], text].concat();
    let flags = match message.put(&parts) {
        Ok(()) => {
            message.counts[0] = 1;
            flag::AA
        }
        Err(Full) => flag::TC,
    };
    message.finish(request, opt, rcode::NOERROR, flags)
}

/// There is no room for it.
#[derive(Debug)]
struct Full;

/// A message that is being written.
struct Message<'b> {
    out: &'b mut [u8],
    /// Where the next octet goes.
    at: usize,
    /// Where records must end.
    end: usize,
    /// Octets of the OPT record.
    opt: usize,
    /// Records in the answer, authority and additional sections.
    counts: [u16; 3],
    /// Where names stand that others can point to; made when the first name is written.
    names: Option<Names>,
}

impl<'b> Message<'b> {
    /// Copies the question and sets aside the room of the header and the OPT record.
    fn begin(request: &Request<'_>, opt: Option<&Opt<'_>>, out: &'b mut [u8]) -> Self {
        debug_assert!(out.len() >= SMALLEST_LIMIT);
        let at = HEADER + request.question.len();
        out[HEADER..at].copy_from_slice(request.question);
        let opt = opt.map_or(0, Opt::length);
        let end = out.len() - opt;
        Self { out, at, end, opt, counts: [0; 3], names: None }
    }

    #[inline(always)]
    fn put_sections(&mut self, answer: &Answer<'_>, signed: Option<&Signed<'_>>) -> Result<(), Full> {
        for (number, set) in answer.answer.iter().enumerate() {
            self.counts[0] += self.put_signed(set, number, signed)?;
        }
        for (number, set) in (answer.answer.len()..).zip(&answer.authority) {
            self.counts[1] += self.put_signed(set, number, signed)?;
        }
        // RFC 9471: a referral without its glue is not whole.
        let referral = answer.authority.iter().any(|set| set.rtype == rtype::NS);
        for set in &answer.additional {
            match self.put_set(set) {
                Ok(count) => self.counts[2] += count,
                Err(Full) if referral => return Err(Full),
                Err(Full) => {}
            }
        }
        Ok(())
    }

    /// Writes a set, which has this number, with its signatures: both or neither (RFC 4035 section 3.1.1).
    #[inline]
    fn put_signed(
        &mut self,
        set: &RecordSet<'_>,
        number: usize,
        signed: Option<&Signed<'_>>,
    ) -> Result<u16, Full> {
        let Some(signed) = signed else { return self.put_set(set) };
        self.or_as_it_was(|message| {
            let mut count = if signed.alone_in(set) { 0 } else { message.put_set(set)? };
            count += message.put_signatures(set, number, signed)?;
            Ok(count)
        })
    }

    /// Writes a whole set and says how many records that was, or leaves the message as it was.
    fn put_set(&mut self, set: &RecordSet<'_>) -> Result<u16, Full> {
        self.or_as_it_was(|message| match (&set.owner, shape(set.rtype)) {
            (Owner::Question, None) => message.put_plain(set),
            _ => message.put_compressed(set),
        })
    }

    /// Leaves the message as it was if something does not fit.
    #[inline]
    fn or_as_it_was(&mut self, put: impl FnOnce(&mut Self) -> Result<u16, Full>) -> Result<u16, Full> {
        let (at, names) = (self.at, self.names.as_ref().map_or(0, Names::used));
        put(self).inspect_err(|Full| {
            self.at = at;
            if let Some(held) = &mut self.names {
                held.forget(names);
            }
        })
    }

    /// The fast path: a set owned by the question, without names to compress.
    #[inline]
    fn put_plain(&mut self, set: &RecordSet<'_>) -> Result<u16, Full> {
        let fixed = fixed_part(set);
        let mut start = [0; 2 + FIXED];
        start[..2].copy_from_slice(&QUESTION_POINTER);
        start[2..].copy_from_slice(&fixed);
        let mut count = 0;
        each_record(&set.data, |length_and_rdata| {
            self.put(&start)?;
            self.put(length_and_rdata)?;
            count += 1;
            Ok(())
        })?;
        Ok(count)
    }

    /// A set with names that may be pointers: its owner, or some in its RDATA.
    fn put_compressed(&mut self, set: &RecordSet<'_>) -> Result<u16, Full> {
        let fixed = fixed_part(set);
        let shape = shape(set.rtype);
        let mut count = 0;
        each_record(&set.data, |length_and_rdata| {
            self.put_owner(&set.owner)?;
            self.put(&fixed)?;
            match shape {
                Some(shape) => self.put_rdata(shape, &length_and_rdata[2..])?,
                None => self.put(length_and_rdata)?,
            }
            count += 1;
            Ok(())
        })?;
        Ok(count)
    }

    fn put_signatures(
        &mut self,
        set: &RecordSet<'_>,
        number: usize,
        signed: &Signed<'_>,
    ) -> Result<u16, Full> {
        let Some(zone) = set.signed else { return Ok(0) };
        let apex = signed.keys.zone(zone).apex();
        let mut count = 0;
        for (_, signature) in signed.signatures.iter().filter(|(of, _)| *of == number) {
            self.put_signature(&set.owner, signature, apex)?;
            count += 1;
        }
        Ok(count)
    }

    fn put_signature(&mut self, owner: &Owner<'_>, signature: &Signature, apex: &[u8]) -> Result<(), Full> {
        let length = signature.head.len() + apex.len() + signature.octets.len();
        self.put_owner(owner)?;
        self.put(&rtype::RRSIG.to_be_bytes())?;
        self.put(&CLASS_IN.to_be_bytes())?;
        self.put(&signature.ttl.to_be_bytes())?;
        self.put(&(length as u16).to_be_bytes())?;
        self.put(&signature.head)?;
        // Never compressed (RFC 4034 section 3.1.7).
        self.put(apex)?;
        self.put(&signature.octets)
    }

    fn put_owner(&mut self, owner: &Owner<'_>) -> Result<(), Full> {
        match owner {
            Owner::Question => self.put(&QUESTION_POINTER),
            Owner::Name(name) => self.put_name(name),
            Owner::Made(name) => self.put_name(name),
        }
    }

    /// RDATA with names, which makes it shorter than it is stored.
    fn put_rdata(&mut self, shape: Shape, rdata: &[u8]) -> Result<(), Full> {
        let length_at = self.at;
        self.put(&[0; 2])?;
        let (before, mut rest) = rdata.split_at(shape.octets_before.min(rdata.len()));
        self.put(before)?;
        for _ in 0..shape.names {
            let (name, after) = rest.split_at(name_length(rest));
            self.put_name(name)?;
            rest = after;
        }
        self.put(rest)?;
        let length = (self.at - length_at - 2) as u16;
        self.out[length_at..length_at + 2].copy_from_slice(&length.to_be_bytes());
        Ok(())
    }

    fn put_name(&mut self, name: &[u8]) -> Result<(), Full> {
        let mut names = self.names.take().unwrap_or_else(|| self.names_of_question());
        let plan = names.plan(self.out, name);
        let at = self.at;
        let put = self.put(&name[..plan.literal]).and_then(|()| match plan.pointer {
            Some(offset) => self.put(&(POINTER | offset).to_be_bytes()),
            None => self.put(&[0]),
        });
        if put.is_ok() {
            names.add(name, plan, at);
        }
        self.names = Some(names);
        put
    }

    /// The names of a message that has its question and no more.
    #[cold]
    fn names_of_question(&self) -> Names {
        let mut names = Names::new();
        let name = &self.out[HEADER..HEADER + name_length(&self.out[HEADER..])];
        let plan = names.plan(self.out, name);
        names.add(name, plan, HEADER);
        names
    }

    #[inline]
    fn put(&mut self, octets: &[u8]) -> Result<(), Full> {
        let after = self.at + octets.len();
        if after > self.end {
            return Err(Full);
        }
        self.out[self.at..after].copy_from_slice(octets);
        self.at = after;
        Ok(())
    }

    /// Writes the OPT record and the header.
    fn finish(mut self, request: &Request<'_>, opt: Option<&Opt<'_>>, rcode: u16, flags: u16) -> Reply {
        if let Some(opt) = opt {
            let end = self.at + self.opt;
            opt.write((rcode >> 4) as u8, &mut self.out[self.at..end]);
            self.at = if opt.padding { padding::pad(self.out, end, self.opt) } else { end };
        }
        let copied = request.flags & (flag::OPCODE | flag::RD | flag::CD);
        let words = [
            request.id,
            flag::QR | copied | flags | rcode & flag::RCODE,
            u16::from(!request.question.is_empty()),
            self.counts[0],
            self.counts[1],
            self.counts[2] + u16::from(opt.is_some()),
        ];
        for (place, word) in self.out.chunks_exact_mut(2).zip(words) {
            place.copy_from_slice(&word.to_be_bytes());
        }
        Reply { length: self.at, rcode, truncated: flags & flag::TC != 0 }
    }
}

/// Where the names are in RDATA that may be compressed.
#[derive(Clone, Copy)]
struct Shape {
    octets_before: usize,
    names: usize,
}

/// RFC 3597 section 4: only types of RFC 1035 may be compressed; of those, the ones in use.
#[inline]
fn shape(rtype: u16) -> Option<Shape> {
    match rtype {
        rtype::NS | rtype::CNAME | rtype::PTR => Some(Shape { octets_before: 0, names: 1 }),
        rtype::SOA => Some(Shape { octets_before: 0, names: 2 }),
        rtype::MX => Some(Shape { octets_before: 2, names: 1 }),
        _ => None,
    }
}

/// Type, class and TTL.
#[inline]
fn fixed_part(set: &RecordSet<'_>) -> [u8; FIXED] {
    let ([t0, t1], [c0, c1], [a, b, c, d]) =
        (set.rtype.to_be_bytes(), CLASS_IN.to_be_bytes(), set.ttl.to_be_bytes());
    [t0, t1, c0, c1, a, b, c, d]
}

/// Calls `put` with each record as it is stored: its length and its RDATA.
#[inline]
fn each_record(data: &Data<'_>, mut put: impl FnMut(&[u8]) -> Result<(), Full>) -> Result<(), Full> {
    let mut rest: &[u8] = match data {
        Data::Stored(stored) => stored,
        Data::Made(made) => made,
        Data::A(addresses) => {
            return addresses.iter().try_for_each(|address| {
                let [a, b, c, d] = address.octets();
                put(&[0, 4, a, b, c, d])
            });
        }
        Data::Aaaa(addresses) => {
            return addresses.iter().try_for_each(|address| {
                let mut record = [0; 2 + 16];
                record[1] = 16;
                record[2..].copy_from_slice(&address.octets());
                put(&record)
            });
        }
        Data::Target(name) => return put_lone_name(name, put),
    };
    while let Some(&[high, low]) = rest.first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes([high, low]));
        let (record, after) = rest.split_at((2 + length).min(rest.len()));
        put(record)?;
        rest = after;
    }
    Ok(())
}

/// Calls `put` with one record that is just a name.
fn put_lone_name(name: &[u8], mut put: impl FnMut(&[u8]) -> Result<(), Full>) -> Result<(), Full> {
    let mut record = [0; 2 + NAME_MAX];
    record[1] = name.len() as u8;
    record[2..2 + name.len()].copy_from_slice(name);
    put(&record[..2 + name.len()])
}

/// The length of the uncompressed name that `octets` starts with.
fn name_length(octets: &[u8]) -> usize {
    let mut at = 0;
    while let Some(&label) = octets.get(at) {
        at += 1 + usize::from(label);
        if label == 0 {
            break;
        }
    }
    at.min(octets.len())
}

/// What every client takes: a reply is never made for less room than this (RFC 1035 section 4.2.1), so
/// that the header, a question and an OPT record always fit.
pub const SMALLEST_LIMIT: usize = 512;
const NAME_MAX: usize = 255;
/// Type, class and TTL of a record.
const FIXED: usize = 8;
/// The two bits that make a pointer.
const POINTER: u16 = 0xC000;
/// A pointer to the question's name.
const QUESTION_POINTER: [u8; 2] = (POINTER | HEADER as u16).to_be_bytes();

#[cfg(test)]
mod tests {
    use hickory_proto::op::Message;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use smallvec::{SmallVec, smallvec};

    use super::*;
    use crate::answer::Ede;
    use crate::answer::Rcode;
    use crate::dns::tests::*;
    use crate::dns::wire::opt::NSID_MAX;
    use crate::dns::wire::parse::Subnet;
    use crate::dns::wire::parse::{Parsed, parse};

    fn empty<'s>() -> Answer<'s> {
        Answer {
            rcode: Rcode::NoError,
            authoritative: true,
            answer: smallvec![],
            authority: smallvec![],
            additional: smallvec![],
            scope: 0,
            ede: None,
        }
    }

    fn stored(records: &[&[u8]]) -> Vec<u8> {
        records.iter().flat_map(|rdata| [&(rdata.len() as u16).to_be_bytes(), *rdata].concat()).collect()
    }

    fn set<'s>(owner: Owner<'s>, rtype: u16, stored: &'s [u8]) -> RecordSet<'s> {
        RecordSet { owner, rtype, ttl: 300, data: Data::Stored(stored), signed: None }
    }

    fn compose(packet: &[u8], answer: &Answer<'_>, limit: usize) -> (Reply, Vec<u8>) {
        let Parsed::Query(request) = parse(packet, true) else { panic!("a query") };
        let edns = request.edns.is_some();
        let opt = Opt {
            payload: 1232,
            flags: 0,
            subnet: None,
            nsid: None,
            cookie: None,
            keepalive: None,
            padding: false,
            ede: None,
        };
        let mut out = vec![0; limit];
        let reply = super::answer(&request, answer, edns.then_some(&opt), &mut out);
        out.truncate(reply.length);
        (reply, out)
    }

    fn records_of(octets: &[u8]) -> [usize; 3] {
        [7, 9, 11].map(|at| usize::from(octets[at]))
    }

    #[test]
    fn a_referral_points_into_the_question() {
        let (cut, glue) = (name("sub.example.org"), name("ns1.sub.example.org"));
        let (ns, address) = (stored(&[&glue, &name("ns.example.net")]), stored(&[&[192, 0, 2, 53]]));
        let answer = Answer {
            authoritative: false,
            authority: smallvec![set(Owner::Name(&cut), rtype::NS, &ns)],
            additional: smallvec![set(Owner::Name(&glue), A, &address)],
            ..empty()
        };
        let (_, octets) = compose(&query("www.sub.example.org", A), &answer, 512);
        let mut expected = query("www.sub.example.org", A);
        (expected[2], expected[9], expected[11]) = (0x81, 2, 1);
        expected.extend(b"\xC0\x10\x00\x02\x00\x01\x00\x00\x01\x2C\x00\x06\x03ns1\xC0\x10");
        expected.extend(b"\xC0\x10\x00\x02\x00\x01\x00\x00\x01\x2C\x00\x10\x02ns\x07example\x03net\x00");
        expected.extend(b"\xC0\x31\x00\x01\x00\x01\x00\x00\x01\x2C\x00\x04\xC0\x00\x02\x35");
        assert_eq!(octets, expected);
    }

    #[test]
    fn names_in_newer_types_are_never_compressed() {
        let srv = stored(&[&[&[0, 1, 0, 1, 0, 80][..], &name("www.example.org")].concat()]);
        let answer = Answer { answer: smallvec![set(Owner::Question, 33, &srv)], ..empty() };
        let (_, octets) = compose(&query("www.example.org", 33), &answer, 512);
        assert!(octets.ends_with(&srv));
    }

    #[test]
    fn what_was_made_for_this_answer_is_written_as_what_is_stored() {
        let (target, text) = (stored(&[&name("b.example")]), stored(&[b"\x02hi\x05there"]));
        let written = |rtype, made: &[u8]| {
            let [made, stored] = [Data::Made(made.into()), Data::Stored(made)].map(|data| {
                let set = RecordSet { owner: Owner::Question, rtype, ttl: 0, data, signed: None };
                compose(&query("a.example", rtype), &Answer { answer: smallvec![set], ..empty() }, 512)
            });
            assert_eq!(made, stored);
            made.1
        };
        assert!(written(rtype::CNAME, &target).ends_with(b"\x00\x04\x01b\xC0\x0E"));
        assert!(written(TXT, &text).ends_with(b"\x00\x09\x02hi\x05there"));
    }

    #[test]
    fn a_set_goes_in_whole_or_not_at_all() {
        let text = stored(&[&[100; 101], &[100; 101], &[100; 101], &[100; 101], &[100; 101]]);
        let answer = Answer { answer: smallvec![set(Owner::Question, TXT, &text)], ..empty() };
        for (limit, count) in [(512, 0), (591, 0), (592, 5), (65535, 5)] {
            let (reply, octets) = compose(&query("a.example", TXT), &answer, limit);
            assert_eq!((records_of(&octets)[0], reply.truncated), (count, count == 0), "limit {limit}");
        }
    }

    #[test]
    fn what_is_merely_handy_is_left_out_without_ado() {
        let (mx, text) = (stored(&[&[&[0, 1][..], &name("mail.example")].concat()]), stored(&[&[100; 480]]));
        let (owner, address) = (name("mail.example"), stored(&[&[192, 0, 2, 1]]));
        let answer = Answer {
            answer: smallvec![set(Owner::Question, rtype::MX, &mx)],
            additional: smallvec![
                set(Owner::Name(&owner), TXT, &text),
                set(Owner::Name(&owner), A, &address)
            ],
            ..empty()
        };
        let (reply, octets) = compose(&query("example", rtype::MX), &answer, 512);
        assert_eq!((records_of(&octets), reply.truncated), ([1, 0, 1], false));
        let message = Message::from_vec(&octets).expect("a well-formed reply");
        assert_eq!(message.additionals[0].name.to_string(), "mail.example.");
    }

    #[test]
    fn a_referral_without_its_glue_is_truncated() {
        let (cut, text) = (name("sub.example"), stored(&[&[100; 480]]));
        let ns = stored(&[&name("ns.sub.example")]);
        let answer = Answer {
            authoritative: false,
            authority: smallvec![set(Owner::Name(&cut), rtype::NS, &ns)],
            additional: smallvec![set(Owner::Name(&cut), TXT, &text)],
            ..empty()
        };
        let (reply, octets) = compose(&query("www.sub.example", A), &answer, 512);
        assert_eq!((records_of(&octets), reply.truncated), ([0, 1, 0], true));
    }

    #[test]
    fn the_smallest_message_holds_the_longest_of_everything_but_records() {
        let label = "a".repeat(63);
        let packet = with_edns(query(&format!("{label}.{label}.{label}.{}", "a".repeat(61)), A), 512, &[]);
        let Parsed::Query(request) = parse(&packet, true) else { panic!("a query") };
        let subnet = Subnet { family: 2, source: 128, address: [1; 16] };
        let text: &'static str = "x".repeat(1000).leak();
        let opt = Opt {
            payload: 1232,
            flags: 0xC0,
            subnet: Some((subnet, 128)),
            nsid: Some(&[b'n'; NSID_MAX]),
            cookie: Some(&[b'c'; 24]),
            keepalive: None,
            padding: false,
            ede: Some(Ede { code: 1, text }),
        };
        let mut out = [0; SMALLEST_LIMIT];
        let reply = super::answer(&request, &empty(), Some(&opt), &mut out);
        assert!(Message::from_vec(&out[..reply.length]).is_ok());
    }

    /// Names that share ends with one another, so that there is something to compress.
    fn some_name() -> impl Strategy<Value = Vec<u8>> {
        vec(prop::sample::select(vec!["a", "B", "ns", "www", "example", "ORG", "a-much-longer-label"]), 0..6)
            .prop_map(|labels| name(&labels.join(".")))
    }

    /// An owner, if it is not the question, a type, and stored records.
    type SomeSet = (Option<Vec<u8>>, u16, Vec<u8>);

    fn some_set() -> impl Strategy<Value = SomeSet> {
        let types =
            prop::sample::select(vec![rtype::NS, rtype::CNAME, rtype::PTR, rtype::MX, rtype::SOA, 33, 39]);
        (prop::option::of(some_name()), types, vec((some_name(), some_name()), 1..4)).prop_map(
            |(owner, rtype, names)| {
                let rdata = |(one, other): &(Vec<u8>, Vec<u8>)| match rtype {
                    rtype::MX => [&[0, 10][..], one].concat(),
                    rtype::SOA => [&one[..], other, &[7; 20]].concat(),
                    33 => [&[0, 1, 0, 2, 0, 80][..], one].concat(),
                    _ => one.clone(),
                };
                let records: Vec<Vec<u8>> = names.iter().map(rdata).collect();
                (owner, rtype, stored(&records.iter().map(Vec::as_slice).collect::<Vec<_>>()))
            },
        )
    }

    /// The same message with every name in full: what compression must not change.
    fn written_in_full(packet: &[u8], sets: &[SomeSet]) -> Vec<u8> {
        let mut octets = packet.to_vec();
        (octets[2], octets[3]) = (0x85, 0);
        let mut count = 0u16;
        for (owner, rtype, stored) in sets {
            let mut rest = &stored[..];
            while let Some((length, _)) = rest.split_first_chunk::<2>() {
                let (record, after) = rest.split_at(2 + usize::from(u16::from_be_bytes(*length)));
                octets.extend(owner.as_deref().unwrap_or(&packet[12..packet.len() - 4]));
                octets.extend([&rtype.to_be_bytes(), &[0, 1, 0, 0, 1, 0x2C][..], record].concat());
                rest = after;
                count += 1;
            }
        }
        octets[6..8].copy_from_slice(&count.to_be_bytes());
        octets
    }

    proptest! {
        #[test]
        fn compression_changes_no_meaning(asked in some_name(), sets in vec(some_set(), 0..12)) {
            let packet = [&query("", A)[..12], &asked, &[0, 1, 0, 1]].concat();
            let owner = |owner: &'_ Option<Vec<u8>>| match owner {
                Some(name) => Owner::Made(name.as_slice().into()),
                None => Owner::Question,
            };
            let answer: SmallVec<_> =
                sets.iter().map(|(name, rtype, stored)| set(owner(name), *rtype, stored)).collect();
            let (reply, octets) = compose(&packet, &Answer { answer, ..empty() }, 65535);
            let in_full = written_in_full(&packet, &sets);
            prop_assert!(!reply.truncated);
            let (read, expected) = (Message::from_vec(&octets), Message::from_vec(&in_full));
            prop_assert_eq!(read.expect("a well-formed reply"), expected.expect("a well-formed message"));
        }

        #[test]
        fn a_reply_never_outgrows_its_limit(sets in vec(some_set(), 0..40), limit in 512..1500usize) {
            let sets: SmallVec<_> =
                sets.iter().map(|(_, rtype, stored)| set(Owner::Question, *rtype, stored)).collect();
            let packet = with_edns(query("www.example.org", A), 1232, &[]);
            for answer in [Answer { answer: sets.clone(), ..empty() }, Answer { additional: sets.into_iter().collect(), ..empty() }] {
                let (reply, octets) = compose(&packet, &answer, limit);
                prop_assert!(octets.len() <= limit);
                let message = Message::from_vec(&octets).expect("a well-formed reply");
                prop_assert!(message.edns.is_some());
                prop_assert_eq!(message.metadata.truncation, reply.truncated);
            }
        }
    }
}
