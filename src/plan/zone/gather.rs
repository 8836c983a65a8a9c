//! One zone file, gathered by owner: what the checks look at, and what is then stored.
//!
//! ```text
//!   records as written --> owners, parents before children, the apex first
//!                            `-- their records, by type, else as written
//! ```

use std::ops::Range;

use domain::base::iana::Rtype;
use hashbrown::HashTable;

use crate::plan::zone::name::{Lower, ancestors, is_wildcard, is_within};
use crate::plan::zone::{Link, hash};
use crate::spec::master::{Record, ZoneFile};

/// The owners of one zone, and the names between them and the apex.
pub(super) struct Gathered<'f> {
    pub(super) file: &'f ZoneFile,
    /// Parents before children; the apex is the first.
    pub(super) owners: Vec<Owner<'f>>,
    table: HashTable<u32>,
    /// Records by their number in the file: by owner, then type, then as written.
    order: Vec<u32>,
}

/// An owner, or a name between one and the apex.
pub(super) struct Owner<'f> {
    /// In lower case, wire form.
    pub(super) name: &'f [u8],
    pub(super) hash: u64,
    /// The cut that it is at or below, or the DNAME that it is below: the one nearest to the apex.
    pub(super) above: Link,
    /// Some NS record of the zone names it.
    pub(super) serves: bool,
    parent: Link,
    /// Of [`Gathered::order`].
    records: Range<u32>,
    types: u8,
}

/// Where a name is in a zone file.
pub(super) enum Spot<'g, 'f> {
    Exact(&'g Owner<'f>),
    /// Its closest encloser.
    Below(&'g Owner<'f>),
}

impl<'f> Gathered<'f> {
    /// Gathers the records of a file; those that are not within `apex` are told to `outside`.
    pub(super) fn read(file: &'f ZoneFile, apex: &'f [u8], mut outside: impl FnMut(&Record<'f>)) -> Self {
        let mut gathered = Self::of(file, apex);
        let mut owner_of = Vec::with_capacity(file.len());
        let mut last = (apex, 0);
        for record in file.records() {
            if record.owner != last.0 {
                if !is_within(record.owner, apex) {
                    outside(&record);
                    owner_of.push(u32::MAX);
                    continue;
                }
                last = (record.owner, gathered.insert(record.owner));
            }
            let owner = &mut gathered.owners[last.1 as usize];
            owner.types |= mark(record.rtype);
            owner.records.end += 1;
            owner_of.push(last.1);
        }
        gathered.sort(&owner_of);
        gathered.settle_above();
        gathered.mark_servers();
        gathered
    }

    fn of(file: &'f ZoneFile, apex: &'f [u8]) -> Self {
        let table = HashTable::with_capacity(file.len());
        let mut gathered =
            Self { file, owners: Vec::with_capacity(file.len() / 2), table, order: Vec::new() };
        gathered.push(apex, hash(apex), Link::NONE);
        gathered
    }

    /// The apex, whether there are records or not.
    pub(super) fn apex(&self) -> &Owner<'f> {
        &self.owners[0]
    }

    /// The numbers of the records of an owner.
    pub(super) fn numbers(&self, owner: &Owner<'f>) -> &[u32] {
        &self.order[owner.records.start as usize..owner.records.end as usize]
    }

    /// The records of an owner, with their numbers.
    pub(super) fn records(&self, owner: &Owner<'f>) -> impl Iterator<Item = (usize, Record<'f>)> {
        let file = self.file;
        self.numbers(owner).iter().map(move |&number| (number as usize, file.record(number as usize)))
    }

