//! From votes to standings: what the checks say, and what an operator says over them.

use std::collections::BTreeMap;

use smallvec::SmallVec;

use crate::health::{Basis, Control, Evidence, HealthMap, Poll, Standing, Verdict, Vote};
use crate::keeper::FRESH;
use crate::keeper::line::Line;
use crate::keeper::names::Names;
use crate::keeper::probes::Voter;
use crate::keeper::words::Words;
use crate::model::{Endpoint, EndpointId, Family, Inventory, Moment, Need, Reach, RegionId, TargetId};

/// What the checks say of every endpoint. `before` is what they said last, which stands where nobody votes.
pub(super) fn of_checks(
    inventory: &Inventory,
    voters: &[Voter<'_>],
    (before, line): (&HealthMap, Line),
    now: Moment,
) -> HealthMap {
    let mut seen = HealthMap::new(inventory);
    for (id, endpoint) in endpoints(inventory) {
        for family in Family::BOTH {
            if endpoint.targets[family.index()].is_empty() {
                continue;
            }
            let said = Said::of(endpoint, family, voters, inventory);
            let last = |region| before.endpoint(id, region, family);
            let silence = said.silence(line, inventory, last, now);
            for region in regions(inventory) {
                let last = last(region);
                *seen.endpoint_mut(id, region, family) =
                    said.conclude(region, last, silence.others(last), now);
            }
        }
    }
    seen
}

/// What the checks say now that a probe says otherwise of some targets; `None`: every verdict and every word is
/// as it was. What else came with that waits for [`of_checks`].
pub(super) fn of_turned(
    turned: &[TargetId],
    (inventory, names): (&Inventory, &Names),
    voters: &[Voter<'_>],
    (before, line): (&HealthMap, Line),
    now: Moment,
) -> Option<HealthMap> {
    let mut seen: Option<HealthMap> = None;
    for target in turned {
        let family = Family::of(inventory.targets[target.index()].address);
        for id in names.endpoints_of(*target) {
            let said = Said::of(&inventory.endpoints[id.index()], family, voters, inventory);
            let last = |region| before.endpoint(*id, region, family);
            let silence = said.silence(line, inventory, last, now);
            for region in regions(inventory) {
                let last = last(region);
                let standing = said.conclude(region, last, silence.others(last), now);
                if (standing.verdict, standing.agent) != (last.verdict, last.agent) {
                    let seen = seen.get_or_insert_with(|| before.clone());
                    *seen.endpoint_mut(*id, region, family) = standing;
                }
            }
        }
    }
    seen
}

/// Lays what operators fixed over what the checks say.
pub(super) fn overlay(
    map: &mut HealthMap,
    controls: &BTreeMap<String, Control>,
    names: &Names,
    inventory: &Inventory,
) {
    for (name, control) in controls {
        let Some(id) = names.endpoint(name) else { continue };
        for region in regions(inventory) {
            for family in Family::BOTH {
                let standing = map.endpoint_mut(id, region, family);
                standing.verdict = match control {
                    Control::ForceUp => Verdict::Up,
                    Control::Drain | Control::ForceDown => Verdict::Down,
                };
                standing.control = Some(*control);
                standing.evidence = Evidence { basis: Basis::Operator, ..Evidence::default() };
                (standing.moving, standing.stale) = (false, false);
            }
        }
    }
}

/// Dates the verdicts that turned; those that turned lately, and those an operator spoke of lately, move.
pub(super) fn date(
    map: &mut HealthMap,
    before: &HealthMap,
    spoken: &BTreeMap<String, Moment>,
    inventory: &Inventory,
    now: Moment,
) {
    let fresh = |moment: Moment| now.since(moment) < FRESH;
    for (id, endpoint) in endpoints(inventory) {
        let spoken = !spoken.is_empty() && spoken.get(&*endpoint.name).is_some_and(|at| fresh(*at));
        for region in regions(inventory) {
            for family in Family::BOTH.into_iter().filter(|family| endpoint.serves(*family)) {
                let last = before.endpoint(id, region, family);
                let standing = map.endpoint_mut(id, region, family);
                standing.since = if standing.verdict == last.verdict { last.since } else { Some(now) };
                standing.moving |= spoken || standing.since.is_some_and(fresh);
            }
        }
    }
}

/// A map for another plan, with what is known of endpoints that kept their name and address.
pub(super) fn carry(old: &HealthMap, from: (&Inventory, &Names), to: &Inventory) -> HealthMap {
    let (from, names) = from;
    let mut map = HealthMap::new(to);
    for (id, endpoint) in endpoints(to) {
        let Some(old_id) = names.endpoint(&endpoint.name) else { continue };
        let same = |family| same_place(&from.endpoints[old_id.index()], endpoint, family);
        let same = Family::BOTH.map(same);
        for region in regions(to) {
            let Some(old_region) = names.region(&to.regions[region.index()].name) else { continue };
            for family in Family::BOTH.into_iter().filter(|family| same[family.index()]) {
                *map.endpoint_mut(id, region, family) = *old.endpoint(old_id, old_region, family);
            }
        }
    }
    map
}

/// Every endpoint of an inventory, with its number.
pub(super) fn endpoints(inventory: &Inventory) -> impl Iterator<Item = (EndpointId, &Endpoint)> {
    inventory.endpoints.iter().enumerate().map(|(index, endpoint)| (EndpointId::at(index), endpoint))
}

/// Every region of an inventory.
pub(super) fn regions(inventory: &Inventory) -> impl Iterator<Item = RegionId> + use<> {
    (0..inventory.regions.len()).map(RegionId::at)
}

/// Whether what was known of the one holds for the other.
fn same_place(old: &Endpoint, new: &Endpoint, family: Family) -> bool {
    let watched = |endpoint: &Endpoint| !endpoint.targets[family.index()].is_empty();
    let same_reach = match (&old.reach, &new.reach) {
        (Reach::Name(old), Reach::Name(new)) => old == new,
        _ => old.address(family) == new.address(family),
    };
    same_reach && watched(old) == watched(new)
}

/// What was voted on one target: the verdict, whether it moves, and why; `None`: nothing.
type Judged = Option<(Verdict, bool, Evidence)>;

/// What the votes of other regions are to one that has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Others {
    Count,
    SayNothing,
}

/// What it says of an endpoint that a region has no votes on it.
#[derive(Clone, Copy, Debug)]
enum Silence {
    /// That nobody there talks.
    NobodyTalks,
    /// Nothing: the line to the fleet is cut. Where somebody is heard still, the endpoint turned since then, or did not.
    Nothing { turned: Option<Moment> },
}

impl Silence {
    /// What others say to a region where `last` stood: while the line is cut only what turned after that did.
    fn others(self, last: &Standing) -> Others {
        match self {
            Silence::Nothing { turned } if turned <= last.since => Others::SayNothing,
            Silence::Nothing { .. } | Silence::NobodyTalks => Others::Count,
        }
    }
}

/// What probes say of one family of an endpoint.
struct Said<'e> {
    /// For each of its targets.
    polls: SmallVec<[Poll; 1]>,
    needs: &'e [Need],
    words: Words,
}

