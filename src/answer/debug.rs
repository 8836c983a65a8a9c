//! Debug names: those who may ask are told, as TXT, where they seem to be and what would be chosen for them.
//!
//! ```text
//!   dig TXT _where.example.org +subnet=198.51.100.0/24
//!
//!   "resolver 192.0.2.53"           who sent the query
//!   "subnet 198.51.100.0/24"        for whom, if that was told and is believed
//!   "region eu (country:DE)"        where that is, and what put it there
//!   "map legal: de (country:DE)"    the same for every other map
//!   "scope /20"                     how far the choice holds
//!   "pool www: fra"                 the choice for A; for a pool without IPv4, for AAAA
//!   "because pool www nearest: ..."
//! ```
//!
//! Who may ask is told by the source of the query alone, since anybody can make up a client subnet. The answer
//! is for this one client at this moment: TTL 0, and the scope is all of the subnet. For everybody else the name has
//! no data. The words are those of explain, the choice is made as for a steered name.

use crate::answer::explain::choice::{self, Choice};
use crate::answer::explain::{OnMap, locate};
use crate::answer::lookup::{Lookup, TXT};
use crate::answer::trace::Trace;
use crate::answer::{Data, Owner, Query, RecordSet, steered};
use crate::model::Family;
use crate::plan::DebugName;
use crate::plan::zone::Node;
use crate::snapshot::Snapshot;
use crate::steering::Outcome;

/// Answers TXT at a debug name; `false`: it is none, or not for this client.
#[cold]
pub(super) fn answer<'s, T: Trace>(
    lookup: &mut Lookup<'_, '_, 's, T>,
    node: Node<'s>,
    owner: &Owner<'s>,
) -> bool {
    let Lookup { query, snapshot, .. } = *lookup;
    let name = node.debug().map(|id| &snapshot.plan.debug[id.0 as usize]);
    let Some(name) = name.filter(|name| name.clients.hold(query.client.source)) else { return false };
    let data = Data::Made(record(&told(name, query, snapshot)));
    lookup.answer.answer.push(RecordSet {
        owner: owner.clone(),
        rtype: TXT,
        ttl: 0,
        data,
        signed: node.signed(),
    });
    let subnet = query.client.subnet.map_or(0, |subnet| subnet.prefix_len());
    lookup.answer.scope = subnet.max(lookup.answer.scope);
    true
}

/// What is told, one string for each fact.
fn told(name: &DebugName, query: &Query<'_>, snapshot: &Snapshot) -> Vec<String> {
    let plan = &snapshot.plan;
    let client = query.client;
    let (family, choice) = choose(name, query, snapshot);
    let subnet = client.subnet.map_or("none".into(), |subnet| subnet.to_string());
    let mut told = vec![format!("resolver {}", client.source), format!("subnet {subnet}")];
    for (number, OnMap { map, region, because, .. }) in locate(client.told(), plan).maps.iter().enumerate() {
        told.push(match number {
            0 => format!("region {region} ({because})"),
            _ => format!("map {map}: {region} ({because})"),
        });
    }
    told.push(format!("scope /{}", steered::scope(&choice.decision, client)));
    let pool = &plan.inventory.pools[name.pool.index()].name;
    let asked = if family == Family::V6 { " AAAA" } else { "" };
    told.push(format!("pool {pool}{asked}: {}", choice.picked));
    told.extend(choice.because.iter().map(|because| format!("because {because}")));
    told
}

/// The choice for A, or for AAAA if that is the only one with an answer.
fn choose(name: &DebugName, query: &Query<'_>, snapshot: &Snapshot) -> (Family, Choice) {
    let choice = |family| {
        let request = steered::request(query, &snapshot.plan.geo, name.sticky, family);
        choice::choose(name.pool, &request, query.client, snapshot)
    };
    let v4 = choice(Family::V4);
    if v4.decision.outcome != Outcome::NoData {
        return (Family::V4, v4);
    }
    match choice(Family::V6) {
        v6 if v6.decision.outcome == Outcome::NoData => (Family::V4, v4),
        v6 => (Family::V6, v6),
    }
}

/// One TXT record (RFC 1035 section 3.3.14) of these strings, with its length before it.
fn record(strings: &[String]) -> Box<[u8]> {
    let mut rdata = Vec::new();
    for string in strings {
        let string = shortened(string);
        if rdata.len() + 1 + string.len() > RDATA_MAX {
            break;
        }
        rdata.push(string.len() as u8);
        rdata.extend(string.as_bytes());
    }
    [&(rdata.len() as u16).to_be_bytes(), &*rdata].concat().into()
}

/// As much of a text as one string can hold; dots show that there was more.
fn shortened(text: &str) -> String {
    if text.len() <= STRING_MAX {
        return text.into();
    }
    let between = |end: &usize| text.is_char_boundary(*end);
    let end = (0..=STRING_MAX - CUT.len()).rev().find(between).unwrap_or(0);
    format!("{}{CUT}", &text[..end])
}

/// A character string of DNS holds so many octets (RFC 1035 section 3.3); a longer text is cut.
const STRING_MAX: usize = 255;

/// What stands at the end of a text that was cut.
const CUT: &str = "...";

/// Octets of all strings: maps and reasons beyond them are left out, so that nobody's answer can be made a
/// large one.
const RDATA_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_is_too_long_for_a_string_is_cut_between_characters() {
        assert_eq!(shortened(&"x".repeat(255)), "x".repeat(255));
        assert_eq!(shortened(&"x".repeat(256)), format!("{}...", "x".repeat(252)));
        assert_eq!(shortened(&"ü".repeat(128)), format!("{}...", "ü".repeat(126)));
        let odd = shortened(&format!("x{}", "ü".repeat(127) + "x"));
        assert_eq!((odd.len(), odd.ends_with("ü...")), (254, true));
    }

    #[test]
    fn strings_beyond_the_bound_are_left_out() {
        let strings = vec!["x".repeat(255); 100];
        let record = record(&strings);
        assert_eq!(record.len(), 2 + 16 * 256);
        assert_eq!(record[..3], [0x10, 0x00, 255]);
    }
}
