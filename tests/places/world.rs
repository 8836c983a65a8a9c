//! Random worlds: what an operator could write, and what a database could know.
//!
//! ```text
//!   choices --World::of--> World --text()--> a steering file    --.
//!                            |  `--facts()-> what is known        +--> compile --> Plan
//!                            `-----------> reference              |
//!                                             `------------ compared with it
//! ```
//!
//! A world is small and crowded on purpose: a few prefixes that nest, touch and repeat, a few places of which some
//! are the same, so that ties, overlaps and empty rules come up all the time.

use std::collections::HashSet;
use std::fmt;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use windrose::geo::facts::{Record, Spot};
use windrose::geo::{Facts, FactsBuilder, Matcher};
use windrose::model::Policy;
use windrose::plan::{Plan, compile};
use windrose::spec::{self, Severity, Source, Sources};

use crate::reference::inner_block;

/// All that is written and known.
pub struct World {
    /// What the database says, in its order: of ranges that overlap the first counts.
    pub ranges: Vec<Range>,
    /// `world` first.
    pub maps: Vec<Map>,
    pub endpoints: Vec<Endpoint>,
    /// Each picks only endpoints and pools before it.
    pub pools: Vec<Pool>,
}

pub struct Range {
    pub first: IpAddr,
    pub last: IpAddr,
    pub record: Record,
}

pub struct Map {
    pub name: String,
    pub client_subnet: bool,
    pub regions: Vec<Region>,
}

pub struct Region {
    pub at: Option<(f64, f64)>,
    pub clients: Vec<Matcher>,
    pub default: bool,
}

pub struct Endpoint {
    pub region: Option<usize>,
    pub at: Option<(f64, f64)>,
    pub reach: Reach,
    pub watched: bool,
}

#[derive(Clone, Copy, PartialEq)]
pub enum Reach {
    Addresses {
        v4: bool,
        v6: bool,
    },
    /// A host name that we do not serve.
    Outside,
    /// The name of the first pool.
    Alias,
}

pub struct Pool {
    pub policy: Policy,
    pub map: usize,
    pub members: Vec<Member>,
    pub fallback: Option<Pick>,
    pub min_up: Option<usize>,
    pub answers: Option<usize>,
    pub on_down: Option<&'static str>,
    pub client_subnet: bool,
    pub sticky: bool,
    pub fence: bool,
    pub trickle: bool,
}

pub struct Member {
    pub pick: Pick,
    pub weight: usize,
    pub bias: i8,
    pub regions: Vec<usize>,
    pub default: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Pick {
    Endpoint(usize),
    Pool(usize),
}

impl World {
    /// The world that comes of these choices.
    pub fn of(choices: Vec<u64>) -> Self {
        let mut dice = Dice(choices.into_iter());
        let maps: Vec<Map> = (0..1 + dice.below(3)).map(|number| dice.map(number)).collect();
        let ranges = (0..dice.below(16)).map(|_| dice.range()).collect();
        let endpoints: Vec<Endpoint> =
            (0..1 + dice.below(6)).map(|number| dice.endpoint(number, maps[0].regions.len())).collect();
        let mut world = Self { ranges, maps, endpoints, pools: Vec::new() };
        for _ in 0..1 + dice.below(5) {
            world.pools.push(dice.pool(&world));
        }
        world
    }

    /// Without countries: their hubs have no mirror image.
    pub fn without_hubs(mut self) -> Self {
        for range in &mut self.ranges {
            (range.record.country, range.record.subdivisions) = (None, [None, None]);
        }
        self
    }

    /// East for west.
    pub fn mirrored(mut self) -> Self {
        let mirror = |(latitude, longitude): (f64, f64)| (latitude, -longitude);
        for region in self.maps.iter_mut().flat_map(|map| &mut map.regions) {
            region.at = region.at.map(mirror);
        }
        for endpoint in &mut self.endpoints {
            endpoint.at = endpoint.at.map(mirror);
        }
        for range in &mut self.ranges {
            let at = range.record.spot.map(Spot::coordinates);
            range.record.spot = at.and_then(|at| Spot::new(at.latitude, -at.longitude));
        }
        self
    }

    /// What is known, as a database tells it.
    pub fn facts(&self) -> Facts {
        let mut builder = FactsBuilder::default();
        for Range { first, last, record } in &self.ranges {
            let record = builder.record(*record);
            match (first, last) {
                (IpAddr::V4(first), IpAddr::V4(last)) => builder.add_v4(*first, *last, record),
                (IpAddr::V6(first), IpAddr::V6(last)) => builder.add_v6(*first, *last, record),
                _ => unreachable!("a range is of one family"),
            }
        }
        builder.finish()
    }

