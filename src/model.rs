//! The words of Windrose as plain data: what a plan is made of.
//!
//! ```text
//!   Region <-- Endpoint --> Monitor          a Target is one Monitor on one address of an Endpoint
//!                 ^  ^
//!                 |  `---- Target
//!     Member -----'
//!       ^  `---- Pool (pools nest)
//!       |
//!      Pool
//! ```
//!
//! Everything refers to everything else by a small dense number (`RegionId`, `EndpointId`, ...), an
//! index into the [`Inventory`] that owns it. Names are for people; numbers are for the query path.

mod monitor;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

pub use monitor::{Answer, Ask, Expect, ExpectAnswer, ExpectDatagram, Monitor, TlsAsk, Transport};

/// A domain name, uncompressed; compares and hashes without regard to case (RFC 4343).
pub type Name = domain::base::Name<Vec<u8>>;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($int:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $int);
        impl $name {
            /// The place of this one in its table.
            pub fn index(self) -> usize {
                self.0 as usize
            }
            /// The number for a place in a table; tables are checked for size when a plan is compiled.
            pub fn at(index: usize) -> Self {
                Self(<$int>::try_from(index).expect("tables are bounded when a plan is compiled"))
            }
        }
    };
}

id!(
    /// A region: an index into [`Inventory::regions`].
    RegionId(u16)
);
id!(
    /// A monitor: an index into [`Inventory::monitors`].
    MonitorId(u32)
);
id!(
    /// An endpoint: an index into [`Inventory::endpoints`].
    EndpointId(u32)
);
id!(
    /// A target: an index into [`Inventory::targets`].
    TargetId(u32)
);
id!(
    /// A pool: an index into [`Inventory::pools`].
    PoolId(u32)
);
id!(
    /// Probes that are counted as one: an index into [`Inventory::sites`].
    SiteId(u16)
);
id!(
    /// A map: 0 is `world`, whose regions are [`Inventory::regions`]; the others are [`Inventory::maps`].
    MapId(u16)
);
id!(
    /// What pools can depend on but distance: an index into [`Inventory::situations`].
    SituationId(u32)
);
id!(
    /// A division of all clients into classes that some pools treat alike.
    PartitionId(u32)
);
id!(
    /// Clients that are treated alike: an index into [`Pool::treatments`].
    ClassId(u32)
);

impl MapId {
    /// The map that health goes by: its regions are where endpoints and probes stand.
    pub const WORLD: MapId = MapId(0);
}

/// The address family a query asks for: A is `V4`, AAAA is `V6`. Health is judged for each alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4, asked for with type A.
    V4,
    /// IPv6, asked for with type AAAA.
    V6,
}

impl Family {
    /// Both families, in the order of their indexes.
    pub const BOTH: [Family; 2] = [Family::V4, Family::V6];

    /// The family of an address.
    pub fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Family::V4 } else { Family::V6 }
    }

    /// The one that this is not.
    pub fn other(self) -> Self {
        match self {
            Family::V4 => Family::V6,
            Family::V6 => Family::V4,
        }
    }

    /// 0 for IPv4, 1 for IPv6: the last index of per-family tables.
    pub fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Family::V4 => "ipv4",
            Family::V6 => "ipv6",
        })
    }
}

/// A number by which machines see that they have the same: FNV-1a, 64 bits, the same in every release. It tells
/// accidents apart, not forgeries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint(u64);

impl Fingerprint {
    /// Of nothing yet.
    pub fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    /// Of what came before and these octets, whose number counts too.
    #[must_use]
    pub fn with(self, octets: &[u8]) -> Self {
        let length = (octets.len() as u64).to_le_bytes();
        let fold = |hash: u64, octet: &u8| (hash ^ u64::from(*octet)).wrapping_mul(0x0100_0000_01b3);
        Self(length.iter().chain(octets).fold(self.0, fold))
    }

