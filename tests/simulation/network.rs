//! Between probes and servers: loss, delay, reordering, duplicates, and links that are cut.
//!
//! ```text
//!   report --cut?--lost?--> delay --------------------> arrives
//!                             `--twice?--> delay -----> arrives again, perhaps long after
//! ```
//!
//! A server that is severed hears nothing over the network, its own words neither; the probe beside it, if it has
//! one, it hears all the same. Delays are drawn for each message alone, so that a wide spread of them is reordering.

use std::collections::BTreeSet;

use crate::dice::Dice;

/// What a message meets; times are in milliseconds.
#[derive(Clone, Debug)]
pub struct Network {
    pub weather: Weather,
    /// Links that carry nothing: probe, server.
    cut: BTreeSet<(usize, usize)>,
    /// Servers to which nothing comes.
    severed: BTreeSet<usize>,
    /// The one to which nothing comes until all is healed.
    parted: Option<usize>,
}

#[derive(Clone, Copy, Debug)]
pub struct Weather {
    loss: f64,
    delay_max: u64,
    twice: f64,
    /// A duplicate comes so much later at most.
    late_max: u64,
}

impl Network {
    pub fn new(weather: Weather) -> Self {
        Self { weather, cut: BTreeSet::new(), severed: BTreeSet::new(), parted: None }
    }

    /// When a message arrives, counted from now: not at all, once or twice.
    pub fn carry(&self, probe: usize, server: usize, dice: &mut Dice) -> impl Iterator<Item = u64> + use<> {
        let Weather { loss, delay_max, twice, late_max } = self.weather;
        let cut = self.cut.contains(&(probe, server)) || self.is_severed(server);
        let lost = cut || dice.chance(loss);
        let first = (!lost).then(|| dice.between(DELAY_MIN, delay_max));
        let again = (!lost && dice.chance(twice)).then(|| dice.between(DELAY_MIN, late_max));
        first.into_iter().chain(again)
    }

    /// When what a server says comes back to it.
    pub fn echo(&self, server: usize, dice: &mut Dice) -> Option<u64> {
        let lost = self.is_severed(server) || dice.chance(self.weather.loss);
        (!lost).then(|| dice.between(DELAY_MIN, self.weather.delay_max))
    }

    pub fn sever(&mut self, server: usize) {
        self.severed.insert(server);
    }

    /// Severs it so that it is not mended.
    pub fn part(&mut self, server: usize) {
        self.parted = Some(server);
    }

    fn is_severed(&self, server: usize) -> bool {
        self.severed.contains(&server) || self.parted == Some(server)
    }

    pub fn cut(&mut self, links: impl Iterator<Item = (usize, usize)>) {
        self.cut.extend(links);
    }

    pub fn mend(&mut self) {
        self.cut.clear();
        self.severed.clear();
    }
}

impl Weather {
    pub const CALM: Self = Self { loss: 0.0, delay_max: 50, twice: 0.0, late_max: 50 };

    pub fn any(dice: &mut Dice) -> Self {
        Self {
            loss: dice.pick(&[0.0, 0.02, 0.2, 0.6]),
            delay_max: dice.pick(&[20, 200, 3_000]),
            twice: dice.pick(&[0.0, 0.1, 0.5]),
            late_max: dice.pick(&[100, 3_000, 15_000]),
        }
    }
}

const DELAY_MIN: u64 = 1;
