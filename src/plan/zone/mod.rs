//! The zones served: names, cuts and record sets, compiled to wire form.
//!
//! ```text
//!   hash of a name --table--> slots                        arena
//!                             +-----------------------+    +------+-------------------+-------------------+---
//!                             | zone, steered, flags  |    | name | type ttl len RDATA | type ttl len ...
//!                             | at ---------------------->-+------+-------------------+-------------------+---
//!                             | above (cut or DNAME)  |
//!                             | wildcard child        |
//!                             +-----------------------+
//! ```
//!
//! One hash table holds every owner of every zone, empty non-terminals too, so that an exact name is one
//! probe, and the closest encloser of a name that does not exist is found by dropping labels. Whatever
//! a lookup would have to climb the tree for, a slot knows. A name and its record sets lie side by side:
//! a name with one A record takes about 80 bytes, the table included, and a lookup touches four cache lines.

mod build;
mod check;
mod gather;
pub(crate) mod name;

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher};

use foldhash::quality::FixedState;
use hashbrown::HashTable;

pub use build::{Builder, Lead};

use crate::dnssec::SignedId;
use crate::plan::{DebugId, SteeredId};
use name::Lower;

/// All zones.
#[derive(Debug, Default)]
pub struct Zones {
    table: HashTable<u32>,
    slots: Vec<Slot>,
    arena: Vec<u8>,
    zones: Vec<Zone>,
    /// By slot: few names are debug names, and none has room for it.
    debug: BTreeMap<u32, DebugId>,
}

/// Where a name is in the zones served.
#[derive(Clone, Copy, Debug)]
pub enum Found<'z> {
    /// It exists, perhaps without records (an empty non-terminal).
    Exact(Node<'z>),
    /// It does not exist; this is its closest encloser (RFC 4592 section 3.3.1).
    Below(Node<'z>),
    /// It is in no zone of ours.
    Outside,
}

/// A name that exists.
#[derive(Clone, Copy)]
pub struct Node<'z> {
    zones: &'z Zones,
    index: u32,
    slot: &'z Slot,
}

/// The records of one owner and type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Set<'z> {
    /// Their type.
    pub rtype: u16,
    /// Seconds.
    pub ttl: u32,
    /// One or more times: length (two octets, big-endian) and RDATA with uncompressed names.
    pub data: &'z [u8],
}

impl Zones {
    /// Finds a name, in any case; wire form. Bounded: a name has at most 127 labels, each one probe.
    #[inline]
    pub fn find(&self, name: &[u8]) -> Found<'_> {
        let lower = Lower::new(name);
        match self.probe(lower.as_slice()) {
            Some(node) => Found::Exact(node),
            None => self.closest_encloser(lower.as_slice()),
        }
    }

    /// The node of a name that exists, in any case; wire form.
    #[inline]
    pub fn exact(&self, name: &[u8]) -> Option<Node<'_>> {
        self.probe(Lower::new(name).as_slice())
    }

    /// The apexes of the zones served, in the order in which they were added.
    pub fn apexes(&self) -> impl Iterator<Item = Node<'_>> {
        self.zones.iter().map(|zone| self.node(zone.apex))
    }

    /// Every zone's apex, with all names of the zone.
    pub fn by_zone(&self) -> impl Iterator<Item = (Node<'_>, Vec<Node<'_>>)> {
        let mut names: Vec<Vec<Node<'_>>> = vec![Vec::new(); self.zones.len()];
        for (index, slot) in self.slots.iter().enumerate() {
            names[slot.zone as usize].push(self.node(index as u32));
        }
        self.apexes().zip(names)
    }

    /// How many zones there are.
    pub fn len(&self) -> usize {
        self.zones.len()
    }

    /// Signs zones, by their apexes, and no others.
    pub fn sign<'k>(&mut self, signed: impl Iterator<Item = (&'k [u8], SignedId)>) {
        self.zones.iter_mut().for_each(|zone| zone.signed = None);
        for (apex, id) in signed {
            if let Some(index) = self.exact(apex).filter(|node| node.is_apex()).map(|node| node.slot.zone) {
                self.zones[index as usize].signed = Some(id);
            }
        }
    }

    /// The longest TTL of the zone that a name is in.
    pub fn ttl_max(&self, name: Node<'_>) -> u32 {
        let of_zone =
            (0..self.slots.len() as u32).map(|index| self.node(index)).filter(|node| node.same_zone(name));
        of_zone.flat_map(Node::sets).map(|set| set.ttl).max().unwrap_or(0)
    }

    /// Whether nothing is served.
    pub fn is_empty(&self) -> bool {
        self.zones.is_empty()
    }

    /// How many names there are, those without records too.
    pub fn names(&self) -> usize {
        self.table.len()
    }

    fn closest_encloser(&self, name: &[u8]) -> Found<'_> {
        let found = name::ancestors(name).find_map(|ancestor| self.probe(ancestor));
        found.map_or(Found::Outside, Found::Below)
    }

    #[inline]
    fn probe(&self, name: &[u8]) -> Option<Node<'_>> {
        let same = |&index: &u32| self.name_at(index) == name;
        self.table.find(hash(name), same).map(|&index| self.node(index))
    }

    #[inline]
    fn node(&self, index: u32) -> Node<'_> {
        Node { zones: self, index, slot: &self.slots[index as usize] }
    }

    #[inline]
    fn name_at(&self, index: u32) -> &[u8] {
        self.slots[index as usize].name(&self.arena)
    }
}

