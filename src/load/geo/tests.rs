//! Databases of every form, good and damaged.

use std::net::IpAddr;

use proptest::prelude::*;

use super::writer::{Value, Writer};
use super::*;
use crate::geo::facts::Record;

const BUILT: u64 = 1_790_000_000;

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

fn code(code: &str) -> Value {
    Value::Map(vec![("geoname_id", Value::Whole(7)), ("iso_code", text(code))])
}

/// As MaxMind and DB-IP write a city.
fn city(continent: &str, country: &str, part: &str, at: (f64, f64)) -> Value {
    let location = vec![
        ("accuracy_radius", Value::Whole(20)),
        ("latitude", Value::Number(at.0)),
        ("longitude", Value::Number(at.1)),
    ];
    Value::Map(vec![
        ("city", Value::Map(vec![("names", Value::Map(vec![("en", text("Somewhere"))]))])),
        ("continent", Value::Map(vec![("code", text(continent))])),
        ("country", code(country)),
        ("location", Value::Map(location)),
        ("subdivisions", Value::List(vec![code(part)])),
    ])
}

fn file(name: &str, bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join(name);
    fs::write(&path, bytes).expect("a file");
    (directory, path)
}

fn read_bytes(bytes: &[u8]) -> Result<(Database, Facts), Unusable> {
    let (_directory, path) = file("some.mmdb", bytes);
    read(&path)
}

fn of(facts: &Facts, address: &str) -> Record {
    *facts.of(address.parse::<IpAddr>().expect("a test writes good addresses"))
}

fn country(facts: &Facts, address: &str) -> String {
    of(facts, address).country.map_or("-".into(), |country| country.to_string())
}

fn net(net: &str) -> ipnet::IpNet {
    net.parse().expect("a test writes good prefixes")
}

/// A small database for both families.
fn cities(record_bits: u16) -> Writer {
    let mut writer = Writer::new(record_bits, 6, "GeoLite2-City", BUILT);
    writer.insert(net("192.0.2.0/24"), &city("EU", "DE", "BY", (48.14, 11.58)));
    writer.insert(net("192.0.2.128/25"), &city("EU", "DE", "BE", (52.52, 13.4)));
    writer.insert(net("198.51.100.7/32"), &city("NA", "US", "CA", (37.77, -122.42)));
    writer.insert(net("2001:db8::/32"), &city("OC", "AU", "NSW", (-33.86, 151.2)));
    writer
}

#[test]
fn every_size_of_records_is_read_alike() {
    for record_bits in [24, 28, 32] {
        let (database, facts) = read_bytes(&cities(record_bits).bytes()).expect("a good database");
        assert_eq!((database.kind.as_str(), database.networks), ("GeoLite2-City", 4));
        assert_eq!(
            of(&facts, "192.0.2.1").subdivisions[0].map(|part| part.to_string()).as_deref(),
            Some("DE-BY")
        );
        assert_eq!(of(&facts, "192.0.2.200").spot.map(|spot| spot.coordinates().latitude), Some(52.52));
        assert_eq!(country(&facts, "198.51.100.7"), "US");
        assert_eq!(country(&facts, "198.51.100.8"), "-");
        assert_eq!(country(&facts, "2001:db8:1::"), "AU");
        assert_eq!(database.lacks(), ["ASNs"]);
    }
}

#[test]
fn a_database_may_be_for_ipv4_alone_or_for_ipv6_alone() {
    let mut v4 = Writer::new(24, 4, "GeoLite2-Country", BUILT);
    v4.insert(net("192.0.2.0/24"), &Value::Map(vec![("country", code("DE"))]));
    let (_, facts) = read_bytes(&v4.bytes()).expect("a good database");
    assert_eq!((country(&facts, "192.0.2.1"), country(&facts, "2001:db8::1")), ("DE".into(), "-".into()));
    let mut v6 = Writer::new(24, 6, "GeoLite2-Country", BUILT);
    v6.insert(net("2001:db8::/32"), &Value::Map(vec![("country", code("AU"))]));
    let (_, facts) = read_bytes(&v6.bytes()).expect("a good database");
    assert_eq!((country(&facts, "192.0.2.1"), country(&facts, "2001:db8::1")), ("-".into(), "AU".into()));
}

#[test]
fn aliases_of_ipv4_are_not_read_twice() {
    let mut writer = cities(28);
    writer.alias();
    let (database, facts) = read_bytes(&writer.bytes()).expect("a good database");
    assert_eq!(database.networks, 4);
    assert_eq!(country(&facts, "192.0.2.1"), "DE");
}

