//! Maps made concrete: rules + what databases know -> who is alike.
//!
//! ```text
//!   Facts (runs of addresses -> record) --.
//!   net: rules of each map ---------------+--> runs of addresses -> profile
//!                                                                   profile -> region in each map, point on the globe
//! ```
//!
//! Whatever steering can ask of a client's place follows from its profile, and there are few of them: each
//! question is worked out once a profile, and its partition of all clients follows from the same runs.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;

use foldhash::fast::FixedState;
use ipnet::IpNet;

use crate::geo::distance::kilometres;
use crate::geo::embedded::Embedding;
use crate::geo::facts::{Facts, Number, Record, Runs, Spot};
use crate::geo::hubs;
use crate::geo::matcher::Matcher;
use crate::geo::partition::Partition;
use crate::model::{Coordinates, MapId, RegionId};

/// What the operator says of one map.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Who is where. No matcher is in two regions, and no `net:` prefix is one of IPv4 within IPv6.
    pub matchers: Vec<(Matcher, RegionId)>,
    /// Where each region is, index [`RegionId`].
    pub at: Vec<Option<Coordinates>>,
    /// The region of clients that nothing else places.
    pub default: RegionId,
}

/// Where a client is on one map, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Placed {
    /// Its region.
    pub region: RegionId,
    /// What put it there.
    pub by: By,
}

/// What put a client into its region.
#[derive(Clone, Debug, PartialEq)]
pub enum By {
    /// A rule.
    Rule(Matcher),
    /// No rule: the region is the nearest of those whose place is known, at this distance.
    Distance(f64),
    /// Nothing: the region takes the rest.
    Default,
}

/// Where a client is on the globe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Point {
    /// Here, as a database says, or at its country's hub.
    At(Spot),
    /// Wherever its region is: nothing more is known, or a `net:` or `asn:` rule put it there, which is the
    /// operator's word against a database.
    Region,
}

/// All that steering can ask of a client's place.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Profile {
    /// Its region in each map, index [`MapId`].
    pub regions: Box<[RegionId]>,
    /// Where it is.
    pub point: Point,
}

/// Every client's profile.
#[derive(Clone, Debug)]
pub struct Atlas {
    /// Index: the values of the runs.
    pub profiles: Vec<Profile>,
    v4: Runs<u32>,
    v6: Runs<u128>,
}

impl Atlas {
    /// Works out the profile of every address.
    pub fn compile(facts: &Facts, maps: &[Map]) -> Self {
        let mut profiles = Profiles { facts, maps, table: Table::default(), known: HashMap::default() };
        let v4 = overlay(&facts.v4, maps.iter().map(|map| &map.v4).collect(), &mut profiles);
        let v6 = overlay(&facts.v6, maps.iter().map(|map| &map.v6).collect(), &mut profiles);
        Self { profiles: profiles.table.values, v4, v6 }
    }

    /// Divides the clients by a class that each profile has, index as [`Atlas::profiles`].
    pub fn divide(&self, classes: &[u32]) -> Partition {
        let class = |profile: u32| classes[profile as usize];
        Partition::compile(
            self.v4.iter().map(|(first, profile)| (first, class(profile))),
            self.v6.iter().map(|(first, profile)| (first, class(profile))),
        )
    }

    /// How many runs of addresses with the same profile there are.
    pub fn runs(&self) -> usize {
        self.v4.starts.len() + self.v6.starts.len()
    }
}

/// One map, ready to place clients.
#[derive(Clone, Debug)]
pub struct Map {
    rules: Rules,
    /// Address -> the `net:` rule that holds it: its place in `rules.matchers`, plus 1.
    v4: Runs<u32>,
    v6: Runs<u128>,
    /// The other rules.
    others: HashMap<Matcher, RegionId, FixedState>,
}

impl Map {
    /// Makes the rules ready.
    pub fn compile(rules: Rules) -> Self {
        let mut nets: Vec<(IpNet, u32)> = Vec::new();
        let mut others = HashMap::default();
        for (number, (matcher, region)) in (1..).zip(&rules.matchers) {
            match matcher {
                Matcher::Net(net) => nets.push((*net, number)),
                matcher => {
                    others.insert(matcher.clone(), *region);
                }
            }
        }
        // Of overlapping ranges the first counts: the longest match.
        nets.sort_by_key(|(net, _)| std::cmp::Reverse(net.prefix_len()));
        let v4 = nets.iter().filter_map(|(net, number)| match net {
            IpNet::V4(net) => Some((net.network().to_bits(), net.broadcast().to_bits(), *number)),
            IpNet::V6(_) => None,
        });
        let v6 = nets.iter().filter_map(|(net, number)| match net {
            IpNet::V6(net) => Some((net.network().to_bits(), net.broadcast().to_bits(), *number)),
            IpNet::V4(_) => None,
        });
        Self { v4: Runs::of(v4.collect()), v6: Runs::of(v6.collect()), others, rules }
    }

    /// Where a client is, and why.
    pub fn place(&self, client: IpAddr, facts: &Facts) -> Placed {
        let client = resolved(client);
        let net = match client {
            IpAddr::V4(address) => self.v4.find(address.to_bits()),
            IpAddr::V6(address) => self.v6.find(address.to_bits()),
        };
        self.decide(net, facts.of(client))
    }

