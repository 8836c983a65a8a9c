//! Steered names: where each belongs, and what chooses for it.

use std::collections::HashMap;
use std::slice;

use crate::model::{Name, PoolId, Use};
use crate::plan::compile::beside::Beside;
use crate::plan::compile::chains;
use crate::plan::compile::endpoints::{Endpoints, Pick};
use crate::plan::compile::names::{Names, Site, Written};
use crate::plan::compile::pools::Pools;
use crate::plan::zone::Builder;
use crate::plan::{Steered, SteeredId};
use crate::spec::diagnostic::Place;
use crate::spec::steering::{NameSpec, SteeringFile};
use crate::spec::{Diagnostic, Source};

/// All steered names.
#[derive(Debug, Default)]
pub struct SteeredNames<'s> {
    /// Index [`SteeredId`].
    pub table: Vec<Steered>,
    /// Who demands a failover time, and where that was written.
    pub demands: Vec<(SteeredId, Site<'s>)>,
}

/// Compiles `[names]` of all files, and steers them in their zones.
pub fn compile<'s>(
    files: &'s [SteeringFile],
    zones: &mut Builder,
    endpoints: &Endpoints<'s>,
    pools: &Pools<'_>,
    serving: &mut Names<'s, Pick>,
    found: &mut Vec<Diagnostic>,
) -> SteeredNames<'s> {
    let mut names = SteeredNames::default();
    let mut owners = Owners::default();
    for file in files {
        let origin = origin(file, zones, found);
        for written in Written::all(slice::from_ref(file), |file| &file.names) {
            let owner = origin.as_ref().and_then(|origin| owners.claim(&written, origin, zones, found));
            let pool = pool(&written, pools, serving, found);
            let (ttl, ttl_min) = ttls(&written, found);
            let (Some(owner), Some(pool)) = (owner, pool) else { continue };
            Beside::new(&written, &owner, pool, pools, zones).check(found);
            let rto = written.value.rto.as_ref();
            names.demands.extend(rto.map(|rto| (SteeredId(names.table.len() as u32), written.site(rto))));
            let sticky = pools.prospects[pool.index()].all.sticky;
            names.table.push(Steered { owner, pool, ttl, ttl_min, sticky, rto: rto.map(|rto| rto.value) });
        }
    }
    for (id, steered) in names.table.iter().enumerate() {
        zones.steer(&steered.owner, SteeredId(id as u32));
    }
    chains::refuse_loops(&names.table, zones, endpoints, pools, found);
    names
}

/// The names that are going to be steered, as far as they are names: zones are checked before it is known
/// what chooses.
pub fn owners(files: &[SteeringFile]) -> impl Iterator<Item = Name> {
    files.iter().flat_map(|file| {
        let origin = Name::vec_from_str(origin_text(file)).ok();
        let owner = move |key: &str| origin.as_ref().and_then(|origin| absolute(key, origin));
        file.names.iter().filter_map(move |named| owner(&named.name.value))
    })
}

/// What the names of a file are relative to: its `zone`, or its stem. An error if nobody serves that.
fn origin(file: &SteeringFile, zones: &Builder, found: &mut Vec<Diagnostic>) -> Option<Name> {
    let first = file.names.first()?;
    let text = origin_text(file);
    let span = file.zone.as_ref().map_or(&first.name.span, |zone| &zone.span).clone();
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

/// The owners that are steered already.
#[derive(Default)]
struct Owners<'s>(HashMap<Name, Site<'s>>);

impl<'s> Owners<'s> {
    /// The owner that was written, if it can be steered.
    fn claim(
        &mut self,
        written: &Written<'s, NameSpec>,
        origin: &Name,
        zones: &Builder,
        found: &mut Vec<Diagnostic>,
    ) -> Option<Name> {
        let key = &written.name.value;
        let Some(owner) = absolute(key, origin) else {
            if is_name(key) {
                let message = format!("`{key}` is no name in `{origin}`");
                let hint =
                    "write \"www\", \"*.shop\", or \"@\" for the zone itself; in all, at most 255 octets";
                found.push(Diagnostic::error("bad-name", written.named(), message).hint(hint));
            }
            return None;
        };
        if let Some(obstacle) = self.obstacle(&owner, written, zones) {
            found.push(obstacle);
            return None;
        }
        self.0.insert(owner.clone(), written.site(written.name));
        Some(owner)
    }

