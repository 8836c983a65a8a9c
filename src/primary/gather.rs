//! What a zone holds for those who take all of it: they answer without knowing who asks, and without probes.
//!
//! ```text
//!   a name of the zone file   its records
//!   a steered name            its other records, and as addresses:
//!                               static   those that the zone file has there, else those of all members of its pool
//!                               live     those of the members that are up somewhere now, else of the fallback's, else as static
//! ```
//!
//! Answers that depend on who asks (debug names) are left out.

use std::collections::BTreeSet;

use domain::base::iana::Rtype;

use crate::dnssec::Seconds;
use crate::health::HealthMap;
use crate::model::{EndpointId, Family, Inventory, Pool, PoolId, Reach, RegionId, Use};
use crate::plan::zone::Node;
use crate::plan::zone::name::is_within;
use crate::plan::{Plan, Steered as SteeredName};
use crate::primary::edition::{Content, Soa};
use crate::primary::records::{Record, Records};

/// What others get for a steered name.
#[derive(Clone, Copy, Debug)]
pub enum Steered<'h> {
    /// Whatever the health of its members.
    Static,
    /// The members that are up now.
    Live(&'h HealthMap),
}

/// All of one zone now, by its apex and names ([`crate::plan::zone::Zones::by_zone`]); `None`: it has no SOA record.
pub fn of_zone(
    plan: &Plan,
    apex: Node<'_>,
    names: &[Node<'_>],
    steered: Steered<'_>,
    now: Seconds,
) -> Option<Content> {
    let set = apex.set(SOA)?;
    let soa = Soa { ttl: set.ttl, rdata: set.first().to_vec() };
    let mut gathering = Gathering { plan, steered, addresses: Vec::new() };
    for (place, name) in names.iter().enumerate() {
        gathering.choose(place, *name);
    }
    let chosen: BTreeSet<usize> = gathering.addresses.iter().map(|address| address.name).collect();
    let written = names.iter().enumerate().flat_map(|(place, name)| {
        let replaced = chosen.contains(&place);
        records_of(*name)
            .filter(move |record| record.rtype != SOA && !(replaced && matches!(record.rtype, A | AAAA)))
    });
    let chosen = gathering.addresses.iter().map(|address| Record {
        owner: names[address.name].owner(),
        rtype: address.rtype,
        rdata: &address.rdata,
        ttl: address.ttl,
    });
    let glue = names.iter().filter(|name| name.is_cut()).flat_map(|cut| glue_of(plan, *cut));
    let records: Records = written.chain(chosen).chain(glue).collect();
    let keys = apex.signed().map(|id| plan.keys.zone(id));
    let signed = keys.map(|keys| keys.signed_as(&plan.keys.policy, now));
    Some(Content { soa, records, signed })
}

fn records_of(name: Node<'_>) -> impl Iterator<Item = Record<'_>> {
    name.sets().flat_map(move |set| {
        let record = move |rdata| Record { owner: name.owner(), rtype: set.rtype, rdata, ttl: set.ttl };
        set.records().map(record)
    })
}

/// The addresses of the servers of a zone that is cut off here and served here too, so that its names are not of this one.
fn glue_of<'p>(plan: &'p Plan, cut: Node<'p>) -> impl Iterator<Item = Record<'p>> {
    let servers = cut.set(NS).into_iter().flat_map(|set| set.records());
    let below = servers.filter_map(|server| plan.zones.exact(server));
    let below = below.filter(move |host| !host.same_zone(cut) && is_within(host.owner(), cut.owner()));
    below.flat_map(records_of).filter(|record| matches!(record.rtype, A | AAAA))
}

/// The addresses that stand in for steering.
struct Gathering<'g> {
    plan: &'g Plan,
    steered: Steered<'g>,
    addresses: Vec<Address>,
}

struct Address {
    /// Whose, by its place among the names.
    name: usize,
    rtype: u16,
    ttl: u32,
    rdata: Vec<u8>,
}

impl Gathering<'_> {
    fn choose(&mut self, place: usize, name: Node<'_>) {
        let Some(steered) = name.steered().map(|id| &self.plan.steered[id.0 as usize]) else { return };
        let written = name.set(A).is_some() || name.set(AAAA).is_some();
        let up = self.members_up(steered);
        if up.is_empty() && written {
            return;
        }
        let members = if up.is_empty() { self.members(steered.pool, |_| true) } else { up };
        let endpoints = members.iter().map(|id| &self.inventory().endpoints[id.index()]);
        let mut aliases = Vec::new();
        let before = self.addresses.len();
        let mut addresses = Vec::new();
        for endpoint in endpoints {
            match &endpoint.reach {
                Reach::Name(target) => aliases.push(target.as_slice().to_vec()),
                Reach::Addresses { v4, v6 } => {
                    addresses.extend(v4.map(|v4| (A, v4.octets().to_vec())));
                    addresses.extend(v6.map(|v6| (AAAA, v6.octets().to_vec())));
                }
            }
        }
        let ttl = steered.ttl;
        self.addresses.extend(addresses.into_iter().map(|(rtype, rdata)| Address {
            name: place,
            rtype,
            ttl,
            rdata,
        }));
        // An alias stands alone (RFC 2181 section 10.1).
        let alone = self.addresses.len() == before && name.sets().next().is_none();
        if let Some(rdata) = aliases.into_iter().next().filter(|_| alone) {
            self.addresses.push(Address { name: place, rtype: CNAME, ttl, rdata });
        }
    }

    /// The members of its pool that are up in some region, or else those of the fallback.
    fn members_up(&self, steered: &SteeredName) -> BTreeSet<EndpointId> {
        let Steered::Live(health) = self.steered else { return BTreeSet::new() };
        let regions = || (0..self.inventory().regions.len()).map(RegionId::at);
        let up = |id: &EndpointId| {
            Family::BOTH
                .iter()
                .any(|&family| regions().any(|region| health.endpoint(*id, region, family).usable()))
        };
        let up_in = |pool: PoolId| self.members(pool, up);
        let members = up_in(steered.pool);
        match self.inventory().pools[steered.pool.index()].fallback {
            Some(Use::Pool(fallback)) if members.is_empty() => up_in(fallback),
            Some(Use::Endpoint(fallback)) if members.is_empty() && up(&fallback) => [fallback].into(),
            _ => members,
        }
    }

    /// The endpoints that a pool and those within it pick from.
    fn members(&self, pool: PoolId, meant: impl Fn(&EndpointId) -> bool) -> BTreeSet<EndpointId> {
        let (mut endpoints, mut pools) = (BTreeSet::new(), BTreeSet::from([pool]));
        let mut open = vec![pool];
        while let Some(pool) = open.pop() {
            let Pool { members, .. } = &self.inventory().pools[pool.index()];
            for member in members {
                match member.picks {
                    Use::Endpoint(id) => {
                        endpoints.extend(Some(id).filter(&meant));
                    }
                    Use::Pool(nested) => open.extend(pools.insert(nested).then_some(nested)),
                }
            }
        }
        endpoints
    }

    fn inventory(&self) -> &Inventory {
        &self.plan.inventory
    }
}

const A: u16 = Rtype::A.to_int();
const AAAA: u16 = Rtype::AAAA.to_int();
const CNAME: u16 = Rtype::CNAME.to_int();
const NS: u16 = Rtype::NS.to_int();
const SOA: u16 = Rtype::SOA.to_int();
