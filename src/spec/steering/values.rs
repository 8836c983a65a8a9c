//! What the values of a steering file look like.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use domain::base::Rtype;
use serde_json::{Value as Json, json};
use toml::de::DeValue;

use crate::model::{Coordinates, Failback, MinUp, Name, Pool};
use crate::spec::master;
use crate::spec::reader::{Item, Percent, Problem, Reporter, Shape, Time, Whole, Word, Written};
use crate::spec::steering::NeedSpec;

/// A key of `names`: relative to the zone, `@`, `*.shop`, or absolute with a final dot.
pub const OWNER: Written<String> = Written {
    expects: "a domain name",
    pattern: ".",
    parse: |text| match text {
        "@" => Ok(text.to_owned()),
        _ => domain_name(text).map(|_| text.to_owned()),
    },
};

/// What `names` are relative to.
pub const ZONE: Written<String> = Written {
    expects: "a domain name",
    pattern: ".",
    parse: |text| domain_name(text).map(|_| text.to_owned()),
};

/// A host name with its final dot.
pub const HOST_NAME: Written<Name> = Written {
    expects: "a domain name with a final dot",
    pattern: r"\.$",
    parse: |text| {
        let name = domain_name(text)?;
        if !text.ends_with('.') {
            let problem = Problem::new("not-absolute", format!("`{text}` has no final dot"));
            return Err(problem.hint(format!("write \"{text}.\": it is relative to no zone")));
        }
        Ok(name)
    },
};

/// An IPv4 address.
pub const IPV4: Written<Ipv4Addr> = Written {
    expects: "an IPv4 address",
    pattern: r"^\d{1,3}(\.\d{1,3}){3}$",
    parse: |text| match text.parse() {
        Ok(IpAddr::V4(address)) => Ok(address),
        Ok(IpAddr::V6(_)) => Err(Problem::new("bad-address", format!("`{text}` is an IPv6 address"))
            .hint(format!("write `ipv6 = \"{text}\"`"))),
        Err(_) => Err(bad_address(text, "an IPv4 address, as \"192.0.2.10\"")),
    },
};

/// An IPv6 address.
pub const IPV6: Written<Ipv6Addr> = Written {
    expects: "an IPv6 address",
    pattern: "^[0-9A-Fa-f:.]+$",
    parse: |text| match text.parse() {
        Ok(IpAddr::V6(address)) => Ok(address),
        Ok(IpAddr::V4(_)) => Err(Problem::new("bad-address", format!("`{text}` is an IPv4 address"))
            .hint(format!("write `ipv4 = \"{text}\"`"))),
        Err(_) => Err(bad_address(text, "an IPv6 address, as \"2001:db8::10\"")),
    },
};

/// The path of a request.
pub const PATH: Written<String> = Written {
    expects: "a path that starts with a slash",
    pattern: "^/[!-~]*$",
    parse: |text| {
        if !text.starts_with('/') {
            return Err(Problem::new("bad-path", format!("the path `{text}` does not start with a slash"))
                .hint(format!("write \"/{text}\"")));
        }
        printable(text, "path", "write other characters as %XX, a space as %20")
    },
};

/// The method of a request.
pub const METHOD: Written<String> = Written {
    expects: "a method, as \"GET\"",
    pattern: "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$",
    parse: |text| token(text, "method"),
};

/// A Host header: a name or address, with a port if need be.
pub const HOST: Written<String> = Written {
    expects: "a host name",
    pattern: "^[!-~]+$",
    parse: |text| printable(text, "host", "write it as it stands in a URL, as \"www.example.org\""),
};

/// The name of a header.
pub const HEADER_NAME: Written<String> = Written {
    expects: "the name of a header",
    pattern: "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$",
    parse: |text| {
        if text.eq_ignore_ascii_case("host") {
            return Err(Problem::new("bad-header", "the Host header has a key of its own")
                .hint("set `host = \"...\"` of the monitor"));
        }
        token(text, "header name")
    },
};

/// The value of a header.
pub const HEADER_VALUE: Written<String> = Written {
    expects: "a string",
    pattern: "^[ -~]*$",
    parse: |text| match text.chars().all(|c| c == ' ' || c.is_ascii_graphic()) {
        true => Ok(text.to_owned()),
        false => Err(Problem::new("bad-header", "a header holds only printable ASCII")),
    },
};

