//! The slow, obvious way: every rule is looked at for every address, and every length of prefix is tried.
//!
//! ```text
//!   address --all rules, by precedence--> Place (region on each map, point)
//!   place --pool--> Treatment: whatever of the place can change what the pool does
//!   scope: the first length, from 0 up, of a block in which nobody is treated differently
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use windrose::geo::facts::Record;
use windrose::geo::{Matcher, biased, hubs, kilometres};
use windrose::model::{Coordinates, Policy};

use crate::world::{Endpoint, Map, Pick, Pool, Reach, World};

/// Where an address is.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    /// Its region on each map.
    pub regions: Vec<usize>,
    /// Where it is on the globe; `None`: wherever its region of `world` is.
    pub at: Option<Coordinates>,
}

/// Whatever of a client's place can change what a pool does.
#[derive(Clone, Debug, PartialEq)]
pub struct Treatment {
    /// The members it may be given, in the order in which they are tried.
    pub order: Vec<usize>,
    /// What decides whether they are up.
    pub standing: Standing,
}

/// Whatever of a client's place can change whether a pool is up.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// Who is counted.
    counted: Vec<usize>,
    /// Whose verdicts count, if any member is watched.
    region: Option<usize>,
    nested: Vec<Standing>,
}

/// A world that can be asked about any address.
pub struct Reference<'w> {
    pub world: &'w World,
    /// Where something begins, or has ended: in between all addresses are alike.
    edges: Vec<IpAddr>,
}

impl<'w> Reference<'w> {
    pub fn new(world: &'w World) -> Self {
        let nets = world.maps.iter().flat_map(|map| &map.regions).flat_map(|region| &region.clients);
        let nets = nets.filter_map(|matcher| match matcher {
            Matcher::Net(net) => Some((net.network(), net.broadcast())),
            _ => None,
        });
        let ranges = world.ranges.iter().map(|range| (range.first, range.last));
        let embedded = EMBEDDED.map(|(prefix, ..)| (prefix.network().into(), prefix.broadcast().into()));
        let everything = [(V4_FIRST, V4_LAST), (V6_FIRST, V6_LAST)];
        let pieces = nets.chain(ranges).chain(embedded).chain(everything);
        let mut edges: Vec<IpAddr> =
            pieces.flat_map(|(first, last)| [Some(first), next(last)]).flatten().collect();
        edges.sort();
        edges.dedup();
        Self { world, edges }
    }

    /// All edges, IPv4 first.
    pub fn edges(&self) -> &[IpAddr] {
        &self.edges
    }

    /// Where an address is.
    pub fn place(&self, client: IpAddr) -> Place {
        let client = inner(client);
        let record = self.record(client);
        let decided: Vec<(usize, Option<&Matcher>)> =
            self.world.maps.iter().map(|map| region(map, client, &record)).collect();
        let (own, rule) = decided[0];
        let by_word = matches!(rule, Some(Matcher::Net(_) | Matcher::Asn(_)));
        let known = if by_word && at(&self.world.maps[0], own).is_some() { None } else { point(&record) };
        Place { regions: decided.iter().map(|(region, _)| *region).collect(), at: known }
    }

    /// What the database says: the first range that holds the address, and what follows from it.
    fn record(&self, client: IpAddr) -> Record {
        let holding = self.world.ranges.iter().find(|range| (range.first..=range.last).contains(&client));
        let Some(range) = holding else { return Record::default() };
        let mut record = range.record;
        record.country = record.country.or(record.subdivisions[0].map(|part| part.country()));
        let hub = record.country.and_then(hubs::of);
        record.continent = record.continent.or(hub.map(|hub| hub.continent));
        record
    }

    /// How a pool treats clients at a place.
    pub fn treatment(&self, pool: &Pool, place: &Place) -> Treatment {
        Treatment { order: self.order(pool, place), standing: self.standing(pool, place) }
    }

    fn order(&self, pool: &Pool, place: &Place) -> Vec<usize> {
        match pool.policy {
            Policy::Nearest | Policy::Latency => self.by_distance(pool, place),
            Policy::Geo => by_rule(pool, place.regions[pool.map]),
            Policy::Failover | Policy::Weighted | Policy::All => (0..pool.members.len()).collect(),
        }
    }

