//! Errors and warnings about what an operator wrote: file, line, column, the line itself, a caret, one
//! sentence and one hint.
//!
//! ```text
//!   Source + span --> Place --.
//!   code, sentence, hint ------> Diagnostic --render--> for people, as rustc does
//!                                          `-to_json--> for machines
//! ```

use std::ops::Range;
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};

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
    /// The line itself, or [`Place::LINE_MAX`] characters around the place with `…` for what is left out.
    pub text: Arc<str>,
    /// How many characters of the line are left out before `text`.
    pub skipped: usize,
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
        let number = source.line_of(start);
        let Range { start: line_start, end: line_end } = source.line(number);
        let end = floor_char(text, span.end.clamp(start, line_end));
        let column = text[line_start..start].chars().count() + 1;
        let width = text[start..end].chars().count().max(1);
        let (skipped, line) = shortened(text[line_start..line_end].trim_end_matches('\r'), column - 1, width);
        Self { file: Arc::clone(&source.file), line: number, column, width, text: line, skipped }
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

    /// A warning that has no one place.
    pub fn general_warning(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, code, None, message.into())
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

/// All diagnostics for people, by file and line, and a closing line that counts them. Nothing that an
/// operator wrote reaches the terminal as a control character.
pub fn render(diagnostics: &[Diagnostic], color: bool) -> String {
    let mut sorted: Vec<&Diagnostic> = diagnostics.iter().collect();
    sorted.sort_by_key(|diagnostic| {
        diagnostic.place.as_ref().map(|place| (&place.file, place.line, place.column))
    });
    let paint = Paint { color };
    let mut out = String::new();
    for diagnostic in &sorted {
        render_one(&mut out, diagnostic, paint);
        out.push('\n');
    }
    if !sorted.is_empty() {
        out.push_str(&count(diagnostics));
        out.push('\n');
    }
    out
}

/// How many errors and warnings: "2 errors, 1 warning".
pub fn count(diagnostics: &[Diagnostic]) -> String {
    let errors = diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).count();
    let parts: Vec<String> = [(errors, "error"), (diagnostics.len() - errors, "warning")]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}{}", if count == 1 { "" } else { "s" }))
        .collect();
    parts.join(", ")
}

/// All diagnostics for machines: an array of objects with `severity`, `code`, `message`, `file`, `line`,
/// `column`, `hint` and `related` (objects with `file`, `line`, `column` and `note`), in the order given.
pub fn to_json(diagnostics: &[Diagnostic]) -> String {
    let array = diagnostics
        .iter()
        .map(|diagnostic| {
            let place = diagnostic.place.as_ref();
            let related: Vec<Value> = diagnostic
                .related
                .iter()
                .map(|(place, note)| {
                    json!({ "file": place.file, "line": place.line, "column": place.column, "note": note })
                })
                .collect();
            json!({
                "severity": diagnostic.severity,
                "code": diagnostic.code,
                "message": diagnostic.message,
                "file": place.map(|place| &place.file),
                "line": place.map(|place| place.line),
                "column": place.map(|place| place.column),
                "hint": diagnostic.hint,
                "related": related,
            })
        })
        .collect();
    format!("{:#}", Value::Array(array))
}

/// ```text
/// error[unknown-key]: unknown key `prot`
///   --> zones/example.org.toml:12:1
///    |
/// 12 | prot = 80
///    | ^^^^
///    |
///    = help: did you mean `port`?
/// ```
fn render_one(out: &mut String, diagnostic: &Diagnostic, paint: Paint) {
    let (word, tint) = match diagnostic.severity {
        Severity::Error => ("error", Tint::Red),
        Severity::Warning => ("warning", Tint::Yellow),
    };
    let title = paint.with(tint, &format!("{word}[{}]", diagnostic.code));
    let message = paint.with(Tint::Bold, &format!(": {}", printable(&diagnostic.message)));
    out.push_str(&format!("{title}{message}\n"));

    let places = diagnostic.place.iter().chain(diagnostic.related.iter().map(|(place, _)| place));
    let gutter = places.map(|place| place.line.to_string().len()).max().unwrap_or(0);
    if let Some(place) = &diagnostic.place {
        render_snippet(out, Snippet { place, arrow: "-->", mark: '^', tint, note: "" }, gutter, paint);
    }
    for (place, note) in &diagnostic.related {
        render_snippet(
            out,
            Snippet { place, arrow: ":::", mark: '-', tint: Tint::Blue, note },
            gutter,
            paint,
        );
    }
    let bar = paint.with(Tint::Blue, "|");
    if let Some(hint) = &diagnostic.hint {
        if diagnostic.place.is_some() {
            out.push_str(&format!("{:gutter$} {bar}\n", ""));
        }
        let equals = paint.with(Tint::Blue, "=");
        let help = paint.with(Tint::Bold, "help");
        out.push_str(&format!("{:gutter$} {equals} {help}: {}\n", "", printable(hint)));
    }
}