/// What a DNS query asks for: relative to nothing, so the final dot may be left out.
pub const QUESTION: Written<Name> = Written { expects: "a domain name", pattern: ".", parse: domain_name };

/// The type of a record.
pub const RECORD: Written<Rtype> = Written {
    expects: "a record type, as \"A\"",
    pattern: "^[A-Za-z0-9-]+$",
    parse: |text| {
        master::record_type(text).ok_or_else(|| {
            Problem::new("unknown-word", format!("there is no record type `{text}`"))
                .hint("write one that a zone can hold, as \"A\", \"SOA\" or \"TYPE65280\"")
        })
    },
};

/// Octets in hexadecimal; blanks between them are allowed.
pub const HEX: Written<Vec<u8>> = Written {
    expects: "octets in hexadecimal, as \"80 01\"",
    pattern: "^ *([0-9A-Fa-f]{2} *)+$",
    parse: |text| {
        let problem = || {
            Problem::new("bad-hex", format!("`{text}` is not a row of octets in hexadecimal"))
                .hint("write two digits for each octet, as \"80 01\"")
        };
        let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b' ').collect();
        let octet = |pair: &[u8]| -> Option<u8> {
            let digit = |byte: u8| char::from(byte).to_digit(16);
            u8::try_from(digit(pair[0])? * 16 + digit(*pair.get(1)?)?).ok()
        };
        let octets: Option<Vec<u8>> = digits.chunks(2).map(octet).collect();
        octets.filter(|octets| !octets.is_empty()).ok_or_else(problem)
    },
};

/// Latitude and longitude.
pub struct At;

impl Shape for At {
    type Value = Coordinates;

    fn expects(&self) -> String {
        "[latitude, longitude] in degrees".into()
    }

    fn read(&self, item: &Item<'_>, reporter: &mut Reporter) -> Option<Coordinates> {
        let numbers = item.get_ref().as_array().map(|items| items.iter().map(number).collect::<Vec<_>>());
        let Some([Some(latitude), Some(longitude)]) = numbers.as_deref() else {
            let problem = match numbers {
                None => Problem::wrong_type(&self.expects(), item),
                Some(_) => {
                    Problem::new("wrong-type", format!("expected {}, found another list", self.expects()))
                }
            };
            reporter.error(item.span(), problem.hint("write two numbers in brackets, as [50.11, 8.68]"));
            return None;
        };
        let (latitude, longitude) = (*latitude, *longitude);
        let on_earth = |latitude: f64, longitude: f64| latitude.abs() <= 90.0 && longitude.abs() <= 180.0;
        if on_earth(latitude, longitude) {
            return Some(Coordinates { latitude, longitude });
        }
        let problem = Problem::new("out-of-range", "there is no such place on Earth");
        let hint = if on_earth(longitude, latitude) {
            format!("latitude comes first: write [{longitude}, {latitude}]")
        } else {
            "latitude is from -90 to 90, longitude from -180 to 180".to_owned()
        };
        reporter.error(item.span(), problem.hint(hint));
        None
    }

    fn schema(&self) -> Json {
        json!({
            "type": "array",
            "prefixItems": [
                { "type": "number", "minimum": -90, "maximum": 90 },
                { "type": "number", "minimum": -180, "maximum": 180 },
            ],
            "minItems": 2,
            "maxItems": 2,
        })
    }
}

/// One status, or a range of them.
pub struct Status;

impl Status {
    fn parse(text: &str) -> Option<RangeInclusive<u16>> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let status = |text: &str| {
            let status = (text.len() == 3).then(|| text.parse::<u16>().ok())??;
            STATUSES.contains(&status).then_some(status)
        };
        let (first, last) = (status(first)?, status(last)?);
        (first <= last).then_some(first..=last)
    }
}

impl Shape for Status {
    type Value = RangeInclusive<u16>;

    fn expects(&self) -> String {
        "a status as \"200-299\", \"204\" or 204".into()
    }

    fn read(&self, item: &Item<'_>, reporter: &mut Reporter) -> Option<RangeInclusive<u16>> {
        let DeValue::String(text) = item.get_ref() else {
            let shape = Whole::within(i64::from(*STATUSES.start())..=i64::from(*STATUSES.end()));
            return shape.read(item, reporter).map(|status| status..=status);
        };
        let range = Self::parse(text);
        if range.is_none() {
            let problem = Problem::new("bad-status", format!("`{text}` is no status"));
            let hint = "write one (\"204\") or the first and the last (\"200-299\") of those from 100 to 599";
            reporter.error(item.span(), problem.hint(hint));
        }
        range
    }

