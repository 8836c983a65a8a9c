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
use crate::keeper::probes::Names;
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
