//! The rules that place clients, as people write them.
//!
//! ```text
//!   "country:DE" --kind, code--> Matcher
//!   "DE", "cuntry:DE" ---------> an error that says what was most likely meant
//! ```

use crate::geo::{Continent, Country, Matcher, Subdivision, hubs};
use crate::spec::prefix::{self, PREFIX};
use crate::spec::reader::{Problem, Written};
use crate::spec::suggest::did_you_mean;

/// A rule that places clients.
pub const MATCHER: Written<Matcher> = Written {
    expects: "a rule as \"net:198.51.100.0/24\" or \"country:DE\"",
    pattern: "^(net:.+/[0-9]+|asn:([Aa][Ss])?[0-9]+|subdivision:[A-Za-z]{2}-[0-9A-Za-z]{1,3}\
              |country:[A-Za-z]{2}|continent:[A-Za-z]{2})$",
    parse: |text| {
        let of_a_kind = text.split_once(':').and_then(|(kind, code)| {
            let (_, read) = KINDS.into_iter().find(|(name, _)| *name == kind)?;
            Some(read(code))
        });
        of_a_kind.unwrap_or_else(|| Err(of_no_kind(text)))
    },
};

/// Reads what stands behind the colon.
type Read = fn(&str) -> Result<Matcher, Problem>;

const KINDS: [(&str, Read); 5] = [
    ("net", |code| prefix::with_length(code, "net:").and_then(looked_up)),
    ("asn", |code| asn(code).map(Matcher::Asn)),
    ("subdivision", |code| subdivision(code).map(Matcher::Subdivision)),
    ("country", |code| country(code).map(Matcher::Country)),
    ("continent", |code| continent(code).map(Matcher::Continent)),
];

fn looked_up(net: ipnet::IpNet) -> Result<Matcher, Problem> {
    prefix::looked_up(net, "net:").map(Matcher::Net)
}

/// The number of an autonomous system, bare or with `AS`. 0 is nobody's (RFC 7607).
fn asn(code: &str) -> Result<u32, Problem> {
    let bare = |code: &str| code.bytes().all(|byte| byte.is_ascii_digit()).then(|| code.parse().ok())?;
    let marked = code.get(..2).is_some_and(|mark| mark.eq_ignore_ascii_case("AS"));
    let number = bare(if marked { &code[2..] } else { code });
    number.filter(|number| *number != 0).ok_or_else(|| {
        bad(format!("`{code}` is no number of an autonomous system"))
            .hint("write a number from 1 to 4294967295, as \"asn:64500\"")
    })
}

fn subdivision(code: &str) -> Result<Subdivision, Problem> {
    let problem = bad(format!("`{code}` is no subdivision of a country"));
    let hint = match (code.parse::<Subdivision>(), code.split_once('-')) {
        (Ok(subdivision), _) if is_country(subdivision.country()) => return Ok(subdivision),
        (Ok(_), Some((country, part))) => match official(country) {
            Some(official) => format!("write \"subdivision:{official}-{part}\""),
            None => format!("`{country}` is no country of ISO 3166-1"),
        },
        _ if code.len() <= 3 => "put its country before it, as \"subdivision:US-CA\" (ISO 3166-2)".to_owned(),
        _ => "write its code of ISO 3166-2, as \"subdivision:US-CA\"".to_owned(),
    };
    Err(problem.hint(hint))
}

fn country(code: &str) -> Result<Country, Problem> {
    if let Some(country) = code.parse().ok().filter(|country| is_country(*country)) {
        return Ok(country);
    }
    let problem = bad(format!("`{code}` is no country"));
    Err(problem.hint(match (official(code), code.parse::<Continent>()) {
        (Some(official), _) => format!("write \"country:{official}\""),
        (_, Ok(continent)) => format!("write \"continent:{continent}\""),
        _ => "a country has two letters, those of ISO 3166-1, as \"country:DE\"".to_owned(),
    }))
}

fn is_country(country: Country) -> bool {
    hubs::of(country).is_some()
}

/// The code of a country that is better known by another.
fn official(code: &str) -> Option<&'static str> {
    OTHER_CODES.iter().find(|(other, _)| other.eq_ignore_ascii_case(code)).map(|(_, official)| *official)
}

fn continent(code: &str) -> Result<Continent, Problem> {
    code.parse().map_err(|_| {
        let problem = bad(format!("`{code}` is no continent"));
        problem.hint(match country(code) {
            Ok(country) => format!("write \"country:{country}\" if the country is meant"),
            Err(_) => "the continents are AF, AN, AS, EU, NA, OC and SA".to_owned(),
        })
    })
}

