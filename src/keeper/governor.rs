//! The governor: automation takes out no more than a share of all endpoints within a time.
//!
//! ```text
//!   50% of four endpoints, for the clients of eu over IPv4        |---- within ----|
//!   down by its checks     fra lon       par ams                  par
//!   down in the map        fra lon                                fra lon par
//!   held back                            par ams: ALARM           ams
//! ```
//!
//! When so much fails at once, what watches is more likely broken than what is watched. It is counted for
//! the clients of each region and family alone, over the endpoints that are checked in it: they keep the
//! rest, whatever happens elsewhere. Who is down longer than that time counts no more, and who is up again
//! does not either. Who is held back stays so while nobody votes. What operators say is theirs: it is neither
//! governed nor counted.
//!
//! Of several that turn at once those go first whose checks turned first, then by name. What turned in
//! another order on another server may be held back there in that order.

use std::collections::{BTreeMap, BTreeSet};

use crate::health::{HealthMap, Verdict};
use crate::keeper::cases::{Case, SavedCase, cases_of};
use crate::keeper::names::Names;
use crate::model::{Family, Governor, Inventory, Moment, RegionId};

/// What automation took out, and what it wanted to take out and may not.
#[derive(Debug, Default)]
pub(super) struct Withdrawals {
    /// Who is down, and since when.
    out: BTreeMap<Case, Moment>,
    held: BTreeSet<Case>,
}

/// What became of what automation wanted.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Governed {
    /// Who is held back from now on, in order.
    pub newly_held: Vec<Case>,
    /// Somebody was held back, and nobody is any more.
    pub rests: bool,
}

impl Withdrawals {
    /// Lets those turn Down between two maps that may, and leaves the others in the second as they were.
    pub fn govern(
        &mut self,
        before: &HealthMap,
        after: &mut HealthMap,
        inventory: &Inventory,
        now: Moment,
    ) -> Governed {
        let held_before = std::mem::take(&mut self.held);
        match inventory.governor {
            Some(governor) => self.judge(governor, (before, after), &held_before, inventory, now),
            None => self.out.clear(),
        }
        self.write(before, after);
        let newly_held = self.held.difference(&held_before).copied().collect();
        Governed { newly_held, rests: self.held.is_empty() && !held_before.is_empty() }
    }

    /// Leaves those who are held back as they were.
    pub fn write(&self, before: &HealthMap, after: &mut HealthMap) {
        for case in &self.held {
            let was = case.standing(before);
            let standing = case.standing_mut(after);
            standing.verdict = if was.usable() { was.verdict } else { Verdict::Unknown };
            standing.governed = true;
            standing.moving = true;
        }
    }

    /// Who is held back, by names.
    pub fn save(&self, inventory: &Inventory) -> Vec<SavedCase> {
        self.held.iter().map(|case| case.save(inventory)).collect()
    }

    /// From names; what the plan does not have is left out.
    pub fn restore(saved: &[SavedCase], inventory: &Inventory, names: &Names) -> Self {
        let held = saved.iter().filter_map(|saved| Case::restore(saved, inventory, names)).collect();
        Self { out: BTreeMap::new(), held }
    }

    fn judge(
        &mut self,
        governor: Governor,
        (before, after): (&HealthMap, &HealthMap),
        held_before: &BTreeSet<Case>,
        inventory: &Inventory,
        now: Moment,
    ) {
        let wants_down = |case: &Case| {
            let standing = case.standing(after);
            standing.control.is_none() && !standing.usable()
        };
        self.out.retain(|case, _| wants_down(case));
        let mut wanted: Vec<Case> = (0..inventory.endpoints.len())
            .flat_map(|endpoint| cases_of(endpoint, inventory))
            .filter(|case| wants_down(case) && !self.out.contains_key(case))
            .collect();
        wanted.retain(|case| {
            let was = case.standing(before);
            let turns = was.usable() || held_before.contains(case);
            if !turns {
                self.out.insert(*case, was.since.unwrap_or(now));
            }
            turns
        });
        wanted.sort_by_cached_key(|case| {
            (case.standing(after).since, inventory.endpoints[case.endpoint.index()].name.clone())
        });
        let at_most = Family::BOTH.map(|family| governor.most_at_once(watched(family, inventory)));
        let mut taken_out = self.lately(governor, now);
        for case in wanted {
            let taken_out = taken_out.entry((case.region, case.family)).or_default();
            let voted = !case.standing(after).stale;
            if voted && *taken_out < at_most[case.family.index()] {
                *taken_out += 1;
                self.out.insert(case, now);
            } else {
                self.held.insert(case);
            }
        }
    }

    /// How many were taken out within the governor's time and still are, for each clients.
    fn lately(&self, governor: Governor, now: Moment) -> BTreeMap<(RegionId, Family), usize> {
        let mut counts = BTreeMap::new();
        for case in self.out.iter().filter(|(_, at)| now.since(**at) < governor.within).map(|(case, _)| case)
        {
            *counts.entry((case.region, case.family)).or_default() += 1;
        }
        counts
    }
}

