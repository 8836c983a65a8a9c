//! Probes that see another world than the rest of the fleet.
//!
//! ```text
//!              t1  t2  t3  t4
//!   eu/ams      +   +   -   +
//!   eu/fra      +   +   -   +
//!   us/nyc      +   -   -   +      disagrees about 1 of 4: something is the matter with t2, seen from us
//!   as/sin      -   -   +   -      disagrees about 4 of 4: something is the matter with as/sin
//! ```
//!
//! For each target of which a probe has an opinion, the rest of the fleet is asked: all other fresh probes,
//! wherever they stand, those that are isolated too. The majority counts; a tie is no evidence. Who disagrees about
//! more than half of what there is evidence on is isolated, and its votes do not count.
//!
//! This is a function of what is held, and nothing else: there is no memory, so that servers that have heard the
//! same agree on who is isolated, in whatever order they heard it, and whoever agrees again counts again at once.
//!
//! The probes of a site have one voice, that of their majority: a site that is cut off does not outvote the rest
//! because many probes stand in it. Who has no opinion at all has no voice. If most voices would be isolated it is
//! not plain who is wrong, and nobody is.

use crate::health::{Opinion, Vote};
use crate::model::{SiteId, TargetId};

/// What a fresh probe says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Witness<'h> {
    pub site: Option<SiteId>,
    /// What it is asked to check, each once; `None`: nothing that the plan has.
    pub targets: &'h [Option<TargetId>],
    /// What it says of each.
    pub votes: &'h [Vote],
}

/// How much a probe agrees with the rest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Agreement {
    /// Of so many targets it says the opposite of what most others say,
    pub disagrees: u32,
    /// out of so many of which there is evidence.
    pub of: u32,
}

/// Who is isolated.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Isolated {
    /// By place among the witnesses.
    pub who: Vec<Option<Agreement>>,
    /// As long as the same witnesses are asked for the same targets, so many opinions can turn before it can be
    /// anybody else.
    pub slack: u32,
}

/// Those that are isolated among the `witnesses`. The plan has `targets` targets.
pub(super) fn isolated(witnesses: &[Witness<'_>], targets: usize) -> Isolated {
    let fleet = Fleet::hear(witnesses, targets);
    let agreements: Vec<Agreement> = witnesses.iter().map(|witness| fleet.compare(witness)).collect();
    let mut voices = Voices::default();
    for (witness, agreement) in witnesses.iter().zip(&agreements).filter(|(witness, _)| witness.speaks()) {
        voices.count(witness.site, agreement.is_suspect());
    }
    let asked = witnesses.iter().map(|witness| witness.targets.len());
    let slack = agreements.iter().zip(asked).map(|(agreement, asked)| agreement.slack(asked)).min();
    let can_tell = voices.can_tell();
    let isolated = |agreement: Agreement| Some(agreement).filter(|it| can_tell && it.is_suspect());
    Isolated { who: agreements.into_iter().map(isolated).collect(), slack: slack.unwrap_or(0) }
}

impl Agreement {
    fn is_suspect(&self) -> bool {
        self.of >= EVIDENCE_MIN && 2 * self.disagrees > self.of
    }

    /// So many opinions, of anybody, can turn before this one of so many targets can be a suspect. Each that turns
    /// makes of one agreement a disagreement at most.
    fn slack(&self, asked: usize) -> u32 {
        if asked < EVIDENCE_MIN as usize { u32::MAX } else { self.of.saturating_sub(2 * self.disagrees) / 2 }
    }
}

impl Witness<'_> {
    /// Whether it has an opinion of anything: else it has no voice.
    fn speaks(&self) -> bool {
        self.says().next().is_some()
    }

    /// By index of the target: 1 for up, -1 for down.
    fn says(&self) -> impl Iterator<Item = (usize, i32)> {
        let sign = |vote: &Vote| match vote.opinion {
            Opinion::Up => Some(1),
            Opinion::Down => Some(-1),
            Opinion::Unknown => None,
        };
        let said = self.targets.iter().zip(self.votes);
        said.filter_map(move |(target, vote)| Some(((*target)?.index(), sign(vote)?)))
    }
}

/// What all say together: by target, how many more say up than down.
struct Fleet {
    /// Each site one voice.
    balance: Vec<i32>,
    /// Within each site, each probe one voice; index [`SiteId`].
    sites: Vec<Vec<i32>>,
}

