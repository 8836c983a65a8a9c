//! Steered names: where each belongs, and what chooses for it.

use crate::model::{PoolId, Use};
use crate::plan::compile::beside::Beside;
use crate::plan::compile::chains;
use crate::plan::compile::endpoints::{Endpoints, Pick};
use crate::plan::compile::names::{Names, Site, Written};
use crate::plan::compile::owners::{Kind, Owners};
use crate::plan::compile::pools::Pools;
use crate::plan::compile::potential::Potential;
use crate::plan::zone::Builder;
use crate::plan::{Steered, SteeredId};
use crate::spec::steering::{NameSpec, SteeringFile};
use crate::spec::{Diagnostic, Spanned};

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
    owners: &mut Owners<'s>,
    zones: &mut Builder,
    endpoints: &Endpoints<'s>,
    pools: &Pools<'_>,
    serving: &mut Names<'s, Pick>,
    found: &mut Vec<Diagnostic>,
) -> SteeredNames<'s> {
    let mut names = SteeredNames::default();
    for written in Written::all(files, |file| &file.names) {
        let owner = owners.claim(&written, Kind::Steered, zones, found);
        let pool = pool(&written, &written.value.pool, pools, serving, found);
        let (ttl, ttl_min) = ttls(&written, found);
        let (Some(owner), Some(pool)) = (owner, pool) else { continue };
        Beside::new(&written, &owner, pool, pools, zones).check(found);
        let rto = written.value.rto.as_ref();
        names.demands.extend(rto.map(|rto| (SteeredId(names.table.len() as u32), written.site(rto))));
        let Potential { serves, cname, sticky } = pools.prospects[pool.index()].all;
        let serves = serves.map(|serves| serves || cname.is_some());
        let rto = rto.map(|rto| rto.value);
        names.table.push(Steered { owner, pool, ttl, ttl_min, serves, sticky, rto });
    }
    for (id, steered) in names.table.iter().enumerate() {
        zones.steer(&steered.owner, SteeredId(id as u32));
    }
    chains::refuse_loops(&names.table, zones, endpoints, pools, found);
    names
}

/// The pool that chooses for a name.
pub fn pool<T>(
    written: &Written<'_, T>,
    name: &Spanned<String>,
    pools: &Pools<'_>,
    serving: &mut Names<'_, Pick>,
    found: &mut Vec<Diagnostic>,
) -> Option<PoolId> {
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
    use crate::plan::compile::fixture::{Compiled, WORLD, compile};

    fn named(names: &str) -> Compiled {
        let pool = "[pools.www]\npolicy = \"failover\"\nmembers = [\"fra\", \"iad\"]\n";
        compile(&format!("{WORLD}{pool}{names}"))
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
