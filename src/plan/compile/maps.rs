//! Maps and their regions: who says that a client is where.
//!
//! ```text
//!   [regions.NAME]             the map `world`   --.
//!   [maps.NAME.regions.NAME]   other maps        --+--> tables of regions, and the rules of each map
//! ```
//!
//! A client is in exactly one region of each map: a rule that two of them claim is an error, and the region
//! `elsewhere` is added where none takes the rest.

use std::collections::HashMap;

use crate::geo::{Atlas, Knows, Matcher, Rules};
use crate::model::{ELSEWHERE, Map, MapId, Region, RegionId, WORLD};
use crate::plan::compile::names::{Names, Site, Written};
use crate::spec::steering::{MapSpec, Named, RegionSpec, SteeringFile};
use crate::spec::{Diagnostic, Source, Spanned};

/// All maps. `world` is the first, and is there even if nobody wrote of it.
#[derive(Debug)]
pub struct Maps<'s> {
    /// Index [`MapId`].
    table: Vec<Draft<'s>>,
    names: HashMap<&'s str, MapId>,
}

/// A map in the making.
#[derive(Debug)]
struct Draft<'s> {
    name: &'s str,
    client_subnet: bool,
    regions: Vec<Region>,
    /// Where each region was named; `None`: it was added.
    sites: Vec<Option<Site<'s>>>,
    names: Names<'s, RegionId>,
    matchers: Matchers<'s>,
    default: Option<(RegionId, Site<'s>)>,
}

/// Compiles `[regions]` and `[maps]` of all files.
pub fn compile<'s>(files: &'s [SteeringFile], found: &mut Vec<Diagnostic>) -> Maps<'s> {
    let mut world = Draft::new(WORLD);
    for written in Written::all(files, |file| &file.regions) {
        world.add(written, found);
    }
    let mut maps = Maps { table: vec![world], names: HashMap::from([(WORLD, MapId::WORLD)]) };
    let mut first_sites = HashMap::new();
    for written in Written::all(files, |file| &file.maps) {
        if let Some(first) = first_sites.insert(written.name.value.as_str(), written.site(written.name)) {
            found.push(second_map(&written, &first));
            continue;
        }
        maps.add(&written, found);
    }
    for map in &mut maps.table {
        map.close();
    }
    maps
}

fn second_map(written: &Written<'_, MapSpec>, first: &Site<'_>) -> Diagnostic {
    let message = format!("map `{}` is defined twice", written.name.value);
    Diagnostic::error("duplicate", written.named(), message)
        .and(first.place(), "first defined here")
        .hint("all files share one namespace: put all regions of a map into one file")
}

impl<'s> Maps<'s> {
    fn add(&mut self, written: &Written<'s, MapSpec>, found: &mut Vec<Diagnostic>) {
        let believed = written.value.client_subnet.as_ref().is_none_or(|believed| believed.value);
        if written.name.value == WORLD {
            self.table[MapId::WORLD.index()].client_subnet = believed;
            return;
        }
        let mut map = Draft::new(&written.name.value);
        map.client_subnet = believed;
        for Named { name, value } in &written.value.regions {
            map.add(Written { file: written.file, name, value }, found);
        }
        self.names.insert(map.name, MapId::at(self.table.len()));
        self.table.push(map);
    }

    /// A map by its name; an error if there is none, and `world` then.
    pub fn resolve(
        &self,
        written: Option<&Spanned<String>>,
        file: &Source,
        found: &mut Vec<Diagnostic>,
    ) -> MapId {
        let Some(name) = written else { return MapId::WORLD };
        if let Some(id) = self.names.get(name.value.as_str()) {
            return *id;
        }
        let place = crate::spec::diagnostic::Place::new(file, name.span.clone());
        let message = format!("there is no map `{}`", name.value);
        let hint = match crate::spec::did_you_mean(&name.value, self.names.keys().copied()) {
            Some(close) => format!("did you mean `{close}`?"),
            None => format!("define it in any *.toml of this directory: [maps.{}.regions.NAME]", name.value),
        };
        found.push(Diagnostic::error("unknown-name", place, message).hint(hint));
        MapId::WORLD
    }

