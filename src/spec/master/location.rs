//! A place on the globe (LOC, RFC 1876): `42 21 54 N 71 06 18 W -24m 30m 10m 5m`.

use crate::spec::master::token::{Fault, Token, Tokens};

/// Appends the wire form of the place that the rest of the entry says.
pub fn read(tokens: &mut Tokens<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let latitude = angle(tokens, "latitude", 90, ("N", "S"))?;
    let longitude = angle(tokens, "longitude", 180, ("E", "W"))?;
    let altitude = altitude(&tokens.expect("altitude")?)?;
    let mut sizes = DEFAULT_SIZES;
    for size in &mut sizes {
        match tokens.next()? {
            Some(token) => *size = precision(&token)?,
            None => break,
        }
    }
    out.push(VERSION);
    out.extend_from_slice(&sizes);
    for number in [latitude, longitude, altitude] {
        out.extend_from_slice(&number.to_be_bytes());
    }
    Ok(())
}

/// `degrees [minutes [seconds]] direction`, in thousandths of a second of arc from 2^31.
fn angle(
    tokens: &mut Tokens<'_>,
    what: &str,
    degrees_max: u64,
    (positive, negative): (&str, &str),
) -> Result<u32, Fault> {
    // One below the limit, so that 59.999 of each part below it stays within.
    let parts = [(degrees_max, 0, 3_600_000), (59, 0, 60_000), (59_999, 3, 1)];
    let mut thousandths = 0;
    let mut read = 0;
    loop {
        let token = tokens.expect(what)?;
        if read > 0 && (token.is(positive) || token.is(negative)) {
            if thousandths > degrees_max * 3_600_000 {
                return Err(
                    token.fault("location", &format!("is the end of more than {degrees_max} degrees"))
                );
            }
            let thousandths = thousandths as u32;
            return Ok(if token.is(positive) { ORIGIN + thousandths } else { ORIGIN - thousandths });
        }
        let Some(&(max, places, scale)) = parts.get(read) else {
            return Err(token.fault("location", &format!("is not {positive} or {negative}")));
        };
        let part = decimal(token.raw, places).filter(|&part| part <= max);
        thousandths +=
            scale * part.ok_or_else(|| token.fault("location", &format!("is no part of a {what}")))?;
        read += 1;
    }
}

/// Metres, in centimetres above 100 km below the ellipsoid.
fn altitude(token: &Token<'_>) -> Result<u32, Fault> {
    let fault = || token.fault("location", "is no altitude in metres from -100000.00 to 42849672.95");
    let (below, metres) = match token.raw.strip_prefix('-') {
        Some(metres) => (true, metres),
        None => (false, token.raw),
    };
    let centimetres = decimal(without_unit(metres), 2).ok_or_else(fault)?;
    let above_base = if below { BASE.checked_sub(centimetres) } else { BASE.checked_add(centimetres) };
    above_base.and_then(|above| u32::try_from(above).ok()).ok_or_else(fault)
}

/// Metres as a digit and a power of ten, in centimetres.
fn precision(token: &Token<'_>) -> Result<u8, Fault> {
    let centimetres = decimal(without_unit(token.raw), 2)
        .filter(|&centimetres| centimetres <= 9_000_000_000)
        .ok_or_else(|| token.fault("location", "is no size in metres from 0.00 to 90000000.00"))?;
    let mut mantissa = centimetres;
    let mut exponent = 0;
    while mantissa > 9 {
        mantissa /= 10;
        exponent += 1;
    }
    Ok((mantissa as u8) << 4 | exponent)
}

fn without_unit(metres: &str) -> &str {
    metres.strip_suffix(['m', 'M']).unwrap_or(metres)
}

/// A decimal number with at most so many places, as a whole number of its last place.
fn decimal(text: &str, places: usize) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || whole.len() > 10 || fraction.len() > places || !digits(whole) || !digits(fraction)
    {
        return None;
    }
    format!("{whole}{fraction:0<places$}").parse().ok()
}

const VERSION: u8 = 0;
/// Where the equator and the prime meridian are.
const ORIGIN: u32 = 1 << 31;
/// 100 km below the ellipsoid, in centimetres.
const BASE: u64 = 10_000_000;
/// 1 m, 10 km, 10 m.
const DEFAULT_SIZES: [u8; 3] = [0x12, 0x16, 0x13];

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(text: &str) -> Result<Vec<u8>, Fault> {
        let mut out = Vec::new();
        let mut tokens = Tokens::new(text);
        read(&mut tokens, &mut out).and_then(|()| tokens.end()).map(|()| out)
    }

    #[test]
    fn a_place_is_read_as_the_rfc_says() {
        assert_eq!(
            wire("42 21 54 N 71 06 18 W -24m 30m").unwrap(),
            [0, 0x33, 0x16, 0x13, 0x89, 0x17, 0x2d, 0xd0, 0x70, 0xbe, 0x15, 0xf0, 0, 0x98, 0x8d, 0x20]
        );
    }

    #[test]
    fn parts_of_an_angle_may_be_left_out() {
        assert_eq!(wire("1 N 2 E 0").unwrap(), wire("1 0 0.000 n 2 00 00 e 0.00m 1m 10000m 10m").unwrap());
    }

    #[test]
    fn the_ends_of_the_globe_are_on_it() {
        for text in ["90 N 180 W 42849672.95m", "90 0 0 S 180 0 0.0 E -100000m 90000000m"] {
            assert!(wire(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn what_is_not_on_the_globe_is_a_fault() {
        for text in [
            "91 N 0 E 0",
            "90 0 0.001 N 0 E 0",
            "0 60 N 0 E 0",
            "0 0 60 N 0 E 0",
            "0 E 0 N 0",
            "0 N 0 E",
            "N 0 E 0",
            "0 N 0 E -100000.01",
            "0 N 0 E 42849672.96",
            "0 N 0 E 0 1.001",
            "0 N 0 E 0 90000000.01",
            "0 N 0 E 0 1 1 1 1",
        ] {
            assert!(wire(text).is_err(), "{text}");
        }
    }
}
