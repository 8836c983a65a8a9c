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
    for key in keys.into_iter().filter(|key| !key.fits) {
        let Some(span) = key.written else { continue };
        let message = format!("`{}` means nothing {here}", key.name);
        found.push(Diagnostic::error("misplaced-key", Place::new(file, span), message).hint("remove it"));
    }
}
