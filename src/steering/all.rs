//! Policy `all`: every member that is up, rotated by the draw.

use crate::model::PoolId;
use crate::steering::walk::{Walk, below};
use crate::steering::{Skip, Trace};

impl<T: Trace> Walk<'_, T> {
    /// Picks up to `answers` members, starting from a drawn one and going round; those that wait for
    /// their failback only when there is no other.
    pub(super) fn pick_all(&mut self, id: PoolId, draw: u64) -> bool {
        self.tell_unusable(id);
        self.found.drew = true;
        self.go_round(id, draw, Ok(())) || self.go_round(id, draw, Err(Skip::Held))
    }

    /// Goes once round the members that look like `wanted`.
    fn go_round(&mut self, id: PoolId, draw: u64, wanted: Result<(), Skip>) -> bool {
        let pool = self.pool(id);
        let mut usable: u64 = 0;
        for member in self.candidates(pool) {
            usable += u64::from(self.look(id, member) == wanted);
        }
        let first = below(usable, draw);
        let mut room = pool.answers.max(1);
        let mut taken = false;
        let mut position = 0;
        for member in self.candidates(pool).chain(self.candidates(pool)) {
            if self.look(id, member) != wanted {
                continue;
            }
            if (first..first + usable).contains(&position) {
                if room == 0 || self.full() {
                    self.skip(id, member, Skip::Draw);
                } else if self.take(id, member) {
                    room -= 1;
                    taken = true;
                }
            }
            position += 1;
            let done = room == 0 || self.full();
            if position == first + usable || (done && !self.trace.hears()) {
                break;
            }
        }
        taken
    }
}
