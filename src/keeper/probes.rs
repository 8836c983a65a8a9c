//! What the probes said last, ready to be voted with.
//!
//! ```text
//!   Report --trusted?--> Held, by name --fresh?--in agreement with the rest?--> votes
//!             | no
//!             `--> counted, shown, told of once a minute
//! ```
//!
//! Of a report only what votes need is kept, in the order of its list of targets; the list itself is shared
//! ([`Roster`]). Whether it is fresh is judged by when it was *heard*.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::health::{Agent, Opinion, Report, TargetReport, Vote};
use crate::keeper::isolation::{Isolated, Witness, isolated};
use crate::keeper::names::{Names, Roster};
use crate::keeper::trust::{Dropped, Reason, Refusals, Stamp};
use crate::keeper::{Fact, Isolation, ProbeStatus};
use crate::model::{Moment, RegionId, SiteId, TargetId};

/// What is known of each probe.
#[derive(Debug, Default)]
pub(super) struct Probes {
    known: BTreeMap<Arc<str>, Probe>,
    /// Those in use.
    rosters: Vec<Arc<Roster>>,
    dropped: Dropped,
    /// Of names that there was no room for.
    crowded: Refusals,
    /// So many opinions can turn before somebody else can be isolated than is. To look at what all probes say for
    /// each report that turns something would cost more than everything else that is done with it.
    slack: u32,
}

#[derive(Debug)]
struct Probe {
    /// As it says.
    region_name: Arc<str>,
    region: RegionId,
    site: Option<SiteId>,
    /// `None`: all that came of it was refused.
    held: Option<Held>,
    refusals: Refusals,
    isolation: Option<Isolation>,
    /// It was told that this probe is isolated.
    isolation_told: bool,
}

/// The newest report of a probe that is trusted.
#[derive(Debug)]
struct Held {
    stamp: Stamp,
    zones: Option<u64>,
    roster: Arc<Roster>,
    /// By place in the roster.
    votes: Vec<Vote>,
    /// Its votes are in the map, if it is not isolated: it was fresh when that was last looked at.
    counted: bool,
    /// It was told that this probe is silent.
    told: bool,
}

impl Probes {
    /// Takes a report in; says of which targets the probe has another opinion now than is in the map, where no
    /// opinion is one too.
    ///
    /// # Errors
    /// The report does not count; what is to be told of that, if anything is.
    pub fn hear(
        &mut self,
        mut report: Report,
        names: &Names,
        now: Moment,
    ) -> Result<Vec<TargetId>, Option<Fact>> {
        let stamp = Stamp::of(&report, now);
        let known = self.known.get(&report.probe);
        let held = known.and_then(|probe| probe.held.as_ref());
        let trusted = stamp.admit(held.map(|held| &held.stamp));
        let room = known.is_some() || self.known.len() < PROBES_MAX;
        if let Err(reason) = trusted.and(if room { Ok(()) } else { Err(Reason::Crowded) }) {
            return Err(self.refuse(report, reason, names, now));
        }
        let as_before = held.is_some_and(|held| held.roster.is_of(&report.targets));
        if !as_before {
            names.cut(&mut report);
        }
        let roster = match held.filter(|_| as_before) {
            Some(held) => Arc::clone(&held.roster),
            None => self.roster(&report.targets, names),
        };
        let probe = self.known.entry(Arc::clone(&report.probe)).or_insert_with(|| Probe::new(&report, names));
        let moved = *probe.region_name != *report.region;
        if moved {
            probe.region_name = Arc::clone(&report.region);
            probe.region = names.region_or_default(&report.region);
        }
        if !probe.continues(&stamp, &roster, moved) {
            self.slack = 0;
        }
        Ok(probe.take(stamp, roster, &report, moved))
    }

    /// Counts a report that is not taken.
    fn refuse(&mut self, report: Report, reason: Reason, names: &Names, now: Moment) -> Option<Fact> {
        self.dropped.count(reason);
        let room = self.known.len() < PROBES_MAX;
        let (refusals, heard) = match self.known.get_mut(&report.probe) {
            Some(probe) => (&mut probe.refusals, probe.held.as_ref().map(|held| held.stamp.heard)),
            None if room => {
                let probe = Probe::new(&report, names);
                (&mut self.known.entry(Arc::clone(&report.probe)).or_insert(probe).refusals, None)
            }
            None => (&mut self.crowded, None),
        };
        let probe = report.probe;
        refusals.note(reason, heard, now).then_some(Fact::ReportDropped { probe, reason })
    }

    /// The roster of this list of targets: one that is in use already, if there is one.
    fn roster(&mut self, said: &[TargetReport], names: &Names) -> Arc<Roster> {
        self.rosters.retain(|roster| Arc::strong_count(roster) > 1);
        if let Some(roster) = self.rosters.iter().find(|roster| roster.is_of(said)) {
            return Arc::clone(roster);
        }
        let roster = Arc::new(Roster::new(said, names));
        self.rosters.push(Arc::clone(&roster));
        roster
    }

