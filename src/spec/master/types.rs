//! The record types that can be written by name, each as a row of fields.
//!
//! One table serves three readers: [`rdata`](super::rdata) reads the fields from words,
//! [`wire`](super::wire) checks them in octets (RFC 3597), and a message shows how a type is written.

use std::str::FromStr;

use domain::base::iana::Rtype;

/// How the RDATA of a type is made.
#[derive(Clone, Debug)]
pub struct Shape {
    /// Its number.
    pub rtype: u16,
    /// Its mnemonic.
    pub mnemonic: &'static str,
    /// What it is made of, in order, each with its name.
    pub fields: &'static [(&'static str, Field)],
}

/// A kind of field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// A number of one octet.
    U8,
    /// A number of two octets.
    U16,
    /// A number of four octets.
    U32,
    /// A time in seconds, or with units as `1h30m`; four octets.
    Seconds,
    /// A moment as `YYYYMMDDHHmmSS` or in seconds; four octets (RFC 4034 section 3.2).
    Moment,
    /// An IPv4 address.
    Ipv4,
    /// An IPv6 address.
    Ipv6,
    /// A domain name.
    Name,
    /// A character string: a length and at most 255 octets.
    Text,
    /// One or more character strings, to the end.
    Texts,
    /// Octets to the end, written as one word.
    Octets,
    /// As `Octets`, but at least one.
    SomeOctets,
    /// A character string of letters and digits (RFC 8659 section 4.1).
    Tag,
    /// A type, by mnemonic or as `TYPE123`.
    Type,
    /// A set of types, to the end (RFC 4034 section 4.1.2).
    TypeSet,
    /// A DNSSEC algorithm, by number or mnemonic.
    Algorithm,
    /// A kind of certificate, by number or mnemonic (RFC 4398 section 2.1).
    CertificateKind,
    /// Octets to the end, in hexadecimal; blanks are allowed.
    Hex,
    /// Octets to the end, in Base64; blanks are allowed.
    Base64,
    /// As `Base64`, but there may be none.
    MaybeBase64,
    /// A length and octets in hexadecimal, `-` for none (RFC 5155 section 3.3).
    Salt,
    /// A length and octets in Base32 (RFC 5155 section 3.3).
    Hash,
    /// So many octets in hexadecimal with dashes between them (RFC 7043).
    Eui(usize),
    /// Eight octets as four groups of hexadecimal digits (RFC 6742).
    Locator,
    /// Nothing, an address or a name, as the octet before the last says (RFC 4025).
    Gateway,
    /// A place on the globe (RFC 1876).
    Location,
    /// The parameters of a service (RFC 9460).
    Parameters,
}

impl Shape {
    /// By number.
    pub fn of(rtype: u16) -> Option<&'static Shape> {
        TYPES.iter().find(|shape| shape.rtype == rtype)
    }

    /// How it is written: the mnemonic and the names of the fields.
    pub fn usage(&self) -> String {
        let fields = self.fields.iter().map(|(name, _)| format!(" {name}")).collect::<String>();
        format!("{} is written as `{}{fields}`", self.mnemonic, self.mnemonic)
    }
}

/// The number of a type: by mnemonic, in any case, or as `TYPE123`.
pub fn number(word: &str) -> Option<u16> {
    let shape = TYPES.iter().find(|shape| shape.mnemonic.eq_ignore_ascii_case(word));
    shape.map(|shape| shape.rtype).or_else(|| Rtype::from_str(word).ok().map(Rtype::to_int))
}

/// The name of a type, for people.
pub fn name(rtype: u16) -> String {
    Rtype::from_int(rtype).to_string()
}

/// All of them.
pub fn shapes() -> &'static [Shape] {
    TYPES
}

/// Types that are part of messages and questions, never of zones (RFC 6895 section 3.1).
pub fn is_meta(rtype: u16) -> bool {
    const NULL: u16 = 10;
    const OPT: u16 = 41;
    matches!(rtype, 0 | NULL | OPT | 128..=255 | u16::MAX)
}

/// SOA, whose last field is the TTL of records that have none.
pub const SOA: u16 = 6;