    /// As a number.
    pub fn value(self) -> u64 {
        self.0
    }
}

impl Default for Fingerprint {
    fn default() -> Self {
        Self::new()
    }
}

/// A moment in milliseconds. It starts from the wall clock when the process starts and then only
/// grows with the monotonic clock, so that a jump of the wall clock changes nothing.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub struct Moment(pub u64);

impl Moment {
    /// `14:05:09`, in UTC, as the fleet is in many zones of time.
    pub fn time_of_day(self) -> String {
        let seconds = self.0 / 1000 % 86_400;
        format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
    }

    /// How long after `earlier` this is; zero if it is not after it.
    pub fn since(self, earlier: Moment) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// The moment `later` from now.
    pub fn plus(self, later: Duration) -> Moment {
        Moment(self.0.saturating_add(later.as_millis() as u64))
    }
}

/// A point on the globe, in degrees: latitude -90..=90, longitude -180..=180.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Coordinates {
    /// Degrees north of the equator.
    pub latitude: f64,
    /// Degrees east of Greenwich.
    pub longitude: f64,
}

/// A part of the world: the clients in it, the endpoints in it, the probes standing in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Region {
    /// As the operator wrote it, or [`ELSEWHERE`].
    pub name: Box<str>,
    /// Where it is, for distances.
    pub at: Option<Coordinates>,
    /// Takes the clients that nothing else places. Exactly one region of an inventory does.
    pub default: bool,
}

/// A partition of the world's clients into regions, beside `world`: so that one service can follow law and
/// another distance.
#[derive(Clone, Debug, PartialEq)]
pub struct Map {
    /// As the operator wrote it.
    pub name: Box<str>,
    /// Every client is in exactly one of these. Nothing stands in them: they are for rules only.
    pub regions: Vec<Region>,
}

/// The regions that a client is in: one of each map. Health and the rules of pools can depend on nothing
/// else. With `world` alone these are its regions, with the same numbers.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Situation(pub Box<[RegionId]>);

impl Situation {
    /// The region on a map.
    pub fn region(&self, map: MapId) -> RegionId {
        self.0[map.index()]
    }
}

/// The region that the compiler adds, with `default` set, when the operator gave none: so that every
/// client is in exactly one region.
pub const ELSEWHERE: &str = "elsewhere";

/// The map that needs no name: the one that health goes by.
pub const WORLD: &str = "world";

/// A place that serves.
#[derive(Clone, Debug, PartialEq)]
pub struct Endpoint {
    /// As the operator wrote it.
    pub name: Box<str>,
    /// The region it stands in.
    pub region: Option<RegionId>,
    /// Its own place, else its region's.
    pub at: Option<Coordinates>,
    /// What is answered when it is chosen.
    pub reach: Reach,
    /// The checks that look after it, by family (`targets[Family::index()]`). None: always up.
    pub targets: [Vec<TargetId>; 2],
    /// Which of them must pass. Empty: all.
    pub needs: Vec<Need>,
    /// When it counts as flapping, and what follows; `None`: never.
    pub flap: Option<Flap>,
}

/// What must pass of an endpoint's checks. The same for both families: where there are targets, they are those of
/// the same monitors in the same order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// The group or the monitor, as the operator wrote it.
    pub name: Box<str>,
    /// Places in [`Endpoint::targets`]; at least one.
    pub parts: Box<[usize]>,
    /// So many of them must pass, 1..=`parts.len()`.
    pub at_least: usize,
}

/// When an endpoint flaps, for a region and family: it then stays down until it is quiet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flap {
    /// So many changes between usable and Down, 2 or more,
    pub changes: u32,
    /// within this time.
    pub within: Duration,
    /// Quiet is who does not change for so long.
    pub hold: Duration,
}

