//! The zones served: names, cuts and record sets, compiled to wire form.
//!
//! One hash table holds every owner of every zone, empty non-terminals too, so that an exact name is one
//! probe, and the closest encloser of a name that does not exist is found by dropping labels.

use crate::model::Name;
use crate::plan::SteeredId;
use crate::spec::Diagnostic;
use crate::spec::master::ZoneFile;

/// All zones.
#[derive(Debug, Default)]
pub struct Zones {}

/// Puts zones together, and says what is wrong with them.
#[derive(Debug, Default)]
pub struct Builder {}

impl Builder {
    /// Adds a zone. Reports: no or two SOA, no NS, records out of the zone, a CNAME beside other data,
    /// missing glue, records below a cut that are no glue (warning), differing TTLs in a set (warning) ...
    pub fn add(&mut self, file: &ZoneFile, diagnostics: &mut Vec<Diagnostic>) {
        let _ = (file, diagnostics);
        todo!()
    }

    /// The apex of the zone that a name would be served from, if there is one.
    pub fn zone_of(&self, owner: &Name) -> Option<Name> {
        let _ = owner;
        todo!()
    }

    /// Whether a name is at or below a delegation, so that it cannot be steered.
    pub fn delegated(&self, owner: &Name) -> bool {
        let _ = owner;
        todo!()
    }

    /// The types of records that a zone file has at a name (static answers and others).
    pub fn types_at(&self, owner: &Name) -> Vec<u16> {
        let _ = owner;
        todo!()
    }

    /// Makes a name (which need not have records) a steered one.
    pub fn steer(&mut self, owner: &Name, steered: SteeredId) {
        let _ = (owner, steered);
        todo!()
    }

    /// Compiles all of it.
    pub fn build(self) -> Zones {
        todo!()
    }
}
