//! The first few findings of each kind: one pool that was renamed can be missed by a hundred thousand names.

use std::collections::HashMap;
use std::sync::Arc;

use crate::spec::Diagnostic;

/// Keeps the first [`SHOWN_MAX`] diagnostics with one code in one file; one more says how many there are
/// besides, at the place of the first of these. What is about no file is kept.
pub fn of_each_kind(found: Vec<Diagnostic>) -> Vec<Diagnostic> {
    let mut shown: Vec<Diagnostic> = Vec::new();
    let mut kinds: HashMap<(&'static str, Arc<str>), Kind> = HashMap::new();
    for diagnostic in found {
        let Some(place) = &diagnostic.place else {
            shown.push(diagnostic);
            continue;
        };
        let kind = kinds.entry((diagnostic.code, Arc::clone(&place.file))).or_default();
        kind.count += 1;
        if kind.count <= SHOWN_MAX + 1 {
            kind.last = shown.len();
            shown.push(diagnostic);
        }
    }
    for kind in kinds.values().filter(|kind| kind.count > SHOWN_MAX + 1) {
        let last = &mut shown[kind.last];
        last.message = format!("... and {} more of these, from here on", kind.count - SHOWN_MAX);
        last.related.clear();
        last.hint = None;
    }
    shown
}

/// The diagnostics with one code in one file.
#[derive(Default)]
struct Kind {
    count: usize,
    /// The place among those shown of the last one.
    last: usize,
}

/// More of one kind in one file are counted, not shown; one more is no longer than the line that counts it.
const SHOWN_MAX: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::compile::fixture::{WORLD, compile};
    use crate::spec::Source;
    use crate::spec::diagnostic::Place;

    fn errors(codes: &[(&'static str, usize)]) -> Vec<Diagnostic> {
        let place = || Place::new(&Source::new("a.toml", "a"), 0..1);
        let all = codes.iter().flat_map(|&(code, count)| (0..count).map(move |_| code));
        all.map(|code| Diagnostic::error(code, place(), "wrong").hint("right it")).collect()
    }

    #[test]
    fn the_first_of_a_kind_are_shown_and_the_others_counted() {
        let few = of_each_kind(errors(&[("a", 100), ("b", 21), ("c", 1)]));
        let count = |code| few.iter().filter(|found| found.code == code).count();
        assert_eq!([count("a"), count("b"), count("c")], [21, 21, 1]);
        assert_eq!(few[20].message, "... and 80 more of these, from here on");
        assert!(few[21..].iter().all(|found| found.message == "wrong"));
    }

    #[test]
    fn what_is_about_no_file_is_kept() {
        let general = vec![Diagnostic::general("a", "wrong"); 50];
        assert_eq!(of_each_kind(general.clone()), general);
    }

    #[test]
    fn a_pool_that_ten_thousand_names_miss_is_told_a_few_times() {
        let mut text = format!("{WORLD}[pools.web]\npolicy = \"all\"\nmembers = [\"fra\"]\n");
        for number in 0..10_000 {
            text += &format!("[names.n{number}]\npool = \"wed\"\n");
        }
        let compiled = compile(&text);
        let missed: Vec<_> =
            compiled.diagnostics.iter().filter(|found| found.code == "unknown-name").collect();
        assert_eq!(missed.len(), 21);
        assert_eq!(missed[0].hint.as_deref(), Some("did you mean `web`?"));
        assert_eq!(missed[20].message, "... and 9980 more of these, from here on");
    }
}
