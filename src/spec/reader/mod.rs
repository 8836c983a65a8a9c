//! A reader of TOML that collects every error and can describe what it reads.
//!
//! ```text
//!   text --syntax--> DeTable --.
//!                              Table --a function asks for its keys--> value + every diagnostic
//!                  no table ---'                                  `--> JSON schema
//! ```
//!
//! For each kind of table there is one function that asks a [`Table`] for its keys, one after the other:
//! what they are called, what they mean, which [`Shape`] they have. Asked of a file it reads; asked of
//! nothing it describes. So the schema cannot know another key than the reader.

mod shape;
mod syntax;
mod tables;

use std::ops::Range;

use serde_json::{Map, Value as Json, json};
use toml::de::{DeTable, DeValue};

pub use shape::{ListOf, NAME, Percent, Problem, Shape, Show, TEXT, Time, Truth, Whole, Word, Written};
pub use tables::{NamedTables, TableOf, Texts};

use crate::spec::diagnostic::Place;
use crate::spec::{Diagnostic, Source, Spanned, did_you_mean};

/// A value of a file and where it stands.
pub type Item<'t> = toml::Spanned<DeValue<'t>>;

/// Asks for all keys of one kind of table.
pub type Asks<T> = fn(&mut Table<'_>) -> T;

/// Reads a whole file.
pub fn read<T>(
    source: &Source,
    diagnostics: &mut Vec<Diagnostic>,
    asks: impl FnOnce(&mut Table<'_>) -> T,
) -> T {
    let syntax = syntax::parse(source);
    let mut reporter = Reporter::new(source, ERRORS_MAX);
    let value = Table::read(&syntax.document, 0..0, &mut reporter, asks);
    reporter.found.retain(|diagnostic| !syntax.explains(diagnostic));
    diagnostics.extend(syntax.errors);
    reporter.finish(diagnostics);
    value
}

/// A JSON schema of the tables that `asks` reads.
pub fn describe<T>(asks: impl FnOnce(&mut Table<'_>) -> T) -> Json {
    let mut table = Table { side: Side::Describing(Description::default()) };
    asks(&mut table);
    match table.side {
        Side::Describing(description) => description.schema(),
        Side::Reading(_) => Json::Null,
    }
}

/// Where what is wrong with one file is gathered.
#[derive(Debug)]
pub struct Reporter {
    source: Source,
    found: Vec<Diagnostic>,
    found_max: usize,
    unsaid: usize,
}

impl Reporter {
    /// Nothing is wrong so far. More than `found_max` errors are counted, not shown.
    pub fn new(source: &Source, found_max: usize) -> Self {
        Self { source: source.clone(), found: Vec::new(), found_max, unsaid: 0 }
    }

    /// Reports an error.
    pub fn error(&mut self, span: Range<usize>, problem: Problem) {
        if self.found.len() == self.found_max {
            self.unsaid += 1;
            return;
        }
        let mut error = Diagnostic::error(problem.code, Place::new(&self.source, span), problem.message);
        error.hint = problem.hint;
        self.found.push(error);
    }

    /// Hands over all that was reported.
    pub fn finish(self, diagnostics: &mut Vec<Diagnostic>) {
        diagnostics.extend(self.found);
        if self.unsaid > 0 {
            let message = format!("{} more errors in {} are not shown", self.unsaid, self.source.file);
            diagnostics.push(Diagnostic::general("too-many", message));
        }
    }
}

/// A key: what it is called, what it means, and what holds when it is absent.
#[derive(Debug)]
pub struct Key {
    name: &'static str,
    means: &'static str,
    default: Option<Literal>,
}

/// A key by its name and one sentence about it.
pub const fn key(name: &'static str, means: &'static str) -> Key {
    Key { name, means, default: None }
}

impl Key {
    /// What it is called.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// What somebody else gives it when it is absent, for the schema.
    pub fn or(mut self, default: impl Into<Literal>) -> Self {
        self.default = Some(default.into());
        self
    }
}

/// A default as it would be written.
#[derive(Clone, Copy, Debug)]
pub enum Literal {
    /// `"5s"`
    Text(&'static str),
    /// `3`
    Whole(u32),
    /// `true`
    Truth(bool),
    /// `["200-299"]`
    Texts(&'static [&'static str]),
}

impl From<&'static str> for Literal {
    fn from(text: &'static str) -> Self {
        Self::Text(text)
    }
}

impl From<u32> for Literal {
    fn from(number: u32) -> Self {
        Self::Whole(number)
    }
}

impl From<bool> for Literal {
    fn from(truth: bool) -> Self {
        Self::Truth(truth)
    }
}

impl From<&'static [&'static str]> for Literal {
    fn from(texts: &'static [&'static str]) -> Self {
        Self::Texts(texts)
    }
}

impl From<Literal> for Json {
    fn from(literal: Literal) -> Self {
        match literal {
            Literal::Text(text) => text.into(),
            Literal::Whole(number) => number.into(),
            Literal::Truth(truth) => truth.into(),
            Literal::Texts(texts) => texts.into(),
        }
    }
}

/// One table that is asked for its keys: one of a file, or none, to learn what would be asked.
#[derive(Debug)]
pub struct Table<'t> {
    side: Side<'t>,
}

#[derive(Debug)]
enum Side<'t> {
    Reading(Reading<'t>),
    Describing(Description),
}

