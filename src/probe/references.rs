//! A probe's references: addresses that are up whenever its own network is.
//!
//! ```text
//!   every second, and when a check has failed
//!   reference --TCP connect: accepted or refused?--> Tracker --all of a family down--> no opinion of that family
//!                                |
//!   a check failed: has a reference answered since? --no--> the failure is void
//! ```
//!
//! The second line makes it safe: a failure counts only if a reference answers after it, so that a cut of the
//! probe's own network cannot turn anything down, however fast checks fail. It costs a failed check one
//! round trip to the nearest reference. A target's references are those of its family, or, without any, all.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};

use super::check::answers;
use crate::health::{Guard, Opinion, Tracker, TrackerSettings};
use crate::model::Family;
use crate::telemetry::Clock;

/// All references of a probe, and how they stand.
#[derive(Debug)]
pub(super) struct References {
    addresses: Vec<SocketAddr>,
    guard: Guard,
    clock: Clock,
    /// One for each: a check has failed, ask now.
    asked: Vec<Notify>,
    standing: watch::Sender<Standing>,
}

/// How the references stand.
#[derive(Debug)]
struct Standing {
    references: Vec<Reference>,
    /// By family: whether no reference answers.
    lost: [bool; 2],
}

/// What is known of one reference.
#[derive(Debug)]
struct Reference {
    address: SocketAddr,
    tracker: Tracker,
    /// When the last connect that has ended began, and whether it was answered.
    last: Option<(Instant, bool)>,
}

impl References {
    pub(super) fn new(addresses: Vec<SocketAddr>, guard: Guard, clock: Clock) -> Self {
        let reference =
            |&address| Reference { address, tracker: Tracker::new(SETTINGS, clock.now()), last: None };
        let references = addresses.iter().map(reference).collect();
        let asked = addresses.iter().map(|_| Notify::new()).collect();
        let standing = watch::Sender::new(Standing { references, lost: [false; 2] });
        Self { addresses, guard, clock, asked, standing }
    }

    /// Asks them for ever. `turned` is notified when the probe loses its opinions or has them again.
    pub(super) async fn watch(self: Arc<Self>, turned: impl Fn() + Clone + Send + 'static) {
        let mut watching = JoinSet::new();
        for index in 0..self.addresses.len() {
            watching.spawn(Arc::clone(&self).keep_asking(index, turned.clone()));
        }
        while watching.join_next().await.is_some() {}
    }

    /// Whether the probe has no opinion of targets of this family.
    pub(super) fn lost(&self, family: Family) -> bool {
        self.standing.borrow().lost[family.index()]
    }

    /// Whether a failure that was seen just now is the endpoint's: waits until a reference has answered, or all of
    /// them have failed to, since.
    pub(super) async fn confirm(&self, address: IpAddr) -> bool {
        let since = Instant::now();
        self.asked.iter().for_each(Notify::notify_one);
        let mut standing = self.standing.subscribe();
        let told = standing.wait_for(|standing| standing.answered(Family::of(address), since).is_some());
        // The sender is this object's own: it is there.
        told.await.is_ok_and(|standing| standing.answered(Family::of(address), since) == Some(true))
    }

    async fn keep_asking(self: Arc<Self>, index: usize, turned: impl Fn()) {
        loop {
            let begun = Instant::now();
            let answered = answers(self.addresses[index], &self.guard, PATIENCE).await;
            if self.learn(index, begun, answered) {
                turned();
            }
            sleep_until(begun + URGENT_PACE).await;
            tokio::select! {
                () = self.asked[index].notified() => {}
                () = sleep_until(begun + PACE) => {}
            }
        }
    }

    /// Takes in how a connect that began then ended; says whether the probe's opinions are lost or back.
    fn learn(&self, index: usize, begun: Instant, answered: bool) -> bool {
        let mut changed = false;
        self.standing.send_modify(|standing| {
            let before = standing.lost;
            let reference = &mut standing.references[index];
            reference.last = Some((begun, answered));
            reference.tracker.observe(answered, self.clock.now());
            standing.lost = Family::BOTH.map(|family| standing.is_lost(family));
            for family in Family::BOTH {
                tell(family, before[family.index()], standing.lost[family.index()]);
            }
            changed = before != standing.lost;
        });
        changed
    }
}

impl Standing {
    /// The references that speak for a family.
    fn of(&self, family: Family) -> impl Iterator<Item = &Reference> {
        let own = move |reference: &Reference| Family::of(reference.address.ip()) == family;
        let any_own = self.references.iter().any(own);
        self.references.iter().filter(move |reference| !any_own || own(reference))
    }

