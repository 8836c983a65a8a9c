//! Damaged databases: each is told to be of no use, soon, and on a small stack.
//!
//! ```text
//!   search tree   loops, too deep, out of bounds
//!   records       point to themselves or nowhere, nest, claim absurd sizes, are no UTF-8
//!   metadata      missing, lying, absurd
//!   all of it     cut off anywhere, octets changed anywhere
//! ```

use maxminddb::Reader;
use proptest::prelude::*;

use super::*;

/// Reads as every load does, but with a quarter of the stack that a thread usually has, in a build that uses much
/// more of it than the one which is shipped.
fn read_on_a_small_stack(bytes: &[u8]) -> Result<Facts, String> {
    let read = || mmdb::read(Path::new("some.mmdb"), bytes).map(|(_, facts)| facts);
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(512 * 1024).spawn_scoped(scope, read);
        thread.expect("a thread").join().expect("no panic")
    })
}

fn refused(bytes: &[u8]) -> String {
    read_on_a_small_stack(bytes).expect_err("it is damaged")
}

/// A database with one record, which is the first of its data section.
fn with_record(value: Value) -> Vec<u8> {
    let mut writer = Writer::new(24, 4, "GeoLite2-City", BUILT);
    writer.insert(net("192.0.2.0/24"), &value);
    writer.bytes()
}

fn with_country(raw: &[u8]) -> Vec<u8> {
    with_record(Value::Map(vec![("country", Value::Raw(raw.to_vec()))]))
}

/// A database of which each node was replaced: from its number and how many there are to its targets.
fn with_nodes(targets: impl Fn(u32, u32) -> [u32; 2]) -> Vec<u8> {
    let mut writer = Writer::new(24, 6, "GeoLite2-City", BUILT);
    for net in ["2001:db8::1/128", "2001:db8:8000::/128", "192.0.2.0/32"].map(net) {
        writer.insert(net, &Value::Raw(b"\xe1\x47country\x42DE".to_vec()));
    }
    let mut bytes = writer.bytes();
    let nodes = Reader::from_source(bytes.as_slice()).expect("a good database").metadata().node_count;
    for (number, node) in (0..nodes).zip(bytes.chunks_exact_mut(6)) {
        let [[_, a, b, c], [_, d, e, f]] = targets(number, nodes).map(u32::to_be_bytes);
        node.copy_from_slice(&[a, b, c, d, e, f]);
    }
    bytes
}

#[test]
fn a_node_that_is_its_own_child_is_a_loop() {
    let error = refused(&with_nodes(|_, _| [0, 0]));
    assert!(error.contains("deeper than addresses: it is damaged, download it again"), "{error}");
}

#[test]
fn a_few_nodes_cannot_make_many_networks() {
    let error = refused(&with_nodes(|number, nodes| match number {
        0..100 => [number + 1; 2],
        _ => [nodes + 16; 2], // the first record: 2^100 networks of it
    }));
    assert!(error.contains("its search tree has loops"), "{error}");
}

#[test]
fn a_few_nodes_cannot_make_us_look_for_networks_where_there_are_none() {
    let nowhere = with_nodes(|number, nodes| if number < 100 { [number + 1; 2] } else { [nodes; 2] });
    assert!(refused(&nowhere).contains("its search tree has loops"));
    let all_is_ipv4 = with_nodes(|number, nodes| match number {
        0 => [200, 1],
        1..100 => [number + 1; 2],
        200..295 => [number + 1, nodes],
        _ => [nodes; 2],
    });
    assert!(refused(&all_is_ipv4).contains("its search tree has loops"));
}

#[test]
fn a_target_beyond_the_records_is_refused() {
    refused(&with_nodes(|_, _| [0xff_ffff; 2]));
    refused(&with_nodes(|_, nodes| [nodes + 1; 2])); // between the tree and the records
}

#[test]
fn pointers_that_lead_nowhere_or_back_are_refused() {
    const TO_ITSELF: [u8; 2] = [0x20, 0];
    const BEYOND: [u8; 5] = [0x38, 0x7f, 0xff, 0xff, 0xff];
    const CUT_OFF: [u8; 1] = [0x38];
    for raw in [&TO_ITSELF[..], &BEYOND, &CUT_OFF] {
        refused(&with_record(Value::Raw(raw.to_vec())));
        refused(&with_country(raw));
    }
    // each to the next, and the last back to the first
    let ring = |places: u16| {
        let next = (0..places).flat_map(|place| {
            let [high, low] = (2 * ((place + 1) % places)).to_be_bytes();
            [0x20 | high, low]
        });
        Value::Raw(next.collect())
    };
    for places in [2, 3, 1000] {
        refused(&with_record(ring(places)));
    }
}

