//! The walls of the house: which module may name which, and what the core may not know.
//!
//! ```text
//!   words     model
//!     ^       named by all
//!   core      geo dnssec health spec plan steering snapshot answer keeper scenario
//!     ^       pure: time and chance are arguments, facts are results
//!   edges     telemetry load dns probe fleet control notify sandbox cli
//!     ^       each touches one part of the world; none names another, telemetry apart
//!   wiring    app main
//!             named by nobody
//! ```
//!
//! The sources are read as text: comments, strings and `#[cfg(test)]` items are left out, and every path
//! is taken whole, however its `use` is nested. [`ROWS`] holds exactly the arrows that are there: a new one is
//! a decision to write down here, and one that is gone leaves the table too.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use Layer::{Core, Edge, Wiring, Words};

/// Who names whom. A module may only name modules in rows above its own.
const ROWS: &[Row] = &[
    Row("model", Words, &[]),
    Row("geo", Core, &["model"]),
    Row("dnssec", Core, &["model"]),
    Row("health", Core, &["geo", "model"]),
    Row("spec", Core, &["dnssec", "geo", "health", "model"]),
    Row("plan", Core, &["dnssec", "geo", "health", "model", "spec"]),
    Row("steering", Core, &["geo", "health", "model"]),
    Row("primary", Core, &["dnssec", "health", "model", "plan", "spec"]),
    Row("snapshot", Core, &["health", "plan", "primary"]),
    Row("answer", Core, &["dnssec", "geo", "health", "model", "plan", "primary", "snapshot", "steering"]),
    Row("keeper", Core, &["health", "model", "plan", "primary", "snapshot", "spec", "steering"]),
    Row(
        "scenario",
        Core,
        &["answer", "geo", "health", "keeper", "model", "plan", "snapshot", "spec", "steering"],
    ),
    Row("telemetry", Edge, &["model"]),
    Row("load", Edge, &["dnssec", "geo", "model", "plan", "primary", "spec"]),
    Row("dns", Edge, &["answer", "dnssec", "geo", "plan", "primary", "snapshot", "spec"]),
    Row("probe", Edge, &["health", "model", "telemetry"]),
    Row("fleet", Edge, &["health", "model", "telemetry"]),
    Row("control", Edge, &["health"]),
    Row("notify", Edge, &["model", "telemetry"]),
    Row("sandbox", Edge, &[]),
    Row("cli", Edge, &[]),
    Row(
        "app",
        Wiring,
        &[
            "answer",
            "cli",
            "control",
            "dns",
            "dnssec",
            "fleet",
            "geo",
            "health",
            "keeper",
            "load",
            "model",
            "notify",
            "plan",
            "primary",
            "probe",
            "sandbox",
            "scenario",
            "snapshot",
            "spec",
            "telemetry",
        ],
    ),
    Row("main", Wiring, &["app", "cli"]),
];

/// The one edge that the others may name: all of them log and count.
const SHARED_EDGE: &str = "telemetry";

/// Dependencies that the core may name: none of them reads a clock, a socket, a file or chance. One that is
/// missing here (any new one) belongs to an edge.
const CORE_CRATES: &[&str] = &[
    "arc_swap",
    "domain",
    "foldhash",
    "hashbrown",
    "ipnet",
    // computes: its one source of chance is an argument
    "ring",
    "serde",
    "serde_json",
    "smallvec",
    "strsim",
    "toml",
];

/// Parts of the standard library that touch the world.
const WORLDLY_PATHS: &[&str] = &["std::env", "std::fs", "std::io", "std::os", "std::process", "std::thread"];

/// Types and macros that touch the world, by whatever path they came.
const WORLDLY_WORDS: &[&str] = &[
    "Instant",
    "SystemTime",
    "TcpListener",
    "TcpStream",
    "ToSocketAddrs",
    "UdpSocket",
    "dbg!",
    "eprint!",
    "eprintln!",
    "print!",
    "println!",
];

/// What no source may hold, and what to do instead.
const BANNED: &[(&str, &str)] = &[
    ("unsafe", "say it in safe Rust, or find the crate whose work it is"),
    ("todo!", "write it, or leave the feature out until it is whole"),
    ("unimplemented!", "write it, or leave the feature out until it is whole"),
];

/// A longer file is two things. The longest a file may be, in lines.
const LINES_MAX: usize = 700;

/// Files that are one thing although they are longer, and why.
const LONG_FILES: &[(&str, &str)] = &[];

