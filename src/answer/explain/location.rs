//! Where a client is, in words and as data: `windrose locate`, and `locate` in scenarios.
//!
//! ```text
//! 192.0.2.7
//!
//!   client   DE-BY, AS64500, at 48.14, 11.58
//!   world    eu (country:DE), as is all of 192.0.2.0/24
//!   legal    eea (continent:EU), as is all of 192.0.0.0/8
//!   far      eu 304 km, us 6836 km
//! ```
//!
//! What is measured from is what steering measures from.

use std::fmt::{self, Display, Formatter};
use std::net::IpAddr;

use ipnet::IpNet;
use serde::Serialize;

use crate::answer::explain::words;
use crate::geo::embedded::Embedding;
use crate::geo::{Country, Geo, Located, hubs, kilometres};
use crate::model::{Coordinates, Inventory, MapId};
use crate::plan::Plan;

/// Where a client is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Location<'p> {
    /// An address, or a subnet, whose first address is what was looked for.
    pub client: String,
    /// The IPv4 address within it, if it is an IPv6 address that holds one: it is what was looked for.
    pub within: Option<IpAddr>,
    /// ISO 3166-1 code, if a database knows.
    pub country: Option<&'p str>,
    /// As databases name it, if one knows.
    pub continent: Option<&'static str>,
    /// ISO 3166-2 codes, the largest part first.
    pub subdivisions: Vec<String>,
    /// The autonomous system that announces its network, if a database knows.
    pub asn: Option<u32>,
    /// From where its distances are measured: `[latitude, longitude]`.
    pub at: Option<[f64; 2]>,
    /// How that is known.
    pub at_from: Option<PointFrom>,
    /// Its region on each map, `world` first.
    pub maps: Vec<OnMap<'p>>,
    /// To each region of `world` whose place is known, the nearest first.
    pub distances: Vec<Distance<'p>>,
}

/// How the place of a client is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PointFrom {
    /// A database has its coordinates.
    Database,
    /// A database has its country, and this is where most clients of that are.
    Hub,
    /// No more counts than its region of `world`, and this is where that is.
    Region,
}

/// A client on one map.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OnMap<'p> {
    /// The map.
    pub map: &'p str,
    /// Its region.
    pub region: &'p str,
    /// The rule that placed it there; `None`: by distance, or because the region takes the rest.
    pub rule: Option<String>,
    /// What put it there, in words.
    pub because: String,
    /// The widest prefix around it in which every client is in this region.
    pub scope: IpNet,
    /// Whether that holds all of the client subnet.
    pub whole: bool,
}

/// A region, and how far it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Distance<'p> {
    /// A region of `world`.
    pub region: &'p str,
    /// Kilometres.
    pub km: u32,
}

/// Looks for a client on every map.
pub fn locate(client: IpNet, plan: &Plan) -> Location<'_> {
    let Plan { geo, inventory, .. } = plan;
    let address = client.addr();
    let record = geo.record(address);
    let point = point(address, geo, inventory);
    let (at, at_from) = point.unzip();
    Location {
        client: words::subnet(client),
        within: within(address),
        country: record.country.as_ref().map(Country::code),
        continent: record.continent.map(|continent| continent.code()),
        subdivisions: record.subdivisions.iter().flatten().map(ToString::to_string).collect(),
        asn: record.asn,
        at: at.map(|at| [at.latitude, at.longitude]),
        at_from,
        maps: inventory.map_ids().map(|map| on_map(map, client, plan)).collect(),
        distances: at.map(|at| distances(at, inventory)).unwrap_or_default(),
    }
}

/// The IPv4 address that an IPv6 address holds.
fn within(address: IpAddr) -> Option<IpAddr> {
    let IpAddr::V6(address) = address else { return None };
    Embedding::of(address).map(|embedding| embedding.inner(address).into())
}

/// From where steering measures.
fn point(client: IpAddr, geo: &Geo, inventory: &Inventory) -> Option<(Coordinates, PointFrom)> {
    if let Some(at) = geo.coordinates(client) {
        let from = if geo.record(client).spot.is_some() { PointFrom::Database } else { PointFrom::Hub };
        return Some((at, from));
    }
    let region = geo.locate(MapId::WORLD, client).region;
    inventory.regions[region.index()].at.map(|at| (at, PointFrom::Region))
}

