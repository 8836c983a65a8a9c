//! Putting zones together, one file after another, into the form in which they are served.
//!
//! ```text
//!   add:    ZoneFile --gather--> owners --check--> what is served --> slots, arena, table
//!   steer, debug: a slot, and those between it and the apex, if it has no records
//!   build:  zones within zones: names belong to the deepest one
//! ```

use std::collections::HashSet;

use domain::base::iana::Rtype;

use crate::model::Name;
use crate::plan::zone::check::{Findings, check};
use crate::plan::zone::gather::{Gathered, Owner};
use crate::plan::zone::name::{Lower, ancestors, is_wildcard, parent};
use crate::plan::zone::{APEX, CUT, DNAME, Link, Node, SET_HEADER, Slot, Zone, Zones, hash, set_header};
use crate::plan::{DebugId, SteeredId};
use crate::spec::Diagnostic;
use crate::spec::master::ZoneFile;

/// Puts zones together, and says what is wrong with them.
///
/// While it works, the table holds a name once for each zone that has it: a name below the apex of a zone
/// within a zone is in both, until [`Builder::build`] takes it from the outer one.
#[derive(Debug, Default)]
pub struct Builder {
    zones: Zones,
    /// The names that will be steered: they have addresses, whatever the zone files say. In lower case, wire form.
    to_steer: HashSet<Box<[u8]>>,
}

impl Builder {
    /// A builder of zones in which these names will be steered.
    pub fn for_steering(names: impl IntoIterator<Item = Name>) -> Self {
        let lower = |name: Name| name.as_slice().to_ascii_lowercase().into();
        Self { to_steer: names.into_iter().map(lower).collect(), ..Self::default() }
    }

    /// Adds a zone; each origin once. Reports: no or two SOA, no NS, records out of the zone, a CNAME beside
    /// other data, missing glue, records below a cut that are no glue (warning), differing TTLs in a set
    /// (warning) ...
    pub fn add(&mut self, file: &ZoneFile, diagnostics: &mut Vec<Diagnostic>) {
        let apex = file.origin.as_slice().to_ascii_lowercase();
        let mut findings = Findings::new(file, diagnostics);
        let gathered = Gathered::read(file, &apex, |record| findings.outside(record));
        let dropped = check(&gathered, &self.to_steer, &mut findings);
        findings.finish();
        let octets: usize = gathered.owners.iter().map(|owner| octets(&gathered, owner)).sum();
        if self.zones.arena.len() + octets > ARENA_MAX {
            let message = format!("`{}` and the zones before it are larger than 3 GiB", file.origin);
            diagnostics.push(Diagnostic::general("zones-too-large", message).hint("split them over servers"));
            return;
        }
        self.store(&gathered, &dropped, octets);
    }

    /// The apex of the zone that a name would be served from, if there is one.
    pub fn zone_of(&self, owner: &Name) -> Option<Name> {
        let zone = self.apex_of(Lower::new(owner.as_slice()).as_slice())?;
        let apex = self.zones.name_at(self.zones.zones[zone].apex);
        Name::from_octets(apex.to_vec()).ok()
    }

    /// Whether a name is at or below a delegation, or below a DNAME, so that it cannot be steered.
    pub fn delegated(&self, owner: &Name) -> bool {
        let lower = Lower::new(owner.as_slice());
        let name = lower.as_slice();
        let Some(zone) = self.apex_of(name) else { return false };
        if let Some(node) = self.find(zone, name) {
            return node.above().is_some();
        }
        let encloser = ancestors(name).find_map(|ancestor| self.find(zone, ancestor));
        encloser.is_some_and(|encloser| encloser.above().is_some() || encloser.has_dname())
    }

    /// The types of records that a zone file has at a name (static answers and others).
    pub fn types_at(&self, owner: &Name) -> Vec<u16> {
        let lower = Lower::new(owner.as_slice());
        let zone = self.apex_of(lower.as_slice());
        let node = zone.and_then(|zone| self.find(zone, lower.as_slice()));
        node.map_or_else(Vec::new, |node| node.sets().map(|set| set.rtype).collect())
    }

    /// Makes a name (which need not have records) a steered one.
    pub fn steer(&mut self, owner: &Name, steered: SteeredId) {
        let lower = Lower::new(owner.as_slice());
        if let Some(zone) = self.apex_of(lower.as_slice()) {
            let index = self.ensure(zone, lower.as_slice());
            self.zones.slots[index as usize].steered = Link(steered.0);
        }
    }

    /// Makes a name (which need not have records) a debug name.
    pub fn debug(&mut self, owner: &Name, debug: DebugId) {
        let lower = Lower::new(owner.as_slice());
        if let Some(zone) = self.apex_of(lower.as_slice()) {
            let index = self.ensure(zone, lower.as_slice());
            self.zones.debug.insert(index, debug);
        }
    }