    /// Those in the client's own region first if that is all that is known of it; then by distance; as written
    /// where that is equal.
    fn by_distance(&self, pool: &Pool, place: &Place) -> Vec<usize> {
        let world = &self.world.maps[0];
        let own = place.regions[0];
        let from = place.at.or(at(world, own));
        let rank = |member: usize| {
            let sites = self.sites(pool.members[member].pick);
            let is_own = place.at.is_none() && sites.iter().any(|endpoint| endpoint.region == Some(own));
            let places = sites.iter().filter_map(|endpoint| {
                let region = endpoint.region.and_then(|region| at(world, region));
                endpoint.at.map(coordinates).or(region)
            });
            let km = places.filter_map(|to| Some(kilometres(from?, to))).reduce(f64::min);
            (!is_own, km.map_or(f64::INFINITY, |km| biased(km, pool.members[member].bias)))
        };
        let mut order: Vec<usize> = (0..pool.members.len()).collect();
        order.sort_by(|a, b| rank(*a).partial_cmp(&rank(*b)).expect("no distance is NaN"));
        order
    }

    /// The endpoints within a member, however deep.
    fn sites(&self, pick: Pick) -> Vec<&Endpoint> {
        match pick {
            Pick::Endpoint(id) => vec![&self.world.endpoints[id]],
            Pick::Pool(id) => {
                self.world.pools[id].members.iter().flat_map(|member| self.sites(member.pick)).collect()
            }
        }
    }

    fn standing(&self, pool: &Pool, place: &Place) -> Standing {
        let counted = if pool.policy == Policy::Geo { self.order(pool, place) } else { all(pool) };
        let watched = |member: &usize| match pool.members[*member].pick {
            Pick::Endpoint(id) => self.world.endpoints[id].watched,
            Pick::Pool(_) => false,
        };
        let region = counted.iter().any(watched).then_some(place.regions[0]);
        let nested = last_resort(pool, counted.clone()).into_iter();
        let nested = nested.filter_map(|member| match pool.members[member].pick {
            Pick::Pool(id) => Some(self.standing(&self.world.pools[id], place)),
            Pick::Endpoint(_) => None,
        });
        Standing { nested: nested.collect(), region, counted }
    }

    /// What a question comes to for every address.
    pub fn everywhere<T: PartialEq>(&self, question: impl Fn(&Place) -> T) -> Everywhere<T> {
        let value = |edge: &IpAddr| (*edge, (inner(*edge) == *edge).then(|| question(&self.place(*edge))));
        let (v4, v6) = self.edges.iter().map(value).partition(|(edge, _)| edge.is_ipv4());
        Everywhere { v4, v6 }
    }
}

/// The members in the order in which they are tried when nothing is up: where no rule holds and no fence forbids
/// it, all.
pub fn last_resort(pool: &Pool, order: Vec<usize>) -> Vec<usize> {
    if order.is_empty() && !pool.fence { all(pool) } else { order }
}

fn all(pool: &Pool) -> Vec<usize> {
    (0..pool.members.len()).collect()
}

/// Those whose rule holds the region, the most specific first; then the default one, from which a fence keeps
/// those for whom there is a rule.
fn by_rule(pool: &Pool, region: usize) -> Vec<usize> {
    let holds = |member: &usize| pool.members[*member].regions.contains(&region);
    let mut order: Vec<usize> = all(pool).into_iter().filter(holds).collect();
    order.sort_by_key(|member| pool.members[*member].regions.len());
    let fenced = pool.fence && !order.is_empty();
    let others = all(pool).into_iter().filter(|member| pool.members[*member].default && !holds(member));
    order.extend(others.filter(|_| !fenced));
    order
}

/// The region of an address on a map, and the rule that says so, if one does.
fn region<'m>(map: &'m Map, client: IpAddr, record: &Record) -> (usize, Option<&'m Matcher>) {
    let rules = || {
        let of_region = |(number, region): (usize, &'m crate::world::Region)| {
            region.clients.iter().map(move |matcher| (number, matcher))
        };
        map.regions.iter().enumerate().flat_map(of_region)
    };
    let longest = rules()
        .filter_map(|(number, matcher)| match matcher {
            Matcher::Net(net) if net.contains(&client) => Some((net.prefix_len(), number, matcher)),
            _ => None,
        })
        .max_by_key(|(length, ..)| *length);
    if let Some((_, number, matcher)) = longest {
        return (number, Some(matcher));
    }
    let [larger, smaller] = record.subdivisions;
    let by_precedence = [
        record.asn.map(Matcher::Asn),
        smaller.map(Matcher::Subdivision),
        larger.map(Matcher::Subdivision),
        record.country.map(Matcher::Country),
        record.continent.map(Matcher::Continent),
    ];
    for wanted in by_precedence.into_iter().flatten() {
        if let Some((number, matcher)) = rules().find(|(_, matcher)| **matcher == wanted) {
            return (number, Some(matcher));
        }
    }
    (nearest(map, record).unwrap_or_else(|| rest(map)), None)
}

