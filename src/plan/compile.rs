//! Spec -> plan: every name resolved, every rule checked, every order worked out.

use std::time::Duration;

use crate::plan::Plan;
use crate::spec::{Diagnostic, Spec};

/// Compiles what was read. `report_interval` is the machine's (for the promised failover times).
///
/// Returns the plan, if there is no error, and all diagnostics, warnings too.
pub fn compile(spec: &Spec, report_interval: Duration) -> (Option<Plan>, Vec<Diagnostic>) {
    let _ = (spec, report_interval);
    todo!()
}
