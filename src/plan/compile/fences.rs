//! Fences within other pools: what is around a fenced pool must not lead its clients out either.
//!
//! ```text
//!   pool www: failover [ eu, iad ]       eu is down: its clients get iad
//!                        `-- pool eu: geo, fence
//! ```

use crate::model::{OnDown, Pool, PoolId, Use};
use crate::plan::compile::drafts::Draft;
use crate::spec::Diagnostic;
use crate::spec::diagnostic::Place;

/// An error for each pool with a fence within it that has another answer for the same clients. `drafts` are the
/// pools as written, in the order of `pools`: each after those it picks.
pub fn refuse_leaks(pools: &[Pool], drafts: &[&Draft<'_>], found: &mut Vec<Diagnostic>) {
    let mut fences: Vec<Option<PoolId>> = Vec::with_capacity(pools.len());
    for (index, (pool, draft)) in pools.iter().zip(drafts).enumerate() {
        let around = Around { pool, draft, fences: &fences };
        if let Some(inner) = around.first_fence() {
            let fence = &pools[inner.index()].name;
            found.extend(around.ways_out().into_iter().map(|(place, way_out)| {
                let message = format!("{way_out} leads out of the fence of pool `{fence}`");
                Diagnostic::error("fence-leak", place, message).hint(format!(
                    "make the pool with the fence the only member here for its clients, or put all of it inside `{fence}`"
                ))
            }));
        }
        let fence = if pool.fence { Some(PoolId::at(index)) } else { around.first_fence() };
        fences.push(fence);
    }
}

/// A pool that may have fences within it.
struct Around<'a> {
    pool: &'a Pool,
    draft: &'a Draft<'a>,
    /// Of each pool before it: a fenced one at or within it.
    fences: &'a [Option<PoolId>],
}

impl Around<'_> {
    fn first_fence(&self) -> Option<PoolId> {
        (0..self.pool.members.len()).find_map(|member| self.fence_of(member))
    }

    fn fence_of(&self, member: usize) -> Option<PoolId> {
        match self.pool.members[member].picks {
            Use::Pool(id) => self.fences.get(id.index()).copied().flatten(),
            Use::Endpoint(_) => None,
        }
    }

    /// What answers clients of a fence within it from somewhere else. A pool that is fenced itself is asked
    /// for its other members only: that nothing else leads out of it is a rule of its own.
    fn ways_out(&self) -> Vec<(Place, String)> {
        let written = &self.draft.written;
        let mut ways = Vec::new();
        if let Some(member) = self.beside_a_fence() {
            let picks = &self.draft.members[member].spec.picks;
            ways.push((written.place(picks), format!("member `{}`", picks.value)));
        }
        if let Some(fallback) = written.value.fallback.as_ref().filter(|_| !self.pool.fence) {
            ways.push((written.place(fallback), "`fallback`".to_owned()));
        }
        let is_static = self.pool.on_down == OnDown::Static && !self.pool.fence;
        if let Some(on_down) = written.value.on_down.as_ref().filter(|_| is_static) {
            ways.push((written.place(on_down), "`on_down = \"static\"`".to_owned()));
        }
        ways
    }

    /// A member that is tried for the same clients as one with a fence within it.
    fn beside_a_fence(&self) -> Option<usize> {
        self.pool.orders.iter().find_map(|order| {
            let mut tried = order.iter().map(|member| usize::from(*member));
            let fenced = tried.clone().find(|&member| self.fence_of(member).is_some())?;
            tried.find(|&member| member != fenced)
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::plan::compile::fixture::{WORLD, compile};

    /// The codes of a world with a fenced pool `eu`, a pool `www` with these settings, and a name for that.
    fn codes(settings: &str) -> Vec<&'static str> {
        compile(&format!("{WORLD}{EU}[pools.www]\n{settings}\n[names.www]\npool = \"www\"\n")).codes()
    }

    #[test]
    fn a_member_beside_a_fence_leads_out_of_it() {
        for policy in ["failover", "weighted", "nearest", "all"] {
            assert_eq!(codes(&format!("policy = \"{policy}\"\nmembers = [\"eu\", \"iad\"]")), ["fence-leak"]);
        }
    }

    #[test]
    fn a_fallback_or_static_records_around_a_fence_lead_out_of_it() {
        assert_eq!(codes("policy = \"failover\"\nmembers = [\"eu\"]\nfallback = \"iad\""), ["fence-leak"]);
        let found = codes("policy = \"failover\"\nmembers = [\"eu\"]\non_down = \"static\"");
        assert_eq!(found, ["fence-leak", "no-static"]);
    }

    #[test]
    fn a_fence_deeper_within_is_kept_too() {
        let inner = "[pools.inner]\npolicy = \"failover\"\nmembers = [\"eu\"]\n";
        let settings = "policy = \"failover\"\nmembers = [\"inner\", \"iad\"]";
        assert_eq!(codes(&format!("{settings}\n{inner}")), ["fence-leak"]);
    }

    #[test]
    fn other_members_for_other_clients_do_not_lead_out_of_a_fence() {
        let apart = "members = [{ use = \"eu\", regions = [\"eu\"] }, { use = \"iad\", regions = [\"us\"] }]";
        assert_eq!(codes(&format!("policy = \"geo\"\n{apart}")), [] as [&str; 0]);
        assert_eq!(codes(&format!("policy = \"geo\"\nfence = true\n{apart}")), [] as [&str; 0]);
        let default = apart.replace("regions = [\"us\"]", "default = true");
        assert_eq!(codes(&format!("policy = \"geo\"\n{default}")), ["fence-leak"]);
        assert_eq!(codes(&format!("policy = \"geo\"\nfence = true\n{default}")), [] as [&str; 0]);
    }

    #[test]
    fn a_fence_leaks_whether_or_not_anybody_is_there() {
        let map = "[maps.legal.regions.de]\nclients = [\"country:DE\"]\n";
        let of_nobody = "members = [{ use = \"eu\", regions = [\"de\"] }, { use = \"iad\", default = true }]";
        assert_eq!(codes(&format!("policy = \"geo\"\nmap = \"legal\"\n{of_nobody}\n{map}")), ["fence-leak"]);
    }

    #[test]
    fn a_fence_alone_is_kept() {
        assert_eq!(codes("policy = \"failover\"\nmembers = [\"eu\"]"), [] as [&str; 0]);
    }

    const EU: &str = "[pools.eu]\npolicy = \"geo\"\nfence = true\non_down = \"nodata\"\n\
                      members = [{ use = \"fra\", regions = [\"eu\"] }]\n";
}
