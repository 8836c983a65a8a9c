//! One namespace over all steering files: who is called what, and who asks for whom.

use std::collections::HashMap;
use std::ops::Range;

use crate::spec::diagnostic::Place;
use crate::spec::steering::{Named, SteeringFile};
use crate::spec::{Diagnostic, Source, Spanned, did_you_mean};

/// A definition and the file it stands in.
#[derive(Debug)]
pub struct Written<'s, T> {
    /// Where it stands.
    pub file: &'s Source,
    /// What it is called.
    pub name: &'s Spanned<String>,
    /// What is said of it.
    pub value: &'s T,
}

impl<'s, T> Written<'s, T> {
    /// All definitions of one kind, file by file, as written.
    pub fn all(
        files: &'s [SteeringFile],
        of: impl Fn(&'s SteeringFile) -> &'s [Named<T>],
    ) -> impl Iterator<Item = Written<'s, T>> {
        files.iter().flat_map(move |file| {
            of(file).iter().map(|named| Written {
                file: &file.source,
                name: &named.name,
                value: &named.value,
            })
        })
    }

    /// Where a part of it was written.
    pub fn site<U>(&self, part: &Spanned<U>) -> Site<'s> {
        Site { file: self.file, span: part.span.clone() }
    }

    /// The place of a part of it.
    pub fn place<U>(&self, part: &Spanned<U>) -> Place {
        self.site(part).place()
    }

    /// The place of its name.
    pub fn named(&self) -> Place {
        self.place(self.name)
    }
}

/// Where something was written. It becomes a [`Place`] only when there is something to say of it.
#[derive(Clone, Debug)]
pub struct Site<'s> {
    /// The file.
    pub file: &'s Source,
    /// The bytes of it.
    pub span: Range<usize>,
}

impl Site<'_> {
    /// Line and column of it, to be shown.
    pub fn place(&self) -> Place {
        Place::new(self.file, self.span.clone())
    }
}

/// Who is called what. Endpoints and pools share one, so that members can be either.
#[derive(Debug)]
pub struct Names<'s, Id> {
    known: HashMap<&'s str, Known<'s, Id>>,
    /// Names that somebody asked for and nobody has, and the hint for each: a hundred thousand references can
    /// name one pool that was renamed. Any of them may be a misspelled one that now seems unused.
    unknown: HashMap<String, String>,
}

/// One name and what became of it.
#[derive(Debug)]
struct Known<'s, Id> {
    kind: &'static str,
    id: Id,
    name: &'s str,
    site: Site<'s>,
    used: bool,
}

impl<Id> Default for Names<'_, Id> {
    fn default() -> Self {
        Self { known: HashMap::new(), unknown: HashMap::new() }
    }
}

impl<'s, Id: Copy> Names<'s, Id> {
    /// Gives `id` its name. The first definition keeps it; a second one is an error that shows both.
    pub fn define<T>(
        &mut self,
        kind: &'static str,
        written: &Written<'s, T>,
        id: Id,
        found: &mut Vec<Diagnostic>,
    ) {
        let name: &'s str = &written.name.value;
        let Some(first) = self.known.get(name) else {
            let known = Known { kind, id, name, site: written.site(written.name), used: false };
            self.known.insert(name, known);
            return;
        };
        let message = if first.kind == kind {
            format!("{kind} `{name}` is defined twice")
        } else {
            format!("{kind} `{name}` has the name of {} {}", article(first.kind), first.kind)
        };
        let diagnostic = Diagnostic::error("duplicate", written.named(), message)
            .and(first.site.place(), "first defined here")
            .hint("all files share one namespace: rename one of them, or keep one for both");
        found.push(diagnostic);
    }

    /// Who is meant by `reference`, which is expected to be a `wanted`; an error if nobody is.
    pub fn resolve(
        &mut self,
        wanted: &str,
        reference: &Spanned<String>,
        file: &Source,
        found: &mut Vec<Diagnostic>,
    ) -> Option<Id> {
        if let Some(known) = self.known.get_mut(reference.value.as_str()) {
            known.used = true;
            return Some(known.id);
        }
        let hint = self.hint_for(wanted, &reference.value);
        let message = format!("there is no {wanted} `{}`", reference.value);
        found.push(
            Diagnostic::error("unknown-name", Place::new(file, reference.span.clone()), message).hint(hint),
        );
        None
    }

    /// What may have been meant by a name that nobody has.
    fn hint_for(&mut self, wanted: &str, name: &str) -> String {
        if let Some(hint) = self.unknown.get(name) {
            return hint.clone();
        }
        let comparable = self.unknown.len() < COMPARED_MAX;
        let known = self.known.iter().filter(|(_, known)| comparable && wanted.contains(known.kind));
        let hint = match did_you_mean(name, sorted(known.map(|(name, _)| *name))) {
            Some(close) => format!("did you mean `{close}`?"),
            None => format!("define it in any *.toml of this directory: {}", example(wanted, name)),
        };
        self.unknown.insert(name.to_owned(), hint.clone());
        hint
    }

