//! The failover time that a name can promise: detection + publication + cached answers.
//!
//! # Detection
//!
//! The worst moment to die is right after the reply to a check that passed. With `interval`, `timeout`,
//! `recheck` and `fall` of the monitor:
//!
//! ```text
//!   passed         failed 1        failed 2        failed 3 = fall: down
//!   |ok|           |--timeout--|   |--timeout--|   |--timeout--|
//!   ---X-----------+---------------+---------------+-----------+--> time
//!      dies        first           first + 1 pace  first + 2 paces
//! ```
//!
//! - The first check to fail starts at most an interval and its jitter (a tenth of it) after the start of the
//!   one that passed. If that one was slow and took longer, it starts when that one ends, which is at most
//!   `timeout` after the reply was sent: `max(interval x 1.1, timeout)`. Where an operator made `recheck` longer
//!   than `interval`, that is the pause to reckon with.
//! - Each further one starts `recheck` after the start of the one before, or when that one ends if it took
//!   longer, which is at most `timeout`: `fall - 1` paces of `max(recheck, timeout)`. A `recheck` that is not
//!   shorter than the interval is jittered as one.
//! - The last one fails at most `timeout` after its start.
//!
//! Beats (`type = "push"`) are awaited, not asked for: the worst moment to die is right after one, and `within`
//! later its silence is noticed.
//!
//! Probes that must agree watch at the same time, so that a quorum takes no longer than its slowest probe.
//!
//! The death of an endpoint that has addresses but no monitor is never noticed. One that is a host name is
//! another matter: whoever answers for that name fails it over, and it is left out here.
//!
//! # Publication
//!
//! A probe reports at once when an opinion turns, and a server publishes at once when a verdict turns to
//! Down. One lost report is made good by the next: `report_interval`.
//!
//! # Cached answers
//!
//! A resolver may have asked just before: it answers from its cache for `ttl`, the TTL while settled.

use std::fmt;
use std::time::Duration;

use crate::model::{Ask, EndpointId, Inventory, Monitor, MonitorId, Name, Reach, Use};
use crate::plan::{Plan, Steered};

/// The longest time from the death of any monitored endpoint of a name until no resolver answers with it any
/// more.
#[derive(Clone, Debug, PartialEq)]
pub struct Promise {
    /// Of this name.
    pub name: Name,
    /// From death to the opinion of every probe.
    pub detection: Duration,
    /// From opinion to answers.
    pub publication: Duration,
    /// From the last answer that named it to its end in caches.
    pub cached: Duration,
    /// All three.
    pub total: Duration,
    /// The endpoint whose death is noticed last,
    pub endpoint: EndpointId,
    /// and the monitor that takes so long.
    pub monitor: MonitorId,
    /// An endpoint whose death is never noticed: nothing is promised for it.
    pub unwatched: Option<EndpointId>,
}

/// How the death of what something can pick is noticed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Watched {
    /// The slowest that is noticed.
    pub slowest: Option<Slowest>,
    /// The first that never is: it has addresses and no monitor.
    pub unwatched: Option<EndpointId>,
}

/// The endpoint whose death is noticed last, of all that something can pick.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slowest {
    /// From death to opinion.
    pub detection: Duration,
    /// Whose death.
    pub endpoint: EndpointId,
    /// Noticed by what.
    pub monitor: MonitorId,
}

/// What each steered name can promise; a name that nothing watches promises nothing, and is not here.
pub fn promises(plan: &Plan, report_interval: Duration) -> Vec<Promise> {
    let watched = watched_by_pool(&plan.inventory);
    let promise = |steered: &Steered| Promise::new(steered, watched[steered.pool.index()], report_interval);
    plan.steered.iter().filter_map(promise).collect()
}

