//! Messages on the wire (RFC 1035, RFC 6891): what is asked is read from a packet where it lies, and the
//! reply is written straight into the packet that leaves. Neither allocates.
//!
//! ```text
//!     0      2      4      6      8     10     12
//!     +------+------+------+------+------+------+---------------+---------+-----+
//!     |  ID  |flags | QD   | AN   | NS   | AR   | name type class | records | OPT |
//!     +------+------+------+------+------+------+---------------+---------+-----+
//!                                               ^ 0xC00C points here
//! ```

pub mod compose;
pub mod lifetime;
mod names;
pub mod opt;
pub mod padding;
pub mod parse;

/// Octets before the question.
pub const HEADER: usize = 12;

/// Bits of the header's second word.
pub mod flag {
    /// The message is a response.
    pub const QR: u16 = 0x8000;
    /// What kind of query it is; 0: a plain one.
    pub const OPCODE: u16 = 0x7800;
    /// The opcode of an UPDATE (RFC 2136), in its place.
    pub const UPDATE: u16 = 5 << 11;
    /// The opcode of a NOTIFY (RFC 1996), in its place.
    pub const NOTIFY: u16 = 4 << 11;
    /// The answer is authoritative.
    pub const AA: u16 = 0x0400;
    /// Something that had to be in the message did not fit.
    pub const TC: u16 = 0x0200;
    /// Recursion desired: copied, never done.
    pub const RD: u16 = 0x0100;
    /// Checking disabled: copied.
    pub const CD: u16 = 0x0010;
    /// The response code.
    pub const RCODE: u16 = 0x000F;
}

/// Response codes that the edge itself gives; [`crate::answer::Rcode`] has those of a lookup.
pub mod rcode {
    /// All is well.
    pub const NOERROR: u16 = 0;
    /// The query is malformed.
    pub const FORMERR: u16 = 1;
    /// It cannot be answered as it must be.
    pub const SERVFAIL: u16 = 2;
    /// A kind of query that is not served here.
    pub const NOTIMP: u16 = 4;
    /// Not for us to answer.
    pub const REFUSED: u16 = 5;
    /// An EDNS version that is not spoken here (RFC 6891).
    pub const BADVERS: u16 = 16;
    /// A cookie that does not hold (RFC 7873).
    pub const BADCOOKIE: u16 = 23;
}

/// Record types that a message cannot be read or written without knowing.
pub mod rtype {
    /// A name server.
    pub const NS: u16 = 2;
    /// Another name for the owner.
    pub const CNAME: u16 = 5;
    /// The start of a zone.
    pub const SOA: u16 = 6;
    /// A pointer to another name.
    pub const PTR: u16 = 12;
    /// Text.
    pub const TXT: u16 = 16;
    /// A mail exchange.
    pub const MX: u16 = 15;
    /// EDNS (RFC 6891).
    pub const OPT: u16 = 41;
    /// A signature (RFC 4034).
    pub const RRSIG: u16 = 46;
    /// What a name has, and which is the next one (RFC 4034).
    pub const NSEC: u16 = 47;
    /// "This name does not exist", in proofs only (RFC 9824).
    pub const NXNAME: u16 = 128;
    /// A key exchange (RFC 2930).
    pub const TKEY: u16 = 249;
    /// A signature of the transaction (RFC 8945).
    pub const TSIG: u16 = 250;
    /// An incremental zone transfer (RFC 1995).
    pub const IXFR: u16 = 251;
    /// A zone transfer (RFC 5936).
    pub const AXFR: u16 = 252;
    /// Mail boxes, obsolete.
    pub const MAILB: u16 = 253;
    /// Mail agents, obsolete.
    pub const MAILA: u16 = 254;
    /// Whatever there is (RFC 8482).
    pub const ANY: u16 = 255;
}

/// Bits of the third octet of an OPT record's TTL.
pub mod edns_flag {
    /// DNSSEC OK (RFC 3225).
    pub const DNSSEC_OK: u8 = 0x80;
    /// Compact Answers OK (RFC 9824).
    pub const COMPACT_OK: u8 = 0x40;
}

/// The Internet: the only class that is served.
pub const CLASS_IN: u16 = 1;

/// CHAOS: what is asked about the server itself.
pub const CLASS_CH: u16 = 3;

/// EDNS option codes.
pub mod option {
    /// Which server answered (RFC 5001).
    pub const NSID: u16 = 3;
    /// The client subnet (RFC 7871).
    pub const CLIENT_SUBNET: u16 = 8;
    /// A cookie (RFC 7873).
    pub const COOKIE: u16 = 10;
    /// How long a connection is kept (RFC 7828).
    pub const TCP_KEEPALIVE: u16 = 11;
    /// The client takes padding (RFC 7830).
    pub const PADDING: u16 = 12;
    /// An extended DNS error (RFC 8914).
    pub const EXTENDED_ERROR: u16 = 15;
}