impl<'z> Node<'z> {
    /// Its name in lower case, wire form.
    #[inline]
    pub fn owner(self) -> &'z [u8] {
        self.zones.name_at(self.index)
    }

    /// Its records of one type.
    #[inline]
    pub fn set(self, rtype: u16) -> Option<Set<'z>> {
        self.sets().find(|set| set.rtype == rtype)
    }

    /// All its record sets, by type.
    #[inline]
    pub fn sets(self) -> impl Iterator<Item = Set<'z>> {
        let slot = self.slot;
        Sets(&self.zones.arena[slot.at as usize + slot.name_len as usize..slot.end as usize])
    }

    /// The apex of its zone.
    #[inline]
    pub fn apex(self) -> Node<'z> {
        self.zones.node(self.zone().apex)
    }

    /// Whether both are of one zone.
    #[inline]
    pub fn same_zone(self, other: Node<'_>) -> bool {
        self.slot.zone == other.slot.zone
    }

    /// How long it may be remembered that something is not there: the smaller of the TTL and the minimum
    /// of its zone's SOA (RFC 2308 section 5).
    #[inline]
    pub fn negative_ttl(self) -> u32 {
        self.zone().negative_ttl
    }

    /// What answers for the names at and below it instead: the delegation that it is at or below, or the
    /// DNAME that it is below.
    #[inline]
    pub fn above(self) -> Option<Node<'z>> {
        self.slot.above.get().map(|index| self.zones.node(index))
    }

    /// Whether the zone is cut here: it has NS records, and is neither an apex nor a wildcard (RFC 4592
    /// section 4.2 leaves those open; here they are data like any other).
    #[inline]
    pub fn is_cut(self) -> bool {
        self.slot.flags & CUT != 0
    }

    /// Whether it has a DNAME, which speaks for all names below it.
    #[inline]
    pub fn has_dname(self) -> bool {
        self.slot.flags & DNAME != 0
    }

    /// Whether it is the apex of its zone.
    #[inline]
    pub fn is_apex(self) -> bool {
        self.slot.flags & APEX != 0
    }

    /// The same name on the other side of the zone cut: what the parent zone has there, if we serve that
    /// zone too. For an apex only.
    pub fn parent_side(self) -> Option<Node<'z>> {
        self.zone().parent_side.get().filter(|_| self.is_apex()).map(|index| self.zones.node(index))
    }

    /// The wildcard that is its child.
    #[inline]
    pub fn wildcard(self) -> Option<Node<'z>> {
        self.slot.wildcard.get().map(|index| self.zones.node(index))
    }

    /// What chooses its addresses, if it is steered.
    #[inline]
    pub fn steered(self) -> Option<SteeredId> {
        self.slot.steered.get().map(SteeredId)
    }

    /// What tells clients where they seem to be, if it is a debug name. To be asked last: it is looked up.
    pub fn debug(self) -> Option<DebugId> {
        self.zones.debug.get(&self.index).copied()
    }

    /// Whose keys sign its records, if its zone is signed.
    #[inline]
    pub fn signed(self) -> Option<SignedId> {
        self.zone().signed
    }

    #[inline]
    fn zone(self) -> &'z Zone {
        &self.zones.zones[self.slot.zone as usize]
    }
}

