//! The members of each pool in the order in which they are tried, for each client region.
//!
//! ```text
//!   nearest, for clients of eu:   own region | by distance, after bias | place unknown
//!                                   fra          lon   iad                 cdn
//! ```

use crate::geo;
use crate::model::{Candidate, Endpoint, Member, Policy, Pool, Region, RegionId, Use};
use crate::plan::compile::limits::{self, CANDIDATES_MAX};
use crate::plan::compile::potential::Prospects;
use crate::spec::Diagnostic;

/// Gives every pool its orders. Too many of them are an error, and none is given then.
pub fn lay(pools: &mut [Pool], regions: &[Region], endpoints: &[Endpoint], found: &mut Vec<Diagnostic>) {
    let candidates = pools.iter().map(|pool| pool.members.len()).sum::<usize>().saturating_mul(regions.len());
    if candidates > CANDIDATES_MAX {
        found.push(limits::too_large("pool members for each region", candidates, CANDIDATES_MAX));
        return;
    }
    let nearness = Nearness::new(pools, regions, endpoints);
    for pool in pools {
        pool.order = (0..regions.len()).map(|region| order(pool, RegionId::at(region), &nearness)).collect();
    }
}

/// Marks the pools whose choice the client's region can change: by order, by health (which is judged by
/// region), or by what they pick. A fallback speaks for itself when it is consulted.
pub fn mark_by_region(pools: &mut [Pool], regions: usize, prospects: &[Prospects]) {
    for index in 0..pools.len() {
        let (inner, rest) = pools.split_at(index);
        let pool = &rest[0];
        let inherited = pool.members.iter().any(|member| match member.picks {
            Use::Pool(id) => inner.get(id.index()).is_some_and(|inner| inner.by_region),
            Use::Endpoint(_) => false,
        });
        let watched = regions > 1 && prospects[index].members.watched;
        pools[index].by_region = watched || inherited || orders_differ(pool);
    }
}

fn orders_differ(pool: &Pool) -> bool {
    let members = |region: usize| pool.order[region].iter().map(|candidate| candidate.member);
    (1..pool.order.len()).any(|region| members(0).ne(members(region)))
}

fn order(pool: &Pool, region: RegionId, nearness: &Nearness<'_>) -> Box<[Candidate]> {
    match pool.policy {
        Policy::Failover | Policy::Weighted | Policy::All => as_written(pool),
        Policy::Nearest | Policy::Latency => by_distance(pool, region, nearness),
        Policy::Geo => by_rule(pool, region),
    }
}

fn as_written(pool: &Pool) -> Box<[Candidate]> {
    (0..pool.members.len()).map(|member| candidate(member, None)).collect()
}

/// Members in the client's own region first, each group by distance, unknown distances last; what is
/// equal stays as written.
fn by_distance(pool: &Pool, region: RegionId, nearness: &Nearness<'_>) -> Box<[Candidate]> {
    let mut order: Vec<(bool, Candidate)> = Vec::with_capacity(pool.members.len());
    for (index, member) in pool.members.iter().enumerate() {
        let proximity = nearness.of(member.picks, region);
        let km = proximity.km.map(|km| geo::biased(km, member.bias) as f32);
        order.push((proximity.own, candidate(index, km)));
    }
    order.sort_by(|(own, a), (other_own, b)| {
        let km = |candidate: &Candidate| candidate.km.unwrap_or(f32::INFINITY);
        other_own.cmp(own).then(km(a).total_cmp(&km(b)))
    });
    order.into_iter().map(|(_, candidate)| candidate).collect()
}

/// Members whose rule holds the region, fewest regions first; then the default member, which a fence
/// keeps from clients that have a rule.
fn by_rule(pool: &Pool, region: RegionId) -> Box<[Candidate]> {
    let holds = |member: &Member| member.regions.contains(&region);
    let mut order: Vec<usize> =
        (0..pool.members.len()).filter(|&index| holds(&pool.members[index])).collect();
    order.sort_by_key(|&index| pool.members[index].regions.len());
    if order.is_empty() || !pool.fence {
        let defaults = (0..pool.members.len()).filter(|&index| {
            let member = &pool.members[index];
            member.default && !holds(member)
        });
        order.extend(defaults);
    }
    order.into_iter().map(|index| candidate(index, None)).collect()
}

