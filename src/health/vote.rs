//! The vote: from what probes hold of a target to a verdict for one region.
//!
//! ```text
//!   votes of the region's own probes --any?--> enough of them say down? Down : Up
//!        |
//!        none --> votes of each other region --> one vote a region --> enough of them? Down : Up
//!                        |
//!                        none anywhere --> no verdict: silence says nothing
//! ```
//!
//! Probes of one site stand on one network, and fail together. Within a region they agree on one vote before
//! anything else is counted, by the same rule.
//!
//! The rule leans to up, because a false Down moves every client of a region while a false Up is found
//! out by the next check. A vote that is not there is not counted on either side: it can make the others
//! weigh more, but every Down rests on somebody who says down.

use smallvec::SmallVec;

use crate::health::{Agent, Kind, Opinion, Verdict};
use crate::model::{RegionId, SiteId};

/// One probe's say on one target: fresh and trusted, or it is not here at all.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Vote {
    /// The region of the probe.
    pub region: RegionId,
    /// Its site, if it shares one; else it counts for itself.
    pub site: Option<SiteId>,
    /// What it holds. `Unknown` is no vote.
    pub opinion: Opinion,
    /// Whether its last results speak against what it holds.
    pub moving: bool,
    /// How its last check ended.
    pub last: Option<Kind>,
    /// Its round-trip time in microseconds.
    pub rtt_us: Option<u32>,
    /// What it heard the endpoint say of itself.
    pub agent: Option<Agent>,
}

/// Whose votes a verdict rests on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Basis {
    /// No monitor: always up.
    #[default]
    Unmonitored,
    /// The probes of the region itself.
    Region,
    /// No vote in the region: the other regions, one vote each.
    Others,
    /// No vote anywhere: the last verdict stands.
    Kept,
    /// Its checks say that it is usable again, but it flaps, and stays down until it is quiet.
    Damped,
    /// The endpoint itself asks not to be used: its checks say that it is usable.
    Agent(Agent),
    /// An operator fixed it.
    Operator,
}

/// Why a verdict is what it is: for explain and status. Of the monitor that decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Evidence {
    /// Whose votes count.
    pub basis: Basis,
    /// How many of them say down.
    pub down: u16,
    /// How many there are.
    pub votes: u16,
    /// How a check of one that says down ended.
    pub kind: Option<Kind>,
    /// Smallest round-trip time seen by those probes, in microseconds.
    pub rtt_us: Option<u32>,
}

/// All votes on one target, counted once for all regions.
#[derive(Clone, Debug)]
pub struct Poll {
    /// Those in which somebody was asked, whether or not there is a vote.
    regions: SmallVec<[(RegionId, Said); 8]>,
    /// What the regions say together, one vote each.
    together: Said,
    /// Percent (1..=100) of the votes that must say down, rounded up; with fewer it is Up.
    quorum: u8,
}

impl Poll {
    /// Counts the votes; their order does not matter.
    pub fn of(votes: impl IntoIterator<Item = Vote>, quorum: u8) -> Self {
        let mut regions: SmallVec<[(RegionId, Said); 8]> = SmallVec::new();
        for vote in votes {
            let place = regions.iter().position(|(region, _)| *region == vote.region);
            let place = place.unwrap_or_else(|| {
                regions.push((vote.region, Said::default()));
                regions.len() - 1
            });
            regions[place].1.count(&vote);
        }
        let mut together = Said::default();
        for (_, said) in &mut regions {
            said.agree_in_sites(quorum);
            together.count_region(said, quorum);
        }
        Self { regions, together, quorum }
    }

    /// Whether anybody is looking, with an opinion or without.
    pub fn looked_at(&self) -> bool {
        !self.regions.is_empty()
    }

