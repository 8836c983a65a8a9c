//! Steered names that answer with a CNAME to a steered name: fine, unless the chain comes back.
//!
//! ```text
//!   www --> pool www --> endpoint cdn --cname--> www
//!                        endpoint alt --cname--> alias --CNAME in the zone file--> www
//! ```
//!
//! A name has one pool, so the walk is over pools and endpoints alone.

use crate::model::{Endpoint, PoolId, Reach, Use};
use crate::plan::Steered;
use crate::plan::compile::endpoints::Endpoints;
use crate::plan::compile::nesting::walk;
use crate::plan::compile::pools::Pools;
use crate::plan::zone::{Builder, Lead};
use crate::spec::Diagnostic;

/// An error for each chain that comes back to where it was. The names are steered in their zones already.
pub fn refuse_loops(
    steered: &[Steered],
    zones: &Builder,
    endpoints: &Endpoints<'_>,
    pools: &Pools<'_>,
    found: &mut Vec<Diagnostic>,
) {
    if pools.tangled {
        return; // told already, and every chain through them would come back
    }
    let first_endpoint = pools.table.len();
    let node = |picks: Use| match picks {
        Use::Pool(id) => id.index(),
        Use::Endpoint(id) => first_endpoint + id.index(),
    };
    let picks = pools.table.iter().map(|pool| {
        let picks = pool.members.iter().map(|member| member.picks).chain(pool.fallback);
        picks.map(node).collect()
    });
    let leads = endpoints.table.iter().map(|endpoint| {
        let next = next(endpoint, steered, zones).map(PoolId::index);
        next.into_iter().collect()
    });
    let edges: Vec<Vec<usize>> = picks.chain(leads).collect();
    for chain in walk(&edges).loops {
        found.extend(refuse(&chain, first_endpoint, endpoints, pools));
    }
}

/// The error for one loop of pools and endpoints: at the first `cname` of it.
fn refuse(
    chain: &[usize],
    first_endpoint: usize,
    endpoints: &Endpoints<'_>,
    pools: &Pools<'_>,
) -> Option<Diagnostic> {
    let described = chain.iter().chain(chain.first()).map(|&node| match node.checked_sub(first_endpoint) {
        Some(endpoint) => describe(&endpoints.table[endpoint]),
        None => format!("pool `{}`", pools.table[node].name),
    });
    let path = described.collect::<Vec<_>>().join(" -> ");
    let mut cnames = chain.iter().filter_map(|node| node.checked_sub(first_endpoint));
    let site = cnames.find_map(|endpoint| endpoints.cnames[endpoint].as_ref())?;
    let message = format!("this cname leads back to itself: {path}");
    let hint = "the cname is a steered name, or leads to one, and what chooses there comes back here: give it a name outside";
    Some(Diagnostic::error("cname-loop", site.place(), message).hint(hint))
}

fn describe(endpoint: &Endpoint) -> String {
    match &endpoint.reach {
        Reach::Name(cname) => format!("endpoint `{}` (cname {cname})", endpoint.name),
        Reach::Addresses { .. } => format!("endpoint `{}`", endpoint.name),
    }
}

/// The pool that chooses for the name that an endpoint is reached by, or for the name which that leads to.
fn next(endpoint: &Endpoint, steered: &[Steered], zones: &Builder) -> Option<PoolId> {
    let Reach::Name(cname) = &endpoint.reach else { return None };
    let mut lead = zones.lead(cname);
    for _ in 0..ALIASES_MAX {
        match lead {
            Lead::Steered(id) => return Some(steered[id.0 as usize].pool),
            Lead::Alias(name) => lead = zones.lead(&name),
            Lead::End => return None,
        }
    }
    None
}

/// Aliases in zone files that are followed one after another; no answer follows more.
const ALIASES_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use crate::plan::compile::fixture::{Compiled, WORLD, compile_beside};

    fn steer(names: &[(&str, &str)]) -> Compiled {
        let mut text = WORLD.to_owned();
        for (number, (name, cname)) in names.iter().enumerate() {
            text += &format!("[endpoints.e{number}]\ncname = \"{cname}.example.org.\"\n");
            text +=
                &format!("[pools.p{number}]\npolicy = \"failover\"\nmembers = [\"fra\", \"e{number}\"]\n");
            text += &format!("[names.\"{name}\"]\npool = \"p{number}\"\n");
        }
        compile_beside("there.shop TXT here", &text)
    }

    #[test]
    fn a_cname_that_is_the_steered_name_itself_is_an_error() {
        let compiled = steer(&[("www", "WWW")]);
        let found = compiled.only("cname-loop");
        assert!(
            found.message.contains("endpoint `e0` (cname WWW.example.org) -> pool `p0`"),
            "{}",
            found.message
        );
        assert!(found.place.as_ref().unwrap().text.starts_with("cname ="));
    }

    #[test]
    fn a_chain_of_steered_names_that_comes_back_is_an_error() {
        assert_eq!(steer(&[("a", "b"), ("b", "c"), ("c", "a")]).codes(), ["cname-loop"]);
    }

    #[test]
    fn a_chain_of_steered_names_that_ends_is_fine() {
        assert_eq!(steer(&[("a", "b"), ("b", "c")]).codes(), [] as [&str; 0]);
    }

    #[test]
    fn a_wildcard_is_followed_where_it_answers() {
        assert_eq!(steer(&[("*.shop", "any.shop")]).codes(), ["cname-loop"]);
        assert_eq!(steer(&[("*.shop", "there.shop")]).codes(), [] as [&str; 0]);
    }

    #[test]
    fn an_existing_name_keeps_a_wildcard_above_it_away() {
        let text = format!(
            "{WORLD}[endpoints.e]\ncname = \"a.b.example.org.\"\n\
             [pools.p]\npolicy = \"failover\"\nmembers = [\"e\"]\n[names.\"*\"]\npool = \"p\"\n"
        );
        assert_eq!(compile_beside("", &text).codes(), ["cname-loop"]);
        assert_eq!(compile_beside("b TXT here", &text).codes(), [] as [&str; 0]);
        assert_eq!(compile_beside("", &format!("{text}[names.b]\npool = \"p\"\n")).codes(), [] as [&str; 0]);
    }

    #[test]
    fn a_chain_through_aliases_of_the_zone_file_is_followed() {
        let text = format!(
            "{WORLD}[endpoints.e]\ncname = \"alias.example.org.\"\n\
             [pools.p]\npolicy = \"failover\"\nmembers = [\"e\"]\n[names.www]\npool = \"p\"\n"
        );
        let codes = |records| compile_beside(records, &text).codes();
        assert_eq!(codes("alias CNAME other\nother CNAME WWW"), ["cname-loop"]);
        assert_eq!(codes("*.x CNAME www\nalias CNAME any.x"), ["cname-loop"]);
        assert_eq!(codes("alias CNAME www.old\nold DNAME @"), ["cname-loop"]);
        assert_eq!(codes("alias CNAME www.example.net."), [] as [&str; 0]);
        assert_eq!(codes("alias CNAME www.sub\nsub NS ns.example.net."), [] as [&str; 0]);
        assert_eq!(codes("alias CNAME other\nother CNAME alias"), [] as [&str; 0]);
    }
}