impl Fleet {
    fn hear(witnesses: &[Witness<'_>], targets: usize) -> Self {
        let mut balance = vec![0; targets];
        let mut sites: Vec<Vec<i32>> = Vec::new();
        for witness in witnesses {
            let balance = match witness.site.map(SiteId::index) {
                None => &mut balance,
                Some(site) => {
                    if sites.len() <= site {
                        sites.resize(site + 1, Vec::new());
                    }
                    sites[site].resize(targets, 0);
                    &mut sites[site]
                }
            };
            witness.says().for_each(|(target, sign)| balance[target] += sign);
        }
        for site in &sites {
            site.iter().zip(&mut balance).for_each(|(within, balance)| *balance += within.signum());
        }
        Self { balance, sites }
    }

    fn compare(&self, witness: &Witness<'_>) -> Agreement {
        let mut agreement = Agreement::default();
        let site = witness.site.map(|site| &self.sites[site.index()]);
        for (target, sign) in witness.says() {
            let without_it = match site {
                None => -sign,
                Some(site) => (site[target] - sign).signum() - site[target].signum(),
            };
            let rest = self.balance[target] + without_it;
            agreement.of += u32::from(rest != 0);
            agreement.disagrees += u32::from(rest * sign < 0);
        }
        agreement
    }
}

/// How many voices there are, and how many are those of suspects: of a site, if all its probes are.
#[derive(Default)]
struct Voices {
    lone: u32,
    suspect: u32,
    /// Index [`SiteId`]: whether all its probes are suspects; `None`: nobody of it is heard.
    sites: Vec<Option<bool>>,
}

impl Voices {
    fn count(&mut self, site: Option<SiteId>, suspect: bool) {
        match site.map(SiteId::index) {
            None => {
                self.lone += 1;
                self.suspect += u32::from(suspect);
            }
            Some(site) => {
                if self.sites.len() <= site {
                    self.sites.resize(site + 1, None);
                }
                self.sites[site] = Some(suspect && self.sites[site] != Some(false));
            }
        }
    }

    fn can_tell(&self) -> bool {
        let sites = || self.sites.iter().flatten();
        let voices = self.lone + sites().count() as u32;
        let suspects = self.suspect + sites().filter(|suspect| **suspect).count() as u32;
        voices >= VOICES_MIN && 2 * suspects <= voices
    }
}

/// Nobody is isolated for disagreeing about fewer than that.
const EVIDENCE_MIN: u32 = 3;

/// Of two who disagree nobody knows which one is wrong.
const VOICES_MIN: u32 = 3;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::RegionId;

    /// What a probe says of each target: `+`, `-`, or nothing yet; a digit before it is its site.
    type Line = (Option<SiteId>, Vec<Vote>);

    fn line(text: &str) -> Line {
        let site = text.chars().next().and_then(|first| first.to_digit(10)).map(|site| SiteId(site as u16));
        let opinion = |sign| match sign {
            '+' => Opinion::Up,
            '-' => Opinion::Down,
            _ => Opinion::Unknown,
        };
        let vote = |sign| {
            let (region, opinion) = (RegionId(0), opinion(sign));
            Vote { region, site, opinion, moving: false, last: None, rtt_us: None, agent: None }
        };
        (site, text.trim_start_matches(|sign: char| sign.is_ascii_digit()).chars().map(vote).collect())
    }

    /// Who is isolated, and how much they disagree.
    fn found(lines: &[Line]) -> Vec<Option<(u32, u32)>> {
        let who = look(lines).who.into_iter();
        who.map(|found| found.map(|found| (found.disagrees, found.of))).collect()
    }

    fn look(lines: &[Line]) -> Isolated {
        let targets: Vec<Option<TargetId>> = (0..10).map(|index| Some(TargetId(index))).collect();
        let mut witnesses = Vec::new();
        for (site, votes) in lines {
            witnesses.push(Witness { site: *site, targets: &targets[..votes.len()], votes });
        }
        isolated(&witnesses, targets.len())
    }

    fn of(lines: &[&str]) -> Vec<Option<(u32, u32)>> {
        found(&lines.iter().map(|text| line(text)).collect::<Vec<Line>>())
    }

    #[test]
    fn who_sees_another_world_than_the_rest_is_isolated() {
        assert_eq!(of(&["++-+", "++-+", "+--+", "--+-"]), [None, None, None, Some((4, 4))]);
        assert_eq!(of(&["+++", "+++", "--+"]), [None, None, Some((2, 3))]);
    }

    #[test]
    fn what_one_region_cannot_reach_is_no_reason() {
        assert_eq!(of(&["++++", "++++", "--++"]), [None; 3], "half is not more than half");
        assert_eq!(of(&["++", "++", "--"]), [None; 3], "of two targets little can be said");
        assert_eq!(of(&["++?+", "++?+", "--+?"]), [None; 3], "only of two is there evidence");
    }

