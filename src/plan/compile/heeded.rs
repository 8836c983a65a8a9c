//! Wishes that nobody hears: a pool that is only ever a member of others is passed over when it is down, so
//! what it says of that case is never asked for.

use crate::model::{Pool, Use};
use crate::plan::Steered;
use crate::plan::compile::names::Site;
use crate::plan::compile::pools::{Pools, Wishes};
use crate::spec::Diagnostic;

/// Warns of each `fallback` and `on_down` of members that no name and no fallback points at.
pub fn warn_of_unheard(steered: &[Steered], pools: &Pools<'_>, found: &mut Vec<Diagnostic>) {
    let named = named(steered, pools.table.len());
    let fallen_back_to = fallen_back_to(&named, &pools.table);
    for index in members(&pools.table) {
        let Pool { name, fence, .. } = &pools.table[index];
        let Wishes { fallback, on_down } = &pools.wishes[index];
        if let Some(site) = fallback.as_ref().filter(|_| !named[index] && !fallen_back_to[index]) {
            found.push(unheard("fallback", name, site));
        }
        // Behind a fence it is not asked for either, but must be there for clients that no member is for.
        if let Some(site) = on_down.as_ref().filter(|_| !named[index] && !fence) {
            found.push(unheard("on_down", name, site));
        }
    }
}

fn unheard(key: &str, pool: &str, site: &Site<'_>) -> Diagnostic {
    let message = format!("`{key}` is never used: pool `{pool}` is only picked by other pools");
    let hint = "a member that is down is passed over: say it in the pool that a name points at";
    Diagnostic::warning("unheard", site.place(), message).hint(hint)
}

/// Which pools a name points at.
fn named(steered: &[Steered], pools: usize) -> Vec<bool> {
    let mut named = vec![false; pools];
    for steered in steered {
        named[steered.pool.index()] = true;
    }
    named
}

/// Which pools are the fallback of one that is followed: from the outermost inwards.
fn fallen_back_to(named: &[bool], pools: &[Pool]) -> Vec<bool> {
    let mut reached = vec![false; pools.len()];
    for (index, pool) in pools.iter().enumerate().rev() {
        if let Some(Use::Pool(id)) = pool.fallback.filter(|_| named[index] || reached[index]) {
            reached[id.index()] = true;
        }
    }
    reached
}

/// The pools that are members of others, each once.
fn members(pools: &[Pool]) -> Vec<usize> {
    let picks = pools.iter().flat_map(|pool| &pool.members).map(|member| member.picks);
    let mut members: Vec<usize> = picks
        .filter_map(|picks| match picks {
            Use::Pool(id) => Some(id.index()),
            Use::Endpoint(_) => None,
        })
        .collect();
    members.sort_unstable();
    members.dedup();
    members
}
