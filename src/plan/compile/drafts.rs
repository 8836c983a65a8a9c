//! Pools as written, with every name in them resolved: before it is known what nests in what.

use std::collections::HashMap;

use crate::model::{MapId, Pool, RegionId};
use crate::plan::compile::endpoints::Pick;
use crate::plan::compile::maps::Maps;
use crate::plan::compile::names::{Names, Written};
use crate::plan::compile::nesting::{Walk, depths, walk};
use crate::spec::Diagnostic;
use crate::spec::steering::{MemberSpec, PoolSpec, SteeringFile};

/// A pool as written.
#[derive(Debug)]
pub struct Draft<'s> {
    /// What was written.
    pub written: Written<'s, PoolSpec>,
    /// Those members whose name is known, each once.
    pub members: Vec<DraftMember<'s>>,
    /// What is used when it is down.
    pub fallback: Option<Pick>,
    /// The map whose regions its rules name.
    pub map: MapId,
    /// Nothing was left out: rules about all members can be checked.
    pub whole: bool,
}

/// A member as written.
#[derive(Debug)]
pub struct DraftMember<'s> {
    /// Who.
    pub pick: Pick,
    /// What was written.
    pub spec: &'s MemberSpec,
    /// Its rule, each region once.
    pub regions: Vec<RegionId>,
}

/// Resolves `[pools]` of all files, in the order in which they were written.
pub fn compile<'s>(
    files: &'s [SteeringFile],
    maps: &mut Maps<'s>,
    serving: &mut Names<'s, Pick>,
    found: &mut Vec<Diagnostic>,
) -> Vec<Draft<'s>> {
    // A pool may name one that is defined later, in this file or another.
    for (place, written) in Written::all(files, |file| &file.pools).enumerate() {
        serving.define("pool", &written, Pick::Pool(place), found);
    }
    Written::all(files, |file| &file.pools).map(|written| draft(written, maps, serving, found)).collect()
}

/// Puts pools after all that they pick (a fallback is picked too), and refuses loops and what is nested
/// too deeply.
pub fn nest(drafts: &[Draft<'_>], found: &mut Vec<Diagnostic>) -> Walk {
    let edges: Vec<Vec<usize>> = drafts.iter().map(|draft| draft.pools().collect()).collect();
    let walk = walk(&edges);
    for nested in &walk.loops {
        let names =
            nested.iter().chain(nested.first()).map(|&place| drafts[place].written.name.value.as_str());
        let path = names.collect::<Vec<_>>().join(" -> ");
        let place = drafts[nested[0]].written.named();
        let diagnostic =
            Diagnostic::error("pool-loop", place, format!("these pools pick each other: {path}"))
                .hint("take one of them out of the `members` or `fallback` of the one before it");
        found.push(diagnostic);
    }
    if walk.loops.is_empty() {
        refuse_depth(drafts, &depths(&edges, &walk), found);
    }
    walk
}

/// An error for each pool that is the first too many on its way up: those above it are no other mistake.
fn refuse_depth(drafts: &[Draft<'_>], depths: &[usize], found: &mut Vec<Diagnostic>) {
    let deepest = Pool::NESTING_MAX;
    for (draft, _) in drafts.iter().zip(depths).filter(|(_, depth)| **depth == deepest + 1) {
        let name = &draft.written.name.value;
        let message = format!("pool `{name}` has {deepest} pools in a row below it: it is one too many");
        let hint = "let it pick from what the pools below it pick from";
        found.push(Diagnostic::error("too-deep", draft.written.named(), message).hint(hint));
    }
}

impl Draft<'_> {
    /// The pools that it picks, by their place in the files.
    fn pools(&self) -> impl Iterator<Item = usize> {
        let picks = self.members.iter().map(|member| member.pick).chain(self.fallback);
        picks.filter_map(|pick| match pick {
            Pick::Pool(place) => Some(place),
            Pick::Endpoint(_) => None,
        })
    }
}

fn draft<'s>(
    written: Written<'s, PoolSpec>,
    maps: &mut Maps<'s>,
    serving: &mut Names<'s, Pick>,
    found: &mut Vec<Diagnostic>,
) -> Draft<'s> {
    let errors = found.len();
    let map = maps.resolve(written.value.map.as_ref(), written.file, found);
    refuse_too_many(&written, found);
    let mut members = Vec::new();
    let mut first_uses = HashMap::new();
    for spec in written.value.members.iter().take(Pool::MEMBERS_MAX) {
        let resolved = serving.resolve("endpoint or pool", &spec.picks, written.file, found);
        let regions = rule(&written, spec, maps.region_names(map), found);
        let Some(pick) = resolved else { continue };
        if let Some(first) = first_uses.insert(pick, spec) {
            found.push(refuse_second(&written, first, spec));
        } else {
            members.push(DraftMember { pick, spec, regions });
        }
    }
    let fallback = written.value.fallback.as_ref();
    let fallback = fallback.and_then(|name| serving.resolve("endpoint or pool", name, written.file, found));
    // Without any member, none of them could be read.
    let whole = found.len() == errors && !members.is_empty();
    Draft { written, members, fallback, map, whole }
}

