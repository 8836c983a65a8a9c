//! This machine's place in the fleet: what it hears of the others, and what it tells them.
//!
//! ```text
//!   [fleet] > join() > Membership --reports()--> Server --> keeper
//!                          |  ^--- digests of the other servers: who differs, and since when
//!                          `-- zones that were published --unpacked--> Reloader
//! ```
//!
//! Nothing here is waited for: a machine that is cut off serves what it has.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::app::Failure;
use crate::app::serve::TICK;
use crate::fleet::{Config, Credentials, Digest, Dropped, Fleet, Inbox, Link, Tls};
use crate::health::Report;
use crate::keeper::{FRESH_INTERVALS, FRESH_MIN};
use crate::load::Site;
use crate::model::Moment;
use crate::spec::machine::Login;
use crate::telemetry::Clock;

/// What a server is in the fleet.
pub(super) struct Membership {
    fleet: Fleet,
    reports: Inbox<Report>,
    digests: Inbox<Digest>,
    /// Its own name: what it says itself comes back to it.
    name: Box<str>,
    /// Tells this process from another server under the same name.
    instance: u64,
    others: BTreeMap<Box<str>, Other>,
    /// What it said of itself last.
    own: Option<Digest>,
    /// When anything came last: what this server says of itself comes back to it too, once a second.
    carried: Moment,
    clock: Clock,
}

/// What is held of another server.
#[derive(Clone, Debug)]
pub(super) struct Other {
    pub(super) digest: Digest,
    pub(super) heard: Moment,
    /// Since when it runs other zones than this one.
    pub(super) other_plan: Option<Moment>,
    /// Since when it holds other verdicts, with the same zones.
    pub(super) other_map: Option<Moment>,
}

/// Something came from the fleet.
pub(super) enum Heard {
    Report(Report),
    Digest(Digest),
}

/// Joins the fleet that the configuration names, if it names one.
pub(super) async fn join(site: &Site, name: &str, clock: Clock) -> Result<Option<Fleet>, Failure> {
    let Some(config) = config(site, name) else { return Ok(None) };
    let fleet = Fleet::start(&config, clock).await;
    fleet.map(Some).map_err(|error| Failure::Failed(format!("cannot join the fleet: {error}")))
}

impl Membership {
    pub(super) fn new(fleet: Fleet, name: &str, instance: u64, clock: Clock) -> Self {
        Self {
            carried: clock.now(),
            clock,
            reports: fleet.reports(),
            digests: fleet.digests(),
            fleet,
            name: name.into(),
            instance,
            others: BTreeMap::new(),
            own: None,
        }
    }

    /// The next thing that somebody else said. Can be cancelled without a loss.
    pub(super) async fn heard(&mut self) -> Heard {
        loop {
            let heard = tokio::select! {
                Some(report) = self.reports.recv() => Heard::Report(report),
                Some(digest) = self.digests.recv() => Heard::Digest(digest),
                else => std::future::pending().await,
            };
            self.carried = self.clock.now();
            let own = match &heard {
                Heard::Report(report) => *report.probe == *self.name && report.instance == self.instance,
                Heard::Digest(digest) => digest.server == self.name && digest.instance == self.instance,
            };
            if !own {
                return heard;
            }
        }
    }

    /// Since when nothing came, if that is too long: then whoever is silent may well be talking.
    pub(super) fn silent_since(&self) -> Option<Moment> {
        let silence = self.clock.now().since(self.carried);
        (silence > SILENT_AFTER || !self.link().is_connected()).then_some(self.carried)
    }

    /// Sends what this machine's own probe says. What cannot be sent now never is: the next one says it all.
    pub(super) fn pass_on(&self, report: &Report) {
        let _ = self.fleet.publish_report(report);
    }

    /// Says what this server runs and holds.
    pub(super) fn tell(&mut self, digest: Digest) {
        let _ = self.fleet.publish_digest(&digest);
        self.own = Some(digest);
        let now = self.own.as_ref().map_or(Moment::default(), |own| own.sent);
        self.others.retain(|_, other| now.since(other.heard) < FORGOTTEN_AFTER);
        let names: Vec<_> = self.others.keys().cloned().collect();
        names.iter().for_each(|name| self.compare(name, now));
    }

    /// Notes what another server says of itself.
    pub(super) fn note(&mut self, digest: Digest, now: Moment) {
        if self.others.len() >= SERVERS_MAX && !self.others.contains_key(&digest.server) {
            return;
        }
        let name = digest.server.clone();
        let before = self.others.remove(&name);
        let (other_plan, other_map) =
            before.map_or((None, None), |before| (before.other_plan, before.other_map));
        self.others.insert(name.clone(), Other { digest, heard: now, other_plan, other_map });
        self.compare(&name, now);
    }

    fn compare(&mut self, name: &str, now: Moment) {
        let (Some(own), Some(other)) = (&self.own, self.others.get_mut(name)) else { return };
        let since = |differs: bool, before: Option<Moment>| differs.then(|| before.unwrap_or(now));
        let other_plan = own.plan != other.digest.plan;
        other.other_plan = since(other_plan, other.other_plan);
        other.other_map = since(!other_plan && own.map != other.digest.map, other.other_map);
    }

    pub(super) fn others(&self) -> impl Iterator<Item = (&str, &Other)> {
        self.others.iter().map(|(name, other)| (&**name, other))
    }

    pub(super) fn link(&self) -> Link {
        self.fleet.link().borrow().clone()
    }

    /// What came in and was dropped.
    pub(super) fn dropped(&self) -> Dropped {
        self.fleet.dropped()
    }
}

/// How to reach the fleet; `None`: this machine is alone.
pub(super) fn config(site: &Site, name: &str) -> Option<Config> {
    let written = site.machine.fleet.as_ref()?;
    let beside = |path: &String| site.beside(path);
    let credentials = match &written.login {
        Login::Anonymous => None,
        Login::Credentials(file) => Some(Credentials::File(beside(file))),
        Login::Nkey(file) => Some(Credentials::NkeySeed(beside(file))),
        Login::Password { user, file } => {
            Some(Credentials::UserPassword { user: user.clone(), password_file: beside(file) })
        }
    };
    let own = |part: fn(&crate::spec::machine::Certificate) -> &String| -> Option<PathBuf> {
        written.certificate.as_ref().map(|certificate| beside(part(certificate)))
    };
    let tls = Tls {
        ca: written.ca.as_ref().map(beside),
        cert: own(|certificate| &certificate.chain),
        key: own(|certificate| &certificate.key),
    };
    Some(Config { servers: written.nats.clone(), credentials, tls, name: name.into() })
}

/// Another server that was silent for so long is no longer shown.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// Nothing came for so long: the line is cut.
const SILENT_AFTER: Duration = Duration::from_millis(1500);

/// That is noticed before any vote goes stale for it: one that came a report interval before the line was cut, where
/// that is too short for three of them to be longer than [`FRESH_MIN`], and the line is looked at once a [`TICK`].
const _: () = {
    let shortest = FRESH_MIN.as_millis() / FRESH_INTERVALS as u128;
    assert!(shortest + SILENT_AFTER.as_millis() + TICK.as_millis() < FRESH_MIN.as_millis());
};

/// Other servers that are remembered at most: beyond this a new one is not shown.
const SERVERS_MAX: usize = 1_000;
