//! `[tsig]`, `[transfer]` and `[update]`: who may take zones whole, who is told that they changed, and who may change them.
//!
//! ```text
//!   [tsig]
//!   keys    = "tsig.keys"                               as `tsig-keygen` prints them, one after the other
//!   [transfer]
//!   allow   = [{ from = "192.0.2.53", key = "ns2" }]    AXFR and IXFR: whoever fits all that is said
//!   notify  = [{ to = "192.0.2.53", key = "ns2" }]      told of each change, until they say that they heard
//!   steered = "static"                                  or "live": the members now up
//!   [update]
//!   allow   = [{ key = "certbot", names = ["_acme-challenge.*"], types = ["TXT"] }]
//! ```
//!
//! All of it is closed unless it is said otherwise, and an update always needs a key.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use domain::base::iana::Rtype;
use ipnet::IpNet;

use super::{NOBODY, plain, value};
use crate::model::Name;
use crate::spec::master::record_type;
use crate::spec::prefix::PREFIX;
use crate::spec::reader::{ListOf, MISSING_KEY, Problem, TEXT, Table, TableOf, Whole, Word, Written, key};

/// `[tsig]`. Paths are as written: relative to the file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tsig {
    /// `keys`: a file with keys (RFC 8945), as BIND's tools write them.
    pub keys: Option<String>,
}

/// `[transfer]`
#[derive(Clone, Debug, PartialEq)]
pub struct Transfer {
    /// `allow`: who may take zones whole; default nobody.
    pub allow: Vec<Grant>,
    /// `notify`: who is told that a zone changed; default nobody.
    pub notify: Vec<Secondary>,
    /// `steered`: what others get for a steered name.
    pub steered: SteeredChoice,
    /// `history`: changes of each zone that are remembered at most, for incremental transfers; default 1000.
    pub history: usize,
}

/// Who may take zones: whoever fits both.
#[derive(Clone, Debug, PartialEq)]
pub struct Grant {
    /// `from`: an address or a prefix; `None`: from anywhere.
    pub from: Option<IpNet>,
    /// `key`: the name of the key that signs the request; `None`: none is needed.
    pub key: Option<Name>,
}

/// A server that is told of changes.
#[derive(Clone, Debug, PartialEq)]
pub struct Secondary {
    /// `to`: where it listens; port 53 if none is written.
    pub to: SocketAddr,
    /// `key`: the name of the key that signs what it is told.
    pub key: Option<Name>,
}

/// What others get for a steered name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SteeredChoice {
    /// `static`: what the zone file has there, or all members.
    Static,
    /// `live`: the members that are up now.
    Live,
}

/// `[update]`
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Update {
    /// `allow`: who may change what; default nobody, nothing.
    pub allow: Vec<UpdateGrant>,
}

/// What the holder of a key may change.
#[derive(Clone, Debug, PartialEq)]
pub struct UpdateGrant {
    /// `key`: the name of the key.
    pub key: Name,
    /// `names`: whose records; default those of all names.
    pub names: Vec<NamePattern>,
    /// `types`: of which types; `None`: of all.
    pub types: Option<Vec<u16>>,
}

/// Some names.
#[derive(Clone, Debug, PartialEq)]
pub enum NamePattern {
    /// `www.example.org`: this one.
    Exactly(Name),
    /// `*.example.org`: those below it.
    Below(Name),
    /// `_acme-challenge.*`: those whose first label it is. In lower case.
    First(Box<str>),
}

impl Default for Transfer {
    fn default() -> Self {
        Self { allow: Vec::new(), notify: Vec::new(), steered: SteeredChoice::Static, history: 1000 }
    }
}

impl NamePattern {
    /// Whether a name, in lower case and wire form, is one of them.
    pub fn fits(&self, name: &[u8]) -> bool {
        let lower = |name: &Name| name.as_slice().to_ascii_lowercase();
        match self {
            Self::Exactly(only) => lower(only) == name,
            Self::Below(above) => {
                let above = lower(above);
                let parents = std::iter::successors(parent(name), |name| parent(name));
                parents.into_iter().any(|parent| parent == above)
            }
            Self::First(label) => {
                name.first() == Some(&(label.len() as u8)) && name[1..].starts_with(label.as_bytes())
            }
        }
    }
}

/// The name without its first label.
fn parent(name: &[u8]) -> Option<&[u8]> {
    let first = usize::from(*name.first()?);
    if first == 0 { None } else { name.get(1 + first..) }
}

pub(super) fn tsig(table: &mut Table<'_>) -> Tsig {
    Tsig {
        keys: value(
            table.optional(key("keys", "A file with TSIG keys, as `tsig-keygen` prints them."), TEXT),
        ),
    }
}

