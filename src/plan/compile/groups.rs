//! Groups of monitors: of several, so many must pass.
//!
//! ```text
//!   endpoint: monitors = ["web", "paths"]     group paths: monitors = ["a", "b", "c"], need = 2
//!
//!   targets   web  a  b  c                    each is checked for itself, and reported for itself
//!   needs     1 of (web), 2 of (a b c)        what the server makes of their verdicts
//! ```

use crate::model::{MonitorId, Need};
use crate::plan::compile::monitors::Watch;
use crate::plan::compile::names::{Names, Written};
use crate::spec::steering::{MonitorSpec, NeedSpec};
use crate::spec::{Diagnostic, Spanned};

/// Monitors of which so many must pass.
#[derive(Clone, Debug)]
pub struct Group {
    name: Box<str>,
    parts: Vec<MonitorId>,
    at_least: usize,
}

/// Compiles a monitor of the type `group`. What is wrong leaves a group of what is right.
pub fn compile(
    written: &Written<'_, MonitorSpec>,
    names: &mut Names<'_, Watch>,
    found: &mut Vec<Diagnostic>,
) -> Group {
    let name = &written.name.value;
    let mut lacks = |code, what: &str, hint: &str| {
        let message = format!("group `{name}` does not say {what}");
        found.push(Diagnostic::error(code, written.named(), message).hint(hint));
    };
    if written.value.monitors.is_empty() {
        lacks("no-parts", "of which monitors it is", "add `monitors = [...]`");
    }
    if written.value.need.is_none() {
        lacks("no-need", "how many of its monitors must pass", "add `need = \"any\"`, \"all\" or a number");
    }
    let parts = parts(written, names, found);
    let at_least = match &written.value.need {
        Some(Spanned { value: NeedSpec::AtLeast(number), .. }) => usize::from(*number),
        Some(Spanned { value: NeedSpec::Any, .. }) => 1,
        Some(Spanned { value: NeedSpec::All, .. }) | None => parts.len(),
    };
    if let Some(need) = written.value.need.as_ref().filter(|_| at_least > written.value.monitors.len().max(1))
    {
        let message = format!("{at_least} of {} monitors can never pass", written.value.monitors.len());
        let hint = "take a smaller number, or add monitors";
        found.push(Diagnostic::error("need-out-of-reach", written.place(need), message).hint(hint));
    }
    Group { name: name.as_str().into(), parts, at_least }
}

/// The monitors it names, each once.
fn parts(
    written: &Written<'_, MonitorSpec>,
    names: &mut Names<'_, Watch>,
    found: &mut Vec<Diagnostic>,
) -> Vec<MonitorId> {
    let mut parts = Vec::new();
    for name in &written.value.monitors {
        match names.resolve("monitor", name, written.file, found) {
            Some(Watch::Monitor(id)) if parts.contains(&id) => {
                let message = format!("monitor `{}` is here twice", name.value);
                let hint = "remove one of them: it would count twice";
                found.push(Diagnostic::error("repeated", written.place(name), message).hint(hint));
            }
            Some(Watch::Monitor(id)) => parts.push(id),
            Some(Watch::Group(_)) => {
                let message = format!("`{}` is a group, and a group has no groups in it", name.value);
                let hint = "name its monitors instead; an endpoint may list several groups";
                found.push(Diagnostic::error("nested-group", written.place(name), message).hint(hint));
            }
            None => {}
        }
    }
    parts
}

/// What an endpoint that lists `watches` is checked with, each monitor once, and what of it must pass; no needs:
/// all of it.
pub fn unfold(
    watches: &[Watch],
    groups: &[Group],
    name_of: impl Fn(MonitorId) -> Box<str>,
) -> (Vec<MonitorId>, Vec<Need>) {
    let mut monitors = Vec::new();
    let mut needs = Vec::new();
    for watch in watches {
        let (name, parts, at_least) = match watch {
            Watch::Monitor(id) => (name_of(*id), std::slice::from_ref(id), 1),
            Watch::Group(index) => {
                let group = &groups[*index];
                (group.name.clone(), group.parts.as_slice(), group.at_least)
            }
        };
        let parts = parts.iter().map(|id| place_in(&mut monitors, *id)).collect();
        needs.push(Need { name, parts, at_least });
    }
    let all = needs.iter().all(|need| need.at_least == need.parts.len());
    (monitors, if all { Vec::new() } else { needs })
}

