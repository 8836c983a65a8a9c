//! Domain names as they are written, to wire form.

use crate::spec::master::token::{Fault, Token};

/// Appends the wire form of a name; one that does not end in a dot is relative to the origin.
///
/// On a fault what was appended so far is left for the caller to cut off.
pub fn write(token: &Token<'_>, origin: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
    if !token.quoted && token.raw == "@" {
        out.extend_from_slice(origin);
        return Ok(());
    }
    if token.raw == "." {
        out.push(0);
        return Ok(());
    }
    let start = out.len();
    let mut label = open(out);
    for octet in token.octets() {
        let octet = octet?;
        if octet.value == b'.' && !octet.escaped {
            close(token, label, out)?;
            label = open(out);
        } else if octet.escaped || is_plain(octet.value) || (token.quoted && octet.value == b' ') {
            out.push(octet.value);
        } else {
            return Err(not_plain(token, octet.value));
        }
    }
    // A last label that is empty is the root: the name is absolute.
    if out.len() - label > 1 || label == start {
        close(token, label, out)?;
        out.extend_from_slice(origin);
    }
    if out.len() - start > NAME_MAX {
        return Err(token.fault("name", &format!("makes a name of more than {NAME_MAX} octets")));
    }
    Ok(())
}

/// Makes room for the length of a label.
fn open(out: &mut Vec<u8>) -> usize {
    out.push(0);
    out.len() - 1
}

fn close(token: &Token<'_>, label: usize, out: &mut [u8]) -> Result<(), Fault> {
    match out.len() - label - 1 {
        0 => Err(token.fault("name", "has an empty label")),
        length @ 1..=LABEL_MAX => {
            out[label] = length as u8;
            Ok(())
        }
        _ => Err(token.fault("name", &format!("has a label of more than {LABEL_MAX} octets"))),
    }
}

fn is_plain(value: u8) -> bool {
    value.is_ascii_graphic()
}

fn not_plain(token: &Token<'_>, value: u8) -> Fault {
    if value.is_ascii() {
        return token
            .fault("name", "has a character that a name cannot have")
            .hint(format!("write `\\{value:03}` if it is meant"));
    }
    token
        .fault("name", "is not in ASCII")
        .hint("write an internationalised name in its ASCII form, which starts with `xn--` (RFC 3492)")
}

/// Octets of a label at most (RFC 1035 section 2.3.4).
const LABEL_MAX: usize = 63;
/// Octets of a name at most, the root's too (RFC 1035 section 2.3.4).
const NAME_MAX: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::master::token::Tokens;

    const ORIGIN: &[u8] = b"\x07Example\x00";

    fn wire(text: &str) -> Result<Vec<u8>, Fault> {
        let mut out = Vec::new();
        let token = Tokens::new(text).next().expect("one word").expect("one word");
        write(&token, ORIGIN, &mut out).map(|()| out)
    }

    #[test]
    fn names_are_relative_unless_they_end_in_a_dot() {
        assert_eq!(wire("www").unwrap(), b"\x03www\x07Example\x00");
        assert_eq!(wire("www.Shop.").unwrap(), b"\x03www\x04Shop\x00");
        assert_eq!(wire(".").unwrap(), b"\x00");
        assert_eq!(wire("@").unwrap(), ORIGIN);
    }

    #[test]
    fn escapes_and_quotes_take_meaning_away() {
        assert_eq!(wire(r"a\.b\032c.").unwrap(), b"\x05a.b c\x00");
        assert_eq!(wire(r"\@").unwrap(), b"\x01@\x07Example\x00");
        assert_eq!(wire("\"@\"").unwrap(), b"\x01@\x07Example\x00");
    }

    #[test]
    fn names_that_cannot_be_are_faults() {
        let long = "a".repeat(64);
        for text in ["a..b", ".a", "\"\"", "..", &long, &"a23456789.".repeat(26), "caf\u{e9}", "a\u{7f}b"] {
            assert_eq!(wire(text).unwrap_err().code, "name", "{text}");
        }
    }

    #[test]
    fn the_longest_name_and_label_are_good() {
        assert_eq!(wire(&format!("{}.", "a".repeat(63))).unwrap().len(), 65);
        let longest = format!("{0}.{0}.{0}.{1}.", "a".repeat(63), "a".repeat(61));
        assert_eq!(wire(&longest).unwrap().len(), 255);
    }
}