/// One place as it is shown.
struct Snippet<'d> {
    place: &'d Place,
    arrow: &'static str,
    mark: char,
    tint: Tint,
    note: &'d str,
}

fn render_snippet(out: &mut String, snippet: Snippet<'_>, gutter: usize, paint: Paint) {
    let Snippet { place, arrow, mark, tint, note } = snippet;
    let arrow = paint.with(Tint::Blue, arrow);
    let bar = paint.with(Tint::Blue, "|");
    let number = paint.with(Tint::Blue, &format!("{:>gutter$}", place.line));
    let file = printable(&place.file);
    out.push_str(&format!("{:gutter$}{arrow} {file}:{}:{}\n", "", place.line, place.column));
    out.push_str(&format!("{:gutter$} {bar}\n", ""));
    out.push_str(format!("{number} {bar} {}", printable(&place.text)).trim_end());
    out.push('\n');

    // Measured on what is printed, so that a tab or a wide letter does not move the marks.
    let before = place.column.saturating_sub(1 + place.skipped);
    let indent: String = place.text.chars().take(before).collect();
    let marked: String = place.text.chars().skip(before).take(place.width).collect();
    let marks = mark.to_string().repeat(columns(&printable(&marked)).max(1));
    let marks = paint.with(tint, format!("{marks} {}", printable(note)).trim_end());
    out.push_str(&format!(
        "{:gutter$} {bar} {:indent$}{marks}\n",
        "",
        "",
        indent = columns(&printable(&indent))
    ));
}

/// Colours, or none.
#[derive(Clone, Copy)]
struct Paint {
    color: bool,
}

#[derive(Clone, Copy)]
enum Tint {
    Red,
    Yellow,
    Blue,
    Bold,
}

impl Paint {
    fn with(self, tint: Tint, text: &str) -> String {
        if !self.color {
            return text.to_owned();
        }
        let code = match tint {
            Tint::Red => "1;31",
            Tint::Yellow => "1;33",
            Tint::Blue => "1;34",
            Tint::Bold => "1",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

/// A text that a terminal shows and does not obey: tabs become spaces, control characters their pictures,
/// and what turns the direction of writing is replaced.
fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\t' => out.push_str("    "),
            '\0'..='\x1f' => out.push(char::from_u32(0x2400 + c as u32).unwrap_or('\u{fffd}')),
            '\x7f' => out.push('\u{2421}'),
            '\u{80}'..='\u{9f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}' => {
                out.push('\u{fffd}');
            }
            _ => out.push(c),
        }
    }
    out
}

/// How many columns a terminal takes for a printable text: none for a combining mark, two for the wide
/// letters of East Asia and for pictures.
fn columns(text: &str) -> usize {
    text.chars()
        .map(|c| match c as u32 {
            0x0300..=0x036f | 0xfe00..=0xfe0f => 0,
            0x1100..=0x115f
            | 0x2e80..=0xa4cf
            | 0xac00..=0xd7a3
            | 0xf900..=0xfaff
            | 0xfe30..=0xfe6f
            | 0xff00..=0xff60
            | 0xffe0..=0xffe6
            | 0x1f300..=0x1f64f
            | 0x1f900..=0x1f9ff
            | 0x20000..=0x3fffd => 2,
            _ => 1,
        })
        .sum()
}

/// At most [`Place::LINE_MAX`] characters of a line, with those from `at` in sight, and how many are left out
/// before them.
fn shortened(line: &str, at: usize, width: usize) -> (usize, Arc<str>) {
    let length = line.chars().count();
    if length <= Place::LINE_MAX {
        return (0, line.into());
    }
    let middle = (at + width.min(Place::LINE_MAX / 2)).saturating_sub(Place::LINE_MAX * 3 / 4);
    let skipped = middle.min(length - Place::LINE_MAX);
    let mut shown: Vec<char> = line.chars().skip(skipped).take(Place::LINE_MAX).collect();
    if skipped > 0 {
        shown[0] = '…';
    }
    if skipped + Place::LINE_MAX < length {
        shown[Place::LINE_MAX - 1] = '…';
    }
    (skipped, shown.into_iter().collect::<String>().into())
}