    /// What it is run as.
    pub fn plan(&self) -> Arc<Plan> {
        let sources = Sources {
            zones: vec![Source::new("example.org.zone", ZONE)],
            steering: vec![Source::new("example.org.toml", &self.text())],
        };
        let (spec, mut found) = spec::parse(&sources, &|_, _| Err("nothing to include".into()));
        let (plan, more) = compile(&spec, &Arc::new(self.facts()), Duration::from_secs(2));
        found.extend(more);
        found.retain(|found| found.severity == Severity::Error);
        assert!(found.is_empty(), "{found:#?}\n{}", self.text());
        Arc::new(plan.expect("without errors there is a plan"))
    }

    /// What can come out of a pick, however deep and whatever is down: pools and endpoints, itself among them.
    pub fn reachable(&self, from: Pick) -> Vec<Pick> {
        let mut reached = vec![from];
        let mut next = 0;
        while let Some(pick) = reached.get(next).copied() {
            let leads: Vec<Pick> = match pick {
                Pick::Pool(id) => {
                    let pool = &self.pools[id];
                    pool.members.iter().map(|member| member.pick).chain(pool.fallback).collect()
                }
                Pick::Endpoint(id) if self.endpoints[id].reach == Reach::Alias => vec![Pick::Pool(0)],
                Pick::Endpoint(_) => vec![],
            };
            let new: Vec<Pick> = leads.into_iter().filter(|lead| !reached.contains(lead)).collect();
            reached.extend(new);
            next += 1;
        }
        reached
    }

    /// The pools among what can come out of a pool.
    pub fn reachable_pools(&self, from: usize) -> impl Iterator<Item = &Pool> {
        self.reachable(Pick::Pool(from)).into_iter().filter_map(|pick| match pick {
            Pick::Pool(id) => Some(&self.pools[id]),
            Pick::Endpoint(_) => None,
        })
    }

    /// Whether nothing but addresses can come out of a pool.
    pub fn gives_addresses(&self, pool: usize) -> bool {
        self.reachable(Pick::Pool(pool)).into_iter().all(|pick| match pick {
            Pick::Endpoint(id) => matches!(self.endpoints[id].reach, Reach::Addresses { .. }),
            Pick::Pool(_) => true,
        })
    }

    /// Whether a fence is at or within a pool.
    fn fences(&self, pick: Pick) -> bool {
        match pick {
            Pick::Pool(id) => {
                let pool = &self.pools[id];
                pool.fence || pool.members.iter().any(|member| self.fences(member.pick))
            }
            Pick::Endpoint(_) => false,
        }
    }
}

impl Endpoint {
    /// The IPv4 address of an endpoint, by its number.
    pub fn v4(number: usize) -> Ipv4Addr {
        Ipv4Addr::new(203, 0, 113, number as u8)
    }

    /// The same for IPv6.
    pub fn v6(number: usize) -> Ipv6Addr {
        Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, number as u16)
    }
}

/// As an operator would write it.
impl World {
    fn text(&self) -> String {
        let mut text = "[monitors.web]\ntype = \"tcp\"\nport = 80\n".to_owned();
        for map in &self.maps {
            map.write(&mut text);
        }
        for (number, endpoint) in self.endpoints.iter().enumerate() {
            endpoint.write(number, &mut text);
        }
        for (number, pool) in self.pools.iter().enumerate() {
            pool.write(number, &mut text);
            text += &format!("[names.p{number}]\npool = \"p{number}\"\n");
        }
        text
    }
}

impl Map {
    fn write(&self, text: &mut String) {
        let prefix = if self.name == "world" { String::new() } else { format!("maps.{}.", self.name) };
        if !self.client_subnet {
            *text += &format!("[maps.{}]\nclient_subnet = false\n", self.name);
        }
        for (number, region) in self.regions.iter().enumerate() {
            *text += &format!("[{prefix}regions.r{number}]\n");
            write_at(region.at, text);
            let clients: Vec<String> = region.clients.iter().map(|one| format!("\"{one}\"")).collect();
            *text += &format!("clients = [{}]\n", clients.join(", "));
            *text += if region.default { "default = true\n" } else { "" };
        }
    }
}

