//! A trace that writes down what it hears, and what is known of each member that it hears of.

use std::collections::HashSet;

use crate::answer::Client;
use crate::answer::explain::words;
use crate::answer::explain::{Decided, Fate, Finding, Lookup, MemberLook, PoolLook};
use crate::answer::trace::{How, Trace};
use crate::geo;
use crate::health::{Slot, TENTHS, Verdict};
use crate::model::{Coordinates, Family, MapId, Member, Policy, Pool, PoolId, RegionId, Treatment, Use};
use crate::plan::zone::name::show;
use crate::plan::{Steered, SteeredId};
use crate::snapshot::Snapshot;
use crate::steering::{self, Decision, Request, Step, Whereabouts};

/// Writes everything down.
pub(super) struct Recorder<'s> {
    pub(super) lookups: Vec<Lookup>,
    snapshot: &'s Snapshot,
    client: Client,
    family: Family,
    /// The steered name that is being decided, and the pools entered for it.
    steered: Option<&'s Steered>,
    entered: Vec<(PoolId, PoolLook)>,
    as_if_up: bool,
}

impl<'s> Recorder<'s> {
    pub(super) fn new(client: Client, snapshot: &'s Snapshot) -> Self {
        let (lookups, entered) = (Vec::new(), Vec::new());
        Self { lookups, snapshot, client, family: Family::V4, steered: None, entered, as_if_up: false }
    }

    /// One for a decision that no steered name asks for.
    pub(super) fn of_decision(client: Client, family: Family, snapshot: &'s Snapshot) -> Self {
        Self { family, ..Self::new(client, snapshot) }
    }

    /// The pools entered for a decision, with the members that were looked at.
    pub(super) fn into_entered(self) -> Vec<PoolLook> {
        self.entered.into_iter().map(|(_, look)| look).collect()
    }
}

impl Trace for Recorder<'_> {
    fn found(&mut self, name: &[u8], how: How<'_>) {
        let (found, node) = match how {
            How::Exact(node) => (Finding::Exact, Some(node)),
            How::Wildcard(node) => (Finding::Wildcard, Some(node)),
            How::Delegated(node) => (Finding::Delegated, Some(node)),
            How::Redirected(node) => (Finding::Redirected, Some(node)),
            How::Missing(node) => (Finding::Missing, Some(node)),
            How::Outside => (Finding::Outside, None),
        };
        self.lookups.push(Lookup {
            name: show(name),
            found,
            at: node.map(|node| show(node.owner())),
            zone: node.map(|node| show(node.apex().owner())),
            decisions: Vec::new(),
        });
    }

    fn steering(&mut self, steered: SteeredId, request: &Request<'_>) {
        self.steered = self.snapshot.plan.steered.get(steered.0 as usize);
        self.family = request.family;
        self.as_if_up = false;
    }

    fn decided(&mut self, decision: &Decision) {
        let entered = std::mem::take(&mut self.entered);
        let pools: Vec<PoolLook> = entered.into_iter().map(|(id, look)| self.completed(id, look)).collect();
        let (Some(steered), Some(lookup)) = (self.steered, self.lookups.last_mut()) else { return };
        let moving = pools.iter().flat_map(|pool| &pool.members).filter(|member| member.moving);
        let moving = moving.map(|member| member.name.as_str());
        let (ttl, ttl_why) = words::ttl(steered, decision, moving);
        let outcome = words::outcome(&decision.outcome);
        lookup.decisions.push(Decided { family: self.family.to_string(), outcome, ttl, ttl_why, pools });
    }
}

impl steering::Trace for Recorder<'_> {
    fn step(&mut self, step: Step) {
        match step {
            Step::Enter(pool) => {
                let look = self.look_at_pool(pool);
                self.entered.push((pool, look));
            }
            Step::Chosen { pool, member } => self.look_at(pool, member, Fate::Chosen),
            Step::Skipped { pool, member, reason } => {
                let because = words::passed_over(reason, self.family);
                self.look_at(pool, member, Fate::Passed { because });
            }
            Step::PoolDown(id) => {
                let pool = &self.snapshot.plan.inventory.pools[id.index()];
                let treatment = self.treatment(pool);
                let standing = self.snapshot.health.pool(id, treatment.situation, self.family);
                let order = pool.order_of(treatment);
                self.note(id, words::pool_down(pool, standing, order, self.family));
            }
            Step::Fallback { pool, to } => {
                self.note(pool, format!("falls back to {}", self.described(to)));
            }
            Step::LastResort(_) => self.as_if_up = true,
            Step::WithoutNames(pool) => self.note(pool, words::WITHOUT_NAMES.into()),
        }
    }
}

