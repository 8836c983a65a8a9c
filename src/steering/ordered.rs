//! Policies `failover`, `nearest`, `geo` and `latency`: the first member that will do, in an order known beforehand.

use crate::model::PoolId;
use crate::steering::walk::Walk;
use crate::steering::{Skip, Trace};

impl<T: Trace> Walk<'_, T> {
    /// Picks up to `answers` members in order; those that wait for their failback only when there is no
    /// other. With `trickle`, that share of draws puts the first usable member last, to prove the next.
    pub(super) fn pick_in_order(&mut self, id: PoolId, draw: u64) -> bool {
        let pool = self.pool(id);
        let wanted = pool.answers.max(1);
        self.found.drew |= pool.trickle > 0;
        let mut taken = 0;
        let mut waiting = false;
        let mut proves_standby = !self.last_resort && ((draw >> 32) as u32) < pool.trickle;
        let mut put_last = None;
        for member in self.in_turn(id) {
            if taken == wanted || self.full() {
                break;
            }
            match self.look(id, member) {
                Ok(()) if proves_standby => {
                    proves_standby = false;
                    put_last = Some(member);
                    self.skip(id, member, Skip::Trickle);
                }
                Ok(()) => taken += u8::from(self.take(id, member)),
                Err(reason) => {
                    waiting |= reason == Skip::Held;
                    self.skip(id, member, reason);
                }
            }
        }
        if let Some(first) = put_last
            && taken < wanted
            && !self.full()
        {
            taken += u8::from(self.take(id, first));
        }
        if taken == 0 && waiting {
            taken += self.pick_held(id, wanted);
        }
        taken > 0
    }

    /// Picks among members that wait for their failback; returns how many.
    fn pick_held(&mut self, id: PoolId, wanted: u8) -> u8 {
        let mut taken = 0;
        for member in self.in_turn(id) {
            if taken == wanted || self.full() {
                break;
            }
            if self.look(id, member) == Err(Skip::Held) {
                taken += u8::from(self.take(id, member));
            }
        }
        taken
    }
}
