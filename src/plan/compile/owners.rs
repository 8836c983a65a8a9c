//! Owners: which name in which zone a key of `[names]` or `[debug]` means, and who has it.
//!
//! ```text
//!   zone = "example.org", or the stem of the file
//!   [names."www"]    --> www.example.org      steered
//!   [debug."_where"] --> _where.example.org   a debug name
//! ```
//!
//! An owner is what one key says; it is ours to answer for; and nobody else has claimed it.

use std::collections::HashMap;

use crate::model::Name;
use crate::plan::compile::names::{Site, Written};
use crate::plan::zone::Builder;
use crate::spec::diagnostic::Place;
use crate::spec::steering::SteeringFile;
use crate::spec::{Diagnostic, Source};

/// The names that are going to be steered, as far as they are names: zones are checked before it is known
/// what chooses.
pub fn to_steer(files: &[SteeringFile]) -> impl Iterator<Item = Name> {
    files.iter().flat_map(|file| {
        let origin = Name::vec_from_str(origin_text(file)).ok();
        let owner = move |key: &str| origin.as_ref().and_then(|origin| absolute(key, origin));
        file.names.iter().filter_map(move |named| owner(&named.name.value))
    })
}

/// The owners that are claimed already.
#[derive(Debug)]
pub struct Owners<'s> {
    /// By the name of a file: what its keys are relative to, if it has any and that is served.
    origins: HashMap<&'s str, Option<Name>>,
    claimed: HashMap<Name, (Kind, Site<'s>)>,
}

/// What an owner is claimed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `[names]`
    Steered,
    /// `[debug]`
    Debug,
}

impl<'s> Owners<'s> {
    /// None is claimed yet. An error for each file whose keys are relative to what nobody serves.
    pub fn new(files: &'s [SteeringFile], zones: &Builder, found: &mut Vec<Diagnostic>) -> Self {
        let origins = files.iter().map(|file| (&*file.source.file, origin(file, zones, found))).collect();
        Self { origins, claimed: HashMap::new() }
    }

    /// The owner that was written, if it can be had.
    pub fn claim<T>(
        &mut self,
        written: &Written<'s, T>,
        kind: Kind,
        zones: &Builder,
        found: &mut Vec<Diagnostic>,
    ) -> Option<Name> {
        let key = &written.name.value;
        let origin = self.origins.get(&*written.file.file)?.as_ref()?;
        let Some(owner) = absolute(key, origin) else {
            if is_name(key) {
                let message = format!("`{key}` is no name in `{origin}`");
                let hint =
                    "write \"www\", \"*.shop\", or \"@\" for the zone itself; in all, at most 255 octets";
                found.push(Diagnostic::error("bad-name", written.named(), message).hint(hint));
            }
            return None;
        };
        if let Some(obstacle) = self.obstacle(&owner, written, kind, zones) {
            found.push(obstacle);
            return None;
        }
        self.claimed.insert(owner.clone(), (kind, written.site(written.name)));
        Some(owner)
    }

    /// Why an owner cannot be had, if it cannot.
    fn obstacle<T>(
        &self,
        owner: &Name,
        written: &Written<'s, T>,
        kind: Kind,
        zones: &Builder,
    ) -> Option<Diagnostic> {
        let error = |code, message| Diagnostic::error(code, written.named(), message);
        if zones.zone_of(owner).is_none() {
            let message = format!("no zone file serves `{owner}`");
            return Some(error("no-zone", message).hint("add its zone file, or remove it here"));
        }
        if zones.delegated(owner) {
            let message = format!("`{owner}` is not ours to answer: it is delegated, or below a DNAME");
            let hint = "remove the NS or DNAME records at or above it from the zone file, or move it to where they lead";
            return Some(error("delegated", message).hint(hint));
        }
        let (first, site) = self.claimed.get(owner)?;
        let (message, here, hint) = match (first, kind) {
            (Kind::Steered, Kind::Steered) => {
                ("is steered twice", "first steered here", "a name has one pool: remove one of them")
            }
            (Kind::Debug, Kind::Debug) => {
                ("is a debug name twice", "first here", "a debug name tells of one pool: remove one of them")
            }
            _ => (
                "is steered and a debug name",
                "it is steered here",
                "give the debug name an owner of its own, as \"_where\"",
            ),
        };
        Some(error("duplicate", format!("`{owner}` {message}")).and(site.place(), here).hint(hint))
    }
}

/// What the names of a file are relative to: its `zone`, or its stem. An error if nobody serves that.
fn origin(file: &SteeringFile, zones: &Builder, found: &mut Vec<Diagnostic>) -> Option<Name> {
    let first = file.names.first().map(|named| &named.name);
    let first = first.or(file.debug.first().map(|named| &named.name))?;
    let text = origin_text(file);
    let span = file.zone.as_ref().map_or(&first.span, |zone| &zone.span).clone();
    let place = || Place::new(&file.source, span.clone());
    let Ok(origin) = Name::vec_from_str(text) else {
        let hint = "names are relative to `zone`, or to the name of the file: write `zone = \"example.org\"`";
        let message = format!("`{text}` is not a domain name");
        found.push(Diagnostic::error("bad-name", place(), message).hint(hint));
        return None;
    };
    if zones.zone_of(&origin).is_none() {
        let hint =
            format!("add a zone file `{origin}.zone`, or say which zone is meant: `zone = \"example.org\"`");
        let message = format!("no zone file serves `{origin}`");
        found.push(Diagnostic::error("no-zone", place(), message).hint(hint));
        return None;
    }
    Some(origin)
}