    /// Where a name leads when somebody asks for its addresses, as far as it was said until now.
    pub fn lead(&self, name: &Name) -> Lead {
        let lower = Lower::new(name.as_slice());
        let name = lower.as_slice();
        let Some(zone) = self.apex_of(name) else { return Lead::End };
        let (above, speaks) = match self.find(zone, name) {
            Some(node) => (node.above(), Some(node)),
            None => {
                let encloser = ancestors(name).find_map(|ancestor| self.find(zone, ancestor));
                let dname = encloser.filter(|encloser| encloser.has_dname());
                let above = encloser.and_then(Node::above).or(dname);
                (above, encloser.and_then(Node::wildcard))
            }
        };
        match (above, speaks.and_then(Node::steered)) {
            (Some(above), _) => Lead::to(redirected(name, above)),
            (None, Some(id)) => Lead::Steered(id),
            (None, None) => Lead::to(
                speaks.and_then(|node| node.set(Rtype::CNAME.to_int())).map(|cname| cname.first().to_vec()),
            ),
        }
    }

    /// Compiles all of it.
    pub fn build(mut self) -> Zones {
        let mut is_outer = vec![false; self.zones.zones.len()];
        for zone in 0..self.zones.zones.len() {
            if let Some(outer) = self.outer(zone) {
                let apex = self.zones.name_at(self.zones.zones[zone].apex).to_vec();
                let parent_side = self.ensure(outer, &apex);
                self.zones.zones[zone].parent_side = Link(parent_side);
                is_outer[outer] = true;
            }
        }
        for index in 0..self.zones.slots.len() as u32 {
            let zone = self.zones.slots[index as usize].zone as usize;
            let name = self.zones.name_at(index);
            if is_outer[zone] && self.apex_of(name) != Some(zone) {
                let entry = self.zones.table.find_entry(hash(name), |&other| other == index);
                entry.expect("every slot is in the table").remove();
            }
        }
        self.zones.slots.shrink_to_fit();
        self.zones.arena.shrink_to_fit();
        self.zones
    }

    /// The zone around a zone, if we serve it.
    fn outer(&self, zone: usize) -> Option<usize> {
        self.apex_of(parent(self.zones.name_at(self.zones.zones[zone].apex))?)
    }

    /// The deepest zone that a name is in.
    fn apex_of(&self, name: &[u8]) -> Option<usize> {
        let apex = |name: &[u8]| {
            let same = |&index: &u32| {
                self.zones.slots[index as usize].flags & APEX != 0 && self.zones.name_at(index) == name
            };
            self.zones.table.find(hash(name), same).copied()
        };
        let apex = std::iter::once(name).chain(ancestors(name)).find_map(apex)?;
        Some(self.zones.slots[apex as usize].zone as usize)
    }

