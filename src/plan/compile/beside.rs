//! What a zone file has at a steered name, against what steering will answer there.

use domain::base::iana::Rtype;

use crate::model::{Family, Name, OnDown, Pool, PoolId};
use crate::plan::compile::names::Written;
use crate::plan::compile::pools::Pools;
use crate::plan::compile::potential::Potential;
use crate::plan::zone::Builder;
use crate::spec::Diagnostic;
use crate::spec::steering::NameSpec;

/// A steered name, what chooses for it, and what stands beside it.
#[derive(Debug)]
pub struct Beside<'b> {
    written: &'b Written<'b, NameSpec>,
    owner: &'b Name,
    pool: &'b Pool,
    /// What steering can answer, by whatever way.
    steered: Potential,
    /// What the zone file has.
    types: Vec<Rtype>,
    apex: bool,
}

impl<'b> Beside<'b> {
    /// Looks at a name that can be steered.
    pub fn new(
        written: &'b Written<'b, NameSpec>,
        owner: &'b Name,
        pool: PoolId,
        pools: &'b Pools<'b>,
        zones: &Builder,
    ) -> Self {
        Self {
            written,
            owner,
            pool: &pools.table[pool.index()],
            steered: pools.prospects[pool.index()].all,
            types: zones.types_at(owner).into_iter().map(Rtype::from_int).collect(),
            apex: zones.zone_of(owner).is_some_and(|apex| apex == *owner),
        }
    }

    /// Every rule.
    pub fn check(&self, found: &mut Vec<Diagnostic>) {
        self.no_static_cname(found);
        self.a_steered_cname_is_alone(found);
        self.a_static_answer_is_there(found);
        self.static_records_can_be_served(found);
    }

    fn no_static_cname(&self, found: &mut Vec<Diagnostic>) {
        if self.types.contains(&Rtype::CNAME) {
            let message = format!("`{}` is steered, but the zone file has a CNAME there", self.owner);
            let hint =
                "remove the CNAME from the zone file; to answer with it, make it an endpoint: `cname = ...`";
            found.push(self.error("cname-beside", message).hint(hint));
        }
    }

    /// RFC 1034 section 3.6.2: where there is a CNAME, nothing else should be. At an apex there is always
    /// more; elsewhere it is only that resolvers which know the CNAME will not ask for the rest.
    fn a_steered_cname_is_alone(&self, found: &mut Vec<Diagnostic>) {
        if self.steered.cname.is_none() {
            return;
        }
        let pool = &self.pool.name;
        if self.apex {
            let message = format!(
                "pool `{pool}` can answer with a CNAME, which cannot be at the apex `{}`",
                self.owner
            );
            let hint =
                "beside the SOA no CNAME is possible: give the endpoint addresses, or steer a name below";
            found.push(self.error("cname-at-apex", message).hint(hint));
            return;
        }
        let company: Vec<String> =
            self.types.iter().filter(|rtype| !chosen(**rtype)).map(Rtype::to_string).collect();
        if !company.is_empty() {
            let company = company.join(", ");
            let message =
                format!("pool `{pool}` can answer with a CNAME beside the {company} of the zone file");
            let hint =
                "a resolver that holds the CNAME follows it for every type: move the other records away";
            found.push(self.warning("cname-with-others", message).hint(hint));
        }
    }

    fn a_static_answer_is_there(&self, found: &mut Vec<Diagnostic>) {
        let addresses = self.types.iter().any(|rtype| matches!(*rtype, Rtype::A | Rtype::AAAA));
        if self.pool.on_down == OnDown::Static && !addresses {
            let message = format!(
                "pool `{}` falls back on static records, but the zone file has none at `{}`",
                self.pool.name, self.owner
            );
            let hint = "add A or AAAA records there, or choose another `on_down`";
            found.push(self.error("no-static", message).hint(hint));
        }
    }

    /// A family that no member has is never answered, whatever the zone file says.
    fn static_records_can_be_served(&self, found: &mut Vec<Diagnostic>) {
        if self.pool.on_down == OnDown::Static || self.steered.serves == [false; 2] {
            return;
        }
        for family in Family::BOTH {
            let rtype = if family == Family::V4 { Rtype::A } else { Rtype::AAAA };
            if self.types.contains(&rtype) && !self.steered.serves[family.index()] {
                let message = format!(
                    "the {rtype} records at `{}` are never served: no member of pool `{}` has an {family} address",
                    self.owner, self.pool.name
                );
                let hint = format!("add {family} to an endpoint, or say `on_down = \"static\"`");
                found.push(self.warning("unserved-static", message).hint(hint));
            }
        }
    }

    fn error(&self, code: &'static str, message: String) -> Diagnostic {
        Diagnostic::error(code, self.written.named(), message)
    }

    fn warning(&self, code: &'static str, message: String) -> Diagnostic {
        Diagnostic::warning(code, self.written.named(), message)
    }
}

/// Whether records of this type are chosen by steering.
fn chosen(rtype: Rtype) -> bool {
    matches!(rtype, Rtype::A | Rtype::AAAA | Rtype::CNAME)
}

#[cfg(test)]
mod tests {
    use crate::plan::compile::fixture::{WORLD, compile_beside};

    fn codes(records: &str, members: &str, rest: &str) -> Vec<&'static str> {
        let pool = format!("[pools.p]\npolicy = \"failover\"\nmembers = {members}\n{rest}\n");
        compile_beside(records, &format!("{WORLD}{pool}[names.www]\npool = \"p\"\n")).codes()
    }

    const NONE: [&str; 0] = [];

    #[test]
    fn other_types_stand_beside_a_steered_name() {
        assert_eq!(codes("www TXT hello", "[\"fra\"]", ""), NONE);
    }

    #[test]
    fn a_static_cname_at_a_steered_name_is_an_error() {
        assert_eq!(codes("www CNAME ns1", "[\"fra\"]", ""), ["cname-beside"]);
    }

    #[test]
    fn a_cname_cannot_be_at_the_apex() {
        let pools = "[pools.p]\npolicy = \"failover\"\nmembers = [\"fra\"]\nfallback = \"cdn\"\n[names.\"@\"]\npool = \"p\"\n";
        assert_eq!(compile_beside("", &format!("{WORLD}{pools}")).codes(), ["cname-at-apex"]);
    }

    #[test]
    fn a_steered_cname_beside_other_records_is_a_warning() {
        assert_eq!(codes("www TXT hello", "[\"cdn\"]", ""), ["cname-with-others"]);
        assert_eq!(codes("www A 192.0.2.1", "[\"cdn\"]", ""), NONE);
    }

    #[test]
    fn a_static_last_resort_must_be_there() {
        assert_eq!(codes("", "[\"fra\"]", "on_down = \"static\""), ["no-static"]);
        assert_eq!(codes("www TXT hello", "[\"fra\"]", "on_down = \"static\""), ["no-static"]);
        assert_eq!(codes("www A 192.0.2.1", "[\"fra\"]", "on_down = \"static\""), NONE);
    }

    #[test]
    fn static_records_of_a_family_that_no_member_has_are_warned_of() {
        assert_eq!(codes("www AAAA 2001:db8::1", "[\"iad\"]", ""), ["unserved-static"]);
        assert_eq!(codes("www AAAA 2001:db8::1", "[\"iad\"]", "on_down = \"static\""), NONE);
        assert_eq!(codes("www AAAA 2001:db8::1", "[\"fra\"]", ""), NONE);
    }
}
