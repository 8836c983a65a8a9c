//! Where a client is, how far that is from anything else, and which clients are alike.
//!
//! ```text
//!   databases --> facts: runs of addresses -> country, coordinates, ...   (one compact form for all)
//!   rules ------> Map: net > asn > subdivision > country > continent > distance > default
//!      both ----> Atlas: runs of addresses -> profile (region in each map, point on the globe)
//!                    `--divide--> Partition: address -> class, and the scope of that fact
//! ```
//!
//! All of geography is compiled away at load: the query path does one lookup in one merged prefix tree,
//! and the depth of the match is the EDNS scope prefix.
//!
//! | to see | look in |
//! |---|---|
//! | what rules can name | `matcher` |
//! | what databases know, several of them as one | [`facts`] |
//! | who is in which region, and why | `atlas` |
//! | the lookup, and why its depth is the scope | `partition` |
//! | IPv4 addresses within IPv6 ones | [`embedded`] |
//! | a set of addresses | `nets` |
//! | kilometres | `distance`; where a country's clients are: [`hubs`] |

mod atlas;
mod distance;
pub mod embedded;
pub mod facts;
pub mod hubs;
mod matcher;
mod nets;
mod partition;
mod trie;

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

pub use atlas::{Atlas, By, Map, Placed, Point, Profile, Rules, Table};
pub use distance::{biased, kilometres};
pub use facts::{Facts, FactsBuilder, Knows};
pub use matcher::{Continent, Country, Matcher, NoCode, Subdivision};
pub use nets::Nets;
pub use partition::{CLASSES_MAX, Partition};

use crate::model::{ClassId, Coordinates, MapId, PartitionId, RegionId, SituationId};

/// Where every client is: what the query path looks up, and what explains it.
#[derive(Clone, Debug)]
pub struct Geo {
    /// Index [`PartitionId`].
    partitions: Vec<Divided>,
    /// Index [`MapId`]: the partition of each map by its regions.
    maps: Vec<(Map, PartitionId)>,
    facts: Arc<Facts>,
}

/// A partition, and what is known of its classes.
#[derive(Clone, Debug)]
pub struct Divided {
    /// Client to class.
    pub partition: Partition,
    /// Index [`ClassId`]: the situation of its clients, or of some of them, where the pools that use this
    /// partition treat several situations alike.
    pub situations: Vec<SituationId>,
}

/// The class of a client in one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Class {
    /// Which.
    pub id: ClassId,
    /// The shortest prefix around the client in which every client is of this class.
    pub scope: u8,
}

/// Where a client is on one map.
#[derive(Clone, Debug, PartialEq)]
pub struct Located {
    /// Its region.
    pub region: RegionId,
    /// What put it there.
    pub by: By,
    /// The shortest prefix around the client in which every client is in this region.
    pub scope: u8,
}

impl Geo {
    /// From what a plan needs to be looked up: `maps` are the partitions by the regions of each map.
    pub fn new(partitions: Vec<Divided>, maps: Vec<(Map, PartitionId)>, facts: Arc<Facts>) -> Self {
        Self { partitions, maps, facts }
    }

    /// A world in which every client is in one region, and alike.
    pub fn one_region(region: RegionId) -> Self {
        let rules = Rules { matchers: Vec::new(), at: vec![None; region.index() + 1], default: region };
        let everybody =
            Divided { partition: Partition::trivial(), situations: vec![SituationId::at(region.index())] };
        let first = PartitionId(0);
        Self::new(vec![everybody], vec![(Map::compile(rules), first)], Arc::new(Facts::none()))
    }

    /// The class of a client in a partition. One lookup.
    #[inline]
    pub fn class(&self, partition: PartitionId, client: IpAddr) -> Class {
        let (class, scope) = self.partitions[partition.index()].partition.find(client);
        Class { id: ClassId(class), scope }
    }

    /// A situation of clients that are in the same region of a map as this one, and how far that holds. One lookup.
    #[inline]
    pub fn on_map(&self, map: MapId, client: IpAddr) -> (SituationId, u8) {
        let (_, partition) = &self.maps[map.index()];
        let class = self.class(*partition, client);
        (self.partitions[partition.index()].situations[class.id.index()], class.scope)
    }

    /// Where a client is on a map, and why. Slow: for people.
    pub fn locate(&self, map: MapId, client: IpAddr) -> Located {
        let (map, partition) = &self.maps[map.index()];
        let Placed { region, by } = map.place(client, &self.facts);
        Located { region, by, scope: self.class(*partition, client).scope }
    }

    /// Where a client is on the globe, if more is known than its region. Slow: for people.
    pub fn coordinates(&self, client: IpAddr) -> Option<Coordinates> {
        let (world, _) = &self.maps[MapId::WORLD.index()];
        match world.point_of(client, &self.facts) {
            Point::At(spot) => Some(spot.coordinates()),
            Point::Region => None,
        }
    }

    /// What the databases know of a client. Slow: for people.
    pub fn record(&self, client: IpAddr) -> &facts::Record {
        self.facts.of(atlas::resolved(client))
    }

    /// What the databases know of anybody.
    pub fn facts(&self) -> &Arc<Facts> {
        &self.facts
    }

    /// Every prefix of a map, IPv4 first, each with one of the situations of its clients: all of them are in
    /// one region of this map.
    pub fn prefixes(&self, map: MapId) -> impl Iterator<Item = (IpNet, SituationId)> + '_ {
        let divided = &self.partitions[self.maps[map.index()].1.index()];
        divided.partition.prefixes().map(|(net, class)| (net, divided.situations[class as usize]))
    }

    /// How many partitions there are, and the bytes that they keep.
    pub fn size(&self) -> (usize, usize) {
        (self.partitions.len(), self.partitions.iter().map(|divided| divided.partition.bytes()).sum())
    }
}
