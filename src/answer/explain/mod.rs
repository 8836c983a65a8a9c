//! Why an answer is what it is, in words and as data.
//!
//! ```text
//!   answer(query, snapshot, Recorder) --> Explanation --> Display   for people: windrose explain
//!      the one path of all answers             |--> short()   two lines: scenarios
//!                                              `--> Serialize for programs: --format json
//! ```
//!
//! The answer is made by the very function that makes all answers, with a trace that writes down what was
//! looked at; what is known of each member's health is read from the same snapshot.

pub(super) mod choice;
mod location;
mod recorder;
pub(crate) mod records;
mod show;
mod words;

use std::sync::Arc;

use serde::Serialize;

use crate::answer::denial::{CDNSKEY, CDS, DNSKEY};
use crate::answer::{Answer, Query, Rcode, answer};
use crate::dnssec::{Keyring, Seconds};
use crate::health::{HealthMap, Verdict};
use crate::model::{EndpointId, Family, RegionId};
use crate::plan::Plan;
use crate::snapshot::Snapshot;
use crate::steering::judge_pools;
pub use location::{Distance, Location, OnMap, PointFrom, locate};
use recorder::Recorder;
pub use records::Record;

/// An answer, and every step of why.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    /// The question's name, absolute.
    pub name: String,
    /// The question's type.
    pub qtype: String,
    /// Who asks.
    pub client: Place,
    /// The random number of the query: with it, the same snapshot gives the same answer.
    pub draw: u64,
    /// The number of the snapshot.
    pub generation: u64,
    /// The response code; `NODATA` and `REFERRAL` for those kinds of `NOERROR`.
    pub result: &'static str,
    /// The answer section.
    pub answer: Vec<Record>,
    /// The authority section.
    pub authority: Vec<Record>,
    /// The additional section.
    pub additional: Vec<Record>,
    /// Seconds for which the answer, or that there is none, may be remembered.
    pub ttl: Option<u32>,
    /// The scope prefix of the client subnet option.
    pub scope: u8,
    /// The extended DNS error.
    pub ede: Option<ExtendedError>,
    /// The zones that sign a part of it, for those who want proofs (RFC 4035).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub signed: Vec<SignedBy>,
    /// The question's name, and then each name that an alias led to.
    pub lookups: Vec<Lookup>,
}

/// A zone that signs, and with which keys it does.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SignedBy {
    /// Its apex, without the dot at its end.
    pub zone: String,
    /// The tags of its keys that sign now (RFC 4034 appendix B).
    pub keys: Vec<u16>,
}

/// Where a client is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Place {
    /// Its address, or the subnet that is known.
    pub subnet: String,
    /// Its region.
    pub region: String,
    /// The rule that placed it there; `None`: by distance, or because the region takes the rest.
    pub rule: Option<String>,
    /// What put it there, in words: the rule, the distance, or that the region takes the rest.
    pub because: String,
    /// Where it is, `[latitude, longitude]`, if that is known closer than by region.
    pub at: Option<[f64; 2]>,
    /// The shortest prefix around it in which every client is in this region.
    pub scope: u8,
}

/// An extended DNS error (RFC 8914).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ExtendedError {
    /// INFO-CODE.
    pub code: u16,
    /// EXTRA-TEXT.
    pub text: &'static str,
}

/// One name that was looked up.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Lookup {
    /// The name, without the dot at its end.
    pub name: String,
    /// How it was found.
    pub found: Finding,
    /// The name of the zone that answered for it: itself, the wildcard, the cut, the DNAME, or the closest name
    /// that exists.
    pub at: Option<String>,
    /// The apex of that zone.
    pub zone: Option<String>,
    /// What steering decided there.
    pub decisions: Vec<Decided>,
}

/// How a name was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Finding {
    /// It exists.
    Exact,
    /// A wildcard speaks for it.
    Wildcard,
    /// It is delegated.
    Delegated,
    /// A DNAME redirects it.
    Redirected,
    /// It does not exist.
    Missing,
    /// It is in no zone served here.
    Outside,
}

/// One decision of steering.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Decided {
    /// What was asked for.
    pub family: String,
    /// What came of it.
    pub outcome: &'static str,
    /// Seconds.
    pub ttl: u32,
    /// Why so many.
    pub ttl_why: String,
    /// The pools that were entered, in that order.
    pub pools: Vec<PoolLook>,
}

