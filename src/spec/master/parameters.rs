//! The parameters of SVCB and HTTPS records (RFC 9460 section 2.1): `alpn="h2,h3" port=8443`.
//!
//! They may be written in any order; on the wire they stand in the order of their numbers.

use domain::utils::base64;

use crate::spec::master::rdata::{ipv4, ipv6, number};
use crate::spec::master::token::{Fault, Octets, Token, Tokens};
use crate::spec::master::wire;

/// Appends the wire form of the parameters that the rest of the entry says.
pub fn read(tokens: &mut Tokens<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let mut parameters: Vec<(u16, Vec<u8>)> = Vec::new();
    let mut whole = 0..0;
    while let Some(token) = tokens.next_pair()? {
        whole = if parameters.is_empty() { token.span() } else { whole.start..token.span().end };
        let (key, value) = pair(&token)?;
        if parameters.iter().any(|(other, _)| *other == key) {
            return Err(token.fault("parameter", "is there twice"));
        }
        parameters.push((key, value));
    }
    parameters.sort_unstable();
    let start = out.len();
    for (key, value) in parameters {
        let length = u16::try_from(value.len())
            .map_err(|_| Fault::new("parameter", whole.clone(), "a value is longer than 65535 octets"))?;
        out.extend_from_slice(&key.to_be_bytes());
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(&value);
    }
    check(&out[start..]).map_err(|why| Fault::new("parameter", whole, format!("the parameters have {why}")))
}

/// Checks parameters in wire form: their order, their values, and that they fit one another.
pub fn check(octets: &[u8]) -> Result<(), &'static str> {
    let mut octets = wire::Octets { left: octets };
    let mut keys: Vec<u16> = Vec::new();
    let mut mandatory: &[u8] = &[];
    while !octets.left.is_empty() {
        let key = octets.u16()?;
        let length = octets.u16()?;
        let value = octets.take(usize::from(length))?;
        if keys.last().is_some_and(|&last| last >= key) {
            return Err("keys out of order");
        }
        keys.push(key);
        check_value(key, value)?;
        if key == MANDATORY {
            mandatory = value;
        }
    }
    let mut needed = mandatory.chunks(2).map(|key| u16::from_be_bytes([key[0], key[1]]));
    if needed.any(|key| !keys.contains(&key)) {
        return Err("a mandatory key that is not there");
    }
    if keys.contains(&NO_DEFAULT_ALPN) && !keys.contains(&ALPN) {
        return Err("`no-default-alpn` without `alpn`");
    }
    Ok(())
}

fn check_value(key: u16, value: &[u8]) -> Result<(), &'static str> {
    let filled = |size: usize| !value.is_empty() && value.len().is_multiple_of(size);
    let good = match key {
        MANDATORY => {
            let keys: Vec<&[u8]> = value.chunks(2).collect();
            filled(2)
                && keys.is_sorted_by(|a, b| a < b)
                && !keys.contains(&MANDATORY.to_be_bytes().as_slice())
        }
        ALPN => {
            let mut octets = wire::Octets { left: value };
            while !octets.left.is_empty() {
                if octets.text()?.is_empty() {
                    return Err("an empty protocol in `alpn`");
                }
            }
            !value.is_empty()
        }
        NO_DEFAULT_ALPN | OHTTP => value.is_empty(),
        PORT => value.len() == 2,
        IPV4_HINT => filled(4),
        IPV6_HINT => filled(16),
        TLS_SUPPORTED_GROUPS => filled(2),
        ECH | DOHPATH => !value.is_empty(),
        RESERVED => false,
        _ => true,
    };
    if good { Ok(()) } else { Err(KEYS.iter().find(|(_, k, _)| *k == key).map_or("a reserved key", |k| k.2)) }
}

