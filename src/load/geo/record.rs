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

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::geo::facts::{Record, Spot};
use crate::geo::{Country, Subdivision};

/// The fields that we look at, as they were found.
#[derive(Debug, Default)]
pub(super) struct Decoded {
    continent: Field,
    continent_code: Field,
    country: Field,
    country_code: Field,
    registered_country: Field,
    subdivisions: Field,
    region_code: Field,
    location: Field,
    latitude: Field,
    longitude: Field,
    asn: Field,
}

/// One field: a text, a number, or the part of a map or list that matters.
#[derive(Debug, Default)]
struct Field {
    text: Option<String>,
    number: Option<f64>,
    /// `iso_code` or `code` of a map; of a list of maps, those of its first two.
    codes: [Option<String>; 2],
    /// `latitude` and `longitude` of a map.
    place: [Option<f64>; 2],
}

impl From<Decoded> for Record {
    fn from(decoded: Decoded) -> Self {
        let Decoded { continent, continent_code, country, country_code, registered_country, .. } = &decoded;
        let country = [country, country_code, registered_country].into_iter().find_map(Field::parsed);
        Record {
            continent: [continent, continent_code].into_iter().find_map(Field::parsed),
            country,
            subdivisions: decoded.subdivisions(country),
            spot: decoded.spot(),
            asn: decoded.asn.asn(),
        }
    }
}

impl Decoded {
    fn subdivisions(&self, country: Option<Country>) -> [Option<Subdivision>; 2] {
        let part = |code: &Option<String>| subdivision(country?, code.as_deref()?);
        let [larger, smaller] = &self.subdivisions.codes;
        match [part(larger), part(smaller)] {
            [None, smaller] => [smaller.or_else(|| part(&self.region_code.text)), None],
            known => known,
        }
    }

    fn spot(&self) -> Option<Spot> {
        let [latitude, longitude] = self.location.place;
        let latitude = latitude.or_else(|| self.latitude.degrees())?;
        Spot::new(latitude, longitude.or_else(|| self.longitude.degrees())?)
    }
}

/// `CA`, or with its country `US-CA`.
fn subdivision(country: Country, code: &str) -> Option<Subdivision> {
    match code.parse::<Subdivision>() {
        Ok(whole) => Some(whole).filter(|whole| whole.country() == country),
        Err(_) => Subdivision::of(country, code),
    }
}

impl Field {
    /// A code: of the map that it is, or as it is.
    fn parsed<T: std::str::FromStr>(&self) -> Option<T> {
        let [code, _] = &self.codes;
        code.as_ref().or(self.text.as_ref())?.parse().ok()
    }

    fn degrees(&self) -> Option<f64> {
        self.number.or_else(|| self.text.as_ref()?.parse().ok())
    }

    fn asn(&self) -> Option<u32> {
        let number = self
            .number
            .filter(|number| number.fract() == 0.0 && (1.0..=f64::from(u32::MAX)).contains(number));
        number
            .map(|number| number as u32)
            .or_else(|| self.text.as_ref()?.trim_start_matches("AS").parse().ok())
    }
}

impl<'de> Deserialize<'de> for Decoded {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DecodedVisitor)
    }
}

struct DecodedVisitor;

impl<'de> Visitor<'de> for DecodedVisitor {
    type Value = Decoded;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Decoded, A::Error> {
        let mut decoded = Decoded::default();
        while let Some(key) = map.next_key::<&str>()? {
            let field = match key {
                "continent" => &mut decoded.continent,
                "continent_code" => &mut decoded.continent_code,
                "country" => &mut decoded.country,
                "country_code" => &mut decoded.country_code,
                "registered_country" => &mut decoded.registered_country,
                "subdivisions" => &mut decoded.subdivisions,
                "region_code" => &mut decoded.region_code,
                "location" => &mut decoded.location,
                "lat" | "latitude" => &mut decoded.latitude,
                "lng" | "lon" | "longitude" => &mut decoded.longitude,
                "asn" | "autonomous_system_number" => &mut decoded.asn,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            *field = map.next_value()?;
        }
        Ok(decoded)
    }
}

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FieldVisitor { deep: true })
    }
}

/// Reads a field; what is inside maps and lists only if it may go `deep`er.
struct FieldVisitor {
    deep: bool,
}

/// A field within a field: a text or a number.
#[derive(Default)]
struct Plain(Field);

impl<'de> Deserialize<'de> for Plain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FieldVisitor { deep: false }).map(Plain)
    }
}

/// A map within a list, of which the code matters.
struct Coded(Option<String>);

impl<'de> Deserialize<'de> for Coded {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let field = deserializer.deserialize_any(FieldVisitor { deep: true })?;
        let [code, _] = field.codes;
        Ok(Coded(code.or(field.text)))
    }
}

impl<'de> Visitor<'de> for FieldVisitor {
    type Value = Field;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_str<E>(self, text: &str) -> Result<Field, E> {
        Ok(Field { text: Some(text.to_owned()), ..Field::default() })
    }

    fn visit_f64<E>(self, number: f64) -> Result<Field, E> {
        Ok(Field { number: Some(number), ..Field::default() })
    }

    fn visit_u64<E>(self, number: u64) -> Result<Field, E> {
        Ok(Field { number: Some(number as f64), ..Field::default() })
    }

    fn visit_i64<E>(self, number: i64) -> Result<Field, E> {
        Ok(Field { number: Some(number as f64), ..Field::default() })
    }

    fn visit_u128<E>(self, _: u128) -> Result<Field, E> {
        Ok(Field::default())
    }

    fn visit_bool<E>(self, _: bool) -> Result<Field, E> {
        Ok(Field::default())
    }

    fn visit_bytes<E>(self, _: &[u8]) -> Result<Field, E> {
        Ok(Field::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Field, A::Error> {
        let mut field = Field::default();
        while let Some(key) = map.next_key::<&str>()? {
            let is_known = matches!(key, "iso_code" | "code" | "latitude" | "longitude");
            if !(self.deep && is_known) {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let Plain(value) = map.next_value()?;
            match key {
                "latitude" => field.place[0] = value.degrees(),
                "longitude" => field.place[1] = value.degrees(),
                _ => field.codes[0] = value.text,
            }
        }
        Ok(field)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Field, A::Error> {
        let mut field = Field::default();
        if self.deep {
            for code in &mut field.codes {
                *code = list.next_element::<Coded>()?.and_then(|Coded(code)| code);
            }
        }
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(field)
    }
}
