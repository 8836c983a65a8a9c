//! Names in uncompressed wire form, as slices: what lookups need without building anything.

use domain::base::Name;

/// A name in lower case on the stack (RFC 4343). Lengths of labels are below `A`, so that all octets can be
/// treated alike.
pub(crate) struct Lower {
    octets: [u8; NAME_MAX],
    len: usize,
}

impl Lower {
    /// Anything longer than a name is cut, and then is no name that exists.
    #[inline]
    pub(crate) fn new(name: &[u8]) -> Self {
        let mut octets = [0; NAME_MAX];
        let len = name.len().min(NAME_MAX);
        octets[..len].copy_from_slice(&name[..len]);
        octets[..len].make_ascii_lowercase();
        Self { octets, len }
    }

    #[inline]
    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.octets[..self.len]
    }
}

/// The name without its first label; `None` for the root.
#[inline]
pub(crate) fn parent(name: &[u8]) -> Option<&[u8]> {
    match name.first() {
        None | Some(0) => None,
        Some(&len) => name.get(1 + len as usize..),
    }
}

/// The names above a name, the nearest first, down to the root.
pub(crate) fn ancestors(name: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::successors(parent(name), |name| parent(name))
}

/// Whether a name is another or below it. Both in one case.
pub(crate) fn is_within(name: &[u8], ancestor: &[u8]) -> bool {
    let mut name = name;
    while name.len() > ancestor.len() {
        match parent(name) {
            Some(parent) => name = parent,
            None => return false,
        }
    }
    name == ancestor
}

/// Whether the first label is an asterisk.
pub(crate) fn is_wildcard(name: &[u8]) -> bool {
    name.starts_with(b"\x01*")
}

/// For people, without the dot at the end (the root has one).
pub(crate) fn show(name: &[u8]) -> String {
    match Name::from_octets(name) {
        Ok(name) => name.to_string(),
        Err(_) => "?".into(),
    }
}

/// Octets of the longest name (RFC 1035 section 2.3.4).
pub(crate) const NAME_MAX: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_that_ends_like_a_name_is_not_below_it() {
        assert!(is_within(b"\x01a\x03org\x00", b"\x03org\x00"));
        assert!(is_within(b"\x03org\x00", b"\x03org\x00"));
        assert!(is_within(b"\x03org\x00", b"\x00"));
        assert!(!is_within(b"\x05x\x03org\x00", b"\x03org\x00"));
        assert!(!is_within(b"\x00", b"\x03org\x00"));
    }

    #[test]
    fn ancestors_end_at_the_root() {
        let all: Vec<_> = ancestors(b"\x01a\x01b\x00").collect();
        assert_eq!(all, [&b"\x01b\x00"[..], b"\x00"]);
        assert_eq!(ancestors(b"\x00").count(), 0);
        assert_eq!(ancestors(b"").count(), 0);
    }

    #[test]
    fn case_is_dropped_and_other_octets_are_not() {
        assert_eq!(Lower::new(b"\x03WwW\x02\xc4[\x00").as_slice(), b"\x03www\x02\xc4[\x00");
        assert_eq!(Lower::new(&[b'A'; 300]).as_slice(), [b'a'; NAME_MAX]);
    }
}