const fn shape(rtype: u16, mnemonic: &'static str, fields: &'static [(&'static str, Field)]) -> Shape {
    Shape { rtype, mnemonic, fields }
}

const DELEGATION_SIGNER: &[(&str, Field)] = &[
    ("key-tag", Field::U16),
    ("algorithm", Field::Algorithm),
    ("digest-type", Field::U8),
    ("digest", Field::Hex),
];
const KEY: &[(&str, Field)] = &[
    ("flags", Field::U16),
    ("protocol", Field::U8),
    ("algorithm", Field::Algorithm),
    ("key", Field::Base64),
];
const CERTIFICATE_ASSOCIATION: &[(&str, Field)] =
    &[("usage", Field::U8), ("selector", Field::U8), ("matching-type", Field::U8), ("data", Field::Hex)];
const SERVICE_BINDING: &[(&str, Field)] =
    &[("priority", Field::U16), ("target", Field::Name), ("key=value...", Field::Parameters)];
const STRINGS: &[(&str, Field)] = &[("text...", Field::Texts)];

/// Common ones first: a mnemonic is looked for from the top.
#[rustfmt::skip]
const TYPES: &[Shape] = &[
    shape(1, "A", &[("address", Field::Ipv4)]),
    shape(28, "AAAA", &[("address", Field::Ipv6)]),
    shape(5, "CNAME", &[("target", Field::Name)]),
    shape(2, "NS", &[("server", Field::Name)]),
    shape(15, "MX", &[("preference", Field::U16), ("exchange", Field::Name)]),
    shape(16, "TXT", STRINGS),
    shape(12, "PTR", &[("name", Field::Name)]),
    shape(33, "SRV", &[("priority", Field::U16), ("weight", Field::U16), ("port", Field::U16), ("target", Field::Name)]),
    shape(SOA, "SOA", &[
        ("server", Field::Name), ("mailbox", Field::Name), ("serial", Field::U32), ("refresh", Field::Seconds),
        ("retry", Field::Seconds), ("expire", Field::Seconds), ("minimum", Field::Seconds),
    ]),
    shape(46, "RRSIG", &[
        ("type", Field::Type), ("algorithm", Field::Algorithm), ("labels", Field::U8), ("ttl", Field::Seconds),
        ("expiration", Field::Moment), ("inception", Field::Moment), ("key-tag", Field::U16),
        ("signer", Field::Name), ("signature", Field::Base64),
    ]),
    shape(47, "NSEC", &[("next", Field::Name), ("types...", Field::TypeSet)]),
    shape(50, "NSEC3", &[
        ("algorithm", Field::U8), ("flags", Field::U8), ("iterations", Field::U16), ("salt", Field::Salt),
        ("next", Field::Hash), ("types...", Field::TypeSet),
    ]),
    shape(51, "NSEC3PARAM", &[
        ("algorithm", Field::U8), ("flags", Field::U8), ("iterations", Field::U16), ("salt", Field::Salt),
    ]),
    shape(43, "DS", DELEGATION_SIGNER),
    shape(59, "CDS", DELEGATION_SIGNER),
    shape(32769, "DLV", DELEGATION_SIGNER),
    shape(48, "DNSKEY", KEY),
    shape(60, "CDNSKEY", KEY),
    shape(257, "CAA", &[("flags", Field::U8), ("tag", Field::Tag), ("value", Field::Octets)]),
    shape(65, "HTTPS", SERVICE_BINDING),
    shape(64, "SVCB", SERVICE_BINDING),
    shape(52, "TLSA", CERTIFICATE_ASSOCIATION),
    shape(53, "SMIMEA", CERTIFICATE_ASSOCIATION),
    shape(44, "SSHFP", &[("algorithm", Field::U8), ("type", Field::U8), ("fingerprint", Field::Hex)]),
    shape(39, "DNAME", &[("target", Field::Name)]),
    shape(35, "NAPTR", &[
        ("order", Field::U16), ("preference", Field::U16), ("flags", Field::Text), ("services", Field::Text),
        ("regexp", Field::Text), ("replacement", Field::Name),
    ]),
    shape(256, "URI", &[("priority", Field::U16), ("weight", Field::U16), ("target", Field::SomeOctets)]),
    shape(29, "LOC", &[("latitude longitude altitude [size [horizontal [vertical]]]", Field::Location)]),
    shape(13, "HINFO", &[("cpu", Field::Text), ("os", Field::Text)]),
    shape(17, "RP", &[("mailbox", Field::Name), ("text-name", Field::Name)]),
    shape(18, "AFSDB", &[("subtype", Field::U16), ("host", Field::Name)]),
    shape(36, "KX", &[("preference", Field::U16), ("exchanger", Field::Name)]),
    shape(37, "CERT", &[
        ("type", Field::CertificateKind), ("key-tag", Field::U16), ("algorithm", Field::Algorithm),
        ("certificate", Field::Base64),
    ]),
    shape(45, "IPSECKEY", &[
        ("precedence", Field::U8), ("gateway-type", Field::U8), ("algorithm", Field::U8),
        ("gateway", Field::Gateway), ("key", Field::MaybeBase64),
    ]),
    shape(49, "DHCID", &[("digest", Field::Base64)]),
    shape(61, "OPENPGPKEY", &[("key", Field::Base64)]),
    shape(62, "CSYNC", &[("serial", Field::U32), ("flags", Field::U16), ("types...", Field::TypeSet)]),
    shape(63, "ZONEMD", &[("serial", Field::U32), ("scheme", Field::U8), ("algorithm", Field::U8), ("digest", Field::Hex)]),
    shape(66, "DSYNC", &[("type", Field::Type), ("scheme", Field::U8), ("port", Field::U16), ("target", Field::Name)]),
    shape(99, "SPF", STRINGS),
    shape(104, "NID", &[("preference", Field::U16), ("node-id", Field::Locator)]),
    shape(105, "L32", &[("preference", Field::U16), ("locator", Field::Ipv4)]),
    shape(106, "L64", &[("preference", Field::U16), ("locator", Field::Locator)]),
    shape(107, "LP", &[("preference", Field::U16), ("name", Field::Name)]),
    shape(108, "EUI48", &[("address", Field::Eui(6))]),
    shape(109, "EUI64", &[("address", Field::Eui(8))]),
    shape(258, "AVC", STRINGS),
    shape(261, "RESINFO", STRINGS),
    shape(262, "WALLET", STRINGS),
    shape(56, "NINFO", STRINGS),
    shape(3, "MD", &[("server", Field::Name)]),
    shape(4, "MF", &[("server", Field::Name)]),
    shape(7, "MB", &[("host", Field::Name)]),
    shape(8, "MG", &[("mailbox", Field::Name)]),
    shape(9, "MR", &[("mailbox", Field::Name)]),
    shape(14, "MINFO", &[("responsible", Field::Name), ("errors", Field::Name)]),
    shape(19, "X25", &[("address", Field::Text)]),
    shape(20, "ISDN", STRINGS),
    shape(21, "RT", &[("preference", Field::U16), ("host", Field::Name)]),
    shape(26, "PX", &[("preference", Field::U16), ("map822", Field::Name), ("mapx400", Field::Name)]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_one_row_and_the_name_that_the_library_knows() {
        for shape in TYPES {
            assert_eq!(name(shape.rtype), shape.mnemonic);
            assert_eq!(TYPES.iter().filter(|other| other.rtype == shape.rtype).count(), 1);
            assert!(!is_meta(shape.rtype));
        }
    }

    #[test]
    fn types_are_known_in_any_case_and_by_number() {
        assert_eq!(number("https"), Some(65));
        assert_eq!(number("type65280"), Some(65280));
        assert_eq!(number("HIP"), Some(55));
        assert_eq!(number("TYPE65536"), None);
        assert_eq!(number("AAAAA"), None);
    }

    #[test]
    fn usage_shows_the_fields() {
        let mx = Shape::of(15).expect("MX is known");
        assert_eq!(mx.usage(), "MX is written as `MX preference exchange`");
    }
}
