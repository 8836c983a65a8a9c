//! Flap damping: who turns again and again stays down until it is quiet.
//!
//! ```text
//!   its checks  up ----.  .----.  .--------.  .---------------------
//!                      `--'    `--'        `--'
//!                      1  2    3  4        5  6 |---- hold ----|
//!   verdict     up ----.  .----.                               .-----
//!                      `--'    `-------------------------------'
//!                                 flaps: 4 changes within the time that is given
//! ```
//!
//! A change is one from usable to Down or back, of what the checks say for one region and family; what
//! operators say is none. Damping takes nobody out: it only keeps down who is down already, and so can
//! empty no answer that Down would not. While nobody votes nothing changes, and that is quiet.

use std::collections::{BTreeMap, VecDeque};

use crate::health::{Basis, HealthMap, Verdict};
use crate::keeper::cases::{Case, cases_of};
use crate::keeper::names::Names;
use crate::keeper::state::SavedFlaps;
use crate::model::{Flap, Inventory, Moment};

/// The changes of late of every endpoint that is damped if it flaps.
#[derive(Debug, Default)]
pub(super) struct Flaps(BTreeMap<Case, Changes>);

/// The changes of one verdict of the checks.
#[derive(Debug, Default)]
struct Changes {
    /// The last of them, oldest first; never more than count.
    at: VecDeque<Moment>,
    /// There were too many: it stays down.
    damped: bool,
}

impl Flaps {
    /// Follows what the checks say from one time to the next; returns who is held down from now on.
    pub fn follow(
        &mut self,
        (before, after): (&HealthMap, &HealthMap),
        inventory: &Inventory,
        now: Moment,
    ) -> Vec<Case> {
        let mut held_down = Vec::new();
        for (case, flap) in damped_cases(inventory) {
            let [was, is] = [before, after].map(|map| case.standing(map).usable());
            if was == is {
                continue;
            }
            let changes = self.0.entry(case).or_default();
            if changes.note(flap, now) {
                held_down.push(case);
            }
        }
        self.0.retain(|case, changes| {
            let flap = inventory.endpoints[case.endpoint.index()].flap;
            flap.is_some_and(|flap| changes.matter(flap, now))
        });
        held_down
    }

    /// Holds down who flaps and whose checks say that it is usable just now.
    pub fn write(&self, map: &mut HealthMap) {
        for (case, _) in self.0.iter().filter(|(_, changes)| changes.damped) {
            let standing = case.standing_mut(map);
            if standing.usable() {
                standing.verdict = Verdict::Down;
                standing.evidence.basis = Basis::Damped;
            }
        }
    }

    /// By names.
    pub fn save(&self, inventory: &Inventory) -> Vec<SavedFlaps> {
        let saved = |(case, changes): (&Case, &Changes)| SavedFlaps {
            of: case.save(inventory),
            changes: changes.at.iter().copied().collect(),
            damped: changes.damped,
        };
        self.0.iter().map(saved).collect()
    }

    /// From names; what the plan does not have, or does not damp, is left out. Nothing changed later than `now`.
    pub fn restore(saved: &[SavedFlaps], inventory: &Inventory, names: &Names, now: Moment) -> Self {
        let changes = |saved: &SavedFlaps| {
            let case = Case::restore(&saved.of, inventory, names)?;
            let flap = inventory.endpoints[case.endpoint.index()].flap?;
            let skipped = saved.changes.len().saturating_sub(flap.changes as usize);
            let at = saved.changes.iter().skip(skipped).map(|at| (*at).min(now)).collect();
            Some((case, Changes { at, damped: saved.damped }))
        };
        Self(saved.iter().filter_map(changes).collect())
    }
}

impl Changes {
    /// Notes a change; says whether it is the one too many.
    fn note(&mut self, flap: Flap, now: Moment) -> bool {
        while self.at.len() >= flap.changes as usize {
            self.at.pop_front();
        }
        self.at.push_back(now);
        let first = self.at.front().filter(|_| self.at.len() == flap.changes as usize);
        let too_many = first.is_some_and(|first| now.since(*first) <= flap.within);
        let newly = too_many && !self.damped;
        self.damped |= too_many;
        newly
    }

    /// Whether they still count for anything: who was quiet long enough starts anew.
    fn matter(&self, flap: Flap, now: Moment) -> bool {
        let quiet = self.at.back().map(|last| now.since(*last));
        let counts = if self.damped { flap.hold } else { flap.within };
        quiet.is_some_and(|quiet| quiet < counts)
    }
}

/// Every verdict of an endpoint that is damped if it flaps, and by which rule.
fn damped_cases(inventory: &Inventory) -> impl Iterator<Item = (Case, Flap)> {
    let damped = inventory.endpoints.iter().enumerate().filter_map(|(index, one)| Some((index, one.flap?)));
    damped.flat_map(|(index, flap)| cases_of(index, inventory).map(move |case| (case, flap)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    const FLAP: Flap = Flap { changes: 3, within: Duration::from_secs(60), hold: Duration::from_secs(30) };

    fn second(seconds: u64) -> Moment {
        Moment(seconds * 1000)
    }

    #[test]
    fn as_many_changes_as_are_too_many_must_come_within_the_time() {
        let mut slow = Changes::default();
        assert!([0, 31, 62, 93, 124].iter().all(|at| !slow.note(FLAP, second(*at))));
        assert!(slow.note(FLAP, second(125)), "62 s before it was the first of three, now it is 32 s");
    }

    #[test]
    fn a_change_while_it_is_held_down_makes_it_wait_again() {
        let mut changes = Changes::default();
        let told: Vec<bool> = [0, 1, 2, 20].iter().map(|at| changes.note(FLAP, second(*at))).collect();
        assert_eq!(told, [false, false, true, false], "it is told once");
        assert!(changes.matter(FLAP, second(49)) && !changes.matter(FLAP, second(50)));
    }

    proptest! {
        #[test]
        fn no_more_is_kept_than_counts(times in proptest::collection::vec(0..50u64, 0..40)) {
            let mut changes = Changes::default();
            let mut now = 0;
            for pause in times {
                now += pause;
                changes.note(FLAP, second(now));
                prop_assert!(changes.at.len() <= FLAP.changes as usize);
            }
        }
    }
}