impl Promise {
    /// What a name can promise if its pool is watched like this; `None`: nothing of it is.
    pub fn new(steered: &Steered, watched: Watched, report_interval: Duration) -> Option<Self> {
        let Watched { slowest, unwatched } = watched;
        let Slowest { detection, endpoint, monitor } = slowest?;
        let publication = report_interval;
        let cached = Duration::from_secs(steered.ttl.into());
        let total = detection.saturating_add(publication).saturating_add(cached);
        let name = steered.owner.clone();
        Some(Self { name, detection, publication, cached, total, endpoint, monitor, unwatched })
    }
}

/// The arithmetic: `16.5s = detection 9.5s + publication 2s + cached 5s`, and whether it holds for all endpoints.
impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} = detection {:?} + publication {:?} + cached {:?}",
            self.total, self.detection, self.publication, self.cached
        )?;
        match self.unwatched {
            Some(_) => f.write_str("; never for an endpoint without a monitor"),
            None => Ok(()),
        }
    }
}

/// How what can come out of each pool is watched where a name points at it: its members, and its fallbacks.
/// Index [`crate::model::PoolId`].
pub fn watched_by_pool(inventory: &Inventory) -> Vec<Watched> {
    let mut by_members: Vec<Watched> = Vec::with_capacity(inventory.pools.len());
    let mut by_all: Vec<Watched> = Vec::with_capacity(inventory.pools.len());
    for pool in &inventory.pools {
        let of = |picks: Use, pools: &[Watched]| match picks {
            Use::Endpoint(id) => Watched::endpoint(id, inventory),
            Use::Pool(id) => pools.get(id.index()).copied().unwrap_or_default(),
        };
        let members = pool.members.iter().map(|member| of(member.picks, &by_members));
        let members = members.fold(Watched::default(), Watched::join);
        let fallback = pool.fallback.map_or(Watched::default(), |fallback| of(fallback, &by_all));
        by_members.push(members);
        by_all.push(members.join(fallback));
    }
    by_all
}

impl Watched {
    fn endpoint(id: EndpointId, inventory: &Inventory) -> Self {
        let endpoint = &inventory.endpoints[id.index()];
        let slowest = endpoint.targets.iter().flatten().map(|target| {
            let monitor = inventory.targets[target.index()].monitor;
            let detection = detection(&inventory.monitors[monitor.index()]);
            Slowest { detection, endpoint: id, monitor }
        });
        let forgotten = matches!(endpoint.reach, Reach::Addresses { .. }) && !endpoint.monitored();
        Self { slowest: slowest.reduce(slower), unwatched: forgotten.then_some(id) }
    }

    fn join(self, other: Self) -> Self {
        let slowest = self.slowest.into_iter().chain(other.slowest).reduce(slower);
        Self { slowest, unwatched: self.unwatched.or(other.unwatched) }
    }
}

/// The first of equals, so that the same files always name the same endpoint.
fn slower(a: Slowest, b: Slowest) -> Slowest {
    if b.detection > a.detection { b } else { a }
}

/// The longest time from the death of an endpoint to the end of the check that makes it down.
pub fn detection(monitor: &Monitor) -> Duration {
    if let Ask::Push { within } = monitor.ask {
        return within;
    }
    let Monitor { interval, recheck, timeout, fall, .. } = *monitor;
    let jittered = |pause: Duration| pause.saturating_add(pause / JITTER);
    let until_first = jittered(interval.max(recheck)).max(timeout);
    let pace = if recheck < interval { recheck } else { jittered(recheck) }.max(timeout);
    until_first.saturating_add(pace.saturating_mul(fall.saturating_sub(1))).saturating_add(timeout)
}

