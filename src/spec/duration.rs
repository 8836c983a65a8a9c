//! Durations as people write them: `250ms`, `5s`, `1m30s`, `2h`, `14d`.
//!
//! ```text
//!   "1m30s" --parse--> 90 s --display--> "1m30s"
//! ```
//!
//! A number without a unit is refused everywhere: `timeout = 2` means seconds in one program and
//! milliseconds in the next.

use std::time::Duration;

/// Reads one or more numbers with a unit each, larger units first, each unit at most once. The error is a
/// sentence about the text.
pub fn parse(text: &str) -> Result<Duration, String> {
    let mut rest = text;
    let mut smaller = UNITS.as_slice();
    let mut milliseconds: u64 = 0;
    loop {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, after) = rest.split_at(digits);
        let letters = after.len() - after.trim_start_matches(|c: char| c.is_ascii_alphabetic()).len();
        let (unit, after) = after.split_at(letters);
        if number.is_empty() || unit.is_empty() {
            return Err(format!("{text:?} is no duration"));
        }
        let Some(place) = smaller.iter().position(|(known, _)| *known == unit) else {
            return Err(match UNITS.iter().any(|(known, _)| *known == unit) {
                true => format!("in {text:?} the units do not go from large to small"),
                false => format!("{unit:?} is no unit of time"),
            });
        };
        milliseconds = number
            .parse::<u64>()
            .ok()
            .and_then(|number| number.checked_mul(smaller[place].1))
            .and_then(|part| milliseconds.checked_add(part))
            .ok_or_else(|| format!("{text:?} is longer than can be counted"))?;
        smaller = &smaller[place + 1..];
        rest = after;
        if rest.is_empty() {
            return Ok(Duration::from_millis(milliseconds));
        }
    }
}

/// Writes a duration in the form that [`parse`] reads; what is below a millisecond is cut off.
pub fn display(duration: Duration) -> String {
    let mut left = duration.as_millis();
    let mut text = String::new();
    for (unit, milliseconds) in UNITS {
        let count = left / u128::from(milliseconds);
        left %= u128::from(milliseconds);
        if count > 0 {
            text.push_str(&format!("{count}{unit}"));
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// What to write instead of something that is no duration.
pub const HINT: &str =
    "write a number and a unit (ms, s, m, h, d), as \"250ms\", \"5s\", \"1m30s\" or \"14d\"";

/// From large to small, in milliseconds.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_with_units_add_up() {
        for (text, milliseconds) in [
            ("250ms", 250),
            ("5s", 5000),
            ("1m30s", 90_000),
            ("2h", 7_200_000),
            ("14d", 1_209_600_000),
            ("1d2h3m4s5ms", 93_784_005),
            ("0s", 0),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused_with_a_sentence() {
        for (text, why) in [
            ("", "\"\" is no duration"),
            ("5", "\"5\" is no duration"),
            ("s", "\"s\" is no duration"),
            ("-5s", "\"-5s\" is no duration"),
            ("5 s", "\"5 s\" is no duration"),
            ("1.5s", "\"1.5s\" is no duration"),
            ("5sec", "\"sec\" is no unit of time"),
            ("30s1m", "in \"30s1m\" the units do not go from large to small"),
            ("1s1s", "in \"1s1s\" the units do not go from large to small"),
            ("99999999999999999999d", "\"99999999999999999999d\" is longer than can be counted"),
            ("18446744073709551615d", "\"18446744073709551615d\" is longer than can be counted"),
        ] {
            assert_eq!(parse(text), Err(why.to_owned()), "{text}");
        }
    }

    #[test]
    fn a_duration_is_shown_in_the_largest_units_that_fit() {
        assert_eq!(display(Duration::from_secs(90)), "1m30s");
        assert_eq!(display(Duration::from_millis(2500)), "2s500ms");
        assert_eq!(display(Duration::from_secs(336 * 3600)), "14d");
        assert_eq!(display(Duration::from_micros(999)), "0s");
    }

    proptest! {
        #[test]
        fn what_is_shown_can_be_read_again(milliseconds: u64) {
            let duration = Duration::from_millis(milliseconds);
            prop_assert_eq!(parse(&display(duration)), Ok(duration));
        }

        #[test]
        fn no_text_makes_it_panic(text in ".*") {
            let _ = parse(&text);
        }
    }
}
