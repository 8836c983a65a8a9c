//! Policy `weighted`: by weight and draw.
//!
//! A sticky pool draws by weighted rendezvous hashing: the client's hash gives each member a score of
//! its own, and the best score wins. When a member goes, its clients go to their second best, each to a
//! share of the others by weight; nobody else moves, and all come back when it does. Members are known
//! by name there, so that a plan with other members numbers nobody's clients anew.

use smallvec::SmallVec;

use crate::model::PoolId;
use crate::steering::walk::{Walk, below, scramble};
use crate::steering::{Skip, Trace};

/// Who is drawn from first: a rank only when the one before it has nobody to give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rank {
    /// Usable, with a weight.
    Weighted,
    /// Usable, with weight 0.
    Weightless,
    /// Waiting for its failback.
    Held,
}

impl<T: Trace> Walk<'_, T> {
    /// Draws up to `answers` members by weight, without replacement.
    pub(super) fn pick_by_weight(&mut self, id: PoolId, draw: u64) -> bool {
        self.tell_unusable(id);
        [Rank::Weighted, Rank::Weightless, Rank::Held].into_iter().any(|rank| self.draw_among(id, rank, draw))
    }

    fn draw_among(&mut self, id: PoolId, rank: Rank, mut draw: u64) -> bool {
        let pool = self.pool(id);
        let mut shares: Shares = self.candidates(pool).map(|member| self.share(id, member, rank)).collect();
        let mut total: u64 = shares.iter().sum();
        let mut taken = 0;
        while total > 0 && taken < pool.answers.max(1) && !self.full() {
            let next = if pool.sticky {
                self.best_scored(id, &shares)
            } else {
                let position = holding(&shares, below(total, draw));
                position.and_then(|position| self.candidates(pool).enumerate().nth(position))
            };
            let Some((position, member)) = next else { break };
            total -= shares[position];
            shares[position] = 0;
            taken += u8::from(self.take(id, member));
            draw = scramble(draw);
        }
        if taken > 0 && self.trace.hears() {
            self.tell_passed_over(id, rank, &shares);
        }
        taken > 0
    }

    /// What a member may win of the draws of a rank: 0 if it is of another.
    fn share(&self, id: PoolId, member: u16, rank: Rank) -> u64 {
        let weight = u64::from(self.pool(id).members[usize::from(member)].weight);
        if self.rank(id, member) == Ok(rank) { weight.max(1) } else { 0 }
    }

    fn rank(&self, id: PoolId, member: u16) -> Result<Rank, Skip> {
        match self.look(id, member) {
            Ok(()) if self.pool(id).members[usize::from(member)].weight == 0 => Ok(Rank::Weightless),
            Ok(()) => Ok(Rank::Weighted),
            Err(Skip::Held) => Ok(Rank::Held),
            Err(reason) => Err(reason),
        }
    }

    /// The candidate, by position and by member, that the client's hash gives the best score.
    fn best_scored(&self, id: PoolId, shares: &Shares) -> Option<(usize, u16)> {
        let pool = self.pool(id);
        let mut best = None;
        let mut least = f64::INFINITY;
        for (position, member) in self.candidates(pool).enumerate().filter(|at| shares[at.0] > 0) {
            let name = self.inventory.name_of(pool.members[usize::from(member)].picks);
            let patience = exponential(self.request.sticky, name) / shares[position] as f64;
            if patience < least {
                (best, least) = (Some((position, member)), patience);
            }
        }
        best
    }

    /// Tells of those that were not drawn: `shares` are what is left.
    fn tell_passed_over(&mut self, id: PoolId, rank: Rank, shares: &Shares) {
        for (position, member) in self.candidates(self.pool(id)).enumerate() {
            match self.rank(id, member) {
                Ok(its) if its == rank && shares[position] > 0 => self.skip(id, member, Skip::Draw),
                Ok(its) if its == rank => {}
                Ok(Rank::Held) => self.skip(id, member, Skip::Held),
                Ok(_) => self.skip(id, member, Skip::Weightless),
                Err(_) => {}
            }
        }
    }
}

/// What each candidate may win, by position. Only pools with more members than fit here touch the heap.
type Shares = SmallVec<[u64; 16]>;

/// The position that holds a point, when the shares are laid end to end.
fn holding(shares: &Shares, mut point: u64) -> Option<usize> {
    shares.iter().position(|share| {
        let holds = point < *share;
        point = point.saturating_sub(*share);
        holds
    })
}

/// A number from the exponential distribution, always the same for a client and a name. Of several, each
/// divided by a weight, the smallest is a member's with a chance in proportion to its weight.
fn exponential(client: u64, name: &str) -> f64 {
    let named = name.bytes().fold(FNV_BASIS, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME));
    let uniform = ((scramble(client ^ scramble(named)) >> 11) + 1) as f64 / (1u64 << 53) as f64;
    -uniform.ln()
}

/// FNV-1a, 64 bits: where it starts.
const FNV_BASIS: u64 = 0xcbf2_9ce4_8422_2325;

/// FNV-1a, 64 bits: what it multiplies by.
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;
