//! TOML itself: what the parser says, as diagnostics.

use std::ops::{Range, RangeInclusive};

use toml::de::{DeTable, DeValue};

use super::MISSING_KEY;
use crate::spec::diagnostic::Place;
use crate::spec::doubt::SYNTAX;
use crate::spec::{Diagnostic, Source};

/// A file as TOML, as far as it is.
#[derive(Debug)]
pub struct Syntax<'s> {
    /// What could be read.
    pub document: DeTable<'s>,
    /// What is wrong with it as TOML.
    pub errors: Vec<Diagnostic>,
    /// Lines of which something was lost.
    broken: Vec<RangeInclusive<usize>>,
}

impl Syntax<'_> {
    /// Whether something that seems wrong may only seem so because of what was lost.
    pub fn explains(&self, diagnostic: &Diagnostic) -> bool {
        let line = diagnostic.place.as_ref().map_or(0, |place| place.line);
        !self.broken.is_empty()
            && (diagnostic.code == MISSING_KEY || self.broken.iter().any(|lines| lines.contains(&line)))
    }
}

/// Parses a file as far as it goes.
pub fn parse(source: &Source) -> Syntax<'_> {
    let (document, found) = DeTable::parse_recoverable(&source.text);
    let end = source.text.len();
    let mut found: Vec<_> =
        found.iter().map(|error| (error.span().unwrap_or(end..end), error.message())).collect();
    found.sort_by_key(|(span, _)| span.start);
    let mut syntax = Syntax { document: document.into_inner(), errors: Vec::new(), broken: Vec::new() };
    let mut told_to = 0;
    for (span, message) in found {
        // One slip makes the parser stumble several times.
        if span.start < told_to {
            continue;
        }
        if syntax.errors.len() == ERRORS_MAX {
            break;
        }
        let reach = Reach::of(&source.text, &span, message);
        told_to = reach.end(&source.text, span.start);
        if message == DUPLICATE_KEY {
            syntax.errors.push(duplicate(source, span));
            continue;
        }
        let lost = Place::new(source, told_to..told_to).line;
        let lost = if told_to == end { usize::MAX } else { lost - 1 };
        let error = syntax_error(source, span, message);
        let line = error.place.as_ref().map_or(0, |place| place.line);
        syntax.broken.push(line..=lost);
        syntax.errors.push(error);
    }
    syntax
}

/// How far the consequences of an error go.
enum Reach {
    /// A value, or one of two: nothing else.
    Value,
    /// Its line.
    Line,
    /// A table: all lines up to the next header.
    Table,
    /// An open bracket takes in all that follows.
    File,
}

impl Reach {
    fn of(text: &str, span: &Range<usize>, message: &str) -> Self {
        let line_start = text[..span.start].rfind('\n').map_or(0, |at| at + 1);
        let before = &text[line_start..span.start];
        if text[line_start..].trim_start().starts_with('[') && !before.trim_start().is_empty() {
            Self::Table
        } else if message.starts_with(MISSING_COMMA) && before.trim().is_empty() {
            Self::File
        } else if message == DUPLICATE_KEY {
            Self::Value
        } else {
            Self::Line
        }
    }

    /// The first byte that is right again.
    fn end(&self, text: &str, start: usize) -> usize {
        let after = |at: usize| text[at..].find('\n').map_or(text.len(), |newline| at + newline + 1);
        match self {
            Self::Value => start + 1,
            Self::Line => after(start),
            Self::File => text.len(),
            Self::Table => {
                let mut at = after(start);
                while at < text.len() && !text[at..].trim_start_matches([' ', '\t']).starts_with('[') {
                    at = after(at);
                }
                at
            }
        }
    }
}

/// What the parser says, in our words where its own only fit its grammar.
fn syntax_error(source: &Source, span: Range<usize>, message: &str) -> Diagnostic {
    let written = source.text.get(span.clone()).unwrap_or_default();
    let error = |message: &str| Diagnostic::error(SYNTAX, Place::new(source, span.clone()), message);
    if message.starts_with("string values must be quoted") {
        error("a text without quotes").hint(format!("write \"{written}\""))
    } else if message.starts_with(MISSING_COMMA) {
        error("a comma is missing before this").hint("or the list before it lacks its `]`")
    } else if message.starts_with("invalid") && !message.contains("string") {
        error(message).hint("if a text is meant, put it in quotes")
    } else {
        error(message)
    }
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

const MISSING_COMMA: &str = "missing comma between array elements";

/// More errors of syntax are not shown.
const ERRORS_MAX: usize = 20;
