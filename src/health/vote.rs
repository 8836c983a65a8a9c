//! The vote: from what probes hold of a target to a verdict for one region.

use crate::health::{Kind, Opinion, Verdict};
use crate::model::RegionId;

/// One probe's say on one target: fresh and trusted, or it is not here at all.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Vote {
    /// The region of the probe.
    pub region: RegionId,
    /// What it holds. `Unknown` is no vote.
    pub opinion: Opinion,
    /// Whether its last results speak against what it holds.
    pub moving: bool,
    /// How its last check ended.
    pub last: Option<Kind>,
    /// Its round-trip time in microseconds.
    pub rtt_us: Option<u32>,
}

/// Whose votes a verdict rests on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Basis {
    /// No monitor: always up.
    #[default]
    Unmonitored,
    /// The probes of the region itself.
    Region,
    /// No vote in the region: the other regions, one vote each.
    Others,
    /// No vote anywhere: the last verdict stands.
    Kept,
    /// An operator fixed it.
    Operator,
}

/// Why a verdict is what it is: for explain and status. Of the monitor that decided.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Evidence {
    /// Whose votes count.
    pub basis: Basis,
    /// How many of them say down.
    pub down: u16,
    /// How many there are.
    pub votes: u16,
    /// How a check of one that says down ended.
    pub kind: Option<Kind>,
    /// Smallest round-trip time seen by those probes, in microseconds.
    pub rtt_us: Option<u32>,
}

/// The verdict on one target for clients of `region`: `None` when there is no vote anywhere.
///
/// `quorum` percent (1..=100) of the votes must say down, rounded up, or it is Up.
pub fn judge(votes: &[Vote], region: RegionId, quorum: u8) -> Option<(Verdict, bool, Evidence)> {
    let _ = (votes, region, quorum);
    todo!()
}
