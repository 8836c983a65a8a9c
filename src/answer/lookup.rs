//! Lookup: RFC 1034 section 4.3.2 with RFC 2308, 4035, 4592, 6604, 6672 and 8482.
//!
//! ```text
//!   name --find--> exact ----------------> below a cut? --> referral
//!          |                               below a DNAME? --> CNAME made, and on with its target
//!          `--> closest encloser -- ... -> wildcard? --> as if exact
//!                                          none --> NXDOMAIN
//!   exact --> steered? type there? CNAME there (on with its target)? debug name? --> NODATA
//! ```
//!
//! An alias is followed as long as it leads to names that we serve. The response code is that of the last
//! name; a chain that leaves our zones, comes back to itself or is too long ends as it is.

use domain::base::iana::Rtype;

use crate::answer::denial::{is_of_signing, may_be_of_signing};
use crate::answer::trace::{How, Trace};
use crate::answer::{Answer, Data, Owner, Query, Rcode, RecordSet};
use crate::answer::{debug, steered};
use crate::dnssec::SignedId;
use crate::plan::SteeredId;
use crate::plan::zone::name::NAME_MAX;
use crate::plan::zone::{Found, Node, Set, Zones};
use crate::primary::Soa;
use crate::snapshot::Snapshot;

/// Answers a query. The one path of every transport, explain, tests and simulation.
#[inline(always)]
pub fn answer<'s>(query: &Query<'_>, snapshot: &'s Snapshot, trace: &mut impl Trace) -> Answer<'s> {
    let mut answer = Answer::empty();
    let mut lookup = Lookup { query, snapshot, zones: &snapshot.plan.zones, trace, answer: &mut answer };
    let mut name = Owner::Question;
    for _ in 0..=ALIASES_MAX {
        match lookup.step(name) {
            Some(target) => name = target,
            None => break,
        }
    }
    answer
}

/// The name that an alias leads to.
pub(super) type Next<'s> = Option<Owner<'s>>;

/// A lookup under way.
pub(super) struct Lookup<'l, 'q, 's, T> {
    pub(super) query: &'l Query<'q>,
    pub(super) snapshot: &'s Snapshot,
    pub(super) zones: &'s Zones,
    pub(super) trace: &'l mut T,
    pub(super) answer: &'l mut Answer<'s>,
}

impl<'s, T: Trace> Lookup<'_, '_, 's, T> {
    /// Looks one name up; says where an alias leads.
    #[inline]
    fn step(&mut self, owner: Owner<'s>) -> Next<'s> {
        let name = owner.wire(self.query.name);
        match self.zones.find(name) {
            Found::Exact(node) => {
                let node = self.side(node);
                match node.above() {
                    None => self.here(node, owner, How::Exact),
                    Some(above) if above == node && self.query.qtype == DS => {
                        self.here(node, owner, How::Exact)
                    }
                    Some(above) => self.above(above, owner),
                }
            }
            Found::Below(encloser) => self.below(encloser, owner),
            Found::Outside => {
                self.trace.found(name, How::Outside);
                if matches!(owner, Owner::Question) {
                    self.answer.rcode = Rcode::Refused;
                    self.answer.authoritative = false;
                }
                None
            }
        }
    }

    /// At the apex of a zone, the parent zone answers for DS (RFC 4035 section 3.1.4.1).
    #[inline]
    fn side(&self, node: Node<'s>) -> Node<'s> {
        if self.query.qtype == DS { node.parent_side().unwrap_or(node) } else { node }
    }

    /// A name that does not exist, below one that does.
    fn below(&mut self, encloser: Node<'s>, owner: Owner<'s>) -> Next<'s> {
        if let Some(above) = encloser.above() {
            return self.above(above, owner);
        }
        if encloser.has_dname() {
            return self.redirect(encloser, owner);
        }
        match encloser.wildcard() {
            Some(wildcard) => self.here(wildcard, owner, How::Wildcard),
            None => {
                self.trace.found(owner.wire(self.query.name), How::Missing(encloser));
                self.answer.rcode = Rcode::NxDomain;
                self.soa(encloser, u32::MAX);
                self.deny_name(encloser, owner);
                None
            }
        }
    }

    fn above(&mut self, above: Node<'s>, owner: Owner<'s>) -> Next<'s> {
        if above.is_cut() {
            self.trace.found(owner.wire(self.query.name), How::Delegated(above));
            self.refer(above);
            None
        } else {
            self.redirect(above, owner)
        }
    }

    /// A name that exists, or that a wildcard speaks for.
    #[inline]
    fn here(&mut self, node: Node<'s>, owner: Owner<'s>, how: impl FnOnce(Node<'s>) -> How<'s>) -> Next<'s> {
        self.trace.found(owner.wire(self.query.name), how(node));
        match node.steered() {
            Some(id) if matches!(self.query.qtype, A | AAAA | ANY) => self.steer(id, node, owner),
            _ => self.records(node, owner, u32::MAX),
        }
    }