impl Recorder<'_> {
    fn look_at_pool(&self, id: PoolId) -> PoolLook {
        let pool = &self.snapshot.plan.inventory.pools[id.index()];
        PoolLook {
            pool: pool.name.to_string(),
            policy: pool.policy.to_string(),
            place: self.place_for(pool),
            as_if_up: self.as_if_up,
            members: Vec::new(),
            notes: self.times(id).into_iter().collect(),
        }
    }

    fn look_at(&mut self, pool: PoolId, member: u16, fate: Fate) {
        let look = self.look_at_member(pool, member, fate);
        if let Some(entered) = self.latest(pool) {
            entered.members.retain(|before| before.name != look.name);
            entered.members.push(look);
        }
    }

    fn note(&mut self, pool: PoolId, note: String) {
        if let Some(entered) = self.latest(pool) {
            entered.notes.push(note);
        }
    }

    fn latest(&mut self, pool: PoolId) -> Option<&mut PoolLook> {
        self.entered.iter_mut().rfind(|(id, _)| *id == pool).map(|(_, look)| look)
    }

    fn look_at_member(&self, pool_id: PoolId, index: u16, fate: Fate) -> MemberLook {
        let Snapshot { plan, health, .. } = self.snapshot;
        let inventory = &plan.inventory;
        let pool = &inventory.pools[pool_id.index()];
        let Treatment { region, situation, .. } = self.treatment(pool);
        let Member { picks, bias, .. } = pool.members[usize::from(index)];
        let slot = Slot { pool: pool_id, member: index, situation, family: self.family };
        let (verdict, moving, governed, mut evidence) = match picks {
            Use::Endpoint(id) => {
                let standing = health.endpoint(id, region, self.family);
                let endpoint = &inventory.endpoints[id.index()];
                let region = &inventory.regions[region.index()].name;
                let verdict = endpoint.serves(self.family).then_some(standing.verdict);
                let evidence = words::evidence(standing, endpoint, self.family, region);
                (verdict, standing.moving, standing.governed, evidence)
            }
            Use::Pool(id) => {
                let standing = health.pool(id, situation, self.family);
                let verdict = if standing.up { Verdict::Up } else { Verdict::Down };
                (Some(verdict), standing.moving, false, "a pool".into())
            }
        };
        let grown = health.grown(&slot);
        if grown < TENTHS {
            evidence += &format!(", starts slowly with {grown}/{TENTHS} of its weight");
        }
        let km = self.measured_from(pool).and_then(|client| self.kilometres(client, picks));
        let km = km.map(|km| geo::biased(km, bias).round() as u32);
        let name = inventory.name_of(picks).to_owned();
        MemberLook { name, verdict, evidence, moving, governed, km, fate }
    }

    fn whereabouts(&self) -> Whereabouts<'_> {
        let (subnet, source) = (self.client.address(), self.client.source);
        Whereabouts::Client { geo: &self.snapshot.plan.geo, subnet, source }
    }

    fn treatment(&self, pool: &Pool) -> Treatment {
        self.whereabouts().treatment(pool).unwrap_or(pool.treatments[0])
    }

    fn region(&self) -> RegionId {
        let inventory = &self.snapshot.plan.inventory;
        self.whereabouts().region(true, inventory).map_or(inventory.default_region(), |(region, _)| region)
    }

    /// What counts as the client's address for a pool.
    fn address_for(&self, pool: &Pool) -> std::net::IpAddr {
        if pool.client_subnet { self.client.address() } else { self.client.source }
    }

    /// Where the client is for a pool that goes by something else than its region of `world`, and why.
    fn place_for(&self, pool: &Pool) -> Option<String> {
        let plan = &self.snapshot.plan;
        let address = self.address_for(pool);
        let source = (address != self.client.address()).then(|| format!("by its source {address}"));
        let on_map = (pool.map != MapId::WORLD).then(|| {
            let located = plan.geo.locate(pool.map, address);
            let region = &plan.inventory.regions_of(pool.map)[located.region.index()].name;
            let (map, by) = (plan.inventory.map_name(pool.map), words::by(&located.by));
            format!("on map {map} in {region} ({by})")
        });
        let parts: Vec<String> = [source, on_map].into_iter().flatten().collect();
        (!parts.is_empty()).then(|| parts.join(", "))
    }

    /// From where a pool measures distances, if it does.
    fn measured_from(&self, pool: &Pool) -> Option<Coordinates> {
        let Snapshot { plan, .. } = self.snapshot;
        let address = self.address_for(pool);
        let region = || plan.inventory.regions[plan.geo.locate(MapId::WORLD, address).region.index()].at;
        pool.policy.by_distance().then(|| plan.geo.coordinates(address).or_else(region))?
    }

    /// To an endpoint, or to the nearest of those that a pool can pick, however deep.
    fn kilometres(&self, client: Coordinates, picks: Use) -> Option<f64> {
        let inventory = &self.snapshot.plan.inventory;
        let mut met = HashSet::from([picks]);
        let mut ahead = vec![picks];
        let mut nearest: Option<f64> = None;
        while let Some(next) = ahead.pop() {
            match next {
                Use::Endpoint(id) => {
                    let km = inventory.endpoints[id.index()].at.map(|at| geo::kilometres(client, at));
                    nearest = [nearest, km].into_iter().flatten().min_by(f64::total_cmp);
                }
                Use::Pool(id) => {
                    let members = inventory.pools[id.index()].members.iter().map(|member| member.picks);
                    ahead.extend(members.filter(|picks| met.insert(*picks)));
                }
            }
        }
        nearest
    }

    /// A fallback, with what is known of it.
    fn described(&self, to: Use) -> String {
        let Snapshot { plan, health, .. } = self.snapshot;
        let name = plan.inventory.name_of(to);
        match to {
            Use::Endpoint(id) => {
                format!("{name}, {}", health.endpoint(id, self.region(), self.family).verdict)
            }
            Use::Pool(_) => format!("pool {name}"),
        }
    }

    /// The round-trip times that a `latency` pool goes by.
    fn times(&self, id: PoolId) -> Option<String> {
        let Snapshot { plan, health, .. } = self.snapshot;
        let inventory = &plan.inventory;
        let pool = &inventory.pools[id.index()];
        let Treatment { region, situation, .. } = self.treatment(pool);
        let region = &inventory.regions[region.index()].name;
        let measured = health.measured(id, situation, self.family).map_or(&[][..], |known| known.order());
        let time = |(member, rtt_us): &(u16, u32)| {
            let Member { picks, bias, .. } = pool.members[usize::from(*member)];
            words::Time { name: inventory.name_of(picks), rtt_us: *rtt_us, bias }
        };
        let times: Vec<words::Time<'_>> = measured.iter().take(UNNEEDED_MAX).map(time).collect();
        (pool.policy == Policy::Latency).then(|| words::times(&times, region))
    }

    /// With the members that were not looked at: who would be next.
    fn completed(&self, id: PoolId, mut look: PoolLook) -> PoolLook {
        let pool = &self.snapshot.plan.inventory.pools[id.index()];
        let treatment = self.treatment(pool);
        let measured = self.snapshot.health.measured(id, treatment.situation, self.family);
        let measured = measured.map_or(&[][..], |measured| measured.order());
        let first = measured.iter().map(|(member, _)| member);
        for &member in first.chain(pool.order_of(treatment)).take(UNNEEDED_MAX) {
            let next = self.look_at_member(id, member, Fate::Unneeded);
            if look.members.iter().all(|known| known.name != next.name) {
                look.members.push(next);
            }
        }
        look
    }
}

/// Of a pool's members in their order, so many are shown even if they were not needed; more are left out.
const UNNEEDED_MAX: usize = 16;
