//! Errors that may only be consequences: of an endpoint whose address cannot be read one need not say that
//! it has no address.

use std::collections::{HashMap, HashSet};
use std::ops::RangeInclusive;

use crate::spec::diagnostic::Place;
use crate::spec::steering::SteeringFile;
use crate::spec::{Diagnostic, Severity, Spec};

/// What is not certain, since something could not be read.
#[derive(Debug, Default)]
pub struct Doubts<'d> {
    /// Whether any steering file has an error: what names something may have been lost.
    any: bool,
    /// Steering files that are no TOML: any definition may have been lost.
    broken: HashSet<&'d str>,
    /// Lines of definitions with an error in them.
    blocks: HashMap<&'d str, Vec<RangeInclusive<usize>>>,
}

impl<'d> Doubts<'d> {
    /// What the errors found when reading `spec` make uncertain.
    pub fn of(spec: &'d Spec, read: &[Diagnostic]) -> Self {
        let mut doubts = Self::default();
        for file in &spec.steering {
            let name: &str = &file.source.file;
            let errors = read.iter().filter(|found| found.severity == Severity::Error);
            let here: Vec<(&str, usize)> = errors
                .filter_map(|found| Some((found.code, line_in(file, found.place.as_ref()?)?)))
                .collect();
            if here.is_empty() {
                continue;
            }
            doubts.any = true;
            if here.iter().any(|(code, _)| *code == SYNTAX) {
                doubts.broken.insert(name);
            }
            let headers = headers(&file.source.text);
            doubts.blocks.insert(name, here.iter().map(|(_, line)| block(&headers, *line)).collect());
        }
        doubts
    }

    /// Whether what the compiler found may be a mere consequence.
    pub fn cover(&self, found: &Diagnostic) -> bool {
        if found.code == UNUSED {
            return self.any;
        }
        if NAMES.contains(&found.code) {
            return !self.broken.is_empty();
        }
        let Some(place) = &found.place else { return false };
        let mut blocks = self.blocks.get(&*place.file).into_iter().flatten();
        // A warning about one value of a definition rests on that value; one at its header may be about
        // what it lacks.
        let rests_on = |block: &RangeInclusive<usize>| match found.severity {
            Severity::Error => block.contains(&place.line),
            Severity::Warning => *block.start() == place.line,
        };
        self.broken.contains(&*place.file) || blocks.any(rests_on)
    }
}

/// The line of a steering file that an error is about: its own, or that which names the file of prefixes it is in.
fn line_in(file: &SteeringFile, place: &Place) -> Option<usize> {
    if place.file == file.source.file {
        return Some(place.line);
    }
    let mut nets_files = file.nets_files();
    let named = nets_files.find(|nets_file| nets_file.source.file == place.file)?;
    Some(file.source.line_of(named.name.span.start))
}

/// The lines that start a table, from 1.
fn headers(text: &str) -> Vec<usize> {
    let lines = text.lines().zip(1..);
    lines.filter(|(line, _)| line.trim_start().starts_with('[')).map(|(_, number)| number).collect()
}

/// The lines from the header at or before `line` to the next one.
fn block(headers: &[usize], line: usize) -> RangeInclusive<usize> {
    let next = headers.partition_point(|header| *header <= line);
    let first = if next == 0 { 1 } else { headers[next - 1] };
    first..=headers.get(next).map_or(usize::MAX, |header| header - 1)
}

/// The code of what the parser says of a file that is no TOML.
pub const SYNTAX: &str = "syntax";

/// The code of what the compiler says of what nobody names.
const UNUSED: &str = "unused";

/// The codes of what the compiler says of names: a definition with an error in it still has its name.
const NAMES: [&str; 2] = ["unknown-name", "duplicate"];