/// A top module, its layer, and the modules it names.
struct Row(&'static str, Layer, &'static [&'static str]);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Layer {
    Words,
    Core,
    Edge,
    Wiring,
}

#[test]
fn every_arrow_between_modules_is_in_the_table_and_every_row_is_used() {
    let mut found: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for source in sources() {
        let arrows = found.entry(source.module.clone()).or_default();
        for path in &source.paths {
            if let Some(named) = source.names(path).filter(|named| *named != source.module) {
                arrows.entry(named.to_owned()).or_insert_with(|| source.place(path));
            }
        }
    }
    let mut wrong = Vec::new();
    for (module, arrows) in &found {
        let Some(Row(_, _, allowed)) = ROWS.iter().find(|row| row.0 == module) else {
            wrong.push(format!("module `{module}` has no row: add it to ROWS below all that it names"));
            continue;
        };
        for (named, place) in arrows.iter().filter(|(named, _)| !allowed.contains(&named.as_str())) {
            wrong.push(format!(
                "{place}: `{module}` names `{named}`, which its row lacks: take the arrow out, or add it to ROWS"
            ));
        }
        for gone in allowed.iter().filter(|name| !arrows.contains_key(**name)) {
            wrong.push(format!("`{module}` no longer names `{gone}`: take it out of its row in ROWS"));
        }
    }
    for Row(module, ..) in ROWS.iter().filter(|row| !found.contains_key(row.0)) {
        wrong.push(format!("there is no module `{module}` in src/: take its row out of ROWS"));
    }
    report(wrong);
}

#[test]
fn arrows_go_down_and_edges_do_not_know_one_another() {
    let mut wrong = Vec::new();
    for (at, Row(module, layer, named)) in ROWS.iter().enumerate() {
        for name in *named {
            match ROWS[..at].iter().find(|row| row.0 == *name) {
                None => wrong.push(format!("`{module}` names `{name}`, which does not stand above it in ROWS")),
                Some(Row(_, Edge, _)) if *layer == Edge && *name != SHARED_EDGE => wrong.push(format!(
                    "the edge `{module}` names the edge `{name}`: let `app` hand one what it needs of the other"
                )),
                Some(Row(_, Wiring, _)) if *module != "main" => {
                    wrong.push(format!("`{module}` names `{name}`: wiring is named by nobody"));
                }
                Some(_) => {}
            }
        }
    }
    if !ROWS.is_sorted_by_key(|row| row.1) {
        wrong.push("ROWS is out of order: words, core, edges, wiring".to_owned());
    }
    report(wrong);
}

#[test]
fn the_core_knows_no_clock_socket_file_task_log_or_chance() {
    let edge_crates: BTreeSet<String> =
        dependencies().into_iter().filter(|name| !CORE_CRATES.contains(&name.as_str())).collect();
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| source.is_core()) {
        for path in &source.paths {
            let whole = path.segments.join("::");
            let worldly = edge_crates.contains(path.segments[0].trim_end_matches('!'))
                || WORLDLY_PATHS
                    .iter()
                    .any(|known| whole == *known || whole.starts_with(&format!("{known}::")))
                || path.segments.iter().any(|segment| WORLDLY_WORDS.contains(&segment.as_str()));
            if worldly {
                wrong.push(format!(
                    "{}: `{whole}` in the core: take what it gives as an argument, or return a fact for an edge to act on",
                    source.place(path)
                ));
            }
        }
    }
    report(wrong);
}

#[test]
fn nothing_is_unsafe_or_left_to_do() {
    let mut wrong = Vec::new();
    for source in sources() {
        for path in &source.paths {
            for (word, instead) in BANNED.iter().filter(|(word, _)| path.segments.iter().any(|s| s == word)) {
                wrong.push(format!("{}: `{word}`: {instead}", source.place(path)));
            }
        }
    }
    report(wrong);
}

#[test]
fn no_file_is_two_things() {
    let mut wrong = Vec::new();
    for source in sources() {
        let excused = LONG_FILES.iter().any(|(file, _)| *file == source.file);
        if source.lines > LINES_MAX && !excused {
            wrong.push(format!(
                "{}: {} lines, over {LINES_MAX}: split it, or add it to LONG_FILES with the reason",
                source.file, source.lines
            ));
        }
        if source.lines <= LINES_MAX && excused {
            wrong.push(format!("{}: no longer long: take it out of LONG_FILES", source.file));
        }
    }
    report(wrong);
}

