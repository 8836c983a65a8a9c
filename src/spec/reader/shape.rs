//! What a value can look like: how it is read, and how it is described.

use std::marker::PhantomData;
use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use serde_json::{Value as Json, json};
use toml::de::DeValue;

use super::{Item, Reporter};
use crate::spec::{Spanned, did_you_mean, duration};

/// What a value can look like.
pub trait Shape {
    /// What it becomes.
    type Value;

    /// Completes "expected ...".
    fn expects(&self) -> String;

    /// Reads a value. `None`: it does not look like this, and that has been reported.
    fn read(&self, item: &Item<'_>, reporter: &mut Reporter) -> Option<Self::Value>;

    /// Describes it, as JSON schema.
    fn schema(&self) -> Json;
}

/// A shape whose values can be shown as they would be written.
pub trait Show: Shape {
    /// Shows a value.
    fn show(&self, value: &Self::Value) -> Json;
}

/// What is wrong with a value: a [`crate::spec::Diagnostic`] that does not know its place yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    /// A short stable word for machines.
    pub code: &'static str,
    /// One sentence, without a full stop.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Problem {
    /// A problem without a hint.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None }
    }

    /// Says what to do about it.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Something else stands where `expected` should.
    pub fn wrong_type(expected: &str, item: &Item<'_>) -> Self {
        Self::new("wrong-type", format!("expected {expected}, found {}", kind_of(item)))
    }

    /// A value of the right type that is too small or too large.
    pub fn out_of_range(expected: &str, found: &str) -> Self {
        Self::new("out-of-range", format!("expected {expected}, found {found}"))
    }
}

