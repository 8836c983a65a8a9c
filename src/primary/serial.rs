//! Serial numbers of zones, which go in a circle (RFC 1982).

/// Whether one comes after another.
pub fn is_newer(serial: u32, than: u32) -> bool {
    serial != than && serial.wrapping_sub(than) < HALF
}

/// The number of what comes after `last`, where the zone file says `written`: that, if it is newer, so that operators
/// number their zones as they like; else the next one. Never 0, which some secondaries take for none.
pub(super) fn next(written: u32, last: u32) -> u32 {
    if is_newer(written, last) { written } else { last.wrapping_add(1).max(1) }
}

/// Numbers further apart are the other way round.
const HALF: u32 = 1 << 31;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_in_a_circle() {
        assert!(is_newer(2, 1) && !is_newer(1, 2) && !is_newer(1, 1));
        assert!(is_newer(0, u32::MAX) && is_newer(5, u32::MAX - 5) && !is_newer(u32::MAX, 0));
        // RFC 1982 section 3.2: half of the circle apart neither comes after the other.
        assert!(!is_newer(HALF, 0) && !is_newer(0, HALF));
    }

    #[test]
    fn the_operators_number_counts_if_it_is_newer() {
        assert_eq!((next(2026112101, 7), next(7, 7), next(3, 7)), (2026112101, 8, 8));
        assert_eq!(next(u32::MAX, u32::MAX), 1);
    }
}
