//! Whatever is asked: an answer, soon, the same in any case.

use proptest::prelude::*;

use crate::answer::tests::world::{show, snapshot};
use crate::answer::trace::{How, Trace};
use crate::answer::{Client, Proof, Query, answer};
use crate::snapshot::Snapshot;
use crate::steering;

const ZONE: &str = "
$TTL 1h
@ SOA ns h 1 2 3 4 5
@ NS ns
ns A 192.0.2.1
*.a CNAME b.a.a
b.a.a CNAME x.c
c DNAME a
*.d CNAME a.d.d.e
e DNAME d
g NS ns
*.h A 192.0.2.1
";

/// Counts the names that are looked up.
#[derive(Default)]
struct Count(usize);

impl Trace for Count {
    fn found(&mut self, _: &[u8], _: How<'_>) {
        self.0 += 1;
    }
}

impl steering::Trace for Count {
    fn step(&mut self, _: steering::Step) {}
}

/// A name in wire form of at most 255 octets: any octets, or labels of the zone.
fn names() -> impl Strategy<Value = Vec<u8>> {
    let octets = prop::collection::vec(any::<u8>(), 1..=63);
    let known = prop::sample::select(vec!["a", "b", "c", "d", "e", "g", "h", "ns", "*", "A", "x"]);
    let label = prop_oneof![1 => octets, 6 => known.prop_map(|label| label.as_bytes().to_vec())];
    (prop::collection::vec(label, 0..130), any::<bool>()).prop_map(|(labels, ours)| {
        let end: &[u8] = if ours { b"\x01t\x00" } else { b"\x00" };
        let mut name = Vec::new();
        for label in labels {
            if name.len() + 1 + label.len() + end.len() <= 255 {
                name.push(label.len() as u8);
                name.extend(label);
            }
        }
        [&name, end].concat()
    })
}

fn asked(world: &Snapshot, name: &[u8], qtype: u16) -> (String, usize) {
    let client = Client::at([192, 0, 2, 1].into());
    let mut count = Count::default();
    let said = answer(&Query { name, qtype, client, draw: 1, proof: Proof::default() }, world, &mut count);
    (show(&said, name), count.0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn every_name_and_type_is_answered_in_bounded_steps_and_alike_in_any_case(
        name in names(),
        qtype in prop_oneof![any::<u16>(), prop::sample::select(vec![1u16, 2, 5, 39, 43, 255])],
    ) {
        thread_local!(static WORLD: Snapshot = snapshot(&[("t", ZONE)], ""));
        WORLD.with(|world| {
            let (answer, steps) = asked(world, &name, qtype);
            prop_assert!(steps <= 17, "{steps} steps");
            let (upper, _) = asked(world, &name.to_ascii_uppercase(), qtype);
            prop_assert_eq!(answer.to_ascii_lowercase(), upper.to_ascii_lowercase());
            Ok(())
        })?;
    }
}
