//! `windrose test`: runs scenarios, and says what differs.

use std::fs;
use std::path::{Path, PathBuf};

use crate::app::Failure;
use crate::app::print::{print, print_line};
use crate::load;
use crate::scenario::{self, Difference};

pub(super) fn run(files: &[PathBuf]) -> Result<(), Failure> {
    let update = std::env::var_os("UPDATE").is_some_and(|value| value == "1");
    let mut failed = 0;
    for file in files {
        match run_one(file, update) {
            Ok(differences) if differences.is_empty() => {
                print_line(format_args!("ok    {}", file.display()))?;
            }
            Ok(differences) => {
                failed += 1;
                print_line(format_args!("FAIL  {}", file.display()))?;
                for difference in &differences {
                    print(show(file, difference))?;
                }
            }
            Err(error) => {
                eprintln!("windrose: {}: {error}", file.display());
                return Err(Failure::WrongInput);
            }
        }
    }
    print_line(format_args!("{} passed, {failed} failed", files.len() - failed))?;
    if failed == 0 { Ok(()) } else { Err(Failure::Failed(String::new())) }
}

/// What differs; nothing, once it has been rewritten.
fn run_one(file: &Path, update: bool) -> Result<Vec<Difference>, String> {
    let text = fs::read_to_string(file).map_err(|error| error.to_string())?;
    let zones = |directory: &str| load::sources(Path::new(directory)).map_err(|error| error.to_string());
    let run = scenario::run(&text, &zones, &load::include).map_err(|error| error.to_string())?;
    if !update {
        return Ok(run.differences);
    }
    if run.rewritten != text {
        fs::write(file, run.rewritten).map_err(|error| error.to_string())?;
    }
    Ok(Vec::new())
}

fn show(file: &Path, difference: &Difference) -> String {
    let mut text = format!("\n  {}:{}: {}\n", file.display(), difference.line, difference.command);
    for line in difference.expected.lines() {
        text += &format!("    - {line}\n");
    }
    for line in difference.printed.lines() {
        text += &format!("    + {line}\n");
    }
    text + "\n"
}
