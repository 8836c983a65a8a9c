//! Errors and warnings about what an operator wrote: file, line, column, the line itself, a caret, one
//! sentence and one hint.

use std::ops::Range;
use std::sync::Arc;

use serde::Serialize;

use crate::spec::Source;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It is refused.
    Error,
    /// It is served, but is probably not what was meant.
    Warning,
}

/// A place in a file, with the line that is there.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Place {
    /// The file.
    pub file: Arc<str>,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// How many characters are meant, at least 1, never beyond the line.
    pub width: usize,
    /// The line itself, at most [`Place::LINE_MAX`] characters of it.
    pub text: Arc<str>,
}

/// One error or warning.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// A short stable word for machines, as `unknown-key`.
    pub code: &'static str,
    /// One sentence, without a full stop.
    pub message: String,
    /// Where; `None`: about no file in particular.
    pub place: Option<Place>,
    /// Other places that belong to it, each with a word of why.
    pub related: Vec<(Place, String)>,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Place {
    /// More of a line is not shown.
    pub const LINE_MAX: usize = 200;

    /// The place of a range of bytes in a file.
    pub fn new(source: &Source, span: Range<usize>) -> Self {
        let text: &str = &source.text;
        let start = floor_char(text, span.start.min(text.len()));
        let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
        let end = floor_char(text, span.end.clamp(start, line_end));
        Self {
            file: Arc::clone(&source.file),
            line: text[..line_start].bytes().filter(|&byte| byte == b'\n').count() + 1,
            column: text[line_start..start].chars().count() + 1,
            width: text[start..end].chars().count().max(1),
            text: text[line_start..line_end]
                .trim_end_matches('\r')
                .chars()
                .take(Self::LINE_MAX)
                .collect::<String>()
                .into(),
        }
    }
}

impl Diagnostic {
    /// An error at a place.
    pub fn error(code: &'static str, place: Place, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, code, Some(place), message.into())
    }

    /// A warning at a place.
    pub fn warning(code: &'static str, place: Place, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, code, Some(place), message.into())
    }

    /// An error about no file in particular.
    pub fn general(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, code, None, message.into())
    }

    /// Says what to do about it.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Shows another place that belongs to it.
    pub fn and(mut self, place: Place, why: impl Into<String>) -> Self {
        self.related.push((place, why.into()));
        self
    }

    fn new(severity: Severity, code: &'static str, place: Option<Place>, message: String) -> Self {
        Self { severity, code, message, place, related: Vec::new(), hint: None }
    }
}

fn floor_char(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}