/// How clients reach an endpoint.
#[derive(Clone, Debug, PartialEq)]
pub enum Reach {
    /// By address; at least one is there.
    Addresses {
        /// Answers type A.
        v4: Option<Ipv4Addr>,
        /// Answers type AAAA.
        v6: Option<Ipv6Addr>,
    },
    /// By another name: the answer is a CNAME.
    Name(Name),
}

impl Endpoint {
    /// Whether it can answer a query of this family: a host name can always.
    pub fn serves(&self, family: Family) -> bool {
        match &self.reach {
            Reach::Addresses { v4, v6 } => match family {
                Family::V4 => v4.is_some(),
                Family::V6 => v6.is_some(),
            },
            Reach::Name(_) => true,
        }
    }

    /// Its address of this family, if it has one.
    pub fn address(&self, family: Family) -> Option<IpAddr> {
        match (&self.reach, family) {
            (Reach::Addresses { v4, .. }, Family::V4) => v4.map(IpAddr::V4),
            (Reach::Addresses { v6, .. }, Family::V6) => v6.map(IpAddr::V6),
            (Reach::Name(_), _) => None,
        }
    }

    /// Whether any check looks after it.
    pub fn monitored(&self) -> bool {
        self.targets.iter().any(|targets| !targets.is_empty())
    }
}

/// One monitor on one address: what is tracked. Endpoints that share both share the target.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// What is asked.
    pub monitor: MonitorId,
    /// Of whom.
    pub address: IpAddr,
}

/// Members and the policy that picks among them.
#[derive(Clone, Debug, PartialEq)]
pub struct Pool {
    /// As the operator wrote it.
    pub name: Box<str>,
    /// How one is picked.
    pub policy: Policy,
    /// At least one, at most [`Pool::MEMBERS_MAX`].
    pub members: Vec<Member>,
    /// The map whose regions the rules name.
    pub map: MapId,
    /// Whether the client subnet is believed; else the source address counts.
    pub client_subnet: bool,
    /// Orders in which members are tried, as indexes into `members`. `failover`: as written. `nearest` and
    /// `latency`: by distance (but those that were measured first, see [`crate::health::Measured`]). `geo`: those whose rule holds the region, most specific first, then the default
    /// member (with `fence`: only if no rule holds it). `weighted`, `all`: as written; the draw decides.
    pub orders: Vec<Box<[u16]>>,
    /// Index [`SituationId`]: an order, as an index into `orders`, that has the members of such clients. For
    /// those of whom no more is known than their region it is the order.
    pub by_situation: Vec<u32>,
    /// The division of the clients by which this pool treats them.
    pub partition: PartitionId,
    /// Index [`ClassId`]: how each class is treated. Only one: all clients alike.
    pub treatments: Vec<Treatment>,
    /// How many members one answer carries, 1..=[`Pool::ANSWERS_MAX`].
    pub answers: u8,
    /// Fewer up than this: the pool is down.
    pub min_up: MinUp,
    /// Used when the pool is down.
    pub fallback: Option<Use>,
    /// What happens when the pool is down and no fallback is usable. Only the pool that a name points
    /// at is asked: a nested pool that is down is just not a candidate of its parent.
    pub on_down: OnDown,
    /// When a recovered member is used again.
    pub failback: Failback,
    /// `weighted`: for how long the weight of a recovered member grows until it is whole; `None`: it is at once.
    pub slow_start: Option<Duration>,
    /// `failover`: share of draws that goes to the next member anyway, 0.0..=1.0, as a share of 2^32.
    pub trickle: u32,
    /// `geo`: never answer outside the client's rule.
    pub fence: bool,
    /// The draw is a hash of the client subnet.
    pub sticky: bool,
    /// Index [`Family::index`]: whether a member can answer with the family, or with a host name.
    pub serves: [bool; 2],
}

impl Pool {
    /// Whether it treats some clients otherwise than others when they ask for this family: not where no member
    /// has an address of it, whoever asks.
    #[inline]
    pub fn tells_apart(&self, family: Family) -> bool {
        self.treatments.len() > 1 && self.serves[family.index()]
    }

