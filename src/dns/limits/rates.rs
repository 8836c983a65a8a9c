//! How many replies of each kind went to each prefix lately: a table of fixed size.
//!
//! ```text
//!   (prefix, kind) --hash--> set of 4 slots = one cache line: [key until][key until][key until][key until]
//! ```
//!
//! A slot whose time has passed is free: it limits nobody. When a flood from everywhere fills a set, the slot that
//! would be free first makes room. So memory is [`OCTETS`] for a thread, and a reply costs one cache line.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;

use super::Kind;
use super::pace::Pace;

/// The table of one thread.
#[derive(Debug)]
pub struct Rates {
    pace: Pace,
    sets: Box<[Set]>,
    /// Seeded anew at each start: nobody can choose prefixes that meet in one set.
    hasher: RandomState,
}

#[derive(Clone, Copy, Debug, Default)]
#[repr(align(64))]
struct Set([Slot; WAYS]);

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    key: u64,
    until: u64,
}

impl Rates {
    /// So many replies a second of each kind to each prefix, and as many at once.
    pub fn new(rate: u32) -> Self {
        Self {
            pace: Pace::new(rate, rate),
            sets: vec![Set::default(); SETS].into_boxed_slice(),
            hasher: RandomState::default(),
        }
    }

    /// Whether one more reply may go; the time only grows.
    #[inline]
    pub fn take(&mut self, prefix: (u64, bool), kind: Kind, now: u64) -> bool {
        let key = self.hasher.hash_one((prefix, kind));
        let slots = &mut self.sets[key as usize % SETS].0;
        let index = match slots.iter().position(|slot| slot.key == key) {
            Some(index) => index,
            None => {
                let first_free = (0..WAYS).min_by_key(|&index| slots[index].until).unwrap_or(0);
                slots[first_free] = Slot { key, until: now };
                first_free
            }
        };
        let slot = &mut slots[index];
        let moved = self.pace.take(slot.until, now);
        slot.until = moved.unwrap_or(slot.until);
        moved.is_some()
    }
}

const WAYS: usize = 4;
const SETS: usize = 16_384;
/// What a table takes: 1 MiB.
const OCTETS: usize = SETS * size_of::<Set>();
const _: () = assert!(OCTETS == 1 << 20);

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_flood_gets_its_rate_and_not_more_however_long_it_lasts() {
        let mut rates = Rates::new(50);
        let prefix = (0xC000_0200, false);
        let passed = (0..100_000u64).filter(|n| rates.take(prefix, Kind::Positive, n * 100_000)).count();
        // Ten seconds, and what may come at once.
        assert!((540..=50 + 50 * 10).contains(&passed), "{passed}");
    }

    #[test]
    fn a_flood_from_everywhere_does_not_keep_a_quiet_prefix_from_its_replies() {
        let mut rates = Rates::new(5);
        let mut lost = 0;
        for n in 0..1_000_000u64 {
            let now = n * 1_000;
            rates.take((n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20, true), Kind::NoName, now);
            // It asks twice a second.
            if n % (SECOND / 2_000) == 0 {
                lost += u32::from(!rates.take((1, false), Kind::NoName, now));
            }
        }
        assert_eq!(lost, 0);
    }
}