impl Endpoint {
    fn write(&self, number: usize, text: &mut String) {
        *text += &format!("[endpoints.e{number}]\n");
        *text += &self.region.map_or(String::new(), |region| format!("region = \"r{region}\"\n"));
        write_at(self.at, text);
        *text += &match self.reach {
            Reach::Outside => format!("cname = \"e{number}.example.net.\"\n"),
            Reach::Alias => "cname = \"p0.example.org.\"\n".to_owned(),
            Reach::Addresses { v4, v6 } => {
                let v4 = v4.then(|| format!("ipv4 = \"{}\"\n", Self::v4(number)));
                let v6 = v6.then(|| format!("ipv6 = \"{}\"\n", Self::v6(number)));
                v4.into_iter().chain(v6).collect()
            }
        };
        *text += if self.watched { "monitors = [\"web\"]\n" } else { "" };
    }
}

impl Pool {
    fn write(&self, number: usize, text: &mut String) {
        *text += &format!("[pools.p{number}]\npolicy = \"{}\"\n", self.policy);
        let members: Vec<String> = self.members.iter().map(|member| member.text(self.policy)).collect();
        *text += &format!("members = [{}]\n", members.join(", "));
        let mut set = |key: &str, value: Option<String>| {
            *text += &value.map_or(String::new(), |value| format!("{key} = {value}\n"));
        };
        set("map", (self.map > 0).then(|| format!("\"m{}\"", self.map)));
        set("fallback", self.fallback.map(|pick| format!("\"{}\"", pick.name())));
        set("min_up", self.min_up.map(|count| count.to_string()));
        set("answers", self.answers.map(|count| count.to_string()));
        set("on_down", self.on_down.map(|action| format!("\"{action}\"")));
        set("client_subnet", (!self.client_subnet).then(|| "false".to_owned()));
        set("sticky", self.sticky.then(|| "true".to_owned()));
        set("fence", self.fence.then(|| "true".to_owned()));
        set("trickle", self.trickle.then(|| "0.5".to_owned()));
    }
}

impl Member {
    fn text(&self, policy: Policy) -> String {
        let mut text = format!("{{ use = \"{}\"", self.pick.name());
        match policy {
            Policy::Weighted => text += &format!(", weight = {}", self.weight),
            Policy::Nearest | Policy::Latency => text += &format!(", bias = {}", self.bias),
            Policy::Geo => {
                let regions: Vec<String> = self.regions.iter().map(|one| format!("\"r{one}\"")).collect();
                text += &format!(", regions = [{}], default = {}", regions.join(", "), self.default);
            }
            Policy::Failover | Policy::All => {}
        }
        text + " }"
    }
}

impl Pick {
    /// As it is written.
    pub fn name(self) -> String {
        match self {
            Pick::Endpoint(number) => format!("e{number}"),
            Pick::Pool(number) => format!("p{number}"),
        }
    }
}

fn write_at(at: Option<(f64, f64)>, text: &mut String) {
    *text +=
        &at.map_or(String::new(), |(latitude, longitude)| format!("at = [{latitude:?}, {longitude:?}]\n"));
}

/// What a person needs to see of a world in which something is wrong.
impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut ranges = String::new();
        for Range { first, last, record } in &self.ranges {
            writeln!(ranges, "# {first} - {last} {record:?}")?;
        }
        write!(f, "\n{ranges}{}", self.text())
    }
}