fn of_no_kind(text: &str) -> Problem {
    let problem = bad(format!("`{text}` is no rule that places clients"));
    let (kind, code) = text.split_once(':').unwrap_or(("", text));
    let whole = readings(text);
    if whole.is_empty()
        && let Some(close) = did_you_mean(kind, KINDS.map(|(name, _)| name))
    {
        return problem.hint(format!("did you mean \"{close}:{code}\"?"));
    }
    let meant = if whole.is_empty() { readings(code) } else { whole };
    problem.hint(match meant.is_empty() {
        true => "a rule starts with `net:`, `asn:`, `subdivision:`, `country:` or `continent:`".to_owned(),
        false => format!("write {}", meant.join(" or ")),
    })
}

/// Every rule that a text would be if its kind were written before it, in quotes.
fn readings(text: &str) -> Vec<String> {
    let net = (PREFIX.parse)(text).and_then(looked_up);
    let codes = KINDS.into_iter().skip(1).map(|(_, read)| read(text));
    std::iter::once(net).chain(codes).flatten().map(|matcher| format!("\"{matcher}\"")).collect()
}

fn bad(message: String) -> Problem {
    Problem::new("bad-matcher", message)
}

/// Codes that people and bodies use for a country in place of that of ISO 3166-1.
const OTHER_CODES: [(&str, &str); 2] = [("UK", "GB"), ("EL", "GR")];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Result<String, String> {
        let read = (MATCHER.parse)(text).map(|matcher| matcher.to_string());
        read.map_err(|problem| problem.hint.unwrap_or_default())
    }

    #[test]
    fn every_kind_is_read_in_either_case() {
        for (text, rule) in [
            ("net:198.51.100.0/24", "net:198.51.100.0/24"),
            ("net:2001:db8::/32", "net:2001:db8::/32"),
            ("net:::ffff:198.51.100.0/120", "net:198.51.100.0/24"),
            ("asn:64500", "asn:64500"),
            ("asn:AS64500", "asn:64500"),
            ("asn:as4294967295", "asn:4294967295"),
            ("subdivision:us-ca", "subdivision:US-CA"),
            ("subdivision:GB-9", "subdivision:GB-9"),
            ("country:de", "country:DE"),
            ("country:XK", "country:XK"),
            ("continent:eu", "continent:EU"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(rule));
        }
    }

    #[test]
    fn a_wrong_code_is_refused_with_the_right_one() {
        for (text, hint) in [
            ("country:UK", "write \"country:GB\""),
            ("country:eu", "write \"continent:EU\""),
            ("country:AN", "write \"continent:AN\""),
            ("country:ZZ", "a country has two letters, those of ISO 3166-1, as \"country:DE\""),
            ("country:DEU", "a country has two letters, those of ISO 3166-1, as \"country:DE\""),
            ("continent:US", "write \"country:US\" if the country is meant"),
            ("continent:Europe", "the continents are AF, AN, AS, EU, NA, OC and SA"),
            ("subdivision:CA", "put its country before it, as \"subdivision:US-CA\" (ISO 3166-2)"),
            ("subdivision:US_CA", "write its code of ISO 3166-2, as \"subdivision:US-CA\""),
            ("subdivision:UK-SCT", "write \"subdivision:GB-SCT\""),
            ("subdivision:ZZ-1", "`ZZ` is no country of ISO 3166-1"),
            ("net:2002:c000:200::/40", "write \"net:192.0.2.0/24\""),
            ("net:192.0.2.1", "for this one address write \"net:192.0.2.1/32\""),
        ] {
            assert_eq!(read(text), Err(hint.to_owned()), "{text}");
        }
        for code in ["", "AS", "0", "+1", "4294967296", "AS-1", "äß1"] {
            assert!(
                read(&format!("asn:{code}")).is_err_and(|hint| hint.starts_with("write a number from 1"))
            );
        }
    }

    #[test]
    fn another_kind_or_none_is_refused_with_what_was_most_likely_meant() {
        for (text, hint) in [
            ("cuntry:DE", "did you mean \"country:DE\"?"),
            ("Country:DE", "did you mean \"country:DE\"?"),
            ("as:64500", "did you mean \"asn:64500\"?"),
            ("region:us-ca", "write \"subdivision:US-CA\""),
            ("region:EU", "write \"continent:EU\""),
            ("AS64500", "write \"asn:64500\""),
            ("NA", "write \"country:NA\" or \"continent:NA\""),
            ("192.0.2.1", "write \"net:192.0.2.1/32\""),
            ("2001:db8::/32", "write \"net:2001:db8::/32\""),
        ] {
            assert_eq!(read(text), Err(hint.to_owned()), "{text}");
        }
        for text in ["", ":", "everyone", "city:Frankfurt"] {
            assert!(read(text).is_err_and(|hint| hint.starts_with("a rule starts with `net:`")), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_read_again(text in "(net|asn|subdivision|country|continent):[A-Za-z0-9:./-]{0,9}|.*") {
            if let Ok(rule) = read(&text) {
                prop_assert_eq!(read(&rule), Ok(rule));
            }
        }
    }
}