#[test]
fn the_reader_sees_nested_uses_and_skips_comments_strings_and_tests() {
    let text = r##"
        //! `crate::comment` /* */
        use crate::{a::{B, c::{self, D as E}}, f}; /* crate::block /* nested */ */
        fn g<'x>(s: &'x str) -> char { h("crate::string \" "); i(r#"crate::raw " "#); println!("{}", '"'); '\'' }
        #[cfg(test)]
        #[allow(dead_code)]
        mod tests { use crate::test; fn x() { unreachable!() } }
        fn last() -> Vec<crate::z::Z> {}
    "##;
    let read: Vec<String> =
        paths(&without_tests(tokens(text))).iter().map(|p| p.segments.join("::")).collect();
    for there in ["crate::a::B", "crate::a::c::self", "crate::a::c::D", "crate::f", "println!", "crate::z::Z"]
    {
        assert!(read.iter().any(|path| path == there), "{there} is not in {read:?}");
    }
    assert_eq!(read.iter().filter(|path| path.starts_with("crate")).count(), 5, "{read:?}");
    assert!(!read.iter().any(|path| path == "unreachable!"), "{read:?}");
}

/// Fails with everything that is wrong, one a line.
fn report(wrong: Vec<String>) {
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

/// One file of `src/`, read.
struct Source {
    /// From the root of the package.
    file: String,
    /// The top module that it is part of.
    module: String,
    /// How many modules deep it is: 1 for `keeper.rs` and `geo/mod.rs`, 2 for `geo/tree.rs`.
    depth: usize,
    lines: usize,
    paths: Vec<UsedPath>,
}

/// A path as the code names it, a `use` of many taken apart; a macro keeps its `!`.
struct UsedPath {
    line: usize,
    segments: Vec<String>,
}

impl Source {
    /// The top module that a path leads to, if it starts at the root of the package.
    fn names<'p>(&self, path: &'p UsedPath) -> Option<&'p str> {
        let ups = path.segments.iter().take_while(|segment| *segment == "super").count();
        let from_root = match path.segments[0].as_str() {
            "crate" => 1,
            "windrose" if self.module == "main" => 1,
            "super" if ups >= self.depth => ups,
            _ => return None,
        };
        path.segments.get(from_root).map(String::as_str)
    }

    fn is_core(&self) -> bool {
        ROWS.iter().any(|row| row.0 == self.module && row.1 <= Core)
    }

    fn place(&self, path: &UsedPath) -> String {
        format!("{}:{}", self.file, path.line)
    }
}

/// Every file of `src/` but the map of the code, which only lists modules, and files of tests.
fn sources() -> Vec<Source> {
    let src = root().join("src");
    let mut files = Vec::new();
    walk(&src, &mut files);
    files.sort();
    let inside = |file: &PathBuf| file.strip_prefix(&src).expect("walked from src").to_owned();
    files
        .iter()
        .filter(|file| !file.ends_with("src/lib.rs") && !file.ends_with("tests.rs"))
        .filter(|file| !inside(file).iter().any(|step| step == "tests"))
        .map(|file| {
            let inner = inside(file).with_extension("");
            let steps: Vec<_> = inner.iter().map(|step| step.to_string_lossy().into_owned()).collect();
            let text = fs::read_to_string(file).expect("a source can be read");
            Source {
                file: format!("src/{}", inside(file).display()),
                module: steps[0].clone(),
                depth: steps.iter().filter(|step| *step != "mod").count(),
                lines: text.lines().count(),
                paths: paths(&without_tests(tokens(&text))),
            }
        })
        .collect()
}

