//! One record of a `*.mmdb`, whoever made it.
//!
//! | maker | country | subdivision | coordinates | ASN |
//! |---|---|---|---|---|
//! | MaxMind, DB-IP | `country.iso_code`, else `registered_country.iso_code` | `subdivisions[].iso_code` | `location.latitude`, `.longitude` | `autonomous_system_number` |
//! | IPinfo | `country` or `country_code`: a text | `region_code` | `lat`, `lng` or `latitude`, `longitude`: texts | `asn`: `AS64500` |
//!
//! A field that is missing or odd is unknown; everything else is passed over without being looked at, so that
//! no record can unfold into more than it is.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::geo::facts::{Record, Spot};
use crate::geo::{Country, Subdivision, hubs};

/// The fields that we look at, as they were found.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Decoded<'a> {
    #[serde(borrow)]
    continent: Field<'a>,
    continent_code: Field<'a>,
    country: Field<'a>,
    country_code: Field<'a>,
    registered_country: Field<'a>,
    subdivisions: Field<'a>,
    region_code: Field<'a>,
    location: Field<'a>,
    lat: Field<'a>,
    latitude: Field<'a>,
    lng: Field<'a>,
    longitude: Field<'a>,
    asn: Field<'a>,
    autonomous_system_number: Field<'a>,
}

/// What matters of one field.
#[derive(Clone, Copy, Debug, Default)]
enum Field<'a> {
    /// It is missing, or nothing that we know.
    #[default]
    Unknown,
    Text(&'a str),
    Number(f64),
    /// `iso_code` or `code` of a map; of a list of maps, those of its first two.
    Codes([Option<&'a str>; 2]),
    /// `latitude` and `longitude` of a map.
    Place([f64; 2]),
}

impl From<Decoded<'_>> for Record {
    fn from(decoded: Decoded<'_>) -> Self {
        let Decoded { continent, continent_code, country, country_code, registered_country, .. } = decoded;
        let countries = [country, country_code, registered_country].into_iter().filter_map(Field::code);
        let country = countries.into_iter().find(|code| hubs::of(*code).is_some());
        Record {
            continent: [continent, continent_code].into_iter().find_map(Field::code),
            country,
            subdivisions: country.map(|country| decoded.subdivisions(country)).unwrap_or_default(),
            spot: decoded.spot(),
            asn: [decoded.asn, decoded.autonomous_system_number].into_iter().find_map(Field::asn),
        }
    }
}

impl Decoded<'_> {
    fn subdivisions(&self, country: Country) -> [Option<Subdivision>; 2] {
        let part = |code: &str| subdivision(country, code);
        let parts = match self.subdivisions {
            Field::Codes(codes) => codes.map(|code| part(code?)),
            _ => [None; 2],
        };
        match parts {
            [None, None] => [self.region_code.text().and_then(part), None],
            [None, smaller] => [smaller, None],
            known => known,
        }
    }

    fn spot(&self) -> Option<Spot> {
        let [latitude, longitude] = match self.location {
            Field::Place(place) => place,
            _ => [
                self.latitude.degrees().or(self.lat.degrees())?,
                self.longitude.degrees().or(self.lng.degrees())?,
            ],
        };
        Spot::new(latitude, longitude)
    }
}

/// `CA`, or with its country `US-CA`.
fn subdivision(country: Country, code: &str) -> Option<Subdivision> {
    match code.parse::<Subdivision>() {
        Ok(whole) => Some(whole).filter(|whole| whole.country() == country),
        Err(_) => Subdivision::of(country, code),
    }
}

impl<'a> Field<'a> {
    /// As it is, or the code of the map or list that it is.
    fn text(self) -> Option<&'a str> {
        match self {
            Field::Text(text) => Some(text),
            Field::Codes([code, _]) => code,
            _ => None,
        }
    }

    fn code<T: FromStr>(self) -> Option<T> {
        self.text()?.parse().ok()
    }

    fn degrees(self) -> Option<f64> {
        match self {
            Field::Number(degrees) => Some(degrees),
            Field::Text(text) => text.parse().ok(),
            _ => None,
        }
    }

    fn asn(self) -> Option<u32> {
        let number = match self {
            // What is no whole number of 32 bits is another one afterwards.
            Field::Number(number) => Some(number as u32).filter(|whole| f64::from(*whole) == number),
            Field::Text(text) => text.strip_prefix("AS").unwrap_or(text).parse().ok(),
            _ => None,
        };
        number.filter(|number| *number != 0)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Field<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Look { levels: 2 }.deserialize(deserializer)
    }
}

/// A look at a field, and so many levels of maps and lists into it: a list, its maps, their fields. However deep a
/// damaged one nests, this uses no more of the stack.
#[derive(Clone, Copy)]
struct Look {
    levels: u8,
}

impl<'de> DeserializeSeed<'de> for Look {
    type Value = Field<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Field<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Look {
    type Value = Field<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Field<'de>, E> {
        Ok(Field::Text(text))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Field<'de>, E> {
        Ok(Field::Number(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Field<'de>, E> {
        Ok(Field::Number(number as f64))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Field<'de>, E> {
        Ok(Field::Number(number as f64))
    }

    fn visit_u128<E>(self, _: u128) -> Result<Field<'de>, E> {
        Ok(Field::Unknown)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Field<'de>, E> {
        Ok(Field::Unknown)
    }

    fn visit_bytes<E>(self, _: &[u8]) -> Result<Field<'de>, E> {
        Ok(Field::Unknown)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Field<'de>, A::Error> {
        let [mut code, mut latitude, mut longitude] = [Field::Unknown; 3];
        while let Some(key) = map.next_key::<&str>()? {
            let known = match key {
                "iso_code" | "code" => Some(&mut code),
                "latitude" => Some(&mut latitude),
                "longitude" => Some(&mut longitude),
                _ => None,
            };
            match (known, self.levels.checked_sub(1)) {
                (Some(field), Some(levels)) => *field = map.next_value_seed(Look { levels })?,
                _ => _ = map.next_value::<IgnoredAny>()?,
            }
        }
        Ok(match (latitude.degrees(), longitude.degrees()) {
            (Some(latitude), Some(longitude)) => Field::Place([latitude, longitude]),
            _ => Field::Codes([code.text(), None]),
        })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Field<'de>, A::Error> {
        let mut codes = [None; 2];
        if let Some(levels @ 1..) = self.levels.checked_sub(1) {
            for code in &mut codes {
                *code = list.next_element_seed(Look { levels })?.and_then(Field::text);
            }
        }
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Field::Codes(codes))
    }
}
