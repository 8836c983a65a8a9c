//! What updates made of a zone, apart from its file: both can go on changing.
//!
//! ```text
//!   served = (file without `removed`) and `added`
//! ```
//!
//! A record that was removed and that the file no longer has is forgotten: whoever writes it there again wants it.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::primary::records::{Record, Records, read_lines};
use crate::spec::master::ZoneFile;
use crate::spec::{Diagnostic, Source};

/// What updates made of a zone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overlay {
    /// Records of the file that are not served.
    pub removed: Records,
    /// Records that are, whatever the file has.
    pub added: Records,
}

impl Overlay {
    /// Whether the file is served as it is.
    pub fn is_empty(&self) -> bool {
        self.removed.is_empty() && self.added.is_empty()
    }

    /// After one more change of what is served.
    #[must_use]
    pub fn after(&self, removed: &Records, added: &Records) -> Self {
        Self { removed: self.removed.and(removed), added: self.added.without(removed).and(added) }
    }

    /// Lays it over what was read from a file; what is wrong with that is in the diagnostics. What is left of it, as
    /// the file no longer has some of what was removed.
    pub fn lay(&self, file: &mut ZoneFile, found: &mut Vec<Diagnostic>) -> Overlay {
        let there: HashSet<Record<'_>> = file.records().map(|record| Record::from(&record)).collect();
        let removed: Records = self.removed.iter().filter(|record| there.contains(record)).collect();
        drop(there);
        file.retain(|record| !removed.contains(&Record::from(record)));
        if !self.added.is_empty() {
            let lines = self.added.lines().join("\n");
            let (added, wrong) = read_lines(&Source::new(READ_AS, &lines));
            found.extend(wrong);
            if let Some(added) = added {
                file.append(&added, Source::new(&format!("updates of {}", file.origin), &lines));
            }
        }
        Self { removed, added: self.added.clone() }
    }
}

/// All names are written in full, so that it does not matter of which zone the lines are.
const READ_AS: &str = "updates";
