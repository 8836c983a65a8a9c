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

/// Writes the name that comes next after a name in canonical order (RFC 4034 section 6.1), so that no name is
/// between them. `name` is in lower case, in wire form, below the apex of a zone if there is no room below it.
pub fn just_after(name: &[u8], octets: &mut Vec<u8>) {
    let label = usize::from(name.first().copied().unwrap_or_default());
    if name.len() + 2 <= NAME_MAX {
        // A child whose label is one zero octet.
        octets.extend([1, 0]);
        octets.extend(name);
    } else if label < LABEL_MAX && name.len() < NAME_MAX {
        // No room below: the same label and a zero octet.
        octets.push(label as u8 + 1);
        octets.extend(&name[1..=label]);
        octets.push(0);
        octets.extend(&name[1 + label..]);
    } else {
        // No room beside it either: the next label of the same length or less.
        let mut octets_of_label = name[1..=label].to_vec();
        while octets_of_label.last() == Some(&u8::MAX) {
            octets_of_label.pop();
        }
        if let Some(last) = octets_of_label.last_mut() {
            // Upper case counts as lower case, so what comes after `@` is `[`.
            *last = if *last == b'@' { b'[' } else { *last + 1 };
        }
        octets.push(octets_of_label.len() as u8);
        octets.extend(octets_of_label);
        octets.extend(&name[1 + label..]);
    }
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
        just_after(name, &mut octets);
        octets
    }

    #[test]
    fn rfc_9824_section_3_1_the_next_name_is_a_child_of_one_zero_octet() {
        assert_eq!(after(b"\x01a\x03org\0"), b"\x01\0\x01a\x03org\0");
    }

    #[test]
    fn rfc_4470_section_3_1_2_there_is_a_next_name_even_for_the_longest() {
        let longest = |last: u8, first_label: usize| {
            let mut name = vec![first_label as u8];
            name.extend(vec![b'a'; first_label - 1]);
            name.push(last);
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
            name
        };
        for (last, first) in [(b'x', 63), (b'@', 63), (0xFF, 63), (b'x', 10)] {
            let name = longest(last, first);
            let next = after(&name);
            let (name, next) =
                (Name::from_slice(&name).expect("a name"), Name::from_slice(&next).expect("a name"));
            assert_eq!(name.name_cmp(next), Ordering::Less);
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