    /// Warns of everything that nobody asked for, unless it may be what a misspelled name meant.
    pub fn warn_unused(&self, found: &mut Vec<Diagnostic>) {
        if !self.unknown.is_empty() {
            return;
        }
        let mut unused: Vec<_> = self.known.values().filter(|known| !known.used).collect();
        unused.sort_by_key(|known| (&known.site.file.file, known.site.span.start));
        for known in unused {
            let message = format!("{} `{}` is not used by anything", known.kind, known.name);
            let diagnostic = Diagnostic::warning("unused", known.site.place(), message);
            found.push(diagnostic.hint("use it or remove it"));
        }
    }
}

/// A few names for a message, the rest as a number.
pub fn listed<'n>(names: impl ExactSizeIterator<Item = &'n str>) -> String {
    let more = names.len().saturating_sub(LISTED_MAX);
    let shown: Vec<String> = names.take(LISTED_MAX).map(|name| format!("`{name}`")).collect();
    match more {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// The order of a hash table must not decide which of two close words is offered.
fn sorted<'n>(names: impl Iterator<Item = &'n str>) -> Vec<&'n str> {
    let mut names: Vec<_> = names.collect();
    names.sort_unstable();
    names
}

fn article(kind: &str) -> &'static str {
    if kind.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" }
}

/// How a definition of the wanted kind starts.
fn example(wanted: &str, name: &str) -> String {
    let kinds: Vec<String> = wanted.split(" or ").map(|kind| format!("[{kind}s.{name}]")).collect();
    kinds.join(" or ")
}

/// More unknown names than this are not compared with those that are known: the work grows with the product.
const COMPARED_MAX: usize = 200;

/// More names than this are only counted in a message.
const LISTED_MAX: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::compile::fixture::{WORLD, compile, compile_files};

    #[test]
    fn a_second_definition_shows_both_places() {
        let shared = "[regions.eu]\n";
        let compiled = compile_files(&[], &[("a.toml", shared), ("b.toml", shared)]);
        let found = compiled.only("duplicate");
        assert_eq!(found.message, "region `eu` is defined twice");
        assert_eq!(&*found.place.as_ref().unwrap().file, "b.toml");
        let (first, why) = &found.related[0];
        assert_eq!((&*first.file, first.line, why.as_str()), ("a.toml", 1, "first defined here"));
    }

    #[test]
    fn an_endpoint_and_a_pool_of_one_name_are_an_error() {
        let compiled = compile(&format!("{WORLD}[pools.fra]\npolicy = \"all\"\nmembers = [\"iad\"]\n"));
        assert_eq!(compiled.only("duplicate").message, "pool `fra` has the name of an endpoint");
    }

    #[test]
    fn a_region_and_a_monitor_may_share_a_name() {
        assert_eq!(compile("[regions.eu]\n[monitors.eu]\ntype = \"http\"\n").codes(), [] as [&str; 0]);
    }

    #[test]
    fn an_unknown_name_is_told_with_the_closest_known_one() {
        let compiled = compile(&format!("{WORLD}[pools.www]\npolicy = \"all\"\nmembers = [\"frq\"]\n"));
        let found = compiled.only("unknown-name");
        assert_eq!(found.message, "there is no endpoint or pool `frq`");
        assert_eq!(found.hint.as_deref(), Some("did you mean `fra`?"));
    }

    #[test]
    fn an_unknown_name_like_no_other_is_told_with_how_to_define_it() {
        let compiled = compile("[endpoints.fra]\nipv4 = \"192.0.2.1\"\nregion = \"atlantis\"\n");
        let hint = compiled.only("unknown-name").hint.as_deref();
        assert_eq!(hint, Some("define it in any *.toml of this directory: [regions.atlantis]"));
    }

    #[test]
    fn what_nobody_asks_for_is_warned_of_file_by_file() {
        let compiled = compile_files(
            &[],
            &[
                ("a.toml", "[monitors.z]\ntype = \"http\"\n[monitors.b]\ntype = \"http\"\n"),
                ("b.toml", "[monitors.a]\ntype = \"http\"\n"),
            ],
        );
        let messages: Vec<_> = compiled.diagnostics.iter().map(|found| found.message.as_str()).collect();
        let unused = |name| format!("monitor `{name}` is not used by anything");
        assert_eq!(messages, [unused("z"), unused("b"), unused("a")]);
    }

    #[test]
    fn a_long_list_is_cut_short() {
        assert_eq!(listed(["a", "b"].into_iter()), "`a`, `b`");
        assert_eq!(
            listed(["a", "b", "c", "d", "e", "f", "g"].into_iter()),
            "`a`, `b`, `c`, `d`, `e` and 2 more"
        );
    }
}
