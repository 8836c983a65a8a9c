//! Where the fleet's messages go: the subjects, and names as their tokens.
//!
//! ```text
//! windrose.v1.report.<region>.<probe>   a probe's report
//! windrose.v1.server.<name>             a server's digest
//! windrose.v1.zones                     versions of zones/: the stream WINDROSE_ZONES
//! ```
//!
//! The message engine's permissions go by subject: a probe that may publish only its own subject cannot speak
//! as another. What keeps that whole here is that a name has exactly one token.

use std::fmt::Write;

/// The subject of a probe's reports.
pub fn report(region: &str, probe: &str) -> String {
    format!("{REPORT}.{}.{}", token(region), token(probe))
}

/// The subject of a server's digests.
pub fn server(name: &str) -> String {
    format!("{SERVER}.{}", token(name))
}

/// The region and the probe that a report's subject names; `None`: it is no such subject.
pub fn region_and_probe(subject: &str) -> Option<(String, String)> {
    let mut tokens = subject.strip_prefix(REPORT)?.strip_prefix('.')?.split('.');
    let named = (name(tokens.next()?)?, name(tokens.next()?)?);
    tokens.next().is_none().then_some(named)
}

/// The server that a digest's subject names; `None`: it is no such subject.
pub fn server_named(subject: &str) -> Option<String> {
    name(subject.strip_prefix(SERVER)?.strip_prefix('.')?)
}

/// A name as a token: `.`, `*`, `>`, `%`, white space and control characters as `%XX`, a byte each.
fn token(name: &str) -> String {
    escape(name, |c| ESCAPED.contains(&c) || c.is_whitespace() || c.is_control())
}

/// The name that a token stands for; `None`: no name has this token, or it is empty.
fn name(written: &str) -> Option<String> {
    let name = unescape(written)?;
    (!name.is_empty() && token(&name) == written).then_some(name)
}

/// A text with some characters as `%XX`, a byte each. `%` must be one of them.
pub(super) fn escape(text: &str, special: impl Fn(char) -> bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if !special(c) {
            escaped.push(c);
            continue;
        }
        for byte in c.encode_utf8(&mut [0; 4]).bytes() {
            write!(escaped, "%{byte:02X}").expect("a String takes all");
        }
    }
    escaped
}

/// The text that was escaped; `None`: no text was.
pub(super) fn unescape(escaped: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(escaped.len());
    let mut rest = escaped.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        if byte != b'%' {
            bytes.push(byte);
            rest = after;
            continue;
        }
        let (digits, after) = after.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
        rest = after;
    }
    String::from_utf8(bytes).ok()
}

/// All reports.
pub(super) const REPORTS: &str = "windrose.v1.report.*.*";
/// All digests.
pub(super) const SERVERS: &str = "windrose.v1.server.*";

/// The versions of `zones/`.
pub(super) const ZONES: &str = "windrose.v1.zones";

const REPORT: &str = "windrose.v1.report";
const SERVER: &str = "windrose.v1.server";

/// What has a meaning in a subject, or in a token of ours.
const ESCAPED: [char; 4] = ['.', '*', '>', '%'];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_plain_name_is_its_own_token() {
        assert_eq!(report("eu", "ams-1"), "windrose.v1.report.eu.ams-1");
        assert_eq!(server("ns1"), "windrose.v1.server.ns1");
    }

    #[test]
    fn what_means_something_in_a_subject_is_escaped() {
        assert_eq!(report("eu.west", "a*b>c d%"), "windrose.v1.report.eu%2Ewest.a%2Ab%3Ec%20d%25");
        assert_eq!(server("zürich\u{a0}1"), "windrose.v1.server.zürich%C2%A01");
    }

    #[test]
    fn a_name_has_exactly_one_token() {
        for other in [
            "windrose.v1.report.eu.%61ms",
            "windrose.v1.report.eu.a%2eb",
            "windrose.v1.report.eu.%+1",
            "windrose.v1.report.eu.%FF",
            "windrose.v1.report.eu.a%2",
            "windrose.v1.report.eu.",
            "windrose.v1.report.eu",
            "windrose.v1.report.eu.a.b",
            "windrose.v1.reports.eu.a",
        ] {
            assert_eq!(region_and_probe(other), None, "{other}");
        }
        assert_eq!(server_named("windrose.v1.server.a.b"), None);
    }

    proptest! {
        #[test]
        fn any_name_comes_back_and_makes_a_valid_subject(region in "\\PC{1,20}|.{1,20}", probe in ".{1,20}") {
            let subject = report(&region, &probe);
            prop_assert_eq!(subject.split('.').count(), 5);
            prop_assert!(!subject.contains(|c: char| c.is_whitespace() || c.is_control() || "*>".contains(c)));
            prop_assert_eq!(region_and_probe(&subject), Some((region.clone(), probe)));
            prop_assert_eq!(server_named(&server(&region)), Some(region));
        }

        #[test]
        fn no_token_is_taken_for_two_names(token in "[%0-9A-Fa-f+.-]{0,12}") {
            if let Some(name) = server_named(&format!("windrose.v1.server.{token}")) {
                prop_assert_eq!(server(&name), format!("windrose.v1.server.{token}"));
            }
        }
    }
}
