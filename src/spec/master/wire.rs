//! Checks RDATA in wire form against the fields of its type: what RFC 3597 calls well-formed.
//!
//! Needed for `A \# 4 C0000201`: a type that is known must hold what it says, whichever way it is written.

use crate::spec::master::parameters;
use crate::spec::master::rdata::GATEWAY_TYPE;
use crate::spec::master::types::Field;

/// Whether the octets are the fields, no more and no less; what is wrong otherwise.
pub fn check(fields: &[(&str, Field)], rdata: &[u8]) -> Result<(), String> {
    let mut octets = Octets { left: rdata };
    for &(what, field) in fields {
        field_at(field, &mut octets, rdata).map_err(|why| format!("{what}: {why}"))?;
    }
    if octets.left.is_empty() { Ok(()) } else { Err(format!("{} octets too many", octets.left.len())) }
}

fn field_at(field: Field, octets: &mut Octets<'_>, rdata: &[u8]) -> Result<(), &'static str> {
    match field {
        Field::U8 | Field::Algorithm => octets.take(1).map(drop),
        Field::U16 | Field::Type | Field::CertificateKind => octets.take(2).map(drop),
        Field::U32 | Field::Seconds | Field::Moment | Field::Ipv4 => octets.take(4).map(drop),
        Field::Eui(length) => octets.take(length).map(drop),
        Field::Locator => octets.take(8).map(drop),
        Field::Ipv6 => octets.take(16).map(drop),
        Field::Name => octets.name(),
        Field::Text | Field::Salt => octets.text().map(drop),
        Field::Tag => match octets.text()? {
            tag if !tag.is_empty() && tag.iter().all(u8::is_ascii_alphanumeric) => Ok(()),
            _ => Err("not of letters and digits"),
        },
        Field::Hash => octets.text().and_then(not_empty),
        Field::Texts => {
            octets.text()?;
            while !octets.left.is_empty() {
                octets.text()?;
            }
            Ok(())
        }
        Field::Octets | Field::MaybeBase64 => {
            octets.rest();
            Ok(())
        }
        Field::SomeOctets | Field::Hex | Field::Base64 => not_empty(octets.rest()),
        Field::TypeSet => type_set(octets),
        Field::Gateway => match rdata[GATEWAY_TYPE] {
            0 => Ok(()),
            1 => octets.take(4).map(drop),
            2 => octets.take(16).map(drop),
            3 => octets.name(),
            _ => Err("of a type that is not known"),
        },
        Field::Location => match octets.take(LOCATION)? {
            [0, sizes @ .., _, _, _, _, _, _, _, _, _, _, _, _] => location_sizes(sizes),
            _ => Err("of a version that is not known"),
        },
        Field::Parameters => parameters::check(octets.rest()),
    }
}

/// Mantissa and exponent, each a digit of at most nine (RFC 1876 section 2).
fn location_sizes(sizes: &[u8]) -> Result<(), &'static str> {
    let digits = sizes.iter().all(|size| size >> 4 <= 9 && size & 15 <= 9);
    if digits { Ok(()) } else { Err("a size that is no number") }
}

/// Windows in ascending order, each of 1 to 32 octets that do not end in zero (RFC 4034 section 4.1.2).
fn type_set(octets: &mut Octets<'_>) -> Result<(), &'static str> {
    let mut last = None;
    while !octets.left.is_empty() {
        let window = octets.take(1)?[0];
        if last.is_some_and(|last| last >= window) {
            return Err("windows out of order");
        }
        last = Some(window);
        match octets.text()? {
            [.., 0] | [] => return Err("a window that ends in nothing"),
            bits if bits.len() > 32 => return Err("a window that is too long"),
            _ => {}
        }
    }
    Ok(())
}

fn not_empty(octets: &[u8]) -> Result<(), &'static str> {
    if octets.is_empty() { Err("nothing there") } else { Ok(()) }
}

/// Octets that are taken from the front.
pub struct Octets<'o> {
    /// What was not taken yet.
    pub left: &'o [u8],
}

impl<'o> Octets<'o> {
    /// The next octets.
    pub fn take(&mut self, length: usize) -> Result<&'o [u8], &'static str> {
        let (taken, left) = self.left.split_at_checked(length).ok_or("too few octets")?;
        self.left = left;
        Ok(taken)
    }

    /// A number of two octets.
    pub fn u16(&mut self) -> Result<u16, &'static str> {
        self.take(2).map(|octets| u16::from_be_bytes([octets[0], octets[1]]))
    }

    /// A length of one octet, and so many octets.
    pub fn text(&mut self) -> Result<&'o [u8], &'static str> {
        let length = self.take(1)?[0];
        self.take(usize::from(length))
    }

    /// All that is left.
    pub fn rest(&mut self) -> &'o [u8] {
        std::mem::take(&mut self.left)
    }

    fn name(&mut self) -> Result<(), &'static str> {
        let before = self.left.len();
        loop {
            match self.take(1)?[0] {
                0 => break,
                length @ 1..=63 => drop(self.take(usize::from(length))?),
                _ => return Err("a label that is compressed or too long"),
            }
        }
        if before - self.left.len() > 255 { Err("a name of more than 255 octets") } else { Ok(()) }
    }
}

/// Octets of a place on the globe.
const LOCATION: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::master::types::Shape;

    fn good(rtype: u16, rdata: &[u8]) -> bool {
        check(Shape::of(rtype).expect("a known type").fields, rdata).is_ok()
    }

    #[test]
    fn addresses_have_their_length() {
        assert!(good(1, &[192, 0, 2, 1]));
        assert!(!good(1, &[192, 0, 2]));
        assert!(!good(1, &[192, 0, 2, 1, 0]));
        assert!(good(28, &[0; 16]));
    }

    #[test]
    fn names_are_whole_and_not_compressed() {
        assert!(good(2, b"\x01a\x00"));
        assert!(!good(2, b"\x01a"));
        assert!(!good(2, b"\xc0\x0c"));
        assert!(!good(2, &[[1, b'a'].repeat(128), vec![0]].concat()));
    }

    #[test]
    fn texts_fill_the_data() {
        assert!(good(16, b"\x01a\x00"));
        assert!(!good(16, b""));
        assert!(!good(16, b"\x02a"));
    }

    #[test]
    fn sets_of_types_are_in_canonical_form() {
        assert!(good(47, b"\x00\x00\x01\x40\x01\x01\x80"));
        assert!(!good(47, b"\x00\x01\x01\x80\x00\x01\x40"));
        assert!(!good(47, b"\x00\x00\x02\x40\x00"));
        assert!(!good(47, b"\x00\x00\x00"));
    }

    #[test]
    fn the_gateway_is_what_its_type_says() {
        assert!(good(45, b"\x0a\x00\x02k"));
        assert!(good(45, b"\x0a\x01\x02\xc0\x00\x02\x01k"));
        assert!(good(45, b"\x0a\x03\x02\x01a\x00k"));
        assert!(!good(45, b"\x0a\x04\x02k"));
        assert!(!good(45, b"\x0a"));
    }
}
