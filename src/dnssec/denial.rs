//! NSEC records made for one question (RFC 4034 section 4, RFC 4470, RFC 9824): that a name has certain types and no
//! more, and that there is nothing between it and the next name there could be.

/// The window blocks of NSEC for these types, which are sorted.
pub fn bitmap(types: &[u16], octets: &mut Vec<u8>) {
    for window in types.chunk_by(|a, b| a >> 8 == b >> 8) {
        let mut bits = [0u8; 32];
        let mut length = 0;
        for rtype in window {
            let at = usize::from(rtype & 0xFF);
            bits[at / 8] |= 0x80 >> (at % 8);
            length = at / 8 + 1;
        }
        octets.push((window[0] >> 8) as u8);
        octets.push(length as u8);
        octets.extend(&bits[..length]);
    }
}

/// Writes the name that comes next after a name in canonical order (RFC 4034 section 6.1), so that no name of the zone
/// with this apex is between them; behind the last name there can be, the apex. Both in lower case, in wire form.
pub fn just_after(name: &[u8], apex: &[u8], octets: &mut Vec<u8>) {
    if name.len() + 2 <= NAME_MAX {
        // A child whose label is one zero octet.
        octets.extend([1, 0]);
        return octets.extend(name);
    }
    // No room below: the first name beside it, or beside the first of those above it that has any.
    let mut name = name;
    while name != apex {
        let label = usize::from(name.first().copied().unwrap_or_default());
        let Some((own, above)) = name.split_at_checked(1 + label).filter(|_| label > 0) else { break };
        if label < LABEL_MAX && name.len() < NAME_MAX {
            // The same label and a zero octet.
            octets.push(own[0] + 1);
            octets.extend(&own[1..]);
            octets.push(0);
            return octets.extend(above);
        }
        // The next label of the same length or less.
        let all_but_highest = own[1..].iter().rposition(|octet| *octet != u8::MAX);
        if let Some(last) = all_but_highest {
            octets.push(last as u8 + 1);
            octets.extend(&own[1..1 + last]);
            // Upper case counts as lower case, so what comes after `@` is `[`.
            octets.push(if own[1 + last] == b'@' { b'[' } else { own[1 + last] + 1 });
            return octets.extend(above);
        }
        name = above;
    }
    octets.extend(apex);
}

/// Octets of the longest name and the longest label (RFC 1035 section 2.3.4).
const NAME_MAX: usize = 255;
const LABEL_MAX: usize = 63;

#[cfg(test)]
mod tests {
    use domain::base::Name;
    use domain::base::iana::Rtype;
    use domain::base::name::ToName;
    use domain::rdata::dnssec::RtypeBitmap;
    use proptest::collection::{btree_set, vec};
    use proptest::prelude::*;
    use std::cmp::Ordering;

    use super::*;

    fn after(name: &[u8]) -> Vec<u8> {
        let mut octets = Vec::new();
        just_after(name, b"\0", &mut octets);
        octets
    }

    /// A name of 255 octets with this first label.
    fn longest(first: &[u8]) -> Vec<u8> {
        let mut name = [&[first.len() as u8], first].concat();
        while name.len() + 65 <= NAME_MAX {
            name.push(63);
            name.extend([b'b'; 63]);
        }
        let rest = NAME_MAX - 1 - name.len();
        if rest > 1 {
            name.push(rest as u8 - 1);
            name.extend(vec![b'c'; rest - 1]);
        }
        name.push(0);
        assert_eq!(name.len(), NAME_MAX);
        name
    }

    #[test]
    fn rfc_9824_section_3_1_the_next_name_is_a_child_of_one_zero_octet() {
        assert_eq!(after(b"\x01a\x03org\0"), b"\x01\0\x01a\x03org\0");
    }

    #[test]
    fn rfc_4470_section_3_1_2_there_is_a_next_name_even_for_the_longest() {
        for (last, label) in [(b'x', 63), (b'@', 63), (0xFF, 63), (b'x', 10)] {
            let name = longest(&[&vec![b'a'; label - 1][..], &[last]].concat());
            let next = after(&name);
            let (name, next) =
                (Name::from_slice(&name).expect("a name"), Name::from_slice(&next).expect("a name"));
            assert_eq!(name.name_cmp(next), Ordering::Less);
        }
    }

    #[test]
    fn after_the_last_name_below_another_comes_one_beside_that_and_at_the_end_the_apex() {
        let name = longest(&[0xFF; 6]);
        let above = &name[7..];
        let beside = [&[63][..], &[b'b'; 62], b"c", &above[64..]].concat();
        assert_eq!(after(&name), beside);
        let (one, other) =
            (Name::from_slice(&name).expect("a name"), Name::from_slice(&beside).expect("a name"));
        assert_eq!(one.name_cmp(other), Ordering::Less);
        for apex in [above, &name] {
            let mut octets = Vec::new();
            just_after(&name, apex, &mut octets);
            assert_eq!(octets, apex);
        }
    }

    proptest! {
        #[test]
        fn bitmaps_hold_the_types_they_are_made_of(types in btree_set(1..u16::MAX, 1..30)) {
            let types: Vec<u16> = types.into_iter().collect();
            let mut octets = Vec::new();
            bitmap(&types, &mut octets);
            let known = RtypeBitmap::from_octets(octets).expect("a bitmap");
            prop_assert_eq!(known.iter().map(Rtype::to_int).collect::<Vec<_>>(), types);
        }

        #[test]
        fn the_next_name_comes_after_and_nothing_usual_is_between(
            labels in vec(vec(any::<u8>(), 1..20), 1..6),
            other in vec(vec(any::<u8>(), 1..20), 1..6),
        ) {
            let wire = |labels: &[Vec<u8>]| {
                let mut name: Vec<u8> = labels.iter().flat_map(|label| {
                    [&[label.len() as u8], &**label].concat()
                }).collect();
                name.push(0);
                name.make_ascii_lowercase();
                name
            };
            let (name, other) = (wire(&labels), wire(&other));
            let next = after(&name);
            let [name, next, other] = [&name, &next, &other].map(|name| Name::from_slice(name).expect("a name"));
            prop_assert_eq!(name.name_cmp(next), Ordering::Less);
            let between = name.name_cmp(other) == Ordering::Less && other.name_cmp(next) == Ordering::Less;
            prop_assert!(!between, "{name} < {other} < {next}");
        }
    }
}
