//! What endpoints say of themselves: the word of each for each region, from what its probes heard.
//!
//! ```text
//!   ams heard 50%, fra 75%, lon nothing --> in order: 50%  75%  up
//!                                                          ^^^ the one in the middle
//! ```
//!
//! A probe that has an opinion and heard no word heard `up`. Of an even number the one nearer to `up` counts.
//! A region without such probes takes the word of the others, one word for each region; where nobody has an
//! opinion the last word stands. An endpoint with several monitors says the least of what it says to any.

use smallvec::SmallVec;

use crate::health::{Agent, Basis, HealthMap, Opinion, Verdict, Vote};
use crate::keeper::cases::cases_of;
use crate::keeper::verdicts::endpoints;
use crate::model::{Inventory, RegionId};

/// What probes heard of an endpoint, on each of its monitors.
#[derive(Debug, Default)]
pub(super) struct Words {
    /// Of those who have an opinion: where they stand and what they heard, in order.
    heard: SmallVec<[Heard; 1]>,
    /// Somebody heard a word at all.
    spoken: bool,
}

/// Where each probe stands and what it heard.
type Heard = SmallVec<[(RegionId, Agent); 8]>;

impl Words {
    /// Adds what was heard on one more monitor.
    pub fn hear(&mut self, votes: &[Vote]) {
        let spoken = votes.iter().any(|vote| vote.agent.is_some());
        let with_opinion = votes.iter().filter(|vote| vote.opinion != Opinion::Unknown);
        let mut heard: Heard =
            with_opinion.map(|vote| (vote.region, vote.agent.unwrap_or(Agent::Up))).collect();
        if spoken {
            // Else all are the same, in whatever order: mostly so, and of many probes.
            heard.sort_unstable_by_key(|(of, word)| (*of, left(*word)));
        }
        self.spoken |= spoken;
        self.heard.push(heard);
    }

    /// The word for clients of a region, where `last` was the last one; none is `up`.
    pub fn of(&self, region: RegionId, last: Option<Agent>) -> Option<Agent> {
        if !self.spoken && last.is_none() {
            return None;
        }
        let words = self.heard.iter().filter_map(|heard| word(heard, region));
        words.min_by_key(|word| left(*word)).or(last).filter(|word| *word != Agent::Up)
    }
}

/// Takes out who asks for it, for the regions to which it says so.
pub(super) fn obey(map: &mut HealthMap, inventory: &Inventory) {
    for (id, _) in endpoints(inventory) {
        for case in cases_of(id.index(), inventory) {
            let standing = case.standing(map);
            if let Some(word @ (Agent::Drain | Agent::Down)) = standing.agent
                && standing.usable()
            {
                let standing = case.standing_mut(map);
                standing.verdict = Verdict::Down;
                standing.evidence.basis = Basis::Agent(word);
            }
        }
    }
}

/// What was `heard` on a monitor, in order, for clients of a region; `None`: nobody has an opinion of it.
fn word(heard: &[(RegionId, Agent)], region: RegionId) -> Option<Agent> {
    let by_region = || heard.chunk_by(|a, b| a.0 == b.0);
    let middle = |words: &[(RegionId, Agent)]| words[words.len() / 2].1;
    if let Some(own) = by_region().find(|words| words[0].0 == region) {
        return Some(middle(own));
    }
    let mut others: SmallVec<[Agent; 8]> = by_region().map(middle).collect();
    others.sort_by_key(|word| left(*word));
    others.get(others.len() / 2).copied()
}

/// How much an endpoint leaves of what it gets, for an order among words.
fn left(word: Agent) -> u8 {
    match word {
        Agent::Down => 0,
        Agent::Drain => 1,
        Agent::Share(percent) => percent.min(100).saturating_add(2),
        Agent::Up => u8::MAX,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EU: RegionId = RegionId(0);
    const US: RegionId = RegionId(1);

    /// The word for `eu`, from what was heard in which region.
    fn word(heard: &[(RegionId, Option<Agent>)]) -> Option<Agent> {
        let vote = |(region, agent): &(RegionId, Option<Agent>)| Vote {
            region: *region,
            site: None,
            opinion: Opinion::Up,
            moving: false,
            last: None,
            rtt_us: None,
            agent: *agent,
        };
        let mut words = Words::default();
        words.hear(&heard.iter().map(vote).collect::<Vec<Vote>>());
        super::word(&words.heard[0], EU)
    }

    #[test]
    fn the_word_in_the_middle_counts_and_of_two_the_one_nearer_to_up() {
        let [half, most] = [50, 75].map(|percent| Some(Agent::Share(percent)));
        let drain = Some(Agent::Drain);
        assert_eq!(word(&[(EU, most), (EU, drain), (EU, half)]), half);
        assert_eq!(word(&[(EU, half), (EU, most)]), most);
        assert_eq!(word(&[(EU, drain), (EU, None)]), Some(Agent::Up), "no word is `up`");
        assert_eq!(word(&[(EU, drain), (EU, None), (EU, Some(Agent::Down))]), drain);
    }

    #[test]
    fn a_region_without_probes_takes_the_word_of_the_others() {
        let drain = Some(Agent::Drain);
        assert_eq!(word(&[(US, drain), (US, drain), (EU, None)]), Some(Agent::Up));
        assert_eq!(word(&[(US, drain), (US, drain), (RegionId(2), drain)]), drain);
        assert_eq!(word(&[]), None);
    }

    proptest! {
        #[test]
        fn the_order_of_votes_does_not_matter(
            heard in prop::collection::vec((0..3u16, prop::option::of(1..4u8)), 0..9),
            turn in 0..9usize,
        ) {
            let heard: Vec<_> =
                heard.iter().map(|(region, share)| (RegionId(*region), share.map(Agent::Share))).collect();
            let mut turned = heard.clone();
            turned.rotate_left(turn.min(heard.len()));
            turned.reverse();
            prop_assert_eq!(word(&heard), word(&turned));
        }
    }
}
