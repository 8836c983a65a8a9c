//! Numbers and lengths of what the fleet sends, and a reader that never reads past the end.
//!
//! ```text
//! number   7 bits a byte, the lowest first; the top bit says that another byte follows
//! sized    a number, then so many bytes
//! part     a number that says what it is, then sized: a reader skips the parts it does not know
//! ```

/// Appends a number: one byte below 128, ten at most.
pub(super) fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Appends bytes after their length.
pub(super) fn put_sized(out: &mut Vec<u8>, bytes: &[u8]) {
    put_number(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Appends a part.
pub(super) fn put_part(out: &mut Vec<u8>, tag: u64, value: &[u8]) {
    put_number(out, tag);
    put_sized(out, value);
}

/// Appends a part that is one number.
pub(super) fn put_number_part(out: &mut Vec<u8>, tag: u64, number: u64) {
    let mut value = Vec::with_capacity(NUMBER_BYTES_MAX);
    put_number(&mut value, number);
    put_part(out, tag, &value);
}

/// What is left to read. Every method takes from the front; `None`: there is less than it needs.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    /// Whether all is read.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// So many bytes.
    pub(super) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    /// So many bytes, as an array.
    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    /// One byte.
    pub(super) fn byte(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    /// A number. One that does not fit 64 bits is `None` too.
    pub(super) fn number(&mut self) -> Option<u64> {
        let mut number = 0u64;
        for place in 0..NUMBER_BYTES_MAX {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            let shifted = bits << (7 * place);
            if shifted >> (7 * place) != bits {
                return None;
            }
            number |= shifted;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    /// Bytes after their length.
    pub(super) fn sized(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        self.take(length)
    }

    /// A part: what it is, and its value.
    pub(super) fn part(&mut self) -> Option<(u64, &'a [u8])> {
        Some((self.number()?, self.sized()?))
    }
}

/// 64 bits, 7 a byte.
const NUMBER_BYTES_MAX: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_number_is_read_as_it_was_put(number: u64) {
            let mut out = Vec::new();
            put_number(&mut out, number);
            let mut reader = Reader(&out);
            prop_assert_eq!(reader.number(), Some(number));
            prop_assert!(reader.is_empty());
        }
    }

    #[test]
    fn a_number_that_does_not_end_or_does_not_fit_is_none() {
        assert_eq!(Reader(&[0xff]).number(), None);
        assert_eq!(Reader(&[0xff; 11]).number(), None);
        let two_to_the_64 = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x02];
        assert_eq!(Reader(&two_to_the_64).number(), None);
    }

    #[test]
    fn a_length_past_the_end_is_none() {
        assert_eq!(Reader(&[5, b'a', b'b']).sized(), None);
        assert_eq!(Reader(&[2, b'a', b'b']).sized(), Some(&b"ab"[..]));
    }
}
