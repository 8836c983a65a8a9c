//! Runs every scenario of `tests/scenarios/` and every one in the docs. `UPDATE=1` rewrites the files of
//! `tests/scenarios/`; read what changed before you keep it.

use std::fs;
use std::path::{Path, PathBuf};

use windrose::load;
use windrose::scenario::{self, Difference};

#[test]
fn every_scenario_prints_what_it_says() {
    let update = std::env::var_os("UPDATE").is_some_and(|value| value == "1");
    let files = scenario_files();
    assert!(files.len() >= SCENARIOS_MIN, "only {} scenarios were found", files.len());
    let mut report = String::new();
    for file in &files {
        let text = fs::read_to_string(file).expect("readable");
        let run = run(&text, file);
        if update && run.rewritten != text {
            fs::write(file, run.rewritten).expect("writable");
        } else if !update {
            run.differences.iter().for_each(|difference| report += &show(file, difference));
        }
    }
    assert!(report.is_empty(), "{report}\nUPDATE=1 writes down what happens now");
}

#[test]
fn every_scenario_in_the_docs_is_true() {
    let mut found = 0;
    for page in ["README.md", "docs/SCENARIOS.md", "docs/OPERATING.md"] {
        let text = fs::read_to_string(root().join(page)).expect("readable");
        for example in fenced(&text).filter(|example| example.contains("\n----\n")) {
            found += 1;
            let differences = run(&example, Path::new(page)).differences;
            let report: String =
                differences.iter().map(|difference| show(Path::new(page), difference)).collect();
            assert!(report.is_empty(), "{report}");
        }
    }
    assert!(found > 0, "the docs show at least one scenario");
}

fn run(text: &str, file: &Path) -> scenario::Run {
    let zones = |directory: &str| load::sources(&root().join(directory)).map_err(|error| error.to_string());
    scenario::run(text, &zones, &load::include).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn show(file: &Path, difference: &Difference) -> String {
    let Difference { line, command, expected, printed } = difference;
    format!("{}:{line}: {command}\n--- expected\n{expected}--- printed\n{printed}\n", file.display())
}

fn scenario_files() -> Vec<PathBuf> {
    let directory = root().join("tests/scenarios");
    let entries = fs::read_dir(directory).expect("readable").map(|entry| entry.expect("readable").path());
    let mut files: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|extension| extension == "txt")).collect();
    files.sort();
    files
}

/// The fenced blocks of a page.
fn fenced(page: &str) -> impl Iterator<Item = String> {
    page.split("\n```").skip(1).step_by(2).map(|block| {
        let (_language, text) = block.split_once('\n').unwrap_or((block, ""));
        format!("{text}\n")
    })
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Fewer would mean that some were lost.
const SCENARIOS_MIN: usize = 40;
