//! Log lines, and the clock.

mod clock;

pub use clock::Clock;