    fn find(&self, zone: usize, name: &[u8]) -> Option<Node<'_>> {
        self.index(zone, name, hash(name)).map(|index| self.zones.node(index))
    }

    fn index(&self, zone: usize, name: &[u8], hash: u64) -> Option<u32> {
        let same = |&index: &u32| {
            self.zones.slots[index as usize].zone as usize == zone && self.zones.name_at(index) == name
        };
        self.zones.table.find(hash, same).copied()
    }

    /// The slot of a name of a zone, which is made if need be, with all that is between it and the apex.
    fn ensure(&mut self, zone: usize, name: &[u8]) -> u32 {
        if let Some(index) = self.index(zone, name, hash(name)) {
            return index;
        }
        let parent = self.ensure(zone, parent(name).expect("an apex is above every name of its zone"));
        let above = self.above(parent);
        self.push(name, hash(name), Some(parent), Slot { zone: zone as u32, above, ..Slot::EMPTY })
    }

    /// What is above a child of this slot.
    fn above(&self, parent: u32) -> Link {
        let slot = &self.zones.slots[parent as usize];
        if slot.above == Link::NONE && slot.flags & DNAME != 0 { Link(parent) } else { slot.above }
    }

    fn store(&mut self, gathered: &Gathered<'_>, dropped: &[bool], octets: usize) {
        let base = self.zones.slots.len() as u32;
        let zone = self.zones.zones.len() as u32;
        let (negative_ttl, parent_side) = (negative_ttl(gathered), Link::NONE);
        self.zones.zones.push(Zone { apex: base, negative_ttl, parent_side, signed: None });
        self.zones.arena.reserve(octets);
        self.zones.slots.reserve(gathered.owners.len());
        self.reserve_table(gathered.owners.len());
        for owner in &gathered.owners {
            let above = owner.above.get().map_or(Link::NONE, |index| Link(base + index));
            let parent = owner.parent().map(|parent| base + parent);
            let apex = if parent.is_none() { APEX } else { 0 };
            let cut = if owner.is_cut() { CUT } else { 0 };
            let dname = if owner.has_dname() { DNAME } else { 0 };
            let slot = Slot { zone, above, flags: apex | cut | dname, ..Slot::EMPTY };
            let index = self.push(owner.name, owner.hash, parent, slot);
            self.store_sets(gathered, owner, dropped);
            self.zones.slots[index as usize].end = self.zones.arena.len() as u32;
        }
    }

    /// Writes the record sets of an owner behind its name.
    fn store_sets(&mut self, gathered: &Gathered<'_>, owner: &Owner<'_>, dropped: &[bool]) {
        let mut records = gathered
            .records(owner)
            .filter(|(number, _)| !dropped[*number])
            .map(|(_, record)| record)
            .peekable();
        let arena = &mut self.zones.arena;
        while let Some(&first) = records.peek() {
            let start = arena.len();
            arena.extend([0; SET_HEADER]);
            let mut ttl = first.ttl;
            while let Some(record) = records.next_if(|record| record.rtype == first.rtype) {
                ttl = ttl.min(record.ttl);
                arena.extend((record.rdata.len() as u16).to_be_bytes());
                arena.extend(record.rdata);
            }
            let len = (arena.len() - start - SET_HEADER) as u32;
            arena[start..][..SET_HEADER].copy_from_slice(&set_header(first.rtype, ttl, len));
        }
    }

    /// Adds a slot with this name and no records yet.
    fn push(&mut self, name: &[u8], hashed: u64, parent: Option<u32>, slot: Slot) -> u32 {
        let Zones { table, slots, arena, .. } = &mut self.zones;
        let index = slots.len() as u32;
        let at = arena.len() as u32;
        arena.extend(name);
        slots.push(Slot { at, end: arena.len() as u32, name_len: name.len() as u8, ..slot });
        if let Some(parent) = parent.filter(|_| is_wildcard(name)) {
            slots[parent as usize].wildcard = Link(index);
        }
        table.insert_unique(hashed, index, |&index| hash(slots[index as usize].name(arena)));
        index
    }

    fn reserve_table(&mut self, names: usize) {
        let Zones { table, slots, arena, .. } = &mut self.zones;
        table.reserve(names, |&index| hash(slots[index as usize].name(arena)));
    }
}

/// Where a name leads.
#[derive(Clone, Debug, PartialEq)]
pub enum Lead {
    /// Steering answers for it.
    Steered(SteeredId),
    /// By a CNAME or DNAME of its zone file, to this name.
    Alias(Name),
    /// It is answered as it is, or by others, or not at all.
    End,
}

impl Lead {
    fn to(target: Option<Vec<u8>>) -> Self {
        target.and_then(|target| Name::from_octets(target).ok()).map_or(Lead::End, Lead::Alias)
    }
}

/// The name that the DNAME above another makes of it; `None`: it is delegated there.
fn redirected(name: &[u8], above: Node<'_>) -> Option<Vec<u8>> {
    let dname = above.set(Rtype::DNAME.to_int()).filter(|_| !above.is_cut())?;
    let kept = &name[..name.len().saturating_sub(above.owner().len())];
    Some([kept, dname.first()].concat())
}

impl Slot {
    const EMPTY: Slot = Slot {
        at: 0,
        end: 0,
        zone: 0,
        above: Link::NONE,
        wildcard: Link::NONE,
        steered: Link::NONE,
        name_len: 0,
        flags: 0,
    };
}

/// What an owner takes in the arena at most.
fn octets(gathered: &Gathered<'_>, owner: &Owner<'_>) -> usize {
    let record = |number: &u32| SET_HEADER + 2 + gathered.file.record(*number as usize).rdata.len();
    owner.name.len() + gathered.numbers(owner).iter().map(record).sum::<usize>()
}

/// RFC 2308 section 5: the smaller of the SOA's TTL and its last field.
fn negative_ttl(gathered: &Gathered<'_>) -> u32 {
    let soa = gathered.of_type(gathered.apex(), Rtype::SOA).next();
    let minimum = |rdata: &[u8]| rdata.last_chunk().map(|octets| u32::from_be_bytes(*octets));
    soa.map_or(0, |soa| minimum(soa.rdata).map_or(soa.ttl, |minimum| minimum.min(soa.ttl)))
}

/// Octets of all zones together; places in the arena are 32 bits, and steered names need some of them. A zone
/// that does not fit is an error, and not served.
const ARENA_MAX: usize = 3 << 30;