fn place_in(monitors: &mut Vec<MonitorId>, id: MonitorId) -> usize {
    monitors.iter().position(|known| *known == id).unwrap_or_else(|| {
        monitors.push(id);
        monitors.len() - 1
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Endpoint;
    use crate::plan::compile::fixture::{WORLD, compile};

    const PARTS: &str = "[monitors.a]\ntype = \"icmp\"\n[monitors.b]\ntype = \"dns\"\n\
                         [monitors.c]\ntype = \"tcp\"\nport = 7\n";

    fn codes(group: &str) -> Vec<&'static str> {
        let user = "[endpoints.x]\nipv4 = \"192.0.2.1\"\nmonitors = [\"g\", \"a\", \"b\", \"c\"]\n";
        compile(&format!("{WORLD}[monitors.g]\ntype = \"group\"\n{group}\n{PARTS}{user}")).codes().to_vec()
    }

    /// An endpoint with these `monitors`, one of which may be the group `g` of `a`, `b` and `c`.
    fn endpoint(monitors: &str, need: &str) -> Endpoint {
        let group =
            format!("[monitors.g]\ntype = \"group\"\nmonitors = [\"a\", \"b\", \"c\"]\nneed = {need}\n");
        let user = format!("[endpoints.x]\nipv4 = \"192.0.2.1\"\nmonitors = [{monitors}]\n");
        compile(&format!("{WORLD}{group}{PARTS}{user}")).endpoint("x").clone()
    }

    fn need(name: &str, parts: &[usize], at_least: usize) -> Need {
        Need { name: name.into(), parts: parts.into(), at_least }
    }

    #[test]
    fn a_group_needs_so_many_of_its_parts() {
        for (written, at_least) in [("\"any\"", 1), ("1", 1), ("2", 2)] {
            let endpoint = endpoint("\"g\"", written);
            assert_eq!(endpoint.targets.each_ref().map(Vec::len), [3, 0]);
            assert_eq!(endpoint.needs, [need("g", &[0, 1, 2], at_least)], "{written}");
        }
    }

    #[test]
    fn all_of_a_group_is_as_each_for_itself() {
        for written in ["\"all\"", "3"] {
            assert_eq!(endpoint("\"g\", \"web\"", written).needs, [], "{written}");
        }
    }

    #[test]
    fn what_stands_beside_a_group_is_a_need_of_its_own_and_is_checked_once() {
        let endpoint = endpoint("\"web\", \"b\", \"g\"", "2");
        assert_eq!(endpoint.targets[0].len(), 4);
        let needs = [need("web", &[0], 1), need("b", &[1], 1), need("g", &[2, 1, 3], 2)];
        assert_eq!(endpoint.needs, needs);
    }

    #[test]
    fn a_group_that_says_too_little_is_an_error() {
        assert_eq!(codes(""), ["no-need", "no-parts"]);
        assert_eq!(codes("monitors = [\"a\"]"), ["no-need"]);
        assert_eq!(codes("need = 2"), ["need-out-of-reach", "no-parts"]);
    }

    #[test]
    fn a_group_that_can_never_pass_is_an_error() {
        assert_eq!(codes("monitors = [\"a\", \"b\"]\nneed = 3"), ["need-out-of-reach"]);
    }

    #[test]
    fn a_part_is_one_known_monitor() {
        assert_eq!(codes("monitors = [\"a\", \"g\"]\nneed = 1"), ["nested-group"]);
        assert_eq!(codes("monitors = [\"a\", \"b\", \"a\"]\nneed = 2"), ["repeated"]);
        assert_eq!(codes("monitors = [\"a\", \"z\"]\nneed = 1"), ["unknown-name"]);
    }

    #[test]
    fn a_group_has_no_settings_of_a_check() {
        let settings = "monitors = [\"a\", \"b\"]\nneed = 1\ninterval = \"1s\"\nport = 80\n";
        assert_eq!(codes(settings), ["misplaced-key", "misplaced-key"]);
    }
}
