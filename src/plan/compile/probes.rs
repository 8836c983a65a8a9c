//! What is said of probes, and the sites that they share.
//!
//! Which probes there are nobody writes down: whoever may report does. A name that no probe has does no harm.

use std::collections::HashMap;

use crate::model::{ProbeSettings, SiteId};
use crate::plan::compile::names::{Names, Written};
use crate::spec::Diagnostic;
use crate::spec::diagnostic::Place;
use crate::spec::steering::SteeringFile;

/// The probes of which something is said, and the names of their sites.
#[derive(Debug, Default)]
pub struct Probes {
    /// One for each name.
    pub table: Vec<ProbeSettings>,
    /// Index [`SiteId`].
    pub sites: Vec<Box<str>>,
}

/// Compiles `[probes.NAME]` of all files.
pub fn compile(files: &[SteeringFile], found: &mut Vec<Diagnostic>) -> Probes {
    let mut names = Names::default();
    let mut sites = Sites::default();
    let mut table = Vec::new();
    for written in Written::all(files, |file| &file.probes) {
        names.define("probe", &written, (), found);
        let name = written.name.value.as_str();
        let site = written.value.site.as_ref();
        let site = site.map(|site| sites.share(&site.value, name, || written.place(site)));
        table.push(ProbeSettings { name: name.into(), site });
    }
    sites.warn_of_single_ones(found);
    Probes { table, sites: sites.list.into_iter().map(|site| site.name.into()).collect() }
}

/// Who shares which site.
#[derive(Debug, Default)]
struct Sites<'s> {
    ids: HashMap<&'s str, SiteId>,
    /// Index [`SiteId`].
    list: Vec<Site<'s>>,
}

#[derive(Debug)]
struct Site<'s> {
    name: &'s str,
    first: (&'s str, Place),
    probes: usize,
}

impl<'s> Sites<'s> {
    fn share(&mut self, name: &'s str, probe: &'s str, place: impl FnOnce() -> Place) -> SiteId {
        let next = SiteId::at(self.list.len());
        let id = *self.ids.entry(name).or_insert(next);
        if id == next {
            self.list.push(Site { name, first: (probe, place()), probes: 0 });
        }
        self.list[id.index()].probes += 1;
        id
    }

    fn warn_of_single_ones(&self, found: &mut Vec<Diagnostic>) {
        for Site { name, first: (probe, place), .. } in self.list.iter().filter(|site| site.probes == 1) {
            let message = format!("`{probe}` is the only probe of the site `{name}`");
            found.push(
                Diagnostic::warning("single", place.clone(), message)
                    .hint("the probes of a site count as one: name it at another probe too, or nowhere"),
            );
        }
    }
}
