//! How close what a pool can pick is to a client, and the order that follows.
//!
//! ```text
//!   client in eu, no more is known:   own region | by distance, after bias | place unknown
//!                                        fra          lon   iad                 cdn
//!   client at 41.9, 12.5:             by distance, after bias: fra lon iad | place unknown: cdn
//! ```

use std::collections::{BTreeSet, HashMap};

use crate::geo::{self, Point, Profile, Table};
use crate::model::{Coordinates, Endpoint, MapId, Pool, Region, RegionId, Use};

/// What a `nearest` pool goes by: for each member, in order, where it is, and its bias. Pools that go by the
/// same have the same orders.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Sites(Vec<(Vec<Site>, i8)>);

/// Where something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Site {
    region: Option<RegionId>,
    /// The bits of latitude and longitude.
    at: Option<(u64, u64)>,
}

impl Site {
    fn of(endpoint: &Endpoint) -> Self {
        let bits = |at: Coordinates| (at.latitude.to_bits(), at.longitude.to_bits());
        Self { region: endpoint.region, at: endpoint.at.map(bits) }
    }

    fn coordinates(&self) -> Option<Coordinates> {
        let degrees = |(latitude, longitude)| Coordinates {
            latitude: f64::from_bits(latitude),
            longitude: f64::from_bits(longitude),
        };
        self.at.map(degrees)
    }
}

/// The sites of every pool that goes by distance; `None` for others. A nested pool is wherever its endpoints
/// are: it is as close as the nearest of them.
pub fn sites(pools: &[Pool], endpoints: &[Endpoint]) -> Vec<Option<Sites>> {
    let measured = nested_by_distance(pools);
    let mut standing: Vec<Vec<Site>> = Vec::with_capacity(pools.len());
    let mut found = Vec::with_capacity(pools.len());
    for (pool, measured) in pools.iter().zip(measured) {
        let member = |picks: Use| match picks {
            Use::Endpoint(id) => vec![Site::of(&endpoints[id.index()])],
            // Not there only in a loop of pools, which is an error.
            Use::Pool(id) => standing.get(id.index()).cloned().unwrap_or_default(),
        };
        found.push(
            pool.policy
                .by_distance()
                .then(|| Sites(pool.members.iter().map(|one| (member(one.picks), one.bias)).collect())),
        );
        let all: BTreeSet<Site> = match measured {
            true => pool.members.iter().flat_map(|one| member(one.picks)).collect(),
            false => BTreeSet::new(),
        };
        standing.push(all.into_iter().collect());
    }
    found
}

/// Which pools one that goes by distance picks, however deep: from the outermost inwards.
fn nested_by_distance(pools: &[Pool]) -> Vec<bool> {
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

/// The orders of one kind of [`Sites`].
#[derive(Debug)]
pub struct Orders {
    /// Each once, as indexes into the members.
    pub orders: Vec<Box<[u16]>>,
    /// Index [`RegionId`] of `world`: the order of clients of whom no more is known than that.
    pub of_region: Vec<u32>,
    /// Index [`geo::Atlas::profiles`].
    pub of_profile: Vec<u32>,
}

impl Sites {
    /// Distances to work out for each point on the globe.
    pub fn count(&self) -> usize {
        self.0.iter().map(|(sites, _)| sites.len()).sum()
    }

    /// Works all orders out. With `by_region`, nobody's place counts as known any closer than by region.
    pub fn orders(&self, regions: &[Region], profiles: &[Profile], by_region: bool) -> Orders {
        let mut table = Table::default();
        let of_region: Vec<u32> = (0..regions.len())
            .map(|region| table.number(self.order(Some(RegionId::at(region)), regions[region].at)))
            .collect();
        let mut of_spot = HashMap::new();
        let of_profile = profiles.iter().map(|profile| match profile.point {
            Point::At(spot) if !by_region => {
                let order = || table.number(self.order(None, Some(spot.coordinates())));
                *of_spot.entry(spot).or_insert_with(order)
            }
            Point::At(_) | Point::Region => of_region[profile.regions[MapId::WORLD.index()].index()],
        });
        let of_profile = of_profile.collect();
        Orders { orders: table.values, of_region, of_profile }
    }

    /// Members in the client's `own` region first, if that is all that is known of it; each group by distance,
    /// unknown distances last; what is equal stays as written.
    fn order(&self, own: Option<RegionId>, client: Option<Coordinates>) -> Box<[u16]> {
        let mut order: Vec<(bool, f64, u16)> = Vec::with_capacity(self.0.len());
        for (member, (sites, bias)) in (0..).zip(&self.0) {
            let is_own = own.is_some() && sites.iter().any(|site| site.region == own);
            let km = sites.iter().filter_map(|site| Some(geo::kilometres(client?, site.coordinates()?)));
            let km = km.min_by(f64::total_cmp).map_or(f64::INFINITY, |km| geo::biased(km, *bias));
            order.push((is_own, km, member));
        }
        order.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.total_cmp(&b.1)));
        order.into_iter().map(|(.., member)| member).collect()
    }
}
