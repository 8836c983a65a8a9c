//! docs/CONFORMANCE.md says which rule is shown by what; what it names must be there.

use std::fs;

use crate::cases;
use crate::world::repository;

#[test]
fn each_rule_is_shown_by_cases_or_tests_that_are_there() {
    let page = fs::read_to_string(repository().join("docs/CONFORMANCE.md")).expect("the page can be read");
    let (_, table) = page.split_once("| rule |").expect("the table is there");
    let rows: Vec<&str> = table.lines().skip(2).take_while(|line| line.starts_with('|')).collect();
    assert!(rows.len() >= 30);
    let names: Vec<String> =
        cases::all().into_iter().flat_map(|(_, cases)| cases).map(|case| case.name).collect();
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [_rule, shown_by, status] = cells[..] else { panic!("three cells in {row}") };
        assert!(["holds", "in part", "not yet"].iter().any(|known| status.starts_with(known)), "{row}");
        let shown: Vec<&str> = shown_by.split('`').skip(1).step_by(2).collect();
        assert!(!shown.is_empty() || status.starts_with("not yet"), "nothing shows {row}");
        for shown in shown {
            assert!(is_there(shown, &names), "{shown} is not there, in {row}");
        }
    }
}

#[test]
fn each_case_is_named_in_the_documentation() {
    let page = fs::read_to_string(repository().join("docs/CONFORMANCE.md")).expect("the page can be read");
    let shown: Vec<&str> = page.split('`').skip(1).step_by(2).collect();
    for case in cases::all().into_iter().flat_map(|(_, cases)| cases) {
        let told = shown.iter().any(|shown| match shown.strip_suffix('*') {
            Some(start) => case.name.starts_with(start),
            None => case.name == *shown,
        });
        assert!(told, "{} is in no row", case.name);
    }
}

/// A case, cases that begin so (`rfc6891-*`), or a test of a file (`src/dns/cookies.rs: NAME`).
fn is_there(shown: &str, cases: &[String]) -> bool {
    match shown.split_once(": ") {
        Some((file, test)) => {
            let text = fs::read_to_string(repository().join(file)).unwrap_or_default();
            text.contains(&format!("fn {test}("))
        }
        None => match shown.strip_suffix('*') {
            Some(start) => cases.iter().any(|case| case.starts_with(start)),
            None => cases.iter().any(|case| case == shown),
        },
    }
}