/// The nearest region whose place is known, of a client whose place is known; of several the first.
fn nearest(map: &Map, record: &Record) -> Option<usize> {
    let client = point(record)?;
    let mut best: Option<(usize, f64)> = None;
    for number in 0..map.regions.len() {
        let Some(km) = at(map, number).map(|at| kilometres(client, at)) else { continue };
        if best.is_none_or(|(_, shortest)| km < shortest) {
            best = Some((number, km));
        }
    }
    best.map(|(number, _)| number)
}

/// The region that takes the rest: the default one, or one after those that were written.
fn rest(map: &Map) -> usize {
    map.regions.iter().position(|region| region.default).unwrap_or(map.regions.len())
}

/// Where a client is, by what the database says: its coordinates, else the hub of its country.
fn point(record: &Record) -> Option<Coordinates> {
    record.spot.map(|spot| spot.coordinates()).or_else(|| Some(hubs::of(record.country?)?.at))
}

fn at(map: &Map, region: usize) -> Option<Coordinates> {
    map.regions.get(region)?.at.map(coordinates)
}

fn coordinates((latitude, longitude): (f64, f64)) -> Coordinates {
    Coordinates { latitude, longitude }
}

/// What a question comes to for every address: from each edge to the next it is the same. `None`: for IPv6
/// addresses that hold an IPv4 address it is what it comes to for that one.
pub struct Everywhere<T> {
    v4: Vec<(IpAddr, Option<T>)>,
    v6: Vec<(IpAddr, Option<T>)>,
}

impl<T: PartialEq> Everywhere<T> {
    /// The length of the shortest prefix around a client in which the answer is the same for all.
    pub fn scope(&self, client: IpAddr) -> u8 {
        let fits = |length: &u8| self.is_uniform(block(client, *length));
        (0..=IpNet::from(client).prefix_len()).find(fits).expect("one address is like itself")
    }

    /// Whether the answer is the same for all.
    pub fn is_one(&self) -> bool {
        self.is_uniform(block(V4_FIRST, 0)) && self.is_uniform(block(V6_FIRST, 0))
    }

    fn is_uniform(&self, block: IpNet) -> bool {
        let mut values = self.values(block);
        let first = values.next();
        values.all(|value| Some(value) == first)
    }

    /// All answers within a block.
    fn values(&self, block: IpNet) -> Box<dyn Iterator<Item = &T> + '_> {
        let IpNet::V6(net) = block else { return Box::new(within(&self.v4, block)) };
        if let Some(inner) = inner_block(net) {
            return self.values(IpNet::V4(inner));
        }
        let holds_v4 = EMBEDDED.iter().any(|(prefix, ..)| net.contains(prefix));
        let embedded = self.v4.iter().filter(move |_| holds_v4).filter_map(|(_, value)| value.as_ref());
        Box::new(within(&self.v6, block).chain(embedded))
    }
}

/// What holds for some address of a block.
fn within<T>(edges: &[(IpAddr, Option<T>)], block: IpNet) -> impl Iterator<Item = &T> {
    let first = edges.partition_point(|(edge, _)| *edge <= block.network()) - 1;
    let after = edges.partition_point(|(edge, _)| *edge <= block.broadcast());
    edges[first..after].iter().filter_map(|(_, value)| value.as_ref())
}

/// The block of a length around an address.
pub fn block(address: IpAddr, length: u8) -> IpNet {
    IpNet::new(address, length).expect("a length fits its family").trunc()
}

/// IPv4 within IPv6: all addresses of a kind, the bits before the IPv4 address, and whether it is inverted
/// (RFC 4291 section 2.5.5.2, RFC 6052 section 2.1, RFC 3056 section 2, RFC 4380 section 4).
pub const EMBEDDED: [(Ipv6Net, u8, bool); 4] = [
    (Ipv6Net::new_assert(Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96), 96, false),
    (Ipv6Net::new_assert(Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96), 96, false),
    (Ipv6Net::new_assert(Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16), 16, false),
    (Ipv6Net::new_assert(Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 32), 96, true),
];

/// The IPv4 address within an IPv6 one; any other as it is.
pub fn inner(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    let host = Ipv6Net::new_assert(v6, 128);
    inner_block(host).map_or(address, |inner| inner.addr().into())
}

/// The block of IPv4 addresses within a block of addresses that all hold one.
pub fn inner_block(block: Ipv6Net) -> Option<Ipv4Net> {
    let (_, before, inverted) = *EMBEDDED.iter().find(|(prefix, ..)| prefix.contains(&block))?;
    let bits = (block.network().to_bits() << before >> 96) as u32;
    let length = block.prefix_len().saturating_sub(before).min(32);
    Some(Ipv4Net::new_assert(Ipv4Addr::from_bits(if inverted { !bits } else { bits }), length).trunc())
}