fn walk(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("src can be listed") {
        let path = entry.expect("src can be listed").path();
        if path.is_dir() {
            walk(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The crates of `[dependencies]`, as code names them.
fn dependencies() -> Vec<String> {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("Cargo.toml can be read");
    let table: toml::Table = manifest.parse().expect("Cargo.toml is TOML");
    table["dependencies"].as_table().expect("a table").keys().map(|name| name.replace('-', "_")).collect()
}

/// A word, `::`, or any other single character of code.
struct Token {
    line: usize,
    text: String,
}

/// The code of a source without comments and literals.
fn tokens(text: &str) -> Vec<Token> {
    let mut found = Vec::new();
    let (mut rest, mut line) = (text, 1);
    while let Some(first) = rest.chars().next() {
        let skipped = skipped(rest);
        let word = rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
        let length = match (skipped, word) {
            (0, 0) if rest.starts_with("::") => 2,
            (0, 0) => first.len_utf8(),
            (0, word) => word,
            (skipped, _) => skipped,
        };
        let (taken, after) = rest.split_at(length);
        if skipped == 0 {
            found.push(Token { line, text: taken.to_owned() });
        }
        line += taken.matches('\n').count();
        rest = after;
    }
    found
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// How long the space, comment, literal or lifetime is that this text starts with; 0: it starts with code.
fn skipped(text: &str) -> usize {
    let to_end = |found: Option<usize>, closing: usize| found.map_or(text.len(), |at| at + closing);
    if text.starts_with(char::is_whitespace) {
        return to_end(text.find(|c: char| !c.is_whitespace()), 0);
    }
    if text.starts_with("//") {
        return to_end(text.find('\n'), 0);
    }
    if text.starts_with("/*") {
        return block_comment(text);
    }
    let prefix =
        ["br", "cr", "r", "b", "c", ""].iter().find(|p| text.starts_with(**p)).map_or(0, |p| p.len());
    let hashes = text[prefix..].chars().take_while(|c| *c == '#').count();
    let raw = text[..prefix].ends_with('r');
    if text[prefix + hashes..].starts_with('"') && (raw || hashes == 0) {
        let inside = prefix + hashes + 1;
        let closing = format!("\"{}", "#".repeat(hashes));
        return match raw {
            true => to_end(text[inside..].find(&closing).map(|at| at + inside), closing.len()),
            false => inside + escaped(&text[inside..], '"'),
        };
    }
    if let Some(quoted) = text[prefix..].strip_prefix('\'') {
        let mut inside = quoted.chars();
        let is_character = inside.next() == Some('\\') || inside.next() == Some('\'');
        return prefix + 1 + if is_character { escaped(quoted, '\'') } else { 0 };
    }
    0
}

/// The length of a literal's rest, its closing quote included.
fn escaped(text: &str, quote: char) -> usize {
    let mut after_backslash = false;
    for (at, c) in text.char_indices() {
        if c == quote && !after_backslash {
            return at + 1;
        }
        after_backslash = c == '\\' && !after_backslash;
    }
    text.len()
}

/// The length of a block comment; they nest.
fn block_comment(text: &str) -> usize {
    let (mut at, mut open) = (0, 0);
    while at < text.len() {
        if text[at..].starts_with("/*") {
            (at, open) = (at + 2, open + 1);
        } else if text[at..].starts_with("*/") {
            (at, open) = (at + 2, open - 1);
            if open == 0 {
                return at;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// Leaves out each item after `#[cfg(test)]`: up to its `;` or the end of its block.
fn without_tests(tokens: Vec<Token>) -> Vec<Token> {
    const MARK: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut kept = Vec::new();
    let mut rest = tokens.into_iter().peekable();
    while let Some(token) = rest.next() {
        kept.push(token);
        let marked = kept.len() >= MARK.len()
            && kept[kept.len() - MARK.len()..].iter().map(|token| token.text.as_str()).eq(MARK);
        if marked {
            kept.truncate(kept.len() - MARK.len());
            let mut open = 0;
            for token in rest.by_ref() {
                match token.text.as_str() {
                    "{" => open += 1,
                    "}" if open == 1 => break,
                    "}" => open -= 1,
                    ";" if open == 0 => break,
                    _ => {}
                }
            }
        }
    }
    kept
}

/// Every path of the code, groups taken apart.
fn paths(tokens: &[Token]) -> Vec<UsedPath> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        at = if tokens[at].text.starts_with(is_word) { path(tokens, at, &[], &mut found) } else { at + 1 };
    }
    found
}

/// Reads the path at `at`, after `prefix`, and returns where it ends.
fn path(tokens: &[Token], mut at: usize, prefix: &[String], found: &mut Vec<UsedPath>) -> usize {
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text.as_str());
    let line = tokens[at].line;
    let mut segments = prefix.to_vec();
    loop {
        if text(at) == "{" {
            return group(tokens, at + 1, &segments, found);
        }
        let called = text(at + 1) == "!" && text(at + 2) != "=";
        segments.push(format!("{}{}", text(at), if called { "!" } else { "" }));
        at += 1;
        let goes_on = text(at) == "::" && (text(at + 1).starts_with(is_word) || text(at + 1) == "{");
        if !goes_on {
            found.push(UsedPath { line, segments });
            return at;
        }
        at += 1;
    }
}

/// Reads the paths of a `{...}` whose inside starts at `at`, and returns where it ends.
fn group(tokens: &[Token], mut at: usize, prefix: &[String], found: &mut Vec<UsedPath>) -> usize {
    let mut fresh = true;
    while at < tokens.len() {
        match tokens[at].text.as_str() {
            "}" => return at + 1,
            "," => (at, fresh) = (at + 1, true),
            word if fresh && word.starts_with(is_word) => {
                (at, fresh) = (path(tokens, at, prefix, found), false);
            }
            _ => at += 1,
        }
    }
    at
}
