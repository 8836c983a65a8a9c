//! Members that recovered and wait until they are used again ([`Failback`]).

use std::collections::HashMap;

use foldhash::fast::FixedState;

use crate::health::{HealthMap, Hold, Verdict};
use crate::keeper::SavedHold;
use crate::keeper::probes::Names;
use crate::keeper::verdicts::regions;
use crate::model::{Failback, Family, Inventory, Member, Moment, Pool, PoolId, Use};

/// Who waits, and since when it is up.
#[derive(Debug, Default)]
pub(super) struct Holds(HashMap<Hold, Moment, FixedState>);

impl Holds {
    /// Follows what turned between two maps: who recovered waits, who is down waits no more. Returns the
    /// pools in which somebody waited long enough.
    pub fn follow(
        &mut self,
        before: &HealthMap,
        after: &HealthMap,
        inventory: &Inventory,
        now: Moment,
    ) -> Vec<PoolId> {
        for (pool, member, picks) in waiting_members(inventory) {
            for region in regions(inventory) {
                for family in Family::BOTH {
                    let hold = Hold { pool, member, region, family };
                    match (is_up(picks, before, &hold), is_up(picks, after, &hold)) {
                        (_, false) => drop(self.0.remove(&hold)),
                        (false, true) => drop(self.0.insert(hold, now)),
                        (true, true) => {}
                    }
                }
            }
        }
        self.release(|hold, since| match inventory.pools[hold.pool.index()].failback {
            Failback::Auto => true,
            Failback::Manual => false,
            Failback::After(wait) => now.since(since) >= wait,
        })
    }

    /// Lets all members of a pool be used again.
    pub fn fail_back(&mut self, pool: PoolId) {
        self.release(|hold, _| hold.pool == pool);
    }

    /// Writes them into a map.
    pub fn write(&self, map: &mut HealthMap) {
        map.holds_mut().extend(self.0.keys().copied());
    }

    /// By names, in the order of names.
    pub fn save(&self, inventory: &Inventory) -> Vec<SavedHold> {
        let saved = |(hold, since): (&Hold, &Moment)| {
            let pool = &inventory.pools[hold.pool.index()];
            SavedHold {
                pool: pool.name.to_string(),
                member: inventory.name_of(pool.members[usize::from(hold.member)].picks).to_string(),
                region: inventory.regions[hold.region.index()].name.to_string(),
                v6: hold.family == Family::V6,
                since: *since,
            }
        };
        let mut saved: Vec<SavedHold> = self.0.iter().map(saved).collect();
        saved.sort_by(|a, b| {
            (&a.pool, &a.member, &a.region, a.v6).cmp(&(&b.pool, &b.member, &b.region, b.v6))
        });
        saved
    }

    /// From names; what the plan does not have is left out.
    pub fn restore(saved: &[SavedHold], inventory: &Inventory, names: &Names) -> Self {
        let hold = |saved: &SavedHold| {
            let pool = inventory.pool(&saved.pool)?;
            let Pool { members, failback, .. } = &inventory.pools[pool.index()];
            let named = |member: &Member| inventory.name_of(member.picks) == saved.member;
            let member = u16::try_from(members.iter().position(named)?).ok()?;
            let family = if saved.v6 { Family::V6 } else { Family::V4 };
            let region = names.region(&saved.region)?;
            (*failback != Failback::Auto).then_some((Hold { pool, member, region, family }, saved.since))
        };
        Self(saved.iter().filter_map(hold).collect())
    }

    /// Lets those go that `done` says; returns their pools, each once, in order.
    fn release(&mut self, done: impl Fn(&Hold, Moment) -> bool) -> Vec<PoolId> {
        let mut pools: Vec<PoolId> =
            self.0.extract_if(|hold, since| done(hold, *since)).map(|(hold, _)| hold.pool).collect();
        pools.sort_unstable();
        pools.dedup();
        pools
    }
}

/// Every member of a pool whose recovered members wait.
fn waiting_members(inventory: &Inventory) -> impl Iterator<Item = (PoolId, u16, Use)> {
    let pools = inventory.pools.iter().enumerate().filter(|(_, pool)| pool.failback != Failback::Auto);
    pools.flat_map(|(index, pool)| {
        (0..).zip(&pool.members).map(move |(member, of)| (PoolId::at(index), member, of.picks))
    })
}

fn is_up(picks: Use, map: &HealthMap, hold: &Hold) -> bool {
    match picks {
        Use::Endpoint(id) => map.endpoint(id, hold.region, hold.family).verdict != Verdict::Down,
        Use::Pool(id) => map.pool(id, hold.region, hold.family).up,
    }
}