#[test]
fn an_asn_database_knows_asns() {
    let mut writer = Writer::new(24, 6, "GeoLite2-ASN", BUILT);
    let record = vec![
        ("autonomous_system_number", Value::Whole(64500)),
        ("autonomous_system_organization", text("Example")),
    ];
    writer.insert(net("192.0.2.0/24"), &Value::Map(record));
    let (database, facts) = read_bytes(&writer.bytes()).expect("a good database");
    assert_eq!(of(&facts, "192.0.2.1").asn, Some(64500));
    assert_eq!(database.lacks(), ["continents", "countries", "subdivisions", "coordinates"]);
}

#[test]
fn ipinfo_writes_plain_texts() {
    let mut writer = Writer::new(24, 6, "ipinfo location", BUILT);
    let location = vec![
        ("city", text("San Francisco")),
        ("region", text("California")),
        ("region_code", text("CA")),
        ("country", text("US")),
        ("lat", text("37.77")),
        ("lng", text("-122.42")),
    ];
    writer.insert(net("192.0.2.0/24"), &Value::Map(location));
    let lite = vec![
        ("asn", text("AS64500")),
        ("country", text("Germany")),
        ("country_code", text("DE")),
        ("continent", text("Europe")),
        ("continent_code", text("EU")),
    ];
    writer.insert(net("198.51.100.0/24"), &Value::Map(lite));
    let (_, facts) = read_bytes(&writer.bytes()).expect("a good database");
    let record = of(&facts, "192.0.2.1");
    assert_eq!(record.subdivisions[0].map(|part| part.to_string()).as_deref(), Some("US-CA"));
    assert_eq!(record.spot.map(|spot| spot.coordinates().longitude), Some(-122.42));
    assert_eq!((country(&facts, "198.51.100.1"), of(&facts, "198.51.100.1").asn), ("DE".into(), Some(64500)));
}

#[test]
fn odd_fields_are_unknown_and_the_others_count() {
    let mut writer = Writer::new(24, 4, "GeoLite2-City", BUILT);
    let record = vec![
        ("continent", Value::List(vec![])),
        ("country", Value::Whole(49)),
        ("registered_country", code("de")),
        ("location", text("Bavaria")),
        ("subdivisions", Value::Map(vec![])),
        ("traits", Value::Map(vec![("is_anycast", Value::Whole(1))])),
    ];
    writer.insert(net("192.0.2.0/24"), &Value::Map(record));
    let (_, facts) = read_bytes(&writer.bytes()).expect("a good database");
    assert_eq!(country(&facts, "192.0.2.1"), "DE");
    assert_eq!(of(&facts, "192.0.2.1").spot, None);
}

#[test]
fn a_database_of_something_else_is_told_so() {
    let mut writer = Writer::new(24, 4, "GeoIP2-Anonymous-IP", BUILT);
    writer.insert(net("192.0.2.0/24"), &Value::Map(vec![("is_tor_exit_node", Value::Whole(1))]));
    let error = read_bytes(&writer.bytes()).expect_err("it tells nothing");
    assert!(error.to_string().contains("neither places nor ASNs"), "{error}");
}

#[test]
fn text_ranges_are_read_with_the_file_beside_them() {
    let v4 = "# Generated: Thu, 25 Jun 2026 04:33:59 GMT\n#\n3221225984,3221226239,DE\n198.51.100.0,198.51.100.255,US\n3405803776,3405804031,??\n";
    let (directory, path) = file("geoip", v4.as_bytes());
    fs::write(directory.path().join("geoip6"), "2001:db8::,2001:db8:ffff:ffff:ffff:ffff:ffff:ffff,AU\n")
        .expect("a file");
    let (database, facts) = read(&path).expect("good ranges");
    assert_eq!(database.networks, 4);
    let codes = ["192.0.2.0", "192.0.2.255", "192.0.3.0", "198.51.100.9", "203.0.113.1", "2001:db8::1"];
    assert_eq!(codes.map(|address| country(&facts, address)), ["DE", "DE", "-", "US", "-", "AU"]);
    let age = database.age(httpdate::parse_http_date("Sat, 27 Jun 2026 04:33:59 GMT").expect("a date"));
    assert_eq!(age, Some(2 * DAY));
}