/// The type of a value, in words.
pub fn kind_of(item: &Item<'_>) -> &'static str {
    match item.get_ref() {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// A string that is read by a function of its own.
#[derive(Clone, Copy, Debug)]
pub struct Written<T> {
    /// Completes "expected ...".
    pub expects: &'static str,
    /// A regular expression that every good text matches (ECMA-262).
    pub pattern: &'static str,
    /// Reads it.
    pub parse: fn(&str) -> Result<T, Problem>,
}

impl<T> Written<T> {
    /// Reads a text that stands somewhere else than in a value.
    pub fn accept(&self, text: &str, span: Range<usize>, reporter: &mut Reporter) -> Option<T> {
        (self.parse)(text).map_err(|problem| reporter.error(span, problem)).ok()
    }
}

impl<T> Shape for Written<T> {
    type Value = T;

    fn expects(&self) -> String {
        self.expects.to_owned()
    }

    fn read(&self, item: &Item<'_>, reporter: &mut Reporter) -> Option<T> {
        match item.get_ref() {
            DeValue::String(text) => self.accept(text, item.span(), reporter),
            _ => {
                let problem = Problem::wrong_type(self.expects, item);
                let unquoted = number_in(item).filter(|number| (self.parse)(number).is_ok());
                reporter.error(
                    item.span(),
                    match unquoted {
                        Some(number) => problem.hint(format!("write it in quotes: \"{number}\"")),
                        None => problem,
                    },
                );
                None
            }
        }
    }

    fn schema(&self) -> Json {
        json!({ "type": "string", "pattern": self.pattern })
    }
}

impl<T: ToString> Show for Written<T> {
    fn show(&self, value: &T) -> Json {
        value.to_string().into()
    }
}

/// Any string that is not empty.
pub const TEXT: Written<String> = Written {
    expects: "a string",
    pattern: ".",
    parse: |text| match text {
        "" => Err(Problem::new("empty", "this is empty").hint("say what is meant, or leave the key out")),
        text => Ok(text.to_owned()),
    },
};

/// A name that an operator gives: of a region, monitor, endpoint, pool or machine.
pub const NAME: Written<String> = Written {
    expects: "a name",
    pattern: "^[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}$",
    parse: |text| {
        let fits = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        let bounded = (1..=NAME_MAX).contains(&text.len());
        if bounded && !text.starts_with(['.', '-']) && text.chars().all(fits) {
            return Ok(text.to_owned());
        }
        Err(Problem::new("bad-name", format!("`{text}` cannot be a name")).hint(
            "a name has up to 63 letters, digits, `_`, `-` and `.`, and does not start with `-` or `.`",
        ))
    },
};

/// `true` or `false`.
#[derive(Clone, Copy, Debug)]
pub struct Truth;

impl Shape for Truth {
    type Value = bool;

    fn expects(&self) -> String {
        "true or false".into()
    }

    fn read(&self, item: &Item<'_>, reporter: &mut Reporter) -> Option<bool> {
        match item.get_ref() {
            DeValue::Boolean(truth) => Some(*truth),
            other => {
                let problem = Problem::wrong_type(&self.expects(), item);
                let quoted = other.as_str().filter(|text| matches!(*text, "true" | "false"));
                reporter.error(
                    item.span(),
                    match quoted {
                        Some(text) => problem.hint(format!("write {text} without quotes")),
                        None => problem,
                    },
                );
                None
            }
        }
    }

    fn schema(&self) -> Json {
        json!({ "type": "boolean" })
    }
}

impl Show for Truth {
    fn show(&self, value: &bool) -> Json {
        (*value).into()
    }
}

/// A whole number.
#[derive(Clone, Debug)]
pub struct Whole<T> {
    range: RangeInclusive<i64>,
    number: PhantomData<T>,
}

impl<T> Whole<T> {
    /// One within these limits, all of which `T` can hold.
    pub fn within(range: RangeInclusive<i64>) -> Self {
        Self { range, number: PhantomData }
    }
}

impl<T: TryFrom<i64>> Shape for Whole<T> {
    type Value = T;

    fn expects(&self) -> String {
        format!("a whole number from {} to {}", self.range.start(), self.range.end())
    }

    fn read(&self, item: &Item<'_>, reporter: &mut Reporter) -> Option<T> {
        let DeValue::Integer(written) = item.get_ref() else {
            let problem = Problem::wrong_type(&self.expects(), item);
            let quoted = item.get_ref().as_str().filter(|text| text.parse::<i64>().is_ok());
            reporter.error(
                item.span(),
                match quoted {
                    Some(text) => problem.hint(format!("write {text} without quotes")),
                    None => problem,
                },
            );
            return None;
        };
        let number = i64::from_str_radix(written.as_str(), written.radix()).ok();
        let within =
            number.filter(|number| self.range.contains(number)).and_then(|number| T::try_from(number).ok());
        if within.is_none() {
            let problem = Problem::out_of_range(&self.expects(), &written.to_string());
            reporter.error(item.span(), problem);
        }
        within
    }

    fn schema(&self) -> Json {
        json!({ "type": "integer", "minimum": self.range.start(), "maximum": self.range.end() })
    }
}

impl<T: TryFrom<i64> + Copy + Into<Json>> Show for Whole<T> {
    fn show(&self, value: &T) -> Json {
        (*value).into()
    }
}

/// A duration within limits.
#[derive(Clone, Debug)]
pub struct Time {
    range: RangeInclusive<Duration>,
}

impl Time {
    /// One within these limits.
    pub fn within(range: RangeInclusive<Duration>) -> Self {
        Self { range }
    }

    /// Reads the text of a duration.
    pub fn parse(&self, text: &str) -> Result<Duration, Problem> {
        let time = duration::parse(text)
            .map_err(|message| Problem::new("bad-duration", message).hint(duration::HINT))?;
        if !self.range.contains(&time) {
            return Err(Problem::out_of_range(&self.expects(), text));
        }
        Ok(time)
    }
}

impl Shape for Time {
    type Value = Duration;

    fn expects(&self) -> String {
        let (least, most) = (duration::display(*self.range.start()), duration::display(*self.range.end()));
        format!("a duration from \"{least}\" to \"{most}\"")
    }

    fn read(&self, item: &Item<'_>, reporter: &mut Reporter) -> Option<Duration> {
        let read = match (item.get_ref(), number_in(item)) {
            (DeValue::String(text), _) => self.parse(text),
            (_, Some(number)) => {
                Err(Problem::new("bare-number", format!("a duration needs a unit, {number} has none"))
                    .hint(with_unit(&number)))
            }
            _ => Err(Problem::wrong_type(&self.expects(), item)),
        };
        read.map_err(|problem| reporter.error(item.span(), problem)).ok()
    }

    fn schema(&self) -> Json {
        json!({ "type": "string", "pattern": r"^(\d+d)?(\d+h)?(\d+m)?(\d+s)?(\d+ms)?$", "minLength": 2 })
    }
}

impl Show for Time {
    fn show(&self, value: &Duration) -> Json {
        duration::display(*value).into()
    }
}

/// A percentage from 1% to 100%.
#[derive(Clone, Copy, Debug)]
pub struct Percent;

impl Percent {
    fn parse(text: &str) -> Option<u8> {
        let percent = text.strip_suffix('%')?.parse().ok()?;
        (1..=100).contains(&percent).then_some(percent)
    }
}

impl Shape for Percent {
    type Value = u8;

    fn expects(&self) -> String {
        "a percentage from \"1%\" to \"100%\"".into()
    }

    fn read(&self, item: &Item<'_>, reporter: &mut Reporter) -> Option<u8> {
        let DeValue::String(text) = item.get_ref() else {
            let problem = Problem::wrong_type(&self.expects(), item);
            let bare = number_in(item).map(|number| format!("{number}%"));
            let meant = bare.filter(|percent| Self::parse(percent).is_some());
            reporter.error(
                item.span(),
                match meant {
                    Some(percent) => problem.hint(format!("write \"{percent}\"")),
                    None => problem,
                },
            );
            return None;
        };
        let percent = Self::parse(text);
        if percent.is_none() {
            reporter.error(item.span(), Problem::out_of_range(&self.expects(), &format!("\"{text}\"")));
        }
        percent
    }

    fn schema(&self) -> Json {
        json!({ "type": "string", "pattern": "^([1-9][0-9]?|100)%$" })
    }
}

/// One of a few words.
#[derive(Clone, Copy, Debug)]
pub struct Word<T: 'static> {
    /// What it is, as "policy".
    pub what: &'static str,
    /// The words and what they become.
    pub words: &'static [(&'static str, T)],
}

