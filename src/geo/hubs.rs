//! Where the clients of a country mostly are.
//!
//! A geometric centre would send Moscow to Tokyo: most of Russia's land is in Asia, most of its clients are not.
//! The table has the place of each country's main hub instead: where most of its networks meet.

use crate::geo::matcher::{Continent, Country};
use crate::model::Coordinates;

/// A country's main hub.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hub {
    /// The country.
    pub country: Country,
    /// The continent that it is on.
    pub continent: Continent,
    /// The hub's place.
    pub at: Coordinates,
    /// The hub's name.
    pub city: &'static str,
}

/// The hub of a country, if the table has it.
pub fn of(country: Country) -> Option<Hub> {
    let (_, continent, latitude, longitude, city) =
        *HUBS.binary_search_by_key(&country.code(), |row| row.0).ok().and_then(|row| HUBS.get(row))?;
    Some(Hub { country, continent, at: Coordinates { latitude, longitude }, city })
}

/// Sorted by country.
const HUBS: [(&str, Continent, f64, f64, &str); 2] = [
    ("DE", Continent::Europe, 50.11, 8.68, "Frankfurt"),
    ("US", Continent::NorthAmerica, 39.04, -77.49, "Ashburn"),
];
