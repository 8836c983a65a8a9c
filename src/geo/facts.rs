//! What databases know of addresses: the compact form in which it is kept.
//!
//! ```text
//!   database --FactsBuilder--> Facts --.
//!   database --FactsBuilder--> Facts --+--layered--> Facts: run of addresses -> number of a record
//!                                                           record -> continent, country, ..., coordinates
//! ```
//!
//! All of a database is walked once when it is loaded. What is kept is what places a client: millions of
//! networks share few distinct records, and neighbours with the same record are one run.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use foldhash::fast::FixedState;

use crate::geo::hubs;
use crate::geo::matcher::{Continent, Country, Subdivision};
use crate::model::Coordinates;

/// What is known of the addresses of both families. Immutable.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    pub(super) v4: Runs<u32>,
    pub(super) v6: Runs<u128>,
    /// Index: the values of the runs. The first is the empty one.
    records: Vec<Record>,
    knows: Knows,
}

/// What a database can tell of a client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Record {
    /// Where the network is.
    pub continent: Option<Continent>,
    /// Where the network is.
    pub country: Option<Country>,
    /// The parts of the country that it is in, the largest first; databases have two at most.
    pub subdivisions: [Option<Subdivision>; 2],
    /// Where the network is.
    pub spot: Option<Spot>,
    /// The autonomous system that announces it.
    pub asn: Option<u32>,
}

/// A point on the globe in millionths of a degree: coordinates that can be compared and hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Spot {
    latitude: i32,
    longitude: i32,
}

/// Which of the fields of [`Record`] are known of any address at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Knows {
    /// [`Record::continent`]
    pub continent: bool,
    /// [`Record::country`]
    pub country: bool,
    /// [`Record::subdivisions`]
    pub subdivision: bool,
    /// [`Record::spot`]
    pub coordinates: bool,
    /// [`Record::asn`]
    pub asn: bool,
}

impl Facts {
    /// What is known of one address. IPv6 addresses that hold an IPv4 address are not resolved here: see
    /// [`crate::geo::embedded`].
    pub fn of(&self, address: IpAddr) -> &Record {
        let record = match address {
            IpAddr::V4(address) => self.v4.find(address.to_bits()),
            IpAddr::V6(address) => self.v6.find(address.to_bits()),
        };
        self.record(record)
    }

    /// A record by its number, which is a value of a run.
    pub(super) fn record(&self, number: u32) -> &Record {
        &self.records[number as usize]
    }

    /// What is known of anybody.
    pub fn knows(&self) -> Knows {
        self.knows
    }

    /// What is kept of them, in bytes.
    pub fn bytes(&self) -> usize {
        self.v4.bytes() + self.v6.bytes() + size_of_val(&*self.records)
    }

    /// Several databases as one: of each fact the first that knows it counts. A later one adds its subdivisions
    /// and coordinates only where it does not name another country: they belong together.
    pub fn layered(layers: impl IntoIterator<Item = Arc<Facts>>) -> Arc<Facts> {
        let merged = layers.into_iter().reduce(|above, below| Arc::new(above.over(&below)));
        merged.unwrap_or_else(|| Arc::new(Facts::none()))
    }

    /// Nothing is known of anybody.
    pub fn none() -> Facts {
        FactsBuilder::default().finish()
    }

    fn over(&self, below: &Facts) -> Facts {
        let mut records = Records::default();
        let mut known: HashMap<(u32, u32), u32, FixedState> = HashMap::default();
        let mut merge = |above: u32, beneath: u32| {
            *known
                .entry((above, beneath))
                .or_insert_with(|| records.number(self.record(above).or(below.record(beneath))))
        };
        let v4 = self.v4.with(&below.v4, &mut merge);
        let v6 = self.v6.with(&below.v6, &mut merge);
        records.finish(v4, v6)
    }
}