    /// Members in one pool at most.
    pub const MEMBERS_MAX: usize = 4096;
    /// Members in one answer at most: eight AAAA records fit 512 bytes with room for the name.
    pub const ANSWERS_MAX: u8 = 8;
    /// Pools in a row at most, each a member or the fallback of the one before it. Deeper ones are refused
    /// when a plan is compiled, and count as dead in a plan that was made in another way.
    pub const NESTING_MAX: usize = 64;
}

/// How a pool treats the clients of one class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Treatment {
    /// Health is judged for this region of `world`: theirs, unless it does not matter to the pool.
    pub region: RegionId,
    /// Nested pools are judged for this situation: theirs, or one that is no different to the pool.
    pub situation: SituationId,
    /// Their order: an index into [`Pool::orders`].
    pub order: u32,
}

impl Pool {
    /// The members that clients in a situation may be given.
    pub fn order_in(&self, situation: SituationId) -> &[u16] {
        &self.orders[self.by_situation[situation.index()] as usize]
    }

    /// The members in the order in which clients of a class are given them.
    pub fn order_of(&self, treatment: Treatment) -> &[u16] {
        &self.orders[treatment.order as usize]
    }
}

/// What a pool can pick.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Use {
    /// An endpoint.
    Endpoint(EndpointId),
    /// Whatever that pool picks.
    Pool(PoolId),
}

/// A place in a pool.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// What is picked.
    pub picks: Use,
    /// `weighted`: its share. 0: only when every non-zero one is down.
    pub weight: u32,
    /// `nearest`, `latency`: -99..=99; positive pulls clients in, negative pushes them away (as Route 53).
    pub bias: i8,
    /// `geo`: the client regions it is for.
    pub regions: Vec<RegionId>,
    /// `geo`: for clients that no rule places.
    pub default: bool,
}

/// How a pool picks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// The first that is up.
    Failover,
    /// By weight and draw.
    Weighted,
    /// The closest to the client that is up.
    Nearest,
    /// The lowest round-trip time seen from the client's region; what is not measured comes after, as `nearest`.
    Latency,
    /// By the client's region.
    Geo,
    /// Every one that is up.
    All,
}

impl Policy {
    /// Whether members are tried in the order of their distance from the client.
    pub fn by_distance(self) -> bool {
        matches!(self, Policy::Nearest | Policy::Latency)
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Policy::Failover => "failover",
            Policy::Weighted => "weighted",
            Policy::Nearest => "nearest",
            Policy::Latency => "latency",
            Policy::Geo => "geo",
            Policy::All => "all",
        })
    }
}

/// Below this a pool is down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MinUp {
    /// So many members.
    Count(u32),
    /// Percent of members (of weight, for `weighted`), 1..=100.
    Percent(u8),
}

/// What a name answers when its pool is down and no fallback is usable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDown {
    /// As if all members were up (within the fence, if there is one).
    ServeAll,
    /// The records that the zone file has at the name.
    Static,
    /// An empty answer.
    NoData,
    /// SERVFAIL: resolvers try another server.
    ServFail,
}

/// When a member that was down and recovered is used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failback {
    /// At once.
    Auto,
    /// When an operator says so, or when nothing else is up.
    Manual,
    /// After staying up this long, or when nothing else is up.
    After(Duration),
}

/// How much automation may take out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Governor {
    /// Percent of all endpoints, 1..=100, rounded down: for the clients of each region and family alone.
    pub withdraw_max: u8,
    /// Who is down for longer counts no more.
    pub within: Duration,
}

impl Governor {
    /// How many endpoints of so many may be taken out.
    pub fn most_at_once(&self, of: usize) -> usize {
        of * usize::from(self.withdraw_max) / 100
    }
}

