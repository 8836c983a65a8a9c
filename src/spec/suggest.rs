//! "Did you mean": the closest known word to one that is not known.

/// The closest of `known` to `word`, if it is close enough to be a slip of the fingers.
pub fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let _ = (word, known.into_iter().next());
    todo!()
}
