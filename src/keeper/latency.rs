//! Round-trip times: what each region's probes measured, and the orders that follow, over plans and restarts.
//!
//! ```text
//!   probe --smoothed, of each monitor--> the lowest --.
//!   probe --smoothed, of each monitor--> the lowest --+--> the median: the region's
//!   probe --smoothed, of each monitor--> the lowest --'
//! ```
//!
//! Only of a region's own probes: how far an endpoint is from elsewhere says nothing. Where none of them
//! measures just now, the last time stands.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::FixedState;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::health::{HealthMap, Measured, Opinion, Vote};
use crate::keeper::cases::cases_of;
use crate::keeper::names::Names;
use crate::keeper::probes::Voter;
use crate::keeper::slots::pools;
use crate::keeper::verdicts::endpoints;
use crate::model::{Family, Inventory, Policy, RegionId, SituationId};

/// The order of a `latency` pool, by names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SavedOrder {
    /// The pool.
    pub pool: String,
    /// The situation of its clients.
    pub region: String,
    /// True: IPv6.
    pub v6: bool,
    /// The members that were measured, by what they pick, in their order, and their times in microseconds.
    pub members: Vec<(String, u32)>,
}

/// Writes the round-trip time of every endpoint from every region down, if anybody goes by it. `before` is what
/// was written last.
pub(super) fn write(map: &mut HealthMap, inventory: &Inventory, voters: &[Voter<'_>], before: &HealthMap) {
    if inventory.pools.iter().all(|pool| pool.policy != Policy::Latency) {
        return;
    }
    for (id, endpoint) in endpoints(inventory) {
        for case in cases_of(id.index(), inventory) {
            let targets = &endpoint.targets[case.family.index()];
            let lowest_of = |voter: &Voter<'_>| {
                lowest(targets.iter().filter_map(|target| voter.on(*target)), case.region)
            };
            let measured = median(voters.iter().filter_map(lowest_of));
            case.standing_mut(map).rtt_us = measured.or(case.standing(before).rtt_us);
        }
    }
}

/// All orders, in the order of pools.
pub(super) fn save(map: &HealthMap, inventory: &Inventory) -> Vec<SavedOrder> {
    let mut saved = Vec::new();
    for (id, pool) in pools(inventory).filter(|(_, pool)| pool.policy == Policy::Latency) {
        for situation in inventory.situation_ids() {
            for family in Family::BOTH {
                let Some(measured) = map.measured(id, situation, family) else { continue };
                let member = |(member, rtt_us): &(u16, u32)| {
                    (inventory.name_of(pool.members[usize::from(*member)].picks).to_string(), *rtt_us)
                };
                saved.push(SavedOrder {
                    pool: pool.name.to_string(),
                    region: inventory.situation_name(situation),
                    v6: family == Family::V6,
                    members: measured.order().iter().map(member).collect(),
                });
            }
        }
    }
    saved
}

/// Writes orders into a map; what the plan does not have is left out.
pub(super) fn restore(map: &mut HealthMap, saved: &[SavedOrder], inventory: &Inventory, names: &Names) {
    let situations: HashMap<String, SituationId, FixedState> =
        inventory.situation_ids().map(|id| (inventory.situation_name(id), id)).collect();
    for saved in saved {
        let known = (names.pool(&saved.pool), situations.get(&saved.region));
        let (Some(id), Some(&situation)) = known else { continue };
        let pool = &inventory.pools[id.index()];
        if pool.policy != Policy::Latency {
            continue;
        }
        let members = (0..).zip(&pool.members).map(|(place, one)| (inventory.name_of(one.picks), place));
        let members: HashMap<&str, u16, FixedState> = members.collect();
        let member = |(name, rtt_us): &(String, u32)| Some((*members.get(name.as_str())?, *rtt_us));
        let order = saved.members.iter().filter_map(member).collect();
        let family = if saved.v6 { Family::V6 } else { Family::V4 };
        map.set_measured(id, situation, family, Arc::new(Measured::new(order, pool.members.len())));
    }
}

/// The lowest that a probe measured of any of these targets while it passed, if it is of this region.
fn lowest(votes: impl Iterator<Item = Vote>, region: RegionId) -> Option<u32> {
    let passed = votes.filter(|vote| vote.region == region && vote.opinion == Opinion::Up);
    passed.filter_map(|vote| vote.rtt_us).min()
}

/// The one in the middle, of an even number the mean of the two.
fn median(measured: impl Iterator<Item = u32>) -> Option<u32> {
    let mut measured: SmallVec<[u32; 16]> = measured.collect();
    measured.sort_unstable();
    let upper = *measured.get(measured.len() / 2)?;
    let lower = measured[(measured.len() - 1) / 2];
    Some(lower.midpoint(upper))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        let of = |measured: &[u32]| median(measured.iter().copied());
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[7]), Some(7));
        assert_eq!(of(&[9000, 7, 8]), Some(8));
        assert_eq!(of(&[10, 1, 4, 8]), Some(6));
        assert_eq!(of(&[u32::MAX, u32::MAX]), Some(u32::MAX));
    }

    #[test]
    fn only_what_passed_and_was_measured_in_the_region_counts() {
        let vote = |region, opinion, rtt_us| {
            let region = RegionId(region);
            let site = None;
            Vote { region, site, opinion, moving: false, last: None, rtt_us: Some(rtt_us), agent: None }
        };
        let probe = [vote(0, Opinion::Up, 900), vote(0, Opinion::Up, 800), vote(0, Opinion::Down, 100)];
        assert_eq!(lowest(probe.into_iter(), RegionId(0)), Some(800));
        assert_eq!(lowest(probe.into_iter(), RegionId(1)), None);
    }
}
