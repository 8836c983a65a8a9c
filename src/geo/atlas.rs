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
use ipnet::{IpNet, Ipv6Net};

use crate::geo::distance::kilometres;
use crate::geo::embedded::{EMBEDDINGS, Embedding};
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
        let nowhere = Runs::default();
        let v4 = overlay(&nowhere, &facts.v4, maps.iter().map(|map| &map.v4), &mut profiles);
        let v6 = overlay(&embedded(), &facts.v6, maps.iter().map(|map| &map.v6), &mut profiles);
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

/// The IPv6 addresses that hold an IPv4 address: runs of value 1.
fn embedded() -> Runs<u128> {
    let ends = |prefix: Ipv6Net| (prefix.network().to_bits(), prefix.broadcast().to_bits(), 1);
    Runs::of(EMBEDDINGS.map(|embedding| ends(embedding.prefix)).into())
}

/// Goes over all runs at once: wherever one of them turns, so may the profile. Where `nobody` is not 0 there are no
/// clients: what is before goes on there.
fn overlay<'r, A: Number>(
    nobody: &'r Runs<A>,
    facts: &'r Runs<A>,
    nets: impl Iterator<Item = &'r Runs<A>>,
    profiles: &mut Profiles<'_>,
) -> Runs<A> {
    let layers: Vec<&Runs<A>> = [nobody, facts].into_iter().chain(nets).collect();
    let mut places = vec![0; layers.len()];
    let mut key: Vec<u32> = layers.iter().map(|layer| layer.values[0]).collect();
    let mut runs = Runs::empty();
    let mut at = A::ZERO;
    loop {
        if key[0] == 0 {
            runs.begin(at, profiles.number(&key[1..]));
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geo::facts::FactsBuilder;

    const FRANKFURT: Coordinates = Coordinates { latitude: 50.11, longitude: 8.68 };
    const SAN_FRANCISCO: Coordinates = Coordinates { latitude: 37.77, longitude: -122.42 };

    /// A database of these networks; of those that overlap the first counts.
    fn facts(networks: &[(&str, Record)]) -> Facts {
        let mut builder = FactsBuilder::default();
        for (network, record) in networks {
            let record = builder.record(*record);
            match network.parse().expect("a test writes good prefixes") {
                IpNet::V4(net) => builder.add_v4(net.network(), net.broadcast(), record),
                IpNet::V6(net) => builder.add_v6(net.network(), net.broadcast(), record),
            }
        }
        builder.finish()
    }

    fn country(code: &str) -> Record {
        Record { country: Some(code.parse().expect("a test writes good codes")), ..Record::default() }
    }

    fn at(spot: Coordinates, record: Record) -> Record {
        Record { spot: Spot::new(spot.latitude, spot.longitude), ..record }
    }

    /// London, in England, in the United Kingdom, of which a database knows the middle too.
    fn london() -> Record {
        let parts = ["GB-ENG", "GB-LND"].map(|code| code.parse().ok());
        let middle = Coordinates { latitude: 54.0, longitude: -2.0 };
        Record { subdivisions: parts, asn: Some(64500), ..at(middle, country("GB")) }
    }

    fn rule(text: &str) -> Matcher {
        let (kind, code) = text.split_once(':').expect("a test writes good rules");
        let matcher = match kind {
            "net" => code.parse().ok().map(Matcher::Net),
            "asn" => code.parse().ok().map(Matcher::Asn),
            "subdivision" => code.parse().ok().map(Matcher::Subdivision),
            "country" => code.parse().ok().map(Matcher::Country),
            _ => code.parse().ok().map(Matcher::Continent),
        };
        matcher.expect("a test writes good rules")
    }

    /// A map: for each region its rules and its place. The last one takes the rest.
    fn map(regions: &[(&[&str], Option<Coordinates>)]) -> Map {
        let rules = (0..)
            .zip(regions)
            .flat_map(|(region, (rules, _))| rules.iter().map(move |text| (rule(text), RegionId(region))));
        Map::compile(Rules {
            matchers: rules.collect(),
            at: regions.iter().map(|(_, at)| *at).collect(),
            default: RegionId::at(regions.len() - 1),
        })
    }

    /// The region of a client, and why it is there.
    fn place(map: &Map, client: &str, facts: &Facts) -> (u16, String) {
        let Placed { region, by } = map.place(client.parse().expect("a test writes good addresses"), facts);
        let by = match by {
            By::Rule(matcher) => matcher.to_string(),
            By::Distance(km) => format!("{km:.0} km"),
            By::Default => "default".to_owned(),
        };
        (region.0, by)
    }

    fn point(map: &Map, client: &str, facts: &Facts) -> Point {
        map.point_of(client.parse().expect("a test writes good addresses"), facts)
    }

    #[test]
    fn of_prefixes_that_hold_a_client_the_longest_decides() {
        let map = map(&[
            (&["net:10.0.0.0/8", "net:10.1.2.0/24"], None),
            (&["net:10.1.0.0/16", "net:2001:db8::/32"], None),
            (&["net:2001:db8:1::/48"], None),
        ]);
        let region = |client| place(&map, client, &Facts::none()).0;
        assert_eq!(["10.2.0.0", "10.1.1.255", "10.1.2.0", "10.1.3.0"].map(region), [0, 1, 0, 1]);
        assert_eq!(["2001:db8::1", "2001:db8:1::1", "2001:db8:2::1"].map(region), [1, 2, 1]);
    }

    #[test]
    fn every_kind_of_rule_beats_those_after_it() {
        let rules = [
            "net:192.0.2.0/24",
            "asn:64500",
            "subdivision:GB-LND",
            "subdivision:GB-ENG",
            "country:GB",
            "continent:EU",
        ];
        let facts = facts(&[("192.0.2.0/24", london())]);
        for best in 0..rules.len() {
            let regions: Vec<(&[&str], _)> = rules[best..].chunks(1).rev().map(|rule| (rule, None)).collect();
            let decided = place(&map(&regions), "192.0.2.1", &facts);
            assert_eq!(decided, (regions.len() as u16 - 1, rules[best].to_owned()));
        }
    }

    #[test]
    fn a_client_that_no_rule_places_is_in_the_nearest_region_that_has_a_place() {
        let map = map(&[(&[], Some(SAN_FRANCISCO)), (&[], Some(FRANKFURT)), (&[], None)]);
        let facts =
            facts(&[("192.0.2.0/24", at(FRANKFURT, country("US"))), ("198.51.100.0/24", country("FR"))]);
        assert_eq!(place(&map, "192.0.2.1", &facts), (1, "0 km".to_owned()), "the place, not the country's");
        let (region, by) = place(&map, "198.51.100.1", &facts);
        assert_eq!(
            (region, by.ends_with(" km")),
            (1, true),
            "the country's hub where the place is not known"
        );
        assert_eq!(place(&map, "203.0.113.1", &facts), (2, "default".to_owned()));
    }

    #[test]
    fn the_nearest_region_may_be_across_the_date_line() {
        let samoa = Coordinates { latitude: -13.83, longitude: -171.76 };
        let tokyo = Coordinates { latitude: 35.68, longitude: 139.69 };
        let facts = facts(&[("192.0.2.0/24", country("FJ"))]);
        assert_eq!(place(&map(&[(&[], Some(tokyo)), (&[], Some(samoa))]), "192.0.2.1", &facts).0, 1);
    }

    #[test]
    fn of_regions_that_are_as_near_the_first_is_taken() {
        let facts = facts(&[("192.0.2.0/24", at(SAN_FRANCISCO, Record::default()))]);
        let map = map(&[(&[], None), (&[], Some(FRANKFURT)), (&[], Some(FRANKFURT))]);
        assert_eq!(place(&map, "192.0.2.1", &facts).0, 1);
    }

    #[test]
    fn a_prefix_or_a_network_by_number_is_the_operators_word_against_the_coordinates_of_a_database() {
        let facts = facts(&[("192.0.2.0/24", london())]);
        let known = point(&map(&[(&[], None)]), "192.0.2.1", &facts);
        assert!(matches!(known, Point::At(_)));
        for (rule, wanted) in [
            ("net:192.0.2.0/24", Point::Region),
            ("asn:64500", Point::Region),
            ("subdivision:GB-LND", known),
            ("country:GB", known),
        ] {
            let placed = map(&[(&[rule], Some(SAN_FRANCISCO)), (&[], None)]);
            assert_eq!(point(&placed, "192.0.2.1", &facts), wanted, "{rule}");
            let nowhere = map(&[(&[rule], None), (&[], None)]);
            assert_eq!(point(&nowhere, "192.0.2.1", &facts), known, "{rule} says nothing of where");
        }
    }

    #[test]
    fn an_ipv4_client_within_ipv6_is_where_its_ipv4_address_is() {
        let map = map(&[(&["net:192.0.2.0/24"], None), (&["net:2000::/3", "net:::/8"], None), (&[], None)]);
        for client in
            ["::ffff:192.0.2.1", "64:ff9b::192.0.2.1", "2002:c000:201::1", "2001:0:1:2:3:4:3fff:fdfe"]
        {
            assert_eq!(place(&map, client, &Facts::none()).0, 0, "{client}");
        }
        assert_eq!(place(&map, "2001:db8::1", &Facts::none()).0, 1);
    }

    #[test]
    fn nobody_is_where_ipv6_only_shows_ipv4() {
        let facts = facts(&[("2002::/16", country("DE")), ("2001::/33", country("FR"))]);
        let atlas = Atlas::compile(&facts, &[map(&[(&["country:DE"], None), (&[], None)])]);
        assert_eq!(atlas.profiles, [Profile { regions: [RegionId(1)].into(), point: Point::Region }]);
        assert_eq!(atlas.runs(), 2);
    }

    #[test]
    fn clients_of_one_profile_are_alike_on_every_map_and_on_the_globe() {
        let facts = facts(&[
            ("192.0.2.0/25", country("DE")),
            ("192.0.2.128/25", country("FR")),
            ("198.51.100.0/24", country("DE")),
        ]);
        let world = map(&[(&["continent:EU"], None), (&[], None)]);
        let legal = map(&[(&["country:DE"], None), (&["net:198.51.100.0/25"], None), (&[], None)]);
        let atlas = Atlas::compile(&facts, &[world, legal]);
        let partition = atlas.divide(&(0..atlas.profiles.len() as u32).collect::<Vec<_>>());
        let profile = |client: &str| {
            let (class, _) = partition.find(client.parse().expect("a test writes good addresses"));
            &atlas.profiles[class as usize]
        };
        let regions = |client| profile(client).regions.iter().map(|region| region.0).collect::<Vec<_>>();
        assert_eq!(regions("192.0.2.1"), [0, 0]);
        assert_eq!(regions("192.0.2.129"), [0, 2]);
        assert_eq!(regions("198.51.100.1"), [0, 1]);
        assert_eq!(regions("203.0.113.1"), [1, 2]);
        assert_eq!(profile("192.0.2.1"), profile("198.51.100.200"));
        assert_ne!(profile("192.0.2.1").point, profile("192.0.2.129").point);
    }

    #[test]
    fn a_profile_turns_only_where_something_that_is_asked_for_does() {
        let facts =
            facts(&[("192.0.2.0/25", country("DE")), ("192.0.2.128/25", at(FRANKFURT, country("DE")))]);
        let by_country = map(&[(&["country:DE", "net:10.0.0.0/8", "net:11.0.0.0/8"], None), (&[], None)]);
        let atlas = Atlas::compile(&facts, &[by_country]);
        let of_region =
            |region| atlas.profiles.iter().filter(move |profile| profile.regions[0] == region).count();
        assert_eq!([RegionId(0), RegionId(1)].map(of_region), [2, 1], "by rule or hub, and by coordinates");
        let classes: Vec<u32> =
            atlas.profiles.iter().map(|profile| u32::from(profile.regions[0].0)).collect();
        let scope = |client: &str| atlas.divide(&classes).find(client.parse().expect("an address")).1;
        assert_eq!(["10.1.2.3", "11.1.2.3", "192.0.2.1"].map(scope), [7, 7, 24], "equal neighbours are one");
    }
}