/// The endpoints that are checked over a family.
fn watched(family: Family, inventory: &Inventory) -> usize {
    inventory.endpoints.iter().filter(|endpoint| !endpoint.targets[family.index()].is_empty()).count()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::model::EndpointId;
    use crate::steering::tests_support::World;

    const HALF: Governor = Governor { withdraw_max: 50, within: Duration::from_secs(60) };

    fn world(endpoints: usize) -> World {
        let mut world = World::new(&["eu", "us"]);
        for n in 0..endpoints {
            world.endpoint(&format!("e{n}"), &[&format!("192.0.2.{n}")]);
        }
        world.inventory.governor = Some(HALF);
        world
    }

    fn case(endpoint: usize, region: u16) -> Case {
        Case { endpoint: EndpointId::at(endpoint), region: RegionId(region), family: Family::V4 }
    }

    /// A map in which these endpoints are down in `eu`, each since the second beside it.
    fn down(world: &World, endpoints: &[(usize, u64)]) -> HealthMap {
        let mut map = HealthMap::new(&world.inventory);
        for (endpoint, since) in endpoints {
            let standing = case(*endpoint, 0).standing_mut(&mut map);
            (standing.verdict, standing.since) = (Verdict::Down, Some(Moment(since * 1000)));
        }
        map
    }

    #[test]
    fn those_whose_checks_turned_first_go_first_and_then_by_name() {
        let world = world(4);
        let mut withdrawals = Withdrawals::default();
        let mut after = down(&world, &[(3, 7), (2, 9), (1, 9), (0, 9)]);
        let before = HealthMap::new(&world.inventory);
        let governed = withdrawals.govern(&before, &mut after, &world.inventory, Moment(9_000));
        assert_eq!(governed.newly_held, [case(1, 0), case(2, 0)]);
        let verdicts = [0, 1, 2, 3].map(|endpoint| case(endpoint, 0).standing(&after).verdict);
        assert_eq!(verdicts, [Verdict::Down, Verdict::Unknown, Verdict::Unknown, Verdict::Down]);
    }

    #[test]
    fn who_was_down_before_there_was_a_governor_stays_down() {
        let world = world(2);
        let before = down(&world, &[(0, 1), (1, 1)]);
        let mut after = before.clone();
        let governed = Withdrawals::default().govern(&before, &mut after, &world.inventory, Moment(2_000));
        assert_eq!((governed, after), (Governed::default(), before));
    }

    #[test]
    fn who_is_held_back_stays_so_while_nobody_votes() {
        let world = world(2);
        let mut withdrawals = Withdrawals::default();
        let mut before = HealthMap::new(&world.inventory);
        let mut verdicts_at = |seconds: u64, stale| {
            let mut after = down(&world, &[(0, 1), (1, 1)]);
            for endpoint in [0, 1] {
                case(endpoint, 0).standing_mut(&mut after).stale = stale;
            }
            withdrawals.govern(&before, &mut after, &world.inventory, Moment(seconds * 1000));
            before = after;
            [0, 1].map(|endpoint| case(endpoint, 0).standing(&before).verdict)
        };
        assert_eq!(verdicts_at(1, false), [Verdict::Down, Verdict::Unknown]);
        assert_eq!(verdicts_at(100, true), [Verdict::Down, Verdict::Unknown], "there would be room");
        assert_eq!(verdicts_at(101, false), [Verdict::Down, Verdict::Down]);
    }

    proptest! {
        /// Each step: the seconds that pass, and whether each endpoint is down by its checks.
        #[test]
        fn never_are_more_out_at_once_than_may_be_and_nobody_is_out_without_cause(
            steps in prop::collection::vec((0..50u64, prop::collection::vec(any::<bool>(), 5)), 1..20),
        ) {
            let world = world(5);
            let mut withdrawals = Withdrawals::default();
            let mut before = HealthMap::new(&world.inventory);
            let mut now = 0;
            for (pause, checks) in steps {
                now += pause;
                let failing: Vec<(usize, u64)> =
                    (0..).zip(&checks).filter(|(_, down)| **down).map(|(endpoint, _)| (endpoint, now)).collect();
                let mut after = down(&world, &failing);
                withdrawals.govern(&before, &mut after, &world.inventory, Moment(now * 1000));
                let mut lately = 0;
                for (endpoint, fails) in checks.iter().enumerate() {
                    let is = *case(endpoint, 0).standing(&after);
                    let was = *case(endpoint, 0).standing(&before);
                    let standing = case(endpoint, 0).standing_mut(&mut after);
                    standing.since = if is.verdict == was.verdict { was.since } else { Some(Moment(now * 1000)) };
                    let since = standing.since.unwrap_or_default();
                    lately += usize::from(!is.usable() && Moment(now * 1000).since(since) < HALF.within);
                    prop_assert!(is.usable() || *fails);
                    prop_assert_eq!(is.governed, is.usable() && *fails);
                }
                prop_assert!(lately <= 2, "{lately} of 5");
                before = after;
            }
        }
    }
}
