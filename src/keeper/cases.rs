//! A case: an endpoint, for the clients of a region and one address family. Each has a verdict of its own.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::health::{HealthMap, Standing};
use crate::keeper::names::Names;
use crate::keeper::verdicts::regions;
use crate::model::{EndpointId, Family, Inventory, RegionId};

/// What one verdict is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Case {
    /// The endpoint,
    pub endpoint: EndpointId,
    /// for clients of this region,
    pub region: RegionId,
    /// and this family.
    pub family: Family,
}

/// A case, by names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SavedCase {
    /// The endpoint.
    pub endpoint: String,
    /// The region.
    pub region: String,
    /// True: IPv6.
    pub v6: bool,
    /// The address that was checked: what was known of an endpoint says nothing of it when it has moved.
    pub address: Option<IpAddr>,
}

impl Case {
    pub(super) fn standing(self, map: &HealthMap) -> &Standing {
        map.endpoint(self.endpoint, self.region, self.family)
    }

    pub(super) fn standing_mut(self, map: &mut HealthMap) -> &mut Standing {
        map.endpoint_mut(self.endpoint, self.region, self.family)
    }

    pub(super) fn save(self, inventory: &Inventory) -> SavedCase {
        let endpoint = &inventory.endpoints[self.endpoint.index()];
        SavedCase {
            endpoint: endpoint.name.to_string(),
            region: inventory.regions[self.region.index()].name.to_string(),
            v6: self.family == Family::V6,
            address: endpoint.address(self.family),
        }
    }

    /// `None`: the plan does not have it.
    pub(super) fn restore(saved: &SavedCase, inventory: &Inventory, names: &Names) -> Option<Self> {
        let family = if saved.v6 { Family::V6 } else { Family::V4 };
        let endpoint = names.endpoint(&saved.endpoint)?;
        let moved = inventory.endpoints[endpoint.index()].address(family) != saved.address;
        let region = names.region(&saved.region)?;
        (!moved).then_some(Self { endpoint, region, family })
    }
}

/// The cases of an endpoint, by its index: those that checks have a say in.
pub(super) fn cases_of(endpoint: usize, inventory: &Inventory) -> impl Iterator<Item = Case> {
    let targets = &inventory.endpoints[endpoint].targets;
    let families = Family::BOTH.into_iter().filter(|family| !targets[family.index()].is_empty());
    let endpoint = EndpointId::at(endpoint);
    families.flat_map(move |family| regions(inventory).map(move |region| Case { endpoint, region, family }))
}

/// Cases of endpoints, those of one endpoint that can be told together: its regions, and the family if it is
/// only one of those that it serves. `cases` are in order.
pub(super) fn told_together(
    cases: &[Case],
    inventory: &Inventory,
) -> Vec<(EndpointId, Vec<RegionId>, Option<Family>)> {
    let mut told = Vec::new();
    for of_one in cases.chunk_by(|a, b| a.endpoint == b.endpoint) {
        let endpoint = of_one[0].endpoint;
        let serves_both = Family::BOTH.iter().all(|one| inventory.endpoints[endpoint.index()].serves(*one));
        let [v4, v6] = Family::BOTH.map(|family| {
            let regions = of_one.iter().filter(|case| case.family == family).map(|case| case.region);
            regions.collect::<Vec<RegionId>>()
        });
        if v4 == v6 {
            told.push((endpoint, v4, None));
            continue;
        }
        for (regions, family) in [(v4, Family::V4), (v6, Family::V6)] {
            if !regions.is_empty() {
                told.push((endpoint, regions, Some(family).filter(|_| serves_both)));
            }
        }
    }
    told
}