    fn schema(&self) -> Json {
        json!({ "anyOf": [
            { "type": "string", "pattern": "^[1-5][0-9]{2}(-[1-5][0-9]{2})?$" },
            { "type": "integer", "minimum": STATUSES.start(), "maximum": STATUSES.end() },
        ] })
    }
}

/// A number of members, or a percentage of them.
pub struct UpAtLeast;

impl Shape for UpAtLeast {
    type Value = MinUp;

    fn expects(&self) -> String {
        "a number of members, as 2, or a percentage, as \"50%\"".into()
    }

    fn read(&self, item: &Item<'_>, reporter: &mut Reporter) -> Option<MinUp> {
        match item.get_ref() {
            DeValue::Integer(_) => Whole::within(1..=MEMBERS_MAX).read(item, reporter).map(MinUp::Count),
            DeValue::String(_) => Percent.read(item, reporter).map(MinUp::Percent),
            _ => {
                reporter.error(item.span(), Problem::wrong_type(&self.expects(), item));
                None
            }
        }
    }

    fn schema(&self) -> Json {
        json!({ "anyOf": [{ "type": "integer", "minimum": 1, "maximum": MEMBERS_MAX }, Percent.schema()] })
    }
}

/// How many monitors of a group must pass.
pub struct HowMany;

impl Shape for HowMany {
    type Value = NeedSpec;

    fn expects(&self) -> String {
        "\"all\", \"any\" or a number of monitors, as 2".into()
    }

    fn read(&self, item: &Item<'_>, reporter: &mut Reporter) -> Option<NeedSpec> {
        match item.get_ref() {
            DeValue::Integer(_) => Whole::within(1..=PARTS_MAX).read(item, reporter).map(NeedSpec::AtLeast),
            DeValue::String(_) => NEED.read(item, reporter),
            _ => {
                reporter.error(item.span(), Problem::wrong_type(&self.expects(), item));
                None
            }
        }
    }

    fn schema(&self) -> Json {
        json!({ "anyOf": [{ "type": "integer", "minimum": 1, "maximum": PARTS_MAX }, NEED.schema()] })
    }
}

const NEED: Word<NeedSpec> =
    Word { what: "`need`", words: &[("all", NeedSpec::All), ("any", NeedSpec::Any)] };

/// When a member that recovered is used again.
pub struct Returning;

impl Shape for Returning {
    type Value = Failback;

    fn expects(&self) -> String {
        "\"auto\", \"manual\" or a duration".into()
    }

    fn read(&self, item: &Item<'_>, reporter: &mut Reporter) -> Option<Failback> {
        match item.get_ref().as_str() {
            Some("auto") => Some(Failback::Auto),
            Some("manual") => Some(Failback::Manual),
            Some(text) if !text.starts_with(|c: char| c.is_ascii_digit()) => {
                let problem = Problem::new("unknown-word", format!("there is no `failback` `{text}`"));
                reporter
                    .error(item.span(), problem.hint("write \"auto\", \"manual\" or a duration, as \"10m\""));
                None
            }
            _ => {
                Time::within(Duration::from_secs(1)..=FAILBACK_MAX).read(item, reporter).map(Failback::After)
            }
        }
    }

    fn schema(&self) -> Json {
        let time = Time::within(Duration::from_secs(1)..=FAILBACK_MAX).schema();
        json!({ "anyOf": [{ "enum": ["auto", "manual"] }, time] })
    }
}

/// A share, as 0.05 or "5%".
pub struct Share;

impl Shape for Share {
    type Value = f64;

    fn expects(&self) -> String {
        "a share from 0 to 1, or a percentage, as \"5%\"".into()
    }

