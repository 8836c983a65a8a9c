//! How long a reply as a whole may be kept: what caches of other kinds than DNS want to know (RFC 8484
//! section 5.1).

use super::HEADER;

/// The least TTL of the answer and authority sections, in seconds; 0 if there is none, or it is no whole
/// message.
pub fn of(message: &[u8]) -> u32 {
    least(message).unwrap_or(0)
}

fn least(message: &[u8]) -> Option<u32> {
    let (header, mut rest) = message.split_first_chunk::<HEADER>()?;
    let count = |index: usize| u16::from_be_bytes([header[2 * index], header[2 * index + 1]]);
    for _ in 0..count(2) {
        rest = after_name(rest)?.get(TYPE_AND_CLASS..)?;
    }
    let mut least = None;
    for _ in 0..u32::from(count(3)) + u32::from(count(4)) {
        let fixed = after_name(rest)?;
        let (&[_, _, _, _, ttl @ .., l0, l1], data) = fixed.split_first_chunk::<RECORD_FIXED>()?;
        let ttl = u32::from_be_bytes(ttl);
        least = Some(least.map_or(ttl, |least: u32| least.min(ttl)));
        rest = data.get(usize::from(u16::from_be_bytes([l0, l1]))..)?;
    }
    least
}

/// What follows the name that `octets` starts with; a compression pointer ends it.
fn after_name(mut octets: &[u8]) -> Option<&[u8]> {
    loop {
        match usize::from(*octets.first()?) {
            0 => return octets.get(1..),
            0xC0.. => return octets.get(2..),
            label => octets = octets.get(1 + label..)?,
        }
    }
}

const TYPE_AND_CLASS: usize = 4;
/// Type, class, TTL and length of RDATA.
const RECORD_FIXED: usize = 10;

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::dns::tests::{A, name, query, with_record};

    #[test]
    fn the_record_that_ends_first_ends_the_reply() {
        let reply = with_record(query("www.example.org", A), &[0xC0, 12], A, 1, [0, 0, 1, 44], &[0; 4]);
        let reply = with_record(reply, &name("example.org"), A, 1, [0, 0, 0, 30], &[0; 4]);
        let mut sections = reply;
        sections[7] = 1;
        sections[9] = 1;
        assert_eq!(of(&sections), 30);
        sections[9] = 0;
        assert_eq!(of(&sections), 300);
        sections[7] = 0;
        assert_eq!(of(&sections), 0);
    }

    proptest! {
        #[test]
        fn any_octets_have_a_lifetime(octets in vec(any::<u8>(), 0..200)) {
            of(&octets);
        }
    }
}