fn on_map(map: MapId, client: IpNet, plan: &Plan) -> OnMap<'_> {
    let Located { region, by, scope } = plan.geo.locate(map, client.addr());
    let whole = scope <= client.prefix_len();
    let scope = IpNet::new(client.addr(), scope).expect("a scope is no longer than an address of its family");
    OnMap {
        map: plan.inventory.map_name(map),
        region: &plan.inventory.regions_of(map)[region.index()].name,
        because: words::by(&by),
        rule: words::rule(by),
        scope: scope.trunc(),
        whole,
    }
}

fn distances(client: Coordinates, inventory: &Inventory) -> Vec<Distance<'_>> {
    let mut known: Vec<(f64, &str)> = inventory
        .regions
        .iter()
        .filter_map(|region| Some((kilometres(client, region.at?), &*region.name)))
        .collect();
    known.sort_by(|a, b| a.0.total_cmp(&b.0));
    known.into_iter().map(|(km, region)| Distance { region, km: km.round() as u32 }).collect()
}

impl Location<'_> {
    /// A line of the place, and one for each map.
    ///
    /// ```text
    /// 192.0.2.7: DE-BY, AS64500, at 48.14, 11.58; eu 304 km, us 6836 km
    ///   world: eu (country:DE), scope 192.0.2.0/24
    ///   legal: eea (continent:EU), scope 192.0.0.0/8
    /// ```
    pub fn short(&self) -> String {
        let far = self.far();
        let far = if far.is_empty() { far } else { format!("; {far}") };
        let maps = self.maps.iter().map(|on| {
            let OnMap { map, region, because, scope, .. } = on;
            format!("  {map}: {region} ({because}), scope {scope}\n")
        });
        format!("{}: {}{far}\n{}", self.client, self.known(), maps.collect::<String>())
    }

    /// What databases know, and the point on the globe that counts.
    fn known(&self) -> String {
        let mut known = Vec::new();
        known.extend(self.within.map(|within| format!("IPv4 {within}")));
        match self.subdivisions.as_slice() {
            [] => known.extend(
                self.country.map(Into::into).or(self.continent.map(|code| format!("continent {code}"))),
            ),
            parts => known.push(parts.join(", ")),
        }
        known.extend(self.asn.map(|number| format!("AS{number}")));
        known.extend(self.point());
        if known.is_empty() { "nothing is known of it".into() } else { known.join(", ") }
    }

    /// `as if at 55.76, 37.62 (Moscow)`
    fn point(&self) -> Option<String> {
        let [latitude, longitude] = self.at?;
        let at = format!("at {latitude:.2}, {longitude:.2}");
        let assumed = match self.at_from? {
            PointFrom::Database => return Some(at),
            PointFrom::Hub => {
                let country = self.country.and_then(|code| code.parse().ok());
                country.and_then(hubs::of).map(|hub| hub.city)
            }
            PointFrom::Region => self.maps.first().map(|world| world.region),
        };
        Some(format!("as if {at} ({})", assumed.unwrap_or("its region")))
    }

    /// `eu 304 km, us 6836 km`
    fn far(&self) -> String {
        let far = self.distances.iter().map(|Distance { region, km }| format!("{region} {km} km"));
        far.collect::<Vec<_>>().join(", ")
    }
}

impl Display for Location<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let width = self.maps.iter().map(|on| on.map.chars().count()).max().unwrap_or(0).max("client".len());
        writeln!(f, "{}\n", self.client)?;
        writeln!(f, "  {:width$}   {}", "client", self.known())?;
        for OnMap { map, region, because, scope, whole, .. } in &self.maps {
            let how_far = if *whole { "as is all of" } else { "but only" };
            writeln!(f, "  {map:width$}   {region} ({because}), {how_far} {scope}")?;
        }
        let far = self.far();
        if !far.is_empty() {
            writeln!(f, "  {:width$}   {far}", "far")?;
        }
        Ok(())
    }
}
