//! Debug names: where each belongs, whose choice it tells, and whom.

use domain::base::iana::Rtype;

use crate::model::Name;
use crate::plan::compile::endpoints::Pick;
use crate::plan::compile::names::{Names, Written};
use crate::plan::compile::owners::{Kind, Owners};
use crate::plan::compile::pools::Pools;
use crate::plan::compile::steered;
use crate::plan::zone::Builder;
use crate::plan::{DebugId, DebugName};
use crate::spec::Diagnostic;
use crate::spec::steering::{DebugSpec, SteeringFile};

/// Compiles `[debug]` of all files, and marks the names in their zones. What is steered has claimed its owners
/// before.
pub fn compile<'s>(
    files: &'s [SteeringFile],
    owners: &mut Owners<'s>,
    zones: &mut Builder,
    pools: &Pools<'_>,
    serving: &mut Names<'s, Pick>,
    found: &mut Vec<Diagnostic>,
) -> Vec<DebugName> {
    let mut table = Vec::new();
    for written in Written::all(files, |file| &file.debug) {
        let owner = owners.claim(&written, Kind::Debug, zones, found);
        found.extend(owner.as_ref().and_then(|owner| refuse_company(&written, owner, zones)));
        let DebugSpec { pool, clients } = written.value;
        let pool = steered::pool(&written, pool, pools, serving, found);
        let (Some(owner), Some(pool)) = (owner, pool) else { continue };
        zones.debug(&owner, DebugId(table.len() as u32));
        let sticky = pools.prospects[pool.index()].all.sticky;
        let clients = clients.iter().map(|prefix| prefix.value).collect();
        table.push(DebugName { owner, pool, sticky, clients });
    }
    table
}

/// Records that would be answered instead. Those of other types stand beside a debug name.
fn refuse_company(written: &Written<'_, DebugSpec>, owner: &Name, zones: &Builder) -> Option<Diagnostic> {
    let types = zones.types_at(owner).into_iter().map(Rtype::from_int);
    let rtype = types.into_iter().find(|rtype| matches!(*rtype, Rtype::TXT | Rtype::CNAME))?;
    let message = format!("`{owner}` is a debug name, but the zone file has {rtype} records there");
    let hint =
        "its answer is TXT: remove the records, or give the debug name an owner of its own, as \"_where\"";
    Some(Diagnostic::error("debug-beside", written.named(), message).hint(hint))
}

#[cfg(test)]
mod tests {
    use crate::plan::compile::fixture::{Compiled, WORLD, compile_beside, compile_files};

    fn debug(records: &str, steering: &str) -> Compiled {
        let pool = "[pools.www]\npolicy = \"failover\"\nmembers = [\"fra\", \"iad\"]\n";
        compile_beside(records, &format!("{WORLD}{pool}{steering}"))
    }

    fn of(owner: &str, pool: &str) -> String {
        format!("[debug.\"{owner}\"]\npool = \"{pool}\"\nclients = \"192.0.2.0/24\"\n")
    }

    const NONE: [&str; 0] = [];

    #[test]
    fn a_debug_name_is_relative_to_the_zone_and_uses_its_pool() {
        let compiled = debug("", &of("_where", "www"));
        let debug = &compiled.plan().debug[0];
        assert_eq!(debug.owner.to_string(), "_where.example.org");
        assert_eq!(debug.pool, compiled.plan().inventory.pool("www").expect("it is written above"));
        assert!(debug.clients.hold([192, 0, 2, 7].into()) && !debug.clients.hold([192, 0, 3, 7].into()));
        let unused = compiled.diagnostics.iter().any(|found| found.message.contains("`www`"));
        assert!(!unused, "{:#?}", compiled.diagnostics);
    }

    #[test]
    fn an_owner_has_one_meaning() {
        let both = format!("[names.Www]\npool = \"www\"\n{}", of("www", "www"));
        let compiled = debug("", &both);
        let found = compiled.only("duplicate");
        assert_eq!(found.message, "`www.example.org` is steered and a debug name");
        assert_eq!(found.related[0].1, "it is steered here");
        let twice = format!("{}{}", of("_where", "www"), of("_Where", "www"));
        assert_eq!(debug("", &twice).only("duplicate").related[0].1, "first here");
    }

    #[test]
    fn what_others_answer_for_is_no_debug_name() {
        let records = "sub NS ns.sub\nns.sub A 192.0.2.1\nold DNAME new\n";
        for owner in ["sub", "_where.sub", "_where.old"] {
            assert_eq!(debug(records, &of(owner, "www")).codes(), ["delegated"], "{owner}");
        }
        assert_eq!(debug("", &of("_where.example.net.", "www")).codes(), ["no-zone"]);
    }

    #[test]
    fn a_file_with_debug_names_alone_says_for_which_zone() {
        let pool = "[pools.www]\npolicy = \"all\"\nmembers = [\"fra\"]\n";
        let compiled =
            compile_files(&[], &[("a.toml", WORLD), ("b.toml", &format!("{pool}{}", of("_where", "www")))]);
        assert_eq!(compiled.only("no-zone").message, "no zone file serves `b`");
    }

    #[test]
    fn records_that_would_be_answered_instead_are_refused() {
        assert_eq!(debug("_where TXT hello", &of("_where", "www")).codes(), ["debug-beside"]);
        assert_eq!(debug("_where CNAME ns1", &of("_where", "www")).codes(), ["debug-beside"]);
        assert_eq!(debug("_where A 192.0.2.1", &of("_where", "www")).codes(), NONE);
    }

    #[test]
    fn a_debug_name_tells_of_a_pool() {
        assert_eq!(debug("", &of("_where", "nobody")).codes(), ["unknown-name"]);
        assert_eq!(debug("", &of("_where", "fra")).codes(), ["not-a-pool"]);
    }
}
