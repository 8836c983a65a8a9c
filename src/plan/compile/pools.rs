//! Pools: from drafts to what steering reads.
//!
//! ```text
//!   drafts --nest--> ids, inner pools first --settle--> settings --treatments--> by class --rules--> fit
//! ```

use crate::geo::Atlas;
use crate::model::{
    Endpoint, Failback, Member, MinUp, OnDown, PartitionId, Policy, Pool, PoolId, Situation, Use,
};
use crate::plan::compile::drafts::{self, Draft, DraftMember};
use crate::plan::compile::endpoints::Pick;
use crate::plan::compile::maps::Maps;
use crate::plan::compile::names::{Names, Site};
use crate::plan::compile::potential::Prospects;
use crate::plan::compile::treatments::{self, Ground, Partitions};
use crate::plan::compile::{fences, potential, rules};
use crate::spec::steering::SteeringFile;
use crate::spec::{Diagnostic, Spanned};

/// All pools.
#[derive(Debug)]
pub struct Pools<'s> {
    /// Index [`PoolId`]; a pool comes after all that it picks.
    pub table: Vec<Pool>,
    /// Index [`PoolId`].
    pub prospects: Vec<Prospects>,
    /// Index [`PoolId`]: what each wants done when it is down.
    pub wishes: Vec<Wishes<'s>>,
    /// Some of them pick each other, which is an error: no order is right.
    pub tangled: bool,
    /// How clients are told apart.
    pub partitions: Partitions,
    /// Index [`crate::model::SituationId`].
    pub situations: Vec<Situation>,
    ids: Ids,
}

/// Where a pool says what is to be done when it is down.
#[derive(Debug)]
pub struct Wishes<'s> {
    /// `fallback`
    pub fallback: Option<Site<'s>>,
    /// `on_down`
    pub on_down: Option<Site<'s>>,
}

impl Pools<'_> {
    /// What a name stands for.
    pub fn pick(&self, pick: Pick) -> Use {
        self.ids.of(pick)
    }
}

/// Compiles `[pools]` of all files.
pub fn compile<'s>(
    files: &'s [SteeringFile],
    maps: &mut Maps<'s>,
    atlas: &Atlas,
    endpoints: &[Endpoint],
    serving: &mut Names<'s, Pick>,
    found: &mut Vec<Diagnostic>,
) -> Pools<'s> {
    let drafts = drafts::compile(files, maps, serving, found);
    let walk = drafts::nest(&drafts, found);
    let ids = Ids::new(&walk.order);
    let mut table: Vec<Pool> = walk.order.iter().map(|&place| settle(&drafts[place], maps, &ids)).collect();
    let prospects = potential::prospects(&table, endpoints);
    for (pool, prospects) in table.iter_mut().zip(&prospects) {
        pool.serves = prospects.members.serves;
    }
    let ground = Ground::new(atlas, maps.all_regions());
    let partitions = treatments::lay(&mut table, endpoints, &ground, found);
    let situations = ground.situations;
    for (pool, (&place, prospects)) in table.iter().zip(walk.order.iter().zip(&prospects)) {
        let regions = maps.regions(pool.map);
        rules::Judged { draft: &drafts[place], pool, prospects, regions, endpoints }.check(found);
    }
    let settled: Vec<&Draft<'_>> = walk.order.iter().map(|&place| &drafts[place]).collect();
    fences::refuse_leaks(&table, &settled, found);
    let wishes = walk.order.iter().map(|&place| wishes(&drafts[place])).collect();
    let tangled = !walk.loops.is_empty();
    Pools { table, prospects, wishes, tangled, partitions, situations, ids }
}

/// Place in the files -> id.
#[derive(Debug)]
struct Ids(Vec<PoolId>);

impl Ids {
    /// Ids in the order in which pools come to stand, given by their places in the files.
    fn new(order: &[usize]) -> Self {
        let mut ids = vec![PoolId(0); order.len()];
        for (id, &place) in order.iter().enumerate() {
            ids[place] = PoolId::at(id);
        }
        Self(ids)
    }

    fn of(&self, pick: Pick) -> Use {
        match pick {
            Pick::Endpoint(id) => Use::Endpoint(id),
            Pick::Pool(place) => Use::Pool(self.0[place]),
        }
    }
}

