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
            Field::Eui(octets) => groups(&self.word(what)?, '-', 2, octets, self.out)?,
            Field::Locator => groups(&self.word(what)?, ':', 4, 4, self.out)?,
            Field::Gateway => self.gateway(what)?,
            Field::Location => location::read(self.tokens, self.out)?,
            Field::Parameters => parameters::read(self.tokens, self.out)?,
        }
        Ok(())
    }

    fn word(&mut self, what: &str) -> Result<Token<'t>, Fault> {
        self.tokens.expect(what)
    }

    /// Makes sure that there is another word, and leaves it there.
    fn some(&mut self, what: &str) -> Result<(), Fault> {
        let token = self.word(what)?;
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

/// `count` groups of `digits` hexadecimal digits each.
fn groups(
    token: &Token<'_>,
    separator: char,
    digits: usize,
    count: usize,
    out: &mut Vec<u8>,
) -> Result<(), Fault> {
    let groups = token.raw.split(separator);
    if groups.clone().count() != count || !groups.clone().all(|group| group.len() == digits) {
        let shape = vec!["X".repeat(digits); count].join(&separator.to_string());
        return Err(token.fault("hex", &format!("is not of the form {shape}")));
    }
    let mut at = 0;
    for group in groups {
        hex(&token.part(at..at + group.len()), out)?;
        at += group.len() + 1;
    }
    Ok(())
}

/// What RDATA of any type starts with when it is written in hexadecimal.
const GENERIC: &str = "\\#";
/// RDATA of more octets does not fit its length field.
const RDATA_MAX: usize = u16::MAX as usize;
/// Where the RDATA of IPSECKEY has the type of the gateway.
pub const GATEWAY_TYPE: usize = 1;