/// A look at a pool.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PoolLook {
    /// Its name.
    pub pool: String,
    /// Its policy.
    pub policy: String,
    /// Where the client is for this pool, if it goes by another map or by the source address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// Nothing was up, and this look is as if everything were.
    pub as_if_up: bool,
    /// Its members: those that were looked at, in that order, then those that were not needed.
    pub members: Vec<MemberLook>,
    /// What else happened here.
    pub notes: Vec<String>,
}

/// A look at a member of a pool.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MemberLook {
    /// An endpoint or a pool.
    pub name: String,
    /// What is known of it in the client's region; `None`: it has no address of the family.
    pub verdict: Option<Verdict>,
    /// What that rests on.
    pub evidence: String,
    /// Whether that is changing.
    pub moving: bool,
    /// Whether it would be down but for the governor.
    pub governed: bool,
    /// From the client, or from its region if no more is known, with bias.
    pub km: Option<u32>,
    /// What became of it.
    pub fate: Fate,
}

/// What became of a member.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Fate {
    /// It is in the answer.
    Chosen,
    /// It was looked at and passed over.
    Passed {
        /// Why.
        because: String,
    },
    /// Enough was found before it.
    Unneeded,
}

/// Explains what would be answered from a snapshot.
pub fn explain(query: &Query<'_>, snapshot: &Snapshot) -> Explanation {
    let mut recorder = Recorder::new(query.client, snapshot);
    let answer = answer(query, snapshot, &mut recorder);
    let records = |sets: &[_]| sets.iter().flat_map(|set| records::presentation(set, query.name)).collect();
    Explanation {
        name: records::absolute(query.name),
        qtype: records::type_name(query.qtype),
        client: words::place(query.client, snapshot),
        draw: query.draw,
        generation: snapshot.generation,
        result: result(&answer),
        answer: records(&answer.answer),
        authority: records(&answer.authority),
        additional: records(&answer.additional),
        ttl: answer.answer.iter().chain(&answer.authority).map(|set| set.ttl).min(),
        scope: answer.scope,
        ede: answer.ede.map(|ede| ExtendedError { code: ede.code, text: ede.text }),
        signed: signed(&answer, &snapshot.plan.keys, query.proof.now),
        lookups: recorder.lookups,
    }
}

/// Who signs the answer and authority sections.
fn signed(answer: &Answer<'_>, keys: &Keyring, now: Seconds) -> Vec<SignedBy> {
    let mut found = Vec::new();
    for set in answer.answer.iter().chain(&answer.authority) {
        let Some(zone) = set.signed.map(|id| keys.zone(id)) else { continue };
        let epoch = zone.at(now);
        let of_keys = matches!(set.rtype, DNSKEY | CDS | CDNSKEY);
        let keys = if of_keys { epoch.key_tags().collect() } else { epoch.signing_tags().collect() };
        let by = SignedBy { zone: records::absolute(zone.apex()).trim_end_matches('.').into(), keys };
        if !found.contains(&by) {
            found.push(by);
        }
    }
    found
}

/// A snapshot in which every endpoint is up but these: for questions of "what if".
pub fn assume(plan: Arc<Plan>, down: &[EndpointId]) -> Snapshot {
    let mut health = HealthMap::new(&plan.inventory);
    for id in (0..plan.inventory.endpoints.len()).map(EndpointId::at) {
        let verdict = if down.contains(&id) { Verdict::Down } else { Verdict::Up };
        for region in (0..plan.inventory.regions.len()).map(RegionId::at) {
            for family in Family::BOTH {
                health.endpoint_mut(id, region, family).verdict = verdict;
            }
        }
    }
    judge_pools(&plan.inventory, &mut health);
    Snapshot::new(0, plan, health)
}

fn result(answer: &Answer<'_>) -> &'static str {
    match answer.rcode {
        Rcode::NoError if !answer.answer.is_empty() => "NOERROR",
        Rcode::NoError if !answer.authoritative => "REFERRAL",
        Rcode::NoError => "NODATA",
        Rcode::ServFail => "SERVFAIL",
        Rcode::NxDomain => "NXDOMAIN",
        Rcode::Refused => "REFUSED",
        Rcode::YxDomain => "YXDOMAIN",
    }
}
