//! What must be true of a pool beyond its names: settings that fit its policy, each other and its members.

use crate::model::{ELSEWHERE, Endpoint, MinUp, OnDown, Policy, Pool, Region, RegionId, Use};
use crate::plan::compile::drafts::Draft;
use crate::plan::compile::keys::{Key, refuse_misplaced};
use crate::plan::compile::names::listed;
use crate::plan::compile::potential::Prospects;
use crate::plan::compile::treatments;
use crate::spec::diagnostic::Place;
use crate::spec::{Diagnostic, Spanned};

/// A pool, as written and as it would run, and what it points at.
#[derive(Debug)]
pub struct Judged<'j> {
    /// As written.
    pub draft: &'j Draft<'j>,
    /// As it would run.
    pub pool: &'j Pool,
    /// What can come out of it.
    pub prospects: &'j Prospects,
    /// The regions that its rules name.
    pub regions: &'j [Region],
    /// All endpoints.
    pub endpoints: &'j [Endpoint],
}

impl Judged<'_> {
    /// Every rule.
    pub fn check(&self, found: &mut Vec<Diagnostic>) {
        self.keys_fit_the_policy(found);
        self.min_up_can_be_reached(found);
        self.some_weight_is_not_zero(found);
        self.a_cname_is_alone(found);
        match self.pool.policy {
            Policy::Nearest | Policy::Latency => self.members_can_be_ordered(found),
            Policy::Geo => {
                self.members_have_a_rule(found);
                self.a_fence_is_closed(found);
                self.every_region_is_held(found);
            }
            Policy::Failover | Policy::Weighted | Policy::All => {}
        }
    }

    fn keys_fit_the_policy(&self, found: &mut Vec<Diagnostic>) {
        let policy = self.pool.policy;
        let here = format!("in a pool of policy {policy}");
        let spec = self.draft.written.value;
        let mut keys = vec![
            Key::one("trickle", &spec.trickle, policy == Policy::Failover),
            Key::one("fence", &spec.fence, policy == Policy::Geo),
            Key::one("slow_start", &spec.slow_start, policy == Policy::Weighted),
        ];
        for member in &spec.members {
            keys.push(Key::one("weight", &member.weight, policy == Policy::Weighted));
            keys.push(Key::one("bias", &member.bias, policy.by_distance()));
            keys.push(Key::many("regions", &member.regions, policy == Policy::Geo));
            keys.push(Key::one("default", &member.default, policy == Policy::Geo));
        }
        refuse_misplaced(self.draft.written.file, keys, &here, found);
    }

    fn min_up_can_be_reached(&self, found: &mut Vec<Diagnostic>) {
        let Some(min_up) = &self.draft.written.value.min_up else { return };
        let members = self.draft.written.value.members.len();
        if let MinUp::Count(count) = min_up.value
            && count as usize > members
            && members > 0
        {
            let message =
                format!("this pool is always down: `min_up` is {count}, more than its members ({members})");
            let hint = format!("a number from 1 to {members}, or a percentage as \"50%\"");
            found.push(Diagnostic::error("min-up", self.place(min_up), message).hint(hint));
        }
    }

    fn some_weight_is_not_zero(&self, found: &mut Vec<Diagnostic>) {
        let members = &self.draft.written.value.members;
        let zero = |weight: &Option<Spanned<u32>>| weight.as_ref().is_some_and(|weight| weight.value == 0);
        if members.is_empty() || !members.iter().all(|member| zero(&member.weight)) {
            return;
        }
        let message = format!("all members of pool `{}` have weight 0", self.pool.name);
        let hint = "give a weight to those that should be used; weight 0 is for those that should not";
        found.push(Diagnostic::error("no-weight", self.named(), message).hint(hint));
    }

    /// RFC 1034 section 3.6.2: a CNAME has no company, another CNAME least of all.
    fn a_cname_is_alone(&self, found: &mut Vec<Diagnostic>) {
        let Some(cname) = self.prospects.members.cname.filter(|_| self.pool.answers > 1) else { return };
        let cname = &self.endpoints[cname.index()].name;
        let message = format!(
            "pool `{}` answers with up to {} members, but endpoint `{cname}` is a cname",
            self.pool.name, self.pool.answers
        );
        let place =
            self.draft.written.value.answers.as_ref().map_or_else(|| self.named(), |at| self.place(at));
        let hint =
            "a CNAME must be the only answer: use `answers = 1`, or leave that endpoint to a `fallback`";
        found.push(Diagnostic::error("cname-in-set", place, message).hint(hint));
    }

    /// By their place; in a `latency` pool by what checks measure, and by their place until they did.
    fn members_can_be_ordered(&self, found: &mut Vec<Diagnostic>) {
        for (member, draft) in self.pool.members.iter().zip(&self.draft.members) {
            let Use::Endpoint(id) = member.picks else { continue };
            let endpoint = &self.endpoints[id.index()];
            let name = &endpoint.name;
            let by_latency = self.pool.policy == Policy::Latency;
            let placed = endpoint.at.is_some() || endpoint.region.is_some();
            let (code, message, hint) = if by_latency && endpoint.monitored() || placed && !by_latency {
                continue;
            } else if placed {
                let message = format!("nothing measures `{name}`: it is tried after those that are measured");
                (
                    "unmeasured",
                    message,
                    "only endpoints with addresses and `monitors` are measured".to_owned(),
                )
            } else {
                let message = format!("nobody knows where `{name}` is: it is tried last");
                ("no-place", message, format!("add `region` or `at` to [endpoints.{name}]"))
            };
            found.push(Diagnostic::warning(code, self.place(&draft.spec.picks), message).hint(hint));
        }
    }

    fn members_have_a_rule(&self, found: &mut Vec<Diagnostic>) {
        let mut default: Option<&Spanned<bool>> = None;
        for member in &self.draft.written.value.members {
            let claim = member.default.as_ref().filter(|claim| claim.value);
            if claim.is_none() && member.regions.is_empty() {
                let message = format!(
                    "`{}` is for no client: it has no `regions` and is not `default`",
                    member.picks.value
                );
                let hint = "write { use = \"NAME\", regions = [...] } or { use = \"NAME\", default = true }";
                found
                    .push(Diagnostic::error("useless-member", self.place(&member.picks), message).hint(hint));
            }
            if let (Some(first), Some(second)) = (default, claim) {
                let diagnostic =
                    Diagnostic::error("second-default", self.place(second), "a second default member")
                        .and(self.place(first), "the first is here")
                        .hint("to spread these clients over several, make a pool of them the default member");
                found.push(diagnostic);
            }
            default = default.or(claim);
        }
    }

    /// Nothing may lead out of a fence.
    fn a_fence_is_closed(&self, found: &mut Vec<Diagnostic>) {
        let spec = self.draft.written.value;
        let Some(fence) = spec.fence.as_ref().filter(|fence| fence.value) else { return };
        let fallback = spec.fallback.as_ref().map(|fallback| (self.place(fallback), "`fallback`"));
        let on_down = spec.on_down.as_ref().filter(|on_down| on_down.value == OnDown::Static);
        let on_down = on_down.map(|on_down| (self.place(on_down), "`on_down = \"static\"`"));
        for (place, way_out) in [fallback, on_down].into_iter().flatten() {
            let message = format!("{way_out} leads out of the fence: it is the same for all clients");
            let diagnostic = Diagnostic::error("fence-leak", place, message)
                .and(self.place(fence), "the fence is here")
                .hint("give each region a pool as its member, with several endpoints inside the fence");
            found.push(diagnostic);
        }
    }

    /// Every client should find a member; behind a fence it must, unless the operator wants it to get nothing.
    fn every_region_is_held(&self, found: &mut Vec<Diagnostic>) {
        let empty: Vec<&Region> = self.regions_without_members().collect();
        if empty.is_empty() || !self.draft.whole {
            return;
        }
        let names = listed(empty.iter().map(|region| &*region.name));
        let all_others = match empty.iter().any(|region| &*region.name == ELSEWHERE) {
            true => format!(" (`{ELSEWHERE}` is every client that no region takes)"),
            false => String::new(),
        };
        let told_to_refuse = matches!(self.pool.on_down, OnDown::NoData | OnDown::ServFail);
        match self.draft.written.value.fence.as_ref().filter(|fence| fence.value) {
            Some(_) if told_to_refuse => {}
            Some(fence) => {
                let message = format!("a fence with nowhere to go: no member is for clients in {names}");
                let hint = format!("add a default member, or say `on_down = \"nodata\"`{all_others}");
                found.push(Diagnostic::error("fence-nowhere", self.place(fence), message).hint(hint));
            }
            None => {
                let message =
                    format!("no member is for clients in {names}: for them the pool is always down");
                let hint = format!("add {{ use = \"NAME\", default = true }} to the members{all_others}");
                found.push(Diagnostic::warning("uncovered", self.named(), message).hint(hint));
            }
        }
    }

    fn regions_without_members(&self) -> impl Iterator<Item = &Region> {
        let held = |region: usize| !treatments::by_rule(self.pool, RegionId::at(region)).is_empty();
        self.regions.iter().enumerate().filter(move |(id, _)| !held(*id)).map(|(_, region)| region)
    }

    fn place<T>(&self, part: &Spanned<T>) -> Place {
        self.draft.written.place(part)
    }

    fn named(&self) -> Place {
        self.draft.written.named()
    }
}

