//! A question and its answer, as parts that borrow from the snapshot.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use smallvec::SmallVec;

use crate::dnssec::{Seconds, SignedId};

/// One question, as far as its answer goes. Class IN, opcode QUERY: the edge has seen to the rest.
#[derive(Clone, Copy, Debug)]
pub struct Query<'q> {
    /// The question's name, uncompressed wire form, as it was asked (any case), checked by the edge:
    /// labels of at most 63 octets, at most 255 in all, ending in the root.
    pub name: &'q [u8],
    /// The question's type.
    pub qtype: u16,
    /// Who asks.
    pub client: Client,
    /// The random number of this query.
    pub draw: u64,
    /// What is to be proven.
    pub proof: Proof,
}

/// What a client wants to be proven by DNSSEC, and when.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Proof {
    /// DNSSEC OK (RFC 3225): it wants proofs.
    pub wanted: bool,
    /// Compact Answers OK (RFC 9824 section 5.1): it also wants to be told NXDOMAIN.
    pub compact_ok: bool,
    /// What time it is: keys come and go.
    pub now: Seconds,
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    /// Who sent the query: mostly a resolver.
    pub source: IpAddr,
    /// The client subnet, when one was sent and is believed; bits beyond its length are 0.
    pub subnet: Option<IpNet>,
}

impl Client {
    /// Somebody who asks without a resolver, or through one that tells no subnet.
    pub fn at(source: IpAddr) -> Self {
        Self { source, subnet: None }
    }

    /// Somebody of whom a resolver told this much; the resolver is in that subnet too.
    pub fn within(subnet: IpNet) -> Self {
        Self { source: subnet.addr(), subnet: Some(subnet) }
    }

    /// An address of whom the answer is for.
    #[inline]
    pub fn address(&self) -> IpAddr {
        self.subnet.map_or(self.source, |subnet| subnet.addr())
    }

    /// Whom the answer is for, as far as it is known: the client subnet, else the source.
    pub fn told(&self) -> IpNet {
        self.subnet.unwrap_or(IpNet::from(self.source))
    }
}

/// Response codes that a lookup can give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rcode {
    /// The name exists (perhaps without data of this type).
    NoError = 0,
    /// On demand of the operator only (`on_down = "servfail"`).
    ServFail = 2,
    /// The name does not exist.
    NxDomain = 3,
    /// In no zone of ours.
    Refused = 5,
    /// A DNAME made a name that is too long (RFC 6672).
    YxDomain = 6,
}

/// An extended DNS error (RFC 8914).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ede {
    /// INFO-CODE.
    pub code: u16,
    /// EXTRA-TEXT.
    pub text: &'static str,
}

/// What to say, in parts that borrow from the snapshot. An edge writes it as a message.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer<'s> {
    /// The response code.
    pub rcode: Rcode,
    /// AA: not set on referrals and refusals.
    pub authoritative: bool,
    /// The answer section.
    pub answer: SmallVec<[RecordSet<'s>; 2]>,
    /// The authority section.
    pub authority: SmallVec<[RecordSet<'s>; 1]>,
    /// The additional section, without OPT. For a referral: glue, which must be there (RFC 9471); for
    /// anything else it may be left out to make room.
    pub additional: SmallVec<[RecordSet<'s>; 1]>,
    /// The scope prefix for the client subnet option, of the family of `Query::client`.
    pub scope: u8,
    /// What is unusual about it.
    pub ede: Option<Ede>,
}

/// The section a record set goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// What was asked for.
    Answer,
    /// Who knows, or the SOA of a negative answer.
    Authority,
    /// What comes in handy.
    Additional,
}

/// Records of one owner and type.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordSet<'s> {
    /// Whose records.
    pub owner: Owner<'s>,
    /// Their type.
    pub rtype: u16,
    /// Their TTL in seconds.
    pub ttl: u32,
    /// Their RDATA.
    pub data: Data<'s>,
    /// Whose keys sign them. `None`: nobody's. Their zone is not signed, or they are not for it to vouch for: glue,
    /// the servers of a zone that is cut off, a CNAME that was made from a DNAME.
    pub signed: Option<SignedId>,
}

/// The owner of a record set, in uncompressed wire form.
#[derive(Clone, Debug, PartialEq)]
pub enum Owner<'s> {
    /// The question's name: a pointer to offset 12, so that its case is kept.
    Question,
    /// A name of a zone.
    Name(&'s [u8]),
    /// A name that was made for this answer (by a DNAME).
    Made(Box<[u8]>),
}

/// The RDATA of a record set.
#[derive(Clone, Debug, PartialEq)]
pub enum Data<'s> {
    /// One or more times: length (two octets, big-endian) and RDATA with uncompressed names.
    Stored(&'s [u8]),
    /// Addresses that were chosen.
    A(SmallVec<[Ipv4Addr; 8]>),
    /// Addresses that were chosen.
    Aaaa(SmallVec<[Ipv6Addr; 8]>),
    /// One CNAME, of a name in the snapshot.
    Target(&'s [u8]),
    /// As `Stored`, but made for this answer: by a DNAME, or by a debug name.
    Made(Box<[u8]>),
}

impl Answer<'_> {
    /// An authoritative answer without records.
    #[inline]
    pub(super) fn empty() -> Self {
        Self {
            rcode: Rcode::NoError,
            authoritative: true,
            answer: SmallVec::new(),
            authority: SmallVec::new(),
            additional: SmallVec::new(),
            scope: 0,
            ede: None,
        }
    }
}

impl Owner<'_> {
    /// The name itself, given the question's.
    #[inline]
    pub fn wire<'o>(&'o self, question: &'o [u8]) -> &'o [u8] {
        match self {
            Owner::Question => question,
            Owner::Name(name) => name,
            Owner::Made(name) => name,
        }
    }
}