    /// The verdict for clients of `region`, whether it is moving (a probe that had a say is, or has no opinion
    /// yet), and why; `None` when there is no vote anywhere.
    pub fn judge(&self, region: RegionId) -> Option<(Verdict, bool, Evidence)> {
        let own = self.regions.iter().find(|(of, said)| *of == region && said.tally.votes > 0);
        let (basis, said) = match own {
            Some((_, own)) => (Basis::Region, own),
            None => (Basis::Others, &self.together),
        };
        (said.tally.votes > 0).then(|| said.conclude(basis, self.quorum))
    }
}

/// What some probes say of a target.
#[derive(Clone, Debug, Default)]
struct Said {
    tally: Tally,
    /// Not in `tally` until they agreed.
    sites: SmallVec<[(SiteId, Tally); 1]>,
    moving: bool,
    /// Of those that say down, the most telling.
    kind: Option<Kind>,
    /// The smallest.
    rtt_us: Option<u32>,
}

impl Said {
    fn count(&mut self, vote: &Vote) {
        match vote.site {
            None => self.tally.count(vote.opinion),
            Some(site) => match self.sites.iter_mut().find(|(of, _)| *of == site) {
                Some((_, tally)) => tally.count(vote.opinion),
                None => self.sites.push((site, Tally::of(vote.opinion))),
            },
        }
        self.moving |= vote.moving || vote.opinion == Opinion::Unknown;
        let failed = |kind: &Kind| vote.opinion == Opinion::Down && !kind.is_ok();
        self.kind = least(self.kind, vote.last.filter(failed));
        self.rtt_us = least(self.rtt_us, vote.rtt_us);
    }

    fn agree_in_sites(&mut self, quorum: u8) {
        for (_, tally) in self.sites.drain(..) {
            self.tally.count(tally.opinion(quorum));
        }
    }

    fn count_region(&mut self, region: &Said, quorum: u8) {
        self.tally.count(region.tally.opinion(quorum));
        self.moving |= region.moving;
        self.kind = least(self.kind, region.kind);
        self.rtt_us = least(self.rtt_us, region.rtt_us);
    }

    fn conclude(&self, basis: Basis, quorum: u8) -> (Verdict, bool, Evidence) {
        let Self { tally: Tally { down, votes }, kind, rtt_us, .. } = *self;
        (self.tally.verdict(quorum), self.moving, Evidence { basis, down, votes, kind, rtt_us })
    }
}

/// How many votes there are, and how many say down.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    down: u16,
    votes: u16,
}

impl Tally {
    fn of(opinion: Opinion) -> Self {
        let mut tally = Self::default();
        tally.count(opinion);
        tally
    }

    /// Counts a vote, if it is one.
    fn count(&mut self, opinion: Opinion) {
        self.votes += u16::from(opinion != Opinion::Unknown);
        self.down += u16::from(opinion == Opinion::Down);
    }

    fn verdict(self, quorum: u8) -> Verdict {
        let needed = (u32::from(self.votes) * u32::from(quorum)).div_ceil(100).max(1);
        if u32::from(self.down) >= needed { Verdict::Down } else { Verdict::Up }
    }

    /// The one vote of all of these.
    fn opinion(self, quorum: u8) -> Opinion {
        match self.verdict(quorum) {
            _ if self.votes == 0 => Opinion::Unknown,
            Verdict::Down => Opinion::Down,
            Verdict::Up | Verdict::Unknown => Opinion::Up,
        }
    }
}

