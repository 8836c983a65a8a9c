//! Steered names: from the client's place to records, their TTL, scope and extended error.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::Ipv6Net;
use smallvec::SmallVec;

use crate::answer::lookup::{A, AAAA, ANY, CNAME, Lookup, Next};
use crate::answer::trace::Trace;
use crate::answer::{Client, Data, Ede, Owner, Query, Rcode, RecordSet};
use crate::dnssec::SignedId;
use crate::geo::Geo;
use crate::geo::embedded::{EMBEDDINGS, Embedding};
use crate::model::{EndpointId, Family, Reach};
use crate::plan::zone::Node;
use crate::plan::{Steered, SteeredId};
use crate::steering::{Decision, Outcome, Request, Whereabouts, decide};

/// Answers A, AAAA or ANY at a steered name; says where an alias leads.
pub(super) fn answer<'s, T: Trace>(
    lookup: &mut Lookup<'_, '_, 's, T>,
    id: SteeredId,
    node: Node<'s>,
    owner: Owner<'s>,
) -> Next<'s> {
    let steered = &lookup.snapshot.plan.steered[id.0 as usize];
    let (family, decision) = match lookup.query.qtype {
        A => (Family::V4, choose(lookup, id, steered, Family::V4)),
        AAAA => (Family::V6, choose(lookup, id, steered, Family::V6)),
        _ => match choose(lookup, id, steered, Family::V4) {
            Decision { outcome: Outcome::NoData, .. } => {
                (Family::V6, choose(lookup, id, steered, Family::V6))
            }
            decision => (Family::V4, decision),
        },
    };
    let ttl = if decision.settled { steered.ttl } else { steered.ttl_min };
    lookup.answer.ede = lookup.answer.ede.or(trouble(&decision));
    match decision.outcome {
        Outcome::Endpoints { chosen, .. } => {
            let found = Found { owner, ttl, family, signed: node.signed() };
            endpoints(lookup, &chosen, found)
        }
        // what answers when nothing else does must not outlast the trouble
        Outcome::Static => lookup.records(node, owner, ttl),
        Outcome::NoData if lookup.query.qtype == ANY => lookup.unsteered(node, owner, ttl),
        Outcome::NoData => {
            lookup.soa(node, ttl);
            lookup.deny_type(node, owner, ttl);
            None
        }
        Outcome::ServFail => {
            lookup.answer.rcode = Rcode::ServFail;
            None
        }
    }
}

/// Decides for one family, and keeps the scope of the decision.
fn choose<T: Trace>(
    lookup: &mut Lookup<'_, '_, '_, T>,
    id: SteeredId,
    steered: &Steered,
    family: Family,
) -> Decision {
    let plan = &lookup.snapshot.plan;
    let request = request(lookup.query, &plan.geo, steered.sticky, family);
    lookup.trace.steering(id, &request);
    let health = &lookup.snapshot.health;
    let decision = decide(steered.pool, &request, &plan.inventory, health, lookup.trace);
    lookup.trace.decided(&decision);
    lookup.answer.scope = scope(&decision, lookup.query.client).max(lookup.answer.scope);
    decision
}

/// What steering is asked for a query; `sticky`: whether a pool that can be consulted is.
#[inline]
pub(super) fn request<'s>(query: &Query<'_>, geo: &'s Geo, sticky: bool, family: Family) -> Request<'s> {
    let Client { source, .. } = query.client;
    let subnet = query.client.address();
    let hashed = |client| if sticky { Network::of(client).hash() } else { 0 };
    Request {
        client: Whereabouts::Client { geo, subnet, source },
        family,
        draw: query.draw,
        sticky: hashed(subnet),
        sticky_source: hashed(source),
    }
}

/// How far a decision for a client holds.
#[inline]
pub(super) fn scope(decision: &Decision, client: Client) -> u8 {
    let hashed = if decision.sticky { Network::of(client.address()).prefix } else { 0 };
    decision.scope.max(hashed)
}

/// What the records of endpoints have in common.
struct Found<'s> {
    owner: Owner<'s>,
    ttl: u32,
    family: Family,
    signed: Option<SignedId>,
}

