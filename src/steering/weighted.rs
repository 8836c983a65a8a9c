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
        self.found.drew = true;
        [Rank::Weighted, Rank::Weightless, Rank::Held].into_iter().any(|rank| self.draw_among(id, rank, draw))
    }

    fn draw_among(&mut self, id: PoolId, rank: Rank, mut draw: u64) -> bool {
        let pool = self.pool(id);
        let mut shares: Shares = self.candidates(pool).map(|member| self.share(id, member, rank)).collect();
        let mut total: u64 = shares.iter().sum();
        // known only to a sticky pool: the same for every answer it gives
        let waits: Waits = if pool.sticky { self.waits(id, &shares) } else { Waits::new() };
        let mut taken = 0;
        while total > 0 && taken < pool.answers.max(1) && !self.full() {
            let position =
                if pool.sticky { shortest(&waits, &shares) } else { holding(&shares, below(total, draw)) };
            let next = position.and_then(|position| self.candidates(pool).enumerate().nth(position));
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

    /// What a member may win of the draws of a rank, in thousandths of a weight: 0 if it is of another.
    fn share(&self, id: PoolId, member: u16, rank: Rank) -> u64 {
        let weight = u64::from(self.pool(id).members[usize::from(member)].weight);
        if self.rank(id, member) == Ok(rank) { weight.max(1) * self.thousandths(id, member) } else { 0 }
    }

    fn rank(&self, id: PoolId, member: u16) -> Result<Rank, Skip> {
        match self.look(id, member) {
            Ok(()) if self.pool(id).members[usize::from(member)].weight == 0 => Ok(Rank::Weightless),
            Ok(()) => Ok(Rank::Weighted),
            Err(Skip::Held) => Ok(Rank::Held),
            Err(reason) => Err(reason),
        }
    }

    /// How long the client's hash lets each candidate wait, by position: the shortest is the best.
    fn waits(&self, id: PoolId, shares: &Shares) -> Waits {
        let pool = self.pool(id);
        let wait = |(member, share): (u16, &u64)| {
            let name = || self.inventory.name_of(pool.members[usize::from(member)].picks);
            if *share == 0 {
                f64::INFINITY
            } else {
                exponential(self.sticky_draw(pool), name()) / *share as f64
            }
        };
        self.candidates(pool).zip(shares).map(wait).collect()
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

/// How long each candidate waits, by position; see [`exponential`].
type Waits = SmallVec<[f64; 16]>;

/// The position of the shortest wait among those that still have a share.
fn shortest(waits: &Waits, shares: &Shares) -> Option<usize> {
    let left = waits.iter().zip(shares).enumerate().filter(|(_, (_, share))| **share > 0);
    left.min_by(|(_, (a, _)), (_, (b, _))| a.total_cmp(b)).map(|(position, _)| position)
}

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