    /// Why an owner cannot be steered, if it cannot.
    fn obstacle(&self, owner: &Name, written: &Written<'s, NameSpec>, zones: &Builder) -> Option<Diagnostic> {
        let error = |code, message| Diagnostic::error(code, written.named(), message);
        if zones.zone_of(owner).is_none() {
            let message = format!("no zone file serves `{owner}`");
            return Some(error("no-zone", message).hint("add its zone file, or remove it here"));
        }
        if zones.delegated(owner) {
            let message = format!("`{owner}` is not ours to answer: it is delegated, or below a DNAME");
            let hint = "remove the NS or DNAME records at or above it from the zone file, or steer it where they lead";
            return Some(error("delegated", message).hint(hint));
        }
        let first = self.0.get(owner)?;
        let diagnostic = error("duplicate", format!("`{owner}` is steered twice"))
            .and(first.place(), "first steered here")
            .hint("a name has one pool: remove one of them");
        Some(diagnostic)
    }
}

/// A name as written in `[names]`: `@` is the origin, a name with a dot at its end is absolute.
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

/// Whether a key of `[names]` is a name at all: if not, that was told when the file was read.
fn is_name(key: &str) -> bool {
    Name::vec_from_str(key).is_ok()
}

/// The pool that chooses for a name.
fn pool(
    written: &Written<'_, NameSpec>,
    pools: &Pools<'_>,
    serving: &mut Names<'_, Pick>,
    found: &mut Vec<Diagnostic>,
) -> Option<PoolId> {
    let name = &written.value.pool;
    match pools.pick(serving.resolve("pool", name, written.file, found)?) {
        Use::Pool(id) => Some(id),
        Use::Endpoint(_) => {
            let message = format!("`{}` is an endpoint, not a pool", name.value);
            let hint = "make a pool with it as its only member: what happens when it is down is said there";
            found.push(Diagnostic::error("not-a-pool", written.place(name), message).hint(hint));
            None
        }
    }
}

/// The TTL while settled, and the one while something moves.
fn ttls(written: &Written<'_, NameSpec>, found: &mut Vec<Diagnostic>) -> (u32, u32) {
    let spec = written.value;
    let ttl = spec.ttl.as_ref().map_or(TTL, |ttl| ttl.value);
    let ttl_min = spec.ttl_min.as_ref().map_or((ttl / 2).max(1).min(ttl), |ttl_min| ttl_min.value);
    if let Some(written_ttl) = spec.ttl.as_ref().filter(|ttl| ttl.value == 0) {
        let message = "with a TTL of 0 every lookup of every client comes here";
        let hint = "a few seconds are enough for a quick failover: `ttl = 5`";
        found.push(Diagnostic::warning("zero-ttl", written.place(written_ttl), message).hint(hint));
    }
    if let Some(written_min) = spec.ttl_min.as_ref().filter(|_| ttl_min > ttl) {
        let message = format!("`ttl_min` {ttl_min} is longer than `ttl` {ttl}");
        let hint = "`ttl_min` is used while health is moving: it should be shorter";
        found.push(Diagnostic::error("ttl-min", written.place(written_min), message).hint(hint));
    }
    (ttl, ttl_min)
}

/// Seconds.
const TTL: u32 = 30;

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

    #[test]
    fn a_name_points_at_a_pool() {
        assert_eq!(named("[names.www]\npool = \"fra\"\n").codes(), ["not-a-pool"]);
        assert_eq!(named("[names.www]\npool = \"w\"\n").codes(), ["unknown-name"]);
    }

    fn ttls(settings: &str) -> (u32, u32) {
        let compiled = named(&format!("[names.www]\npool = \"www\"\n{settings}\n"));
        (compiled.plan().steered[0].ttl, compiled.plan().steered[0].ttl_min)
    }

    #[test]
    fn the_ttl_halves_while_something_moves() {
        assert_eq!(ttls(""), (30, 15));
        assert_eq!(ttls("ttl = 5"), (5, 2));
        assert_eq!(ttls("ttl = 1"), (1, 1));
        assert_eq!(ttls("ttl = 60\nttl_min = 7"), (60, 7));
    }

    #[test]
    fn a_ttl_min_above_the_ttl_is_an_error() {
        assert_eq!(named("[names.www]\npool = \"www\"\nttl = 10\nttl_min = 11\n").codes(), ["ttl-min"]);
    }

    #[test]
    fn a_ttl_of_zero_is_a_warning() {
        let compiled = named("[names.www]\npool = \"www\"\nttl = 0\n");
        assert_eq!(compiled.codes(), ["zero-ttl"]);
        assert_eq!(compiled.plan().steered[0].ttl_min, 0);
    }
}
