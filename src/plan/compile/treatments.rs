//! How each pool treats each client: in which order it tries its members, and whose health counts.
//!
//! ```text
//!   profile of the client --+-- situation (region in each map): health, rules of geo pools, nested pools
//!                           `-- point: order of nearest pools
//!   pool --> label of each situation + order of each point --> classes of clients --> partition
//! ```
//!
//! Two clients are of one class if the pool can tell them apart by nothing: neither by the region that health
//! is judged for, nor by its rules, nor by distance. What is the same for several pools is worked out once, and
//! pools that divide their clients alike share the tree that finds the class.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use crate::geo::{Atlas, Divided, Facts, Geo, Map, Table};
use crate::model::{
    Endpoint, MapId, Member, PartitionId, Policy, Pool, Region, RegionId, Situation, SituationId, Treatment,
    Use,
};
use crate::plan::compile::limits::{self, TREATMENTS_MAX};
use crate::plan::compile::nearness::{self, Orders, Sites};
use crate::spec::Diagnostic;

/// What is known of clients before any pool is looked at.
#[derive(Debug)]
pub struct Ground<'g> {
    atlas: &'g Atlas,
    /// Index [`MapId`].
    regions: Vec<&'g [Region]>,
    /// Index [`SituationId`].
    pub situations: Vec<Situation>,
    /// Index [`Atlas::profiles`].
    situation_of: Vec<SituationId>,
}

impl<'g> Ground<'g> {
    /// `regions`: those of each map. With `world` alone, its regions are the situations, whether clients are in them
    /// or not.
    pub fn new(atlas: &'g Atlas, regions: Vec<&'g [Region]>) -> Self {
        let mut situations: Vec<Situation> = match regions[..] {
            [world] => (0..world.len()).map(|region| Situation([RegionId::at(region)].into())).collect(),
            _ => atlas.profiles.iter().map(|profile| Situation(profile.regions.clone())).collect(),
        };
        situations.sort_unstable();
        situations.dedup();
        let numbers: HashMap<&[RegionId], usize> =
            situations.iter().enumerate().map(|(number, situation)| (&*situation.0, number)).collect();
        let situation_of =
            atlas.profiles.iter().map(|profile| SituationId::at(numbers[&*profile.regions])).collect();
        Self { atlas, regions, situations, situation_of }
    }

    /// A label for each situation.
    fn label(&self, of: impl Fn(&Situation) -> u32) -> Labels {
        canonical(self.situations.iter().map(of))
    }
}

/// The partitions that the pools and maps need.
#[derive(Debug)]
pub struct Partitions {
    table: Vec<Divided>,
    of_maps: Vec<PartitionId>,
}

impl Partitions {
    /// What the plan keeps.
    pub fn into_geo(self, maps: Vec<Map>, facts: Arc<Facts>) -> Geo {
        Geo::new(self.table, maps.into_iter().zip(self.of_maps).collect(), facts)
    }
}

/// Gives every pool its orders and treatments. Too many of them are an error.
pub fn lay(
    pools: &mut [Pool],
    endpoints: &[Endpoint],
    ground: &Ground<'_>,
    found: &mut Vec<Diagnostic>,
) -> Partitions {
    let mut layer =
        Layer { ground, table: Vec::new(), known: HashMap::new(), distances: Distances::default() };
    let of_map = |layer: &mut Layer<'_>, map| {
        let labels = ground.label(|situation| u32::from(situation.region(map).0));
        layer.divide(labels, None).0
    };
    let of_maps = (0..ground.regions.len()).map(|map| of_map(&mut layer, MapId::at(map))).collect();
    let sites = nearness::sites(pools, endpoints);
    let mut standing: Vec<Labels> = Vec::with_capacity(pools.len());
    let mut treatments = 0;
    for (pool, sites) in pools.iter_mut().zip(&sites) {
        let ordered = layer.give_orders(pool, sites.as_ref());
        let labels = layer.labels(pool, endpoints, &standing);
        layer.treat(pool, labels.clone(), ordered);
        standing.push(labels);
        let in_orders: usize = pool.orders.iter().map(|order| order.len()).sum();
        treatments += pool.treatments.len() + pool.by_situation.len() + in_orders;
        if treatments > TREATMENTS_MAX {
            found.push(limits::too_large("treatments of clients by pools", treatments, TREATMENTS_MAX));
            break;
        }
    }
    found.extend(layer.distances.given_up());
    Partitions { table: layer.table, of_maps }
}

/// A number for each situation: those with the same number are treated alike. Numbers are in the order in which
/// they first appear, so that what divides alike is alike.
type Labels = Box<[u32]>;

/// Which situations are alike, and the orders by distance, if any: what a partition follows from.
type Division = (Labels, Option<usize>);

/// The work under way.
struct Layer<'l> {
    ground: &'l Ground<'l>,
    table: Vec<Divided>,
    /// The partition of each division, and some profile of each of its classes.
    known: HashMap<Division, (PartitionId, Arc<[u32]>)>,
    distances: Distances,
}