#[test]
fn records_that_nest_without_end_are_refused() {
    // {"country": the record itself}
    refused(&with_record(Value::Raw(b"\xe1\x47country\x20\x00".to_vec())));
    // lists and maps in one another: of a field that is looked at, and of one that is not
    for name in [&b"subdivisions"[..], b"traits"] {
        for nest in [&b"\x01\x04"[..], b"\xe1\x44code", b"\xe1\x48iso_code"] {
            let mut raw = vec![0xe1, 0x40 | name.len() as u8];
            raw.extend(name);
            raw.extend(nest.repeat(100_000));
            refused(&with_record(Value::Raw(raw)));
        }
    }
}

#[test]
fn absurd_sizes_are_refused() {
    const TEXT_OF_16_MIB: [u8; 4] = [0x5f, 0xff, 0xff, 0xff];
    const MAP_OF_16_MILLION: [u8; 4] = [0xff, 0xff, 0xff, 0xff];
    const LIST_OF_16_MILLION: [u8; 5] = [0x1f, 0x04, 0xff, 0xff, 0xff];
    const DOUBLE_OF_3: [u8; 4] = [0x63, 0, 0, 0];
    const NUMBER_OF_9: [u8; 11] = [0x09, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    const UNKNOWN_TYPE: [u8; 2] = [0x01, 0xff];
    for raw in [
        &TEXT_OF_16_MIB[..],
        &MAP_OF_16_MILLION,
        &LIST_OF_16_MILLION,
        &DOUBLE_OF_3,
        &NUMBER_OF_9,
        &UNKNOWN_TYPE,
    ] {
        refused(&with_record(Value::Raw(raw.to_vec())));
        refused(&with_country(raw));
    }
}

#[test]
fn a_record_that_unfolds_into_far_more_than_it_is_is_refused_or_passed_over() {
    // thirty lists, each of two pointers to the one before it: 2^30 values
    let mut raw = b"\x02\x04\x40\x40".to_vec();
    let mut before = 0_u16;
    for _ in 0..30 {
        let here = raw.len() as u16;
        let [high, low] = before.to_be_bytes();
        raw.extend([0x02, 0x04, 0x20 | high, low, 0x20 | high, low]);
        before = here;
    }
    let [high, low] = before.to_be_bytes();
    let mut writer = Writer::new(24, 4, "GeoLite2-City", BUILT);
    writer.insert(net("192.0.2.0/24"), &Value::Raw(raw));
    for name in ["subdivisions", "traits"] {
        let fields = vec![("country", code("DE")), (name, Value::Raw(vec![0x20 | high, low]))];
        writer.insert(net("192.0.2.0/24"), &Value::Map(fields));
        let facts = read_on_a_small_stack(&writer.bytes()).expect("what is not looked at does no harm");
        assert_eq!(country(&facts, "192.0.2.1"), "DE");
    }
}

#[test]
fn a_text_that_is_no_utf_8_is_refused() {
    refused(&with_country(b"\x42\xff\xfe"));
    refused(&with_record(Value::Raw(b"\xe1\x42\xff\xfe\x42DE".to_vec())));
}

#[test]
fn metadata_that_lie_are_refused() {
    let whole = cities(24).bytes();
    let after = |name: &[u8]| {
        whole.windows(name.len()).rposition(|window| window == name).expect("metadata") + name.len()
    };
    for (name, octets) in [
        (&b"node_count"[..], &[0xc1, 0xff][..]), // other than there are
        (b"node_count", &[0xc0]),                // none, and what follows is askew
        (b"record_size", &[0xa1, 25]),
        (b"record_size", &[0xa1, 32]), // the tree would reach into the metadata, or beyond
        (b"ip_version", &[0xa1, 5]),
        (b"binary_format_major_version", &[0xa1, 3]),
        (b"build_epoch", &[0x08, 0x02, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        (b"database_type", &[0x5f, 0xff, 0xff, 0xff]),
        (b"languages", &[0x1f, 0x04, 0xff, 0xff, 0xff]),
        (b"description", &[0xff, 0xff, 0xff, 0xff]),
    ] {
        let mut bytes = whole.clone();
        let at = after(name);
        bytes.splice(at..at + octets.len(), octets.iter().copied());
        refused(&bytes);
    }
}

#[test]
fn a_file_cut_off_anywhere_is_no_database() {
    let whole = cities(28).bytes();
    for length in 0..whole.len() {
        let error = read_bytes(&whole[..length]).expect_err("cut off").to_string();
        assert!(error.contains("download it again"), "{length} of {} octets: {error}", whole.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_damage_makes_it_panic_or_run_away(
        record_bits in prop::sample::select(vec![24, 28, 32]),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        cut in prop::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        let mut writer = cities(record_bits);
        writer.alias();
        let mut bytes = writer.bytes();
        for (place, octet) in damage {
            let place = place.index(bytes.len());
            bytes[place] = octet;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let _ = mmdb::read(Path::new("some.mmdb"), &bytes);
    }
}
