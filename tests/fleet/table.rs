//! docs/FLEET.md says what happens when a part fails, and which test shows it.

use std::fs;
use std::path::Path;

#[test]
fn each_line_of_the_table_of_faults_is_shown_by_a_test_that_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/FLEET.md")).expect("the page can be read");
    let (_, table) = page.split_once("| what fails |").expect("the table is there");
    let rows: Vec<&str> = table.lines().skip(2).take_while(|line| line.starts_with('|')).collect();
    assert!(!rows.is_empty());
    for row in rows {
        let shown_by = row.trim_end_matches([' ', '|']).rsplit('|').next().unwrap_or_default();
        let mut text = None;
        let mut tests = 0;
        // What stands between backquotes: a file, then tests in it.
        for quoted in shown_by.split('`').skip(1).step_by(2) {
            if quoted.contains('/') {
                let file = fs::read_to_string(root.join(quoted));
                text = Some(file.unwrap_or_else(|error| panic!("{quoted}: {error}, in {row}")));
            } else {
                let text = text.as_ref().unwrap_or_else(|| panic!("no file before {quoted}, in {row}"));
                assert!(text.contains(&format!("fn {quoted}(")), "{quoted} is not there, in {row}");
                tests += 1;
            }
        }
        assert!(tests > 0, "no test in {row}");
    }
}
