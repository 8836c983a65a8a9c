//! What the network does to checks: the same to everybody who looks from the same vantage at the same time.

/// Why checks fail although the endpoint is up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Loss {
    /// None fails.
    None,
    /// Each fails with this chance, whatever came of the others.
    Independent(f64),
    /// The model of Gilbert and Elliott in continuous time: a path is good, then bad, then good; both last
    /// exponentially distributed times. While it is bad every check that starts fails, while it is good none
    /// does.
    Bursts {
        /// Of the time, so much is bad.
        share: f64,
        /// How long a path stays bad, on average, in milliseconds.
        mean: f64,
    },
}

/// How a check of a dead endpoint, or a lost one, ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Ending {
    /// At once.
    Refused,
    /// After the timeout.
    Vanished,
}

/// One endpoint for some time.
#[derive(Clone, Copy, Debug)]
pub struct Trace {
    pub seed: u64,
    pub loss: Loss,
    pub ending: Ending,
    /// It is dead from then on.
    pub death: Option<u64>,
    /// So long.
    pub span: u64,
}

/// What one vantage sees; asked in the order of time.
pub struct Path {
    trace: Trace,
    seed: u64,
    dice: Dice,
    bad: bool,
    /// When that changes.
    until: u64,
}

impl Trace {
    /// The path from a vantage.
    pub fn path(&self, vantage: u64) -> Path {
        let seed = scramble(self.seed ^ scramble(vantage));
        let mut path = Path { trace: *self, seed, dice: Dice(seed), bad: false, until: u64::MAX };
        if let Loss::Bursts { share, .. } = self.loss {
            path.bad = path.dice.share() < share;
            path.until = path.lasts();
        }
        path
    }
}

impl Path {
    /// Whether a check that starts at this time passes.
    pub fn passes(&mut self, at: u64) -> bool {
        let dead = self.trace.death.is_some_and(|death| at >= death);
        !dead && !self.loses(at)
    }

    /// How long after its start a check ended.
    pub fn takes(&self, passed: bool, timeout: u64) -> u64 {
        if passed || self.trace.ending == Ending::Refused { ROUND_TRIP } else { timeout }
    }

    fn loses(&mut self, at: u64) -> bool {
        match self.trace.loss {
            Loss::None => false,
            Loss::Independent(chance) => share_of(scramble(self.seed ^ scramble(at))) < chance,
            Loss::Bursts { .. } => {
                while self.until <= at {
                    self.bad = !self.bad;
                    self.until += self.lasts();
                }
                self.bad
            }
        }
    }

    /// How long the path stays as it is.
    fn lasts(&mut self) -> u64 {
        let Loss::Bursts { share, mean } = self.trace.loss else { return u64::MAX };
        let mean = if self.bad { mean } else { mean * (1.0 - share) / share };
        (-(1.0 - self.dice.share()).ln() * mean) as u64 + 1
    }
}

/// The SplitMix64 generator.
#[derive(Debug)]
pub struct Dice(pub u64);

impl Dice {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mix(self.0)
    }

    /// 0.0..1.0
    pub fn share(&mut self) -> f64 {
        share_of(self.next())
    }

    /// 0..n
    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

/// Every bit of the input changes half of the output.
pub fn scramble(bits: u64) -> u64 {
    mix(bits.wrapping_add(STEP))
}

fn mix(bits: u64) -> u64 {
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

fn share_of(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// A check that is answered takes so long.
const ROUND_TRIP: u64 = 20;