/// The smaller of those that are there.
fn least<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    one.into_iter().chain(other).min()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EU: RegionId = RegionId(0);
    const US: RegionId = RegionId(1);
    const AS: RegionId = RegionId(2);
    const QUORUM: u8 = 75;

    fn vote(region: RegionId, opinion: Opinion) -> Vote {
        Vote { region, site: None, opinion, moving: false, last: None, rtt_us: None, agent: None }
    }

    fn judge(votes: &[Vote], region: RegionId, quorum: u8) -> Option<(Verdict, bool, Evidence)> {
        Poll::of(votes.iter().copied(), quorum).judge(region)
    }

    fn votes(region: RegionId, down: usize, of: usize) -> Vec<Vote> {
        let opinion = |n| if n < down { Opinion::Down } else { Opinion::Up };
        (0..of).map(|n| vote(region, opinion(n))).collect()
    }

    fn verdict(votes: &[Vote]) -> Option<Verdict> {
        judge(votes, EU, QUORUM).map(|judged| judged.0)
    }

    #[test]
    fn three_quarters_of_a_regions_votes_must_say_down() {
        for (needed, of) in [(1, 1), (2, 2), (3, 3), (3, 4), (4, 5)] {
            assert_eq!(verdict(&votes(EU, needed, of)), Some(Verdict::Down), "{needed} of {of}");
            assert_eq!(verdict(&votes(EU, needed - 1, of)), Some(Verdict::Up), "{} of {of}", needed - 1);
        }
    }

    #[test]
    fn a_region_listens_to_its_own_probes_first() {
        let all = [votes(EU, 0, 1), votes(US, 5, 5)].concat();
        let (verdict, _, evidence) = judge(&all, EU, QUORUM).expect("there are votes");
        assert_eq!((verdict, evidence.basis), (Verdict::Up, Basis::Region));
    }

    #[test]
    fn a_region_without_probes_listens_to_the_others_one_vote_each() {
        let all = [votes(US, 1, 1), votes(AS, 0, 9)].concat();
        let (verdict, _, evidence) = judge(&all, EU, QUORUM).expect("there are votes");
        assert_eq!((verdict, evidence.basis), (Verdict::Up, Basis::Others));
        assert_eq!((evidence.down, evidence.votes), (1, 2));

        let all = [votes(US, 1, 1), votes(AS, 7, 9)].concat();
        let (verdict, _, evidence) = judge(&all, EU, QUORUM).expect("there are votes");
        assert_eq!((verdict, evidence.down, evidence.votes), (Verdict::Down, 2, 2));
    }

    #[test]
    fn a_probe_without_an_opinion_has_no_vote_but_shows_that_things_move() {
        let all = [vote(EU, Opinion::Down), vote(EU, Opinion::Unknown)];
        let (verdict, moving, evidence) = judge(&all, EU, QUORUM).expect("there is a vote");
        assert_eq!((verdict, moving, evidence.votes), (Verdict::Down, true, 1));
        assert_eq!(judge(&[vote(EU, Opinion::Unknown)], EU, QUORUM), None);
        assert_eq!(judge(&[], EU, QUORUM), None);
    }

    #[test]
    fn the_evidence_tells_why_and_how_far() {
        let saw = |opinion, last, rtt_us| Vote { last: Some(last), rtt_us, ..vote(EU, opinion) };
        let all = [
            saw(Opinion::Down, Kind::Timeout, None),
            saw(Opinion::Down, Kind::Refused, Some(900)),
            saw(Opinion::Down, Kind::Ok, Some(700)),
            saw(Opinion::Up, Kind::Ok, Some(800)),
        ];
        let (_, _, evidence) = judge(&all, EU, QUORUM).expect("there are votes");
        assert_eq!((evidence.kind, evidence.rtt_us), (Some(Kind::Refused), Some(700)));
    }

    /// The votes of probes that share a site.
    fn at(site: u16, votes: Vec<Vote>) -> Vec<Vote> {
        votes.into_iter().map(|vote| Vote { site: Some(SiteId(site)), ..vote }).collect()
    }

    #[test]
    fn the_probes_of_a_site_have_one_vote() {
        let all = [at(0, votes(EU, 9, 9)), votes(EU, 0, 1)].concat();
        let (verdict, _, evidence) = judge(&all, EU, QUORUM).expect("there are votes");
        assert_eq!((verdict, evidence.down, evidence.votes), (Verdict::Up, 1, 2));

        let all = [at(0, votes(EU, 2, 3)), at(1, votes(EU, 3, 3))].concat();
        let (verdict, _, evidence) = judge(&all, EU, QUORUM).expect("there are votes");
        assert_eq!((verdict, evidence.down, evidence.votes), (Verdict::Up, 1, 2), "2 of 3 are not enough");

        let all = [at(0, votes(EU, 3, 4)), at(1, votes(EU, 3, 3)), at(2, vec![vote(EU, Opinion::Unknown)])];
        let (verdict, moving, evidence) = judge(&all.concat(), EU, QUORUM).expect("there are votes");
        assert_eq!((verdict, moving, evidence.down, evidence.votes), (Verdict::Down, true, 2, 2));
    }

    #[test]
    fn a_site_across_regions_has_one_vote_in_each() {
        let all = [at(0, votes(US, 2, 2)), at(0, votes(AS, 2, 2))].concat();
        let (_, _, evidence) = judge(&all, EU, QUORUM).expect("there are votes");
        assert_eq!((evidence.basis, evidence.down, evidence.votes), (Basis::Others, 2, 2));
        let (_, _, evidence) = judge(&all, US, QUORUM).expect("there are votes");
        assert_eq!((evidence.basis, evidence.down, evidence.votes), (Basis::Region, 1, 1));
    }

    fn any_votes() -> impl Strategy<Value = Vec<Vote>> {
        let opinion = prop_oneof![Just(Opinion::Up), Just(Opinion::Down), Just(Opinion::Unknown)];
        let kind =
            prop_oneof![Just(None), Just(Some(Kind::Ok)), Just(Some(Kind::Timeout)), Just(Some(Kind::Tls))];
        let (region, site) = (0..3u16, proptest::option::of((0..2u16).prop_map(SiteId)));
        let one = (region, site, opinion, any::<bool>(), kind, proptest::option::of(0..9u32));
        let one = one.prop_map(|(region, site, opinion, moving, last, rtt_us)| Vote {
            region: RegionId(region),
            site,
            opinion,
            moving,
            last,
            rtt_us,
            agent: None,
        });
        proptest::collection::vec(one, 0..9)
    }

    proptest! {
        #[test]
        fn the_order_of_votes_does_not_matter(votes in any_votes(), turn in 0..9usize, quorum in 1..=100u8) {
            let mut turned = votes.clone();
            turned.rotate_left(turn.min(votes.len()));
            turned.reverse();
            prop_assert_eq!(judge(&votes, EU, quorum), judge(&turned, EU, quorum));
        }

        #[test]
        fn one_more_up_never_turns_up_to_down(votes in any_votes(), region in 0..3u16, quorum in 1..=100u8) {
            let more = [votes.clone(), vec![vote(RegionId(region), Opinion::Up)]].concat();
            let before = judge(&votes, EU, quorum).map(|judged| judged.0);
            let after = judge(&more, EU, quorum).map(|judged| judged.0);
            prop_assert!(before != Some(Verdict::Up) || after == Some(Verdict::Up));
        }

        #[test]
        fn nobody_is_down_unless_somebody_says_so(votes in any_votes(), quorum in 1..=100u8) {
            let said = votes.iter().any(|vote| vote.opinion == Opinion::Down);
            let judged = judge(&votes, EU, quorum).map(|judged| judged.0);
            prop_assert!(said || judged != Some(Verdict::Down));
        }

        #[test]
        fn a_probe_that_said_down_and_falls_silent_never_turns_up_to_down(
            votes in any_votes(), quorum in 1..=100u8,
        ) {
            for silent in 0..votes.len() {
                if votes[silent].opinion == Opinion::Down && judge(&votes, EU, quorum).is_some_and(|j| j.0 == Verdict::Up) {
                    let mut fewer = votes.clone();
                    fewer.remove(silent);
                    prop_assert_ne!(judge(&fewer, EU, quorum).map(|judged| judged.0), Some(Verdict::Down));
                }
            }
        }
    }
}