impl<'e> Said<'e> {
    fn of(endpoint: &'e Endpoint, family: Family, voters: &[Voter<'_>], inventory: &Inventory) -> Self {
        let mut said = Self { polls: SmallVec::new(), needs: &endpoint.needs, words: Words::default() };
        for target in &endpoint.targets[family.index()] {
            let votes: SmallVec<[Vote; 16]> = voters.iter().filter_map(|voter| voter.on(*target)).collect();
            let monitor = inventory.targets[target.index()].monitor;
            said.words.hear(&votes);
            said.polls.push(Poll::of(votes, inventory.monitors[monitor.index()].quorum));
        }
        said
    }

    /// What it says that a region is silent.
    fn silence<'m>(
        &self,
        line: Line,
        inventory: &Inventory,
        last: impl Fn(RegionId) -> &'m Standing,
        now: Moment,
    ) -> Silence {
        let Some(cut) = line.cut(now) else { return Silence::NobodyTalks };
        let own = |region: &RegionId| {
            let basis = |judged: (_, _, Evidence)| judged.2.basis;
            self.polls.iter().filter_map(|poll| poll.judge(*region)).map(basis).any(|it| it == Basis::Region)
        };
        let since = |region| self.conclude(region, last(region), Others::Count, now).since;
        let turned = regions(inventory).filter(own).filter_map(since).filter(|at| *at > cut).max();
        Silence::Nothing { turned }
    }

    /// What stands for clients of a region, where `last` stood: what was stays where there is no vote on any target,
    /// and a Down also where what has no vote yet decides: nobody says yet that what failed passes now.
    fn conclude(&self, region: RegionId, last: &Standing, others: Others, now: Moment) -> Standing {
        let counts = |judged: &(Verdict, bool, Evidence)| {
            let of_others = judged.2.basis == Basis::Others;
            !of_others || others == Others::Count || last.verdict == Verdict::Unknown
        };
        let judged: SmallVec<[Judged; 2]> =
            self.polls.iter().map(|poll| poll.judge(region).filter(counts)).collect();
        let unheard = others == Others::SayNothing && judged.iter().all(Option::is_none);
        let agent = if unheard { last.agent } else { self.words.of(region, last.agent) };
        let moving = judged.iter().flatten().any(|(_, moves, _)| *moves);
        let Weighed { decisive, unvoted } = Weighed::of(&judged, self.needs);
        let stays_down = unvoted && last.verdict == Verdict::Down;
        match decisive.filter(|(voted, _)| *voted == Verdict::Down || !stays_down) {
            None => {
                // somebody is looking, and will have an opinion soon
                let looked_at = self.polls.iter().any(Poll::looked_at);
                Standing {
                    verdict: last.verdict,
                    moving: looked_at || last.verdict == Verdict::Unknown,
                    stale: last.verdict != Verdict::Unknown,
                    governed: false,
                    control: None,
                    evidence: Evidence { basis: Basis::Kept, ..Evidence::default() },
                    since: last.since,
                    agent,
                    rtt_us: last.rtt_us,
                }
            }
            Some((voted, evidence)) => {
                let verdict = if voted == Verdict::Up && unvoted { Verdict::Unknown } else { voted };
                let since = if verdict == last.verdict { last.since } else { Some(now) };
                let moving = moving || unvoted;
                let rtt_us = last.rtt_us;
                Standing { verdict, moving, evidence, since, agent, rtt_us, ..Standing::default() }
            }
        }
    }
}