    /// The names of the regions of a map.
    pub fn region_names(&mut self, map: MapId) -> &mut Names<'s, RegionId> {
        &mut self.table[map.index()].names
    }

    /// The regions of `world`.
    pub fn world(&self) -> &[Region] {
        self.regions(MapId::WORLD)
    }

    /// The regions of a map.
    pub fn regions(&self, map: MapId) -> &[Region] {
        &self.table[map.index()].regions
    }

    /// The regions of each map, index [`MapId`].
    pub fn all_regions(&self) -> Vec<&[Region]> {
        self.table.iter().map(|map| &*map.regions).collect()
    }

    /// Whether the client subnet is believed for a map.
    pub fn believes(&self, map: MapId) -> bool {
        self.table[map.index()].client_subnet
    }

    /// The rules of each map, index [`MapId`].
    pub fn rules(&self) -> Vec<Rules> {
        let rules = |map: &Draft<'_>| Rules {
            matchers: map
                .matchers
                .kept
                .iter()
                .map(|(matcher, region, _)| (matcher.clone(), *region))
                .collect(),
            at: map.regions.iter().map(|region| region.at).collect(),
            default: RegionId::at(map.regions.iter().position(|region| region.default).unwrap_or(0)),
        };
        self.table.iter().map(rules).collect()
    }

    /// Warnings of rules that no database can decide, and of regions in which nobody can be.
    pub fn warnings_of_the_empty(&self, atlas: &Atlas, knows: Knows) -> Vec<Diagnostic> {
        let mut found = Vec::new();
        for (map, draft) in self.table.iter().enumerate() {
            let mut reached = vec![false; draft.regions.len()];
            for profile in &atlas.profiles {
                reached[profile.regions[map].index()] = true;
            }
            let undecided = draft.matchers.undecided(knows);
            found.extend(undecided.iter().map(|rule| rule.warning()));
            for rule in &undecided {
                rule.regions.iter().for_each(|region| reached[region.index()] = true);
            }
            let empty = draft.sites.iter().zip(&draft.regions).zip(reached).filter(|(_, reached)| !reached);
            found.extend(empty.filter_map(|((site, region), _)| Some(unreachable(site.as_ref()?, region))));
        }
        found
    }

    /// What the plan keeps: the regions of `world`, and the other maps.
    pub fn into_tables(self) -> (Vec<Region>, Vec<Map>) {
        let mut maps = self.table.into_iter();
        let world = maps.next().map(|map| map.regions).unwrap_or_default();
        (world, maps.map(|map| Map { name: map.name.into(), regions: map.regions }).collect())
    }
}

impl<'s> Draft<'s> {
    fn new(name: &'s str) -> Self {
        Self {
            name,
            client_subnet: true,
            regions: Vec::new(),
            sites: Vec::new(),
            names: Names::default(),
            matchers: Matchers::default(),
            default: None,
        }
    }

    fn add(&mut self, written: Written<'s, RegionSpec>, found: &mut Vec<Diagnostic>) {
        let id = RegionId::at(self.regions.len());
        refuse_reserved(&written, found);
        self.names.define("region", &written, id, found);
        let default = self.claim_default(&written, id, found);
        for matcher in &written.value.clients {
            self.matchers.add(matcher.value.clone(), written.site(matcher), id, found);
        }
        if let Some(list) = &written.value.nets_file {
            for net in &list.nets {
                let site = Site { file: &list.source, span: net.span.clone() };
                self.matchers.add(Matcher::Net(net.value), site, id, found);
            }
        }
        let at = written.value.at.as_ref().map(|at| at.value);
        self.regions.push(Region { name: written.name.value.as_str().into(), at, default });
        self.sites.push(Some(written.site(written.name)));
    }

    /// Whether this region takes the clients that nothing else places. Only the first that says so does.
    fn claim_default(
        &mut self,
        written: &Written<'s, RegionSpec>,
        id: RegionId,
        found: &mut Vec<Diagnostic>,
    ) -> bool {
        let Some(claim) = written.value.default.as_ref().filter(|claim| claim.value) else { return false };
        let Some((_, first)) = &self.default else {
            self.default = Some((id, written.site(claim)));
            return true;
        };
        let diagnostic = Diagnostic::error("second-default", written.place(claim), "a second default region")
            .and(first.place(), "the first is here")
            .hint("only one region can take the clients that nothing else places");
        found.push(diagnostic);
        false
    }

    /// Adds the region of all clients that the operator left unplaced.
    fn close(&mut self) {
        if self.default.is_none() {
            self.regions.push(Region { name: ELSEWHERE.into(), at: None, default: true });
            self.sites.push(None);
        }
    }
}

fn refuse_reserved(written: &Written<'_, RegionSpec>, found: &mut Vec<Diagnostic>) {
    if written.name.value == ELSEWHERE {
        let message = format!("the name `{ELSEWHERE}` is reserved");
        let hint =
            "it is the region of clients that no region takes; give your own region `default = true` instead";
        found.push(Diagnostic::error("reserved-name", written.named(), message).hint(hint));
    }
}