/// Gives every setting its value.
fn settle(draft: &Draft<'_>, maps: &Maps<'_>, ids: &Ids) -> Pool {
    let spec = draft.written.value;
    let policy = spec.policy.value;
    let answers = or(&spec.answers, if policy == Policy::All { Pool::ANSWERS_MAX } else { 1 });
    Pool {
        name: draft.written.name.value.as_str().into(),
        policy,
        members: draft.members.iter().map(|member| settle_member(member, ids)).collect(),
        map: draft.map,
        client_subnet: or(&spec.client_subnet, true) && maps.believes(draft.map),
        orders: Vec::new(),
        by_situation: Vec::new(),
        partition: PartitionId(0),
        treatments: Vec::new(),
        answers,
        min_up: or(&spec.min_up, MinUp::Count(1)),
        fallback: draft.fallback.map(|pick| ids.of(pick)),
        on_down: or(&spec.on_down, OnDown::ServeAll),
        failback: or(&spec.failback, Failback::Auto),
        slow_start: spec.slow_start.as_ref().map(|time| time.value),
        trickle: share_of_draws(or(&spec.trickle, 0.0)),
        fence: or(&spec.fence, false),
        sticky: or(&spec.sticky, false),
        serves: [false; 2],
    }
}

fn settle_member(member: &DraftMember<'_>, ids: &Ids) -> Member {
    Member {
        picks: ids.of(member.pick),
        weight: or(&member.spec.weight, 1),
        bias: or(&member.spec.bias, 0),
        regions: member.regions.clone(),
        default: or(&member.spec.default, false),
    }
}

fn wishes<'s>(draft: &Draft<'s>) -> Wishes<'s> {
    let written = &draft.written;
    Wishes {
        fallback: written.value.fallback.as_ref().map(|fallback| written.site(fallback)),
        on_down: written.value.on_down.as_ref().map(|on_down| written.site(on_down)),
    }
}

/// A share 0.0..=1.0 as a share of 2^32; all of them is one draw less.
fn share_of_draws(share: f64) -> u32 {
    (share * 2f64.powi(32)) as u32
}

fn or<T: Copy>(written: &Option<Spanned<T>>, default: T) -> T {
    written.as_ref().map_or(default, |written| written.value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::compile::fixture::{WORLD, compile, compile_pool};

    #[test]
    fn what_is_left_out_has_its_default() {
        let compiled = compile_pool("policy = \"failover\"\nmembers = [\"fra\", \"iad\"]");
        let pool = compiled.pool("www");
        assert_eq!((pool.answers, pool.min_up, pool.fallback), (1, MinUp::Count(1), None));
        assert_eq!((pool.on_down, pool.failback, pool.trickle), (OnDown::ServeAll, Failback::Auto, 0));
        assert_eq!((pool.fence, pool.sticky), (false, false));
        assert_eq!((pool.members[0].weight, pool.members[0].bias), (1, 0));
        assert_eq!(compiled.codes(), [] as [&str; 0]);
    }

    #[test]
    fn a_pool_of_all_answers_with_eight() {
        assert_eq!(compile_pool("policy = \"all\"\nmembers = [\"fra\", \"iad\"]").pool("www").answers, 8);
    }

    #[test]
    fn every_setting_arrives() {
        let compiled = compile_pool(
            "policy = \"failover\"\nmembers = [\"fra\", \"iad\"]\nanswers = 2\nmin_up = \"50%\"\nfallback = \"cdn\"\n\
             on_down = \"servfail\"\nfailback = \"10m\"\ntrickle = 0.25\nsticky = true",
        );
        let pool = compiled.pool("www");
        assert_eq!((pool.answers, pool.min_up), (2, MinUp::Percent(50)));
        assert_eq!(pool.fallback.map(|picks| compiled.plan().inventory.name_of(picks)), Some("cdn"));
        assert_eq!(pool.on_down, OnDown::ServFail);
        assert_eq!(pool.failback, Failback::After(std::time::Duration::from_secs(600)));
        assert_eq!((pool.trickle, pool.sticky), (1 << 30, true));
    }

    #[test]
    fn all_draws_are_the_largest_share() {
        assert_eq!(share_of_draws(1.0), u32::MAX);
        assert_eq!(share_of_draws(0.5), 1 << 31);
    }

    #[test]
    fn pools_come_after_what_they_pick() {
        let pools = "[pools.outer]\npolicy = \"failover\"\nmembers = [\"inner\"]\nfallback = \"last\"\n\
                     [pools.inner]\npolicy = \"failover\"\nmembers = [\"fra\"]\n\
                     [pools.last]\npolicy = \"failover\"\nmembers = [\"iad\"]\n";
        let compiled = compile(&format!("{WORLD}{pools}"));
        let names: Vec<_> = compiled.plan().inventory.pools.iter().map(|pool| &*pool.name).collect();
        assert_eq!(names, ["inner", "last", "outer"]);
    }
}