/// What an endpoint's needs come to.
#[derive(Default)]
struct Weighed {
    /// Down if any need cannot be met, else Up; and what says so. `None`: there is no vote.
    decisive: Option<(Verdict, Evidence)>,
    /// Whether some need is met or not is up to those without a vote.
    unvoted: bool,
}

impl Weighed {
    /// No needs: each target must be up.
    fn of(judged: &[Judged], needs: &[Need]) -> Self {
        let mut weighed = Self::default();
        if needs.is_empty() {
            judged.iter().for_each(|alone| weighed.add(std::slice::from_ref(alone), 1));
        }
        for need in needs {
            let parts: SmallVec<[Judged; 4]> = need.parts.iter().map(|part| judged[*part]).collect();
            weighed.add(&parts, need.at_least);
        }
        weighed
    }

    fn add(&mut self, parts: &[Judged], at_least: usize) {
        let met = met(parts, at_least);
        self.unvoted |= met.is_none();
        let voted = met.unwrap_or(Verdict::Up);
        let speaks = parts.iter().flatten().find(|(verdict, ..)| met.is_none_or(|met| *verdict == met));
        if let Some((_, _, evidence)) = speaks
            && self.decisive.is_none_or(|(held, _)| held == Verdict::Up && voted == Verdict::Down)
        {
            self.decisive = Some((voted, *evidence));
        }
    }
}

/// Up if enough targets are, Down if too few can be; `None`: those without a vote decide.
fn met(parts: &[Judged], at_least: usize) -> Option<Verdict> {
    let voted = |wanted| parts.iter().flatten().filter(|(verdict, ..)| *verdict == wanted).count();
    if voted(Verdict::Up) >= at_least {
        Some(Verdict::Up)
    } else if parts.len() - voted(Verdict::Down) < at_least {
        Some(Verdict::Down)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Every way in which those without a vote may come to vote.
    fn completions(votes: &[Option<bool>]) -> Vec<Vec<bool>> {
        let mut all = vec![Vec::new()];
        for vote in votes {
            let ways = vote.map_or(vec![true, false], |up| vec![up]);
            all = all.iter().flat_map(|start| ways.iter().map(|up| [&start[..], &[*up]].concat())).collect();
        }
        all
    }

    proptest! {
        #[test]
        fn a_need_is_met_or_not_when_no_vote_to_come_can_change_it(
            votes in prop::collection::vec(any::<Option<bool>>(), 1..7),
            at_least in 1..7usize,
        ) {
            let at_least = at_least.min(votes.len());
            let judged = |up: bool| (if up { Verdict::Up } else { Verdict::Down }, false, Evidence::default());
            let parts: Vec<Judged> = votes.iter().map(|vote| vote.map(judged)).collect();
            let enough = |votes: &Vec<bool>| votes.iter().filter(|up| **up).count() >= at_least;
            let completions = completions(&votes);
            let expected = if completions.iter().all(enough) {
                Some(Verdict::Up)
            } else if !completions.iter().any(enough) {
                Some(Verdict::Down)
            } else {
                None
            };
            prop_assert_eq!(met(&parts, at_least), expected);
        }
    }
}