impl<T: Copy> Word<T> {
    fn parse(&self, text: &str) -> Result<T, Problem> {
        if let Some((_, value)) = self.words.iter().find(|(word, _)| *word == text) {
            return Ok(*value);
        }
        let what = self.what;
        let problem = Problem::new("unknown-word", format!("there is no {what} `{text}`"));
        Err(match did_you_mean(text, self.words.iter().map(|(word, _)| *word)) {
            Some(close) => problem.hint(format!("did you mean `{close}`?")),
            None => problem.hint(self.choice()),
        })
    }

    fn choice(&self) -> String {
        let words: Vec<String> = self.words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        match words.as_slice() {
            [most @ .., last] if !most.is_empty() => format!("write {} or {last}", most.join(", ")),
            words => format!("write {}", words.concat()),
        }
    }
}

impl<T: Copy> Shape for Word<T> {
    type Value = T;

    fn expects(&self) -> String {
        let article = if self.what.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
        format!("{article} {}, as \"{}\"", self.what, self.words.first().map_or("", |(word, _)| word))
    }

    fn read(&self, item: &Item<'_>, reporter: &mut Reporter) -> Option<T> {
        let read = match item.get_ref() {
            DeValue::String(text) => self.parse(text),
            _ => Err(Problem::wrong_type(&self.expects(), item).hint(self.choice())),
        };
        read.map_err(|problem| reporter.error(item.span(), problem)).ok()
    }

    fn schema(&self) -> Json {
        let words: Vec<&str> = self.words.iter().map(|(word, _)| *word).collect();
        json!({ "type": "string", "enum": words })
    }
}

/// A list of values of one shape.
#[derive(Clone, Debug)]
pub struct ListOf<S> {
    item: S,
    filled: bool,
    alone: bool,
}

impl<S> ListOf<S> {
    /// Any number of them.
    pub fn any(item: S) -> Self {
        Self { item, filled: false, alone: false }
    }

    /// At least one of them.
    pub fn some(item: S) -> Self {
        Self { item, filled: true, alone: false }
    }

    /// At least one of them; one alone may stand without brackets.
    pub fn one_or_more(item: S) -> Self {
        Self { item, filled: true, alone: true }
    }
}

impl<S: Shape> Shape for ListOf<S> {
    type Value = Vec<Spanned<S::Value>>;

    fn expects(&self) -> String {
        format!("a list, each {}", self.item.expects())
    }

    fn read(&self, item: &Item<'_>, reporter: &mut Reporter) -> Option<Self::Value> {
        let mut read = |item: &Item<'_>| {
            let value = self.item.read(item, reporter)?;
            Some(Spanned { value, span: item.span() })
        };
        match item.get_ref() {
            DeValue::Array(items) if items.is_empty() && self.filled => {
                let problem = Problem::new("empty", "this list is empty");
                reporter.error(item.span(), problem.hint(format!("put in {}", self.item.expects())));
                None
            }
            DeValue::Array(items) => Some(items.iter().filter_map(read).collect()),
            _ if self.alone => read(item).map(|one| vec![one]),
            _ => {
                let problem = Problem::wrong_type(&self.expects(), item);
                reporter.error(
                    item.span(),
                    match item.get_ref() {
                        DeValue::String(_) | DeValue::Integer(_) => problem.hint("put it in brackets: [...]"),
                        _ => problem,
                    },
                );
                None
            }
        }
    }

    fn schema(&self) -> Json {
        let mut list = json!({ "type": "array", "items": self.item.schema() });
        if self.filled {
            list["minItems"] = 1.into();
        }
        if self.alone { json!({ "anyOf": [self.item.schema(), list] }) } else { list }
    }
}

/// The number that a value is, as it was written.
fn number_in(item: &Item<'_>) -> Option<String> {
    match item.get_ref() {
        DeValue::Integer(number) => Some(number.to_string()),
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        _ => None,
    }
}

/// What a number without a unit most likely means: seconds.
fn with_unit(number: &str) -> String {
    let milliseconds = number.parse::<f64>().unwrap_or(f64::NAN) * 1000.0;
    if milliseconds.fract() == 0.0 && (1.0..1e15).contains(&milliseconds) {
        let meant = duration::display(Duration::from_millis(milliseconds as u64));
        return format!("write \"{meant}\" if seconds are meant");
    }
    duration::HINT.to_owned()
}

/// Longer names do not fit a column of what is shown.
const NAME_MAX: usize = 63;