/// `key`, `key=value` or `key="value"`.
fn pair(token: &Token<'_>) -> Result<(u16, Vec<u8>), Fault> {
    let split = token.raw.find('=').filter(|_| !token.quoted);
    let key = token.part(0..split.unwrap_or(token.raw.len()));
    let number = key_number(&key)?;
    let value = split.map(|at| {
        let (start, end) = (at + 1, token.raw.len());
        let quoted = end - start >= 2 && token.raw[start..].starts_with('"');
        if quoted { token.part(start + 1..end - 1) } else { token.part(start..end) }
    });
    let named = KEYS.iter().any(|(name, ..)| key.is(name));
    let value = match value {
        Some(value) if named => typed(number, &value)?,
        Some(value) => {
            let mut octets = Vec::new();
            value.unescape(&mut octets)?;
            octets
        }
        None => Vec::new(),
    };
    Ok((number, value))
}

fn key_number(key: &Token<'_>) -> Result<u16, Fault> {
    if let Some(&(_, number, _)) = KEYS.iter().find(|(name, ..)| *name == key.raw) {
        return Ok(number);
    }
    let digits = key.raw.strip_prefix("key").filter(|digits| {
        digits.bytes().all(|byte| byte.is_ascii_digit()) && (*digits == "0" || !digits.starts_with('0'))
    });
    digits.and_then(|digits| digits.parse().ok()).ok_or_else(|| {
        key.fault("parameter", "is not a key of a service parameter")
            .hint("keys are in lower case: `alpn`, `port`, `ipv4hint`...; any can be written as `key65333`")
    })
}

/// The value of a key that is written by name.
fn typed(key: u16, value: &Token<'_>) -> Result<Vec<u8>, Fault> {
    let mut out = Vec::new();
    match key {
        MANDATORY => {
            let mut keys = words(value).map(|word| key_number(&word)).collect::<Result<Vec<_>, _>>()?;
            keys.sort_unstable();
            out.extend(keys.into_iter().flat_map(u16::to_be_bytes));
        }
        ALPN => protocols(value, &mut out)?,
        PORT => out.extend((number(value, 0..=0xffff)? as u16).to_be_bytes()),
        IPV4_HINT => {
            for word in words(value) {
                out.extend(ipv4(&word)?.octets());
            }
        }
        IPV6_HINT => {
            for word in words(value) {
                out.extend(ipv6(&word)?.octets());
            }
        }
        TLS_SUPPORTED_GROUPS => {
            for word in words(value) {
                out.extend((number(&word, 0..=0xffff)? as u16).to_be_bytes());
            }
        }
        ECH => out = base64::decode(value.raw).map_err(|_| value.fault("base64", "is not Base64"))?,
        _ => value.unescape(&mut out)?,
    }
    Ok(out)
}

/// The parts of a list in which nothing needs an escape.
fn words<'t>(value: &Token<'t>) -> impl Iterator<Item = Token<'t>> {
    let value = *value;
    let mut at = 0;
    value.raw.split(',').map(move |word| {
        let start = at;
        at += word.len() + 1;
        value.part(start..start + word.len())
    })
}

/// A list of protocols, each with its length before it (RFC 9460 section 7.1.1). The list has escapes of
/// its own below those of the file: `\\,` in the file is `\,` in the list, a comma of a protocol.
fn protocols(value: &Token<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let mut octets: Octets<'_> = value.octets();
    let mut start = out.len();
    out.push(0);
    loop {
        let octet = octets.next().transpose()?.map(|octet| octet.value);
        match octet {
            Some(b'\\') => match octets.next().transpose()? {
                Some(literal) => out.push(literal.value),
                None => return Err(value.fault("parameter", "ends in a backslash")),
            },
            Some(b',') | None => {
                out[start] = u8::try_from(out.len() - start - 1)
                    .map_err(|_| value.fault("parameter", "has a protocol of more than 255 octets"))?;
                if octet.is_none() {
                    return Ok(());
                }
                start = out.len();
                out.push(0);
            }
            Some(octet) => out.push(octet),
        }
    }
}

