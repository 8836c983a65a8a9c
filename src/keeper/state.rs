//! What a restart starts from.
//!
//! Everything goes by name, and a verdict by the address it was reached for: a restart may come with
//! another plan.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::health::{Agent, Control, HealthMap, Standing, Verdict};
use crate::keeper::cases::SavedCase;
use crate::keeper::latency::SavedOrder;
use crate::keeper::names::Names;
use crate::keeper::slots::SavedSlot;
use crate::keeper::verdicts::{endpoints, regions};
use crate::model::{Endpoint, Family, Inventory, Moment};

/// What a restart starts from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// The generation that was current.
    pub generation: u64,
    /// When it was saved.
    pub saved: Moment,
    /// Every verdict that is not Unknown and rests on checks.
    pub verdicts: Vec<SavedVerdict>,
    /// What operators fixed, by endpoint.
    pub controls: Vec<(String, Control)>,
    /// What is held back.
    pub holds: Vec<SavedSlot>,
    /// Who changed lately, of those that are damped if they flap: at most so many changes of each as count.
    #[serde(default)]
    pub flaps: Vec<SavedFlaps>,
    /// Who is starting slowly.
    #[serde(default)]
    pub ramps: Vec<SavedSlot>,
    /// Who would be down but for the governor.
    #[serde(default)]
    pub governed: Vec<SavedCase>,
    /// The orders of `latency` pools.
    #[serde(default)]
    pub orders: Vec<SavedOrder>,
}

/// One verdict, by names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SavedVerdict {
    /// The endpoint.
    pub endpoint: String,
    /// The region.
    pub region: String,
    /// True: IPv6.
    pub v6: bool,
    /// The address that was checked: an endpoint that moved starts unknown.
    pub address: IpAddr,
    /// The verdict.
    pub verdict: Verdict,
    /// Since when.
    pub since: Option<Moment>,
    /// What the endpoint said of itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<Agent>,
    /// Its round-trip time from there, in microseconds, if a pool goes by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rtt_us: Option<u32>,
}

/// The changes of late of one verdict of the checks, by names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SavedFlaps {
    /// Of what.
    pub of: SavedCase,
    /// When, oldest first.
    pub changes: Vec<Moment>,
    /// There were too many: it stays down until it is quiet.
    pub damped: bool,
}

/// What the checks said, by names. Unknown is not worth keeping.
pub(super) fn save_verdicts(seen: &HealthMap, inventory: &Inventory) -> Vec<SavedVerdict> {
    let mut saved = Vec::new();
    for (id, endpoint) in endpoints(inventory) {
        for region in regions(inventory) {
            for family in watched(endpoint) {
                let Standing { verdict, since, agent, rtt_us, .. } = *seen.endpoint(id, region, family);
                let Some(address) = endpoint.address(family) else { continue };
                if verdict != Verdict::Unknown {
                    saved.push(SavedVerdict {
                        endpoint: endpoint.name.to_string(),
                        region: inventory.regions[region.index()].name.to_string(),
                        v6: family == Family::V6,
                        address,
                        verdict,
                        since,
                        agent,
                        rtt_us,
                    });
                }
            }
        }
    }
    saved
}

/// What the checks said before, as far as the endpoints are still where they were; stale until somebody
/// votes. No verdict is from later than `now`.
pub(super) fn restore_verdicts(
    saved: &[SavedVerdict],
    inventory: &Inventory,
    names: &Names,
    now: Moment,
) -> HealthMap {
    let mut seen = HealthMap::new(inventory);
    for saved in saved {
        let (Some(id), Some(region)) = (names.endpoint(&saved.endpoint), names.region(&saved.region)) else {
            continue;
        };
        let endpoint = &inventory.endpoints[id.index()];
        let family = Family::of(saved.address);
        let watched = watched(endpoint).any(|watched| watched == family);
        if watched && endpoint.address(family) == Some(saved.address) {
            let standing = seen.endpoint_mut(id, region, family);
            standing.verdict = saved.verdict;
            standing.since = saved.since.map(|since| since.min(now));
            standing.stale = true;
            standing.agent = saved.agent;
            standing.rtt_us = saved.rtt_us;
        }
    }
    seen
}

fn watched(endpoint: &Endpoint) -> impl Iterator<Item = Family> {
    Family::BOTH.into_iter().filter(|family| !endpoint.targets[family.index()].is_empty())
}