pub(super) fn transfer(table: &mut Table<'_>) -> Transfer {
    let default = Transfer::default();
    let allow = key("allow", "Who may take zones whole (AXFR, IXFR): by address, by key, or by both.");
    let allow = table.list(allow.or(NOBODY), TableOf(grant));
    let notify = key("notify", "Who is told that a zone changed (NOTIFY).");
    let notify = table.list(notify.or(NOBODY), TableOf(secondary));
    let steered =
        key("steered", "What others get for a steered name: its static answer, or the members now up.");
    Transfer {
        allow: allow.into_iter().filter_map(|grant| grant.value).collect(),
        notify: notify.into_iter().filter_map(|secondary| secondary.value).collect(),
        steered: value(table.optional(steered.or("static"), STEERED)).unwrap_or(default.steered),
        history: table.defaulted(
            key("history", "Changes of each zone that are remembered at most, for incremental transfers."),
            Whole::within(0..=HISTORY_MAX),
            default.history,
        ),
    }
}

pub(super) fn update(table: &mut Table<'_>) -> Update {
    let allow = key("allow", "Who may change which records (RFC 2136): by key.");
    Update {
        allow: table
            .list(allow.or(NOBODY), TableOf(update_grant))
            .into_iter()
            .filter_map(|grant| grant.value)
            .collect(),
    }
}

/// `None`: it would let everybody in.
fn grant(table: &mut Table<'_>) -> Option<Grant> {
    let from = table.optional(key("from", "The address, or the prefix, that asks."), PREFIX);
    let name = table.optional(key("key", "The TSIG key that signs the request."), NAME_OF_KEY);
    if (from.is_none() && table.holds("from")) || (name.is_none() && table.holds("key")) {
        // What is wrong was told, and half of it would let more in than was meant.
        return None;
    }
    if from.is_none() && name.is_none() {
        let problem = Problem::new(MISSING_KEY, "this would give zones to everybody");
        table.error(table.span(), problem.hint("say `from = \"192.0.2.53\"`, `key = \"...\"`, or both"));
        return None;
    }
    Some(Grant { from: value(from), key: value(name) })
}

fn secondary(table: &mut Table<'_>) -> Option<Secondary> {
    let to = value(
        table.required(key("to", "Where the other server listens; port 53 if none is written."), SERVER),
    );
    let name = table.optional(key("key", "The TSIG key that signs what it is told."), NAME_OF_KEY);
    Some(Secondary { to: to?, key: value(name) })
}

fn update_grant(table: &mut Table<'_>) -> Option<UpdateGrant> {
    let name = value(table.required(key("key", "The TSIG key that signs the update."), NAME_OF_KEY));
    let names = key("names", "Whose records it may change; if absent, those of all names.");
    let names = table.optional(names, ListOf::one_or_more(PATTERN)).map(plain);
    let types = key("types", "Which types it may change; if absent, all.");
    let types = table.optional(types, ListOf::one_or_more(TYPE)).map(plain);
    let everywhere = || vec![NamePattern::Below(Name::root()), NamePattern::Exactly(Name::root())];
    Some(UpdateGrant { key: name?, names: names.unwrap_or_else(everywhere), types })
}

const STEERED: Word<SteeredChoice> = Word {
    what: "answer for steered names",
    words: &[("static", SteeredChoice::Static), ("live", SteeredChoice::Live)],
};

/// The name of a key, which is a domain name.
const NAME_OF_KEY: Written<Name> = Written {
    expects: "the name of a TSIG key, as \"ns2\"",
    pattern: ".",
    parse: |text| domain_name(text, "write the name as it stands in the file of `[tsig]`"),
};

/// A server, with or without a port.
const SERVER: Written<SocketAddr> = Written {
    expects: "an address, as \"192.0.2.53\" or \"[2001:db8::53]:5300\"",
    pattern: r"^[0-9A-Fa-f:.\[\]]+$",
    parse: |text| {
        let bare = text.parse::<IpAddr>().map(|address| SocketAddr::new(address, DNS_PORT));
        bare.or_else(|_| text.parse()).map_err(|_| {
            Problem::new("bad-address", format!("`{text}` is no address of a server"))
                .hint("write an address, with a port if it is not 53, as \"192.0.2.53:5300\"")
        })
    },
};

/// Names that may be changed.
const PATTERN: Written<NamePattern> = Written {
    expects: "a name, as \"www.example.org\", \"*.example.org\" or \"_acme-challenge.*\"",
    pattern: ".",
    parse: |text| {
        const HINT: &str = "`*.example.org` is what is below a name, `_acme-challenge.*` every name that begins with this label";
        if let Some(above) = text.strip_prefix("*.") {
            return domain_name(above, HINT).map(NamePattern::Below);
        }
        match text.strip_suffix(".*") {
            Some(label) => match domain_name(label, HINT)?.label_count() {
                2 => Ok(NamePattern::First(label.to_ascii_lowercase().into())),
                _ => Err(Problem::new("bad-name", format!("`{label}` is more than one label")).hint(HINT)),
            },
            None => domain_name(text, HINT).map(NamePattern::Exactly),
        }
    },
};