fn unreachable(site: &Site<'_>, region: &Region) -> Diagnostic {
    let message = format!("no client is in region `{}`", region.name);
    let hint = match region.at {
        None => "give it `clients`; or `at`, and clients whose place a geo database knows are in the nearest",
        Some(_) => {
            "give it `clients` that no other region takes, or a geo database ([geo] of the configuration)"
        }
    };
    Diagnostic::warning("unreachable", site.place(), message).hint(hint)
}

/// The rules of a map: each belongs to one region.
#[derive(Debug, Default)]
struct Matchers<'s> {
    kept: Vec<(Matcher, RegionId, Site<'s>)>,
    /// Place in `kept`.
    owners: HashMap<Matcher, usize>,
}

impl<'s> Matchers<'s> {
    fn add(&mut self, matcher: Matcher, site: Site<'s>, region: RegionId, found: &mut Vec<Diagnostic>) {
        let Some(&owner) = self.owners.get(&matcher) else {
            self.owners.insert(matcher.clone(), self.kept.len());
            self.kept.push((matcher, region, site));
            return;
        };
        let (_, owner, first) = &self.kept[owner];
        let diagnostic = if *owner == region {
            Diagnostic::warning("repeated", site.place(), format!("`{matcher}` is here twice"))
                .hint("remove one of them")
        } else {
            Diagnostic::error("two-regions", site.place(), format!("`{matcher}` is in two regions"))
                .hint("a client is in exactly one region of a map: remove one of them")
        };
        found.push(diagnostic.and(first.place(), "first here"));
    }

    /// The kinds of rules that nothing at hand can decide.
    fn undecided(&self, knows: Knows) -> Vec<Undecided<'_>> {
        let mut undecided: Vec<Undecided<'_>> = Vec::new();
        for (matcher, region, site) in &self.kept {
            let Some((kind, install)) = needed(matcher, knows) else { continue };
            match undecided.iter_mut().find(|rules| rules.kind == kind) {
                Some(rules) => rules.regions.push(*region),
                None => {
                    undecided.push(Undecided { kind, first: matcher, site, regions: vec![*region], install })
                }
            }
        }
        undecided
    }
}

/// The kind of a rule that nothing at hand can decide, and what would.
fn needed(matcher: &Matcher, knows: Knows) -> Option<(&'static str, &'static str)> {
    let (kind, known, install) = match matcher {
        Matcher::Net(_) => return None,
        Matcher::Asn(_) => ("asn", knows.asn, "an ASN database, as GeoLite2-ASN.mmdb"),
        Matcher::Subdivision(_) => {
            ("subdivision", knows.subdivision, "a City database with ISO codes, as GeoLite2-City.mmdb")
        }
        Matcher::Country(_) => ("country", knows.country, ANY_DATABASE),
        Matcher::Continent(_) => ("continent", knows.continent, ANY_DATABASE),
    };
    (!known).then_some((kind, install))
}

/// Rules of one kind that place nobody.
struct Undecided<'m> {
    kind: &'static str,
    first: &'m Matcher,
    site: &'m Site<'m>,
    /// Of each of them.
    regions: Vec<RegionId>,
    install: &'static str,
}

impl Undecided<'_> {
    fn warning(&self) -> Diagnostic {
        let more = match self.regions.len() - 1 {
            0 => String::new(),
            1 => format!(" and one more `{}:` rule", self.kind),
            more => format!(" and {more} more `{}:` rules", self.kind),
        };
        let message =
            format!("no database at hand can decide `{}`{more}: nobody is placed by it", self.first);
        Diagnostic::warning("undecided", self.site.place(), message).hint(format!(
            "install {}; `[geo] databases` in the configuration names where it is",
            self.install
        ))
    }
}

const ANY_DATABASE: &str = "any geo database, as Debian's package tor-geoipdb";

#[cfg(test)]
mod tests {
    use crate::model::{ELSEWHERE, MapId};
    use crate::plan::compile::fixture::compile;

    #[test]
    fn clients_that_no_region_takes_are_elsewhere() {
        let compiled = compile("[regions.eu]\nclients = [\"net:192.0.2.0/24\"]\n");
        let inventory = &compiled.plan().inventory;
        assert_eq!(inventory.default_region(), inventory.region(ELSEWHERE).unwrap());
        let region = |client: &str| compiled.plan().geo.locate(MapId::WORLD, client.parse().unwrap()).region;
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