impl<'t> Table<'t> {
    /// Asks a table of a file, and reports the keys that nobody asked for. `span`: its header, or all of
    /// it if it is inline.
    fn read<T>(
        entries: &'t DeTable<'t>,
        span: Range<usize>,
        reporter: &'t mut Reporter,
        asks: impl FnOnce(&mut Table<'_>) -> T,
    ) -> T {
        let mut table = Table { side: Side::Reading(Reading { entries, span, asked: Vec::new(), reporter }) };
        let value = asks(&mut table);
        if let Side::Reading(reading) = table.side {
            reading.report_unknown_keys();
        }
        value
    }

    /// A key that may be absent.
    pub fn optional<S: Shape>(&mut self, key: Key, shape: S) -> Option<Spanned<S::Value>> {
        match &mut self.side {
            Side::Reading(reading) => reading.value(&key, &shape),
            Side::Describing(description) => {
                let default = key.default.map(Json::from);
                description.add(&key, shape.schema(), default);
                None
            }
        }
    }

    /// A key without which the table means nothing: its absence is an error.
    pub fn required<S: Shape>(&mut self, key: Key, shape: S) -> Option<Spanned<S::Value>> {
        match &mut self.side {
            Side::Reading(reading) => reading.report_missing(&key, &shape),
            Side::Describing(description) => description.required.push(key.name.into()),
        }
        self.optional(key, shape)
    }

    /// A key whose value has a default.
    pub fn defaulted<S: Show>(&mut self, key: Key, shape: S, default: S::Value) -> S::Value {
        match &mut self.side {
            Side::Reading(reading) => reading.value(&key, &shape).map_or(default, |written| written.value),
            Side::Describing(description) => {
                description.add(&key, shape.schema(), Some(shape.show(&default)));
                default
            }
        }
    }

    /// A key with a list that may be absent.
    pub fn list<S: Shape>(&mut self, key: Key, item: S) -> Vec<Spanned<S::Value>> {
        self.optional(key, ListOf::any(item)).map(|written| written.value).unwrap_or_default()
    }

    /// A table inside this one; if it is absent, an empty one is asked.
    pub fn section<T>(&mut self, key: Key, asks: Asks<T>) -> T {
        if let Some(written) = self.optional(key, TableOf(asks)) {
            return written.value;
        }
        match &mut self.side {
            Side::Reading(reading) => Table::read(&DeTable::new(), 0..0, reading.reporter, asks),
            Side::Describing(_) => asks(&mut Table { side: Side::Describing(Description::default()) }),
        }
    }

    /// Whether something is written under a key, be it right or wrong.
    pub fn holds(&self, name: &str) -> bool {
        match &self.side {
            Side::Reading(reading) => reading.entries.keys().any(|key| key.get_ref() == name),
            Side::Describing(_) => false,
        }
    }

    /// Where it stands: its header, or all of it if it is inline.
    pub fn span(&self) -> Range<usize> {
        match &self.side {
            Side::Reading(reading) => reading.span.clone(),
            Side::Describing(_) => 0..0,
        }
    }

    /// Reports what is wrong with something that was read from this table.
    pub fn error(&mut self, span: Range<usize>, problem: Problem) {
        if let Side::Reading(reading) = &mut self.side {
            reading.reporter.error(span, problem);
        }
    }
}

/// A table of a file, and the keys that were asked for.
#[derive(Debug)]
struct Reading<'t> {
    entries: &'t DeTable<'t>,
    span: Range<usize>,
    asked: Vec<&'static str>,
    reporter: &'t mut Reporter,
}

impl Reading<'_> {
    fn value<S: Shape>(&mut self, key: &Key, shape: &S) -> Option<Spanned<S::Value>> {
        self.asked.push(key.name);
        let item = self.entries.get(key.name)?;
        let value = shape.read(item, self.reporter)?;
        Some(Spanned { value, span: item.span() })
    }

    fn report_missing<S: Shape>(&mut self, key: &Key, shape: &S) {
        if !self.entries.contains_key(key.name) {
            let problem = Problem::new(MISSING_KEY, format!("`{}` is missing", key.name));
            let hint = format!("add `{} = ...`, {}", key.name, shape.expects());
            self.reporter.error(self.span.clone(), problem.hint(hint));
        }
    }

    fn report_unknown_keys(self) {
        for (key, _) in in_written_order(self.entries) {
            let name: &str = key.get_ref();
            if self.asked.contains(&name) {
                continue;
            }
            let hint = match did_you_mean(name, self.asked.iter().copied()) {
                Some(close) => format!("did you mean `{close}`?"),
                None => format!("known here: {}", self.asked.join(", ")),
            };
            let problem = Problem::new("unknown-key", format!("there is no key `{name}` here"));
            self.reporter.error(key.span(), problem.hint(hint));
        }
    }
}

/// What the keys of a table are, as far as they were asked for.
#[derive(Debug, Default)]
struct Description {
    properties: Map<String, Json>,
    required: Vec<Json>,
}

impl Description {
    fn add(&mut self, key: &Key, mut schema: Json, default: Option<Json>) {
        schema["description"] = key.means.into();
        if let Some(default) = default {
            schema["default"] = default;
        }
        self.properties.insert(key.name.to_owned(), schema);
    }

    fn schema(self) -> Json {
        let mut schema =
            json!({ "type": "object", "properties": self.properties, "additionalProperties": false });
        if !self.required.is_empty() {
            schema["required"] = self.required.into();
        }
        schema
    }
}

/// The entries of a table as the operator ordered them; the parser sorts them by name.
fn in_written_order<'t>(
    entries: &'t DeTable<'t>,
) -> Vec<(&'t toml::Spanned<toml::de::DeString<'t>>, &'t Item<'t>)> {
    let mut ordered: Vec<_> = entries.iter().collect();
    ordered.sort_by_key(|(key, _)| key.span().start);
    ordered
}

/// More errors in one file are not read by anybody.
const ERRORS_MAX: usize = 1000;

/// The code of an error that a broken line can cause elsewhere.
pub const MISSING_KEY: &str = "missing-key";