/// The choices of a world. Those that are not there are 0, which chooses what is simplest.
struct Dice(std::vec::IntoIter<u64>);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        (self.0.next().unwrap_or(0) % n as u64) as usize
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == n - 1
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    fn maybe<T: Copy>(&mut self, one_in: usize, from: &[T]) -> Option<T> {
        self.one_in(one_in).then(|| self.pick(from))
    }

    fn net(&mut self) -> IpNet {
        let (base, lengths) = if self.below(5) < 3 {
            (self.pick(&BASES_V4), &LENGTHS_V4[..])
        } else {
            (self.pick(&BASES_V6), &LENGTHS_V6[..])
        };
        let base: IpAddr = base.parse().expect("a base is an address");
        IpNet::new(base, self.pick(lengths)).expect("a length fits its family").trunc()
    }

    /// A prefix; or, as a list of ranges may have it, from the beginning of one to the end of another.
    fn range(&mut self) -> Range {
        let (net, other) = (self.net(), self.net());
        let ragged = self.one_in(3) && net.addr().is_ipv4() == other.addr().is_ipv4();
        let last = if ragged { net.broadcast().max(other.broadcast()) } else { net.broadcast() };
        Range { first: net.network(), last, record: self.record() }
    }

    fn record(&mut self) -> Record {
        let parts: [Option<&str>; 2] = self.pick(&[
            [None, None],
            [Some("US-CA"), None],
            [Some("US-NY"), None],
            [Some("GB-ENG"), Some("GB-LND")],
            [Some("GB-ENG"), Some("GB-KEN")],
        ]);
        let spot = self.maybe(3, &PLACES);
        Record {
            continent: self.maybe(4, &CONTINENTS).map(|code| code.parse().expect("a continent")),
            country: self.maybe(2, &COUNTRIES).map(|code| code.parse().expect("a country")),
            subdivisions: parts.map(|part| part.map(|code| code.parse().expect("a subdivision"))),
            spot: spot.and_then(|(latitude, longitude)| Spot::new(latitude, longitude)),
            asn: self.maybe(3, &[64500, 64501]),
        }
    }

    fn map(&mut self, number: usize) -> Map {
        let name = if number == 0 { "world".to_owned() } else { format!("m{number}") };
        let mut taken = HashSet::new();
        let mut regions: Vec<Region> = (0..1 + self.below(4)).map(|_| self.region(&mut taken)).collect();
        if self.one_in(3) {
            let default = self.below(regions.len());
            regions[default].default = true;
        }
        Map { name, client_subnet: !self.one_in(6), regions }
    }

    /// A region with matchers that no other region of its map has.
    fn region(&mut self, taken: &mut HashSet<Matcher>) -> Region {
        let wished: Vec<Matcher> = (0..self.below(5)).map(|_| self.matcher()).collect();
        let clients = wished.into_iter().filter(|matcher| taken.insert(matcher.clone())).collect();
        Region { at: self.maybe(2, &PLACES), clients, default: false }
    }

    fn matcher(&mut self) -> Matcher {
        match self.below(8) {
            0 => Matcher::Continent(self.pick(&CONTINENTS).parse().expect("a continent")),
            1 => Matcher::Country(self.pick(&COUNTRIES).parse().expect("a country")),
            2 => Matcher::Subdivision(self.pick(&SUBDIVISIONS).parse().expect("a subdivision")),
            3 => Matcher::Asn(self.pick(&[64500, 64501])),
            _ => match self.net() {
                // It would place nobody, and is refused.
                IpNet::V6(net) if inner_block(net).is_some() => Matcher::Asn(64500),
                net => Matcher::Net(net),
            },
        }
    }

    fn endpoint(&mut self, number: usize, regions: usize) -> Endpoint {
        let reach = match self.below(8) {
            0..=2 => Reach::Addresses { v4: true, v6: true },
            3..=4 => Reach::Addresses { v4: true, v6: false },
            5 => Reach::Addresses { v4: false, v6: true },
            6 if number > 0 => Reach::Outside,
            7 if number > 0 => Reach::Alias,
            _ => Reach::Addresses { v4: true, v6: true },
        };
        let region = self.one_in(2).then(|| self.below(regions));
        let watched = self.one_in(2) && matches!(reach, Reach::Addresses { .. });
        Endpoint { region, at: self.maybe(3, &PLACES), reach, watched }
    }

    fn pool(&mut self, world: &World) -> Pool {
        let picks = self.picks(world);
        let fenced_within = picks.iter().any(|pick| world.fences(*pick));
        let policy = self.pick(&POLICIES);
        let fence = policy == Policy::Geo && self.one_in(3);
        let map = self.below(world.maps.len());
        let fallback = (!fence && !fenced_within && self.one_in(3)).then(|| self.candidate(world)).flatten();
        let within = |pick: &Pick| world.reachable(*pick);
        let named = picks.iter().flat_map(within).any(|pick| match pick {
            Pick::Endpoint(id) => !matches!(world.endpoints[id].reach, Reach::Addresses { .. }),
            Pick::Pool(_) => false,
        });
        let on_down = if fence {
            Some(self.pick(&["nodata", "servfail"]))
        } else {
            self.maybe(3, &["nodata", "servfail"])
        };
        Pool {
            policy,
            map,
            min_up: self.one_in(4).then(|| 1 + self.below(picks.len())),
            answers: if named { Some(1) } else { self.maybe(3, &[1, 2, 3]) },
            members: self.members(picks, policy, world.maps[map].regions.len()),
            fallback,
            on_down,
            client_subnet: !self.one_in(6),
            sticky: self.one_in(6),
            fence,
            trickle: policy == Policy::Failover && self.one_in(4),
        }
    }

    /// What a pool picks among. Beside a fence there is nothing else: it would lead out.
    fn picks(&mut self, world: &World) -> Vec<Pick> {
        let mut picks: Vec<Pick> = Vec::new();
        for _ in 0..1 + self.below(4) {
            picks.extend(self.candidate(world).filter(|pick| !picks.contains(pick)));
        }
        if let Some(fence) = picks.iter().find(|pick| world.fences(**pick)) {
            return vec![*fence];
        }
        if picks.is_empty() { vec![Pick::Endpoint(0)] } else { picks }
    }

    /// An endpoint or a pool that there is already. The first pool is what aliases lead to: it picks none.
    fn candidate(&mut self, world: &World) -> Option<Pick> {
        let first = world.pools.is_empty();
        let endpoint = Pick::Endpoint(self.below(world.endpoints.len()));
        let pool = (!first && self.one_in(2)).then(|| Pick::Pool(self.below(world.pools.len())));
        let allowed = |pick: &Pick| match pick {
            Pick::Endpoint(id) => !first || world.endpoints[*id].reach != Reach::Alias,
            Pick::Pool(_) => true,
        };
        Some(pool.unwrap_or(endpoint)).filter(allowed)
    }

    fn members(&mut self, picks: Vec<Pick>, policy: Policy, regions: usize) -> Vec<Member> {
        let default = self.one_in(2).then(|| self.below(picks.len()));
        let mut members: Vec<Member> = picks
            .into_iter()
            .enumerate()
            .map(|(index, pick)| Member {
                pick,
                weight: self.below(4),
                bias: self.pick(&[0, 0, 20, -20, 99, -99]),
                regions: (0..regions).filter(|_| self.one_in(3)).collect(),
                default: default == Some(index),
            })
            .collect();
        for member in &mut members {
            if policy == Policy::Geo && member.regions.is_empty() && !member.default {
                member.regions.push(self.below(regions));
            }
        }
        members[0].weight += 1;
        members
    }
}