    /// The records of an owner that have this type.
    pub(super) fn of_type(&self, owner: &Owner<'f>, rtype: Rtype) -> impl Iterator<Item = Record<'f>> {
        self.records(owner).map(|(_, record)| record).filter(move |record| record.rtype == rtype.to_int())
    }

    /// What the zone says of a name, in any case; `None` if that is not within the zone.
    pub(super) fn find(&self, name: &[u8]) -> Option<Spot<'_, 'f>> {
        let lower = Lower::new(name);
        let name = lower.as_slice();
        if !is_within(name, self.apex().name) {
            return None;
        }
        let exact = self.index(name, hash(name)).map(|index| Spot::Exact(&self.owners[index as usize]));
        exact.or_else(|| {
            let mut above = ancestors(name).filter_map(|ancestor| self.index(ancestor, hash(ancestor)));
            above.next().map(|index| Spot::Below(&self.owners[index as usize]))
        })
    }

    /// The wildcard that is a child of this owner.
    pub(super) fn wildcard(&self, owner: &Owner<'f>) -> Option<&Owner<'f>> {
        let name = [b"\x01*", owner.name].concat();
        self.index(&name, hash(&name)).map(|index| &self.owners[index as usize])
    }

    fn index(&self, name: &[u8], hash: u64) -> Option<u32> {
        self.table.find(hash, |&index| self.owners[index as usize].name == name).copied()
    }

    /// The number of an owner within the apex, which is made if need be, with all that is between.
    fn insert(&mut self, name: &'f [u8]) -> u32 {
        let hashed = hash(name);
        if let Some(index) = self.index(name, hashed) {
            return index;
        }
        let mut missing = vec![(name, hashed)];
        let mut parent = 0;
        for ancestor in ancestors(name) {
            let hashed = hash(ancestor);
            match self.index(ancestor, hashed) {
                Some(index) => {
                    parent = index;
                    break;
                }
                None => missing.push((ancestor, hashed)),
            }
        }
        for (name, hashed) in missing.into_iter().rev() {
            parent = self.push(name, hashed, Link(parent));
        }
        parent
    }

    fn push(&mut self, name: &'f [u8], hash: u64, parent: Link) -> u32 {
        let index = self.owners.len() as u32;
        let (records, types) = (0..0, 0);
        self.owners.push(Owner { name, hash, parent, above: Link::NONE, serves: false, records, types });
        self.table.insert_unique(hash, index, |&index| self.owners[index as usize].hash);
        index
    }

    /// Counting sort: `records.end` holds how many each owner has.
    fn sort(&mut self, owner_of: &[u32]) {
        let mut start = 0;
        for owner in &mut self.owners {
            let len = owner.records.end;
            owner.records = start..start;
            start += len;
        }
        self.order = vec![0; start as usize];
        for (number, owner) in owner_of.iter().enumerate().filter(|(_, owner)| **owner != u32::MAX) {
            let end = &mut self.owners[*owner as usize].records.end;
            self.order[*end as usize] = number as u32;
            *end += 1;
        }
        for owner in self.owners.iter().filter(|owner| owner.records.len() > 1) {
            let records = &mut self.order[owner.records.start as usize..owner.records.end as usize];
            records.sort_by_key(|&number| self.file.record(number as usize).rtype);
        }
    }

    /// Parents come first, so what is above a parent is known.
    fn settle_above(&mut self) {
        for index in 0..self.owners.len() {
            let owner = &self.owners[index];
            let above = match owner.parent.get() {
                None => Link::NONE,
                Some(parent) => {
                    let above_parent = self.owners[parent as usize].above;
                    if above_parent != Link::NONE {
                        above_parent
                    } else if self.owners[parent as usize].has_dname() {
                        Link(parent)
                    } else if owner.is_cut() {
                        Link(index as u32)
                    } else {
                        Link::NONE
                    }
                }
            };
            self.owners[index].above = above;
        }
    }

    fn mark_servers(&mut self) {
        let mut servers = Vec::new();
        for owner in self.owners.iter().filter(|owner| owner.types & HAS_NS != 0) {
            for record in self.of_type(owner, Rtype::NS) {
                let lower = Lower::new(record.rdata);
                servers.extend(self.index(lower.as_slice(), hash(lower.as_slice())));
            }
        }
        for server in servers {
            self.owners[server as usize].serves = true;
        }
    }
}

impl Owner<'_> {
    /// The place of the name above it in [`Gathered::owners`]; `None` for the apex.
    pub(super) fn parent(&self) -> Option<u32> {
        self.parent.get()
    }

    /// Whether the zone is cut here.
    pub(super) fn is_cut(&self) -> bool {
        self.types & HAS_NS != 0 && self.parent != Link::NONE && !is_wildcard(self.name)
    }

    pub(super) fn has_dname(&self) -> bool {
        self.types & HAS_DNAME != 0
    }

    pub(super) fn has_cname(&self) -> bool {
        self.types & HAS_CNAME != 0
    }

    pub(super) fn has_ns(&self) -> bool {
        self.types & HAS_NS != 0
    }

    pub(super) fn has_soa(&self) -> bool {
        self.types & HAS_SOA != 0
    }

    pub(super) fn has_address(&self) -> bool {
        self.types & HAS_ADDRESS != 0
    }

    pub(super) fn has_mail_or_service(&self) -> bool {
        self.types & HAS_TARGET != 0
    }
}

/// The types that rules speak of, one bit each.
fn mark(rtype: u16) -> u8 {
    match Rtype::from_int(rtype) {
        Rtype::NS => HAS_NS,
        Rtype::SOA => HAS_SOA,
        Rtype::CNAME => HAS_CNAME,
        Rtype::DNAME => HAS_DNAME,
        Rtype::A | Rtype::AAAA => HAS_ADDRESS,
        Rtype::MX | Rtype::SRV => HAS_TARGET,
        _ => 0,
    }
}

const HAS_NS: u8 = 1;
const HAS_SOA: u8 = 2;
const HAS_CNAME: u8 = 4;
const HAS_DNAME: u8 = 8;
const HAS_ADDRESS: u8 = 16;
const HAS_TARGET: u8 = 32;