    #[test]
    fn who_is_wrong_is_not_plain_among_two_or_among_halves() {
        assert_eq!(of(&["+++", "---"]), [None; 2]);
        assert_eq!(of(&["+++", "+++", "---", "---"]), [None; 4]);
        assert_eq!(of(&["+++", "++-", "+-+", "-++", "---"]), [None, None, None, None, Some((3, 3))]);
        assert_eq!(of(&[]), []);
    }

    #[test]
    fn who_has_no_opinion_has_no_voice_in_whether_it_is_plain_who_is_wrong() {
        let most = ["++-++", "+-+-+", "-+++-", "--+++"];
        assert_eq!(of(&most), [None; 4], "three of four disagree with the rest");
        let idle = ["?????", "?????", ""];
        assert_eq!(of(&[&most[..], &idle].concat()), [None; 7]);
        assert_eq!(of(&["+++", "---", "???", "1???"]), [None; 4], "of two nobody knows which one is wrong");
        assert_eq!(of(&["1---", "1???", "+++", "+++"])[0], Some((3, 3)), "nor does it speak for its site");
    }

    #[test]
    fn a_tie_of_the_rest_is_no_evidence() {
        // of the last targets the others say as much up as down
        assert_eq!(of(&["++++", "++--", "--+-"]), [None; 3]);
        assert_eq!(of(&["++++", "+++-", "---+"]), [None, None, Some((3, 3))]);
    }

    #[test]
    fn a_site_that_is_cut_off_does_not_outvote_the_rest() {
        let lines = ["1---", "1---", "1---", "1---", "+++", "+++", "+++"];
        let all = Some((3, 3));
        assert_eq!(of(&lines), [all, all, all, all, None, None, None]);
    }

    #[test]
    fn one_probe_of_a_site_can_be_isolated_alone() {
        assert_eq!(of(&["1+++", "1+++", "1---", "+++", "+++"]), [None, None, Some((3, 3)), None, None]);
    }

    fn any_fleet() -> impl Strategy<Value = Vec<Line>> {
        let sign = proptest::sample::select(vec!['+', '+', '-', '?']);
        let signs = proptest::collection::vec(sign, 6);
        let site = proptest::sample::select(vec!["", "", "1", "2"]);
        let one =
            (site, signs).prop_map(|(site, signs)| line(&(site.to_owned() + &String::from_iter(signs))));
        proptest::collection::vec(one, 0..9)
    }

    proptest! {
        #[test]
        fn the_order_of_probes_does_not_matter(fleet in any_fleet(), turn in 0..9usize) {
            let mut turned = fleet.clone();
            turned.rotate_left(turn.min(fleet.len()));
            let mut expected = found(&fleet);
            expected.rotate_left(turn.min(fleet.len()));
            prop_assert_eq!(found(&turned), expected);
        }

        #[test]
        fn never_more_than_half_are_isolated(fleet in any_fleet()) {
            let lone: Vec<Line> = fleet.into_iter().map(|(_, votes)| (None, votes)).collect();
            prop_assert!(2 * found(&lone).iter().flatten().count() <= lone.len());
        }

        #[test]
        fn nobody_else_is_isolated_before_more_opinions_turned_than_the_slack(
            agreeing in proptest::collection::vec(Just(line("++++++++++")), 0..9),
            fleet in proptest::collection::vec("[12]?[+?-]{10}", 0..3),
            turns in proptest::collection::vec((any::<prop::sample::Index>(), 0..10usize, "[+?-]"), 0..6),
        ) {
            let mut fleet = [agreeing, fleet.iter().map(|text| line(text)).collect()].concat();
            prop_assume!(!fleet.is_empty());
            let Isolated { who, slack } = look(&fleet);
            for (probe, target, sign) in turns.into_iter().take(slack as usize) {
                let probe = probe.index(fleet.len());
                fleet[probe].1[target] = line(&sign).1[0];
            }
            let isolated = |who: &[Option<Agreement>]| who.iter().map(Option::is_some).collect::<Vec<_>>();
            prop_assert_eq!(isolated(&look(&fleet).who), isolated(&who));
        }

        #[test]
        fn who_agrees_with_all_others_counts(fleet in any_fleet(), up: bool) {
            let same = line(if up { "++++++" } else { "------" });
            let mut all: Vec<Line> = vec![same; fleet.len() + 1];
            all.push(line("?+-?+-"));
            let found = found(&all);
            prop_assert!(found[..found.len() - 1].iter().all(Option::is_none));
        }
    }
}