fn floor_char(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str, span: Range<usize>) -> Place {
        Place::new(&Source::new("zones/a.toml", text), span)
    }

    #[test]
    fn a_diagnostic_shows_the_line_a_caret_and_a_hint() {
        let text = "[monitors.web]\nprot = 80\n";
        let error = Diagnostic::error("unknown-key", place(text, 15..19), "unknown key `prot`")
            .hint("did you mean `port`?");
        assert_eq!(
            render(&[error], false),
            "error[unknown-key]: unknown key `prot`\n\
             \x20--> zones/a.toml:2:1\n\
             \x20 |\n\
             2 | prot = 80\n\
             \x20 | ^^^^\n\
             \x20 |\n\
             \x20 = help: did you mean `port`?\n\
             \n\
             1 error\n"
        );
    }

    #[test]
    fn a_related_place_is_shown_with_its_note_and_one_gutter() {
        let text = format!("[a.x]\n{}[a.x]\n", "\n".repeat(9));
        let error = Diagnostic::error("duplicate", place(&text, 15..20), "`x` is defined twice")
            .and(place(&text, 0..5), "first here");
        assert_eq!(
            render(&[error], false),
            "error[duplicate]: `x` is defined twice\n\
             \x20 --> zones/a.toml:11:1\n\
             \x20  |\n\
             11 | [a.x]\n\
             \x20  | ^^^^^\n\
             \x20 ::: zones/a.toml:1:1\n\
             \x20  |\n\
             \x201 | [a.x]\n\
             \x20  | ----- first here\n\
             \n\
             1 error\n"
        );
    }

    #[test]
    fn diagnostics_come_by_file_and_line_with_general_ones_first() {
        let text = "a\nb\n";
        let other = Place::new(&Source::new("zones/0.toml", text), 0..1);
        let shown = render(
            &[
                Diagnostic::error("c", place(text, 2..3), "third"),
                Diagnostic::warning("b", other, "second"),
                Diagnostic::general("a", "first"),
                Diagnostic::error("d", place(text, 0..1), "between"),
            ],
            false,
        );
        let titles: Vec<&str> = shown.lines().filter(|line| line.contains("]: ")).collect();
        assert_eq!(titles, ["error[a]: first", "warning[b]: second", "error[d]: between", "error[c]: third"]);
        assert!(shown.ends_with("\n3 errors, 1 warning\n"));
        assert_eq!(render(&[], false), "");
    }

    #[test]
    fn carets_stay_under_tabs_and_wide_letters() {
        let tab = render(&[Diagnostic::error("x", place("\ta = 1", 1..2), "m")], false);
        assert!(tab.contains("1 |     a = 1\n  |     ^\n"), "{tab}");
        let wide = render(&[Diagnostic::error("x", place("# 東京 x", 9..10), "m")], false);
        assert!(wide.contains("  |        ^\n"), "{wide}");
    }

    #[test]
    fn nothing_written_reaches_the_terminal_as_a_control_character() {
        let text = "a\x1b[31m\u{202e}\u{9b}b\r\x07";
        let error = Diagnostic::error("x", place(text, 0..4), format!("bad {text}")).hint(text);
        let shown = render(&[error], false);
        assert!(shown.chars().all(|c| c == '\n' || !c.is_control()), "{shown:?}");
        assert!(!shown.contains('\u{202e}'));
        assert!(shown.contains("a\u{241b}[31m"));
    }

    #[test]
    fn color_only_adds_escapes() {
        let error = Diagnostic::error("x", place("abc", 1..2), "m").hint("h");
        let mut plain = render(std::slice::from_ref(&error), true);
        for code in ["\x1b[1;31m", "\x1b[1;34m", "\x1b[1m", "\x1b[0m"] {
            plain = plain.replace(code, "");
        }
        assert_eq!(plain, render(&[error], false));
    }

    #[test]
    fn of_a_long_line_the_part_around_the_place_is_shown() {
        let text = format!("{}<here>{}", "a".repeat(400), "b".repeat(400));
        for (span, marked) in [(400..406, "<here>"), (1..3, "aa"), (804..806, "bb"), (806..806, "")] {
            let place = place(&text, span.clone());
            assert_eq!((place.column, place.text.chars().count()), (span.start + 1, Place::LINE_MAX));
            let shown = render(&[Diagnostic::error("x", place, "m")], false);
            let lines: Vec<&str> = shown.lines().collect();
            let at = lines[4].find('^').expect("a marked line");
            let width = lines[4].matches('^').count();
            let under: String = lines[3].chars().skip(at).take(width).collect();
            assert_eq!(under, marked, "{shown}");
        }
    }

    #[test]
    fn a_place_is_within_its_line_whatever_the_span() {
        let text = "ä\r\nbc";
        for start in 0..8 {
            for end in 0..8 {
                let place = place(text, start..end);
                assert!(place.width >= 1 && place.column >= 1 && place.line <= 2);
                render(&[Diagnostic::error("x", place, "m")], false);
            }
        }
    }

    #[test]
    fn machines_read_the_same_as_json() {
        let error = Diagnostic::error("x", place("abc", 1..2), "m").and(place("abc", 0..1), "here").hint("h");
        let value: Value =
            serde_json::from_str(&to_json(&[error, Diagnostic::general("y", "n")])).expect("JSON");
        assert_eq!(
            value,
            json!([
                {
                    "severity": "error", "code": "x", "message": "m", "file": "zones/a.toml", "line": 1,
                    "column": 2, "hint": "h",
                    "related": [{ "file": "zones/a.toml", "line": 1, "column": 1, "note": "here" }],
                },
                {
                    "severity": "error", "code": "y", "message": "n", "file": null, "line": null,
                    "column": null, "hint": null, "related": [],
                },
            ])
        );
    }
}