const POLICIES: [Policy; 8] = [
    Policy::Nearest,
    Policy::Geo,
    Policy::Failover,
    Policy::Weighted,
    Policy::All,
    Policy::Latency,
    Policy::Nearest,
    Policy::Geo,
];

/// Some are near each other across the date line, some at a pole, two are the same, two one place by two names.
const PLACES: [(f64, f64); 12] = [
    (50.11, 8.68),
    (39.04, -77.49),
    (37.34, -121.89),
    (-18.14, 178.44),
    (-13.83, -171.76),
    (35.68, 139.69),
    (50.11, 8.68),
    (0.0, 180.0),
    (0.0, -180.0),
    (90.0, 0.0),
    (90.0, 135.0),
    (-90.0, 0.0),
];

const CONTINENTS: [&str; 4] = ["EU", "NA", "OC", "AS"];

const COUNTRIES: [&str; 6] = ["DE", "US", "GB", "FJ", "WS", "RU"];

const SUBDIVISIONS: [&str; 5] = ["US-CA", "US-NY", "GB-ENG", "GB-LND", "GB-KEN"];

const BASES_V4: [&str; 8] = [
    "10.0.0.0",
    "10.1.2.0",
    "10.1.2.77",
    "10.128.0.0",
    "192.0.2.0",
    "192.0.2.128",
    "0.0.0.0",
    "255.255.255.255",
];

const LENGTHS_V4: [u8; 13] = [24, 8, 9, 16, 1, 0, 7, 23, 25, 30, 31, 32, 32];

/// Those that hold IPv4 addresses are among them: what databases say of these counts for nobody.
const BASES_V6: [&str; 10] = [
    "2001:db8::",
    "2001:db8:0:80::1",
    "2001:db8:1::",
    "2400::",
    "::",
    "2001::",
    "2002:a01::",
    "64:ff9b::a01:200",
    "::ffff:10.1.2.0",
    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
];

const LENGTHS_V6: [u8; 20] = [32, 48, 0, 1, 4, 15, 16, 17, 23, 31, 33, 56, 63, 64, 65, 80, 96, 97, 127, 128];

const ZONE: &str = "$TTL 300\n@ SOA ns1 host 1 2 3 4 5\n@ NS ns1\nns1 A 192.0.2.53\n";