impl Layer<'_> {
    /// Gives a pool its orders; says which orders by distance they are, if they are.
    fn give_orders(&mut self, pool: &mut Pool, sites: Option<&Sites>) -> Option<usize> {
        let situations = &self.ground.situations;
        match (pool.policy, sites) {
            (Policy::Nearest | Policy::Latency, Some(sites)) => {
                let number = self.distances.number(sites, self.ground);
                let orders = &self.distances.table[number];
                pool.orders = orders.orders.clone();
                let region = |situation: &Situation| situation.region(MapId::WORLD).index();
                pool.by_situation = situations.iter().map(|one| orders.of_region[region(one)]).collect();
                Some(number)
            }
            (Policy::Geo, _) => {
                let mut table = Table::default();
                // Those of regions in which nobody is too: whether a fence leaks must not hang on a database.
                let regions = (0..self.ground.regions[pool.map.index()].len()).map(RegionId::at);
                let of_region: Vec<u32> = regions.map(|region| table.number(by_rule(pool, region))).collect();
                pool.by_situation =
                    situations.iter().map(|one| of_region[one.region(pool.map).index()]).collect();
                pool.orders = table.values;
                None
            }
            _ => {
                pool.orders = vec![(0..).take(pool.members.len()).collect()];
                pool.by_situation = vec![0; situations.len()];
                None
            }
        }
    }

    /// By what a pool tells situations apart: its rules, and, where these let it come to them, health that is judged
    /// by region and whatever pools within it go by. A fallback speaks for itself when it is consulted.
    fn labels(&self, pool: &Pool, endpoints: &[Endpoint], standing: &[Labels]) -> Labels {
        let watched = |member: &u16| match pool.members[usize::from(*member)].picks {
            Use::Endpoint(id) => endpoints[id.index()].monitored(),
            Use::Pool(_) => false,
        };
        let region = self.ground.label(|situation| u32::from(situation.region(MapId::WORLD).0));
        let mut parts = vec![where_tried(pool, |order| order.iter().any(watched), &region)];
        if pool.policy == Policy::Geo {
            parts.push(canonical(pool.by_situation.iter().copied()));
        }
        let everybody = |order: &[u16]| order.is_empty() && !pool.fence;
        let nested = (0..).zip(&pool.members).filter_map(|(index, member)| match member.picks {
            Use::Pool(id) => Some(where_tried(
                pool,
                |order| order.contains(&index) || everybody(order),
                standing.get(id.index())?,
            )),
            Use::Endpoint(_) => None,
        });
        parts.extend(nested);
        let nothing = vec![0; self.ground.situations.len()].into();
        parts.into_iter().fold(nothing, |labels, part| both(&labels, &part))
    }

    /// Divides the clients of a pool, and says how each class of them is treated.
    fn treat(&mut self, pool: &mut Pool, labels: Labels, ordered: Option<usize>) {
        let (partition, examples) = self.divide(labels, ordered);
        pool.partition = partition;
        let treatment = |&profile: &u32| {
            let situation = self.ground.situation_of[profile as usize];
            let order = match ordered {
                Some(number) => self.distances.table[number].of_profile[profile as usize],
                None => pool.by_situation[situation.index()],
            };
            let region = self.ground.situations[situation.index()].region(MapId::WORLD);
            Treatment { region, situation, order }
        };
        pool.treatments = examples.iter().map(treatment).collect();
    }

    /// The partition of a division, and some profile of each of its classes.
    fn divide(&mut self, labels: Labels, ordered: Option<usize>) -> (PartitionId, Arc<[u32]>) {
        let division = (labels, ordered);
        if let Some((id, examples)) = self.known.get(&division) {
            return (*id, Arc::clone(examples));
        }
        let mut classes = Table::default();
        let mut examples: Vec<u32> = Vec::new();
        let mut class_of = Vec::with_capacity(self.ground.situation_of.len());
        for (profile, situation) in (0..).zip(&self.ground.situation_of) {
            let order = ordered.map(|number| self.distances.table[number].of_profile[profile as usize]);
            let class = classes.number((division.0[situation.index()], order));
            if class as usize == examples.len() {
                examples.push(profile);
            }
            class_of.push(class);
        }
        let partition = self.ground.atlas.divide(&class_of);
        self.distances.bytes += partition.bytes();
        let situations = examples.iter().map(|profile| self.ground.situation_of[*profile as usize]).collect();
        let id = PartitionId::at(self.table.len());
        self.table.push(Divided { partition, situations });
        let examples: Arc<[u32]> = examples.into();
        self.known.insert(division, (id, Arc::clone(&examples)));
        (id, examples)
    }
}

/// Orders by distance, each kind once.
#[derive(Debug, Default)]
struct Distances {
    known: HashMap<Sites, usize>,
    table: Vec<Orders>,
    /// Distances worked out so far.
    work: usize,
    /// What the partitions made so far keep.
    bytes: usize,
    /// How many kinds had to do with regions, because there was too much of either.
    coarse: usize,
}