fn refuse_too_many(written: &Written<'_, PoolSpec>, found: &mut Vec<Diagnostic>) {
    let count = written.value.members.len();
    if count > Pool::MEMBERS_MAX {
        let name = &written.name.value;
        let message =
            format!("pool `{name}` has {count} members: at most {} are possible", Pool::MEMBERS_MAX);
        let hint = "make several pools of them, and one that picks among these";
        found.push(Diagnostic::error("too-large", written.named(), message).hint(hint));
    }
}

/// The client regions that a member is for, each once.
fn rule(
    written: &Written<'_, PoolSpec>,
    spec: &MemberSpec,
    regions: &mut Names<'_, RegionId>,
    found: &mut Vec<Diagnostic>,
) -> Vec<RegionId> {
    let mut rule = Vec::new();
    for name in &spec.regions {
        let Some(id) = regions.resolve("region", name, written.file, found) else { continue };
        if rule.contains(&id) {
            let message = format!("region `{}` is here twice", name.value);
            found.push(
                Diagnostic::warning("repeated", written.place(name), message).hint("remove one of them"),
            );
        } else {
            rule.push(id);
        }
    }
    rule
}

fn refuse_second(written: &Written<'_, PoolSpec>, first: &MemberSpec, second: &MemberSpec) -> Diagnostic {
    let message = format!("`{}` is twice a member of pool `{}`", second.picks.value, written.name.value);
    Diagnostic::error("duplicate-member", written.place(&second.picks), message)
        .and(written.place(&first.picks), "first here")
        .hint("remove one of them; for a larger share, give it a `weight`")
}

#[cfg(test)]
mod tests {
    use crate::model::Pool;
    use crate::plan::compile::fixture::{WORLD, compile, compile_pool};

    #[test]
    fn a_loop_of_pools_is_printed() {
        let compiled = compile(
            "[pools.a]\npolicy = \"all\"\nmembers = [\"b\"]\n[pools.b]\npolicy = \"failover\"\nmembers = [\"c\"]\n\
             [pools.c]\npolicy = \"failover\"\nmembers = [\"b\"]\nfallback = \"a\"\n",
        );
        let messages: Vec<_> = compiled.diagnostics.iter().map(|found| found.message.as_str()).collect();
        assert!(messages.contains(&"these pools pick each other: b -> c -> b"), "{messages:?}");
        assert!(messages.contains(&"these pools pick each other: a -> b -> c -> a"), "{messages:?}");
    }

    #[test]
    fn a_member_may_be_there_once() {
        let compiled = compile_pool("policy = \"all\"\nmembers = [\"fra\", \"iad\", \"fra\"]");
        assert_eq!(compiled.codes(), ["duplicate-member"]);
        assert_eq!(compiled.only("duplicate-member").related.len(), 1);
    }

    #[test]
    fn more_members_than_fit_are_an_error() {
        let endpoints: String =
            (0..4097).map(|n| format!("[endpoints.e{n}]\ncname = \"cdn.example.net.\"\n")).collect();
        let members: Vec<String> = (0..4097).map(|n| format!("\"e{n}\"")).collect();
        let pool = format!("[pools.www]\npolicy = \"failover\"\nmembers = [{}]\n", members.join(", "));
        assert_eq!(compile(&format!("{endpoints}{pool}")).codes(), ["too-large"]);
    }

    #[test]
    fn a_region_named_twice_in_a_rule_counts_once() {
        let compiled = compile(&format!(
            "{WORLD}[pools.www]\npolicy = \"geo\"\n\
             members = [{{ use = \"fra\", regions = [\"eu\", \"eu\"] }}, {{ use = \"iad\", default = true }}]\n"
        ));
        assert_eq!(compiled.codes(), ["repeated"]);
        assert_eq!(compiled.pool("www").members[0].regions.len(), 1);
    }

    #[test]
    fn pools_in_a_row_are_refused_once_where_there_are_too_many() {
        let pool =
            |level| format!("[pools.p{level}]\npolicy = \"failover\"\nmembers = [\"p{}\"]\n", level - 1);
        let row = |pools| -> String {
            let first = "[endpoints.p0]\ncname = \"cdn.example.net.\"\n";
            let name = format!("[names.www]\npool = \"p{pools}\"\n");
            [first.to_owned(), (1..=pools).map(pool).collect(), name].concat()
        };
        assert!(!compile(&row(Pool::NESTING_MAX)).codes().contains(&"too-deep"));
        compile(&row(Pool::NESTING_MAX + 30)).only("too-deep");
    }
}
