//! Times as they are written in a master file: `3600`, or with units as `1h30m`.

use crate::spec::master::token::{Fault, Token};

/// The seconds that a word means; `None` if it is no time.
pub fn parse(word: &str) -> Option<u64> {
    let mut total = 0u64;
    let mut rest = word;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let count: u64 = rest[..digits].parse().ok()?;
        let unit = match rest.as_bytes().get(digits) {
            // Only a number that stands alone needs no unit.
            None if digits == word.len() => 1,
            Some(unit) => unit_seconds(*unit)?,
            None => return None,
        };
        total = count.checked_mul(unit).and_then(|seconds| total.checked_add(seconds))?;
        rest = &rest[digits + usize::from(digits < rest.len())..];
    }
    (!word.is_empty()).then_some(total)
}

/// A TTL (RFC 2181 section 8).
pub fn ttl(token: &Token<'_>) -> Result<u32, Fault> {
    let seconds = parse(token.raw).ok_or_else(|| {
        token
            .fault("ttl", "is not a TTL")
            .hint("a TTL is a number of seconds, or has units as `1h30m` or `1w`")
    })?;
    u32::try_from(seconds).ok().filter(|&seconds| seconds <= TTL_MAX).ok_or_else(|| {
        token
            .fault("ttl", "is too long for a TTL")
            .hint(format!("a TTL is at most {TTL_MAX} seconds (RFC 2181); resolvers would take more for 0"))
    })
}

fn unit_seconds(unit: u8) -> Option<u64> {
    Some(match unit.to_ascii_lowercase() {
        b's' => 1,
        b'm' => 60,
        b'h' => 3600,
        b'd' => 86_400,
        b'w' => 604_800,
        _ => return None,
    })
}

/// A TTL of more seconds is an error (RFC 2181 section 8 would have it be 0).
pub const TTL_MAX: u32 = i32::MAX as u32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds_or_have_units() {
        for (word, seconds) in [("0", 0), ("3600", 3600), ("1h30m", 5400), ("1W2d", 777_600), ("1s1s", 2)] {
            assert_eq!(parse(word), Some(seconds), "{word}");
        }
    }

    #[test]
    fn what_is_no_time_is_none() {
        for word in
            ["", "h", "1h30", "1y", "-1", "1.5h", "99999999999999999999", "30500568904944w1w", "1\u{fc}"]
        {
            assert_eq!(parse(word), None, "{word}");
        }
    }
}