    /// By precedence: `net:`, `asn:`, `subdivision:`, `country:`, `continent:`, distance, the rest.
    fn decide(&self, net: u32, record: &Record) -> Placed {
        if let Some((matcher, region)) =
            net.checked_sub(1).and_then(|net| self.rules.matchers.get(net as usize))
        {
            return Placed { region: *region, by: By::Rule(matcher.clone()) };
        }
        if !self.others.is_empty() {
            let rule = named(record).find_map(|matcher| {
                let region = *self.others.get(&matcher)?;
                Some(Placed { region, by: By::Rule(matcher) })
            });
            if let Some(placed) = rule {
                return placed;
            }
        }
        match spot(record).and_then(|spot| self.nearest(spot.coordinates())) {
            Some((region, km)) => Placed { region, by: By::Distance(km) },
            None => Placed { region: self.rules.default, by: By::Default },
        }
    }

    /// The nearest region of those whose place is known, and how far it is.
    fn nearest(&self, client: Coordinates) -> Option<(RegionId, f64)> {
        self.distances(client)
            .filter_map(|(region, km)| Some((region, km?)))
            .min_by(|a, b| a.1.total_cmp(&b.1))
    }

    /// How far each region is, in kilometres, if its place is known.
    pub fn distances(&self, client: Coordinates) -> impl Iterator<Item = (RegionId, Option<f64>)> + '_ {
        let km = move |at: &Option<Coordinates>| at.map(|at| kilometres(client, at));
        self.rules.at.iter().enumerate().map(move |(region, at)| (RegionId::at(region), km(at)))
    }

    /// The point of a client that was placed so on the map that health goes by.
    fn point(&self, placed: &Placed, record: &Record) -> Point {
        let by_word = matches!(placed.by, By::Rule(Matcher::Net(_) | Matcher::Asn(_)));
        if by_word && self.rules.at[placed.region.index()].is_some() {
            return Point::Region;
        }
        spot(record).map_or(Point::Region, Point::At)
    }

    /// The point of a client, as [`Profile::point`]; for `world`.
    pub fn point_of(&self, client: IpAddr, facts: &Facts) -> Point {
        self.point(&self.place(client, facts), facts.of(resolved(client)))
    }
}

/// What a record can be named by, in the order of precedence.
fn named(record: &Record) -> impl Iterator<Item = Matcher> {
    let [larger, smaller] = record.subdivisions.map(|part| part.map(Matcher::Subdivision));
    let asn = record.asn.map(Matcher::Asn);
    let country = record.country.map(Matcher::Country);
    let continent = record.continent.map(Matcher::Continent);
    [asn, smaller, larger, country, continent].into_iter().flatten()
}

/// Where a network is: by its coordinates, else at its country's hub.
pub(super) fn spot(record: &Record) -> Option<Spot> {
    record.spot.or_else(|| {
        let hub = hubs::of(record.country?)?.at;
        Spot::new(hub.latitude, hub.longitude)
    })
}

/// An IPv6 address that holds an IPv4 address as that one; any other as it is.
pub(super) fn resolved(client: IpAddr) -> IpAddr {
    match client {
        IpAddr::V6(address) => {
            Embedding::of(address).map_or(client, |embedding| embedding.inner(address).into())
        }
        IpAddr::V4(_) => client,
    }
}

/// Profiles in the making.
struct Profiles<'p> {
    facts: &'p Facts,
    maps: &'p [Map],
    table: Table<Profile>,
    /// By the number of the record, and of the `net:` rule in each map.
    known: HashMap<Box<[u32]>, u32, FixedState>,
}

impl Profiles<'_> {
    /// The number of the profile of a record under these `net:` rules. `key`: the record, then each map's rule.
    fn number(&mut self, key: &[u32]) -> u32 {
        if let Some(known) = self.known.get(key) {
            return *known;
        }
        let record = self.facts.record(key[0]);
        let placed: Vec<Placed> =
            self.maps.iter().zip(&key[1..]).map(|(map, net)| map.decide(*net, record)).collect();
        let regions = placed.iter().map(|placed| placed.region).collect();
        let world = MapId::WORLD.index();
        let point = self.maps[world].point(&placed[world], record);
        let number = self.table.number(Profile { regions, point });
        self.known.insert(key.into(), number);
        number
    }
}

/// Goes over all runs at once: wherever one of them turns, so may the profile.
fn overlay<A: Number>(facts: &Runs<A>, nets: Vec<&Runs<A>>, profiles: &mut Profiles<'_>) -> Runs<A> {
    let layers: Vec<&Runs<A>> = [facts].into_iter().chain(nets).collect();
    let mut places = vec![0; layers.len()];
    let mut key: Vec<u32> = layers.iter().map(|layer| layer.values[0]).collect();
    let mut runs = Runs::empty();
    let mut at = A::ZERO;
    loop {
        runs.begin(at, profiles.number(&key));
        let nexts = layers.iter().zip(&places).filter_map(|(layer, place)| layer.starts.get(place + 1));
        let Some(next) = nexts.min().copied() else { return runs };
        for ((layer, place), value) in layers.iter().zip(&mut places).zip(&mut key) {
            if layer.starts.get(*place + 1) == Some(&next) {
                *place += 1;
                *value = layer.values[*place];
            }
        }
        at = next;
    }
}

/// Distinct values, each with a number, in the order in which they came.
#[derive(Debug)]
pub struct Table<T> {
    /// Index: the numbers.
    pub values: Vec<T>,
    numbers: HashMap<T, u32, FixedState>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { values: Vec::new(), numbers: HashMap::default() }
    }
}

impl<T: Clone + Eq + Hash> Table<T> {
    /// The number of a value.
    pub fn number(&mut self, value: T) -> u32 {
        if let Some(known) = self.numbers.get(&value) {
            return *known;
        }
        let number = u32::try_from(self.values.len()).expect("fewer than there are addresses");
        self.values.push(value.clone());
        self.numbers.insert(value, number);
        number
    }
}