impl Distances {
    fn number(&mut self, sites: &Sites, ground: &Ground<'_>) -> usize {
        if let Some(known) = self.known.get(sites) {
            return *known;
        }
        let profiles = &ground.atlas.profiles;
        let work = sites.count().saturating_mul(profiles.len());
        let by_region = self.work + work > DISTANCES_MAX || self.bytes > PARTITIONS_BYTES_MAX;
        self.work += if by_region { 0 } else { work };
        self.coarse += usize::from(by_region);
        self.table.push(sites.orders(ground.regions[MapId::WORLD.index()], profiles, by_region));
        self.known.insert(sites.clone(), self.table.len() - 1);
        self.table.len() - 1
    }

    fn given_up(&self) -> Option<Diagnostic> {
        let message = format!(
            "too many different sets of places to go by: {} of them go by the clients' regions, not by their \
             coordinates",
            self.coarse
        );
        let hint = "let pools share the places of their members, by `region` instead of `at`";
        (self.coarse > 0).then(|| Diagnostic::general_warning("coarse", message).hint(hint))
    }
}

/// Members whose rule holds the region, fewest regions first; then the default member, which a fence
/// keeps from clients that have a rule.
pub fn by_rule(pool: &Pool, region: RegionId) -> Box<[u16]> {
    let members = || (0..).zip(&pool.members);
    let holds = |member: &Member| member.regions.contains(&region);
    let mut order: Vec<(u16, &Member)> = members().filter(|(_, member)| holds(member)).collect();
    order.sort_by_key(|(_, member)| member.regions.len());
    if order.is_empty() || !pool.fence {
        order.extend(members().filter(|(_, member)| member.default && !holds(member)));
    }
    order.into_iter().map(|(index, _)| index).collect()
}

/// What a pool tells apart by something that it comes to in some of its orders only.
fn where_tried(pool: &Pool, tried: impl Fn(&[u16]) -> bool, labels: &[u32]) -> Labels {
    let tried: Vec<bool> = pool.orders.iter().map(|order| tried(order)).collect();
    let label = |(label, order): (&u32, &u32)| tried[*order as usize].then_some(*label);
    canonical(labels.iter().zip(&pool.by_situation).map(label))
}

fn canonical<T: Clone + Eq + Hash>(labels: impl IntoIterator<Item = T>) -> Labels {
    let mut table = Table::default();
    labels.into_iter().map(|label| table.number(label)).collect()
}

/// What either tells apart.
fn both(a: &[u32], b: &[u32]) -> Labels {
    let mut table = Table::default();
    a.iter().zip(b).map(|pair| table.number(pair)).collect()
}

/// Distances worked out for one plan at most, a few seconds of them; pools that would take more go by regions.
const DISTANCES_MAX: usize = 50_000_000;

/// With more than this kept for partitions, further pools go by regions.
const PARTITIONS_BYTES_MAX: usize = 1 << 30;

#[cfg(test)]
mod tests {
    use crate::model::Pool;
    use crate::plan::compile::fixture::{WORLD, compile, compile_pool};

    /// Whether the client's place can change what the pool does.
    fn by_place(pool: &Pool) -> bool {
        pool.treatments.len() > 1
    }

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
        assert!(by_place(compiled.pool("www")));
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
        assert!(!by_place(compiled.pool("unwatched")));
        assert!(by_place(compiled.pool("watched")));
        assert!(by_place(compiled.pool("outer")));
    }

    const ELSEWHERE_IN_ASIA: &str = "[regions.ap]\nclients = [\"net:198.51.100.0/24\"]\n";

    #[test]
    fn the_region_matters_only_where_a_rule_lets_the_pool_come_to_a_watched_member() {
        let compiled = compile(&format!(
            "{WORLD}{ELSEWHERE_IN_ASIA}[pools.www]\npolicy = \"geo\"\n\
             members = [{{ use = \"iad\", regions = [\"us\"] }}, {{ use = \"cdn\", regions = [\"eu\", \"ap\"] }}]\n"
        ));
        assert_eq!(compiled.pool("www").treatments.len(), 2, "`eu` and `ap` are alike");
    }

    #[test]
    fn where_no_rule_holds_the_last_resort_asks_what_nested_pools_have() {
        let compiled = compile(&format!(
            "{WORLD}{ELSEWHERE_IN_ASIA}[pools.inner]\npolicy = \"geo\"\nfence = true\non_down = \"nodata\"\n\
             members = [{{ use = \"cdn\", regions = [\"eu\"] }}]\n\
             [pools.www]\npolicy = \"geo\"\nmembers = [{{ use = \"inner\", regions = [\"us\"] }}]\n"
        ));
        assert_eq!(
            compiled.pool("www").treatments.len(),
            3,
            "for `eu` the inner pool has something, for `ap` not"
        );
    }

    #[test]
    fn the_region_does_not_matter_where_there_is_one() {
        let compiled = compile(
            "[monitors.web]\ntype = \"http\"\n[endpoints.a]\nipv4 = \"192.0.2.1\"\nmonitors = [\"web\"]\n\
             [pools.www]\npolicy = \"nearest\"\nmembers = [\"a\"]\n",
        );
        assert!(!by_place(compiled.pool("www")));
    }
}