const MANDATORY: u16 = 0;
const ALPN: u16 = 1;
const NO_DEFAULT_ALPN: u16 = 2;
const PORT: u16 = 3;
const IPV4_HINT: u16 = 4;
const ECH: u16 = 5;
const IPV6_HINT: u16 = 6;
const DOHPATH: u16 = 7;
const OHTTP: u16 = 8;
const TLS_SUPPORTED_GROUPS: u16 = 9;
const RESERVED: u16 = u16::MAX;

/// The keys that have a name, and what a value that they cannot have is called.
const KEYS: [(&str, u16, &str); 10] = [
    ("mandatory", MANDATORY, "a `mandatory` that is empty, names itself, or names a key twice"),
    ("alpn", ALPN, "an `alpn` without a protocol"),
    ("no-default-alpn", NO_DEFAULT_ALPN, "a `no-default-alpn` with a value"),
    ("port", PORT, "a `port` that is no number of two octets"),
    ("ipv4hint", IPV4_HINT, "an `ipv4hint` without a whole address"),
    ("ech", ECH, "an `ech` without a value"),
    ("ipv6hint", IPV6_HINT, "an `ipv6hint` without a whole address"),
    ("dohpath", DOHPATH, "a `dohpath` without a value"),
    ("ohttp", OHTTP, "an `ohttp` with a value"),
    ("tls-supported-groups", TLS_SUPPORTED_GROUPS, "a `tls-supported-groups` without a group"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(text: &str) -> Result<Vec<u8>, Fault> {
        let mut out = Vec::new();
        read(&mut Tokens::new(text), &mut out).map(|()| out)
    }

    #[test]
    fn parameters_are_put_in_order() {
        // RFC 9460 appendix D.2, figure 8 (without priority and target).
        assert_eq!(
            wire("alpn=h2,h3-19 mandatory=ipv4hint,alpn ipv4hint=192.0.2.1").unwrap(),
            b"\0\0\0\x04\0\x01\0\x04\0\x01\0\x09\x02h2\x05h3-19\0\x04\0\x04\xc0\0\x02\x01"
        );
    }

    #[test]
    fn values_may_be_quoted_and_escaped() {
        // RFC 9460 appendix D.2, figures 5 to 7 and 9.
        assert_eq!(wire(r#"key667="hello\210qoo""#).unwrap(), b"\x02\x9b\0\x09hello\xd2qoo");
        assert_eq!(wire("port=53").unwrap(), b"\0\x03\0\x02\0\x35");
        let hints = wire(r#"ipv6hint="2001:db8::1,2001:db8::53:1""#).unwrap();
        assert_eq!(hints.len(), 36);
        for text in [r#"alpn="f\\\\oo\\,bar,h2""#, r"alpn=f\\\092oo\092,bar,h2"] {
            assert_eq!(wire(text).unwrap(), b"\0\x01\0\x0c\x08f\\oo,bar\x02h2", "{text}");
        }
    }

    #[test]
    fn a_record_may_have_none() {
        assert_eq!(wire("").unwrap(), b"");
    }

    #[test]
    fn every_digit_and_letter_may_be_in_a_key() {
        assert_eq!(wire("key9999=z").unwrap(), b"\x27\x0f\0\x01z");
    }

    #[test]
    fn failures_of_the_rfc_are_faults() {
        // RFC 9460 appendix D.3, and what sections 7 and 8 forbid.
        for text in [
            "key123=abc key123=def",
            "mandatory",
            "alpn",
            "port",
            "ipv4hint",
            "ipv6hint",
            "no-default-alpn=abc alpn=h2",
            "no-default-alpn",
            "mandatory=key123",
            "mandatory=mandatory",
            "mandatory=key123,key123 key123=abc",
            "alpn=h2,,h3",
            "port=65536",
            "ipv4hint=2001:db8::1",
            "ech=?",
            "key00123=a",
            "key65535=a",
            "key65536=a",
            "ALPN=h2",
            "=a",
            "key3=abc",
            "\"alpn=h2\"",
        ] {
            assert!(wire(text).is_err(), "{text}");
        }
    }
}
