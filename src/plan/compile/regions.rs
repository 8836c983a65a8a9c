//! Regions, and the map that puts every client in exactly one of them.

use std::collections::HashMap;

use ipnet::IpNet;

use crate::geo::{GeoMap, Matcher};
use crate::model::{ELSEWHERE, Region, RegionId};
use crate::plan::compile::names::{Names, Site, Written};
use crate::spec::steering::{RegionSpec, SteeringFile};
use crate::spec::{Diagnostic, Spanned};

/// All regions, the added one last.
#[derive(Debug)]
pub struct Regions<'s> {
    /// Index [`RegionId`].
    pub table: Vec<Region>,
    /// By name.
    pub names: Names<'s, RegionId>,
    /// Client to region.
    pub map: GeoMap,
}

/// Compiles `[regions]` of all files.
pub fn compile<'s>(files: &'s [SteeringFile], found: &mut Vec<Diagnostic>) -> Regions<'s> {
    let mut names = Names::default();
    let mut table = Vec::new();
    let mut default = Default::default();
    let mut prefixes = Prefixes::default();
    for written in Written::all(files, |file| &file.regions) {
        let id = RegionId::at(table.len());
        refuse_reserved(&written, found);
        names.define("region", &written, id, found);
        let takes_the_rest = claim_default(&written, id, &mut default, found);
        for matcher in &written.value.clients {
            prefixes.add(&written, matcher, id, found);
        }
        let at = written.value.at.as_ref().map(|at| at.value);
        table.push(Region { name: written.name.value.as_str().into(), at, default: takes_the_rest });
    }
    let default = default.map_or_else(|| add_elsewhere(&mut table), |(id, _)| id);
    Regions { table, names, map: GeoMap::compile(prefixes.matchers, default) }
}

fn refuse_reserved(written: &Written<'_, RegionSpec>, found: &mut Vec<Diagnostic>) {
    if written.name.value == ELSEWHERE {
        let message = format!("the name `{ELSEWHERE}` is reserved");
        let hint =
            "it is the region of clients that no region takes; give your own region `default = true` instead";
        found.push(Diagnostic::error("reserved-name", written.named(), message).hint(hint));
    }
}

/// Whether this region takes the clients that nothing else places. Only the first that says so does.
fn claim_default<'s>(
    written: &Written<'s, RegionSpec>,
    id: RegionId,
    default: &mut Option<(RegionId, Site<'s>)>,
    found: &mut Vec<Diagnostic>,
) -> bool {
    let Some(claim) = written.value.default.as_ref().filter(|claim| claim.value) else { return false };
    let Some((_, first)) = default else {
        *default = Some((id, written.site(claim)));
        return true;
    };
    let diagnostic = Diagnostic::error("second-default", written.place(claim), "a second default region")
        .and(first.place(), "the first is here")
        .hint("only one region can take the clients that nothing else places");
    found.push(diagnostic);
    false
}

/// The region of all clients that the operator left unplaced.
fn add_elsewhere(table: &mut Vec<Region>) -> RegionId {
    table.push(Region { name: ELSEWHERE.into(), at: None, default: true });
    RegionId::at(table.len() - 1)
}

/// The prefixes of all regions: each belongs to one.
#[derive(Default)]
struct Prefixes<'s> {
    matchers: Vec<(Matcher, RegionId)>,
    owners: HashMap<IpNet, (RegionId, Site<'s>)>,
}

impl<'s> Prefixes<'s> {
    fn add(
        &mut self,
        written: &Written<'s, RegionSpec>,
        matcher: &'s Spanned<Matcher>,
        region: RegionId,
        found: &mut Vec<Diagnostic>,
    ) {
        let Matcher::Net(net) = matcher.value else { return };
        let site = written.site(matcher);
        let Some((owner, first)) = self.owners.get(&net.trunc()) else {
            self.owners.insert(net.trunc(), (region, site));
            self.matchers.push((matcher.value.clone(), region));
            return;
        };
        let place = site.place();
        let diagnostic = if *owner == region {
            Diagnostic::warning("repeated", place, format!("`{}` is here twice", matcher.value))
                .hint("remove one of them")
        } else {
            Diagnostic::error("two-regions", place, format!("`{}` is in two regions", matcher.value))
                .hint("a client is in exactly one region: remove one of them")
        };
        found.push(diagnostic.and(first.place(), "first here"));
    }
}

#[cfg(test)]
mod tests {
    use crate::model::ELSEWHERE;
    use crate::plan::compile::fixture::compile;

    #[test]
    fn clients_that_no_region_takes_are_elsewhere() {
        let compiled = compile("[regions.eu]\nclients = [\"net:192.0.2.0/24\"]\n");
        let inventory = &compiled.plan().inventory;
        assert_eq!(inventory.default_region(), inventory.region(ELSEWHERE).unwrap());
        let region = |client: &str| compiled.plan().geo.locate(client.parse().unwrap()).region;
        assert_eq!(region("192.0.2.1"), compiled.region("eu"));
        assert_eq!(region("203.0.113.1"), compiled.region(ELSEWHERE));
    }

    #[test]
    fn a_default_region_needs_no_elsewhere() {
        let compiled = compile("[regions.eu]\n[regions.us]\ndefault = true\n");
        assert_eq!(compiled.plan().inventory.default_region(), compiled.region("us"));
        assert_eq!(compiled.plan().inventory.regions.len(), 2);
    }

    #[test]
    fn a_world_without_regions_is_elsewhere() {
        assert_eq!(compile("").plan().inventory.regions.len(), 1);
    }

    #[test]
    fn two_default_regions_are_an_error_with_both_places() {
        let compiled = compile("[regions.eu]\ndefault = true\n[regions.us]\ndefault = true\n");
        let found = compiled.only("second-default");
        assert_eq!(found.place.as_ref().unwrap().line, 4);
        assert_eq!(found.related[0].0.line, 2);
    }

    #[test]
    fn the_name_of_the_added_region_is_reserved() {
        assert_eq!(compile("[regions.elsewhere]\n").codes(), ["reserved-name"]);
    }

    #[test]
    fn a_prefix_in_two_regions_is_an_error_with_both_places() {
        let clients = "clients = [\"net:192.0.2.0/24\"]\n";
        let compiled = compile(&format!("[regions.eu]\n{clients}[regions.us]\n{clients}"));
        assert_eq!(compiled.only("two-regions").related[0].0.line, 2);
    }

    #[test]
    fn a_prefix_twice_in_one_region_is_a_warning() {
        let compiled = compile("[regions.eu]\nclients = [\"net:192.0.2.0/24\", \"net:192.0.2.0/24\"]\n");
        assert_eq!(compiled.codes(), ["repeated"]);
        compiled.plan();
    }

    #[test]
    fn a_longer_prefix_may_be_in_another_region() {
        let compiled = compile(
            "[regions.eu]\nclients = [\"net:192.0.2.0/24\"]\n[regions.us]\nclients = [\"net:192.0.2.0/25\"]\n",
        );
        assert_eq!(compiled.codes(), [] as [&str; 0]);
    }
}
