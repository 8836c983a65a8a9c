//! Databases of every form; the damaged ones have a file of their own.

mod damaged;

use std::net::IpAddr;

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
        assert_eq!(cities(record_bits).bits_needed(), Some(24));
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
fn a_record_above_the_ipv4_part_is_that_of_all_ipv4() {
    let mut writer = Writer::new(24, 6, "GeoLite2-Country", BUILT);
    writer.insert(net("::/1"), &Value::Map(vec![("country", code("DE"))]));
    let (_, facts) = read_bytes(&writer.bytes()).expect("a good database");
    let codes = ["0.0.0.0", "255.255.255.255", "7fff::1", "8000::1"];
    assert_eq!(codes.map(|address| country(&facts, address)), ["DE", "DE", "DE", "-"]);
}

#[test]
fn the_first_and_the_last_address_of_each_family_are_read() {
    let mut writer = Writer::new(24, 6, "GeoLite2-Country", BUILT);
    let ends =
        ["0.0.0.0/32", "255.255.255.255/32", "8000::/128", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128"];
    for end in ends.map(net) {
        writer.insert(end, &Value::Map(vec![("country", code("DE"))]));
    }
    let (database, facts) = read_bytes(&writer.bytes()).expect("a good database");
    assert_eq!(database.networks, 4);
    assert!(ends.iter().all(|end| country(&facts, &net(end).addr().to_string()) == "DE"));
    assert_eq!(["0.0.0.1", "255.255.255.254", "8000::1"].map(|address| country(&facts, address)), ["-"; 3]);
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
fn dbip_names_subdivisions_without_codes() {
    let mut writer = Writer::new(24, 6, "DBIP-City-Lite", BUILT);
    let named = Value::Map(vec![("names", Value::Map(vec![("en", text("Bavaria"))]))]);
    let record = vec![
        ("city", Value::Map(vec![("names", Value::Map(vec![("en", text("Munich"))]))])),
        ("continent", Value::Map(vec![("code", text("EU")), ("geoname_id", Value::Whole(6_255_148))])),
        ("country", code("DE")),
        ("location", Value::Map(vec![("latitude", Value::Number(48.1)), ("longitude", Value::Number(11.6))])),
        ("subdivisions", Value::List(vec![named])),
    ];
    writer.insert(net("192.0.2.0/24"), &Value::Map(record));
    let (database, facts) = read_bytes(&writer.bytes()).expect("a good database");
    assert_eq!(country(&facts, "192.0.2.1"), "DE");
    assert_eq!(database.lacks(), ["subdivisions", "ASNs"]);
}

#[test]
fn codes_of_countries_that_are_none_are_unknown() {
    let mut writer = Writer::new(24, 4, "GeoLite2-Country", BUILT);
    let record = vec![("country", code("EU")), ("registered_country", code("FR"))];
    writer.insert(net("192.0.2.0/24"), &Value::Map(record));
    let (_, facts) = read_bytes(&writer.bytes()).expect("a good database");
    assert_eq!(country(&facts, "192.0.2.1"), "FR");
    let (_directory, path) = file("geoip", b"1.0.0.0,1.0.0.255,EU\n1.0.1.0,1.0.1.255,DE\n");
    let (_, facts) = read(&path).expect("good ranges");
    assert_eq!(["1.0.0.1", "1.0.1.1"].map(|address| country(&facts, address)), ["-", "DE"]);
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
fn what_is_no_database_is_told_with_what_to_do() {
    for (bytes, says) in [
        (&b""[..], "neither an .mmdb file"),
        (b"# only comments\n", "neither an .mmdb file"),
        (b"\n\n", "neither an .mmdb file"),
        (b"\x1f\x8b\x08\x00", "it is compressed: unpack it"),
        (b"PK\x03\x04", "it is compressed: unpack it"),
        (b"\n<!DOCTYPE html><html>Sign in", "it is a web page"),
        (b"\0\0\x01\0\0\x02", "or it is cut off: download it again"),
    ] {
        let error = read_bytes(bytes).expect_err("no database").to_string();
        assert!(error.contains(says), "{error}");
    }
    let error = read(Path::new("no/such.mmdb")).expect_err("missing").to_string();
    assert!(
        error.contains("no/such.mmdb cannot be used: there is no such file; Debian's package"),
        "{error}"
    );
    assert!(read(Path::new("/dev/null")).expect_err("a device").to_string().contains("no regular file"));
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
    put("usr/share/GeoIP/dbip-asn-lite-2026-05.mmdb");
    let dated = put("usr/share/GeoIP/dbip-asn-lite-2026-06.mmdb");
    put("usr/share/GeoIP/dbip-asn-lite-2026-07.mmdb.part");
    fs::remove_file(&asn).expect("it was there");
    assert_eq!(usual(root.path()), [city.clone(), dated.clone()]);
    assert!([text, dated, city].iter().all(|path| candidates(root.path()).contains(path)));
}