    fn steer(&mut self, id: SteeredId, node: Node<'s>, owner: Owner<'s>) -> Next<'s> {
        steered::answer(self, id, node, owner)
    }

    /// The records that the zone file has at a name, with a TTL of at most `ttl_max`.
    #[inline]
    pub(super) fn records(&mut self, node: Node<'s>, owner: Owner<'s>, ttl_max: u32) -> Next<'s> {
        if may_be_of_signing(self.query.qtype)
            && let Some(zone) = node.signed()
        {
            return self.records_of_signing(node, owner, zone);
        }
        let set = match self.query.qtype {
            ANY => smallest(node, |_| true),
            qtype => node.set(qtype),
        };
        if let Some(set) = set {
            return self.give(set, node, owner, ttl_max);
        }
        self.no_such(node, owner, ttl_max)
    }

    /// A name without records of this type, unless it is an alias.
    fn no_such(&mut self, node: Node<'s>, owner: Owner<'s>, ttl_max: u32) -> Next<'s> {
        match node.set(CNAME) {
            Some(cname) => {
                self.answer.answer.push(stored(owner, cname, ttl_max, node.signed()));
                self.follow(cname.first())
            }
            None => self.no_data(node, owner, ttl_max),
        }
    }

    /// The keys of a signed zone, its proofs and signatures; never those that its file may have.
    #[cold]
    fn records_of_signing(&mut self, node: Node<'s>, owner: Owner<'s>, zone: SignedId) -> Next<'s> {
        match self.of_signing(node, &owner, zone) {
            Some(set) => {
                self.answer.answer.push(set);
                None
            }
            None => self.no_such(node, owner, u32::MAX),
        }
    }

    /// A name without records of this type.
    #[inline(never)]
    fn no_data(&mut self, node: Node<'s>, owner: Owner<'s>, ttl_max: u32) -> Next<'s> {
        let told = self.query.qtype == TXT && debug::answer(self, node, &owner);
        if !told {
            self.soa(node, ttl_max);
            self.deny_type(node, owner, ttl_max);
        }
        None
    }

    /// ANY at a steered name whose pool has nothing to say: one of the sets that steering leaves alone.
    pub(super) fn unsteered(&mut self, node: Node<'s>, owner: Owner<'s>, negative_ttl: u32) -> Next<'s> {
        match smallest(node, |rtype| !matches!(rtype, A | AAAA | CNAME)) {
            Some(set) => self.give(set, node, owner, u32::MAX),
            None => {
                self.soa(node, negative_ttl);
                self.deny_type(node, owner, negative_ttl);
                None
            }
        }
    }

    #[inline(always)]
    fn give(&mut self, set: Set<'s>, node: Node<'s>, owner: Owner<'s>, ttl_max: u32) -> Next<'s> {
        self.answer.answer.push(stored(owner, set, ttl_max, node.signed()));
        if matches!(set.rtype, NS | SOA | SVCB | HTTPS) {
            self.go_with(set, node);
        }
        None
    }

    /// What goes with records of some types.
    #[inline(never)]
    fn go_with(&mut self, set: Set<'s>, node: Node<'s>) {
        match set.rtype {
            NS => self.addresses_of(node, set.records()),
            SOA => self.number(node),
            _ => self.addresses_of_targets(node, set),
        }
    }

    /// Where an alias leads, unless that is where the chain has been already.
    pub(super) fn follow(&self, target: &'s [u8]) -> Next<'s> {
        (!self.been_at(target)).then_some(Owner::Name(target))
    }

    /// Whether the chain of aliases has been at a name.
    fn been_at(&self, name: &[u8]) -> bool {
        let question = self.query.name;
        let here =
            |set: &RecordSet<'_>| set.rtype == CNAME && set.owner.wire(question).eq_ignore_ascii_case(name);
        self.answer.answer.iter().any(here)
    }

    /// RFC 6672 section 3.2: the DNAME, and a CNAME made from it.
    fn redirect(&mut self, at: Node<'s>, owner: Owner<'s>) -> Next<'s> {
        let name = owner.wire(self.query.name);
        self.trace.found(name, How::Redirected(at));
        let dname = at.set(DNAME)?;
        let kept = &name[..name.len().saturating_sub(at.owner().len())];
        let target: Box<[u8]> = [kept, dname.first()].concat().into();
        let set = stored(Owner::Name(at.owner()), dname, u32::MAX, at.signed());
        if !self.answer.answer.contains(&set) {
            self.answer.answer.push(set);
        }
        if target.len() > NAME_MAX {
            self.answer.rcode = Rcode::YxDomain;
            return None;
        }
        let data = Data::Made([&[0, target.len() as u8], &*target].concat().into());
        self.answer.answer.push(RecordSet { owner, rtype: CNAME, ttl: dname.ttl, data, signed: None });
        // The CNAME is what was asked for, or is enough of an answer.
        let followed = !matches!(self.query.qtype, CNAME | ANY);
        (followed && !self.been_at(&target)).then_some(Owner::Made(target))
    }

    /// A referral: the servers of the zone that is cut off here, and their addresses as far as this zone
    /// has them.
    fn refer(&mut self, cut: Node<'s>) {
        self.answer.authoritative = !self.answer.answer.is_empty();
        if let Some(set) = cut.set(NS) {
            self.answer.authority.push(stored(Owner::Name(cut.owner()), set, u32::MAX, None));
            self.vouch_for_cut(cut);
            self.addresses_of(cut, set.records());
        }
    }

    /// RFC 9460 section 4.1: the addresses of targets that are in this zone; a target of `.` is the owner.
    fn addresses_of_targets(&mut self, node: Node<'s>, services: Set<'s>) {
        let target = |rdata: &'s [u8]| match rdata.get(2..) {
            None | Some([]) => None,
            Some([0, ..]) => Some(node.owner()),
            Some(parameters) => Some(first_name(parameters)),
        };
        let targets = services.records().filter_map(target).take(TARGETS_MAX);
        self.addresses_of(node, targets);
    }

    /// The addresses of hosts, as far as the zone of this name has them.
    fn addresses_of(&mut self, node: Node<'s>, hosts: impl Iterator<Item = &'s [u8]>) {
        for host in hosts {
            let known = self.zones.exact(host).filter(|found| found.same_zone(node));
            let Some(host) = known.filter(|host| host.steered().is_none()) else { continue };
            let sets = [A, AAAA].into_iter().filter_map(|rtype| host.set(rtype));
            self.answer
                .additional
                .extend(sets.map(|set| stored(Owner::Name(host.owner()), set, u32::MAX, None)));
        }
    }

    /// The SOA of a negative answer (RFC 2308 section 3), to be remembered for at most `ttl_max`.
    pub(super) fn soa(&mut self, node: Node<'s>, ttl_max: u32) {
        let apex = node.apex();
        if let Some(soa) = apex.set(SOA) {
            let ttl_max = apex.negative_ttl().min(ttl_max);
            self.answer.authority.push(stored(Owner::Name(apex.owner()), soa, ttl_max, apex.signed()));
            if !self.snapshot.editions.is_empty() {
                let number = self.edition_of(apex);
                renumber(self.answer.authority.last_mut(), number);
            }
        }
    }

    /// The SOA record that was answered has the serial of the edition that others are given.
    fn number(&mut self, node: Node<'s>) {
        let soa = self.edition_of(node);
        renumber(self.answer.answer.last_mut(), soa);
    }

    fn edition_of(&self, apex: Node<'s>) -> Option<&'s Soa> {
        self.snapshot.editions.of(apex.owner()).map(|edition| &edition.soa)
    }
}