    /// Reads every report again, under another plan.
    pub fn follow(&mut self, names: &Names) {
        let old = std::mem::take(&mut self.rosters);
        self.rosters = old.iter().map(|roster| Arc::new(roster.follow(names))).collect();
        let followed = |roster: &Arc<Roster>| old.iter().position(|old| Arc::ptr_eq(old, roster));
        for (name, probe) in &mut self.known {
            probe.region = names.region_or_default(&probe.region_name);
            probe.site = names.site(name);
            let Some(held) = &mut probe.held else { continue };
            let place = followed(&held.roster).expect("every roster in use is in the list");
            held.roster = Arc::clone(&self.rosters[place]);
            for vote in &mut held.votes {
                (vote.region, vote.site) = (probe.region, probe.site);
            }
        }
    }

    /// Whether somebody else is isolated now that so many opinions turned.
    pub fn reconsider(&mut self, turned: usize, names: &Names, now: Moment) -> bool {
        match u32::try_from(turned).ok().and_then(|turned| self.slack.checked_sub(turned)) {
            Some(left) => {
                self.slack = left;
                false
            }
            None => self.isolate(names, now),
        }
    }

    /// Finds out who is isolated; whether that is another than before.
    pub fn isolate(&mut self, names: &Names, now: Moment) -> bool {
        let fresh = |probe: &Probe| probe.held.as_ref().is_some_and(|held| held.stamp.fresh(now));
        let witnesses: Vec<Witness<'_>> =
            self.known.values().filter(|probe| fresh(probe)).filter_map(Probe::witness).collect();
        let Isolated { who, slack } = isolated(&witnesses, names.targets_len());
        let mut found = who.into_iter();
        let mut changed = false;
        for probe in self.known.values_mut() {
            let counts = fresh(probe);
            if let Some(held) = &mut probe.held {
                held.counted = counts;
            }
            let agreement = if counts { found.next().flatten() } else { None };
            let since = probe.isolation.map_or(now, |isolation| isolation.since);
            changed |= probe.isolation.is_some() != agreement.is_some();
            probe.isolation = agreement.map(|agreement| Isolation {
                disagrees: agreement.disagrees,
                of: agreement.of,
                since,
            });
        }
        self.slack = slack;
        changed
    }

    /// Whether a probe fell silent since that was last looked at.
    pub fn lost(&self, now: Moment) -> bool {
        let held = self.known.values().filter_map(|probe| probe.held.as_ref());
        held.into_iter().any(|held| held.counted && !held.stamp.fresh(now))
    }

    /// Tells, once each, which probes fell silent, which are isolated and which agree again; forgets those that
    /// are long gone.
    pub fn news(&mut self, now: Moment) -> Vec<Fact> {
        self.known.retain(|_, probe| !probe.gone(now));
        let mut facts = Vec::new();
        for (name, probe) in &mut self.known {
            let probe_name = || Arc::clone(name);
            if let Some(held) = probe.held.as_mut().filter(|held| !held.told && !held.stamp.fresh(now)) {
                held.told = true;
                facts.push(Fact::ProbeSilent { probe: probe_name() });
            }
            match probe.isolation {
                Some(isolation)
                    if !probe.isolation_told && now.since(isolation.since) >= ISOLATION_TOLD_AFTER =>
                {
                    probe.isolation_told = true;
                    facts.push(Fact::ProbeIsolated { probe: probe_name(), isolation });
                }
                None if probe.isolation_told => {
                    probe.isolation_told = false;
                    facts.push(Fact::ProbeAgrees { probe: probe_name() });
                }
                _ => {}
            }
        }
        facts
    }

    /// Those whose votes count now.
    pub fn voters(&self, now: Moment) -> Vec<Voter<'_>> {
        let trusted = self.known.values().filter(|probe| probe.isolation.is_none());
        let held = trusted.filter_map(|probe| probe.held.as_ref());
        held.filter(|held| held.stamp.fresh(now)).map(Voter).collect()
    }

    /// See [`crate::keeper::Keeper::probes`].
    pub fn status(&self, now: Moment) -> Vec<ProbeStatus> {
        let status = |(name, probe): (&Arc<str>, &Probe)| {
            let stamp = probe.held.as_ref().map(|held| held.stamp);
            ProbeStatus {
                name: Arc::clone(name),
                region: probe.region,
                number: stamp.map_or(0, |stamp| stamp.number),
                zones: probe.held.as_ref().and_then(|held| held.zones),
                age: stamp.map(|stamp| now.since(stamp.heard)),
                fresh: stamp.is_some_and(|stamp| stamp.fresh(now)),
                isolation: probe.isolation,
                refused: probe.refusals.recent(now),
            }
        };
        self.known.iter().map(status).collect()
    }

    /// See [`crate::keeper::Keeper::dropped`].
    pub fn dropped(&self) -> Dropped {
        self.dropped
    }
}

