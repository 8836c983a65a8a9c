//! Padding (RFC 7830): replies that are encrypted get one of few lengths, so that theirs says little of
//! what is in them.

use super::option;

/// Pads a message in `out` of `length` octets to the next whole block (RFC 8467 section 4.1), or as far as
/// there is room. Its last record is the OPT record, of `opt_length` octets. The length then.
pub fn pad(out: &mut [u8], length: usize, opt_length: usize) -> usize {
    let padded = (length + OPTION_HEAD).next_multiple_of(BLOCK).min(out.len());
    let Some(zeros) = padded.checked_sub(length + OPTION_HEAD) else { return length };
    let options = opt_length - OPT_FIXED + padded - length;
    out[length - opt_length + OPT_FIXED - 2..][..2].copy_from_slice(&(options as u16).to_be_bytes());
    let [c0, c1] = option::PADDING.to_be_bytes();
    let [l0, l1] = (zeros as u16).to_be_bytes();
    out[length..length + OPTION_HEAD].copy_from_slice(&[c0, c1, l0, l1]);
    out[length + OPTION_HEAD..padded].fill(0);
    padded
}

/// Replies of servers come in blocks of so many octets.
const BLOCK: usize = 468;
/// Code and length of an option.
const OPTION_HEAD: usize = 4;
/// An OPT record without options; its last two octets are the length of those.
const OPT_FIXED: usize = 11;

#[cfg(test)]
mod tests {
    use super::*;

    /// `before` octets and an OPT record with one option of 3 octets.
    fn message(before: usize) -> (Vec<u8>, usize, usize) {
        let mut octets = vec![7; before];
        octets.extend([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 7]);
        octets.extend([0, 3, 0, 3, b'n', b's', b'1']);
        let length = octets.len();
        octets.resize(2000, 9);
        (octets, length, 18)
    }

    #[test]
    fn a_message_fills_whole_blocks_with_zeros() {
        for (before, padded) in [(12, 468), (446, 468), (447, 936), (900, 936)] {
            let (mut out, length, opt_length) = message(before);
            assert_eq!(pad(&mut out, length, opt_length), padded);
            let zeros = padded - length - 4;
            assert_eq!(out[before + 9..before + 11], ((7 + 4 + zeros) as u16).to_be_bytes());
            assert_eq!(out[length..length + 4], [0, 12, (zeros >> 8) as u8, zeros as u8]);
            assert!(out[length + 4..padded].iter().all(|octet| *octet == 0));
        }
    }

    #[test]
    fn padding_takes_no_more_than_there_is_room_for() {
        let (mut out, length, opt_length) = message(100);
        assert_eq!(pad(&mut out[..length + 10], length, opt_length), length + 10);
        let (mut out, length, opt_length) = message(100);
        assert_eq!(pad(&mut out[..length + 3], length, opt_length), length);
    }
}