fn candidate(member: usize, km: Option<f32>) -> Candidate {
    Candidate { member: u16::try_from(member).expect("drafts have at most Pool::MEMBERS_MAX members"), km }
}

/// How close something is to the clients of a region.
#[derive(Clone, Copy, Debug, Default)]
struct Proximity {
    /// It stands in that region.
    own: bool,
    /// `None`: unknown.
    km: Option<f64>,
}

impl Proximity {
    /// A pool is as close as its nearest endpoint.
    fn nearer(self, other: Proximity) -> Proximity {
        let km = match (self.km, other.km) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        Proximity { own: self.own || other.own, km }
    }
}

/// Proximity of everything that a `nearest` pool can pick.
struct Nearness<'t> {
    regions: &'t [Region],
    endpoints: &'t [Endpoint],
    /// Of pools, by region; empty for those that no `nearest` pool picks.
    pools: Vec<Vec<Proximity>>,
}

impl<'t> Nearness<'t> {
    fn new(pools: &[Pool], regions: &'t [Region], endpoints: &'t [Endpoint]) -> Self {
        let mut nearness = Self { regions, endpoints, pools: vec![Vec::new(); pools.len()] };
        let measured = nested_in_nearest(pools);
        for (index, pool) in pools.iter().enumerate().filter(|(index, _)| measured[*index]) {
            let nearest = |region| {
                let members =
                    pool.members.iter().map(|member| nearness.of(member.picks, RegionId::at(region)));
                members.fold(Proximity::default(), Proximity::nearer)
            };
            let row = (0..regions.len()).map(nearest).collect();
            nearness.pools[index] = row;
        }
        nearness
    }

    fn of(&self, picks: Use, region: RegionId) -> Proximity {
        match picks {
            Use::Endpoint(id) => {
                let endpoint = &self.endpoints[id.index()];
                let between = self.regions[region.index()].at.zip(endpoint.at);
                let km = between.map(|(client, server)| geo::kilometres(client, server));
                Proximity { own: endpoint.region == Some(region), km }
            }
            // Empty only in a loop of pools, which is an error.
            Use::Pool(id) => self.pools[id.index()].get(region.index()).copied().unwrap_or_default(),
        }
    }
}

/// Which pools a pool that goes by distance picks, however deep: from the outermost inwards.
fn nested_in_nearest(pools: &[Pool]) -> Vec<bool> {
    let mut nested = vec![false; pools.len()];
    for (index, pool) in pools.iter().enumerate().rev() {
        if pool.policy.by_distance() || nested[index] {
            for member in &pool.members {
                if let Use::Pool(id) = member.picks {
                    nested[id.index()] = true;
                }
            }
        }
    }
    nested
}

#[cfg(test)]
mod tests {
    use crate::plan::compile::fixture::{WORLD, compile, compile_pool};

    #[test]
    fn failover_is_tried_as_written_for_all() {
        let compiled = compile_pool("policy = \"failover\"\nmembers = [\"iad\", \"fra\"]");
        assert_eq!(compiled.order("www", "eu"), ["iad", "fra"]);
        assert_eq!(compiled.order("www", "us"), ["iad", "fra"]);
    }

    #[test]
    fn nearest_tries_the_own_region_first_then_by_distance_then_what_nobody_knows() {
        let compiled = compile(&format!(
            "{WORLD}[endpoints.lon]\nat = [51.51, -0.13]\nipv4 = \"203.0.113.15\"\nmonitors = [\"web\"]\n\
             [pools.www]\npolicy = \"nearest\"\nmembers = [\"cdn\", \"iad\", \"lon\", \"fra\"]\n"
        ));
        assert_eq!(compiled.order("www", "eu"), ["fra", "lon", "iad", "cdn"]);
        assert_eq!(compiled.order("www", "us"), ["iad", "lon", "fra", "cdn"]);
        let pool = compiled.pool("www");
        let km: Vec<_> =
            pool.order[compiled.region("eu").index()].iter().map(|candidate| candidate.km).collect();
        assert_eq!((km[0], km[3]), (Some(0.0), None));
        assert!((600.0..700.0).contains(&km[1].unwrap()), "Frankfurt to London: {km:?}");
        assert!(pool.by_region);
    }

