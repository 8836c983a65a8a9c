//! The governor: one for all files.

use crate::model::{Endpoint, Family, Governor};
use crate::plan::compile::names::Site;
use crate::spec::Diagnostic;
use crate::spec::steering::SteeringFile;

/// Compiles `[governor]` of all files.
pub fn compile(
    files: &[SteeringFile],
    endpoints: &[Endpoint],
    found: &mut Vec<Diagnostic>,
) -> Option<Governor> {
    let mut written = files.iter().filter_map(|file| Some((&file.source, file.governor.as_ref()?)));
    let (file, governor) = written.next()?;
    let site = Site { file, span: governor.span.clone() };
    for (file, second) in written {
        let place = Site { file, span: second.span.clone() }.place();
        let diagnostic = Diagnostic::error("duplicate", place, "a second [governor]")
            .and(site.place(), "the first is here")
            .hint("it counts for the endpoints of all files: remove one of them");
        found.push(diagnostic);
    }
    found.extend(warn_of_standstill(governor.value, &site, endpoints));
    Some(governor.value)
}

/// A share of so few that it is none.
fn warn_of_standstill(governor: Governor, site: &Site<'_>, endpoints: &[Endpoint]) -> Option<Diagnostic> {
    let checked = |family: &Family| {
        endpoints.iter().filter(|endpoint| !endpoint.targets[family.index()].is_empty()).count()
    };
    let none = |of: &usize| *of > 0 && governor.most_at_once(*of) == 0;
    let (family, of) =
        Family::BOTH.into_iter().map(|family| (family, checked(&family))).find(|(_, of)| none(of))?;
    let message = format!(
        "nothing is ever taken out over {family}: {}% of {of} endpoint{} that are checked is less than one",
        governor.withdraw_max,
        if of == 1 { "" } else { "s" }
    );
    let hint = format!("`withdraw_max` of {}% or more lets one go", 100usize.div_ceil(of));
    Some(Diagnostic::warning("standstill", site.place(), message).hint(hint))
}
