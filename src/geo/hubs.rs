//! Where the clients of a country mostly are.
//!
//! A database without coordinates still says which country a client is in, and distances need a point.
//! A geometric centre would send Moscow to Tokyo: most of Russia's land is in Asia, most of its clients are not.
//! The table has the place of each country's main hub instead: where most of its networks meet.
//!
//! ```text
//!               2,000 km           7,500 km
//!   Frankfurt <---------- Moscow ------------------------> Tokyo      the hub
//!   Frankfurt <------------------------ 62 N, 97 E ------> Tokyo      the middle of the land
//!                        5,200 km                4,100 km
//! ```

use crate::geo::matcher::Continent::{
    self, Africa, Antarctica, Asia, Europe, NorthAmerica, Oceania, SouthAmerica,
};
use crate::geo::matcher::Country;
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

/// Country, continent as databases have it, latitude, longitude, city; sorted by country. Two decimals of a
/// degree are a kilometre: more would claim what one city for a whole country cannot know.
///
/// Where several cities could stand for a country:
/// - `US`: Ashburn, where more networks meet than anywhere else, and not a compromise in the middle as Chicago:
///   most clients are in the eastern half, and both lie on the same side of every ocean.
/// - `CN`: Shanghai, on the coast half way between the hubs of the north (Beijing) and of the south (Guangzhou).
/// - `AU`, `BR`, `CA`, `IN`, `KZ`, `TR` and others: the city with the largest exchange, not the capital.
///
/// Without people to ask, `BV` and `HM` stand where they lie; `AQ` is its largest station, and `UM`, which is
/// islands all over the Pacific, is the one that was inhabited last.
const HUBS: [(&str, Continent, f64, f64, &str); 250] = [
    ("AD", Europe, 42.51, 1.52, "Andorra la Vella"),
    ("AE", Asia, 25.20, 55.27, "Dubai"),
    ("AF", Asia, 34.53, 69.17, "Kabul"),
    ("AG", NorthAmerica, 17.12, -61.85, "St. John's"),
    ("AI", NorthAmerica, 18.22, -63.05, "The Valley"),
    ("AL", Europe, 41.33, 19.82, "Tirana"),
    ("AM", Asia, 40.18, 44.51, "Yerevan"),
    ("AO", Africa, -8.84, 13.23, "Luanda"),
    ("AQ", Antarctica, -77.85, 166.67, "McMurdo Station"),
    ("AR", SouthAmerica, -34.60, -58.38, "Buenos Aires"),
    ("AS", Oceania, -14.28, -170.70, "Pago Pago"),
    ("AT", Europe, 48.21, 16.37, "Vienna"),
    ("AU", Oceania, -33.87, 151.21, "Sydney"),
    ("AW", NorthAmerica, 12.52, -70.04, "Oranjestad"),
    ("AX", Europe, 60.10, 19.94, "Mariehamn"),
    ("AZ", Asia, 40.41, 49.87, "Baku"),
    ("BA", Europe, 43.86, 18.41, "Sarajevo"),
    ("BB", NorthAmerica, 13.10, -59.61, "Bridgetown"),
    ("BD", Asia, 23.81, 90.41, "Dhaka"),
    ("BE", Europe, 50.85, 4.35, "Brussels"),
    ("BF", Africa, 12.37, -1.52, "Ouagadougou"),
    ("BG", Europe, 42.70, 23.32, "Sofia"),
    ("BH", Asia, 26.23, 50.58, "Manama"),
    ("BI", Africa, -3.38, 29.36, "Bujumbura"),
    ("BJ", Africa, 6.37, 2.42, "Cotonou"),
    ("BL", NorthAmerica, 17.90, -62.85, "Gustavia"),
    ("BM", NorthAmerica, 32.29, -64.78, "Hamilton"),
    ("BN", Asia, 4.90, 114.94, "Bandar Seri Begawan"),
    ("BO", SouthAmerica, -16.50, -68.15, "La Paz"),
    ("BQ", NorthAmerica, 12.15, -68.27, "Kralendijk"),
    ("BR", SouthAmerica, -23.55, -46.63, "São Paulo"),
    ("BS", NorthAmerica, 25.05, -77.35, "Nassau"),
    ("BT", Asia, 27.47, 89.64, "Thimphu"),
    ("BV", Antarctica, -54.42, 3.36, "Bouvet Island"),
    ("BW", Africa, -24.65, 25.91, "Gaborone"),
    ("BY", Europe, 53.90, 27.56, "Minsk"),
    ("BZ", NorthAmerica, 17.50, -88.20, "Belize City"),
    ("CA", NorthAmerica, 43.65, -79.38, "Toronto"),
    ("CC", Asia, -12.19, 96.83, "West Island"),
    ("CD", Africa, -4.32, 15.31, "Kinshasa"),
    ("CF", Africa, 4.36, 18.56, "Bangui"),
    ("CG", Africa, -4.27, 15.27, "Brazzaville"),
    ("CH", Europe, 47.38, 8.54, "Zurich"),
    ("CI", Africa, 5.34, -4.03, "Abidjan"),
    ("CK", Oceania, -21.21, -159.78, "Avarua"),
    ("CL", SouthAmerica, -33.45, -70.67, "Santiago"),
    ("CM", Africa, 4.05, 9.70, "Douala"),
    ("CN", Asia, 31.23, 121.47, "Shanghai"),
    ("CO", SouthAmerica, 4.71, -74.07, "Bogotá"),
    ("CR", NorthAmerica, 9.93, -84.08, "San José"),
    ("CU", NorthAmerica, 23.13, -82.38, "Havana"),
    ("CV", Africa, 14.92, -23.51, "Praia"),
    ("CW", NorthAmerica, 12.11, -68.93, "Willemstad"),
    ("CX", Oceania, -10.42, 105.68, "Flying Fish Cove"),
    ("CY", Europe, 35.17, 33.36, "Nicosia"),
    ("CZ", Europe, 50.08, 14.44, "Prague"),
    ("DE", Europe, 50.11, 8.68, "Frankfurt"),
    ("DJ", Africa, 11.59, 43.15, "Djibouti"),
    ("DK", Europe, 55.68, 12.57, "Copenhagen"),
    ("DM", NorthAmerica, 15.30, -61.39, "Roseau"),
    ("DO", NorthAmerica, 18.49, -69.93, "Santo Domingo"),
    ("DZ", Africa, 36.75, 3.06, "Algiers"),
    ("EC", SouthAmerica, -0.18, -78.47, "Quito"),
    ("EE", Europe, 59.44, 24.75, "Tallinn"),
    ("EG", Africa, 30.04, 31.24, "Cairo"),
    ("EH", Africa, 27.15, -13.20, "Laayoune"),
    ("ER", Africa, 15.32, 38.93, "Asmara"),
    ("ES", Europe, 40.42, -3.70, "Madrid"),
    ("ET", Africa, 9.03, 38.74, "Addis Ababa"),
    ("FI", Europe, 60.17, 24.94, "Helsinki"),
    ("FJ", Oceania, -18.14, 178.44, "Suva"),
    ("FK", SouthAmerica, -51.69, -57.85, "Stanley"),
    ("FM", Oceania, 6.92, 158.16, "Palikir"),
    ("FO", Europe, 62.01, -6.77, "Tórshavn"),
    ("FR", Europe, 48.86, 2.35, "Paris"),
    ("GA", Africa, 0.39, 9.45, "Libreville"),
    ("GB", Europe, 51.51, -0.13, "London"),
    ("GD", NorthAmerica, 12.05, -61.75, "St. George's"),
    ("GE", Asia, 41.72, 44.79, "Tbilisi"),
    ("GF", SouthAmerica, 4.92, -52.33, "Cayenne"),
    ("GG", Europe, 49.46, -2.54, "St. Peter Port"),
    ("GH", Africa, 5.60, -0.19, "Accra"),
    ("GI", Europe, 36.14, -5.35, "Gibraltar"),
    ("GL", NorthAmerica, 64.18, -51.72, "Nuuk"),
    ("GM", Africa, 13.45, -16.58, "Banjul"),
    ("GN", Africa, 9.51, -13.71, "Conakry"),
    ("GP", NorthAmerica, 16.24, -61.53, "Pointe-à-Pitre"),
    ("GQ", Africa, 3.75, 8.78, "Malabo"),
    ("GR", Europe, 37.98, 23.73, "Athens"),
    ("GS", Antarctica, -54.28, -36.51, "Grytviken"),
    ("GT", NorthAmerica, 14.63, -90.51, "Guatemala City"),
    ("GU", Oceania, 13.48, 144.78, "Tamuning"),
    ("GW", Africa, 11.86, -15.60, "Bissau"),
    ("GY", SouthAmerica, 6.80, -58.16, "Georgetown"),
    ("HK", Asia, 22.32, 114.17, "Hong Kong"),
    ("HM", Antarctica, -53.10, 73.51, "Heard Island"),
    ("HN", NorthAmerica, 14.07, -87.19, "Tegucigalpa"),
    ("HR", Europe, 45.81, 15.98, "Zagreb"),
    ("HT", NorthAmerica, 18.54, -72.34, "Port-au-Prince"),
    ("HU", Europe, 47.50, 19.04, "Budapest"),
    ("ID", Asia, -6.21, 106.85, "Jakarta"),
    ("IE", Europe, 53.35, -6.26, "Dublin"),
    ("IL", Asia, 32.09, 34.78, "Tel Aviv"),
    ("IM", Europe, 54.15, -4.48, "Douglas"),
    ("IN", Asia, 19.08, 72.88, "Mumbai"),
    ("IO", Asia, -7.31, 72.41, "Diego Garcia"),
    ("IQ", Asia, 33.31, 44.37, "Baghdad"),
    ("IR", Asia, 35.69, 51.39, "Tehran"),
    ("IS", Europe, 64.15, -21.94, "Reykjavik"),
    ("IT", Europe, 45.46, 9.19, "Milan"),
    ("JE", Europe, 49.19, -2.11, "St. Helier"),
    ("JM", NorthAmerica, 17.97, -76.79, "Kingston"),
    ("JO", Asia, 31.95, 35.93, "Amman"),
    ("JP", Asia, 35.68, 139.69, "Tokyo"),
    ("KE", Africa, -1.29, 36.82, "Nairobi"),
    ("KG", Asia, 42.87, 74.59, "Bishkek"),
    ("KH", Asia, 11.56, 104.92, "Phnom Penh"),
    ("KI", Oceania, 1.33, 172.98, "Tarawa"),
    ("KM", Africa, -11.70, 43.26, "Moroni"),
    ("KN", NorthAmerica, 17.30, -62.72, "Basseterre"),
    ("KP", Asia, 39.03, 125.75, "Pyongyang"),
    ("KR", Asia, 37.57, 126.98, "Seoul"),
    ("KW", Asia, 29.38, 47.98, "Kuwait City"),
    ("KY", NorthAmerica, 19.29, -81.38, "George Town"),
    ("KZ", Asia, 43.24, 76.89, "Almaty"),
    ("LA", Asia, 17.97, 102.61, "Vientiane"),
    ("LB", Asia, 33.89, 35.50, "Beirut"),
    ("LC", NorthAmerica, 14.01, -60.99, "Castries"),
    ("LI", Europe, 47.14, 9.52, "Vaduz"),
    ("LK", Asia, 6.93, 79.86, "Colombo"),
    ("LR", Africa, 6.30, -10.80, "Monrovia"),
    ("LS", Africa, -29.31, 27.48, "Maseru"),
    ("LT", Europe, 54.69, 25.28, "Vilnius"),
    ("LU", Europe, 49.61, 6.13, "Luxembourg"),
    ("LV", Europe, 56.95, 24.11, "Riga"),
    ("LY", Africa, 32.89, 13.19, "Tripoli"),
    ("MA", Africa, 33.57, -7.59, "Casablanca"),
    ("MC", Europe, 43.74, 7.42, "Monaco"),
    ("MD", Europe, 47.01, 28.86, "Chisinau"),
    ("ME", Europe, 42.44, 19.26, "Podgorica"),
    ("MF", NorthAmerica, 18.07, -63.08, "Marigot"),
    ("MG", Africa, -18.88, 47.51, "Antananarivo"),
    ("MH", Oceania, 7.09, 171.38, "Majuro"),
    ("MK", Europe, 42.00, 21.43, "Skopje"),
    ("ML", Africa, 12.64, -8.00, "Bamako"),
    ("MM", Asia, 16.84, 96.17, "Yangon"),
    ("MN", Asia, 47.92, 106.92, "Ulaanbaatar"),
    ("MO", Asia, 22.20, 113.55, "Macao"),
    ("MP", Oceania, 15.19, 145.75, "Saipan"),
    ("MQ", NorthAmerica, 14.60, -61.07, "Fort-de-France"),
    ("MR", Africa, 18.08, -15.98, "Nouakchott"),
    ("MS", NorthAmerica, 16.79, -62.21, "Brades"),
    ("MT", Europe, 35.90, 14.51, "Valletta"),
    ("MU", Africa, -20.24, 57.49, "Ebene"),
    ("MV", Asia, 4.18, 73.51, "Malé"),
    ("MW", Africa, -15.79, 35.01, "Blantyre"),
    ("MX", NorthAmerica, 19.43, -99.13, "Mexico City"),
    ("MY", Asia, 3.15, 101.69, "Kuala Lumpur"),
    ("MZ", Africa, -25.97, 32.58, "Maputo"),
    ("NA", Africa, -22.56, 17.08, "Windhoek"),
    ("NC", Oceania, -22.27, 166.45, "Nouméa"),
    ("NE", Africa, 13.51, 2.11, "Niamey"),
    ("NF", Oceania, -29.06, 167.96, "Kingston"),
    ("NG", Africa, 6.52, 3.38, "Lagos"),
    ("NI", NorthAmerica, 12.13, -86.25, "Managua"),
    ("NL", Europe, 52.37, 4.90, "Amsterdam"),
    ("NO", Europe, 59.91, 10.75, "Oslo"),
    ("NP", Asia, 27.72, 85.32, "Kathmandu"),
    ("NR", Oceania, -0.55, 166.92, "Yaren"),
    ("NU", Oceania, -19.06, -169.92, "Alofi"),
    ("NZ", Oceania, -36.85, 174.76, "Auckland"),
    ("OM", Asia, 23.59, 58.41, "Muscat"),
    ("PA", NorthAmerica, 8.98, -79.52, "Panama City"),
    ("PE", SouthAmerica, -12.05, -77.04, "Lima"),
    ("PF", Oceania, -17.54, -149.57, "Papeete"),
    ("PG", Oceania, -9.44, 147.18, "Port Moresby"),
    ("PH", Asia, 14.60, 120.98, "Manila"),
    ("PK", Asia, 24.86, 67.01, "Karachi"),
    ("PL", Europe, 52.23, 21.01, "Warsaw"),
    ("PM", NorthAmerica, 46.78, -56.18, "Saint-Pierre"),
    ("PN", Oceania, -25.07, -130.10, "Adamstown"),
    ("PR", NorthAmerica, 18.47, -66.11, "San Juan"),
    ("PS", Asia, 31.90, 35.20, "Ramallah"),
    ("PT", Europe, 38.72, -9.14, "Lisbon"),
    ("PW", Oceania, 7.34, 134.48, "Koror"),
    ("PY", SouthAmerica, -25.26, -57.58, "Asunción"),
    ("QA", Asia, 25.29, 51.53, "Doha"),
    ("RE", Africa, -20.88, 55.45, "Saint-Denis"),
    ("RO", Europe, 44.43, 26.10, "Bucharest"),
    ("RS", Europe, 44.79, 20.45, "Belgrade"),
    ("RU", Europe, 55.76, 37.62, "Moscow"),
    ("RW", Africa, -1.94, 30.06, "Kigali"),
    ("SA", Asia, 24.71, 46.68, "Riyadh"),
    ("SB", Oceania, -9.43, 159.95, "Honiara"),
    ("SC", Africa, -4.62, 55.45, "Victoria"),
    ("SD", Africa, 15.50, 32.56, "Khartoum"),
    ("SE", Europe, 59.33, 18.07, "Stockholm"),
    ("SG", Asia, 1.35, 103.82, "Singapore"),
    ("SH", Africa, -15.93, -5.72, "Jamestown"),
    ("SI", Europe, 46.05, 14.51, "Ljubljana"),
    ("SJ", Europe, 78.22, 15.64, "Longyearbyen"),
    ("SK", Europe, 48.15, 17.11, "Bratislava"),
    ("SL", Africa, 8.48, -13.23, "Freetown"),
    ("SM", Europe, 43.94, 12.45, "San Marino"),
    ("SN", Africa, 14.69, -17.45, "Dakar"),
    ("SO", Africa, 2.05, 45.32, "Mogadishu"),
    ("SR", SouthAmerica, 5.85, -55.20, "Paramaribo"),
    ("SS", Africa, 4.85, 31.58, "Juba"),
    ("ST", Africa, 0.34, 6.73, "São Tomé"),
    ("SV", NorthAmerica, 13.69, -89.22, "San Salvador"),
    ("SX", NorthAmerica, 18.03, -63.05, "Philipsburg"),
    ("SY", Asia, 33.51, 36.29, "Damascus"),
    ("SZ", Africa, -26.32, 31.14, "Mbabane"),
    ("TC", NorthAmerica, 21.77, -72.27, "Providenciales"),
    ("TD", Africa, 12.13, 15.06, "N'Djamena"),
    ("TF", Antarctica, -49.35, 70.22, "Port-aux-Français"),
    ("TG", Africa, 6.14, 1.22, "Lomé"),
    ("TH", Asia, 13.76, 100.50, "Bangkok"),
    ("TJ", Asia, 38.56, 68.77, "Dushanbe"),
    ("TK", Oceania, -9.38, -171.22, "Fakaofo"),
    ("TL", Oceania, -8.56, 125.57, "Dili"),
    ("TM", Asia, 37.95, 58.38, "Ashgabat"),
    ("TN", Africa, 36.81, 10.18, "Tunis"),
    ("TO", Oceania, -21.14, -175.20, "Nukuʻalofa"),
    ("TR", Asia, 41.01, 28.98, "Istanbul"),
    ("TT", NorthAmerica, 10.65, -61.51, "Port of Spain"),
    ("TV", Oceania, -8.52, 179.20, "Funafuti"),
    ("TW", Asia, 25.03, 121.57, "Taipei"),
    ("TZ", Africa, -6.79, 39.21, "Dar es Salaam"),
    ("UA", Europe, 50.45, 30.52, "Kyiv"),
    ("UG", Africa, 0.35, 32.58, "Kampala"),
    ("UM", Oceania, 19.28, 166.65, "Wake Island"),
    ("US", NorthAmerica, 39.04, -77.49, "Ashburn"),
    ("UY", SouthAmerica, -34.90, -56.16, "Montevideo"),
    ("UZ", Asia, 41.30, 69.24, "Tashkent"),
    ("VA", Europe, 41.90, 12.45, "Vatican City"),
    ("VC", NorthAmerica, 13.16, -61.22, "Kingstown"),
    ("VE", SouthAmerica, 10.48, -66.90, "Caracas"),
    ("VG", NorthAmerica, 18.43, -64.62, "Road Town"),
    ("VI", NorthAmerica, 17.75, -64.70, "Christiansted"),
    ("VN", Asia, 10.82, 106.63, "Ho Chi Minh City"),
    ("VU", Oceania, -17.73, 168.32, "Port Vila"),
    ("WF", Oceania, -13.28, -176.18, "Mata Utu"),
    ("WS", Oceania, -13.83, -171.77, "Apia"),
    ("XK", Europe, 42.66, 21.17, "Pristina"),
    ("YE", Asia, 15.37, 44.19, "Sanaa"),
    ("YT", Africa, -12.78, 45.23, "Mamoudzou"),
    ("ZA", Africa, -26.20, 28.05, "Johannesburg"),
    ("ZM", Africa, -15.39, 28.32, "Lusaka"),
    ("ZW", Africa, -17.83, 31.05, "Harare"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geo::distance::kilometres;

    fn hub(code: &str) -> Hub {
        of(code.parse().unwrap()).unwrap()
    }

    #[test]
    fn the_table_is_sorted_and_has_no_country_twice() {
        assert!(HUBS.is_sorted_by(|a, b| a.0 < b.0));
    }

    #[test]
    fn every_country_of_the_table_is_found_under_its_code() {
        for row in HUBS {
            let found = hub(row.0);
            assert_eq!(
                (found.country.code(), found.continent, found.at.latitude, found.at.longitude, found.city),
                row
            );
        }
    }

    #[test]
    fn what_is_no_country_has_no_hub() {
        for code in ["AA", "EU", "AP", "A1", "UK", "ZZ"] {
            assert_eq!(code.parse().ok().and_then(of), None, "{code}");
        }
    }

    #[test]
    fn every_hub_is_on_its_continent() {
        for (code, continent, latitude, longitude, city) in HUBS {
            let (south, north) = latitudes(continent);
            assert!((south..=north).contains(&latitude), "{code}: {city} is at latitude {latitude}");
            let (west, east) = longitudes(continent);
            let eastwards = (longitude - west).rem_euclid(360.0);
            assert!(eastwards <= east - west, "{code}: {city} is at longitude {longitude}");
        }
    }

    fn latitudes(continent: Continent) -> (f64, f64) {
        match continent {
            Africa => (-35.0, 38.0),
            Antarctica => (-90.0, -49.0),
            Asia => (-13.0, 48.0),
            Europe => (35.0, 79.0),
            NorthAmerica => (8.0, 65.0),
            Oceania => (-37.0, 20.0),
            SouthAmerica => (-52.0, 11.0),
        }
    }

    /// West and east; Oceania's east is beyond the date line.
    fn longitudes(continent: Continent) -> (f64, f64) {
        match continent {
            Africa => (-24.0, 58.0),
            Antarctica => (-180.0, 180.0),
            Asia => (28.0, 140.0),
            Europe => (-22.0, 38.0),
            NorthAmerica => (-100.0, -51.0),
            Oceania => (105.0, 231.0),
            SouthAmerica => (-79.0, -46.0),
        }
    }

    #[test]
    fn countries_on_two_continents_are_where_databases_have_them() {
        for (code, continent) in [
            ("RU", Europe),
            ("CY", Europe),
            ("TR", Asia),
            ("KZ", Asia),
            ("GE", Asia),
            ("EG", Africa),
            ("PA", NorthAmerica),
            ("GL", NorthAmerica),
            ("TT", NorthAmerica),
            ("TL", Oceania),
        ] {
            assert_eq!(hub(code).continent, continent, "{code}");
        }
    }

    #[test]
    fn moscow_is_nearer_to_frankfurt_than_to_tokyo_but_the_middle_of_russia_is_not() {
        let (frankfurt, tokyo) = (hub("DE").at, hub("JP").at);
        let nearer_to_frankfurt = |at| kilometres(at, frankfurt) < kilometres(at, tokyo);
        assert!(nearer_to_frankfurt(hub("RU").at));
        assert!(!nearer_to_frankfurt(Coordinates { latitude: 62.0, longitude: 97.0 }));
    }

    #[test]
    fn neighbours_are_as_far_apart_as_the_atlas_says() {
        for (one, other, atlas) in [
            ("GB", "FR", 344.0),
            ("CD", "CG", 7.0),
            ("BR", "AR", 1676.0),
            ("JP", "KR", 1160.0),
            ("NZ", "AU", 2156.0),
            ("FJ", "WS", 1145.0),
        ] {
            let distance = kilometres(hub(one).at, hub(other).at);
            assert!((distance - atlas).abs() < 10.0, "{one} to {other}: {distance}");
        }
    }
}