impl PartialEq for Node<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.index == other.index
    }
}

impl std::fmt::Debug for Node<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&name::show(self.owner()))
    }
}

impl<'z> Set<'z> {
    /// The RDATA of each record.
    pub fn records(self) -> impl Iterator<Item = &'z [u8]> {
        let mut rest = self.data;
        std::iter::from_fn(move || {
            let (len, after) = rest.split_first_chunk()?;
            let (rdata, after) = after.split_at_checked(u16::from_be_bytes(*len) as usize)?;
            rest = after;
            Some(rdata)
        })
    }

    /// The RDATA of the first record: the only one of types like CNAME and SOA.
    #[inline]
    pub fn first(self) -> &'z [u8] {
        self.records().next().unwrap_or_default()
    }
}

/// The record sets of a name, read off the arena.
struct Sets<'z>(&'z [u8]);

impl<'z> Iterator for Sets<'z> {
    type Item = Set<'z>;

    #[inline]
    fn next(&mut self) -> Option<Set<'z>> {
        let (rtype, rest) = self.0.split_first_chunk()?;
        let (ttl, rest) = rest.split_first_chunk()?;
        let (len, rest) = rest.split_first_chunk()?;
        let (data, rest) = rest.split_at_checked(u32::from_ne_bytes(*len) as usize)?;
        self.0 = rest;
        Some(Set { rtype: u16::from_ne_bytes(*rtype), ttl: u32::from_ne_bytes(*ttl), data })
    }
}

/// A name that exists, as it is kept.
#[derive(Debug)]
struct Slot {
    /// Where its name begins in the arena; its record sets follow,
    at: u32,
    /// up to here.
    end: u32,
    zone: u32,
    above: Link,
    wildcard: Link,
    steered: Link,
    name_len: u8,
    flags: u8,
}

impl Slot {
    #[inline]
    fn name<'a>(&self, arena: &'a [u8]) -> &'a [u8] {
        &arena[self.at as usize..][..self.name_len as usize]
    }
}

/// A zone, as it is kept.
#[derive(Debug)]
struct Zone {
    apex: u32,
    negative_ttl: u32,
    parent_side: Link,
    signed: Option<SignedId>,
}

/// A number, or none, in four bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Link(u32);

impl Link {
    const NONE: Link = Link(u32::MAX);

    #[inline]
    fn get(self) -> Option<u32> {
        (self != Self::NONE).then_some(self.0)
    }
}

/// Names come from the operator's files, queries only probe: the seed need not be secret.
#[inline]
fn hash(name: &[u8]) -> u64 {
    let mut hasher = FixedState::default().build_hasher();
    hasher.write(name);
    hasher.finish()
}

const APEX: u8 = 1;
const CUT: u8 = 2;
const DNAME: u8 = 4;

/// What stands before the records of a set in the arena: type, TTL, length.
fn set_header(rtype: u16, ttl: u32, len: u32) -> [u8; SET_HEADER] {
    let mut header = [0; SET_HEADER];
    header[..2].copy_from_slice(&rtype.to_ne_bytes());
    header[2..6].copy_from_slice(&ttl.to_ne_bytes());
    header[6..].copy_from_slice(&len.to_ne_bytes());
    header
}

const SET_HEADER: usize = 2 + 4 + 4;

#[cfg(test)]
mod tests;
