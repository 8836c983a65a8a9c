//! TOML itself: what the parser says, as diagnostics.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::MISSING_KEY;
use crate::spec::diagnostic::Place;
use crate::spec::{Diagnostic, Source};

/// A file as TOML, as far as it is.
#[derive(Debug)]
pub struct Syntax<'s> {
    /// What could be read.
    pub document: DeTable<'s>,
    /// What is wrong with it as TOML.
    pub errors: Vec<Diagnostic>,
    /// Lines of which something was lost.
    broken: Vec<usize>,
}

impl Syntax<'_> {
    /// Whether something that seems wrong may only seem so because of what was lost.
    pub fn explains(&self, diagnostic: &Diagnostic) -> bool {
        let line = diagnostic.place.as_ref().map(|place| place.line);
        !self.broken.is_empty()
            && (diagnostic.code == MISSING_KEY || line.is_some_and(|line| self.broken.contains(&line)))
    }
}

/// Parses a file as far as it goes.
pub fn parse(source: &Source) -> Syntax<'_> {
    let (document, found) = DeTable::parse_recoverable(&source.text);
    let document = document.into_inner();
    let mut errors: Vec<Diagnostic> = Vec::new();
    let mut broken = Vec::new();
    for error in &found {
        let span = error.span().unwrap_or(source.text.len()..source.text.len());
        if error.message() == DUPLICATE_KEY {
            errors.push(duplicate(source, span));
            continue;
        }
        let place = Place::new(source, span);
        // One slip makes the parser stumble several times.
        if broken.last() != Some(&place.line) {
            broken.push(place.line);
            errors.push(Diagnostic::error("syntax", place, error.message()));
        }
        if errors.len() == ERRORS_MAX {
            break;
        }
    }
    Syntax { document, errors, broken }
}

/// A key that is there twice, with the first one if it can be found.
fn duplicate(source: &Source, second: Range<usize>) -> Diagnostic {
    let key = source.text.get(second.clone()).unwrap_or_default();
    let message = format!("`{}` is written twice", key.trim_matches(['"', '\'']));
    let error = Diagnostic::error("duplicate-key", Place::new(source, second.clone()), message);
    match first_written(&source.text, second.start) {
        Some(first) => error.and(Place::new(source, first), "first written here"),
        None => error,
    }
    .hint("keep one of them")
}

/// Where the first one of a key stands of which `second` is the second. The parser does not tell, so the
/// file is parsed again up to the line of the second, and the path of that line is looked up in it.
fn first_written(text: &str, second: usize) -> Option<Range<usize>> {
    let line_start = text[..second].rfind('\n').map_or(0, |at| at + 1);
    let line = text[line_start..].lines().next()?;
    let (earlier, errors) = DeTable::parse_recoverable(&text[..line_start]);
    if errors.iter().any(|error| error.message() != DUPLICATE_KEY) {
        return None;
    }
    let (path, _) = DeTable::parse_recoverable(line);
    let root = earlier.get_ref();
    let table = if line.trim_start().starts_with('[') { root } else { last_table(root, text) };
    descend(path.get_ref(), table, second - line_start)
}

/// The table whose header comes last: what a line after it belongs to.
fn last_table<'t>(root: &'t DeTable<'t>, text: &str) -> &'t DeTable<'t> {
    let mut last = (0, root);
    let mut open = vec![root];
    while let Some(table) = open.pop() {
        for item in table.values() {
            let DeValue::Table(inner) = item.get_ref() else { continue };
            let at = item.span().start;
            if text[at..].starts_with('[') && at >= last.0 {
                last = (at, inner);
            }
            open.push(inner);
        }
    }
    last.1
}

/// Follows `path` down `table` to the key that stands at `wanted` in the path.
fn descend(path: &DeTable<'_>, table: &DeTable<'_>, wanted: usize) -> Option<Range<usize>> {
    let (step, below) = path.iter().next()?;
    let (found, item) = table.get_key_value(step.get_ref().as_ref())?;
    if step.span().start == wanted {
        return Some(found.span());
    }
    descend(below.get_ref().as_table()?, item.get_ref().as_table()?, wanted)
}

const DUPLICATE_KEY: &str = "duplicate key";

/// More errors of syntax are not shown.
const ERRORS_MAX: usize = 20;