impl Record {
    /// This, and what `below` adds to it.
    fn or(&self, below: &Record) -> Record {
        let contradicts = self.country.is_some() && below.country.is_some() && self.country != below.country;
        let place = if contradicts { Record::default() } else { *below };
        Record {
            continent: self.continent.or(place.continent),
            country: self.country.or(place.country),
            subdivisions: if self.subdivisions[0].is_none() { place.subdivisions } else { self.subdivisions },
            spot: self.spot.or(place.spot),
            asn: self.asn.or(below.asn),
        }
    }

    /// With the continent that its country is on, if the database did not say.
    fn completed(mut self) -> Record {
        let country = self.country.or(self.subdivisions[0].map(Subdivision::country));
        self.country = country;
        self.continent = self.continent.or_else(|| Some(hubs::of(country?)?.continent));
        self
    }
}

impl Spot {
    /// From degrees; `None` if that is no point on the globe.
    pub fn new(latitude: f64, longitude: f64) -> Option<Self> {
        let on_globe = (-90.0..=90.0).contains(&latitude) && (-180.0..=180.0).contains(&longitude);
        let millionths = |degrees: f64| (degrees * 1e6).round() as i32;
        on_globe.then(|| Self { latitude: millionths(latitude), longitude: millionths(longitude) })
    }

    /// In degrees.
    pub fn coordinates(self) -> Coordinates {
        let degrees = |millionths: i32| f64::from(millionths) / 1e6;
        Coordinates { latitude: degrees(self.latitude), longitude: degrees(self.longitude) }
    }
}

/// Facts in the making: networks in any order. Where two overlap, the one that was added first counts.
#[derive(Debug, Default)]
pub struct FactsBuilder {
    v4: Vec<(u32, u32, u32)>,
    v6: Vec<(u128, u128, u32)>,
    records: Records,
}

impl FactsBuilder {
    /// Keeps a record, to be told of networks by the number returned: each distinct one is kept once.
    pub fn record(&mut self, record: Record) -> u32 {
        self.records.number(record.completed())
    }

    /// Adds the IPv4 addresses from `first` to `last`, both included. A range that ends before it begins is left
    /// out.
    pub fn add_v4(&mut self, first: Ipv4Addr, last: Ipv4Addr, record: u32) {
        if first <= last {
            self.v4.push((first.to_bits(), last.to_bits(), record));
        }
    }

    /// The same for IPv6.
    pub fn add_v6(&mut self, first: Ipv6Addr, last: Ipv6Addr, record: u32) {
        if first <= last {
            self.v6.push((first.to_bits(), last.to_bits(), record));
        }
    }

    /// All that was added.
    pub fn finish(self) -> Facts {
        self.records.finish(Runs::of(self.v4), Runs::of(self.v6))
    }
}

/// Distinct records and their numbers.
#[derive(Debug)]
struct Records {
    table: Vec<Record>,
    numbers: HashMap<Record, u32, FixedState>,
}

impl Default for Records {
    fn default() -> Self {
        let mut records = Self { table: Vec::new(), numbers: HashMap::default() };
        records.number(Record::default());
        records
    }
}

impl Records {
    fn number(&mut self, record: Record) -> u32 {
        *self.numbers.entry(record).or_insert_with(|| {
            self.table.push(record);
            u32::try_from(self.table.len() - 1).expect("fewer records than networks, and those are bounded")
        })
    }

    fn finish(self, v4: Runs<u32>, v6: Runs<u128>) -> Facts {
        let any = |known: fn(&Record) -> bool| self.table.iter().any(known);
        let knows = Knows {
            continent: any(|record| record.continent.is_some()),
            country: any(|record| record.country.is_some()),
            subdivision: any(|record| record.subdivisions[0].is_some()),
            coordinates: any(|record| record.spot.is_some()),
            asn: any(|record| record.asn.is_some()),
        };
        let mut records = self.table;
        records.shrink_to_fit();
        Facts { v4, v6, records, knows }
    }
}