    #[test]
    fn a_bias_pulls_clients_in() {
        let world = |bias: i8| {
            compile(&format!(
                "[regions.eu]\nat = [50.0, 8.0]\n\
                 [endpoints.near]\nat = [50.0, 9.0]\nipv4 = \"192.0.2.1\"\n\
                 [endpoints.far]\nat = [50.0, 10.0]\nipv4 = \"192.0.2.2\"\n\
                 [pools.www]\npolicy = \"nearest\"\nmembers = [{{ use = \"far\", bias = {bias} }}, \"near\"]\n"
            ))
        };
        assert_eq!(world(0).order("www", "eu"), ["near", "far"]);
        assert_eq!(world(60).order("www", "eu"), ["far", "near"]);
    }

    #[test]
    fn a_nested_pool_is_as_near_as_its_nearest_endpoint() {
        let compiled = compile(&format!(
            "{WORLD}[endpoints.lon]\nat = [51.51, -0.13]\nipv4 = \"203.0.113.15\"\nmonitors = [\"web\"]\n\
             [pools.both]\npolicy = \"failover\"\nmembers = [\"iad\", \"fra\"]\n\
             [pools.www]\npolicy = \"nearest\"\nmembers = [\"lon\", \"both\"]\n"
        ));
        assert_eq!(compiled.order("www", "eu"), ["both", "lon"]);
        assert_eq!(compiled.order("www", "us"), ["both", "lon"]);
    }

    #[test]
    fn elsewhere_is_nowhere_so_nearest_is_as_written() {
        let compiled = compile(
            "[regions.eu]\nat = [50.0, 8.0]\n[endpoints.a]\nregion = \"eu\"\nipv4 = \"192.0.2.1\"\n\
             [endpoints.b]\nat = [0.0, 0.0]\nipv4 = \"192.0.2.2\"\n\
             [pools.www]\npolicy = \"nearest\"\nmembers = [\"b\", \"a\"]\n",
        );
        assert_eq!(compiled.order("www", "elsewhere"), ["b", "a"]);
        assert_eq!(compiled.order("www", "eu"), ["a", "b"]);
    }

    const RULES: &str = "[regions.de]\n[pools.www]\npolicy = \"geo\"\nmembers = [{ use = \"iad\", default = true }, \
                         { use = \"cdn\", regions = [\"eu\", \"de\"] }, { use = \"fra\", regions = [\"de\"] }]\n";

    #[test]
    fn geo_tries_the_most_specific_rule_first_and_the_default_last() {
        let compiled = compile(&format!("{WORLD}{RULES}"));
        assert_eq!(compiled.order("www", "de"), ["fra", "cdn", "iad"]);
        assert_eq!(compiled.order("www", "eu"), ["cdn", "iad"]);
        assert_eq!(compiled.order("www", "us"), ["iad"]);
    }

    #[test]
    fn a_fence_keeps_clients_with_a_rule_from_the_default() {
        let compiled = compile(&format!("{WORLD}{RULES}fence = true\n"));
        assert_eq!(compiled.order("www", "de"), ["fra", "cdn"]);
        assert_eq!(compiled.order("www", "us"), ["iad"]);
    }

    #[test]
    fn the_region_matters_where_members_are_watched() {
        let compiled = compile(&format!(
            "{WORLD}[endpoints.still]\nipv4 = \"192.0.2.1\"\n\
             [pools.unwatched]\npolicy = \"failover\"\nmembers = [\"cdn\"]\nfallback = \"fra\"\n\
             [pools.watched]\npolicy = \"failover\"\nmembers = [\"unwatched\", \"fra\"]\n\
             [pools.outer]\npolicy = \"failover\"\nmembers = [\"watched\"]\n"
        ));
        assert!(!compiled.pool("unwatched").by_region);
        assert!(compiled.pool("watched").by_region);
        assert!(compiled.pool("outer").by_region);
    }

    #[test]
    fn the_region_does_not_matter_where_there_is_one() {
        let compiled = compile(
            "[monitors.web]\ntype = \"http\"\n[endpoints.a]\nipv4 = \"192.0.2.1\"\nmonitors = [\"web\"]\n\
             [pools.www]\npolicy = \"nearest\"\nmembers = [\"a\"]\n",
        );
        assert!(!compiled.pool("www").by_region);
    }
}