#[cfg(test)]
mod tests {
    use crate::plan::compile::fixture::{WORLD, compile, compile_pool};

    fn codes(settings: &str) -> Vec<&'static str> {
        compile_pool(settings).codes()
    }

    #[test]
    fn keys_of_another_policy_are_errors() {
        let member = |key: &str| format!("members = [{{ use = \"fra\", {key} }}, \"iad\"]");
        let misplaced = [
            ("failover", member("weight = 2")),
            ("weighted", member("bias = 2")),
            ("nearest", member("regions = [\"eu\"]")),
            ("all", member("default = true")),
            ("nearest", "members = [\"fra\"]\ntrickle = 0.1".into()),
            ("nearest", "members = [\"fra\"]\nfence = true".into()),
            ("all", "members = [\"fra\"]\nslow_start = \"2m\"".into()),
        ];
        for (policy, settings) in misplaced {
            assert_eq!(codes(&format!("policy = \"{policy}\"\n{settings}")), ["misplaced-key"], "{settings}");
        }
    }

    #[test]
    fn there_is_one_map() {
        assert_eq!(codes("policy = \"all\"\nmembers = [\"fra\"]\nmap = \"world\""), [] as [&str; 0]);
        assert_eq!(codes("policy = \"all\"\nmembers = [\"fra\"]\nmap = \"moon\""), ["unknown-name"]);
    }

    #[test]
    fn min_up_of_more_members_than_there_are_is_an_error() {
        assert_eq!(codes("policy = \"all\"\nmembers = [\"fra\", \"iad\"]\nmin_up = 2"), [] as [&str; 0]);
        assert_eq!(codes("policy = \"all\"\nmembers = [\"fra\", \"iad\"]\nmin_up = 3"), ["min-up"]);
    }

    #[test]
    fn all_weights_zero_is_an_error() {
        assert_eq!(codes("policy = \"weighted\"\nmembers = [{ use = \"fra\", weight = 0 }]"), ["no-weight"]);
        assert_eq!(
            codes("policy = \"weighted\"\nmembers = [{ use = \"fra\", weight = 0 }, \"iad\"]"),
            [] as [&str; 0]
        );
    }

    #[test]
    fn a_cname_has_no_company_in_an_answer() {
        assert_eq!(codes("policy = \"all\"\nmembers = [\"fra\", \"cdn\"]"), ["cname-in-set"]);
        assert_eq!(
            codes("policy = \"failover\"\nmembers = [\"fra\", \"cdn\"]\nanswers = 2"),
            ["cname-in-set"]
        );
        assert_eq!(codes("policy = \"failover\"\nmembers = [\"fra\", \"cdn\"]"), [] as [&str; 0]);
        assert_eq!(codes("policy = \"all\"\nmembers = [\"fra\"]\nfallback = \"cdn\""), [] as [&str; 0]);
    }

    #[test]
    fn a_cname_in_a_nested_pool_has_no_company_either() {
        let compiled = compile(&format!(
            "{WORLD}[pools.inner]\npolicy = \"failover\"\nmembers = [\"cdn\"]\n\
             [pools.outer]\npolicy = \"all\"\nmembers = [\"fra\", \"inner\"]\n"
        ));
        assert_eq!(compiled.codes(), ["cname-in-set"]);
    }

    #[test]
    fn latency_warns_of_a_member_that_nothing_measures() {
        let endpoints = "[monitors.m]\ntype = \"tcp\"\nport = 80\n\
             [endpoints.measured]\nipv4 = \"192.0.2.1\"\nmonitors = [\"m\"]\n\
             [endpoints.placed]\ncname = \"cdn.example.net.\"\nat = [0, 0]\n\
             [endpoints.neither]\ncname = \"cdn.example.net.\"\n";
        let codes = |member: &str| {
            let pool = format!("[pools.p]\npolicy = \"latency\"\nmembers = [\"{member}\"]\n");
            let names = "[names.www]\npool = \"p\"\n";
            compile(&format!("{endpoints}{pool}{names}")).codes()
        };
        assert!(!codes("measured").contains(&"no-place"), "{:?}", codes("measured"));
        assert!(codes("placed").contains(&"unmeasured"), "{:?}", codes("placed"));
        assert!(codes("neither").contains(&"no-place"), "{:?}", codes("neither"));
    }

    #[test]
    fn nearest_warns_of_a_member_whose_place_nobody_knows() {
        let compiled = compile_pool("policy = \"nearest\"\nmembers = [\"fra\", \"cdn\"]");
        assert_eq!(compiled.codes(), ["no-place"]);
        compiled.plan();
    }

    #[test]
    fn a_geo_member_for_no_client_is_an_error() {
        let settings = "policy = \"geo\"\nmembers = [\"fra\", { use = \"iad\", default = true }]";
        assert_eq!(codes(settings), ["useless-member"]);
    }

    #[test]
    fn two_default_members_are_an_error() {
        let settings = "policy = \"geo\"\nmembers = [{ use = \"fra\", default = true }, { use = \"iad\", default = true }]";
        assert_eq!(codes(settings), ["second-default"]);
    }

    const EUROPE: &str = "policy = \"geo\"\nmembers = [{ use = \"fra\", regions = [\"eu\"] }]\n";

    #[test]
    fn a_fence_with_nowhere_to_go_is_an_error_that_names_the_region() {
        let compiled = compile_pool(&format!("{EUROPE}fence = true"));
        assert_eq!(compiled.codes(), ["fence-nowhere"]);
        assert!(compiled.only("fence-nowhere").message.ends_with("clients in `us`"));
    }

    #[test]
    fn a_fence_may_turn_clients_away() {
        assert_eq!(codes(&format!("{EUROPE}fence = true\non_down = \"nodata\"")), [] as [&str; 0]);
        assert_eq!(codes(&format!("{EUROPE}fence = true\non_down = \"servfail\"")), [] as [&str; 0]);
    }

    #[test]
    fn nothing_leads_out_of_a_fence() {
        let settings = format!("{EUROPE}fence = true\nfallback = \"iad\"\non_down = \"nodata\"");
        assert_eq!(codes(&settings), ["fence-leak"]);
        let compiled = compile(&format!(
            "{WORLD}[pools.www]\npolicy = \"geo\"\nfence = true\non_down = \"static\"\n\
             members = [{{ use = \"fra\", regions = [\"eu\"] }}, {{ use = \"iad\", default = true }}]\n"
        ));
        assert_eq!(compiled.codes(), ["fence-leak"]);
    }

    #[test]
    fn regions_that_no_geo_member_holds_are_warned_of() {
        let compiled = compile_pool(EUROPE);
        assert_eq!(compiled.codes(), ["uncovered"]);
        assert!(compiled.only("uncovered").message.contains("`us`"));
        compiled.plan();
    }
}
