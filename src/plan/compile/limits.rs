//! Nothing is too big for its table: said here once, so that no later step has to count.

use crate::model::{RegionId, SiteId};
use crate::spec::steering::SteeringFile;
use crate::spec::{Diagnostic, Spec};

/// Whether everything fits; an error for each kind of which there is too much.
pub fn check(spec: &Spec, found: &mut Vec<Diagnostic>) -> bool {
    let count = |of: fn(&SteeringFile) -> usize| spec.steering.iter().map(of).sum::<usize>();
    let regions = count(|file| file.regions.len());
    let of_maps = count(|file| file.maps.iter().map(|map| map.value.regions.len()).sum());
    let endpoints = count(|file| file.endpoints.len());
    let tables = [
        ("regions", regions + of_maps, REGIONS_MAX),
        ("maps", count(|file| file.maps.len()), MAPS_MAX),
        ("monitors", count(|file| file.monitors.len()), DEFINITIONS_MAX),
        ("probes", count(|file| file.probes.len()), PROBES_MAX),
        ("endpoints", endpoints, DEFINITIONS_MAX),
        ("pools", count(|file| file.pools.len()), DEFINITIONS_MAX),
        ("steered names", count(|file| file.names.len()), NAMES_MAX),
        ("verdicts (regions x endpoints)", (regions + 1).saturating_mul(endpoints), VERDICTS_MAX),
    ];
    let before = found.len();
    for (what, there_are, at_most) in tables {
        if there_are > at_most {
            found.push(too_large(what, there_are, at_most));
        }
    }
    found.len() == before
}

/// The error for a table that would not hold all of it.
pub fn too_large(what: &str, there_are: usize, at_most: usize) -> Diagnostic {
    Diagnostic::general("too-large", format!("{there_are} {what}: at most {at_most} are possible"))
        .hint("split the zones over several servers")
}

/// Regions of all maps at most, with room in a [`RegionId`] for the one that the compiler adds.
const REGIONS_MAX: usize = 65_000;
const _: () = assert!(REGIONS_MAX < RegionId(u16::MAX).0 as usize);

/// Probes of which something is said, at most: each may be of a site of its own.
const PROBES_MAX: usize = 65_000;
const _: () = assert!(PROBES_MAX < SiteId(u16::MAX).0 as usize);

/// Maps at most: every client has a region in each, so that each multiplies what clients can be in.
const MAPS_MAX: usize = 64;

/// Monitors, endpoints and pools at most, each.
const DEFINITIONS_MAX: usize = 1_000_000;

/// Steered names at most.
const NAMES_MAX: usize = 10_000_000;

/// A health map holds a standing for each region and endpoint: beyond this it takes gigabytes.
const VERDICTS_MAX: usize = 4_000_000;

/// Classes of clients, situations, and members in orders, of all pools together: about 500 MB.
pub const TREATMENTS_MAX: usize = 16_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::compile::fixture::compile;

    #[test]
    fn too_many_regions_are_an_error() {
        let regions: String = (0..=REGIONS_MAX).map(|n| format!("[regions.r{n}]\n")).collect();
        assert_eq!(compile(&regions).codes(), ["too-large"]);
    }

    #[test]
    fn too_many_probes_are_an_error() {
        let probes: String = (0..=PROBES_MAX).map(|n| format!("[probes.p{n}]\n")).collect();
        assert_eq!(compile(&probes).codes(), ["too-large"]);
    }

    #[test]
    fn too_many_maps_or_regions_of_them_are_an_error() {
        let maps: String = (0..=MAPS_MAX).map(|n| format!("[maps.m{n}.regions.r]\n")).collect();
        assert_eq!(compile(&maps).codes(), ["too-large"]);
        let regions: String = (0..=REGIONS_MAX).map(|n| format!("[maps.m.regions.r{n}]\n")).collect();
        assert_eq!(compile(&regions).codes(), ["too-large"]);
    }

    #[test]
    fn too_many_treatments_are_an_error() {
        let regions: String =
            (0..9000).map(|n| format!("[regions.r{n}]\nat = [{}, 0.0]\n", f64::from(n) / 100.0)).collect();
        let endpoint = |n| format!("[endpoints.e{n}]\ncname = \"cdn.example.net.\"\nat = [{}, 0.0]\n", n / 5);
        let endpoints: String = (0..400).map(endpoint).collect();
        let members: Vec<String> = (0..400).map(|n| format!("\"e{n}\"")).collect();
        let pool = |n| format!("[pools.p{n}]\npolicy = \"nearest\"\nmembers = [{}]\n", members.join(","));
        let pools: String = (0..300).map(pool).collect();
        assert_eq!(compile(&format!("{regions}{endpoints}{pools}")).codes(), ["too-large"]);
    }
}
