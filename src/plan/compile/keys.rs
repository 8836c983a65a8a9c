//! Keys that are understood, but mean nothing where they stand.

use std::ops::Range;

use crate::spec::diagnostic::Place;
use crate::spec::{Diagnostic, Source, Spanned};

/// A key that may have been written, and whether it means anything here.
#[derive(Debug)]
pub struct Key {
    name: &'static str,
    written: Option<Range<usize>>,
    fits: bool,
}

impl Key {
    /// A key with one value.
    pub fn one<T>(name: &'static str, value: &Option<Spanned<T>>, fits: bool) -> Self {
        Self { name, written: value.as_ref().map(|value| value.span.clone()), fits }
    }

    /// A key with a list of values.
    pub fn many<T>(name: &'static str, values: &[Spanned<T>], fits: bool) -> Self {
        Self { name, written: values.first().map(|value| value.span.clone()), fits }
    }
}

/// An error for each key that was written where it means nothing. `here` completes "`path` means nothing ...".
pub fn refuse_misplaced(
    file: &Source,
    keys: impl IntoIterator<Item = Key>,
    here: &str,
    found: &mut Vec<Diagnostic>,
) {
    let written = keys.into_iter().filter(|key| !key.fits);
    let mut misplaced: Vec<_> = written.filter_map(|key| Some((key.written?, key.name))).collect();
    misplaced.sort_by_key(|(span, _)| span.start);
    for (span, name) in misplaced {
        let message = format!("`{name}` means nothing {here}");
        found.push(Diagnostic::error("misplaced-key", Place::new(file, span), message).hint("remove it"));
    }
}