    fn is_lost(&self, family: Family) -> bool {
        let mut down =
            self.of(family).map(|reference| reference.tracker.opinion() == Opinion::Down).peekable();
        down.peek().is_some() && down.all(|down| down)
    }

    /// Whether one that was asked since then has answered. `None`: it is too early to say.
    fn answered(&self, family: Family, since: Instant) -> Option<bool> {
        let asked_since = |reference: &Reference| reference.last.filter(|(begun, _)| *begun >= since);
        let (mut any, mut all_asked) = (false, true);
        for reference in self.of(family) {
            match asked_since(reference) {
                Some((_, true)) => return Some(true),
                Some((_, false)) => any = true,
                None => all_asked = false,
            }
        }
        // Without references nothing is held against the probe's own network.
        if all_asked { Some(!any) } else { None }
    }
}

fn tell(family: Family, was_lost: bool, is_lost: bool) {
    match (was_lost, is_lost) {
        (false, true) => {
            warn!(%family, "no reference answers: this probe's own network is down, it has no opinion");
        }
        (true, false) => info!(%family, "a reference answers again: this probe has opinions again"),
        _ => {}
    }
}

/// One reference: down after two failures, up again after one success.
const SETTINGS: TrackerSettings =
    TrackerSettings { fall: 2, first_fall: 2, rise: 1, interval: PACE, recheck: PACE };
/// Between the starts of two connects to a reference while nothing fails.
const PACE: Duration = Duration::from_secs(1);
/// Between them while checks fail: their failures wait no longer for a reference that is up.
const URGENT_PACE: Duration = Duration::from_millis(50);
/// A reference that does not answer within this fails. It is near, or of little use.
const PATIENCE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::super::check::servers;
    use super::*;

    fn references(addresses: &[&str]) -> References {
        let addresses =
            addresses.iter().map(|address| address.parse().expect("a test writes good addresses"));
        References::new(addresses.collect(), Guard::default(), Clock::start())
    }

    fn lost(references: &References) -> [bool; 2] {
        Family::BOTH.map(|family| references.lost(family))
    }

    /// The next connect to each reference ends so.
    fn round(references: &References, answered: &[bool]) -> bool {
        let learn = |(index, &answered)| references.learn(index, Instant::now(), answered);
        // All of them are told, whatever the first says.
        answered.iter().enumerate().map(learn).filter(|changed| *changed).count() > 0
    }

    #[test]
    fn opinions_are_lost_when_every_reference_failed_twice_and_back_with_the_first_that_answers() {
        let references = references(&["192.0.2.1:53", "198.51.100.1:53"]);
        assert!(!round(&references, &[false, true]));
        assert!(!round(&references, &[false, false]));
        assert_eq!(lost(&references), [false; 2]);
        assert!(round(&references, &[false, false]));
        assert_eq!(lost(&references), [true; 2], "no reference is of IPv6: those of IPv4 speak for it");
        assert!(round(&references, &[true, false]));
        assert_eq!(lost(&references), [false; 2]);
    }

    #[test]
    fn each_family_has_its_own_references() {
        let references = references(&["192.0.2.1:53", "[2001:db8::1]:53"]);
        round(&references, &[true, false]);
        round(&references, &[true, false]);
        assert_eq!(lost(&references), [false, true]);
    }

    #[test]
    fn a_probe_without_references_never_loses_its_opinions() {
        let references = references(&[]);
        assert_eq!(lost(&references), [false; 2]);
        assert_eq!(references.standing.borrow().answered(Family::V4, Instant::now()), Some(true));
    }

    #[test]
    fn a_failure_waits_for_a_reference_that_was_asked_after_it() {
        let references = references(&["192.0.2.1:53", "198.51.100.1:53"]);
        round(&references, &[true, true]);
        let since = Instant::now();
        let answered = || references.standing.borrow().answered(Family::V4, since);
        assert_eq!(answered(), None);
        references.learn(0, since, false);
        assert_eq!(answered(), None);
        references.learn(1, since, true);
        assert_eq!(answered(), Some(true));
        references.learn(1, since, false);
        assert_eq!(answered(), Some(false));
    }

    #[tokio::test]
    async fn a_reference_that_refuses_is_there() {
        let (closed, _held) = servers::closed();
        let up = Arc::new(references(&[&closed.to_string()]));
        tokio::spawn(Arc::clone(&up).watch(|| {}));
        assert!(up.confirm(closed.ip()).await);
        assert!(up.confirm(closed.ip()).await);
    }

    #[tokio::test]
    async fn a_reference_that_must_not_be_connected_to_never_answers() {
        let denied = Arc::new(references(&["169.254.169.254:53"]));
        tokio::spawn(Arc::clone(&denied).watch(|| {}));
        assert!(!denied.confirm([192, 0, 2, 1].into()).await);
    }
}