/// All that health and steering speak of, each kind in a table of its own.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inventory {
    /// Of the map `world`: every client is in exactly one of these.
    pub regions: Vec<Region>,
    /// The other maps; [`MapId`] 1 is the first.
    pub maps: Vec<Map>,
    /// Those that clients are in.
    pub situations: Vec<Situation>,
    /// How to check.
    pub monitors: Vec<Monitor>,
    /// Who serves.
    pub endpoints: Vec<Endpoint>,
    /// What is checked.
    pub targets: Vec<Target>,
    /// Ordered so that a pool comes after every pool it can pick: one pass judges them all.
    pub pools: Vec<Pool>,
    /// The names of the sites that probes share.
    pub sites: Vec<Box<str>>,
    /// Those probes of which something is said; others may be heard too.
    pub probes: Vec<ProbeSettings>,
    /// How much automation may take out; `None`: everything.
    pub governor: Option<Governor>,
}

/// What is said of a probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeSettings {
    /// As it calls itself in its reports.
    pub name: Box<str>,
    /// The network or the building that it shares with others: what befalls it befalls them too.
    pub site: Option<SiteId>,
}

impl Inventory {
    /// The region of clients that nothing else places.
    pub fn default_region(&self) -> RegionId {
        let index = self.regions.iter().position(|region| region.default);
        RegionId::at(index.expect("a compiled inventory has a default region"))
    }

    /// The regions of a map.
    pub fn regions_of(&self, map: MapId) -> &[Region] {
        match map.index().checked_sub(1) {
            None => &self.regions,
            Some(other) => &self.maps[other].regions,
        }
    }

    /// The name of a map.
    pub fn map_name(&self, map: MapId) -> &str {
        map.index().checked_sub(1).map_or(WORLD, |other| &self.maps[other].name)
    }

    /// All maps, `world` first.
    pub fn map_ids(&self) -> impl Iterator<Item = MapId> + use<> {
        (0..=self.maps.len()).map(MapId::at)
    }

    /// A situation in a region, of clients or, where none is, of nobody.
    pub fn situation_in(&self, region: RegionId) -> Option<SituationId> {
        let of_region = |situation: &Situation| situation.region(MapId::WORLD) == region;
        self.situations.iter().position(of_region).map(SituationId::at)
    }

    /// All situations.
    pub fn situation_ids(&self) -> impl Iterator<Item = SituationId> + use<> {
        (0..self.situations.len()).map(SituationId::at)
    }

    /// For people and files: `eu`, and with other maps `eu, legal: de`.
    pub fn situation_name(&self, id: SituationId) -> String {
        let situation = &self.situations[id.index()];
        let region = |map: MapId| &*self.regions_of(map)[situation.region(map).index()].name;
        let others = self.map_ids().skip(1).map(|map| format!(", {}: {}", self.map_name(map), region(map)));
        [region(MapId::WORLD).to_owned()].into_iter().chain(others).collect()
    }

    /// The region of `world` that is part of a situation.
    pub fn region_in(&self, situation: SituationId) -> RegionId {
        self.situations[situation.index()].region(MapId::WORLD)
    }

    /// A region by its name.
    pub fn region(&self, name: &str) -> Option<RegionId> {
        self.regions.iter().position(|region| &*region.name == name).map(RegionId::at)
    }

    /// An endpoint by its name.
    pub fn endpoint(&self, name: &str) -> Option<EndpointId> {
        self.endpoints.iter().position(|endpoint| &*endpoint.name == name).map(EndpointId::at)
    }

    /// A pool by its name.
    pub fn pool(&self, name: &str) -> Option<PoolId> {
        self.pools.iter().position(|pool| &*pool.name == name).map(PoolId::at)
    }

    /// The operator's name for what a member picks.
    pub fn name_of(&self, picks: Use) -> &str {
        match picks {
            Use::Endpoint(id) => &self.endpoints[id.index()].name,
            Use::Pool(id) => &self.pools[id.index()].name,
        }
    }
}