    fn read(&self, item: &Item<'_>, reporter: &mut Reporter) -> Option<f64> {
        let (share, shown) = match item.get_ref() {
            DeValue::String(text) => {
                let percent = text.strip_suffix('%').and_then(|number| number.parse::<f64>().ok());
                (percent.map(|percent| percent / 100.0), text.to_string())
            }
            _ => match number(item) {
                Some(share) => (Some(share), share.to_string()),
                None => {
                    reporter.error(item.span(), Problem::wrong_type(&self.expects(), item));
                    return None;
                }
            },
        };
        let share = share.filter(|share| (0.0..=1.0).contains(share));
        if share.is_none() {
            let problem = Problem::out_of_range(&self.expects(), &shown);
            let bare = number(item).or_else(|| item.get_ref().as_str()?.parse().ok());
            let meant = bare.filter(|percent| (1.0..=100.0).contains(percent));
            reporter.error(
                item.span(),
                match meant {
                    Some(percent) => problem.hint(format!("write \"{percent}%\"")),
                    None => problem,
                },
            );
        }
        share
    }

    fn schema(&self) -> Json {
        json!({ "anyOf": [
            { "type": "number", "minimum": 0, "maximum": 1 },
            { "type": "string", "pattern": r"^\d+(\.\d+)?%$" },
        ] })
    }
}

/// A time to live: a bare number of seconds, as in a zone file, or a duration.
pub struct Seconds;

impl Shape for Seconds {
    type Value = u32;

    fn expects(&self) -> String {
        format!("seconds from 0 to {TTL_MAX}, as 30, or a duration, as \"30s\"")
    }

    fn read(&self, item: &Item<'_>, reporter: &mut Reporter) -> Option<u32> {
        let DeValue::String(text) = item.get_ref() else {
            return Whole::within(0..=i64::from(TTL_MAX)).read(item, reporter);
        };
        if text.parse::<u32>().is_ok() {
            let problem = Problem::wrong_type(&self.expects(), item);
            reporter.error(item.span(), problem.hint(format!("write {text} without quotes")));
            return None;
        }
        let time = Time::within(Duration::ZERO..=Duration::from_secs(TTL_MAX.into())).read(item, reporter)?;
        if time.subsec_millis() > 0 {
            let problem = Problem::new("bad-duration", "a time to live has whole seconds only");
            reporter.error(
                item.span(),
                problem.hint(format!("write {} or {}", time.as_secs(), time.as_secs() + 1)),
            );
        }
        u32::try_from(time.as_secs()).ok()
    }

    fn schema(&self) -> Json {
        let time = Time::within(Duration::ZERO..=Duration::from_secs(TTL_MAX.into())).schema();
        json!({ "anyOf": [{ "type": "integer", "minimum": 0, "maximum": TTL_MAX }, time] })
    }
}

fn domain_name(text: &str) -> Result<Name, Problem> {
    Name::from_str(text).map_err(|error| {
        Problem::new("bad-name", format!("`{text}` is no domain name: {error}"))
            .hint("labels have 1 to 63 letters and are joined by dots; a name has at most 255 in all")
    })
}

fn bad_address(text: &str, expected: &str) -> Problem {
    Problem::new("bad-address", format!("`{text}` is no address")).hint(format!("write {expected}"))
}

/// RFC 9110 section 5.6.2.
fn token(text: &str, what: &str) -> Result<String, Problem> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if text.is_empty() || !text.chars().all(fits) {
        return Err(Problem::new("bad-token", format!("`{text}` is no {what}"))
            .hint("it has letters, digits and dashes only"));
    }
    Ok(text.to_owned())
}

fn printable(text: &str, what: &str, hint: &str) -> Result<String, Problem> {
    if text.is_empty() || !text.chars().all(|c| c.is_ascii_graphic()) {
        return Err(Problem::new("bad-text", format!("`{text}` cannot be a {what}")).hint(hint));
    }
    Ok(text.to_owned())
}

fn number(item: &Item<'_>) -> Option<f64> {
    match item.get_ref() {
        DeValue::Float(number) => number.as_str().parse().ok(),
        DeValue::Integer(number) if number.radix() == 10 => number.as_str().parse().ok(),
        _ => None,
    }
}

const STATUSES: RangeInclusive<u16> = 100..=599;

/// Nobody writes a group of more.
const PARTS_MAX: i64 = 1000;

const MEMBERS_MAX: i64 = Pool::MEMBERS_MAX as i64;

/// A week, in seconds: with more, what is steered is not worth steering.
const TTL_MAX: u32 = 7 * 24 * 60 * 60;

/// Thirty days: longer, `manual` is meant.
pub const FAILBACK_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);