/// The records of chosen endpoints: addresses of one family, or one CNAME.
fn endpoints<'s, T: Trace>(
    lookup: &mut Lookup<'_, '_, 's, T>,
    chosen: &[EndpointId],
    Found { owner, ttl, family, signed }: Found<'s>,
) -> Next<'s> {
    let table = &lookup.snapshot.plan.inventory.endpoints;
    let (mut v4, mut v6) = (SmallVec::new(), SmallVec::new());
    for id in chosen {
        match &table[id.index()].reach {
            Reach::Name(name) => {
                lookup.answer.answer.push(RecordSet {
                    owner,
                    rtype: CNAME,
                    ttl,
                    data: Data::Target(name.as_slice()),
                    signed,
                });
                return lookup.follow(name.as_slice()).filter(|_| lookup.query.qtype != ANY);
            }
            Reach::Addresses { v4: Some(address), .. } if family == Family::V4 => v4.push(*address),
            Reach::Addresses { v6: Some(address), .. } if family == Family::V6 => v6.push(*address),
            Reach::Addresses { .. } => {}
        }
    }
    let (rtype, data) = match family {
        Family::V4 => (A, Data::A(v4)),
        Family::V6 => (AAAA, Data::Aaaa(v6)),
    };
    lookup.answer.answer.push(RecordSet { owner, rtype, ttl, data, signed });
    None
}

/// What the client should know (RFC 8914).
fn trouble(decision: &Decision) -> Option<Ede> {
    match decision.outcome {
        Outcome::Endpoints { last_resort: true, .. } => Some(ALL_DOWN),
        Outcome::Static => Some(ALL_DOWN_STATIC),
        Outcome::ServFail => Some(ALL_DOWN_SERVFAIL),
        _ => decision.stale.then_some(STALE),
    }
}

/// The clients that a sticky pool treats as one, in the form of the client's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    /// The family and the bits that are hashed.
    bits: u128,
    /// How many of the client's bits these are: the scope. Never shorter, even if the client told fewer bits:
    /// those who tell more may be treated otherwise.
    prefix: u8,
}

impl Network {
    fn of(client: IpAddr) -> Self {
        match client {
            IpAddr::V4(address) => Self::v4(address, 0),
            IpAddr::V6(address) => match Embedding::of(address) {
                Some(embedding) => Self::v4(embedding.inner(address), embedding.moved),
                None => {
                    let bits = address.to_bits() & (u128::MAX << (128 - STICKY_V6));
                    Self { bits, prefix: clear_of_embedded(address) }
                }
            },
        }
    }

    fn v4(address: Ipv4Addr, moved: u8) -> Self {
        let bits = address.to_bits() & (u32::MAX << (32 - STICKY_V4));
        Self { bits: bits.into(), prefix: STICKY_V4 + moved }
    }

    /// The same on every server and in every version, so that a client stays where it is: two rounds of the
    /// finalizer of splitmix64.
    fn hash(self) -> u64 {
        mix(mix((self.bits >> 64) as u64) ^ self.bits as u64)
    }
}

/// The scope of what is hashed of an IPv6 client: no wider than a block without IPv4 clients within IPv6, who are hashed
/// as what they are.
fn clear_of_embedded(client: Ipv6Addr) -> u8 {
    let is_clear = |length: &u8| {
        let block = Ipv6Net::new_assert(client, *length);
        !EMBEDDINGS.iter().any(|embedding| block.contains(&embedding.prefix))
    };
    (STICKY_V6..128).find(is_clear).unwrap_or(128)
}

fn mix(bits: u64) -> u64 {
    let bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// Clients of one IPv4 network of this length stick together.
const STICKY_V4: u8 = 24;

/// Clients of one IPv6 network of this length stick together.
const STICKY_V6: u8 = 56;

const ALL_DOWN: Ede = Ede { code: 0, text: "every member is down; answered as if all were up" };
const ALL_DOWN_STATIC: Ede = Ede { code: 0, text: "every member is down; answered from the zone file" };
const ALL_DOWN_SERVFAIL: Ede = Ede { code: 0, text: "every member is down" };
const STALE: Ede = Ede { code: 3, text: "no probe was heard lately; answered from the last verdicts" };
