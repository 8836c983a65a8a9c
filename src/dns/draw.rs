//! Chance and time: the random number of each query, and when it came. Speed matters and secrecy does not: a draw only
//! decides which member of a pool an answer names.

use std::hash::{BuildHasher, RandomState};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::dnssec::Seconds;

/// A stream of draws: splitmix64, which passes BigCrush and costs about a nanosecond.
#[derive(Clone, Debug)]
pub struct Draws(u64);

impl Draws {
    /// A stream of its own, from the seed that the standard library gets of the system.
    pub fn seeded() -> Self {
        Self(RandomState::new().hash_one(0))
    }

    /// The next draw.
    #[inline]
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

/// What the wall clock shows: signatures are dated, and read by machines that go by theirs.
#[inline]
pub fn wall_clock() -> Seconds {
    Seconds(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_is_that_of_splitmix64() {
        let mut draws = Draws(1_234_567);
        assert_eq!(draws.draw(), 6_457_827_717_110_365_317);
        assert_eq!(draws.draw(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn two_streams_differ() {
        assert_ne!(Draws::seeded().draw(), Draws::seeded().draw());
    }
}