impl Probe {
    fn new(report: &Report, names: &Names) -> Self {
        Self {
            region_name: Arc::clone(&report.region),
            region: names.region_or_default(&report.region),
            site: names.site(&report.probe),
            held: None,
            refusals: Refusals::default(),
            isolation: None,
            isolation_told: false,
        }
    }

    /// Whether its report says something of the same targets as the one before, and that one counts still.
    fn continues(&self, stamp: &Stamp, roster: &Arc<Roster>, moved: bool) -> bool {
        let counts = |held: &Held| Arc::ptr_eq(&held.roster, roster) && held.stamp.fresh(stamp.heard);
        !moved && self.held.as_ref().is_some_and(counts)
    }

    /// Holds a report, from now on; returns the targets that turned.
    fn take(&mut self, stamp: Stamp, roster: Arc<Roster>, report: &Report, moved: bool) -> Vec<TargetId> {
        let Self { region, site, .. } = *self;
        let Report { zones, targets: said, .. } = report;
        let vote = move |said: &TargetReport| {
            let TargetReport { opinion, moving, last, rtt_us, agent, .. } = *said;
            Vote { region, site, opinion, moving, last, rtt_us, agent }
        };
        if self.held.as_ref().is_some_and(|held| held.stamp.instance != stamp.instance) {
            self.refusals.take_over();
        }
        let continues = self.continues(&stamp, &roster, moved);
        match &mut self.held {
            Some(held) if continues => {
                (held.stamp, held.zones, held.counted, held.told) = (stamp, *zones, true, false);
                held.update(said.iter().map(vote))
            }
            held => {
                let before = held.take().filter(|held| held.counted);
                let votes = said.iter().map(vote).collect();
                let after =
                    held.insert(Held { stamp, zones: *zones, roster, votes, counted: true, told: false });
                turned(before.as_ref(), after, moved)
            }
        }
    }

    fn witness(&self) -> Option<Witness<'_>> {
        let held = self.held.as_ref()?;
        Some(Witness { site: self.site, targets: held.roster.targets(), votes: &held.votes })
    }

    /// Whether there is nothing left to remember it for.
    fn gone(&self, now: Moment) -> bool {
        match &self.held {
            Some(held) => now.since(held.stamp.heard) >= FORGOTTEN_AFTER,
            None => self.refusals.recent(now).is_empty(),
        }
    }
}

impl Held {
    /// Takes other votes on the same targets; returns those that turned.
    fn update(&mut self, votes: impl Iterator<Item = Vote>) -> Vec<TargetId> {
        let mut turned = Vec::new();
        for ((held, vote), target) in self.votes.iter_mut().zip(votes).zip(self.roster.targets()) {
            if said(Some(held)) != said(Some(&vote)) {
                turned.extend(*target);
            }
            *held = vote;
        }
        turned
    }

    fn on(&self, target: TargetId) -> Option<&Vote> {
        self.votes.get(self.roster.place(target)?)
    }
}

/// The targets of which one report says otherwise than the one before it; all, if it is from another region.
fn turned(before: Option<&Held>, after: &Held, moved: bool) -> Vec<TargetId> {
    let was = |target| said(before.and_then(|held| held.on(target)));
    let other = |target: &TargetId| moved || was(*target) != said(after.on(*target));
    let before = before.iter().flat_map(|held| held.roster.targets());
    let mut turned: Vec<TargetId> =
        before.chain(after.roster.targets()).flatten().copied().filter(other).collect();
    turned.sort_unstable();
    turned.dedup();
    turned
}

/// What can change a verdict at once.
fn said(vote: Option<&Vote>) -> (Opinion, Option<Agent>) {
    vote.map_or((Opinion::Unknown, None), |vote| (vote.opinion, vote.agent))
}

/// A probe whose votes count.
#[derive(Clone, Copy, Debug)]
pub(super) struct Voter<'p>(&'p Held);

impl Voter<'_> {
    /// What it says of a target; `None`: nothing.
    pub fn on(&self, target: TargetId) -> Option<Vote> {
        self.0.on(target).copied()
    }
}

/// A probe that was silent for so long is no longer shown.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// Probes that are remembered at most: beyond this a new one is not heard until another is forgotten.
pub(super) const PROBES_MAX: usize = 10_000;

/// Who is isolated for a shorter time is not told of: when much fails at once some probes see it first, and
/// are isolated until the others see it too.
const ISOLATION_TOLD_AFTER: Duration = Duration::from_secs(10);