#[test]
fn a_range_that_is_none_is_told_with_its_line() {
    for (line, says) in [
        ("3221225984,3221226239", "line 2: no range"),
        ("2,1,DE", "line 2: no range"),
        ("1,::1,DE", "line 2: no range"),
        ("nonsense", "line 2: no range"),
        ("\u{fffd}", "line 2: no range"),
    ] {
        let (_directory, path) = file("geoip", format!("1,2,DE\n{line}\n").as_bytes());
        let error = read(&path).expect_err("a bad line").to_string();
        assert!(error.contains(says), "{error}");
    }
    let (_directory, path) = file("geoip", b"1,2,DE\n\xff\xfe\n");
    assert!(read(&path).expect_err("no text").to_string().contains("line 2: it is no text"));
}

#[test]
fn what_is_no_database_is_told_so() {
    for bytes in [&b""[..], b"# only comments\n", b"\n\n"] {
        assert!(read_bytes(bytes).expect_err("no database").to_string().contains("neither an .mmdb file"));
    }
    assert!(read(Path::new("no/such.mmdb")).expect_err("missing").to_string().contains("no/such.mmdb"));
    assert!(read(Path::new("/dev/null")).expect_err("a device").to_string().contains("no regular file"));
}

/// The octets of a node of [`cities`] with records of 24 bits.
const NODE: usize = 6;

#[test]
fn a_tree_that_leads_back_into_itself_is_corrupt() {
    let mut bytes = cities(24).bytes();
    bytes[..NODE].copy_from_slice(&[0; NODE]); // the first node is its own child, twice
    assert!(read_bytes(&bytes).is_err());
    // each node is both children of the one before it: 2^100 networks
    let mut writer = cities(24);
    let deep = "2001:db8::1/128";
    writer.insert(net(deep), &text("x"));
    let mut bytes = writer.bytes();
    for node in 0..120u32 {
        let [_, a, b, c] = (node + 1).to_be_bytes();
        bytes[node as usize * NODE..][..NODE].copy_from_slice(&[a, b, c, a, b, c]);
    }
    assert!(read_bytes(&bytes).is_err());
}

#[test]
fn a_record_that_points_to_itself_is_corrupt() {
    let mut bytes = cities(24).bytes();
    let mark = bytes.windows(11).rposition(|window| window == b"MaxMind.com").expect("metadata");
    let data = bytes.windows(16).position(|window| window == [0; 16]).expect("a separator") + 16;
    bytes[data] = 0b0010_0000; // a pointer, to the offset in the next octet
    bytes[data + 1] = 0;
    assert!(data < mark);
    assert!(read_bytes(&bytes).is_err());
}

#[test]
fn a_text_that_is_no_utf_8_is_corrupt() {
    let mut bytes = cities(24).bytes();
    let place = bytes.windows(2).position(|window| window == b"DE").expect("a country");
    bytes[place] = 0xff;
    assert!(read_bytes(&bytes).is_err());
}

#[test]
fn a_file_cut_off_anywhere_is_no_database() {
    let whole = cities(28).bytes();
    for length in 0..whole.len() {
        assert!(read_bytes(&whole[..length]).is_err(), "{length} of {} octets", whole.len());
    }
}

#[test]
fn the_database_of_debians_package_is_read() {
    let (database, facts) =
        read(Path::new("/usr/share/tor/geoip")).expect("tools/install installs tor-geoipdb");
    assert!(database.networks > 100_000 && database.bytes > 1_000_000, "{database:?}");
    assert!(database.built.is_some() && facts.knows().country);
    assert_eq!(database.lacks(), ["subdivisions", "coordinates", "ASNs"]);
}

#[test]
fn the_usual_paths_are_looked_at_best_first() {
    let root = tempfile::tempdir().expect("a directory");
    assert_eq!(usual(root.path()), [] as [PathBuf; 0]);
    let put = |path: &str| {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
        fs::write(&path, "").expect("a file");
        path
    };
    let text = put("usr/share/tor/geoip");
    assert_eq!(usual(root.path()), std::slice::from_ref(&text));
    let (asn, country) =
        (put("var/lib/GeoIP/GeoLite2-ASN.mmdb"), put("usr/share/GeoIP/GeoLite2-Country.mmdb"));
    assert_eq!(usual(root.path()), [country, asn.clone()]);
    let city = put("usr/share/GeoIP/GeoLite2-City.mmdb");
    assert_eq!(usual(root.path()), [city.clone(), asn.clone()]);
    assert!([text, asn, city].iter().all(|path| candidates(root.path()).contains(path)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn no_damage_makes_it_panic_or_run_away(
        record_bits in prop::sample::select(vec![24, 28, 32]),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = cities(record_bits).bytes();
        for (place, octet) in damage {
            let place = place.index(bytes.len());
            bytes[place] = octet;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let _ = read_bytes(&bytes);
    }
}
