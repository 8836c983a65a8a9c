//! What can come out of a pool, however deep it nests.

use crate::model::{Endpoint, EndpointId, Family, Pool, Reach, Use};

/// What can come out of something that is picked.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Potential {
    /// Index [`Family::index`]: an answer of this family.
    pub serves: [bool; 2],
    /// An answer that is a CNAME, by this endpoint.
    pub cname: Option<EndpointId>,
    /// A choice by the client's subnet.
    pub sticky: bool,
}

/// What can come out of a pool.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Prospects {
    /// By its members. That is all of it where it is a member itself: there, one that is down is passed over.
    pub members: Potential,
    /// By its members or its fallbacks: all of it where a name or a fallback points at it.
    pub all: Potential,
}

/// The prospects of every pool. Pools come after those they pick, so one pass will do; where they do not,
/// in a loop, which is an error, nothing is expected of them.
pub fn prospects(pools: &[Pool], endpoints: &[Endpoint]) -> Vec<Prospects> {
    let mut prospects: Vec<Prospects> = Vec::with_capacity(pools.len());
    for pool in pools {
        let of = |picks: Use| match picks {
            Use::Pool(id) => prospects.get(id.index()).copied().unwrap_or_default(),
            Use::Endpoint(id) => {
                let endpoint = of_endpoint(id, &endpoints[id.index()]);
                Prospects { members: endpoint, all: endpoint }
            }
        };
        let members = pool.members.iter().map(|member| of(member.picks).members);
        let itself = Potential { sticky: pool.sticky, ..Potential::default() };
        let members = members.fold(itself, join);
        let all = pool.fallback.map_or(members, |fallback| join(members, of(fallback).all));
        prospects.push(Prospects { members, all });
    }
    prospects
}

fn of_endpoint(id: EndpointId, endpoint: &Endpoint) -> Potential {
    Potential {
        serves: Family::BOTH.map(|family| endpoint.serves(family)),
        cname: matches!(endpoint.reach, Reach::Name(_)).then_some(id),
        sticky: false,
    }
}

fn join(a: Potential, b: Potential) -> Potential {
    Potential {
        serves: [a.serves[0] || b.serves[0], a.serves[1] || b.serves[1]],
        cname: a.cname.or(b.cname),
        sticky: a.sticky || b.sticky,
    }
}