/// The forms in which an IPv6 network may show an IPv4 client, and what comes before its address there.
pub fn embedded_forms(client: Ipv4Addr, noise: u64) -> [(Ipv6Addr, u8); 4] {
    EMBEDDED.map(|(prefix, before, inverted)| {
        let v4 = u128::from(if inverted { !client.to_bits() } else { client.to_bits() });
        let kept = prefix.netmask().to_bits();
        let others = u128::from(noise) << 64 | u128::from(noise.rotate_left(17));
        let hole = 96 - u32::from(before);
        let bits = others & !kept & !(u128::from(u32::MAX) << hole) | prefix.addr().to_bits() | v4 << hole;
        (bits.into(), before)
    })
}

fn next(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(address) => address.to_bits().checked_add(1).map(|bits| Ipv4Addr::from_bits(bits).into()),
        IpAddr::V6(address) => address.to_bits().checked_add(1).map(|bits| Ipv6Addr::from_bits(bits).into()),
    }
}

const V4_FIRST: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
const V4_LAST: IpAddr = IpAddr::V4(Ipv4Addr::BROADCAST);
const V6_FIRST: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
const V6_LAST: IpAddr = IpAddr::V6(Ipv6Addr::from_bits(u128::MAX));

/// Who is answered, where pools try their members in order: with verdicts, and without fractions or draws.
pub struct Served<'w, 'h> {
    pub reference: &'h Reference<'w>,
    /// Whether an endpoint is up for clients of a region.
    pub usable: &'h dyn Fn(usize, usize) -> bool,
    /// Whether an endpoint has an address of the family that was asked for.
    pub serves: &'h dyn Fn(usize) -> bool,
    pub subnet: Place,
    pub source: Place,
}

impl Served<'_, '_> {
    /// The endpoint that a name with this pool is answered with.
    pub fn by(&self, top: usize) -> Option<usize> {
        let mut down = top;
        loop {
            if let Some(endpoint) = self.pick(down) {
                return Some(endpoint);
            }
            let pool = self.pool(down);
            match pool.fallback {
                Some(Pick::Pool(next)) => down = next,
                Some(Pick::Endpoint(endpoint)) if self.is_up(pool.fallback?, self.place(pool)) => {
                    return Some(endpoint);
                }
                _ => break,
            }
        }
        match self.pool(top).on_down {
            None if self.has(Pick::Pool(top), self.place(self.pool(top))) => self.pick_whatever(top),
            _ => None,
        }
    }

    /// The first that is up.
    fn pick(&self, id: usize) -> Option<usize> {
        let pool = self.pool(id);
        let place = self.place(pool);
        let order = self.reference.order(pool, place);
        let mut up =
            order.iter().map(|member| pool.members[*member].pick).filter(|pick| self.is_up(*pick, place));
        up.find_map(|pick| match pick {
            Pick::Endpoint(endpoint) => Some(endpoint),
            Pick::Pool(nested) => self.pick(nested),
        })
    }

    /// The first, as if all were up.
    fn pick_whatever(&self, id: usize) -> Option<usize> {
        let pool = self.pool(id);
        let place = self.place(pool);
        let order = last_resort(pool, self.reference.order(pool, place));
        let mut picks =
            order.iter().map(|member| pool.members[*member].pick).filter(|pick| self.has(*pick, place));
        picks.find_map(|pick| match pick {
            Pick::Endpoint(endpoint) => Some(endpoint),
            Pick::Pool(nested) => self.pick_whatever(nested),
        })
    }

    fn is_up(&self, pick: Pick, place: &Place) -> bool {
        match pick {
            Pick::Endpoint(id) => (self.serves)(id) && (self.usable)(id, place.regions[0]),
            Pick::Pool(id) => {
                let pool = self.pool(id);
                let order = self.reference.order(pool, place);
                order.iter().any(|member| self.is_up(pool.members[*member].pick, place))
            }
        }
    }

    /// Whether there is an answer of the family, up or not.
    fn has(&self, pick: Pick, place: &Place) -> bool {
        match pick {
            Pick::Endpoint(id) => (self.serves)(id),
            Pick::Pool(id) => {
                let pool = self.pool(id);
                let order = last_resort(pool, self.reference.order(pool, place));
                order.iter().any(|member| self.has(pool.members[*member].pick, place))
            }
        }
    }

    fn pool(&self, id: usize) -> &Pool {
        &self.reference.world.pools[id]
    }

    /// Where the client is, as far as a pool believes it.
    fn place(&self, pool: &Pool) -> &Place {
        let believed = pool.client_subnet && self.reference.world.maps[pool.map].client_subnet;
        if believed { &self.subnet } else { &self.source }
    }
}

/// Whether an endpoint has an address of a family.
pub fn serves(endpoint: &Endpoint, want_v4: bool) -> bool {
    matches!(endpoint.reach, Reach::Addresses { v4, v6 } if if want_v4 { v4 } else { v6 })
}