/// Runs of addresses: where each begins, and its value. The first begins at 0.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Runs<A> {
    pub(super) starts: Vec<A>,
    pub(super) values: Vec<u32>,
}

/// Addresses of a family as numbers.
pub(super) trait Number: Copy + Ord {
    const ZERO: Self;

    /// The one after it.
    fn next(self) -> Option<Self>;
}

impl Number for u32 {
    const ZERO: Self = 0;

    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }
}

impl Number for u128 {
    const ZERO: Self = 0;

    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }
}

impl<A: Number> Default for Runs<A> {
    fn default() -> Self {
        Self { starts: vec![A::ZERO], values: vec![0] }
    }
}

impl<A: Number> Runs<A> {
    /// No address at all yet; the first must begin at 0.
    pub(super) fn empty() -> Self {
        Self { starts: Vec::new(), values: Vec::new() }
    }

    /// From ranges in any order; the earlier of two that overlap counts.
    pub(super) fn of(ranges: Vec<(A, A, u32)>) -> Self {
        let mut runs = Self::default();
        if ranges.windows(2).all(|pair| pair[0].1 < pair[1].0) {
            for (first, last, value) in ranges {
                runs.begin(first, value);
                if let Some(after) = last.next() {
                    runs.begin(after, 0);
                }
            }
        } else {
            runs.sweep(&ranges);
        }
        runs.starts.shrink_to_fit();
        runs.values.shrink_to_fit();
        runs
    }

    /// Goes over where ranges begin and end; of those that are open the one that was added first counts.
    fn sweep(&mut self, ranges: &[(A, A, u32)]) {
        let mut edges: Vec<(A, bool, usize)> = Vec::with_capacity(ranges.len() * 2);
        for (number, (first, last, _)) in ranges.iter().enumerate() {
            edges.push((*first, true, number));
            edges.extend(last.next().map(|after| (after, false, number)));
        }
        edges.sort_unstable();
        let mut open = BTreeSet::new();
        for (at, begins, number) in edges {
            if begins {
                open.insert(number);
            } else {
                open.remove(&number);
            }
            self.begin(at, open.first().map_or(0, |&number| ranges[number].2));
        }
    }

    /// Lets a value begin; instead of what was to begin there.
    pub(super) fn begin(&mut self, start: A, value: u32) {
        if self.starts.last() == Some(&start) {
            self.starts.pop();
            self.values.pop();
        }
        if self.values.last() != Some(&value) {
            self.starts.push(start);
            self.values.push(value);
        }
    }

    fn bytes(&self) -> usize {
        size_of_val(&*self.starts) + size_of_val(&*self.values)
    }

    /// The value at an address.
    pub(super) fn find(&self, address: A) -> u32 {
        self.values[self.starts.partition_point(|start| *start <= address) - 1]
    }

