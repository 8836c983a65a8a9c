//! RDATA as it is written, to wire form: the fields of its type one after the other, or the form that
//! fits any type (RFC 3597): `\# 4 C0000201`.
//!
//! Octets go straight to the end of the arena: a record costs no allocation, whatever its type.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;
use std::str::FromStr;

use domain::base::Rtype;
use domain::base::iana::SecurityAlgorithm;
use domain::rdata::dnssec::{RtypeBitmapBuilder, Timestamp};
use domain::utils::{base32, base64};

use crate::spec::master::token::{Fault, Token, Tokens};
use crate::spec::master::types::{self, Field, Shape};
use crate::spec::master::{location, name, parameters, seconds, wire};

/// Appends the RDATA that the rest of the entry says.
///
/// On a fault what was appended so far is left for the caller to cut off.
pub fn read(rtype: u16, tokens: &mut Tokens<'_>, origin: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
    let shape = Shape::of(rtype);
    let usage = |fault: Fault| match shape {
        Some(shape) => fault.or_hint(|| shape.usage()),
        None => fault.or_hint(|| generic_usage(rtype)),
    };
    let start = out.len();
    let first = tokens.expect("data of the record").map_err(usage)?;
    if !first.quoted && first.raw == GENERIC {
        generic(shape, &first, tokens, out)?;
    } else if let Some(shape) = shape {
        tokens.unread(first);
        Reader { tokens, origin, out, start }.fields(shape).map_err(usage)?;
    } else {
        let what = format!("is data of {}, a type that is not known here", types::name(rtype));
        return Err(first.fault("type", &what).hint(generic_usage(rtype)));
    }
    if out.len() - start > RDATA_MAX {
        return Err(first.fault("rdata", &format!("starts data of more than {RDATA_MAX} octets")));
    }
    Ok(())
}

/// Reads `LENGTH HEX...`, and checks it if the type is known.
fn generic(
    shape: Option<&Shape>,
    marker: &Token<'_>,
    tokens: &mut Tokens<'_>,
    out: &mut Vec<u8>,
) -> Result<(), Fault> {
    let start = out.len();
    let length = tokens.expect("number of octets")?;
    let octets = number(&length, 0..=RDATA_MAX as u64)?;
    hex_to_end(tokens, out)?;
    let found = out.len() - start;
    if found as u64 != octets {
        return Err(length.fault("rdata", &format!("octets were announced, and there are {found}")));
    }
    let Some(shape) = shape else { return Ok(()) };
    wire::check(shape.fields, &out[start..]).map_err(|why| {
        marker.fault("rdata", &format!("is no data of {}: {why}", shape.mnemonic)).hint(shape.usage())
    })
}

fn generic_usage(rtype: u16) -> String {
    format!("data of any type can be written in hexadecimal: `TYPE{rtype} \\# 4 C0000201` (RFC 3597)")
}

/// Reads the fields of one record.
struct Reader<'r, 't> {
    tokens: &'r mut Tokens<'t>,
    /// What names are relative to.
    origin: &'r [u8],
    out: &'r mut Vec<u8>,
    /// Where in `out` the RDATA starts.
    start: usize,
}