/// A type of records.
const TYPE: Written<u16> = Written {
    expects: "a type of records, as \"TXT\"",
    pattern: "^[A-Za-z0-9-]+$",
    parse: |text| {
        record_type(text).map(Rtype::to_int).ok_or_else(|| {
            Problem::new("unknown-type", format!("`{text}` is no type of records"))
                .hint("write it as in zone files, as \"TXT\" or \"TYPE65280\"")
        })
    },
};

fn domain_name(text: &str, hint: &str) -> Result<Name, Problem> {
    Name::from_str(text)
        .map_err(|error| Problem::new("bad-name", format!("`{text}` is no domain name: {error}")).hint(hint))
}

const DNS_PORT: u16 = 53;
/// More than anybody asks for.
const HISTORY_MAX: i64 = 100_000;

#[cfg(test)]
mod tests {
    use super::super::{Machine, parse};
    use super::*;
    use crate::spec::{Diagnostic, Source};

    fn read(text: &str) -> (Machine, Vec<&'static str>) {
        let mut found: Vec<Diagnostic> = Vec::new();
        let machine = parse(&Source::new("config/windrose.toml", text), &mut found);
        (machine, found.iter().map(|diagnostic| diagnostic.code).collect())
    }

    #[test]
    fn everything_is_closed_unless_it_is_said() {
        let (machine, codes) = read("");
        assert_eq!(
            (machine.transfer, machine.update, codes),
            (Transfer::default(), Update::default(), vec![])
        );
        let (machine, codes) =
            read("[transfer]\nallow = [{}]\n[update]\nallow = [{ names = \"a.example\" }]\n");
        assert_eq!((machine.transfer.allow, machine.update.allow), (vec![], vec![]));
        assert_eq!(codes, [MISSING_KEY, MISSING_KEY]);
    }

    #[test]
    fn who_may_take_zones_and_who_is_told() {
        let text = "[transfer]\nallow = [{ from = \"192.0.2.0/24\" }, { key = \"NS2\" }]\n\
                    notify = [{ to = \"192.0.2.53\" }, { to = \"[::1]:5300\", key = \"ns2.\" }]\nsteered = \"live\"\n";
        let (Machine { transfer, .. }, codes) = read(text);
        assert_eq!(codes, Vec::<&str>::new());
        assert_eq!((transfer.allow.len(), transfer.steered), (2, SteeredChoice::Live));
        let told: Vec<String> = transfer.notify.iter().map(|secondary| secondary.to.to_string()).collect();
        assert_eq!(told, ["192.0.2.53:53", "[::1]:5300"]);
        for wrong in ["ns2.example", "192.0.2.53:", "192.0.2.0/24"] {
            assert_eq!(read(&format!("[transfer]\nnotify = [{{ to = \"{wrong}\" }}]\n")).1, ["bad-address"]);
        }
    }

    #[test]
    fn names_and_types_that_may_be_changed() {
        let text = "[update]\nallow = [{ key = \"k\", names = [\"_acme-challenge.*\", \"*.dyn.example\", \"a.example\"], types = \"TXT\" }]\n";
        let (machine, codes) = read(text);
        assert_eq!(codes, Vec::<&str>::new());
        let grant = &machine.update.allow[0];
        let fits = |name: &[u8]| grant.names.iter().any(|pattern| pattern.fits(name));
        assert!(fits(b"\x0f_acme-challenge\x01x\x00") && fits(b"\x01a\x07example\x00"));
        assert!(fits(b"\x01x\x03dyn\x07example\x00") && !fits(b"\x03dyn\x07example\x00"));
        assert!(!fits(b"\x01b\x07example\x00") && !fits(b"\x01x\x0f_acme-challenge\x01x\x00"));
        assert_eq!(grant.types, Some(vec![16]));
        for (wrong, code) in [
            ("names = \"a..b\"", "bad-name"),
            ("names = \"a.b.*\"", "bad-name"),
            ("types = \"ANY\"", "unknown-type"),
        ] {
            assert_eq!(read(&format!("[update]\nallow = [{{ key = \"k\", {wrong} }}]\n")).1, [code]);
        }
        let everything = &read("[update]\nallow = [{ key = \"k\" }]\n").0.update.allow[0];
        assert!(everything.names.iter().any(|pattern| pattern.fits(b"\x01a\x00")));
    }
}