    /// Each run: its first address and its value.
    pub(super) fn iter(&self) -> impl Iterator<Item = (A, u32)> + '_ {
        self.starts.iter().copied().zip(self.values.iter().copied())
    }

    fn with(&self, other: &Self, merge: &mut impl FnMut(u32, u32) -> u32) -> Self {
        let mut runs = Self {
            starts: Vec::with_capacity(self.starts.len()),
            values: Vec::with_capacity(self.starts.len()),
        };
        let (mut here, mut there) = (0, 0);
        let mut at = A::ZERO;
        loop {
            runs.begin(at, merge(self.values[here], other.values[there]));
            let next = [self.starts.get(here + 1), other.starts.get(there + 1)];
            let Some(start) = next.into_iter().flatten().min().copied() else { return runs };
            here += usize::from(next[0] == Some(&start));
            there += usize::from(next[1] == Some(&start));
            at = start;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn country(code: &str) -> Record {
        Record { country: Some(code.parse().expect("a test writes good codes")), ..Record::default() }
    }

    fn facts(ranges: &[(&str, &str, Record)]) -> Facts {
        let mut builder = FactsBuilder::default();
        for (first, last, record) in ranges {
            let record = builder.record(*record);
            match (first.parse(), last.parse()) {
                (Ok(IpAddr::V4(first)), Ok(IpAddr::V4(last))) => builder.add_v4(first, last, record),
                (Ok(IpAddr::V6(first)), Ok(IpAddr::V6(last))) => builder.add_v6(first, last, record),
                _ => panic!("a test writes good ranges"),
            }
        }
        builder.finish()
    }

    fn code(facts: &Facts, address: &str) -> String {
        let record = facts.of(address.parse().expect("a test writes good addresses"));
        record.country.map_or("-".into(), |country| country.to_string())
    }

    #[test]
    fn a_range_has_its_record_to_its_ends_and_not_beyond() {
        let facts = facts(&[
            ("192.0.2.0", "192.0.2.255", country("DE")),
            ("255.255.255.255", "255.255.255.255", country("FR")),
            ("::", "::1", country("JP")),
        ]);
        let codes = ["192.0.1.255", "192.0.2.0", "192.0.2.255", "192.0.3.0", "255.255.255.255", "::", "::2"];
        assert_eq!(codes.map(|address| code(&facts, address)), ["-", "DE", "DE", "-", "FR", "JP", "-"]);
    }

    #[test]
    fn of_ranges_that_overlap_the_one_added_first_counts() {
        let facts = facts(&[
            ("192.0.2.64", "192.0.2.127", country("DE")),
            ("192.0.2.0", "192.0.2.255", country("FR")),
            ("192.0.2.100", "192.0.3.0", country("JP")),
        ]);
        let codes = ["192.0.2.1", "192.0.2.64", "192.0.2.127", "192.0.2.128", "192.0.3.0", "192.0.3.1"];
        assert_eq!(codes.map(|address| code(&facts, address)), ["FR", "DE", "DE", "FR", "JP", "-"]);
    }

    #[test]
    fn a_country_tells_its_continent() {
        let facts = facts(&[("192.0.2.0", "192.0.2.255", country("DE"))]);
        let record = facts.of("192.0.2.1".parse().unwrap());
        assert_eq!(record.continent, Some(Continent::Europe));
        assert!(facts.knows().continent && !facts.knows().coordinates);
    }

    #[test]
    fn of_each_fact_the_first_database_that_knows_it_counts() {
        let spot = Spot::new(48.1, 11.6);
        let city = Record { spot, ..country("DE") };
        let asn = Record { asn: Some(64500), ..Record::default() };
        let layered = Facts::layered(
            [
                facts(&[
                    ("192.0.2.0", "192.0.2.127", country("DE")),
                    ("198.51.100.0", "198.51.100.255", country("FR")),
                ]),
                facts(&[("192.0.2.0", "192.0.2.255", city), ("198.51.100.0", "198.51.100.255", city)]),
                facts(&[("192.0.2.0", "192.0.2.63", asn)]),
            ]
            .map(Arc::new),
        );
        let of = |address: &str| *layered.of(address.parse().unwrap());
        assert_eq!((of("192.0.2.1").spot, of("192.0.2.1").asn), (spot, Some(64500)));
        assert_eq!((of("192.0.2.64").spot, of("192.0.2.64").asn), (spot, None));
        assert_eq!(of("192.0.2.200").country, city.country);
        assert_eq!(of("198.51.100.1").spot, None, "coordinates of another country do not count");
    }

    #[test]
    fn coordinates_that_are_nowhere_are_unknown() {
        for (latitude, longitude) in [(91.0, 0.0), (0.0, -180.1), (f64::NAN, 0.0), (0.0, f64::INFINITY)] {
            assert_eq!(Spot::new(latitude, longitude), None);
        }
        let spot = Spot::new(-33.8591, 151.2002).expect("Sydney").coordinates();
        assert_eq!((spot.latitude, spot.longitude), (-33.8591, 151.2002));
    }
}
