//! A file of address prefixes (`nets_file`): for lists too long to be written into a steering file.
//!
//! ```text
//!   # customers in Europe
//!   198.51.100.0/24
//!   2001:db8::/32     # one prefix a line
//!   192.0.2.1         # an address is a /32 or a /128
//! ```

use ipnet::IpNet;

use crate::spec::diagnostic::Place;
use crate::spec::prefix::{self, PREFIX};
use crate::spec::reader::{Problem, Reporter};
use crate::spec::steering::{NetsFile, SteeringFile};
use crate::spec::{Diagnostic, Include, Source, Spanned};

/// Reads every file of prefixes that a steering file names.
pub fn read_all(file: &mut SteeringFile, include: Include<'_>, diagnostics: &mut Vec<Diagnostic>) {
    let of_maps = file.maps.iter_mut().flat_map(|map| &mut map.value.regions);
    for region in file.regions.iter_mut().chain(of_maps) {
        let Some(nets_file) = &mut region.value.nets_file else { continue };
        match include(&file.source.file, &nets_file.name.value) {
            Ok(source) => *nets_file = read(nets_file.name.clone(), source, diagnostics),
            Err(why) => {
                let place = Place::new(&file.source, nets_file.name.span.clone());
                let hint = format!("it is looked for relative to {}", file.source.file);
                diagnostics.push(Diagnostic::error("unreadable", place, why).hint(hint));
            }
        }
    }
}

fn read(name: Spanned<String>, source: Source, diagnostics: &mut Vec<Diagnostic>) -> NetsFile {
    let mut reporter = Reporter::new(&source, ERRORS_MAX);
    let mut nets = Vec::new();
    let mut start = 0;
    for (number, line) in source.text.split_inclusive('\n').enumerate() {
        let written = line.split_once('#').map_or(line, |(before, _)| before);
        let written = written.trim_end();
        let text = written.trim_start();
        let begins = start + written.len() - text.len();
        let span = begins..begins + text.len();
        start += line.len();
        if number == LINES_MAX {
            reporter.error(span, too_long());
            break;
        }
        if text.is_empty() {
            continue;
        }
        match net(text) {
            Ok(value) => nets.push(Spanned { value, span }),
            Err(problem) => reporter.error(span, problem),
        }
    }
    reporter.finish(diagnostics);
    NetsFile { name, source, nets }
}

fn net(text: &str) -> Result<IpNet, Problem> {
    (PREFIX.parse)(text).and_then(|net| prefix::looked_up(net, ""))
}

fn too_long() -> Problem {
    let problem = Problem::new("too-large", format!("this file has more than {LINES_MAX} lines"));
    problem.hint("join neighbouring prefixes, or place these clients by `asn:` or `country:`")
}

/// A longer file is refused: its prefixes alone would take more than 40 MB.
const LINES_MAX: usize = 1_000_000;

/// More errors in one file are counted, not shown: a file of another kind has one in each line.
const ERRORS_MAX: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> (NetsFile, Vec<Diagnostic>) {
        let mut diagnostics = Vec::new();
        let name = Spanned { value: "eu.txt".to_owned(), span: 0..0 };
        let file = read(name, Source::new("zones/eu.txt", text), &mut diagnostics);
        (file, diagnostics)
    }

    #[test]
    fn every_prefix_is_read_with_its_place_and_all_else_is_left_out() {
        let text =
            "# Europe\r\n\r\n  198.51.100.0/24 # one\r\n2001:db8::/32\n192.0.2.1#two\n::ffff:192.0.2.2";
        let (file, diagnostics) = read_text(text);
        assert_eq!(diagnostics, []);
        let nets: Vec<String> = file.nets.iter().map(|net| net.value.to_string()).collect();
        assert_eq!(nets, ["198.51.100.0/24", "2001:db8::/32", "192.0.2.1/32", "192.0.2.2/32"]);
        let written: Vec<&str> = file.nets.iter().map(|net| &text[net.span.clone()]).collect();
        assert_eq!(written, ["198.51.100.0/24", "2001:db8::/32", "192.0.2.1", "::ffff:192.0.2.2"]);
    }

    #[test]
    fn an_error_is_shown_in_its_line_and_the_rest_is_read() {
        let (file, diagnostics) = read_text("192.0.2.0/24\n  198.51.100.7/24 # ä\n192.0.2.1\n");
        assert_eq!(file.nets.len(), 2);
        let place = diagnostics[0].place.as_ref().expect("a place");
        assert_eq!((&*place.file, place.line, place.column, place.width), ("zones/eu.txt", 2, 3, 15));
        assert_eq!(diagnostics[0].hint.as_deref(), Some("write \"198.51.100.0/24\""));
    }

    #[test]
    fn a_file_of_another_kind_is_told_a_few_times() {
        let (_, diagnostics) = read_text(&"<html>\n".repeat(100));
        assert_eq!(diagnostics.len(), ERRORS_MAX + 1);
        assert_eq!(diagnostics[ERRORS_MAX].message, "80 more errors in zones/eu.txt are not shown");
    }

    #[test]
    fn a_file_that_is_too_long_is_refused_and_one_that_is_just_not_is_read() {
        assert_eq!(read_text(&"\n".repeat(LINES_MAX)).1, []);
        let (_, diagnostics) = read_text(&"\n".repeat(LINES_MAX + 2));
        assert_eq!(diagnostics.len(), 1);
        assert_eq!(diagnostics[0].place.as_ref().map(|place| place.line), Some(LINES_MAX + 1));
    }
}
