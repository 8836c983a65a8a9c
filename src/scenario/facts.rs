//! What geo databases know, as a scenario writes it.
//!
//! ```text
//!   192.0.2.0/24    country=DE subdivision=BY lat=48.14 lon=11.58 asn=64500
//!   2001:db8::/32   continent=EU      # a comment
//! ```
//!
//! The longest prefix counts for an address, wherever its line is.

use std::cmp::Reverse;

use ipnet::IpNet;

use crate::geo::facts::{Record, Spot};
use crate::geo::{Country, Facts, FactsBuilder, Subdivision};

/// Reads all lines; the error is a sentence for people.
pub(super) fn parse(text: &str) -> Result<Facts, String> {
    let mut networks = Vec::new();
    for line in text.lines() {
        let written = line.split_once('#').map_or(line, |(before, _)| before);
        if let Some((prefix, fields)) = words(written).split_first() {
            networks.push(network(prefix, fields).map_err(|error| format!("`{}`: {error}", line.trim()))?);
        }
    }
    // Of networks that overlap, the one that is added first counts.
    networks.sort_by_key(|(net, _)| Reverse(net.prefix_len()));
    let mut builder = FactsBuilder::default();
    for (net, record) in networks {
        let record = builder.record(record);
        match net {
            IpNet::V4(net) => builder.add_v4(net.network(), net.broadcast(), record),
            IpNet::V6(net) => builder.add_v6(net.network(), net.broadcast(), record),
        }
    }
    Ok(builder.finish())
}

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

fn network(prefix: &str, fields: &[&str]) -> Result<(IpNet, Record), String> {
    let net = prefix.parse::<IpNet>().map_err(|_| format!("`{prefix}` is no prefix"))?;
    let mut record = Record::default();
    let (mut latitude, mut longitude) = (None, None);
    for field in fields {
        let (key, value) = field.split_once('=').ok_or_else(|| format!("`{field}` is no KEY=VALUE"))?;
        let known = match key {
            "country" => set(&mut record.country, value.parse().ok()),
            "continent" => set(&mut record.continent, value.parse().ok()),
            "subdivision" => parts(value, record.country).is_some_and(|parts| {
                record.subdivisions = parts;
                true
            }),
            "asn" => set(&mut record.asn, value.parse().ok()),
            "lat" => set(&mut latitude, value.parse().ok()),
            "lon" => set(&mut longitude, value.parse().ok()),
            _ => return Err(format!("there is no `{key}`: {KEYS}")),
        };
        if !known {
            return Err(format!("`{value}` is no {key}"));
        }
    }
    record.spot = match (latitude, longitude) {
        (None, None) => None,
        (Some(latitude), Some(longitude)) => {
            Some(Spot::new(latitude, longitude).ok_or("that is no point on the globe")?)
        }
        _ => return Err("`lat` and `lon` go together".into()),
    };
    Ok((net, record))
}

/// Whether there is something to be kept.
fn set<T>(place: &mut Option<T>, value: Option<T>) -> bool {
    *place = value;
    place.is_some()
}

/// `GB-ENG,GB-LND`, or `ENG,LND` where the country stands before it: the larger part first.
fn parts(written: &str, country: Option<Country>) -> Option<[Option<Subdivision>; 2]> {
    let part = |code: &str| match code.contains('-') {
        true => code.parse().ok(),
        false => Subdivision::of(country?, code),
    };
    match written.split_once(',') {
        None => Some([Some(part(written)?), None]),
        Some((larger, smaller)) => Some([Some(part(larger)?), Some(part(smaller)?)]),
    }
}

const KEYS: &str = "a network has country, continent, subdivision, asn, lat and lon";

#[cfg(test)]
mod tests {
    use super::*;

    fn country(facts: &Facts, address: &str) -> Option<String> {
        facts.of(address.parse().expect("an address")).country.map(|country| country.to_string())
    }

    #[test]
    fn the_longest_prefix_counts_wherever_its_line_is() {
        let facts =
            parse("192.0.0.0/8 country=US\n192.0.2.0/24 country=DE # here\n\n192.0.0.0/16 country=FR\n");
        let facts = facts.expect("facts");
        let found = ["192.9.9.9", "192.0.9.9", "192.0.2.9", "193.0.0.0"].map(|at| country(&facts, at));
        let codes = found.each_ref().map(|code| code.as_deref().unwrap_or("-"));
        assert_eq!(codes, ["US", "FR", "DE", "-"]);
    }

    #[test]
    fn every_key_is_read() {
        let line = "2001:db8::/32 continent=EU country=GB subdivision=ENG,LND lat=51.5 lon=-0.1 asn=64500";
        let facts = parse(line).expect("facts");
        let record = facts.of("2001:db8::1".parse().expect("an address"));
        let parts = ["GB-ENG", "GB-LND"].map(|code| code.parse().ok());
        assert_eq!((record.subdivisions, record.asn), (parts, Some(64500)));
        assert_eq!(record.spot, Spot::new(51.5, -0.1));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        for (line, error) in [
            ("192.0.2.0 country=DE", "`192.0.2.0` is no prefix"),
            ("192.0.2.0/24 DE", "`DE` is no KEY=VALUE"),
            ("192.0.2.0/24 country=DEU", "`DEU` is no country"),
            ("192.0.2.0/24 subdivision=CA", "`CA` is no subdivision"),
            ("192.0.2.0/24 lat=1", "`lat` and `lon` go together"),
            ("192.0.2.0/24 lat=91 lon=0", "that is no point on the globe"),
            ("192.0.2.0/24 city=Rome", "there is no `city`"),
        ] {
            let told = parse(line).expect_err("it is wrong");
            assert!(told.starts_with(&format!("`{line}`: {error}")), "{told}");
        }
    }
}