impl<'t> Reader<'_, 't> {
    fn fields(&mut self, shape: &Shape) -> Result<(), Fault> {
        for &(what, field) in shape.fields {
            self.field(what, field)?;
        }
        self.tokens.end()
    }

    fn field(&mut self, what: &str, field: Field) -> Result<(), Fault> {
        match field {
            Field::U8 => {
                let value = number(&self.word(what)?, 0..=0xff)?;
                self.out.push(value as u8);
            }
            Field::U16 => {
                let value = number(&self.word(what)?, 0..=0xffff)?;
                self.put_u16(value as u16);
            }
            Field::U32 => {
                let value = number(&self.word(what)?, 0..=0xffff_ffff)?;
                self.put_u32(value as u32);
            }
            Field::Seconds => {
                let value = seconds::ttl(&self.word(what)?)?;
                self.put_u32(value);
            }
            Field::Moment => {
                let value = moment(&self.word(what)?)?;
                self.put_u32(value);
            }
            Field::Type => {
                let value = covered_type(&self.word(what)?)?;
                self.put_u16(value);
            }
            Field::CertificateKind => {
                let value = certificate_kind(&self.word(what)?)?;
                self.put_u16(value);
            }
            Field::Algorithm => {
                let value = algorithm(&self.word(what)?)?;
                self.out.push(value);
            }
            Field::Ipv4 => {
                let value = ipv4(&self.word(what)?)?;
                self.out.extend_from_slice(&value.octets());
            }
            Field::Ipv6 => {
                let value = ipv6(&self.word(what)?)?;
                self.out.extend_from_slice(&value.octets());
            }
            Field::Name => name::write(&self.word(what)?, self.origin, self.out)?,
            Field::Text => text(&self.word(what)?, self.out)?,
            Field::Texts => self.texts(what)?,
            Field::Octets => self.word(what)?.unescape(self.out)?,
            Field::SomeOctets => self.some_octets(what)?,
            Field::Tag => tag(&self.word(what)?, self.out)?,
            Field::TypeSet => self.type_set()?,
            Field::Hex => self.some(what).and_then(|()| hex_to_end(self.tokens, self.out))?,
            Field::Base64 => self.some(what).and_then(|()| self.base64())?,
            Field::MaybeBase64 => self.base64()?,
            Field::Salt => salt(&self.word(what)?, self.out)?,
            Field::Hash => hash(&self.word(what)?, self.out)?,
            Field::Eui(octets) => eui(&self.word(what)?, octets, self.out)?,
            Field::Locator => locator(&self.word(what)?, self.out)?,
            Field::Gateway => self.gateway(what)?,
            Field::Location => location::read(self.tokens, self.out)?,
            Field::Parameters => parameters::read(self.tokens, self.out)?,
        }
        Ok(())
    }

    fn word(&mut self, what: &str) -> Result<Token<'t>, Fault> {
        self.tokens.expect(what)
    }

    /// Makes sure that there is another word, and more than quotes in it, and leaves it there.
    fn some(&mut self, what: &str) -> Result<(), Fault> {
        let token = self.word(what)?;
        if token.raw.is_empty() {
            return Err(token.fault("rdata", "is empty"));
        }
        self.tokens.unread(token);
        Ok(())
    }

    fn put_u16(&mut self, value: u16) {
        self.out.extend_from_slice(&value.to_be_bytes());
    }

    fn put_u32(&mut self, value: u32) {
        self.out.extend_from_slice(&value.to_be_bytes());
    }

    fn texts(&mut self, what: &str) -> Result<(), Fault> {
        text(&self.word(what)?, self.out)?;
        while let Some(token) = self.tokens.next()? {
            text(&token, self.out)?;
        }
        Ok(())
    }

    fn some_octets(&mut self, what: &str) -> Result<(), Fault> {
        let token = self.word(what)?;
        if token.raw.is_empty() {
            return Err(token.fault("rdata", "is empty"));
        }
        token.unescape(self.out)
    }

    fn base64(&mut self) -> Result<(), Fault> {
        let mut decoder = base64::Decoder::<Vec<u8>>::new();
        let mut last = None;
        while let Some(token) = self.tokens.next()? {
            for character in token.raw.chars() {
                decoder.push(character).map_err(|_| token.fault("base64", "is not Base64"))?;
            }
            last = Some(token);
        }
        let Some(last) = last else { return Ok(()) };
        let octets = decoder.finalize().map_err(|_| last.fault("base64", "ends in the middle of Base64"))?;
        self.out.extend_from_slice(&octets);
        Ok(())
    }

    fn type_set(&mut self) -> Result<(), Fault> {
        let mut set = RtypeBitmapBuilder::new_vec();
        while let Some(token) = self.tokens.next()? {
            let Ok(()) = set.add(Rtype::from_int(covered_type(&token)?));
        }
        self.out.extend_from_slice(set.finalize().as_slice());
        Ok(())
    }

    fn gateway(&mut self, what: &str) -> Result<(), Fault> {
        let token = self.word(what)?;
        match self.out[self.start + GATEWAY_TYPE] {
            0 if token.raw == "." => {}
            0 => {
                return Err(token
                    .fault("rdata", "is a gateway, but gateway type 0 has none")
                    .hint("write `.`"));
            }
            1 => self.out.extend_from_slice(&ipv4(&token)?.octets()),
            2 => self.out.extend_from_slice(&ipv6(&token)?.octets()),
            3 => name::write(&token, self.origin, self.out)?,
            _ => return Err(token.fault("rdata", "is a gateway of a type that is not known")),
        }
        Ok(())
    }
}

