//! Where the client is, as far as a pool asks.
//!
//! ```text
//!   pool --partition--> class of the client --treatments--> region for health, situation for nested pools, order
//!                         `--> scope: how far that is true
//! ```

use std::net::IpAddr;

use smallvec::SmallVec;

use crate::geo::{Class, Geo};
use crate::model::{ClassId, Family, Inventory, MapId, PartitionId, Pool, RegionId, Treatment};

/// Whom an answer is for.
#[derive(Clone, Copy, Debug)]
pub enum Whereabouts<'r> {
    /// One client.
    Client {
        /// Where clients are.
        geo: &'r Geo,
        /// The client subnet, if one was told; else the source address.
        subnet: IpAddr,
        /// Who sent the query: what counts for pools that do not believe the client subnet.
        source: IpAddr,
    },
    /// Anybody of one class: in other partitions they may be anywhere.
    Anybody {
        /// Of this partition,
        partition: PartitionId,
        /// by their client subnet if it is believed, else by their source address,
        believed: bool,
        /// this class; `None`: any of them.
        class: Option<ClassId>,
        /// Their region of `world`, if all of them are in it.
        region: Option<RegionId>,
    },
}

impl Whereabouts<'_> {
    /// The class by which a pool treats the client who asks for a family, and how far that holds for its client
    /// subnet; `None`: it is not known.
    #[inline]
    pub fn class(&self, pool: &Pool, family: Family) -> Option<Class> {
        if pool.tells_apart(family) { self.class_of(pool) } else { Some(EVERYBODY) }
    }

    #[inline]
    fn class_of(&self, pool: &Pool) -> Option<Class> {
        match *self {
            Whereabouts::Client { geo, subnet, .. } if pool.client_subnet => {
                Some(geo.class(pool.partition, subnet))
            }
            Whereabouts::Client { geo, source, .. } => {
                Some(Class { scope: 0, ..geo.class(pool.partition, source) })
            }
            Whereabouts::Anybody { partition, believed, class, .. } => {
                let same = (partition, believed) == (pool.partition, pool.client_subnet);
                class.filter(|_| same).map(|id| Class { id, scope: 1 })
            }
        }
    }

    /// How a pool treats the client, whatever is asked for; `None`: it is not known.
    pub fn treatment(&self, pool: &Pool) -> Option<Treatment> {
        let class = if pool.treatments.len() == 1 { EVERYBODY } else { self.class_of(pool)? };
        Some(pool.treatments[class.id.index()])
    }

    /// The region of `world` that the client is in, and how far that holds, where no pool but `believed` says
    /// whether the client subnet counts; `None`: it is not known.
    pub fn region(&self, believed: bool, inventory: &Inventory) -> Option<(RegionId, u8)> {
        if inventory.regions.len() == 1 {
            return Some((RegionId(0), 0));
        }
        match *self {
            Whereabouts::Client { geo, subnet, source } => {
                let (situation, scope) = geo.on_map(MapId::WORLD, if believed { subnet } else { source });
                Some((inventory.region_in(situation), if believed { scope } else { 0 }))
            }
            Whereabouts::Anybody { region, .. } => region.map(|region| (region, 1)),
        }
    }
}

/// The one class of a pool that treats all alike.
const EVERYBODY: Class = Class { id: ClassId(0), scope: 0 };

/// The treatments met on a walk: pools that are nested in one another mostly share a partition.
#[derive(Clone, Debug, Default)]
pub(super) struct Met(SmallVec<[(PartitionId, bool, Class); 2]>);

impl Met {
    /// Notes the class of a client for pools of this kind, if this one tells clients apart.
    pub fn note(&mut self, pool: &Pool, family: Family, class: Class) {
        if pool.tells_apart(family) {
            self.0.push((pool.partition, pool.client_subnet, class));
        }
    }

    /// The class that was noted.
    #[inline]
    pub fn class(&self, pool: &Pool, family: Family) -> Option<Class> {
        if !pool.tells_apart(family) {
            return Some(EVERYBODY);
        }
        let of_pool =
            |met: &&(PartitionId, bool, Class)| (met.0, met.1) == (pool.partition, pool.client_subnet);
        self.0.iter().find(of_pool).map(|(_, _, class)| *class)
    }
}
