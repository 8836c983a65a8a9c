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

#[cfg(test)]
mod tests {
    use crate::plan::compile::fixture::{WORLD, compile};

    fn codes(inner: &str, rest: &str) -> Vec<&'static str> {
        let inner = format!("[pools.inner]\npolicy = \"failover\"\nmembers = [\"fra\"]\n{inner}\n");
        let outer =
            "[pools.outer]\npolicy = \"failover\"\nmembers = [\"inner\"]\n[names.www]\npool = \"outer\"\n";
        compile(&format!("{WORLD}{inner}{outer}{rest}")).codes()
    }

    #[test]
    fn what_a_nested_pool_says_of_being_down_is_never_heard() {
        assert_eq!(codes("fallback = \"iad\"\non_down = \"nodata\"", ""), ["unheard", "unheard"]);
    }

    #[test]
    fn a_pool_that_a_name_points_at_too_is_heard() {
        let name = "[names.api]\npool = \"inner\"\n";
        assert_eq!(codes("fallback = \"iad\"\non_down = \"nodata\"", name), [] as [&str; 0]);
    }

    #[test]
    fn a_fallback_has_its_own_fallback_heard() {
        let name = "[pools.api]\npolicy = \"all\"\nmembers = [\"iad\"]\nfallback = \"inner\"\n[names.api]\npool = \"api\"\n";
        assert_eq!(codes("fallback = \"iad\"", name), [] as [&str; 0]);
        assert_eq!(codes("on_down = \"nodata\"", name), ["unheard"]);
    }
}