/// A decimal number within a range.
pub fn number(token: &Token<'_>, range: RangeInclusive<u64>) -> Result<u64, Fault> {
    let digits = token.raw.bytes().all(|byte| byte.is_ascii_digit());
    token.raw.parse().ok().filter(|value| digits && range.contains(value)).ok_or_else(|| {
        token.fault("number", &format!("is not a number from {} to {}", range.start(), range.end()))
    })
}

/// An IPv4 address.
pub fn ipv4(token: &Token<'_>) -> Result<Ipv4Addr, Fault> {
    token.raw.parse().map_err(|_| {
        let fault = token.fault("address", "is not an IPv4 address");
        if token.raw.parse::<Ipv6Addr>().is_ok() {
            fault.hint("an IPv6 address has type AAAA")
        } else {
            fault
        }
    })
}

/// An IPv6 address.
pub fn ipv6(token: &Token<'_>) -> Result<Ipv6Addr, Fault> {
    token.raw.parse().map_err(|_| {
        let fault = token.fault("address", "is not an IPv6 address");
        if token.raw.parse::<Ipv4Addr>().is_ok() { fault.hint("an IPv4 address has type A") } else { fault }
    })
}

/// A length and so many octets.
fn text(token: &Token<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let start = out.len();
    out.push(0);
    token.unescape(out)?;
    let length = out.len() - start - 1;
    out[start] = u8::try_from(length).map_err(|_| {
        Fault::new("text", token.span(), format!("a string of {length} octets is longer than 255"))
            .hint("split it into several strings, each in quotes: readers put them together again")
    })?;
    Ok(())
}

fn tag(token: &Token<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    if token.raw.is_empty() || !token.raw.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(token.fault("rdata", "is no tag of letters and digits"));
    }
    text(token, out)
}

fn moment(token: &Token<'_>) -> Result<u32, Fault> {
    let moment = Timestamp::from_str(token.raw);
    moment.map(Timestamp::into_int).map_err(|_| token.fault("time", "is no time of the form YYYYMMDDHHmmSS"))
}

fn covered_type(token: &Token<'_>) -> Result<u16, Fault> {
    types::number(token.raw).ok_or_else(|| token.fault("type", "is not a record type"))
}

fn algorithm(token: &Token<'_>) -> Result<u8, Fault> {
    let mnemonic = SecurityAlgorithm::from_mnemonic(token.raw.as_bytes()).map(SecurityAlgorithm::to_int);
    mnemonic.or_else(|| number(token, 0..=0xff).ok().map(|value| value as u8)).ok_or_else(|| {
        token.fault("number", "is no DNSSEC algorithm").hint("write its number from 0 to 255, as 13")
    })
}

fn certificate_kind(token: &Token<'_>) -> Result<u16, Fault> {
    const KINDS: [(&str, u16); 10] = [
        ("PKIX", 1),
        ("SPKI", 2),
        ("PGP", 3),
        ("IPKIX", 4),
        ("ISPKI", 5),
        ("IPGP", 6),
        ("ACPKIX", 7),
        ("IACPKIX", 8),
        ("URI", 253),
        ("OID", 254),
    ];
    match KINDS.iter().find(|(mnemonic, _)| token.is(mnemonic)) {
        Some(&(_, kind)) => Ok(kind),
        None => number(token, 0..=0xffff).map(|kind| kind as u16),
    }
}