/// Puts the SOA record of an edition in the place of the zone file's.
fn renumber(set: Option<&mut RecordSet<'_>>, edition: Option<&Soa>) {
    if let Some((set, soa)) = set.zip(edition) {
        let length = (soa.rdata.len() as u16).to_be_bytes();
        set.data = Data::Made([&length, &*soa.rdata].concat().into());
    }
}

#[inline]
fn stored<'s>(owner: Owner<'s>, set: Set<'s>, ttl_max: u32, signed: Option<SignedId>) -> RecordSet<'s> {
    RecordSet { owner, rtype: set.rtype, ttl: set.ttl.min(ttl_max), data: Data::Stored(set.data), signed }
}

/// What ANY is answered with (RFC 8482 section 4.1): of the record sets that are `meant` the smallest.
#[inline(never)]
fn smallest<'s>(node: Node<'s>, meant: impl Fn(u16) -> bool) -> Option<Set<'s>> {
    let is_signed = node.signed().is_some();
    let sets = node.sets().filter(|set| meant(set.rtype) && !(is_signed && is_of_signing(set.rtype)));
    sets.min_by_key(|set| set.data.len())
}

/// The uncompressed name that `octets` begin with.
fn first_name(octets: &[u8]) -> &[u8] {
    let mut at = 0;
    while let Some(&length) = octets.get(at).filter(|length| **length > 0) {
        at += 1 + usize::from(length);
    }
    &octets[..(at + 1).min(octets.len())]
}

/// Services whose addresses come along; those of the others are asked for by who needs them.
const TARGETS_MAX: usize = 8;
/// Aliases that are followed for one query; a longer chain is answered as far as that.
const ALIASES_MAX: usize = 16;

pub(super) const A: u16 = Rtype::A.to_int();
pub(super) const AAAA: u16 = Rtype::AAAA.to_int();
pub(super) const ANY: u16 = Rtype::ANY.to_int();
pub(super) const CNAME: u16 = Rtype::CNAME.to_int();
const DNAME: u16 = Rtype::DNAME.to_int();
pub(super) const DS: u16 = Rtype::DS.to_int();
pub(super) const NS: u16 = Rtype::NS.to_int();
const SOA: u16 = Rtype::SOA.to_int();
const HTTPS: u16 = Rtype::HTTPS.to_int();
const SVCB: u16 = Rtype::SVCB.to_int();
pub(super) const TXT: u16 = Rtype::TXT.to_int();
