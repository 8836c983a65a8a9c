//! A small world for tests: an inventory built by hand, without a compiler.

use std::net::IpAddr;
use std::time::Duration;

use crate::health::{HealthMap, Verdict};
use crate::model::*;

/// An inventory in the making. Whatever its methods do not set is changed in place.
pub struct World {
    /// What was made so far.
    pub inventory: Inventory,
}

impl World {
    /// A world with these regions, the first being the default one, and the monitor `web`.
    pub fn new(regions: &[&str]) -> Self {
        let region =
            |(index, name): (usize, &&str)| Region { name: (*name).into(), at: None, default: index == 0 };
        let regions: Vec<Region> = regions.iter().enumerate().map(region).collect();
        let situations = (0..regions.len()).map(|region| Situation([RegionId::at(region)].into())).collect();
        let monitors = vec![Monitor {
            name: "web".into(),
            ask: Ask::Tcp { port: 80 },
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(2),
            recheck: Duration::from_secs(1),
            fall: 3,
            rise: 2,
            quorum: 75,
        }];
        Self { inventory: Inventory { regions, situations, monitors, ..Inventory::default() } }
    }

    /// An endpoint with these addresses, each watched by `web`.
    pub fn endpoint(&mut self, name: &str, addresses: &[&str]) -> EndpointId {
        let (mut v4, mut v6) = (None, None);
        let mut targets = [Vec::new(), Vec::new()];
        for address in addresses {
            let address: IpAddr = address.parse().expect("a test writes good addresses");
            match address {
                IpAddr::V4(address) => v4 = Some(address),
                IpAddr::V6(address) => v6 = Some(address),
            }
            targets[Family::of(address).index()].push(TargetId::at(self.inventory.targets.len()));
            self.inventory.targets.push(Target { monitor: MonitorId(0), address });
        }
        self.add(name, Reach::Addresses { v4, v6 }, targets)
    }

    /// An endpoint that is a host name, and is not watched.
    pub fn host(&mut self, name: &str) -> EndpointId {
        let host = name.parse().expect("a test writes good names");
        self.add(name, Reach::Name(host), [Vec::new(), Vec::new()])
    }

    /// A pool with these members, as written for every region, each of weight 1.
    pub fn pool(&mut self, name: &str, policy: Policy, members: &[Use]) -> PoolId {
        let member =
            |picks: &Use| Member { picks: *picks, weight: 1, bias: 0, regions: Vec::new(), default: false };
        let members: Vec<Member> = members.iter().map(member).collect();
        let order: Box<[u16]> = (0..members.len() as u16).collect();
        let regions = self.inventory.regions.len();
        self.inventory.pools.push(Pool {
            name: name.into(),
            policy,
            members,
            map: MapId::WORLD,
            client_subnet: true,
            orders: vec![order; regions],
            by_situation: (0..regions as u32).collect(),
            partition: PartitionId(0),
            treatments: by_region(regions),
            answers: if policy == Policy::All { 8 } else { 1 },
            min_up: MinUp::Count(1),
            fallback: None,
            on_down: OnDown::ServeAll,
            failback: Failback::Auto,
            slow_start: None,
            trickle: 0,
            fence: false,
            sticky: false,
            serves: [true; 2],
        });
        PoolId::at(self.inventory.pools.len() - 1)
    }

    /// A geo pool: the regions that each member is for; one that is for none is the default member.
    pub fn geo(&mut self, name: &str, members: &[(EndpointId, &[RegionId])], fence: bool) -> PoolId {
        let picks: Vec<Use> = members.iter().map(|(endpoint, _)| Use::Endpoint(*endpoint)).collect();
        let id = self.pool(name, Policy::Geo, &picks);
        let regions = self.inventory.regions.len();
        let pool = self.change(id);
        pool.fence = fence;
        pool.orders = (0..regions).map(|region| geo_order(members, RegionId::at(region), fence)).collect();
        id
    }

    /// A pool, to be changed.
    pub fn change(&mut self, id: PoolId) -> &mut Pool {
        &mut self.inventory.pools[id.index()]
    }

    /// Fixes a verdict for every region and family.
    pub fn set(&self, health: &mut HealthMap, endpoint: &str, verdict: Verdict) {
        for family in Family::BOTH {
            self.set_family(health, endpoint, family, verdict);
        }
    }

    /// Fixes a verdict for every region.
    pub fn set_family(&self, health: &mut HealthMap, endpoint: &str, family: Family, verdict: Verdict) {
        let id = self.inventory.endpoint(endpoint).expect("a test names what it made");
        for region in (0..self.inventory.regions.len()).map(RegionId::at) {
            health.endpoint_mut(id, region, family).verdict = verdict;
        }
    }

    fn add(&mut self, name: &str, reach: Reach, targets: [Vec<TargetId>; 2]) -> EndpointId {
        self.inventory.endpoints.push(Endpoint {
            needs: Vec::new(),
            name: name.into(),
            region: None,
            at: None,
            reach,
            targets,
            flap: None,
        });
        EndpointId::at(self.inventory.endpoints.len() - 1)
    }
}

/// Each region is a class of its own.
fn by_region(regions: usize) -> Vec<Treatment> {
    let treatment = |region| Treatment {
        region: RegionId::at(region),
        situation: SituationId::at(region),
        order: region as u32,
    };
    (0..regions).map(treatment).collect()
}

fn geo_order(members: &[(EndpointId, &[RegionId])], region: RegionId, fence: bool) -> Box<[u16]> {
    let placed = |wanted: &dyn Fn(&[RegionId]) -> bool| -> Vec<u16> {
        let indexed = (0..).zip(members).filter(|(_, (_, regions))| wanted(regions));
        indexed.map(|(member, _)| member).collect()
    };
    let ruled = placed(&|regions| regions.contains(&region));
    let default = placed(&|regions| regions.is_empty());
    if fence && !ruled.is_empty() { ruled.into() } else { [ruled, default].concat().into() }
}