/// Octets in hexadecimal to the end of the entry; a blank may stand anywhere.
fn hex_to_end(tokens: &mut Tokens<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let mut half: Option<(u8, Token<'_>)> = None;
    while let Some(token) = tokens.next()? {
        for character in token.raw.chars() {
            let digit = character.to_digit(16).ok_or_else(|| token.fault("hex", "is not hexadecimal"))? as u8;
            match half.take() {
                None => half = Some((digit, token)),
                Some((high, _)) => out.push(high << 4 | digit),
            }
        }
    }
    match half {
        None => Ok(()),
        Some((_, token)) => Err(token.fault("hex", "ends in half an octet")),
    }
}

fn hex(token: &Token<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let digits = token.raw.as_bytes();
    let fault = || token.fault("hex", "is not hexadecimal of whole octets");
    if !digits.len().is_multiple_of(2) {
        return Err(fault());
    }
    for pair in digits.chunks(2) {
        let digit = |byte: u8| char::from(byte).to_digit(16).ok_or_else(fault);
        out.push((digit(pair[0])? << 4 | digit(pair[1])?) as u8);
    }
    Ok(())
}

fn salt(token: &Token<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let start = out.len();
    out.push(0);
    if !token.is("-") {
        hex(token, out)?;
    }
    out[start] =
        u8::try_from(out.len() - start - 1).map_err(|_| token.fault("hex", "is longer than 255 octets"))?;
    Ok(())
}

fn hash(token: &Token<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let fault = || token.fault("base32", "is no hash in Base32 of 1 to 255 octets");
    let octets: Vec<u8> = base32::decode_hex(token.raw).map_err(|_| fault())?;
    let length = u8::try_from(octets.len()).ok().filter(|&length| length > 0).ok_or_else(fault)?;
    out.push(length);
    out.extend_from_slice(&octets);
    Ok(())
}

/// So many octets with dashes between them.
fn eui(token: &Token<'_>, octets: usize, out: &mut Vec<u8>) -> Result<(), Fault> {
    let start = out.len();
    out.extend(token.raw.split('-').map_while(|group| hex_group(group, 2..=2)).map(|octet| octet as u8));
    if out.len() - start != octets || token.raw.split('-').count() != octets {
        return Err(token.fault("hex", &format!("is not {octets} octets as `00-5e` and so on")));
    }
    Ok(())
}

/// Four groups of up to four digits.
fn locator(token: &Token<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let start = out.len();
    for group in token.raw.split(':').map_while(|group| hex_group(group, 1..=4)) {
        out.extend_from_slice(&group.to_be_bytes());
    }
    if out.len() - start != 8 || token.raw.split(':').count() != 4 {
        return Err(token.fault("hex", "is not four groups as `2001:db8:1140:1000`"));
    }
    Ok(())
}

fn hex_group(group: &str, digits: RangeInclusive<usize>) -> Option<u16> {
    let good = digits.contains(&group.len()) && group.bytes().all(|byte| byte.is_ascii_hexdigit());
    good.then(|| u16::from_str_radix(group, 16).ok())?
}

/// What RDATA of any type starts with when it is written in hexadecimal.
const GENERIC: &str = "\\#";
/// RDATA of more octets does not fit its length field.
const RDATA_MAX: usize = u16::MAX as usize;
/// Where the RDATA of IPSECKEY has the type of the gateway.
pub const GATEWAY_TYPE: usize = 1;

#[cfg(test)]
mod tests {
    use domain::base::ParsedName;
    use domain::base::rdata::ParseRecordData;
    use domain::base::zonefile_fmt::{DisplayKind, ZonefileFmt};
    use domain::dep::octseq::Parser;
    use domain::rdata::ZoneRecordData;
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const ORIGIN: &[u8] = b"\x07example\x00";

    /// The data of a type, from text.
    fn data(mnemonic: &str, text: &str) -> Result<Vec<u8>, Fault> {
        let rtype = types::number(mnemonic).expect("a known type");
        let mut out = b"before".to_vec();
        super::read(rtype, &mut Tokens::new(text), ORIGIN, &mut out).map(|()| out.split_off(6))
    }

    #[test]
    fn fields_are_read_one_after_the_other() {
        let cases: [(&str, &str, &[u8]); 22] = [
            ("A", "192.0.2.1", &[192, 0, 2, 1]),
            ("AAAA", "::ffff:192.0.2.1", &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 192, 0, 2, 1]),
            ("MX", "10 mail", b"\0\x0a\x04mail\x07example\0"),
            ("TXT", r#"a "b \" c" "" d"#, b"\x01a\x05b \" c\x00\x01d"),
            ("CAA", r#"128 issue "ca.example; x=\;y""#, b"\x80\x05issueca.example; x=;y"),
            ("CAA", r#"0 issue """#, b"\x00\x05issue"),
            ("URI", "10 1 \"https://a/\"", b"\0\x0a\0\x01https://a/"),
            ("TLSA", "3 1 1 0a 0b0 C", b"\x03\x01\x01\x0a\x0b\x0c"),
            ("DS", "1 ECDSAP256SHA256 2 00", b"\0\x01\x0d\x02\0"),
            ("DNSKEY", "257 3 13 AQ I=", b"\x01\x01\x03\x0d\x01\x02"),
            ("NSEC3PARAM", "1 0 0 -", b"\x01\0\0\0\0"),
            ("NSEC3", "1 0 1 ab 2vptu5timamqttgl4luu9kg21e0aor3s", b"\x01\0\0\x01\x01\xab\x14\x17\xf3\xdf\x17\xb2\xb2\xad\xae\xf6\x15\x25\x7d\xe4\xd2\x02\x0b\x80\xac\x6c\x7c"),
            ("NSEC", "b A TYPE65280 MX", b"\x01b\x07example\0\x00\x02\x40\x01\xff\x01\x80"),
            ("EUI48", "00-1B-2c-3d-4e-5f", b"\x00\x1b\x2c\x3d\x4e\x5f"),
            ("NID", "10 14:4fff:FF20:ee64", b"\0\x0a\x00\x14\x4f\xff\xff\x20\xee\x64"),
            ("CERT", "PGP 0 0 AQID", b"\0\x03\0\0\0\x01\x02\x03"),
            ("IPSECKEY", "10 0 2 . AQID", b"\x0a\0\x02\x01\x02\x03"),
            ("IPSECKEY", "10 3 2 gw AQID", b"\x0a\x03\x02\x02gw\x07example\0\x01\x02\x03"),
            ("IPSECKEY", "10 1 0 192.0.2.1", b"\x0a\x01\0\xc0\0\x02\x01"),
            ("HTTPS", "1 . port=8443", b"\0\x01\0\0\x03\0\x02\x20\xfb"),
            ("HTTPS", "0 @", b"\0\0\x07example\0"),
            ("SOA", "a. b. 1 1m 1h 1d 1w", b"\x01a\0\x01b\0\0\0\0\x01\0\0\0\x3c\0\0\x0e\x10\0\x01\x51\x80\0\x09\x3a\x80"),
        ];
        for (mnemonic, text, expected) in cases {
            assert_eq!(data(mnemonic, text).as_deref(), Ok(expected), "{mnemonic} {text}");
        }
    }

    #[test]
    fn what_is_wrong_is_shown_in_its_word() {
        let cases = [
            ("A", "2001:db8::1", "address", 0..11),
            ("A", "192.0.2.01", "address", 0..10),
            ("MX", "65536 a", "number", 0..5),
            ("MX", "+1 a", "number", 0..2),
            ("MX", "1", "missing", 0..1),
            ("MX", "1 a b", "trailing", 4..5),
            ("TXT", &format!("a {}", "b".repeat(256)), "text", 2..258),
            ("TLSA", "3 1 1", "missing", 4..5),
            ("TLSA", "3 1 1 0", "hex", 6..7),
            ("TLSA", "3 1 1 0g", "hex", 6..8),
            ("DNSKEY", "1 3 13 A", "base64", 7..8),
            ("DNSKEY", "1 3 13 ?", "base64", 7..8),
            ("CAA", "0 is-sue a", "rdata", 2..8),
            ("URI", "1 1 \"\"", "rdata", 4..6),
            ("EUI48", "00-1b-2c-3d-4e", "hex", 0..14),
            ("EUI48", "00-1b-2c-3d-4e-zz", "hex", 0..17),
            ("EUI48", "00-1b-2c-3d-4e-5f-zz", "hex", 0..20),
            ("NID", "1 0:1:2", "hex", 2..7),
            ("NID", "1 0:1:2:3:4", "hex", 2..11),
            ("NID", "1 0:1:2:+3", "hex", 2..10),
            ("NSEC", "a A B", "type", 4..5),
            ("SOA", "a b 1 2147483648 1 1 1", "ttl", 6..16),
            ("HIP", "2 AA", "type", 0..1),
        ];
        for (mnemonic, text, code, span) in cases {
            let fault = data(mnemonic, text).expect_err(text);
            assert_eq!((fault.code, fault.span.clone()), (code, span), "{mnemonic} {text}");
            assert!(fault.hint.is_some(), "{mnemonic} {text}");
        }
    }

    #[test]
    fn data_of_any_type_may_be_written_in_hexadecimal() {
        assert_eq!(data("TYPE65280", r"\# 4 0A0000 01").unwrap(), [10, 0, 0, 1]);
        assert_eq!(data("TYPE65280", r"\# 0").unwrap(), b"");
        assert_eq!(data("A", r"\# 4 0A000001").unwrap(), [10, 0, 0, 1]);
        assert_eq!(data("HIP", r"\# 1 00").unwrap(), [0]);
        assert_eq!(data("TXT", r#""\#" 1 00"#).unwrap(), b"\x01#\x011\x0200");
    }

    #[test]
    fn empty_quotes_are_no_data() {
        for (mnemonic, text) in [("DHCID", "\"\""), ("DS", "1 13 2 \"\""), ("DNSKEY", "256 3 13 \"\"")] {
            assert!(data(mnemonic, text).is_err(), "{mnemonic} {text}");
        }
    }

    #[test]
    fn hexadecimal_data_must_have_its_length_and_fit_its_type() {
        for (mnemonic, text) in [
            ("TYPE65280", r"\# 3 0A000001"),
            ("TYPE65280", r"\# 4 0A0000"),
            ("TYPE65280", r"\#"),
            ("TYPE65280", r"\# 65536"),
            ("TYPE65280", "0A"),
            ("A", r"\# 3 0A0000"),
            ("NS", r"\# 2 C00C"),
            ("HTTPS", r"\# 11 0001 00 0003 0000 0001 0000"),
        ] {
            assert!(data(mnemonic, text).is_err(), "{mnemonic} {text}");
        }
    }

    #[test]
    fn data_that_is_too_long_is_a_fault() {
        assert_eq!(data("TXT", &"a ".repeat(32767)).map(|data| data.len()), Ok(65534));
        assert_eq!(data("TXT", &"a ".repeat(32768)).expect_err("too long").code, "rdata");
    }

    /// Octets that a field can have.
    fn octets(field: Field) -> BoxedStrategy<Vec<u8>> {
        let exactly = |length: usize| vec(any::<u8>(), length).boxed();
        let sized = |range: std::ops::Range<usize>| {
            vec(any::<u8>(), range).prop_map(|octets| [&[octets.len() as u8], &octets[..]].concat()).boxed()
        };
        match field {
            Field::U8 | Field::Algorithm => exactly(1),
            Field::U16 | Field::CertificateKind => exactly(2),
            Field::U32 | Field::Ipv4 | Field::Moment => exactly(4),
            Field::Seconds => (0..=seconds::TTL_MAX).prop_map(|value| value.to_be_bytes().to_vec()).boxed(),
            Field::Ipv6 => exactly(16),
            Field::Locator => exactly(8),
            Field::Eui(length) => exactly(length),
            Field::Name => name_octets(),
            Field::Text => sized(0..256),
            Field::Salt => sized(0..9),
            Field::Hash => sized(1..32),
            Field::Texts => vec(sized(0..40), 1..4).prop_map(|texts| texts.concat()).boxed(),
            Field::Octets => vec(any::<u8>(), 0..40).boxed(),
            Field::SomeOctets | Field::Hex | Field::Base64 | Field::MaybeBase64 => {
                vec(any::<u8>(), 1..40).boxed()
            }
            Field::Tag => {
                "[a-z0-9]{1,15}".prop_map(|tag| [&[tag.len() as u8], tag.as_bytes()].concat()).boxed()
            }
            Field::Type => any::<u16>().prop_map(|value| value.to_be_bytes().to_vec()).boxed(),
            Field::TypeSet => vec(any::<u16>(), 0..9).prop_map(type_set).boxed(),
            Field::Gateway => Just(vec![]).boxed(),
            Field::Location => {
                vec(any::<u8>(), 12).prop_map(|rest| [&[0, 0x12, 0x16, 0x13], &rest[..]].concat()).boxed()
            }
            Field::Parameters => vec(octet(), 0..20).prop_map(parameters).boxed(),
        }
    }

    /// What the library prints as it is though it has a meaning is left out.
    fn octet() -> impl Strategy<Value = u8> {
        any::<u8>().prop_filter("the library does not escape it", |octet| !b"()\";@$".contains(octet))
    }

    fn name_octets() -> BoxedStrategy<Vec<u8>> {
        let label = vec(octet(), 1..20).prop_map(|octets| [&[octets.len() as u8], &octets[..]].concat());
        vec(label, 0..5).prop_map(|labels| [labels.concat(), vec![0]].concat()).boxed()
    }

    fn type_set(types: Vec<u16>) -> Vec<u8> {
        let mut set = RtypeBitmapBuilder::new_vec();
        for rtype in types {
            let Ok(()) = set.add(Rtype::from_int(rtype));
        }
        set.finalize().as_slice().to_vec()
    }

    fn parameters(value: Vec<u8>) -> Vec<u8> {
        let length = [0, value.len() as u8];
        [&[0, 1, 0, 3, 2, b'h', b'2', 0, 3, 0, 2, 1, 187, 0xff, 0][..], &length, &value].concat()
    }

    fn records() -> impl Strategy<Value = (&'static Shape, Vec<u8>)> {
        let shapes: Vec<&Shape> =
            types::shapes().iter().filter(|shape| shape.mnemonic != "IPSECKEY").collect();
        proptest::sample::select(shapes).prop_flat_map(|shape| {
            let fields: Vec<_> = shape.fields.iter().map(|(_, field)| octets(*field)).collect();
            (Just(shape), fields.prop_map(|fields| fields.concat()))
        })
    }

    proptest! {
        #[test]
        fn what_the_library_prints_is_read_to_the_same_octets((shape, rdata) in records()) {
            let mut parser = Parser::from_ref(&rdata[..]);
            type Parsed<'r> = Option<ZoneRecordData<&'r [u8], ParsedName<&'r [u8]>>>;
            let parsed: Result<Parsed<'_>, _> =
                ZoneRecordData::parse_rdata(Rtype::from_int(shape.rtype), &mut parser);
            if let Ok(Some(parsed)) = parsed {
                let text = parsed.display_zonefile(DisplayKind::Simple).to_string();
                prop_assert_eq!(data(shape.mnemonic, &text), Ok(rdata), "{} {}", shape.mnemonic, text);
            }
        }

        #[test]
        fn data_in_hexadecimal_is_taken_as_it_is((shape, rdata) in records()) {
            let hex: String = rdata.iter().map(|octet| format!("{octet:02x}")).collect();
            let text = format!("\\# {} {hex}", rdata.len());
            prop_assert_eq!(data(shape.mnemonic, &text), Ok(rdata), "{} {}", shape.mnemonic, text);
        }

        #[test]
        fn what_is_read_from_text_is_well_formed(
            shape in proptest::sample::select(types::shapes().iter().collect::<Vec<_>>()),
            words in vec("[0-9]{1,3}|[a-z]{1,4}\\.?|\\.|192\\.0\\.2\\.1|2001:db8::1|[0-9A-F]{8}|A|NS|\"[ -~]{0,9}\"|port=1|N|E|-|AQID", 0..9),
        ) {
            if let Ok(rdata) = data(shape.mnemonic, &words.join(" ")) {
                prop_assert_eq!(wire::check(shape.fields, &rdata), Ok(()), "{} {:?}", shape.mnemonic, words);
            }
        }

        #[test]
        fn any_octet_may_be_escaped_in_a_name(labels in vec(vec(any::<u8>(), 1..63), 1..4)) {
            let escaped = |octet: &u8| match octet {
                b'a'..=b'z' => char::from(*octet).to_string(),
                _ => format!("\\{octet:03}"),
            };
            let text: String = labels.iter().map(|label| label.iter().map(escaped).collect::<String>() + ".").collect();
            let wire = labels.iter().flat_map(|label| [&[label.len() as u8], &label[..]].concat()).chain([0]).collect();
            prop_assert_eq!(data("NS", &text), Ok(wire));
        }
    }
}