fn origin_text(file: &SteeringFile) -> &str {
    file.zone.as_ref().map_or_else(|| stem(&file.source), |zone| &zone.value)
}

/// `example.org` of `zones/example.org.toml`.
fn stem(source: &Source) -> &str {
    let file = source.file.rsplit('/').next().unwrap_or_default();
    file.strip_suffix(".toml").unwrap_or(file)
}

/// A name as written in `[names]` or `[debug]`: `@` is the origin, a name with a dot at its end is absolute.
fn absolute(key: &str, origin: &Name) -> Option<Name> {
    if key == "@" {
        return Some(origin.clone());
    }
    let name = Name::vec_from_str(key).ok().filter(|name| !name.is_root())?;
    if key.ends_with('.') {
        return Some(name);
    }
    let (_root, labels) = name.as_slice().split_last()?;
    Name::from_octets([labels, origin.as_slice()].concat()).ok()
}

/// Whether a key is a name at all: if not, that was told when the file was read.
fn is_name(key: &str) -> bool {
    Name::vec_from_str(key).is_ok()
}

#[cfg(test)]
mod tests {
    use crate::plan::compile::fixture::{Compiled, WORLD, compile_beside, compile_files};

    fn named(names: &str) -> Compiled {
        let pool = "[pools.www]\npolicy = \"failover\"\nmembers = [\"fra\", \"iad\"]\n";
        compile_beside("sub NS ns.sub\nns.sub A 192.0.2.1\n", &format!("{WORLD}{pool}{names}"))
    }

    fn owners(compiled: &Compiled) -> Vec<String> {
        compiled.plan().steered.iter().map(|steered| steered.owner.to_string()).collect()
    }

    #[test]
    fn names_are_relative_to_the_zone() {
        let compiled = named(
            "[names.\"@\"]\npool = \"www\"\n[names.\"*.shop\"]\npool = \"www\"\n[names.\"www.example.org.\"]\npool = \"www\"\n",
        );
        assert_eq!(owners(&compiled), ["example.org", "*.shop.example.org", "www.example.org"]);
    }

    #[test]
    fn a_file_may_say_which_zone_is_meant() {
        let zone = "$TTL 300\n@ SOA ns1 host 1 2 3 4 5\n@ NS ns1\nns1 A 192.0.2.53\n";
        let steering = format!(
            "zone = \"example.org\"\n{WORLD}[pools.www]\npolicy = \"all\"\nmembers = [\"fra\"]\n[names.www]\npool = \"www\"\n"
        );
        let compiled =
            compile_files(&[("zones/example.org.zone", zone)], &[("zones/steering.toml", &steering)]);
        assert_eq!(owners(&compiled), ["www.example.org"]);
    }

    #[test]
    fn a_file_for_a_zone_that_nobody_serves_is_told_once() {
        let steering = format!(
            "{WORLD}[pools.www]\npolicy = \"all\"\nmembers = [\"fra\"]\n[names.a]\npool = \"www\"\n[names.b]\npool = \"www\"\n"
        );
        let compiled = compile_files(&[], &[("zones/example.com.toml", &steering)]);
        let found = compiled.only("no-zone");
        assert_eq!(found.message, "no zone file serves `example.com`");
        assert!(found.hint.as_ref().unwrap().contains("`example.com.zone`"));
    }

    #[test]
    fn what_others_answer_for_cannot_be_steered() {
        assert_eq!(named("[names.sub]\npool = \"www\"\n").codes(), ["delegated"]);
        assert_eq!(named("[names.\"www.sub\"]\npool = \"www\"\n").codes(), ["delegated"]);
        assert_eq!(named("[names.\"www.example.net.\"]\npool = \"www\"\n").codes(), ["no-zone"]);
    }

    #[test]
    fn a_name_has_one_pool() {
        let compiled = named("[names.www]\npool = \"www\"\n[names.WWW]\npool = \"www\"\n");
        assert_eq!(compiled.only("duplicate").related[0].1, "first steered here");
    }

    #[test]
    fn a_key_that_is_no_name_is_an_error() {
        let long = ["x".repeat(60), "x".repeat(60), "x".repeat(60), "x".repeat(60)].join(".");
        assert_eq!(named(&format!("[names.\"{long}\"]\npool = \"www\"\n")).codes(), ["bad-name"]);
        assert_eq!(named("[names.\".\"]\npool = \"www\"\n").codes(), ["bad-name"]);
    }
}
