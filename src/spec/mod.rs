//! What the operator wrote, read but not yet understood.
//!
//! ```text
//!   zones/*.zone --master--.
//!   zones/*.toml --steering--> Spec (+ every diagnostic) --> plan::compile
//!   config/windrose.toml --machine--> Machine
//! ```
//!
//! Every value keeps where it was written, so that whatever turns out to be wrong later can be shown in
//! its line. Reading never stops at the first error.

pub mod diagnostic;
mod doubt;
pub mod duration;
pub mod machine;
pub mod master;
mod prefix;
mod reader;
pub mod schema;
mod source;
pub mod steering;
mod suggest;

use std::ops::Range;

pub use diagnostic::{Diagnostic, Severity};
pub use machine::Limits;
pub use source::Source;
pub use suggest::did_you_mean;

/// A value and where it was written: a range of bytes in its [`Source`].
#[derive(Clone, Debug, PartialEq)]
pub struct Spanned<T> {
    /// What was written.
    pub value: T,
    /// Where.
    pub span: Range<usize>,
}

/// The files of a `zones` directory.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// `*.zone`, sorted by name. The origin is the file's stem.
    pub zones: Vec<Source>,
    /// `*.toml`, sorted by name.
    pub steering: Vec<Source>,
}

/// Reads what `$INCLUDE` or `nets_file` names: given the file that names it and the name there, the file named.
pub type Include<'a> = &'a dyn Fn(&str, &str) -> Result<Source, String>;

/// All of a `zones` directory, read.
#[derive(Clone, Debug, Default)]
pub struct Spec {
    /// The zone files.
    pub zones: Vec<master::ZoneFile>,
    /// The steering files.
    pub steering: Vec<steering::SteeringFile>,
}

impl Spec {
    /// All that is to be said, once `read` was found when reading this and `compiled` when compiling it:
    /// everything that was found, but for what may be a mere consequence of something that could not be
    /// read. That comes back, if it is real, when the rest is right.
    pub fn findings(&self, read: Vec<Diagnostic>, compiled: Vec<Diagnostic>) -> Vec<Diagnostic> {
        let doubts = doubt::Doubts::of(self, &read);
        read.into_iter().chain(compiled.into_iter().filter(|found| !doubts.cover(found))).collect()
    }
}

/// Reads all files. What could be read is in the [`Spec`], what could not in the diagnostics.
pub fn parse(sources: &Sources, include: Include<'_>) -> (Spec, Vec<Diagnostic>) {
    let mut diagnostics = Vec::new();
    let zones =
        sources.zones.iter().filter_map(|source| master::parse(source, include, &mut diagnostics)).collect();
    let steering =
        sources.steering.iter().map(|source| steering::parse(source, include, &mut diagnostics)).collect();
    (Spec { zones, steering }, diagnostics)
}