/// Checks are moved by at most this part of the interval.
const JITTER: u32 = 10;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_default_monitor_notices_a_silent_death_within_eleven_and_a_half_seconds() {
        let monitor = monitor(5_000, 2_000, 1_000, 3);
        assert_eq!(detection(&monitor), Duration::from_millis(5_500 + 2 * 2_000 + 2_000));
    }

    #[test]
    fn the_silence_of_an_application_is_noticed_when_its_last_beat_is_good_no_more() {
        let within = Duration::from_secs(90);
        let monitor = Monitor { ask: Ask::Push { within }, ..monitor(90_000, 90_000, 90_000, 1) };
        assert_eq!(detection(&monitor), within);
    }

    #[test]
    fn a_recheck_longer_than_the_timeout_sets_the_pace() {
        assert_eq!(detection(&monitor(5_000, 500, 1_000, 3)), Duration::from_millis(5_500 + 2 * 1_000 + 500));
    }

    #[test]
    fn the_bound_is_reached_when_everything_goes_as_badly_as_it_can() {
        let monitor = monitor(5_000, 2_000, 1_000, 3);
        let worst = Chance { jitter: 1.0, reply: 0.0, failure: 1.0 };
        let died = 10 * 5_500; // right after the reply to the eleventh check
        let down = simulate(&monitor, died, std::iter::repeat(worst));
        assert_eq!(down - died, detection(&monitor).as_millis() as u64);
    }

    #[test]
    fn settings_without_end_do_not_overflow() {
        let monitor = Monitor { interval: Duration::MAX / 2, fall: u32::MAX, ..monitor(1, 1, 1, 1) };
        assert_eq!(detection(&Monitor { timeout: Duration::MAX, ..monitor }), Duration::MAX);
    }

    proptest! {
        #[test]
        fn no_death_takes_longer_to_notice(
            interval in 200u64..20_000,
            timeout in 50u64..5_000,
            recheck in 50u64..5_000,
            fall in 1u32..6,
            died in 30_000u64..90_000,
            chances in prop::collection::vec(chance(), 32),
        ) {
            let monitor = monitor(interval, timeout, recheck, fall);
            let down = simulate(&monitor, died, chances.into_iter().cycle());
            prop_assert!(down - died <= detection(&monitor).as_millis() as u64);
        }
    }

    /// How one check goes, each from 0.0 (the least) to 1.0 (the most).
    #[derive(Clone, Copy, Debug)]
    struct Chance {
        jitter: f64,
        reply: f64,
        failure: f64,
    }

    fn chance() -> impl Strategy<Value = Chance> {
        (-1.0..=1.0, 0.0..=1.0, 0.0..=1.0).prop_map(|(jitter, reply, failure)| Chance {
            jitter,
            reply,
            failure,
        })
    }

    /// A probe that checks an endpoint which dies at `died`; when it calls it down. Milliseconds.
    fn simulate(monitor: &Monitor, died: u64, mut chances: impl Iterator<Item = Chance>) -> u64 {
        let millis = |duration: Duration| duration.as_millis() as u64;
        let share = |of: Duration, share: f64| (millis(of) as f64 * share) as u64;
        let (mut start, mut failures) = (0, 0);
        loop {
            let chance = chances.next().expect("chances never end");
            let reply = share(monitor.timeout, chance.reply);
            let passed = start + reply <= died;
            let took = if passed { reply } else { share(monitor.timeout, chance.failure) };
            failures = if passed { 0 } else { failures + 1 };
            if failures == monitor.fall {
                return (start + took).max(died);
            }
            let pause = if failures > 0 { monitor.recheck } else { monitor.interval };
            let jitter = if pause < monitor.interval { 0.0 } else { chance.jitter / f64::from(JITTER) };
            let pause = share(pause, 1.0 + jitter);
            start += pause.max(took).max(1);
        }
    }

    fn monitor(interval: u64, timeout: u64, recheck: u64, fall: u32) -> Monitor {
        Monitor {
            name: "web".into(),
            ask: Ask::Tcp { port: 80 },
            interval: Duration::from_millis(interval),
            timeout: Duration::from_millis(timeout),
            recheck: Duration::from_millis(recheck),
            fall,
            rise: 2,
            quorum: 75,
        }
    }
}
