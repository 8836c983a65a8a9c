//! Scenarios: a text script run against the core, output as text.
//!
//! ```text
//! # A comment.
//! zones tests/config/good/failover
//! ----
//! 1 zone, 1 steered name, 1 pool, 2 endpoints, 2 regions
//!
//! report eu/ams fra=down
//! ----
//! eu: fra Up -> Down (1 of 1 probes)
//! ```
//!
//! A block is a command, perhaps lines that belong to it, `----`, and what it must print up to a blank
//! line (output with blank lines in it stands between two pairs of `----`). Time is a command. The same
//! text is our test format, the examples of our docs, what an operator runs before shipping a policy, and
//! the form of a bug report.

mod command;
mod facts;
mod script;
mod world;

pub use command::COMMANDS;
pub use script::{Block, Script, ScriptError};
pub use world::World;

use crate::spec::{Include, Sources};

/// Reads the zones directory that a script names; the error is what the script prints.
pub type ReadZones<'a> = &'a dyn Fn(&str) -> Result<Sources, String>;

/// What came of a script.
#[derive(Debug)]
pub struct Run {
    /// Blocks whose output is not what was expected.
    pub differences: Vec<Difference>,
    /// The script, with what it printed in place of what was expected.
    pub rewritten: String,
}

/// A block that did not print what was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Line of the command, from 1.
    pub line: usize,
    /// The command.
    pub command: String,
    /// What was expected.
    pub expected: String,
    /// What it printed.
    pub printed: String,
}

/// Runs a script from its text. `include` reads what the files of a zones directory name.
///
/// # Errors
/// When the text is no script. Whatever a command thinks of its words is output.
pub fn run(text: &str, zones: ReadZones<'_>, include: Include<'_>) -> Result<Run, ScriptError> {
    let script = Script::parse(text)?;
    let mut world = World::new(zones, include);
    let mut differences = Vec::new();
    let mut printed = Vec::new();
    for block in &script.blocks {
        let output = world.run(block);
        if output != block.expected {
            differences.push(Difference {
                line: block.line,
                command: block.command.clone(),
                expected: block.expected.clone(),
                printed: output.clone(),
            });
        }
        printed.push(output);
    }
    Ok(Run { differences, rewritten: script.with_outputs(&printed) })
}
